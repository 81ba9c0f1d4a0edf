/*
 * tcp_hystart.h - leaving slow start before the queue overflows.
 *
 * Two ways, by the knob user_hystart: HYSTART_LINUX, what Linux's CUBIC does (Ha and Rhee's
 * HyStart: an ACK train as long as half the delay, or a rise of the delay by an eighth, ends slow
 * start at once), and HYSTART_PP, RFC 9406: a rise of the delay begins Conservative Slow Start, and
 * only rounds of it that confirm the rise end slow start.
 */
#ifndef STANDIN_CORE_TCP_HYSTART_H
#define STANDIN_CORE_TCP_HYSTART_H

#include <stdbool.h>
#include <stdint.h>

#include "seq.h"

struct cc_ack;
struct tcp_cc;

enum { HYSTART_OFF, HYSTART_LINUX, HYSTART_PP };

/* Times are the low 32 bits of a count of microseconds. */
struct hystart {
    seq round_end;
    uint32_t round_start_us; /* HYSTART_LINUX */
    uint32_t last_ack_us;    /* HYSTART_LINUX */
    uint32_t rtt_us;         /* smallest of this round; UINT32_MAX: none */
    uint32_t last_rtt_us;    /* of the round before; HYSTART_PP */
    uint32_t base_rtt_us;    /* when Conservative Slow Start began; HYSTART_PP */
    uint8_t mode;
    uint8_t samples;    /* in this round */
    uint8_t css_rounds; /* 0: not in Conservative Slow Start; else 1 + rounds of it completed */
    uint8_t share;      /* HYSTART_PP: acknowledged segments not yet counted */
    bool done;          /* slow start has been left once */
};

/* `nxt`: SND.NXT; the first round ends when it is acknowledged. */
void hystart_init(struct hystart *h, uint8_t mode, seq nxt);

/* A round-trip sample during slow start, the smallest ever being delay_min_us. True: leave slow
 * start now. */
bool hystart_sample(struct hystart *h, const struct tcp_cc *cc, const struct cc_ack *ack,
                    uint32_t delay_min_us);

/* By how many segments the window grows in slow start for `acked` acknowledged ones. */
uint32_t hystart_growth(struct hystart *h, uint32_t acked, bool paced);

#endif
