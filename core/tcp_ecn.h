/*
 * tcp_ecn.h - Explicit Congestion Notification: negotiation of RFC 3168 and RFC 9768, and what the
 * rest of TCP calls whatever was agreed.
 *
 * tcp_ecn says who asks and who agrees, in Linux's numbers:
 *
 *                           0     1     2     3       4       5
 *     we ask for            -     ECN   -     AccECN  ECN     -
 *     we agree to, at most  -     ECN   ECN   AccECN  AccECN  AccECN
 *
 * What a sender does when congestion is told is tcp_loss.c's (CA_CWR); counters and feedback of
 * AccECN are tcp_accecn.h's.
 */
#ifndef STANDIN_CORE_TCP_ECN_H
#define STANDIN_CORE_TCP_ECN_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "event.h"
#include "seq.h"

struct stack;
struct tcp;
struct tcp_acked;
struct tcp_req;
struct tcp_seg;

/* The two low bits of TOS and traffic class. RFC 3168 5 */
enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3, ECN_MASK = 3 };

/* The feedback mode of a connection: tcpi_ecn_mode. */
enum ecn_mode {
    ECN_OFF,
    ECN_CLASSIC,  /* RFC 3168; in SYN-SENT: asked for */
    ECN_ACCURATE, /* RFC 9768 */
    ECN_ASKED,    /* for that, or the other if the peer cannot */
};

/* ---- opening */

/* ECN's part of our SYN, or SYN-ACK (`answer`); `again`: it is sent once more. */
void tcp_ecn_syn(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *syn, bool again);
/* The answer to that: a SYN-ACK, or in a simultaneous open a SYN. */
void tcp_ecn_answer(struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* A SYN or SYN-ACK that repeats the opening. False: it opens in another mode; the connection is to
 * be reset (RFC 9768 3.1.5). */
bool tcp_ecn_syn_again(const struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* The SYN-ACK's acknowledgment must go by itself and at once, with its codepoint; it goes. */
bool tcp_ecn_reflect(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
/* The first segment that acknowledges our SYN-ACK. */
void tcp_ecn_opened(const struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* Our SYN or SYN-ACK met congestion: the first window is to be small. */
bool tcp_ecn_syn_marked(const struct tcp *c);

/* The same for a request: what a SYN says; one that comes again (false: reset); the SYN-ACK; the
 * cookie that came back, whose timestamp said `classic`; the child (false: no memory). */
void tcp_ecn_request(const struct stack *st, const struct tcp *l, const struct tcp_seg *seg,
                     struct tcp_req *r);
bool tcp_ecn_request_again(const struct stack *st, struct tcp_req *r, const struct tcp_seg *seg);
void tcp_ecn_synack(const struct stack *st, const struct tcp_req *r, struct tcp_seg *synack);
void tcp_ecn_synack_again(struct tcp_req *r);
void tcp_ecn_cookie(const struct stack *st, struct tcp_req *r, const struct tcp_seg *seg,
                    bool classic);
bool tcp_ecn_child(struct stack *st, struct env *env, struct tcp *c, const struct tcp_req *r);

/* ---- open */

/* A segment passed all checks. */
void tcp_ecn_arrived(struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* It has data, in order or not: codepoint, and the peer's CWR. */
void tcp_ecn_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* What was received before, from `at` on, has come again. */
void tcp_ecn_repeated(struct tcp *c, seq at);
/* What an acknowledgment tells of congestion, to a->ece and a->marked; what it delivered is known.
 * `newer`: its timestamp is. */
void tcp_ecn_feedback(struct tcp *c, const struct tcp_seg *seg, struct tcp_acked *a, bool newer);
/* Sets flags and option of a segment that is about to go; returns the codepoint of its packet. */
uint8_t tcp_ecn_out(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                    enum tx_reason why);
/* Whether it is new data, for which alone RFC 3168 6.1.4 .. 6.1.6 has ECT. */
bool tcp_ecn_is_fresh(enum tx_reason why);
/* The window was reduced, for whatever reason: the peer is told. RFC 3168 6.1.2 */
void tcp_ecn_reduced(struct tcp *c);
/* Before sending: SND.MSS leaves room for the option that segments will have. */
void tcp_ecn_follow(struct stack *st, struct tcp *c);
/* Segments cut from a super-segment would not all have its flags. */
bool tcp_ecn_one_by_one(const struct tcp *c);

/* The connection goes. */
void tcp_ecn_free(struct stack *st, struct tcp *c);

#endif
