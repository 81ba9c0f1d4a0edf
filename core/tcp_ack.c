/*
 * tcp_ack.c - theory of operation
 *
 * The fifth check of SEGMENT ARRIVES in full (RFC 9293 3.10.7.4): what an acknowledgment means
 * for the retransmission queue, the peer's window, the round-trip time, loss recovery and the
 * congestion window. In that order: first facts are gathered into a struct tcp_acked, then
 * tcp_loss.c decides what they say about loss, then the window moves.
 *
 * An RTT sample comes from the oldest segment acknowledged that was sent once (Karn); failing
 * that from a segment reported by SACK, then from the echoed timestamp (RFC 7323 4.1).
 */
#include "tcp_cb.h"

#include "check.h"

/* RFC 9293 3.10.7.4: the window is taken from the newest segment, as an unsigned number of 32
 * bits (MUST-1, REC-1). */
static bool window_is_newer(const struct tcp *c, const struct tcp_seg *seg, uint32_t wnd)
{
    return seq_gt(seg->ack, c->snd.una) || seq_gt(seg->seq, c->snd.wl1) ||
           (seq_eq(seg->seq, c->snd.wl1) && (wnd > c->snd.wnd || wnd == 0));
}

/* Returns whether the window changed. */
static bool take_window(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    uint32_t wnd = seg->flags & TCP_SYN ? seg->wnd : (uint32_t)seg->wnd << c->snd_scale;

    if (!window_is_newer(c, seg, wnd)) {
        return false;
    }
    c->snd.wl1 = seg->seq;
    if (wnd == c->snd.wnd) {
        return false;
    }
    c->snd.wnd = wnd;
    c->snd.wnd_max = max_u32(c->snd.wnd_max, wnd);
    if (wnd) {
        c->probes = tcp_due(c, TT_PERSIST) != NEVER ? 0 : c->probes;
        if (tcp_due(c, TT_PERSIST) != NEVER) {
            tcp_timer_clear(st, env, c, TT_PERSIST);
            c->backoff = 0;
            if (c->fl->probe_since) {
                c->fl->probe_since = 0;
            }
        }
    }
    return true;
}

/* One record that lies wholly below the acknowledgment. */
static void ack_record(struct tcp *c, struct tcp_acked *a, nsec now, nsec *oldest)
{
    struct tx_rec *r = txq_at(&c->fl->tx, 0);

    a->acked += r->segs;
    if (!(r->flags & TXR_SACKED)) {
        a->delivered += r->segs;
        a->delivered_bytes += seq_dist(r->from, r->to);
    }
    if (r->flags & TXR_EVER) {
        a->retrans_acked = true;
    } else if (!(r->flags & TXR_SACKED)) {
        *oldest = *oldest ? *oldest : r->at;
        a->reord = seq_min(a->reord, r->from);
        if (seq_leq(r->to, c->fl->high_seq)) {
            a->orig_acked = true;
        }
    }
    if (!(r->flags & TXR_SACKED)) {
        tcp_rack_advance(c, r, now);
        tcp_rate_delivered(&c->fl->rate, &a->rate, &r->rate, r->at, r->to, r->flags & TXR_EVER);
    }
    a->mtu_probe = a->mtu_probe || (r->flags & TXR_MTU) != 0;
    txq_pop(&c->fl->tx);
}

/* Takes everything below `ack` out of the queue. */
static void clean_queue(struct tcp *c, struct tcp_acked *a, seq ack, nsec now)
{
    nsec oldest = 0;

    while (c->fl->tx.n && seq_leq(txq_at(&c->fl->tx, 0)->to, ack)) {
        ack_record(c, a, now, &oldest);
    }
    if (c->fl->tx.n && seq_lt(txq_at(&c->fl->tx, 0)->from, ack)) {
        struct tx_rec *r = txq_at(&c->fl->tx, 0);
        uint32_t mss = max_u32(c->snd.mss, 1);
        uint32_t keep = max_u32((seq_dist(ack, r->to) + mss - 1) / mss, 1);
        keep = min_u32(keep, r->segs);
        a->acked += r->segs - keep;
        if (!(r->flags & TXR_SACKED)) {
            tcp_rate_delivered(&c->fl->rate, &a->rate, &r->rate, r->at, ack, r->flags & TXR_EVER);
        }
        if (!(r->flags & TXR_SACKED)) {
            a->delivered += r->segs - keep;
            a->delivered_bytes += seq_dist(r->from, ack);
        }
        if (r->flags & TXR_EVER) {
            a->retrans_acked = true;
        } else if (!(r->flags & TXR_SACKED)) {
            a->reord = seq_min(a->reord, r->from);
            oldest = oldest ? oldest : r->at;
            a->orig_acked = a->orig_acked || seq_leq(ack, c->fl->high_seq);
        }
        txq_trim(&c->fl->tx, ack, keep);
    }
    if (oldest) {
        a->rtt = nsec_max(now - oldest, 1);
    }
}

