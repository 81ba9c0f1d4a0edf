/*
 * tcp_header_test.c - every field of the TCP header and its options at a live host, RFC 9293 3.1
 * and 3.2: what is wrong does no harm, what is not understood is passed over, and what the host
 * itself sends is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp.h"
#include "tests/lib/peer.h"

static struct lone *host;
static struct sock *l;
static uint8_t pkt[LONE_PKT_MAX];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    l = peer_listener(host, 80, 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, l);
    lone_forget(host);
    lone_wait(host, lone_env(host)->now + 1000 * SEC);
    return lone_free(host);
}

/* A connection's end without a trace: a reset at what the host expects. */
static void reset(struct peer *p)
{
    peer_send(p, &(struct peer_seg){.seq = p->seq, .flags = TCP_RST});
    if (p->s) {
        lone_close(host, p->s);
        p->s = NULL;
    }
    lone_forget(host);
}

/* RFC 9293 3.1 MUST-3: a segment with any one bit flipped is dropped without a word. MUST-2: the
 * host's own sums are right, which lone judges for every packet. */
static void checksum_is_verified(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct peer p = peer_of(host, v6, 5000);
        struct peer_seg syn = {
            .seq = 7, .flags = TCP_SYN, .wnd = 100, .opt = (uint8_t[]){2, 4, 5, 180}, .nopt = 4};
        size_t len = peer_build(&p, &syn, pkt);
        for (size_t bit = (v6 ? 40 : 20) * 8; bit < len * 8; bit++) {
            uint64_t before =
                host->st->stats.drop[DROP_TCP_CHECKSUM] + host->st->stats.drop[DROP_TCP_OFFSET];
            pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
            lone_in(host, pkt, len);
            pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(host->st->stats.drop[DROP_TCP_CHECKSUM] +
                                 host->st->stats.drop[DROP_TCP_OFFSET],
                             before + 1);
            assert_int_equal(host->emitted, v6);
        }
        lone_in(host, pkt, len);
        assert_int_equal(peer_drain(&p), 1);
        p.seq = 8;
        reset(&p);
    }
}

/* RFC 9293 3.1, data offset: below five words or beyond the segment it is dropped. */
static void data_offset(void **state)
{
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    for (uint8_t off = 1; off < 16; off++) {
        struct peer_seg syn = {.seq = 7, .flags = TCP_SYN, .wnd = 100, .off = off, .len = 12};
        peer_send(&p, &syn);
        assert_int_equal(peer_drain(&p), off >= 5 && off <= 8);
        p.seq = 8;
        reset(&p);
    }
}

/* RFC 9293 3.1, reserved bits: zero in what we send (the parser of this test sees them), ignored
 * in what we receive. */
static void reserved_bits(void **state)
{
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    for (uint8_t bits = 0; bits < 8; bits++) {
        peer_send(&p, &(struct peer_seg){
                          .seq = 7, .flags = TCP_SYN, .wnd = 100, .reserved = bits, .len = 0});
        const struct lone_pkt *k = lone_take(host);
        assert_non_null(k);
        assert_int_equal(k->p[20 + 12] & 0x0e, 0);
        p.seq = 8;
        reset(&p);
    }
}

static void walk_own_options(const uint8_t *h)
{
    size_t n = (size_t)(h[12] >> 4) * 4;
    for (size_t i = 20; i < n;) {
        if (h[i] == 0) { /* MUST-69: all that follows is zero */
            for (; i < n; i++) {
                assert_int_equal(h[i], 0);
            }
            return;
        }
        if (h[i] == 1) {
            i++;
            continue;
        }
        assert_true(i + 1 < n && h[i + 1] >= 2 && i + h[i + 1] <= n); /* MUST-68 */
        i += h[i + 1];
    }
}

/* RFC 9293 3.2 MUST-68, MUST-69: every option we send has its length, and the header ends with a
 * whole word. */
static void own_options_are_well_formed(void **state)
{
    static const uint8_t all[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7};
    (void)state;
    for (size_t n = 0; n <= sizeof all; n += 2) {
        struct peer p = peer_of(host, n & 2, 5000);
        peer_connect(&p, l, all, n);
        peer_send(&p, &(struct peer_seg){.seq = p.seq + 100, /* a hole: SACK */
                                         .ack = p.ack,
                                         .flags = TCP_ACK,
                                         .wnd = 99,
                                         .len = 10});
        lone_send(host, p.s, "hello", 5, NULL, 0);
        for (uint32_t i = 0; i < host->nout; i++) {
            walk_own_options(host->out[i].p + (n & 2 ? 40 : 20));
        }
        reset(&p);
    }
}

/* RFC 9293 3.2 MUST-7, with RFC 9293 3.1 MUST-4: options of any bytes on a SYN, and on a segment
 * of a connection, end in an answer. */
