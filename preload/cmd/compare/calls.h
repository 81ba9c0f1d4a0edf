/*
 * calls.h - what the programs' socket calls answered on the two stacks, beside each other: which
 * socket, which call, which result, in how many runs.
 */
#ifndef STANDIN_COMPARE_CALLS_H
#define STANDIN_COMPARE_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "one.h"

/* One result of one call on one socket. Sockets of the two stacks correspond by what they are for
 * ("connection to 10.77.0.1:80") and in their order. */
struct outcome {
    char socket[64];
    unsigned nth;    /* among those with that name, from 1 */
    char call[40];   /* "connect", "getsockopt SO_ERROR" */
    char result[24]; /* "ok", "end of stream", "ECONNREFUSED" */
    bool error;
    unsigned runs[STACKS]; /* in so many */
};

/* What a stream socket carried for the program. */
struct carried {
    char socket[64];
    unsigned nth;
    uint64_t bytes[STACKS][2]; /* sent, received */
    unsigned runs[STACKS];     /* in which it was there */
    bool varies[STACKS];       /* the runs differ */
};

#define OUTCOMES_MAX 1024u
#define CARRIED_MAX  256u
#define CALLS_NTH    16u /* further sockets of a name are taken together */

struct calls {
    struct outcome outcome[OUTCOMES_MAX];
    unsigned noutcomes;
    struct carried carried[CARRIED_MAX];
    unsigned ncarried;
    bool watched[STACKS]; /* some call was seen in some run */
};

/* Adds what one run's calls answered. */
void calls_take(struct calls *c, const struct one *o);

/* The results of outcome i's socket and call on a stack: "ok, ECONNRESET (2 of 5)". Returns buf. */
char *calls_results(const struct calls *c, unsigned i, enum stack_kind k, unsigned n, char *buf,
                    size_t size);

/* Whether j is the same socket and call as i. */
bool calls_same(const struct calls *c, unsigned i, unsigned j);

/* Sockets in a run. */
unsigned calls_sockets(const struct one *o);

#endif
