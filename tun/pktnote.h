/*
 * pktnote.h - what a capture says of a packet: a sentence for people, a line for machines, and what
 * happened in the stack since the packet before it.
 *
 *     RETRANSMIT bytes 1461-2920: fast retransmission
 *     ev=tx sock=3 reason=FAST state=ESTABLISHED seq=1461 len=1460 cwnd=7300 ssthresh=7300 ...
 *     3 * rto fired | 3 . send(5, ..., 100) = 100
 *
 * The machine's line is words KEY=VALUE with one blank between; values hold no blank. Keys: ev (tx,
 * rx, loop), sock, reason (of a sent packet enum tx_reason, of a received one why it was not used),
 * state (before it), seq, ack, len (bytes; relative), cwnd, ssthresh, inflight, wnd (bytes), srtt,
 * rto (seconds), ca (Open, Disorder, CWR, Recovery, Loss), gso (bytes a segment), fd, call, rule,
 * lost. What is not known is left out.
 */
#ifndef STANDIN_TUN_PKTNOTE_H
#define STANDIN_TUN_PKTNOTE_H

#include "core/event.h"
#include "tun/pktring.h"

struct pktnote {
    char people[512];
    char machine[512];
    char before[1024]; /* "" when nothing happened */
};

/* The events that belong to a packet; read from the ring by its numbers. */
struct pktnote_events {
    const struct event *own;   /* of the segment, datagram or message; NULL: not known */
    const struct event *after; /* what a received packet caused, behind its own */
    uint32_t nafter;
    const struct event *before; /* since the packet before it */
    uint32_t nbefore;
};

/* lost: packets missing between the one before and this. */
void pktnote_make(struct pktnote *n, const struct pktrec *rec, const struct pktnote_events *ev,
                  uint64_t lost);

#endif
