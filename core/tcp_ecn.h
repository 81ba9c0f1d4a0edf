/*
 * tcp_ecn.h - Explicit Congestion Notification, RFC 3168: negotiation, marking, echo.
 *
 * tcp_ecn says who asks and who agrees: 0 nobody, 1 we ask and agree, 2 we agree only. What a
 * sender does when congestion is echoed is tcp_loss.c's (CA_CWR).
 */
#ifndef STANDIN_CORE_TCP_ECN_H
#define STANDIN_CORE_TCP_ECN_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "event.h"

struct stack;
struct tcp;
struct tcp_req;
struct tcp_seg;

/* The two low bits of TOS and traffic class. RFC 3168 5 */
enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3, ECN_MASK = 3 };

/* ---- opening */

/* The flags that our SYN, or SYN-ACK (`answer`), has beside SYN; `again`: a SYN sent once more. */
uint16_t tcp_ecn_syn(const struct stack *st, struct tcp *c, bool answer, bool again);
/* The answer to that: a SYN-ACK, or in a simultaneous open a SYN. */
void tcp_ecn_answer(struct tcp *c, const struct tcp_seg *seg);
/* A SYN to a listener: whether the request has ECN. */
bool tcp_ecn_request(const struct stack *st, const struct tcp *l, const struct tcp_seg *seg);

/* ---- open */

/* A segment with data has come in order or not: its codepoint, and the peer's CWR. */
void tcp_ecn_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* Whether the segment echoes congestion. */
bool tcp_ecn_echo(const struct tcp *c, const struct tcp_seg *seg);
/* Sets the flags of a segment that is about to go; returns the codepoint of its packet. */
uint8_t tcp_ecn_out(struct tcp *c, struct tcp_seg *seg, enum tx_reason why);
/* The window was reduced, for whatever reason: the peer is told. RFC 3168 6.1.2 */
void tcp_ecn_reduced(struct tcp *c);

#endif
