/*
 * match.h - whether what was emitted is what the script expects.
 */
#ifndef STANDIN_DRILL_MATCH_H
#define STANDIN_DRILL_MATCH_H

#include "wire.h"

struct match_rules {
    uint32_t ts_tick_us;   /* 0: outbound timestamp values are not compared */
    uint32_t ts_tolerance; /* in ticks */
    bool ports;            /* the script's ports are real ones */
};

/*
 * Compares the packet `got` (its numbers already the script's; `w` its header) with what the line
 * says. Also completes `got` for printing: what the line does not write and is not checked is
 * left out of it. False: `err` names the first difference.
 */
bool match(const struct spec *want, struct spec *got, const struct wire *w,
           const struct match_rules *rules, struct str *err);

/* Whether `next` goes on where `sum` ends, with the same header, so that both may be read as one
 * segment; then adds it: FIN, PSH and CWR are those of the last. */
bool match_glue(struct spec *sum, const struct spec *next, struct str *err);

#endif
