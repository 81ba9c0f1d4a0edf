/*
 * tcp_ecn.c - theory of operation
 *
 * Opening (RFC 3168 6.1.1). A SYN with ECE and CWR asks, a SYN-ACK with ECE alone agrees. A SYN
 * that is sent again asks no more (tcp_ecn_fallback, 6.1.1.1): a middlebox may have dropped it for
 * that. A SYN that is itself marked ECT is refused (Linux, not RFC): something on its way sets the
 * bits.
 *
 * Opening (RFC 9768 3.1). A SYN with AE, CWR and ECE asks, for AccECN or else ECN; any other
 * combination but the two above counts as the same (3.1.3). The flags of the SYN-ACK agree by
 * saying which codepoint the SYN had; the first bare acknowledgment says the same of the SYN-ACK
 * (3.2.2.1), so nothing rides on it. Sent again, a SYN asks once more, then asks no more (3.1.4.1);
 * a SYN-ACK leaves the option out, then the flags too (3.2.3.2.2). Whatever is repeated, the mode
 * stays that of the first; a peer that opens in both ways is reset (3.1.5).
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
 * echo changes. With AccECN both ends have that anyway (tcp_accecn.c).
 */
#include "tcp_ecn.h"

#include "check.h"
#include "tcp_accecn.h"
#include "tcp_cb.h"
#include "tcp_req.h"

#define ECN_SETUP (TCP_ECE | TCP_CWR)
#define ACE_NONE  0u /* AE, CWR, ECE as a number */
#define ACE_SETUP 3u
#define ACE_ASKS  7u

/* RFC 8257 3.2 and 3.4: the algorithm wants the marks themselves. */
static bool wants_marks(const struct tcp *c)
{
    return tcp_cc_ops(c->cc.algo)->flags & CC_ECN;
}

static bool is_accurate(const struct tcp *c)
{
    return c->ecn_mode == ECN_ACCURATE;
}

/* ---- opening: our SYN */

static void choose_mode(struct stack *st, struct env *env, struct tcp *c)
{
    int32_t knob = st->knobs.tcp_ecn;

    if (knob == 3 && (c->accecn || accecn_new(st, env, c))) {
        c->ecn_mode = ECN_ASKED;
    } else { /* also where there is no memory for more */
        bool asks = knob == 1 || knob == 3 || knob == 4 || wants_marks(c);
        c->ecn_mode = asks ? ECN_CLASSIC : ECN_OFF;
    }
}

static void synack_part(const struct stack *st, struct tcp *c, struct tcp_seg *syn, bool again)
{
    if (c->ecn_mode == ECN_CLASSIC) {
        syn->flags |= TCP_ECE;
    }
    if (!is_accurate(c)) {
        return;
    }
    if (c->retries >= 2) { /* RFC 9768 3.2.3.2.2 */
        c->accecn->fail |= ACCECN_ACE_FAIL_SEND;
        return;
    }
    syn->flags |= accecn_flags(accecn_reflected(c->accecn->syn_ect));
    if (!again && st->knobs.tcp_ecn_option) {
        accecn_synack_option(syn);
    }
}

void tcp_ecn_syn(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *syn, bool again)
{
    bool fallback = again && st->knobs.tcp_ecn_fallback;

    if (syn->flags & TCP_ACK) {
        synack_part(st, c, syn, again);
        return;
    }
    if (!again) {
        choose_mode(st, env, c);
    }
    if (c->ecn_mode == ECN_ASKED && !(fallback && c->retries >= 2)) {
        syn->flags |= accecn_flags(ACE_ASKS);
    } else if (c->ecn_mode == ECN_CLASSIC && !fallback) {
        syn->flags |= ECN_SETUP;
    }
}

/* ---- opening: the answer */

/* RFC 9768 table 2, and 3.1.3 for what it does not have. */
static enum ecn_mode mode_by_synack(uint8_t ace)
{
    return ace == ACE_NONE || ace == ACE_ASKS ? ECN_OFF : ace == 1 ? ECN_CLASSIC : ECN_ACCURATE;
}

/* What a responder that can do both agrees to. */
static enum ecn_mode mode_by_syn(uint8_t ace)
{
    return ace == ACE_NONE ? ECN_OFF : ace == ACE_SETUP ? ECN_CLASSIC : ECN_ACCURATE;
}

