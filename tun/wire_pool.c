/*
 * wire_pool.c - theory of operation: packets that are under way.
 *
 * One array of places, each with room for the largest packet. A place is free, in somebody's hand,
 * in the queue of its direction, or flying; flying ones (and those held back until another has
 * passed, which fly with a late arrival) are in one heap by time of arrival, equal times in the
 * order of entry. The heap, the queues and the free list are indices: pool_rebuild makes them from
 * the places' states, which are written last.
 *
 * The rate is a transmitter: a packet begins when the one before it has gone and takes its length
 * over the rate; it leaves the queue when it begins. That happens in virtual time too: pool_run may
 * come late and still gives each packet the times it would have had. CoDel (RFC 8289) decides when
 * a packet begins, by how long it waited.
 */
#include <string.h>

#include "core/check.h"
#include "tun/wire_priv.h"

#define HEADROOM       64u
#define HOLD_MAX       (1 * SEC)    /* what "reorder ... after" waits for may never come */
#define CODEL_TARGET   (5 * MSEC)   /* RFC 8289 4.4 */
#define CODEL_INTERVAL (100 * MSEC) /* RFC 8289 4.3 */

struct wire_slot *pool_slot(const struct wire *w, uint32_t i)
{
    uintptr_t base = (uintptr_t)w + w->slots_at;
    return (struct wire_slot *)(base + (size_t)i * w->slot_size);
}

static uint32_t *heap_of(const struct wire *w)
{
    return (uint32_t *)((uintptr_t)w + w->heap_at);
}

static size_t round_up(size_t n)
{
    return (n + 63) / 64 * 64;
}

static size_t slot_bytes(uint32_t mtu)
{
    return round_up(sizeof(struct wire_slot) + max_u32(mtu, PKT_OWN_MAX) + HEADROOM);
}

size_t wire_size_min(uint32_t mtu)
{
    return round_up(sizeof(struct wire)) + 64 * (slot_bytes(mtu) + sizeof(uint32_t));
}

/* Places are not touched before their first use: memory that was never needed costs nothing. */
static void clear(struct wire *w)
{
    w->free_head = WIRE_NONE;
    w->nused = 0;
    w->nheap = 0;
    for (int d = 0; d < WIRE_DIRS; d++) {
        struct wire_way *way = &w->way[d];
        way->head = way->tail = WIRE_NONE;
        way->pkts = way->flying = 0;
        way->bytes = 0;
    }
}

void pool_init(struct wire *w, size_t bytes)
{
    w->slot_size = (uint32_t)slot_bytes(w->mtu);
    w->heap_at = (uint32_t)round_up(sizeof *w);
    size_t room = bytes - w->heap_at - 64;
    w->nslots = (uint32_t)(room / (w->slot_size + sizeof(uint32_t)));
    w->slots_at = (uint32_t)round_up(w->heap_at + w->nslots * sizeof(uint32_t));
    w->touched = 0;
    clear(w);
}

uint32_t pool_get(struct wire *w)
{
    uint32_t i = w->free_head;
    if (i != WIRE_NONE) {
        w->free_head = pool_slot(w, i)->next;
    } else if (w->touched < w->nslots) {
        i = w->touched++;
    } else {
        return WIRE_NONE;
    }
    struct wire_slot *s = pool_slot(w, i);
    memset(s, 0, sizeof *s);
    s->next = WIRE_NONE;
    s->order = ++w->orders;
    s->hold_rule = WIRE_RULES_MAX;
    s->state = SLOT_HAND;
    w->nused++;
    return i;
}

void pool_put(struct wire *w, uint32_t i)
{
    struct wire_slot *s = pool_slot(w, i);
    s->state = SLOT_FREE;
    s->next = w->free_head;
    w->free_head = i;
    w->nused--;
}

/* The heap */

static bool before(const struct wire *w, uint32_t a, uint32_t b)
{
    const struct wire_slot *x = pool_slot(w, a);
    const struct wire_slot *y = pool_slot(w, b);
    return x->at < y->at || (x->at == y->at && x->order < y->order);
}

