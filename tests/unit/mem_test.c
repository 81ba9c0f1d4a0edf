/*
 * mem.c and mem_rebuild.c: against a shadow model, and with the holder dead after every single
 * instruction.
 *
 * For the latter the processor's trap flag is set around some requests. The handler runs after
 * each instruction: it keeps a copy of the arena, recovers as the next holder of the lock would,
 * looks at the result and puts the copy back. What a recovery must give is what the objects in
 * the arena say, as for the stack itself.
 */
#define _GNU_SOURCE
#include "core/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem_lay.h"
#include "tests/lib/heap.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#endif
#ifndef SLOW
#define SLOW 0
#endif

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
};

static int setup_size(void **state, size_t size, size_t limit)
{
    struct heap *h = calloc(1, sizeof *h);
    heap_init(h, size, 7);
    assert_non_null(heap_mem(h, sizes, limit));
    *state = h;
    return 0;
}

static int setup(void **state)
{
    return setup_size(state, (size_t)256 << 20, 0);
}

static int setup_16g(void **state)
{
    return setup_size(state, (size_t)16 << 30, 0);
}

static int setup_limit(void **state)
{
    return setup_size(state, (size_t)256 << 20, 1 << 20);
}

static int setup_small(void **state)
{
    return setup_size(state, 5 << 20, 0);
}

static int teardown(void **state)
{
    struct heap *h = *state;
    heap_fini(h);
    free(h);
    return 0;
}

#define assert_sound(m) assert_string_equal(mem_check(m) ? mem_check(m) : "sound", "sound")

static void test_fresh(void **state)
{
    struct heap *h = *state;
    struct mem_use use = mem_use(h->mem);
    assert_sound(h->mem);
    assert_int_equal(use.pages_bytes, 0);
    assert_int_equal(use.limit, h->reserved);
    assert_int_equal(use.high_water, h->grown);
    assert_int_equal(use.failures, 0);
    assert_true(mem_size(h->reserved) < h->grown);
    heap_check_empty(h);
}

static void test_16g_costs_little(void **state)
{
    struct heap *h = *state;
    assert_true(mem_size(h->reserved) <= (size_t)5 << 20);
    assert_true(h->grown <= (size_t)8 << 20);
    uint8_t *last = NULL;
    for (int i = 0; i < 100;
         i++) { /* far beyond 32 bits in bytes, and nothing but the heads touched */
        last = mem_pages_get(h->mem, &h->env, MEM_ORDER_MAX);
        assert_non_null(last);
        last[0] = 1;
        last[((size_t)MEM_PAGE << MEM_ORDER_MAX) - 1] = 1;
    }
    assert_true(mem_use(h->mem).high_water >= (size_t)100 << 24);
    assert_sound(h->mem);
}

static void test_every_order(void **state)
{
    struct heap *h = *state;
    uint8_t *run[MEM_ORDER_MAX + 1];
    size_t sum = 0;
    for (unsigned o = 0; o <= MEM_ORDER_MAX; o++) {
        run[o] = mem_pages_get(h->mem, &h->env, o);
        assert_non_null(run[o]);
        assert_int_equal((size_t)(run[o] - h->base) % ((size_t)MEM_PAGE << o), 0);
        memset(run[o], (int)o + 1, (size_t)MEM_PAGE << o);
        sum += (size_t)MEM_PAGE << o;
    }
    assert_int_equal(mem_use(h->mem).pages_bytes, sum);
    assert_sound(h->mem);
    for (unsigned o = 0; o <= MEM_ORDER_MAX; o++) {
        size_t size = (size_t)MEM_PAGE << o;
        assert_int_equal(run[o][0], o + 1);
        assert_memory_equal(run[o], run[o] + 1, size - 1); /* all alike */
        mem_pages_put(h->mem, run[o], o);
        assert_sound(h->mem);
    }
    heap_check_empty(h);
}

/* What comes back is joined again: after any amount of small use the arena serves large runs
 * without growing. */
