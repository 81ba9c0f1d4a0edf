/*
 * tcp_start_test.c - slow start and fairness of whole stacks over a bottleneck, in virtual time:
 * what HyStart and HyStart++ save, and whether flows of Reno and CUBIC share. RFC 9406, RFC 9438
 * 5.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "tests/lib/bulk.h"

#define RATE 6250000u /* 50 Mb/s */
#define GOOD (RATE * 1448.0 / 1500)

static int hystart;

static void tune(struct stack_config *cfg)
{
    cfg->knobs.user_hystart = hystart;
}

static struct bulk *path(int mode, uint32_t queue)
{
    hystart = mode;
    struct bulk *b = bulk_new(11, 0, tune);
    b->rig->host[0].out = (struct rig_wire){.delay = 20 * MSEC, .rate = RATE, .queue = queue};
    b->rig->host[1].out = (struct rig_wire){.delay = 20 * MSEC};
    return b;
}

struct start {
    uint64_t lost; /* packets, in the first second */
    double rate;   /* bytes per second, in the second one */
    uint32_t ssthresh;
};

static struct start start(int mode)
{
    struct bulk *b = path(mode, RATE / 25);
    double rate[BULK_FLOWS];
    struct start s;

    bulk_open(b, 0, "cubic");
    bulk_run(b, SEC);
    s.lost = b->rig->host[0].lost;
    s.ssthresh = tcp_of(b->flow[0].out)->cc.ssthresh;
    bulk_measure(b, SEC, rate);
    s.rate = rate[0];
    bulk_free(b);
    return s;
}

/* Without it slow start ends with the loss of about a window. */
static void slow_start_overflows(void **state)
{
    (void)state;
    assert_true(start(HYSTART_OFF).lost > 100);
}

/* Linux's HyStart leaves before, and the path is used all the same. */
static void hystart_saves(void **state)
{
    (void)state;
    struct start s = start(HYSTART_LINUX);
    assert_int_equal(0, s.lost);
    assert_true(s.ssthresh < CWND_INFINITE);
    assert_true(s.rate > GOOD * 0.8);
}

/* HyStart++ loses less, too. It asks for a rise that lasts, and so leaves later than Linux's does
 * where the bursts of slow start make a queue that goes again. RFC 9406 4.2 */
static void hystart_pp_saves(void **state)
{
    (void)state;
    struct start s = start(HYSTART_PP);
    assert_true(s.lost < start(HYSTART_OFF).lost * 2 / 3);
    assert_true(s.ssthresh < CWND_INFINITE);
    assert_true(s.rate > GOOD * 0.8);
}

static void share(const char *cc, unsigned n)
{
    struct bulk *b = path(HYSTART_LINUX, RATE / 25);
    double rate[BULK_FLOWS], sum = 0;

    for (unsigned i = 0; i < n; i++) {
        bulk_open(b, i, cc);
        bulk_run(b, 100 * MSEC);
    }
    bulk_run(b, 10 * SEC);
    bulk_measure(b, 60 * SEC, rate);
    for (unsigned i = 0; i < n; i++) {
        sum += rate[i];
    }
    if (bulk_fairness(rate, n) < 0.95 || sum < GOOD * 0.95) {
        fail_msg("%u of %s: Jain %.3f, %.1f %% of the rate", n, cc, bulk_fairness(rate, n),
                 sum / GOOD * 100);
    }
    bulk_free(b);
}

/* RFC 9438 3.3, 5.8: flows of one kind share the bottleneck. */
static void cubic_shares(void **state)
{
    (void)state;
    share("cubic", 2);
    share("cubic", 8);
}

static void reno_shares(void **state)
{
    (void)state;
    share("reno", 2);
    share("reno", 8);
}

/* RFC 9438 5.1: where Reno is good, CUBIC takes about what Reno does. */
static void cubic_is_fair_to_reno(void **state)
{
    (void)state;
    struct bulk *b = bulk_new(5, 0, NULL);
    double rate[BULK_FLOWS];
    b->rig->host[0].out = (struct rig_wire){.delay = 5 * MSEC, .rate = RATE / 5, .queue = 15000};
    b->rig->host[1].out = (struct rig_wire){.delay = 5 * MSEC};
    bulk_open(b, 0, "cubic");
    bulk_open(b, 1, "reno");
    bulk_run(b, 10 * SEC);
    bulk_measure(b, 60 * SEC, rate);
    assert_true(rate[0] < 2 * rate[1]);
    assert_true(rate[1] < 2 * rate[0]);
    bulk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_start_overflows), cmocka_unit_test(hystart_saves),
        cmocka_unit_test(hystart_pp_saves),     cmocka_unit_test(cubic_shares),
        cmocka_unit_test(reno_shares),          cmocka_unit_test(cubic_is_fair_to_reno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
