/*
 * mem_fix.h - an allocator in an arena of its own, for the tests of mem.c and mem_rebuild.c.
 */
#ifndef STANDIN_TESTS_MEM_FIX_H
#define STANDIN_TESTS_MEM_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem_lay.h"
#include "tests/lib/heap.h"

/* An object that holds page runs, and says so as the stack's objects do. */
struct thing {
    struct mem_obj obj;
    uint8_t *run[2];
    uint8_t order[2];
    uint8_t fill;
    uint8_t pad[37];
};

static const uint32_t sizes[MEM_KINDS] = {
    [MEM_TCP] = 1500,   [MEM_UDP] = sizeof(struct thing),
    [MEM_DGRAM] = 9,    [MEM_POLLSET] = 8,
    [MEM_WATCH] = 40,   [MEM_FRAG] = 30000,
    [MEM_SIDE] = 100,   [MEM_TFO] = 400,
    [MEM_MARK] = 32,    [MEM_MD5] = 136,
    [MEM_MEMBER] = 240, [MEM_REQ] = 112,
    [MEM_FLIGHT] = 256, [MEM_ACCECN] = 72,
    [MEM_SYN] = 250,
};

static inline int setup_size(void **state, size_t size, size_t limit)
{
    struct heap *h = calloc(1, sizeof *h);
    heap_init(h, size, 7);
    assert_non_null(heap_mem(h, sizes, limit));
    *state = h;
    return 0;
}

static inline int setup(void **state)
{
    return setup_size(state, (size_t)256 << 20, 0);
}

static inline int setup_16g(void **state)
{
    return setup_size(state, (size_t)16 << 30, 0);
}

static inline int setup_limit(void **state)
{
    return setup_size(state, (size_t)256 << 20, 1 << 20);
}

static inline int setup_small(void **state)
{
    return setup_size(state, 5 << 20, 0);
}

static inline int teardown(void **state)
{
    struct heap *h = *state;
    heap_fini(h);
    free(h);
    return 0;
}

#define assert_sound(m) assert_string_equal(mem_check(m) ? mem_check(m) : "sound", "sound")

#endif
