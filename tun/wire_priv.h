/*
 * wire_priv.h - what the files of the wire share; for tun/wire*.c only.
 *
 *   wire.c       the way of a packet, the verbs
 *   wire_pkt.c   what lies in a packet: views, checksums, fields, options, packets of our own
 *   wire_flow.c  connections: places in the stream, numbers, what a selection means
 *   wire_rule.c  what each rule does to a packet
 *   wire_pool.c  the packets on their way: places, queues, the rate, CoDel
 */
#ifndef STANDIN_TUN_WIRE_PRIV_H
#define STANDIN_TUN_WIRE_PRIV_H

#include "core/addr.h"
#include "core/tcp_wire.h"
#include "tun/wire.h"

#define WIRE_WAYS   8u   /* connections of one hash value */
#define WIRE_SETS   128u /* so many hash values */
#define WIRE_NONE   UINT32_MAX
#define WIRE_MSS    536u /* RFC 9293 3.7.1: where no option was seen */
#define WIRE_TS_LEN 12u  /* timestamps and their padding, on every segment */

/* One direction of a connection. */
struct wire_half {
    bool known;       /* base is set */
    bool fin;         /* a FIN has passed */
    bool ts;          /* its SYN had timestamps */
    uint8_t wscale;   /* of its SYN; 0xff: none */
    uint16_t mss;     /* of its SYN; 0: none seen */
    uint32_t base;    /* sequence number of the stream's first byte */
    uint64_t sent;    /* bytes of the stream that have passed */
    uint64_t acked;   /* of the other direction's stream, acknowledged in this one */
    nsec wnd_since;   /* RULE_WINDOW began; NEVER */
    uint64_t stretch; /* in which the last new payload began, from 1 */
    uint32_t within;  /* packets that began there before it */
    uint32_t nth[PICK_COUNT];
};

struct wire_conn {
    uint32_t no;                /* from 1; 0: free place */
    uint32_t resets[WIRE_DIRS]; /* the RULE_RST that have fired, a bit each */
    bool forgotten;             /* by RULE_IDLE */
    nsec seen;
    struct flow flow; /* the program's end is the local one */
    struct wire_half half[WIRE_DIRS];
};

/* A packet as the rules see it. */
struct wire_view {
    uint8_t *p;
    uint32_t len;
    uint32_t slot;
    uint8_t dir;
    uint8_t ver;   /* 4, 6; 0: not IP */
    uint8_t proto; /* 0: not to be seen (a later fragment) */
    bool tcp;
    uint8_t flags;
    uint8_t pick;  /* what it is first of all */
    bool fresh;    /* its payload goes over the wire for the first time */
    bool again;    /* PICK_RETRANSMIT */
    bool spoiled;  /* its checksum is wrong on purpose */
    uint32_t l4;   /* offset of the transport header */
    uint32_t data; /* of the payload */
    uint32_t plen; /* payload bytes */
    uint32_t seq;
    uint64_t no;
    uint64_t off;           /* of the payload in the stream */
    uint64_t place;         /* of new payload, for chance: flow_draw */
    nsec idle;              /* since the last packet of the connection, either way */
    struct wire_conn *conn; /* NULL: not TCP */
    uint32_t nth[PICK_COUNT];
    nsec delay;      /* by the rules so far */
    uint32_t copies; /* in all */
    bool ordered;
    uint8_t hold_rule; /* WIRE_RULES_MAX: not held */
    uint32_t releases; /* rules whose held packets may go when this one has passed, a bit each */
};

/* A packet on its way. */
enum slot_state { SLOT_FREE, SLOT_HAND, SLOT_QUEUED, SLOT_FLYING, SLOT_HELD };

