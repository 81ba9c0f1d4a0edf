/*
 * wire_rule_test.c - each rule of the emulated wire does what it says, to the packets it says and
 * to no other, and leaves right checksums where it should.
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
#include "core/csum.h"
#include "core/ip.h"
#include "tests/lib/box.h"
#include "tests/lib/lone.h"

static void reorders(void **state)
{
    (void)state;
    struct box b = box_of("delay 10ms; out: reorder data#2 after data#4", 1);
    box_syn(&b, false);
    for (uint32_t i = 0; i < 5; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
    }
    box_run(&b, NEVER);
    static const uint32_t order[] = {0, 2, 3, 1, 4};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(1 + order[i] * BOX_MSS, b.got[2 + i].seq);
        assert_int_equal(10 * MSEC, b.got[2 + i].at);
    }
    box_free(&b);

    b = box_of("out: reorder data#2 after data#9", 1); /* which does not come */
    box_syn(&b, false);
    box_data(&b, WIRE_OUT, BOX_MSS, BOX_MSS);
    box_run(&b, NEVER);
    assert_int_equal(3, b.n);
    assert_int_equal(1 * SEC, b.got[2].at);
    box_free(&b);

    b = box_of("delay 3ms; reorder data#1 by 4ms", 1);
    box_syn(&b, false);
    box_data(&b, WIRE_OUT, 0, BOX_MSS);
    box_data(&b, WIRE_OUT, BOX_MSS, BOX_MSS);
    box_run(&b, NEVER);
    assert_int_equal(1 + BOX_MSS, b.got[2].seq);
    assert_int_equal(7 * MSEC, b.got[3].at);
    assert_int_equal(1, box_fired(&b, WIRE_OUT, FIRED_REORDERED));
    box_free(&b);
}

static void duplicates(void **state)
{
    (void)state;
    struct box b = box_of("in: dup ack#3 x3", 1);
    for (uint32_t i = 1; i <= 4; i++) {
        box_ack(&b, WIRE_IN, i);
        box_ack(&b, WIRE_OUT, i);
    }
    box_run(&b, NEVER);
    unsigned n[5] = {0};
    for (size_t i = 0; i < b.n; i++) {
        n[b.got[i].ack - 1] += b.got[i].dir == WIRE_IN;
        assert_true(b.got[i].good);
    }
    assert_int_equal(10, b.n);
    assert_int_equal(1, n[1]);
    assert_int_equal(1, n[2]);
    assert_int_equal(3, n[3]);
    box_free(&b);
}

/* Which bytes of data#2 differ: they lie in [from, to); whether its checksums are good. */
static void corrupt_is(const char *text, bool v6, size_t from, size_t to, bool good)
{
    struct box b = box_of(text, 11);
    uint8_t pkt[2000];
    size_t len = 0;
    b.v6 = v6;
    box_syn(&b, false);
    for (uint32_t i = 0; i < 3; i++) {
        struct tcp_seg s = {.flags = TCP_ACK, .seq = seq_of(1 + i * BOX_MSS), .ack = seq_of(1)};
        s.has_ts = true;
        uint8_t p[2000];
        size_t n = box_build(&b, WIRE_OUT, s, BOX_MSS, p);
        box_put(&b, WIRE_OUT, p, n, 0, false);
        if (i == 1) {
            memcpy(pkt, p, len = n);
        }
    }
    box_run(&b, NEVER);
    assert_int_equal(5, b.n);
    assert_true(b.got[2].good && b.got[4].good);
    const struct got *g = &b.got[3];
    unsigned diff = 0;
    for (size_t i = 0; i < len; i++) {
        bool sum = good && (i == 10 || i == 11 || i == (v6 ? 56u : 36u) || i == (v6 ? 57u : 37u));
        if (g->bytes[i] != pkt[i] && !sum) {
            diff += (unsigned)__builtin_popcount(g->bytes[i] ^ pkt[i]);
            if (i < from || i >= to) {
                fail_msg("%s: byte %zu", text, i);
            }
        }
    }
    assert_int_equal(1, diff);
    assert_int_equal(good, g->good);
    box_free(&b);
}

