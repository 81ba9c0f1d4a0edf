/* tcp_rtt_test.c - RFC 6298 by hand, and Linux's floor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_rtt.h"

static void sample(struct tcp_rtt *r, nsec rtt)
{
    tcp_rtt_sample(r, rtt, seq_of(0), seq_of(1), 200 * MSEC, 120 * SEC);
}

/* RFC 6298 2.1, 2.2: one second before, SRTT = R and RTTVAR = R/2 after the first sample. */
static void first_sample(void **state)
{
    (void)state;
    struct tcp_rtt r;
    tcp_rtt_init(&r);
    assert_int_equal(1 * SEC, r.rto);
    sample(&r, 300 * MSEC);
    assert_int_equal(300 * MSEC, r.srtt);
    assert_int_equal(900 * MSEC, r.rto);
    assert_int_equal(300 * MSEC, r.min);
}

/* Linux, not RFC: SRTT + 200 ms at least. */
static void floor_of_variance(void **state)
{
    (void)state;
    struct tcp_rtt r;
    tcp_rtt_init(&r);
    for (int i = 0; i < 200; i++) {
        sample(&r, 10 * MSEC);
    }
    assert_int_equal(10 * MSEC, r.srtt);
    assert_int_equal(210 * MSEC, r.rto);
}

/* RFC 6298 2.3: SRTT moves an eighth of the way. */
static void follows_slowly(void **state)
{
    (void)state;
    struct tcp_rtt r;
    tcp_rtt_init(&r);
    sample(&r, 100 * MSEC);
    sample(&r, 180 * MSEC);
    assert_int_equal(110 * MSEC, r.srtt);
    assert_true(r.rto > 310 * MSEC);
    assert_int_equal(100 * MSEC, r.min);
}

static void bounded_above(void **state)
{
    (void)state;
    struct tcp_rtt r;
    tcp_rtt_init(&r);
    sample(&r, 100 * SEC);
    assert_int_equal(120 * SEC, r.rto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_sample),
        cmocka_unit_test(floor_of_variance),
        cmocka_unit_test(follows_slowly),
        cmocka_unit_test(bounded_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
