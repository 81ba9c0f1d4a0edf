/*
 * ip_priv.h - what ip.c, ip4.c and ip6.c share.
 */
#ifndef STANDIN_CORE_IP_PRIV_H
#define STANDIN_CORE_IP_PRIV_H

#include "be.h"
#include "check.h"
#include "ip.h"
#include "stack.h"

/* RFC 791 3.1 */
struct ip4_hdr {
    uint8_t ver_ihl;
    uint8_t tos;
    be16 len;
    be16 id;
    be16 frag;
    uint8_t ttl;
    uint8_t proto;
    be16 csum;
    uint8_t src[4];
    uint8_t dst[4];
};
_Static_assert(sizeof(struct ip4_hdr) == 20, "RFC 791 3.1");

/* RFC 8200 3 */
struct ip6_hdr {
    be32 ver_class_flow;
    be16 len;
    uint8_t next;
    uint8_t hops;
    uint8_t src[16];
    uint8_t dst[16];
};
_Static_assert(sizeof(struct ip6_hdr) == 40, "RFC 8200 3");

/* RFC 8200 4.5 */
struct ip6_frag_hdr {
    uint8_t next;
    uint8_t zero;
    be16 at; /* offset in bytes, its low three bits reserved, reserved, more */
    be32 id;
};
_Static_assert(sizeof(struct ip6_frag_hdr) == 8, "RFC 8200 4.5");

enum {
    IP4_DF = 0x4000,
    IP4_MF = 0x2000,
    IP4_OFFSET = 0x1fff, /* in units of 8 bytes */
};

enum { IP6_HOP_BY_HOP = 0, IP6_ROUTING = 43, IP6_FRAGMENT = 44, IP6_NO_NEXT = 59, IP6_DEST = 60 };

/* The sum of 4 bytes as they lie in memory; such sums add up to one of csum.h. */
static inline uint64_t ip_word(const void *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* The sum of an IPv4 header without options, and of an IPv4 pseudo-header: hot, so without a loop.
 */
static inline uint64_t ip4_sum(const uint8_t *h)
{
    return ip_word(h) + ip_word(h + 4) + ip_word(h + 8) + ip_word(h + 12) + ip_word(h + 16);
}

static inline uint64_t ip4_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto,
                                  uint32_t len)
{
    be32 tail[2] = {be32_of(len), be32_of(proto)};
    return ip_word(addr_bytes4(src)) + ip_word(addr_bytes4(dst)) + ip_word(&tail[0]) +
           ip_word(&tail[1]);
}

enum drop ip4_parse(const struct pkt_in *in, struct ip_hdr *out);
enum drop ip6_parse(const struct pkt_in *in, struct ip_hdr *out);

/* The chain of extension headers, from ip->proto behind the fixed header on; leaves proto and
 * payload at its end, and in bad_at where it was named. */
enum drop ip6_ext_walk(struct ip_hdr *ip);

static inline bool ip6_is_ext(uint8_t next)
{
    return next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_DEST ||
           next == IP6_FRAGMENT;
}

/* Writes the header of a packet of `total` bytes; a total that does not fit its field is written as
 * 0. */
void ip4_build(uint8_t *at, const struct ip_send *how, size_t total, uint16_t id, uint16_t frag);
void ip6_build(uint8_t *at, const struct ip_send *how, size_t total, uint8_t next);

/* An identification that nobody can foretell and that does not come again soon. */
uint16_t ip4_next_id(struct stack *st);
uint32_t ip6_next_id(struct stack *st);

/* The bytes [from, from + n) of the packet's payload as spans; returns how many. */
uint8_t ip_cut(const struct pkt_out *p, size_t from, size_t n, struct span out[PKT_SPAN_MAX]);

#endif
