/*
 * tcp_bbr.h - BBR's state, and what its two halves share: tcp_bbr.c (states, window, pacing) and
 * tcp_bbr_model.c (what the path can do).
 *
 * Section numbers are draft-ietf-ccwg-bbr's; BBR.x of the draft is x here.
 */
#ifndef STANDIN_CORE_TCP_BBR_H
#define STANDIN_CORE_TCP_BBR_H

#include <stdbool.h>
#include <stdint.h>

#include "nsec.h"

struct tcp_cc;
struct cc_ack;
struct cc_lost;

enum bbr_state {
    BBR_STARTUP,
    BBR_DRAIN,
    BBR_PROBE_BW_DOWN,
    BBR_PROBE_BW_CRUISE,
    BBR_PROBE_BW_REFILL,
    BBR_PROBE_BW_UP,
    BBR_PROBE_RTT,
};

/* What the ACKs that come in now tell of: 5.3.3 */
enum bbr_ack_phase {
    BBR_ACKS_INIT,
    BBR_ACKS_REFILLING,
    BBR_ACKS_PROBE_STARTING,
    BBR_ACKS_PROBE_FEEDBACK,
    BBR_ACKS_PROBE_STOPPING,
};

#define BBR_INF UINT32_MAX
/* Bandwidths are counted in this many bytes per second: up to half a terabit. */
#define BBR_BW_UNIT  16u
#define BBR_UNIT     256u /* gains and factors are parts of this */
#define BBR_MIN_PIPE 4u   /* segments, MinPipeCwnd */

/* Windows in segments, times in the low 32 bits of a count of us or ms, bandwidths in
 * BBR_BW_UNIT. */
struct bbr {
    uint32_t max_bw[2]; /* the largest of this cycle of probing and of the one before */
    uint32_t bw_latest;
    uint32_t bw_shortterm;
    uint32_t inflight_latest;
    uint32_t inflight_shortterm;
    uint32_t inflight_longterm;
    uint32_t next_round_delivered;
    uint32_t loss_round_delivered;
    uint32_t min_rtt_us;
    uint32_t min_rtt_ms; /* when it was measured */
    uint32_t probe_rtt_min_us;
    uint32_t probe_rtt_min_ms;  /* when */
    uint32_t probe_rtt_done_ms; /* valid while probe_rtt_timed */
    uint32_t full_bw;
    uint32_t extra_acked[2];
    uint32_t extra_acked_us; /* when the interval began */
    uint32_t extra_acked_delivered;
    uint32_t now_ms;   /* of the last ACK */
    uint32_t cycle_ms; /* when the phase began */
    uint32_t probe_up_cnt;
    uint32_t probe_up_acks;
    uint32_t prior_cwnd;
    uint32_t undo_bw_shortterm;
    uint32_t undo_inflight_shortterm;
    uint32_t undo_inflight_longterm;
    uint32_t rng;
    uint16_t probe_wait_ms;
    uint16_t mss;
    uint8_t rounds_since_probe;
    uint8_t extra_acked_rounds; /* in the present slot */
    uint8_t state;              /* enum bbr_state */
    uint8_t ack_phase;          /* enum bbr_ack_phase */
    uint8_t probe_up_rounds;
    uint8_t full_bw_count;
    uint8_t loss_events; /* in this round */
    uint8_t ca_state;    /* enum tcp_ca, at the ACK before */
    bool round_start         : 1;
    bool loss_round_start    : 1;
    bool loss_in_round       : 1;
    bool full_bw_now         : 1;
    bool full_bw_reached     : 1;
    bool bw_probe_samples    : 1;
    bool idle_restart        : 1;
    bool probe_rtt_timed     : 1; /* probe_rtt_done_ms has been set */
    bool probe_rtt_rounded   : 1; /* a round trip of ProbeRTT is over */
    bool probe_rtt_expired   : 1;
    bool packet_conservation : 1;
};

/* ---- tcp_bbr_model.c: 5.5 */

/* min(max_bw, bw_shortterm), in bytes per second. */
uint64_t bbr_bw(const struct bbr *b);
uint64_t bbr_max_bw(const struct bbr *b);
/* gain (of BBR_UNIT) times bw (bytes per second) times min_rtt, in segments; 0: min_rtt unknown. */
uint32_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain);
uint32_t bbr_extra_acked(const struct bbr *b);

void bbr_start_round(struct bbr *b, uint32_t delivered);
void bbr_reset_congestion(struct bbr *b);
void bbr_reset_shortterm(struct bbr *b);
void bbr_reset_full_bw(struct bbr *b);
void bbr_advance_max_bw(struct bbr *b);

/* In this order at every ACK: rounds, bandwidth and congestion; then, after the states have
 * moved, what begins a new round of signals. */
void bbr_update_signals(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd);
void bbr_advance_signals(struct bbr *b, const struct cc_ack *ack);
void bbr_update_aggregation(struct bbr *b, const struct cc_ack *ack, uint32_t cwnd);
void bbr_check_full_bw(struct bbr *b, const struct cc_ack *ack);
void bbr_update_min_rtt(struct bbr *b, const struct cc_ack *ack);

static inline bool bbr_probing(const struct bbr *b)
{
    return b->state == BBR_STARTUP || b->state == BBR_PROBE_BW_REFILL ||
           b->state == BBR_PROBE_BW_UP;
}

static inline bool bbr_in_probe_bw(const struct bbr *b)
{
    return b->state >= BBR_PROBE_BW_DOWN && b->state <= BBR_PROBE_BW_UP;
}

#endif
