/*
 * tcp_cubic.c - theory of operation
 *
 * RFC 9438. After a reduction the window follows W(t) = C (t - K)^3 + W_max, flat around the
 * window where the loss happened, with C = 0.4 segments/s^3 and beta = 0.7; K = cbrt((W_max -
 * cwnd) / C). Where an AIMD flow of the same average would have more, that is used (4.3, the
 * Reno-friendly region). Fast convergence (4.7) gives up part of W_max when losses come at ever
 * smaller windows. After a timeout, or when slow start ends without a loss, no plateau is known and
 * the curve begins flat where it stands (4.8, 4.10). A spurious reduction gives the curve back
 * (4.9.2).
 *
 * Time that the program did not use is not time on the curve: an epoch moves on by the idle time
 * (4.2, Linux's form: only whole pauses count, not being slower than the window).
 *
 * Arithmetic is integer: times in ms, C as 410/1024, cbrt by bisection.
 */
#include "check.h"
#include "tcp_cc.h"

#define BETA_NUM 717u /* beta = 717/1024 = 0.7 */
#define BETA_DEN 1024u
#define C_NUM    410u /* C = 410/1024 = 0.4 segments per s^3 */
#define C_DEN    1024u

#define UPDATE_MS  31u
#define REDUCED_MS 1000 /* Linux, not RFC: so long after a reduction samples do not count */

static uint32_t ms_of(nsec t)
{
    return (uint32_t)(t / MSEC);
}

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

static void cubic_init(struct tcp_cc *cc, const struct cc_setup *how)
{
    cc->u.cubic = (struct cubic){0};
    hystart_init(&cc->u.cubic.hy, how->hystart, how->nxt);
}

/* An epoch begins with the first ACK after a reduction: where the curve lies from here. RFC 9438
 * 4.2. */
static void begin_epoch(struct cubic_epoch *e, uint32_t cwnd, uint32_t now_ms)
{
    e->on = true;
    e->start_ms = now_ms;
    e->w_est = cwnd;
    e->prior = max_u32(e->prior, cwnd); /* RFC 9438 4.10 where there was none */
    if (e->w_max <= cwnd) {
        e->k_ms = 0;
        e->origin = cwnd;
    } else {
        /* K^3 = (W_max - cwnd) / C in s^3; times 10^9 for ms^3 */
        e->k_ms = cube_root((uint64_t)(e->w_max - cwnd) * 1000000000u / C_NUM * C_DEN);
        e->origin = e->w_max;
    }
}

/* W(t) at the next round trip. */
static uint32_t target_window(const struct cubic *q, uint32_t now_ms)
{
    int64_t t = (int64_t)(now_ms - q->ep.start_ms) + q->delay_min_us / 1000;
    int64_t d = t - (int64_t)q->ep.k_ms;
    uint64_t a = (uint64_t)(d < 0 ? -d : d);

    a = min_u64(a, 1000000);
    uint64_t delta = a * a * a / 1000000 * C_NUM / C_DEN / 1000; /* ms^3 -> s^3 */
    if (d < 0) {
        return q->ep.origin > delta ? (uint32_t)(q->ep.origin - delta) : 1;
    }
    return (uint32_t)min_u64(q->ep.origin + delta, 0x7fffffff);
}

/* RFC 9438 4.3: W_est grows by alpha segments for each window acknowledged. alpha = 3 (1 - beta) /
 * (1 + beta) = 9/17 until W_est has reached cwnd_prior, then 1. */
static void reno_window(struct cubic *q, uint32_t cwnd)
{
    for (;;) {
        uint32_t per = max_u32(q->ep.w_est < q->ep.prior ? cwnd * 17 / 9 : cwnd, 1);
        if (q->ack_cnt <= per) {
            return;
        }
        q->ack_cnt -= per;
        q->ep.w_est++;
    }
}

/* How many acknowledged segments make the window grow by one. */
static uint32_t growth(struct cubic *q, uint32_t cwnd, uint32_t now_ms)
{
    uint32_t target = target_window(q, now_ms);
    uint32_t cnt = target > cwnd ? cwnd / (target - cwnd) : 100 * cwnd;

    if (q->ep.w_max == 0) {
        cnt = min_u32(cnt, 20); /* Linux, not RFC: no plateau known yet: 5 % each round trip */
    }
    reno_window(q, cwnd);
    if (q->ep.w_est > cwnd) { /* RFC 9438 4.3: the window is no less than that */
        cnt = min_u32(cnt, cwnd / (q->ep.w_est - cwnd));
    }
    return max_u32(cnt, 2); /* RFC 9438 4.2: at most half a window more each round trip */
}

