/*
 * tcp_snd.c - theory of operation
 *
 * What to send now. One function builds every segment of a connection (xmit); it takes the
 * payload from the send ring in place, up to 64 KiB at once when the link segments for us, and
 * notes what any segment implies: the acknowledgment that went with it, the window announced.
 *
 * tcp_output sends while all of these let it: the congestion window (in segments), the peer's
 * window (a whole segment must fit: sender's silly-window avoidance, RFC 9293 3.8.6.2.1), Nagle
 * in Minshall's form (RFC 9293 3.7.4; Linux, not RFC: a small segment is held only while another
 * small one is unacknowledged), MSG_MORE and TCP_CORK.
 *
 * How large a super-segment is and when it may leave is tcp_pace.c's.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "csum.h"
#include "sock_priv.h"

#define GSO_MAX 65535u /* IPv4 total length; IPv6 payload length allows 40 more */
/* Payload bytes that are to fit where LINK_BIG4 is: what programs like to write at once. */
#define GSO_BIG 65536u

uint32_t tcp_now_ts(const struct tcp *c, nsec now)
{
    return (uint32_t)(now / MSEC) + c->ts_offset;
}

static bool is_v6(const struct tcp *c)
{
    return !addr_is4(&c->s.flow.raddr);
}

/* RFC 9293 3.9.2: the addresses of the connection (MUST-44, MUST-45), the program's DSCP (MUST-48,
 * SHLD-21, SHLD-22) and TTL (MUST-49). */
static struct ip_send route(const struct stack *st, const struct tcp *c)
{
    const struct sock_opts *o = &c->s.opt;
    bool v6 = is_v6(c);
    int16_t ttl = v6 ? o->hoplimit : o->ttl;

    return (struct ip_send){
        .src = c->s.flow.laddr,
        .dst = c->s.flow.raddr,
        .proto = LX_IPPROTO_TCP,
        .tos = v6 ? o->tclass : o->tos,
        .ttl = (uint8_t)(ttl >= 0 ? ttl : st->knobs.ip_default_ttl),
        .df = true, /* RFC 1191 */
    };
}

/* Whatever went out with ACK set has acknowledged all there is. */
static void ack_sent(struct stack *st, struct env *env, struct tcp *c, bool pure)
{
    c->want_ack = false;
    if (c->fl->has_dsack) {
        c->fl->has_dsack = false;
        tcp_flight_idle(st, env, c);
    }
    c->rcv.wup = c->rcv.nxt;
    c->ack_snd_at = env->now;
    if (c->quickacks) {
        c->quickacks--;
    }
    if (!pure && c->rcv_at && env->now - c->rcv_at < c->ato_ns && c->pingpong < 3) {
        c->pingpong++; /* the program answers */
    }
    tcp_timer_clear(st, env, c, TT_DELACK);
}

/* The part of a segment that every one of a connection has. */
static void seg_common(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg)
{
    seg->sport = c->s.flow.lport;
    seg->dport = c->s.flow.rport;
    seg->wnd = tcp_rcv_window(st, c, seg->flags & TCP_SYN);
    if (c->ts_ok) {
        seg->has_ts = true;
        seg->ts_val = tcp_now_ts(c, env->now);
        seg->ts_ecr = c->ts_recent;
    }
    if (seg->flags & TCP_ACK) {
        seg->ack = c->rcv.nxt;
        if (c->sack_ok && !(seg->flags & TCP_SYN) && (c->fl->nrecent || c->fl->has_dsack)) {
            tcp_rcv_sacks(c, seg);
        }
    }
}

