/*
 * pcapng_test.c - captures written and read again, in either byte order; and read when they are
 * damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tun/pcapng.h"

static uint8_t file[8192];

static size_t make(void)
{
    static const uint8_t pkt[61] = {0x45, 1, 2, 3};
    struct pcapng_out o = {.p = file, .max = sizeof file};
    struct pcapng_packet p = {
        .at = UINT64_C(1790000000123456789),
        .id = UINT64_C(0x100000002),
        .flags = PCAPNG_OUT | PCAPNG_TSO,
        .len = 1500,
        .data = pkt,
        .caplen = sizeof pkt,
        .ncomments = 3,
        .comment = {{"SYN: opens a connection", 23}, {"", 0}, {"ev=tx reason=SYN", 16}},
    };
    const uint8_t addr[4] = {10, 77, 0, 1};
    pcapng_section(&o, "standin 1", "Linux 6", "standin run curl");
    pcapng_interface(&o, "standin12", 262144);
    pcapng_packet(&o, &p);
    p.caplen = 0;
    p.ncomments = 0;
    pcapng_packet(&o, &p);
    pcapng_name(&o, addr, sizeof addr, "server");
    pcapng_counts(&o, 5, UINT64_C(1790000000123456789), 7, 2, "two are missing");
    assert_false(o.full);
    assert_int_equal(o.len % 4, 0);
    return o.len;
}

static bool is(struct pcapng_text t, const char *want)
{
    return t.n == strlen(want) && memcmp(t.p, want, t.n) == 0;
}

static void check(const uint8_t *bytes, size_t len)
{
    struct pcapng_in in;
    struct pcapng_block b;
    pcapng_open(&in, bytes, len);
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.type, PCAPNG_SHB);
    assert_true(is(b.appl, "standin 1"));
    assert_int_equal(b.packet.ncomments, 1);
    assert_true(is(b.packet.comment[0], "standin run curl"));
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.type, PCAPNG_IDB);
    assert_true(is(b.ifname, "standin12"));
    assert_int_equal(in.link, PCAPNG_LINK_RAW);
    assert_int_equal(in.snaplen, 262144);
    assert_int_equal(in.ticks, 1000000000);
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.type, PCAPNG_EPB);
    assert_int_equal(b.packet.at, UINT64_C(1790000000123456789));
    assert_int_equal(b.packet.id, UINT64_C(0x100000002));
    assert_int_equal(b.packet.flags, PCAPNG_OUT | PCAPNG_TSO);
    assert_int_equal(b.packet.len, 1500);
    assert_int_equal(b.packet.caplen, 61);
    assert_int_equal(b.packet.data[3], 3);
    assert_int_equal(b.packet.ncomments, 2); /* the empty one was left out */
    assert_true(is(b.packet.comment[1], "ev=tx reason=SYN"));
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.packet.caplen, 0);
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.type, PCAPNG_NRB);
    assert_int_equal(pcapng_next(&in, &b), 1);
    assert_int_equal(b.type, PCAPNG_ISB);
    assert_int_equal(b.received, 7);
    assert_int_equal(b.dropped, 2);
    assert_true(is(b.packet.comment[0], "two are missing"));
    assert_int_equal(pcapng_next(&in, &b), 0);
    assert_int_equal(pcapng_next(&in, &b), 0);
}

static void there_and_back(void **state)
{
    (void)state;
    check(file, make());
}

static void turn(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t t = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = t;
    }
}

/* The options from `at` to `end`, and their numbers, turned round. */
static void turn_options(uint8_t *p, size_t at, size_t end)
{
    while (at + 4 <= end) {
        uint16_t code, n;
        memcpy(&code, p + at, 2);
        memcpy(&n, p + at + 2, 2);
        turn(p + at, 2);
        turn(p + at + 2, 2);
        at += 4;
        if (code != 1 && (n == 4 || n == 8)) {
            turn(p + at, n);
        }
        at += (n + 3u) & ~3u;
    }
}

