/*
 * tcp_in.c - theory of operation
 *
 * SEGMENT ARRIVES, RFC 9293 3.10.7. A segment is parsed, its checksum checked, its connection
 * found; then, by state: LISTEN (tcp_listen.c), SYN-SENT (3.10.7.3), TIME-WAIT apart, and for the
 * others the eight checks of 3.10.7.4 in order:
 *
 *     first   sequence number, with PAWS before it (RFC 7323 5.3)
 *     second  RST, by RFC 5961 3
 *     third   security: none
 *     fourth  SYN, by RFC 5961 4
 *     fifth   ACK (tcp_ack.c)
 *     sixth   URG (tcp_urg.c)
 *     seventh text (tcp_rcv.c)
 *     eighth  FIN
 *
 * A segment that was good for nothing is told as such: an EV_DROP with the reason behind its
 * EV_SEG_IN.
 */
#include "tcp_cb.h"

#include "check.h"
#include "csum.h"
#include "sock_priv.h"

/* RFC 9293 3.1, MUST-3. */
static bool checksum_good(const struct ip_hdr *ip)
{
    uint64_t sum = csum_pseudo(&ip->src, &ip->dst, LX_IPPROTO_TCP, (uint32_t)ip->payload_len);

    return csum_good(csum_add(sum, ip->payload, ip->payload_len));
}

/* ---- SYN-SENT */

static void take_syn(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    uint32_t mss = seg->has_mss && seg->mss ? seg->mss : tcp_default_mss(c);

    c->irs = seg->seq;
    c->rcv.nxt = c->rcv.wup = seq_add(seg->seq, 1);
    c->rcv.adv = seq_add(c->rcv.nxt, min_u32(c->rcv.wnd_lim, 65535)); /* what our SYN announced */
    c->ws_ok = c->ws_ok && seg->has_wscale;
    c->ts_ok = c->ts_ok && seg->has_ts;
    c->sack_ok = c->sack_ok && seg->has_sack_ok;
    c->snd_scale = c->ws_ok ? seg->wscale : 0;
    c->rcv_scale = c->ws_ok ? c->rcv_scale : 0;
    if (!c->ws_ok) {
        c->rcv.wnd_clamp = min_u32(c->rcv.wnd_clamp, 65535);
    }
    c->snd.mss_clamp = (uint16_t)(c->user_mss ? min_u32(mss, c->user_mss) : mss);
    if (c->ts_ok) {
        c->ts_recent = seg->ts_val;
        c->ts_recent_at = env->now;
    }
    tcp_ecn_answer(st, c, seg);
    c->snd.wl1 = seg->seq;
    c->snd.wnd = c->snd.wnd_max = seg->wnd;
    tcp_mtu_open(st, env, c);
}

/* Our SYN is acknowledged: its record goes, its round trip is the first sample. */
static void syn_acked(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->tx.n) {
        const struct tx_rec *r = txq_at(&c->fl->tx, 0);
        if (!(r->flags & TXR_EVER)) {
            tcp_rtt_sample(&c->rtt, env->now - r->at, c->snd.nxt, c->snd.nxt,
                           (nsec)st->knobs.user_rto_min_ms * MSEC,
                           (nsec)st->knobs.user_rto_max_ms * MSEC);
        }
        txq_pop(&c->fl->tx);
        c->fl->stall_at = 0;
        tcp_rto_over(st, env, c);
    }
    c->rate.delivered++;
    c->info.bytes_acked += !c->passive; /* Linux, not RFC 4898: the client's SYN */
    c->snd.una = tcp_snd_base(c);
    c->backoff = 0;
    c->retries = 0;
    c->s.soft_err = 0;
    tcp_timer_clear(st, env, c, TT_RTO);
    tcp_flight_idle(st, env, c);
}

