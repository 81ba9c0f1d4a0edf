/*
 * Purpose: fills the mini-language of impairments into a manual page's source (scdoc), from
 * standard input to standard output: the lines %IMPAIR forms%, %IMPAIR which%, %IMPAIR fields%,
 * %IMPAIR options%, %IMPAIR profiles%. With --words: the language for tests, a line each, a blank
 * between: form SYNTAX, which NAME, field NAME, option NAME, profile NAME.
 */
#include <stdio.h>
#include <string.h>

#include "tun/impair.h"

/* scdoc takes _ and * for emphasis. */
static void text(const char *s)
{
    for (; *s; s++) {
        if (strchr("_*\\#~<", *s)) {
            putchar('\\');
        }
        putchar(*s);
    }
}

static void put_forms(void)
{
    for (const struct impair_form *f = impair_forms; f->name; f++) {
        printf("*");
        text(f->syntax);
        printf("*\n\t");
        text(f->what);
        printf("++\nExample: ");
        text(f->example);
        printf("\n\n");
    }
}

static void put_which(void)
{
    const char *begin = "[[ ";
    for (const struct impair_form *f = impair_whiches; f->name; f++) {
        printf("%s*", begin);
        text(f->name);
        printf("*\n:[ ");
        text(f->what);
        printf("\n");
        begin = "|  ";
    }
}

static void put_fields(void)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        printf("%s*", i ? ", " : "");
        text(wire_field_name(i));
        printf("*");
    }
    printf(".\n");
}

static void put_options(void)
{
    for (const char *const *o = impair_options(); *o; o++) {
        printf("%s*%s*", o == impair_options() ? "" : ", ", *o);
    }
    printf(".\n");
}

static void put_profiles(void)
{
    for (const struct impair_profile *p = impair_profiles; p->name; p++) {
        printf("*");
        text(p->name);
        printf("* (");
        text(p->what);
        printf(")\n\t");
        text(p->spec);
        printf("\n\n");
    }
}

static void words(void)
{
    for (const struct impair_form *f = impair_forms; f->name; f++) {
        printf("form %s\n", f->syntax);
    }
    for (const struct impair_form *f = impair_whiches; f->name; f++) {
        printf("which %s\n", f->name);
    }
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        printf("field %s\n", wire_field_name(i));
    }
    for (const char *const *o = impair_options(); *o; o++) {
        printf("option %s\n", *o);
    }
    for (const struct impair_profile *p = impair_profiles; p->name; p++) {
        printf("profile %s\n", p->name);
    }
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *line;
        void (*put)(void);
    } parts[] = {
        {"%IMPAIR forms%\n", put_forms},       {"%IMPAIR which%\n", put_which},
        {"%IMPAIR fields%\n", put_fields},     {"%IMPAIR options%\n", put_options},
        {"%IMPAIR profiles%\n", put_profiles},
    };
    char line[4096];

    if (argc == 2 && strcmp(argv[1], "--words") == 0) {
        words();
        return 0;
    }
    while (fgets(line, sizeof line, stdin)) {
        size_t i = 0;
        while (i < sizeof parts / sizeof parts[0] && strcmp(parts[i].line, line) != 0) {
            i++;
        }
        if (i < sizeof parts / sizeof parts[0]) {
            parts[i].put();
        } else {
            fputs(line, stdout);
        }
    }
    return 0;
}
