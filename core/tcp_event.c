/*
 * tcp_event.c - theory of operation
 *
 * What TCP tells the event ring (event.h): one function for each kind of record. They stand on the
 * path of every segment, so each fills its record and does no more.
 *
 * Sequence numbers are told relative to the initial ones of their direction. A timer is told when
 * it begins to run and when it fires. Moving one that runs, or stopping it, is not told: with
 * every acknowledgment that would be two records a segment, and the segments say as much.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"

static struct event *begin(struct stack *st, const struct env *env, enum event_kind kind,
                           const struct tcp *c)
{
    struct event *ev = event_begin(st->events, env, kind);

    ev->sock_id = c->s.obj.id;
    ev->proto = LX_IPPROTO_TCP;
    ev->lport = c->s.flow.lport;
    ev->rport = c->s.flow.rport;
    return ev;
}

static uint32_t threshold(const struct tcp *c)
{
    return c->cc.ssthresh == CWND_INFINITE ? UINT32_MAX : c->cc.ssthresh * c->snd.mss;
}

/* Where the connection stands, as every segment's record tells it. */
static void tell_conn(const struct stack *st, struct event *ev, const struct tcp *c)
{
    ev->u.seg.cwnd = c->cc.cwnd * c->snd.mss;
    ev->u.seg.ssthresh = threshold(c);
    ev->u.seg.inflight = seq_dist(c->snd.una, c->snd.nxt);
    ev->u.seg.srtt_us = (uint32_t)(c->rtt.srtt / USEC);
    ev->u.seg.rto_us = (uint32_t)(tcp_rto(st, c) / USEC);
    ev->u.seg.state = c->state & 0xfu;
    ev->u.seg.ca_state = c->ca_state & 0x7u;
}

static void tell_seg(struct event *ev, const struct tcp_seg *seg)
{
    ev->lport = seg->sport;
    ev->rport = seg->dport;
    ev->u.seg.len = seg->len;
    ev->u.seg.flags = seg->flags & 0x1ffu;
    if (seg->flags & TCP_SYN) {
        ev->u.seg.syn.mss = seg->has_mss ? seg->mss : 0;
        ev->u.seg.syn.wscale = seg->wscale;
        ev->u.seg.syn.opts =
            (uint8_t)((seg->has_wscale ? SEG_SYN_WSCALE : 0) |
                      (seg->has_sack_ok ? SEG_SYN_SACK : 0) | (seg->has_ts ? SEG_SYN_TS : 0));
    }
}

void tcp_tell_out(struct stack *st, const struct env *env, const struct tcp *c,
                  const struct tcp_seg *seg, uint32_t gso, enum tx_reason why)
{
    struct event *ev = event_begin(st->events, env, EV_SEG_OUT);

    ev->sock_id = c->s.obj.id;
    ev->why = (uint8_t)why;
    ev->proto = LX_IPPROTO_TCP;
    tell_conn(st, ev, c);
    tell_seg(ev, seg);
    ev->u.seg.seq = seq_dist(c->iss, seg->seq);
    ev->u.seg.ack = seg->flags & TCP_ACK ? seq_dist(c->irs, seg->ack) : 0;
    ev->u.seg.gso = (uint16_t)gso;
    ev->u.seg.wnd = seg->flags & TCP_SYN ? seg->wnd : (uint32_t)seg->wnd << c->rcv_scale;
    event_end(st->events);
}

void tcp_tell_reply(struct stack *st, const struct env *env, const struct tcp_seg *seg)
{
    struct event *ev = event_begin(st->events, env, EV_SEG_OUT);

    ev->why = TX_RST;
    ev->proto = LX_IPPROTO_TCP;
    tell_seg(ev, seg);
    ev->u.seg.seq = seg->seq.v;
    ev->u.seg.ack = seg->ack.v;
    event_end(st->events);
}