void tcp_established(struct stack *st, struct env *env, struct tcp *c)
{
    uint32_t iw = (uint32_t)st->knobs.user_init_cwnd;

    tcp_to(st, env, c, TCP_ESTABLISHED);
    tcp_rcv_round(st, c);
    tcp_arm_keep(st, env, c);
    if (c->fo_child) { /* it has been sending already */
        tfo_left(st, env, c, false);
        return;
    }
    if (c->info.total_retrans > 1 || tcp_ecn_syn_marked(c)) {
        iw = 1; /* RFC 5681 3.1: the SYN was lost more than once; RFC 9768 3.2.2.2: or marked */
    }
    tcp_cc_start(st, c, c->cc.algo, iw, env->now);
    c->snd_at = c->rcv_at = env->now;
}

/* Linux, not RFC: a SYN-ACK that echoes no time of ours is not an answer to our SYN. */
static bool echo_is_ours(const struct tcp *c, const struct tcp_seg *seg, nsec now)
{
    if (!c->ts_ok || !seg->has_ts || !seg->ts_ecr) {
        return true;
    }
    return (int32_t)(seg->ts_ecr - tcp_now_ts(c, c->info.state_since)) >= 0 &&
           (int32_t)(tcp_now_ts(c, now) - seg->ts_ecr) >= 0;
}

/* The connection is there. Linux, not RFC: a send waits and will carry the acknowledgment. */
static void opened_for_writer(struct stack *st, struct env *env, struct tcp *c)
{
    if ((c->write_pending || c->defer_tries) && c->want_ack) {
        c->want_ack = false;
        c->ato_ns = tcp_ato((nsec)st->knobs.user_delack_min_ms * MSEC);
        tcp_enter_quickack(c, 16);
        tcp_timer_set(st, env, c, TT_DELACK, env->now + DELACK_MAX);
    }
    c->connect_told = c->connect_told || c->opener_waits;
    c->write_pending = c->opener_waits = false;
}

/* RFC 9293 3.5: both ends opened. */
static enum drop simultaneous_open(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->defer_connect) { /* our SYN was still waiting for data: it goes without */
        if (tcp_flight_push(st, env, c, c->iss, c->snd.nxt, 1, env->now)) {
            return DROP_NO_MEMORY;
        }
        c->defer_connect = false;
    }
    tcp_to(st, env, c, TCP_SYN_RCVD);
    txq_at(&c->fl->tx, 0)->at = env->now;
    tcp_send_syn(st, env, c, TX_SYNACK);
    tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
    return DROP_NONE;
}

static enum drop in_text(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg);

/* The segment without its SYN, which has been taken; an urgent pointer counted from it. */
static void strip_syn(struct tcp_seg *seg)
{
    seg->seq = seq_add(seg->seq, 1);
    seg->flags &= (uint16_t)~TCP_SYN;
    seg->was_syn = true;
    if (seg->up < 2) {
        seg->flags &= (uint16_t)~TCP_URG; /* it named the SYN itself */
    } else {
        seg->up--;
    }
}