static void test_joins(void **state)
{
    struct heap *h = *state;
    enum { N = 3000 };
    void **page = calloc(N, sizeof *page);
    for (int i = 0; i < N; i++) {
        page[i] = mem_pages_get(h->mem, &h->env, 0);
        assert_non_null(page[i]);
    }
    size_t grown = h->grown;
    for (int i = 0; i < N; i++) {
        mem_pages_put(h->mem, page[i * 7 % N], 0);
        assert_true(7 % N != 0 && N % 7 != 0);
    }
    assert_sound(h->mem);
    for (int i = 0; i < 4; i++) {
        assert_non_null(mem_pages_get(h->mem, &h->env, 9));
    }
    assert_int_equal(h->grown, grown);
    assert_sound(h->mem);
    free(page);
}

static void test_last_in_first_out(void **state)
{
    struct heap *h = *state;
    void *a = mem_pages_get(h->mem, &h->env, 1);
    void *b = mem_pages_get(h->mem, &h->env, 1);
    mem_pages_put(h->mem, a, 1);
    mem_pages_put(h->mem, b, 1);
    assert_ptr_equal(mem_pages_get(h->mem, &h->env, 1), b);
    assert_ptr_equal(mem_pages_get(h->mem, &h->env, 1), a);
}

static void test_limit(void **state)
{
    struct heap *h = *state;
    void *run[4];
    assert_int_equal(mem_use(h->mem).limit, 1 << 20);
    for (int i = 0; i < 4; i++) {
        run[i] = mem_pages_get(h->mem, &h->env, 6);
        assert_non_null(run[i]);
    }
    assert_null(mem_pages_get(h->mem, &h->env, 0));
    assert_null(mem_obj_get(h->mem, &h->env, MEM_TCP));
    assert_int_equal(mem_use(h->mem).failures, 2);
    mem_pages_put(h->mem, run[0], 6);
    assert_null(mem_pages_get(h->mem, &h->env, 7));
    assert_non_null(mem_obj_get(h->mem, &h->env, MEM_TCP));
    assert_null(mem_pages_get(h->mem, &h->env, 6));
    assert_sound(h->mem);
}

/* The end of the arena: every page of it can be had, and not one more. */
static void test_end_of_arena(void **state)
{
    struct heap *h = *state;
    size_t n = 0;
    while (mem_pages_get(h->mem, &h->env, 0)) {
        n++;
    }
    assert_int_equal(h->grown, h->reserved);
    assert_int_equal(n * MEM_PAGE + mem_size(h->reserved), h->reserved);
    assert_int_equal(mem_use(h->mem).failures, 1);
    assert_null(mem_obj_get(h->mem, &h->env, MEM_WATCH));
    assert_sound(h->mem);
}

static void test_grow_fails(void **state)
{
    struct heap *h = *state;
    h->grow_fail = 1;
    assert_null(mem_pages_get(h->mem, &h->env, 12));
    assert_sound(h->mem);
    h->grow_fail = 2; /* the part that it got stays */
    assert_null(mem_pages_get(h->mem, &h->env, 12));
    assert_sound(h->mem);
    assert_non_null(mem_pages_get(h->mem, &h->env, 12));
    assert_sound(h->mem);

    struct heap tiny;
    heap_init(&tiny, mem_size(1 << 20), 1);
    assert_null(heap_mem(&tiny, sizes, 0)); /* room for the tables and nothing else */
    heap_fini(&tiny);
    heap_init(&tiny, 1 << 20, 1);
    tiny.grow_fail = 1;
    assert_null(heap_mem(&tiny, sizes, 0));
    heap_fini(&tiny);
}

static void test_fail_nth(void **state)
{
    struct heap *h = *state;
    mem_fail_nth(h->mem, 3);
    assert_non_null(mem_pages_get(h->mem, &h->env, 0));
    assert_non_null(mem_obj_get(h->mem, &h->env, MEM_TCP));
    assert_null(mem_obj_get(h->mem, &h->env, MEM_UDP));
    assert_non_null(mem_obj_get(h->mem, &h->env, MEM_UDP));
    mem_fail_nth(h->mem, 1);
    mem_fail_nth(h->mem, 0);
    assert_non_null(mem_pages_get(h->mem, &h->env, 0));
    assert_int_equal(mem_use(h->mem).failures, 1);
}

