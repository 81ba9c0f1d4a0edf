/*
 * trace.h - the one notation: events as text, in packetdrill's language with relative numbers.
 *
 *     [  0.110123] 3 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS,wscale 7>
 *     [  0.110123] 3 = SYN-SENT -> ESTABLISHED      tcp_in_syn_sent:88
 *     [  0.110200] 3 ! tcp: outside the receive window
 *     [  0.110210] 3 . send(5, ..., 100) = 100
 *     [  0.310210] 3 * rto fired
 */
#ifndef STANDIN_CORE_TRACE_H
#define STANDIN_CORE_TRACE_H

#include <stddef.h>

#include "event.h"

#define TRACE_LINE_MAX 256

/* One record as one line without its newline; t0 is what the first column counts from. Returns
 * `buf`. */
char *trace_line(const struct event *ev, nsec t0, char buf[TRACE_LINE_MAX]);

/* The same without the time: "3 * rto fired". */
char *trace_text(const struct event *ev, char buf[TRACE_LINE_MAX]);

/* A text being written; it stops at its end. */
struct text {
    char *p;
    size_t len;
    size_t max; /* bytes at p */
};

__attribute__((format(printf, 2, 3))) void text_put(struct text *t, const char *format, ...);

/* "S.", "P.", "R" ... by packetdrill's letters; bit 8 is AE. */
char *trace_flags(uint16_t flags, char buf[12]);

#endif
