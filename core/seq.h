/*
 * seq.h - TCP sequence numbers. RFC 9293 3.4: all arithmetic is modulo 2^32.
 *
 * A position (seq) and a distance (uint32_t) are different types. Comparisons hold for positions
 * less than 2^31 apart; the caller guarantees that by the window checks.
 */
#ifndef STANDIN_CORE_SEQ_H
#define STANDIN_CORE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t v;
} seq;

static inline seq seq_of(uint32_t v)
{
    return (seq){v};
}

static inline seq seq_add(seq a, uint32_t n)
{
    return (seq){a.v + n};
}

static inline seq seq_sub(seq a, uint32_t n)
{
    return (seq){a.v - n};
}

/* The distance from `from` up to `to`; `to` is at or after `from`. */
static inline uint32_t seq_dist(seq from, seq to)
{
    return to.v - from.v;
}

/* The signed distance from `from` to `to`. */
static inline int32_t seq_diff(seq from, seq to)
{
    return (int32_t)(to.v - from.v);
}

static inline bool seq_eq(seq a, seq b)
{
    return a.v == b.v;
}

static inline bool seq_lt(seq a, seq b)
{
    return (int32_t)(a.v - b.v) < 0;
}

static inline bool seq_leq(seq a, seq b)
{
    return (int32_t)(a.v - b.v) <= 0;
}

static inline bool seq_gt(seq a, seq b)
{
    return seq_lt(b, a);
}

static inline bool seq_geq(seq a, seq b)
{
    return seq_leq(b, a);
}

/* from <= x < from + len */
static inline bool seq_in(seq x, seq from, uint32_t len)
{
    return x.v - from.v < len;
}

static inline seq seq_max(seq a, seq b)
{
    return seq_lt(a, b) ? b : a;
}

static inline seq seq_min(seq a, seq b)
{
    return seq_lt(a, b) ? a : b;
}

#endif
