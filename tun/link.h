/*
 * link.h - a link as a few verbs: packets out, packets in; its MTU and what it can finish for us.
 *
 * link_tun.c speaks to /dev/net/tun with a virtio header. A link is a plain value around
 * descriptors: each process has its own (the same TUN under its own number). All system calls here
 * are inline ones (tun/sys.h): no cancellation point, no errno, no hook of ours.
 */
#ifndef STANDIN_TUN_LINK_H
#define STANDIN_TUN_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/pkt.h"
#include "core/place.h"

/* The largest packet read at once: virtio header and 64 KiB. */
#define LINK_READ_MAX 65600u

struct link {
    int fd; /* non-blocking */
    uint32_t mtu;
    uint32_t caps; /* LINK_* */
    uint64_t sent, received, send_failed;
};

/*
 * Opens /dev/net/tun and makes (or attaches to) the device `name` ("" lets the kernel choose; the
 * name is written back). offload: ask for LINK_CSUM|TSO4|TSO6|USO4|USO6, falling back as the kernel
 * allows. 0, or -errno with the failing step in *step ("open /dev/net/tun", "TUNSETIFF", ...).
 */
int link_tun_open(struct link *l, char name[16], bool offload, const char **step);

/* The same, but -EBUSY when a device of that name exists already: the name is claimed for us alone.
 */
int link_tun_claim(struct link *l, const char name[16], bool offload, const char **step);

/* Around a TUN descriptor that somebody else configured. */
void link_of_fd(struct link *l, int fd, uint32_t mtu, uint32_t caps);

/* One packet out, one system call. 0 or -errno. */
int link_send(struct link *l, const struct pkt_out *p);

/* One packet in, into buf[0..LINK_READ_MAX). 1 with *in pointing into buf; 0: nothing there;
 * -errno. */
int link_recv(struct link *l, uint8_t *buf, struct pkt_in *in);

/* The same with the payload where `pl` says: the header and what the spans cannot hold lie in buf
 * as if there was no gap. link_gather brings the packet together in buf, if it was another one. */
int link_recv_placed(struct link *l, uint8_t *buf, const struct rx_place *pl, struct pkt_in *in);
void link_gather(uint8_t *buf, const struct rx_place *pl, const struct pkt_in *in);

#endif