static enum drop in_syn_sent(struct stack *st, struct env *env, struct tcp *c,
                             const struct ip_hdr *ip, struct tcp_seg *seg)
{
    bool ack_ok = false;

    if (seg->flags & TCP_ACK) { /* first */
        if (c->defer_connect || !echo_is_ours(c, seg, env->now)) {
            tcp_reply_rst(st, env, ip, seg);
            return DROP_TCP_ACK;
        }
        if (seq_leq(seg->ack, c->iss) || seq_gt(seg->ack, c->snd.nxt)) {
            tcp_reply_rst(st, env, ip, seg);
            if (c->retries == 0 &&
                profile_of(&st->knobs)
                    ->syn_hurry) { /* Linux, not RFC: the old connection is gone now, try again */
                tcp_timer_set(st, env, c, TT_RTO, env->now + 8 * MSEC);
            }
            return DROP_TCP_ACK;
        }
        ack_ok = true;
    }
    if (seg->flags & TCP_RST) { /* second */
        if (!ack_ok) {
            return DROP_TCP_RST;
        }
        st->stats.TcpAttemptFails++;
        tcp_done(st, env, c, ERR_CONNREFUSED);
        return DROP_NONE;
    }
    if (!(seg->flags & TCP_SYN)) { /* fourth */
        return DROP_TCP_FLAGS;
    }
    take_syn(st, env, c, seg);
    tcp_rcv_round(st, c);
    if (ack_ok) {
        syn_acked(st, env, c);
        tcp_established(st, env, c);
        sock_notify(st, &c->s, LX_POLLOUT | LX_POLLWRNORM);
        if (!tcp_ecn_reflect(st, env, c, TX_ACK)) {
            tcp_want_ack(st, c, TX_ACK);
        }
        bool text = !(c->syn_fastopen || c->syn_data) || tfo_synack(st, env, c, seg);
        if (UNLIKELY(c->s.side != NULL)) {
            tcp_mark_acked(st, env, c); /* what went with the SYN */
        }
        opened_for_writer(st, env, c);
        tcp_want_out(st, c);
        if (text && (seg->len || seg->flags & TCP_FIN)) {
            strip_syn(seg); /* RFC 9293; Linux leaves it to be sent again unless Fast Open asked */
            return in_text(st, env, c, seg);
        }
        return DROP_NONE;
    }
    return simultaneous_open(st, env, c); /* MUST-10 */
}

/* ---- TIME-WAIT */

/* Who would take a new connection in this one's place, or NULL. */
static struct tcp *listener_of(struct stack *st, const struct tcp *c)
{
    struct flow f = c->s.flow;
    struct sock *l = demux_bound(st, LX_IPPROTO_TCP, &f);

    return l && tcp_of(l)->state == TCP_LISTEN ? tcp_of(l) : NULL;
}

/* RFC 9293 3.10.7.4, MAY-2, SHLD-4, with RFC 6191 and, if asked for, RFC 1337. *reuse: the SYN may
 * open a new connection. */
static enum drop in_time_wait(struct stack *st, struct env *env, struct tcp *c,
                              const struct tcp_seg *seg, bool *reuse)
{
    bool newer = seg->has_ts && c->ts_ok && (int32_t)(seg->ts_val - c->ts_recent) > 0;
    bool older = seg->has_ts && c->ts_ok && (int32_t)(seg->ts_val - c->ts_recent) < 0;

    if (seg->flags & TCP_RST) {
        if (!st->knobs.tcp_rfc1337 && seq_eq(seg->seq, c->rcv.nxt)) {
            tcp_done(st, env, c, ERR_OK);
            return DROP_NONE;
        }
        return DROP_TCP_RST;
    }
    if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && !older &&
        (newer || seq_gt(seg->seq, c->rcv.nxt)) && listener_of(st, c)) {
        *reuse = true;
        return DROP_NONE;
    }
    if (seg->flags & TCP_ACK) {
        tcp_timer_set(st, env, c, TT_WAIT, env->now + (nsec)st->knobs.user_timewait_s * SEC);
    }
    if (seq_eq(seg->seq, c->rcv.nxt) && tcp_seg_len(seg) == 0) {
        return DROP_NONE;
    }
    tcp_challenge(st, env, c, TX_TIMEWAIT);
    return DROP_TCP_OLD;
}

/* ---- first: sequence number */

/* RFC 7323 5.3 R1. Linux, not RFC: a reset is exempt, and TS.Recent is worthless after 24 days. */
static bool paws_rejects(const struct tcp *c, const struct tcp_seg *seg, nsec now)
{
    return c->ts_ok && seg->has_ts && (int32_t)(c->ts_recent - seg->ts_val) > 0 &&
           now - c->ts_recent_at < 24 * 24 * 3600 * SEC;
}

/* Linux, not RFC: an acknowledgment without text that says nothing new and is no older than a
 * timeout was overtaken on the way; it is no attack, and no reason to answer. */