static void corruption(void **state)
{
    (void)state;
    corrupt_is("out: corrupt data#2 at tcp.checksum", false, 36, 38, false);
    corrupt_is("out: corrupt data#2 at tcp.seq", false, 24, 28, false);
    corrupt_is("out: corrupt data#2 at tcp.seq", true, 44, 48, false);
    corrupt_is("out: corrupt data#2 at tcp.ack fixed", true, 48, 52, true);
    corrupt_is("out: corrupt data#2 at payload", true, 72, 1072, false);
    corrupt_is("out: corrupt data#2 at payload fixed", false, 52, 1052, true);
    corrupt_is("out: corrupt data#2 at tcp.options", false, 40, 52, false);
    corrupt_is("out: corrupt data#2 at ip.checksum", false, 10, 12, false);
    corrupt_is("out: corrupt data#2 at ip.ttl", true, 7, 8, true);
}

static void rates(void **state)
{
    (void)state;
    /* 1040 bytes with the headers at 8.32 Mbit/s: a millisecond each */
    struct box b = box_of("out: rate 8320kbit queue 3p; delay 10ms", 1);
    for (uint32_t i = 0; i < 6; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
    }
    box_run(&b, NEVER);
    assert_int_equal(4, b.n); /* one under way, three waiting */
    assert_int_equal(2, box_fired(&b, WIRE_OUT, FIRED_QUEUE));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(11 * MSEC + (nsec)i * MSEC, b.got[i].at);
        assert_int_equal(1 + i * BOX_MSS, b.got[i].seq);
    }
    box_free(&b);

    b = box_of("rate 8320kbit queue 2080B", 1);
    for (uint32_t i = 0; i < 6; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
    }
    box_run(&b, b.now + 1500 * USEC); /* late: the first has gone, the second is under way */
    box_data(&b, WIRE_OUT, 7 * BOX_MSS, BOX_MSS);
    box_run(&b, NEVER);
    assert_int_equal(4, b.n);
    assert_int_equal(4 * MSEC, b.got[3].at);
    assert_int_equal(3, box_fired(&b, WIRE_OUT, FIRED_QUEUE));
    box_free(&b);
}

/* A sender at twice the rate, then at little more than it: what waits too long is dropped, or
 * marked where it can be. RFC 8289 5. */
static void codel(void **state)
{
    (void)state;
    for (int ecn = 0; ecn < 2; ecn++) {
        struct box b = box_of(ecn ? "rate 8320kbit aqm codel ecn" : "rate 8320kbit aqm codel", 1);
        b.ecn = 2;
        for (uint32_t i = 0; i < 4000; i++) {
            box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
            box_run(&b, b.now + 500 * USEC + (nsec)(i > 1000) * 480 * USEC);
        }
        box_run(&b, NEVER);
        unsigned marked = 0;
        for (size_t i = 0; i < b.n; i++) {
            marked += b.got[i].ecn == 3;
            assert_true(b.got[i].good);
        }
        if (ecn) {
            assert_int_equal(0, box_fired(&b, WIRE_OUT, FIRED_CODEL));
            assert_in_range(marked, 5, 2000);
            assert_int_equal(marked, box_fired(&b, WIRE_OUT, FIRED_MARKED));
        } else {
            assert_in_range(box_fired(&b, WIRE_OUT, FIRED_CODEL), 5, 2000);
            assert_int_equal(0, marked);
        }
        box_free(&b);
    }
}

static void holes(void **state)
{
    (void)state;
    struct box b = box_of("blackhole after 3000B for 10s", 1);
    for (uint32_t i = 0; i < 5; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
        box_run(&b, b.now + 1 * SEC);
    }
    box_ack(&b, WIRE_IN, 0); /* both ways */
    box_run(&b, b.now);
    assert_int_equal(3, b.n);
    box_run(&b, BOX_T0 + 12 * SEC);
    box_ack(&b, WIRE_IN, 0);
    box_run(&b, BOX_T0 + 13 * SEC); /* it began with the fourth packet, at 3 s */
    box_data(&b, WIRE_OUT, 3 * BOX_MSS, BOX_MSS);
    box_run(&b, NEVER);
    assert_int_equal(4, b.n);
    assert_int_equal(4, box_fired(&b, WIRE_OUT, FIRED_HOLE) + box_fired(&b, WIRE_IN, FIRED_HOLE));
    box_free(&b);

    b = box_of("in: blackhole after 2s", 1);
    for (int i = 0; i < 4; i++) {
        box_data(&b, WIRE_IN, 0, 1);
        box_data(&b, WIRE_OUT, 0, 1);
        box_run(&b, b.now + 1 * SEC);
    }
    assert_int_equal(6, b.n);
    box_free(&b);
}

