/*
 * tcp_rcv.c - theory of operation
 *
 * The receiving half: where arriving bytes go, how much more we are ready to hold, when to
 * acknowledge.
 *
 * Bytes go straight to their place in the receive ring, in order or not; the ranges beyond
 * RCV.NXT are remembered in c->fl->ooo, and RCV.NXT jumps over them when the hole before is filled.
 * The memory grows with what has arrived, not with the window announced.
 *
 * How large the window may be is tcp_rcvbuf.c's: `wnd_lim` within `wnd_clamp`. The announced right
 * edge never moves left (RFC 9293 3.8.6), and small steps are not announced (receiver's
 * silly-window avoidance, 3.8.6.2.2).
 *
 * Acknowledging, Linux's policy within RFC 9293 3.8.6.3: at once for every second full segment,
 * for anything out of order, for the first segments of a connection and after a pause (quick
 * ACKs, while a sender's window opens); with the answer or after 40 ms where the program answers
 * what it receives.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "place.h"
#include "sock_ts.h"

#define QUICKACKS_MAX 16u

static uint32_t round_down(uint32_t n, uint32_t to)
{
    return to ? n - n % to : n;
}

/* What we would announce now, scale and right edge not considered. */
static uint32_t free_window(const struct tcp *c)
{
    uint32_t full = c->rcv.wnd_clamp;
    uint32_t used = (uint32_t)ring_len(&c->rq);
    uint32_t room = full > used ? full - used : 0;

    if (room < full / 2 && (room < full / 16 || room < min_u32(c->rcv.mss, full))) {
        return 0; /* MUST-39: better none than a silly one */
    }
    return min_u32(room, c->rcv.wnd_lim);
}

uint32_t tcp_rcv_holds(const struct tcp *c)
{
    uint32_t left = tcp_rcv_left(c);

    return c->window_exact ? max_u32(left, free_window(c)) : left;
}

static uint32_t select_window(const struct tcp *c)
{
    uint32_t room = free_window(c);
    uint32_t last = seq_dist(c->rcv.wup, c->rcv.adv); /* as announced last */
    uint32_t unit = 1u << c->rcv_scale;

    if (room == 0 || c->window_exact) {
        return room;
    }
    if (c->rcv_scale) {
        return (room + unit - 1) & ~(unit - 1);
    }
    if (last + c->rcv.mss <= room || last > room) {
        return max_u32(round_down(room, c->rcv.mss), room < c->rcv.mss ? room : 0);
    }
    return last;
}

uint16_t tcp_rcv_window(struct stack *st, struct tcp *c, bool syn)
{
    (void)st;
    if (syn) { /* never scaled: RFC 7323 2.2 */
        uint32_t wnd = min_u32(c->rcv.wnd_lim, 65535u);
        c->rcv.adv = seq_add(c->rcv.nxt, wnd);
        return (uint16_t)wnd;
    }
    if (c->state == TCP_TIME_WAIT || c->state == TCP_CLOSED) {
        return (uint16_t)min_u32(tcp_rcv_left(c) >> c->rcv_scale, 65535u);
    }
    uint32_t unit = 1u << c->rcv_scale;
    uint32_t wnd = select_window(c);
    uint32_t now = tcp_rcv_left(c);
    if (wnd < now) {
        wnd = (now + unit - 1) & ~(unit - 1); /* SHLD-14: never take a promise back */
    }
    uint32_t raw = min_u32(wnd >> c->rcv_scale, 65535u);
    seq edge = seq_add(c->rcv.nxt, raw << c->rcv_scale);
    if (seq_lt(c->rcv.adv, edge)) {
        c->rcv.adv = edge;
    }
    return (uint16_t)raw;
}

void tcp_enter_quickack(struct tcp *c, uint32_t max)
{
    uint32_t n = tcp_rcv_left(c) / (2u * max_u32(c->rcv.mss, 1));

    n = min_u32(n ? n : 2, max);
    if (n > c->quickacks) {
        c->quickacks = (uint8_t)n;
    }
}

