/* timer.c: the heap against a plain table of deadlines. */
#include "core/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/heap.h"

static void test_empty(void **state)
{
    (void)state;
    struct timers h;
    struct timer t = {0};
    timers_init(&h);
    timer_init(&t);
    assert_true(timers_next(&h) == NEVER);
    assert_null(timers_pop(&h, NEVER));
    timer_set(&h, &t, NEVER);
    assert_true(timers_next(&h) == NEVER);
    timer_remove(&h, &t);
    assert_true(timers_next(&h) == NEVER);
}

static void test_one(void **state)
{
    (void)state;
    struct timers h;
    struct timer t = {0};
    timers_init(&h);
    timer_init(&t);
    timer_set(&h, &t, 5 * SEC);
    assert_true(timers_next(&h) == 5 * SEC);
    assert_null(timers_pop(&h, 5 * SEC - 1));
    assert_ptr_equal(timers_pop(&h, 5 * SEC), &t);
    assert_true(t.at == NEVER);
    assert_false(t.queued);
    assert_null(timers_pop(&h, NEVER));
}

/* The promise of the header: later is one store, and the answer is exact all the same. */
static void test_later_is_lazy(void **state)
{
    (void)state;
    struct timers h;
    struct timer a = {0};
    struct timer b = {0};
    timers_init(&h);
    timer_init(&a);
    timer_init(&b);
    timer_set(&h, &a, 10);
    timer_set(&h, &b, 20);
    timer_set(&h, &a, 30);
    assert_true(a.key == 10);
    assert_null(timers_pop(&h, 19));
    assert_true(a.key == 30);
    assert_true(timers_next(&h) == 20);
    timer_set(&h, &b, NEVER);
    assert_true(b.queued);
    assert_true(timers_next(&h) == 30);
    assert_false(b.queued);
    timer_set(&h, &a, NEVER);
    timer_set(&h, &a, 40); /* cancelled and set again before anybody looked */
    assert_true(timers_next(&h) == 40);
    timer_set(&h, &a, 2);
    assert_true(timers_next(&h) == 2);
}

/* A chain as deep as there are timers must not be walked by recursion. */
static void test_deep(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct timers h;
    struct timer *t = calloc(N, sizeof *t);
    timers_init(&h);
    for (int i = 0; i < N; i++) {
        timer_init(&t[i]);
        timer_set(&h, &t[i], N - i);
    }
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(timers_pop(&h, N), &t[N - 1 - i]);
    }
    assert_null(h.root);
    for (int i = 0; i < N; i++) { /* and as broad */
        timer_set(&h, &t[i], i);
    }
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(timers_pop(&h, N), &t[i]);
    }
    assert_null(h.root);
    free(t);
}

enum { TIMERS = 300 };

static nsec earliest(const struct timer *t)
{
    nsec min = NEVER;
    for (int i = 0; i < TIMERS; i++) {
        min = nsec_min(min, t[i].at);
    }
    return min;
}

static void test_storm(void **state)
{
    (void)state;
    struct heap rnd = {.rng = 3};
    struct timers h;
    struct timer t[TIMERS] = {{0}};
    nsec want[TIMERS];
    nsec now = 0;

    timers_init(&h);
    for (int i = 0; i < TIMERS; i++) {
        timer_init(&t[i]);
        want[i] = NEVER;
    }
    for (int step = 0; step < 300000; step++) {
        uint32_t i = heap_below(&rnd, TIMERS);
        switch (heap_below(&rnd, 8)) {
        case 0:
        case 1:
        case 2:
        case 3:
            want[i] = now + heap_below(&rnd, 50);
            timer_set(&h, &t[i], want[i]);
            break;
        case 4:
            want[i] = NEVER;
            timer_set(&h, &t[i], NEVER);
            break;
        case 5:
            want[i] = NEVER;
            timer_remove(&h, &t[i]);
            assert_false(t[i].queued);
            break;
        case 6:
            assert_true(timers_next(&h) == earliest(t));
            break;
        default:
            now += heap_below(&rnd, 8);
            nsec last = INT64_MIN;
            for (nsec due = earliest(t); due <= now; due = earliest(t)) {
                struct timer *p = timers_pop(&h, now);
                assert_non_null(p);
                assert_true(want[p - t] == due && due >= last);
                assert_true(p->at == NEVER && !p->queued);
                want[p - t] = NEVER;
                last = due;
            }
            assert_null(timers_pop(&h, now));
        }
        assert_true(t[i].at == want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_one),
        cmocka_unit_test(test_later_is_lazy), cmocka_unit_test(test_deep),
        cmocka_unit_test(test_storm),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
