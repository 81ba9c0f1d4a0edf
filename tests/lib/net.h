/*
 * net.h - two hosts and the emulated wire between them, in virtual time.
 *
 * Host 0 is the program's (10.77.0.2, fd77::2), host 1 its peer (10.77.0.1, fd77::1): each a whole
 * struct stack in an arena of its own. The wire is the one of `--impair` (tun/wire.h), with rules
 * in its language. Nothing sleeps: net_step jumps to the next arrival or deadline.
 */
#ifndef STANDIN_TESTS_NET_H
#define STANDIN_TESTS_NET_H

#include "core/stack.h"
#include "tests/lib/heap.h"
#include "tun/wire.h"

struct net;

struct net_host {
    struct heap heap; /* first: its env leads here */
    struct net *net;
    unsigned no;
    struct stack *st;
};

struct net {
    nsec now;
    struct wire *wire;
    void *wire_mem;
    struct wire_tap tap; /* the test's; all NULL: nobody */
    struct net_host host[2];
    bool check; /* stack_check and wire_check after every step (slow) */
    uint64_t seed;
};

/* `rules`: of the wire; aborts with a text if they are none. caps: LINK_* of both links. `tune` may
 * change a host's configuration before it is used; NULL. */
struct net *net_new(const char *rules, uint64_t seed, uint32_t caps,
                    void (*tune)(struct stack_config *cfg, unsigned host));
void net_free(struct net *n);

/* The environment of host i, its time set; for socket verbs. Follow them with net_flush. */
struct env *net_env(struct net *n, unsigned i);
void net_flush(struct net *n, unsigned i);

/* Jumps to the next arrival or deadline and runs it. False: nothing will ever happen again, or
 * only after `until`. */
bool net_step(struct net *n, nsec until);

struct addr net_addr(unsigned i, bool v6);

/* Aborts with a text unless the two stacks hold no socket and their memory is whole. */
void net_check_empty(struct net *n);

#endif
