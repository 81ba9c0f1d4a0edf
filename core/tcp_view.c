/*
 * tcp_view.c - a control block as plain values (view.h). It works on a private copy that may be
 * torn or damaged: what would lead arithmetic or a table astray is put right first.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "sock_opt.h"
#include "view.h"

#define TIME_SANE (INT64_C(100) * 365 * 24 * 3600 * SEC) /* a hundred years */

static void tidy_time(nsec *t)
{
    if (*t != NEVER && (*t < 0 || *t > TIME_SANE)) {
        *t = 0;
    }
}

static void tidy(struct tcp *c)
{
    nsec *times[] = {&c->rtt.rto,        &c->rtt.srtt,      &c->rtt.mdev,        &c->rcv_rtt,
                     &c->snd_at,         &c->rcv_at,        &c->ack_rcv_at,      &c->ack_snd_at,
                     &c->info.chrono_at, &c->fl->rto_since, &c->info.state_since};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        tidy_time(times[i]);
        *times[i] = *times[i] == NEVER ? 0 : *times[i];
    }
    tidy_time(&c->rtt.min);
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        tidy_time(tcp_due_at(c, k));
    }
    c->state = c->state < TCP_STATES ? c->state : TCP_CLOSED;
    c->backoff = (uint8_t)min_u32(c->backoff, 32);
    c->snd_scale &= 15;
    c->rcv_scale &= 15;
    c->snd.mss = c->snd.mss ? c->snd.mss : 1;
}

static void view_timers(const struct tcp *c, struct view_sock *out)
{
    static const uint8_t which[TT_COUNT] = {
        [TT_RTO] = EVT_RTO,         [TT_TLP] = EVT_TLP,       [TT_REORDER] = EVT_REORDER,
        [TT_PERSIST] = EVT_PERSIST, [TT_DELACK] = EVT_DELACK, [TT_KEEP] = EVT_KEEPALIVE,
        [TT_WAIT] = EVT_TIMEWAIT,
    };
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        uint8_t t = which[k];
        if (k == TT_RTO && c->state == TCP_SYN_RCVD) {
            t = EVT_SYNACK;
        } else if (k == TT_WAIT && c->state == TCP_FIN_WAIT_2) {
            t = EVT_FINWAIT2;
        }
        out->due[t] = tcp_due(c, k);
        if (tcp_due(c, k) < out->next_timer) {
            out->next_timer = tcp_due(c, k);
            out->next_which = t;
        }
    }
}

static void view_ranges(struct view *v, const struct tcp *c, struct view_sock *out)
{
    struct range r[VIEW_RANGES_MAX];
    uint32_t most = ((uint32_t)MEM_PAGE << RANGES_ORDER_MAX) / (uint32_t)sizeof *r;
    uint32_t n = min_u32(c->fl->ooo.n, VIEW_RANGES_MAX);

    if (c->fl->ooo.n == 0 || c->fl->ooo.n > most ||
        !v->read(v->ctx, (uint64_t)(uintptr_t)c->fl->ooo.v, r, n * sizeof *r)) {
        return;
    }
    out->nranges = c->fl->ooo.n;
    for (uint32_t i = 0; i < n; i++) {
        out->range[i].from = seq_dist(c->irs, r[i].from);
        out->range[i].to = seq_dist(c->irs, r[i].to);
        out->range_bytes += seq_dist(r[i].from, r[i].to);
    }
}

/* The listener's number, where the address it is known by holds a TCP socket. */
static uint32_t view_parent(struct view *v, const struct tcp *c)
{
    struct mem_obj head;
    if (!(c->half_open || c->in_accept) ||
        !v->read(v->ctx, (uint64_t)(uintptr_t)c->parent, &head, sizeof head)) {
        return 0;
    }
    return head.kind == MEM_TCP ? head.id : 0;
}

/* Copies of what is in flight and beside the socket take the place of the pointers to them. */
static void view_beside(struct view *v, struct tcp *c, struct tcp_flight *fl, struct side *side)
{
    if (!v->read(v->ctx, (uint64_t)(uintptr_t)c->fl, fl, sizeof *fl) ||
        fl->obj.kind != MEM_FLIGHT) {
        tcp_flight_none(fl);
    }
    bool has = v->read(v->ctx, (uint64_t)(uintptr_t)c->s.side, side, sizeof *side) &&
               side->obj.kind == MEM_SIDE;
    c->fl = fl;
    c->s.side = has ? side : NULL;
}

void tcp_view(struct view *v, void *copy, struct view_sock *out)
{
    struct tcp *c = copy;
    struct tcp_flight fl;
    struct side side;

    view_beside(v, c, &fl, &side);
    tidy(c);
    out->state = (enum tcp_state)c->state;
    out->state_since = c->info.state_since;
    out->passive = c->passive;
    out->nodelay = c->nodelay;
    out->cork = c->cork;
    out->algo = c->cc.algo;
    out->parent = view_parent(v, c);
    view_timers(c, out);
    tcp_fill_info(&v->st, c, &out->info, v->now);
    if (c->state == TCP_LISTEN) {
        out->nhalf = c->nhalf;
        out->nacc = c->nacc;
        out->backlog = c->backlog;
        out->rcv_queue = c->nacc;
        out->snd_queue = c->backlog;
        return;
    }
    out->rcv_queue = ring_len(&c->rq);
    out->snd_queue = ring_len(&c->sq);
    out->unsent = tcp_unsent(c);
    out->limit = tcp_limited(c);
    out->held = out->limit == TCP_LIMIT_NAGLE || out->limit == TCP_LIMIT_CORK ? out->unsent : 0;
    out->snd_wnd = c->snd.wnd;
    out->rcv_wnd = tcp_rcv_left(c);
    view_ranges(v, c, out);
}
