/* tcp_cubic_test.c - CUBIC and its ways out of slow start against RFC 9438 and RFC 9406. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cc.h"

#define C    0.4
#define BETA 0.7

struct flow {
    struct tcp_cc cc;
    nsec now;
    nsec rtt;
    seq una;
};

static struct flow flow(uint8_t hystart, nsec rtt)
{
    struct flow f = {.now = 1000 * SEC, .rtt = rtt};
    struct cc_setup how = {.now = f.now, .cwnd = 10, .hystart = hystart};
    tcp_cc_init(&f.cc, CC_CUBIC, &how);
    return f;
}

/* One ACK for n segments, its sample being rtt. */
static void acked(struct flow *f, uint32_t n, nsec rtt)
{
    f->una = seq_add(f->una, n);
    struct cc_ack a = {
        .now = f->now,
        .acked = n,
        .una = f->una,
        .nxt = seq_add(f->una, f->cc.cwnd),
        .rtt = rtt,
        .srtt = rtt,
    };
    tcp_cubic.on_sample(&f->cc, &a);
    tcp_cubic.on_ack(&f->cc, &a);
}

/* One round trip in which every second segment is acknowledged. */
static void round_trip(struct flow *f)
{
    uint32_t w = f->cc.cwnd;
    for (uint32_t sent = 0; sent < w; sent += 2) {
        uint32_t n = w - sent < 2 ? 1 : 2;
        f->now += f->rtt * n / w;
        acked(f, n, f->rtt);
    }
}

static void lose(struct flow *f)
{
    f->cc.ssthresh = f->cc.cwnd = tcp_cubic.on_loss(&f->cc);
    f->cc.cwnd_cnt = 0;
}

static void within(double got, double want, double part, const char *what, int round)
{
    if (fabs(got - want) > part * want) {
        fail_msg("%s, round %d: window %.0f, expected %.1f", what, round, got, want);
    }
}

/* RFC 9438 4.2 over several epochs: windows from 100 to 10000 and round trips from 20 to 300 ms,
 * where CUBIC is above Reno. */
static void curve(void **state)
{
    (void)state;
    static const struct {
        uint32_t w_max;
        nsec rtt;
    } cases[] = {{400, 100 * MSEC}, {1000, 100 * MSEC}, {1000, 300 * MSEC},
                 {5000, 50 * MSEC}, {10000, 20 * MSEC}, {10000, 200 * MSEC}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flow f = flow(HYSTART_LINUX, cases[i].rtt);
        f.cc.cwnd = cases[i].w_max;
        for (int epoch = 0; epoch < 3; epoch++) {
            double w_max = f.cc.cwnd;
            lose(&f);
            double k = cbrt(w_max * (1 - BETA) / C);
            double rtt = (double)f.rtt / 1e9;
            nsec start = f.now;
            /* as far as a second beyond the plateau */
            int rounds = (int)((k + 1) / rtt);
            for (int n = 0; n < rounds; n++) {
                round_trip(&f);
                double t = (double)(f.now - start) / 1e9;
                if (n > 2) {
                    within(f.cc.cwnd, C * pow(t + rtt - k, 3) + w_max, 0.05, "curve", n);
                }
            }
        }
    }
}

/* RFC 9438 4.3: on a short path the window is that of an AIMD flow with alpha 0.529, and with 1
 * from cwnd_prior on. */
static void reno_friendly(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 5 * MSEC);
    f.cc.cwnd = 40;
    lose(&f);
    assert_int_equal(28, f.cc.cwnd);
    int rounds = 0;
    while (f.cc.cwnd < 40 && rounds < 100) {
        round_trip(&f);
        rounds++;
    }
    within(rounds, 12 / 0.529, 0.15, "rounds to W_max", rounds);
    uint32_t before = f.cc.cwnd;
    for (int n = 0; n < 20; n++) {
        round_trip(&f);
    }
    within(f.cc.cwnd - before, 20, 0.15, "one segment each round trip", 20);
}

/* RFC 9438 4.7: a loss below W_max gives up a part of it. */
static void fast_convergence(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 100 * MSEC);
    f.cc.cwnd = 1000;
    lose(&f);
    assert_int_equal(1000, f.cc.u.cubic.ep.w_max);
    lose(&f); /* at 700 */
    within(f.cc.u.cubic.ep.w_max, 700 * (1 + BETA) / 2, 0.01, "W_max", 0);
    assert_int_equal(490, f.cc.cwnd);
}