/* Sends one segment, its payload [seg->seq, +len) in the send ring. */
static int xmit(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                enum tx_reason why)
{
    struct pkt_out p;
    uint8_t *th = ip_begin(&p, is_v6(c));

    seg_common(st, env, c, seg);
    if (UNLIKELY(c->s.side != NULL)) {
        tcp_urg_header(c, seg);
    }
    seg->sign = c->md5;
    uint32_t nsack = seg->nsack;
    uint8_t ecn = tcp_ecn_out(st, env, c, seg, why);
    p.hdr_len = (uint16_t)(p.hdr_len + tcp_seg_build(seg, th));
    p.csum_offset = offsetof(struct tcp_hdr, csum); /* MUST-2 */
    p.reason = (uint16_t)why;
    p.sock_id = c->s.obj.id;
    p.nspan = 0;
    p.gso_size = 0;
    uint32_t mss = c->snd.mss;
    if (seg->len) {
        seq data = seq_add(seg->seq, !!(seg->flags & TCP_SYN));
        p.nspan = (uint8_t)ring_spans(&c->sq, tcp_sq_off(c, data), seg->len, p.span);
        if (why == TX_MTU) {
            mss = seg->len; /* the probe goes whole */
        } else if (nsack) { /* as tcp_current_mss; AccECN's option may have taken a block's place */
            mss -= tcp_opt_len(false, nsack);
        }
        p.gso_size = seg->len > mss ? (uint16_t)mss : 0;
    }
    if (UNLIKELY(c->md5)) {
        tcp_md5_sign(c, th, &p);
    }
    uint32_t segs = seg->len ? (seg->len + mss - 1) / mss : 1;
    tcp_tell_out(st, env, c, seg, p.gso_size, why);
    st->stats.TcpOutSegs += segs;
    c->info.segs_out += segs;
    if (seg->len) {
        c->info.data_segs_out += segs;
        tcp_pace_sent(c, seg->len, env->now);
        c->info.bytes_sent += seg->len;
        c->snd_at = env->now;
    }
    if (seg->flags & TCP_ACK) {
        ack_sent(st, env, c, seg->len == 0);
    }
    struct ip_send how = route(st, c);
    how.tos =
        (uint8_t)((how.tos & ~ECN_MASK) | ecn); /* RFC 3168 5: the other six are the program's */
    int err = ip_send(st, env, &p, &how);
    if (UNLIKELY(c->s.side != NULL) && seg->len && !err) {
        tcp_mark_out(st, env, c, seg, &p);
    }
    return err;
}

void tcp_want_out(struct stack *st, struct tcp *c)
{
    c->want_out = true;
    if (!c->in_flush) {
        c->in_flush = true;
        c->flush_next = st->flush_head;
        st->flush_head = c;
    }
}

void tcp_want_ack(struct stack *st, struct tcp *c, enum tx_reason why)
{
    bool was_out = c->want_out;

    c->want_ack = true;
    c->ack_why = (uint8_t)why;
    tcp_want_out(st, c);
    c->want_out = was_out;
}

/* The end of a batch: RFC 9293 3.10.7.4, MUST-58, MUST-59. */
void tcp_flush(struct stack *st, struct env *env)
{
    while (st->flush_head) {
        struct tcp *c = st->flush_head;

        st->touching = &c->s;
        st->flush_head = c->flush_next;
        c->in_flush = false;
        c->flush_next = NULL;
        if (c->want_out) {
            c->want_out = false;
            tcp_output(st, env, c);
        }
        if (c->want_ack && c->state != TCP_CLOSED) {
            tcp_send_ack(st, env, c, (enum tx_reason)c->ack_why);
        }
        st->touching = NULL;
    }
}

void tcp_send_ack(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    struct tcp_seg seg = {.flags = TCP_ACK, .seq = c->snd.nxt};

    if (c->state == TCP_CLOSED || c->state == TCP_LISTEN || c->state == TCP_SYN_SENT) {
        c->want_ack = false;
        return;
    }
    if (profile_of(&st->knobs)->fin_with_acks && c->fin_sent && why != TX_CHALLENGE &&
        seq_leq(c->snd.una, c->fin_seq)) {
        seg.flags |= TCP_FIN;
        seg.seq = c->fin_seq;
    }
    xmit(st, env, c, &seg, why);
}

