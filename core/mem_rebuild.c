/*
 * mem_rebuild.c - theory of operation: the allocator made anew from what a death cannot spoil, and
 * its checker.
 *
 * Recovery believes slabs[k].n, the directory up to it, and the `kind` of each object (M1, M2, M3
 * in mem.c), and nothing else. Begin forgets every run, claims the directories and the slabs again,
 * and lists the dead places. Then the owner marks the runs that live objects hold: each must be a
 * possible run that nobody has claimed, which is why every page of a claimed run is marked here and
 * not only its first. End makes free what lies between.
 *
 * Recovery may itself be cut short: begin starts afresh. It costs a walk over the state table and
 * the slabs.
 *
 * The checker takes nothing for granted but `first`, `top` and the addresses of the tables: it may
 * be run on an arena whose holder has died.
 */
#include <string.h>

#include "mem_lay.h"

static bool claim(struct mem *m, const void *run, unsigned order, unsigned type)
{
    if (!run_may_be(m, run, order)) {
        return false;
    }
    uint32_t i = page_of(m, run);
    uint32_t n = 1u << order;
    for (uint32_t k = 0; k < n; k++) {
        if (m->state[i + k] != RUN_NONE) {
            return false;
        }
    }
    memset(&m->state[i], RUN_BODY, n);
    m->state[i] = (uint8_t)(type | order);
    m->used += (size_t)MEM_PAGE << order;
    return true;
}

/* Puts the heads of one slab right, and lists its dead places, so that the first is on top. */
static void slab_rebuild(struct slabs *s, enum mem_kind kind, uint32_t slab)
{
    for (uint32_t i = s->per_slab; i-- > 0;) {
        struct free_obj *f = (struct free_obj *)(void *)(slab_at(s, slab) + (size_t)i * s->stride);
        f->head.id = slab * s->per_slab + i + 1;
        if (f->head.kind == kind) {
            s->live++;
            continue;
        }
        f->head.kind = MEM_NONE;
        f->next = s->free;
        s->free = f;
    }
}

static void slabs_rebuild(struct mem *m, enum mem_kind kind)
{
    struct slabs *s = &m->slabs[kind];
    s->live = 0;
    s->free = NULL;
    for (uint32_t d = 0; d < DIR_PAGES; d++) {
        if (d * DIR_SLOTS >= s->n) {
            s->dir[d] = NULL; /* made for a slab that never came */
            continue;
        }
        bool ok = claim(m, s->dir[d], 0, RUN_DIR);
        CHECK(ok);
    }
    for (uint32_t i = s->n; i-- > 0;) {
        bool ok = claim(m, slab_at(s, i), s->order, RUN_SLAB);
        CHECK(ok);
        slab_rebuild(s, kind, i);
    }
}

void mem_rebuild_begin(struct mem *m)
{
    memset(m->state + m->first, RUN_NONE, m->top - m->first);
    memset(m->free, 0, sizeof m->free);
    memset(m->cached, 0, sizeof m->cached);
    memset(m->cached_n, 0, sizeof m->cached_n);
    m->free_orders = 0;
    m->used = 0;
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        slabs_rebuild(m, (enum mem_kind)k);
    }
}

bool mem_mark_pages(struct mem *m, const void *pages, unsigned order)
{
    return claim(m, pages, order, RUN_USED);
}

void mem_rebuild_end(struct mem *m)
{
    uint32_t i = m->first;
    while (i < m->top) {
        if (m->state[i] != RUN_NONE) {
            uint32_t n = 1u << (m->state[i] & RUN_ORDER);
            memset(&m->state[i + 1], RUN_NONE, n - 1);
            i += n;
            continue;
        }
        uint32_t from = i;
        while (i < m->top && m->state[i] == RUN_NONE) {
            i++;
        }
        mem_free_range(m, from, i);
    }
}

/* The checker. Each part returns a text, or NULL when all is well. */

struct count {
    size_t used; /* bytes */
    uint32_t slabs;
    uint32_t dirs;
    uint32_t free[MEM_ORDER_MAX + 1];
    uint32_t cached[MEM_ORDER_MAX + 1];
};

static const char *check_free_run(const struct mem *m, uint32_t i, unsigned order)
{
    uint32_t buddy = i ^ (1u << order);
    if (order < MEM_ORDER_MAX && buddy < m->top && m->state[buddy] == (RUN_FREE | order)) {
        return "two free buddies are not joined";
    }
    return NULL;
}

