/*
 * nsec.h - times and durations in nanoseconds.
 *
 * A time is a count on the owner's monotonic clock; core never reads a clock. Sums saturate at
 * NEVER so that "now + forever" stays forever.
 */
#ifndef STANDIN_CORE_NSEC_H
#define STANDIN_CORE_NSEC_H

#include <stdint.h>

typedef int64_t nsec;

#define NEVER INT64_MAX
#define USEC  ((nsec)1000)
#define MSEC  ((nsec)1000000)
#define SEC   ((nsec)1000000000)

static inline nsec nsec_add(nsec a, nsec b)
{
    return b >= NEVER - a ? NEVER : a + b;
}

static inline nsec nsec_min(nsec a, nsec b)
{
    return a < b ? a : b;
}

static inline nsec nsec_max(nsec a, nsec b)
{
    return a > b ? a : b;
}

#endif
