/*
 * tcp_bbr.c - theory of operation
 *
 * BBR, version 3 of the algorithm, draft-ietf-ccwg-bbr. It sends at the rate at which the path
 * delivered lately, and keeps about one bandwidth-delay product in flight (tcp_bbr_model.c). What
 * it does next:
 *
 *     Startup       2.77 times the bandwidth until that grows no more, or too much is lost
 *     Drain         half of it until the queue that made is gone
 *     ProbeBW Down  0.9: makes room for others, until a part of inflight_longterm is free
 *             Cruise   1.0: most of the time
 *             Refill   1.0 for a round, forgetting what recent losses taught
 *             Up       1.25 until the bandwidth grows no more, or more than 2 % is lost
 *     ProbeRTT      every five seconds without a smaller round trip, for 200 ms half of the product
 *
 * A cycle of ProbeBW takes 2 to 3 s, or as many rounds as Reno would need to grow by as much.
 * In fast recovery the window keeps to what is delivered for one round, and then follows the model.
 */
#include "tcp_bbr.h"

#include "check.h"
#include "tcp_cc.h"

#define STARTUP_GAIN       709u /* 4 ln 2 = 2.77, 5.6.1 */
#define DRAIN_GAIN         128u /* 0.5 */
#define DOWN_GAIN          230u /* 0.9 */
#define UP_GAIN            320u /* 1.25 */
#define CWND_GAIN          512u /* 2 */
#define UP_CWND_GAIN       576u /* 2.25 */
#define PROBE_RTT_GAIN     128u /* 0.5 */
#define PACING_MARGIN      99u  /* % */
#define LOSS_DEN           50u  /* LossThresh: 2 % */
#define STARTUP_LOSSES     6u   /* StartupFullLossCnt */
#define PROBE_WAIT_MS      2000u
#define PROBE_WAIT_RAND_MS 1000u
#define RENO_ROUNDS_MAX    63u
#define PROBE_RTT_MS       200u

static uint32_t ms_of(nsec t)
{
    return (uint32_t)(t / MSEC);
}

/* Chance, so that flows do not probe together; the seed is the initial sequence number. */
static uint32_t chance(struct bbr *b, uint32_t n)
{
    b->rng = b->rng * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)b->rng * n >> 32);
}

static uint32_t pacing_gain(const struct bbr *b)
{
    static const uint16_t gain[] = {
        [BBR_STARTUP] = STARTUP_GAIN,     [BBR_DRAIN] = DRAIN_GAIN,
        [BBR_PROBE_BW_DOWN] = DOWN_GAIN,  [BBR_PROBE_BW_CRUISE] = BBR_UNIT,
        [BBR_PROBE_BW_REFILL] = BBR_UNIT, [BBR_PROBE_BW_UP] = UP_GAIN,
        [BBR_PROBE_RTT] = BBR_UNIT,
    };
    return gain[b->state];
}

static uint32_t cwnd_gain(const struct bbr *b)
{
    return b->state == BBR_PROBE_BW_UP ? UP_CWND_GAIN
           : b->state == BBR_PROBE_RTT ? PROBE_RTT_GAIN
                                       : CWND_GAIN;
}

static void set_pacing_rate(struct tcp_cc *cc, uint32_t gain)
{
    const struct bbr *b = &cc->u.bbr;
    uint64_t rate = bbr_bw(b) * gain / BBR_UNIT * PACING_MARGIN / 100;

    if (rate && (b->full_bw_reached || rate > cc->pacing_rate)) {
        cc->pacing_rate = rate;
    }
}

static void bbr_init(struct tcp_cc *cc, const struct cc_setup *how)
{
    struct bbr *b = &cc->u.bbr;
    uint64_t us = how->srtt ? max_u64((uint64_t)(how->srtt / USEC), 1) : 1000;

    *b = (struct bbr){
        .bw_shortterm = BBR_INF,
        .inflight_shortterm = BBR_INF,
        .inflight_longterm = BBR_INF,
        .min_rtt_us = how->srtt ? (uint32_t)us : BBR_INF,
        .min_rtt_ms = ms_of(how->now),
        .probe_rtt_min_us = how->srtt ? (uint32_t)us : BBR_INF,
        .probe_rtt_min_ms = ms_of(how->now),
        .extra_acked_us = (uint32_t)(how->now / USEC),
        .next_round_delivered = how->delivered,
        .loss_round_delivered = how->delivered,
        .probe_up_cnt = BBR_INF,
        .rng = how->nxt.v,
        .mss = how->mss,
    };
    cc->pacing_rate =
        (uint64_t)how->cwnd * how->mss * 1000000u / us * STARTUP_GAIN / BBR_UNIT; /* 5.6.2 */
}

