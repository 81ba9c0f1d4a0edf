/*
 * drill_lang_test.c - the language of packet scripts: a printed line is the line that was parsed,
 * and the bytes built from one are taken apart to the same line, with every checksum right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "tests/drill/conv.h"
#include "tests/drill/match.h"
#include "tests/drill/script.h"

static bool parse_line(const char *text, bool v6, struct spec *out, struct str *err)
{
    struct pool pool = {0};
    struct lex l;
    lex_init(&l, "line", text, &pool, NULL, err);
    spec_parse(&l, out, v6);
    bool ok = !l.bad && l.tok.kind == TOK_END;
    pool_free(&pool);
    return ok;
}

static const char *const lines4[] = {
    "< S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>",
    "> S. 0:0(0) ack 1 win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 10>",
    "> . 1:1(0) ack 1",
    "> P. 1:10001(10000) ack 1 <nop,nop,TS val 1 ecr 4294967295>",
    "< . 1:1(0) ack 1 win 1024 <nop,nop,sack 1001:2001 3001:4001>",
    "< FSRPUEWA. 4294967290:10(16) ack 4294967295 win 0 urg 5",
    "< - 0:0(0) win 0",
    "< R 1:1(0) win 0",
    "> 5. 1:1(0) ack 1",
    "> P0. 1:11(10) ack 1",
    "< SEW 0:0(0) win 100",
    "< 5000 > 8080 S 0:0(0) win 100",
    "> 8080 > 5000 S. 0:0(0) ack 1 <...>",
    "> [ect0] . 1:1(0) ack 1",
    "> [ect01] . 1:1(0) ack 1",
    "< [ce,ttl 3] . 1:1(0) ack 1 win 9",
    "> [tos 0x28,flowlabel 0xabcde] . 1:1(0) ack 1",
    "< S 0:0(0) win 5 <FO,nop,nop>",
    "< S 0:0(0) win 5 <FO 0102030405060708,nop,nop>",
    "< S 0:0(0) win 5 <FOEXP 01020304,nop,nop,nop,nop>",
    "< S 0:0(0) win 5 <md5 000102030405060708090a0b0c0d0e0f,nop,nop>",
    "> . 1:1(0) ack 1 <ECN e0b 1 ceb 2 e1b 16777215,nop>",
    "> . 1:1(0) ack 1 <nop,nop,nop,ECN e1b 7>",
    "> . 1:1(0) ack 1 <mss 5,eol,eol,eol,eol>",
    "< udp (1472)",
    "> udp 9 > 10 (0)",
    "< icmp unreachable port_unreachable [0:0(0)]",
    "< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
    "> icmp unreachable port_unreachable [udp (100)]",
    "< icmp source_quench [raw (8)]",
    "< icmp echo_request id 77",
    "< icmp type_99 code_3",
    "< ipv4 10.0.0.1 > 10.0.0.2: . 1:1(0) ack 1 win 5",
};

static const char *const lines6[] = {
    "< icmp packet_too_big mtu 1280 [1:1461(1460)]",
    "< icmp unreachable address_unreachable [0:0(0)]",
    "< icmp time_exceeded exceeded_hop_limit [0:0(0)]",
    "> icmp parameter_problem unknown_next_header",
    "> icmp echo_reply id 5",
    "< ipv6 fd00::1 > fd00::2: S 0:0(0) win 5",
};

static void goes_round(const char *line, bool v6)
{
    struct spec s;
    struct str err = {0}, out = {0};
    if (!parse_line(line, v6, &s, &err)) {
        fail_msg("%s: %s", line, str_text(&err));
    }
    spec_print(&s, &out);
    assert_string_equal(str_text(&out), line);
    str_free(&err);
    str_free(&out);
}

static void printed_is_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines4); i++) {
        goes_round(lines4[i], false);
    }
    for (size_t i = 0; i < ARRAY_LEN(lines6); i++) {
        goes_round(lines6[i], true);
    }
}

static void bad_lines_are_refused(void **state)
{
    static const char *const bad[] = {
        "< S 0:0(0)",
        "< S 0:1(0) win 5",
        "< X 0:0(0) win 5",
        "> 8E. 0:0(0)",
        "< S 0:0(0) win 70000",
        "< S 0:0(0) win 5 <mss>",
        "< S 0:0(0) win 5 <nop>",
        "< S 0:0(0) win 5 <nonesuch,nop,nop,nop>",
        "< S 0:0(0) win 5 <sack>",
        "< [ect01] . 0:0(0) win 5",
        "< icmp nonesuch",
        "< icmp unreachable nonesuch",
        "< udp 100",
        "> ipv4 10.0.0.1 > 10.0.0.2: . 1:1(0)",
        "> gre: . 1:1(0)",
        "",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct spec s;
        struct str err = {0};
        if (parse_line(bad[i], false, &s, &err)) {
            fail_msg("accepted: %s", bad[i]);
        }
        str_free(&err);
    }
}

static struct wire_ends ends(bool v6)
{
    struct wire_ends e = {.sport = 1234, .dport = 80};
    addr_parse(v6 ? "fd00::1" : "192.0.2.1", &e.src);
    addr_parse(v6 ? "fd00::2" : "192.168.0.1", &e.dst);
    return e;
}

/* The bytes of a line, taken apart, match the line; and with any byte of the packet changed they
 * do not parse, or do not match. */
