/*
 * wire_test.c - the emulated wire as a machine: packets pass whole and in time, chance is the
 * seed's and not the timing's, selections mean the packets they say, memory is bounded, tables can
 * be made anew.
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
#include "tests/lib/box.h"
#include "tests/lib/lone.h"

/* Whether byte `at` of the stream arrived. */
static bool has_byte(const struct box *b, enum wire_dir d, uint32_t at)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct got *g = &b->got[i];
        if (g->dir == d && g->plen && 1 + at - g->seq < g->plen) {
            return true;
        }
    }
    return false;
}

static void plain(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct box b = box_of("", 1);
        uint8_t pkt[2000];
        b.v6 = v6;
        struct tcp_seg s = {.flags = TCP_ACK, .seq = seq_of(9), .wnd = 3};
        size_t len = box_build(&b, WIRE_IN, s, 77, pkt);
        box_put(&b, WIRE_IN, pkt, len, 0, false);
        assert_int_equal(BOX_T0, wire_deadline(b.w));
        box_run(&b, b.now);
        assert_int_equal(1, b.n);
        assert_int_equal(WIRE_IN, b.got[0].dir);
        assert_int_equal(len, b.got[0].len);
        assert_memory_equal(pkt, b.got[0].bytes, len);
        assert_int_equal(NEVER, wire_deadline(b.w));
        box_free(&b);
    }
}

static void delays(void **state)
{
    (void)state;
    struct box b = box_of("out: delay 20ms; in: delay 5ms", 1);
    box_data(&b, WIRE_OUT, 0, 10);
    box_data(&b, WIRE_IN, 0, 10);
    assert_int_equal(BOX_T0 + 5 * MSEC, wire_deadline(b.w));
    box_run(&b, NEVER);
    assert_int_equal(2, b.n);
    assert_int_equal(5 * MSEC, b.got[0].at);
    assert_int_equal(20 * MSEC, b.got[1].at);
    box_free(&b);
}

/* The mean, the spread, and where nothing may lie. */
static void jitter_is(const char *text, nsec lo, nsec hi, nsec mean, bool in_order)
{
    struct box b = box_of(text, 3);
    const uint32_t n = 4000;
    double sum = 0;
    bool sorted = true;
    for (uint32_t i = 0; i < n; i++) {
        box_data(&b, WIRE_OUT, i, 1);
    }
    box_run(&b, NEVER);
    assert_int_equal(n, b.n);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(b.got[i].at >= lo && b.got[i].at <= hi);
        sum += (double)b.got[i].at;
        sorted &= b.got[i].seq == i + 1;
    }
    assert_int_equal(in_order, sorted);
    if (mean) {
        double off = sum / n - (double)mean;
        assert_true(off < 0.3 * MSEC && off > -0.3 * MSEC);
    }
    box_free(&b);
}

static void jitter(void **state)
{
    (void)state;
    jitter_is("delay 50ms jitter 10ms", 40 * MSEC, 60 * MSEC, 50 * MSEC, false);
    jitter_is("delay 50ms jitter 5ms dist normal", 20 * MSEC, 80 * MSEC, 50 * MSEC, false);
    jitter_is("delay 50ms jitter 5ms dist pareto", 47 * MSEC, 151 * MSEC, 50 * MSEC, false);
    jitter_is("delay 50ms jitter 10ms ordered", 40 * MSEC, 60 * MSEC, 0, true);
}

/* The stream positions lost of 5000 segments, with acknowledgments and pauses strewn in. */
static uint32_t lost_of(uint64_t seed, unsigned noise, uint32_t *list)
{
    struct box b = box_of("loss 1%", seed);
    box_syn(&b, false);
    for (uint32_t i = 0; i < 5000; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
        for (unsigned k = 0; k < noise; k++) {
            box_ack(&b, WIRE_OUT, i * 3 + k);
            box_ack(&b, WIRE_IN, i);
        }
        box_run(&b, b.now + noise * 77);
        b.n = 0;
    }
    uint32_t n = 0;
    for (uint64_t i = 0; i < wire_firings(b.w); i++) {
        const struct wire_firing *f = wire_firing(b.w, i);
        assert_int_equal(FIRED_LOST, f->what);
        if (f->pick == PICK_DATA) {
            list[n++] = (uint32_t)f->offset;
        }
    }
    box_free(&b);
    return n;
}

