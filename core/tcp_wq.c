#include "tcp_wq.h"

#include <string.h>

#include "check.h"

static uint32_t capacity(const struct wq *q)
{
    return q->v ? (uint32_t)((MEM_PAGE << q->order) / sizeof(struct wbuf)) : WQ_INLINE;
}

static bool grow(struct wq *q, struct mem *m, struct env *env)
{
    uint8_t order = q->v ? (uint8_t)(q->order + 1) : 0;
    struct wbuf *v = order <= WQ_ORDER_MAX ? mem_pages_get(m, env, order) : NULL;

    if (!v) {
        return false;
    }
    memcpy(v, wq_at(q, 0), q->n * sizeof *v);
    if (q->v) {
        mem_pages_put(m, q->v, q->order);
    }
    q->v = v;
    q->order = order;
    q->head = 0;
    return true;
}

/* Room for one more behind the last. */
static bool make_room(struct wq *q, struct mem *m, struct env *env)
{
    if ((uint32_t)q->head + q->n < capacity(q)) {
        return true;
    }
    if (q->head && (!q->v || q->head >= capacity(q) / 4)) {
        memmove(q->v ? q->v : q->in, wq_at(q, 0), q->n * sizeof(struct wbuf));
        q->head = 0;
        return true;
    }
    return grow(q, m, env);
}

void wq_add(struct wq *q, struct mem *m, struct env *env, seq end)
{
    if (!make_room(q, m, env)) {
        wq_last(q)->end = end;
        return;
    }
    q->n++;
    *wq_last(q) = (struct wbuf){.end = end};
}

void wq_grow(struct wq *q, seq nxt, uint32_t len)
{
    if (q->n < 2 || (wq_at(q, 0)->flags & WB_EOR)) {
        return;
    }
    struct wbuf *first = wq_at(q, 0), *next = wq_at(q, 1);
    uint32_t have = seq_dist(nxt, first->end);
    if (have >= len) {
        return;
    }
    if (seq_dist(nxt, next->end) > len) {
        first->end = seq_add(nxt, len);
        return;
    }
    next->flags |= first->flags;
    q->head++;
    q->n--;
}

void wq_sent(struct wq *q, struct mem *m, seq nxt)
{
    while (q->n && seq_leq(wq_at(q, 0)->end, nxt)) {
        q->head++;
        q->n--;
    }
    if (q->n == 0) {
        wq_fini(q, m);
    }
}

void wq_fini(struct wq *q, struct mem *m)
{
    if (q->v) {
        mem_pages_put(m, q->v, q->order);
    }
    *q = (struct wq){0};
}

bool wq_mark(struct wq *q, struct mem *m)
{
    if (q->v && !(q->order <= WQ_ORDER_MAX && mem_mark_pages(m, q->v, q->order))) {
        return false;
    }
    return (uint32_t)q->head + q->n <= capacity(q);
}

const char *wq_check(const struct wq *q, seq nxt, seq end)
{
    seq at = nxt;

    for (uint32_t i = 0; i < q->n; i++) {
        if (seq_leq(wq_get(q, i)->end, at)) {
            return "wq: a buffer without bytes, or out of order";
        }
        at = wq_get(q, i)->end;
    }
    return q->n && !seq_eq(at, end) ? "wq: it does not end where the program's data does" : NULL;
}