/* ---- ProbeBW, 5.3.3 */

static uint32_t headroom_window(const struct bbr *b)
{
    if (b->inflight_longterm == BBR_INF) {
        return BBR_INF;
    }
    uint32_t room = max_u32(b->inflight_longterm * 15 / 100, 1);
    return b->inflight_longterm > room + BBR_MIN_PIPE ? b->inflight_longterm - room : BBR_MIN_PIPE;
}

static void start_down(struct bbr *b, uint32_t delivered, uint32_t now_ms)
{
    bbr_reset_congestion(b);
    b->probe_up_cnt = BBR_INF;
    b->rounds_since_probe = (uint8_t)chance(b, 2);
    b->probe_wait_ms = (uint16_t)(PROBE_WAIT_MS + chance(b, PROBE_WAIT_RAND_MS));
    b->cycle_ms = now_ms;
    b->ack_phase = BBR_ACKS_PROBE_STOPPING;
    bbr_start_round(b, delivered);
    b->state = BBR_PROBE_BW_DOWN;
}

static void start_refill(struct bbr *b, uint32_t delivered)
{
    bbr_reset_shortterm(b);
    b->probe_up_rounds = 0;
    b->probe_up_acks = 0;
    b->ack_phase = BBR_ACKS_REFILLING;
    bbr_start_round(b, delivered);
    b->state = BBR_PROBE_BW_REFILL;
}

/* How many acknowledged segments raise inflight_longterm by one: it doubles each round. */
static void raise_slope(struct bbr *b, uint32_t cwnd)
{
    uint32_t growth = 1u << b->probe_up_rounds;

    b->probe_up_rounds = (uint8_t)min_u32(b->probe_up_rounds + 1u, 30);
    b->probe_up_cnt = max_u32(cwnd / growth, 1);
}

static void start_up(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    b->bw_probe_samples = true;
    b->ack_phase = BBR_ACKS_PROBE_STARTING;
    bbr_start_round(b, ack->total->delivered);
    bbr_reset_full_bw(b);
    b->full_bw = b->bw_latest;
    b->cycle_ms = ms_of(ack->now);
    b->state = BBR_PROBE_BW_UP;
    raise_slope(b, cwnd);
}

static uint32_t target_inflight(const struct bbr *b, uint32_t cwnd)
{
    return min_u32(bbr_bdp(b, bbr_bw(b), BBR_UNIT), cwnd);
}

static bool time_to_probe(const struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    return ms_of(ack->now) - b->cycle_ms > b->probe_wait_ms ||
           b->rounds_since_probe >= min_u32(target_inflight(b, cwnd), RENO_ROUNDS_MAX);
}

static bool time_to_cruise(const struct bbr *b, const struct cc_ack *ack)
{
    return ack->inflight <= headroom_window(b) &&
           ack->inflight <= bbr_bdp(b, bbr_max_bw(b), BBR_UNIT);
}

static bool time_to_go_down(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    if (ack->cwnd_limited && cwnd >= b->inflight_longterm) {
        bbr_reset_full_bw(b); /* the bandwidth is what inflight_longterm lets it be */
        b->full_bw = b->bw_latest;
        return false;
    }
    return b->full_bw_now;
}

static bool too_much_lost(uint32_t lost, uint32_t inflight)
{
    return (uint64_t)lost * LOSS_DEN > inflight;
}

static void probe_upward(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    if (!ack->cwnd_limited || cwnd < b->inflight_longterm) {
        return;
    }
    b->probe_up_acks += ack->acked;
    if (b->probe_up_acks >= b->probe_up_cnt) {
        uint32_t n = b->probe_up_acks / b->probe_up_cnt;
        b->probe_up_acks -= n * b->probe_up_cnt;
        b->inflight_longterm += n;
    }
    if (b->round_start) {
        raise_slope(b, cwnd);
    }
}

