/*
 * rig.h - two hosts and a seeded wire between them, in virtual time.
 *
  * Each host is a whole struct stack in an arena of its own. The wire delays every packet, and by
 * seed loses, repeats, swaps and damages some. Nothing sleeps: rig_step jumps to the next packet
 * or deadline. After each step both stacks' invariants are checked.
 */
#ifndef STANDIN_TESTS_RIG_H
#define STANDIN_TESTS_RIG_H

#include <stdbool.h>

#include "core/place.h"
#include "core/stack.h"
#include "tests/lib/heap.h"

struct rig_wire {
    nsec delay;
    nsec jitter;      /* each packet up to this much later: reorders */
    uint32_t loss;    /* per million */
    uint32_t dup;     /* per million */
    uint32_t corrupt; /* per million: one bit flips */
    uint64_t rate;    /* bytes per second; 0: no limit */
    uint32_t queue;   /* bytes that may wait for the rate; 0: no limit */
    uint32_t mark;    /* so many bytes waiting: IPv4 packets with ECT are marked; 0: never */
    uint32_t mtu;     /* larger packets vanish, a black hole; 0: none do */
};

struct rig_pkt {
    struct rig_pkt *next;
    nsec at;
    uint64_t no;
    uint32_t to; /* host */
    uint16_t gso_size;
    bool csum_ok;
    size_t len;
    uint8_t bytes[];
};

/* A program that receives: its memory for the next bytes of a stream (core/place.h). */
struct rig_own {
    struct sock *sock;
    uint8_t *p;
    size_t n;
    void (*landed)(void *arg, size_t n);
    void *arg;
};

struct rig_host {
    struct heap heap; /* first: its env leads here */
    struct rig *rig;
    uint32_t no;
    struct stack *st;
    struct rig_wire out; /* the wire from here to the other */
    nsec busy_until;     /* the wire's rate */
    uint64_t sent, lost, marked;
    bool place;         /* payload is read to its place where core says one */
    struct rig_own own; /* that place is the program's for this socket; sock NULL: the ring */
    uint64_t placed;    /* packets that were */
};

struct rig {
    nsec now;
    uint64_t rng;
    uint64_t count;
    struct rig_pkt *queue; /* by arrival */
    struct rig_host host[2];
    bool check; /* stack_check after every step (slow) */
};

/* Hosts 10.0.0.1/fd00::1 and 10.0.0.2/fd00::2; caps: LINK_* of both links. `tune` may change a
 * config before use. */
struct rig *rig_new(uint64_t seed, uint32_t caps, void (*tune)(struct stack_config *cfg));
void rig_free(struct rig *r);

/* The environment of host i, its time set; for socket verbs. Follow them with rig_flush. */
struct env *rig_env(struct rig *r, unsigned i);
void rig_flush(struct rig *r, unsigned i);

/* Jumps to the next arrival or deadline and runs it. False: nothing will ever happen again, or
 * only after `until`. */
bool rig_step(struct rig *r, nsec until);

/* The address of host i. */
struct addr rig_addr(unsigned i, bool v6);

/* Aborts with a text unless the two stacks hold no socket and their memory is whole. */
void rig_check_empty(struct rig *r);

#endif