struct wire_slot {
    uint32_t state; /* the truth: written last */
    uint32_t len;
    uint32_t next;  /* free list, queue */
    uint32_t conn;  /* number of its connection */
    uint64_t order; /* of its entry */
    uint64_t no;
    nsec at;    /* QUEUED: when it entered; FLYING, HELD: when it arrives at the latest */
    nsec delay; /* behind the queue */
    uint8_t dir;
    uint8_t ordered;
    uint8_t hold_rule;
    uint8_t pick;
    uint32_t plen;
    uint64_t off;
    uint32_t seq;
    uint16_t lport, rport;
    uint64_t pad;
    uint8_t bytes[];
};

_Static_assert(sizeof(struct wire_slot) == 80, "the packet behind it is aligned to 16");

/* RFC 8289 5: CoDel's state of one queue. */
struct codel {
    nsec first_above;
    nsec drop_next;
    uint32_t count, last_count;
    bool dropping;
};

/* One direction's queue and counters. */
struct wire_way {
    uint32_t head, tail; /* of the queue */
    uint32_t pkts;
    uint32_t flying; /* all that are under way in it, queued ones included */
    uint64_t bytes;
    nsec busy_until;   /* the transmitter's */
    nsec last_arrival; /* for ordered delays */
    uint64_t numbers;
    uint32_t nth[PICK_COUNT]; /* UDP, ICMP, any */
    uint8_t rate_rule;        /* WIRE_RULES_MAX: no rate */
    bool cuts;                /* some rule selects data#n */
    struct codel codel;
    struct wire_counts counts;
};

/* What a rule remembers. */
struct wire_memory {
    bool bad[WIRE_DIRS]; /* Gilbert-Elliott */
    uint32_t fired;
    uint64_t drawn[WIRE_DIRS];
    uint64_t bytes; /* RULE_BLACKHOLE */
    nsec since;     /* NEVER: not yet */
};

struct wire {
    uint64_t magic;
    struct wire_spec spec;
    uint32_t mtu;
    uint32_t slot_size;
    uint32_t nslots;
    uint32_t free_head;
    uint32_t nused;
    uint32_t touched; /* places that were ever used: the first ones */
    uint32_t nheap;
    uint32_t heap_at; /* offset of the heap's array, and of the slots, from the wire */
    uint32_t slots_at;
    uint64_t orders;
    uint32_t conns;
    nsec began; /* the first packet; NEVER */
    struct wire_way way[WIRE_DIRS];
    struct wire_memory memory[WIRE_RULES_MAX];
    struct wire_conn conn[WIRE_SETS][WIRE_WAYS];
    uint64_t nfirings;
    struct wire_firing firing[WIRE_FIRINGS_MAX];
};

/* wire_pkt.c */

/* Finds the headers in v->p[0..v->len). */
void view_parse(struct wire_view *v);
/* Makes the IP header's and the transport checksum right. */
void view_fix(struct wire_view *v);
/* The same for a 16-bit word that is about to change: the checksum at `csum` follows. */
void view_set16(struct wire_view *v, uint32_t at, uint16_t value);
struct flow view_flow(const struct wire_view *v);
/* Flips one bit of the field that `draw` chooses; false: the packet has no such field. */
bool view_corrupt(struct wire_view *v, enum wire_field field, uint64_t draw);
/* Options of TCP: the first of that kind (offset and whole length), or 0. */
uint32_t view_option(const struct wire_view *v, uint8_t kind, uint32_t *len);
/* Overwrites options by NOPs; whether there were any. */
bool view_strip(struct wire_view *v, uint8_t which);
bool view_clamp(struct wire_view *v, uint16_t mss);
uint8_t view_ecn(const struct wire_view *v);
void view_set_ecn(struct wire_view *v, uint8_t ecn);
bool view_df(const struct wire_view *v);
/* The packet's stretch [from, from + n) of payload as a packet of its own in out, where the payload
 * lies already, v->data bytes behind the start; its length. TCP and UDP. */