/* One run: it is possible, and its other pages are nobody's. Counts it. */
static const char *check_run(const struct mem *m, uint32_t i, struct count *c)
{
    unsigned type = m->state[i] & RUN_TYPE;
    unsigned order = m->state[i] & RUN_ORDER;

    if (!run_may_be(m, page_at(m, i), order)) {
        return "a run cannot lie where it does";
    }
    for (uint32_t k = 1; k < 1u << order; k++) {
        if (m->state[i + k] != RUN_NONE) {
            return "a run begins inside another";
        }
    }
    switch (type) {
    case RUN_FREE:
        c->free[order]++;
        return check_free_run(m, i, order);
    case RUN_CACHED:
        c->cached[order]++;
        return NULL;
    case RUN_USED:
        break;
    case RUN_SLAB:
        c->slabs++;
        break;
    case RUN_DIR:
        c->dirs++;
        break;
    default:
        return "a page is in no run";
    }
    c->used += (size_t)MEM_PAGE << order;
    return NULL;
}

static const char *check_runs(const struct mem *m, struct count *c)
{
    for (uint32_t i = m->first; i < m->top; i += 1u << (m->state[i] & RUN_ORDER)) {
        const char *bad = check_run(m, i, c);
        if (bad) {
            return bad;
        }
    }
    return c->used == m->used ? NULL : "the bytes in use are not the sum of the runs in use";
}

static bool run_is(const struct mem *m, const void *p, unsigned type, unsigned order)
{
    return run_may_be(m, p, order) && m->state[page_of(m, p)] == (type | order);
}

/* A free list holds runs of its order, linked both ways, as many as there are. */
static const char *check_free_list(const struct mem *m, unsigned order, uint32_t n)
{
    const struct run_link *prev = NULL;
    if ((m->free[order] != NULL) != (m->free_orders >> order & 1u)) {
        return "free_orders does not say which lists are empty";
    }
    for (const struct run_link *r = m->free[order]; r; r = r->next) {
        if (n-- == 0 || !run_is(m, r, RUN_FREE, order)) {
            return "a free list holds what is not free";
        }
        if (r->prev != prev) {
            return "a free list is not linked back";
        }
        prev = r;
    }
    return n == 0 ? NULL : "a free run is in no list";
}

static const char *check_cache(const struct mem *m, unsigned order, uint32_t n)
{
    if (order >= CACHE_ORDERS) {
        return n == 0 ? NULL : "a run is too large to be cached";
    }
    if (m->cached_n[order] != n || n > CACHE_RUNS(order)) {
        return "a cache is miscounted";
    }
    for (const struct run_link *r = m->cached[order]; r; r = r->next) {
        if (n-- == 0 || !run_is(m, r, RUN_CACHED, order)) {
            return "a cache holds what is not cached";
        }
    }
    return n == 0 ? NULL : "a cached run is in no cache";
}

/* The directory names slabs, and the places know their numbers. */
static const char *check_slabs(const struct mem *m, enum mem_kind kind, struct count *c)
{
    const struct slabs *s = &m->slabs[kind];
    uint32_t live = 0;

    for (uint32_t d = 0; d < DIR_PAGES; d++) {
        c->dirs -= s->dir[d] != NULL;
        if (s->dir[d] ? !run_is(m, s->dir[d], RUN_DIR, 0) : d * DIR_SLOTS < s->n) {
            return "a directory is not one";
        }
    }
    c->slabs -= s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!run_is(m, slab_at(s, i), RUN_SLAB, s->order)) {
            return "a slab is not one";
        }
    }
    for (uint32_t id = 1; id <= s->n * s->per_slab; id++) {
        const struct mem_obj *o = obj_place(s, id);
        if (o->id != id || (o->kind != MEM_NONE && o->kind != kind)) {
            return "an object's head is wrong";
        }
        live += o->kind == kind;
    }
    return live == s->live ? NULL : "live objects are miscounted";
}

/* The free list holds every dead place of the kind. */
static const char *check_free_objs(const struct mem *m, enum mem_kind kind)
{
    const struct slabs *s = &m->slabs[kind];
    uint32_t n = s->n * s->per_slab - s->live;
    for (const struct free_obj *f = s->free; f; f = f->next) {
        size_t off = (size_t)((uintptr_t)f - (uintptr_t)m->base);
        if (n-- == 0 || off / MEM_PAGE < m->first || off / MEM_PAGE >= m->top ||
            obj_place(s, f->head.id) != &f->head || f->head.kind != MEM_NONE) {
            return "a list of free objects holds what is none";
        }
    }
    return n == 0 ? NULL : "a free object is in no list";
}

const char *mem_check(const struct mem *m)
{
    struct count c = {0};
    const char *bad = check_runs(m, &c);
    for (unsigned order = 0; !bad && order <= MEM_ORDER_MAX; order++) {
        bad = check_free_list(m, order, c.free[order]);
        bad = bad ? bad : check_cache(m, order, c.cached[order]);
    }
    for (int k = MEM_NONE + 1; !bad && k < MEM_KINDS; k++) {
        bad = check_slabs(m, (enum mem_kind)k, &c);
        bad = bad ? bad : check_free_objs(m, (enum mem_kind)k);
    }
    if (!bad && (c.slabs != 0 || c.dirs != 0)) {
        bad = "a slab or directory is nobody's";
    }
    return bad ? bad : m->used <= m->limit ? NULL : "more is in use than the limit allows";
}