static bool overtaken(const struct tcp *c, const struct tcp_seg *seg)
{
    int32_t age_ms = (int32_t)(c->ts_recent - seg->ts_val);

    return seg->flags & TCP_ACK && tcp_seg_len(seg) == 0 && seq_eq(seg->seq, c->rcv.nxt) &&
           seq_eq(seg->ack, c->snd.una) && (uint32_t)seg->wnd << c->snd_scale == c->snd.wnd &&
           age_ms * MSEC <= c->rtt.rto;
}

static enum drop check_paws(struct stack *st, struct env *env, struct tcp *c,
                            const struct tcp_seg *seg)
{
    if (seg->flags & TCP_RST || !paws_rejects(c, seg, env->now) || overtaken(c, seg)) {
        return DROP_NONE;
    }
    st->stats.TcpPawsDrops++;
    bool old_ack = tcp_seg_len(seg) == 0 && seq_lt(seg->seq, c->rcv.nxt); /* Linux: common */
    if (!old_ack && !(seg->flags & TCP_SYN && c->state == TCP_SYN_RCVD)) {
        tcp_challenge(st, env, c, TX_DUPACK);
    }
    return DROP_TCP_PAWS;
}

/* RFC 5961 3.2: a reset must have the number that is expected. Linux, not RFC: or the end of the
 * last text received out of order, or, after a FIN, the number before it (some peers forget
 * theirs). */
static bool reset_is_exact(const struct stack *st, const struct tcp *c, const struct tcp_seg *seg)
{
    if (seq_eq(seg->seq, c->rcv.nxt) || !profile_of(&st->knobs)->reset_beside) {
        return seq_eq(seg->seq, c->rcv.nxt);
    }
    if (c->sack_ok && c->fl->ooo.n) {
        return seq_eq(seg->seq, c->fl->ooo.v[c->fl->ooo.n - 1].to);
    }
    bool closing =
        c->state == TCP_CLOSE_WAIT || c->state == TCP_LAST_ACK || c->state == TCP_CLOSING;
    return closing && seq_eq(seg->seq, seq_sub(c->rcv.nxt, 1));
}

/* RFC 9293 3.4 in Linux's form: ends at or after what was acknowledged last, begins inside the
 * window. */
static bool in_window(const struct tcp *c, const struct tcp_seg *seg)
{
    seq end = tcp_seg_end(seg);
    seq edge = seq_add(c->rcv.nxt, tcp_rcv_holds(c));

    if (seg->flags & TCP_RST) { /* RFC 5961 3.2: to the letter */
        return seq_geq(seg->seq, c->rcv.nxt) && seq_lt(seg->seq, edge);
    }
    return seq_geq(end, c->rcv.wup) && seq_leq(seg->seq, edge);
}

/* RFC 5961 4.2. A SYN-ACK that comes once more is told its codepoint: RFC 9768 3.2.2.1. */
static void challenge_syn(struct stack *st, struct env *env, struct tcp *c,
                          const struct tcp_seg *seg)
{
    bool answer = seg->flags & TCP_ACK && !c->passive && seq_eq(seg->seq, c->irs) &&
                  seq_eq(seg->ack, seq_add(c->iss, 1));

    if (!answer || !tcp_ecn_syn_again(st, c, seg) || !tcp_ecn_reflect(st, env, c, TX_CHALLENGE)) {
        tcp_challenge(st, env, c, TX_CHALLENGE);
    }
}

/* The SYN of an opening that goes on has come again: our answer was lost. */
static enum drop syn_again(struct stack *st, struct env *env, struct tcp *c,
                           const struct tcp_seg *seg)
{
    if (!tcp_ecn_syn_again(st, c, seg)) {
        tcp_send_rst(st, env, c);
        tcp_done(st, env, c, ERR_CONNRESET);
        return DROP_TCP_SYN;
    }
    c->info.total_retrans++;
    tcp_send_syn(st, env, c, TX_SYNACK);
    return DROP_TCP_WINDOW;
}

