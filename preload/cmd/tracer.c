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

#define BATCH    256u
#define WORD_MAX 32u

#define BIT(kind) (1u << (kind))

static const struct {
    const char *word;
    uint32_t kinds;
} kinds[] = {
    {"seg", BIT(EV_SEG_IN) | BIT(EV_SEG_OUT)},
    {"dgram", BIT(EV_DGRAM_IN) | BIT(EV_DGRAM_OUT)},
    {"icmp", BIT(EV_ICMP_IN) | BIT(EV_ICMP_OUT)},
    {"drop", BIT(EV_DROP)},
    {"state", BIT(EV_STATE)},
    {"timer", BIT(EV_TIMER)},
    {"call", BIT(EV_CALL)},
    {"cwnd", BIT(EV_CWND)},
    {"impair", BIT(EV_IMPAIR)},
    {"member", BIT(EV_MEMBER) | BIT(EV_RECOVER)},
};

static bool unknown(const char *word)
{
    const char *words[ARRAY_LEN(kinds) + 2] = {"port", "conn"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        words[i + 2] = kinds[i].word;
    }
    const char *meant = msg_meant(word, words, ARRAY_LEN(words));
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

static bool take_number(const char *word, const char *text, uint32_t max, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || end == text || *end || v > max || text[0] == '-') {
        msg("%s in the trace filter: a number up to %u is needed", word, max);
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

static bool too_many(void)
{
    msg("the trace filter names more than %u ports or connections", TRACER_PICK_MAX);
    return false;
}

static bool take_word(struct tracer *t, const char *word, uint32_t *only, uint32_t *except)
{
    uint32_t v;
    if (strncmp(word, "port=", 5) == 0) {
        if (!take_number(word, word + 5, UINT16_MAX, &v)) {
            return false;
        }
        return t->nport < TRACER_PICK_MAX ? (t->port[t->nport++] = (uint16_t)v, true) : too_many();
    }
    if (strncmp(word, "conn=", 5) == 0) {
        if (!take_number(word, word + 5, UINT32_MAX, &v)) {
            return false;
        }
        return t->nconn < TRACER_PICK_MAX ? (t->conn[t->nconn++] = v, true) : too_many();
    }
    bool no = word[0] == '!';
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(word + no, kinds[i].word) == 0) {
            *(no ? except : only) |= kinds[i].kinds;
            return true;
        }
    }
    return unknown(word + no);
}

bool tracer_init(struct tracer *t, const char *filter)
{
    uint32_t only = 0;
    uint32_t except = BIT(EV_NONE);
    *t = (struct tracer){.to = stderr};
    while (filter && *filter) {
        char word[WORD_MAX];
        size_t n = strcspn(filter, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, filter);
        if (word[0] && !take_word(t, word, &only, &except)) {
            return false;
        }
        filter += n + (filter[n] == ',');
    }
    t->kinds = (only ? only : UINT32_MAX) & ~except;
    return true;
}

static bool picked(const struct tracer *t, const struct event *ev)
{
    if (t->nport + t->nconn == 0) {
        return true;
    }
    for (unsigned i = 0; i < t->nport; i++) {
        if (ev->lport == t->port[i] || ev->rport == t->port[i]) {
            return true;
        }
    }
    for (unsigned i = 0; i < t->nconn; i++) {
        if (ev->sock_id == t->conn[i]) {
            return true;
        }
    }
    return false;
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
            if (ev[i].kind < EV_KINDS && (t->kinds & BIT(ev[i].kind)) && picked(t, &ev[i])) {
                fprintf(t->to, "%s\n", trace_line(&ev[i], t->t0, line));
            }
        }
    }
    fflush(t->to);
}
