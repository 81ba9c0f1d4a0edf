/*
 * tcp_pair_test.c - two whole stacks on a bad wire: every byte arrives once and in order, both
 * ends close, nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp.h"
#include "tests/lib/rig.h"

struct end {
    struct sock *s;
    uint64_t to_send, sent, got;
    bool shut, eof;
};

static void (*tune)(struct stack_config *cfg);
static uint64_t probes_good; /* MTU probes of host 0 that came through */

static uint8_t pattern(uint64_t at, unsigned salt)
{
    return (uint8_t)(at * 167 + (at >> 8) * 13 + (at >> 16) + salt * 91);
}

static void push(struct rig *r, unsigned i, struct end *e)
{
    uint8_t buf[20000];
    while (e->sent < e->to_send) {
        size_t n = min_size(sizeof buf, e->to_send - e->sent);
        for (size_t k = 0; k < n; k++) {
            buf[k] = pattern(e->sent + k, i);
        }
        struct span v = {buf, n};
        int64_t k = sock_send(r->host[i].st, rig_env(r, i), e->s, &v, 1, 0, NULL);
        if (k == -ERR_AGAIN) {
            break;
        }
        assert_true(k > 0);
        e->sent += (uint64_t)k;
    }
    if (e->sent == e->to_send && !e->shut) {
        e->shut = true;
        assert_int_equal(0, sock_shutdown(r->host[i].st, rig_env(r, i), e->s, LX_SHUT_WR));
    }
    rig_flush(r, i);
}

static uint8_t own_buf[50000];

static void landed(void *arg, size_t n)
{
    struct end *e = arg;

    for (size_t j = 0; j < n; j++) {
        if (own_buf[j] != pattern(e->got + j, 1)) {
            fail_msg("byte %llu differs where it landed", (unsigned long long)(e->got + j));
        }
    }
    e->got += n;
}

static void pull(struct rig *r, unsigned i, struct end *e)
{
    uint8_t buf[30000];
    while (!e->eof) {
        struct mspan v = {buf, sizeof buf};
        int64_t k = sock_recv(r->host[i].st, rig_env(r, i), e->s, &v, 1, 0, NULL);
        if (k == -ERR_AGAIN) {
            break;
        }
        assert_true(k >= 0);
        e->eof = k == 0;
        for (int64_t j = 0; j < k; j++) {
            if (buf[j] != pattern(e->got + (uint64_t)j, 1 - i)) {
                fail_msg("byte %llu differs", (unsigned long long)(e->got + (uint64_t)j));
            }
        }
        e->got += (uint64_t)k;
    }
    rig_flush(r, i);
}

/* What the two programs can do now; b accepts first. */
static void both_turn(struct rig *r, struct sock *l, struct end *a, struct end *b)
{
    if (!b->s) {
        int err;
        b->s = sock_accept(r->host[1].st, rig_env(r, 1), l, &err);
    }
    if (b->s) {
        push(r, 1, b);
        pull(r, 1, b);
    }
    if (tcp_state_of(a->s) != TCP_SYN_SENT) {
        push(r, 0, a);
        pull(r, 0, a);
    }
}