static enum drop check_seq(struct stack *st, struct env *env, struct tcp *c,
                           const struct tcp_seg *seg)
{
    enum drop why = check_paws(st, env, c, seg);
    if (why != DROP_NONE || in_window(c, seg) ||
        (seg->flags & TCP_RST && reset_is_exact(st, c, seg))) {
        return why;
    }
    if (seg->flags & TCP_RST) {
        return DROP_TCP_RST;
    }
    if (seg->flags & TCP_SYN && !(c->state == TCP_SYN_RCVD && seq_eq(seg->seq, c->irs))) {
        challenge_syn(st, env, c, seg);
        return DROP_TCP_SYN;
    }
    if (seg->len && seq_lt(seg->seq, c->rcv.nxt)) {
        tcp_enter_quickack(c, 16);
        tcp_rcv_dsack(st, env, c, seg->seq, seq_min(seq_add(seg->seq, seg->len), c->rcv.nxt));
        tcp_send_ack(st, env, c, TX_DUPACK);
    } else if (c->state == TCP_SYN_RCVD && seg->flags & TCP_SYN) {
        return syn_again(st, env, c, seg);
    } else {
        tcp_challenge(st, env, c, TX_DUPACK);
    }
    return DROP_TCP_WINDOW;
}

/* ---- second: RST */

static enum drop in_rst(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (!reset_is_exact(st, c, seg) && !st->knobs.user_insecure_rst) {
        tcp_challenge(st, env, c, TX_CHALLENGE); /* RFC 5961 3.2 */
        return DROP_TCP_RST;
    }
    enum err err = ERR_CONNRESET;
    if (c->state == TCP_SYN_RCVD && !c->passive) {
        err = ERR_CONNREFUSED;
    } else if (c->state == TCP_CLOSE_WAIT) {
        err = ERR_PIPE; /* Linux, not RFC */
    } else if (c->state == TCP_CLOSING || c->state == TCP_LAST_ACK) {
        err = ERR_CONNRESET;
    }
    st->stats.TcpEstabResets += c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
    tfo_left(st, env, c, true);
    tcp_done(st, env, c, err);
    return DROP_NONE;
}

/* ---- fifth: ACK */

static enum drop ack_syn_rcvd(struct stack *st, struct env *env, struct tcp *c,
                              const struct ip_hdr *ip, const struct tcp_seg *seg)
{
    if (seq_leq(seg->ack, c->snd.una) || seq_gt(seg->ack, c->snd.nxt)) {
        tcp_reply_rst(st, env, ip, seg);
        return DROP_TCP_ACK;
    }
    tcp_listen_complete(st, c);
    syn_acked(st, env, c);
    tcp_ecn_opened(st, c, seg);
    c->snd.wnd = (uint32_t)seg->wnd << c->snd_scale;
    c->snd.wnd_max = c->passive ? c->snd.wnd : max_u32(c->snd.wnd_max, c->snd.wnd);
    c->snd.wl1 = seg->seq;
    tcp_established(st, env, c);
    if (!c->passive) {
        sock_notify(st, &c->s, LX_POLLOUT | LX_POLLWRNORM);
    }
    st->stats.TcpPassiveOpens += c->passive;
    if (c->fin_queued) {
        tcp_to(st, env, c, TCP_FIN_WAIT_1);
    }
    if (c->fl->tx.n) { /* data went with or behind the SYN */
        tcp_arm_rto(st, env, c);
    }
    tcp_want_out(st, c);
    return DROP_NONE;
}

