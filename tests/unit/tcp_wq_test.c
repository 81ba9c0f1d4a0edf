/* tcp_wq_test.c - the buffers of what is unsent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp_wq.h"
#include "tests/lib/heap.h"

#define AT(n) seq_of(0xfffffff0u + (n)) /* passes zero */

static struct heap heap;

static int setup(void **state)
{
    (void)state;
    heap_init(&heap, 4u << 20, 1);
    heap_mem(&heap, NULL, 4u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    heap_check_empty(&heap);
    heap_fini(&heap);
    return 0;
}

static void add(struct wq *q, uint32_t end)
{
    wq_add(q, heap.mem, &heap.env, AT(end));
}

static void sending_takes_from_the_front(void **state)
{
    struct wq q = {0};
    (void)state;
    add(&q, 100);
    add(&q, 300);
    assert_int_equal(q.n, 2);
    wq_sent(&q, heap.mem, AT(50));
    assert_int_equal(q.n, 2);
    assert_null(wq_check(&q, AT(50), AT(300)));
    wq_sent(&q, heap.mem, AT(100));
    assert_int_equal(q.n, 1);
    assert_null(wq_check(&q, AT(100), AT(300)));
    assert_non_null(wq_check(&q, AT(100), AT(301)));
    assert_non_null(wq_check(&q, AT(300), AT(300)));
    wq_sent(&q, heap.mem, AT(300));
    assert_int_equal(q.n, 0);
    assert_null(q.v);
}

static void the_first_grows_by_the_second(void **state)
{
    struct wq q = {0};
    (void)state;
    add(&q, 100);
    add(&q, 300);
    wq_last(&q)->flags = WB_PSH;
    wq_grow(&q, AT(0), 90); /* it is longer already */
    assert_true(seq_eq(wq_at(&q, 0)->end, AT(100)));
    wq_grow(&q, AT(0), 250);
    assert_true(seq_eq(wq_at(&q, 0)->end, AT(250)));
    assert_int_equal(wq_at(&q, 0)->flags, 0);
    wq_grow(&q, AT(0), 1000);
    assert_int_equal(q.n, 1);
    assert_int_equal(wq_at(&q, 0)->flags, WB_PSH);
    assert_null(wq_check(&q, AT(0), AT(300)));
    wq_fini(&q, heap.mem);
}

static void nothing_is_added_behind_an_end_of_record(void **state)
{
    struct wq q = {0};
    (void)state;
    add(&q, 100);
    wq_last(&q)->flags = WB_EOR;
    add(&q, 300);
    wq_grow(&q, AT(0), 300);
    assert_int_equal(q.n, 2);
    assert_true(seq_eq(wq_at(&q, 0)->end, AT(100)));
    wq_fini(&q, heap.mem);
}

/* Up to the bound, and with sending in between. */
static void many_fit_and_the_rest_is_one(void **state)
{
    struct wq q = {0};
    uint32_t end = 0, sent = 0;
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        add(&q, end += 10);
        if (i % 3 == 0) {
            wq_sent(&q, heap.mem, AT(sent += 10));
        }
        if (i % 1000 == 0) {
            assert_null(wq_check(&q, AT(sent), AT(end)));
        }
    }
    assert_null(wq_check(&q, AT(sent), AT(end)));
    assert_true(q.n <= (MEM_PAGE << WQ_ORDER_MAX) / sizeof(struct wbuf));
    wq_sent(&q, heap.mem, AT(end));
    assert_int_equal(q.n, 0);
}

static void without_memory_the_last_is_made_longer(void **state)
{
    struct wq q = {0};
    (void)state;
    add(&q, 10);
    add(&q, 20);
    mem_fail_nth(heap.mem, 1);
    add(&q, 30);
    assert_int_equal(q.n, 2);
    assert_null(wq_check(&q, AT(0), AT(30)));
    wq_fini(&q, heap.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sending_takes_from_the_front),
        cmocka_unit_test(the_first_grows_by_the_second),
        cmocka_unit_test(nothing_is_added_behind_an_end_of_record),
        cmocka_unit_test(many_fit_and_the_rest_is_one),
        cmocka_unit_test(without_memory_the_last_is_made_longer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
