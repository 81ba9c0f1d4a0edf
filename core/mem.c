/*
 * mem.c - theory of operation.
 *
 * Pages: a binary buddy allocator. A free run is as large as it can be: when one comes back it is
 * joined with its buddy (the neighbour of the same size, found by flipping one bit of the page
 * number) as long as that is free too. The links of free runs lie in the runs, so free memory costs
 * one byte a page. Small runs rest in a cache first, and are only joined when it overflows or a
 * request cannot be met otherwise.
 *
 * Objects: each kind has slabs, page runs cut into places. A directory of pages says where slab i
 * lies; it only ever grows at its end and nothing in it moves, so a place is found from its number
 * with one division. Free places are a list, last in first out.
 *
 * Death at any instruction: a member of the session may be killed while it is in here. Then only
 * three things count, and each is one store after all that it depends on:
 *   (M1) slabs[k].n, after the slab's heads and its slot in the directory;
 *   (M2) obj.kind, set last at birth and cleared first at death;
 *   (M3) top, after env has made the memory usable.
 * A killed process has executed a prefix of its instructions, so compiler barriers are what is
 * needed; the releases below are that, and order the stores for readers beside us too. Everything
 * else is made anew: mem_rebuild.c.
 *
 * Missing on purpose: giving memory back to the system; slabs that empty; anything per thread (the
 * stack has a lock).
 */
#include "mem.h"

#include <string.h>

#include "mem_lay.h"

static uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Free runs */

static void run_push(struct mem *m, uint32_t i, unsigned order)
{
    struct run_link *r = (struct run_link *)(void *)page_at(m, i);
    r->prev = NULL;
    r->next = m->free[order];
    if (r->next) {
        r->next->prev = r;
    }
    m->free[order] = r;
    m->free_orders |= 1u << order;
    m->state[i] = (uint8_t)(RUN_FREE | order);
}

static void run_unlink(struct mem *m, uint32_t i, unsigned order)
{
    struct run_link *r = (struct run_link *)(void *)page_at(m, i);
    if (r->prev) {
        r->prev->next = r->next;
    } else {
        m->free[order] = r->next;
    }
    if (r->next) {
        r->next->prev = r->prev;
    }
    if (!m->free[order]) {
        m->free_orders &= ~(1u << order);
    }
    m->state[i] = RUN_NONE;
}

/* Makes a run free, joined with its buddies. */
static void run_free(struct mem *m, uint32_t i, unsigned order)
{
    m->state[i] = RUN_NONE;
    while (order < MEM_ORDER_MAX) {
        uint32_t buddy = i ^ (1u << order);
        if (buddy >= m->top || m->state[buddy] != (RUN_FREE | order)) {
            break;
        }
        run_unlink(m, buddy, order);
        i &= ~(1u << order);
        order++;
    }
    run_push(m, i, order);
}

void mem_free_range(struct mem *m, uint32_t from, uint32_t to)
{
    while (from < to) {
        unsigned order = MEM_ORDER_MAX;
        while (from % (1u << order) != 0 || to - from < 1u << order) {
            order--;
        }
        run_free(m, from, order);
        from += 1u << order;
    }
}

/* Takes a free run, split off a larger one if need be. False if there is none. */
static bool run_take(struct mem *m, unsigned order, uint32_t *out)
{
    uint32_t have = m->free_orders >> order;
    if (have == 0) {
        return false;
    }
    unsigned o = order + (unsigned)__builtin_ctz(have);
    uint32_t i = page_of(m, m->free[o]);
    run_unlink(m, i, o);
    while (o > order) {
        o--;
        run_push(m, i + (1u << o), o);
    }
    *out = i;
    return true;
}

/* Joins what rests in the caches. False if nothing did. */
static bool cache_flush(struct mem *m)
{
    bool any = false;
    for (unsigned order = 0; order < CACHE_ORDERS; order++) {
        while (m->cached[order]) {
            struct run_link *r = m->cached[order];
            m->cached[order] = r->next;
            run_free(m, page_of(m, r), order);
            any = true;
        }
        m->cached_n[order] = 0;
    }
    return any;
}

/* Makes more of the arena usable, up to where a run of that order would end next. */
static bool arena_grow(struct mem *m, struct env *env, unsigned order)
{
    uint32_t unit = max_u32(MEM_STEP / MEM_PAGE, 1u << order);
    uint32_t from = m->top;
    uint32_t to = min_u32(round_up(from + 1, unit), m->pages_max);
    if (from >= to || env->ops->grow(env, (size_t)to * MEM_PAGE) != 0) {
        return false;
    }
    __atomic_store_n(&m->top, to, __ATOMIC_RELEASE); /* M3 */
    mem_free_range(m, from, to);
    return true;
}