static void options_of_any_bytes(void **state)
{
    uint8_t opt[40];
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct peer p = peer_of(host, i & 1, 5000);
        size_t n = heap_below(&host->heap, 41);
        heap_random(lone_env(host), opt, sizeof opt);
        for (size_t k = 0; k + 1 < n && i % 3 == 0; k += 2) {
            opt[k] = (uint8_t)heap_below(&host->heap, 9); /* kinds that mean something */
            opt[k + 1] = (uint8_t)heap_below(&host->heap, 12);
        }
        peer_connect(&p, l, opt, n);
        heap_random(lone_env(host), opt, sizeof opt);
        peer_send(&p, &(struct peer_seg){.seq = p.seq,
                                         .ack = p.ack,
                                         .flags = TCP_ACK,
                                         .wnd = 99,
                                         .opt = opt,
                                         .nopt = n,
                                         .len = 10});
        assert_int_equal(lone_recv(host, p.s, pkt, 100, 0, NULL), 10);
        p.seq += 10;
        reset(&p);
    }
    assert_null(stack_check(host->st));
}

/* RFC 9293 3.2 MUST-5, MUST-6, MUST-64: an option is found after unknown ones at any alignment,
 * in a SYN and in what follows. */
static void options_unknown_and_unaligned(void **state)
{
    (void)state;
    for (uint8_t len = 2; len <= 36; len++) {
        struct peer p = peer_of(host, false, 5000);
        uint8_t opt[40] = {253, len};
        memcpy(opt + len, (uint8_t[]){2, 4, 0, 100}, 4); /* MSS 100 */
        peer_connect(&p, l, opt, len + 4u);
        assert_int_equal(lone_send(host, p.s, pkt, 200, NULL, 0), 200);
        assert_int_equal(peer_drain(&p), 2);
        p.ack += 200;
        peer_send(&p, &(struct peer_seg){.seq = p.seq,
                                         .ack = p.ack,
                                         .flags = TCP_ACK,
                                         .wnd = 99,
                                         .opt = opt,
                                         .nopt = len,
                                         .len = 3});
        assert_int_equal(lone_recv(host, p.s, pkt, 100, 0, NULL), 3);
        p.seq += 3;
        reset(&p);
    }
}

/* RFC 9293 3.2 MUST-4: nothing is read after the end of the list. */
static void nothing_after_the_end(void **state)
{
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    peer_connect(&p, l, (uint8_t[]){1, 0, 2, 4, 0, 100, 0, 0}, 8);
    assert_int_equal(lone_send(host, p.s, pkt, 200, NULL, 0), 200);
    assert_int_equal(peer_drain(&p), 1); /* 536, not 100 */
    reset(&p);
}

static void flags_at(struct peer *p, uint16_t flags, uint32_t at, uint32_t ack)
{
    struct tcp_seg out;
    unsigned n = 0;

    peer_send(p, &(struct peer_seg){.seq = at, .ack = ack, .flags = flags, .wnd = 500, .len = 4});
    while (peer_take(p, &out)) {
        n++;
        assert_false(flags & TCP_RST && out.flags & TCP_RST); /* RFC 9293 3.10.7.1 */
        assert_int_equal(out.flags & ~(TCP_SYN | TCP_ACK | TCP_RST | TCP_ECE | TCP_CWR | TCP_AE),
                         0);
    }
    assert_true(n <= 1);
    assert_null(stack_check(host->st));
}

/* RFC 9293 3.1, all 512 combinations of the nine flags: at no socket, at a listener, in
 * ESTABLISHED, in CLOSE-WAIT, at the expected number and beside it. One answer at most, and never
 * a reset to a reset. */
static void every_combination_of_flags(void **state)
{
    (void)state;
    for (uint16_t flags = 0; flags < 512; flags++) {
        for (int step = 0; step < 2; step++) {
            struct peer p = peer_of(host, flags & 1, 5000);
            struct peer none = p;
            none.lport = 81;
            flags_at(&none, flags, 5, 9);
            peer_connect(&p, l, NULL, 0);
            flags_at(&p, flags, p.seq + (uint32_t)step, p.ack + (uint32_t)step);
            lone_close(host, p.s);
            peer_send(&p, &(struct peer_seg){.seq = p.seq + 4, .flags = TCP_RST});
            peer_send(&p, &(struct peer_seg){.seq = p.seq + 5, .flags = TCP_RST});
            peer_send(&p, &(struct peer_seg){.seq = p.seq, .flags = TCP_RST});
            lone_forget(host);
            struct peer q = peer_of(host, flags & 1, 5001);
            flags_at(&q, flags, 77, 88);
            peer_send(&q, &(struct peer_seg){.seq = 78, .flags = TCP_RST});
            lone_wait(host, lone_env(host)->now + 200 * SEC);
            lone_forget(host);
        }
    }
}

/* URGENT/11 (CVE-2019-12255, 12260, 12261, 12263): URG with every mixture of SYN, FIN, PSH and ACK,
 * the pointer at 0, 1, the end of the text and far beyond, before, in and after the handshake; then
 * the program asks for the urgent byte. RFC 9293 3.8.5. */
