/*
 * tcp_txq.c - theory of operation
 *
 * The records lie in one array, used from `head` on; acknowledging moves head, sending appends.
 * When the end is reached the live part moves to the front, and when that does not make room the
 * array doubles up to TXQ_ORDER_MAX; beyond that the sender waits (txq_has_room) and a split is
 * refused: work and memory stay bounded whatever the peer does (SACK Panic, CVE-2019-11477..9).
 */
#include "tcp_txq.h"

#include <string.h>

#include "check.h"
#include "err.h"

#define SPLIT_RESERVE 64u /* places that only splits may use */

static uint32_t capacity(uint8_t order)
{
    return (uint32_t)((MEM_PAGE << order) / sizeof(struct tx_rec));
}

bool txq_has_room(const struct txq *q)
{
    return q->n + SPLIT_RESERVE < capacity(TXQ_ORDER_MAX);
}

static int grow(struct txq *q, struct mem *m, struct env *env)
{
    uint8_t order = q->v ? (uint8_t)(q->order + 1) : 0;

    if (order > TXQ_ORDER_MAX) {
        return -ERR_NOBUFS;
    }
    struct tx_rec *v = mem_pages_get(m, env, order);
    if (!v) {
        return -ERR_NOBUFS;
    }
    if (q->v) {
        memcpy(v, txq_at(q, 0), q->n * sizeof *v);
        mem_pages_put(m, q->v, q->order);
    }
    q->v = v;
    q->head = 0;
    q->order = order;
    return 0;
}

/* Makes one more place behind the last record. */
static int make_room(struct txq *q, struct mem *m, struct env *env)
{
    if (q->v && q->head + q->n < capacity(q->order)) {
        return 0;
    }
    if (q->v && q->head >= capacity(q->order) / 4) {
        memmove(q->v, txq_at(q, 0), q->n * sizeof *q->v);
        q->head = 0;
        return 0;
    }
    int err = grow(q, m, env);
    if (err && q->v && q->head) {
        memmove(q->v, txq_at(q, 0), q->n * sizeof *q->v);
        q->head = 0;
        return 0;
    }
    return err;
}

int txq_push(struct txq *q, struct mem *m, struct env *env, seq from, seq to, uint32_t segs,
             nsec now)
{
    int err = make_room(q, m, env);
    if (err) {
        return err;
    }
    *txq_at(q, q->n) = (struct tx_rec){
        .at = now,
        .from = from,
        .to = to,
        .segs = (uint16_t)segs,
        .tries = 1,
    };
    q->n++;
    q->out += segs;
    return 0;
}

uint32_t txq_find(const struct txq *q, seq x)
{
    uint32_t lo = 0, hi = q->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (seq_leq(txq_at(q, mid)->to, x)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void count(struct txq *q, uint8_t flags, uint32_t add, uint32_t sub)
{
    if (flags & TXR_SACKED) {
        q->sacked += add - sub;
    }
    if (flags & TXR_LOST) {
        q->lost += add - sub;
    }
    if (flags & TXR_RETRANS) {
        q->retrans += add - sub;
    }
}

void txq_set(struct txq *q, struct tx_rec *r, uint8_t flags)
{
    uint8_t fresh = (uint8_t)(flags & ~r->flags);

    r->flags |= flags;
    count(q, fresh, r->segs, 0);
}

void txq_clear(struct txq *q, struct tx_rec *r, uint8_t flags)
{
    uint8_t gone = flags & r->flags;

    r->flags = (uint8_t)(r->flags & ~flags);
    count(q, gone, 0, r->segs);
}

int txq_split(struct txq *q, struct mem *m, struct env *env, uint32_t i, seq at, uint32_t mss)
{
    int err = make_room(q, m, env);
    if (err) {
        return err;
    }
    struct tx_rec *r = txq_at(q, i);
    CHECK(seq_lt(r->from, at) && seq_lt(at, r->to));

    memmove(r + 2, r + 1, (q->n - i - 1) * sizeof *r);
    q->n++;
    uint32_t was = r->segs;
    uint32_t first = max_u32((seq_dist(r->from, at) + mss - 1) / mss, 1);
    uint32_t second = max_u32((seq_dist(at, r->to) + mss - 1) / mss, 1);

    r[1] = *r;
    r[1].from = at;
    r[1].segs = (uint16_t)second;
    r->to = at;
    r->flags &= (uint8_t)~TXR_PSH;
    r->segs = (uint16_t)first;
    r->flags &= (uint8_t)~TXR_PSH;
    q->out += first + second - was;
    count(q, r->flags, first + second, was);
    return 0;
}

void txq_recount(struct txq *q, struct tx_rec *r, uint32_t segs)
{
    uint32_t was = r->segs;

    r->segs = (uint16_t)segs;
    q->out += segs - was;
    count(q, r->flags, segs, was);
}

void txq_pop(struct txq *q)
{
    struct tx_rec *r = txq_at(q, 0);

    txq_clear(q, r, TXR_SACKED | TXR_LOST | TXR_RETRANS);
    q->out -= r->segs;
    q->head++;
    q->n--;
    if (q->n == 0) {
        q->head = 0;
    }
}

void txq_trim(struct txq *q, seq to, uint32_t segs)
{
    struct tx_rec *r = txq_at(q, 0);
    uint32_t was = r->segs;

    CHECK(seq_lt(r->from, to) && seq_lt(to, r->to));
    r->from = to;
    r->segs = (uint16_t)segs;
    q->out -= was - segs;
    count(q, r->flags, segs, was);
}

void txq_fini(struct txq *q, struct mem *m)
{
    if (q->v) {
        mem_pages_put(m, q->v, q->order);
    }
    *q = (struct txq){0};
}

bool txq_mark(struct txq *q, struct mem *m)
{
    if (!q->v) {
        return q->n == 0;
    }
    return q->order <= TXQ_ORDER_MAX && mem_mark_pages(m, q->v, q->order) &&
           q->head + q->n <= capacity(q->order) && !txq_check(q);
}

const char *txq_check(const struct txq *q)
{
    uint32_t out = 0, sacked = 0, lost = 0, retrans = 0;

    for (uint32_t i = 0; i < q->n; i++) {
        const struct tx_rec *r = txq_at(q, i);
        if (!seq_lt(r->from, r->to)) {
            return "txq: an empty record";
        }
        if (i && !seq_eq(txq_at(q, i - 1)->to, r->from)) {
            return "txq: a gap between records";
        }
        if ((r->flags & TXR_SACKED) && (r->flags & (TXR_LOST | TXR_RETRANS))) {
            return "txq: sacked and lost";
        }
        out += r->segs;
        sacked += r->flags & TXR_SACKED ? r->segs : 0;
        lost += r->flags & TXR_LOST ? r->segs : 0;
        retrans += r->flags & TXR_RETRANS ? r->segs : 0;
    }
    if (out != q->out || sacked != q->sacked || lost != q->lost || retrans != q->retrans) {
        return "txq: a counter does not fit the records";
    }
    return NULL;
}
