/*
 * tcp_wq.h - what was written and is not sent: the buffers it lies in, as Linux would have them.
 *
 * The bytes themselves are in the send ring; this says where one of Linux's buffers ends and the
 * next begins. On the wire it shows: a segment never takes from two of them, PSH is a property of
 * a buffer, and one is filled up to the size goal before the next is begun. The first buffer
 * begins at SND.NXT; sending part of it leaves the rest as the first. Linux, not RFC.
 */
#ifndef STANDIN_CORE_TCP_WQ_H
#define STANDIN_CORE_TCP_WQ_H

#include <stdbool.h>
#include <stdint.h>

#include "mem.h"
#include "seq.h"

enum {
    WB_PSH = 1, /* its last segment says PSH */
    WB_EOR = 2, /* nothing is appended to it */
};

struct wbuf {
    seq end;
    uint8_t flags;
};

#define WQ_INLINE    2u
#define WQ_ORDER_MAX 3 /* 32 KiB: 4096 buffers; what is written beyond is one long buffer */

struct wq {
    struct wbuf in[WQ_INLINE]; /* the buffers while v is NULL */
    struct wbuf *v;
    uint16_t head;
    uint16_t n;
    uint8_t order;
};

static inline const struct wbuf *wq_get(const struct wq *q, uint32_t i)
{
    return (q->v ? q->v : q->in) + q->head + i;
}

static inline struct wbuf *wq_at(struct wq *q, uint32_t i)
{
    return (q->v ? q->v : q->in) + q->head + i;
}

static inline struct wbuf *wq_last(struct wq *q)
{
    return wq_at(q, q->n - 1u);
}

/* Begins a buffer behind the last that ends at `end`. Where there is no room for another one the
 * last is made longer. */
void wq_add(struct wq *q, struct mem *m, struct env *env, seq end);

/* Makes the first buffer, which begins at `nxt`, longer by what the second holds, at most to `len`
 * bytes. */
void wq_grow(struct wq *q, seq nxt, uint32_t len);

/* Everything before `nxt` was sent. */
void wq_sent(struct wq *q, struct mem *m, seq nxt);

/* Empty, memory given back. */
void wq_fini(struct wq *q, struct mem *m);

bool wq_mark(struct wq *q, struct mem *m);

/* NULL, or what is not so: every buffer is behind the one before it, the first ends after `nxt`,
 * the last at `end`. */
const char *wq_check(const struct wq *q, seq nxt, seq end);

#endif