static void take_bytes(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a,
                       seq ack)
{
    seq end = seq_min(ack, tcp_write_end(c));
    seq head = tcp_seq_of_sq(c, c->sq.head);

    c->info.bytes_acked += seq_dist(c->snd.una, ack); /* Linux, not RFC 4898: with FIN */
    c->snd.una = ack;
    if (UNLIKELY(c->s.side != NULL)) {
        tcp_urg_acked(c);
        tcp_mark_acked(st, env, c);
    }
    if (seq_lt(head, end)) {
        a->acked_bytes = seq_dist(head, end);
        ring_drop(&c->sq, a->acked_bytes);
        ring_tighten(&c->sq, st->mem);
        if (ring_len(&c->sq) == 0) {
            ring_trim(&c->sq, st->mem);
        }
    }
    if (c->fl->tx.n == 0) {
        tcp_chrono_stop(st, env, c, CHRONO_BUSY);
    }
}

static void take_rtt(struct stack *st, struct tcp *c, struct tcp_acked *a,
                     const struct tcp_seg *seg, nsec now)
{
    if (!a->rtt && a->new_data && c->ts_ok && seg->has_ts && seg->ts_ecr) {
        uint32_t ms = tcp_now_ts(c, now) - seg->ts_ecr;
        if (ms < 0x7fffffff) {
            a->rtt = nsec_max((nsec)ms * MSEC, MSEC);
        }
    }
    if (a->rtt) {
        tcp_rtt_sample(&c->rtt, a->rtt, c->snd.una, c->snd.nxt,
                       (nsec)st->knobs.user_rto_min_ms * MSEC,
                       (nsec)st->knobs.user_rto_max_ms * MSEC);
        c->backoff = 0;
    }
}

/* RFC 5681 2: what a duplicate acknowledgment is. RFC 9768 3.2.2.5.1: without SACK blocks it may be
 * one that feeds back marks of ours. */
static bool is_duplicate(const struct tcp *c, const struct tcp_seg *seg, bool window_moved)
{
    if (c->ecn_mode == ECN_ACCURATE && c->sack_ok && !seg->nsack) {
        return false;
    }
    return seq_eq(seg->ack, c->snd.una) && seg->len == 0 && !window_moved &&
           !(seg->flags & (TCP_SYN | TCP_FIN));
}

static bool acceptable(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (seq_gt(seg->ack, c->snd.nxt)) {
        tcp_challenge(st, env, c, TX_CHALLENGE);
        return false;
    }
    if (seq_lt(seg->ack, seq_sub(c->snd.una, c->snd.wnd_max))) { /* RFC 5961 5.2, MAY-12 */
        tcp_challenge(st, env, c, TX_CHALLENGE);
        return false;
    }
    return true;
}

/* The peer's window and the queue have moved: what follows for timers and the program. */
static void settle(struct stack *st, struct env *env, struct tcp *c, const struct tcp_acked *a,
                   bool was_writable)
{
    if (a->new_data) {
        c->retries = 0;
        c->fl->stall_at = 0;
        c->probes = 0;
        c->s.soft_err = 0;
        if (tcp_due(c, TT_REORDER) == NEVER || c->fl->tx.n == 0) {
            tcp_timer_clear(st, env, c, TT_REORDER);
            tcp_arm_rto(st, env, c);
        }
        if (!was_writable && tcp_writable(st, c)) {
            c->nospace = false;
            tcp_chrono_stop(st, env, c, CHRONO_SNDBUF);
            sock_notify(st, &c->s, LX_POLLOUT | LX_POLLWRNORM);
        }
    } else if (a->sacked && tcp_due(c, TT_TLP) != NEVER) {
        tcp_arm_rto(st, env, c); /* RFC 8985 7.2: no probe once SACKs come in */
    }
    if (c->fl->tx.n || tcp_unsent(c) || (c->fin_queued && !c->fin_sent)) {
        tcp_want_out(st, c);
    }
    tcp_flight_idle(st, env, c);
}

