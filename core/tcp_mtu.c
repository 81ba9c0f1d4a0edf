/*
 * tcp_mtu.c - theory of operation
 *
 * How large a segment may be: the path's MTU by ICMP (RFC 1191, RFC 8201), and by probing where
 * ICMP does not come through (PLPMTUD, RFC 4821 and 8899 in Linux's form).
 *
 * ICMP. A "too big" counts only when it quotes what is in flight and what would really be too big
 * (RFC 5927 7). What was too large is sent again at once in smaller segments, and the congestion
 * window stays what it is: nothing was lost to congestion (tcp_smaller). The table of path MTUs
 * counts its changes; a connection that sees another count looks again before it sends, so that
 * one's lesson is everybody's, and forgotten by everybody.
 *
 * Probing. tcp_mtu_probing 0: never, 1: after a black hole was met, 2: from the start. The path
 * takes MTUs up to mtu.low, and not more than mtu.high; segments are made for mtu.low. A probe is a
 * segment of new data half way between, sent once enough data follows it that its loss would be
 * noticed:
 *
 *   acknowledged                       -> low = its size, larger segments from now on
 *   it alone is lost                   -> high = its size - 1; the window stays what it is
 *   sent again for another reason      -> says nothing
 *
 * When less than tcp_probe_threshold bytes lie between them it is over, for tcp_probe_interval
 * seconds.
 *
 * A black hole: the same data timed out for as long as tcp_retries1 doublings take. Then probing is
 * switched on with low at tcp_base_mss; the next time low is halved, down to tcp_mtu_probe_floor.
 *
 * Linux, not here: with tcp_mtu_probing 2 a passively opened connection begins with the device's
 * MTU there; here both kinds begin with tcp_base_mss (RFC 4821 7.2).
 */
#include "tcp_cb.h"

#include "check.h"
#include "tcp_cc.h"

#define CWND_PROBE_MIN 11u /* Linux: below it a probe's loss might look like congestion */

static uint32_t header_len(const struct tcp *c)
{
    return (addr_is4(&c->s.flow.raddr) ? 20u : 40u) + TCP_HDR_MIN;
}

/* Options that every segment has. */
static uint32_t always(const struct tcp *c)
{
    return (c->ts_ok ? 12u : 0) + (c->md5 ? TCP_MD5_OPT : 0) + (c->accecn ? c->accecn->reserve : 0);
}

/* Payload of a segment in a packet of `mtu` bytes. */
static uint32_t mss_of(const struct stack *st, const struct tcp *c, uint32_t mtu)
{
    uint32_t hdr = header_len(c);
    uint32_t mss = mtu > hdr ? mtu - hdr : 0;

    mss = min_u32(mss, c->snd.mss_clamp); /* RFC 9293 3.7.1 MUST-16: Eff.snd.MSS */
    mss = max_u32(mss, (uint32_t)st->knobs.tcp_min_snd_mss);
    return mss - always(c);
}

uint32_t tcp_mtu_of(const struct tcp *c, uint32_t mss)
{
    return mss + header_len(c) + always(c);
}

static uint16_t range_end(uint32_t mtu)
{
    return (uint16_t)min_u32(mtu, UINT16_MAX);
}

void tcp_sync_mss(struct stack *st, struct tcp *c)
{
    uint32_t mtu = ip_mtu(st, &c->s.flow.raddr);
    uint32_t mss = mss_of(st, c, mtu);

    c->mtu.gen = st->pmtu_gen;
    if (c->mtu_probing) {
        c->mtu.high = range_end(min_u32(c->mtu.high, mtu));
        mss = min_u32(mss, mss_of(st, c, c->mtu.low));
    }
    c->snd.mss = (uint16_t)mss;
    uint32_t per = 1;
    while (per < (uint32_t)c->snd.mss_clamp + 640 && per < 65536) {
        per *= 2;
    }
    c->snd.buf_per_seg = per + 256;
}

/* The whole range is open. */
static void search_begin(const struct stack *st, struct tcp *c, uint32_t low, nsec now)
{
    uint32_t most = (uint32_t)c->snd.mss_clamp + header_len(c);

    c->mtu.high = range_end(min_u32(most, ip_mtu(st, &c->s.flow.raddr)));
    c->mtu.low = range_end(min_u32(low, c->mtu.high));
    c->mtu.probe = 0;
    c->mtu.since_s = (uint32_t)(now / SEC);
}

void tcp_mtu_open(struct stack *st, struct env *env, struct tcp *c)
{
    c->mtu_probing = st->knobs.tcp_mtu_probing > 1;
    search_begin(st, c, tcp_mtu_of(c, (uint32_t)st->knobs.tcp_base_mss), env->now);
    tcp_sync_mss(st, c);
}

void tcp_mtu_black_hole(struct stack *st, struct env *env, struct tcp *c)
{
    if (st->knobs.tcp_mtu_probing == 0) {
        return;
    }
    if (!c->mtu_probing) {
        c->mtu_probing = true;
        c->mtu.since_s = (uint32_t)(env->now / SEC);
    } else {
        uint32_t mss = min_u32(mss_of(st, c, c->mtu.low) / 2, (uint32_t)st->knobs.tcp_base_mss);
        mss = max_u32(mss, (uint32_t)st->knobs.tcp_mtu_probe_floor);
        mss = max_u32(mss, (uint32_t)st->knobs.tcp_min_snd_mss);
        c->mtu.low = range_end(tcp_mtu_of(c, mss));
    }
    tcp_sync_mss(st, c);
}

