/*
 * tcp_flood_test.c - SYN floods and what stands against them (RFC 4987): requests that are small
 * and bounded, cookies that cannot be made up, and both across a recovery.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp_cb.h"
#include "tests/lib/peer.h"

#define FLOOD 1000000u

static const uint8_t syn_opt[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 3, 232, 0, 0, 0, 0, 1, 3, 3, 7};

static struct lone *host;
static struct sock *l;

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    l = peer_listener(host, 80, 128);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, l);
    lone_forget(host);
    lone_wait(host, lone_env(host)->now + 2000 * SEC);
    return lone_free(host);
}

static void cookies_only(void)
{
    host->st->knobs.tcp_syncookies = 2;
}

/* SYNs of FLOOD different peers, 20,000 a second, of which none ever answers. */
static void flood(uint32_t n)
{
    static uint8_t buf[LONE_PKT_MAX];
    struct peer p = peer_of(host, false, 1024);
    struct peer_seg syn = {.seq = 7, .flags = TCP_SYN, .wnd = 1000, .opt = syn_opt, .nopt = 20};
    size_t len = peer_build(&p, &syn, buf);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t who = i * 2654435761u;
        buf[12] = 100;
        memcpy(buf + 13, &who, 3);
        buf[20] = (uint8_t)(4 + (i >> 8) % 200);
        buf[21] = (uint8_t)i;
        lone_fix(buf, len);
        lone_wait(host, lone_env(host)->now + 50 * USEC);
        lone_in(host, buf, len);
        lone_forget(host);
    }
}

static size_t in_use(void)
{
    return mem_use(host->st->mem).pages_bytes;
}

/* A peer whose SYN is answered, and how. */
static struct tcp_seg half_open(struct peer *p, const void *opt, size_t nopt)
{
    struct tcp_seg got;
    struct peer_seg syn = {.seq = p->seq, .flags = TCP_SYN, .wnd = 65535, .opt = opt, .nopt = nopt};

    peer_send(p, &syn);
    assert_true(peer_take(p, &got));
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    p->seq++;
    p->ack = got.seq.v + 1;
    return got;
}

static void say_with_ts(struct peer *p, uint32_t ts_ecr)
{
    uint8_t ts[12] = {1, 1, 8, 10, 0, 0, 3, 233};
    be32 ecr = be32_of(ts_ecr);

    memcpy(ts + 8, ecr.b, 4);
    peer_send(p, &(struct peer_seg){.seq = p->seq,
                                    .ack = p->ack,
                                    .flags = TCP_ACK,
                                    .wnd = 500,
                                    .opt = ts,
                                    .nopt = sizeof ts});
}

static struct sock *accepted(void)
{
    int err = 0;

    return sock_accept(host->st, lone_env(host), l, &err);
}

static void end(struct peer *p, struct sock *s)
{
    peer_send(p, &(struct peer_seg){.seq = p->seq, .flags = TCP_RST});
    lone_close(host, s);
    lone_forget(host);
}

/* The peer's data reaches the program, and the other way round. */
static void talks(struct peer *p, struct sock *s)
{
    char buf[8];

    peer_say(p, TCP_ACK | TCP_PSH, "hello", 5);
    assert_int_equal(lone_recv(host, s, buf, sizeof buf, 0, NULL), 5);
    assert_int_equal(lone_send(host, s, "world", 5, NULL, 0), 5);
    struct tcp_seg got;
    bool data = false;
    while (peer_take(p, &got)) {
        data = data || got.len == 5;
    }
    assert_true(data);
}

/* tcp.md's row: memory stays where it is, and who answers gets in at once. */
static void a_million_spoofed_syns(void **state)
{
    (void)state;
    flood(10000);
    size_t before = in_use();
    flood(FLOOD);
    assert_int_equal(in_use(), before);
    assert_int_equal(tcp_of(l)->nhalf, 129);
    assert_true(host->st->stats.TcpSyncookiesSent > FLOOD / 2);

    for (int v6 = 0; v6 < 2; v6++) {
        struct peer p = peer_of(host, v6, 5000);
        say_with_ts(&p, half_open(&p, syn_opt, sizeof syn_opt).ts_val);
        struct sock *s = accepted();
        assert_non_null(s);
        talks(&p, s);
        end(&p, s);
    }
}

/* Without cookies the queue fills, old requests go, and new ones find room again. */
static void a_flood_without_cookies(void **state)
{
    (void)state;
    host->st->knobs.tcp_syncookies = 0;
    flood(20000);
    assert_int_equal(tcp_of(l)->nhalf, 129);
    lone_wait(host, lone_env(host)->now + 130 * SEC);
    assert_int_equal(tcp_of(l)->nhalf, 0);
    lone_forget(host);
    struct peer p = peer_of(host, false, 5000);
    half_open(&p, NULL, 0);
    peer_say(&p, TCP_ACK, NULL, 0);
    struct sock *s = accepted();
    assert_non_null(s);
    end(&p, s);
}

/* What a half-open connection costs. */
static void a_request_is_small(void **state)
{
    (void)state;
    struct sock *big = peer_listener(host, 81, 4000);
    host->st->knobs.tcp_syncookies = 0;
    host->st->knobs.tcp_max_syn_backlog = 100000;
    size_t before = in_use();
    static uint8_t buf[LONE_PKT_MAX];
    for (uint16_t i = 0; i < 4000; i++) {
        struct peer p = peer_of(host, false, (uint16_t)(2000 + i));
        p.lport = 81;
        struct peer_seg syn = {.seq = 7, .flags = TCP_SYN, .wnd = 1000};
        lone_in(host, buf, peer_build(&p, &syn, buf));
        lone_forget(host);
    }
    assert_int_equal(tcp_of(big)->nhalf, 4000);
    size_t each = (in_use() - before) / 4000;
    print_message("%zu bytes a request in the arena, %zu of them the object's\n", each,
                  sizeof(struct tcp_req));
    assert_in_range(each, sizeof(struct tcp_req), 140);
    lone_close(host, big);
    assert_int_equal(host->st->reqs.n, 0);
}

