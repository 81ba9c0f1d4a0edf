/*
 * tcp_req.h - a connection request: what a listener knows of a peer between its SYN and the
 * acknowledgment of our SYN-ACK (Linux's request_sock).
 *
 * A request is a tenth of a connection and has no buffers, so that a flood of SYNs costs little.
 * The stack holds all of them: in a table by flow, and in one list for each number of SYN-ACKs sent
 * again, in which they stand in the order of their deadlines. A listener only counts its own.
 *
 * With the state gone altogether there are cookies (tcp_cookie.h): then a request lives on the
 * stack of one call.
 */
#ifndef STANDIN_CORE_TCP_REQ_H
#define STANDIN_CORE_TCP_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "env.h"
#include "err.h"
#include "event.h"
#include "mem.h"
#include "nsec.h"
#include "seq.h"
#include "timer.h"

struct ip_hdr;
struct stack;
struct tcp;
struct tcp_seg;
struct tfo_cookie;

#define REQ_LEVELS 8u /* 1, 2, 4 .. 64, 120 s */

struct tcp_req {
    struct mem_obj obj;
    struct tcp *parent; /* the listener; written last: without it the object was never finished */
    struct tcp_req *hash_next;
    struct tcp_req *next, *prev; /* of the same level */
    nsec due;
    struct flow flow;
    seq iss, irs;
    uint32_t ts_recent;
    uint32_t oow_ms; /* when a segment out of order was answered last, in milliseconds; 0: never */
    uint32_t saved;  /* id of its SYN's headers (tcp_saved.h); 0: none */
    uint16_t mss;    /* of the peer */
    uint16_t wnd;    /* of its SYN */
    uint8_t wscale;
    uint8_t timeouts; /* how often its time was over */
    bool ts_ok       : 1;
    bool sack_ok     : 1;
    bool ws_ok       : 1;
    uint8_t ecn_mode : 2; /* enum ecn_mode */
    uint8_t syn_ect  : 2; /* codepoint of the SYN that came last */
    uint8_t ace_fail : 2; /* ACCECN_ACE_FAIL_* */
    bool acked       : 1; /* the handshake is over, but the connection has to wait */
    bool again       : 1; /* the SYN-ACK was sent again: no round-trip time */
    bool cookie      : 1; /* made from a cookie: it is in no table */
};

/* Of a stack. An index, but for the objects themselves. */
struct tcp_reqs {
    struct tcp_req **hash; /* page run; NULL: none yet */
    uint32_t mask;
    uint32_t n;
    uint8_t order;
    struct tcp_req *head[REQ_LEVELS], *tail[REQ_LEVELS];
    struct timer timer;
};

int tcp_req_init(struct stack *st, struct env *env); /* -ERR_NOMEM */

/* The request of a flow, or NULL. */
struct tcp_req *tcp_req_find(struct stack *st, const struct flow *f);

/* What a SYN to listener l says; *r is empty before. Numbers are not chosen. */
void tcp_req_fill(struct stack *st, struct tcp_req *r, struct tcp *l, const struct ip_hdr *ip,
                  const struct tcp_seg *seg);

/* Keeps a request: into table and list, its timer set. NULL: no memory. */
struct tcp_req *tcp_req_keep(struct stack *st, struct env *env, const struct tcp_req *r);

void tcp_req_drop(struct stack *st, struct tcp_req *r);

/* When the SYN-ACK went out last, as far as it is known. */
nsec tcp_req_sent(const struct stack *st, const struct env *env, const struct tcp_req *r);

/* The SYN-ACK of a request. `fo` may be NULL. */
void tcp_req_synack(struct stack *st, struct env *env, const struct tcp_req *r, enum tx_reason why,
                    const struct tfo_cookie *fo);

/* SEGMENT ARRIVES in SYN-RCVD, for a request. */
void tcp_req_in(struct stack *st, struct env *env, struct tcp_req *r, const struct ip_hdr *ip,
                struct tcp_seg *seg);

/* ICMP quotes our number `at`; `over`: that ends the attempt. False: not what is in flight. */
bool tcp_req_icmp(struct stack *st, struct tcp_req *r, seq at, bool over);

/* The timer of the table is due. */
void tcp_req_expire(struct stack *st, struct env *env);

/* The listener closes: its requests are forgotten. */
void tcp_req_forget_all(struct stack *st, struct tcp *l);

/* Recovery, after all connections were rebuilt. The waits begin anew. */
void tcp_req_rebuild(struct stack *st, struct env *env);

#endif