/* Linux, not RFC: W(t) and W_est anew 32 times a second, but each round trip at least. */
static bool is_time(const struct cubic *q, uint32_t cwnd, uint32_t now_ms)
{
    uint32_t gap_ms = min_u32(UPDATE_MS, q->delay_min_us / 1000);
    return q->last_cwnd != cwnd || now_ms - q->last_ms > gap_ms;
}

static void avoid(struct tcp_cc *cc, uint32_t acked, uint32_t now_ms)
{
    struct cubic *q = &cc->u.cubic;

    if (!q->ep.on) {
        begin_epoch(&q->ep, cc->cwnd, now_ms);
        q->ack_cnt = 0;
        q->last_cwnd = 0;
    }
    q->ack_cnt += acked;
    if (is_time(q, cc->cwnd, now_ms)) {
        q->last_cwnd = cc->cwnd;
        q->last_ms = now_ms;
        q->cnt = growth(q, cc->cwnd, now_ms);
    }
    tcp_cc_add(cc, q->cnt, acked);
}

static void cubic_on_ack(struct tcp_cc *cc, const struct cc_ack *ack)
{
    uint32_t acked = ack->acked;

    if (tcp_cc_in_slow_start(cc)) {
        acked = tcp_cc_slow_start(cc, hystart_growth(&cc->u.cubic.hy, acked, cc->paced));
        if (acked == 0) {
            return;
        }
    }
    avoid(cc, acked, ms_of(ack->now));
}

static void cubic_on_sample(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct cubic *q = &cc->u.cubic;

    if (q->ep.on && ms_of(ack->now) - q->ep.start_ms < REDUCED_MS) {
        return; /* the reduction still drains the queue */
    }
    uint32_t us = max_u32((uint32_t)min_u64((uint64_t)(ack->rtt / USEC), UINT32_MAX), 1);
    if (q->delay_min_us == 0 || us < q->delay_min_us) {
        q->delay_min_us = us;
    }
    if (tcp_cc_in_slow_start(cc) && hystart_sample(&q->hy, cc, ack, q->delay_min_us)) {
        cc->ssthresh = cc->cwnd;
    }
}

/* RFC 9438 4.6, 4.7. */
static uint32_t cubic_on_loss(struct tcp_cc *cc)
{
    struct cubic *q = &cc->u.cubic;

    q->undo = q->ep;
    q->ep.on = false;
    q->ep.prior = cc->cwnd;
    if (cc->cwnd < q->ep.w_max) {
        q->ep.w_max = (uint32_t)((uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
    } else {
        q->ep.w_max = cc->cwnd;
    }
    return max_u32((uint32_t)((uint64_t)cc->cwnd * BETA_NUM / BETA_DEN), 2);
}

/* RFC 9438 4.8: K is 0 and W_max the window where congestion avoidance begins. */
static void cubic_on_rto(struct tcp_cc *cc)
{
    struct cubic *q = &cc->u.cubic;

    q->ep.w_max = 0;
    q->cnt = 0;
    q->last_cwnd = 0;
    hystart_init(&q->hy, q->hy.mode, q->hy.round_end);
}

/* RFC 9438 4.9.2. */
static void cubic_on_undo(struct tcp_cc *cc)
{
    cc->u.cubic.ep = cc->u.cubic.undo;
}

static void cubic_on_restart(struct tcp_cc *cc, const struct tcp_rate *total, nsec idle, nsec now)
{
    (void)total;
    struct cubic_epoch *e = &cc->u.cubic.ep;

    if (!e->on || idle <= 0) {
        return;
    }
    uint32_t age_ms = ms_of(now) - e->start_ms;
    e->start_ms += (uint32_t)min_u64((uint64_t)(idle / MSEC), age_ms);
}

const struct cc_ops tcp_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_sample = cubic_on_sample,
    .on_loss = cubic_on_loss,
    .on_rto = cubic_on_rto,
    .on_undo = cubic_on_undo,
    .on_restart = cubic_on_restart,
};