static void mtu(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct box b = box_of("in: delay 7ms; out: mtu 1280", 1);
        b.v6 = v6;
        box_data(&b, WIRE_OUT, 0, v6 ? 1220 : 1240); /* just fits */
        box_data(&b, WIRE_OUT, 0, v6 ? 1221 : 1241);
        box_data(&b, WIRE_IN, 0, 1400); /* the other way */
        box_run(&b, NEVER);
        assert_int_equal(3, b.n);
        const struct got *g = &b.got[2]; /* sent before the data, the answer counts as later */
        g = g->proto == 6 ? &b.got[1] : g;
        assert_int_equal(v6 ? 58 : 1, g->proto);
        assert_int_equal(WIRE_IN, g->dir);
        assert_int_equal(0, g->no); /* made by the wire */
        assert_int_equal(7 * MSEC, g->at);
        const uint8_t *icmp = g->bytes + (v6 ? 40 : 20);
        assert_int_equal(v6 ? 2 : 3, icmp[0]);
        assert_int_equal(1280, icmp[6] << 8 | icmp[7]);
        assert_int_equal(v6 ? 6 : 4, icmp[8] >> 4);
        if (!v6) {
            assert_int_equal(4, icmp[1]);
            assert_true(csum_good(csum_add(0, icmp, g->len - 20)));
        }
        assert_int_equal(1, box_fired(&b, WIRE_OUT, FIRED_MTU));
        box_free(&b);
    }
    struct box b = box_of("mtu 1280 icmp=silent", 1);
    box_data(&b, WIRE_OUT, 0, 1400);
    box_run(&b, NEVER);
    assert_int_equal(0, b.n);
    box_free(&b);
}

/* RFC 791 2.3: what may be fragmented is. */
static void fragments(void **state)
{
    (void)state;
    struct box b = box_of("mtu 600", 1);
    uint8_t text[1300], pkt[1500], back[1500] = {0};
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i * 31);
    }
    size_t len = lone_udp(pkt, box_ends4[0], 5, box_ends4[1], 6, text, sizeof text);
    box_put(&b, WIRE_OUT, pkt, len, 0, false);
    box_run(&b, NEVER);
    assert_int_equal(3, b.n);
    for (size_t i = 0; i < b.n; i++) {
        struct pkt_in in = {.p = b.got[i].bytes, .len = b.got[i].len};
        struct ip_hdr ip;
        assert_true(in.len <= 600);
        assert_int_equal(0, b.got[i].no);
        assert_int_equal(DROP_NONE, ip_parse(&in, &ip));
        assert_true(ip.frag && ip.frag_more == (i < 2));
        memcpy(back + ip.frag_at, ip.payload, ip.payload_len);
    }
    assert_memory_equal(pkt + 20, back, len - 20);
    box_free(&b);
}

static void options(void **state)
{
    (void)state;
    struct box b = box_of("out: strip sack,wscale; in: mss 700; in: strip timestamps on all", 1);
    box_syn(&b, true);
    struct tcp_seg s = {.flags = TCP_ACK, .seq = seq_of(1), .has_ts = true, .ts_val = 5};
    box_seg(&b, WIRE_IN, s, 10);
    box_seg(&b, WIRE_OUT, s, 10);
    box_run(&b, NEVER);
    assert_int_equal(4, b.n);
    const struct got *out = &b.got[0], *in = &b.got[1];
    assert_true(out->good && in->good && b.got[2].good && b.got[3].good);
    assert_true(!out->seg.has_sack_ok && !out->seg.has_wscale && out->seg.has_ts);
    assert_int_equal(BOX_MSS, out->seg.mss);
    assert_true(in->seg.has_sack_ok && in->seg.has_wscale && !in->seg.has_ts);
    assert_int_equal(700, in->seg.mss);
    assert_false(b.got[2].seg.has_ts);
    assert_true(b.got[3].seg.has_ts);
    assert_int_equal(10, b.got[2].plen);
    box_free(&b);
}