/* Before a connection knows the peer's first number, a SYN is its own beginning. */
void tcp_tell_in(struct stack *st, const struct env *env, const struct tcp *c,
                 const struct tcp_seg *seg)
{
    struct event *ev = event_begin(st->events, env, EV_SEG_IN);
    bool knows_peer = c && c->state > TCP_SYN_SENT;
    bool syn = (seg->flags & TCP_SYN) != 0;

    ev->proto = LX_IPPROTO_TCP;
    ev->u.seg.seq = knows_peer ? seq_dist(c->irs, seg->seq) : syn ? 0 : seg->seq.v;
    ev->u.seg.ack = c && c->state > TCP_LISTEN ? seq_dist(c->iss, seg->ack) : seg->ack.v;
    ev->u.seg.gso = seg->gso_size;
    ev->u.seg.wnd = c && !syn ? (uint32_t)seg->wnd << c->snd_scale : seg->wnd;
    if (c) {
        ev->sock_id = c->s.obj.id;
        tell_conn(st, ev, c);
    }
    tell_seg(ev, seg);
    ev->lport = seg->dport;
    ev->rport = seg->sport;
    event_end(st->events);
}

/* A request has its listener's number: it has none of its own. */
void tcp_tell_req(struct stack *st, const struct env *env, const struct tcp_req *r,
                  const struct tcp_seg *seg, enum event_kind kind, enum tx_reason why)
{
    struct event *ev = event_begin(st->events, env, kind);
    bool in = kind == EV_SEG_IN;

    ev->sock_id = r->parent->s.obj.id;
    ev->why = (uint8_t)why;
    ev->proto = LX_IPPROTO_TCP;
    ev->u.seg.seq = seq_dist(in ? r->irs : r->iss, seg->seq);
    ev->u.seg.ack = seg->flags & TCP_ACK ? seq_dist(in ? r->iss : r->irs, seg->ack) : 0;
    ev->u.seg.wnd = seg->wnd;
    ev->u.seg.state = TCP_SYN_RCVD;
    tell_seg(ev, seg);
    if (in) {
        ev->lport = seg->dport;
        ev->rport = seg->sport;
    }
    event_end(st->events);
}

void tcp_tell_drop(struct stack *st, const struct env *env, uint32_t sock_id,
                   const struct tcp_seg *seg, enum drop why)
{
    struct event *ev = event_begin(st->events, env, EV_DROP);

    ev->sock_id = sock_id;
    ev->why = (uint8_t)why;
    ev->proto = LX_IPPROTO_TCP;
    ev->lport = seg->dport;
    ev->rport = seg->sport;
    ev->u.pkt.len = seg->len;
    event_end(st->events);
    st->stats.drop[why]++;
}

void tcp_tell_state(struct stack *st, const struct env *env, const struct tcp *c,
                    enum tcp_state from, const char *func, int line)
{
    struct event *ev = begin(st, env, EV_STATE, c);
    size_t n = strlen(func);

    ev->u.state.from = (uint8_t)from;
    ev->u.state.to = c->state;
    ev->u.state.line = (uint16_t)line;
    memcpy(ev->u.state.func, func, min_size(n, sizeof ev->u.state.func - 1));
    event_end(st->events);
}

void tcp_tell_timer(struct stack *st, const struct env *env, const struct tcp *c,
                    enum tcp_timer_kind k, enum event_timer_act act, nsec at)
{
    static const uint8_t event_of[TT_COUNT] = {
        [TT_RTO] = EVT_RTO,         [TT_TLP] = EVT_TLP,       [TT_REORDER] = EVT_REORDER,
        [TT_PERSIST] = EVT_PERSIST, [TT_DELACK] = EVT_DELACK, [TT_KEEP] = EVT_KEEPALIVE,
        [TT_WAIT] = EVT_TIMEWAIT,   [TT_PACE] = EVT_PACE,
    };
    struct event *ev = begin(st, env, EV_TIMER, c);
    uint8_t timer = event_of[k];

    if (k == TT_RTO && c->state == TCP_SYN_RCVD) {
        timer = EVT_SYNACK;
    } else if (k == TT_WAIT && c->state == TCP_FIN_WAIT_2) {
        timer = EVT_FINWAIT2;
    }
    ev->why = timer;
    ev->u.timer.timer = timer;
    ev->u.timer.act = (uint8_t)act;
    ev->u.timer.at = at;
    event_end(st->events);
}

void tcp_tell_cwnd(struct stack *st, const struct env *env, const struct tcp *c, enum cwnd_why why)
{
    struct event *ev = begin(st, env, EV_CWND, c);

    ev->why = (uint8_t)why;
    ev->u.cwnd.cwnd = c->cc.cwnd;
    ev->u.cwnd.ssthresh = c->cc.ssthresh;
    ev->u.cwnd.inflight = tcp_inflight(c);
    ev->u.cwnd.ca_state = c->ca_state;
    event_end(st->events);
}
