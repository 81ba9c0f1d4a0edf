/* tcp_txq_test.c - the transmission records: order, counters, splits, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/tcp_txq.h"
#include "tests/lib/heap.h"

static struct heap heap;

static int setup(void **state)
{
    (void)state;
    heap_init(&heap, (size_t)64 << 20, 5);
    heap_mem(&heap, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    heap_fini(&heap);
    return 0;
}

static void splits_keep_the_count(void **state)
{
    (void)state;
    struct txq q = {0};
    assert_int_equal(0, txq_push(&q, heap.mem, &heap.env, seq_of(1), seq_of(10001), 10, 5));
    assert_int_equal(10, txq_inflight(&q));
    assert_int_equal(0, txq_split(&q, heap.mem, &heap.env, 0, seq_of(3001), 1000));
    assert_int_equal(0, txq_split(&q, heap.mem, &heap.env, 1, seq_of(4001), 1000));
    assert_int_equal(3, q.n);
    assert_int_equal(10, q.out);
    txq_set(&q, txq_at(&q, 1), TXR_SACKED);
    txq_set(&q, txq_at(&q, 0), TXR_LOST);
    assert_int_equal(6, txq_inflight(&q));
    txq_clear(&q, txq_at(&q, 0), TXR_LOST);
    txq_set(&q, txq_at(&q, 0), TXR_RETRANS);
    assert_int_equal(9, txq_inflight(&q));
    assert_null(txq_check(&q));
    assert_int_equal(1, txq_find(&q, seq_of(3001)));
    assert_int_equal(0, txq_find(&q, seq_of(3000)));
    assert_int_equal(3, txq_find(&q, seq_of(10001)));
    txq_pop(&q);
    txq_trim(&q, seq_of(3501), 1);
    assert_null(txq_check(&q));
    txq_fini(&q, heap.mem);
    heap_check_empty(&heap);
}

/* SACK Panic's class: tiny segments without end meet a bound, not the memory. */
static void is_bounded(void **state)
{
    (void)state;
    struct txq q = {0};
    uint32_t n = 0;
    while (txq_has_room(&q)) {
        assert_int_equal(0,
                         txq_push(&q, heap.mem, &heap.env, seq_of(n * 2), seq_of(n * 2 + 2), 1, n));
        n++;
    }
    assert_in_range(n, 6000, 7000);
    uint32_t splits = 0;
    while (txq_split(&q, heap.mem, &heap.env, splits * 2, seq_of(splits * 2 + 1), 1) == 0) {
        splits++;
    }
    assert_in_range(splits, 1, 64);
    assert_null(txq_check(&q));
    for (uint32_t i = 0; i < 3000; i++) {
        txq_pop(&q);
    }
    assert_true(txq_has_room(&q));
    seq end = txq_at(&q, q.n - 1)->to;
    assert_int_equal(0, txq_push(&q, heap.mem, &heap.env, end, seq_add(end, 1), 1, 0));
    assert_null(txq_check(&q));
    txq_fini(&q, heap.mem);
    heap_check_empty(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(splits_keep_the_count, setup, teardown),
        cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