/* The interval of delayed acknowledgments follows the spacing of segments. */
static void measure_ato(const struct stack *st, struct tcp *c, nsec now)
{
    nsec min = (nsec)st->knobs.user_delack_min_ms * MSEC;

    if (!c->ato_ns) {
        tcp_enter_quickack(c, QUICKACKS_MAX);
        c->ato_ns = tcp_ato(min);
    } else {
        nsec gap = now - c->rcv_at;
        if (gap <= min / 2) {
            c->ato_ns = tcp_ato(c->ato_ns / 2 + min / 2);
        } else if (gap < c->ato_ns) {
            c->ato_ns = tcp_ato(nsec_min(c->ato_ns / 2 + gap, c->rtt.rto));
        } else if (gap > c->rtt.rto) {
            tcp_enter_quickack(c, QUICKACKS_MAX); /* the sender may have restarted slowly */
        }
    }
    c->rcv_at = now;
}

static void measure_mss(struct tcp *c, const struct tcp_seg *seg)
{
    uint32_t len = seg->gso_size ? seg->gso_size : seg->len;

    if (len >= c->rcv.mss) {
        c->rcv.mss = (uint16_t)min_u32(len, c->rcv.adv_mss);
    }
}

static void schedule_delayed(struct stack *st, struct env *env, struct tcp *c)
{
    nsec min = (nsec)st->knobs.user_delack_min_ms * MSEC;
    nsec ato = profile_of(&st->knobs)->delack_fixed ? min : c->ato_ns;

    if (ato > min) {
        nsec max = c->pingpong || c->pushed ? DELACK_MAX : 500 * MSEC;
        if (c->rtt.srtt) {
            max = nsec_min(max, nsec_max(c->rtt.srtt, min));
        }
        ato = nsec_min(ato, max);
    }
    if (tcp_due(c, TT_DELACK) != NEVER) {
        if (tcp_due(c, TT_DELACK) - env->now <= ato / 4) {
            tcp_want_ack(st, c, TX_ACK);
            return;
        }
        ato = nsec_min(ato, tcp_due(c, TT_DELACK) - env->now);
    }
    tcp_timer_set(st, env, c, TT_DELACK, env->now + ato);
}

void tcp_rcv_ack(struct stack *st, struct env *env, struct tcp *c)
{
    const struct profile *p = profile_of(&st->knobs);
    uint32_t fresh = seq_dist(c->rcv.wup, c->rcv.nxt);
    bool second = p->ack_second && tcp_due(c, TT_DELACK) != NEVER;
    bool quick = p->quickacks && c->quickacks && !c->pingpong;

    if (c->fl->ooo.n || quick || second || c->fl->has_dsack) {
        tcp_want_ack(st, c, c->fl->ooo.n ? TX_DUPACK : TX_ACK);
    } else if (fresh > c->rcv.mss && (select_window(c) >= tcp_rcv_left(c) ||
                                      ring_len(&c->rq) < (size_t)c->s.opt.rcvlowat)) {
        tcp_want_ack(st, c, TX_ACK); /* SHLD-19: every second full segment */
    } else {
        schedule_delayed(st, env, c);
    }
}

/* RFC 2018 4: the block that holds the newest segment comes first, then those reported last. */
static void remember_block(struct tcp *c, struct range r)
{
    struct sack_block keep[TCP_SACK_MAX];
    uint8_t n = 0;

    keep[n++] = (struct sack_block){r.from, r.to};
    for (uint8_t i = 0; i < c->fl->nrecent && n < TCP_SACK_MAX; i++) {
        struct sack_block b = c->fl->recent[i];
        if (seq_leq(r.from, b.from) && seq_leq(b.to, r.to)) {
            continue; /* swallowed */
        }
        keep[n++] = b;
    }
    memcpy(c->fl->recent, keep, n * sizeof keep[0]);
    c->fl->nrecent = n;
}

static void forget_blocks(struct tcp *c)
{
    uint8_t n = 0;

    for (uint8_t i = 0; i < c->fl->nrecent; i++) {
        if (seq_gt(c->fl->recent[i].from, c->rcv.nxt)) {
            c->fl->recent[n++] = c->fl->recent[i];
        }
    }
    c->fl->nrecent = n;
}

