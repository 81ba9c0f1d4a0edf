/* addr.c: kinds, prefixes, and text both ways; RFC 5952's examples; against libc where it agrees
 * with the RFC. */
#include "core/addr.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/heap.h"

static struct addr parse(const char *text)
{
    struct addr a;
    memset(&a, 0xee, sizeof a);
    if (!addr_parse(text, &a)) {
        fail_msg("\"%s\" is an address", text);
    }
    return a;
}

static void expect_text(const char *in, const char *out)
{
    char buf[ADDR_TEXT_MAX];
    struct addr a = parse(in);
    assert_ptr_equal(addr_text(&a, buf), buf);
    assert_string_equal(buf, out);
}

static void test_values(void **state)
{
    (void)state;
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 77, 0, 2};
    struct addr a = addr_v4(10, 77, 0, 2);
    struct addr b = addr_of4(mapped + 12);
    struct addr c = addr_of6(mapped);
    assert_memory_equal(a.b, mapped, 16);
    assert_true(addr_eq(&a, &b) && addr_eq(&a, &c));
    assert_memory_equal(addr_bytes4(&a), mapped + 12, 4);
    c.b[15]++;
    assert_false(addr_eq(&a, &c));
}

static void test_rfc5952(void **state)
{
    (void)state;
    /* 1: eight ways to write one address */
    static const char *const same[] = {
        "2001:db8:0:0:1:0:0:1", "2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1",
        "2001:db8::0:1:0:0:1",  "2001:0db8::1:0:0:1",    "2001:db8:0:0:1::1",
        "2001:db8:0000:0:1::1", "2001:DB8:0:0:1::1",     "2001:db8:0:0:1:0:0.0.0.1",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        expect_text(same[i], "2001:db8::1:0:0:1");
    }
    expect_text("2001:0db8::0001", "2001:db8::1");               /* 4.1 */
    expect_text("2001:db8:0:0:0:0:2:1", "2001:db8::2:1");        /* 4.2.1 */
    expect_text("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"); /* 4.2.2 */
    expect_text("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1");  /* 4.2.2 */
    expect_text("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");          /* 4.2.3, the longest */
    expect_text("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");    /* 4.2.3, the first */
    expect_text("2001:DB8:AAAA::FFfE", "2001:db8:aaaa::fffe");   /* 4.3 */
    expect_text("::ffff:192.0.2.1", "192.0.2.1");                /* held as IPv4 */
    expect_text("::ffff:c000:201", "192.0.2.1");
}

