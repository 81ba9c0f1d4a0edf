/*
 * Purpose: fills the tables of verbs and options into a manual page's source (scdoc), from standard
 * input to standard output: the line %OPTIONS verb% becomes that verb's options, %OPTIONS% those
 * before any verb, %VERBS% the verbs.
 */
#include <stdio.h>
#include <string.h>

#include "../options.h"
#include "../verbs.h"

/* scdoc takes _ and * for emphasis. */
static void text(const char *s)
{
    for (; *s; s++) {
        if (strchr("_*\\#~", *s)) {
            putchar('\\');
        }
        putchar(*s);
    }
}

static void put_options(unsigned verb)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!(option_table[i].verbs & verb)) {
            continue;
        }
        if (option_table[i].letter) {
            printf("*-%c*, ", option_table[i].letter);
        }
        printf("*--%s*", option_table[i].name);
        const char *arg = option_table[i].arg;
        if (arg && arg[0] == '[') { /* may be left out */
            printf("[=");
            text(arg + 1);
        } else if (arg) {
            putchar('=');
            text(arg);
        }
        printf("\n\t");
        text(option_table[i].help);
        printf(".\n\n");
    }
}

static void put_verbs(void)
{
    for (size_t i = 0; i < VERBS; i++) {
        printf("*standin %s* ", verb_table[i].name);
        text(verb_table[i].usage);
        printf("\n\t");
        text(verb_table[i].help);
        printf("; see *standin-%s*(1).\n\n", verb_table[i].name);
    }
}

int main(void)
{
    char line[4096];

    while (fgets(line, sizeof line, stdin)) {
        char name[32] = "";
        if (strcmp(line, "%OPTIONS%\n") == 0) {
            put_options(VERB_NONE);
        } else if (sscanf(line, "%%OPTIONS %31[a-z]%%", name) == 1) {
            enum verb verb = verb_of(name);
            if (verb == VERB_NONE) {
                fprintf(stderr, "optdoc: no verb %s\n", name);
                return 1;
            }
            put_options(verb);
        } else if (strcmp(line, "%VERBS%\n") == 0) {
            put_verbs();
        } else {
            fputs(line, stdout);
        }
    }
    return 0;
}
