/*
 * bulk.h - flows that send as much as they can from host 0 to host 1 of a rig, in virtual time.
 *
 * What arrives is taken at once and not looked at. The rig's wire out of host 0 is the bottleneck.
 */
#ifndef STANDIN_TESTS_BULK_H
#define STANDIN_TESTS_BULK_H

#include "tests/lib/rig.h"

#define BULK_FLOWS 8u

struct bulk_flow {
    struct sock *out; /* on host 0; NULL: not begun */
    struct sock *in;  /* on host 1; NULL: not accepted */
    uint64_t got;     /* bytes */
    bool paused;      /* sends nothing more for now */
    uint64_t take;    /* reads no further than so many bytes; 0: all that comes */
};

struct bulk {
    struct rig *rig;
    struct sock *listener;
    struct bulk_flow flow[BULK_FLOWS];
};

/* A rig whose both hosts have these offloads (LINK_*); `tune` as in rig_new. */
struct bulk *bulk_new(uint64_t seed, uint32_t caps, void (*tune)(struct stack_config *cfg));
void bulk_free(struct bulk *b);

/* Connects flow i, with this congestion control (NULL: the stack's); waits until it is open. */
void bulk_open(struct bulk *b, unsigned i, const char *cc);

/* Lets all open flows run for so long. */
void bulk_run(struct bulk *b, nsec time);

/* The same; afterwards rate[i] is what flow i delivered, in bytes per second. */
void bulk_measure(struct bulk *b, nsec time, double rate[BULK_FLOWS]);

/* Jain's index of the first n: 1 when all have the same. */
double bulk_fairness(const double rate[BULK_FLOWS], unsigned n);

/* TCP_INFO of the sending end. */
struct lx_tcp_info;
struct lx_tcp_info bulk_info(struct bulk *b, unsigned i);

/* Bytes that wait before the bottleneck now. */
double bulk_queue(const struct bulk *b);

#endif
