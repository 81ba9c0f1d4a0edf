/*
 * tcp_hystart.c - theory of operation
 *
 * Slow start doubles the window each round trip; what ends it is usually the loss of half a window.
 * Both forms here look for the queue instead, in rounds: a round ends when what was SND.NXT at its
 * beginning is acknowledged.
 *
 * HYSTART_LINUX. Either sign, found once, is final. The delay sign compares the smallest of at
 * least eight samples of the round with the smallest ever.
 *
 * HYSTART_PP, RFC 9406 4.2. The delay sign compares with the round before, so that a path whose
 * delay is noisy does not end slow start for good: it begins Conservative Slow Start, which grows a
 * quarter as fast, goes back to slow start when the delay falls again, and ends after five rounds.
 */
#include "tcp_hystart.h"

#include "check.h"
#include "tcp_cc.h"

#define MIN_SAMPLES   8u     /* RFC 9406 4.2 N_RTT_SAMPLE */
#define RTT_RISE_MIN  4000u  /* us, MIN_RTT_THRESH */
#define RTT_RISE_MAX  16000u /* us, MAX_RTT_THRESH */
#define RTT_DIVISOR   8u     /* MIN_RTT_DIVISOR */
#define CSS_DIVISOR   4u     /* CSS_GROWTH_DIVISOR */
#define CSS_ROUNDS    5u
#define GROWTH_MAX    8u    /* L, where the sender does not pace */
#define ACK_GAP_US    2000u /* Linux, not RFC: ACKs this close together are one train */
#define ACK_DELAY_MAX 1000u /* us; Linux, not RFC */
#define LOW_WINDOW    16u   /* segments; Linux, not RFC: smaller ones say nothing about the path */
#define NO_RTT        UINT32_MAX

void hystart_init(struct hystart *h, uint8_t mode, seq nxt)
{
    *h = (struct hystart){.mode = mode,
                          .round_end = nxt,
                          .rtt_us = NO_RTT,
                          .last_rtt_us = NO_RTT,
                          .base_rtt_us = NO_RTT};
}

static uint32_t rise_of(uint32_t rtt_us)
{
    return max_u32(RTT_RISE_MIN, min_u32(rtt_us / RTT_DIVISOR, RTT_RISE_MAX));
}

/* Linux, not RFC: how much later than it arrived a burst of segments may be acknowledged. */
static uint32_t ack_delay_us(uint64_t pacing_rate)
{
    return pacing_rate ? (uint32_t)min_u64(4 * 65536ull * 1000000 / pacing_rate, ACK_DELAY_MAX) : 0;
}

/* Whether the train of ACKs of this round fills the path. */
static bool train_is_long(struct hystart *h, const struct tcp_cc *cc, uint32_t now_us,
                          uint32_t delay_min_us)
{
    if (now_us - h->last_ack_us > ACK_GAP_US) {
        return false;
    }
    h->last_ack_us = now_us;
    uint32_t limit = delay_min_us + ack_delay_us(cc->pacing_rate);
    return now_us - h->round_start_us > (cc->paced ? limit : limit / 2);
}

static bool sample_linux(struct hystart *h, const struct tcp_cc *cc, const struct cc_ack *ack,
                         uint32_t rtt_us, uint32_t delay_min_us)
{
    uint32_t now_us = (uint32_t)(ack->now / USEC);

    if (cc->cwnd < LOW_WINDOW) {
        return false;
    }
    if (seq_gt(ack->una, h->round_end)) {
        h->round_start_us = h->last_ack_us = now_us;
        h->round_end = ack->nxt;
        h->rtt_us = NO_RTT;
        h->samples = 0;
    }
    bool leave = train_is_long(h, cc, now_us, delay_min_us);
    h->rtt_us = min_u32(h->rtt_us, rtt_us);
    if (h->samples < MIN_SAMPLES) {
        h->samples++;
    } else if (h->rtt_us > delay_min_us + rise_of(delay_min_us)) {
        leave = true; /* a queue builds */
    }
    return leave;
}

/* RFC 9406 4.2: true when the rounds of Conservative Slow Start are over. */
static bool next_round(struct hystart *h, seq nxt)
{
    h->round_end = nxt;
    h->last_rtt_us = h->rtt_us;
    h->rtt_us = NO_RTT;
    h->samples = 0;
    return h->css_rounds && ++h->css_rounds > CSS_ROUNDS;
}

static bool sample_pp(struct hystart *h, const struct cc_ack *ack, uint32_t rtt_us)
{
    if (seq_geq(ack->una, h->round_end) && next_round(h, ack->nxt)) {
        return true;
    }
    h->rtt_us = min_u32(h->rtt_us, rtt_us);
    if (h->samples < MIN_SAMPLES && ++h->samples < MIN_SAMPLES) {
        return false;
    }
    if (!h->css_rounds) {
        if (h->last_rtt_us != NO_RTT && h->rtt_us >= h->last_rtt_us + rise_of(h->last_rtt_us)) {
            h->base_rtt_us = h->rtt_us;
            h->css_rounds = 1; /* what is left of this round counts as one */
        }
    } else if (h->rtt_us < h->base_rtt_us) {
        h->base_rtt_us = NO_RTT;
        h->css_rounds = 0; /* the rise was none: slow start goes on */
    }
    return false;
}

bool hystart_sample(struct hystart *h, const struct tcp_cc *cc, const struct cc_ack *ack,
                    uint32_t delay_min_us)
{
    uint32_t rtt_us = (uint32_t)min_u64((uint64_t)(ack->rtt / USEC), NO_RTT - 1);

    if (h->done || h->mode == HYSTART_OFF) {
        return false;
    }
    h->done = h->mode == HYSTART_PP ? sample_pp(h, ack, rtt_us)
                                    : sample_linux(h, cc, ack, rtt_us, delay_min_us);
    if (h->done) {
        h->css_rounds = 0;
    }
    return h->done;
}

uint32_t hystart_growth(struct hystart *h, uint32_t acked, bool paced)
{
    if (h->mode != HYSTART_PP || h->done) {
        return acked;
    }
    if (!paced) {
        acked = min_u32(acked, GROWTH_MAX);
    }
    if (!h->css_rounds) {
        return acked;
    }
    uint32_t n = acked + h->share;
    h->share = (uint8_t)(n % CSS_DIVISOR);
    return n / CSS_DIVISOR;
}
