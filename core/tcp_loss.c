/*
 * tcp_loss.c - theory of operation
 *
 * Deciding that data is lost, choosing what to send again, and how fast. The states are Linux's:
 *
 *     OPEN -- SACK or duplicate ACK --> DISORDER -- something is lost --> RECOVERY
 *     RECOVERY -- all of it acknowledged --> OPEN
 *       any -- retransmission timer --> LOSS -- everything sent before it acknowledged --> OPEN
 *
 * With SACK, RACK (RFC 8985) decides: a segment is lost when one sent sufficiently later has been
 * delivered. Without SACK, three duplicate ACKs, and in recovery every partial acknowledgment,
 * say that the first segment is lost (RFC 6582). During RECOVERY the window follows Proportional
 * Rate Reduction (RFC 9937, RFC 6937), in LOSS slow start.
 *
 * A reduction that proves unnecessary is undone: all retransmissions were reported as duplicates
 * (RFC 2883), an acknowledgment echoes a time before the first of them (Eifel, RFC 3522), or
 * after a timeout something is acknowledged that was never sent again (F-RTO, RFC 5682).
 *
 * A tail loss probe (RFC 8985 7) turns the loss of the last segments into something SACK shows.
 */
#include "tcp_cb.h"

#include "check.h"
#include "tcp_cc.h"

#define REORDERING_MAX 255u
#define REO_PERSIST    16         /* RFC 8985 6.2 step 4, reo_wnd_persist: recoveries */
#define TIMEOUT_MIN    (2 * MSEC) /* Linux, not RFC: beyond the reordering window, two ticks */

static void to_state(struct stack *st, struct env *env, struct tcp *c, enum tcp_ca ca)
{
    if (c->ca_state != ca) {
        const struct cc_ops *ops = tcp_cc_ops(c->cc.algo);
        if (ops->on_ca) {
            ops->on_ca(&c->cc, (uint8_t)ca);
        }
        c->ca_state = (uint8_t)ca;
        tcp_tell_cwnd(st, env, c, CWND_STATE);
    }
}

/* ---- SACK into the scoreboard */

/* RFC 8985 6.2 step 2. Linux, not RFC: of a segment sent again only the round trip is asked, not
 * the echoed timestamp: what SACKs report comes with that of the last segment in order (RFC 7323
 * 4.3). */
void tcp_rack_advance(struct tcp *c, const struct tx_rec *r, nsec now)
{
    nsec rtt = now - r->at;

    if ((r->flags & TXR_EVER) && c->rtt.min != NEVER && rtt < c->rtt.min) {
        return; /* the original was delivered, not the retransmission */
    }
    c->fl->rack.rtt = rtt;
    if (r->at > c->fl->rack.at || (r->at == c->fl->rack.at && seq_gt(r->to, c->fl->rack.end))) {
        c->fl->rack.at = r->at;
        c->fl->rack.end = r->to;
    }
}

/* RFC 2883 4: below the acknowledgment, or inside the second block. */
static bool is_dsack(const struct tcp_seg *seg)
{
    const struct sack_block *b = seg->sack;

    if (seq_lt(b->from, seg->ack)) {
        return true;
    }
    return seg->nsack > 1 && seq_geq(b->from, b[1].from) && seq_leq(b->to, b[1].to);
}

/* RFC 8985 6.2 step 4: the reordering window was too small; once for each round trip that says so,
 * and for 16 recoveries. Linux, not RFC: what a tail loss probe was for says nothing of it. */
static void widen_reordering(struct tcp *c, seq ack, const struct tcp_acked *a)
{
    if (c->reo_widened && seq_geq(ack, c->reo_round)) {
        c->reo_widened = false;
    }
    if (!c->reo_widened && !a->dsack_tlp) {
        c->reo_widened = true;
        c->reo_round = c->snd.nxt;
        c->reo_steps = (uint8_t)min_u32(c->reo_steps + 1u, 255);
        c->reo_persist = REO_PERSIST;
    }
}

/* The same step: a recovery is over. */
static void narrow_reordering(struct tcp *c)
{
    if (c->reo_persist && --c->reo_persist == 0) {
        c->reo_steps = 1;
    }
}

