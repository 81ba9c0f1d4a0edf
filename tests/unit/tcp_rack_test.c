/*
 * tcp_rack_test.c - RACK's reordering window (RFC 8985 6.2 step 4): wider once for each round trip
 * with D-SACKs, as before after 16 recoveries without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rdwr.h"
#include "core/tcp_cb.h"
#include "tests/lib/lone.h"
#include "tests/lib/peer.h"

#define MSS 1000u

static const uint8_t options[] = {2, 4, MSS >> 8, MSS & 255, 4, 2, 1, 1};

static struct lone *host;
static struct sock *l;
static struct peer p;
static struct tcp *c;
static uint8_t data[10 * MSS];

static int setup(void **state)
{
    (void)state;
    host = lone_new(LINK_CSUM, NULL);
    l = peer_listener(host, 80, 8);
    p = peer_of(host, false, 2000);
    peer_connect(&p, l, options, sizeof options);
    c = tcp_of(p.s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tcp_abort(host->st, lone_env(host), p.s, ERR_CONNABORTED);
    lone_close(host, p.s);
    lone_close(host, l);
    lone_forget(host);
    return lone_free(host);
}

static void send_segments(unsigned n)
{
    struct span v = {data, n * MSS};
    assert_int_equal(sock_send(host->st, lone_env(host), p.s, &v, 1, LX_MSG_DONTWAIT, NULL),
                     n * MSS);
    peer_drain(&p);
}

/* An acknowledgment of p.ack, 20 ms later, with one block. */
static void sack(uint32_t from, uint32_t to)
{
    uint8_t opt[12] = {1, 1, 5, 10};
    struct wr w = wr_of(opt + 4, 8);

    wr_u32(&w, from);
    wr_u32(&w, to);
    lone_env(host)->now += 20 * MSEC;
    peer_send(&p, &(struct peer_seg){.seq = p.seq,
                                     .ack = p.ack,
                                     .flags = TCP_ACK,
                                     .wnd = p.wnd,
                                     .opt = opt,
                                     .nopt = sizeof opt});
    peer_drain(&p);
}

/* A D-SACK: the block lies below the acknowledgment. */
static void dsack(void)
{
    sack(p.ack - MSS, p.ack);
}

static void once_for_a_round(void **state)
{
    (void)state;
    send_segments(8);
    assert_int_equal(c->reo_steps, 1);
    p.ack += 2 * MSS;
    dsack();
    assert_int_equal(c->reo_steps, 2);
    p.ack += 2 * MSS;
    dsack();
    assert_int_equal(c->reo_steps, 2); /* the same round trip */
    p.ack += 4 * MSS;
    dsack();
    assert_int_equal(c->reo_steps, 3); /* it is over */
}

/* The first of five is lost, sent again, and all is acknowledged. */
static void lose_one(void)
{
    c->cc.cwnd = 10; /* it falls each time */
    send_segments(5);
    sack(p.ack + MSS, p.ack + 5 * MSS);
    assert_int_equal(c->ca_state, CA_RECOVERY);
    p.ack += 5 * MSS;
    lone_env(host)->now += 20 * MSEC;
    peer_say(&p, TCP_ACK, NULL, 0);
    peer_drain(&p);
    assert_int_equal(c->ca_state, CA_OPEN);
}

static void for_sixteen_recoveries(void **state)
{
    (void)state;
    send_segments(4);
    p.ack += 4 * MSS;
    dsack();
    assert_int_equal(c->reo_steps, 2);
    for (int i = 0; i < 15; i++) {
        lose_one();
    }
    assert_int_equal(c->reo_steps, 2);
    lose_one();
    assert_int_equal(c->reo_steps, 1);
}

/* Linux, not RFC: a D-SACK of a tail loss probe says nothing of reordering. */
static void not_by_a_probe(void **state)
{
    (void)state;
    send_segments(2);
    lone_wait(host, lone_env(host)->now + 50 * MSEC);
    assert_true(c->tlp_out);
    peer_drain(&p);
    p.ack += 2 * MSS;
    dsack();
    assert_int_equal(c->reo_steps, 1);
    assert_false(c->tlp_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(once_for_a_round, setup, teardown),
        cmocka_unit_test_setup_teardown(for_sixteen_recoveries, setup, teardown),
        cmocka_unit_test_setup_teardown(not_by_a_probe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
