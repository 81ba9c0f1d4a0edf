/*
 * tcp_reno.c - theory of operation
 *
 * Slow start and congestion avoidance of RFC 5681 3.1, counting acknowledged segments (RFC 3465),
 * and what every algorithm shares: the table of algorithms and the two ways a window grows.
 */
#include <string.h>

#include "check.h"
#include "tcp_cc.h"

static const struct cc_ops *const algos[] = {
    [CC_RENO] = &tcp_reno,
    [CC_CUBIC] = &tcp_cubic,
    [CC_DCTCP] = &tcp_dctcp,
    [CC_BBR] = &tcp_bbr,
};

const struct cc_ops *tcp_cc_ops(uint8_t algo)
{
    return algos[algo < CC_ALGOS ? algo : CC_RENO];
}

int tcp_cc_find(const char *name, size_t len)
{
    for (int i = 0; i < CC_ALGOS; i++) {
        size_t n = strlen(algos[i]->name);
        if (n == len && memcmp(algos[i]->name, name, n) == 0) {
            return i;
        }
    }
    return -1;
}

void tcp_cc_init(struct tcp_cc *cc, uint8_t algo, const struct cc_setup *how)
{
    *cc = (struct tcp_cc){
        .algo = algo,
        .cwnd = how->cwnd,
        .ssthresh = CWND_INFINITE,
    };
    tcp_cc_ops(algo)->init(cc, how);
}

uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked)
{
    uint32_t cwnd = min_u32(cc->cwnd + acked, cc->ssthresh);

    acked -= cwnd - cc->cwnd;
    cc->cwnd = cwnd;
    return acked;
}

void tcp_cc_add(struct tcp_cc *cc, uint32_t w, uint32_t acked)
{
    if (cc->cwnd_cnt >= w) { /* credit earned under a larger w */
        cc->cwnd_cnt = 0;
        cc->cwnd++;
    }
    cc->cwnd_cnt += acked;
    if (cc->cwnd_cnt >= w) {
        uint32_t n = cc->cwnd_cnt / w;
        cc->cwnd_cnt -= n * w;
        cc->cwnd += n;
    }
}

static void reno_init(struct tcp_cc *cc, const struct cc_setup *how)
{
    (void)cc;
    (void)how;
}

void tcp_reno_on_ack(struct tcp_cc *cc, const struct cc_ack *ack)
{
    uint32_t acked = ack->acked;

    if (tcp_cc_in_slow_start(cc)) {
        acked = tcp_cc_slow_start(cc, acked);
    }
    if (acked) {
        tcp_cc_add(cc, cc->cwnd, acked);
    }
}

/* RFC 5681 3.1 (4), on the window instead of the flight (Linux, not RFC: validated windows make
 * them equal). */
static uint32_t reno_on_loss(struct tcp_cc *cc)
{
    return max_u32(cc->cwnd / 2, 2);
}

const struct cc_ops tcp_reno = {
    .name = "reno",
    .init = reno_init,
    .on_ack = tcp_reno_on_ack,
    .on_loss = reno_on_loss,
};
