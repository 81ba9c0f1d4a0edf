/*
 * event.c - theory of operation.
 *
 * One writer (the holder of the stack's lock), any number of readers without a lock, in other
 * processes. The writer fills record `next` and then counts it; so at any time exactly one place is
 * being written: that of the record LEN before it. A reader copies first and then looks again at
 * `next`: what may have been overwritten meanwhile, the place being written included, is thrown
 * away and counted as lost. A writer that dies within a record leaves it uncounted.
 */
#include "event.h"

#include <string.h>

#include "check.h"

_Static_assert((EVENT_RING_LEN & (EVENT_RING_LEN - 1)) == 0, "places are found by masking");

struct event *event_begin(struct event_ring *r, const struct env *env, enum event_kind kind)
{
    struct event *ev = &r->ev[r->next & (EVENT_RING_LEN - 1)];
    memset(ev, 0, sizeof *ev);
    ev->at = env->now;
    ev->tid = env->tid;
    ev->member = (uint8_t)env->member;
    ev->kind = (uint8_t)kind;
    return ev;
}

void event_end(struct event_ring *r)
{
    __atomic_store_n(&r->next, r->next + 1, __ATOMIC_RELEASE);
}

/* The oldest record that cannot be in the course of being overwritten when `next` records are
 * finished. */
static uint64_t oldest(uint64_t next)
{
    return next >= EVENT_RING_LEN ? next - EVENT_RING_LEN + 1 : 0;
}

uint32_t event_window(uint64_t next, uint64_t *from, uint32_t max, uint64_t *lost)
{
    if (*from > next) {
        *from = next; /* not of this ring's life */
    }
    if (*from < oldest(next)) {
        *lost += oldest(next) - *from;
        *from = oldest(next);
    }
    return (uint32_t)min_u64(max, next - *from);
}

uint32_t event_settle(uint64_t next, uint64_t *from, struct event *out, uint32_t n, uint64_t *lost)
{
    uint64_t stale = oldest(next) > *from ? min_u64(oldest(next) - *from, n) : 0;
    if (stale > 0) {
        memmove(out, out + stale, (n - stale) * sizeof *out);
        *lost += stale;
    }
    *from += n;
    return n - (uint32_t)stale;
}

uint32_t event_read(const struct event_ring *r, uint64_t *from, struct event *out, uint32_t max,
                    uint64_t *lost)
{
    uint32_t n = event_window(__atomic_load_n(&r->next, __ATOMIC_ACQUIRE), from, max, lost);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = r->ev[(*from + i) & (EVENT_RING_LEN - 1)];
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return event_settle(__atomic_load_n(&r->next, __ATOMIC_RELAXED), from, out, n, lost);
}

static const char *name_in(const char *const *table, size_t n, unsigned i)
{
    return i < n && table[i] ? table[i] : "?";
}

const char *tx_reason_name(unsigned why)
{
    static const char *const names[] = {[TX_NONE] = "NONE",
#define WHY(name, text) [TX_##name] = #name,
                                        TX_REASON_LIST
#undef WHY
    };
    return name_in(names, ARRAY_LEN(names), why);
}

const char *tx_reason_text(unsigned why)
{
    static const char *const texts[] = {[TX_NONE] = "no reason given",
#define WHY(name, text) [TX_##name] = text,
                                        TX_REASON_LIST
#undef WHY
    };
    return name_in(texts, ARRAY_LEN(texts), why);
}

const char *impair_text(unsigned act)
{
    static const char *const texts[] = {[IMPAIR_NONE] = "let through",
#define ACT(name, text) [IMPAIR_##name] = text,
                                        IMPAIR_ACT_LIST
#undef ACT
    };
    return name_in(texts, ARRAY_LEN(texts), act);
}

const char *event_call_name(unsigned call)
{
    static const char *const names[EVC_CALL_COUNT] = {
        "?",    "socket", "bind",     "listen", "accept",     "connect",
        "send", "recv",   "shutdown", "close",  "setsockopt", "getsockopt"};
    return name_in(names, ARRAY_LEN(names), call);
}

const char *event_timer_name(unsigned timer)
{
    static const char *const names[EVT_TIMER_COUNT] = {
        "rto", "persist", "delack",  "keepalive", "timewait", "finwait2",
        "tlp", "reorder", "syn-ack", "user",      "pace"};
    return name_in(names, ARRAY_LEN(names), timer);
}