static void take_dsack(struct stack *st, struct env *env, struct tcp *c, const struct sack_block *b,
                       seq ack, struct tcp_acked *a)
{
    struct tcp_tally *t = tcp_tally(st, env, c);

    seq end = c->fin_sent && seq_eq(b->to, c->fin_seq) ? seq_add(b->to, 1) : b->to;

    a->dsack = true;
    a->dsack_tlp = c->tlp_out && seq_eq(end, c->tlp_high);
    c->dsack_seen = true;
    if (t) {
        t->dsack_dups++;
    }
    st->stats.TcpDsackRecv++;
    if (c->fl->undo_marker.v && c->fl->undo_retrans > 0 && seq_lt(c->fl->undo_marker, b->to)) {
        c->fl->undo_retrans--;
    }
    widen_reordering(c, ack, a);
}

static void sack_record(struct tcp *c, struct tx_rec *r, struct tcp_acked *a, nsec now, seq *high)
{
    if (r->flags & TXR_SACKED) {
        *high = seq_max(*high, r->to);
        return;
    }
    if (!(r->flags & TXR_EVER)) {
        if (seq_leq(r->to, c->fl->high_seq)) {
            a->orig_acked = true;
        }
        if (seq_lt(r->from, *high)) { /* a hole was filled by the original */
            a->reord = seq_min(a->reord, r->from);
        }
        a->rtt = nsec_max(now - r->at, 1);
    }
    tcp_rack_advance(c, r, now);
    tcp_rate_delivered(&c->fl->rate, &a->rate, &r->rate, r->at, r->to, r->flags & TXR_EVER);
    txq_clear(&c->fl->tx, r, TXR_LOST | TXR_RETRANS);
    txq_set(&c->fl->tx, r, TXR_SACKED);
    a->sacked += r->segs;
    a->delivered += r->segs;
    a->delivered_bytes += seq_dist(r->from, r->to);
    *high = seq_max(*high, r->to);
}

/* Splits a record of several segments where a block begins or ends in it; only whole segments are
 * reported (Linux, not RFC: what a block covers of a segment is not enough). True: the record at i
 * is covered now. *stop: what follows is not. */
static bool fit_record(struct stack *st, struct env *env, struct tcp *c, uint32_t i,
                       const struct sack_block *b, bool *stop)
{
    const struct tx_rec *r = txq_at(&c->fl->tx, i);
    uint32_t mss = max_u32(c->snd.mss, 1);
    uint32_t len = seq_dist(r->from, r->to);
    bool head = seq_leq(b->from, r->from);

    if (head && seq_leq(r->to, b->to)) {
        return true;
    }
    if (r->segs < 2) {
        return false;
    }
    uint32_t cut = seq_dist(r->from, head ? b->to : b->from);
    *stop = head && cut < mss;
    if (*stop) {
        return false;
    }
    cut = head ? cut / mss * mss : max_u32((cut + mss - 1) / mss * mss, mss);
    if (cut < len) {
        *stop = txq_split(&c->fl->tx, st->mem, env, i, seq_add(r->from, cut), mss) != 0;
        return head && !*stop;
    }
    return false;
}

static void take_block(struct stack *st, struct env *env, struct tcp *c, struct sack_block b,
                       struct tcp_acked *a, seq *high)
{
    bool stop = false;

    if (!seq_lt(b.from, b.to) || seq_gt(b.to, c->snd.nxt) || seq_lt(b.from, c->snd.una)) {
        return;
    }
    for (uint32_t i = txq_find(&c->fl->tx, b.from); i < c->fl->tx.n && !stop; i++) {
        struct tx_rec *r = txq_at(&c->fl->tx, i);
        st->stats.TcpSackScanned++;
        if (seq_geq(r->from, b.to)) {
            return;
        }
        if ((r->flags & TXR_SACKED) || fit_record(st, env, c, i, &b, &stop)) {
            sack_record(c, txq_at(&c->fl->tx, i), a, env->now, high);
        }
    }
}