static void test_text(void **state)
{
    (void)state;
    expect_text("0.0.0.0", "0.0.0.0");
    expect_text("255.255.255.255", "255.255.255.255");
    expect_text("10.77.0.2", "10.77.0.2");
    expect_text("::", "::");
    expect_text("0:0:0:0:0:0:0:0", "::");
    expect_text("::1", "::1");
    expect_text("1::", "1::");
    expect_text("fd77::2", "fd77::2");
    expect_text("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
    expect_text("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0");
    expect_text("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8");
    expect_text("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::");
    expect_text("0:0:3:4:5:6:7:8", "::3:4:5:6:7:8");
    expect_text("1::1.2.3.4", "1::102:304");
    expect_text("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304");
    expect_text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void test_not_an_address(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.",
        ".1.2.3",
        "1.2.3.4.",
        "1.2.3.4.5",
        "1..2.3",
        "256.1.1.1",
        "1.2.3.256",
        "1.2.3.1000",
        "01.2.3.4",
        "1.2.3.00",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.-4",
        "1.2.3.4/8",
        "0x1.2.3.4",
        "1.2.3.a",
        "99999999999999999999.1.1.1",
        ":",
        ":::",
        "1:",
        ":1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1::2:3:4:5:6:7:8",
        "1::2::3",
        "1:::2",
        "::1::",
        "12345::",
        "::g",
        "fe80::1%lo",
        "[::1]",
        "::1.2.3",
        "::1.2.3.4.5",
        "::1.2.3.256",
        "::01.2.3.4",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "1.2.3.4:1::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:1.2.3.4",
        "::-1",
        "::+1",
        "::0x1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct addr a = addr_any6;
        if (addr_parse(bad[i], &a)) {
            fail_msg("\"%s\" is no address", bad[i]);
        }
        assert_true(addr_eq(&a, &addr_any6)); /* and nothing was written */
    }
}

static void test_endpoint(void **state)
{
    (void)state;
    char buf[ENDPOINT_TEXT_MAX];
    struct endpoint e = {addr_v4(10, 77, 0, 2), 80};
    assert_string_equal(endpoint_text(&e, buf), "10.77.0.2:80");
    e = (struct endpoint){parse("fd77::2"), 0};
    assert_string_equal(endpoint_text(&e, buf), "[fd77::2]:0");
    e = (struct endpoint){addr_any4, 65535};
    assert_string_equal(endpoint_text(&e, buf), "0.0.0.0:65535");
    memset(e.addr.b, 0xff, sizeof e.addr.b);
    assert_string_equal(endpoint_text(&e, buf), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    assert_true(strlen(buf) < ENDPOINT_TEXT_MAX);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is4, any, multicast, broadcast, loopback, linklocal;
    } want[] = {
        {"::", .any = true},
        {"0.0.0.0", .is4 = true, .any = true},
        {"0.0.0.1", .is4 = true},
        {"10.0.0.1", .is4 = true},
        {"127.0.0.1", .is4 = true, .loopback = true},
        {"127.255.255.255", .is4 = true, .loopback = true},
        {"128.0.0.1", .is4 = true},
        {"169.254.1.1", .is4 = true, .linklocal = true},
        {"169.253.1.1", .is4 = true},
        {"223.255.255.255", .is4 = true},
        {"224.0.0.1", .is4 = true, .multicast = true},
        {"239.255.255.255", .is4 = true, .multicast = true},
        {"240.0.0.1", .is4 = true},
        {"255.255.255.255", .is4 = true, .broadcast = true},
        {"255.255.255.254", .is4 = true},
        {"::1", .loopback = true},
        {"::2", .any = false},
        {"::127.0.0.1", .any = false},
        {"fe80::1", .linklocal = true},
        {"febf::1", .linklocal = true},
        {"fec0::1", .any = false},
        {"ff02::1", .multicast = true},
        {"fd77::2", .any = false},
        {"::fffe:1.2.3.4", .any = false},
        {"::1:ffff:1.2.3.4", .any = false},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct addr a = parse(want[i].text);
        assert_int_equal(addr_is4(&a), want[i].is4);
        assert_int_equal(addr_is_any(&a), want[i].any);
        assert_int_equal(addr_is_multicast(&a), want[i].multicast);
        assert_int_equal(addr_is_broadcast(&a), want[i].broadcast);
        assert_int_equal(addr_is_loopback(&a), want[i].loopback);
        assert_int_equal(addr_is_linklocal(&a), want[i].linklocal);
    }
}

static void test_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *a, *prefix;
        unsigned bits;
        bool in;
    } want[] = {
        {"10.77.0.2", "10.77.0.1", 24, true},
        {"10.77.1.2", "10.77.0.1", 24, false},
        {"10.77.1.2", "10.77.0.1", 23, true},
        {"10.77.2.2", "10.77.0.1", 23, false},
        {"10.77.0.2", "10.77.0.2", 32, true},
        {"10.77.0.3", "10.77.0.2", 32, false},
        {"10.77.0.3", "10.77.0.2", 31, true},
        {"203.0.113.9", "0.0.0.0", 0, true},
        {"128.0.0.0", "0.0.0.0", 1, false},
        {"127.0.0.0", "0.0.0.0", 1, true},
        {"10.77.0.3", "10.77.0.2", 33, false}, /* more bits than there are: all of them */
        {"10.77.0.2", "10.77.0.2", UINT32_MAX, true},
        {"fd77::2", "fd77::1", 64, true},
        {"fd77:0:0:1::2", "fd77::1", 64, false},
        {"fd77:0:0:1::2", "fd77::1", 63, true},
        {"fd77::2", "fd77::2", 128, true},
        {"fd77::3", "fd77::2", 128, false},
        {"fd77::3", "fd77::2", 127, true},
        {"fd77::3", "::", 0, true},
        {"10.77.0.2", "::", 0, false}, /* another family */
        {"fd77::2", "0.0.0.0", 0, false},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct addr a = parse(want[i].a);
        struct addr p = parse(want[i].prefix);
        if (addr_in_prefix(&a, &p, want[i].bits) != want[i].in) {
            fail_msg("%s in %s/%u", want[i].a, want[i].prefix, want[i].bits);
        }
    }
}

