/* ring.c: bytes by stream offset, against a plain array. */
#include "core/ring.h"

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
    struct ring r;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    heap_init(&f->h, (size_t)128 << 20, 1);
    f->m = heap_mem(&f->h, NULL, 0);
    ring_init(&f->r, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    ring_fini(&f->r, f->m);
    heap_check_empty(&f->h);
    heap_fini(&f->h);
    free(f);
    return 0;
}

/* The byte that belongs at a stream offset. */
static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 0x9e3779b97f4a7c15 >> 56);
}

static void put(struct fix *f, uint64_t at, size_t n)
{
    uint8_t *buf = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        buf[i] = byte_at(at + i);
    }
    ring_put(&f->r, at, buf, n);
    free(buf);
}

static void expect(struct fix *f, uint64_t at, size_t n)
{
    uint8_t *buf = malloc(n + 1);
    ring_get(&f->r, at, buf, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(buf[i], byte_at(at + i));
    }
    free(buf);
}

static void test_empty(void **state)
{
    struct fix *f = *state;
    struct span s[2];
    assert_int_equal(ring_cap(&f->r), 0);
    assert_int_equal(ring_len(&f->r), 0);
    assert_int_equal(ring_spans(&f->r, 0, 0, s), 0);
    ring_trim(&f->r, f->m);
    assert_int_equal(f->r.hint, 0);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 0), 0);
    assert_null(f->r.data);
}

static void test_sizes(void **state)
{
    struct fix *f = *state;
    static const size_t need[][2] = {
        {1, 4096},     {4096, 4096},       {4097, 8192},
        {8193, 16384}, {5 << 20, 8 << 20}, {32 << 20, 32 << 20},
    };
    for (size_t i = 0; i < sizeof need / sizeof *need; i++) {
        assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, need[i][0]), 0);
        assert_int_equal(ring_cap(&f->r), need[i][1]);
    }
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, (32 << 20) + 1), -ERR_NOBUFS);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, SIZE_MAX), -ERR_NOBUFS);
    assert_int_equal(ring_cap(&f->r), 32 << 20);
}

static void test_wrap(void **state)
{
    struct fix *f = *state;
    struct span s[2];
    ring_init(&f->r, 5000); /* so that offset 8192 is the place where it wraps */
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 4096), 0);
    put(f, 5000, 4096);
    ring_commit(&f->r, 9096);
    assert_int_equal(ring_len(&f->r), 4096);
    expect(f, 5000, 4096);

    assert_int_equal(ring_spans(&f->r, 5000, 4096, s), 2);
    assert_int_equal(s[0].n, 8192 - 5000);
    assert_int_equal(s[1].n, 9096 - 8192);
    assert_ptr_equal(s[1].p, f->r.data);
    assert_int_equal(ring_spans(&f->r, 5000, 3192, s), 1);
    assert_int_equal(ring_spans(&f->r, 8192, 904, s), 1);

    ring_drop(&f->r, 4000);
    assert_int_equal(ring_len(&f->r), 96);
    expect(f, 9000, 96);
    put(f, 9096, 4000);
    ring_commit(&f->r, 13096);
    expect(f, 9000, 4096);
}

static void test_growth_keeps_what_lies_beyond_tail(void **state)
{
    struct fix *f = *state;
    ring_init(&f->r, 7000);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 4096), 0);
    put(f, 7000, 100);
    ring_commit(&f->r, 7100);
    put(f, 8000, 3096); /* out of order, to the very end of the capacity, across the wrap */
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 40000), 0);
    assert_int_equal(ring_cap(&f->r), 65536);
    expect(f, 7000, 100);
    expect(f, 8000, 3096);
    put(f, 7100, 900);
    ring_commit(&f->r, 11096);
    expect(f, 7000, 4096);
}

static void test_no_memory_changes_nothing(void **state)
{
    struct fix *f = *state;
    mem_fail_nth(f->m, 1);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 1), -ERR_NOBUFS);
    assert_int_equal(ring_cap(&f->r), 0);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 1), 0);
    put(f, 0, 4096);
    ring_commit(&f->r, 4096);
    mem_fail_nth(f->m, 1);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 8192), -ERR_NOBUFS);
    assert_int_equal(ring_cap(&f->r), 4096);
    expect(f, 0, 4096);
}

static void test_trim_remembers_half(void **state)
{
    struct fix *f = *state;
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 65536), 0);
    put(f, 0, 10);
    ring_commit(&f->r, 10);
    ring_trim(&f->r, f->m);
    assert_int_equal(ring_cap(&f->r), 65536); /* not empty */
    ring_drop(&f->r, 10);
    ring_trim(&f->r, f->m);
    assert_int_equal(ring_cap(&f->r), 0);
    assert_int_equal(f->r.head, 10);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 1), 0);
    assert_int_equal(ring_cap(&f->r), 32768);

    /* The remembered size is a wish: without memory for it the needed one will do. */
    ring_trim(&f->r, f->m);
    mem_fail_nth(f->m, 1);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 1), 0);
    assert_int_equal(ring_cap(&f->r), 4096);
}

static void test_offsets_beyond_4g(void **state)
{
    struct fix *f = *state;
    ring_init(&f->r, 0xfffffff00);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 4096), 0);
    put(f, 0xfffffff00, 4096);
    ring_commit(&f->r, 0xfffffff00 + 4096);
    expect(f, 0xfffffff00, 4096);
}

