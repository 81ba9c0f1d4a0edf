/*
 * tcp_bbr_test.c - BBR over a bottleneck in virtual time. draft-ietf-ccwg-bbr.
 *
 * 10 Mb/s and a round trip of 40 ms unless a test says otherwise: 50 kB, 35 segments are one
 * bandwidth-delay product.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "tests/lib/bulk.h"

#define RATE 1250000u
#define BDP  50000.0
#define GOOD (RATE * 1448.0 / 1500) /* payload at full rate */

static struct bulk *path(uint32_t queue, uint32_t loss)
{
    struct bulk *b = bulk_new(7, 0, NULL);
    b->rig->host[0].out =
        (struct rig_wire){.delay = 20 * MSEC, .rate = RATE, .queue = queue, .loss = loss};
    b->rig->host[1].out = (struct rig_wire){.delay = 20 * MSEC};
    return b;
}

static struct tcp *sender(struct bulk *b, unsigned i)
{
    return tcp_of(b->flow[i].out);
}

static const struct bbr *bbr(struct bulk *b)
{
    return &sender(b, 0)->cc.u.bbr;
}

static void at_least(double got, double want, const char *what)
{
    if (got < want) {
        fail_msg("%s: %.0f, at least %.0f", what, got, want);
    }
}

static void at_most(double got, double want, const char *what)
{
    if (got > want) {
        fail_msg("%s: %.0f, at most %.0f", what, got, want);
    }
}

/* The largest share of losses among what the wire was given. */
static double lost_share(const struct bulk *b)
{
    return (double)b->rig->host[0].lost / (double)b->rig->host[0].sent;
}

/* Runs until the state is reached; fails after `limit`. */
static void until(struct bulk *b, enum bbr_state state, nsec limit)
{
    nsec end = b->rig->now + limit;
    while (bbr(b)->state != state) {
        if (b->rig->now >= end) {
            fail_msg("state %d not reached, still %d", (int)state, bbr(b)->state);
        }
        bulk_run(b, MSEC);
    }
}

/* 5.3.1, 5.3.2: Startup finds the bandwidth within half a second, Drain takes the queue away. */
static void startup_finds_the_bandwidth(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    bulk_open(b, 0, "bbr");
    assert_int_equal(BBR_STARTUP, bbr(b)->state);
    until(b, BBR_DRAIN, SEC / 2);
    at_least(bulk_queue(b), BDP / 2, "queue after Startup");
    assert_true(bbr(b)->full_bw_reached);
    until(b, BBR_PROBE_BW_CRUISE, SEC / 2);
    at_most(bulk_queue(b), BDP / 4, "queue after Drain");
    at_least((double)bbr_max_bw(bbr(b)), GOOD * 0.95, "max_bw");
    at_most((double)bbr_max_bw(bbr(b)), GOOD * 1.05, "max_bw");
    bulk_free(b);
}

/* The whole rate with hardly any queue. */
static void full_rate_small_queue(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS], queue = 0;
    bulk_open(b, 0, "bbr");
    bulk_run(b, 2 * SEC);
    bulk_measure(b, 3 * SEC - 100 * MSEC, rate);
    at_least(rate[0], GOOD * 0.96, "goodput");
    for (int i = 0; i < 2000; i++) {
        bulk_run(b, 5 * MSEC);
        queue += bulk_queue(b) / 2000;
    }
    at_most(queue, BDP / 2, "mean queue of ten seconds");
    assert_int_equal(0, b->rig->host[0].lost);
    bulk_free(b);
}

/* CUBIC on the same path fills the queue: what BBR is for. */
static void cubic_fills_the_queue(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double queue = 0;
    bulk_open(b, 0, "cubic");
    bulk_run(b, 5 * SEC);
    for (int i = 0; i < 1000; i++) {
        bulk_run(b, 5 * MSEC);
        queue += bulk_queue(b) / 1000;
    }
    at_least(queue, BDP, "mean queue of CUBIC");
    bulk_free(b);
}

/* 5.3.4: five seconds without a smaller round trip, then at most half a product in flight for 200
 * ms; afterwards the window is what it was. */
static void probe_rtt_dips(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    bulk_open(b, 0, "bbr");
    bulk_run(b, 4 * SEC);
    uint32_t cwnd = sender(b, 0)->cc.cwnd;
    nsec from = b->rig->now;
    until(b, BBR_PROBE_RTT, 3 * SEC);
    assert_in_range(b->rig->now - from, SEC / 2, 2 * SEC);
    from = b->rig->now;
    bulk_run(b, 100 * MSEC);
    assert_int_equal(BBR_PROBE_RTT, bbr(b)->state);
    at_most(tcp_inflight(sender(b, 0)), BDP / 2 / 1448 + 2, "in flight in ProbeRTT");
    until(b, BBR_PROBE_BW_CRUISE, SEC);
    assert_in_range((b->rig->now - from) / MSEC, 200, 400);
    assert_int_equal(cwnd, sender(b, 0)->cc.cwnd);
    bulk_free(b);
}

