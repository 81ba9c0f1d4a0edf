/* csum.c: the examples of RFC 1071 and RFC 1624, and against a naive sum of 16-bit words. */
#include "core/csum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/heap.h"

/* RFC 1071 4.1, in its words: 16-bit words in network order, a last odd byte followed by a zero. */
static uint16_t naive(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i += 2) {
        sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static uint16_t partial(const void *p, size_t n)
{
    return be16_get(csum_partial(csum_add(0, p, n)));
}

static void test_rfc1071(void **state)
{
    (void)state;
    /* RFC 1071 3: the words 0001 f203 f4f5 f6f7 sum to ddf2; byte order does not matter. */
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(partial(data, sizeof data), 0xddf2);
    assert_int_equal(be16_get(csum_fold(csum_add(0, data, sizeof data))), 0x220d);

    /* The same in pieces: the example's three bytes, then five, of which the second begins at an
     * odd place. */
    uint64_t sum = csum_add_at(0, data, 3, 0);
    assert_int_equal(be16_get(csum_partial(csum_add_at(sum, data + 3, 5, 3))), 0xddf2);
    sum = csum_add_at(0, data + 3, 5, 3);
    assert_int_equal(be16_get(csum_partial(csum_add_at(sum, data, 3, 0))), 0xddf2);
}

static void test_edges(void **state)
{
    (void)state;
    uint8_t ff[4096];
    memset(ff, 0xff, sizeof ff);
    assert_int_equal(partial(NULL, 0), 0);
    assert_int_equal(be16_get(csum_fold(0)), 0xffff);
    assert_int_equal(partial("\0\0\0\0", 4), 0);
    assert_int_equal(partial("\x12", 1), 0x1200);
    assert_int_equal(partial("\x12\x34\x56", 3), 0x6834);
    assert_int_equal(partial(ff, sizeof ff), 0xffff); /* every carry there is */
    assert_int_equal(partial(ff, 4095), 0xff00);
    assert_int_equal(be16_get(csum_partial(UINT64_MAX)), 0xffff);
    assert_int_equal(be16_get(csum_partial(0x1fffe)), 0xffff);
}

/* Every length and alignment. */
static void test_lengths(void **state)
{
    (void)state;
    struct heap h = {.rng = 11};
    uint8_t buf[400];
    heap_random(&h.env, buf, sizeof buf);
    for (size_t at = 0; at < 16; at++) {
        for (size_t n = 0; n < 380; n++) {
            assert_int_equal(partial(buf + at, n), naive(buf + at, n));
        }
    }
}

/* Any data in any pieces gives one sum; mostly ones, so that carries are many. */
static void test_pieces(void **state)
{
    (void)state;
    struct heap h = {.rng = 12};
    static uint8_t buf[70000];
    for (int round = 0; round < 300; round++) {
        size_t n = heap_below(&h, 1u << heap_below(&h, 17)) % sizeof buf;
        heap_random(&h.env, buf, n);
        if (round % 3 == 0) {
            memset(buf, 0xff, n);
        }
        uint64_t sum = 0;
        for (size_t at = 0; at < n;) {
            size_t k = 1 + heap_below(&h, (uint32_t)(n - at));
            sum = csum_add_at(sum, buf + at, k, at);
            at += k;
        }
        assert_int_equal(be16_get(csum_partial(sum)), naive(buf, n));
        assert_int_equal(partial(buf, n), naive(buf, n));
    }
}

/* Sums may be added with a plain +, also very many. */
static void test_plain_sums(void **state)
{
    (void)state;
    uint8_t ff[64];
    uint64_t sum = 0;
    memset(ff, 0xff, sizeof ff);
    ff[0] = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        sum = csum_add(sum, ff, sizeof ff);
    }
    assert_true(sum < (uint64_t)1 << 53);
    uint32_t want = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        want += naive(ff, sizeof ff);
        want = (want & 0xffff) + (want >> 16);
    }
    assert_int_equal(be16_get(csum_partial(sum)), want);
}

/* RFC 9293 3.1: the IPv4 pseudo-header, worked out by hand as bytes. */
static void test_pseudo4(void **state)
{
    (void)state;
    static const uint8_t bytes[12] = {10, 77, 0, 2, 10, 77, 0, 1, 0, 6, 0x12, 0x34};
    struct addr src = addr_v4(10, 77, 0, 2);
    struct addr dst = addr_v4(10, 77, 0, 1);
    uint64_t sum = csum_pseudo(&src, &dst, 6, 0x1234);
    assert_int_equal(be16_get(csum_partial(sum)), naive(bytes, sizeof bytes));
}

/* RFC 8200 8.1: forty bytes, the length in 32 bits. */
static void test_pseudo6(void **state)
{
    (void)state;
    uint8_t bytes[40] = {0xfd, 0x77, [15] = 2, [16] = 0xfd, 0x77, [31] = 1};
    bytes[32] = 0x00;
    bytes[33] = 0x01;
    bytes[34] = 0x23;
    bytes[35] = 0x45;
    bytes[39] = 17;
    struct addr src = addr_of6(bytes);
    struct addr dst = addr_of6(bytes + 16);
    uint64_t sum = csum_pseudo(&src, &dst, 17, 0x12345);
    assert_int_equal(be16_get(csum_partial(sum)), naive(bytes, sizeof bytes));
}

/* A real IPv4 header with its checksum (RFC 791 3.1), and each of its bits flipped. */
static void test_good(void **state)
{
    (void)state;
    uint8_t hdr[20] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                       0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    assert_true(csum_good(csum_add(0, hdr, sizeof hdr)));
    for (size_t bit = 0; bit < 8 * sizeof hdr; bit++) {
        hdr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(csum_good(csum_add(0, hdr, sizeof hdr)));
        hdr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memset(hdr + 10, 0, 2);
    assert_int_equal(be16_get(csum_fold(csum_add(0, hdr, sizeof hdr))), 0xb861);
    assert_false(csum_good(0)); /* all zeros do not have the checksum zero */
}

/* RFC 1624 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000, where RFC 1141 gave 0xffff. */
static void test_rfc1624(void **state)
{
    (void)state;
    be16 hc = csum_update(be16_of(0xdd2f), be16_of(0x5555), be16_of(0x3285));
    assert_int_equal(be16_get(hc), 0x0000);
}

static void test_update(void **state)
{
    (void)state;
    struct heap h = {.rng = 13};
    for (int round = 0; round < 200000; round++) {
        uint8_t data[20];
        heap_random(&h.env, data, sizeof data);
        data[0] |= 1; /* not all zero */
        be16 old = csum_fold(csum_add(0, data, sizeof data));
        size_t at = 2 + 2 * heap_below(&h, 9);
        be16 from = {{data[at], data[at + 1]}};
        be16 to = be16_of((uint16_t)(heap_below(&h, 4) == 0 ? 0xffff : heap_rnd(&h)));
        memcpy(data + at, to.b, 2);
        be16 want = csum_fold(csum_add(0, data, sizeof data));
        assert_int_equal(be16_get(csum_update(old, from, to)), be16_get(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc1071),    cmocka_unit_test(test_edges),
        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_plain_sums), cmocka_unit_test(test_pseudo4),
        cmocka_unit_test(test_pseudo6),    cmocka_unit_test(test_good),
        cmocka_unit_test(test_rfc1624),    cmocka_unit_test(test_update),
    };
    return cmocka_run_group_tests_name("csum", tests, NULL, NULL);
}
