/*
 * Purpose: one line, one write. A failed CHECK of core is said here too, whatever the level: the
 * process is about to die of it. The command's messages (cmd/msg.h), which cmd/netconf.c uses,
 * become log lines in the library.
 */
#include "preload/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "preload/cmd/msg.h"
#include "tun/sys.h"

#define LINE_MAX_ 512

enum log_level log_level;

static const char *const words[] = {"off", "error", "warn", "info", "debug", "trace"};

void log_level_set(const char *word)
{
    log_level = LOG_OFF;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            log_level = (enum log_level)i;
        }
    }
}

static void put(const char *head, const char *fmt, va_list ap)
{
    char line[LINE_MAX_];
    int saved = errno;
    long pid = sys3(SYS_getpid, 0, 0, 0);
    int n = snprintf(line, sizeof line, "standin[%ld] %s: ", pid, head);
    size_t used = (size_t)n;
    n = vsnprintf(line + used, sizeof line - used - 1, fmt, ap);
    used += min_size(n < 0 ? 0 : (size_t)n, sizeof line - used - 2);
    line[used++] = '\n';
    sys3(SYS_write, 2, (long)line, (long)used);
    errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put(words[level], fmt, ap);
    va_end(ap);
}

void msg(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (log_level >= LOG_ERROR) {
        put(words[LOG_ERROR], fmt, ap);
    }
    va_end(ap);
}

/* What repairs it is the command's to say. */
void msg_more(const char *fmt, ...)
{
    (void)fmt;
}

void msg_do(const char *label, const char *fmt, ...)
{
    (void)label;
    (void)fmt;
}

const char *msg_meant(const char *word, const char *const *list, unsigned n)
{
    (void)word;
    (void)list;
    (void)n;
    return NULL;
}
