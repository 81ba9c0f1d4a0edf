/*
 * frag_test.c - reassembly: any order, duplicates, overlaps, ends that contradict, floods, and
 * time.
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
#include "core/frag.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define US4   "10.77.0.2"
#define US6   "fd77::2"

static struct lone *host;
static struct sock *sink;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t upper[LONE_PKT_MAX]; /* UDP header and data */
static uint8_t got[70000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    sink = lone_sock(host, LX_AF_INET6, LX_SOCK_DGRAM);
    return lone_bind(host, sink, "::", 5000);
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, sink);
    lone_forget(host);
    lone_wait(host, lone_env(host)->now + 120 * SEC); /* what is unfinished goes by itself */
    return lone_free(host);
}

/* A datagram for the sink with `len` bytes of data; returns the length with its header. */
static size_t dgram(bool v6, size_t len, uint8_t salt)
{
    static uint8_t data[66000];
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8) + salt);
    }
    size_t whole = lone_udp(pkt, v6 ? PEER6 : PEER4, 9, v6 ? US6 : US4, 5000, data, len);
    size_t head = v6 ? 40 : 20;
    memcpy(upper, pkt + head, whole - head);
    return whole - head;
}

static void piece_from(const char *src, bool v6, uint32_t id, size_t from, size_t n, bool more)
{
    lone_in(host, pkt, lone_frag(pkt, src, v6 ? US6 : US4, 17, id, upper, from, n, more));
}

static void piece(bool v6, uint32_t id, size_t from, size_t n, bool more)
{
    piece_from(v6 ? PEER6 : PEER4, v6, id, from, n, more);
}

static bool arrived(size_t len)
{
    int64_t n = lone_recv(host, sink, got, sizeof got, 0, NULL);
    if (n < 0) {
        return false;
    }
    assert_int_equal(n, len);
    assert_memory_equal(got, upper + 8, len);
    return true;
}

/* Cut anywhere, in any order, some twice: whole at the last missing piece, and only then. */
static void any_order(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 400; round++) {
        bool v6 = round & 1;
        size_t len = heap_below(&host->heap, round % 10 == 0 ? 65500 : 4000) + 9;
        size_t total = dgram(v6, len, (uint8_t)round);
        size_t cut[100] = {0};
        size_t n = 1 + heap_below(&host->heap, 60);
        size_t step = (total / n + 8) & ~(size_t)7;
        n = (total + step - 1) / step;
        for (size_t i = 0; i < n; i++) {
            cut[i] = i;
        }
        for (size_t i = n - 1; i > 0; i--) {
            size_t j = heap_below(&host->heap, (uint32_t)i + 1);
            size_t t = cut[i];
            cut[i] = cut[j];
            cut[j] = t;
        }
        for (size_t i = 0; i < n; i++) {
            size_t from = cut[i] * step;
            size_t size = min_size(step, total - from);
            if (i > 0 && heap_below(&host->heap, 4) == 0) { /* an old one again */
                size_t old = cut[heap_below(&host->heap, (uint32_t)i)] * step;
                piece(v6, round, old, min_size(step, total - old), old + step < total);
            }
            assert_false(arrived(len));
            piece(v6, round, from, size, from + size < total);
        }
        assert_true(arrived(len));
        assert_int_equal(host->st->nfrags, 0);
        assert_int_equal(host->st->frag_bytes, 0);
    }
}

struct cut {
    uint16_t from, n;
    bool more;
};

/* Sends the pieces of one datagram of 64 bytes; whether it arrived whole. */
static bool shape(bool v6, const struct cut *c, size_t n)
{
    static uint32_t id = 10000;
    id++;
    dgram(v6, 56, 0);
    for (size_t i = 0; i < n; i++) {
        piece(v6, id, c[i].from, c[i].n, c[i].more);
    }
    return arrived(56);
}

/* The shapes of Ptacek-Newsham and Shankar-Paxson, Rose, teardrop and their like: what overlaps
 * condemns the whole datagram, what lies within a run is a duplicate. RFC 5722 4, RFC 8200 4.5;
 * each line is what Linux 6.18 did, in both families. */
