/*
 * tcp_marks_test.c - a bottleneck that marks instead of dropping: DCTCP keeps the queue at the
 * marking threshold, CUBIC with ECN loses nothing. RFC 8257, RFC 3168.
 *
 * 100 Mb/s and a round trip of 4 ms; 50 kB are one product; marked from 30 kB on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "tests/lib/bulk.h"

#define RATE 12500000u
#define MARK 30000u
#define GOOD (RATE * 1448.0 / 1500)

static void with_ecn(struct stack_config *cfg)
{
    cfg->knobs.tcp_ecn = 1;
}

static void without_ecn(struct stack_config *cfg)
{
    cfg->knobs.tcp_ecn = 0;
}

static int dctcp;

static void dctcp_everywhere(struct stack_config *cfg)
{
    with_ecn(cfg);
    cfg->knobs.tcp_congestion_control = dctcp;
}

static struct bulk *path(void (*tune)(struct stack_config *cfg))
{
    dctcp = CC_DCTCP;
    struct bulk *b = bulk_new(3, 0, tune);
    b->rig->host[0].out =
        (struct rig_wire){.delay = 2 * MSEC, .rate = RATE, .queue = 400000, .mark = MARK};
    b->rig->host[1].out = (struct rig_wire){.delay = 2 * MSEC};
    return b;
}

/* The mean and the largest queue of two seconds. */
static double queue(struct bulk *b, double *most)
{
    double sum = 0;
    *most = 0;
    for (int i = 0; i < 4000; i++) {
        bulk_run(b, SEC / 2000);
        double q = bulk_queue(b);
        sum += q / 4000;
        *most = q > *most ? q : *most;
    }
    return sum;
}

/* RFC 8257 1: full rate, and a queue around the threshold. */
static void dctcp_keeps_the_queue_short(void **state)
{
    (void)state;
    struct bulk *b = path(dctcp_everywhere);
    double rate[BULK_FLOWS], most;
    bulk_open(b, 0, NULL);
    bulk_run(b, SEC);
    double mean = queue(b, &most);
    bulk_measure(b, SEC, rate);
    if (rate[0] < GOOD * 0.95 || mean > 1.2 * MARK || most > 3.0 * MARK) {
        fail_msg("%.2f of the rate, queue %.0f, at most %.0f", rate[0] / GOOD, mean, most);
    }
    uint16_t alpha = tcp_of(b->flow[0].out)->cc.u.dctcp.alpha;
    assert_in_range(alpha, 10, 700); /* some are marked, not all */
    assert_int_equal(0, b->rig->host[0].lost);
    bulk_free(b);
}

static void dctcp_shares(void **state)
{
    (void)state;
    struct bulk *b = path(dctcp_everywhere);
    double rate[BULK_FLOWS];
    for (unsigned i = 0; i < 4; i++) {
        bulk_open(b, i, NULL);
        bulk_run(b, 100 * MSEC);
    }
    bulk_run(b, 2 * SEC);
    bulk_measure(b, 10 * SEC, rate);
    assert_true(bulk_fairness(rate, 4) > 0.95);
    assert_int_equal(0, b->rig->host[0].lost);
    bulk_free(b);
}

/* RFC 3168 6.1.2: a mark is answered as a loss is, and nothing need be lost. */
static void cubic_answers_marks(void **state)
{
    (void)state;
    struct bulk *b = path(with_ecn);
    double rate[BULK_FLOWS], most;
    bulk_open(b, 0, "cubic");
    bulk_run(b, SEC);
    double mean = queue(b, &most);
    bulk_measure(b, SEC, rate);
    assert_int_equal(0, b->rig->host[0].lost);
    assert_true(b->rig->host[0].marked > 0);
    assert_true(mean < 1.5 * MARK);
    assert_true(rate[0] > GOOD * 0.85);
    bulk_free(b);
}

/* Nobody marks what did not ask for it; then the queue grows. RFC 3168 5 */
static void no_marks_without_ecn(void **state)
{
    (void)state;
    struct bulk *b = path(without_ecn);
    double most;
    bulk_open(b, 0, "cubic");
    bulk_run(b, 3 * SEC);
    assert_true(queue(b, &most) > 1.5 * MARK);
    assert_int_equal(0, b->rig->host[0].marked);
    bulk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dctcp_keeps_the_queue_short),
        cmocka_unit_test(dctcp_shares),
        cmocka_unit_test(cubic_answers_marks),
        cmocka_unit_test(no_marks_without_ecn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
