/*
 * mem_test.c - pages and objects: what is given out, limits, misuse, and what mem_check sees.
 */
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

#include "mem_fix.h"

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
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
