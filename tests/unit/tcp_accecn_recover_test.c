/*
 * tcp_accecn_recover_test.c - AccECN across the death of whoever held the lock: counters live on;
 * what was being made or freed is put away, and the connection goes on without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/knobs.h"
#include "core/tcp_accecn.h"
#include "core/tcp_cb.h"
#include "core/tcp_ecn.h"
#include "tests/lib/peer.h"

#define ACE_ALL (TCP_AE | TCP_CWR | TCP_ECE)

static struct lone *host;
static struct sock *l;
static struct peer p;

/* The peer says so, in a packet of that codepoint. */
static void say(uint16_t flags, uint8_t ecn, const char *data)
{
    static uint8_t pkt[LONE_PKT_MAX];
    struct peer_seg s = {.seq = p.seq,
                         .ack = p.ack,
                         .flags = flags,
                         .wnd = p.wnd,
                         .data = data,
                         .len = strlen(data)};
    size_t n = peer_build(&p, &s, pkt);

    pkt[1] |= ecn;
    lone_fix(pkt, n);
    lone_in(host, pkt, n);
    p.seq += (uint32_t)s.len + !!(flags & TCP_SYN);
}

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    assert_int_equal(knobs_set(&host->st->knobs, "tcp_ecn", 3), 0);
    l = peer_listener(host, 80, 8);
    p = peer_of(host, false, 2000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    say(TCP_RST, ECN_NOT_ECT, "");
    lone_close(host, p.s);
    lone_close(host, l);
    lone_forget(host);
    return lone_free(host);
}

static uint32_t objects(void)
{
    return mem_use(host->st->mem).objs[MEM_ACCECN];
}

static uint8_t answer(void)
{
    struct tcp_seg in;

    assert_true(peer_take(&p, &in));
    return accecn_ace(in.flags);
}

static struct tcp *connection(void)
{
    int err;

    say(TCP_SYN | ACE_ALL, ECN_NOT_ECT, "");
    struct tcp_seg in;
    assert_true(peer_take(&p, &in));
    assert_int_equal(accecn_ace(in.flags), 2); /* came as Not-ECT */
    p.ack = in.seq.v + 1;
    say(TCP_ACK | TCP_CWR, ECN_NOT_ECT, "");
    p.s = sock_accept(host->st, lone_env(host), l, &err);
    assert_non_null(p.s);
    assert_int_equal(objects(), 1);
    return tcp_of(p.s);
}

static void counters_live_on(void **state)
{
    (void)state;
    struct tcp *c = connection();

    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_CE, "abc");
    assert_int_equal(answer(), 6);
    lone_recover(host);
    assert_int_equal(objects(), 1);
    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_CE, "defg");
    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_CE, "hi");
    peer_drain(&p);
    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_ECT0, "j");
    assert_int_equal(answer(), (ACCECN_CEP_INIT + 3) & 7);
    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_CE, "k");
    assert_int_equal(answer(), (ACCECN_CEP_INIT + 4) & 7);
    assert_int_equal(c->accecn->rcv_ce, 4);
    assert_int_equal(c->accecn->rcv_bytes[ECN_CE - 1], 10);
}

/* Between the allocation and the pointer to it, or the other way round. */
static void without_its_object(void **state)
{
    (void)state;
    struct tcp *c = connection();

    c->accecn = NULL;
    lone_recover(host);
    assert_int_equal(objects(), 0);
    assert_int_equal(c->ecn_mode, ECN_OFF);
    say(TCP_ACK | TCP_AE | TCP_ECE, ECN_CE, "abc");
    lone_wait(host, lone_env(host)->now + 1000000000);
    assert_int_equal(answer(), 0);
    assert_int_equal(c->state, TCP_ESTABLISHED);
}

static void of_another(void **state)
{
    (void)state;
    struct tcp *c = connection();

    c->accecn->owner = NULL;
    lone_recover(host);
    assert_int_equal(objects(), 0);
    assert_null(c->accecn);
    assert_int_equal(c->ecn_mode, ECN_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_live_on, setup, teardown),
        cmocka_unit_test_setup_teardown(without_its_object, setup, teardown),
        cmocka_unit_test_setup_teardown(of_another, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