static void test_objects(void **state)
{
    struct heap *h = *state;
    struct thing *a = mem_obj_get(h->mem, &h->env, MEM_UDP);
    struct thing *b = mem_obj_get(h->mem, &h->env, MEM_UDP);
    assert_int_equal(a->obj.id, 1);
    assert_int_equal(b->obj.id, 2);
    assert_int_equal(a->obj.kind, MEM_UDP);
    assert_ptr_equal(mem_obj_at(h->mem, MEM_UDP, 1), a);
    assert_ptr_equal(mem_obj_at(h->mem, MEM_UDP, 2), b);
    assert_null(mem_obj_at(h->mem, MEM_UDP, 0));
    assert_null(mem_obj_at(h->mem, MEM_UDP, 3));
    assert_null(mem_obj_at(h->mem, MEM_UDP, UINT32_MAX));
    assert_null(mem_obj_at(h->mem, MEM_TCP, 1));

    uint16_t gen = a->obj.gen;
    memset((uint8_t *)a + sizeof a->obj, 0xa5, sizeof *a - sizeof a->obj);
    mem_obj_put(h->mem, a);
    assert_null(mem_obj_at(h->mem, MEM_UDP, 1));
    assert_int_equal(mem_use(h->mem).objs[MEM_UDP], 1);
    struct thing *c = mem_obj_get(h->mem, &h->env, MEM_UDP);
    static const uint8_t zero[sizeof *a];
    assert_ptr_equal(c, a);
    assert_int_equal(c->obj.gen, gen + 1);
    assert_memory_equal((uint8_t *)c + sizeof c->obj, zero, sizeof *c - sizeof c->obj);

    c->obj.gen = 0xffff;
    mem_obj_put(h->mem, c);
    c = mem_obj_get(h->mem, &h->env, MEM_UDP);
    assert_int_equal(c->obj.gen, 1); /* 0 is nobody's */
    assert_sound(h->mem);
}

/* Ids are dense, places do not overlap, whatever the size; over more slabs than one directory
 * page holds. */
static void test_many_objects(void **state)
{
    struct heap *h = *state;
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        uint32_t n = k == MEM_WATCH ? 120000 : 300;
        for (uint32_t id = 1; id <= n; id++) {
            struct mem_obj *o = mem_obj_get(h->mem, &h->env, (enum mem_kind)k);
            assert_non_null(o);
            assert_int_equal(o->id, id);
            memset(o + 1, (int)id, sizes[k] - sizeof *o);
        }
        for (uint32_t id = 1; id <= n; id++) {
            uint8_t *o = mem_obj_at(h->mem, (enum mem_kind)k, id);
            for (uint32_t i = sizeof(struct mem_obj); i < sizes[k]; i++) {
                assert_int_equal(o[i], (uint8_t)id);
            }
        }
    }
    assert_true(h->mem->slabs[MEM_WATCH].n > DIR_SLOTS);
    assert_sound(h->mem);
    mem_rebuild_begin(h->mem);
    mem_rebuild_end(h->mem);
    assert_sound(h->mem);
    assert_int_equal(mem_use(h->mem).objs[MEM_WATCH], 120000);
}

static void test_bound_of_a_kind(void **state)
{
    struct heap *h = *state;
    uint32_t n = 0;
    while (mem_obj_get(h->mem, &h->env, MEM_POLLSET)) {
        n++;
    }
    assert_true(n > OBJ_MAX - 1000 && n <= OBJ_MAX);
    assert_true(mem_use(h->mem).pages_bytes < (size_t)17 << 20);
    assert_non_null(mem_obj_get(h->mem, &h->env, MEM_WATCH));
}