/* The end of the highest SACKed record. */
seq tcp_highest_sacked(const struct tcp *c)
{
    if (c->fl->tx.sacked) {
        for (uint32_t i = c->fl->tx.n; i-- > 0;) {
            if (txq_at(&c->fl->tx, i)->flags & TXR_SACKED) {
                return txq_at(&c->fl->tx, i)->to;
            }
        }
    }
    return c->snd.una;
}

static void count_reordering(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp_tally *t = tcp_tally(st, env, c);

    if (t) {
        t->reord_seen++;
    }
}

/* Something at `low` was delivered after what is behind it, and was never sent again: the path
 * reorders, by so many segments. RFC 8985 6.2 step 3; the distance is Linux's DupThresh. */
void tcp_check_reordering(struct stack *st, struct env *env, struct tcp *c, seq low)
{
    seq high = tcp_highest_sacked(c);

    if (seq_geq(low, high)) {
        return;
    }
    uint32_t mss = max_u32(c->snd.mss, 1);
    uint32_t segs = (seq_dist(low, high) + mss - 1) / mss;
    c->reordering = (uint8_t)min_u32(max_u32(segs, c->reordering), REORDERING_MAX);
    c->reord_seen = true;
    count_reordering(st, env, c);
}

void tcp_loss_sack(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                   struct tcp_acked *a)
{
    uint8_t first = 0;
    nsec rtt = a->rtt;

    if (!c->sack_ok) {
        return;
    }
    if (is_dsack(seg)) {
        take_dsack(st, env, c, &seg->sack[0], seg->ack, a);
        first = 1;
    }
    seq high = tcp_highest_sacked(c);
    for (uint8_t i = first; i < seg->nsack; i++) {
        take_block(st, env, c, seg->sack[i], a, &high);
    }
    if (c->ca_state != CA_LOSS || c->fl->undo_cwnd) {
        tcp_check_reordering(st, env, c, a->reord);
    }
    if (rtt) {
        a->rtt = rtt;
    }
}

/* ---- detection */

static void mark_lost(struct tcp *c, struct tx_rec *r, struct tcp_acked *a)
{
    if (!(r->flags & TXR_LOST)) {
        tcp_cc_lost(c, r);
    }
    txq_clear(&c->fl->tx, r, TXR_RETRANS);
    txq_set(&c->fl->tx, r, TXR_LOST);
    if (a) {
        a->newly_lost += r->segs;
    }
}

/* RFC 8985 6.2 step 4. */
static nsec reordering_window(const struct stack *st, const struct tcp *c)
{
    if (!c->reord_seen) {
        if (c->ca_state >= CA_RECOVERY || c->fl->tx.sacked >= (uint32_t)c->reordering) {
            return 0;
        }
    }
    nsec min = c->rtt.min == NEVER ? 0 : c->rtt.min;
    (void)st;
    return nsec_min(min / 4 * (c->reo_steps ? c->reo_steps : 1), c->rtt.srtt);
}

/* RFC 8985 6.2 step 5; 6.3: the timer. */
static void rack_detect(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    nsec wait = 0;

    if (!c->fl->rack.at) {
        return;
    }
    nsec reo = reordering_window(st, c);
    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        struct tx_rec *r = txq_at(&c->fl->tx, i);
        st->stats.TcpSackScanned++;
        if (r->flags & (TXR_SACKED | TXR_LOST)) {
            continue;
        }
        if (r->at > c->fl->rack.at ||
            (r->at == c->fl->rack.at && !seq_lt(r->to, c->fl->rack.end))) {
            if (!(r->flags & TXR_EVER) && c->fl->tx.retrans == 0) {
                break; /* everything behind was sent later still */
            }
            continue;
        }
        nsec left = r->at + c->fl->rack.rtt + reo - env->now;
        if (left <= 0) {
            mark_lost(c, r, a);
        } else {
            wait = nsec_max(wait, left);
        }
    }
    if (wait) {
        tcp_timer_set(st, env, c, TT_REORDER, env->now + wait + TIMEOUT_MIN);
    }
}

