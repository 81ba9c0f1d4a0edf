/*
 * ranges.c - theory of operation.
 *
 * One array, sorted by position; two neighbours always have at least one unit between them:
 *
 *      v[0]        v[1]            v[2]
 *      [====)      [=======)       [==)
 *
 * Because nothing touches, both the froms and the tos are sorted, and a new range joins exactly the
 * members [lo, hi) where lo is the first that ends at or after its start, and hi the first that
 * starts after its end. What joins shrinks the array, so only a range that stands alone can make it
 * grow; the last size refuses (the peer is then told nothing of that segment and sends it again).
 *
 * Missing on purpose: any order of arrival. Who reports SACK blocks keeps the most recent ones
 * itself (RFC 2018 4).
 */
#include "ranges.h"

#include <string.h>

#include "check.h"
#include "err.h"

static uint32_t ranges_cap(const struct ranges *r)
{
    return r->v ? (MEM_PAGE << r->order) / (uint32_t)sizeof *r->v : 0;
}

/* The first member that ends at or after x (n if none). */
static uint32_t first_to_geq(const struct ranges *r, seq x)
{
    uint32_t lo = 0;
    uint32_t hi = r->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (seq_lt(r->v[mid].to, x)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The first member that starts after x (n if none). */
static uint32_t first_from_gt(const struct ranges *r, seq x)
{
    uint32_t lo = 0;
    uint32_t hi = r->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (seq_leq(r->v[mid].from, x)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static int ranges_grow(struct ranges *r, struct mem *m, struct env *env)
{
    unsigned order = r->v ? r->order + 1u : 0;
    if (order > RANGES_ORDER_MAX) {
        return -ERR_NOBUFS;
    }
    struct range *v = mem_pages_get(m, env, order);
    if (!v) {
        return -ERR_NOBUFS;
    }
    if (r->v) {
        memcpy(v, r->v, r->n * sizeof *v);
        mem_pages_put(m, r->v, r->order);
    }
    r->v = v;
    r->order = (uint8_t)order;
    return 0;
}

static int ranges_insert(struct ranges *r, struct mem *m, struct env *env, uint32_t i,
                         struct range new)
{
    if (r->n == ranges_cap(r)) {
        int err = ranges_grow(r, m, env);
        if (err) {
            return err;
        }
    }
    memmove(&r->v[i + 1], &r->v[i], (r->n - i) * sizeof *r->v);
    r->v[i] = new;
    r->n++;
    return 0;
}

/* Replaces the members [lo, hi), of which there is at least one, by their hull with `new`. Returns
 * the new units. */
static int64_t ranges_join(struct ranges *r, uint32_t lo, uint32_t hi, struct range new)
{
    int64_t known = 0;
    for (uint32_t i = lo; i < hi; i++) {
        known += seq_dist(r->v[i].from, r->v[i].to);
    }
    seq from = seq_min(new.from, r->v[lo].from);
    seq to = seq_max(new.to, r->v[hi - 1].to);
    r->v[lo] = (struct range){from, to};
    memmove(&r->v[lo + 1], &r->v[hi], (r->n - hi) * sizeof *r->v);
    r->n -= hi - lo - 1;
    return (int64_t)seq_dist(from, to) - known;
}

int64_t ranges_add(struct ranges *r, struct mem *m, struct env *env, seq from, seq to,
                   struct range *whole)
{
    struct range new = {from, to};
    int64_t fresh;

    if (!seq_lt(from, to)) {
        if (whole) {
            *whole = (struct range){from, from};
        }
        return 0;
    }
    uint32_t lo = first_to_geq(r, from);
    uint32_t hi = first_from_gt(r, to);
    if (lo < hi) {
        fresh = ranges_join(r, lo, hi, new);
    } else {
        int err = ranges_insert(r, m, env, lo, new);
        if (err) {
            return err;
        }
        fresh = seq_dist(from, to);
    }
    if (whole) {
        *whole = r->v[lo];
    }
    return fresh;
}

void ranges_cut(struct ranges *r, struct mem *m, seq to)
{
    uint32_t gone = first_to_geq(r, seq_add(to, 1)); /* the first that ends after `to` */
    if (gone > 0) {
        memmove(r->v, r->v + gone, (r->n - gone) * sizeof *r->v);
        r->n -= gone;
    }
    if (r->n > 0) {
        r->v[0].from = seq_max(r->v[0].from, to);
    } else {
        ranges_fini(r, m);
    }
}

const struct range *ranges_find(const struct ranges *r, seq x)
{
    uint32_t i = first_from_gt(r, x);
    return i > 0 && seq_lt(x, r->v[i - 1].to) ? &r->v[i - 1] : NULL;
}

bool ranges_overlap(const struct ranges *r, seq from, seq to, struct range *out)
{
    uint32_t i = first_to_geq(r, seq_add(from, 1));

    if (i == r->n || !seq_lt(r->v[i].from, to)) {
        return false;
    }
    *out = (struct range){seq_max(r->v[i].from, from), seq_min(r->v[i].to, to)};
    return true;
}

uint32_t ranges_total(const struct ranges *r)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        sum += seq_dist(r->v[i].from, r->v[i].to);
    }
    return sum;
}

void ranges_fini(struct ranges *r, struct mem *m)
{
    if (r->v) {
        mem_pages_put(m, r->v, r->order);
    }
    *r = (struct ranges){0};
}

/* Every member has a length, and a gap before the next. */
static bool ranges_sorted(const struct ranges *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (!seq_lt(r->v[i].from, r->v[i].to)) {
            return false;
        }
        if (i > 0 && !seq_lt(r->v[i - 1].to, r->v[i].from)) {
            return false;
        }
    }
    return true;
}

bool ranges_mark(struct ranges *r, struct mem *m)
{
    if (r->v && (r->order > RANGES_ORDER_MAX || !mem_mark_pages(m, r->v, r->order))) {
        *r = (struct ranges){0};
        return false;
    }
    if (r->n > ranges_cap(r) || !ranges_sorted(r)) {
        /* Caught in the middle of a change. What is forgotten is sent again (RFC 2018 8). */
        r->n = 0;
    }
    return true;
}