/* RFC 9438 4.6: never less than two segments. */
static void floor_of_two(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 100 * MSEC);
    f.cc.cwnd = 2;
    assert_int_equal(2, tcp_cubic.on_loss(&f.cc));
    f.cc.cwnd = 1;
    assert_int_equal(2, tcp_cubic.on_loss(&f.cc));
}

/* RFC 9438 4.8: after a timeout the curve begins flat where congestion avoidance does. */
static void timeout_forgets_plateau(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_OFF, 100 * MSEC);
    f.cc.cwnd = 1000;
    f.cc.ssthresh = tcp_cubic.on_loss(&f.cc);
    tcp_cubic.on_rto(&f.cc);
    f.cc.cwnd = 1;
    assert_int_equal(700, f.cc.ssthresh);
    for (int n = 0; n < 30 && f.cc.cwnd < 700; n++) {
        round_trip(&f);
    }
    round_trip(&f);
    assert_true(f.cc.u.cubic.ep.on);
    assert_int_equal(0, f.cc.u.cubic.ep.k_ms);
    assert_in_range(f.cc.u.cubic.ep.origin, 700, 701);
}

/* RFC 9438 4.9.2: W_max, K and the epoch come back after a spurious reduction. */
static void undo_restores_curve(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 100 * MSEC);
    f.cc.cwnd = 1000;
    lose(&f);
    for (int n = 0; n < 20; n++) {
        round_trip(&f);
    }
    struct cubic_epoch before = f.cc.u.cubic.ep;
    tcp_cubic.on_loss(&f.cc);
    assert_false(f.cc.u.cubic.ep.on);
    tcp_cubic.on_undo(&f.cc);
    assert_memory_equal(&before, &f.cc.u.cubic.ep, sizeof before);
}

/* RFC 9438 4.2: the time a flow is idle is not time on the curve. */
static void idle_time_does_not_count(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 100 * MSEC);
    f.cc.cwnd = 1000;
    lose(&f);
    for (int n = 0; n < 60; n++) {
        round_trip(&f);
    }
    struct flow g = f;
    round_trip(&f);
    g.now += 600 * SEC;
    tcp_cubic.on_restart(&g.cc, &(struct tcp_rate){0}, 600 * SEC, g.now);
    round_trip(&g);
    assert_in_range(g.cc.cwnd, f.cc.cwnd - 1, f.cc.cwnd + 1);
}

/* RFC 9438 4.2: at most half a window more each round trip, however far the curve is. */
static void growth_is_bounded(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_OFF, 100 * MSEC);
    f.cc.cwnd = 1000;
    lose(&f);
    round_trip(&f);
    f.now += 100 * SEC; /* far up the convex part */
    uint32_t before = f.cc.cwnd;
    round_trip(&f);
    assert_in_range(f.cc.cwnd, before + 1, before + before / 2 + 2);
}

/* Sends rounds of slow start; in each of them every ACK has the same delay. Returns the window
 * at the end. */
static uint32_t slow_start(struct flow *f, int rounds, nsec rtt)
{
    f->rtt = rtt;
    for (int n = 0; n < rounds && tcp_cc_in_slow_start(&f->cc); n++) {
        uint32_t w = f->cc.cwnd;
        for (uint32_t i = 0; i < w; i++) {
            f->now += rtt / w > 3 * MSEC ? rtt / w : 3 * MSEC; /* no ACK train */
            acked(f, 1, rtt);
        }
    }
    return f->cc.cwnd;
}

/* Linux's HyStart: a rise of an eighth, at least 4 ms, ends slow start. */
static void hystart_delay(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 20 * MSEC);
    slow_start(&f, 3, 20 * MSEC);
    slow_start(&f, 1, 23 * MSEC);
    assert_true(tcp_cc_in_slow_start(&f.cc)); /* 3 ms are not enough */
    slow_start(&f, 1, 25 * MSEC);
    assert_false(tcp_cc_in_slow_start(&f.cc));
    f = flow(HYSTART_LINUX, 200 * MSEC);
    slow_start(&f, 3, 200 * MSEC);
    slow_start(&f, 1, 217 * MSEC); /* 16 ms are, however long the path */
    assert_false(tcp_cc_in_slow_start(&f.cc));
}