/* As a machine of the other byte order would have written it. */
static void other_order(void **state)
{
    size_t len = make(), at = 0;
    (void)state;
    while (at < len) {
        uint32_t type, n;
        uint8_t *p = file + at;
        memcpy(&type, p, 4);
        memcpy(&n, p + 4, 4);
        size_t body = type == PCAPNG_SHB   ? 24
                      : type == PCAPNG_IDB ? 16
                      : type == PCAPNG_EPB ? 28
                      : type == PCAPNG_ISB ? 20
                                           : n - 4;
        if (type == PCAPNG_EPB) {
            uint32_t caplen;
            memcpy(&caplen, p + 20, 4);
            body += (caplen + 3) & ~3u;
        }
        if (type == PCAPNG_SHB) {
            turn(p + 8, 4);
            turn(p + 12, 2);
            turn(p + 14, 2);
        } else if (type == PCAPNG_IDB) {
            turn(p + 8, 2);
            turn(p + 12, 4);
        } else if (type != PCAPNG_NRB) {
            for (size_t i = 8; i < (type == PCAPNG_EPB ? 28u : 20u); i += 4) {
                turn(p + i, 4);
            }
        }
        turn_options(p, body, n - 4);
        turn(p, 4);
        turn(p + 4, 4);
        turn(p + n - 4, 4);
        at += n;
    }
    check(file, len);
}

/* A block that does not fit is not there, and the ones before it are whole. */
static void no_room(void **state)
{
    size_t whole = make();
    static uint8_t small[8192];
    (void)state;
    for (size_t max = 0; max < whole; max++) {
        struct pcapng_out o = {.p = small, .max = max};
        struct pcapng_in in;
        struct pcapng_block b;
        struct pcapng_packet p = {.data = file, .caplen = 100, .len = 100};
        int ret;
        pcapng_section(&o, "standin 1", "Linux 6", "standin run curl");
        pcapng_interface(&o, "standin12", 262144);
        pcapng_packet(&o, &p);
        assert_true(o.len <= max);
        pcapng_open(&in, small, o.len);
        while ((ret = pcapng_next(&in, &b)) == 1) {
        }
        assert_int_equal(ret, 0);
    }
    struct pcapng_out o = {.p = small, .max = pcapng_room(100)};
    struct pcapng_packet p = {.data = file,
                              .caplen = 97,
                              .len = 97,
                              .ncomments = 3,
                              .comment = {{"a", 1}, {"b", 1}, {"c", 1}}};
    pcapng_packet(&o, &p);
    assert_false(o.full);
}

static void refused(const void *bytes, size_t len, const char *what)
{
    struct pcapng_in in;
    struct pcapng_block b;
    int ret;
    pcapng_open(&in, bytes, len);
    while ((ret = pcapng_next(&in, &b)) == 1) {
    }
    assert_int_equal(ret, -1);
    assert_string_equal(in.error, what);
}

static void foreign(void **state)
{
    static const uint8_t pcap[24] = {0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4};
    size_t len = make();
    (void)state;
    refused(pcap, sizeof pcap, "not pcapng");
    refused("GET", 3, "not pcapng");
    refused(file, len - 1, "the file ends in the midst of a block");
    refused(file, 20, "the file ends in the midst of a block");
    file[9]++;
    refused(file, len, "a section without its magic number");
    file[9]--;
    file[4]++;
    refused(file, len, "a block of an impossible length");
    file[4]--;
    uint32_t first;
    memcpy(&first, file + 4, 4);
    file[first - 4] ^= 4;
    refused(file, len, "a block whose two lengths differ");
}

static uint32_t random_next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

/* It ends, and stays within the bytes: they lie at the end of memory that asan watches. */
static void damaged(void **state)
{
    size_t len = make();
    uint32_t x = 5;
    (void)state;
    for (unsigned i = 0; i < 30000; i++) {
        size_t n = i % 3 ? len : random_next(&x) % (len + 1);
        uint8_t *copy = malloc(n ? n : 1);
        struct pcapng_in in;
        struct pcapng_block b;
        unsigned blocks = 0;
        assert_non_null(copy);
        memcpy(copy, file, n);
        for (unsigned k = random_next(&x) % 8; k && n; k--) {
            copy[random_next(&x) % n] = (uint8_t)random_next(&x);
        }
        pcapng_open(&in, copy, n);
        while (pcapng_next(&in, &b) == 1) {
            blocks++;
            for (uint32_t k = 0; k < b.packet.ncomments; k++) {
                x += b.packet.comment[k].n
                         ? (uint8_t)b.packet.comment[k].p[b.packet.comment[k].n - 1]
                         : 0;
            }
            x += b.packet.caplen ? b.packet.data[b.packet.caplen - 1] : 0;
        }
        assert_true(blocks <= len / 12);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(other_order), cmocka_unit_test(no_room),
        cmocka_unit_test(foreign),        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