size_t pkt_piece(const struct wire_view *v, uint32_t from, uint32_t n, uint8_t *out);
/* An IPv4 fragment: bytes [from, from + n) of its payload. */
size_t pkt_fragment(const struct wire_view *v, uint32_t from, uint32_t n, uint8_t *out);
/* "Too big" in answer to it, towards its sender; a RST as its sender's next segment. */
size_t pkt_too_big(const struct wire_view *v, uint32_t mtu, uint8_t *out);
size_t pkt_reset(const struct wire_view *v, uint32_t from, uint8_t *out);
#define PKT_OWN_MAX 1280u

/* wire_flow.c */

/* Its connection, its place in the stream, its numbers. */
void flow_see(struct wire *w, struct wire_view *v, nsec now);
bool flow_selected(const struct wire *w, const struct wire_view *v, const struct wire_sel *sel);
/* Stream bytes of a full segment. */
uint32_t flow_stretch(const struct wire *w, const struct wire_conn *c);
/* Where a packet of new data must be cut first because of data#n: payload bytes before the cut; 0:
 * nowhere. */
uint32_t flow_cut(const struct wire *w, const struct wire_view *v);
/* A number in [0, 2^64) that belongs to this packet and this rule; `salt` tells several apart. */
uint64_t flow_draw(const struct wire *w, const struct wire_view *v, unsigned rule, unsigned salt);
uint64_t draw_mix(uint64_t x);
bool flow_chance(const struct wire *w, const struct wire_view *v, unsigned rule, uint32_t ppm);

/* wire_rule.c */

/* Applies all rules: false: it has gone (a firing says why). */
bool rules_apply(struct wire *w, struct wire_view *v, nsec now, const struct wire_tap *tap);
/* A reset that must follow the packet, in out[0..PKT_OWN_MAX): its length, 0: none. */
size_t rules_reset(struct wire *w, const struct wire_view *v, nsec now, uint8_t *out,
                   const struct wire_tap *tap);
/* The delay of direction d without chance. */
nsec rules_delay(const struct wire *w, enum wire_dir d);
void rules_init(struct wire *w);

/* wire_pool.c */

void pool_init(struct wire *w, size_t bytes);
struct wire_slot *pool_slot(const struct wire *w, uint32_t i);
uint32_t pool_get(struct wire *w); /* in state HAND; WIRE_NONE: no room */
void pool_put(struct wire *w, uint32_t i);
/* Into the queue of its direction, or on its way at once. */
void pool_send(struct wire *w, uint32_t i, nsec now, const struct wire_tap *tap);
/* What the rule holds back of the connection goes on. */
void pool_release(struct wire *w, unsigned rule, uint32_t conn, nsec now,
                  const struct wire_tap *tap);
/* Runs the transmitters up to now. */
void pool_run(struct wire *w, nsec now, const struct wire_tap *tap);
/* The next that has arrived by now, or WIRE_NONE. */
uint32_t pool_arrived(struct wire *w, nsec now, const struct wire_tap *tap);
nsec pool_deadline(const struct wire *w);
void pool_rebuild(struct wire *w);
const char *pool_check(const struct wire *w);

/* wire.c */

void wire_fire(struct wire *w, const struct wire_view *v, nsec now, unsigned rule, unsigned what,
               const struct wire_tap *tap);
void wire_fire_slot(struct wire *w, const struct wire_slot *s, nsec now, unsigned rule,
                    unsigned what, const struct wire_tap *tap);
/* Packets that the wire itself makes: room for one (NULL: none), and into direction d. */
uint8_t *wire_own_room(struct wire *w, enum wire_dir d, nsec now, uint32_t *slot,
                       const struct wire_tap *tap);
void wire_own_send(struct wire *w, uint32_t slot, size_t len, enum wire_dir d, nsec delay, nsec now,
                   const struct wire_tap *tap);
/* Both, for one that lies ready. */
void wire_own(struct wire *w, const uint8_t *p, size_t len, enum wire_dir d, nsec delay, nsec now,
              const struct wire_tap *tap);

#endif