static bool run_find(struct mem *m, struct env *env, unsigned order, uint32_t *out)
{
    if (run_take(m, order, out)) {
        return true;
    }
    if (cache_flush(m) && run_take(m, order, out)) {
        return true;
    }
    while (arena_grow(m, env, order)) {
        if (run_take(m, order, out)) {
            return true;
        }
    }
    return false;
}

static void *run_get(struct mem *m, struct env *env, unsigned order, unsigned type)
{
    size_t bytes = (size_t)MEM_PAGE << order;
    uint32_t i;

    if (bytes > m->limit - m->used) {
        return NULL;
    }
    if (order < CACHE_ORDERS && m->cached[order]) {
        struct run_link *r = m->cached[order];
        m->cached[order] = r->next;
        m->cached_n[order]--;
        i = page_of(m, r);
    } else if (!run_find(m, env, order, &i)) {
        return NULL;
    }
    m->state[i] = (uint8_t)(type | order);
    m->used += bytes;
    return page_at(m, i);
}

/* Whether this request is the one that was told to fail. */
static bool fails_now(struct mem *m)
{
    return UNLIKELY(m->fail_in > 0) && --m->fail_in == 0;
}

void *mem_pages_get(struct mem *m, struct env *env, unsigned order)
{
    CHECK(order <= MEM_ORDER_MAX);
    void *run = fails_now(m) ? NULL : run_get(m, env, order, RUN_USED);
    if (!run) {
        m->failures++;
    }
    return run;
}

void mem_pages_put(struct mem *m, void *pages, unsigned order)
{
    CHECK(run_may_be(m, pages, order));
    uint32_t i = page_of(m, pages);
    CHECK(m->state[i] == (RUN_USED | order)); /* not: given back twice, or with another order */
    m->used -= (size_t)MEM_PAGE << order;
    if (order < CACHE_ORDERS && m->cached_n[order] < CACHE_RUNS(order)) {
        struct run_link *r = pages;
        r->next = m->cached[order];
        m->cached[order] = r;
        m->cached_n[order]++;
        m->state[i] = (uint8_t)(RUN_CACHED | order);
        return;
    }
    run_free(m, i, order);
}

void mem_pages_halve(struct mem *m, void *pages, unsigned order)
{
    CHECK(order > 0);
    CHECK(run_may_be(m, pages, order));
    uint32_t i = page_of(m, pages);
    CHECK(m->state[i] == (RUN_USED | order));
    uint32_t upper = i + (1u << (order - 1));
    m->state[i] = (uint8_t)(RUN_USED | (order - 1));
    m->state[upper] = (uint8_t)(RUN_USED | (order - 1));
    mem_pages_put(m, (uint8_t *)pages + ((size_t)MEM_PAGE << (order - 1)), order - 1);
}

/* Slabs */

/* The smallest run that holds some objects and wastes at most a 64th; else the largest. */
static uint32_t slab_order(uint32_t stride)
{
    uint32_t best = SLAB_ORDERS - 1;
    for (uint32_t order = SLAB_ORDERS; order-- > 0;) {
        uint32_t room = MEM_PAGE << order;
        if (room / stride >= SLAB_OBJ_MIN && room % stride <= room / 64) {
            best = order;
        }
    }
    return best;
}

static void slabs_init(struct slabs *s, uint32_t size)
{
    CHECK(size >= sizeof(struct mem_obj));
    CHECK(size <= MEM_PAGE << (SLAB_ORDERS - 1));
    s->size = size;
    s->stride = round_up(max_u32(size, sizeof(struct free_obj)), OBJ_ALIGN);
    s->order = slab_order(s->stride);
    s->per_slab = (MEM_PAGE << s->order) / s->stride;
    s->n_max = min_u32(OBJ_MAX / s->per_slab, DIR_PAGES * DIR_SLOTS);
}

static void obj_push(struct slabs *s, struct mem_obj *o)
{
    struct free_obj *f = (struct free_obj *)(void *)o;
    f->next = s->free;
    s->free = f;
}

/* Cuts a run into places and makes it the last slab of its kind. */
static void slab_add(struct slabs *s, uint8_t *run)
{
    uint32_t id = s->n * s->per_slab + 1;
    for (uint32_t i = 0; i < s->per_slab; i++) {
        struct mem_obj *o = (struct mem_obj *)(void *)(run + (size_t)i * s->stride);
        *o = (struct mem_obj){.kind = MEM_NONE, .id = id + i};
    }
    s->dir[s->n / DIR_SLOTS][s->n % DIR_SLOTS] = run;
    __atomic_store_n(&s->n, s->n + 1, __ATOMIC_RELEASE); /* M1 */
    for (uint32_t i = s->per_slab; i-- > 0;) {
        obj_push(s, (struct mem_obj *)(void *)(run + (size_t)i * s->stride));
    }
}