static void sift_up(struct wire *w, uint32_t k)
{
    uint32_t *h = heap_of(w);
    while (k > 0 && before(w, h[k], h[(k - 1) / 2])) {
        uint32_t up = (k - 1) / 2, t = h[k];
        h[k] = h[up];
        h[up] = t;
        k = up;
    }
}

static void sift_down(struct wire *w, uint32_t k)
{
    uint32_t *h = heap_of(w);
    for (;;) {
        uint32_t least = k;
        for (uint32_t c = 2 * k + 1; c <= 2 * k + 2 && c < w->nheap; c++) {
            least = before(w, h[c], h[least]) ? c : least;
        }
        if (least == k) {
            return;
        }
        uint32_t t = h[k];
        h[k] = h[least];
        h[least] = t;
        k = least;
    }
}

static void heap_add(struct wire *w, uint32_t i)
{
    heap_of(w)[w->nheap++] = i;
    sift_up(w, w->nheap - 1);
}

static void heap_remove(struct wire *w, uint32_t k)
{
    uint32_t *h = heap_of(w);
    h[k] = h[--w->nheap];
    if (k < w->nheap) {
        sift_down(w, k);
        sift_up(w, k);
    }
}

/* On its way */

static void fly(struct wire *w, uint32_t i, nsec at)
{
    struct wire_slot *s = pool_slot(w, i);
    struct wire_way *way = &w->way[s->dir];
    if (s->ordered) {
        at = nsec_max(at, way->last_arrival);
        way->last_arrival = at;
    }
    s->at = at;
    s->state = SLOT_FLYING;
    heap_add(w, i);
}

/* Until pool_release, but not for ever. */
static void hold(struct wire *w, uint32_t i, nsec now)
{
    struct wire_slot *s = pool_slot(w, i);
    s->at = now + HOLD_MAX;
    s->state = SLOT_HELD;
    heap_add(w, i);
}

static const struct wire_rule *rate_of(const struct wire *w, const struct wire_way *way)
{
    return way->rate_rule < WIRE_RULES_MAX ? &w->spec.rule[way->rate_rule] : NULL;
}

static bool queue_full(const struct wire_way *way, const struct wire_rule *r, uint32_t len)
{
    return (r->u.rate.bytes && way->bytes + len > r->u.rate.bytes) ||
           (r->u.rate.pkts && way->pkts + 1 > r->u.rate.pkts);
}

void pool_send(struct wire *w, uint32_t i, nsec now, const struct wire_tap *tap)
{
    struct wire_slot *s = pool_slot(w, i);
    struct wire_way *way = &w->way[s->dir];
    const struct wire_rule *r = rate_of(w, way);

    way->flying++;
    if (s->hold_rule < WIRE_RULES_MAX) {
        hold(w, i, now);
        return;
    }
    if (!r) {
        fly(w, i, nsec_add(now, s->delay));
        return;
    }
    pool_run(w, now, tap);
    if ((way->busy_until > now || way->pkts) && queue_full(way, r, s->len)) {
        wire_fire_slot(w, s, now, way->rate_rule, FIRED_QUEUE, tap);
        way->flying--;
        pool_put(w, i);
        return;
    }
    s->at = now;
    s->next = WIRE_NONE;
    s->state = SLOT_QUEUED;
    if (way->tail == WIRE_NONE) {
        way->head = i;
    } else {
        pool_slot(w, way->tail)->next = i;
    }
    way->tail = i;
    way->pkts++;
    way->bytes += s->len;
    pool_run(w, now, tap);
}

static void let_go(struct wire *w, uint32_t i, nsec now, const struct wire_tap *tap)
{
    struct wire_slot *s = pool_slot(w, i);
    w->way[s->dir].flying--;
    s->hold_rule = WIRE_RULES_MAX;
    s->order = ++w->orders; /* behind the one it waited for */
    s->state = SLOT_HAND;
    pool_send(w, i, now, tap);
}

