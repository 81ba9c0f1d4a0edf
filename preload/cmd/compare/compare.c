/*
 * Purpose: `standin compare [OPTION...] -- PROGRAM ...`: the program on the kernel's stack and on
 * ours, over the same emulated wire, in alternating order (A B, B A ...); then what differs.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../attach.h"
#include "../msg.h"
#include "../options.h"
#include "../place.h"
#include "../program.h"
#include "../verbs.h"
#include "differ.h"
#include "show.h"
#include "tun/impair.h"

#define RUNS_DEFAULT 5
#define WARM_DEFAULT 1
#define RUNS_MAX     100
#define MTU_DEFAULT  1500u
#define FOLDER_NAME  "standin-compare-"

static int help(void)
{
    puts("Usage: standin compare [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
         "Runs PROGRAM on the kernel's stack and on ours over the same emulated wire and\n"
         "tells what differs. The program's side has the addresses 10.77.0.2 and fd77::2,\n"
         "the server's side 10.77.0.1 and fd77::1.\n");
    options_help(VERB_COMPARE);
    puts("\nExit status: 0; 1 a difference of a class named by --fail-on (bug); 2 on trouble;\n"
         "126 or 127 when the program cannot be run.");
    return 0;
}

/* ---- options */

static bool number(const char *name, const char *text, unsigned long min, unsigned long max,
                   unsigned long *out)
{
    char *end;

    errno = 0;
    *out = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || *out < min || *out > max) {
        msg("--%s %s: a number from %lu to %lu is needed", name, text, min, max);
        return false;
    }
    return true;
}

static bool duration(const char *text, nsec *out)
{
    char *end;
    double v = strtod(text, &end);
    double unit = strcmp(end, "ms") == 0    ? 1e6
                  : strcmp(end, "s") == 0   ? 1e9
                  : strcmp(end, "min") == 0 ? 60e9
                                            : 0;

    if (end == text || unit == 0 || v <= 0 || v * unit > 3600e9) {
        msg("--timeout %s: a time with its unit, up to an hour: 30s, 500ms, 2min", text);
        return false;
    }
    *out = (nsec)(v * unit);
    return true;
}

static bool parse_rules(struct wire_spec *spec, const char *text)
{
    struct impair_error err;
    char why[600];

    if (impair_parse(spec, text, &err)) {
        return true;
    }
    msg("--impair: %s", impair_explain(text, &err, why, sizeof why));
    msg_do("See:", "standin-impair(7): the rules of an emulated wire");
    return false;
}

static bool take_wire(struct setup *s, const struct options *o)
{
    unsigned long seed;

    for (unsigned i = 0; i < o->nimpair; i++) {
        if (!parse_rules(&s->wire, o->impair[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < o->nprofile; i++) {
        char text[100];
        snprintf(text, sizeof text, "profile %s", o->profile[i]);
        if (!parse_rules(&s->wire, text)) {
            return false;
        }
    }
    if (o->given[OPTION_SEED]) {
        if (!number("seed", o->given[OPTION_SEED], 0, 0xffffffff, &seed)) {
            return false;
        }
        s->wire.seed = seed;
    } else if (getrandom(&s->wire.seed, 4, 0) != 4) {
        s->wire.seed = 1;
    }
    return true;
}

/* "bug,timing" as bits. */
static bool classes(const char *text, unsigned *out)
{
    char copy[128];
    char *save;

    *out = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        int k = 0;
        while (k < CLASSES && strcmp(class_names[k], word) != 0) {
            k++;
        }
        if (k == CLASSES && strcmp(word, "none") != 0) {
            msg("--fail-on %s: the classes are bug, allowed, policy, timing, or none", word);
            return false;
        }
        *out |= k < CLASSES ? 1u << k : 0;
    }
    return true;
}

static bool make_folder(const char *given, char *folder, size_t size)
{
    if (given) {
        snprintf(folder, size, "%s", given);
        if (mkdir(folder, 0777) == 0 || errno == EEXIST) {
            return true;
        }
    } else {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, size, "%s/%sXXXXXX", tmp ? tmp : "/tmp", FOLDER_NAME);
        if (mkdtemp(folder)) {
            return true;
        }
    }
    msg("cannot make the folder %s: %s", folder, strerror(errno));
    return false;
}

/* ---- the command to repeat it */

static void quote(FILE *to, const char *word)
{
    if (*word && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "_-./:=@%+,")] == '\0') {
        fputs(word, to);
        return;
    }
    putc('\'', to);
    for (; *word; word++) {
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, to);
    }
    putc('\'', to);
}

