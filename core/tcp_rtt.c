/*
 * tcp_rtt.c - theory of operation
 *
 * RFC 9293 3.8.1, MUST-18. SRTT and the mean deviation are the exponential averages of RFC 6298 2.3
 * (gains 1/8 and 1/4). A sample far below SRTT says that the path became faster, not that it
 * varies: its deviation counts for an eighth (Linux, not RFC).
 */
#include "tcp_rtt.h"

void tcp_rtt_init(struct tcp_rtt *r)
{
    *r = (struct tcp_rtt){.rto = RTO_INITIAL, .min = NEVER};
}

static void first_sample(struct tcp_rtt *r, nsec m, seq nxt, nsec floor)
{
    r->srtt = m; /* RFC 6298 2.2 */
    r->mdev = m / 2;
    r->var = nsec_max(4 * r->mdev, floor);
    r->mdev_max = r->var;
    r->mark = nxt;
}

static void further_sample(struct tcp_rtt *r, nsec m, seq una, seq nxt, nsec floor)
{
    nsec dev = m - r->srtt;

    r->srtt += dev / 8; /* RFC 6298 2.3 */
    if (dev < 0) {
        dev = -dev - r->mdev;
        dev = dev > 0 ? dev / 8 : dev;
    } else {
        dev -= r->mdev;
    }
    r->mdev += dev / 4;

    if (4 * r->mdev > r->mdev_max) {
        r->mdev_max = 4 * r->mdev;
        r->var = nsec_max(r->var, r->mdev_max);
    }
    if (seq_geq(una, r->mark)) { /* a round trip of samples is over */
        if (r->mdev_max < r->var) {
            r->var -= (r->var - r->mdev_max) / 4;
        }
        r->mark = nxt;
        r->mdev_max = floor;
    }
}

void tcp_rtt_sample(struct tcp_rtt *r, nsec rtt, seq una, seq nxt, nsec rto_min, nsec rto_max)
{
    nsec m = nsec_max(rtt, 1 * USEC);

    if (r->srtt == 0) {
        first_sample(r, m, nxt, rto_min);
    } else {
        further_sample(r, m, una, nxt, rto_min);
    }
    r->min = nsec_min(r->min, m);
    r->rto = nsec_min(r->srtt + nsec_max(r->var, rto_min), rto_max);
}