void tcp_ecn_answer(struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    uint8_t ace = accecn_ace(seg->flags);
    bool synack = seg->flags & TCP_ACK;

    if (c->ecn_mode == ECN_CLASSIC) {
        uint16_t agreed = synack ? TCP_ECE : ECN_SETUP;
        c->ecn_mode = (seg->flags & ECN_SETUP) == agreed ? ECN_CLASSIC : ECN_OFF;
    } else if (c->ecn_mode == ECN_ASKED) {
        c->ecn_mode = (synack ? mode_by_synack(ace) : mode_by_syn(ace)) & 3u;
    }
    if (!is_accurate(c)) {
        accecn_free(st, c);
        return;
    }
    if (synack) {
        accecn_syn_fed_back(st, c, ace);
    }
    accecn_syn_in(c, seg);
}

bool tcp_ecn_syn_again(const struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    uint8_t ace = accecn_ace(seg->flags);
    bool syn = !(seg->flags & TCP_ACK);
    bool opening = c->state == TCP_SYN_RCVD;

    if (is_accurate(c)) {
        if (opening && ace == (syn ? ACE_SETUP : 1)) {
            return false;
        }
        if (opening && syn && ace == ACE_NONE) { /* RFC 9768 3.1.5: its mode is not known */
            c->accecn->fail |= ACCECN_ACE_FAIL_RECV;
        }
        if (opening && !syn) {
            accecn_syn_fed_back(st, c, ace);
        }
        accecn_syn_in(c, seg);
    } else if (c->ecn_mode == ECN_CLASSIC && opening && st->knobs.tcp_ecn >= 3) {
        return mode_by_syn(ace) != ECN_ACCURATE || !syn;
    }
    return true;
}

bool tcp_ecn_reflect(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    if (!is_accurate(c)) {
        return false;
    }
    c->accecn->reflect = true;
    if (why == TX_CHALLENGE) {
        tcp_challenge(st, env, c, why);
    } else {
        tcp_send_ack(st, env, c, why);
    }
    c->accecn->reflect = false;
    return true;
}

void tcp_ecn_opened(const struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    if (is_accurate(c)) {
        accecn_opened(st, c, seg);
    }
}

bool tcp_ecn_syn_marked(const struct tcp *c)
{
    return is_accurate(c) && c->accecn->syn_marked;
}

/* ---- opening: a request */

void tcp_ecn_request(const struct stack *st, const struct tcp *l, const struct tcp_seg *seg,
                     struct tcp_req *r)
{
    uint8_t ace = accecn_ace(seg->flags);

    r->ecn_mode = ECN_OFF;
    r->syn_ect = seg->ecn & 3u;
    if (st->knobs.tcp_ecn >= 3 && mode_by_syn(ace) == ECN_ACCURATE) {
        r->ecn_mode = ECN_ACCURATE;
    } else if ((seg->flags & ECN_SETUP) == ECN_SETUP) {
        bool odd = ace == ACE_ASKS; /* asks for AccECN; Linux: then ECT on it is right */
        bool may = st->knobs.tcp_ecn && (seg->ecn == ECN_NOT_ECT || odd);
        r->ecn_mode = wants_marks(l) || may ? ECN_CLASSIC : ECN_OFF;
    }
}

bool tcp_ecn_request_again(const struct stack *st, struct tcp_req *r, const struct tcp_seg *seg)
{
    enum ecn_mode asks = mode_by_syn(accecn_ace(seg->flags));

    r->syn_ect = seg->ecn & 3u; /* RFC 9768 3.1.5: of the latest */
    if (r->ecn_mode == ECN_ACCURATE && asks == ECN_OFF) {
        r->ace_fail |= ACCECN_ACE_FAIL_RECV;
    }
    bool accurate = r->ecn_mode == ECN_ACCURATE && asks == ECN_CLASSIC;
    bool classic = r->ecn_mode == ECN_CLASSIC && asks == ECN_ACCURATE && st->knobs.tcp_ecn >= 3;
    return !accurate && !classic;
}