/* 5.3.3.6 */
static void adapt_longterm(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    const struct rate_sample *s = ack->rate;

    if (b->ack_phase == BBR_ACKS_PROBE_STARTING && b->round_start) {
        b->ack_phase = BBR_ACKS_PROBE_FEEDBACK;
    }
    if (b->ack_phase == BBR_ACKS_PROBE_STOPPING && b->round_start) {
        b->bw_probe_samples = false;
        b->ack_phase = BBR_ACKS_INIT;
        if (bbr_in_probe_bw(b) && !s->app_limited) {
            bbr_advance_max_bw(b);
        }
    }
    if (!s->sent_at || too_much_lost(s->lost, s->inflight) || b->inflight_longterm == BBR_INF) {
        return;
    }
    b->inflight_longterm = max_u32(b->inflight_longterm, s->inflight);
    if (b->state == BBR_PROBE_BW_UP) {
        probe_upward(b, ack, cwnd);
    }
}

static void update_cycle(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd)
{
    if (!b->full_bw_reached) {
        return;
    }
    adapt_longterm(b, ack, cwnd);
    switch (b->state) {
    case BBR_PROBE_BW_DOWN:
        if (time_to_probe(b, ack, cwnd)) {
            start_refill(b, ack->total->delivered);
        } else if (time_to_cruise(b, ack)) {
            b->state = BBR_PROBE_BW_CRUISE;
        }
        break;
    case BBR_PROBE_BW_CRUISE:
        if (time_to_probe(b, ack, cwnd)) {
            start_refill(b, ack->total->delivered);
        }
        break;
    case BBR_PROBE_BW_REFILL:
        if (b->round_start) {
            start_up(b, ack, cwnd);
        }
        break;
    case BBR_PROBE_BW_UP:
        if (time_to_go_down(b, ack, cwnd)) {
            start_down(b, ack->total->delivered, ms_of(ack->now));
        }
        break;
    default:
        break;
    }
}

/* ---- Startup and Drain, 5.3.1, 5.3.2 */

/* 5.3.1.3: more than 2 % of a round lost in at least six places. */
static void startup_losses(struct bbr *b, const struct cc_ack *ack)
{
    if (ack->lost) {
        b->loss_events = (uint8_t)min_u32(b->loss_events + 1u, 255);
    }
    if (b->state == BBR_STARTUP && b->loss_round_start && ack->ca_state == CA_RECOVERY &&
        b->loss_events >= STARTUP_LOSSES && too_much_lost(ack->rate->lost, ack->rate->inflight)) {
        b->full_bw_reached = true;
        b->inflight_longterm = max_u32(bbr_bdp(b, bbr_max_bw(b), BBR_UNIT), b->inflight_latest);
    }
    if (b->loss_round_start) {
        b->loss_events = 0;
    }
}

static void leave_startup(struct bbr *b, const struct cc_ack *ack)
{
    startup_losses(b, ack);
    if (b->state == BBR_STARTUP && b->full_bw_reached) {
        b->state = BBR_DRAIN;
    }
    if (b->state == BBR_DRAIN && ack->inflight <= bbr_bdp(b, bbr_max_bw(b), BBR_UNIT)) {
        start_down(b, ack->total->delivered, ms_of(ack->now));
    }
}

/* ---- ProbeRTT, 5.3.4 */

static uint32_t probe_rtt_window(const struct bbr *b)
{
    return max_u32(bbr_bdp(b, bbr_bw(b), PROBE_RTT_GAIN), BBR_MIN_PIPE);
}

static void end_probe_rtt(struct tcp_cc *cc, const struct tcp_rate *total, uint32_t now_ms)
{
    struct bbr *b = &cc->u.bbr;

    if (!b->probe_rtt_timed || (int32_t)(now_ms - b->probe_rtt_done_ms) < 0) {
        return;
    }
    b->probe_rtt_min_ms = now_ms;
    cc->cwnd = max_u32(cc->cwnd, b->prior_cwnd);
    bbr_reset_shortterm(b);
    if (b->full_bw_reached) {
        start_down(b, total->delivered, now_ms);
        b->state = BBR_PROBE_BW_CRUISE;
    } else {
        b->state = BBR_STARTUP;
    }
}

static void save_cwnd(struct tcp_cc *cc)
{
    struct bbr *b = &cc->u.bbr;
    bool whole = b->ca_state < CA_RECOVERY && b->state != BBR_PROBE_RTT;

    b->prior_cwnd = whole ? cc->cwnd : max_u32(b->prior_cwnd, cc->cwnd);
}

