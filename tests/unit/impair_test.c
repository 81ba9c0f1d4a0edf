/*
 * impair_test.c - the mini-language: what it reads, its one form for each meaning, and each error
 * with its place and what was meant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "tun/impair.h"

/* The text, and how it is written in its one form; NULL: as it is. */
static const struct {
    const char *text, *canon;
} good[] = {
    {"delay 50ms jitter 10ms dist normal", NULL},
    {"delay 1.5s", "delay 1500ms"},
    {"delay 0.25ms jitter 1us dist uniform ordered of data#3+",
     "delay 250us jitter 1us ordered of data#3+"},
    {"delay 2m", "delay 120s"},
    {"loss 1%", NULL},
    {"out:loss 0.01% of data", "out: loss 0.01% of data"},
    {"loss ge p=1% r=30% bad=100% good=0%", "loss ge p=1% r=30%"},
    {"loss ge r=30% p=1% bad=50% good=0.5%", "loss ge p=1% r=30% bad=50% good=0.5%"},
    {"rate 10mbit queue 100p aqm droptail", "rate 10mbit queue 100p"},
    {"rate 1.5mbit queue 64k", "rate 1500kbit queue 64KiB"},
    {"rate 8mbit queue 100ms aqm codel ecn", "rate 8mbit queue 100000B aqm codel ecn"},
    {"out: drop data#3", NULL},
    {"in: drop syn+ack#1..2", NULL},
    {"out: drop retransmit#1", NULL},
    {"drop ack#3+2", NULL},
    {"drop any#7", NULL},
    {"drop udp", NULL},
    {"out: corrupt data#2 at tcp.checksum", NULL},
    {"corrupt 1%", NULL},
    {"corrupt 1% of data at payload fixed", NULL},
    {"in: reorder data#4 after data#6", NULL},
    {"reorder 5% by 10ms", NULL},
    {"in: dup ack#3 x3", NULL},
    {"dup 1%", NULL},
    {"dup 1% x2", "dup 1%"},
    {"blackhole after 1MiB for 10s", NULL},
    {"blackhole after 3s", NULL},
    {"blackhole", NULL},
    {"mtu 1280 icmp=silent", NULL},
    {"mtu 1280 icmp=sent", "mtu 1280"},
    {"mss 1200", NULL},
    {"in: window 0 after 64KiB for 5s", NULL},
    {"window 1000", NULL},
    {"strip sack,wscale on syn", "strip wscale,sack on syn"},
    {"strip all on all", NULL},
    {"strip timestamps", "strip timestamps on syn"},
    {"in: rst after 10KiB", NULL},
    {"rst", NULL},
    {"ecn-mark 5%", NULL},
    {"ecn-mark data#2", NULL},
    {"ecn-bleach", NULL},
    {"idle 30s", NULL},
};

static void reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct wire_spec a = {0}, b = {0};
        struct impair_error err;
        char text[IMPAIR_RULE_MAX], again[IMPAIR_RULE_MAX], why[400];
        const char *want = good[i].canon ? good[i].canon : good[i].text;
        if (!impair_parse(&a, good[i].text, &err)) {
            fail_msg("%s", impair_explain(good[i].text, &err, why, sizeof why));
        }
        assert_int_equal(1, a.nrules);
        assert_string_equal(want, impair_print(&a.rule[0], text));
        assert_true(impair_parse(&b, text, &err));
        assert_string_equal(text, impair_print(&b.rule[0], again));
        assert_memory_equal(&a.rule[0], &b.rule[0], sizeof a.rule[0]);
    }
}

/* The language told (impair_form.c) is the one that is read: each example is of its form, every
 * kind of rule has a form, and the packets a rule may name are all of them. */