/* RFC 5961 7, per connection so that no counter is shared with an attacker's (CVE-2016-5696). */
void tcp_challenge(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    uint32_t gap_ms = (uint32_t)st->knobs.tcp_invalid_ratelimit;
    uint32_t now_ms = max_u32((uint32_t)(env->now / MSEC), 1);

    if (c->challenge_ms && now_ms - c->challenge_ms < gap_ms) {
        return;
    }
    c->challenge_ms = now_ms;
    st->stats.TcpChallengeAcks++;
    tcp_send_ack(st, env, c, why);
}

void tcp_send_syn_with(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why,
                       const struct tfo_cookie *fo, uint32_t len)
{
    bool answer = c->state != TCP_SYN_SENT;
    struct tcp_seg seg = {
        .flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
        .seq = c->iss,
        .has_mss = true,
        .mss = c->rcv.adv_mss,
        .has_sack_ok = c->sack_ok,
        .has_wscale = c->ws_ok,
        .wscale = c->rcv_scale,
        .syn_layout = profile_of(&st->knobs)->syn_layout,
        .len = len,
    };
    if (fo) {
        seg.fo = *fo;
    }
    seg.has_ts = c->ts_ok;
    seg.sign = c->md5;
    tcp_ecn_syn(st, env, c, &seg, why != TX_SYN && (why != TX_SYNACK || c->info.total_retrans));
    xmit(st, env, c, &seg, why);
    c->info.segs_out -= answer && c->passive; /* Linux, not RFC 4898: a request, not a socket yet */
}

void tcp_send_syn(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    tcp_send_syn_with(st, env, c, why, NULL, 0);
}

void tcp_send_rst(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp_seg seg = {.flags = TCP_RST | TCP_ACK, .seq = c->snd.nxt};

    if (c->state == TCP_SYN_SENT || c->state == TCP_CLOSED || c->state == TCP_LISTEN) {
        return; /* the peer knows of nothing */
    }
    st->stats.TcpOutRsts++;
    xmit(st, env, c, &seg, TX_RST);
}

/* The key of whoever a signed segment was for. */
static const struct md5_key *reply_key(struct stack *st, const struct ip_hdr *ip,
                                       const struct tcp_seg *in)
{
    struct flow f = {.laddr = ip->dst, .raddr = ip->src, .lport = in->dport, .rport = in->sport};
    const struct sock *s = demux_conn(st, LX_IPPROTO_TCP, &f);

    return tcp_md5_for_reply(s ? s : demux_bound(st, LX_IPPROTO_TCP, &f), &ip->src);
}

/* RFC 9293 3.10.7.1 */
void tcp_reply_rst(struct stack *st, struct env *env, const struct ip_hdr *ip,
                   const struct tcp_seg *in)
{
    struct tcp_seg seg = {.sport = in->dport, .dport = in->sport, .flags = TCP_RST};
    struct pkt_out p;

    if (in->flags & TCP_RST) {
        return;
    }
    if (in->flags & TCP_ACK) {
        seg.seq = in->ack;
    } else {
        seg.flags |= TCP_ACK;
        seg.ack = tcp_seg_end(in);
    }
    uint8_t *th = ip_begin(&p, ip->v6);
    const struct md5_key *key = in->md5 ? reply_key(st, ip, in) : NULL;
    seg.sign = key != NULL;
    uint32_t hdr_len = tcp_seg_build(&seg, th);
    if (UNLIKELY(key != NULL)) {
        tcp_md5_sign_bare(key, &ip->dst, &ip->src, th, hdr_len);
    }
    p.hdr_len = (uint16_t)(p.hdr_len + hdr_len);
    p.csum_offset = offsetof(struct tcp_hdr, csum);
    p.reason = TX_RST;
    p.sock_id = 0;
    p.nspan = 0;
    p.gso_size = 0;
    struct ip_send how = {
        .src = ip->dst,
        .dst = ip->src,
        .proto = LX_IPPROTO_TCP,
        .ttl = (uint8_t)st->knobs.ip_default_ttl,
        .df = true,
    };
    tcp_tell_reply(st, env, &seg);
    st->stats.TcpOutRsts++;
    st->stats.TcpOutSegs++;
    ip_send(st, env, &p, &how);
}