/* Our FIN is acknowledged. True: the connection is gone. */
static bool fin_acked(struct stack *st, struct env *env, struct tcp *c)
{
    switch (c->state) {
    case TCP_FIN_WAIT_1:
        tcp_to(st, env, c, TCP_FIN_WAIT_2);
        c->s.snd_shut = true;
        if (c->s.orphan) { /* Linux, not RFC: tcp_fin_timeout */
            nsec wait = (nsec)(c->linger2_s > 0 ? c->linger2_s : st->knobs.tcp_fin_timeout) * SEC;
            if (c->linger2_s < 0) {
                tcp_done(st, env, c, ERR_OK);
                return true;
            }
            tcp_timer_set(st, env, c, TT_WAIT, env->now + wait);
        } else {
            sock_notify(st, &c->s, LX_POLLOUT);
        }
        return false;
    case TCP_CLOSING:
        tcp_enter_time_wait(st, env, c);
        return false;
    case TCP_LAST_ACK:
        tcp_done(st, env, c, ERR_OK);
        return true;
    default:
        return false;
    }
}

static enum drop in_ack(struct stack *st, struct env *env, struct tcp *c, const struct ip_hdr *ip,
                        const struct tcp_seg *seg, bool *gone)
{
    if (!(seg->flags & TCP_ACK)) {
        return DROP_TCP_FLAGS;
    }
    if (c->state == TCP_SYN_RCVD) {
        enum drop why = ack_syn_rcvd(st, env, c, ip, seg);
        if (why != DROP_NONE) {
            return why;
        }
    }
    enum drop why = DROP_NONE;
    if (!tcp_ack_in(st, env, c, seg, &why)) {
        return why;
    }
    if (UNLIKELY(c->fo_child) && !tcp_syn_out(c)) { /* closed before its handshake was over */
        c->rate.delivered++;
        tfo_left(st, env, c, false);
    }
    if (c->fin_sent && seq_gt(c->snd.una, c->fin_seq)) {
        *gone = fin_acked(st, env, c);
    }
    return DROP_NONE;
}

/* ---- seventh and eighth */

/* Linux, not RFC 9293 (which lets it pass): data for a program that closed its half is answered
 * with a reset. */
static bool nobody_reads(const struct tcp *c, const struct tcp_seg *seg)
{
    return c->s.rcv_shut && !c->fin_rcvd && seg->len &&
           seq_gt(seq_add(seg->seq, seg->len), c->rcv.nxt) &&
           (c->s.orphan || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2);
}

static bool takes_text(const struct tcp *c)
{
    return c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2;
}

static void in_fin(struct stack *st, struct env *env, struct tcp *c)
{
    c->rcv.nxt = seq_add(c->rcv.nxt, 1);
    c->rcv.adv = seq_max(c->rcv.adv, c->rcv.nxt);
    c->fin_rcvd = true;
    c->fin_ahead = false;
    c->s.rcv_shut = true;
    tcp_want_ack(st, c, TX_ACK);
    switch (c->state) {
    case TCP_ESTABLISHED:
        tcp_to(st, env, c, TCP_CLOSE_WAIT);
        c->pingpong = 1; /* Linux, not RFC: the program's close will carry it */
        break;
    case TCP_FIN_WAIT_1:
        tcp_to(st, env, c, TCP_CLOSING);
        break;
    case TCP_FIN_WAIT_2:
        tcp_send_ack(st, env, c, TX_ACK);
        tcp_enter_time_wait(st, env, c);
        break;
    default:
        break;
    }
    if (c->fl->ooo.n) {
        ranges_fini(&c->fl->ooo, st->mem);
        c->fl->nrecent = 0;
        tcp_flight_idle(st, env, c);
    }
    uint32_t bits = LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
    sock_notify(st, &c->s, c->s.snd_shut ? bits | LX_POLLHUP : bits);
}

static enum drop in_text(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg)
{
    enum drop why = DROP_NONE;

