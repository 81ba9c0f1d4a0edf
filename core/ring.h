/*
 * ring.h - a byte ring addressed by stream offset; holds send and receive data.
 *
 * The bytes [head, tail) are present; offsets are 64-bit and never wrap in practice. The memory
 * is one page run whose size doubles as need grows and is given back when the ring is empty and
 * asked to (ring_trim). Bytes may also be put beyond tail, inside the capacity (out-of-order
 * data); tail moves over them with ring_commit.
 *
 *        head            tail                 head + capacity
 *          |--- present ---|--- room, holes ------|
 *
 * Which byte of the run offset `at` lies in is at + shift, modulo the capacity. An empty ring can
 * be rewound (ring_rewind): the next bytes come to the beginning of the run, which is still in the
 * cache.
 */
#ifndef STANDIN_CORE_RING_H
#define STANDIN_CORE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "mem.h"
#include "pkt.h"

#define RING_BITS 25 /* a ring has at most 2^25 bytes */

/* Small, for each connection has two. */
struct ring {
    uint8_t *data; /* NULL while it has no memory */
    uint64_t head;
    uint32_t len : RING_BITS + 1; /* bytes present: tail is head + len */
    uint32_t
        hint : 4; /* the order it had before it was trimmed; the first allocation starts there */
    uint32_t shift : RING_BITS; /* offset 0 lies there, modulo the capacity */
    uint32_t order : 4;         /* of the page run, while data */
};
_Static_assert(MEM_PAGE << MEM_ORDER_MAX == 1u << RING_BITS, "the largest ring");
_Static_assert(sizeof(struct ring) == 24, "two in each connection");

static inline size_t ring_len(const struct ring *r)
{
    return r->len;
}

static inline uint64_t ring_tail(const struct ring *r)
{
    return r->head + r->len;
}

static inline size_t ring_cap(const struct ring *r)
{
    return r->data ? (size_t)MEM_PAGE << r->order : 0;
}

/* Empty, at offset `at`, without memory. */
void ring_init(struct ring *r, uint64_t at);

/* Gives the memory back, contents lost. */
void ring_fini(struct ring *r, struct mem *m);

/* Makes the capacity at least `need` bytes (from head), moving what is there, including bytes put
 * beyond tail. 0, or -ERR_NOBUFS (then nothing has changed). */
int ring_reserve(struct ring *r, struct mem *m, struct env *env, size_t need);

/* Copies n bytes to offset `at`; [at, at + n) lies within [head, head + capacity). tail does not
 * move. */
void ring_put(struct ring *r, uint64_t at, const void *src, size_t n);

/* Moves tail forward to offset `to`. */
void ring_commit(struct ring *r, uint64_t to);

/* Copies n bytes from offset `at` without taking them; the range has been put. */
void ring_get(const struct ring *r, uint64_t at, void *dst, size_t n);

/* Where [at, at + n) lies: one span, or two where it wraps. Returns how many. */
unsigned ring_spans(const struct ring *r, uint64_t at, size_t n, struct span out[2]);
unsigned ring_mspans(struct ring *r, uint64_t at, size_t n, struct mspan out[2]);

/* Drops n bytes at the head; n <= ring_len. */
void ring_drop(struct ring *r, size_t n);

/* n bytes passed by without being put: those of an empty ring whose reader has them already. */
void ring_skip(struct ring *r, size_t n);

/*
 * Gives back half of a large ring that is hardly used, if its bytes happen to lie in the other
 * half: a ring that was filled once would go through all of its memory for ever, and through the
 * cache with it. The caller knows that nothing lies beyond tail.
 */
void ring_tighten(struct ring *r, struct mem *m);

/* If the ring is empty the next byte comes to the beginning of its memory. The caller knows that
 * nothing lies beyond tail. */
void ring_rewind(struct ring *r);

/* Gives the memory back if the ring is empty; it remembers its size (halved) for next time.
 * The caller knows that nothing lies beyond tail. */
void ring_trim(struct ring *r, struct mem *m);

/* Recovery: marks the page run. False: the ring is not to be trusted (then it is empty and
 * without memory). */
bool ring_mark(struct ring *r, struct mem *m);

#endif
