/*
 * Purpose: from records to lines. Records are read without a lock while the stack writes them:
 * where it is faster than we are, the gap is told in its place.
 */
#include "tracer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/trace.h"
#include "msg.h"

#define BATCH     256u
#define KINDS_MAX 16u

static bool explain(enum tracelog_error err, const char *word)
{
    const char *words[KINDS_MAX + 2] = {"port", "conn"};
    unsigned n = 2;
    if (err == TRACELOG_NUMBER) {
        msg("%s in the trace filter: a number up to %u is needed", word,
            word[0] == 'p' ? UINT16_MAX : UINT32_MAX);
        return false;
    }
    if (err == TRACELOG_MANY) {
        msg("the trace filter names more than %u ports or connections", TRACELOG_PICK_MAX);
        return false;
    }
    while (n < KINDS_MAX + 2 && tracelog_kind(n - 2)) {
        words[n] = tracelog_kind(n - 2);
        n++;
    }
    word += word[0] == '!';
    const char *meant = msg_meant(word, words, n);
    msg("unknown word %s in the trace filter", word);
    if (meant) {
        msg_more("Did you mean %s?", meant);
    } else {
        msg_more(
            "It takes seg, dgram, icmp, drop, state, timer, call, cwnd, impair, member, port=N, "
            "conn=N.");
    }
    return false;
}

bool tracer_init(struct tracer *t, const char *filter)
{
    char word[TRACELOG_WORD_MAX];
    *t = (struct tracer){.to = stderr};
    enum tracelog_error err = tracelog_parse(&t->log, filter, word);
    return err == TRACELOG_OK || explain(err, word);
}

void tracer_print(struct tracer *t, struct peek *p)
{
    struct event ev[BATCH];
    char line[TRACE_LINE_MAX];
    uint64_t lost = 0;
    uint32_t n;
    while ((n = view_events(&p->view, &t->from, ev, BATCH, &lost)) > 0) {
        if (lost) {
            fprintf(t->to,
                    "standin: %llu events are missing: they came faster than they were read\n",
                    (unsigned long long)lost);
            t->lost += lost;
            lost = 0;
        }
        for (uint32_t i = 0; i < n; i++) {
            t->t0 = t->t0 ? t->t0 : ev[i].at;
            if (tracelog_shows(&t->log, &ev[i])) {
                fprintf(t->to, "%s\n", trace_line(&ev[i], t->t0, line));
            }
        }
    }
    fflush(t->to);
}