static void loss_is_the_seeds(void **state)
{
    static uint32_t a[5000], c[5000], d[5000];
    (void)state;
    uint32_t n = lost_of(7, 0, a);
    assert_in_range(n, 30, 75);
    assert_int_equal(n, lost_of(7, 3, c));
    assert_memory_equal(a, c, n * sizeof *a);
    uint32_t m = lost_of(8, 0, d);
    assert_in_range(m, 30, 75);
    assert_true(m != n || memcmp(a, d, n * sizeof *a) != 0);
}

static void bursts(void **state)
{
    (void)state;
    struct box b = box_of("out: loss ge p=1% r=25%", 5);
    bool lost[20001] = {0};
    uint32_t n = 0, runs = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        box_data(&b, WIRE_OUT, i, 1);
        box_run(&b, b.now);
        lost[i + 1] = b.n == 0;
        b.n = 0;
        n += lost[i + 1];
        runs += lost[i + 1] && !lost[i];
    }
    assert_in_range(n, 600, 950);           /* p / (p + r) = 3.85 % */
    assert_in_range(n * 10 / runs, 33, 47); /* 1 / r = 4 */
    assert_int_equal(n, box_fired(&b, WIRE_OUT, FIRED_LOST));
    box_data(&b, WIRE_IN, 0, 1);
    box_run(&b, NEVER);
    assert_int_equal(1, b.n);
    box_free(&b);
}

/* The same stretch whatever the segments, at its first transmission only. */
static void drop_stretch(uint32_t step, bool ts)
{
    struct box b = box_of("out: drop data#3", 1);
    uint32_t stretch = BOX_MSS - (ts ? 12 : 0);
    box_syn(&b, ts);
    for (uint32_t at = 0; at < 6 * BOX_MSS; at += step) {
        box_data(&b, WIRE_OUT, at, min_u32(step, 6 * BOX_MSS - at));
        box_data(&b, WIRE_IN, at, step);
    }
    box_run(&b, NEVER);
    for (uint32_t at = 0; at < 6 * BOX_MSS; at++) {
        bool in = at >= 2 * stretch && at < 3 * stretch;
        if (has_byte(&b, WIRE_OUT, at) == in) {
            fail_msg("step %u ts %d: byte %u", step, ts, at);
        }
        assert_true(has_byte(&b, WIRE_IN, at));
    }
    for (size_t i = 0; i < b.n; i++) {
        assert_true(b.got[i].good);
    }
    box_data(&b, WIRE_OUT, 2 * stretch, stretch); /* again: passes */
    box_run(&b, NEVER);
    assert_true(has_byte(&b, WIRE_OUT, 2 * stretch));
    assert_true(has_byte(&b, WIRE_OUT, 3 * stretch - 1));
    box_free(&b);
}

static void exact_data(void **state)
{
    (void)state;
    drop_stretch(BOX_MSS, false);
    drop_stretch(BOX_MSS - 12, true);
    drop_stretch(333, false);
    drop_stretch(1333, true);
    drop_stretch(100, false);
}

