/*
 * tcp_dctcp.c - theory of operation
 *
 * DCTCP, RFC 8257. The network marks packets from a short queue on, the receiver echoes each mark
 * (CC_ECN), and the sender reduces in proportion: alpha is the running average, with gain 1/16, of
 * the share of segments that were marked in each window; a window with marks costs alpha/2 of the
 * congestion window, where Reno takes half. Without marks it grows as Reno does, and a loss halves
 * it (3.5).
 *
 * alpha begins at 1, so that the first mark costs half (3.3, 4.2).
 */
#include <string.h>

#include "check.h"
#include "tcp_cc.h"

#define ALPHA_ONE 1024u
#define G_SHIFT   4u /* g = 1/16 */

static void dctcp_init(struct tcp_cc *cc, const struct cc_setup *how)
{
    cc->u.dctcp = (struct dctcp){.alpha = ALPHA_ONE, .window_end = how->nxt};
}

/* RFC 8257 3.3 steps 3 to 7, once a window. */
static void update_alpha(struct dctcp *d)
{
    uint32_t share = d->acked ? (uint32_t)((uint64_t)d->marked * ALPHA_ONE / d->acked) : 0;
    uint32_t fall = d->alpha >> G_SHIFT;

    d->alpha -= (uint16_t)(fall ? fall : d->alpha); /* Linux: the last steps would take for ever */
    d->alpha = (uint16_t)min_u32(d->alpha + (share >> G_SHIFT), ALPHA_ONE);
}

static void dctcp_on_delivery(struct tcp_cc *cc, const struct cc_ack *ack)
{
    struct dctcp *d = &cc->u.dctcp;

    d->acked += ack->acked;
    d->marked += ack->marked;
    if (seq_geq(ack->una, d->window_end)) {
        update_alpha(d);
        d->window_end = ack->nxt;
        d->acked = 0;
        d->marked = 0;
    }
}

/* RFC 8257 3.3: cwnd = cwnd * (1 - alpha / 2). */
static uint32_t dctcp_on_loss(struct tcp_cc *cc)
{
    struct dctcp *d = &cc->u.dctcp;
    uint32_t less = (uint32_t)((uint64_t)cc->cwnd * d->alpha / (2 * ALPHA_ONE));

    d->loss_cwnd = cc->cwnd;
    return max_u32(cc->cwnd - less, 2);
}

/* RFC 8257 3.5: a loss is answered as everybody does. */
static void dctcp_on_ca(struct tcp_cc *cc, uint8_t to)
{
    if (to == CA_RECOVERY || to == CA_LOSS) {
        cc->ssthresh = max_u32(cc->u.dctcp.loss_cwnd / 2, 2);
    }
}

/* Linux's struct tcp_dctcp_info. */
static size_t dctcp_info(const struct tcp_cc *cc, uint32_t out[CC_INFO_WORDS])
{
    const struct dctcp *d = &cc->u.dctcp;
    uint16_t half[2] = {1, 0}; /* enabled, state of the receiver's echo (not kept here) */

    memcpy(&out[0], half, sizeof half);
    out[1] = d->alpha;
    out[2] = d->marked;
    out[3] = d->acked;
    return 4 * sizeof out[0];
}

const struct cc_ops tcp_dctcp = {
    .name = "dctcp",
    .flags = CC_ECN,
    .init = dctcp_init,
    .on_ack = tcp_reno_on_ack,
    .on_delivery = dctcp_on_delivery,
    .on_loss = dctcp_on_loss,
    .on_ca = dctcp_on_ca,
    .info = dctcp_info,
};