static struct sock *listener(struct rig *r, bool v6)
{
    int err;
    struct env *env = rig_env(r, 1);
    struct sock *s =
        sock_create(r->host[1].st, env, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    assert_non_null(s);
    struct endpoint at = {.addr = v6 ? addr_any6 : addr_any4, .port = 80};
    assert_int_equal(0, sock_bind(r->host[1].st, env, s, &at, true));
    assert_int_equal(0, sock_listen(r->host[1].st, env, s, 8));
    return s;
}

static struct sock *connecting(struct rig *r, bool v6)
{
    int err;
    struct env *env = rig_env(r, 0);
    struct sock *s =
        sock_create(r->host[0].st, env, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    assert_non_null(s);
    struct endpoint to = {.addr = rig_addr(1, v6), .port = 80};
    assert_int_equal(-ERR_INPROGRESS, sock_connect(r->host[0].st, env, s, &to));
    return s;
}

static void transfer(uint64_t seed, uint32_t caps, struct rig_wire wire, uint64_t up, uint64_t down,
                     bool v6)
{
    struct rig *r = rig_new(seed, caps, tune);
    r->check = up + down < 300000;
    r->host[0].out = r->host[1].out = wire;
    struct sock *l = listener(r, v6);
    struct end a = {.s = connecting(r, v6), .to_send = up};
    struct end b = {.to_send = down};
    nsec limit = r->now + 4000 * SEC;

    while (!(a.eof && b.eof && a.shut && b.shut)) {
        if (!rig_step(r, limit)) {
            fail_msg("seed %llu: stuck at %.3f s: sent %llu got %llu / sent %llu got %llu",
                     (unsigned long long)seed, (double)r->now / 1e9, (unsigned long long)a.sent,
                     (unsigned long long)a.got, (unsigned long long)b.sent,
                     (unsigned long long)b.got);
        }
        both_turn(r, l, &a, &b);
    }
    assert_int_equal(a.got, down);
    assert_int_equal(b.got, up);
    sock_release(r->host[0].st, rig_env(r, 0), a.s, 0);
    sock_release(r->host[1].st, rig_env(r, 1), b.s, 0);
    sock_release(r->host[1].st, rig_env(r, 1), l, 0);
    while (rig_step(r, limit)) {
    }
    probes_good = r->host[0].st->stats.TcpMtupSuccess;
    rig_check_empty(r);
    rig_free(r);
}

static void clean_wire(void **state)
{
    (void)state;
    struct rig_wire w = {.delay = 5 * MSEC};
    transfer(1, 0, w, 100000, 200000, false);
    transfer(1, 0, w, 0, 1, true);
    transfer(1, LINK_CSUM | LINK_TSO4 | LINK_TSO6, w, 3000000, 20000000, false);
    transfer(1, LINK_CSUM | LINK_TSO4 | LINK_TSO6, w, 3000000, 2000000, true);
}

static void bad_wires(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig_wire w = {
            .delay = 1 * MSEC + (nsec)(seed * seed) * 100 * USEC,
            .jitter = seed % 3 == 0 ? 2 * MSEC : 0,
            .loss = (uint32_t)(seed % 7) * 10000,
            .dup = seed % 5 == 0 ? 20000 : 0,
            .corrupt = seed % 4 == 0 ? 10000 : 0,
            .rate = seed % 2 ? 2000000 : 0,
            .queue = 60000,
        };
        transfer(seed, seed % 8 == 7 ? LINK_CSUM | LINK_TSO4 : 0, w, 50000 * (seed % 3), 150000,
                 seed % 2);
    }
}

static void probing_1(struct stack_config *cfg)
{
    cfg->knobs.tcp_mtu_probing = 1;
}

static void probing_2(struct stack_config *cfg)
{
    cfg->knobs.tcp_mtu_probing = 2;
}

/* Packets above the path's MTU vanish and nobody says so: every byte arrives all the same, and the
 * search ends near what fits. RFC 4821, RFC 2923 2.1 */
static void black_holes(void **state)
{
    static const uint32_t mtus[] = {1499, 1400, 1300, 1100, 1064, 900, 600, 300};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mtus); i++) {
        for (int v6 = 0; v6 <= 1; v6++) {
            struct rig_wire w = {.delay = 5 * MSEC, .mtu = mtus[i]};
            uint32_t caps = i % 2 ? LINK_CSUM | LINK_TSO4 | LINK_TSO6 : 0;
            tune = probing_1;
            transfer(i, caps, w, 400000, 1000, v6);
            tune = probing_2;
            transfer(i, caps, w, 400000, 1000, v6);
            if (mtus[i] >= 1300) {
                assert_true(probes_good > 0);
            }
        }
    }
    tune = NULL;
}

enum placing { PLACE_RING, PLACE_OWN };

/* Payload read to its place at once: into the ring, or into the memory of a program that has read
 * all there was. */
static void placed(uint64_t seed, struct rig_wire wire, enum placing how, bool v6)
{
    struct rig *r = rig_new(seed, LINK_CSUM | LINK_TSO4 | LINK_TSO6 | LINK_BIG4, NULL);
    struct sock *l = listener(r, v6);
    struct end a = {.s = connecting(r, v6)};
    struct end b = {.to_send = 6000000};
    nsec limit = r->now + 4000 * SEC;

    r->host[0].out = r->host[1].out = wire;
    r->host[0].place = true;
    if (how == PLACE_OWN) {
        r->host[0].own = (struct rig_own){a.s, own_buf, sizeof own_buf, landed, &a};
    }
    while (!(a.eof && b.eof && a.shut && b.shut)) {
        assert_true(rig_step(r, limit));
        both_turn(r, l, &a, &b);
    }
    assert_int_equal(a.got, b.to_send);
    if (r->host[0].placed < (wire.loss || wire.jitter ? 3 : 20)) {
        fail_msg("seed %llu, %d: only %llu packets were placed", (unsigned long long)seed, (int)how,
                 (unsigned long long)r->host[0].placed);
    }
    sock_release(r->host[0].st, rig_env(r, 0), a.s, 0);
    sock_release(r->host[1].st, rig_env(r, 1), b.s, 0);
    sock_release(r->host[1].st, rig_env(r, 1), l, 0);
    while (rig_step(r, limit)) {
    }
    rig_check_empty(r);
    rig_free(r);
}

static void direct_placement(void **state)
{
    (void)state;
    struct rig_wire clean = {.delay = 100 * USEC};
    for (int how = PLACE_RING; how <= PLACE_OWN; how++) {
        placed(1, clean, (enum placing)how, false);
        placed(1, clean, (enum placing)how, true);
        for (uint64_t seed = 2; seed < 20; seed++) {
            struct rig_wire bad = {.delay = 200 * USEC,
                                   .jitter = seed % 3 ? 0 : 300 * USEC,
                                   .loss = (uint32_t)(seed % 4) * 10000,
                                   .dup = seed % 2 ? 20000 : 0};
            placed(seed, bad, (enum placing)how, seed % 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_wire),
        cmocka_unit_test(bad_wires),
        cmocka_unit_test(black_holes),
        cmocka_unit_test(direct_placement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
