/* tcp_cc_test.c - Reno and CUBIC against the formulas of RFC 5681 and RFC 9438. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cc.h"

static struct cc_ack ack_of(nsec now, uint32_t n)
{
    return (struct cc_ack){.now = now, .acked = n, .rtt = 100 * MSEC, .srtt = 100 * MSEC};
}

static void start(struct tcp_cc *cc, uint8_t algo)
{
    struct cc_setup how = {.now = SEC, .cwnd = 10, .hystart = HYSTART_LINUX};
    tcp_cc_init(cc, algo, &how);
}

/* RFC 5681 3.1: doubles each round trip up to ssthresh, then one segment each. */
static void reno_grows(void **state)
{
    (void)state;
    struct tcp_cc cc;
    start(&cc, CC_RENO);
    cc.ssthresh = 40;
    struct cc_ack a = ack_of(SEC, 10);
    tcp_reno.on_ack(&cc, &a);
    assert_int_equal(20, cc.cwnd);
    a.acked = 20;
    tcp_reno.on_ack(&cc, &a);
    assert_int_equal(40, cc.cwnd);
    a.acked = 40;
    tcp_reno.on_ack(&cc, &a);
    assert_int_equal(41, cc.cwnd);
    assert_int_equal(20, tcp_reno.on_loss(&cc));
    cc.cwnd = 3;
    assert_int_equal(2, tcp_reno.on_loss(&cc));
}

/* ACK division: a hundred acknowledgments of nothing whole grow nothing (RFC 3465). */
static void reno_counts_segments(void **state)
{
    (void)state;
    struct tcp_cc cc;
    start(&cc, CC_RENO);
    struct cc_ack a = ack_of(SEC, 0);
    for (int i = 0; i < 100; i++) {
        tcp_reno.on_ack(&cc, &a);
    }
    assert_int_equal(10, cc.cwnd);
}

/* RFC 9438 4.6, 4.7: beta, and fast convergence. */
static void cubic_falls(void **state)
{
    (void)state;
    struct tcp_cc cc;
    start(&cc, CC_CUBIC);
    cc.cwnd = 1000;
    assert_int_equal(700, tcp_cubic.on_loss(&cc));
    assert_int_equal(1000, cc.u.cubic.ep.w_max);
    cc.cwnd = 800;
    assert_int_equal(560, tcp_cubic.on_loss(&cc));
    assert_in_range(cc.u.cubic.ep.w_max, 679, 681); /* 800 * 1.7 / 2 */
}

/* RFC 9438 4.2: W(t) = 0.4 (t - K)^3 + W_max within 5 %, 100 ms round trips, after a loss at 1000
 * segments. */
static void cubic_follows_its_curve(void **state)
{
    (void)state;
    struct tcp_cc cc;
    start(&cc, CC_CUBIC);
    cc.cwnd = 1000;
    cc.ssthresh = cc.cwnd = tcp_cubic.on_loss(&cc);
    double k = cbrt(300.0 / 0.4);
    nsec start = 100 * SEC, now = start;
    for (int round = 0; round < 140; round++) {
        uint32_t w = cc.cwnd;
        for (uint32_t sent = 0; sent < w; sent += 2) {
            now += 100 * MSEC * 2 / w;
            struct cc_ack a = ack_of(now, 2);
            tcp_cubic.on_sample(&cc, &a);
            tcp_cubic.on_ack(&cc, &a);
        }
        double t = (double)(now - start) / 1e9 + 0.1;
        double want = 0.4 * pow(t - k, 3) + 1000;
        if (round > 10 && fabs(cc.cwnd - want) > 0.05 * want) {
            fail_msg("round %d t=%.2f: window %u, curve %.1f", round, t, cc.cwnd, want);
        }
    }
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(CC_RENO, tcp_cc_find("reno", 4));
    assert_int_equal(CC_CUBIC, tcp_cc_find("cubic", 5));
    assert_int_equal(-1, tcp_cc_find("cubi", 4));
    assert_int_equal(CC_BBR, tcp_cc_find("bbr", 3));
    assert_int_equal(CC_DCTCP, tcp_cc_find("dctcp", 5));
    assert_int_equal(-1, tcp_cc_find("vegas", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reno_grows),  cmocka_unit_test(reno_counts_segments),
        cmocka_unit_test(cubic_falls), cmocka_unit_test(cubic_follows_its_curve),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
