/* ranges.c: by example, and against a map of single units. */
#include "core/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/lib/heap.h"

struct fix {
    struct heap h;
    struct mem *m;
    struct ranges r;
    uint32_t base; /* added to every position */
};

static int setup_at(void **state, uint32_t base)
{
    struct fix *f = calloc(1, sizeof *f);
    heap_init(&f->h, (size_t)64 << 20, 5);
    f->m = heap_mem(&f->h, NULL, 0);
    f->base = base;
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_at(state, 1000);
}

/* RFC 9293 3.4: the numbers wrap in the middle of the set. */
static int setup_wrap(void **state)
{
    return setup_at(state, UINT32_MAX - 25);
}

static int teardown(void **state)
{
    struct fix *f = *state;
    ranges_fini(&f->r, f->m);
    heap_check_empty(&f->h);
    heap_fini(&f->h);
    free(f);
    return 0;
}

static int64_t add(struct fix *f, uint32_t from, uint32_t to)
{
    return ranges_add(&f->r, f->m, &f->h.env, seq_of(f->base + from), seq_of(f->base + to), NULL);
}

static void cut(struct fix *f, uint32_t to)
{
    ranges_cut(&f->r, f->m, seq_of(f->base + to));
}

static void expect(struct fix *f, uint32_t n, const uint32_t want[][2])
{
    uint32_t total = 0;
    assert_int_equal(f->r.n, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(f->r.v[i].from.v - f->base, want[i][0]);
        assert_int_equal(f->r.v[i].to.v - f->base, want[i][1]);
        total += want[i][1] - want[i][0];
    }
    assert_int_equal(ranges_total(&f->r), total);
}

#define EXPECT(f, ...)                          \
    do {                                        \
        const uint32_t w_[][2] = {__VA_ARGS__}; \
        expect(f, sizeof w_ / sizeof *w_, w_);  \
    } while (0)

static void test_add(void **state)
{
    struct fix *f = *state;
    assert_int_equal(add(f, 20, 30), 10);
    assert_int_equal(add(f, 40, 50), 10);
    assert_int_equal(add(f, 10, 15), 5);
    EXPECT(f, {10, 15}, {20, 30}, {40, 50});
    assert_int_equal(add(f, 22, 28), 0); /* inside */
    assert_int_equal(add(f, 20, 30), 0); /* the same */
    EXPECT(f, {10, 15}, {20, 30}, {40, 50});
    assert_int_equal(add(f, 30, 32), 2); /* touches on its left */
    assert_int_equal(add(f, 38, 40), 2); /* touches on its right */
    EXPECT(f, {10, 15}, {20, 32}, {38, 50});
    assert_int_equal(add(f, 31, 39), 6); /* overlaps both */
    EXPECT(f, {10, 15}, {20, 50});
    assert_int_equal(add(f, 15, 20), 5); /* fills exactly */
    EXPECT(f, {10, 50});
    assert_int_equal(add(f, 5, 60), 15); /* around all */
    EXPECT(f, {5, 60});
}

static void test_around_many(void **state)
{
    struct fix *f = *state;
    for (uint32_t i = 0; i < 20; i++) {
        add(f, 10 * i, 10 * i + 5);
    }
    assert_int_equal(add(f, 12, 187), 177 - 18 * 5);
    EXPECT(f, {0, 5}, {10, 187}, {190, 195});
}

static void test_whole(void **state)
{
    struct fix *f = *state;
    struct range w;
    add(f, 10, 20);
    add(f, 30, 40);
    seq at = seq_of(f->base + 20);
    assert_int_equal(ranges_add(&f->r, f->m, &f->h.env, at, seq_add(at, 10), &w), 10);
    assert_int_equal(w.from.v - f->base, 10);
    assert_int_equal(w.to.v - f->base, 40);
    assert_int_equal(ranges_add(&f->r, f->m, &f->h.env, at, seq_add(at, 1), &w), 0);
    assert_int_equal(w.from.v - f->base, 10);
    assert_int_equal(w.to.v - f->base, 40);
    /* nothing, and less than nothing, change nothing */
    assert_int_equal(ranges_add(&f->r, f->m, &f->h.env, at, at, &w), 0);
    assert_int_equal(ranges_add(&f->r, f->m, &f->h.env, at, seq_sub(at, 5), NULL), 0);
    EXPECT(f, {10, 40});
}

static void test_find(void **state)
{
    struct fix *f = *state;
    assert_null(ranges_find(&f->r, seq_of(f->base)));
    add(f, 10, 20);
    add(f, 30, 40);
    for (uint32_t x = 0; x < 50; x++) {
        const struct range *r = ranges_find(&f->r, seq_of(f->base + x));
        if (x >= 10 && x < 20) {
            assert_ptr_equal(r, &f->r.v[0]);
        } else if (x >= 30 && x < 40) {
            assert_ptr_equal(r, &f->r.v[1]);
        } else {
            assert_null(r);
        }
    }
}

static void test_cut(void **state)
{
    struct fix *f = *state;
    cut(f, 5);
    add(f, 10, 20);
    add(f, 30, 40);
    add(f, 50, 60);
    cut(f, 10);
    EXPECT(f, {10, 20}, {30, 40}, {50, 60});
    cut(f, 13);
    EXPECT(f, {13, 20}, {30, 40}, {50, 60});
    cut(f, 20);
    EXPECT(f, {30, 40}, {50, 60});
    cut(f, 45);
    EXPECT(f, {50, 60});
    cut(f, 59);
    EXPECT(f, {59, 60});
    cut(f, 60);
    assert_int_equal(f->r.n, 0);
    assert_null(f->r.v);
    heap_check_empty(&f->h);
}