/* The segment's size while the peer's window is small. Linux, not RFC: at most half of the
 * largest window seen. */
uint32_t tcp_current_mss(const struct tcp *c)
{
    uint32_t cut = c->snd.wnd_max > 536 ? c->snd.wnd_max / 2 : c->snd.wnd_max;
    uint32_t mss = c->snd.mss;

    if (c->sack_ok && (c->fl->nrecent || c->fl->has_dsack)) {
        uint32_t n = c->fl->nrecent + (c->fl->has_dsack ? 1u : 0u);
        mss -= tcp_opt_len(false, min_u32(n, tcp_sack_room(c)));
    }
    if (cut && mss > cut) {
        mss = max_u32(cut, 68 - TCP_HDR_MIN - 20);
    }
    return mss;
}

/* RFC 9293 3.7.4 SHLD-7, MUST-17. True: a segment of less than a full MSS must wait. */
static bool nagle_holds(const struct tcp *c, enum push how)
{
    if (tcp_urg_mode(c)) { /* MUST-62; Linux, not RFC: nor does the cork hold it */
        return false;
    }
    if (how == PUSH_ALL || how == PUSH_ONE || c->fin_queued) {
        return false;
    }
    if (c->cork || how == PUSH_CORKED) {
        return true;
    }
    if (c->nodelay || !c->fl->tx.out) {
        return false;
    }
    return c->nagle_any || (seq_gt(c->snd.sml, c->snd.una) && seq_leq(c->snd.sml, c->snd.nxt));
}

static uint32_t window_left(const struct tcp *c)
{
    /* Linux, not RFC: of an early child's window its SYN,ACK takes nothing. */
    bool early = c->fo_child && seq_eq(c->snd.una, c->iss);
    seq edge = seq_add(early ? tcp_snd_base(c) : c->snd.una, c->snd.wnd);

    return seq_lt(c->snd.nxt, edge) ? seq_dist(c->snd.nxt, edge) : 0;
}

uint32_t tcp_gso_most(const struct stack *st, const struct tcp *c, uint32_t mss)
{
    if (UNLIKELY(tcp_urg_mode(c) || c->md5 || tcp_ecn_one_by_one(c))) {
        return mss;
    }
    if (st->caps & LINK_BIG4 && !is_v6(c)) {
        return (GSO_BIG + mss - 1) / mss * mss;
    }
    return max_u32((GSO_MAX - 40 - TCP_HDR_MAX) / mss * mss, mss);
}

/* The buffer that begins at SND.NXT: its length, and whether it is the last. Where none is noted
 * all that is unsent is one. */
static uint32_t head_len(struct tcp *c, bool *last)
{
    *last = c->fl->wq.n <= 1;
    return c->fl->wq.n ? seq_dist(c->snd.nxt, wq_at(&c->fl->wq, 0)->end) : tcp_unsent(c);
}

/* How much of the first buffer may go out as one (super-)segment now; 0: nothing. RFC 9293 3.7,
 * SHLD-28; nothing into a window taken back (3.8.6, SHLD-15). */
static uint32_t allowance(const struct stack *st, struct tcp *c, uint32_t mss, enum push how,
                          nsec now, bool *limited)
{
    uint32_t inflight = tcp_inflight(c);
    bool last;

    if (c->cc.cwnd <= inflight || !txq_has_room(&c->fl->tx)) {
        *limited = true;
        return 0;
    }
    /* Linux, not RFC: at most half of the window at once, so that two are on their way. */
    uint32_t room = c->cc.cwnd - inflight;
    uint32_t quota = min_u32(max_u32(c->cc.cwnd / 2, 1), room);
    uint32_t most = tcp_tso_segs(st, c, mss, tcp_gso_most(st, c, mss));
    uint32_t whole = min_u32(quota, most) * mss;
    wq_grow(&c->fl->wq, c->snd.nxt, whole);

    uint32_t wnd = window_left(c);
    uint32_t len = head_len(c, &last);
    if (min_u32(len, mss) > wnd) {
        return 0; /* SWS avoidance, MUST-38: a whole segment, or all there is */
    }
    if (len <= mss) {
        return len < mss && last && nagle_holds(c, how) ? 0 : len;
    }
    uint32_t limit = (uint32_t)min_u64((uint64_t)room * c->snd.mss, wnd);
    if (how != PUSH_ONE && (last || limit < len) &&
        tcp_tso_defers(st, c, limit, len, most * c->snd.mss, now)) {
        *limited |= limit < wnd && limit <= len;
        return 0;
    }
    uint32_t n = min_u32(len, wnd);
    if (whole <= n) {
        return whole;
    }
    return n % mss && nagle_holds(c, how) ? n - n % mss : n;
}

