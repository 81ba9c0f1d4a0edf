/*
 * wire.h - the emulated wire: what may happen to a packet between two hosts, as a pure machine.
 *
 * Packets and a time go in; packets and a deadline come out. No clock, no descriptor, no memory of
 * its own: the caller lends one block, which holds everything (and may lie in the arena: it holds
 * no pointers). The same machine lies between the stack and its TUN, between two TUN devices
 * (relay.h), and in virtual time in the tests.
 *
 * There are two directions, named as the program sees them: WIRE_OUT from the program's host,
 * WIRE_IN towards it. A packet that goes in is cut into segments of its own if it is a
 * super-segment, its checksum is completed if it was left open, and it meets the rules in their
 * order; then it waits for the rate, then for the delay:
 *
 *     wire_put -> [cut] -> rule 1 .. rule n -> [queue, rate] -> [delay] -> wire_take
 *
 * Chance. Every draw is a function of the seed, the direction, the rule, and of what the packet
 * is: new data by its connection's number and its place in the stream, everything else by its
 * number among its kind. So a loss of 1 % takes the same bytes of a stream in every run and from
 * every stack, whatever the timing, and however many acknowledgments there were.
 *
 * data#n. The n-th stretch of a connection's stream in one direction: its bytes
 * [(n - 1) * s, n * s), on their first way over the wire, where s is what a full segment carries:
 * the lesser of the two MSS options of the handshake, less 12 if both sides chose timestamps. A
 * packet that lies across the border of a stretch that some rule names is cut there, so that
 * exactly these bytes are hit however a stack cuts its stream. syn#n, ack#n, fin#n, rst#n,
 * retransmit#n count the packets of one connection and direction, udp#n, icmp#n and any#n those of
 * the direction.
 */
#ifndef STANDIN_TUN_WIRE_H
#define STANDIN_TUN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/nsec.h"
#include "core/pkt.h"

#define WIRE_RULES_MAX   24u
#define WIRE_FIRINGS_MAX 4096u /* kept; the count goes on */
#define WIRE_PPM         1000000u

enum wire_dir { WIRE_OUT, WIRE_IN };
#define WIRE_DIRS 2

/* Which packets a rule means. */
enum wire_pick {
    PICK_ANY,
    PICK_SYN,    /* SYN without ACK */
    PICK_SYNACK, /* SYN and ACK */
    PICK_ACK,    /* nothing but an acknowledgment */
    PICK_DATA,   /* has payload; with a number: see data#n above */
    PICK_FIN,
    PICK_RST,
    PICK_RETRANSMIT, /* payload, SYN or FIN that went before */
    PICK_UDP,
    PICK_ICMP,
    PICK_COUNT
};

/* first, first + step, ... up to last. */
struct wire_sel {
    uint8_t pick;
    bool numbered; /* else: all of them */
    uint32_t first, last, step;
};

enum wire_kind {
    RULE_DELAY,
    RULE_LOSS, /* by chance */
    RULE_GE,   /* by Gilbert and Elliott's two states */
    RULE_DROP, /* exactly */
    RULE_REORDER,
    RULE_DUP,
    RULE_CORRUPT,
    RULE_RATE,
    RULE_BLACKHOLE,
    RULE_MTU,
    RULE_STRIP,
    RULE_CLAMP, /* the MSS option */
    RULE_MARK,  /* congestion experienced, RFC 3168 5 */
    RULE_BLEACH,
    RULE_RST,
    RULE_WINDOW,
    RULE_IDLE, /* a middlebox forgets the connection */
    RULE_KINDS
};

enum wire_dist { DIST_UNIFORM, DIST_NORMAL, DIST_PARETO };
enum wire_aqm { AQM_DROPTAIL, AQM_CODEL };

/* What RULE_CORRUPT damages; texts and places in wire_pkt.c. */
enum wire_field {
    FIELD_ANY, /* any bit of the packet */
    FIELD_PAYLOAD,
    FIELD_IP_CHECKSUM,
    FIELD_IP_LENGTH,
    FIELD_IP_TTL,
    FIELD_TCP_SPORT,
    FIELD_TCP_DPORT,
    FIELD_TCP_SEQ,
    FIELD_TCP_ACK,
    FIELD_TCP_OFFSET,
    FIELD_TCP_FLAGS,
    FIELD_TCP_WINDOW,
    FIELD_TCP_CHECKSUM,
    FIELD_TCP_URGENT,
    FIELD_TCP_OPTIONS,
    FIELD_COUNT
};

