/*
 * tcp_cc.h - congestion control behind four verbs. Windows are counted in segments, as Linux does.
 *
 * Loss detection, recovery and what may be sent during recovery are not here (tcp_loss.c): an
 * algorithm only says how the window grows, and where it falls to.
 */
#ifndef STANDIN_CORE_TCP_CC_H
#define STANDIN_CORE_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "nsec.h"
#include "seq.h"

enum tcp_cc_algo { CC_RENO, CC_CUBIC, CC_ALGOS };

#define CWND_INFINITE 0x7fffffffu /* ssthresh before the first loss */

/* RFC 9438 4. K and times in milliseconds, windows in segments. */
struct cubic {
    uint32_t w_max;
    uint32_t origin; /* W where the curve is flat */
    uint32_t k_ms;
    nsec epoch; /* 0: no epoch */
    uint32_t w_est;
    uint32_t ack_cnt;
    uint32_t cnt; /* acknowledged segments per segment of growth */
    uint32_t last_cwnd;
    nsec last_at;
    nsec delay_min; /* 0: none yet */
    /* HyStart, as Linux: leave slow start when the ACK train fills half the delay, or the delay
     * rises. */
    bool found;
    seq round_end;
    nsec round_start;
    nsec last_ack;
    nsec round_rtt;
    uint32_t samples;
};

struct tcp_cc {
    uint8_t algo; /* enum tcp_cc_algo */
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t cwnd_cnt; /* progress towards the next segment of growth */
    uint32_t cwnd_clamp;
    union {
        struct cubic cubic;
    } u;
};

/* What an algorithm may know of the ACK at hand. */
struct cc_ack {
    nsec now;
    uint32_t acked; /* segments newly acknowledged */
    seq una, nxt;
    nsec rtt; /* of this ACK; 0: no sample */
    nsec srtt;
};

struct cc_ops {
    const char *name;
    void (*init)(struct tcp_cc *cc);
    void (*on_ack)(struct tcp_cc *cc,
                   const struct cc_ack *ack); /* grow; called only when cwnd-limited */
    void (*on_sample)(struct tcp_cc *cc,
                      const struct cc_ack *ack); /* every ACK that carried a sample; may be NULL */
    uint32_t (*on_loss)(struct tcp_cc *cc);      /* the new ssthresh; a window reduction begins */
    void (*on_rto)(struct tcp_cc *cc);           /* after on_loss, for a timeout; may be NULL */
};

/* A process-private table, indexed by enum tcp_cc_algo: nothing of it is stored in the arena. */
const struct cc_ops *tcp_cc_ops(uint8_t algo);

/* By Linux's name ("reno", "cubic"); -1: unknown. */
int tcp_cc_find(const char *name, uint32_t len);

void tcp_cc_init(struct tcp_cc *cc, uint8_t algo, uint32_t init_cwnd);

/* Slow start by `acked` segments up to ssthresh; returns what is left over (RFC 5681 3.1, RFC
 * 3465). */
uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked);

/* Congestion avoidance: one segment per w acknowledged ones. */
void tcp_cc_add(struct tcp_cc *cc, uint32_t w, uint32_t acked);

static inline bool tcp_cc_in_slow_start(const struct tcp_cc *cc)
{
    return cc->cwnd < cc->ssthresh;
}

extern const struct cc_ops tcp_reno;
extern const struct cc_ops tcp_cubic;

#endif
