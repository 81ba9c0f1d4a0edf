/*
 * tcp_rtt.h - round-trip time and retransmission timeout, pure arithmetic. RFC 6298, with Linux's
 * variance floor.
 *
 * Linux, not RFC: the floor of 200 ms applies to 4 * RTTVAR, not to the sum, and the variance
 * falls once per round trip to the largest deviation seen in it, so that many samples a round
 * trip do not make it too small.
 */
#ifndef STANDIN_CORE_TCP_RTT_H
#define STANDIN_CORE_TCP_RTT_H

#include <stdint.h>

#include "nsec.h"
#include "seq.h"

struct tcp_rtt {
    nsec srtt; /* smoothed; 0: no sample yet */
    nsec mdev; /* mean deviation */
    nsec mdev_max;
    nsec var; /* 4 * variance, not below the floor: RTO = srtt + var */
    nsec rto; /* without back-off */
    nsec min; /* smallest sample; NEVER before the first */
    seq mark; /* SND.NXT when the present round trip of samples began */
};

#define RTO_INITIAL (1 * SEC) /* RFC 6298 2.1 */

void tcp_rtt_init(struct tcp_rtt *r);

/* A sample of a segment that was sent once (Karn, or told apart by timestamps). */
void tcp_rtt_sample(struct tcp_rtt *r, nsec rtt, seq una, seq nxt, nsec rto_min, nsec rto_max);

#endif
