/*
 * tcp_cubic.c - theory of operation
 *
 * RFC 9438. After a reduction the window follows W(t) = C (t - K)^3 + W_max, flat around the
 * window where the loss happened, with C = 0.4 segments/s^3 and beta = 0.7; K = cbrt((W_max -
 * cwnd) / C). Where an AIMD flow of the same average (alpha = 3 (1 - beta) / (1 + beta)) would
 * have more, that is used (4.3, the TCP-friendly region). Fast convergence (4.7) gives up part of
 * W_max when losses come at ever smaller windows.
 *
 * Slow start ends early by HyStart as Linux does it (RFC 9406 is the next step): a train of
 * closely spaced ACKs as long as half the minimum delay, or a rise of the round's delay by an
 * eighth, sets ssthresh to the present window.
 *
 * Arithmetic is integer: times in ms, C as 410/1024, cbrt by Newton steps.
 */
#include "check.h"
#include "tcp_cc.h"

#define BETA_NUM 717u /* beta = 717/1024 = 0.7 */
#define BETA_DEN 1024u
#define C_NUM    410u /* C = 410/1024 = 0.4 segments per s^3 */
#define C_DEN    1024u

#define HYSTART_LOW_WINDOW  16u
#define HYSTART_MIN_SAMPLES 8u
#define HYSTART_ACK_GAP     (2 * MSEC)
#define HYSTART_DELAY_MIN   (4 * MSEC)
#define HYSTART_DELAY_MAX   (16 * MSEC)

static uint32_t cube_root(uint64_t a)
{
    uint64_t lo = 0, hi = 2642245; /* cbrt(2^64) */

    while (lo < hi) {
        uint64_t mid = (lo + hi + 1) / 2;
        if (mid * mid * mid <= a) {
            lo = mid;
        } else {
            hi = mid - 1;
        }
    }
    return (uint32_t)lo;
}

static void cubic_init(struct tcp_cc *cc)
{
    cc->u.cubic = (struct cubic){0};
}

/* An epoch begins with the first ACK after a reduction: where the curve lies from here. RFC 9438
 * 4.2. */
static void begin_epoch(struct cubic *q, uint32_t cwnd, nsec now)
{
    q->epoch = now;
    q->ack_cnt = 0;
    q->w_est = cwnd;
    if (q->w_max <= cwnd) {
        q->k_ms = 0;
        q->origin = cwnd;
    } else {
        /* K^3 = (W_max - cwnd) / C in s^3; times 10^9 for ms^3 */
        q->k_ms = cube_root((uint64_t)(q->w_max - cwnd) * 1000000000u / C_NUM * C_DEN);
        q->origin = q->w_max;
    }
}

/* W(t) at the next round trip. */
static uint32_t target_window(const struct cubic *q, nsec now)
{
    int64_t t = (now - q->epoch + q->delay_min) / MSEC;
    int64_t d = t - (int64_t)q->k_ms;
    uint64_t a = (uint64_t)(d < 0 ? -d : d);

    a = min_u64(a, 1000000);
    uint64_t delta = a * a * a / 1000000 * C_NUM / C_DEN / 1000; /* ms^3 -> s^3 */
    if (d < 0) {
        return q->origin > delta ? (uint32_t)(q->origin - delta) : 1;
    }
    return (uint32_t)min_u64(q->origin + delta, 0x7fffffff);
}

/* RFC 9438 4.3: W_est grows by alpha segments for each window acknowledged. alpha = 9/17 for beta
 * = 0.7. */
static void friendly_window(struct cubic *q, uint32_t cwnd)
{
    uint32_t per = max_u32(cwnd * 17 / 9, 1);

    while (q->ack_cnt > per) {
        q->ack_cnt -= per;
        q->w_est++;
    }
}

