/*
 * pkt.h - a packet on its way in or out, between core and a link.
 *
 * Out: the headers in one block, the payload in at most two places of a send ring, and what the
 * link may finish for us (checksum, segmentation), in the terms of the virtio header. In: one
 * contiguous packet, and whether its checksum is known to be good.
 */
#ifndef STANDIN_CORE_PKT_H
#define STANDIN_CORE_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const uint8_t *p;
    size_t n;
};

/* A writable span. */
struct mspan {
    uint8_t *p;
    size_t n;
};

static inline size_t span_total(const struct span *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i].n;
    }
    return sum;
}

static inline size_t mspan_total(const struct mspan *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += v[i].n;
    }
    return sum;
}

#define PKT_HDR_MAX  120 /* IPv6 40 + TCP 60, with room for a fragment header */
#define PKT_SPAN_MAX 4

/* What the link can finish for us. */
#define LINK_CSUM 0x1u /* transport checksums, both ways */
#define LINK_TSO4 0x2u
#define LINK_TSO6 0x4u
#define LINK_USO4 0x8u /* UDP datagrams of one size, both ways */
#define LINK_USO6 0x10u
#define LINK_BIG4 \
    0x8u /* TSO4 beyond 64 KiB: an IPv4 total length of 0 stands for the packet's own */

struct pkt_out {
    uint8_t hdr[PKT_HDR_MAX]; /* IP and transport header, exactly hdr_len bytes */
    uint16_t hdr_len;
    uint16_t ip_len; /* where the transport header begins: csum_start */
    uint16_t csum_offset;
    uint16_t gso_size; /* payload bytes per segment; 0 when one segment */
    bool v6;
    bool csum_partial; /* the checksum field holds the pseudo-header's sum; the link completes it */
    uint8_t nspan;
    uint8_t proto;
    uint16_t reason;  /* enum tx_reason: why it is sent (event.h) */
    uint32_t sock_id; /* 0: no socket */
    struct span span[PKT_SPAN_MAX];
};

/* Bytes from the start of the IP header to the end of the payload. */
static inline size_t pkt_out_len(const struct pkt_out *p)
{
    return p->hdr_len + span_total(p->span, p->nspan);
}

struct pkt_in {
    const uint8_t *p; /* the IP header; may have any alignment */
    size_t len;
    bool csum_ok; /* the link vouches for the transport checksum, or left it partial (local peer) */
    uint16_t gso_size; /* of a super-segment: the peer's segment size; 0 otherwise */
};

#endif
