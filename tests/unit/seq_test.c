/* seq.h, be.h, nsec.h: small values. */
#include "core/seq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/be.h"
#include "core/nsec.h"

/* RFC 9293 3.4: order is modulo 2^32, for positions less than 2^31 apart. */
static void test_order(void **state)
{
    (void)state;
    static const uint32_t at[] = {0, 1, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};
    static const uint32_t dist[] = {1, 2, 1000, 0x7ffffffe, 0x7fffffff};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        seq a = seq_of(at[i]);
        assert_true(seq_eq(a, a) && seq_leq(a, a) && seq_geq(a, a));
        assert_false(seq_lt(a, a) || seq_gt(a, a));
        for (size_t k = 0; k < sizeof dist / sizeof *dist; k++) {
            seq b = seq_add(a, dist[k]);
            assert_true(seq_lt(a, b) && seq_leq(a, b) && seq_gt(b, a) && seq_geq(b, a));
            assert_false(seq_lt(b, a) || seq_leq(b, a) || seq_gt(a, b) || seq_geq(a, b));
            assert_false(seq_eq(a, b));
            assert_int_equal(seq_dist(a, b), dist[k]);
            assert_int_equal(seq_diff(a, b), (int32_t)dist[k]);
            assert_int_equal(seq_diff(b, a), -(int32_t)dist[k]);
            assert_true(seq_eq(seq_sub(b, dist[k]), a));
            assert_true(seq_eq(seq_max(a, b), b) && seq_eq(seq_max(b, a), b));
            assert_true(seq_eq(seq_min(a, b), a) && seq_eq(seq_min(b, a), a));
        }
    }
}

static void test_in(void **state)
{
    (void)state;
    seq from = seq_of(0xfffffffe);
    assert_false(seq_in(seq_of(0xfffffffd), from, 4));
    assert_true(seq_in(seq_of(0xfffffffe), from, 4));
    assert_true(seq_in(seq_of(1), from, 4));
    assert_false(seq_in(seq_of(2), from, 4));
    assert_false(seq_in(from, from, 0));
}

static void test_be(void **state)
{
    (void)state;
    be16 s = be16_of(0xfe01);
    be32 l = be32_of(0xfedcba98);
    assert_memory_equal(s.b, "\xfe\x01", 2);
    assert_memory_equal(l.b, "\xfe\xdc\xba\x98", 4);
    assert_int_equal(be16_get(s), 0xfe01);
    assert_int_equal(be32_get(l), 0xfedcba98);
    assert_int_equal(sizeof(struct {
                         uint8_t a;
                         be32 b;
                         be16 c;
                     }),
                     7);
}

static void test_nsec(void **state)
{
    (void)state;
    assert_true(SEC == 1000 * MSEC && MSEC == 1000 * USEC);
    assert_true(nsec_add(3, 4) == 7);
    assert_true(nsec_add(3, -4) == -1);
    assert_true(nsec_add(5, NEVER) == NEVER);
    assert_true(nsec_add(0, NEVER) == NEVER);
    assert_true(nsec_add(NEVER, 5) == NEVER);
    assert_true(nsec_add(NEVER, 0) == NEVER);
    assert_true(nsec_add(NEVER, NEVER) == NEVER);
    assert_true(nsec_add(NEVER - 10, 9) == NEVER - 1);
    assert_true(nsec_add(NEVER - 10, 11) == NEVER);
    assert_true(nsec_min(1, NEVER) == 1 && nsec_max(1, NEVER) == NEVER);
    assert_true(nsec_min(-1, 1) == -1 && nsec_max(-1, 1) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_in),
        cmocka_unit_test(test_be),
        cmocka_unit_test(test_nsec),
    };
    return cmocka_run_group_tests_name("seq", tests, NULL, NULL);
}