/* A slab loses at most a sixteenth of its run to objects of any size that fits eight times. */
static void test_waste(void **state)
{
    (void)state;
    for (uint32_t size = 8; size <= 8192; size += 8) {
        struct heap h;
        uint32_t s[MEM_KINDS] = {0};
        for (unsigned k = 1; k < MEM_KINDS; k++) {
            s[k] = size;
        }
        heap_init(&h, 4 << 20, 1);
        struct slabs *t = &heap_mem(&h, s, 0)->slabs[MEM_TCP];
        uint32_t room = MEM_PAGE << t->order;
        assert_true(t->stride >= size && t->stride < size + 32);
        assert_true(t->per_slab >= 7);
        assert_true(room - t->per_slab * t->stride <= room / 8);
        if (size < 2048) {
            assert_true(room - t->per_slab * t->stride <= room / 16);
        }
        heap_fini(&h);
    }
}

static void test_walk(void **state)
{
    struct heap *h = *state;
    struct thing *t[200];
    for (int i = 0; i < 200; i++) {
        t[i] = mem_obj_get(h->mem, &h->env, MEM_UDP);
    }
    for (int i = 0; i < 200; i += 3) {
        mem_obj_put(h->mem, t[i]);
    }
    uint32_t seen = 0;
    uint32_t last = 0;
    for (struct thing *o = mem_obj_next(h->mem, MEM_UDP, NULL); o;) {
        assert_true(o->obj.id > last);
        assert_int_not_equal((o->obj.id - 1) % 3, 0);
        last = o->obj.id;
        seen++;
        mem_obj_put(h->mem, o);
        o = mem_obj_next(h->mem, MEM_UDP, o);
    }
    assert_int_equal(seen, 133);
    assert_null(mem_obj_next(h->mem, MEM_UDP, NULL));
    assert_null(mem_obj_next(h->mem, MEM_TCP, NULL));
    heap_check_empty(h);
}

/* Misuse that would spoil the arena stops the process. */
static void dies(struct heap *h, void (*what)(struct heap *h))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        what(h);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void put_twice(struct heap *h)
{
    void *p = mem_pages_get(h->mem, &h->env, 7);
    mem_pages_put(h->mem, p, 7);
    mem_pages_put(h->mem, p, 7);
}

static void put_cached_twice(struct heap *h)
{
    void *p = mem_pages_get(h->mem, &h->env, 0);
    mem_pages_put(h->mem, p, 0);
    mem_pages_put(h->mem, p, 0);
}

static void put_other_order(struct heap *h)
{
    void *p = mem_pages_get(h->mem, &h->env, 1);
    mem_pages_put(h->mem, p, 0);
}

static void put_inside(struct heap *h)
{
    uint8_t *p = mem_pages_get(h->mem, &h->env, 1);
    mem_pages_put(h->mem, p + MEM_PAGE, 0);
}

static void put_foreign(struct heap *h)
{
    static uint8_t page[2 * MEM_PAGE];
    mem_pages_put(h->mem, page, 0);
}

static void put_slab(struct heap *h)
{
    struct mem_obj *o = mem_obj_get(h->mem, &h->env, MEM_UDP);
    mem_pages_put(h->mem, o, h->mem->slabs[MEM_UDP].order);
}

static void put_object_twice(struct heap *h)
{
    void *o = mem_obj_get(h->mem, &h->env, MEM_UDP);
    mem_obj_put(h->mem, o);
    mem_obj_put(h->mem, o);
}

static void put_object_copy(struct heap *h)
{
    struct thing t = *(struct thing *)mem_obj_get(h->mem, &h->env, MEM_UDP);
    mem_obj_put(h->mem, &t);
}

static void order_too_large(struct heap *h)
{
    mem_pages_get(h->mem, &h->env, MEM_ORDER_MAX + 1);
}

static void test_misuse(void **state)
{
    struct heap *h = *state;
    dies(h, put_twice);
    dies(h, put_cached_twice);
    dies(h, put_other_order);
    dies(h, put_inside);
    dies(h, put_foreign);
    dies(h, put_slab);
    dies(h, put_object_twice);
    dies(h, put_object_copy);
    dies(h, order_too_large);
}

