/*
 * The trace of a run: packets in the script's notation, calls, and what the stack recorded itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/trace.h"
#include "run.h"

static void keep(struct run *r, const char *line)
{
    if (r->cfg.verbose) {
        printf("%s\n", line);
    }
    if (r->ntrace == r->trace_cap) {
        r->trace_cap = r->trace_cap ? r->trace_cap * 2 : 64;
        char **t = realloc(r->trace, r->trace_cap * sizeof *t);
        if (!t) {
            abort();
        }
        r->trace = t;
    }
    char *copy = strdup(line);
    if (!copy) {
        abort();
    }
    r->trace[r->ntrace++] = copy;
}

void log_add(struct run *r, nsec at, const char *fmt, ...)
{
    struct str s = {0};
    str_add(&s, "[%10.6f] ", (double)at / 1e9);
    va_list ap;
    va_start(ap, fmt);
    str_vadd(&s, fmt, ap);
    va_end(ap);
    keep(r, str_text(&s));
    str_free(&s);
}

/* Segments and calls are shown in the script's words already. */
static bool worth_it(const struct event *ev)
{
    switch (ev->kind) {
    case EV_STATE:
    case EV_DROP:
    case EV_CWND:
        return true;
    case EV_TIMER:
        return ev->u.timer.act == EVT_FIRED;
    default:
        return false;
    }
}

void log_events(struct run *r)
{
    struct event ev[64];
    char line[TRACE_LINE_MAX];
    uint32_t n;
    while (r->vk && (n = vk_events(r->vk, ev, ARRAY_LEN(ev))) > 0) {
        for (uint32_t i = 0; i < n; i++) {
            if (worth_it(&ev[i])) {
                keep(r, trace_line(&ev[i], r->start, line));
            }
        }
    }
}

void log_tail(const struct run *r, size_t n, struct str *out)
{
    size_t from = r->ntrace > n ? r->ntrace - n : 0;
    for (size_t i = from; i < r->ntrace; i++) {
        str_add(out, "    %s\n", r->trace[i]);
    }
}
