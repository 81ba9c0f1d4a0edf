/* rdwr.c: round trips, and the error that sticks. */
#include "core/rdwr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t buf[16];
    static const uint8_t wire[] = {0x01, 0x02, 0x03, 0xfe, 0xdc, 0xba, 0x98, 0, 0, 0, 'h', 'i'};
    memset(buf, 0xee, sizeof buf);
    struct wr w = wr_of(buf, 12);
    wr_u8(&w, 0x01);
    wr_u16(&w, 0x0203);
    wr_u32(&w, 0xfedcba98);
    wr_zero(&w, 3);
    wr_bytes(&w, "hi", 2);
    assert_true(wr_ok(&w));
    assert_int_equal(w.at, 12);
    assert_memory_equal(buf, wire, sizeof wire);
    assert_int_equal(buf[12], 0xee);

    struct rd r = rd_of(buf, 12);
    assert_int_equal(rd_left(&r), 12);
    assert_int_equal(rd_u8(&r), 0x01);
    assert_int_equal(rd_u16(&r), 0x0203);
    assert_int_equal(rd_u32(&r), 0xfedcba98);
    rd_skip(&r, 3);
    assert_int_equal(rd_left(&r), 2);
    assert_memory_equal(rd_bytes(&r, 2), "hi", 2);
    assert_true(rd_ok(&r));
    assert_int_equal(rd_left(&r), 0);
    assert_non_null(rd_bytes(&r, 0)); /* nothing at the end is still there */
    assert_true(rd_ok(&r));
}

/* A read that does not fit gives zero, takes nothing, and spoils all that follow. */
static void test_read_past_end(void **state)
{
    (void)state;
    static const uint8_t buf[3] = {1, 2, 3};
    for (int what = 0; what < 5; what++) {
        struct rd r = rd_of(buf, sizeof buf);
        switch (what) {
        case 0:
            assert_int_equal(rd_u32(&r), 0);
            break;
        case 1:
            rd_skip(&r, 2);
            assert_int_equal(rd_u16(&r), 0);
            break;
        case 2:
            rd_skip(&r, 3);
            assert_int_equal(rd_u8(&r), 0);
            break;
        case 3:
            assert_null(rd_bytes(&r, SIZE_MAX));
            break;
        default:
            rd_u8(&r);
            rd_skip(&r, SIZE_MAX); /* at + n would wrap */
        }
        assert_false(rd_ok(&r));
        assert_int_equal(rd_left(&r), 0);
        assert_int_equal(rd_u8(&r), 0);
        assert_null(rd_bytes(&r, 0));
        assert_false(rd_ok(&r));
    }
}

static void test_write_past_end(void **state)
{
    (void)state;
    for (int what = 0; what < 5; what++) {
        uint8_t buf[8] = {9, 9, 9, 9, 9, 9, 9, 9};
        static const uint8_t want[8] = {1, 9, 9, 9, 9, 9, 9, 9};
        struct wr w = wr_of(buf, what == 0 ? 1 : what == 1 ? 2 : 4);
        wr_u8(&w, 1);
        switch (what) {
        case 0:
            wr_u8(&w, 2);
            break;
        case 1:
            wr_u16(&w, 2);
            break;
        case 2:
            wr_u32(&w, 2);
            break;
        case 3:
            wr_bytes(&w, want, 4);
            break;
        default:
            wr_zero(&w, SIZE_MAX);
        }
        assert_false(wr_ok(&w));
        wr_u8(&w, 3);
        wr_zero(&w, 1);
        assert_false(wr_ok(&w));
        assert_memory_equal(buf, want, sizeof buf);
    }
}

static void test_nothing(void **state)
{
    (void)state;
    struct rd r = rd_of(NULL, 0);
    struct wr w = wr_of(NULL, 0);
    assert_int_equal(rd_left(&r), 0);
    assert_true(rd_ok(&r));
    wr_bytes(&w, NULL, 0);
    wr_zero(&w, 0);
    assert_true(wr_ok(&w));
    assert_int_equal(rd_u16(&r), 0);
    assert_false(rd_ok(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_read_past_end),
        cmocka_unit_test(test_write_past_end),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("rdwr", tests, NULL, NULL);
}
