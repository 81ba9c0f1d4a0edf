/*
 * isn_test.c - numbers that a stranger must not be able to foretell: initial sequence numbers
 * (RFC 9293 3.4.1, RFC 6528) and ephemeral ports (RFC 6056).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/isn.h"
#include "core/tcp.h"
#include "tests/lib/peer.h"

#define MANY 100000u

/* Chi-square of 256 equally likely bytes has a mean of 255 and a deviation of 23: six of them. */
#define CHI2_MAX 395.0

static const uint8_t secret[16] = "sixteen bytes...";

static struct flow flow_of(uint32_t i)
{
    return (struct flow){.laddr = lone_addr("10.77.0.2"),
                         .raddr = lone_addr("10.77.0.1"),
                         .lport = (uint16_t)(80 + i / 60000),
                         .rport = (uint16_t)(1024 + i % 60000)};
}

static double chi2(const uint32_t bucket[256], uint32_t n)
{
    double want = n / 256.0, sum = 0;

    for (int i = 0; i < 256; i++) {
        sum += (bucket[i] - want) * (bucket[i] - want) / want;
    }
    return sum;
}

/* RFC 9293 3.4.1 MUST-8: for one four-tuple the number moves with the clock, 2^32 in 275 s. */
static void moves_with_the_clock(void **state)
{
    struct flow f = flow_of(7);
    (void)state;
    seq a = isn_of(secret, &f, 1000 * SEC);
    assert_int_equal(isn_of(secret, &f, 1000 * SEC + 64).v - a.v, 1);
    assert_int_equal(isn_of(secret, &f, 1001 * SEC).v - a.v, SEC / 64);
    assert_int_equal(isn_of(secret, &f, 1000 * SEC + ((nsec)1 << 32) * 64).v, a.v);
}

/* RFC 9293 3.4.1 MUST-9, SHLD-1; RFC 6528 3: of 10^5 four-tuples at one time every byte of the
 * number, and of the step from one port to the next, is as likely as every other; another secret
 * gives other steps. */
static void nothing_can_be_computed_from_outside(void **state)
{
    (void)state;
    for (int shift = 0; shift < 32; shift += 8) {
        uint32_t number[256] = {0}, step[256] = {0}, other[256] = {0};
        seq before = seq_of(0);
        for (uint32_t i = 0; i < MANY; i++) {
            struct flow f = flow_of(i);
            seq x = isn_of(secret, &f, 1000 * SEC);
            seq y = isn_of((const uint8_t *)"another one of16", &f, 1000 * SEC);
            number[x.v >> shift & 255]++;
            step[(x.v - before.v) >> shift & 255]++;
            other[(x.v - y.v) >> shift & 255]++;
            before = x;
        }
        assert_true(chi2(number, MANY) < CHI2_MAX);
        assert_true(chi2(step, MANY) < CHI2_MAX);
        assert_true(chi2(other, MANY) < CHI2_MAX);
    }
}

/* The same through a whole stack: what a client sees in 10^5 handshakes. */
static void handshakes_show_nothing(void **state)
{
    struct lone *h = malloc(sizeof *h);
    uint32_t step[256] = {0};
    uint32_t before = 0;
    struct tcp_seg in;

    (void)state;
    lone_init(h, 0, NULL);
    struct sock *l = peer_listener(h, 80, 8);
    for (uint32_t i = 0; i < MANY; i++) {
        struct peer p = peer_of(h, i >= 60000, (uint16_t)(1024 + i % 60000));
        p.seq = i * 7919;
        peer_send(&p, &(struct peer_seg){.seq = p.seq, .flags = TCP_SYN, .wnd = 9});
        assert_true(peer_take(&p, &in));
        step[(in.seq.v - before) >> 24]++;
        before = in.seq.v;
        peer_send(&p, &(struct peer_seg){.seq = p.seq + 1, .flags = TCP_RST});
        lone_env(h)->now += 100 * USEC;
        lone_forget(h);
    }
    assert_true(chi2(step, MANY) < CHI2_MAX);
    lone_close(h, l);
    assert_int_equal(lone_fini(h), 0);
    free(h);
}

/* RFC 6056 2.1, 3.3: 10^4 connections to one peer take 10^4 ports in no order: steps of less than
 * 16 are as rare as chance makes them (one in 900). */
static void ports_show_no_order(void **state)
{
    struct lone *h = malloc(sizeof *h);
    struct sock **s = calloc(10000, sizeof(struct sock *));
    static uint8_t used[65536];
    uint32_t small = 0;
    uint16_t before = 0;
    struct endpoint e;

    (void)state;
    lone_init(h, 0, NULL);
    for (uint32_t i = 0; i < 10000; i++) {
        s[i] = lone_sock(h, LX_AF_INET, LX_SOCK_STREAM);
        assert_int_equal(lone_connect(h, s[i], "10.77.0.1", 80), -ERR_INPROGRESS);
        assert_int_equal(sock_name(h->st, s[i], &e), 0);
        assert_true(e.port >= 32768 && e.port <= 60999);
        assert_false(used[e.port]);
        used[e.port] = 1;
        small += abs(e.port - before) < 16;
        before = e.port;
        lone_forget(h);
    }
    assert_true(small < 40);
    for (uint32_t i = 0; i < 10000; i++) {
        lone_close(h, s[i]);
    }
    assert_int_equal(lone_fini(h), 0);
    free(s);
    free(h);
}

/* RFC 7323 5.4: the clock of timestamps begins elsewhere for each connection. */
static void timestamp_clocks_differ(void **state)
{
    uint32_t bucket[256] = {0};
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        struct flow f = flow_of(i);
        bucket[isn_ts_offset(secret, &f) >> 24]++;
    }
    assert_true(chi2(bucket, MANY) < CHI2_MAX);
}

/* RFC 6056 3.3: towards one destination each port comes once, whatever the size of the range. */
static void ports_come_once(void **state)
{
    static const uint32_t sizes[] = {2, 3, 7, 64, 100, 14116, 32768};
    static uint8_t seen[32768];
    struct addr a = lone_addr("10.77.0.2"), b = lone_addr("fd77::1");
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        memset(seen, 0, sizeof seen);
        for (uint32_t i = 0; i < sizes[k]; i++) {
            uint32_t at = isn_port_order(secret, &a, &b, 80, sizes[k], i);
            assert_true(at < sizes[k] && !seen[at]);
            seen[at] = 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_with_the_clock),
        cmocka_unit_test(nothing_can_be_computed_from_outside),
        cmocka_unit_test(handshakes_show_nothing),
        cmocka_unit_test(timestamp_clocks_differ),
        cmocka_unit_test(ports_come_once),
        cmocka_unit_test(ports_show_no_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