/* mem_check sees what is wrong: each spoiler is one thing that must not be. */
static void test_check_sees(void **state)
{
    struct heap *h = *state;
    struct mem *m = h->mem;
    void *run = mem_pages_get(m, &h->env, 2);
    void *cached = mem_pages_get(m, &h->env, 0);
    struct thing *t = mem_obj_get(m, &h->env, MEM_UDP);
    mem_pages_put(m, cached, 0);
    uint32_t i = page_of(m, run);
    struct free_obj *f = m->slabs[MEM_UDP].free;
    unsigned o = (unsigned)__builtin_ctz(m->free_orders);
    assert_sound(m);

#define SPOIL(lvalue, value)                \
    do {                                    \
        __typeof__(lvalue) was_ = (lvalue); \
        (lvalue) = (value);                 \
        assert_non_null(mem_check(m));      \
        (lvalue) = was_;                    \
        assert_sound(m);                    \
    } while (0)

    SPOIL(m->state[i], RUN_USED | 1);
    SPOIL(m->state[i], RUN_USED | 3);
    SPOIL(m->state[i], RUN_USED | 15);
    SPOIL(m->state[i], RUN_NONE);
    SPOIL(m->state[i], RUN_FREE | 2);
    SPOIL(m->state[i], RUN_SLAB | 2);
    SPOIL(m->state[i], RUN_DIR | 2);
    SPOIL(m->state[i], RUN_CACHED | 2);
    SPOIL(m->state[i], 0xf2);
    SPOIL(m->state[i + 1], RUN_USED | 0);
    SPOIL(m->state[page_of(m, cached)], RUN_USED | 0);
    SPOIL(m->state[page_of(m, m->free[o])], (uint8_t)(RUN_USED | o));
    SPOIL(m->used, m->used + MEM_PAGE);
    SPOIL(m->limit, 4096);
    SPOIL(m->free_orders, m->free_orders ^ 1u << o);
    SPOIL(m->free[o], NULL);
    SPOIL(m->free[o]->next, m->free[o]);
    SPOIL(m->free[o]->prev, m->free[o]);
    SPOIL(m->free[o], (void *)run);
    SPOIL(m->free[o], (void *)&i);
    SPOIL(m->cached[0], NULL);
    SPOIL(m->cached[0]->next, cached);
    SPOIL(m->cached_n[0], 0);
    SPOIL(m->cached_n[2], 1);
    SPOIL(m->slabs[MEM_UDP].n, 0);
    SPOIL(m->slabs[MEM_UDP].live, 2);
    SPOIL(m->slabs[MEM_UDP].free, NULL);
    SPOIL(m->slabs[MEM_UDP].free, f->next);
    SPOIL(m->slabs[MEM_UDP].free, (void *)t);
    SPOIL(m->slabs[MEM_UDP].free, (void *)&i);
    SPOIL(m->slabs[MEM_UDP].dir[0], NULL);
    SPOIL(m->slabs[MEM_UDP].dir[0], run);
    SPOIL(m->slabs[MEM_UDP].dir[0][0], run);
    SPOIL(m->slabs[MEM_UDP].dir[1], run);
    SPOIL(f->next, f);
    SPOIL(f->head.kind, MEM_UDP);
    SPOIL(f->head.id, 1);
    SPOIL(t->obj.kind, MEM_NONE);
    SPOIL(t->obj.kind, MEM_TCP);
    SPOIL(t->obj.id, 2);
}

/* The storm: things come and go, and get and lose runs. */

enum { THINGS = 400 };

struct storm {
    struct heap *h;
    struct thing *t[THINGS];
    uint8_t fill[THINGS];
    uint32_t max_order;
    int cur; /* the thing that changes now */
};

static void fill(struct thing *t, int k)
{
    size_t n = (size_t)MEM_PAGE << t->order[k];
    t->run[k][0] = t->run[k][n / 2] = t->run[k][n - 1] = t->fill;
    t->run[k][17] = (uint8_t)~t->fill;
}

static void expect_fill(const struct thing *t, int k)
{
    size_t n = (size_t)MEM_PAGE << t->order[k];
    assert_int_equal(t->run[k][0], t->fill);
    assert_int_equal(t->run[k][n / 2], t->fill);
    assert_int_equal(t->run[k][n - 1], t->fill);
    assert_int_equal(t->run[k][17], (uint8_t)~t->fill);
}

