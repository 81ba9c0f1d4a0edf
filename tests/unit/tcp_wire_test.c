/* tcp_wire_test.c - headers and options: there and back, and nothing a peer writes leads out of
 * the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/tcp_wire.h"

static void round_trip(struct tcp_seg in)
{
    uint8_t buf[TCP_HDR_MAX];
    struct tcp_seg out;
    uint32_t n = tcp_seg_build(&in, buf);

    assert_true(n >= TCP_HDR_MIN && n <= TCP_HDR_MAX && n % 4 == 0);
    assert_int_equal(DROP_NONE, tcp_seg_parse(&out, buf, n));
    assert_int_equal(in.sport, out.sport);
    assert_int_equal(in.dport, out.dport);
    assert_int_equal(in.seq.v, out.seq.v);
    assert_int_equal(in.ack.v, out.ack.v);
    assert_int_equal(in.flags, out.flags);
    assert_int_equal(in.wnd, out.wnd);
    assert_int_equal(in.up, out.up);
    assert_int_equal(in.has_mss ? in.mss : 0, out.has_mss ? out.mss : 0);
    assert_int_equal(in.has_sack_ok, out.has_sack_ok);
    assert_int_equal(in.has_wscale ? in.wscale + 1 : 0, out.has_wscale ? out.wscale + 1 : 0);
    assert_int_equal(in.has_ts, out.has_ts);
    if (in.has_ts) {
        assert_int_equal(in.ts_val, out.ts_val);
        assert_int_equal(in.ts_ecr, out.ts_ecr);
    }
    assert_int_equal(in.nsack, out.nsack);
    assert_memory_equal(in.sack, out.sack, in.nsack * sizeof in.sack[0]);
}

static void segments_go_round(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        round_trip((struct tcp_seg){.sport = 1,
                                    .dport = 65535,
                                    .seq = {0xfffffffe},
                                    .ack = {7},
                                    .wnd = 512,
                                    .flags = TCP_SYN,
                                    .has_mss = bits & 1,
                                    .mss = 1460,
                                    .has_sack_ok = bits & 2,
                                    .has_ts = bits & 4,
                                    .ts_val = 0x01020304,
                                    .ts_ecr = 0xfffefdfc,
                                    .has_wscale = bits & 8,
                                    .wscale = 14});
    }
    for (uint8_t n = 0; n <= 4; n++) {
        struct tcp_seg s = {
            .flags = TCP_ACK | TCP_AE | TCP_CWR, .has_ts = n < 4, .nsack = n, .up = 3};
        for (uint8_t i = 0; i < n; i++) {
            s.sack[i] = (struct sack_block){{1000u * i + 1}, {1000u * i + 500}};
        }
        round_trip(s);
    }
}

/* RFC 9293 MUST-7: lengths 0, 1 and past the end, at every offset. */
static void bad_lengths_do_no_harm(void **state)
{
    (void)state;
    uint8_t buf[TCP_HDR_MAX];
    for (unsigned off = 20; off < 60; off++) {
        for (unsigned len = 0; len < 256; len++) {
            struct tcp_seg s;
            memset(buf, 1, sizeof buf);
            buf[12] = 15 << 4;
            buf[13] = TCP_SYN;
            buf[off] = 8;
            if (off + 1 < 60) {
                buf[off + 1] = (uint8_t)len;
            }
            assert_int_equal(DROP_NONE, tcp_seg_parse(&s, buf, sizeof buf));
            assert_true(!s.has_ts || (len == 10 && off <= 50));
        }
    }
}

static void short_and_wrong_offsets(void **state)
{
    (void)state;
    uint8_t buf[TCP_HDR_MAX] = {0};
    struct tcp_seg s;
    for (unsigned len = 0; len < 20; len++) {
        assert_int_equal(DROP_TCP_SHORT, tcp_seg_parse(&s, buf, len));
    }
    for (unsigned off = 0; off < 16; off++) {
        buf[12] = (uint8_t)(off << 4);
        for (unsigned len = 20; len <= 60; len++) {
            bool good = off >= 5 && off * 4 <= len;
            assert_int_equal(good ? DROP_NONE : DROP_TCP_OFFSET, tcp_seg_parse(&s, buf, len));
            if (good) {
                assert_int_equal(len - off * 4, s.len);
            }
        }
    }
}

/* RFC 9293 MUST-5, -6; RFC 7323 2.3: unknown kinds skipped, a shift above 14 taken as 14, no MSS
 * after the SYN. */