/* How many acknowledged segments make the window grow by one. */
static void update(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct cubic *q = &cc->u.cubic;

    q->ack_cnt += ack->acked;
    if (q->last_cwnd == cc->cwnd && ack->now - q->last_at <= SEC / 32) {
        return;
    }
    q->last_cwnd = cc->cwnd;
    q->last_at = ack->now;
    if (q->epoch == 0) {
        begin_epoch(q, cc->cwnd, ack->now);
        q->ack_cnt = ack->acked;
    }

    uint32_t target = target_window(q, ack->now);
    q->cnt = target > cc->cwnd ? cc->cwnd / (target - cc->cwnd) : 100 * cc->cwnd;
    if (q->w_max == 0 && q->cnt > 20) {
        q->cnt = 20; /* Linux, not RFC: no plateau known yet, grow at least 5 % a round trip */
    }
    friendly_window(q, cc->cwnd);
    if (q->w_est > cc->cwnd) {
        q->cnt = min_u32(q->cnt, cc->cwnd / (q->w_est - cc->cwnd));
    }
    q->cnt = max_u32(q->cnt, 2); /* at most half a segment per acknowledged one */
}

static void cubic_on_ack(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct cc_ack rest = *ack;

    if (tcp_cc_in_slow_start(cc)) {
        rest.acked = tcp_cc_slow_start(cc, ack->acked);
        if (rest.acked == 0) {
            return;
        }
    }
    update(cc, &rest);
    tcp_cc_add(cc, cc->u.cubic.cnt, rest.acked);
}

static nsec hystart_threshold(nsec delay_min)
{
    return nsec_min(nsec_max(delay_min / 8, HYSTART_DELAY_MIN), HYSTART_DELAY_MAX);
}

static void hystart(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct cubic *q = &cc->u.cubic;

    if (seq_gt(ack->una, q->round_end)) {
        q->round_start = q->last_ack = ack->now;
        q->round_end = ack->nxt;
        q->round_rtt = 0;
        q->samples = 0;
    }
    if (ack->now - q->last_ack <= HYSTART_ACK_GAP) {
        q->last_ack = ack->now;
        if (ack->now - q->round_start > q->delay_min / 2) {
            q->found = true; /* the ACK train fills the path */
        }
    }
    if (q->samples < HYSTART_MIN_SAMPLES) {
        q->round_rtt = q->samples == 0 ? ack->rtt : nsec_min(q->round_rtt, ack->rtt);
        q->samples++;
    } else if (q->round_rtt > q->delay_min + hystart_threshold(q->delay_min)) {
        q->found = true; /* a queue builds */
    }
    if (q->found) {
        cc->ssthresh = cc->cwnd;
    }
}

static void cubic_on_sample(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct cubic *q = &cc->u.cubic;

    if (q->epoch && ack->now - q->epoch < SEC) {
        return; /* the reduction still drains the queue */
    }
    if (q->delay_min == 0 || ack->rtt < q->delay_min) {
        q->delay_min = ack->rtt;
    }
    if (!q->found && tcp_cc_in_slow_start(cc) && cc->cwnd >= HYSTART_LOW_WINDOW) {
        hystart(cc, ack);
    }
}

/* RFC 9438 4.6, 4.7. */
static uint32_t cubic_on_loss(struct tcp_cc *cc)
{
    struct cubic *q = &cc->u.cubic;

    q->epoch = 0;
    if (cc->cwnd < q->w_max) {
        q->w_max = (uint32_t)((uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
    } else {
        q->w_max = cc->cwnd;
    }
    return max_u32((uint32_t)((uint64_t)cc->cwnd * BETA_NUM / BETA_DEN), 2);
}

static void cubic_on_rto(struct tcp_cc *cc)
{
    nsec delay_min = cc->u.cubic.delay_min;

    cc->u.cubic = (struct cubic){
        .delay_min = delay_min}; /* Linux, not RFC 9438 4.8: forgets the plateau too */
}

const struct cc_ops tcp_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_sample = cubic_on_sample,
    .on_loss = cubic_on_loss,
    .on_rto = cubic_on_rto,
};