static void told(void **state)
{
    bool has[RULE_KINDS] = {false};
    char text[IMPAIR_RULE_MAX];
    struct impair_error err;
    (void)state;
    for (const struct impair_form *f = impair_forms; f->name; f++) {
        struct wire_spec s = {0};
        assert_true(impair_parse(&s, f->example, &err));
        assert_int_equal(0, strncmp(f->syntax, f->name, strlen(f->name)));
        if (strcmp(f->name, "profile") == 0) {
            continue;
        }
        const char *bare = strchr(impair_print(&s.rule[0], text), ':');
        assert_int_equal(0, strncmp(bare ? bare + 2 : text, f->name, strlen(f->name)));
        has[s.rule[0].kind] = true;
    }
    for (unsigned i = 0; i < RULE_KINDS; i++) {
        assert_true(has[i]);
    }
    for (unsigned i = 0; i < PICK_COUNT; i++) {
        assert_string_equal(wire_pick_name(i), impair_whiches[i].name);
    }
    assert_null(impair_whiches[PICK_COUNT].name);
}

static void values(void **state)
{
    (void)state;
    struct wire_spec s = {0};
    struct impair_error err;
    const char *text = " delay 50ms jitter 10ms ;; in: drop syn+ack#2..4;\n"
                       "out: rate 10mbit queue 64KiB; blackhole after 1MB for 2s;"
                       "reorder data#4 after data#6; loss 0.5%;";
    assert_true(impair_parse(&s, text, &err));
    assert_int_equal(6, s.nrules);
    assert_int_equal(RULE_DELAY, s.rule[0].kind);
    assert_int_equal(3, s.rule[0].dirs);
    assert_int_equal(50 * MSEC, s.rule[0].u.delay.mean);
    assert_int_equal(10 * MSEC, s.rule[0].u.delay.jitter);
    assert_int_equal(1u << WIRE_IN, s.rule[1].dirs);
    assert_int_equal(PICK_SYNACK, s.rule[1].sel.pick);
    assert_int_equal(2, s.rule[1].sel.first);
    assert_int_equal(4, s.rule[1].sel.last);
    assert_int_equal(10000000, s.rule[2].u.rate.bits);
    assert_int_equal(65536, s.rule[2].u.rate.bytes);
    assert_int_equal(1000000, s.rule[3].u.hole.after);
    assert_int_equal(2 * SEC, s.rule[3].u.hole.lasts);
    assert_int_equal(6, s.rule[4].u.reorder.after.first);
    assert_int_equal(5000, s.rule[5].ppm);
    assert_int_equal(WIRE_PPM, s.rule[4].ppm);
    assert_true(impair_parse(&s, "", &err));
    assert_true(impair_parse(&s, "mtu 1400", &err)); /* adds */
    assert_int_equal(7, s.nrules);
}