/* Makes record i at most n segments long. Nonzero: it could not be split. */
static int cut_record(struct stack *st, struct env *env, struct tcp *c, uint32_t i, uint32_t n)
{
    struct tx_rec *r = txq_at(&c->fl->tx, i);
    seq cut = seq_add(r->from, n * c->snd.mss);

    if (r->segs <= n || seq_geq(cut, r->to)) {
        return 0;
    }
    return txq_split(&c->fl->tx, st->mem, env, i, cut, c->snd.mss);
}

/* The first segment, and no more than that, is lost. */
static void mark_head(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    struct tx_rec *r = txq_at(&c->fl->tx, 0);

    if (r->flags & (TXR_LOST | TXR_SACKED)) {
        return;
    }
    cut_record(st, env, c, 0, 1);
    mark_lost(c, txq_at(&c->fl->tx, 0), a);
}

/* Without SACK. RFC 6582 3.2 */
static void newreno_detect(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    if (c->fl->tx.n == 0) {
        return;
    }
    if (c->ca_state < CA_RECOVERY ? c->fl->reno_sacked >= c->reordering
                                  : c->ca_state == CA_RECOVERY && a->new_data) {
        mark_head(st, env, c, a);
    }
}

static void detect(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    if (c->sack_ok) {
        rack_detect(st, env, c, a);
    } else {
        newreno_detect(st, env, c, a);
    }
}

/* ---- entering and leaving */

static void begin_undo(struct tcp *c)
{
    c->fl->undo_marker = c->snd.una;
    c->fl->undo_retrans = c->fl->tx.retrans ? (int32_t)c->fl->tx.retrans : 0;
    c->fl->undo_cwnd = c->cc.cwnd;
    c->fl->undo_ssthresh = c->cc.ssthresh;
    c->fl->retrans_stamp = 0;
}

static bool may_undo(const struct tcp *c, const struct tcp_acked *a)
{
    if (!c->fl->undo_cwnd) {
        return false;
    }
    bool all_duplicates = c->fl->undo_retrans == 0 && c->fl->retrans_stamp && a->dsack;
    bool echo_older = c->ts_ok && c->fl->retrans_stamp && a->ts_ecr && a->new_data &&
                      (int32_t)(a->ts_ecr - tcp_now_ts(c, c->fl->retrans_stamp)) < 0;
    return all_duplicates || echo_older;
}

static void undo(struct stack *st, struct env *env, struct tcp *c, bool unmark)
{
    if (unmark) {
        for (uint32_t i = 0; i < c->fl->tx.n; i++) {
            txq_clear(&c->fl->tx, txq_at(&c->fl->tx, i), TXR_LOST);
        }
    }
    c->cc.cwnd = max_u32(c->cc.cwnd, c->fl->undo_cwnd);
    c->cc.ssthresh = max_u32(c->cc.ssthresh, c->fl->undo_ssthresh);
    c->fl->undo_cwnd = 0;
    if (tcp_cc_ops(c->cc.algo)->on_undo) {
        tcp_cc_ops(c->cc.algo)->on_undo(&c->cc);
    }
    tcp_tell_cwnd(st, env, c, CWND_UNDO);
}

static void begin_reduction(struct tcp *c)
{
    c->fl->high_seq = c->snd.nxt;
    c->tlp_out = false;
    c->fl->prior_cwnd = c->cc.cwnd;
    c->fl->prr_delivered = 0;
    c->fl->prr_out = 0;
    c->cc.cwnd_cnt = 0;
    c->cc.ssthresh = tcp_cc_ops(c->cc.algo)->on_loss(&c->cc);
    tcp_ecn_reduced(c);
}

static void enter_recovery(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->ca_state == CA_CWR) { /* RFC 3168 6.1.2: once for a window; nothing to go back to */
        c->fl->high_seq = c->snd.nxt;
        c->fl->undo_marker = c->snd.una;
        c->fl->undo_cwnd = 0;
        c->fl->retrans_stamp = 0;
    } else {
        begin_undo(c);
        begin_reduction(c);
    }
    if (c->sack_ok) {
        st->stats.TcpSackRecovery++;
    } else {
        st->stats.TcpRenoRecovery++;
    }
    to_state(st, env, c, CA_RECOVERY);
}