static void selections(void **state)
{
    (void)state;
    struct box b = box_of("in: drop syn+ack#1..2; out: drop ack#2+2; out: drop fin#1; "
                          "in: drop rst; out: drop retransmit#1; out: drop udp#2",
                          1);
    struct tcp_seg s = {.flags = TCP_SYN | TCP_ACK, .ack = seq_of(1)};
    for (int i = 0; i < 3; i++) {
        box_seg(&b, WIRE_IN, s, 0);
    }
    for (uint32_t i = 1; i <= 5; i++) {
        box_ack(&b, WIRE_OUT, i);
    }
    box_run(&b, NEVER);
    assert_int_equal(1 + 3, b.n); /* the third SYN-ACK; ACKs 1, 3, 5 */
    assert_int_equal(2, b.got[1].ack);
    assert_int_equal(4, b.got[2].ack);
    assert_int_equal(6, b.got[3].ack);
    s = (struct tcp_seg){.flags = TCP_FIN | TCP_ACK, .seq = seq_of(1)};
    box_seg(&b, WIRE_OUT, s, 0);
    box_run(&b, NEVER);
    assert_int_equal(4, b.n);
    box_seg(&b, WIRE_OUT, s, 0); /* fin#2, but retransmit#1 */
    box_seg(&b, WIRE_OUT, s, 0);
    box_run(&b, NEVER);
    assert_int_equal(5, b.n);
    s = (struct tcp_seg){.flags = TCP_RST};
    box_seg(&b, WIRE_IN, s, 0);
    box_seg(&b, WIRE_OUT, s, 0);
    box_run(&b, NEVER);
    assert_int_equal(6, b.n);
    assert_int_equal(WIRE_OUT, b.got[5].dir);
    for (int i = 0; i < 3; i++) {
        uint8_t pkt[100];
        box_put(&b, WIRE_OUT, pkt, lone_udp(pkt, box_ends4[0], 5, box_ends4[1], 6, "xyz", 3), 0,
                false);
    }
    box_run(&b, NEVER);
    assert_int_equal(8, b.n);
    box_free(&b);
}

/* A super-segment is cut before the rules see it, and its checksums are made. */
static void super_segments(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct box b = box_of("out: drop data#2", 1);
        static uint8_t pkt[70000];
        b.v6 = v6;
        box_syn(&b, false);
        struct tcp_seg s = {.flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR, .seq = seq_of(1)};
        size_t len = box_build(&b, WIRE_OUT, s, 3500, pkt);
        memset(pkt + (v6 ? 56 : 36), 0x11, 2); /* nobody has computed it */
        box_put(&b, WIRE_OUT, pkt, len, BOX_MSS, true);
        box_run(&b, NEVER);
        assert_int_equal(2 + 3, b.n);
        static const uint32_t at[] = {0, 2 * BOX_MSS, 3 * BOX_MSS};
        for (size_t i = 0; i < 3; i++) {
            const struct got *g = &b.got[2 + i];
            assert_true(g->good);
            assert_int_equal(1 + at[i], g->seq);
            assert_int_equal(i == 2 ? 500 : BOX_MSS, g->plen);
            assert_int_equal(TCP_ACK | (i == 0 ? TCP_CWR : 0) | (i == 2 ? TCP_PSH | TCP_FIN : 0),
                             g->flags);
            for (uint32_t k = 0; k < g->plen; k++) {
                assert_int_equal((uint8_t)((g->seq + k) * 7), g->bytes[g->len - g->plen + k]);
            }
        }
        len =
            box_build(&b, WIRE_OUT, (struct tcp_seg){.flags = TCP_ACK, .seq = seq_of(5)}, 100, pkt);
        memset(pkt + (v6 ? 56 : 36), 0x11, 2);
        box_put(&b, WIRE_OUT, pkt, len, 0, true);
        box_put(&b, WIRE_OUT, pkt, len, 0, false); /* a wrong one stays wrong */
        box_run(&b, NEVER);
        assert_true(b.got[5].good && !b.got[6].good);
        box_free(&b);
    }
}

static void bounded(void **state)
{
    (void)state;
    struct box b = box_of("delay 1s", 1);
    for (uint32_t i = 0; i < 10000; i++) {
        box_data(&b, WIRE_OUT, i, 1);
    }
    uint64_t lost = box_fired(&b, WIRE_OUT, FIRED_NO_ROOM);
    assert_in_range(lost, 1000, 9900);
    assert_null(wire_check(b.w));
    box_run(&b, NEVER);
    assert_int_equal(10000 - lost, b.n);
    assert_null(wire_firing(b.w, wire_firings(b.w)));
    box_data(&b, WIRE_OUT, 0, 1);
    box_run(&b, NEVER);
    assert_int_equal(10001 - lost, b.n);
    box_free(&b);
}