/* Linux's HyStart: ACKs without a gap for half the delay. */
static void hystart_train(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_LINUX, 100 * MSEC);
    slow_start(&f, 3, 100 * MSEC);
    assert_true(tcp_cc_in_slow_start(&f.cc));
    for (int i = 0; i < 150 && tcp_cc_in_slow_start(&f.cc); i++) {
        f.now += MSEC;
        acked(&f, 1, 100 * MSEC);
    }
    assert_false(tcp_cc_in_slow_start(&f.cc));
}

static void hystart_off(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_OFF, 20 * MSEC);
    slow_start(&f, 3, 20 * MSEC);
    slow_start(&f, 2, 90 * MSEC);
    assert_int_equal(10 << 5, f.cc.cwnd);
}

/* RFC 9406 4.2: a rise begins Conservative Slow Start, which grows by a quarter. */
static void css_grows_by_a_quarter(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_PP, 100 * MSEC);
    assert_int_equal(80, slow_start(&f, 3, 100 * MSEC));
    slow_start(&f, 1, 113 * MSEC); /* noticed with its eighth sample */
    assert_int_equal(1, f.cc.u.cubic.hy.css_rounds);
    assert_in_range(f.cc.cwnd, 80 + 7 + 73 / 4, 80 + 8 + 73 / 4);
    uint32_t w = f.cc.cwnd;
    slow_start(&f, 1, 113 * MSEC);
    assert_in_range(f.cc.cwnd, w + w / 4 - 1, w + w / 4 + 1);
    assert_true(tcp_cc_in_slow_start(&f.cc));
}

/* RFC 9406 4.2: the delay fell below what it was when Conservative Slow Start began. */
static void css_goes_back(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_PP, 100 * MSEC);
    slow_start(&f, 3, 100 * MSEC);
    slow_start(&f, 1, 113 * MSEC);
    slow_start(&f, 1, 105 * MSEC);
    assert_int_equal(0, f.cc.u.cubic.hy.css_rounds);
    uint32_t w = f.cc.cwnd;
    assert_int_equal(2 * w, slow_start(&f, 1, 105 * MSEC));
}

/* RFC 9406 4.2: after CSS_ROUNDS = 5 rounds of it slow start is over. */
static void css_ends_after_five_rounds(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_PP, 100 * MSEC);
    slow_start(&f, 3, 100 * MSEC);
    slow_start(&f, 1, 113 * MSEC); /* part of a round counts as one */
    slow_start(&f, 4, 113 * MSEC);
    assert_true(tcp_cc_in_slow_start(&f.cc));
    slow_start(&f, 1, 113 * MSEC);
    assert_false(tcp_cc_in_slow_start(&f.cc));
    assert_in_range(f.cc.ssthresh, f.cc.cwnd - 15, f.cc.cwnd);
}

/* RFC 9406 4.3: without pacing an ACK counts for at most L = 8 segments. */
static void stretch_acks_count_for_eight(void **state)
{
    (void)state;
    struct flow f = flow(HYSTART_PP, 100 * MSEC);
    acked(&f, 10, 100 * MSEC);
    assert_int_equal(18, f.cc.cwnd);
    f = flow(HYSTART_PP, 100 * MSEC);
    f.cc.paced = true;
    acked(&f, 10, 100 * MSEC);
    assert_int_equal(20, f.cc.cwnd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curve),
        cmocka_unit_test(reno_friendly),
        cmocka_unit_test(fast_convergence),
        cmocka_unit_test(floor_of_two),
        cmocka_unit_test(timeout_forgets_plateau),
        cmocka_unit_test(undo_restores_curve),
        cmocka_unit_test(idle_time_does_not_count),
        cmocka_unit_test(growth_is_bounded),
        cmocka_unit_test(hystart_delay),
        cmocka_unit_test(hystart_train),
        cmocka_unit_test(hystart_off),
        cmocka_unit_test(css_grows_by_a_quarter),
        cmocka_unit_test(css_goes_back),
        cmocka_unit_test(css_ends_after_five_rounds),
        cmocka_unit_test(stretch_acks_count_for_eight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
