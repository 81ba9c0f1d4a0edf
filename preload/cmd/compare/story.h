/*
 * story.h - what the packets of one run tell: the handshake, who sent what how often, how it ended,
 * when things happened. From the wire alone, by the same rules for both stacks.
 */
#ifndef STANDIN_COMPARE_STORY_H
#define STANDIN_COMPARE_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "one.h"

/* A side's half of the handshake, out of its SYN. */
struct card {
    bool seen;
    uint16_t mss; /* 0: not offered */
    int wscale;   /* -1: not offered */
    bool sack, ts;
    bool ecn;         /* offered or accepted */
    uint16_t window;  /* of the SYN, unscaled */
    char options[64]; /* "mss,sackOK,TS,nop,wscale" */
};

/* Why a segment went again, as far as the wire shows. */
enum again { AGAIN_SYN, AGAIN_FAST, AGAIN_TIMEOUT, AGAIN_PROBE, AGAIN_COUNT };
extern const char *const again_names[AGAIN_COUNT];

/* One direction of all connections together. */
struct flow_counts {
    uint64_t segments, data_segments, bytes, new_bytes; /* payload */
    uint64_t pure_acks, dup_acks;
    uint64_t again[AGAIN_COUNT]; /* retransmissions by cause */
    uint64_t fins, resets;
    uint64_t zero_windows; /* changes to a closed window */
    uint64_t sacks;        /* segments with blocks */
    uint64_t lost;         /* that did not arrive */
    uint64_t bad_checksums;
};

enum { SYN_TIMES = 8 };

struct story {
    unsigned connections;
    struct card card[WIRE_DIRS]; /* of the first connection */
    nsec syn_at[SYN_TIMES];      /* of its SYNs, since the first */
    unsigned nsyns;
    uint64_t
        first_flight; /* bytes the program's side sent before anything of it was acknowledged */
    nsec connect;     /* SYN to SYN,ACK's arrival; NEVER */
    nsec first_byte;  /* SYN to the first data that arrived at the program; NEVER */
    nsec total;       /* first packet to last */
    nsec repair;      /* longest time from a lost byte to its arrival; 0: none */
    struct flow_counts count[WIRE_DIRS];
    int first_fin; /* enum wire_dir of the first FIN of the first connection; -1: none */
    bool fin[WIRE_DIRS];
    int reset;      /* who sent the first RST that ends a connection; -1: nobody */
    bool cut;       /* the wire made one */
    double goodput; /* bytes of payload a second, both directions */
};

void story_tell(struct story *s, const struct one *o);

/* ---- for pictures and the ladder: a packet in words */

struct step {
    const struct seen *x;
    uint16_t port; /* the program's */
    uint16_t flags;
    uint64_t seq, end, ack; /* relative */
    uint32_t len, window;
    bool again, tcp;
};

/* All packets of a run as steps; the caller frees. */
struct step *story_steps(const struct one *o, unsigned *n);

#endif
