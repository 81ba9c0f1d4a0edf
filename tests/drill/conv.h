/*
 * conv.h - one connection (or pair of datagram ends) as the script sees it and as it really is.
 *
 * The script's numbers are small: a SYN carries the script's initial sequence number as it is
 * written, every other segment counts from it as zero. The stack chooses real ones. conv_in turns
 * a script's packet into a live one, conv_out the other way. Timestamps are the stack's too: a
 * table remembers which live value stood where the script wrote which.
 */
#ifndef STANDIN_DRILL_CONV_H
#define STANDIN_DRILL_CONV_H

#include "wire.h"

enum conv_state {
    CONV_NEW,       /* socket(): nothing known */
    CONV_LISTEN,    /* an inbound packet makes a child */
    CONV_CONNECT,   /* connect(): its SYN will tell the local end */
    CONV_OPEN,      /* both ends are known */
    CONV_DATAGRAMS, /* UDP or ICMP */
};

struct ts_pair {
    uint32_t script, live;
};

struct conv {
    struct conv *next;
    enum conv_state state;
    uint8_t proto; /* of the socket; 0 for packets without one */
    bool v6;
    bool written_ports;            /* the script names its ports */
    struct endpoint local, remote; /* live; port 0: not known yet */
    bool have_local_isn, have_remote_isn;
    uint32_t local_live, local_script; /* initial sequence numbers */
    uint32_t remote_live, remote_script;
    bool reopening; /* another SYN came in; a SYN-ACK to it begins a new connection */
    uint32_t reopen_isn;
    bool have_ts;
    uint32_t ts_script, ts_live; /* the first outbound timestamp */
    struct ts_pair *ts;
    unsigned nts, ts_cap;
    int live_fd; /* of the socket, for code blocks; -1 */
};

void conv_fini(struct conv *f);

/* Script's numbers to live ones. False when an echoed timestamp was never sent (`err` says so),
 * unless `ts_scaled`. */
bool conv_in(struct conv *f, const struct spec *script, bool ts_scaled, struct spec *live,
             struct str *err);

/* Live numbers to script's, for a packet sent here where the script expects `expected` (NULL:
 * nothing). Learns the initial sequence number from a SYN and the timestamp from any segment. */
void conv_out(struct conv *f, const struct spec *live, const struct spec *expected,
              struct spec *script);

#endif