/* A stream with out-of-order arrival, growth and trimming; every byte read is the right one. */
static void test_storm(void **state)
{
    struct fix *f = *state;
    struct heap *h = &f->h;
    for (int i = 0; i < 20000; i++) {
        size_t cap = ring_cap(&f->r);
        uint64_t end = f->r.head + cap;
        switch (heap_below(h, 5)) {
        case 0:
            ring_reserve(&f->r, f->m, &h->env, heap_below(h, 1u << heap_below(h, 18)));
            assert_true(ring_cap(&f->r) >= cap);
            break;
        case 1: { /* in order */
            size_t n = heap_below(h, (uint32_t)(end - ring_tail(&f->r) + 1));
            put(f, ring_tail(&f->r), n);
            ring_commit(&f->r, ring_tail(&f->r) + n);
            break;
        }
        case 2: { /* with a hole, which is filled after growth */
            size_t room = (size_t)(end - ring_tail(&f->r));
            size_t hole = heap_below(h, (uint32_t)room + 1);
            put(f, ring_tail(&f->r) + hole, room - hole);
            assert_int_equal(ring_reserve(&f->r, f->m, &h->env, heap_below(h, 100000)), 0);
            put(f, ring_tail(&f->r), hole);
            ring_commit(&f->r, ring_tail(&f->r) + room);
            break;
        }
        case 3: {
            size_t n = heap_below(h, (uint32_t)ring_len(&f->r) + 1);
            expect(f, f->r.head, n);
            ring_drop(&f->r, n);
            break;
        }
        default:
            if (heap_below(h, 10) == 0) {
                expect(f, f->r.head, ring_len(&f->r));
                ring_drop(&f->r, ring_len(&f->r));
                ring_trim(&f->r, f->m);
                assert_int_equal(ring_cap(&f->r), 0);
            }
        }
    }
    expect(f, f->r.head, ring_len(&f->r));
    assert_null(mem_check(f->m));
}

static void test_mark(void **state)
{
    struct fix *f = *state;
    struct ring bad[4];
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 8192), 0);
    ring_commit(&f->r, 100);
    for (int i = 0; i < 4; i++) {
        bad[i] = f->r;
    }
    bad[0].data += 4096; /* not the start of a run of its order */
    bad[1].order = MEM_ORDER_MAX + 1;
    bad[2].len = 8193;
    bad[3].data = NULL; /* bytes, but no memory */

    mem_rebuild_begin(f->m);
    for (int i = 0; i < 4; i++) {
        assert_false(ring_mark(&bad[i], f->m));
        assert_null(bad[i].data);
        assert_int_equal(ring_len(&bad[i]), 0);
    }
    assert_true(ring_mark(&f->r, f->m));
    bad[0] = f->r;
    assert_false(ring_mark(&bad[0], f->m)); /* two rings with one run */
    mem_rebuild_end(f->m);
    assert_null(mem_check(f->m));
    assert_int_equal(mem_use(f->m).pages_bytes, 8192);
}

static void test_rewind(void **state)
{
    struct fix *f = *state;
    ring_init(&f->r, 6000);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 4096), 0);
    put(f, 6000, 100);
    ring_commit(&f->r, 6100);
    ring_rewind(&f->r); /* not empty: nothing moves */
    expect(f, 6000, 100);
    ring_drop(&f->r, 100);
    ring_rewind(&f->r);
    struct mspan m[2];
    assert_int_equal(ring_mspans(&f->r, 6100, 4096, m), 1);
    assert_ptr_equal(m[0].p, f->r.data);
    put(f, 6100, 4096);
    ring_commit(&f->r, 10196);
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, 8192), 0); /* growth keeps the shift */
    expect(f, 6100, 4096);
    ring_drop(&f->r, 4096);
    ring_skip(&f->r, 70000);
    assert_int_equal(f->r.head, 80196);
    assert_int_equal(ring_len(&f->r), 0);
    put(f, 80196, 50);
    ring_commit(&f->r, 80246);
    expect(f, 80196, 50);
}

static void test_tighten(void **state)
{
    struct fix *f = *state;
    size_t big = (size_t)4 << 20;
    assert_int_equal(ring_reserve(&f->r, f->m, &f->h.env, big), 0);
    put(f, 0, 1000);
    ring_commit(&f->r, 1000);
    ring_tighten(&f->r, f->m);
    assert_int_equal(ring_cap(&f->r), big / 2);
    expect(f, 0, 1000);
    ring_drop(&f->r, 1000);
    ring_skip(&f->r, big / 4 - 500); /* bytes that lie in the upper half stay where they are */
    put(f, big / 4 + 500, 1000000);
    ring_commit(&f->r, big / 4 + 1000500);
    ring_drop(&f->r, 800000);
    ring_tighten(&f->r, f->m);
    assert_int_equal(ring_cap(&f->r), big / 2);
    expect(f, big / 4 + 800500, 200000);
    ring_drop(&f->r, 200000);
    ring_tighten(&f->r, f->m);
    ring_tighten(&f->r, f->m);
    ring_tighten(&f->r, f->m);
    assert_int_equal(ring_cap(&f->r), 512 << 10); /* small enough */
    assert_int_equal(mem_use(f->m).pages_bytes, 512 << 10);
    assert_null(mem_check(f->m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growth_keeps_what_lies_beyond_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trim_remembers_half, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offsets_beyond_4g, setup, teardown),
        cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tighten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