static void overlaps(void **state)
{
    static const struct {
        bool whole;
        struct cut c[6];
    } table[] = {
        {true, {{0, 32, true}, {0, 32, true}, {32, 32, false}}},   /* the same again */
        {true, {{32, 32, false}, {32, 32, false}, {0, 32, true}}}, /* the last again */
        {true, {{0, 32, true}, {8, 16, true}, {32, 32, false}}},   /* within it */
        {true, {{0, 16, true}, {16, 16, true}, {8, 16, true}, {32, 32, false}}}, /* within a run */
        {true, {{0, 16, true}, {32, 16, true}, {40, 8, true}, {16, 16, true}, {48, 16, false}}},
        {false, {{16, 16, true}, {0, 16, true}, {8, 16, true}, {32, 32, false}}}, /* over a seam */
        {false, {{0, 32, true}, {24, 16, true}, {32, 32, false}}},                /* its end */
        {false, {{8, 24, true}, {0, 16, true}, {32, 32, false}}},                 /* its front */
        {false, {{8, 16, true}, {0, 32, true}, {32, 32, false}}},                 /* around it */
        {false, {{0, 32, true}, {0, 40, true}, {40, 24, false}}},                 /* longer */
        {false, {{0, 36, true}, {24, 8, false}, {32, 32, false}}},                /* teardrop */
        {false, {{0, 32, true}, {8, 56, false}, {32, 32, false}}},                /* all of it */
        {false, {{32, 32, false}, {64, 8, true}, {0, 32, true}}}, /* beyond the end */
    };
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
            size_t n = 0;
            while (n < 6 && table[i].c[n].n != 0) {
                n++;
            }
            if (shape(v6, table[i].c, n) != table[i].whole) {
                fail_msg("shape %zu, IPv%d", i, v6 ? 6 : 4);
            }
        }
    }
    assert_true(host->st->stats.drop[DROP_IP_FRAGMENT] > 0);
}

/* Nothing in a piece condemns the datagram; what is over a multiple of 8 is cut off in IPv4. */
static void odd_lengths(void **state)
{
    (void)state;
    assert_true(shape(false, (struct cut[]){{0, 35, true}, {32, 32, false}}, 2));
    assert_false(shape(false, (struct cut[]){{0, 32, true}, {32, 4, true}, {32, 32, false}}, 3));
    for (int v6 = 0; v6 <= 1; v6++) {
        struct cut c[] = {{0, 32, true}, {32, 0, true}, {32, 32, false}};
        assert_false(shape(v6, c, 3));
    }
}

/* RFC 1858 3, RFC 3128: pieces so small that the header lies in two of them come together right. */
static void tiny_fragments(void **state)
{
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        struct cut c[8];
        for (uint16_t i = 0; i < 8; i++) {
            uint16_t at = (uint16_t)((v6 ? 7 - i : i) * 8);
            c[i] = (struct cut){.from = at, .n = 8, .more = at < 56};
        }
        assert_true(shape(v6, c, 8));
    }
    /* A TCP header in three: it must be whole before a connection is looked for. */
    static const uint8_t syn[24] = {[1] = 9,  [3] = 80, [12] = 0x60, [13] = 2,   [14] = 1,
                                    [20] = 2, [21] = 4, [22] = 5,    [23] = 0xb4};
    uint8_t whole[64];
    size_t len = lone_ip(pkt, PEER4, US4, 6, syn, sizeof syn);
    lone_fix(pkt, len);
    memcpy(whole, pkt + 20, sizeof syn);
    for (size_t at = 0; at < sizeof syn; at += 8) {
        assert_null(lone_take(host));
        lone_in(host, pkt, lone_frag(pkt, PEER4, US4, 6, 7, whole, at, 8, at + 8 < sizeof syn));
    }
    assert_int_equal(lone_take(host)->p[20 + 13], 0x14); /* RST, ACK: nobody listens */
}

/* Linux: ipfrag_max_dist, against identifications that come again (RFC 4963). IPv4 only. */
static void too_far_apart(void **state)
{
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        for (uint32_t between = 62; between <= 64; between++) {
            size_t total = dgram(v6, 1000, 0);
            uint32_t id = 500 + between;
            piece(v6, id, 0, 800, true);
            for (uint32_t i = 0; i < between; i++) {
                piece(v6, v6 ? 2 : 1, 8 * i, 8, true);
            }
            piece(v6, id, 800, total - 800, false);
            assert_int_equal(arrived(1000), v6 || between < 64);
            lone_wait(host, lone_env(host)->now + 60 * SEC);
            lone_forget(host);
        }
    }
}