static char *again(const struct setup *s, const struct options *o, unsigned n, unsigned warmup)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f) {
        return NULL;
    }
    fprintf(f, "standin compare -n %u --seed %llu", n, (unsigned long long)s->wire.seed);
    if (warmup != WARM_DEFAULT) {
        fprintf(f, " --warmup %u", warmup);
    }
    if (s->server) {
        fputs(" --server ", f);
        quote(f, s->server);
    }
    for (unsigned i = 0; i < o->nimpair; i++) {
        fputs(" --impair ", f);
        quote(f, o->impair[i]);
    }
    for (unsigned i = 0; i < o->nprofile; i++) {
        fprintf(f, " --profile %s", o->profile[i]);
    }
    for (unsigned i = 0; i < s->nset; i++) {
        fputs(" --set ", f);
        quote(f, s->set[i]);
    }
    fputs(" --", f);
    for (unsigned i = 0; s->program[i]; i++) {
        putc(' ', f);
        quote(f, s->program[i]);
    }
    fclose(f);
    return text;
}

/* ---- runs */

static void progress(const struct options *o, const char *what, unsigned done, unsigned all,
                     const struct one *last)
{
    if (isatty(2) && !o->given[OPTION_JSON]) {
        fprintf(stderr, "\r\033[K%s %u of %u: %s %.1f ms", what, done, all,
                stack_names[last->stack], (double)last->wall / 1e6);
        if (done == all) {
            fputs("\r\033[K", stderr);
        }
    }
}