static void probe_rtt(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct bbr *b = &cc->u.bbr;

    if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        save_cwnd(cc);
        if (b->state == BBR_PROBE_BW_UP) {
            /* Not in the draft: a probe cut short was a probe. Else, where three rounds take longer
             * than is left until ProbeRTT, max_bw never ages, and min_rtt grows with its queue. */
            bbr_advance_max_bw(b);
        }
        b->state = BBR_PROBE_RTT;
        b->probe_rtt_timed = false;
        b->ack_phase = BBR_ACKS_PROBE_STOPPING;
        bbr_start_round(b, ack->total->delivered);
    }
    if (b->state == BBR_PROBE_RTT) {
        tcp_rate_limited(ack->total, ack->inflight); /* what is delivered now says little */
        if (!b->probe_rtt_timed) {
            if (ack->inflight <= probe_rtt_window(b)) {
                b->probe_rtt_timed = true;
                b->probe_rtt_done_ms = ms_of(ack->now) + PROBE_RTT_MS;
                b->probe_rtt_rounded = false;
                bbr_start_round(b, ack->total->delivered);
            }
        } else {
            b->probe_rtt_rounded |= b->round_start;
            if (b->probe_rtt_rounded) {
                end_probe_rtt(cc, ack->total, ms_of(ack->now));
            }
        }
    }
    if (ack->acked) {
        b->idle_restart = false;
    }
}

/* ---- the window, 5.6.4 */

static uint32_t bound_by_model(const struct bbr *b, uint32_t cwnd)
{
    uint32_t cap = BBR_INF;

    if (b->state == BBR_PROBE_RTT || b->state == BBR_PROBE_BW_CRUISE) {
        cap = headroom_window(b);
    } else if (bbr_in_probe_bw(b)) {
        cap = b->inflight_longterm;
    }
    cap = max_u32(min_u32(cap, b->inflight_shortterm), BBR_MIN_PIPE);
    return min_u32(cwnd, cap);
}

static uint32_t max_inflight(const struct bbr *b, const struct cc_ack *ack)
{
    uint32_t n = bbr_bdp(b, bbr_bw(b), cwnd_gain(b)) + bbr_extra_acked(b);

    n = max_u32(n, 3u * ack->burst); /* 5.6.4.2: bursts must not leave the path empty */
    n = max_u32(n, BBR_MIN_PIPE);
    return b->state == BBR_PROBE_BW_UP ? n + 2 : n;
}

/* 5.6.4.4: an ACK for n segments lets no more than 2n go; the first round of recovery, n. Returns
 * whether the window has been set. */
static bool recover(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct bbr *b = &cc->u.bbr;
    uint8_t before = b->ca_state;

    if (ack->lost) {
        cc->cwnd = cc->cwnd > ack->lost ? cc->cwnd - ack->lost : 1;
    }
    b->ca_state = ack->ca_state;
    if (ack->ca_state == CA_RECOVERY && before != CA_RECOVERY) {
        b->packet_conservation = true;
        bbr_start_round(b, ack->total->delivered);
        cc->cwnd = ack->inflight + ack->acked;
    } else if (before >= CA_RECOVERY && ack->ca_state < CA_RECOVERY) {
        cc->cwnd = max_u32(cc->cwnd, b->prior_cwnd);
        b->packet_conservation = false;
    } else if (b->packet_conservation && b->round_start) {
        b->packet_conservation = false;
    }
    if (b->packet_conservation) {
        cc->cwnd = max_u32(cc->cwnd, ack->inflight + ack->acked);
    }
    return b->packet_conservation;
}

static void set_cwnd(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct bbr *b = &cc->u.bbr;

    if (ack->acked && !recover(cc, ack)) {
        uint32_t most = max_inflight(b, ack);
        if (b->full_bw_reached) {
            cc->cwnd = min_u32(cc->cwnd + ack->acked, most);
        } else if (cc->cwnd < most || ack->total->delivered < 2 * ack->burst) {
            cc->cwnd += ack->acked;
        }
        cc->cwnd = max_u32(cc->cwnd, BBR_MIN_PIPE);
    }
    cc->cwnd = bound_by_model(b, cc->cwnd);
    if (b->state == BBR_PROBE_RTT) {
        cc->cwnd = min_u32(cc->cwnd, probe_rtt_window(b));
    }
}

static void bbr_control(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct bbr *b = &cc->u.bbr;

    b->mss = ack->mss;
    b->now_ms = ms_of(ack->now);
    bbr_update_signals(b, ack, cc->cwnd);
    bbr_update_aggregation(b, ack, cc->cwnd);
    bbr_check_full_bw(b, ack);
    leave_startup(b, ack);
    update_cycle(b, ack, cc->cwnd);
    bbr_update_min_rtt(b, ack);
    probe_rtt(cc, ack);
    bbr_advance_signals(b, ack);
    set_pacing_rate(cc, pacing_gain(b));
    set_cwnd(cc, ack);
}