/* RFC 9937 6: what the window is during recovery, after an ACK that delivered something. Linux, not
 * RFC: the window of before stands for RecoverFS, which leaves out what was SACKed before; and what
 * the timer of reordering finds lost is counted as an ACK that delivers nothing. */
static void prr(struct tcp *c, const struct tcp_acked *a)
{
    uint32_t inflight = tcp_inflight(c);
    int64_t delta = (int64_t)c->cc.ssthresh - inflight;
    int64_t n;

    c->fl->prr_delivered += a->delivered;
    if (delta < 0) { /* in proportion, rounded up */
        uint64_t part = (uint64_t)c->cc.ssthresh * c->fl->prr_delivered + c->fl->prior_cwnd - 1;
        n = (int64_t)(part / max_u32(c->fl->prior_cwnd, 1)) - c->fl->prr_out;
    } else {
        n = (int64_t)c->fl->prr_delivered - c->fl->prr_out; /* PRR-CRB */
        n = n > (int64_t)a->delivered ? n : (int64_t)a->delivered;
        if (a->new_data && !a->newly_lost) {
            n++; /* PRR-SSRB on a SafeACK: recovery advances without further loss */
        }
        n = n < delta ? n : delta; /* catches up, as permitted */
    }
    if (tcp_cc_ops(c->cc.algo)->control) {
        return; /* it sets the window by itself */
    }
    if (n < (c->fl->prr_out ? 0 : 1)) {
        n = c->fl->prr_out ? 0 : 1; /* fast retransmit is always sent */
    }
    c->cc.cwnd = max_u32(inflight + (uint32_t)n, 1);
}

static void end_recovery(struct stack *st, struct env *env, struct tcp *c,
                         const struct tcp_acked *a)
{
    if (may_undo(c, a)) {
        undo(st, env, c, false);
    } else if ((c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR) &&
               !tcp_cc_ops(c->cc.algo)->control) {
        c->cc.cwnd = c->cc.ssthresh < CWND_INFINITE ? max_u32(c->cc.ssthresh, 1) : c->cc.cwnd;
    }
    if (c->ca_state >= CA_RECOVERY) {
        narrow_reordering(c);
    }
    c->fl->undo_cwnd = 0;
    c->fl->reno_sacked = 0;
    c->dup_acks = 0;
    c->frto = FRTO_OFF;
    c->fl->retrans_stamp = 0;
    to_state(st, env, c, CA_OPEN);
}

/* The receiver threw away what it had reported (RFC 2018 8): nothing SACKed is certain. */
static void renege(struct tcp *c)
{
    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        txq_clear(&c->fl->tx, txq_at(&c->fl->tx, i), TXR_SACKED);
    }
}

/* Not more duplicates than can have been delivered; where there were, the path reorders. */
static void limit_reno(struct stack *st, struct env *env, struct tcp *c, uint32_t more)
{
    uint32_t holes = min_u32(max_u32(c->fl->tx.lost + c->fl->tx.retrans, 1), c->fl->tx.out);

    if (c->fl->reno_sacked + holes > c->fl->tx.out) {
        c->fl->reno_sacked = c->fl->tx.out - holes;
        c->reordering = (uint8_t)min_u32(c->fl->tx.out + more, REORDERING_MAX);
        count_reordering(st, env, c);
    }
}

/* Without SACK: a duplicate stands for one segment delivered; of what is acknowledged then one
 * fills the hole, and the rest is what duplicates have told. */
static void count_reno(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    uint32_t before = c->fl->reno_sacked;

    if (c->sack_ok) {
        return;
    }
    if (a->new_data) {
        if (a->acked) {
            a->delivered = max_u32(a->acked > before ? a->acked - before : 0, 1);
            c->fl->reno_sacked -= min_u32(before, a->acked - 1);
        }
        limit_reno(st, env, c, a->acked);
        if (c->ca_state < CA_RECOVERY) {
            c->fl->reno_sacked = 0;
        }
    } else if (a->dup) {
        c->fl->reno_sacked++;
        limit_reno(st, env, c, 0);
        a->delivered += c->fl->reno_sacked > before ? c->fl->reno_sacked - before : 0;
    }
}

