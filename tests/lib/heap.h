/*
 * heap.h - an arena and an environment for tests of core.
 *
 * A range of addresses is reserved and faults when touched; `grow` makes the first part of it
 * usable, so that a use of the arena beyond what was grown is a crash and not a surprise. Chance
 * comes from a seed. Packets are counted and forgotten: a test that wants them sets env.ops to
 * its own table, with heap_grow and heap_random in it.
 */
#ifndef STANDIN_TESTS_HEAP_H
#define STANDIN_TESTS_HEAP_H

#include "core/env.h"
#include "core/mem.h"

struct heap {
    struct env env; /* first: heap_of takes an env back to its heap */
    uint8_t *base;
    size_t reserved;
    size_t grown;
    uint64_t rng;
    uint64_t emitted;
    uint32_t grow_calls;
    uint32_t grow_fail; /* the n-th call of grow from now fails (1: the next), once; 0: none */
    struct mem *mem;    /* made by heap_mem */
};

/* Reserves `size` bytes at any address; aborts if it cannot. */
void heap_init(struct heap *h, size_t size, uint64_t seed);
void heap_fini(struct heap *h);

/* Lays an allocator out at the start of the arena: `sizes` may be NULL for 64 bytes of each kind.
 * The n-th request can be made to fail with mem_fail_nth. */
struct mem *heap_mem(struct heap *h, const uint32_t *sizes, size_t limit);

/* Fails the test (aborts with a text) unless mem_check is content, no object lives and no run but
 * those of slabs and their directories is in use. */
void heap_check_empty(struct heap *h);

/* The next number of the seeded stream; one below n. */
uint64_t heap_rnd(struct heap *h);
uint32_t heap_below(struct heap *h, uint32_t n);

/* The verbs of struct env_ops; ctx is not used, the env is inside a struct heap. */
void heap_emit(struct env *env, const struct pkt_out *pkt);
int heap_grow(struct env *env, size_t size);
void heap_random(struct env *env, void *buf, size_t len);

#endif
