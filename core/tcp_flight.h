/*
 * tcp_flight.h - what a connection needs only while something is under way: to be sent, to be
 * acknowledged, or arrived behind a hole. An object of its own: an idle connection has none.
 *
 * c->fl is never NULL: without an object it is the stack's `no_flight`, which says that nothing is
 * unsent, in flight, lost, due or out of order, so that whoever asks need not ask first whether
 * there is one. It must not be changed (tcp_flight_check). The object is made by tcp_flight_get,
 * before anything is written or sent, and goes when all is sent and acknowledged, no hole is left
 * and the state of recovery is OPEN (tcp_flight_idle). In recovery an object and a connection keep
 * each other only if each names the other.
 */
#ifndef STANDIN_CORE_TCP_FLIGHT_H
#define STANDIN_CORE_TCP_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "mem.h"
#include "nsec.h"
#include "ranges.h"
#include "seq.h"
#include "tcp_rate.h"
#include "tcp_txq.h"
#include "tcp_wire.h"
#include "tcp_wq.h"

struct stack;
struct tcp;

/* Its timers: times or NEVER. tcp_due() in tcp_cb.h. */
enum tcp_flight_timer { FLIGHT_RTO, FLIGHT_TLP, FLIGHT_REORDER, FLIGHT_PACE, FLIGHT_TIMERS };

struct tcp_flight {
    struct mem_obj obj; /* kind MEM_FLIGHT */
    struct tcp *owner;  /* NULL: nobody's, no_flight */

    struct txq tx;
    struct wq wq; /* of what is unsent */
    nsec due[FLIGHT_TIMERS];
    struct ranges ooo;                      /* what has arrived behind a hole */
    struct sack_block recent[TCP_SACK_MAX]; /* blocks to report, newest first (RFC 2018 4) */
    struct sack_block dsack;                /* RFC 2883; valid while has_dsack */
    uint8_t nrecent;
    bool has_dsack;
    struct rate_flight rate;
    nsec stall_at;    /* since when nothing new is acknowledged; 0: not stalled */
    nsec rto_since;   /* when the timeout fired that is not repaired yet; 0: none */
    nsec probe_since; /* the first probe of a closed window; 0: none */

    uint32_t reno_sacked; /* without SACK: duplicate ACKs stand for segments delivered */
    uint32_t max_out;     /* most segments out since usage_seq was SND.NXT */
    seq usage_seq;
    seq high_seq; /* SND.NXT when recovery began: it ends when that is acknowledged */
    uint32_t prior_cwnd;
    uint32_t prr_delivered;
    uint32_t prr_out;
    uint32_t undo_cwnd; /* what to return to when the loss was none */
    uint32_t undo_ssthresh;
    seq undo_marker;
    int32_t
        undo_retrans;   /* retransmissions not yet reported as duplicates; -1: undo not possible */
    nsec retrans_stamp; /* when the first retransmission of this recovery was sent; 0: none */
    struct {
        nsec at; /* when the most recently delivered segment was sent */
        seq end; /* and its end */
        nsec rtt;
    } rack;
};

/* The connection's own, made if it has none. False: no memory. */
bool tcp_flight_get(struct stack *st, struct env *env, struct tcp *c);

/* txq_push on it. -ERR_NOBUFS. */
int tcp_flight_push(struct stack *st, struct env *env, struct tcp *c, seq from, seq to,
                    uint32_t segs, nsec now);

/* Gives it back if nothing needs it. */
void tcp_flight_idle(struct stack *st, struct env *env, struct tcp *c);

/* Gives it back with all it holds. */
void tcp_flight_free(struct stack *st, struct tcp *c);

/* One with nothing in it. */
void tcp_flight_none(struct tcp_flight *fl);

/* Recovery. Before the connections are rebuilt: what does not belong together is let go. Then: its
 * page runs are marked; false: they are not to be trusted. Without them: the pages are free. */
void tcp_flight_rebuild(struct stack *st);
bool tcp_flight_mark(struct stack *st, struct tcp *c);
void tcp_flight_forget(struct stack *st, struct tcp *c);

/* NULL, or what is not so: no_flight is untouched; c has its own where it needs one. */
const char *tcp_flight_check(const struct stack *st, const struct tcp *c);

#endif