/* RFC 8985 7.4.2, TLP_process_ack: what became of the probe. Until that is known there is no other.
 */
void tcp_tlp_judge(struct stack *st, struct env *env, struct tcp *c, const struct tcp_acked *a)
{
    if (!c->tlp_out || seq_lt(c->snd.una, c->tlp_high)) {
        return;
    }
    if (!c->tlp_retrans || a->dsack_tlp) {
        c->tlp_out = false; /* new data was delivered; case 1: the original and the probe were */
    } else if (seq_gt(c->snd.una, c->tlp_high)) {
        c->tlp_out = false; /* the probe repaired a loss that nobody reported */
        if (c->ca_state < CA_CWR && tcp_flight_get(st, env, c)) {
            begin_reduction(c);
            c->cc.cwnd = min_u32(c->cc.cwnd, c->cc.ssthresh);
            tcp_tell_cwnd(st, env, c, CWND_STATE);
        }
    } else if (a->dup && !a->sacked && !a->dsack) {
        c->tlp_out = false; /* case 2: both were, and the peer knows no D-SACK */
    }
}

/* RFC 5682 3.1 (3b): data that was never sent again is acknowledged, by SACK or not. (2a): not
 * where the first acknowledgment covers everything; Linux, not RFC: but else it may be the first.
 */
static bool timeout_was_spurious(const struct tcp *c, const struct tcp_acked *a)
{
    return c->fl->undo_cwnd && a->orig_acked &&
           (c->frto == FRTO_NEW || (c->frto == FRTO_SENT && seq_lt(c->snd.una, c->fl->high_seq)));
}

static void in_loss_state(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    if (c->fl->undo_cwnd && may_undo(c, a)) {
        undo(st, env, c, true);
        end_recovery(st, env, c, a);
        return;
    }
    if (c->frto == FRTO_SENT && a->new_data) {
        c->frto = FRTO_NEW; /* RFC 5682 2.1 (2b); tcp_push falls back where nothing new may go */
    } else if (c->frto == FRTO_NEW && (a->sacked || a->dup)) {
        c->frto = FRTO_OFF; /* RFC 5682 3.1 (3a): the loss was real */
    }
    if (c->sack_ok) {
        rack_detect(st, env, c, a);
    }
}

static void below_recovery(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    c->dup_acks = a->dup ? (uint8_t)min_u32(c->dup_acks + 1u, 255) : a->new_data ? 0 : c->dup_acks;
    detect(st, env, c, a);
    if (c->fl->tx.lost && tcp_mtu_probe_lost(st, env, c)) {
        return;
    }
    if (c->fl->tx.lost) {
        st->stats.TcpFastRetrans++;
        enter_recovery(st, env, c);
        prr(c, a);
    } else if (a->ece && c->ca_state < CA_CWR) {
        c->fl->undo_cwnd = 0;
        begin_reduction(c);
        to_state(st, env, c, CA_CWR);
    }
    if (c->ca_state == CA_CWR) {
        if (a->delivered) {
            prr(c, a);
        }
    } else if (c->ca_state < CA_CWR) {
        to_state(st, env, c,
                 c->fl->tx.sacked || c->fl->reno_sacked || c->fl->tx.retrans ? CA_DISORDER
                                                                             : CA_OPEN);
    }
}

void tcp_loss_ack(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a)
{
    if (c->fl->tx.n && (txq_at(&c->fl->tx, 0)->flags & TXR_SACKED)) {
        renege(c);
        a->reneged = true;
    }
    tcp_tlp_judge(st, env, c, a);
    count_reno(st, env, c, a);
    if (c->ca_state == CA_CWR && seq_gt(c->snd.una, c->fl->high_seq)) {
        end_recovery(st, env, c, a); /* Linux, not RFC: beyond it, so that the CWR has arrived */
    }
    if (c->ca_state == CA_LOSS && timeout_was_spurious(c, a)) {
        undo(st, env, c, true);
        end_recovery(st, env, c, a);
        return;
    }
    if (c->ca_state >= CA_RECOVERY && seq_geq(c->snd.una, c->fl->high_seq) &&
        (c->sack_ok || seq_gt(c->snd.una, c->fl->high_seq) || c->fl->tx.n == 0)) {
        end_recovery(st, env, c, a); /* RFC 6582 4: without SACK one step beyond */
        return;
    }
    switch (c->ca_state) {
    case CA_RECOVERY:
        detect(st, env, c, a);
        if (may_undo(c, a)) {
            undo(st, env, c, true);
            end_recovery(st, env, c, a);
            return;
        }
        if (a->delivered) {
            prr(c, a);
        }
        break;
    case CA_LOSS:
        in_loss_state(st, env, c, a);
        break;
    default:
        below_recovery(st, env, c, a);
        break;
    }
}