/* SegmentSmack: memory is bounded, and a full set still takes what joins. */
static void test_bound(void **state)
{
    struct fix *f = *state;
    uint32_t max = (MEM_PAGE << RANGES_ORDER_MAX) / sizeof(struct range);
    for (uint32_t i = 0; i < max; i++) {
        assert_int_equal(add(f, 4 * i, 4 * i + 1), 1);
    }
    assert_int_equal(add(f, 4 * max, 4 * max + 1), -ERR_NOBUFS);
    assert_int_equal(add(f, 2, 3), -ERR_NOBUFS);
    assert_int_equal(f->r.n, max);
    assert_int_equal(ranges_total(&f->r), max);
    assert_int_equal(add(f, 1, 4), 3);
    assert_int_equal(f->r.n, max - 1);
    assert_int_equal(add(f, 4 * max, 4 * max + 1), 1);
    assert_int_equal(add(f, 0, 4 * max), 4 * max - max - 3);
    EXPECT(f, {0, 4 * max + 1});
}

static void test_no_memory_changes_nothing(void **state)
{
    struct fix *f = *state;
    mem_fail_nth(f->m, 1);
    assert_int_equal(add(f, 1, 2), -ERR_NOBUFS);
    assert_int_equal(f->r.n, 0);
    uint32_t page = MEM_PAGE / sizeof(struct range);
    for (uint32_t i = 0; i < page; i++) {
        add(f, 2 * i, 2 * i + 1);
    }
    mem_fail_nth(f->m, 1);
    assert_int_equal(add(f, 2 * page, 2 * page + 1), -ERR_NOBUFS);
    assert_int_equal(f->r.n, page);
    assert_int_equal(ranges_total(&f->r), page);
    assert_int_equal(add(f, 2 * page, 2 * page + 1), 1);
    assert_int_equal(ranges_total(&f->r), page + 1);
}

/* Against a map with one byte per unit. */

enum { UNITS = 2000 };

static void expect_map(struct fix *f, const uint8_t *map)
{
    uint32_t n = 0;
    uint32_t i = 0;
    while (i < UNITS) {
        uint32_t from = i;
        while (i < UNITS && map[i] == map[from]) {
            i++;
        }
        if (map[from]) {
            assert_true(n < f->r.n);
            assert_int_equal(f->r.v[n].from.v - f->base, from);
            assert_int_equal(f->r.v[n].to.v - f->base, i);
            n++;
        }
    }
    assert_int_equal(f->r.n, n);
}

static void test_storm(void **state)
{
    struct fix *f = *state;
    uint8_t map[UNITS] = {0};
    f->base = (uint32_t)0 - UNITS / 2;
    for (int step = 0; step < 30000; step++) {
        uint32_t from = heap_below(&f->h, UNITS);
        uint32_t n = 1 + heap_below(&f->h, 1u << heap_below(&f->h, 9));
        uint32_t to = from + n < UNITS ? from + n : UNITS;
        if (heap_below(&f->h, 50) == 0) {
            cut(f, from);
            memset(map, 0, from);
        } else {
            int64_t fresh = 0;
            for (uint32_t i = from; i < to; i++) {
                fresh += !map[i];
                map[i] = 1;
            }
            assert_int_equal(add(f, from, to), fresh);
        }
        expect_map(f, map);
    }
}

static void test_mark(void **state)
{
    struct fix *f = *state;
    struct ranges bad[4];
    add(f, 10, 20);
    add(f, 30, 40);
    for (int i = 0; i < 4; i++) {
        bad[i] = f->r;
    }
    bad[0].v += 1;
    bad[1].order = RANGES_ORDER_MAX + 1;
    bad[2].order = 255;
    bad[3].v = NULL;

    mem_rebuild_begin(f->m);
    for (int i = 0; i < 3; i++) {
        assert_false(ranges_mark(&bad[i], f->m));
        assert_null(bad[i].v);
        assert_int_equal(bad[i].n, 0);
    }
    assert_true(ranges_mark(&bad[3], f->m));
    assert_int_equal(bad[3].n, 0);
    assert_true(ranges_mark(&f->r, f->m));
    EXPECT(f, {10, 20}, {30, 40});
    bad[0] = f->r;
    assert_false(ranges_mark(&bad[0], f->m));
    mem_rebuild_end(f->m);
    assert_null(mem_check(f->m));
}

/* Caught in the middle of an insertion or a join: forgotten, but the memory is kept track of. */
static void test_mark_forgets(void **state)
{
    struct fix *f = *state;
    for (int what = 0; what < 4; what++) {
        add(f, 10, 20);
        add(f, 30, 40);
        switch (what) {
        case 0:
            f->r.v[1] = f->r.v[0];
            break;
        case 1:
            f->r.v[1].from = f->r.v[0].to;
            break;
        case 2:
            f->r.v[0].to = f->r.v[0].from;
            break;
        default:
            f->r.n = 513;
        }
        mem_rebuild_begin(f->m);
        assert_true(ranges_mark(&f->r, f->m));
        mem_rebuild_end(f->m);
        assert_null(mem_check(f->m));
        assert_int_equal(f->r.n, 0);
        assert_int_equal(mem_use(f->m).pages_bytes, MEM_PAGE);
    }
}

#define T(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)
#define BOTH(name)  T(name, setup), T(name, setup_wrap)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_add),
        BOTH(test_around_many),
        BOTH(test_whole),
        BOTH(test_find),
        BOTH(test_cut),
        BOTH(test_bound),
        T(test_no_memory_changes_nothing, setup),
        T(test_storm, setup),
        BOTH(test_mark),
        T(test_mark_forgets, setup),
    };
    return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