    if (UNLIKELY(seg->flags & TCP_URG || tcp_urg_pending(c))) { /* sixth */
        tcp_urg_in(st, env, c, seg);
    }
    if (seg->len) {
        tcp_ecn_in(st, env, c, seg);
        uint64_t before = ring_tail(&c->rq);
        why = tcp_rcv_text(st, env, c, seg);
        if (ring_tail(&c->rq) != before && tcp_readable(c) >= (uint32_t)c->s.opt.rcvlowat) {
            sock_notify(st, &c->s, LX_POLLIN | LX_POLLRDNORM);
        }
    }
    if (tcp_rcv_fin_due(st, env, c, seg)) {
        in_fin(st, env, c);
        why = DROP_NONE;
    } else if (seg->flags & TCP_FIN && why == DROP_NONE && c->fin_ahead) {
        tcp_want_ack(st, c, TX_DUPACK);
    }
    return why;
}

/* SEGMENT ARRIVES, synchronized states and SYN-RCVD. RFC 9293 3.10.7.4: eight checks, in its
 * order. */
static enum drop in_synchronized(struct stack *st, struct env *env, struct tcp *c,
                                 const struct ip_hdr *ip, struct tcp_seg *seg)
{
    bool gone = false;

    enum drop why = check_seq(st, env, c, seg); /* first */
    if (why != DROP_NONE) {
        return why;
    }
    if (seg->flags & TCP_RST) { /* second; MUST-66: whatever the window is */
        return in_rst(st, env, c, seg);
    }
    if (seg->flags & TCP_SYN && !(c->state == TCP_SYN_RCVD && seq_eq(seg->seq, c->irs))) {
        if (c->state == TCP_SYN_RCVD && c->passive) { /* fourth: back to LISTEN */
            tcp_done(st, env, c, ERR_CONNRESET);
        } else if (st->knobs.user_insecure_syn &&
                   seq_geq(seg->seq, c->rcv.nxt)) { /* FreeBSD, not RFC 5961: as RFC 793 had it */
            tcp_send_rst(st, env, c);
            tcp_done(st, env, c, ERR_CONNRESET);
        } else {
            challenge_syn(st, env, c, seg);
        }
        return DROP_TCP_SYN;
    }
    if (seg->flags & TCP_SYN) { /* a simultaneous open's SYN,ACK, or the SYN once more */
        if (!tcp_ecn_syn_again(st, c, seg)) {
            tcp_send_rst(st, env, c);
            tcp_done(st, env, c, ERR_CONNRESET);
            return DROP_TCP_SYN;
        }
        tcp_rcv_dsack(st, env, c, seg->seq, seq_add(seg->seq, 1));
        strip_syn(seg);
        if (!(seg->flags & TCP_ACK)) {
            tcp_send_syn(st, env, c, TX_SYNACK);
            return DROP_TCP_OLD;
        }
        tcp_want_ack(st, c, TX_ACK);
    }
    why = in_ack(st, env, c, ip, seg, &gone); /* fifth */
    if (why != DROP_NONE || gone) {
        return why;
    }
    tcp_ecn_arrived(st, c, seg);
    if (nobody_reads(c, seg)) {
        st->stats.TcpAbortOnData++;
        tcp_reply_rst(st, env, ip, seg);
        tcp_done(st, env, c, ERR_CONNRESET);
        return DROP_TCP_CLOSED;
    }
    if (!takes_text(c)) { /* the peer has sent its FIN: what lies beyond is ignored */
        if (tcp_seg_len(seg) && seq_lt(seg->seq, c->rcv.nxt)) {
            tcp_want_ack(st, c, TX_DUPACK);
        }
        return DROP_NONE;
    }
    return in_text(st, env, c, seg); /* sixth to eighth */
}

/* ---- entry */

/* FreeBSD's drop_synfin, whatever the state; Linux has it for LISTEN only. */
static bool drops_synfin(const struct stack *st, const struct tcp_seg *seg)
{
    return st->knobs.user_drop_synfin == 2 && seg->flags & TCP_SYN && seg->flags & TCP_FIN;
}

enum drop tcp_take(struct stack *st, struct env *env, struct tcp *c, const struct ip_hdr *ip,
                   struct tcp_seg *seg)
{
    bool reuse = false;