void tcp_loss_reorder(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp_acked a = {.prior_una = c->snd.una};

    rack_detect(st, env, c, &a);
    if (a.newly_lost) {
        if (c->ca_state < CA_RECOVERY) {
            st->stats.TcpFastRetrans++;
            enter_recovery(st, env, c);
        }
        if (c->ca_state == CA_RECOVERY) {
            prr(c, &a);
        }
        tcp_output(st, env, c);
    }
    if (tcp_due(c, TT_REORDER) == NEVER) {
        tcp_arm_rto(st, env, c);
    }
}

/* RFC 8985 6.3, RACK_mark_losses_on_RTO: the first, and what should have been delivered by now;
 * without SACK all that is outstanding. */
static void mark_timed_out(struct stack *st, struct env *env, struct tcp *c)
{
    nsec rtt = c->fl->rack.rtt ? c->fl->rack.rtt : c->rtt.srtt; /* nothing of this flight came */
    nsec after = rtt + reordering_window(st, c);

    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        struct tx_rec *r = txq_at(&c->fl->tx, i);
        bool over = i == 0 || !c->sack_ok || r->at + after <= env->now;
        if (over && !(r->flags & TXR_SACKED)) {
            mark_lost(c, r, NULL);
        }
    }
}

/* RFC 6298 5.4-5.7, RFC 5681 3.1: what is outstanding is taken for lost; one segment goes out. */
void tcp_loss_timeout(struct stack *st, struct env *env, struct tcp *c)
{
    bool fresh = c->ca_state < CA_RECOVERY;

    if (c->ca_state <= CA_DISORDER || seq_geq(c->snd.una, c->fl->high_seq) ||
        (c->ca_state == CA_LOSS && c->retries <= 1)) {
        begin_undo(c);
        c->fl->prior_cwnd = c->cc.cwnd;
        c->cc.ssthresh = tcp_cc_ops(c->cc.algo)->on_loss(&c->cc);
        tcp_ecn_reduced(c);
        if (tcp_cc_ops(c->cc.algo)->on_rto) {
            tcp_cc_ops(c->cc.algo)->on_rto(&c->cc);
        }
    }
    if (txq_at(&c->fl->tx, 0)->flags & TXR_SACKED) {
        renege(c);
    }
    mark_timed_out(st, env, c);
    c->fl->reno_sacked = 0;
    c->dup_acks = 0;
    c->tlp_out = false;
    tcp_timer_clear(st, env, c, TT_REORDER);
    c->cc.cwnd = tcp_inflight(c) + 1;
    c->cc.cwnd_cnt = 0;
    c->fl->high_seq = c->snd.nxt;
    /* RFC 5682 2.1 (1), 3.1, here only with SACK. Linux, not RFC: also when the same times out
     * again, and not with a probe of the path's MTU out. */
    bool frto = st->knobs.tcp_frto && c->sack_ok && !c->mtu.probe && (fresh || c->retries > 1);
    c->frto = frto ? FRTO_SENT : FRTO_OFF;
    to_state(st, env, c, CA_LOSS);
    tcp_loss_resend(st, env, c);
}

/* How many segments of a lost record lie in the peer's window, which it may have taken back.
 * RFC 9293 3.8.6, MUST-34, SHLD-16. The first one is always sent: it probes a closed window. */
