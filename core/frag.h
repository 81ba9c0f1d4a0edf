/*
 * frag.h - reassembly of fragmented datagrams, both families: RFC 791 3.2, RFC 8200 4.5, RFC 5722.
 *
 * Bounded in memory, number and time. Fragments that overlap condemn their whole datagram; what
 * lies within a run that has come is a duplicate and ignored (Linux's rules).
 */
#ifndef STANDIN_CORE_FRAG_H
#define STANDIN_CORE_FRAG_H

#include "addr.h"
#include "env.h"
#include "ip.h"
#include "mem.h"
#include "pkt.h"
#include "timer.h"

struct stack;

#define FRAG_RUNS_MAX 128u /* 64 KiB over a link of 576 bytes take 119, when they come in reverse */

struct frag_key {
    struct addr src;
    struct addr dst;
    uint32_t id;
    uint8_t proto; /* IPv4 only: RFC 791 3.2; 0 for IPv6 */
    uint8_t v6;
    uint8_t zero[2];
};

_Static_assert(sizeof(struct frag_key) == 40, "compared as memory");

/* Bytes that came one after the other. */
struct frag_run {
    uint16_t from;
    uint16_t to; /* first byte after it */
};

/* One datagram being reassembled. */
struct frag {
    struct mem_obj obj;
    struct frag *hash_next;
    struct frag *old_next, *old_prev; /* all, by age */
    struct timer timer;
    struct frag_key key;
    uint8_t *data; /* page run: room for a header, then the payload */
    uint8_t order;
    uint8_t tos;
    uint8_t ttl;
    uint8_t next;   /* the protocol, from the first fragment */
    uint8_t source; /* hash of key.src: into the stack's frag_src */
    uint8_t ecn;    /* bit n: some piece had the ECN field n */
    uint32_t have;  /* bytes that have come */
    uint32_t total; /* of the datagram's payload, once the last fragment has come; 0 before */
    uint32_t reach; /* end of what has come */
    uint32_t count; /* its source's, when the last piece came */
    uint16_t nruns;
    uint16_t first_len;                 /* of the first piece; 0: it has not come */
    struct frag_run run[FRAG_RUNS_MAX]; /* in order */
};

/* A fragment has come. Non-NULL: it made this datagram whole, and `out` is the datagram as one
 * packet, good until frag_free. NULL with DROP_NONE: kept; with another reason: dropped. */
struct frag *frag_input(struct stack *st, struct env *env, const struct ip_hdr *ip,
                        struct pkt_in *out, enum drop *why);
void frag_free(struct stack *st, struct frag *f);

/* The timer of one of them is due. */
void frag_timer(struct stack *st, struct env *env, struct timer *t);

/* Recovery: all are given up, like a packet lost. */
void frag_rebuild(struct stack *st);

#endif