/* `at`: the part of the text that is marked. */
static const struct {
    const char *text, *at, *what, *meant;
} bad[] = {
    {"delay 50", "50", "50 has no unit: a time is written like 20ms or 1.5s", ""},
    {"delay 50mss", "50mss", "50mss is not a time: it is written like 20ms or 1.5s", ""},
    {"delay", "", "a time is missing here", ""},
    {"delay 5ms jiter 1ms", "jiter", "jiter is no part of a delay", "jitter"},
    {"delay 5ms jitter", "", "the jitter, a time, is missing here", ""},
    {"delay 5ms jitter 1ms dist norml", "norml", "norml is no distribution", "normal"},
    {"delay 5ms dist normal", "normal", "a distribution needs a jitter", ""},
    {"delay 99999999999h", "99999999999h", "99999999999h is too large", ""},
    {"dealy 5ms", "dealy", "dealy is no impairment", "delay"},
    {"delay 1ms; lose 1%", "lose", "lose is no impairment", "loss"},
    {"florble", "florble", "florble is no impairment", ""},
    {"loss 1", "1", "1 has no unit: a chance is written like 1% or 0.01%", ""},
    {"loss 101%", "101%", "101% is more than always", ""},
    {"loss", "", "a chance is missing here", ""},
    {"loss 1% data", "data", "data is too much here", ""},
    {"loss 1% of dat", "dat", "dat is no kind of packet", "data"},
    {"loss ge p=1%", "", "p= or r=, above 0, is missing here", ""},
    {"loss ge p=1% q=2%", "q=2%", "q is no part of loss ge", "p"},
    {"loss ge 1%", "1%", "loss ge takes p=CHANCE r=CHANCE bad=CHANCE good=CHANCE", ""},
    {"drop 5%", "5%", "drop takes the packets it means, like data#3", "loss"},
    {"drop", "", "which packets is missing here", ""},
    {"drop data#", "data#", "behind # come numbers from 1 on: 3, 3..5, 3+ or 3+2", ""},
    {"drop data#0", "data#0", "behind # come numbers from 1 on: 3, 3..5, 3+ or 3+2", ""},
    {"drop data#3x", "data#3x", "behind # come numbers from 1 on: 3, 3..5, 3+ or 3+2", ""},
    {"drop data#5..3", "data#5..3", "5..3 ends before it begins", ""},
    {"drop synack#1", "synack", "synack is no kind of packet", "syn+ack"},
    {"sideways: drop data", "sideways", "sideways is no direction", ""},
    {"uot: drop data", "uot", "uot is no direction", "out"},
    {"reorder data#1", "", "by or after is missing here", ""},
    {"reorder 5% after data#3", "after", "after needs the packets that are held back, like data#4",
     ""},
    {"reorder 5% bye 1ms", "bye", "bye is no by or after", "by"},
    {"reorder", "", "a chance, or which packets, is missing here", ""},
    {"dup ack#3 3", "3", "how many in all is written x2 to x16", ""},
    {"dup 1% x1", "x1", "how many in all is written x2 to x16", ""},
    {"corrupt data#2 at tcp.cheksum", "tcp.cheksum", "tcp.cheksum is no field", "tcp.checksum"},
    {"corrupt data#2 at tcp.checksum fixed", "fixed",
     "a checksum that is made right again is not damaged", ""},
    {"rate 10", "10", "10 has no unit: a rate is written like 10mbit or 512kbit", ""},
    {"rate 10mbits", "10mbits", "10mbits is not a rate: it is written like 10mbit or 512kbit", ""},
    {"rate 0mbit", "0mbit", "a rate is from 1bit to 400gbit", ""},
    {"rate", "", "a rate is missing here", ""},
    {"rate 1mbit queue", "", "a size, a time or a number of packets (100p) is missing here", ""},
    {"rate 1mbit queue 0p", "0p", "a queue has 1p to 1000000p", ""},
    {"rate 1mbit queue 0B", "0B", "a queue holds from 1 byte to 4 GiB", ""},
    {"rate 1mbit quue 5p", "quue", "quue is no part of a rate", "queue"},
    {"rate 1mbit aqm red", "red", "red is no queue management", ""},
    {"rate 1mbit ecn", "ecn", "ecn needs aqm codel", ""},
    {"rate 1mbit; out: rate 2mbit", "", "this direction has a rate already", ""},
    {"blackhole after", "", "a size or a time is missing here", ""},
    {"blackhole after 100", "100",
     "100 has no unit: a number of bytes is written like 64KiB or 500B", ""},
    {"blackhole for 3", "3", "3 has no unit: a time is written like 20ms or 1.5s", ""},
    {"mtu 10", "10", "an MTU is from 68 to 65535 bytes", ""},
    {"mtu 1280 icmp=slient", "icmp=slient", "icmp=slient is no way with ICMP", "icmp=silent"},
    {"mss 0", "0", "an MSS is from 1 to 65535 bytes", ""},
    {"strip", "", "which options is missing here", ""},
    {"strip sack,wscal on syn", "wscal", "wscal is no TCP option", "wscale"},
    {"strip sack on sin", "sin", "sin is no place", "syn"},
    {"window", "", "a window is missing here", ""},
    {"window 0 after 5", "5", "5 has no unit: a number of bytes is written like 64KiB or 500B", ""},
    {"rst after", "", "a size is missing here", ""},
    {"idle", "", "a time is missing here", ""},
    {"profile wify", "wify", "wify is no profile", "wifi"},
    {"profile", "", "profile is missing here", ""},
    {"ecn-bleach 5%", "5%", "5% is too much here", ""},
    {"delay 1ms xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "this is too long for a word", ""},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct wire_spec s = {.nrules = 1}, was;
        struct impair_error err = {0};
        memcpy(&was, &s, sizeof s);
        if (impair_parse(&s, bad[i].text, &err)) {
            fail_msg("accepted: %s", bad[i].text);
        }
        assert_memory_equal(&was, &s, sizeof s);
        assert_string_equal(bad[i].what, err.what);
        assert_string_equal(bad[i].meant, err.meant);
        size_t len = strlen(bad[i].at);
        if (err.len != len || strncmp(bad[i].text + err.at, bad[i].at, len) != 0) {
            fail_msg("%s: marked [%zu, +%zu)", bad[i].text, err.at, err.len);
        }
        assert_true(len || err.at == strlen(bad[i].text));
    }
}