/* ---- losses, 5.5.10 */

/* How much was in flight when the loss became too much: the segments of `lost` before that are part
 * of what the path bore. */
static uint32_t inflight_at_loss(const struct cc_lost *l)
{
    uint32_t before = l->inflight > l->segs ? l->inflight - l->segs : 0;
    uint32_t lost = l->lost > l->segs ? l->lost - l->segs : 0;
    uint32_t allowed = before / LOSS_DEN;

    return before + (allowed > lost ? (allowed - lost) * LOSS_DEN / (LOSS_DEN - 1) : 0);
}

static void bbr_on_lost(struct tcp_cc *cc, const struct cc_lost *l)
{
    struct bbr *b = &cc->u.bbr;

    if (!b->loss_in_round) {
        b->loss_round_delivered = l->delivered;
    }
    b->loss_in_round = true;
    if (!b->bw_probe_samples || !too_much_lost(l->lost, l->inflight)) {
        return;
    }
    b->bw_probe_samples = false; /* once for each probe */
    if (!l->app_limited) {
        uint32_t target = target_inflight(b, cc->cwnd) * 7 / 10;
        b->inflight_longterm = max_u32(inflight_at_loss(l), target);
    }
    if (b->state == BBR_PROBE_BW_UP) {
        start_down(b, l->delivered, b->now_ms);
    }
}

static uint32_t bbr_on_loss(struct tcp_cc *cc)
{
    struct bbr *b = &cc->u.bbr;

    save_cwnd(cc);
    b->undo_bw_shortterm = b->bw_shortterm;
    b->undo_inflight_shortterm = b->inflight_shortterm;
    b->undo_inflight_longterm = b->inflight_longterm;
    return cc->ssthresh; /* it means nothing here */
}

/* 5.6.4.5: after a timeout the window is one segment, and comes back when all is repaired. */
static void bbr_on_rto(struct tcp_cc *cc)
{
    struct bbr *b = &cc->u.bbr;

    bbr_reset_full_bw(b);
    if (!bbr_probing(b) && b->inflight_shortterm == BBR_INF) {
        b->inflight_shortterm = max_u32(cc->cwnd, b->prior_cwnd);
    }
    b->ca_state = CA_LOSS;
}

static void bbr_on_undo(struct tcp_cc *cc)
{
    struct bbr *b = &cc->u.bbr;

    bbr_reset_full_bw(b);
    b->loss_in_round = false;
    b->bw_shortterm = max_u32(b->bw_shortterm, b->undo_bw_shortterm);
    b->inflight_shortterm = max_u32(b->inflight_shortterm, b->undo_inflight_shortterm);
    b->inflight_longterm = max_u32(b->inflight_longterm, b->undo_inflight_longterm);
}

/* 5.4.1 */
static void bbr_on_restart(struct tcp_cc *cc, const struct tcp_rate *total, nsec idle, nsec now)
{
    struct bbr *b = &cc->u.bbr;

    (void)idle;
    if (!total->app_limited) {
        return;
    }
    b->idle_restart = true;
    b->extra_acked_us = (uint32_t)(now / USEC);
    b->extra_acked_delivered = 0;
    if (bbr_in_probe_bw(b)) {
        set_pacing_rate(cc, BBR_UNIT);
    } else if (b->state == BBR_PROBE_RTT) {
        end_probe_rtt(cc, total, ms_of(now));
    }
}

/* Linux's struct tcp_bbr_info. */
static size_t bbr_info(const struct tcp_cc *cc, uint32_t out[CC_INFO_WORDS])
{
    const struct bbr *b = &cc->u.bbr;
    uint64_t bw = bbr_bw(b);

    out[0] = (uint32_t)bw;
    out[1] = (uint32_t)(bw >> 32);
    out[2] = b->min_rtt_us;
    out[3] = pacing_gain(b);
    out[4] = cwnd_gain(b);
    return 5 * sizeof out[0];
}

const struct cc_ops tcp_bbr = {
    .name = "bbr",
    .flags = CC_PACES,
    .init = bbr_init,
    .on_ack = NULL,
    .control = bbr_control,
    .on_loss = bbr_on_loss,
    .on_rto = bbr_on_rto,
    .on_undo = bbr_on_undo,
    .on_restart = bbr_on_restart,
    .on_lost = bbr_on_lost,
    .info = bbr_info,
};