static uint32_t peer_takes(const struct tcp *c, const struct tx_rec *r)
{
    seq edge = seq_add(c->snd.una, c->snd.wnd);

    if (seq_geq(r->from, edge)) {
        return seq_eq(r->from, c->snd.una) ? 1 : 0;
    }
    return max_u32(seq_dist(r->from, edge) / max_u32(c->snd.mss, 1), 1);
}

/* Makes record i end where the peer's window does, if not even one segment fits. Linux, not RFC. */
static int cut_to_window(struct stack *st, struct env *env, struct tcp *c, uint32_t i)
{
    const struct tx_rec *r = txq_at(&c->fl->tx, i);
    seq edge = seq_add(c->snd.una, c->snd.wnd);

    if (seq_geq(r->from, edge) || seq_leq(r->to, edge) || seq_dist(r->from, edge) >= c->snd.mss) {
        return 0;
    }
    return txq_split(&c->fl->tx, st->mem, env, i, edge, c->snd.mss);
}

void tcp_loss_smaller(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->ca_state != CA_LOSS) {
        if (c->ca_state < CA_CWR) { /* Linux: tcp_current_ssthresh */
            c->cc.ssthresh = max_u32(c->cc.ssthresh, c->cc.cwnd / 2 + c->cc.cwnd / 4);
        }
        c->fl->high_seq = c->snd.nxt;
        c->fl->undo_cwnd = 0;
        c->frto = FRTO_OFF;
        to_state(st, env, c, CA_LOSS);
    }
}

void tcp_loss_resend(struct stack *st, struct env *env, struct tcp *c)
{
    tcp_loss_resend_as(st, env, c, c->ca_state == CA_LOSS ? TX_RTO : TX_FAST);
}

void tcp_loss_resend_as(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    for (uint32_t i = 0; i < c->fl->tx.n && c->fl->tx.lost; i++) {
        struct tx_rec *r = txq_at(&c->fl->tx, i);
        if (!(r->flags & TXR_LOST)) {
            continue;
        }
        tcp_mtu_recount(c, i);
        uint32_t inflight = tcp_inflight(c);
        uint32_t takes = peer_takes(c, r);
        if (inflight >= c->cc.cwnd || takes == 0 || tcp_pace_waits(st, env, c)) {
            return;
        }
        takes = min_u32(takes, tcp_tso_segs(st, c, c->snd.mss, tcp_gso_most(st, c, c->snd.mss)));
        if (cut_record(st, env, c, i, min_u32(c->cc.cwnd - inflight, takes)) ||
            cut_to_window(st, env, c, i)) {
            return;
        }
        tcp_resend(st, env, c, i, why);
        c->fl->prr_out += txq_at(&c->fl->tx, i)->segs;
        if (i == 0) {
            *tcp_due_at(c, TT_TLP) = NEVER;
            tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
        }
    }
}

/* RFC 8985 7.3: new data if there is any and the window lets it, else the last segment again. */
void tcp_tlp_fire(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->tx.n == 0) {
        return;
    }
    if (c->fl->tx.sacked) { /* 7.2: reported since, while the reordering timer ran */
        *tcp_due_at(c, TT_TLP) = NEVER;
        tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
        return;
    }
    seq before = c->snd.nxt;
    uint32_t cwnd = c->cc.cwnd;

    st->stats.TcpLossProbes++;
    c->tlp_out = true;
    if (tcp_unsent(c)) {
        c->cc.cwnd = max_u32(cwnd, tcp_inflight(c) + 1);
        tcp_output(st, env, c);
        c->cc.cwnd = cwnd;
    }
    c->tlp_retrans = seq_eq(before, c->snd.nxt);
    if (c->tlp_retrans) {
        uint32_t last = c->fl->tx.n - 1;
        struct tx_rec *r = txq_at(&c->fl->tx, last);
        if (r->segs > 1) {
            seq cut = seq_add(r->from, (r->segs - 1u) * c->snd.mss);
            if (seq_lt(cut, r->to) &&
                txq_split(&c->fl->tx, st->mem, env, last, cut, c->snd.mss) == 0) {
                last++;
            }
        }
        tcp_resend(st, env, c, last, TX_TLP);
    }
    c->tlp_high = c->snd.nxt;
    *tcp_due_at(c, TT_TLP) = NEVER;
    tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
}