/* What the stack does to be recoverable: the order before the run, the run forgotten before it is
 * given back. The barriers stand for calls that the compiler cannot see through. */
#define BARRIER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static void run_in(struct heap *h, struct thing *t, int k, unsigned order)
{
    void *run = mem_pages_get(h->mem, &h->env, order);
    if (run) {
        t->order[k] = (uint8_t)order;
        BARRIER();
        t->run[k] = run;
        BARRIER();
    }
}

static void run_out(struct heap *h, struct thing *t, int k)
{
    void *run = t->run[k];
    t->run[k] = NULL;
    BARRIER();
    mem_pages_put(h->mem, run, t->order[k]);
}

static void storm_step(struct storm *s, void (*around)(bool begin))
{
    struct heap *h = s->h;
    uint32_t i = heap_below(h, THINGS);
    int k = (int)heap_below(h, 2);
    unsigned order = heap_below(h, heap_below(h, s->max_order) + 1);
    struct thing *t = s->t[i];
    bool die = t && !t->run[0] && !t->run[1] && heap_below(h, 2) == 0;

    s->cur = (int)i;
    if (t && t->run[k]) {
        expect_fill(t, k);
    }
    if (around) {
        around(true);
    }
    if (!t) {
        s->t[i] = mem_obj_get(h->mem, &h->env, MEM_UDP);
    } else if (die) {
        s->t[i] = NULL;
        mem_obj_put(h->mem, t);
    } else if (t->run[k]) {
        run_out(h, t, k);
    } else {
        run_in(h, t, k, order);
    }
    if (around) {
        around(false);
    }
    if (s->t[i] && !t) {
        s->t[i]->fill = s->fill[i] = (uint8_t)heap_rnd(h);
    }
    if (s->t[i] && s->t[i]->run[k]) {
        fill(s->t[i], k);
    }
}

/* Everything is as the model says. */
static void storm_expect(struct storm *s)
{
    size_t runs = 0;
    uint32_t live = 0;
    struct mem *m = s->h->mem;
    for (int i = 0; i < THINGS; i++) {
        struct thing *t = s->t[i];
        if (!t) {
            continue;
        }
        live++;
        assert_ptr_equal(mem_obj_at(m, MEM_UDP, t->obj.id), t);
        assert_int_equal(t->fill, s->fill[i]);
        for (int k = 0; k < 2; k++) {
            if (t->run[k]) {
                expect_fill(t, k);
                runs += (size_t)MEM_PAGE << t->order[k];
            }
        }
    }
    const struct slabs *u = &m->slabs[MEM_UDP];
    size_t slabs = u->n * ((size_t)MEM_PAGE << u->order) + (u->n > 0 ? MEM_PAGE : 0);
    assert_int_equal(mem_use(m).objs[MEM_UDP], live);
    assert_int_equal(mem_use(m).pages_bytes, runs + slabs);
    assert_sound(m);
}

/* As the stack's owner: marks what the live things hold. Returns a text if a mark is refused. */
static const char *recover(struct mem *m)
{
    const char *bad = NULL;
    mem_rebuild_begin(m);
    for (struct thing *t = mem_obj_next(m, MEM_UDP, NULL); t; t = mem_obj_next(m, MEM_UDP, t)) {
        for (int k = 0; k < 2; k++) {
            if (t->run[k] && !mem_mark_pages(m, t->run[k], t->order[k])) {
                bad = "a run was refused";
            }
        }
    }
    mem_rebuild_end(m);
    return bad ? bad : mem_check(m);
}

static void storm(struct heap *h, uint32_t max_order, int steps)
{
    struct storm s = {.h = h, .max_order = max_order};
    for (int i = 0; i < steps; i++) {
        storm_step(&s, NULL);
        if (i % 1000 == 0) {
            storm_expect(&s);
        }
        if (i % 5000 == 2500) { /* a recovery changes nothing that lives */
            assert_null(recover(h->mem));
            storm_expect(&s);
        }
    }
}

static void test_storm(void **state)
{
    storm(*state, 11, 200000);
}

