/*
 * pktring.h - the packets of a capture, on their way from those who drive the stack to the one who
 * writes the file: a ring of bytes in the arena.
 *
 * One writer, the holder of the session's lock; one copy of at most snaplen bytes a packet. When
 * the ring is full the oldest packets make room, and a reader who was too slow sees by their
 * numbers how many he missed: nobody who sends ever waits for a disk. Readers take no lock and
 * change nothing, so there may be any number of them.
 *
 *   tail: the oldest record still whole      head: records before it can be read
 *      |------------ to be read ----------------|-- put, not yet published --| wr
 */
#ifndef STANDIN_TUN_PKTRING_H
#define STANDIN_TUN_PKTRING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/env.h"
#include "core/pkt.h"
#include "core/stack.h"

#define PKTRING_SIZE    (32u << 20)
#define PKTRING_PATH    512u
#define PKTRING_SNAPLEN 262144u /* the default, tcpdump's */

enum {
    PKTREC_OUT = 1,     /* sent by us; else received */
    PKTREC_PARTIAL = 2, /* the link finishes the checksum */
    PKTREC_FAILED = 4,  /* the link did not take it */
    PKTREC_LOOP = 8,    /* to ourselves: it never left the stack */
    PKTREC_LOST = 16,   /* the emulated wire dropped it on its way to us */
};

/* Before each packet; its bytes follow. */
struct pktrec {
    uint32_t size;   /* of the whole record, a multiple of 16 */
    uint32_t caplen; /* UINT32_MAX: no packet, only the rest of the ring */
    uint32_t len;
    uint16_t gso_size;
    uint8_t flags;  /* PKTREC_* */
    uint8_t reason; /* enum tx_reason, of packets we sent */
    uint64_t no;    /* of the packet, from 0 */
    nsec at;        /* monotonic */
    nsec real;      /* since 1970 */
    /* The numbers of its events, [ev_from, ev_to): what a received packet caused, beginning with
     * its own; what the emulated wire did to a sent one, whose own is ev_from - 1. */
    uint64_t ev_from;
    uint64_t ev_to;
    uint32_t sock_id; /* 0: none */
    int32_t fd;       /* of that socket; -1: not known */
    uint8_t proto;
    uint8_t call; /* enum event_call: the call on that socket that sent it; 0: none */
    uint8_t pad[14];
};
_Static_assert(sizeof(struct pktrec) % 16 == 0, "records begin at multiples of 16");

struct pktring {
    uint64_t tail, head; /* atomic */
    uint64_t wr;
    uint64_t count; /* packets ever put */
    uint32_t snaplen;
    uint32_t waiting; /* atomic: the keeper sleeps; whoever publishes wakes it, once */
    uint32_t wake;    /* number of its wake-up */
    /* What the keeper tells of its file, for those who wait for it. Atomic. */
    int32_t failed;   /* errno of the write that failed: nothing more is written */
    uint64_t written; /* packets written or given up, of `count` */
    uint64_t lost;    /* of those, overwritten before they were read */
    /* For the next keeper, if this one dies: what is written up to here is whole. */
    uint64_t read;           /* bytes of this ring */
    uint64_t file_len;       /* bytes of the file */
    char path[PKTRING_PATH]; /* of the file; "": a pipe, which cannot be opened again */
    _Alignas(64) uint8_t bytes[PKTRING_SIZE];
};

void pktring_init(struct pktring *r, uint32_t snaplen);

/* A packet that was handed to the link; ev_from: the number of events before that. Lock held. */
void pktring_out(struct pktring *r, const struct stack *st, const struct env *env,
                 const struct pkt_out *p, bool failed, uint64_t ev_from);

/* A packet that would have come, had the emulated wire not dropped it. Lock held. */
void pktring_lost(struct pktring *r, const struct stack *st, const struct env *env,
                  const struct pkt_in *p, uint64_t ev_from);

/* A packet from the link, before the stack sees it; returns a token for pktring_in_done, which
 * comes after. Lock held. */
uint64_t pktring_in(struct pktring *r, const struct stack *st, const struct env *env,
                    const struct pkt_in *p);
void pktring_in_done(struct pktring *r, const struct stack *st, uint64_t token);

/* A packet to ourselves, before the stack sees it; told once. Lock held. */
void pktring_looped(struct pktring *r, const struct stack *st, const struct env *env,
                    const struct pkt_in *p);

/* Makes what was put readable; lock held. True: the keeper wants to be woken, by its number. */
bool pktring_publish(struct pktring *r);

/*
 * The record at *pos into *rec and up to `max` of its bytes into buf; from any thread. Begins with
 * *pos 0. 1, and *pos is behind it; 0: nothing there yet. What was overwritten meanwhile is passed
 * over; the gap shows in rec->no.
 */
int pktring_read(const struct pktring *r, uint64_t *pos, struct pktrec *rec, uint8_t *buf,
                 uint32_t max);

#endif
