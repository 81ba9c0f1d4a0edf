/*
 * ring.c - theory of operation.
 *
 * The capacity is a power of two, so offset `at` lies at data[(at + shift) & (capacity - 1)]
 * whatever head is: nothing moves when bytes are dropped. Growing changes the mask, so every byte
 * moves to its new place; because the ring does not know what was put beyond tail, the whole old
 * window [head, head + capacity) is copied.
 *
 *      old, 4:  offsets 6 7 | 4 5        new, 8:  . . . . 4 5 6 7
 *
 * A ring never shrinks while it holds bytes. Offsets come from the caller, which has checked them
 * against the capacity; they are CHECKed here because a wrong one would write over somebody else's
 * memory.
 */
#include "ring.h"

#include <string.h>

#include "check.h"
#include "err.h"

#define LEN_MASK   ((2u << RING_BITS) - 1)
#define SHIFT_MASK ((1u << RING_BITS) - 1)

static size_t ring_mask(const struct ring *r)
{
    return ring_cap(r) - 1;
}

/* Whether [at, at + n) lies in [head, head + capacity). */
static bool ring_holds(const struct ring *r, uint64_t at, size_t n)
{
    uint64_t off = at - r->head;
    return off <= ring_cap(r) && n <= ring_cap(r) - off;
}

void ring_init(struct ring *r, uint64_t at)
{
    *r = (struct ring){.head = at};
}

void ring_fini(struct ring *r, struct mem *m)
{
    if (r->data) {
        mem_pages_put(m, r->data, r->order);
    }
    r->data = NULL;
    r->head = ring_tail(r);
    r->len = 0;
}

static unsigned ring_order(size_t need)
{
    unsigned order = 0;
    while (order <= MEM_ORDER_MAX && ((size_t)MEM_PAGE << order) < need) {
        order++;
    }
    return order;
}

/* The first run of a ring: as large as it used to be, or as small as it must be. */
static int ring_first(struct ring *r, struct mem *m, struct env *env, unsigned order)
{
    unsigned want = r->hint > order ? r->hint : order;
    r->data = mem_pages_get(m, env, want);
    if (!r->data && want > order) {
        want = order;
        r->data = mem_pages_get(m, env, want);
    }
    r->order = want & 15;
    return r->data ? 0 : -ERR_NOBUFS;
}

int ring_reserve(struct ring *r, struct mem *m, struct env *env, size_t need)
{
    unsigned order = ring_order(need);

    if (need <= ring_cap(r)) {
        return 0;
    }
    if (order > MEM_ORDER_MAX) {
        return -ERR_NOBUFS;
    }
    if (!r->data) {
        return ring_first(r, m, env, order);
    }

    struct ring grown = *r;
    struct span old[2];
    grown.order = order & 15;
    grown.data = mem_pages_get(m, env, order);
    if (!grown.data) {
        return -ERR_NOBUFS;
    }
    unsigned n = ring_spans(r, r->head, ring_cap(r), old);
    uint64_t at = r->head;
    for (unsigned i = 0; i < n; i++) {
        ring_put(&grown, at, old[i].p, old[i].n);
        at += old[i].n;
    }
    mem_pages_put(m, r->data, r->order);
    *r = grown;
    return 0;
}

unsigned ring_mspans(struct ring *r, uint64_t at, size_t n, struct mspan out[2])
{
    CHECK(ring_holds(r, at, n));
    if (n == 0) {
        return 0;
    }
    size_t from = (size_t)(at + r->shift) & ring_mask(r);
    size_t first = min_size(n, ring_cap(r) - from);
    out[0] = (struct mspan){r->data + from, first};
    if (first == n) {
        return 1;
    }
    out[1] = (struct mspan){r->data, n - first};
    return 2;
}

unsigned ring_spans(const struct ring *r, uint64_t at, size_t n, struct span out[2])
{
    struct ring copy = *r;
    struct mspan m[2];
    unsigned k = ring_mspans(&copy, at, n, m);
    for (unsigned i = 0; i < k; i++) {
        out[i] = (struct span){m[i].p, m[i].n};
    }
    return k;
}

void ring_put(struct ring *r, uint64_t at, const void *src, size_t n)
{
    const uint8_t *p = src;
    struct mspan to[2];
    unsigned k = ring_mspans(r, at, n, to);
    for (unsigned i = 0; i < k; i++) {
        memcpy(to[i].p, p, to[i].n);
        p += to[i].n;
    }
}

void ring_commit(struct ring *r, uint64_t to)
{
    CHECK(to >= ring_tail(r));
    CHECK(to - r->head <= ring_cap(r));
    r->len = (uint32_t)(to - r->head) & LEN_MASK;
}

void ring_get(const struct ring *r, uint64_t at, void *dst, size_t n)
{
    uint8_t *p = dst;
    struct span from[2];
    unsigned k = ring_spans(r, at, n, from);
    for (unsigned i = 0; i < k; i++) {
        memcpy(p, from[i].p, from[i].n);
        p += from[i].n;
    }
}

void ring_drop(struct ring *r, size_t n)
{
    CHECK(n <= ring_len(r));
    r->head += n;
    r->len = (r->len - (uint32_t)n) & LEN_MASK;
}

void ring_skip(struct ring *r, size_t n)
{
    CHECK(ring_len(r) == 0);
    r->head += n;
}

#define TIGHT_MIN ((size_t)512 << 10) /* a quarter of what a CPU's own cache holds, or less */

void ring_tighten(struct ring *r, struct mem *m)
{
    size_t cap = ring_cap(r);
    size_t len = ring_len(r);

    if (cap <= TIGHT_MIN || len > cap / 4) {
        return;
    }
    size_t at = (size_t)(r->head + r->shift) & ring_mask(r);
    if (len == 0 || at + len <= cap / 2) {
        mem_pages_halve(m, r->data, r->order);
        r->order--;
    }
}

void ring_rewind(struct ring *r)
{
    if (ring_len(r) == 0) {
        r->shift = (0 - (uint32_t)r->head) & SHIFT_MASK;
    }
}

void ring_trim(struct ring *r, struct mem *m)
{
    if (!r->data || ring_len(r) > 0) {
        return;
    }
    /* Halved, so that a ring that was large once does not stay so for ever. */
    r->hint = r->order > 0 ? (r->order - 1u) & 15 : 0;
    mem_pages_put(m, r->data, r->order);
    r->data = NULL;
}

bool ring_mark(struct ring *r, struct mem *m)
{
    bool good;
    if (!r->data) {
        good = r->len == 0;
    } else {
        good = r->order <= MEM_ORDER_MAX && r->len <= ring_cap(r) &&
               mem_mark_pages(m, r->data, r->order);
    }
    if (!good) {
        r->data = NULL; /* so that nobody gives back what is not its own */
        r->head = ring_tail(r);
        r->len = 0;
    }
    if (r->hint > MEM_ORDER_MAX) {
        r->hint = 0;
    }
    return good;
}
