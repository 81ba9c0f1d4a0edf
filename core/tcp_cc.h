/*
 * tcp_cc.h - congestion control behind one interface. Windows are counted in segments, as Linux
 * does.
 *
 * Loss detection, recovery and what may be sent during recovery are not here (tcp_loss.c): an
 * algorithm says how the window grows and where it falls to, or, where it has a `control` verb,
 * sets window and pacing rate at every acknowledgment by itself.
 *
 * Who calls what, and when:
 *
 *   tcp_cwnd.c  on_sample, then control, or on_ack if the window held the sender back
 *   tcp_loss.c  on_loss when a reduction begins (loss, ECN), on_rto after it for a timeout,
 *               on_undo when it proved unnecessary, on_lost for each record thought lost,
 *               on_ca when the state of recovery changes
 *   tcp_snd.c   on_restart when the first segment goes out after nothing was in flight
 */
#ifndef STANDIN_CORE_TCP_CC_H
#define STANDIN_CORE_TCP_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nsec.h"
#include "seq.h"
#include "tcp_bbr.h"
#include "tcp_hystart.h"
#include "tcp_rate.h"

enum tcp_cc_algo { CC_RENO, CC_CUBIC, CC_DCTCP, CC_BBR, CC_ALGOS };

/* Linux's names and numbers for where loss recovery stands (tcpi_ca_state). */
enum tcp_ca { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS };

#define CWND_INFINITE 0x7fffffffu /* ssthresh before the first loss */

/*
 * RFC 9438 4. Windows in segments. Times are the low 32 bits of a count of milliseconds or
 * microseconds: only differences mean something.
 */
struct cubic_epoch {
    uint32_t w_max;
    uint32_t origin; /* W where the curve is flat */
    uint32_t k_ms;
    uint32_t start_ms; /* valid while `on` */
    uint32_t w_est;    /* what Reno would have, 4.3 */
    uint32_t prior;    /* cwnd when the last reduction began: cwnd_prior */
    bool on;
};

struct cubic {
    struct cubic_epoch ep;
    uint32_t ack_cnt;
    uint32_t cnt; /* acknowledged segments per segment of growth */
    uint32_t last_cwnd;
    uint32_t last_ms;
    uint32_t delay_min_us; /* 0: none yet */
    struct hystart hy;
    struct cubic_epoch undo; /* what the last reduction ended */
};

/* RFC 8257. */
struct dctcp {
    uint32_t acked;  /* segments, in this window */
    uint32_t marked; /* and those of them that had met congestion */
    uint32_t loss_cwnd;
    seq window_end;
    uint16_t alpha; /* of 1024 */
};

struct tcp_cc {
    uint8_t algo; /* enum tcp_cc_algo */
    bool paced;   /* segments are spread in time (tcp_pace.h) */
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t cwnd_cnt;    /* progress towards the next segment of growth */
    uint64_t pacing_rate; /* bytes per second; 0: not known yet */
    union {               /* the algorithm's own: bounded, so that an idle connection stays small */
        struct cubic cubic;
        struct dctcp dctcp;
        struct bbr bbr;
    } u;
};

/* What an algorithm may know of the ACK at hand. */
struct cc_ack {
    nsec now;
    uint32_t acked; /* segments newly delivered: acknowledged, or reported by SACK */
    uint32_t lost;  /* segments it made us think lost */
    seq una, nxt;
    nsec rtt;          /* of this ACK; 0: no sample */
    nsec srtt;         /* 0: none yet */
    uint32_t inflight; /* segments, after this ACK */
    uint32_t prior_inflight;
    uint16_t mss;
    uint8_t ca_state;  /* enum tcp_ca */
    bool ece;          /* it carries the peer's echo of congestion */
    bool cwnd_limited; /* the window held the sender back lately */
    uint32_t marked;   /* of `acked`: had met congestion (RFC 8257) */
    uint32_t burst;    /* segments that leave together */
    const struct rate_sample *rate;
    struct tcp_rate *total;
};

/* A transmission that is now thought lost. */
struct cc_lost {
    uint32_t segs;
    uint32_t inflight;  /* when it was sent, itself included */
    uint32_t lost;      /* since then, itself included */
    uint32_t delivered; /* C.delivered, now */
    bool app_limited;   /* when it was sent */
};

struct cc_setup {
    nsec now;
    uint32_t cwnd;      /* the initial window */
    seq nxt;            /* SND.NXT */
    nsec srtt;          /* 0: none yet */
    uint32_t delivered; /* struct tcp_rate's */
    uint16_t mss;
    uint8_t hystart; /* knob user_hystart */
};

enum {
    CC_PACES = 1, /* needs pacing, as if SO_MAX_PACING_RATE were set */
    /* Needs ECN: ECT on every segment, retransmissions too, and a receiving half that echoes each
     * mark by itself (RFC 8257 3.2), not until CWR. */
    CC_ECN = 2,
};

#define CC_INFO_WORDS 5 /* the largest of Linux's union tcp_cc_info */

struct cc_ops {
    const char *name; /* Linux's, at most 15 characters */
    uint8_t flags;
    void (*init)(struct tcp_cc *cc, const struct cc_setup *how);
    /* Grow; called only while the window holds the sender back, and not in recovery. Not NULL
     * without `control`. */
    void (*on_ack)(struct tcp_cc *cc, const struct cc_ack *ack);

    /* The rest may be NULL. */

    /* Every ACK that carried a round-trip sample. */
    void (*on_sample)(struct tcp_cc *cc, const struct cc_ack *ack);
    /* Every ACK that delivered something. */
    void (*on_delivery)(struct tcp_cc *cc, const struct cc_ack *ack);
    /* Every ACK: sets cwnd by itself, in every state; then on_ack is not called, nor does
     * Proportional Rate Reduction move the window. */
    void (*control)(struct tcp_cc *cc, const struct cc_ack *ack);
    /* A reduction begins, by loss or by ECN: the new ssthresh. Not NULL. */
    uint32_t (*on_loss)(struct tcp_cc *cc);
    /* After on_loss, for a timeout. */
    void (*on_rto)(struct tcp_cc *cc);
    /* The last on_loss was for nothing; cwnd and ssthresh have been restored. */
    void (*on_undo)(struct tcp_cc *cc);
    /* Each transmission thought lost. */
    void (*on_lost)(struct tcp_cc *cc, const struct cc_lost *lost);
    /* The state of recovery becomes `to` (enum tcp_ca). */
    void (*on_ca)(struct tcp_cc *cc, uint8_t to);
    /* Something is sent after nothing was in flight; the last was sent `idle` ago. */
    void (*on_restart)(struct tcp_cc *cc, const struct tcp_rate *total, nsec idle, nsec now);
    /* TCP_CC_INFO: Linux's structure for it. Returns its length in bytes. */
    size_t (*info)(const struct tcp_cc *cc, uint32_t out[CC_INFO_WORDS]);
};

/* A process-private table, indexed by enum tcp_cc_algo: nothing of it is stored in the arena. */
const struct cc_ops *tcp_cc_ops(uint8_t algo);

/* By Linux's name ("reno", "cubic", "dctcp", "bbr"); -1: unknown. */
int tcp_cc_find(const char *name, size_t len);

void tcp_cc_init(struct tcp_cc *cc, uint8_t algo, const struct cc_setup *how);

/* Reno's growth, for others. */
void tcp_reno_on_ack(struct tcp_cc *cc, const struct cc_ack *ack);

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
extern const struct cc_ops tcp_dctcp;
extern const struct cc_ops tcp_bbr;

#endif