static void test_storm_small_arena(void **state)
{
    struct heap *h = *state;
    storm(h, 9, 200000);
    assert_true(mem_use(h->mem).failures > 100);
}

static void test_storm_limit(void **state)
{
    struct heap *h = *state;
    storm(h, 6, 200000);
    assert_true(mem_use(h->mem).failures > 100);
}

/* Everything but what recovery may rely on is overwritten with noise. */
static void test_rebuild_from_ruins(void **state)
{
    struct storm s = {.h = *state, .max_order = 8};
    struct mem *m = s.h->mem;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 2000; i++) {
            storm_step(&s, NULL);
        }
        heap_random(&s.h->env, m->state + m->first, m->top - m->first);
        heap_random(&s.h->env, m->free, sizeof m->free);
        heap_random(&s.h->env, m->cached, sizeof m->cached);
        heap_random(&s.h->env, m->cached_n, sizeof m->cached_n);
        heap_random(&s.h->env, &m->free_orders, sizeof m->free_orders);
        heap_random(&s.h->env, &m->used, sizeof m->used);
        for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
            heap_random(&s.h->env, &m->slabs[k].free, sizeof m->slabs[k].free);
            heap_random(&s.h->env, &m->slabs[k].live, sizeof m->slabs[k].live);
        }
        assert_null(recover(m));
        storm_expect(&s);
    }
}

static void test_leak_is_recovered(void **state)
{
    struct heap *h = *state;
    struct thing *t = mem_obj_get(h->mem, &h->env, MEM_UDP);
    run_in(h, t, 0, 3);
    size_t used = mem_use(h->mem).pages_bytes;
    assert_non_null(mem_pages_get(h->mem, &h->env, 5)); /* nobody's */
    assert_non_null(mem_pages_get(h->mem, &h->env, 0));
    assert_true(mem_use(h->mem).pages_bytes > used);
    assert_null(recover(h->mem));
    assert_int_equal(mem_use(h->mem).pages_bytes, used);
}

static void test_marks_are_judged(void **state)
{
    struct heap *h = *state;
    struct mem *m = h->mem;
    uint8_t *a = mem_pages_get(m, &h->env, 3);
    struct mem_obj *o = mem_obj_get(m, &h->env, MEM_TCP);
    uint8_t *far = page_at(m, m->pages_max);

    mem_rebuild_begin(m);
    assert_false(mem_mark_pages(m, NULL, 0));
    assert_false(mem_mark_pages(m, a + 1, 0));
    assert_false(mem_mark_pages(m, a + MEM_PAGE, 1));
    assert_false(mem_mark_pages(m, a, MEM_ORDER_MAX + 1));
    assert_false(mem_mark_pages(m, a, 255));
    assert_false(mem_mark_pages(m, a, 12));
    assert_false(mem_mark_pages(m, m, 0));
    assert_false(mem_mark_pages(m, m->state, 0));
    assert_false(mem_mark_pages(m, far, 0));
    assert_false(mem_mark_pages(m, page_at(m, m->top), 0));
    assert_false(mem_mark_pages(m, h->base - MEM_PAGE, 0));
    assert_false(mem_mark_pages(m, (void *)UINTPTR_MAX, 0));
    assert_false(mem_mark_pages(m, o, m->slabs[MEM_TCP].order)); /* a slab is nobody's run */
    assert_true(mem_mark_pages(m, a, 3));
    assert_false(mem_mark_pages(m, a, 3));
    assert_false(mem_mark_pages(m, a + 4 * MEM_PAGE, 2));
    mem_obj_put(m, o); /* allowed in between */
    mem_rebuild_end(m);
    assert_sound(m);
    assert_int_equal(mem_use(m).objs[MEM_TCP], 0);
    mem_pages_put(m, a, 3);
    heap_check_empty(h);
}

/* Death after every instruction */

/* The thread sanitizer keeps SIGTRAP until the next call it knows: no single steps there. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

static struct {
    struct storm *s;
    uint8_t *copy;
    size_t size; /* of the copy's room */
    uint32_t one_in;
    uint32_t tick;
    uint32_t deaths;
    const char *bad;
} death;