static void urgent_pointers(void **state)
{
    static const uint16_t up[] = {0, 1, 4, 5, 0x7fff, 0x8000, 65535};
    uint8_t got[16];
    (void)state;
    for (unsigned mix = 0; mix < 16 * ARRAY_LEN(up) * 3; mix++) {
        struct peer p = peer_of(host, mix & 1, 5000);
        uint16_t flags = (uint16_t)(TCP_URG | (mix & 1 ? TCP_SYN : 0) | (mix & 2 ? TCP_FIN : 0) |
                                    (mix & 4 ? TCP_PSH : 0) | (mix & 8 ? TCP_ACK : 0));
        struct peer_seg s = {
            .flags = flags, .wnd = 9, .up = up[mix / 16 % ARRAY_LEN(up)], .len = mix % 5};
        struct peer q = peer_of(host, false, 5001); /* to the listener */
        s.seq = 77;
        peer_send(&q, &s);
        peer_connect(&p, l, NULL, 0);
        for (unsigned n = 0; n < 3; n++) {
            s.seq = p.seq;
            s.ack = p.ack;
            peer_send(&p, &s);
            assert_true(lone_recv(host, p.s, got, 1, LX_MSG_OOB, NULL) <= 1);
            assert_true(lone_recv(host, p.s, got, sizeof got, 0, NULL) <= (int64_t)s.len + 1);
            assert_null(stack_check(host->st));
        }
        lone_close(host, p.s);
        peer_send(&p, &s);
        lone_forget(host);
        lone_wait(host, lone_env(host)->now + 1300 * SEC);
        lone_forget(host);
    }
}

/* RFC 9293 3.9.2.1 MUST-50: IP options that TCP does not understand change nothing. */
static void ip_options_are_ignored(void **state)
{
    static const uint8_t kinds[][4] = {{1, 1, 1, 1},   {0, 0, 0, 0},   {7, 4, 4, 0},
                                       {148, 4, 0, 0}, {222, 4, 9, 9}, {130, 4, 0, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct peer p = peer_of(host, false, 5000);
        size_t len = peer_build(&p, &(struct peer_seg){.seq = 7, .flags = TCP_SYN, .wnd = 9}, pkt);
        memmove(pkt + 24, pkt + 20, len - 20);
        memcpy(pkt + 20, kinds[i], 4);
        len += 4;
        pkt[0] = 0x46;
        pkt[3] = (uint8_t)len;
        lone_fix(pkt, len);
        lone_in(host, pkt, len);
        assert_int_equal(peer_drain(&p), 1);
        p.seq = 8;
        reset(&p);
    }
}

/* RFC 9293 3.10.7.4 MUST-58, MUST-59: segments that arrive together are all taken before one
 * acknowledgment goes out for all. */
static void one_acknowledgment_for_a_batch(void **state)
{
    struct tcp_seg out;
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    peer_connect(&p, l, NULL, 0);
    for (int i = 0; i < 10; i++) {
        size_t len =
            peer_build(&p,
                       &(struct peer_seg){
                           .seq = p.seq, .ack = p.ack, .flags = TCP_ACK, .wnd = 99, .len = 1000},
                       pkt);
        stack_input(host->st, lone_env(host), &(struct pkt_in){.p = pkt, .len = len});
        p.seq += 1000;
    }
    stack_flush(host->st, lone_env(host));
    assert_true(peer_take(&p, &out));
    assert_int_equal(out.ack.v, p.seq);
    assert_int_equal(peer_drain(&p), 0);
    reset(&p);
}

/* RFC 9293 3.9.2.3 MUST-44, MUST-45: without a bind the source address is the one that leads to
 * the peer, and it stays that of the connection. */
static void source_address(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct sock *s = lone_sock(host, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM);
        const char *peer = v6 ? "fd77::1" : "10.77.0.1";
        struct addr us = lone_addr(v6 ? "fd77::2" : "10.77.0.2");
        assert_int_equal(lone_connect(host, s, peer, 9), -ERR_INPROGRESS);
        lone_wait(host, lone_env(host)->now + 4 * SEC);
        assert_true(host->nout >= 3);
        for (uint32_t i = 0; i < host->nout; i++) {
            const uint8_t *ip = host->out[i].p;
            struct addr src = v6 ? addr_of6(ip + 8) : addr_of4(ip + 12);
            assert_true(addr_eq(&src, &us));
        }
        lone_close(host, s);
        lone_forget(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checksum_is_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(data_offset, setup, teardown),
        cmocka_unit_test_setup_teardown(reserved_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(own_options_are_well_formed, setup, teardown),
        cmocka_unit_test_setup_teardown(options_of_any_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(options_unknown_and_unaligned, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_after_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(every_combination_of_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(urgent_pointers, setup, teardown),
        cmocka_unit_test_setup_teardown(ip_options_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(one_acknowledgment_for_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(source_address, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