/* Two ends that do not agree; something beyond the end; an end before what is there. */
static void ends(void **state)
{
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        dgram(v6, 1000, 0);
        piece(v6, 1, 80, 80, false);
        piece(v6, 1, 160, 80, false);
        assert_int_equal(host->st->nfrags, 0);
        piece(v6, 2, 80, 80, false);
        piece(v6, 2, 160, 80, true);
        assert_int_equal(host->st->nfrags, 0);
        piece(v6, 3, 160, 80, true);
        piece(v6, 3, 80, 40, false);
        assert_int_equal(host->st->nfrags, 0);
    }
}

/* Ping of death: an end beyond 65535. RFC 791 3.2, RFC 8200 4.5 */
static void impossible(void **state)
{
    const struct lone_pkt *k;
    (void)state;
    dgram(false, 2000, 0);
    memset(upper, 0, sizeof upper);
    size_t len = lone_frag(pkt, PEER4, US4, 17, 1, upper, 0, 100, false);
    pkt[6] = 0x1f;
    pkt[7] = 0xff;
    lone_fix(pkt, len);
    lone_in(host, pkt, len);
    assert_int_equal(host->st->stats.drop[DROP_IP_FRAGMENT], 1);
    assert_int_equal(host->st->nfrags, 0);
    assert_null(lone_take(host));

    piece(true, 1, 0, 1003, true);
    k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 4 << 8 | 0);
    assert_int_equal(k->p[47], 4); /* at the payload length */
    len = lone_frag(pkt, PEER6, US6, 17, 1, upper, 0, 100, false);
    pkt[42] = 0xff;
    pkt[43] = 0xf8;
    lone_in(host, pkt, len);
    k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 4 << 8 | 0);
    assert_int_equal(k->p[47], 42); /* at the offset */
    assert_int_equal(host->st->nfrags, 0);
}

/* RFC 6946 4: a fragment header with nothing to put together means nothing, and has nothing to do
 * with fragments of the same identification. */
static void atomic(void **state)
{
    (void)state;
    size_t total = dgram(true, 1000, 0);
    piece(true, 9, 0, 800, true);
    piece(true, 9, 0, total, false);
    assert_true(arrived(1000));
    assert_int_equal(host->st->nfrags, 1);
    piece(true, 9, 800, total - 800, false);
    assert_true(arrived(1000));
}

/* RFC 7112: the first fragment must show what it is a fragment of. */
static void tiny_first(void **state)
{
    uint8_t chain[64] = {17, 0, 1, 4, 0, 0, 0, 0}; /* destination options, then UDP */
    (void)state;
    lone_in(host, pkt, lone_frag(pkt, PEER6, US6, 60, 1, chain, 0, 8, true));
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 4 << 8 | 3);
    assert_int_equal(host->st->nfrags, 0);
    lone_in(host, pkt, lone_frag(pkt, PEER6, US6, 60, 1, chain, 0, 16, true));
    assert_null(lone_take(host));
    assert_int_equal(host->st->nfrags, 1);
    lone_in(host, pkt,
            lone_frag(pkt, PEER6, US6, 6, 2, chain, 0, 16, true)); /* half a TCP header */
    assert_int_equal(lone_take(host)->p[41], 3);
}

/* RFC 1122 3.2.2.4, RFC 4443 3.3: time exceeded, if the first piece is there to be quoted. */
static void timeouts(void **state)
{
    nsec start = lone_env(host)->now;
    (void)state;
    dgram(false, 3000, 0);
    piece(false, 1, 0, 800, true);
    piece(false, 2, 800, 800, true); /* not the first: nobody is told */
    dgram(true, 3000, 0);
    piece(true, 3, 0, 800, true);
    lone_wait(host, start + 29 * SEC);
    assert_int_equal(host->st->nfrags, 3);
    lone_wait(host, start + 30 * SEC);
    assert_int_equal(host->st->nfrags, 1);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[20] << 8 | k->p[21], 11 << 8 | 1);
    assert_int_equal(k->p[28 + 9], 17);
    assert_memory_equal(k->p + 48, "\0\011\023\210", 4); /* ports 9 and 5000 */
    assert_null(lone_take(host));
    lone_wait(host, start + 60 * SEC);
    assert_int_equal(host->st->nfrags, 0);
    k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 3 << 8 | 1);
    assert_int_equal(k->p[48 + 6], 44);
    assert_int_equal(host->st->stats.IpReasmFails, 3);
}