void tcp_rcv_dsack(struct stack *st, struct env *env, struct tcp *c, seq from, seq to)
{
    if (c->sack_ok && st->knobs.tcp_dsack && tcp_flight_get(st, env, c)) {
        tcp_ecn_repeated(c, from);
        c->fl->dsack = (struct sack_block){from, to};
        c->fl->has_dsack = true;
        st->stats.TcpDsackSent++;
    }
}

void tcp_rcv_sacks(const struct tcp *c, struct tcp_seg *seg)
{
    uint8_t max = tcp_sack_room(c);

    if (c->fl->has_dsack && max) {
        seg->sack[seg->nsack++] = c->fl->dsack; /* RFC 2883 4: first */
    }
    for (uint8_t i = 0; i < c->fl->nrecent && seg->nsack < max; i++) {
        seg->sack[seg->nsack++] = c->fl->recent[i];
    }
}

/* RCV.NXT passes what now is contiguous. */
static void advance(struct stack *st, struct tcp *c, seq to)
{
    const struct range *r = ranges_find(&c->fl->ooo, to);

    if (r) {
        to = r->to;
    }
    ring_commit(&c->rq, tcp_rq_off(c, to));
    c->rcv.nxt = to;
    if (c->fl->ooo.n) {
        ranges_cut(&c->fl->ooo, st->mem, to);
    }
    if (c->fl->nrecent) {
        forget_blocks(c);
    }
}

/* RFC 2883 4: what this segment repeats of what waits out of order. */
static void report_overlap(struct stack *st, struct env *env, struct tcp *c, seq from, seq to)
{
    struct range r;

    if (c->fl->ooo.n && !c->fl->has_dsack && ranges_overlap(&c->fl->ooo, from, to, &r)) {
        tcp_rcv_dsack(st, env, c, r.from, r.to);
    }
}

static enum drop take_ahead(struct stack *st, struct env *env, struct tcp *c, seq from, seq to)
{
    struct range whole;

    report_overlap(st, env, c, from, to);
    if (!tcp_flight_get(st, env, c) ||
        ranges_add(&c->fl->ooo, st->mem, env, from, to, &whole) < 0) {
        return DROP_TCP_MEMORY;
    }
    st->stats.TcpOfoQueue++; /* SHLD-31 */
    struct tcp_tally *t = tcp_tally(st, env, c);
    if (t) {
        t->rcv_ooo++;
    }
    if (c->sack_ok) {
        if (c->fin_ahead && seq_eq(whole.to, c->fin_ahead_seq)) {
            whole.to = seq_add(whole.to, 1);
        }
        remember_block(c, whole);
    }
    tcp_enter_quickack(c, 1);
    return DROP_NONE;
}

/* Cuts what lies left of RCV.NXT and right of the window. False: nothing is left. */
static bool trim(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg)
{
    if (seq_lt(seg->seq, c->rcv.nxt)) {
        uint32_t old = min_u32(seq_dist(seg->seq, c->rcv.nxt), seg->len);
        tcp_rcv_dsack(st, env, c, seg->seq, seq_add(seg->seq, old));
        seg->seq = seq_add(seg->seq, old);
        seg->data += old;
        seg->len -= old;
    }
    uint32_t room = seq_lt(seg->seq, c->rcv.adv) ? seq_dist(seg->seq, c->rcv.adv) : 0;
    if (seg->len > room) {
        seg->len = room;
        seg->flags &= (uint16_t)~TCP_FIN;
    }
    return seg->len > 0;
}

/* The bytes to their place in the ring. False: no memory. */
static bool put_text(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (seg->place) {
        if (!tcp_place_room(st, env, c, seg)) {
            return false;
        }
        tcp_place_take(c, seg);
        return true;
    }
    uint64_t off = tcp_rq_off(c, seg->seq);
    if (c->fl->ooo.n == 0) {
        ring_rewind(&c->rq);
    }
    if (ring_reserve(&c->rq, st->mem, env, (size_t)(off - c->rq.head) + seg->len)) {
        return false;
    }
    ring_put(&c->rq, off, seg->data, seg->len);
    if (UNLIKELY(ts_wanted(&c->s))) {
        tcp_mark_arrived(st, env, c, seq_add(seg->seq, seg->len));
    }
    return true;
}