static void ecn(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct box b = box_of("out: ecn-mark data#1..2; in: ecn-bleach", 1);
        b.v6 = v6;
        box_syn(&b, false);
        box_data(&b, WIRE_OUT, 0, BOX_MSS); /* not ECN-capable */
        b.ecn = 2;
        box_data(&b, WIRE_OUT, BOX_MSS, BOX_MSS);
        box_data(&b, WIRE_OUT, 2 * BOX_MSS, BOX_MSS);
        box_data(&b, WIRE_IN, 0, BOX_MSS);
        box_run(&b, NEVER);
        static const uint8_t want[] = {0, 3, 2, 0};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(want[i], b.got[2 + i].ecn);
            assert_true(b.got[2 + i].good);
        }
        assert_int_equal(1, box_fired(&b, WIRE_OUT, FIRED_MARKED));
        box_free(&b);
    }
}

static void resets(void **state)
{
    (void)state;
    struct box b = box_of("in: rst after 2KiB", 1);
    box_syn(&b, false);
    for (uint32_t i = 0; i < 4; i++) {
        box_data(&b, WIRE_IN, i * BOX_MSS, BOX_MSS);
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
    }
    box_run(&b, NEVER);
    assert_int_equal(2 + 8 + 1, b.n);
    unsigned n = 0;
    for (size_t i = 0; i < b.n; i++) {
        if (b.got[i].flags & TCP_RST) {
            assert_int_equal(WIRE_IN, b.got[i].dir);
            assert_int_equal(1 + 3 * BOX_MSS, b.got[i].seq); /* what is expected next */
            assert_true(b.got[i].good);
            assert_int_equal(0, b.got[i].no);
            n++;
        }
    }
    assert_int_equal(1, n);
    box_free(&b);
}

static void windows(void **state)
{
    (void)state;
    struct box b = box_of("in: window 0 after 2KiB for 5s", 1);
    box_syn(&b, false);
    for (uint32_t i = 0; i < 4; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
        box_ack(&b, WIRE_IN, (i + 1) * BOX_MSS);
        box_ack(&b, WIRE_OUT, 0);
    }
    box_run(&b, b.now + 6 * SEC);
    box_ack(&b, WIRE_IN, 4 * BOX_MSS);
    box_run(&b, NEVER);
    unsigned zero = 0, other = 0;
    for (size_t i = 2; i < b.n; i++) {
        assert_true(b.got[i].good);
        if (b.got[i].wnd == 0) {
            assert_int_equal(WIRE_IN, b.got[i].dir);
            assert_true(b.got[i].ack > 2048);
            zero++;
        } else {
            other++;
        }
    }
    assert_int_equal(2, zero);
    assert_int_equal(4 + 4 + 2 + 1, other);
    box_free(&b);
}

static void idle(void **state)
{
    (void)state;
    struct box b = box_of("idle 30s", 1);
    box_syn(&b, false);
    box_run(&b, b.now + 29 * SEC);
    box_data(&b, WIRE_OUT, 0, 1);
    box_run(&b, b.now + 31 * SEC);
    box_data(&b, WIRE_OUT, 1, 1);
    box_data(&b, WIRE_OUT, 1, 1);
    box_data(&b, WIRE_IN, 0, 1);
    box_run(&b, b.now);
    assert_int_equal(3, b.n);
    struct tcp_seg s = {.flags = TCP_SYN, .seq = seq_of(70000)};
    box_seg(&b, WIRE_OUT, s, 0); /* a new connection */
    box_run(&b, NEVER);
    assert_int_equal(4, b.n);
    box_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reorders), cmocka_unit_test(duplicates), cmocka_unit_test(corruption),
        cmocka_unit_test(rates),    cmocka_unit_test(codel),      cmocka_unit_test(holes),
        cmocka_unit_test(mtu),      cmocka_unit_test(fragments),  cmocka_unit_test(options),
        cmocka_unit_test(ecn),      cmocka_unit_test(resets),     cmocka_unit_test(windows),
        cmocka_unit_test(idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
