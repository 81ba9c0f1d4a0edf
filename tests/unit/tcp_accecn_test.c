/*
 * tcp_accecn_test.c - the arithmetic of AccECN, RFC 9768: what the flags' three bits say, held
 * against exact counters (RFC 9768 3.2.1) over all values and over random losses of
 * acknowledgments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/tcp_accecn.h"
#include "core/tcp_ecn.h"
#include "core/tcp_wire.h"

#define MSS 1460u

static uint32_t rng = 1;

static uint32_t below(uint32_t n)
{
    rng = rng * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)rng * n) >> 32);
}

static uint8_t ace_of(uint32_t ce)
{
    return (uint8_t)((ce + ACCECN_CEP_INIT) & 7);
}

/* Tables 2 and 3: four codepoints, four numbers, and back. */
static void handshake_encoding(void **state)
{
    static const int back[8] = {-1, -1, ECN_NOT_ECT, ECN_ECT1, ECN_ECT0, -1, ECN_CE, -1};

    (void)state;
    for (uint8_t ace = 0; ace < 8; ace++) {
        assert_int_equal(back[ace], accecn_reflects(ace));
        assert_int_equal(ace, accecn_ace(accecn_flags(ace)));
        assert_int_equal(ace, accecn_ace((uint16_t)(accecn_flags(ace) | TCP_ACK | TCP_PSH)));
    }
    for (uint8_t ect = 0; ect < 4; ect++) {
        assert_int_equal(ect, accecn_reflects(accecn_reflected(ect)));
    }
    assert_int_equal(TCP_AE | TCP_CWR | TCP_ECE, accecn_flags(7));
    assert_int_equal(TCP_AE, accecn_flags(4));
}

/* 3.2.2.2: up to seven segments leave no doubt, from wherever the count was, around 2^32 too. */
static void seven_are_sure(void **state)
{
    (void)state;
    for (uint32_t segs = 0; segs <= 7; segs++) {
        for (uint32_t marked = 0; marked <= segs; marked++) {
            for (uint32_t from = 0; from < 20; from++) {
                uint32_t s_ce = from - 10;
                for (int options = 0; options < 2; options++) {
                    struct accecn_ack k = {.segs = segs,
                                           .bytes = segs * MSS,
                                           .mss = MSS,
                                           .ce_bytes = marked * MSS,
                                           .options = options};
                    assert_int_equal(marked, accecn_delta(ace_of(s_ce + marked), s_ce, &k));
                }
            }
        }
    }
}

/* A.2.1: without the option the number is the largest there can be: never too small, at most the
 * segments, and right modulo 8. */
static void safest_without_option(void **state)
{
    (void)state;
    for (uint32_t segs = 8; segs <= 100; segs++) {
        for (uint32_t marked = 0; marked <= segs; marked++) {
            struct accecn_ack k = {.segs = segs, .bytes = segs * MSS, .mss = MSS};
            uint32_t got = accecn_delta(ace_of(7 + marked), 7, &k);
            assert_true(got >= marked && got <= segs && got + 8 > segs);
            assert_int_equal(0, (got - marked) % 8);
        }
    }
    struct accecn_ack nine = {.segs = 9, .bytes = 9 * MSS, .mss = MSS};
    assert_int_equal(2, accecn_delta(ace_of(2), 0, &nine)); /* the appendix's two examples */
    struct accecn_ack ten = {.segs = 10, .bytes = 10 * MSS, .mss = MSS};
    assert_int_equal(10, accecn_delta(ace_of(2), 0, &ten));
}

/* A.2.2: of whole segments the option's bytes tell exactly how many were marked. */
static void exact_with_option(void **state)
{
    (void)state;
    for (uint32_t segs = 0; segs <= 100; segs++) {
        for (uint32_t marked = 0; marked <= segs; marked++) {
            struct accecn_ack k = {.segs = segs,
                                   .bytes = segs * MSS,
                                   .mss = MSS,
                                   .ce_bytes = marked * MSS,
                                   .options = true};
            assert_int_equal(marked, accecn_delta(ace_of(3 + marked), 3, &k));
        }
    }
}

/* The appendix's three examples: marked bytes beside what the flags say. */
static void examples_of_the_appendix(void **state)
{
    (void)state;
    struct accecn_ack k = {.segs = 8, .bytes = 8 * MSS, .mss = MSS, .options = true};
    k.ce_bytes = 1460; /* no mark would mean more than an MSS a segment */
    assert_int_equal(8, accecn_delta(ace_of(0), 0, &k));
    k.segs = 10;
    assert_int_equal(2, accecn_delta(ace_of(2), 0, &k)); /* ten would be of a tenth of an MSS */
    k.segs = 15;
    k.ce_bytes = 10200;
    assert_int_equal(7, accecn_delta(ace_of(7), 0, &k));
}

/* Where ACKs of many segments are usual they say nothing of lost ones. */
static void thinned_acks(void **state)
{
    (void)state;
    struct accecn_ack k = {.segs = 16, .bytes = 16 * MSS, .mss = MSS, .acked_avg = 16 * 64};
    assert_int_equal(1, accecn_delta(ace_of(1), 0, &k));
    k.acked_avg = 2 * 64;
    assert_int_equal(9, accecn_delta(ace_of(1), 0, &k));
}

/* A receiver that counts, a path that loses acknowledgments, a sender that reads what is left. What
 * it has counted in the end is at least what was marked, right modulo 8, and with the option exact;
 * while never eight marks go by unseen it is exact without. */
static void lost_acknowledgments(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < 400; run++) {
        uint32_t loss = below(100), mark = below(101), sizes = run % 2;
        bool options = run % 4 >= 2, sure = true;
        uint32_t r_ce = 0, s_ce = 0, r_ceb = 0, s_ceb = 0, since = 0;
        struct accecn_ack k = {.mss = MSS, .options = options};
        for (uint32_t i = 0; i < 2000; i++) {
            uint32_t len = sizes ? MSS : MSS - below(100);
            bool ce = below(100) < mark;
            r_ce += ce;
            r_ceb += ce ? len : 0;
            k.segs++;
            k.bytes += len;
            since++;
            if (below(100) < loss && i != 1999) {
                continue;
            }
            sure = sure && since <= 7;
            k.ce_bytes = r_ceb - s_ceb;
            s_ce += accecn_delta(ace_of(r_ce), s_ce, &k);
            s_ceb = r_ceb;
            k.segs = k.bytes = since = 0;
            assert_int_equal(0, (s_ce - r_ce) % 8);
            assert_true(s_ce >= r_ce);
            if (sure || (options && sizes)) {
                assert_int_equal(r_ce, s_ce);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_encoding),       cmocka_unit_test(seven_are_sure),
        cmocka_unit_test(safest_without_option),    cmocka_unit_test(exact_with_option),
        cmocka_unit_test(examples_of_the_appendix), cmocka_unit_test(thinned_acks),
        cmocka_unit_test(lost_acknowledgments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
