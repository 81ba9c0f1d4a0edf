/*
 * fuzz.h - what the fuzzers share: bytes as a source of choices, and a host whose first broken
 * invariant ends the run.
 */
#ifndef STANDIN_TESTS_FUZZ_H
#define STANDIN_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/stack.h"
#include "core/tcp.h"
#include "tests/lib/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *p;
    size_t n;
};

/* After the end: zeros. */
static inline uint8_t take8(struct bytes *b)
{
    if (b->n == 0) {
        return 0;
    }
    b->n--;
    return *b->p++;
}

static inline uint16_t take16(struct bytes *b)
{
    uint16_t high = take8(b);

    return (uint16_t)(high << 8 | take8(b));
}

static inline uint32_t take32(struct bytes *b)
{
    uint32_t high = take16(b);

    return high << 16 | take16(b);
}

/* At most n of the bytes themselves; *p is where they lie. */
static inline size_t take_bytes(struct bytes *b, size_t n, const uint8_t **p)
{
    n = min_size(n, b->n);
    *p = b->p;
    b->p += n;
    b->n -= n;
    return n;
}

/* stack_check walks every socket and calls tcp_check. */
static inline void whole(struct lone *h)
{
    const char *bad = stack_check(h->st);

    if (bad) {
        fprintf(stderr, "fuzz: %s\n", bad);
        abort();
    }
}

/* Closes nothing; waits for all that may still happen, and looks for what is left. */
static inline void finish(struct lone *h)
{
    lone_forget(h);
    lone_wait(h, lone_env(h)->now + 4000 * SEC);
    if (lone_fini(h)) {
        abort();
    }
}

/* A sequence number near another: mostly exact or by a little, sometimes anywhere. */
static inline uint32_t take_near(struct bytes *b, uint32_t at)
{
    uint8_t how = take8(b);

    if (how < 0xa0) {
        return at;
    }
    int32_t far = how < 0xe0 ? (int8_t)take8(b) : (int16_t)take16(b);
    if (how < 0xf8) {
        return at + (uint32_t)far;
    }
    return at + take32(b);
}

#endif
