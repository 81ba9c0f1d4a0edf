/*
 * timer.h - many deadlines behind one: an intrusive pairing heap with lazy re-arming.
 *
 * A deadline is exact to the nanosecond (a wheel would round, and virtual-time tests are exact to
 * the millisecond). Setting a later deadline only writes the field `at`; the heap keeps the
 * earlier `key`, and when that comes due the entry moves itself to its real place. So the usual
 * case, an ACK pushing the retransmission timer out, costs one store. The heap is an index: after
 * a crash it is emptied and every object's timer is set again.
 */
#ifndef STANDIN_CORE_TIMER_H
#define STANDIN_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "nsec.h"

struct timer {
    nsec at;  /* when it should fire; NEVER: not at all */
    nsec key; /* where it lies in the heap: key <= at */
    struct timer *child;
    struct timer *next;
    struct timer *prev; /* the left sibling, or the parent for a first child; NULL for the root */
    bool queued;
    uint8_t owner; /* the owner's: in what kind of object it lies */
};

struct timers {
    struct timer *root;
};

static inline void timers_init(struct timers *h)
{
    h->root = 0;
}

/* Must be called once on zeroed memory before the other verbs. */
static inline void timer_init(struct timer *t)
{
    *t = (struct timer){.at = NEVER, .key = NEVER};
}

/* Sets or moves the deadline; NEVER cancels it (lazily: the heap may keep it until its old key). */
void timer_set(struct timers *h, struct timer *t, nsec at);

/* Takes the timer out of the heap, for good. */
void timer_remove(struct timers *h, struct timer *t);

/* No entry fires before this; it is exact: entries that were moved or cancelled are put right
 * first. NEVER if none. */
nsec timers_next(struct timers *h);

/* Takes out and returns an entry whose deadline is at or before `now` (its `at` becomes NEVER),
 * the earliest first; NULL if there is none. */
struct timer *timers_pop(struct timers *h, nsec now);

#endif