/* Random addresses with many zeros: our text is read back by us and by libc, and is libc's but
 * for what RFC 5952 says otherwise (libc writes IPv4-compatible addresses with dots). */
static void test_round_trip(void **state)
{
    (void)state;
    struct heap h = {.rng = 17};
    for (int round = 0; round < 200000; round++) {
        struct addr a;
        char ours[ADDR_TEXT_MAX];
        char libc[INET6_ADDRSTRLEN];
        uint8_t back[16];
        heap_random(&h.env, a.b, sizeof a.b);
        uint32_t zeros = heap_below(&h, 256) | heap_below(&h, 256);
        for (int g = 0; g < 8; g++) {
            if (zeros >> g & 1) {
                a.b[2 * g] = a.b[2 * g + 1] = 0;
            } else if (heap_below(&h, 3) == 0) {
                a.b[2 * g] = 0;
            }
        }
        if (round % 4 == 0) {
            a = addr_of4(a.b);
        }
        addr_text(&a, ours);
        struct addr again = parse(ours);
        assert_true(addr_eq(&a, &again));
        if (addr_is4(&a)) {
            assert_int_equal(inet_pton(AF_INET, ours, back), 1);
            assert_memory_equal(back, addr_bytes4(&a), 4);
            continue;
        }
        assert_int_equal(inet_pton(AF_INET6, ours, back), 1);
        assert_memory_equal(back, a.b, 16);
        inet_ntop(AF_INET6, a.b, libc, sizeof libc);
        again = parse(libc);
        assert_true(addr_eq(&a, &again));
        if (!strchr(libc, '.')) {
            assert_string_equal(ours, libc);
        }
    }
}

/* Texts that are nearly addresses: we accept what libc accepts, and nothing else. */
static void test_like_libc(void **state)
{
    (void)state;
    struct heap h = {.rng = 19};
    static const char alphabet[] = "::::....0123fF1 g";
    int good = 0;
    for (int round = 0; round < 1000000; round++) {
        char text[24];
        uint8_t b4[4];
        uint8_t b6[16];
        struct addr a;
        uint32_t n = heap_below(&h, sizeof text);
        for (uint32_t i = 0; i < n; i++) {
            text[i] = alphabet[heap_below(&h, sizeof alphabet - 1)];
        }
        text[n] = '\0';
        bool is4 = inet_pton(AF_INET, text, b4) == 1;
        bool is6 = inet_pton(AF_INET6, text, b6) == 1;
        bool ours = addr_parse(text, &a);
        if (ours != (is4 || is6)) {
            fail_msg("\"%s\": libc %d, we %d", text, is4 || is6, ours);
        }
        if (is4) {
            assert_memory_equal(addr_bytes4(&a), b4, 4);
        } else if (is6) {
            assert_memory_equal(a.b, b6, 16);
        }
        good += ours;
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_rfc5952),
        cmocka_unit_test(test_text),      cmocka_unit_test(test_not_an_address),
        cmocka_unit_test(test_endpoint),  cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_prefix),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_like_libc),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