static void bytes_go_round(const char *line, bool v6)
{
    static uint8_t buf[WIRE_MAX];
    struct wire_ends e = ends(v6);
    struct spec s, got;
    struct wire w;
    struct str err = {0};
    struct match_rules rules = {.ts_tick_us = 1};
    assert_true(parse_line(line, v6, &s, &err));
    size_t n = wire_build(&s, &e, buf);
    if (!wire_parse(buf, n, &w, &err)) {
        fail_msg("%s: %s", line, str_text(&err));
    }
    wire_spec(&w, &got);
    if (!match(&s, &got, &w, &rules, &err)) {
        fail_msg("%s: %s", line, str_text(&err));
    }
    assert_int_equal(w.v6, v6);
    for (size_t i = v6 ? 8 : 0; i < n && s.proto != SPEC_ICMP; i++) {
        struct str why = {0};
        buf[i] ^= 0x40;
        assert_false(wire_parse(buf, n, &w, &why));
        buf[i] ^= 0x40;
        str_free(&why);
    }
    str_free(&err);
}

static void built_is_parsed(void **state)
{
    static const char *const both[] = {
        "> S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>",
        "> FP. 7:18(11) ack 9 win 3 urg 2 <nop,nop,sack 1:2>",
        "> 7. 7:18(11) ack 9 win 3",
        "> udp (333)",
        "> udp (0)",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        bytes_go_round(both[i], false);
        bytes_go_round(both[i], true);
    }
    bytes_go_round("> icmp unreachable frag_needed mtu 1200 [1:1461(1460)]", false);
    bytes_go_round("> icmp unreachable port_unreachable [udp (100)]", false);
    bytes_go_round("> icmp packet_too_big mtu 1280 [1:1461(1460)]", true);
    bytes_go_round("> icmp echo_reply id 5", true);
}

static void segments_are_glued(void **state)
{
    struct spec a, b, c;
    struct str err = {0};
    (void)state;
    assert_true(parse_line("> . 1:1001(1000) ack 1 win 5", false, &a, &err));
    assert_true(parse_line("> P. 1001:1501(500) ack 1 win 5", false, &b, &err));
    assert_true(parse_line("> . 1501:1601(100) ack 2 win 5", false, &c, &err));
    assert_true(match_glue(&a, &b, &err));
    assert_int_equal(a.len, 1500);
    assert_int_equal(a.flags, F_ACK | F_PSH);
    assert_false(match_glue(&a, &c, &err));
    str_free(&err);
}

/* The numbers of a connection both ways, each side with an initial sequence number of its own. */
static void numbers_are_mapped(void **state)
{
    struct conv c = {.state = CONV_OPEN};
    struct spec syn, synack, live, script, data;
    struct str err = {0};
    (void)state;
    assert_true(parse_line("< S 500:500(0) win 5", false, &syn, &err));
    assert_true(conv_in(&c, &syn, false, &live, &err));
    assert_int_equal(live.seq, 500);
    assert_true(parse_line("> S. 0:0(0) ack 501", false, &synack, &err));
    live = synack;
    live.seq = 0xfffffff0u;
    live.ack = 501;
    conv_out(&c, &live, &synack, &script);
    assert_int_equal(script.seq, 0);
    assert_int_equal(script.ack, 501);
    assert_true(parse_line("< . 1:101(100) ack 33 win 5 <nop,nop,sack 41:51>", false, &data, &err));
    assert_true(conv_in(&c, &data, false, &live, &err));
    assert_int_equal(live.seq, 501);
    assert_int_equal(live.ack, 0xfffffff0u + 33u);
    assert_int_equal(live.opts.b[7], 0xf0 + 41 - 256);
    conv_fini(&c);
    str_free(&err);
}

static void scripts_parse(void **state)
{
    static const char text[] = "--mtu=1400 // an option\n"
                               "`true`\n"
                               "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
                               "+.5...0.75 read(3, ..., 100) = -1 EAGAIN (note of words)\n"
                               "* > . 1:1(0) ack 1\n"
                               "+.1~+.2 > . 1:1(0) ack 1 /* range */\n"
                               "+0 %{ a = {1: 2} }%\n"
                               "`true`\n";
    struct pool pool = {0};
    struct defines defs = {.pool = &pool};
    struct script s;
    struct str err = {0};
    (void)state;
    assert_true(script_parse("x", text, &pool, &defs, false, &s, &err));
    assert_string_equal(s.options->value, "1400");
    assert_string_equal(s.init, "true");
    assert_string_equal(s.cleanup, "true");
    struct script_event *ev = s.events;
    assert_int_equal(ev->line, 3);
    assert_string_equal(ev->call.name, "socket");
    ev = ev->next;
    assert_true(ev->call.blocks);
    assert_int_equal(ev->when.at, 500 * MSEC);
    assert_int_equal(ev->call.end, 750 * MSEC);
    assert_string_equal(ev->call.errno_name, "EAGAIN");
    ev = ev->next;
    assert_int_equal(ev->when.kind, TIME_ANY);
    ev = ev->next;
    assert_int_equal(ev->when.kind, TIME_REL_RANGE);
    assert_int_equal(ev->when.to, 200 * MSEC);
    assert_string_equal(ev->source, "> . 1:1(0) ack 1");
    assert_string_equal(ev->next->text, "a = {1: 2}");
    assert_null(ev->next->next);
    pool_free(&pool);
    str_free(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_is_parsed),  cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(built_is_parsed),    cmocka_unit_test(segments_are_glued),
        cmocka_unit_test(numbers_are_mapped), cmocka_unit_test(scripts_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