/* Pairs that only warm the caches: their files are written over by those that count. */
static bool warm_up(const struct setup *s, const struct options *o, unsigned n)
{
    for (unsigned i = 0; i < 2 * n; i++) {
        struct one one;
        bool good = one_run(s, i % 2 ? STACK_USER : STACK_KERNEL, 1, &one);
        if (good) {
            progress(o, "warming up", i + 1, 2 * n, &one);
        }
        one_free(&one);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool run_all(const struct setup *s, const struct options *o, unsigned n,
                    struct one *ones[STACKS], struct story *stories[STACKS], struct calls *calls)
{
    char path[600];

    for (unsigned i = 0; i < 2 * n; i++) {
        unsigned pair = i / 2;
        enum stack_kind k = (i + pair) % 2 ? STACK_USER : STACK_KERNEL; /* A B, B A, A B ... */
        struct one *one = &ones[k][pair];
        if (!one_run(s, k, pair + 1, one)) {
            return false;
        }
        story_tell(&stories[k][pair], one);
        calls_take(calls, one);
        snprintf(path, sizeof path, "%s/%s-%u.pcapng", s->folder, stack_names[k], pair + 1);
        if (!one_capture(one, s, path)) {
            return false;
        }
        progress(o, "run", i + 1, 2 * n, one);
    }
    return true;
}

static bool report(const struct compared *w, const struct options *o)
{
    json_t *data = compared_json(w);
    bool good = data != NULL;

    if (good && o->given[OPTION_REPORT]) {
        good = compared_page(w, data, o->given[OPTION_REPORT]);
    }
    if (good && o->given[OPTION_JSON]) {
        json_dumpf(data, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else if (good) {
        compared_table(w);
        printf("Captures and outputs: %s\n", w->setup->folder);
        if (o->given[OPTION_REPORT]) {
            printf("Page: %s\n", o->given[OPTION_REPORT]);
        }
    }
    json_decref(data);
    return good;
}

static int compare(const struct setup *s, const struct options *o, unsigned n, unsigned warmup,
                   unsigned fail_on)
{
    struct one *ones[STACKS] = {calloc(n, sizeof **ones), calloc(n, sizeof **ones)};
    struct story *stories[STACKS] = {calloc(n, sizeof **stories), calloc(n, sizeof **stories)};
    static struct sides sides;
    static struct calls calls;
    struct compared w = {.setup = s, .sides = &sides, .seed = s->wire.seed, .warmup = warmup};
    int ret = EXIT_TROUBLE;
    char *command = again(s, o, n, warmup);

    w.command = command ? command : "";
    for (uint32_t i = 0; i < s->wire.nrules; i++) {
        impair_print(&s->wire.rule[i], w.rules[i]);
    }
    if (ones[0] && ones[1] && stories[0] && stories[1] && warm_up(s, o, warmup) &&
        run_all(s, o, n, ones, stories, &calls)) {
        sides = (struct sides){
            .one = {ones[0], ones[1]}, .story = {stories[0], stories[1]}, .calls = &calls, .n = n};
        sides_compare(&sides);
        ret = report(&w, o) ? 0 : EXIT_TROUBLE;
        for (unsigned i = 0; ret == 0 && i < sides.ndiffs; i++) {
            ret = fail_on >> sides.diff[i].class & 1;
        }
    }
    for (int k = 0; k < STACKS; k++) {
        for (unsigned i = 0; ones[k] && i < n; i++) {
            one_free(&ones[k][i]);
        }
        free(ones[k]);
        free(stories[k]);
    }
    free(command);
    return ret;
}

int verb_compare(int argc, char *argv[])
{
    static struct setup s;
    static char folder[500];
    struct options o;
    char path[PATH_MAX];
    static char watch[PATH_MAX];
    unsigned long runs = RUNS_DEFAULT;
    unsigned long warmup = WARM_DEFAULT;
    unsigned fail_on;
    int at = options_parse(&o, VERB_COMPARE, argc, argv);

    if (at < 0) {
        return EXIT_TROUBLE;
    }
    if (o.help) {
        return help();
    }
    if (at >= argc) {
        msg("which program? standin compare [OPTION...] [--] PROGRAM [ARGUMENT...]");
        return EXIT_TROUBLE;
    }
    s = (struct setup){.program = argv + at,
                       .server = o.given[OPTION_SERVER],
                       .folder = folder,
                       .set = o.set,
                       .nset = o.nset,
                       .mtu = MTU_DEFAULT,
                       .timeout = 60 * SEC,
                       .watch = watch};
    if ((o.given[OPTION_RUNS] && !number("runs", o.given[OPTION_RUNS], 1, RUNS_MAX, &runs)) ||
        (o.given[OPTION_WARMUP] &&
         !number("warmup", o.given[OPTION_WARMUP], 0, RUNS_MAX, &warmup)) ||
        (o.given[OPTION_TIMEOUT] && !duration(o.given[OPTION_TIMEOUT], &s.timeout)) ||
        !classes(o.given[OPTION_FAIL_ON] ? o.given[OPTION_FAIL_ON] : "bug", &fail_on) ||
        !take_wire(&s, &o)) {
        return EXIT_TROUBLE;
    }
    int ret = program_check(argv[at], path);
    if (ret) {
        return ret;
    }
    if (!make_folder(o.given[OPTION_KEEP], folder, sizeof folder) ||
        !place_find(PLACE_WATCH, watch)) {
        return EXIT_TROUBLE;
    }
    return compare(&s, &o, (unsigned)runs, (unsigned)warmup, fail_on);
}