/* 5.3.3: Down, Cruise, Refill, Up, Down; the next probe after 2 to 3 seconds, or 35 rounds. */
static void probe_bw_cycle(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    bulk_open(b, 0, "bbr");
    until(b, BBR_PROBE_BW_CRUISE, SEC);
    nsec from = b->rig->now;
    until(b, BBR_PROBE_BW_REFILL, 4 * SEC);
    assert_in_range((b->rig->now - from) / MSEC, 1300, 3000);
    from = b->rig->now;
    until(b, BBR_PROBE_BW_UP, SEC);
    assert_in_range((b->rig->now - from) / MSEC, 35, 60); /* one round */
    until(b, BBR_PROBE_BW_DOWN, SEC);
    until(b, BBR_PROBE_BW_CRUISE, 2 * SEC);
    bulk_free(b);
}

/* 5.3.3.6: a queue of ten packets; inflight_longterm learns it, and few are lost. */
static void shallow_queue(void **state)
{
    (void)state;
    struct bulk *b = path(15000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, SEC);
    bulk_measure(b, 20 * SEC, rate);
    at_least(rate[0], GOOD * 0.9, "goodput");
    at_most(lost_share(b) * 1e6, 15000, "losses per million");
    assert_in_range(bbr(b)->inflight_longterm, 35, 60);
    bulk_free(b);
}

/* Losses below 2 % that are no congestion cost little; CUBIC takes them for it. */
static void random_loss(void **state)
{
    (void)state;
    double bbr_rate[BULK_FLOWS], cubic_rate[BULK_FLOWS];
    struct bulk *b = path(100000, 5000);
    bulk_open(b, 0, "bbr");
    bulk_measure(b, 30 * SEC, bbr_rate);
    bulk_free(b);
    b = path(100000, 5000);
    bulk_open(b, 0, "cubic");
    bulk_measure(b, 30 * SEC, cubic_rate);
    bulk_free(b);
    at_least(bbr_rate[0], GOOD * 0.85, "goodput at 0.5 % loss");
    at_least(bbr_rate[0], cubic_rate[0] * 1.2, "against CUBIC");
}

/* Ten per cent are more than 2 %: it gives way, but lives. */
static void heavy_loss(void **state)
{
    (void)state;
    double rate[BULK_FLOWS];
    struct bulk *b = path(100000, 100000);
    bulk_open(b, 0, "bbr");
    bulk_measure(b, 30 * SEC, rate);
    at_least(rate[0], GOOD * 0.02, "goodput at 10 % loss");
    at_most(rate[0], GOOD * 0.7, "goodput at 10 % loss");
    bulk_free(b);
}

static void fair(unsigned n, uint32_t queue, double least)
{
    struct bulk *b = path(queue, 0);
    double rate[BULK_FLOWS], sum = 0;
    for (unsigned i = 0; i < n; i++) {
        bulk_open(b, i, "bbr");
        bulk_run(b, 300 * MSEC);
    }
    bulk_run(b, 10 * SEC);
    bulk_measure(b, 20 * SEC, rate);
    for (unsigned i = 0; i < n; i++) {
        sum += rate[i];
    }
    at_least(sum, GOOD * 0.93, "all together");
    at_least(bulk_fairness(rate, n) * 1000, least * 1000, "Jain's index, per mille");
    bulk_free(b);
}

static void flows_share(void **state)
{
    (void)state;
    fair(2, 100000, 0.95);
    fair(4, 150000, 0.9);
}

/* Beside CUBIC neither starves. */
static void beside_cubic(void **state)
{
    (void)state;
    struct bulk *b = path(100000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_open(b, 1, "cubic");
    bulk_run(b, 10 * SEC);
    bulk_measure(b, 30 * SEC, rate);
    at_least(rate[0], GOOD * 0.25, "BBR");
    at_least(rate[1], GOOD * 0.25, "CUBIC");
    bulk_free(b);
}

/* The path becomes four times as fast: probing finds it. */
static void faster_path(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, 3 * SEC);
    b->rig->host[0].out.rate = 4 * RATE;
    bulk_run(b, 15 * SEC);
    bulk_measure(b, SEC, rate);
    at_least(rate[0], 4 * GOOD * 0.8, "goodput after 15 s");
    bulk_free(b);
}

/* The path becomes four times as slow without losing anything: max_bw is as old as two cycles. */
static void slower_path(void **state)
{
    (void)state;
    struct bulk *b = path(400000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, 3 * SEC);
    b->rig->host[0].out.rate = RATE / 4;
    bulk_run(b, 20 * SEC);
    bulk_measure(b, 4 * SEC, rate);
    at_least(rate[0], GOOD / 4 * 0.9, "goodput");
    at_most((double)bbr_max_bw(bbr(b)), GOOD / 4 * 1.2, "max_bw");
    bulk_free(b);
}

