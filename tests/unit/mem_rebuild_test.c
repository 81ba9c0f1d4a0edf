/*
 * mem_rebuild_test.c - mem.c and mem_rebuild.c against a shadow model, and with the holder dead
 * after every single instruction.
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

#include "mem_fix.h"

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
        T(test_storm, setup),
        T(test_storm_small_arena, setup_small),
        T(test_storm_limit, setup_limit),
        T(test_rebuild_from_ruins, setup),
        T(test_leak_is_recovered, setup),
        T(test_marks_are_judged, setup),
        T(test_death_at_any_instruction, setup_small),
    };
    return cmocka_run_group_tests_name("mem_rebuild", tests, NULL, NULL);
}
