/*
 * tracer.h - the event log as lines, live: packetdrill's notation (core/trace.h), with a filter.
 *
 * A filter is a list of words with commas between. Kinds: seg, dgram, icmp, drop, state, timer,
 * call, cwnd, impair, member; the kinds named are shown, with ! before a word all but those. port=N
 * and conn=N (the number in the second column) show only what belongs to one of them.
 */
#ifndef STANDIN_CMD_TRACER_H
#define STANDIN_CMD_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tun/peek.h"

#define TRACER_PICK_MAX 16u

struct tracer {
    FILE *to;
    uint32_t kinds; /* bit of each enum event_kind that is shown */
    uint16_t port[TRACER_PICK_MAX];
    uint32_t conn[TRACER_PICK_MAX];
    unsigned nport, nconn;
    uint64_t from; /* number of the next record */
    uint64_t lost; /* told so far */
    nsec t0;       /* what the first column counts from; 0: the first record seen */
};

/* filter NULL or "": everything. False after a message about the word that is wrong. */
bool tracer_init(struct tracer *t, const char *filter);

/* Prints what has happened since the last time, and how much of it was lost. */
void tracer_print(struct tracer *t, struct peek *p);

#endif