/* Options that RULE_STRIP takes out: a bit mask. */
enum {
    STRIP_MSS = 1,
    STRIP_WSCALE = 2,
    STRIP_SACK = 4, /* permission and blocks */
    STRIP_TIMESTAMPS = 8,
    STRIP_FASTOPEN = 16,
    STRIP_MD5 = 32,
    STRIP_ACCECN = 64,
    STRIP_OTHER = 128, /* what is none of these */
    STRIP_ALL = 255,
};

struct wire_rule {
    uint8_t kind; /* enum wire_kind */
    uint8_t dirs; /* bit 1 << WIRE_OUT, 1 << WIRE_IN */
    struct wire_sel sel;
    uint32_t ppm; /* chance per million, for those it is about: WIRE_PPM always */
    union {
        struct {
            nsec mean, jitter;
            uint8_t dist; /* enum wire_dist; a normal one's jitter is its deviation */
            bool ordered; /* nothing overtakes */
        } delay;
        struct {
            uint32_t p, r;      /* good to bad, bad to good; per million and packet */
            uint32_t bad, good; /* loss in the state, per million */
        } ge;
        struct {
            nsec by;               /* held back for that long, or */
            struct wire_sel after; /* until that one has passed */
            bool until;
        } reorder;
        struct {
            uint32_t copies; /* in all */
        } dup;
        struct {
            uint8_t field; /* enum wire_field */
            bool fixed;    /* checksums are made right again */
        } corrupt;
        struct {
            uint64_t bits;  /* per second */
            uint32_t bytes; /* that may wait; 0: no limit */
            uint32_t pkts;  /* that may wait; 0: no limit */
            uint8_t aqm;
            bool ecn; /* CoDel marks what can be marked */
        } rate;
        struct {
            uint64_t after;  /* bytes of payload of the rule's directions together */
            nsec after_time; /* since the first packet */
            nsec lasts;      /* NEVER: for good */
        } hole;
        struct {
            uint32_t bytes;
            bool silent; /* no ICMP */
        } mtu;
        struct {
            uint8_t options; /* STRIP_* */
            bool all;        /* not only on SYN */
        } strip;
        struct {
            uint16_t mss;
        } clamp;
        struct {
            uint64_t after; /* bytes of the stream in that direction */
        } rst;
        struct {
            uint32_t bytes; /* what the window becomes, at most */
            uint64_t after; /* bytes acknowledged in that direction */
            nsec lasts;
        } window;
        struct {
            nsec after;
        } idle;
    } u;
};

struct wire_spec {
    uint32_t nrules;
    uint32_t pad;
    uint64_t seed;
    struct wire_rule rule[WIRE_RULES_MAX];
};

/* FIRED(name, text): what a rule did to a packet. Up to FIRED_LAST_DROP: the packet has gone. */
#define WIRE_FIRED_LIST                                  \
    FIRED(LOST, "lost by chance")                        \
    FIRED(DROPPED, "dropped")                            \
    FIRED(QUEUE, "dropped: the queue is full")           \
    FIRED(CODEL, "dropped by CoDel")                     \
    FIRED(HOLE, "swallowed by a black hole")             \
    FIRED(MTU, "dropped: larger than the MTU")           \
    FIRED(FORGOTTEN, "dropped: the connection is idle")  \
    FIRED(NO_ROOM, "dropped: the wire's memory is full") \
    FIRED(REORDERED, "held back")                        \
    FIRED(DUPLICATED, "sent more than once")             \
    FIRED(CORRUPTED, "damaged")                          \
    FIRED(STRIPPED, "options taken out")                 \
    FIRED(CLAMPED, "MSS lowered")                        \
    FIRED(MARKED, "marked: congestion experienced")      \
    FIRED(BLEACHED, "ECN bits cleared")                  \
    FIRED(RESET, "reset sent behind it")                 \
    FIRED(WINDOW, "window lowered")                      \
    FIRED(FRAGMENTED, "cut into fragments")