/* PSH and the like of the segment that ends at `end`, which is in the first buffer. */
static bool ends_pushed(struct tcp *c, seq end)
{
    if (c->fl->wq.n == 0) {
        return seq_eq(end, tcp_write_end(c));
    }
    const struct wbuf *b = wq_at(&c->fl->wq, 0);
    return seq_eq(end, b->end) && (b->flags & WB_PSH);
}

/* Sends n bytes at SND.NXT, with FIN if that ends the stream. */
static void send_new(struct stack *st, struct env *env, struct tcp *c, uint32_t n, uint32_t mss,
                     enum tx_reason why)
{
    struct tcp_seg seg = {.flags = TCP_ACK, .seq = c->snd.nxt, .len = n};
    uint32_t segs = n ? (n + mss - 1) / mss : 1;
    seq end = seq_add(c->snd.nxt, n);
    bool push = n && (ends_pushed(c, end) || why == TX_PROBE); /* MUST-60, MUST-61 */
    bool fin = c->fin_queued && seq_eq(end, tcp_write_end(c));

    if (push || segs > 1) {
        seg.flags |= TCP_PSH; /* Linux, not RFC: of several the last, for the peer's GRO */
    }
    if (fin) {
        seg.flags |= TCP_FIN;
        end = seq_add(end, 1);
    }
    if (n && c->fl->tx.n == 0 && tcp_cc_ops(c->cc.algo)->on_restart) {
        tcp_cc_ops(c->cc.algo)->on_restart(&c->cc, &c->rate, env->now - c->snd_at, env->now);
    }
    if (tcp_flight_push(st, env, c, c->snd.nxt, end, segs, env->now)) {
        return; /* no memory: the persist timer or the next ACK tries again */
    }
    tcp_rate_sent(&c->rate, &c->fl->rate, &txq_at(&c->fl->tx, c->fl->tx.n - 1)->rate,
                  tcp_inflight(c), c->fl->tx.n == 1, env->now);
    if (push) {
        txq_set(&c->fl->tx, txq_at(&c->fl->tx, c->fl->tx.n - 1), TXR_PSH);
    }
    if (fin) {
        c->fin_sent = true;
        c->fin_seq = seq_sub(end, 1);
    }
    if (n % mss) {
        c->snd.sml = seq_add(seg.seq, n);
    }
    c->snd.nxt = end;
    c->fl->prr_out += segs;
    wq_sent(&c->fl->wq, st->mem, end);
    if (UNLIKELY(c->s.side != NULL)) {
        tcp_mark_sent(c);
    }
    xmit(st, env, c, &seg, why);
}

/* A FIN by itself is not held back by the congestion window (Linux, not RFC), only by the
 * peer's. */
static bool fin_due(const struct tcp *c)
{
    return c->fin_queued && !c->fin_sent && tcp_unsent(c) == 0 && window_left(c) &&
           seq_eq(c->snd.nxt, tcp_write_end(c));
}

static bool may_send(const struct tcp *c)
{
    return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
           c->state == TCP_FIN_WAIT_1 || c->state == TCP_LAST_ACK || c->state == TCP_CLOSING ||
           c->fo_child;
}

