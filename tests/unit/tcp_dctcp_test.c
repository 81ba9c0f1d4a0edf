/* tcp_dctcp_test.c - DCTCP's arithmetic, RFC 8257 3.3 and 3.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cc.h"

struct flow {
    struct tcp_cc cc;
    seq una;
};

static struct flow flow(uint32_t cwnd)
{
    struct flow f = {.una = {1000}};
    struct cc_setup how = {.now = SEC, .cwnd = cwnd, .nxt = f.una};
    tcp_cc_init(&f.cc, CC_DCTCP, &how);
    return f;
}

/* One window of n segments, the first `marked` of them marked. */
static void window(struct flow *f, uint32_t n, uint32_t marked)
{
    seq end = seq_add(f->una, n);
    for (uint32_t i = 0; i < n; i++) {
        f->una = seq_add(f->una, 1);
        struct cc_ack a = {.acked = 1, .marked = i < marked, .una = f->una, .nxt = seq_add(end, n)};
        tcp_dctcp.on_delivery(&f->cc, &a);
    }
}

/* 3.3: alpha is 1 until something else is known. */
static void first_mark_halves(void **state)
{
    (void)state;
    struct flow f = flow(100);
    assert_int_equal(1024, f.cc.u.dctcp.alpha);
    assert_int_equal(50, tcp_dctcp.on_loss(&f.cc));
}

/* 3.3 (6): alpha = alpha (1 - g), g = 1/16, each window without marks. */
static void decays_without_marks(void **state)
{
    (void)state;
    struct flow f = flow(100);
    double want = 1024;
    window(&f, 100, 0);
    f.cc.u.dctcp.alpha = 1024;
    for (int i = 0; i < 20; i++) {
        window(&f, 100, 0);
        want *= 15.0 / 16;
        assert_in_range(f.cc.u.dctcp.alpha, (uint32_t)(want - 1), (uint32_t)(want + 12));
    }
    for (int i = 0; i < 200; i++) {
        window(&f, 100, 0);
    }
    assert_int_equal(0, f.cc.u.dctcp.alpha);
    assert_int_equal(100, tcp_dctcp.on_loss(&f.cc)); /* nothing marked: no reduction */
}

/* 3.3 (5), (6): it converges to the share of marks. */
static void follows_the_share(void **state)
{
    (void)state;
    static const uint32_t share[] = {10, 25, 50, 100};
    for (size_t i = 0; i < sizeof share / sizeof share[0]; i++) {
        struct flow f = flow(100);
        for (int k = 0; k < 200; k++) {
            window(&f, 100, share[i]);
        }
        uint32_t want = share[i] * 1024 / 100;
        assert_in_range(f.cc.u.dctcp.alpha, want - 16, want + 16);
        /* 3.3: cwnd (1 - alpha / 2) */
        assert_in_range(tcp_dctcp.on_loss(&f.cc), 100 - share[i] / 2 - 1, 100 - share[i] / 2 + 1);
    }
}

/* 3.5: a loss costs half, whatever alpha is. */
static void loss_halves(void **state)
{
    (void)state;
    struct flow f = flow(100);
    for (int k = 0; k < 200; k++) {
        window(&f, 100, 0);
    }
    f.cc.ssthresh = tcp_dctcp.on_loss(&f.cc);
    tcp_dctcp.on_ca(&f.cc, CA_CWR);
    assert_int_equal(100, f.cc.ssthresh);
    tcp_dctcp.on_ca(&f.cc, CA_RECOVERY);
    assert_int_equal(50, f.cc.ssthresh);
    f.cc.ssthresh = 100;
    tcp_dctcp.on_ca(&f.cc, CA_LOSS);
    assert_int_equal(50, f.cc.ssthresh);
}

static void floor_of_two(void **state)
{
    (void)state;
    struct flow f = flow(2);
    assert_int_equal(2, tcp_dctcp.on_loss(&f.cc));
    tcp_dctcp.on_ca(&f.cc, CA_RECOVERY);
    assert_int_equal(2, f.cc.ssthresh);
}

/* 3.3: without marks it grows as RFC 5681 says. */
static void grows_as_reno(void **state)
{
    (void)state;
    struct flow f = flow(10);
    struct cc_ack a = {.acked = 10};
    tcp_dctcp.on_ack(&f.cc, &a);
    assert_int_equal(20, f.cc.cwnd);
    f.cc.ssthresh = 20;
    a.acked = 20;
    tcp_dctcp.on_ack(&f.cc, &a);
    assert_int_equal(21, f.cc.cwnd);
}

/* It needs marks on every segment, echoed one by one. */
static void needs_ecn(void **state)
{
    (void)state;
    assert_true(tcp_dctcp.flags & CC_ECN);
    assert_false(tcp_dctcp.flags & CC_PACES);
}

/* TCP_CC_INFO: Linux's struct tcp_dctcp_info. */
static void info(void **state)
{
    (void)state;
    struct flow f = flow(10);
    uint32_t v[CC_INFO_WORDS] = {0};
    window(&f, 1, 1);
    f.cc.u.dctcp.acked = 7;
    f.cc.u.dctcp.marked = 3;
    assert_int_equal(16, tcp_dctcp.info(&f.cc, v));
    assert_int_equal(1, v[0] & 0xffff);
    assert_int_equal(1024, v[1]);
    assert_int_equal(3, v[2]);
    assert_int_equal(7, v[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_mark_halves), cmocka_unit_test(decays_without_marks),
        cmocka_unit_test(follows_the_share), cmocka_unit_test(loss_halves),
        cmocka_unit_test(floor_of_two),      cmocka_unit_test(grows_as_reno),
        cmocka_unit_test(needs_ecn),         cmocka_unit_test(info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
