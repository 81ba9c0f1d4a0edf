/*
 * show.h - a packet that was taken apart, on stdout: as text for people, or as a JSON value.
 */
#ifndef STANDIN_EXPLAIN_SHOW_H
#define STANDIN_EXPLAIN_SHOW_H

#include <jansson.h>
#include <stdbool.h>

#include "../capture.h"
#include "dissect.h"
#include "flow.h"

enum depth {
    DEPTH_LINE = 1, /* who, what, and what it means in the connection */
    DEPTH_FIELDS,   /* every field of every header, the checksums' sums */
    DEPTH_WORDS,    /* every word of every checksum */
};

struct shown {
    const struct dissection *d;
    const struct context *ctx;
    const struct cap_packet *cap; /* NULL: given in hex */
    int64_t since_ns;             /* since the capture's first packet */
};

void show_text(const struct shown *s, enum depth depth);

/* A new reference; NULL: no memory. */
json_t *show_json(const struct shown *s);

#endif
