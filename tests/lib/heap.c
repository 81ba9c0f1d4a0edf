#define _GNU_SOURCE
#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/check.h"
#include "core/err.h"
#include "core/mem_lay.h"

static _Noreturn void fatal(const char *what)
{
    fprintf(stderr, "heap: %s\n", what);
    abort();
}

static struct heap *heap_of(struct env *env)
{
    return CONTAINER_OF(env, struct heap, env);
}

void heap_emit(struct env *env, const struct pkt_out *pkt)
{
    (void)pkt;
    heap_of(env)->emitted++;
}

int heap_grow(struct env *env, size_t size)
{
    struct heap *h = heap_of(env);
    h->grow_calls++;
    if (size > h->reserved || (h->grow_fail > 0 && --h->grow_fail == 0)) {
        return -ERR_NOMEM;
    }
    if (size > h->grown) {
        size_t whole = (size + MEM_PAGE - 1) / MEM_PAGE * MEM_PAGE;
        if (mprotect(h->base, whole, PROT_READ | PROT_WRITE) != 0) {
            return -ERR_NOMEM;
        }
        h->grown = whole;
    }
    return 0;
}

void heap_random(struct env *env, void *buf, size_t len)
{
    uint8_t *p = buf;
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(heap_rnd(heap_of(env)) >> 32);
    }
}

static const struct env_ops ops = {
    .emit = heap_emit,
    .grow = heap_grow,
    .random = heap_random,
};

void heap_init(struct heap *h, size_t size, uint64_t seed)
{
    *h = (struct heap){.env.ops = &ops, .reserved = size, .rng = seed};
    h->base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (h->base == MAP_FAILED) {
        fatal("cannot reserve the arena");
    }
}

void heap_fini(struct heap *h)
{
    munmap(h->base, h->reserved);
    h->base = NULL;
    h->mem = NULL;
}

struct mem *heap_mem(struct heap *h, const uint32_t *sizes, size_t limit)
{
    uint32_t plain[MEM_KINDS];
    for (int k = 0; k < MEM_KINDS; k++) {
        plain[k] = 64;
    }
    h->mem = mem_init(h->base, h->base, h->reserved, sizes ? sizes : plain, limit, &h->env);
    return h->mem;
}

void heap_check_empty(struct heap *h)
{
    const char *bad = mem_check(h->mem);
    size_t kept = 0;
    if (bad) {
        fatal(bad);
    }
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        const struct slabs *s = &h->mem->slabs[k];
        if (s->live > 0) {
            fatal("an object lives on");
        }
        kept += (size_t)s->n * MEM_PAGE << s->order;
        for (uint32_t d = 0; d < DIR_PAGES; d++) {
            kept += s->dir[d] ? MEM_PAGE : 0;
        }
    }
    if (mem_use(h->mem).pages_bytes != kept) {
        fatal("a page run was not given back");
    }
}

/* splitmix64: any seed is a good one. */
uint64_t heap_rnd(struct heap *h)
{
    uint64_t z = h->rng += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t heap_below(struct heap *h, uint32_t n)
{
    return (uint32_t)((heap_rnd(h) >> 32) * n >> 32);
}
