/*
 * relay.h - the emulated wire between two links: the kernel's run of a comparison, and ours over
 * the very same engine.
 *
 *     netns A: the program                                       netns B: its peer
 *       kernel's stack - TUN a ----+
 *                                  +--- relay: struct wire --- TUN b - kernel's stack
 *       our stack - SEQPACKET pair +
 *
 * Either the kernel's TUN or a pair whose other end a session takes for its TUN (STANDIN_LINK) is
 * the program's end; everything behind it is the same: device, engine, clock, peer. tun/README.md
 * says why.
 *
 * A relay is a thread with a libuv loop of its own; the caller makes the ends, starts it, and reads
 * what fired when it has stopped. All verbs return 0 (or a descriptor) or -errno.
 */
#ifndef STANDIN_TUN_RELAY_H
#define STANDIN_TUN_RELAY_H

#include "core/stack.h"
#include "tun/link.h"
#include "tun/wire.h"

/* A new network namespace, its loopback up, as a descriptor. The caller stays in its own. */
int relay_netns(void);

/* The calling thread goes there. */
int relay_enter(int netns);

/* A TUN in that namespace, up, with these addresses of the kernel's; offload: super-segments may
 * come (a comparison goes without). `step`: what failed. */
int relay_tun(struct link *l, int netns, const struct ifaddr *addr, unsigned naddr, uint32_t mtu,
              bool offload, const char **step);

/* A pair for a session of ours: `l` is the relay's end; *session_fd, not CLOEXEC, is handed to
 * `standin run` as STANDIN_LINK. */
int relay_pair(struct link *l, uint32_t mtu, int *session_fd);

struct relay_config {
    struct wire_spec wire;
    uint32_t mtu;
    size_t memory; /* of the wire; 0: 64 MiB */
    /* A second end on the program's side, so that two stacks share what the rules make scarce:
     * packets to these addresses go there. NULL: none. Read by relay_start only. */
    const struct link *beside;
    struct addr beside_addr[2];
    struct wire_tap tap; /* called in the relay's thread, for captures; all NULL: nobody */
};

struct relay;

/* Copies the links; their descriptors stay the caller's and must stay open until relay_stop. NULL:
 * no memory, no thread. */
struct relay *relay_start(const struct relay_config *cfg, const struct link *program,
                          const struct link *peer);

/* Ends the thread. The wire stays to be read (wire_firing, wire_counts) until relay_free. */
void relay_stop(struct relay *r);
const struct wire *relay_wire(const struct relay *r);
void relay_free(struct relay *r);

#endif
