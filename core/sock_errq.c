/*
 * sock_errq.c - theory of operation
 *
 * A first-in first-out list. What makes it a socket's error queue is the pending error: when an
 * ICMP error is taken from it the next one becomes pending, or none (Linux's sock_dequeue_err_skb).
 * The rest is in sock_errq.h.
 */
#include "sock_errq.h"

#include <string.h>

#include "check.h"
#include "pollset.h"
#include "sock_ts.h"
#include "stack.h"
#include "udp_priv.h"

static uint32_t charge(const struct dgram *d)
{
    return (uint32_t)sizeof *d + (d->data ? MEM_PAGE << d->order : 0);
}

static uint32_t room(const struct stack *st, const struct sock *s)
{
    int32_t set = s->opt.rcvbuf;

    return (uint32_t)(set >= 0 ? set : st->knobs.rmem_default);
}

bool errq_put(struct stack *st, struct env *env, struct sock *s, const struct recv_info *ee,
              const struct span *v, size_t n)
{
    struct side *x = sock_side(st, env, s);
    size_t len = span_total(v, n);

    if (!x || (x->err_head && x->err_bytes + sizeof(struct dgram) + len > room(st, s))) {
        return false;
    }
    struct dgram *d = dgram_new(st, env, s, len);
    if (!d) {
        return false;
    }
    uint8_t *at = dgram_bytes(d);
    for (size_t i = 0; i < n; i++) {
        if (v[i].n) {
            memcpy(at, v[i].p, v[i].n);
            at += v[i].n;
        }
    }
    d->info = *ee;
    d->info.have_err = true;
    d->is_err = true;
    d->number = ++st->dgram_number; /* not 0: it is complete */
    *(x->err_tail ? &x->err_tail->next : &x->err_head) = d;
    x->err_tail = d;
    x->err_bytes += charge(d);
    return true;
}

struct recv_info *errq_newest(struct sock *s)
{
    return errq_any(s) ? &s->side->err_tail->info : NULL;
}

void errq_notify(struct stack *st, struct sock *s)
{
    sock_notify(st, s, LX_POLLERR | LX_POLLPRI);
}

static void pop(struct stack *st, struct sock *s)
{
    struct side *x = s->side;
    struct dgram *d = x->err_head;

    x->err_head = d->next;
    if (!x->err_head) {
        x->err_tail = NULL;
    }
    x->err_bytes -= charge(d);
    dgram_free(st, d);
}

static bool is_icmp(const struct dgram *d)
{
    return d && (d->info.ee.origin == EE_ICMP || d->info.ee.origin == EE_ICMP6);
}

int64_t errq_recv(struct stack *st, struct sock *s, struct mspan *v, size_t n,
                  struct recv_info *info)
{
    const struct dgram *d = errq_any(s) ? s->side->err_head : NULL;

    if (!d) {
        return -ERR_AGAIN;
    }
    size_t copied = dgram_scatter(d, v, n);
    if (info) {
        if (is_icmp(d)) {
            dgram_info(s, d, info);
        } else {
            *info = d->info;
        }
        ts_fill(s, info, true);
        info->flags = LX_MSG_ERRQUEUE | (copied < d->len ? (uint32_t)LX_MSG_TRUNC : 0);
    }
    bool was_icmp = is_icmp(d);
    pop(st, s);
    if (is_icmp(s->side->err_head)) {
        s->err = (uint8_t)s->side->err_head->info.ee.err;
    } else if (was_icmp) {
        s->err = ERR_OK;
    }
    return (int64_t)copied;
}

void errq_purge(struct stack *st, struct sock *s)
{
    while (errq_any(s)) {
        pop(st, s);
    }
}

void errq_rebuild_one(struct dgram *d)
{
    struct side *x = d->owner->side;
    struct dgram **at = &x->err_head;
    if (x->err_tail && x->err_tail->number < d->number) {
        at = &x->err_tail->next;
    }
    while (*at && (*at)->number < d->number) {
        at = &(*at)->next;
    }
    d->next = *at;
    *at = d;
    if (!d->next) {
        x->err_tail = d;
    }
    x->err_bytes += charge(d);
}