/* RFC 7323 4.3: the timestamp to echo is that of the segment that holds the last byte
 * acknowledged. Only now: a segment with an acknowledgment that nobody would send (RFC 5961 5.2)
 * must not lock the peer out by PAWS. Returns whether it is newer than the last. */
static bool take_timestamp(struct tcp *c, const struct tcp_seg *seg, nsec now)
{
    bool newer = (int32_t)(seg->ts_val - c->ts_recent) > 0;

    if (c->ts_ok && seg->has_ts && seq_leq(seg->seq, c->rcv.wup) &&
        (int32_t)(seg->ts_val - c->ts_recent) >= 0) {
        c->ts_recent = seg->ts_val;
        c->ts_recent_at = now;
        return newer;
    }
    return false;
}

bool tcp_ack_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                enum drop *why)
{
    if (!acceptable(st, env, c, seg)) {
        *why = DROP_TCP_ACK;
        return false;
    }
    bool newer = take_timestamp(c, seg, env->now);
    struct tcp_acked a = {
        .prior_una = c->snd.una,
        .reord = c->snd.nxt,
        .prior_inflight = tcp_inflight(c),
        .ts_ecr = seg->has_ts ? seg->ts_ecr : 0,
        .cwnd_limited =
            c->cwnd_limited || (tcp_cc_in_slow_start(&c->cc) && c->cc.cwnd < 2 * c->fl->max_out),
    };
    bool was_writable = tcp_writable(st, c);

    c->ack_rcv_at = env->now;
    if (tcp_due(c, TT_KEEP) != NEVER || tcp_due(c, TT_PERSIST) != NEVER) {
        c->probes = 0; /* whoever answers lives */
    }
    if (seq_lt(seg->ack, c->snd.una)) { /* old, but its SACK blocks may be news */
        if (seg->nsack && c->fl->tx.n) {
            tcp_loss_sack(st, env, c, seg, &a);
            tcp_loss_ack(st, env, c, &a);
            c->rate.delivered += a.delivered;
            settle(st, env, c, &a, was_writable);
        }
        return true;
    }
    bool moved = take_window(st, env, c, seg);
    if (c->fl->tx.n == 0) {
        if (seg->nsack) { /* RFC 2883 4: what came twice, told after all is acknowledged */
            tcp_loss_sack(st, env, c, seg, &a);
        }
        a.dup = is_duplicate(c, seg, moved);
        tcp_tlp_judge(st, env, c, &a);
        tcp_ecn_feedback(c, seg, &a, newer);
        if (tcp_due(c, TT_PERSIST) != NEVER) { /* Linux, not RFC: an answer starts the time anew */
            tcp_timer_clear(st, env, c, TT_PERSIST);
            tcp_arm_persist(st, env, c);
        }
        settle(st, env, c, &a, was_writable);
        return true;
    }
    seq high = tcp_highest_sacked(c);
    a.dup = is_duplicate(c, seg, moved);
    a.new_data = seq_gt(seg->ack, c->snd.una);
    if (seg->nsack) {
        tcp_loss_sack(st, env, c, seg, &a);
    }
    if (a.new_data) {
        a.reord = c->snd.nxt;
        clean_queue(c, &a, seg->ack, env->now);
        take_bytes(st, env, c, &a, seg->ack);
        if (c->sack_ok && seq_lt(a.reord, high)) {
            tcp_check_reordering(st, env, c, a.reord); /* a hole was filled by the original */
        }
    }
    if (UNLIKELY(a.mtu_probe)) {
        tcp_mtu_probe_acked(st, c);
    }
    take_rtt(st, c, &a, seg, env->now);
    tcp_ecn_feedback(c, seg, &a, newer);
    tcp_loss_ack(st, env, c, &a);
    if (UNLIKELY(c->fl->rto_since) && c->ca_state != CA_LOSS) {
        tcp_rto_over(st, env, c);
    }
    c->rate.delivered += a.delivered;
    tcp_cc_acked(st, env, c, &a);
    settle(st, env, c, &a, was_writable);
    return true;
}
