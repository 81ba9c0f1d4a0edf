/*
 * accecn_test.c - AccECN (RFC 9768) over a queue that marks: what the sender has counted in the end
 * is what the receiver has received, and that is what the queue has marked; lost and reordered
 * acknowledgments, stripped options and routers that clear the bits do no harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/abi.h"
#include "core/tcp_cc.h"
#include "core/tcp_ecn.h"
#include "tests/sim/talk.h"

#define BYTES 1000000u
#define LIMIT (600 * SEC)

static int32_t option_mode, algo;

static void tune(struct stack_config *cfg, unsigned host)
{
    (void)host;
    cfg->knobs.tcp_ecn = 3;
    cfg->knobs.tcp_ecn_option = option_mode;
    cfg->knobs.tcp_congestion_control = algo;
}

struct count {
    uint32_t marked;   /* by the queue, and delivered */
    uint32_t received; /* by the receiver, and their bytes */
    uint32_t told;     /* to the sender, and their bytes */
    uint32_t received_bytes, told_bytes;
    uint32_t retrans;
    uint8_t fail, mode;
};

static struct lx_tcp_info info_of(struct talk *t, unsigned host)
{
    struct lx_tcp_info i;
    size_t len = sizeof i;
    assert_int_equal(0, sock_getopt(t->net->host[host].st, net_env(t->net, host), t->end[host].s,
                                    LX_IPPROTO_TCP, LX_TCP_INFO, &i, &len));
    return i;
}

/* Host 0 sends; both ends stay open until they were asked. */
static struct count transfer(const char *rules, bool v6, uint32_t caps)
{
    struct net *n = net_new(rules, 1, caps, tune);
    struct talk t;
    talk_open(&t, n, 0, v6, BYTES, 0);
    nsec until = n->now + LIMIT;
    do {
        talk_turn(&t);
    } while (t.end[1].got < BYTES && net_step(n, until));
    assert_int_equal(BYTES, t.end[1].got);
    nsec settled = n->now + 5 * SEC; /* what is still under way, and the last delayed ACK */
    do {
        talk_turn(&t);
    } while (net_step(n, settled));
    struct lx_tcp_info from = info_of(&t, 0), to = info_of(&t, 1);
    const struct wire_counts *w = wire_counts(n->wire, WIRE_OUT);
    struct count c = {(uint32_t)w->fired[FIRED_MARKED], to.tcpi_received_ce,
                      from.tcpi_delivered_ce,           to.tcpi_received_ce_bytes,
                      from.tcpi_delivered_ce_bytes,     from.tcpi_total_retrans,
                      from.tcpi_accecn_fail_mode,       from.tcpi_ecn_mode};
    printf("accecn marked=%u received=%u told=%u bytes=%u/%u retrans=%u  %s\n", c.marked,
           c.received, c.told, c.told_bytes, c.received_bytes, c.retrans, rules);
    talk_close(&t);
    while (net_step(n, n->now + LIMIT)) {
    }
    net_free(n);
    return c;
}

/* Nothing is lost and nothing in doubt: three equal numbers. */
static void clean_path(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        for (option_mode = 0; option_mode <= 2; option_mode++) {
            algo = v6 ? CC_DCTCP : CC_CUBIC;
            struct count c = transfer("delay 10ms; rate 5mbit queue 300ms aqm codel ecn", v6,
                                      v6 ? LINK_CSUM | LINK_TSO4 | LINK_TSO6 : 0);
            assert_true(c.marked > 2);
            assert_int_equal(c.marked, c.received);
            assert_int_equal(c.received, c.told);
            assert_true(option_mode < 2 || c.told_bytes == c.received_bytes);
            assert_int_equal(0, c.retrans);
            assert_int_equal(0, c.fail);
        }
    }
}

/* What a sender may make of the flags alone: RFC 9768 3.2.2.5.2. */
static bool no_fewer(const struct count *c)
{
    return c->told >= c->received && (c->told - c->received) % 8 == 0;
}

/* Every packet in ten, by chance; acknowledgments get lost and overtake each other. With the option
 * the numbers are equal; without it the sender may have counted eight too many, never too few. */
static void lost_and_overtaken_acks(void **state)
{
    static const char *const rules[] = {
        "delay 10ms; out: ecn-mark 10%; in: loss 30%",
        "delay 10ms; out: ecn-mark 60%; in: loss 10%",
        "delay 10ms; out: ecn-mark 20%; in: reorder 20% by 4ms",
        "delay 10ms; out: ecn-mark 20%; out: loss 2%; in: loss 20%",
    };

    (void)state;
    algo = CC_CUBIC;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        option_mode = 3; /* whatever becomes of those that have it */
        struct count c = transfer(rules[i], i % 2, 0);
        assert_int_equal(ECN_ACCURATE, c.mode);
        assert_int_equal(c.received, c.told);
        assert_int_equal(c.received_bytes, c.told_bytes);
        option_mode = 0;
        c = transfer(rules[i], i % 2, 0);
        assert_true(no_fewer(&c));
    }
}

/* Options are taken out on the way: the flags alone must do. */
static void stripped_options(void **state)
{
    (void)state;
    algo = CC_CUBIC;
    option_mode = 2;
    struct count c = transfer("delay 5ms; out: ecn-mark 5%; strip accecn on all", false, 0);
    assert_true(c.received > 20 && no_fewer(&c));
    assert_int_equal(0, c.told_bytes);
    c = transfer("delay 5ms; out: ecn-mark 5%; in: strip accecn on all", true, 0);
    assert_true(c.received > 20 && no_fewer(&c));
}

/* A router clears the codepoints: nothing is marked, the data arrives. */
static void cleared_codepoints(void **state)
{
    (void)state;
    algo = CC_CUBIC;
    option_mode = 2;
    struct count c = transfer("delay 5ms; out: ecn-bleach; out: ecn-mark 50%", false, 0);
    assert_int_equal(0, c.received);
    assert_int_equal(0, c.told);
    assert_int_equal(0, c.retrans);
}

/* Super-segments, with acknowledgments of many packets at once: DCTCP's share is that of the marks.
 */
static void dctcp_share(void **state)
{
    (void)state;
    algo = CC_DCTCP;
    option_mode = 2;
    struct count c = transfer("delay 2ms; rate 100mbit queue 100ms; out: ecn-mark 25%", false,
                              LINK_CSUM | LINK_TSO4 | LINK_TSO6);
    assert_int_equal(c.received, c.told);
    assert_int_equal(c.marked, c.received);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_path),       cmocka_unit_test(lost_and_overtaken_acks),
        cmocka_unit_test(stripped_options), cmocka_unit_test(cleared_codepoints),
        cmocka_unit_test(dctcp_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