/* When all connections together have too much. */
static bool no_memory_for(const struct stack *st, const struct tcp *c, const struct tcp_seg *seg)
{
    return tcp_mem_full(st) &&
           (!seq_eq(seg->seq, c->rcv.nxt) || ring_len(&c->rq) >= (size_t)st->knobs.tcp_rmem_min);
}

enum drop tcp_rcv_text(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg)
{
    if (!trim(st, env, c, seg)) {
        tcp_want_ack(st, c, TX_DUPACK);
        return DROP_TCP_OLD;
    }
    seq end = seq_add(seg->seq, seg->len);
    if (no_memory_for(st, c, seg) || !put_text(st, env, c, seg)) {
        return DROP_TCP_MEMORY;
    }
    measure_mss(c, seg);
    c->pushed = seg->flags & TCP_PSH;
    c->info.bytes_rcvd += seg->len;
    c->info.data_segs_in += seg->gso_size ? (seg->len + seg->gso_size - 1) / seg->gso_size : 1;
    if (!seq_eq(seg->seq, c->rcv.nxt)) {
        measure_ato(st, c, env->now);
        enum drop why = take_ahead(st, env, c, seg->seq, end);
        tcp_want_ack(st, c, TX_DUPACK);
        return why;
    }
    if (seg->len >= PLACE_MIN) {
        st->place_hint = &c->s;
        st->place_doubt = 0;
    } else if (st->place_hint) {
        place_doubt(st);
    }
    bool hole = c->fl->ooo.n;
    report_overlap(st, env, c, seg->seq, end);
    advance(st, c, end);
    measure_ato(st, c, env->now);
    tcp_rcvbuf_arrived(st, c, seg, env->now);
    if (hole) {
        tcp_flight_idle(st, env, c);
        tcp_want_ack(st, c, TX_ACK); /* RFC 5681 4.2: filled, in whole or in part */
    } else {
        tcp_rcv_ack(st, env, c);
    }
    return DROP_NONE;
}

/* Linux, not RFC: a FIN that must wait is reported like a byte. */
static void fin_waits(struct stack *st, struct env *env, struct tcp *c, seq at)
{
    const struct range *r = ranges_find(&c->fl->ooo, seq_sub(at, 1));

    c->fin_ahead = true;
    c->fin_ahead_seq = at;
    if (c->sack_ok && tcp_flight_get(st, env, c)) {
        remember_block(c, (struct range){r ? r->from : at, seq_add(at, 1)});
    }
}

bool tcp_rcv_fin_due(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (seg->flags & TCP_FIN) {
        seq at = seq_add(seg->seq, seg->len);
        if (seq_gt(at, c->rcv.nxt)) {
            fin_waits(st, env, c, at);
        } else if (seq_eq(at, c->rcv.nxt)) {
            return true;
        }
    }
    return c->fin_ahead && seq_eq(c->fin_ahead_seq, c->rcv.nxt);
}

void tcp_rcv_taken(struct stack *st, struct env *env, struct tcp *c, uint32_t n)
{
    if (n) {
        tcp_rcvbuf_taken(st, c, env->now);
    }
    if (c->fin_rcvd || !tcp_synchronized(c)) {
        return;
    }
    if (tcp_due(c, TT_DELACK) != NEVER) {
        bool two = seq_dist(c->rcv.wup, c->rcv.nxt) > c->rcv.mss;
        bool idle = n && ring_len(&c->rq) == 0 && c->pushed && !c->pingpong;
        if (two || idle) { /* Linux, not RFC: the program has taken all of a pushed block */
            tcp_send_ack(st, env, c, TX_ACK);
            return;
        }
    }
    uint32_t now = tcp_rcv_left(c);
    if (n && 2 * now <= c->rcv.wnd_clamp) {
        uint32_t wnd = select_window(c);
        if (wnd && wnd >= 2 * now) {
            tcp_send_ack(st, env, c, TX_WINDOW);
        }
    }
}