/* All that was alive still is, but for the one that was being changed. */
static const char *lost_any(const struct storm *s)
{
    for (int i = 0; i < THINGS; i++) {
        const struct thing *t = s->t[i];
        if (t && i != s->cur && mem_obj_at(s->h->mem, MEM_UDP, t->obj.id) != t) {
            return "a living thing was lost";
        }
    }
    return NULL;
}

/* What was recovered is of use. */
static const char *use_it(struct heap *h)
{
    for (unsigned order = 0; order < 4; order++) {
        void *run = mem_pages_get(h->mem, &h->env, order);
        void *obj = mem_obj_get(h->mem, &h->env, MEM_UDP);
        if (!run || !obj) {
            return "there is no memory left";
        }
        memset(run, 0xa5, (size_t)MEM_PAGE << order);
        mem_pages_put(h->mem, run, order);
    }
    return mem_check(h->mem);
}

static void on_step(int sig)
{
    (void)sig;
    struct heap *h = death.s->h;
    size_t n = (size_t)h->mem->top * MEM_PAGE; /* the tables and all usable pages */
    if (death.bad || ++death.tick % death.one_in != 0 || n > death.size) {
        return;
    }
    death.deaths++;
    memcpy(death.copy, h->base, n);
    death.bad = recover(h->mem);
    death.bad = death.bad ? death.bad : lost_any(death.s);
    death.bad = death.bad ? death.bad : use_it(h);
    memcpy(h->base, death.copy, n);
}

static void step_around(bool begin)
{
    if (begin) {
        __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; "
                         "lea 128(%%rsp), %%rsp" ::
                             : "memory", "cc");
    } else {
        __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; "
                         "lea 128(%%rsp), %%rsp" ::
                             : "memory", "cc");
    }
}

static void test_death_at_any_instruction(void **state)
{
    struct storm s = {.h = *state, .max_order = 4};
    struct sigaction act = {.sa_handler = on_step};
    struct sigaction was;
    death.s = &s;
    death.size = (size_t)16 << 20;
    death.copy = malloc(death.size);
    death.bad = NULL;
    death.one_in = SLOW ? 37 : 1;
    sigaction(SIGTRAP, &act, &was);

    size_t grown = s.h->grown;
    step_around(true);
    void *large = mem_pages_get(s.h->mem, &s.h->env, 9);
    step_around(false);
    assert_non_null(large);
    assert_true(s.h->grown > grown);
    mem_pages_put(s.h->mem, large, 9);

    for (int i = 0; i < 2000 && !death.bad; i++) {
        bool watch = i < 100 || i > 1900;
        storm_step(&s, watch ? step_around : NULL);
    }
    sigaction(SIGTRAP, &was, NULL);
    assert_string_equal(death.bad ? death.bad : "recovered", "recovered");
    storm_expect(&s);
    print_message("             %u deaths\n", death.deaths);
    assert_true(death.deaths > 100);
    free(death.copy);
}

#else

static void test_death_at_any_instruction(void **state)
{
    (void)state;
    print_message(
        "SKIP: death_at_any_instruction: needs the trap flag of x86-64, and no thread sanitizer\n");
    skip();
}

#endif

#define T(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_fresh, setup),
        T(test_16g_costs_little, setup_16g),
        T(test_every_order, setup),
        T(test_joins, setup),
        T(test_last_in_first_out, setup),
        T(test_limit, setup_limit),
        T(test_end_of_arena, setup_small),
        T(test_grow_fails, setup),
        T(test_fail_nth, setup),
        T(test_objects, setup),
        T(test_many_objects, setup),
        T(test_bound_of_a_kind, setup),
        cmocka_unit_test(test_waste),
        T(test_walk, setup),
        T(test_misuse, setup),
        T(test_check_sees, setup),
        T(test_storm, setup),
        T(test_storm_small_arena, setup_small),
        T(test_storm_limit, setup_limit),
        T(test_rebuild_from_ruins, setup),
        T(test_leak_is_recovered, setup),
        T(test_marks_are_judged, setup),
        T(test_death_at_any_instruction, setup_small),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
