/*
 * tcp_ecn.c - theory of operation
 *
 * Opening (RFC 3168 6.1.1). A SYN with ECE and CWR asks, a SYN-ACK with ECE alone agrees. A SYN
 * that is sent again asks no more (tcp_ecn_fallback, 6.1.1.1): a middlebox may have dropped it for
 * that. A SYN that is itself marked ECT is refused (Linux, not RFC): something on its way sets the
 * bits.
 *
 * Sending. New data is ECT(0), and nothing else is: not a bare acknowledgment, not what is sent
 * again, not a window probe (6.1.4 .. 6.1.6). When the peer echoes congestion the window falls
 * once for a window of data, and CWR goes with the next new data.
 *
 * Receiving. A CE mark sets ECE on every segment until the peer's CWR (6.1.3). Linux, not RFC:
 * marks are acknowledged at once, since the sender's window may be tiny; so is data without ECT
 * from a sender that has used it, for it is probably a retransmission.
 *
 * A congestion control with CC_ECN (RFC 8257) asks for ECT on everything and for an echo that says
 * of each segment whether it was marked: there the acknowledgment that waits goes out before the
 * echo changes.
 */
#include "tcp_ecn.h"

#include "check.h"
#include "tcp_cb.h"

#define ECN_SETUP (TCP_ECE | TCP_CWR)

/* RFC 8257 3.2 and 3.4: the algorithm wants the marks themselves. */
static bool wants_marks(const struct tcp *c)
{
    return tcp_cc_ops(c->cc.algo)->flags & CC_ECN;
}

/* ---- opening */

uint16_t tcp_ecn_syn(const struct stack *st, struct tcp *c, bool answer, bool again)
{
    if (answer) {
        return c->ecn_ok ? TCP_ECE : 0;
    }
    if (!again) {
        c->ecn_ok = st->knobs.tcp_ecn == 1 || wants_marks(c);
    }
    return c->ecn_ok && !(again && st->knobs.tcp_ecn_fallback) ? ECN_SETUP : 0;
}

void tcp_ecn_answer(struct tcp *c, const struct tcp_seg *seg)
{
    uint16_t agreed = seg->flags & TCP_ACK ? TCP_ECE : ECN_SETUP;

    c->ecn_ok = c->ecn_ok && (seg->flags & ECN_SETUP) == agreed;
}

bool tcp_ecn_request(const struct stack *st, const struct tcp *l, const struct tcp_seg *seg)
{
    if ((seg->flags & ECN_SETUP) != ECN_SETUP) {
        return false;
    }
    bool odd = seg->flags & TCP_AE; /* asks for something newer; Linux: then ECT on it is right */
    return wants_marks(l) || (st->knobs.tcp_ecn && (seg->ecn == ECN_NOT_ECT || odd));
}

/* ---- receiving */

/* RFC 8257 3.2 */
static void mark_each(struct stack *st, struct env *env, struct tcp *c, bool ce)
{
    if (ce != c->ecn_demand_cwr) {
        if (tcp_due(c, TT_DELACK) != NEVER) {
            tcp_send_ack(st, env, c, TX_ACK); /* for what came before the change */
        }
        tcp_enter_quickack(c, 1);
    }
    c->ecn_demand_cwr = ce;
}

void tcp_ecn_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (!c->ecn_ok) {
        return;
    }
    if (seg->flags & TCP_CWR) {
        c->ecn_demand_cwr = false;
        tcp_want_ack(st, c, TX_ACK); /* Linux, not RFC: its window may be tiny */
    }
    bool ce = seg->ecn == ECN_CE;
    if (seg->ecn != ECN_NOT_ECT && wants_marks(c)) {
        mark_each(st, env, c, ce);
    } else if (ce && !c->ecn_demand_cwr) {
        c->ecn_demand_cwr = true;
        tcp_enter_quickack(c, 2);
    } else if (seg->ecn == ECN_NOT_ECT && c->ecn_seen) {
        tcp_enter_quickack(c, 2);
    }
    c->ecn_seen = c->ecn_seen || seg->ecn != ECN_NOT_ECT;
}

/* ---- sending */

bool tcp_ecn_echo(const struct tcp *c, const struct tcp_seg *seg)
{
    return c->ecn_ok && (seg->flags & (TCP_ECE | TCP_SYN)) == TCP_ECE;
}

void tcp_ecn_reduced(struct tcp *c)
{
    c->ecn_queue_cwr = c->ecn_ok;
}

uint8_t tcp_ecn_out(struct tcp *c, struct tcp_seg *seg, enum tx_reason why)
{
    bool fresh =
        seg->len && (why == TX_DATA || why == TX_LIMITED || why == TX_FIN || why == TX_MTU);

    if (!c->ecn_ok || seg->flags & (TCP_SYN | TCP_RST)) {
        return ECN_NOT_ECT;
    }
    if (c->ecn_demand_cwr) {
        seg->flags |= TCP_ECE;
    }
    if (fresh && c->ecn_queue_cwr) {
        c->ecn_queue_cwr = false;
        seg->flags |= TCP_CWR;
    }
    return fresh || wants_marks(c) ? ECN_ECT0 : ECN_NOT_ECT;
}
