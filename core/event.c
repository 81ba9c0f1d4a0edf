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

uint32_t event_read(const struct event_ring *r, uint64_t *from, struct event *out, uint32_t max,
                    uint64_t *lost)
{
    uint64_t next = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE);
    if (*from > next) {
        *from = next; /* not of this ring's life */
    }
    if (*from < oldest(next)) {
        *lost += oldest(next) - *from;
        *from = oldest(next);
    }
    uint32_t n = (uint32_t)min_u64(max, next - *from);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = r->ev[(*from + i) & (EVENT_RING_LEN - 1)];
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    next = __atomic_load_n(&r->next, __ATOMIC_RELAXED);

    uint64_t stale = oldest(next) > *from ? min_u64(oldest(next) - *from, n) : 0;
    if (stale > 0) {
        memmove(out, out + stale, (n - stale) * sizeof *out);
        *lost += stale;
    }
    *from += n;
    return n - (uint32_t)stale;
}

static const char *const names[] = {[TX_NONE] = "NONE",
#define WHY(name, text) [TX_##name] = #name,
                                    TX_REASON_LIST
#undef WHY
};

static const char *const texts[] = {[TX_NONE] = "no reason given",
#define WHY(name, text) [TX_##name] = text,
                                    TX_REASON_LIST
#undef WHY
};

const char *tx_reason_name(unsigned why)
{
    return why < TX_REASON_COUNT ? names[why] : "?";
}

const char *tx_reason_text(unsigned why)
{
    return why < TX_REASON_COUNT ? texts[why] : "unknown reason";
}
