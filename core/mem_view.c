/*
 * mem_view.c - the slabs, walked from outside (view.h): what mem.h's mem_obj_at does, over memory
 * that may hold anything.
 */
#include "mem_lay.h"

#include "view.h"

_Static_assert(sizeof(struct mem) <= VIEW_MEM_MAX, "a view has room for it");

size_t mem_view_size(void)
{
    return sizeof(struct mem);
}

uint32_t mem_view_count(const void *mem, uint32_t kind)
{
    const struct mem *m = mem;
    if (kind == MEM_NONE || kind >= MEM_KINDS) {
        return 0;
    }
    const struct slabs *s = &m->slabs[kind];
    uint64_t n = (uint64_t)s->n * s->per_slab;
    return s->n <= DIR_PAGES * DIR_SLOTS && n <= OBJ_MAX ? (uint32_t)n : 0;
}

bool mem_view_object(const void *mem, view_read_fn *read, void *ctx, uint32_t kind, uint32_t id,
                     void *buf, size_t size)
{
    const struct mem *m = mem;
    uint64_t slab;
    uint32_t i = id - 1;

    if (id == 0 || i >= mem_view_count(mem, kind)) {
        return false;
    }
    const struct slabs *s = &m->slabs[kind];
    uint32_t n = i / s->per_slab; /* not 0: the count is not */
    if (s->size != size || s->stride < size) {
        return false;
    }
    uint64_t dir = (uint64_t)(uintptr_t)s->dir[n / DIR_SLOTS];
    if (!read(ctx, dir + (uint64_t)(n % DIR_SLOTS) * sizeof(void *), &slab, sizeof slab)) {
        return false;
    }
    return read(ctx, slab + (uint64_t)(i % s->per_slab) * s->stride, buf, size);
}
