/*
 * ranges.h - an ordered set of half-open ranges of sequence space that neither touch nor overlap.
 *
 * Used for what has arrived out of order. The ranges lie in one sorted array (a page run that
 * grows by doubling up to RANGES_ORDER_MAX): a look-up is O(log n), an insertion moves at most
 * the array. Beyond that it refuses (SegmentSmack: bounded work and memory). All members lie less
 * than 2^31 apart.
 */
#ifndef STANDIN_CORE_RANGES_H
#define STANDIN_CORE_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "mem.h"
#include "seq.h"

#define RANGES_ORDER_MAX 2 /* 16 KiB: 2048 ranges */

struct range {
    seq from;
    seq to; /* first one after it */
};

struct ranges {
    struct range *v; /* NULL while it has no memory */
    uint32_t n;
    uint8_t order;
};

/* Adds [from, to), joining what it touches. `whole`, if not NULL, gets the range that now
 * contains it. Returns the number of units that were new (0: all known), or -ERR_NOBUFS. */
int64_t ranges_add(struct ranges *r, struct mem *m, struct env *env, seq from, seq to,
                   struct range *whole);

/* Forgets everything before `to`. Gives the memory back when nothing is left. */
void ranges_cut(struct ranges *r, struct mem *m, seq to);

/* The range that contains x, or NULL. */
const struct range *ranges_find(const struct ranges *r, seq x);

/* The first part of [from, to) that is in the set. False: none is. */
bool ranges_overlap(const struct ranges *r, seq from, seq to, struct range *out);

/* Units in all ranges. */
uint32_t ranges_total(const struct ranges *r);

void ranges_fini(struct ranges *r, struct mem *m);

/* Recovery: marks the page run. False if it is not one (then the set is empty and without
 * memory). Contents that were caught in the middle of a change are forgotten. */
bool ranges_mark(struct ranges *r, struct mem *m);

#endif