static bool slab_get(struct mem *m, struct env *env, struct slabs *s)
{
    if (s->n == s->n_max) {
        return false;
    }
    void ***dir = &s->dir[s->n / DIR_SLOTS];
    if (!*dir) {
        *dir = run_get(m, env, 0, RUN_DIR);
    }
    if (!*dir) {
        return false;
    }
    uint8_t *run = run_get(m, env, s->order, RUN_SLAB);
    if (!run) {
        return false;
    }
    slab_add(s, run);
    return true;
}

void *mem_obj_get(struct mem *m, struct env *env, enum mem_kind kind)
{
    CHECK(kind > MEM_NONE && kind < MEM_KINDS);
    struct slabs *s = &m->slabs[kind];
    if (fails_now(m) || (!s->free && !slab_get(m, env, s))) {
        m->failures++;
        return NULL;
    }
    struct mem_obj *o = &s->free->head;
    s->free = s->free->next;
    s->live++;
    memset(o + 1, 0, s->size - sizeof *o);
    o->gen++;
    if (o->gen == 0) {
        o->gen = 1; /* so that 0 is nobody's */
    }
    __atomic_store_n(&o->kind, (uint16_t)kind, __ATOMIC_RELEASE); /* M2 */
    return o;
}

void mem_obj_put(struct mem *m, void *obj)
{
    struct mem_obj *o = obj;
    CHECK(o->kind > MEM_NONE && o->kind < MEM_KINDS); /* not: given back twice */
    struct slabs *s = &m->slabs[o->kind];
    CHECK(obj_place(s, o->id) == o);
    __atomic_store_n(&o->kind, MEM_NONE, __ATOMIC_RELAXED); /* M2 */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    s->live--;
    obj_push(s, o);
}

void *mem_obj_at(const struct mem *m, enum mem_kind kind, uint32_t id)
{
    CHECK(kind > MEM_NONE && kind < MEM_KINDS);
    struct mem_obj *o = obj_place(&m->slabs[kind], id);
    return o && __atomic_load_n(&o->kind, __ATOMIC_ACQUIRE) == kind ? o : NULL;
}

void *mem_obj_next(const struct mem *m, enum mem_kind kind, const void *prev)
{
    CHECK(kind > MEM_NONE && kind < MEM_KINDS);
    const struct slabs *s = &m->slabs[kind];
    uint32_t id = prev ? ((const struct mem_obj *)prev)->id : 0;
    while (id < s->n * s->per_slab) {
        id++;
        struct mem_obj *o = obj_place(s, id);
        if (o->kind == kind) {
            return o;
        }
    }
    return NULL;
}

/* The whole */

static size_t state_at(void)
{
    return round_up(sizeof(struct mem), MEM_PAGE);
}

size_t mem_size(size_t size_max)
{
    size_t pages = size_max / MEM_PAGE;
    return state_at() + (pages + MEM_PAGE - 1) / MEM_PAGE * MEM_PAGE;
}

struct mem *mem_init(void *base, void *at, size_t size_max, const uint32_t obj_size[MEM_KINDS],
                     size_t limit, struct env *env)
{
    size_t head = (size_t)((uint8_t *)at - (uint8_t *)base) + mem_size(size_max);
    CHECK((uintptr_t)base % MEM_PAGE == 0);
    CHECK((uintptr_t)at % MEM_PAGE == 0);
    CHECK(at >= base);
    CHECK(size_max / MEM_PAGE <= UINT32_MAX / 2);

    if (head > size_max || env->ops->grow(env, head) != 0) {
        return NULL;
    }
    struct mem *m = at;
    memset(m, 0, sizeof *m);
    m->base = base;
    m->state = (uint8_t *)at + state_at();
    m->first = (uint32_t)(head / MEM_PAGE);
    m->top = m->first;
    m->pages_max = (uint32_t)(size_max / MEM_PAGE);
    m->limit = limit ? limit : size_max;
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        slabs_init(&m->slabs[k], obj_size[k]);
    }
    return arena_grow(m, env, 0) ? m : NULL;
}

size_t mem_used(const struct mem *m)
{
    return m->used;
}

size_t mem_limit(const struct mem *m)
{
    return m->limit;
}

struct mem_use mem_use(const struct mem *m)
{
    struct mem_use use = {
        .pages_bytes = m->used,
        .high_water = (size_t)m->top * MEM_PAGE,
        .limit = m->limit,
        .failures = m->failures,
    };
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        use.objs[k] = m->slabs[k].live;
    }
    return use;
}

void mem_fail_nth(struct mem *m, uint32_t n)
{
    m->fail_in = n;
}