/* Each bit of the number matters. RFC 4987 3.6 */
static void a_cookie_cannot_be_altered(void **state)
{
    (void)state;
    cookies_only();
    struct peer p = peer_of(host, false, 5000);
    half_open(&p, syn_opt, 4);
    uint32_t ack = p.ack;
    for (unsigned bit = 0; bit < 32; bit++) {
        struct tcp_seg got;
        p.ack = ack ^ 1u << bit;
        peer_say(&p, TCP_ACK, NULL, 0);
        assert_true(peer_take(&p, &got));
        assert_int_equal(got.flags, TCP_RST);
        assert_null(accepted());
    }
    assert_int_equal(host->st->stats.TcpSyncookiesFailed, 32);

    p.ack = ack; /* another port, another first number: another cookie */
    p.rport = 5001;
    peer_say(&p, TCP_ACK, NULL, 0);
    p.rport = 5000;
    p.seq++;
    peer_say(&p, TCP_ACK, NULL, 0);
    p.seq--;
    assert_null(accepted());
    lone_forget(host);

    peer_say(&p, TCP_ACK, NULL, 0);
    struct sock *s = accepted();
    assert_non_null(s);
    end(&p, s);
}

/* Nor do the options that the timestamp tells. Linux does not defend them. */
static void nor_can_its_timestamp(void **state)
{
    (void)state;
    cookies_only();
    struct peer p = peer_of(host, true, 5000);
    uint32_t ts = half_open(&p, syn_opt, sizeof syn_opt).ts_val;
    for (unsigned bit = 0; bit < 5; bit++) {
        say_with_ts(&p, ts ^ 1u << bit);
    }
    peer_say(&p, TCP_ACK, NULL, 0); /* none at all */
    assert_null(accepted());
    lone_forget(host);
    say_with_ts(&p, ts);
    struct sock *s = accepted();
    assert_non_null(s);
    end(&p, s);
}

/* It is good in its own minute and the next, and no longer. */
static void a_cookie_ages(void **state)
{
    (void)state;
    cookies_only();
    for (int late = 0; late < 2; late++) {
        struct peer p = peer_of(host, false, (uint16_t)(5000 + late));
        nsec now = lone_env(host)->now;
        lone_wait(host, now - now % (60 * SEC) + 61 * SEC); /* a second into a minute */
        half_open(&p, syn_opt, 4);
        lone_wait(host, lone_env(host)->now + (late ? 120 : 118) * SEC);
        peer_say(&p, TCP_ACK, NULL, 0);
        struct sock *s = accepted();
        assert_int_equal(s == NULL, late);
        if (s) {
            end(&p, s);
        }
        lone_forget(host);
    }
}

/* The MSS comes back rounded down to one of four, the other options by way of the timestamp. */
static void a_cookie_remembers_the_options(void **state)
{
    static const uint16_t mss[][3] = {{100, 536, 1220},
                                      {1300, 1300, 1220},
                                      {1459, 1440, 1440},
                                      {1460, 1460, 1440},
                                      {9000, 1460, 8940}};
    (void)state;
    cookies_only();
    for (unsigned i = 0; i < 2 * ARRAY_LEN(mss); i++) {
        struct peer p = peer_of(host, i & 1, (uint16_t)(5000 + i));
        uint8_t opt[sizeof syn_opt];
        memcpy(opt, syn_opt, sizeof opt);
        opt[2] = (uint8_t)(mss[i / 2][0] >> 8);
        opt[3] = (uint8_t)mss[i / 2][0];
        struct tcp_seg synack = half_open(&p, opt, sizeof opt);
        assert_true(synack.has_ts && synack.has_sack_ok && synack.has_wscale);
        say_with_ts(&p, synack.ts_val);
        struct sock *s = accepted();
        assert_non_null(s);
        const struct tcp *c = tcp_of(s);
        assert_int_equal(c->snd.mss_clamp, mss[i / 2][1 + (i & 1)]);
        assert_true(c->ts_ok && c->sack_ok && c->ws_ok);
        assert_int_equal(c->snd_scale, 7);
        assert_int_equal(c->snd.wnd, 500 << 7);
        assert_int_equal(c->rcv_scale, synack.wscale);
        end(&p, s);
    }
}

/* A request lives through the death of the process that held the lock. */
static void requests_are_recovered(void **state)
{
    (void)state;
    struct peer p[8];
    for (uint16_t i = 0; i < 8; i++) {
        p[i] = peer_of(host, i & 1, (uint16_t)(5000 + i));
        half_open(&p[i], syn_opt, sizeof syn_opt);
    }
    host->st->touching = l;
    stack_recover(host->st, lone_env(host));
    assert_int_equal(tcp_of(l)->nhalf, 8);
    for (unsigned i = 0; i < 8; i++) {
        peer_say(&p[i], TCP_ACK, NULL, 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        struct sock *s = accepted();
        assert_non_null(s);
        end(&p[i], s);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_million_spoofed_syns),         T(a_flood_without_cookies), T(a_request_is_small),
        T(a_cookie_cannot_be_altered),     T(nor_can_its_timestamp),   T(a_cookie_ages),
        T(a_cookie_remembers_the_options), T(requests_are_recovered),
    };
    return cmocka_run_group_tests_name("tcp_flood", tests, NULL, NULL);
}