void pool_release(struct wire *w, unsigned rule, uint32_t conn, nsec now,
                  const struct wire_tap *tap)
{
    for (uint32_t k = 0; k < w->nheap;) {
        uint32_t i = heap_of(w)[k];
        const struct wire_slot *s = pool_slot(w, i);
        if (s->state != SLOT_HELD || s->hold_rule != rule || s->conn != conn) {
            k++;
            continue;
        }
        heap_remove(w, k);
        let_go(w, i, now, tap);
        k = 0;
    }
}

/* CoDel */

/* interval / sqrt(count), RFC 8289 5.5 */
static nsec control_law(nsec at, uint32_t count)
{
    uint64_t n = (uint64_t)count << 32; /* sqrt(count) in 16.16 */
    uint64_t x = n;
    for (uint64_t y = (x + 1) / 2; y < x;) {
        x = y;
        y = (x + n / x) / 2;
    }
    return at + (nsec)(((uint64_t)CODEL_INTERVAL << 16) / (x ? x : 1));
}

/* Whether the packet that begins now has waited too long for too long. */
static bool above(struct codel *c, const struct wire_way *way, const struct wire_slot *s, nsec now,
                  uint32_t mtu)
{
    if (now - s->at < CODEL_TARGET || way->bytes <= mtu) {
        c->first_above = 0;
        return false;
    }
    if (c->first_above == 0) {
        c->first_above = now + CODEL_INTERVAL;
        return false;
    }
    return now >= c->first_above;
}

/* RFC 8289 5.6: whether to drop (or mark) the packet at the queue's head, which would begin at
 * `now`. */
static bool codel_strikes(struct wire *w, struct wire_way *way, const struct wire_slot *s, nsec now)
{
    struct codel *c = &way->codel;
    bool bad = above(c, way, s, now, w->mtu);
    if (!bad) {
        c->dropping = false;
        return false;
    }
    if (c->dropping) {
        if (now < c->drop_next) {
            return false;
        }
        c->count++;
        c->drop_next = control_law(c->drop_next, c->count);
        return true;
    }
    uint32_t delta = c->count - c->last_count;
    c->dropping = true;
    c->count = delta > 1 && now - c->drop_next < 16 * CODEL_INTERVAL ? delta : 1;
    c->drop_next = control_law(now, c->count);
    c->last_count = c->count;
    return true;
}

/* True: the packet has been dropped instead of being sent. */
static bool aqm(struct wire *w, struct wire_way *way, struct wire_slot *s, nsec now,
                const struct wire_tap *tap)
{
    const struct wire_rule *r = rate_of(w, way);
    if (r->u.rate.aqm != AQM_CODEL || !codel_strikes(w, way, s, now)) {
        return false;
    }
    struct wire_view v = {.p = s->bytes, .len = s->len};
    view_parse(&v);
    if (r->u.rate.ecn && view_ecn(&v) != 0) {
        view_set_ecn(&v, 3);
        wire_fire_slot(w, s, now, way->rate_rule, FIRED_MARKED, tap);
        return false;
    }
    wire_fire_slot(w, s, now, way->rate_rule, FIRED_CODEL, tap);
    return true;
}

/* The transmitter */

static void begin_next(struct wire *w, struct wire_way *way, nsec start, const struct wire_tap *tap)
{
    uint32_t i = way->head;
    struct wire_slot *s = pool_slot(w, i);

    way->head = s->next;
    if (way->head == WIRE_NONE) {
        way->tail = WIRE_NONE;
    }
    bool dropped = aqm(w, way, s, start, tap);
    way->pkts--;
    way->bytes -= s->len;
    if (dropped) {
        way->flying--;
        pool_put(w, i);
        return;
    }
    uint64_t bits = rate_of(w, way)->u.rate.bits;
    way->busy_until = start + (nsec)((uint64_t)s->len * 8 * (uint64_t)SEC / bits);
    fly(w, i, nsec_add(way->busy_until, s->delay));
}