/* The indices are made anew from the packets; the one in hand is lost. */
static void recovery(void **state)
{
    (void)state;
    struct box b = box_of("delay 10ms; rate 8320kbit; out: reorder data#2 after data#9", 1);
    struct wire_pkt_out o;
    box_syn(&b, false);
    for (uint32_t i = 0; i < 6; i++) {
        box_data(&b, WIRE_OUT, i * BOX_MSS, BOX_MSS);
    }
    b.now += 12 * MSEC;
    unsigned n = 0;
    while (wire_take(b.w, b.now, &o, NULL) && ++n < 3) {
        wire_done(b.w, &o);
    }
    assert_int_equal(3, n); /* SYN, SYN-ACK, and the first data in hand */
    struct wire_counts before = *wire_counts(b.w, WIRE_OUT);
    wire_recover(b.w);
    assert_null(wire_check(b.w));
    assert_memory_equal(&before, wire_counts(b.w, WIRE_OUT), sizeof before);
    assert_int_equal(5, wire_in_flight(b.w, WIRE_OUT));
    box_run(&b, NEVER);
    static const uint32_t order[] = {2, 3, 4, 5, 1};
    assert_int_equal(5, b.n);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(1 + order[i] * BOX_MSS, b.got[i].seq);
    }
    box_free(&b);
}

/* Anything may come in; nothing is read beyond it, and the tables stay whole. */
static void storm(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "loss 5%; dup 5% x3; corrupt 20%; rate 5mbit queue 20p; delay 5ms jitter 5ms",
        "mtu 300; strip all on all; mss 20; window 0 after 10B; rst after 20B; ecn-mark 50%",
        "drop data#2+2; reorder data#3 after data#5; reorder 10% by 3ms; corrupt 9% at tcp.options",
        "rate 100kbit aqm codel ecn; ecn-bleach; idle 1ms; corrupt 9% at payload fixed; mtu 68",
    };
    const char *seed_text = getenv("SEED");
    uint64_t first = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + (seed_text ? 1 : 40); seed++) {
        struct box b = box_of(specs[seed % ARRAY_LEN(specs)], seed);
        uint64_t rng = seed;
        for (int i = 0; i < 400; i++) {
            uint8_t *pkt = malloc(1500);
            rng = rng * 6364136223846793005ull + 1442695040888963407ull;
            uint32_t x = (uint32_t)(rng >> 32);
            b.v6 = x & 1;
            struct tcp_seg s = {.flags = x >> 3 & 0xff, .seq = seq_of(x >> 11 & 4095)};
            s.has_ts = x >> 2 & 1;
            s.has_mss = s.flags & TCP_SYN;
            size_t len = box_build(&b, x >> 24 & 1, s, x >> 20 & 1023, pkt);
            for (int k = 0; k < (int)(x >> 25 & 3); k++) {
                pkt[(rng >> (8 * k)) % 60] = (uint8_t)(rng >> (7 * k + 3));
            }
            len = x >> 28 == 0 ? x % len : len;
            uint8_t *own = malloc(len + 1);
            memcpy(own, pkt, len);
            box_put(&b, x >> 24 & 1, own, len, x >> 27 == 1 ? 100 : 0, x >> 30 & 1);
            free(own);
            free(pkt);
            box_run(&b, b.now + 500 * USEC);
            if (i % 50 == 49) {
                wire_recover(b.w);
            }
            const char *bad = wire_check(b.w);
            if (bad) {
                fail_msg("SEED=%llu: %s", (unsigned long long)seed, bad);
            }
        }
        box_run(&b, NEVER);
        assert_int_equal(0, wire_in_flight(b.w, WIRE_OUT) + wire_in_flight(b.w, WIRE_IN));
        box_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),      cmocka_unit_test(delays),
        cmocka_unit_test(jitter),     cmocka_unit_test(loss_is_the_seeds),
        cmocka_unit_test(bursts),     cmocka_unit_test(exact_data),
        cmocka_unit_test(selections), cmocka_unit_test(super_segments),
        cmocka_unit_test(bounded),    cmocka_unit_test(recovery),
        cmocka_unit_test(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