enum wire_fired {
    FIRED_NONE,
#define FIRED(name, text) FIRED_##name,
    WIRE_FIRED_LIST
#undef FIRED
        FIRED_COUNT
};
#define FIRED_LAST_DROP FIRED_NO_ROOM

/* One rule fired. */
struct wire_firing {
    nsec at;
    uint64_t pkt;    /* the packet's number in its direction, from 1; 0: made by the wire */
    uint64_t offset; /* of its payload in the stream; 0 for SYN */
    uint32_t len;    /* of its payload */
    uint32_t seq;    /* TCP: as on the wire */
    uint32_t conn;   /* the connection's number, from 1; 0: none */
    uint32_t nth;    /* firings of this rule so far, both directions, this one included */
    uint16_t lport;  /* TCP: the program's port, and its peer's */
    uint16_t rport;
    uint8_t dir;
    uint8_t rule; /* index; WIRE_RULES_MAX: the wire itself */
    uint8_t what; /* enum wire_fired */
    uint8_t pick; /* what the packet is: enum wire_pick */
};

struct wire_counts {
    uint64_t put;       /* packets that came in, cut */
    uint64_t bytes;     /* of them, IP headers included */
    uint64_t delivered; /* packets that went out */
    uint64_t fired[FIRED_COUNT];
};

/* One packet that goes in. */
struct wire_in {
    const struct span *span; /* from the IP header on; copied */
    size_t nspan;
    uint16_t gso_size; /* of a super-segment; else 0 */
    bool csum_open; /* the transport checksum is not computed yet, or cannot be wrong: compute it */
};

/* One packet that comes out; valid until wire_done. */
struct wire_pkt_out {
    const uint8_t *p;
    size_t len;
    uint64_t
        no; /* its number in its direction; a copy and a held one keep it; 0: the wire made it */
    uint32_t slot;
    uint8_t dir;
};

/* Who watches: told of every packet as it goes in (before the rules), of each firing on it (until
 * the next one goes in, and when the queue drops it), and as it comes out. What the wire makes
 * itself (resets, ICMP, fragments) only comes out, with the number 0. May be NULL. */
struct wire_tap {
    void (*put)(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len);
    void (*fired)(void *ctx, const struct wire_firing *f);
    void (*taken)(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len);
    void *ctx;
};

struct wire;

/*
 * Makes a wire in mem[0..bytes), 64-byte aligned. mtu: of the links at its ends; larger packets
 * (super-segments apart) do not fit. NULL: `bytes` is less than wire_size_min(mtu).
 */
struct wire *wire_init(void *mem, size_t bytes, uint32_t mtu, const struct wire_spec *spec);
size_t wire_size_min(uint32_t mtu);

void wire_put(struct wire *w, nsec now, enum wire_dir d, const struct wire_in *in,
              const struct wire_tap *tap);

/* The next packet that has arrived by now, in the order of arrival; false: none. wire_put may be
 * called before wire_done. */
bool wire_take(struct wire *w, nsec now, struct wire_pkt_out *out, const struct wire_tap *tap);
void wire_done(struct wire *w, const struct wire_pkt_out *out);

/* When wire_take may have something at the earliest; NEVER. */
nsec wire_deadline(const struct wire *w);

/* Packets on their way in direction d. */
uint32_t wire_in_flight(const struct wire *w, enum wire_dir d);

/* The holder of the lock died inside a verb: makes the indices anew from the packets. The one it
 * had in hand is lost. */
void wire_recover(struct wire *w);

/* What must be true, or a text that says what is not. For tests; walks everything. */
const char *wire_check(const struct wire *w);

const struct wire_counts *wire_counts(const struct wire *w, enum wire_dir d);
const struct wire_spec *wire_spec(const struct wire *w);

/* Firings ever; number i is kept while wire_firings() - i <= WIRE_FIRINGS_MAX. NULL: not kept. */
uint64_t wire_firings(const struct wire *w);
const struct wire_firing *wire_firing(const struct wire *w, uint64_t i);

const char *wire_fired_name(unsigned what); /* "QUEUE" */
const char *wire_fired_text(unsigned what);
const char *wire_field_name(unsigned field); /* "tcp.checksum" */
const char *wire_pick_name(unsigned pick);   /* "syn+ack" */

#endif