void pool_run(struct wire *w, nsec now, const struct wire_tap *tap)
{
    for (int d = 0; d < WIRE_DIRS; d++) {
        struct wire_way *way = &w->way[d];
        while (way->head != WIRE_NONE) {
            nsec start = nsec_max(way->busy_until, pool_slot(w, way->head)->at);
            if (start > now) {
                break;
            }
            begin_next(w, way, start, tap);
        }
    }
}

uint32_t pool_arrived(struct wire *w, nsec now, const struct wire_tap *tap)
{
    while (w->nheap > 0) {
        uint32_t i = heap_of(w)[0];
        struct wire_slot *s = pool_slot(w, i);
        if (s->at > now) {
            break;
        }
        heap_remove(w, 0);
        if (s->state == SLOT_HELD) {
            let_go(w, i, s->at, tap);
            continue;
        }
        s->state = SLOT_HAND;
        w->way[s->dir].flying--;
        return i;
    }
    return WIRE_NONE;
}

nsec pool_deadline(const struct wire *w)
{
    nsec at = w->nheap ? pool_slot(w, heap_of(w)[0])->at : NEVER;
    for (int d = 0; d < WIRE_DIRS; d++) {
        const struct wire_way *way = &w->way[d];
        if (way->head != WIRE_NONE) {
            at = nsec_min(at, nsec_max(way->busy_until, pool_slot(w, way->head)->at));
        }
    }
    return at;
}

/* Recovery */

/* Into the queue, which is in the order of entry. */
static void requeue(struct wire *w, uint32_t i)
{
    struct wire_slot *s = pool_slot(w, i);
    struct wire_way *way = &w->way[s->dir];
    uint32_t prev = WIRE_NONE;
    uint32_t at = way->head;
    while (at != WIRE_NONE && pool_slot(w, at)->order < s->order) {
        prev = at;
        at = pool_slot(w, at)->next;
    }
    s->next = at;
    if (prev == WIRE_NONE) {
        way->head = i;
    } else {
        pool_slot(w, prev)->next = i;
    }
    if (at == WIRE_NONE) {
        way->tail = i;
    }
    way->pkts++;
    way->bytes += s->len;
    way->flying++;
}

void pool_rebuild(struct wire *w)
{
    clear(w);
    for (uint32_t i = 0; i < w->touched; i++) {
        struct wire_slot *s = pool_slot(w, i);
        w->nused++;
        if (s->state == SLOT_QUEUED) {
            requeue(w, i);
        } else if (s->state == SLOT_FLYING || s->state == SLOT_HELD) {
            w->way[s->dir].flying++;
            heap_add(w, i);
        } else {
            pool_put(w, i);
        }
    }
}

/* Invariants */

const char *pool_check(const struct wire *w)
{
    uint32_t n[SLOT_HELD + 1] = {0};
    uint32_t free = 0, queued = 0;
    for (uint32_t i = 0; i < w->touched; i++) {
        n[pool_slot(w, i)->state]++;
    }
    for (uint32_t i = w->free_head; i != WIRE_NONE && free <= w->nslots;
         i = pool_slot(w, i)->next) {
        free++;
    }
    for (int d = 0; d < WIRE_DIRS; d++) {
        uint64_t bytes = 0;
        uint32_t pkts = 0;
        for (uint32_t i = w->way[d].head; i != WIRE_NONE; i = pool_slot(w, i)->next) {
            bytes += pool_slot(w, i)->len;
            pkts++;
        }
        if (pkts != w->way[d].pkts || bytes != w->way[d].bytes) {
            return "a queue's count is wrong";
        }
        queued += pkts;
    }
    for (uint32_t k = 1; k < w->nheap; k++) {
        if (before(w, heap_of(w)[k], heap_of(w)[(k - 1) / 2])) {
            return "the heap is out of order";
        }
    }
    return n[SLOT_FREE] != free                        ? "free places are lost"
           : n[SLOT_QUEUED] != queued                  ? "queued places are lost"
           : n[SLOT_FLYING] + n[SLOT_HELD] != w->nheap ? "flying places are lost"
           : n[SLOT_FREE] + w->nused != w->touched     ? "the use of places is miscounted"
                                                       : NULL;
}