/* A probe of the path's MTU, if one is due. False: it is, but must wait for what is in flight. */
static bool probe_mtu(struct stack *st, struct env *env, struct tcp *c, bool *sent)
{
    bool wait;
    uint32_t size = tcp_mtu_probe_size(st, env, c, &wait);
    seq before = c->snd.nxt;

    if (size) {
        send_new(st, env, c, size, size, TX_MTU);
        *sent = !seq_eq(before, c->snd.nxt);
    }
    if (*sent) {
        tcp_mtu_probe_sent(c, size);
    }
    return !wait;
}

void tcp_output(struct stack *st, struct env *env, struct tcp *c)
{
    tcp_push(st, env, c, PUSH_NORMAL);
}

/* What the windows allow of new data. Returns whether anything was sent. */
static bool send_data(struct stack *st, struct env *env, struct tcp *c, enum push how,
                      bool *limited)
{
    bool sent = false;

    while (tcp_unsent(c) && !tcp_pace_waits(st, env, c)) {
        uint32_t mss = tcp_current_mss(c);
        uint32_t n = allowance(st, c, mss, how, env->now, limited);
        seq before = c->snd.nxt;
        if (n == 0) {
            break;
        }
        send_new(st, env, c, n, mss, c->dup_acks ? TX_LIMITED : TX_DATA);
        if (seq_eq(before, c->snd.nxt)) {
            break;
        }
        sent = true;
        if (how == PUSH_ONE) {
            break;
        }
    }
    *limited |= c->cc.cwnd <= tcp_inflight(c);
    return sent;
}

/* What holds us back now: the peer's window, the send buffer, or neither. */
static void tell_clocks(struct stack *st, struct env *env, struct tcp *c, bool sent, bool limited)
{
    uint32_t unsent = tcp_unsent(c);

    if (unsent && !limited && min_u32(unsent, c->snd.mss) > window_left(c)) {
        tcp_chrono_start(st, env, c, CHRONO_RWND);
    } else {
        tcp_chrono_stop(st, env, c, CHRONO_RWND);
    }
    if (sent && !unsent && c->nospace) {
        tcp_chrono_start(st, env, c, CHRONO_SNDBUF);
    }
}

void tcp_push(struct stack *st, struct env *env, struct tcp *c, enum push how)
{
    bool limited = false;

    if (!may_send(c)) {
        return;
    }
    tcp_mtu_follow(st, c);
    tcp_ecn_follow(st, c);
    if (UNLIKELY(c->frto == FRTO_NEW) && c->fl->tx.lost) {
        how = PUSH_ALL; /* RFC 5682 2.1 (2b) */
    } else if (c->fl->tx.lost) {
        tcp_loss_resend(st, env, c);
    }
    bool was_full = (c->nospace || tcp_unsent_limit(st, c) != UINT32_MAX) && !tcp_writable(st, c);
    tcp_cwnd_restart(st, env, c);
    bool sent = false;
    if (LIKELY(!c->mtu_probing) || probe_mtu(st, env, c, &sent)) {
        sent |= send_data(st, env, c, how, &limited);
    }
    if (UNLIKELY(c->frto == FRTO_NEW) && !seq_gt(c->snd.nxt, c->fl->high_seq)) {
        c->frto = FRTO_OFF; /* nothing new may go */
        tcp_loss_resend(st, env, c);
    }
    tell_clocks(st, env, c, sent, limited);
    if (fin_due(c)) {
        send_new(st, env, c, 0, c->snd.mss, TX_FIN);
        sent |= c->fin_sent;
    }
    limited |= tcp_inflight(c) >= c->cc.cwnd;
    if (sent || limited) {
        tcp_cwnd_validate(st, env, c, limited);
    }
    if (sent) {
        tcp_timer_clear(st, env, c, TT_PERSIST);
        if (tcp_due(c, TT_RTO) == NEVER) {
            tcp_arm_rto(st, env, c);
        }
    }
    if (c->fl->tx.n == 0 && tcp_due(c, TT_PACE) == NEVER &&
        (tcp_unsent(c) || (c->fin_queued && !c->fin_sent))) {
        tcp_arm_persist(st, env, c); /* tcp(7): nothing is corked for longer than that */
    }
    if (UNLIKELY(was_full) && tcp_writable(st, c)) { /* less than the low-water mark is unsent */
        c->nospace = false;
        tcp_chrono_stop(st, env, c, CHRONO_SNDBUF);
        sock_notify(st, &c->s, LX_POLLOUT | LX_POLLWRNORM);
    }
}