static void options_where_they_belong(void **state)
{
    (void)state;
    uint8_t p[32] = {[12] = 8 << 4, [13] = TCP_SYN, [20] = 254, 4, 9, 9, 3, 3, 200, 1, 2, 4, 5,
                     0xb4};
    struct tcp_seg s;
    assert_int_equal(DROP_NONE, tcp_seg_parse(&s, p, sizeof p));
    assert_true(s.has_wscale && s.wscale == 14 && s.has_mss && s.mss == 1460);
    p[13] = TCP_ACK;
    assert_int_equal(DROP_NONE, tcp_seg_parse(&s, p, sizeof p));
    assert_false(s.has_wscale || s.has_mss || s.has_sack_ok);
}

/* RFC 9768 3.2.3: both orders, every length, beside every set of other options: there and back,
 * never more than 40 bytes, and the counters that are needed or none. */
static void accecn_options(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        for (uint8_t need = 0; need <= 3; need++) {
            bool syn = bits & 1;
            struct tcp_seg s = {.flags = syn ? TCP_SYN | TCP_ACK : TCP_ACK,
                                .has_mss = syn,
                                .mss = 1460,
                                .has_ts = bits & 2,
                                .sign = bits & 4,
                                .syn_layout = syn && bits & 8 ? SYN_FREEBSD : SYN_LINUX,
                                .has_wscale = syn && bits & 16,
                                .has_sack_ok = syn && bits & 32,
                                .accecn = {true, bits & 64, 0, {1, 0xabcdef, 0xffffff}}};
            s.nsack = syn ? 0 : (bits >> 3 & 7) % 5;
            if (s.sign && s.has_ts && (s.has_sack_ok || s.nsack)) {
                continue; /* there is no room for these three */
            }
            s.nsack = s.sign && s.nsack > 2 ? 2 : s.has_ts && s.nsack > 3 ? 3 : s.nsack;
            s.fo.here = syn && bits & 128 && !s.sign;
            s.fo.len = 8;
            uint8_t blocks = s.nsack;
            bool fits = tcp_accecn_fit(&s, need);
            assert_int_equal(fits, s.accecn.here);
            assert_true(!fits || s.accecn.n >= need);
            assert_true(s.nsack == blocks || (s.nsack >= 2 && need && fits));
            uint8_t buf[TCP_HDR_MAX];
            struct tcp_seg out;
            uint32_t n = tcp_seg_build(&s, buf);
            assert_true(n <= TCP_HDR_MAX && n % 4 == 0);
            assert_int_equal(DROP_NONE, tcp_seg_parse(&out, buf, n));
            assert_int_equal(fits, out.accecn.here);
            assert_int_equal(s.nsack, out.nsack);
            assert_int_equal(s.has_ts, out.has_ts);
            assert_int_equal(s.has_wscale, out.has_wscale);
            assert_int_equal(s.has_sack_ok, out.has_sack_ok);
            assert_true(s.fo.here == out.fo.here);
            if (fits) {
                assert_int_equal(s.accecn.n, out.accecn.n);
                assert_int_equal(s.accecn.order1, out.accecn.order1);
                assert_memory_equal(s.accecn.v, out.accecn.v, s.accecn.n * sizeof s.accecn.v[0]);
            }
        }
    }
}

/* RFC 9768 3.2.3: of a length that is none the whole counters are taken. 3.2.3.2.1: on a SYN the
 * option is nothing. */
static void accecn_lengths(void **state)
{
    (void)state;
    for (unsigned len = 2; len <= 40; len++) {
        uint8_t p[TCP_HDR_MAX] = {[12] = 15 << 4, [13] = TCP_ACK, [20] = 172, (uint8_t)len};
        struct tcp_seg s;
        for (unsigned i = 2; i < len; i++) {
            p[20 + i] = (uint8_t)i;
        }
        assert_int_equal(DROP_NONE, tcp_seg_parse(&s, p, sizeof p));
        unsigned whole = (len - 2) / 3;
        assert_true(s.accecn.here && !s.accecn.order1);
        assert_int_equal(whole < 3 ? whole : 3, s.accecn.n);
        assert_true(s.accecn.n == 0 || s.accecn.v[0] == 0x020304);
        assert_true(s.accecn.n < 3 || s.accecn.v[2] == 0x08090a);
        p[13] = TCP_SYN;
        assert_int_equal(DROP_NONE, tcp_seg_parse(&s, p, sizeof p));
        assert_false(s.accecn.here);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_go_round),       cmocka_unit_test(bad_lengths_do_no_harm),
        cmocka_unit_test(short_and_wrong_offsets), cmocka_unit_test(options_where_they_belong),
        cmocka_unit_test(accecn_options),          cmocka_unit_test(accecn_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
