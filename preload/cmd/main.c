/* Purpose: `standin VERB ...`: finds the verb and hands over. There is no catch-all verb: `standin
 * curl` is a mistake. */
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "msg.h"
#include "options.h"
#include "verbs.h"

#ifndef STANDIN_BUILD_ID
#define STANDIN_BUILD_ID "unknown"
#endif

static int (*const functions[])(int argc, char *argv[]) = {
#define VERB(id, name, function, usage, help) function,
    VERB_LIST
#undef VERB
};

static void usage(FILE *to)
{
    fputs("Usage: standin VERB [OPTION...] ...\n\n"
          "Runs unmodified programs on a TCP/IP stack of their own, in user space.\n\n",
          to);
    for (size_t i = 0; i < VERBS; i++) {
        fprintf(to, "  standin %s %s\n      %s; see standin %s --help\n", verb_table[i].name,
                verb_table[i].usage, verb_table[i].help, verb_table[i].name);
    }
}

static int help(void)
{
    usage(stdout);
    putchar('\n');
    options_help(VERB_NONE);
    return 0;
}

static int version(void)
{
    printf("standin %s\nlibuv %s\n", STANDIN_BUILD_ID, uv_version_string());
    return 0;
}

static int unknown(const char *word)
{
    const char *names[VERBS];
    const char *meant;
    for (size_t i = 0; i < VERBS; i++) {
        names[i] = verb_table[i].name;
    }
    meant = msg_meant(word, names, VERBS);
    msg("unknown verb %s", word);
    if (meant) {
        msg_more("Did you mean standin %s?", meant);
    } else {
        msg_do("Fix:", "standin run %s ...    (to run a program of that name)", word);
    }
    return EXIT_STANDIN;
}

int main(int argc, char *argv[])
{
    struct options o;
    int at = options_parse(&o, VERB_NONE, argc, argv);
    if (at < 0) {
        return EXIT_STANDIN;
    }
    if (o.help) {
        return help();
    }
    if (o.version) {
        return version();
    }
    if (at >= argc) {
        usage(stderr);
        return EXIT_STANDIN;
    }
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(argv[at], verb_table[i].name) == 0) {
            return functions[i](argc - at, argv + at);
        }
    }
    return unknown(argv[at]);
}
