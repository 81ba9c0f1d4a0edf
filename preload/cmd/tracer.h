/*
 * tracer.h - the event log as lines, live: packetdrill's notation (core/trace.h), with a filter
 * (tun/tracelog.h).
 */
#ifndef STANDIN_CMD_TRACER_H
#define STANDIN_CMD_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tun/peek.h"
#include "tun/tracelog.h"

struct tracer {
    FILE *to;
    struct tracelog log;
    uint64_t from; /* number of the next record */
    uint64_t lost; /* told so far */
    nsec t0;       /* what the first column counts from; 0: the first record seen */
};

/* filter NULL or "": everything. False after a message about the word that is wrong. */
bool tracer_init(struct tracer *t, const char *filter);

/* Prints what has happened since the last time, and how much of it was lost. */
void tracer_print(struct tracer *t, struct peek *p);

#endif
