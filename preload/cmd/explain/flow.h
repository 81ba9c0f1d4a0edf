/*
 * flow.h - what a packet means in its connection: the TCP connections of a capture, as far as the
 * packets before it tell.
 *
 * Nothing is looked up ahead: a sentence about packet 7 knows packets 1 to 7. Numbers are relative
 * to the initial sequence number of their direction; the first byte of the stream is 1, as
 * everybody counts it.
 */
#ifndef STANDIN_EXPLAIN_FLOW_H
#define STANDIN_EXPLAIN_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "dissect.h"

#define CONTEXT_LINES 16
#define CONTEXT_LEN   320

struct context {
    unsigned conn;         /* number of its connection, from 1; 0: it has none */
    char end[2][64];       /* "10.77.0.2:41036": who sent this packet, and to whom */
    uint64_t seq, ack, to; /* relative; to: after the last byte, SYN and FIN counted */
    uint64_t window;       /* bytes; UINT64_MAX: the scale is not known */
    bool retrans;
    char line[CONTEXT_LINES][CONTEXT_LEN];
    unsigned nlines;
};

struct flows;

struct flows *flows_new(void); /* NULL: no memory */
void flows_free(struct flows *f);

/* Takes one packet, in the capture's order, and tells what it means. */
void flows_take(struct flows *f, const struct dissection *d, uint64_t no, int64_t at_ns,
                struct context *out);

/* "50.2 ms" */
const char *duration_text(int64_t ns, char buf[24]);

#endif
