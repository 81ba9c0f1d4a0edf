/*
 * tcp_pace.c - theory of operation
 *
 * How much goes into one (super-)segment, and when the next may leave.
 *
 * The pacing rate is always known: what the algorithm says, or a multiple of cwnd per round trip
 * (Linux, not RFC: tcp_pacing_ss_ratio below half of ssthresh, tcp_pacing_ca_ratio above), never
 * more than SO_MAX_PACING_RATE. A connection is paced, though, only if its algorithm asks for it or
 * the program has set that option; all others send when the window opens, as on a Linux host
 * without the fq discipline, and pay nothing.
 *
 * Pacing keeps one time, pace_at: before it nothing but a pure acknowledgment leaves; TT_PACE wakes
 * the connection then. Each (super-)segment moves it on by the time its bytes take at the rate,
 * less up to half of that if it left late itself. The first ten segments of a connection are not
 * paced (Linux, not RFC; as the initial window of RFC 6928).
 *
 * Segmentation offload cuts a burst of up to 64 KiB. Its size is what is sent in about a
 * millisecond at the pacing rate, but at least tcp_min_tso_segs segments, and more on short paths
 * (tcp_tso_rtt_log), where bursts harm nobody. A sender whose window holds less than such a
 * burst waits for the next acknowledgment if that is near (tcp_tso_win_divisor).
 */
#include "tcp_cb.h"

#include "check.h"

#define GSO_MAX      65536u
#define PACING_SHIFT 10 /* Linux, not RFC: a burst is the rate over 1024 a second */
#define UNPACED_SEGS 10u

static nsec pacing_gap(uint64_t rate, uint64_t bytes)
{
    return rate ? (nsec)(bytes * (uint64_t)SEC / rate) : 0;
}

void tcp_pace_update(const struct stack *st, struct tcp *c)
{
    if (!tcp_cc_ops(c->cc.algo)->control && c->rtt.srtt) {
        bool low = c->cc.cwnd < c->cc.ssthresh / 2;
        uint32_t ratio =
            (uint32_t)(low ? st->knobs.tcp_pacing_ss_ratio : st->knobs.tcp_pacing_ca_ratio);
        uint64_t bytes = (uint64_t)max_u32(c->cc.cwnd, c->fl->tx.out) * c->snd.mss * ratio / 100;
        uint64_t us = max_u64((uint64_t)(c->rtt.srtt / USEC), 1);
        c->cc.pacing_rate = bytes * 1000000u / us;
    }
    if (c->s.opt.max_pacing_rate != UINT64_MAX) {
        c->cc.paced = true;
        c->cc.pacing_rate = c->cc.pacing_rate ? min_u64(c->cc.pacing_rate, c->s.opt.max_pacing_rate)
                                              : c->s.opt.max_pacing_rate;
    }
}

bool tcp_pace_waits(struct stack *st, struct env *env, struct tcp *c)
{
    if (!c->cc.paced || c->pace_at <= env->now) {
        return false;
    }
    if (tcp_due(c, TT_PACE) != c->pace_at) {
        tcp_timer_set(st, env, c, TT_PACE, c->pace_at);
    }
    return true;
}

void tcp_pace_sent(struct tcp *c, uint32_t bytes, nsec now)
{
    if (!c->cc.paced || c->info.data_segs_out <= UNPACED_SEGS) {
        return;
    }
    nsec late = now - c->pace_at;
    nsec gap = pacing_gap(c->cc.pacing_rate, bytes);
    c->pace_at = nsec_max(c->pace_at, now) + gap - nsec_max(nsec_min(gap / 2, late), 0);
}

uint32_t tcp_tso_segs(const struct stack *st, const struct tcp *c, uint32_t mss, uint32_t most)
{
    uint64_t bytes = c->cc.pacing_rate ? c->cc.pacing_rate >> PACING_SHIFT : GSO_MAX;

    if (c->rtt.min != NEVER && st->knobs.tcp_tso_rtt_log) {
        uint64_t r = (uint64_t)(c->rtt.min / USEC) >> st->knobs.tcp_tso_rtt_log;
        bytes += r < 32 ? GSO_MAX >> r : 0;
    }
    uint32_t segs = bytes >= GSO_MAX ? most / mss : (uint32_t)bytes / mss;
    return min_u32(max_u32(segs, (uint32_t)st->knobs.tcp_min_tso_segs), most / mss);
}

/* Whether the acknowledgment of the oldest segment is due within half a round trip, or a
 * millisecond. */
static bool ack_is_near(const struct tcp *c, nsec now)
{
    nsec due = txq_at(&c->fl->tx, 0)->at + c->rtt.srtt;
    return due - now <= nsec_min(c->rtt.srtt / 2, MSEC);
}

bool tcp_tso_defers(const struct stack *st, const struct tcp *c, uint32_t window, uint32_t unsent,
                    uint32_t full, nsec now)
{
    if (c->ca_state >= CA_RECOVERY || c->fl->tx.n == 0 || now - c->snd_at > MSEC ||
        window >= full || (c->fin_queued && unsent <= window)) {
        return false;
    }
    uint32_t div = (uint32_t)st->knobs.tcp_tso_win_divisor;
    uint64_t all = min_u64(c->snd.wnd, (uint64_t)c->cc.cwnd * c->snd.mss);
    if (div ? window >= all / div : window > 3u * c->snd.mss) {
        return false;
    }
    return ack_is_near(c, now);
}
