/*
 * Purpose: options from the command line, by getopt_long over the table of options.h. getopt's own
 * messages are off: ours say what was probably meant.
 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "msg.h"

/* getopt returns OPTION_BASE + id for every option, so that letters and names meet in one switch.
 */
#define OPTION_BASE 1000

struct forms {
    struct option longs[OPTION_COUNT + 1];
    char shorts[2 + 2 * OPTION_COUNT + 1];
};

static int argument_of(const struct option_row *r)
{
    return !r->arg ? no_argument : r->arg[0] == '[' ? optional_argument : required_argument;
}

static void forms_make(struct forms *f, enum verb verb)
{
    char *s = f->shorts;
    struct option *l = f->longs;
    if (verb & (VERB_NONE | VERB_RUN | VERB_COMPARE)) {
        *s++ = '+'; /* stop at the first word: it is the verb's, or the program's name */
    }
    *s++ = ':'; /* tell a missing argument from an unknown option */
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *r = &option_table[i];
        if (!(r->verbs & verb)) {
            continue;
        }
        *l++ = (struct option){.name = r->name, .has_arg = argument_of(r), .val = OPTION_BASE + i};
        if (r->letter) {
            *s++ = (char)r->letter;
        }
        if (r->letter && r->arg) {
            *s++ = ':';
        }
    }
    *s = '\0';
    *l = (struct option){0};
}

static int id_of_letter(int letter, enum verb verb)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].letter == letter && option_table[i].verbs & verb) {
            return i;
        }
    }
    return OPTION_COUNT;
}

static void say_unknown(const char *word, enum verb verb)
{
    const char *names[OPTION_COUNT];
    unsigned n = 0;
    char bare[64];
    const char *meant;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].verbs & verb) {
            names[n++] = option_table[i].name;
        }
    }
    msg("unknown option %s", word);
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + strspn(word, "-"), "="),
             word + strspn(word, "-"));
    meant = strncmp(word, "--", 2) == 0 ? msg_meant(bare, names, n) : NULL;
    if (meant) {
        msg_more("Did you mean --%s?", meant);
    }
    msg_do("Check:", "standin %s%s--help", verb_name(verb), verb == VERB_NONE ? "" : " ");
}

/* What getopt stumbled over: a long option is the whole last word, a short one a letter in it. */
static void say_bad(int what, enum verb verb, char *const argv[])
{
    char letter[3] = {'-', (char)optopt, '\0'};
    if (what == ':') {
        msg("option %s needs a value", optopt >= OPTION_BASE ? argv[optind - 1] : letter);
        msg_do("Check:", "standin %s%s--help", verb_name(verb), verb == VERB_NONE ? "" : " ");
    } else if (optopt >= OPTION_BASE) {
        msg("option --%s takes no value", option_table[optopt - OPTION_BASE].name);
    } else if (optopt != 0) {
        say_unknown(letter, verb);
    } else {
        say_unknown(argv[optind - 1], verb);
    }
}

static bool keep(const char *list[], unsigned *n, const char *what)
{
    if (*n == OPTION_REPEAT_MAX) {
        msg("option --%s given more than %d times", what, OPTION_REPEAT_MAX);
        return false;
    }
    list[(*n)++] = optarg;
    return true;
}

static bool take(struct options *o, int id)
{
    o->given[id] = optarg ? optarg : "";
    switch (id) {
    case OPTION_ADDR:
        return keep(o->addr, &o->naddr, "addr");
    case OPTION_PEER:
        return keep(o->peer, &o->npeer, "peer");
    case OPTION_SET:
        return keep(o->set, &o->nset, "set");
    case OPTION_IMPAIR:
        return keep(o->impair, &o->nimpair, "impair");
    case OPTION_PROFILE:
        return keep(o->profile, &o->nprofile, "profile");
    case OPTION_SEED:
        o->seed = optarg;
        return true;
    case OPTION_MTU:
        o->mtu = optarg;
        return true;
    case OPTION_OFFLOAD:
        o->offload = optarg;
        return true;
    case OPTION_PCAP:
        o->pcap = optarg;
        return true;
    case OPTION_SNAPLEN:
        o->snaplen = optarg;
        return true;
    case OPTION_TRACE:
    case OPTION_FILTER:
        o->trace = optarg ? optarg : "";
        return true;
    case OPTION_OUTPUT:
        o->output = optarg;
        return true;
    case OPTION_PAST:
        o->past = true;
        return true;
    case OPTION_WAIT:
        o->wait = true;
        return true;
    case OPTION_VERBOSE:
        o->verbose = true;
        return true;
    case OPTION_HELP:
        o->help = true;
        return true;
    case OPTION_VERSION:
        o->version = true;
        return true;
    default:
        return true;
    }
}

int options_parse(struct options *o, enum verb verb, int argc, char *const argv[])
{
    struct forms f = {0};
    int c;
    forms_make(&f, verb);
    *o = (struct options){0};
    optind = 0; /* begin anew: the verb was found by an earlier pass */
    opterr = 0;
    while ((c = getopt_long(argc, argv, f.shorts, f.longs, NULL)) != -1) {
        if (c == '?' || c == ':') {
            say_bad(c, verb, argv);
            return -1;
        }
        if (!take(o, c >= OPTION_BASE ? c - OPTION_BASE : id_of_letter(c, verb))) {
            return -1;
        }
    }
    return optind;
}

void options_help(enum verb verb)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *r = &option_table[i];
        char left[64];
        if (!(r->verbs & verb)) {
            continue;
        }
        bool may = r->arg && r->arg[0] == '[';
        snprintf(left, sizeof left, "%s%c%s --%s%s%s", r->letter ? "-" : " ",
                 r->letter ? r->letter : ' ', r->letter ? "," : " ", r->name,
                 may      ? "[="
                 : r->arg ? "="
                          : "",
                 !r->arg ? ""
                 : may   ? r->arg + 1
                         : r->arg);
        printf("  %-26s %s\n", left, r->help);
    }
}
