/*
 * tcp_bbr_model.c - theory of operation
 *
 * What BBR knows of the path, from the rate samples of tcp_rate.h (draft-ietf-ccwg-bbr 5.5).
 *
 * Long term: max_bw, the largest delivery rate of the last two cycles of probing, and min_rtt, the
 * smallest round trip of ten seconds, make the bandwidth-delay product; inflight_longterm is how
 * much in flight the path bore without losing more than 2 %. Short term: after a round with loss
 * outside of probing, bw_shortterm and inflight_shortterm fall to what was delivered, or by 0.7,
 * until the next probe.
 *
 * A round begins when something sent after the last began is delivered (5.5.1). extra_acked is by
 * how much acknowledgments come in lumps (5.5.9).
 *
 * Deliberately missing: reacting to ECN marks, which the draft leaves open.
 */
#include "tcp_bbr.h"

#include "check.h"
#include "tcp_cc.h"

#define BETA_NUM           7u /* 0.7 */
#define BETA_DEN           10u
#define FULL_BW_ROUNDS     3u
#define MIN_RTT_FILTER_MS  10000u
#define PROBE_RTT_EVERY_MS 5000u
#define EXTRA_ACKED_ROUNDS 5u      /* of each of two slots */
#define EXTRA_ACKED_MAX_US 100000u /* at most so long at the bandwidth (Linux, not the draft) */

static uint32_t rate_of(const struct bbr *b, const struct rate_sample *s)
{
    if (s->interval <= 0) {
        return 0;
    }
    uint64_t us = max_u64((uint64_t)(s->interval / USEC), 1);
    uint64_t rate = (uint64_t)s->delivered * b->mss * 1000000u / us / BBR_BW_UNIT;
    return (uint32_t)min_u64(rate, BBR_INF - 1);
}

uint64_t bbr_max_bw(const struct bbr *b)
{
    return (uint64_t)max_u32(b->max_bw[0], b->max_bw[1]) * BBR_BW_UNIT;
}

uint64_t bbr_bw(const struct bbr *b)
{
    return min_u64(bbr_max_bw(b), (uint64_t)b->bw_shortterm * BBR_BW_UNIT);
}

uint32_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain)
{
    if (b->min_rtt_us == BBR_INF || b->mss == 0) {
        return 0;
    }
    uint64_t bytes = bw * b->min_rtt_us / 1000000u * gain / BBR_UNIT;
    return (uint32_t)min_u64((bytes + b->mss - 1) / b->mss, CWND_INFINITE);
}

uint32_t bbr_extra_acked(const struct bbr *b)
{
    uint32_t most = (uint32_t)(bbr_bw(b) * EXTRA_ACKED_MAX_US / 1000000u / max_u32(b->mss, 1));
    return min_u32(max_u32(b->extra_acked[0], b->extra_acked[1]), most);
}

/* ---- rounds */

void bbr_start_round(struct bbr *b, uint32_t delivered)
{
    b->next_round_delivered = delivered;
}

static bool reached(uint32_t delivered, uint32_t mark)
{
    return (int32_t)(delivered - mark) >= 0;
}

static void update_round(struct bbr *b, const struct cc_ack *ack)
{
    b->round_start =
        ack->rate->sent_at && reached(ack->rate->prior_delivered, b->next_round_delivered);
    if (b->round_start) {
        bbr_start_round(b, ack->total->delivered);
        b->rounds_since_probe = (uint8_t)min_u32(b->rounds_since_probe + 1u, 255);
    }
}

/* ---- bandwidth and congestion, 5.5.5, 5.5.10 */

void bbr_reset_congestion(struct bbr *b)
{
    b->loss_in_round = false;
    b->bw_latest = 0;
    b->inflight_latest = 0;
}

void bbr_reset_shortterm(struct bbr *b)
{
    b->bw_shortterm = BBR_INF;
    b->inflight_shortterm = BBR_INF;
}

void bbr_advance_max_bw(struct bbr *b)
{
    if (b->max_bw[1] == 0) {
        return; /* no sample in this cycle: keep the old one */
    }
    b->max_bw[0] = b->max_bw[1];
    b->max_bw[1] = 0;
}

static uint32_t beta(uint32_t v)
{
    return (uint32_t)((uint64_t)v * BETA_NUM / BETA_DEN);
}

