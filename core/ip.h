/*
 * ip.h - IPv4 (RFC 791, 1122) and IPv6 (RFC 8200): parse and build headers, decide what is ours,
 * send.
 */
#ifndef STANDIN_CORE_IP_H
#define STANDIN_CORE_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "env.h"
#include "err.h"
#include "pkt.h"

struct stack;

/* A parsed packet: what the upper layers need to know of the header. */
struct ip_hdr {
    struct addr src;
    struct addr dst;
    const uint8_t *payload; /* the upper-layer header */
    size_t payload_len;
    const uint8_t *start; /* the packet, for ICMP errors that quote it */
    size_t len;           /* as the header says, link padding excluded */
    uint8_t proto;        /* after extension headers */
    uint8_t ttl;
    uint8_t tos; /* traffic class: DSCP and ECN */
    bool v6;
    bool frag;        /* a fragment that is not the whole datagram */
    uint16_t frag_at; /* byte offset */
    bool frag_more;
    uint32_t frag_id;
    bool csum_ok; /* from the link */
    uint16_t gso_size;
    uint8_t bad_why; /* no good: the ICMP error it deserves, 1 + enum icmp_why; 0: none */
    uint32_t bad_at; /* and where in the packet the fault lies */
};

/* Parses and checks one packet. DROP_NONE, or why it is no good. Accepts a super-segment with IPv4
 * total length 0. */
enum drop ip_parse(const struct pkt_in *in, struct ip_hdr *out);

/* Whether a packet to `dst` is for us: an address of ours (or 127/8, ::1 when looped), multicast
 * joined, broadcast. */
bool ip_is_ours(const struct stack *st, const struct addr *dst);

/* The source address for a destination (RFC 6724 in small: same family, longest common prefix).
 * False: unreachable. */
bool ip_source_for(const struct stack *st, const struct addr *dst, struct addr *src);

/* The largest IP packet towards dst: the device's MTU, or the path's if ICMP said so (pmtu.h); to
 * ourselves, whatever fits. */
uint32_t ip_mtu(const struct stack *st, const struct addr *dst);

/* An address a socket may be bound to and packets to which never leave: ours, 127/8, ::1. */
bool ip_is_local(const struct stack *st, const struct addr *a);

/* 255.255.255.255 or the broadcast address of one of our subnets. */
bool ip_is_broadcast(const struct stack *st, const struct addr *a);

struct ip_send {
    struct addr src;
    struct addr dst;
    uint8_t proto;
    uint8_t tos;
    uint8_t ttl;
    bool df;   /* don't fragment, in either family */
    bool loop; /* multicast and broadcast: a copy to ourselves as well */
};

/* Prepares an outgoing packet: room for the IP header is left at the front; returns where the
 * transport header goes. */
uint8_t *ip_begin(struct pkt_out *p, bool v6);

/*
 * Completes and sends: IP header, transport checksum at csum_offset (partial if the link does it;
 * software otherwise; csum_offset 0xffff: none), segmentation in software when the link has no TSO
 * for a packet with gso_size, fragmentation of other packets larger than the MTU unless df
 * (-ERR_MSGSIZE). A packet to an address of ours is queued and comes back in through stack_flush.
 * p->hdr_len must already count IP and transport header; spans hold the payload. 0, -ERR_MSGSIZE,
 * -ERR_NOBUFS.
 */
int ip_send(struct stack *st, struct env *env, struct pkt_out *p, const struct ip_send *how);

/* Sends a group message (IGMP, or MLD: its checksum, at 2, is made here) to the link with the
 * option that makes routers look at it. What does not fit the link is not sent. */
void ip_send_alert(struct stack *st, struct env *env, const struct ip_send *how, const uint8_t *msg,
                   size_t n);

#endif