/* The path becomes longer: after ten seconds the old round trip is forgotten (5.5.7). */
static void longer_path(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, 3 * SEC);
    b->rig->host[0].out.delay = 100 * MSEC;
    bulk_run(b, 14 * SEC);
    assert_in_range(bbr(b)->min_rtt_us, 120000, 130000);
    bulk_run(b, 3 * SEC);
    bulk_measure(b, SEC, rate);
    at_least(rate[0], GOOD * 0.9, "goodput");
    bulk_free(b);
}

/* 5.4.1: a pause makes it forget neither bandwidth nor window, and it sends no burst: it is
 * paced. */
static void restart_after_idle(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, 2 * SEC);
    b->flow[0].paused = true;
    bulk_run(b, 3 * SEC);
    assert_int_equal(0, tcp_of(b->flow[0].out)->fl->tx.n);
    at_least((double)bbr_max_bw(bbr(b)), GOOD * 0.95, "max_bw");
    b->flow[0].paused = false;
    bulk_run(b, 30 * MSEC);
    at_most(bulk_queue(b), 6000, "queue of the restart");
    bulk_run(b, 200 * MSEC);
    bulk_measure(b, SEC, rate);
    at_least(rate[0], GOOD * 0.9, "goodput");
    bulk_free(b);
}

/* A program that sends little does not make the path look slow (app-limited samples). */
static void app_limited(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    bulk_open(b, 0, "bbr");
    bulk_run(b, 2 * SEC);
    b->flow[0].paused = true;
    for (int i = 0; i < 100; i++) {
        struct span v = {(const uint8_t *)"x", 1};
        bulk_run(b, 100 * MSEC);
        assert_int_equal(
            1, sock_send(b->rig->host[0].st, rig_env(b->rig, 0), b->flow[0].out, &v, 1, 0, NULL));
    }
    at_least((double)bbr_max_bw(bbr(b)), GOOD * 0.95, "max_bw after ten seconds of trickle");
    bulk_free(b);
}

/* The wire is cut for three seconds: timeouts, and then the window returns (5.6.4.5). */
static void blackout(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS];
    bulk_open(b, 0, "bbr");
    bulk_run(b, 2 * SEC);
    b->rig->host[0].out.loss = 1000000;
    bulk_run(b, 3 * SEC);
    assert_int_equal(CA_LOSS, sender(b, 0)->ca_state);
    b->rig->host[0].out.loss = 0;
    bulk_run(b, 6 * SEC);
    bulk_measure(b, SEC, rate);
    at_least(rate[0], GOOD * 0.85, "goodput afterwards");
    bulk_free(b);
}

/* TCP_CC_INFO: Linux's struct tcp_bbr_info. */
static void cc_info(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    uint32_t v[16];
    size_t len = sizeof v;
    bulk_open(b, 0, "bbr");
    until(b, BBR_PROBE_BW_CRUISE, SEC);
    assert_int_equal(0, tcp_getopt(b->rig->host[0].st, rig_env(b->rig, 0), b->flow[0].out,
                                   LX_TCP_CC_INFO, v, &len));
    assert_int_equal(20, len);
    assert_in_range(v[0], (uint32_t)(GOOD * 0.95), (uint32_t)(GOOD * 1.05));
    assert_int_equal(0, v[1]);
    assert_in_range(v[2], 40000, 43000);
    assert_int_equal(256, v[3]);
    assert_int_equal(512, v[4]);
    bulk_free(b);
}

/* SO_MAX_PACING_RATE bounds it. */
static void max_pacing_rate(void **state)
{
    (void)state;
    struct bulk *b = path(150000, 0);
    double rate[BULK_FLOWS];
    uint64_t most = 500000;
    bulk_open(b, 0, "bbr");
    bulk_run(b, SEC);
    assert_int_equal(0,
                     sock_setopt(b->rig->host[0].st, rig_env(b->rig, 0), b->flow[0].out,
                                 LX_SOL_SOCKET, LX_SO_MAX_PACING_RATE, &most, sizeof most, false));
    bulk_run(b, SEC);
    bulk_measure(b, 2 * SEC, rate);
    at_most(rate[0], 510000, "goodput");
    at_least(rate[0], 450000, "goodput");
    bulk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(startup_finds_the_bandwidth),
        cmocka_unit_test(full_rate_small_queue),
        cmocka_unit_test(cubic_fills_the_queue),
        cmocka_unit_test(probe_rtt_dips),
        cmocka_unit_test(probe_bw_cycle),
        cmocka_unit_test(shallow_queue),
        cmocka_unit_test(random_loss),
        cmocka_unit_test(heavy_loss),
        cmocka_unit_test(flows_share),
        cmocka_unit_test(beside_cubic),
        cmocka_unit_test(faster_path),
        cmocka_unit_test(slower_path),
        cmocka_unit_test(longer_path),
        cmocka_unit_test(restart_after_idle),
        cmocka_unit_test(app_limited),
        cmocka_unit_test(blackout),
        cmocka_unit_test(cc_info),
        cmocka_unit_test(max_pacing_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