static void too_many(void **state)
{
    (void)state;
    struct wire_spec s = {0};
    struct impair_error err;
    for (unsigned i = 0; i < WIRE_RULES_MAX; i++) {
        assert_true(impair_parse(&s, "ecn-bleach", &err));
    }
    assert_false(impair_parse(&s, "loss 1%", &err));
    assert_int_equal(WIRE_RULES_MAX, s.nrules);
}

static void explains(void **state)
{
    (void)state;
    struct wire_spec s = {0};
    struct impair_error err;
    char buf[400];
    const char *text = "delay 20ms; out: drpo data#3";
    assert_false(impair_parse(&s, text, &err));
    assert_string_equal("delay 20ms; out: drpo data#3\n"
                        "                 ^^^^\n"
                        "drpo is no impairment; did you mean drop?",
                        impair_explain(text, &err, buf, sizeof buf));
}

static void profiles(void **state)
{
    (void)state;
    for (const struct impair_profile *p = impair_profiles; p->name; p++) {
        struct wire_spec a = {0}, b = {0};
        struct impair_error err;
        char text[80];
        assert_true(impair_parse(&a, p->spec, &err));
        snprintf(text, sizeof text, "profile %s", p->name);
        assert_true(impair_parse(&b, text, &err));
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.nrules > 0);
        assert_string_equal(p->spec, impair_profile(p->name));
    }
    assert_null(impair_profile("none"));
}

/* Whatever the text: no crash, and an error lies within it. */
static void any_text(void **state)
{
    (void)state;
    uint64_t rng = 1;
    for (int i = 0; i < 20000; i++) {
        char text[160] = "";
        for (int k = 0; k < 3; k++) {
            rng = rng * 6364136223846793005ull + 1442695040888963407ull;
            const char *from = rng >> 63 ? good[(rng >> 33) % ARRAY_LEN(good)].text
                                         : bad[(rng >> 33) % ARRAY_LEN(bad)].text;
            size_t at = (rng >> 20) % (strlen(from) + 1);
            strncat(text, from + at, 40);
            strncat(text, &" ;#:=,x0"[(rng >> 40) & 7], 1);
        }
        text[(rng >> 13) % sizeof text] = '\0';
        struct wire_spec s = {0};
        struct impair_error err = {0};
        char buf[500];
        if (!impair_parse(&s, text, &err)) {
            assert_true(err.at + err.len <= strlen(text));
            assert_true(err.what[0]);
            impair_explain(text, &err, buf, sizeof buf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),    cmocka_unit_test(told),     cmocka_unit_test(values),
        cmocka_unit_test(refuses),  cmocka_unit_test(too_many), cmocka_unit_test(explains),
        cmocka_unit_test(profiles), cmocka_unit_test(any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
