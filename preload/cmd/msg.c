/* Purpose: every word the command says goes through here, so that all of it has one form and one
 * place to go. */
#include "msg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 40u

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

static void line(const char *before, const char *fmt, va_list ap)
{
    fputs(before, stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void msg(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line("standin: ", fmt, ap);
    va_end(ap);
}

void msg_more(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line("      ", fmt, ap);
    va_end(ap);
}

void msg_do(const char *label, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "      %-8s", label);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* Optimal string alignment: three rows of the usual table are enough. */
static unsigned distance(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    unsigned row[3][WORD_MAX + 1] = {{0}};
    if (la > WORD_MAX || lb > WORD_MAX) {
        return WORD_MAX;
    }
    for (unsigned j = 0; j <= lb; j++) {
        row[0][j] = j;
    }
    for (unsigned i = 1; i <= la; i++) {
        unsigned *now = row[i % 3];
        const unsigned *up = row[(i - 1) % 3];
        const unsigned *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned change = a[i - 1] != b[j - 1];
            now[j] = min3(now[j - 1] + 1, up[j] + 1, up[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = min3(now[j], now[j], up2[j - 2] + 1);
            }
        }
    }
    return row[la % 3][lb];
}

const char *msg_meant(const char *word, const char *const *words, unsigned n)
{
    const char *best = NULL;
    unsigned least = (unsigned)(strlen(word) + 2) / 3 + 1;
    for (unsigned i = 0; i < n; i++) {
        unsigned d = distance(word, words[i]);
        if (d < least) {
            least = d;
            best = words[i];
        }
    }
    return best;
}
