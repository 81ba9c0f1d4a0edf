/*
 * tcp_txq.h - what was sent and is not cumulatively acknowledged: one record per transmission, in
 * sequence order.
 *
 * The records carry when each range was sent last and what became of it; they are the SACK
 * scoreboard (RFC 2018 section 5, RFC 6675), the source of RTT samples, and what RACK (RFC 8985)
 * looks at. A record is up to 64 KiB sent in one packet (segmentation offload) and counts as
 * `segs` segments; it is split where a SACK block or an acknowledgment ends inside it.
 *
 * The counters are kept in segments: in flight = out - sacked - lost (RFC 6675's pipe: one sent
 * again is no longer lost and counts once).
 */
#ifndef STANDIN_CORE_TCP_TXQ_H
#define STANDIN_CORE_TCP_TXQ_H

#include <stdbool.h>
#include <stdint.h>

#include "mem.h"
#include "nsec.h"
#include "seq.h"
#include "tcp_rate.h"

enum {
    TXR_SACKED = 1,  /* the peer reported it */
    TXR_LOST = 2,    /* thought lost and not sent again since */
    TXR_RETRANS = 4, /* sent again, and that is in flight */
    TXR_EVER = 8,    /* was sent again at least once (Karn) */
    TXR_MTU = 16,    /* a probe of the path's MTU: larger than other segments */
    TXR_PSH = 32,    /* its last segment says PSH */
};

struct tx_rec {
    nsec at; /* when it was sent last */
    seq from;
    seq to; /* SYN and FIN count as one */
    uint16_t segs;
    uint8_t flags;
    uint8_t tries; /* times sent */
    struct rate_mark rate;
};

#define TXQ_ORDER_MAX 6 /* 256 KiB: 6553 records */

struct txq {
    struct tx_rec *v; /* NULL while it has no memory */
    uint32_t head;
    uint32_t n;
    uint8_t order;
    uint32_t out;
    uint32_t sacked;
    uint32_t lost;
    uint32_t retrans;
};

static inline struct tx_rec *txq_at(const struct txq *q, uint32_t i)
{
    return &q->v[q->head + i];
}

static inline uint32_t txq_inflight(const struct txq *q)
{
    return q->out - q->sacked - q->lost;
}

/* Whether another record, and a few splits, will find room. */
bool txq_has_room(const struct txq *q);

/* Appends a record for what was just sent. -ERR_NOBUFS. */
int txq_push(struct txq *q, struct mem *m, struct env *env, seq from, seq to, uint32_t segs,
             nsec now);

/* The index of the record that contains x or begins after it; q->n if none. O(log n). */
uint32_t txq_find(const struct txq *q, seq x);

/* Splits record i at `at` (inside it), segments of mss bytes; i stays the first half.
 * -ERR_NOBUFS: nothing changed. */
int txq_split(struct txq *q, struct mem *m, struct env *env, uint32_t i, seq at, uint32_t mss);

/* Changes flags of a record and the counters with them. */
void txq_set(struct txq *q, struct tx_rec *r, uint8_t flags);
void txq_clear(struct txq *q, struct tx_rec *r, uint8_t flags);

/* The record is so many segments now, and the counters with it. */
void txq_recount(struct txq *q, struct tx_rec *r, uint32_t segs);

/* Drops the first record, counters included. */
void txq_pop(struct txq *q);

/* Takes away the front of the first record up to `to` (inside it), keeping `segs` of its
 * segments. */
void txq_trim(struct txq *q, seq to, uint32_t segs);

/* Everything out, memory given back. */
void txq_fini(struct txq *q, struct mem *m);

bool txq_mark(struct txq *q, struct mem *m);

/* NULL, or what is not so: order, counters. */
const char *txq_check(const struct txq *q);

#endif