/* RFC 3168 5.3. */
static void ecn(void **state)
{
    static const struct {
        uint8_t a, b;
        int want; /* -1: dropped */
    } table[] = {{0, 0, 0}, {2, 2, 2},  {2, 3, 3},  {3, 2, 3},  {1, 3, 3}, {1, 2, 1},
                 {2, 1, 2}, {0, 3, -1}, {3, 0, -1}, {0, 2, -1}, {1, 0, -1}};
    int on = 1;
    (void)state;
    sock_setopt(host->st, lone_env(host), sink, LX_IPPROTO_IP, LX_IP_RECVTOS, &on, 4, false);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct recv_info info;
        size_t total = dgram(false, 100, 0);
        size_t len = lone_frag(pkt, PEER4, US4, 17, (uint32_t)i, upper, 0, 64, true);
        pkt[1] = table[i].a;
        lone_fix(pkt, len);
        lone_in(host, pkt, len);
        len = lone_frag(pkt, PEER4, US4, 17, (uint32_t)i, upper, 64, total - 64, false);
        pkt[1] = table[i].b;
        lone_fix(pkt, len);
        lone_in(host, pkt, len);
        int64_t n = lone_recv(host, sink, got, sizeof got, 0, &info);
        assert_int_equal(n, table[i].want < 0 ? -ERR_AGAIN : 100);
        if (n > 0) {
            assert_int_equal(info.tos, table[i].want);
        }
    }
}

/* FragmentSmack, CVE-2018-5391: memory and number stay bounded, and an honest datagram gets
 * through. */
static void flood(void **state)
{
    uint32_t through = 0;
    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        char from[24];
        bool v6 = i & 1;
        dgram(v6, 8, 0);
        if (v6) {
            snprintf(from, sizeof from, "fd77::1:%x", i % 977);
        } else {
            snprintf(from, sizeof from, "10.77.%u.9", 1 + i % 200);
        }
        memset(upper, 0, 1200);
        piece_from(from, v6, i, i % 3 == 0 ? 0 : 800, 1200, true);
        assert_true(host->st->nfrags <= 1024);
        assert_true(host->st->frag_bytes <= 4u << 20);
        if (i % 1000 == 0) {
            size_t total = dgram(false, 2000, 0);
            piece(false, i, 0, 1000, true);
            piece(false, i, 1000, total - 1000, false);
            through += arrived(2000);
        }
    }
    assert_int_equal(through, 100);
    assert_null(stack_check(host->st));
}

/* One source cannot push out what others send. */
static void fair(void **state)
{
    (void)state;
    size_t total = dgram(false, 2000, 0);
    piece(false, 7, 0, 1000, true);
    for (uint32_t i = 0; i < 5000; i++) {
        piece_from("10.77.0.66", false, i, 800, 1200, true);
    }
    piece(false, 7, 1000, total - 1000, false);
    assert_true(arrived(2000));
}

/* Many small pieces: in order they are one run; in reverse a run each, and there are only so many.
 */
static void shreds(void **state)
{
    (void)state;
    size_t total = dgram(true, 65000, 0);
    for (size_t at = 0; at < total; at += 8) {
        piece(true, 1, at, min_size(8, total - at), at + 8 < total);
        assert_true(host->st->nfrags <= 1);
    }
    assert_true(arrived(65000));
    for (size_t at = 64000; at > 0; at -= 8) {
        piece(true, 2, at - 8, 8, true);
        assert_true(host->st->nfrags <= 1);
    }
}

/* Random pieces of few datagrams: whatever arrives was sent, and nothing is left behind. */
static void hostile(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 60000; i++) {
        bool v6 = i & 1;
        heap_random(lone_env(host), upper, 64);
        size_t from = heap_below(&host->heap, 40) * 8;
        size_t n = heap_below(&host->heap, 40);
        piece(v6, i % 11, from, n, heap_below(&host->heap, 3) > 0);
        if (i % 500 == 0) {
            assert_null(stack_check(host->st));
            lone_forget(host);
            lone_wait(host, lone_env(host)->now + SEC);
        }
    }
}

/* Without memory a fragment is lost, nothing else. */
static void without_memory(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 8; n++) {
        size_t total = dgram(false, 9000, 0);
        mem_fail_nth(host->st->mem, n);
        piece(false, n, 0, 4000, true);
        piece(false, n, 4000, total - 4000, false);
        mem_fail_nth(host->st->mem, 0);
        (void)arrived(9000);
        assert_null(stack_check(host->st));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(any_order),  T(overlaps), T(odd_lengths), T(tiny_fragments), T(too_far_apart), T(ends),
        T(impossible), T(atomic),   T(tiny_first),  T(timeouts),       T(ecn),           T(flood),
        T(fair),       T(shreds),   T(hostile),     T(without_memory),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