enum tcp_limit tcp_limited(const struct tcp *c)
{
    uint32_t unsent = tcp_unsent(c);

    if (!may_send(c)) {
        return TCP_LIMIT_STATE;
    }
    if (unsent == 0) {
        return TCP_LIMIT_APP;
    }
    if (c->cc.cwnd <= tcp_inflight(c)) {
        return TCP_LIMIT_CWND;
    }
    if (min_u32(unsent, c->snd.mss) > window_left(c)) {
        return TCP_LIMIT_RWND;
    }
    if (unsent < c->snd.mss && nagle_holds(c, PUSH_NORMAL)) {
        return c->cork ? TCP_LIMIT_CORK : TCP_LIMIT_NAGLE;
    }
    return TCP_LIMIT_NONE;
}

int tcp_resend(struct stack *st, struct env *env, struct tcp *c, uint32_t i, enum tx_reason why)
{
    struct tx_rec *r = txq_at(&c->fl->tx, i);
    struct tcp_seg seg = {.flags = TCP_ACK, .seq = r->from, .len = seq_dist(r->from, r->to)};

    tcp_mtu_follow(st, c);
    tcp_ecn_follow(st, c);
    tcp_mtu_recount(c, i);
    if (c->mtu.probe) {
        tcp_mtu_inconclusive(c);
    }

    if (c->fin_sent && seq_gt(r->to, c->fin_seq)) {
        seg.flags |= TCP_FIN;
        seg.len--;
    }
    if (seg.len && ((r->flags & TXR_PSH) || r->segs > 1)) {
        seg.flags |= TCP_PSH;
    }
    r->at = env->now;
    r->tries = r->tries == 255 ? 255 : (uint8_t)(r->tries + 1);
    txq_clear(&c->fl->tx, r, TXR_LOST);
    txq_set(&c->fl->tx, r, TXR_RETRANS | TXR_EVER);
    c->info.total_retrans += r->segs;
    struct tcp_tally *t = tcp_tally(st, env, c);
    if (t) {
        t->bytes_retrans += seg.len;
    }
    st->stats.TcpRetransSegs += r->segs;
    if (!c->fl->retrans_stamp) {
        c->fl->retrans_stamp = env->now;
    }
    if (c->fl->undo_retrans >= 0) {
        c->fl->undo_retrans += r->segs;
    }
    tcp_rate_sent(&c->rate, &c->fl->rate, &r->rate, tcp_inflight(c), false, env->now);
    return xmit(st, env, c, &seg, why);
}

/*
 * A window probe carries the next byte if the window has any room, else one old byte's number:
 * SND.UNA - 1, no data (Linux, not RFC 9293 3.8.6.1, which probes with a new byte; the peer must
 * answer either). A keepalive is the same.
 */
void tcp_send_probe(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    uint32_t left = window_left(c);
    uint32_t unsent = tcp_unsent(c);

    if (why == TX_PROBE && unsent && left && txq_has_room(&c->fl->tx)) {
        uint32_t n = min_u32(min_u32(left, unsent), c->snd.mss);
        send_new(st, env, c, n, c->snd.mss, why);
        tcp_arm_rto(st, env, c);
        return;
    }
    if (why == TX_PROBE && tcp_urg_mode(c)) { /* Linux, not RFC: the pointer goes ahead */
        struct tcp_seg urgent = {.flags = TCP_ACK, .seq = c->snd.una};
        xmit(st, env, c, &urgent, why);
    }
    struct tcp_seg seg = {.flags = TCP_ACK, .seq = seq_sub(c->snd.una, 1)};
    xmit(st, env, c, &seg, why);
}