void tcp_ecn_synack(const struct stack *st, const struct tcp_req *r, struct tcp_seg *synack)
{
    if (r->ecn_mode == ECN_CLASSIC) {
        synack->flags |= TCP_ECE;
    }
    if (r->ecn_mode != ECN_ACCURATE || r->ace_fail & ACCECN_ACE_FAIL_SEND) {
        return;
    }
    synack->flags |= accecn_flags(accecn_reflected(r->syn_ect));
    if (!r->again && st->knobs.tcp_ecn_option) {
        accecn_synack_option(synack);
    }
}

void tcp_ecn_synack_again(struct tcp_req *r)
{
    if (r->ecn_mode == ECN_ACCURATE && r->timeouts >= 2) { /* RFC 9768 3.2.3.2.2 */
        r->ace_fail |= ACCECN_ACE_FAIL_SEND;
    }
}

/* RFC 9768 5.1: no flags of an acknowledgment are these but of a client in AccECN mode. */
void tcp_ecn_cookie(const struct stack *st, struct tcp_req *r, const struct tcp_seg *seg,
                    bool classic)
{
    bool accurate = st->knobs.tcp_ecn >= 3 && accecn_ace(seg->flags) >= 2;

    r->ecn_mode = classic ? ECN_CLASSIC : accurate ? ECN_ACCURATE : ECN_OFF;
}

bool tcp_ecn_child(struct stack *st, struct env *env, struct tcp *c, const struct tcp_req *r)
{
    c->ecn_mode = r->ecn_mode;
    if (!is_accurate(c)) {
        return true;
    }
    if (!accecn_new(st, env, c)) {
        c->ecn_mode = ECN_OFF;
        return false;
    }
    c->accecn->fail = r->ace_fail;
    c->accecn->syn_ect = r->syn_ect & ECN_MASK;
    c->accecn->prev = r->syn_ect & ECN_MASK;
    c->accecn->demand = 1;
    return true;
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

void tcp_ecn_arrived(struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    if (UNLIKELY(is_accurate(c))) {
        accecn_in(st, c, seg);
    }
}

void tcp_ecn_repeated(struct tcp *c, seq at)
{
    if (is_accurate(c)) {
        accecn_again(c, at);
    }
}

void tcp_ecn_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (c->ecn_mode != ECN_CLASSIC) {
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

void tcp_ecn_feedback(struct tcp *c, const struct tcp_seg *seg, struct tcp_acked *a, bool newer)
{
    if (c->ecn_mode == ECN_CLASSIC) {
        a->ece = seg->flags & TCP_ECE && !(seg->flags & TCP_SYN) && !seg->was_syn;
        c->info.delivered_ce += a->ece ? a->delivered : 0;
    } else if (is_accurate(c)) {
        accecn_feedback(c, seg, a, newer);
    }
}

void tcp_ecn_reduced(struct tcp *c)
{
    c->ecn_queue_cwr = c->ecn_mode == ECN_CLASSIC; /* RFC 9768 3.1.5: else CWR is a counter's bit */
}

bool tcp_ecn_is_fresh(enum tx_reason why)
{
    return why == TX_DATA || why == TX_LIMITED || why == TX_FIN || why == TX_MTU;
}

uint8_t tcp_ecn_out(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                    enum tx_reason why)
{
    bool fresh = seg->len && tcp_ecn_is_fresh(why);

    if (c->ecn_mode == ECN_OFF || seg->flags & TCP_SYN) {
        return ECN_NOT_ECT;
    }
    if (UNLIKELY(is_accurate(c))) {
        return accecn_out(st, env, c, seg, why);
    }
    if (c->ecn_mode != ECN_CLASSIC || seg->flags & TCP_RST) {
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

void tcp_ecn_follow(struct stack *st, struct tcp *c)
{
    if (UNLIKELY(is_accurate(c)) && c->accecn->reserve != accecn_reserve(st, c)) {
        c->accecn->reserve = accecn_reserve(st, c);
        tcp_sync_mss(st, c);
    }
}

bool tcp_ecn_one_by_one(const struct tcp *c)
{
    /* Seen on Linux 6.18: CWR stays on the first segment alone, whatever the virtio header says.
     * RFC 9768 3.3.4 */
    return is_accurate(c) && accecn_flags((uint8_t)(c->accecn->rcv_ce + ACCECN_CEP_INIT)) & TCP_CWR;
}

void tcp_ecn_free(struct stack *st, struct tcp *c)
{
    accecn_free(st, c);
}
