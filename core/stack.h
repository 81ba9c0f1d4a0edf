/*
 * stack.h - the whole host: packets, socket verbs and a time go in; packets, readiness and a
 * deadline come out.
 *
 * One struct stack lies in the arena. Its owner holds a lock around every verb; nothing here waits,
 * reads a clock or keeps a pointer out of the arena.
 *
 *   owner:  for each packet read   stack_input(st, env, &pkt)
 *           if now >= deadline     stack_expire(st, env)
 *           after a batch          stack_flush(st, env)         acknowledgments and what else may
 *                                  wait
 *           then                   pollset_next_wake(...)       whom to wake
 *                                  stack_deadline(st)           when to come back at the latest
 */
#ifndef STANDIN_CORE_STACK_H
#define STANDIN_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "demux.h"
#include "env.h"
#include "event.h"
#include "knobs.h"
#include "mcast.h"
#include "mem.h"
#include "pkt.h"
#include "pollset.h"
#include "sock.h"
#include "stats.h"
#include "tcp_fastopen.h"
#include "tcp_flight.h"
#include "tcp_req.h"
#include "timer.h"

#define STACK_MAGIC     UINT64_C(0x314e4944544e4153)
#define STACK_ADDRS_MAX 8u
#define STACK_PMTU_MAX  64u

#define STACK_FRAG_HASH 256u
#define STACK_FRAG_SRCS 256u
#define STACK_ICMP_HASH 64u

/* What a struct timer lies in (its field `owner`); every other value is a connection's. */
enum timer_owner {
    TIMER_TCP = 0,
    TIMER_FRAG = 0xf0,
    TIMER_PMTU = 0xf1,
    TIMER_MCAST = 0xf2,
    TIMER_REQ = 0xf3
};

/* An address of ours and the subnet it is in. */
struct ifaddr {
    struct addr addr;
    uint8_t bits; /* prefix length, within 32 for IPv4 */
};

struct stack_config {
    struct ifaddr addr[STACK_ADDRS_MAX];
    uint32_t naddr;
    uint32_t mtu;     /* of the link; 68..65535 */
    uint32_t caps;    /* LINK_*: what the link does for us */
    size_t mem_limit; /* bytes of pages in use; 0: the arena's size */
    struct knobs knobs;
};

/* A packet to ourselves, waiting for stack_flush. */
struct loop_pkt {
    struct loop_pkt *next;
    uint32_t len;
    uint8_t order;
    uint16_t gso_size;
    uint8_t bytes[];
};

/* Path MTU learned by ICMP (RFC 1191, RFC 8201). */
struct pmtu {
    struct addr dst;
    uint32_t mtu; /* 0: free entry */
    bool locked;  /* it takes less than the least we believe: no DF */
    nsec until;
};

/* Token bucket of ICMP errors to the destinations of one hash value. */
struct icmp_rate {
    nsec at;
    nsec credit;
};

struct tcp;
struct frag;

struct stack {
    uint64_t magic;
    struct mem *mem;
    size_t arena_max;
    uint8_t *arena; /* the arena's base */
    struct knobs knobs;
    struct ifaddr addr[STACK_ADDRS_MAX];
    uint32_t naddr;
    uint32_t mtu;
    uint32_t caps;

    struct timers timers;
    struct demux demux;
    struct stats stats;
    struct event_ring *events;

    /* Recovery: the sockets the holder of the lock is changing, NULL between verbs. */
    struct sock *touching;
    struct sock *touching2; /* the listener or child beside it */

    struct pollset *wake_head;  /* pollset.c */
    struct pollset *collecting; /* whose owner drives now and collects next: it counts as awake */
    struct watch **watch_hash;  /* page run */
    uint8_t watch_order;
    uint32_t nwatches;

    struct side *signal_head; /* sockets whose owner gets SIGURG */
    struct sock *place_hint;  /* place.h: whose segment is expected next */
    uint32_t place_doubt;     /* packets in a row that were not worth the guess */
    struct tcp *flush_head; /* connections with something to send at the end of the batch (tcp.h) */
    struct loop_pkt *loop_head, *loop_tail;
    uint32_t loop_len; /* packets in it */

    uint8_t isn_secret[16];
    uint8_t ts_secret[16];
    uint8_t port_secret[16];
    uint8_t cookie_secret[16];
    uint32_t ip_id;
    uint32_t port_seq;

    struct pmtu pmtu[STACK_PMTU_MAX];
    uint32_t pmtu_min;     /* the least of them: smaller packets need no look-up */
    uint32_t pmtu_nlocked; /* entries with `locked` */
    uint16_t pmtu_gen;     /* counts changes */
    struct timer pmtu_timer;

    struct tfo tfo;              /* tcp_fastopen.c */
    struct tcp_flight no_flight; /* tcp_flight.h */
    struct tcp_reqs reqs;

    struct mcast_group mcast[MCAST_GROUPS_MAX];
    struct mcast_proto igmp, mld;
    struct timer mcast_timer;
    uint64_t dgram_number;

    struct frag *frag_hash[STACK_FRAG_HASH]; /* frag.c */
    struct frag_src {                        /* what is known of the sources of one hash value */
        uint32_t count;                      /* fragments that have come; Linux: inet_peer's rid */
        uint32_t nfrags;                     /* datagrams being reassembled */
    } frag_src[STACK_FRAG_SRCS];
    struct frag *frag_old, *frag_new; /* by age */
    uint32_t nfrags;
    uint32_t frag_bytes;

    nsec icmp_at; /* token bucket of all ICMP errors */
    uint32_t icmp_tokens;
    struct icmp_rate icmp_rate[STACK_ICMP_HASH]; /* and those of single destinations */
    nsec challenge_at;                           /* RFC 5961 7 */
    uint32_t challenge_left;
    uint64_t cookie_seq; /* SO_COOKIE */
    uint64_t generation; /* of the session's life: raised by every recovery */
};

/*
 * Makes a stack in the arena that begins at `base`, at `at` inside it (page-aligned), for an arena
 * of at most size_max bytes; memory is asked for through env->ops->grow. NULL when that fails.
 * `cfg` is copied.
 */
struct stack *stack_init(void *base, void *at, size_t size_max, const struct stack_config *cfg,
                         struct env *env);

/* One packet from the link. Acknowledgments and wake-ups may be left for stack_flush. */
void stack_input(struct stack *st, struct env *env, const struct pkt_in *in);

/* Ends a batch: sends what waited, delivers packets to ourselves, until nothing is left. */
void stack_flush(struct stack *st, struct env *env);

/* When stack_expire must be called at the latest; NEVER. Exact. */
nsec stack_deadline(struct stack *st);

/* Runs everything that is due at env->now, and flushes. */
void stack_expire(struct stack *st, struct env *env);

/* The lock's holder died somewhere inside a verb: makes all indices anew, aborts what it was
 * touching (ERR_CONNABORTED to the program, RST to the peer), records the event. */
void stack_recover(struct stack *st, struct env *env);

/* Invariants of the whole stack: NULL, or what is not so. For tests; slow. */
const char *stack_check(struct stack *st);

/* Whether something is still owed to the network: an orphan with unsent or unacknowledged data or
 * FIN. */
bool stack_owes(struct stack *st);

/* Whom to send SIGURG, taken off the list: a process, a group as a negative number, or 0 when there
 * is nobody left. */
int32_t stack_next_signal(struct stack *st);

/* A packet was not used: counts it and records the event. */
void stack_drop(struct stack *st, struct env *env, enum drop why, const struct pkt_in *in);

#endif