    if (drops_synfin(st, seg)) {
        return DROP_TCP_FLAGS;
    }
    c->info.segs_in++;
    switch (c->state) {
    case TCP_CLOSED:
        tcp_reply_rst(st, env, ip, seg);
        return DROP_TCP_CLOSED;
    case TCP_LISTEN:
        return tcp_listen_in(st, env, c, ip, seg);
    case TCP_SYN_SENT:
        return in_syn_sent(st, env, c, ip, seg);
    case TCP_TIME_WAIT: {
        enum drop why = in_time_wait(st, env, c, seg, &reuse);
        if (reuse) {
            struct tcp *l = listener_of(st, c);
            tcp_done(st, env, c, ERR_OK);
            st->touching = &l->s;
            why = tcp_listen_in(st, env, l, ip, seg);
        }
        return why;
    }
    default:
        return in_synchronized(st, env, c, ip, seg);
    }
}

/* The connection, or *req, or the listener. */
static struct tcp *find(struct stack *st, const struct ip_hdr *ip, const struct tcp_seg *seg,
                        struct tcp_req **req)
{
    struct flow f = {.laddr = ip->dst, .raddr = ip->src, .lport = seg->dport, .rport = seg->sport};
    struct sock *s = demux_conn(st, LX_IPPROTO_TCP, &f);

    if (!s) {
        *req = tcp_req_find(st, &f);
        if (*req) {
            return NULL;
        }
        s = demux_bound(st, LX_IPPROTO_TCP, &f);
        if (s && tcp_of(s)->state != TCP_LISTEN) {
            s = NULL;
        }
    }
    return s ? tcp_of(s) : NULL;
}

void tcp_arrives(struct stack *st, struct env *env, struct tcp *c, const struct ip_hdr *ip,
                 struct tcp_seg *seg)
{
    uint32_t id = c ? c->s.obj.id : 0;
    enum drop why;

    seg->ecn = ip->tos & ECN_MASK;
    tcp_tell_in(st, env, c, seg);
    if (!c) {
        why = DROP_TCP_NO_SOCKET;
        tcp_reply_rst(st, env, ip, seg);
    } else {
        st->touching = &c->s;
        why = tcp_take(st, env, c, ip, seg);
        st->touching = NULL;
    }
    if (why != DROP_NONE) {
        tcp_tell_drop(st, env, id, seg, why);
    }
}

void tcp_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    struct tcp_seg seg;
    enum drop why = tcp_seg_parse(&seg, ip->payload, ip->payload_len);

    st->stats.TcpInSegs++;
    if (why == DROP_NONE && !ip->csum_ok && !checksum_good(ip)) {
        why = DROP_TCP_CHECKSUM;
    }
    if (why == DROP_NONE && (addr_is_multicast(&ip->dst) || addr_is_broadcast(&ip->dst))) {
        why = DROP_IP_NOT_OURS; /* MUST-57 */
    }
    if (why != DROP_NONE) {
        struct pkt_in in = {.p = ip->start, .len = ip->len};
        stack_drop(st, env, why, &in);
        return;
    }
    seg.gso_size = ip->gso_size;
    struct tcp_req *req = NULL;
    struct tcp *c = find(st, ip, &seg, &req);
    const struct tcp *whose = req ? req->parent : c;
    if (whose && UNLIKELY(ip->ttl < (ip->v6 ? whose->s.opt.minhops : whose->s.opt.minttl))) {
        /* RFC 5082 3 */
        stack_drop(st, env, DROP_IP_MINTTL, &(struct pkt_in){.p = ip->start, .len = ip->len});
    } else if (whose && UNLIKELY(tcp_md5_concerns(whose, &seg)) &&
               (why = tcp_md5_check(st, whose, ip, &seg)) != DROP_NONE) {
        stack_drop(st, env, why, &(struct pkt_in){.p = ip->start, .len = ip->len});
    } else if (UNLIKELY(req != NULL)) {
        tcp_req_in(st, env, req, ip, &seg);
    } else {
        tcp_arrives(st, env, c, ip, &seg);
    }
}