static void lower_bounds(struct bbr *b, uint32_t cwnd)
{
    if (bbr_probing(b) || !b->loss_in_round) {
        return;
    }
    if (b->bw_shortterm == BBR_INF) {
        b->bw_shortterm = max_u32(b->max_bw[0], b->max_bw[1]);
    }
    if (b->inflight_shortterm == BBR_INF) {
        b->inflight_shortterm = cwnd;
    }
    b->bw_shortterm = max_u32(b->bw_latest, beta(b->bw_shortterm));
    b->inflight_shortterm = max_u32(b->inflight_latest, beta(b->inflight_shortterm));
}

void bbr_update_signals(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    const struct rate_sample *s = ack->rate;
    uint32_t bw = rate_of(b, s);

    b->loss_round_start = false;
    update_round(b, ack);
    if (bw == 0) {
        return;
    }
    b->bw_latest = max_u32(b->bw_latest, bw);
    b->inflight_latest = max_u32(b->inflight_latest, s->delivered);
    if (reached(s->prior_delivered, b->loss_round_delivered)) {
        b->loss_round_delivered = ack->total->delivered;
        b->loss_round_start = true;
    }
    if (!s->app_limited || bw >= max_u32(b->max_bw[0], b->max_bw[1])) {
        b->max_bw[1] = max_u32(b->max_bw[1], bw);
    }
    if (b->loss_round_start) {
        lower_bounds(b, cwnd);
        b->loss_in_round = false;
    }
}

void bbr_advance_signals(struct bbr *b, const struct cc_ack *ack)
{
    if (b->loss_round_start) {
        b->bw_latest = rate_of(b, ack->rate);
        b->inflight_latest = ack->rate->delivered;
    }
}

/* ---- has the bandwidth reached its plateau? 5.3.1.2 */

void bbr_reset_full_bw(struct bbr *b)
{
    b->full_bw = 0;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

void bbr_check_full_bw(struct bbr *b, const struct cc_ack *ack)
{
    uint32_t bw = rate_of(b, ack->rate);

    if (b->full_bw_now || !b->round_start || ack->rate->app_limited || bw == 0) {
        return;
    }
    if ((uint64_t)bw * 4 >= (uint64_t)b->full_bw * 5) {
        bbr_reset_full_bw(b);
        b->full_bw = bw;
        return;
    }
    b->full_bw_count++;
    b->full_bw_now = b->full_bw_count >= FULL_BW_ROUNDS;
    b->full_bw_reached |= b->full_bw_now;
}

/* ---- acknowledgments in lumps, 5.5.9 */

void bbr_update_aggregation(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    uint32_t now_us = (uint32_t)(ack->now / USEC);
    uint64_t expected = bbr_bw(b) * (now_us - b->extra_acked_us) / 1000000u / max_u32(b->mss, 1);

    if (b->round_start &&
        ++b->extra_acked_rounds >= (b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1)) {
        b->extra_acked_rounds = 0;
        b->extra_acked[0] = b->extra_acked[1];
        b->extra_acked[1] = 0;
    }
    if (b->extra_acked_delivered <= expected) {
        b->extra_acked_delivered = 0;
        b->extra_acked_us = now_us;
        expected = 0;
    }
    b->extra_acked_delivered += ack->acked;
    uint32_t extra = b->extra_acked_delivered - (uint32_t)expected;
    b->extra_acked[1] = max_u32(b->extra_acked[1], min_u32(extra, cwnd));
}

/* ---- 5.3.4.3 */

void bbr_update_min_rtt(struct bbr *b, const struct cc_ack *ack)
{
    uint32_t now_ms = (uint32_t)(ack->now / MSEC);
    uint32_t us = (uint32_t)min_u64((uint64_t)(ack->rtt / USEC), BBR_INF - 1);

    b->probe_rtt_expired = now_ms - b->probe_rtt_min_ms > PROBE_RTT_EVERY_MS;
    if (ack->rtt && (us < b->probe_rtt_min_us || b->probe_rtt_expired)) {
        b->probe_rtt_min_us = us;
        b->probe_rtt_min_ms = now_ms;
    }
    if (b->probe_rtt_min_us < b->min_rtt_us || now_ms - b->min_rtt_ms > MIN_RTT_FILTER_MS) {
        b->min_rtt_us = b->probe_rtt_min_us;
        b->min_rtt_ms = b->probe_rtt_min_ms;
    }
}