/* ---- probing */

static void probe_again_later(struct stack *st, struct env *env, struct tcp *c)
{
    uint32_t waited = (uint32_t)(env->now / SEC) - c->mtu.since_s;

    if (waited >= (uint32_t)st->knobs.tcp_probe_interval) {
        search_begin(st, c, tcp_mtu_of(c, c->snd.mss), env->now);
    }
}

uint32_t tcp_mtu_probe_size(struct stack *st, struct env *env, struct tcp *c, bool *wait)
{
    *wait = false;
    if (c->mtu.probe || c->ca_state != CA_OPEN || c->fl->nrecent || c->fl->has_dsack ||
        c->cc.cwnd < CWND_PROBE_MIN) {
        return 0;
    }
    uint32_t gap = c->mtu.high > c->mtu.low ? (uint32_t)c->mtu.high - c->mtu.low : 0;
    uint32_t size = mss_of(st, c, ((uint32_t)c->mtu.high + c->mtu.low) / 2);
    if (gap < (uint32_t)st->knobs.tcp_probe_threshold || size > mss_of(st, c, c->mtu.high) ||
        size <= c->snd.mss) {
        probe_again_later(st, env, c);
        return 0;
    }
    uint32_t need = size + (c->reordering + 1u) * c->snd.mss; /* what shows its loss */
    uint32_t out = seq_dist(c->snd.una, c->snd.nxt);
    if (tcp_unsent(c) < need || c->snd.wnd < need) {
        return 0;
    }
    if (out + need > c->snd.wnd || tcp_inflight(c) + 2 > c->cc.cwnd) {
        *wait = tcp_inflight(c) != 0;
        return 0;
    }
    return size;
}

void tcp_mtu_probe_sent(struct tcp *c, uint32_t size)
{
    txq_set(&c->fl->tx, txq_at(&c->fl->tx, c->fl->tx.n - 1), TXR_MTU);
    c->mtu.probe = range_end(tcp_mtu_of(c, size));
    c->cc.cwnd--; /* Linux: it is as good as two */
}

void tcp_mtu_probe_acked(struct stack *st, struct tcp *c)
{
    if (c->mtu.probe == 0) {
        return;
    }
    uint64_t window =
        (uint64_t)c->cc.cwnd * tcp_mtu_of(c, c->snd.mss); /* in bytes it stays the same */
    uint32_t tested = (c->cc.cwnd >> 1) + (c->cc.cwnd >> 2);

    st->stats.TcpMtupSuccess++;
    c->cc.cwnd = max_u32((uint32_t)(window / c->mtu.probe), 1);
    c->cc.cwnd_cnt = 0;
    c->cc.ssthresh = max_u32(c->cc.ssthresh, tested);
    c->mtu.low = c->mtu.probe;
    c->mtu.probe = 0;
    tcp_sync_mss(st, c);
}

bool tcp_mtu_probe_lost(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->mtu.probe == 0 || c->ca_state >= CA_CWR || !(txq_at(&c->fl->tx, 0)->flags & TXR_MTU)) {
        return false;
    }
    st->stats.TcpMtupFail++;
    c->mtu.high = (uint16_t)(c->mtu.probe - 1);
    c->mtu.probe = 0;
    c->cc.cwnd++; /* what sending it took away */
    tcp_smaller(st, env, c, c->snd.mss, TX_FAST);
    return true;
}

void tcp_mtu_inconclusive(struct tcp *c)
{
    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        txq_clear(&c->fl->tx, txq_at(&c->fl->tx, i), TXR_MTU);
    }
    c->mtu.probe = 0;
}

/* ---- sending again in smaller segments */

/* Segments of a record by today's size: sent again it becomes so many. */
void tcp_mtu_recount(struct tcp *c, uint32_t i)
{
    struct tx_rec *r = txq_at(&c->fl->tx, i);
    uint32_t mss = max_u32(c->snd.mss, 1);
    uint32_t segs = (seq_dist(r->from, r->to) + mss - 1) / mss;

    if (segs > r->segs) {
        txq_recount(&c->fl->tx, r, segs);
    }
}

/* Linux's tcp_simple_retransmit. The state is that after a timeout, for everything up to SND.NXT
 * has to be acknowledged first; the window is not touched. */
void tcp_smaller(struct stack *st, struct env *env, struct tcp *c, uint32_t was, enum tx_reason why)
{
    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        struct tx_rec *r = txq_at(&c->fl->tx, i);
        bool large = seq_dist(r->from, r->to) > c->snd.mss && (r->segs == 1 || was > c->snd.mss);
        if (large && !(r->flags & TXR_SACKED)) {
            txq_clear(&c->fl->tx, r, TXR_RETRANS);
            txq_set(&c->fl->tx, r, TXR_LOST);
        }
    }
    if (c->fl->tx.lost == 0) {
        return;
    }
    tcp_loss_smaller(st, env, c);
    tcp_loss_resend_as(st, env, c, why);
    tcp_want_out(st, c);
}
