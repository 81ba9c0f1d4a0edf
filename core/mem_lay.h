/*
 * mem_lay.h - how the allocator lies in the arena; for mem*.c only.
 *
 *   base       at                                first                            top
 *    | owner's | struct mem | state: a byte a page | pages, slabs, directories ... | not usable yet
 *
 * Pages are counted from base. The state table is as large as the arena may become, and only as
 * much of it is touched as pages were ever usable: zero means "not a head", which is also what
 * was never used.
 */
#ifndef STANDIN_CORE_MEM_LAY_H
#define STANDIN_CORE_MEM_LAY_H

#include "check.h"
#include "mem.h"

#define MEM_STEP (2u << 20) /* the arena grows by this; a huge page */

/* The state of a run stands at its first page: what it is, and its order. */
#define RUN_ORDER 0x0fu
#define RUN_TYPE  0xf0u
enum {
    RUN_NONE = 0x00,   /* not the first page of a run, or never usable */
    RUN_FREE = 0x10,   /* in m->free[order]; as large as it can be */
    RUN_CACHED = 0x20, /* in m->cached[order]: free, but not to be joined with others yet */
    RUN_USED = 0x30,   /* given out by mem_pages_get */
    RUN_SLAB = 0x40,
    RUN_DIR = 0x50,  /* a page of a slab directory */
    RUN_BODY = 0x60, /* a page of a marked run that is not the first; only during a recovery */
};
_Static_assert(MEM_ORDER_MAX <= RUN_ORDER, "an order fits beside its type");

/* The start of a free or cached run. `prev` is not kept while it is cached. */
struct run_link {
    struct run_link *next;
    struct run_link *prev;
};

/* Small runs are kept apart when they come back, so that get and put in turn neither split nor
 * join. */
#define CACHE_ORDERS    6
#define CACHE_RUNS(ord) (64u >> (ord)) /* 256 KiB of each */

/* A free object: its head, then the list. */
struct free_obj {
    struct mem_obj head;
    struct free_obj *next;
};

#define OBJ_ALIGN    16u
#define OBJ_MAX      (1u << 20) /* objects of one kind */
#define DIR_SLOTS    (MEM_PAGE / (uint32_t)sizeof(void *))
#define DIR_PAGES    64u
#define SLAB_ORDERS  5u /* slabs are at most 64 KiB */
#define SLAB_OBJ_MIN 8u /* and hold this many objects, if that fits */

/* The slabs of one kind. They are never given back: an object's place keeps its number and its
 * generation. */
struct slabs {
    uint32_t size;     /* of an object */
    uint32_t stride;   /* from one object to the next */
    uint32_t per_slab; /* objects */
    uint32_t order;    /* of a slab's run */
    uint32_t n; /* slabs; written after the directory's slot, so that what it counts exists */
    uint32_t n_max;
    uint32_t live; /* objects */
    struct free_obj *free;
    void **dir[DIR_PAGES]; /* slab i is dir[i / DIR_SLOTS][i % DIR_SLOTS] */
};

struct mem {
    uint8_t *base;
    uint8_t *state;
    uint32_t first; /* page */
    uint32_t top;   /* page */
    uint32_t pages_max;
    uint32_t free_orders; /* bit n: free[n] is not empty */
    size_t used;          /* bytes in runs given out, slabs, directories */
    size_t limit;
    uint64_t failures;
    uint32_t fail_in; /* mem_fail_nth: requests until the one that fails; 0: off */
    struct run_link *free[MEM_ORDER_MAX + 1];
    struct run_link *cached[CACHE_ORDERS];
    uint32_t cached_n[CACHE_ORDERS];
    struct slabs slabs[MEM_KINDS];
};

static inline uint8_t *page_at(const struct mem *m, uint32_t i)
{
    return m->base + (size_t)i * MEM_PAGE;
}

static inline uint32_t page_of(const struct mem *m, const void *p)
{
    return (uint32_t)((size_t)((const uint8_t *)p - m->base) / MEM_PAGE);
}

/* Whether a run of that order may begin at p. Both may be anything. */
static inline bool run_may_be(const struct mem *m, const void *p, unsigned order)
{
    if (order > MEM_ORDER_MAX) {
        return false;
    }
    size_t size = (size_t)MEM_PAGE << order;
    size_t from = (size_t)((uintptr_t)p - (uintptr_t)m->base);
    size_t top = (size_t)m->top * MEM_PAGE;
    return from % size == 0 && from >= (size_t)m->first * MEM_PAGE && from < top &&
           size <= top - from;
}

/* Slab number i of a kind, i < s->n. */
static inline uint8_t *slab_at(const struct slabs *s, uint32_t i)
{
    return s->dir[i / DIR_SLOTS][i % DIR_SLOTS];
}

/* The place with this number (from 1), alive or not; NULL if there is none. */
static inline struct mem_obj *obj_place(const struct slabs *s, uint32_t id)
{
    uint32_t i = id - 1;
    if (i >= s->n * s->per_slab) { /* also id 0 */
        return NULL;
    }
    return (struct mem_obj *)(void *)(slab_at(s, i / s->per_slab) +
                                      (size_t)(i % s->per_slab) * s->stride);
}

/* Makes the pages [from, to) free; they are in no run. */
void mem_free_range(struct mem *m, uint32_t from, uint32_t to);

#endif
