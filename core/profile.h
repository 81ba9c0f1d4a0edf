/*
 * profile.h - whose habits the stack has where the RFCs leave a choice: Linux's (the default) or
 * FreeBSD's.
 *
 * A profile is a row of policy, and a list of knobs that have other defaults under it. Code asks
 * the row for what it wants to know, never for the profile's name. The knob user_profile chooses:
 * setting it sets the profile's knobs as well, and what is set after it holds.
 */
#ifndef STANDIN_CORE_PROFILE_H
#define STANDIN_CORE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "knobs.h"
#include "tcp_wire.h"

enum profile_id { PROFILE_LINUX, PROFILE_FREEBSD, PROFILES };

struct profile {
    const char *name;
    uint8_t syn_layout;       /* enum syn_layout: order and padding of a SYN's options */
    uint8_t rexmt_max;        /* retransmissions before R2; 0: the time that tcp_retries2 gives */
    uint8_t connect_s;        /* an active open has so long; 0: as tcp_syn_retries says */
    uint8_t rcvbuf_share;     /* the window is the receive buffer divided by this */
    uint8_t persist_min_s;    /* a window probe waits so long at least; 0: the RTO */
    uint8_t persist_max_s;    /* ... and at most; 0: the largest RTO */
    bool window_grows;        /* the window announced begins small and grows with what arrives */
    bool quickacks;           /* the first segments are acknowledged at once */
    bool delack_fixed;        /* a delayed ACK waits user_delack_min_ms, whatever the spacing */
    bool ack_second;          /* every second segment of any size is acknowledged at once */
    bool nagle_minshall;      /* Nagle holds only while a small segment is unacknowledged */
    bool close_unread_resets; /* RFC 9293 3.6.1, SHLD-3 */
    bool syn_hurry;           /* a bad answer to our SYN makes it be sent again at once */
    bool listen_synack_reset; /* SYN,ACK to a listener is reset (RFC 9293 3.10.7.2), else dropped */
    bool round_rcvbuf;        /* the receive buffer becomes whole segments when connected */
    bool fin_with_acks;       /* acknowledgments repeat our FIN until it is acknowledged */
    bool reset_beside;        /* a reset also counts at a FIN's number, or behind what is early */
    bool keep_always;         /* keepalive for every connection */
    bool accecn_ect_all;      /* with AccECN all segments have ECT, not new data alone */
};

/* The row of the profile that is set. */
const struct profile *profile_of(const struct knobs *k);

/* Sets the knobs that differ between profiles to those of one. */
void profile_apply(struct knobs *k, enum profile_id id);

/* PROFILES: there is none of that name. */
enum profile_id profile_find(const char *name);

#endif
