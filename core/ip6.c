/*
 * ip6.c - theory of operation.
 *
 * The IPv6 header: read into a struct ip_hdr, written from a struct ip_send. What follows it is
 * walked in ip6_ext.c. Of a packet whose payload length is 0 nothing follows: a jumbogram (RFC
 * 2675) cannot be told from it, and is none of ours.
 */
#include "csum.h"
#include "icmp.h"
#include "ip_priv.h"
#include "isn.h"

static void fill(const struct pkt_in *in, size_t total, struct ip_hdr *out)
{
    const struct ip6_hdr *h = (const void *)in->p;
    out->src = addr_of6(h->src);
    out->dst = addr_of6(h->dst);
    out->start = in->p;
    out->len = total;
    out->ttl = h->hops;
    out->tos = (uint8_t)(be32_get(h->ver_class_flow) >> 20);
    out->v6 = true;
    out->frag = false;
    out->frag_at = 0;
    out->frag_more = false;
    out->frag_id = 0;
    out->csum_ok = in->csum_ok;
    out->gso_size = in->gso_size;
    out->bad_why = 0;
    out->bad_at = 0;
}

enum drop ip6_parse(const struct pkt_in *in, struct ip_hdr *out)
{
    const struct ip6_hdr *h = (const void *)in->p;
    if (in->len < sizeof *h) {
        return DROP_IP_SHORT;
    }
    size_t total = sizeof *h + be16_get(h->len);
    if (total == sizeof *h && in->gso_size != 0) {
        total = in->len; /* a super-segment of a local peer: the field cannot hold it */
    }
    if (total > in->len) {
        return DROP_IP_LENGTH;
    }
    fill(in, total, out);
    /* RFC 4291 2.5.5.2: a mapped address never lies on a wire; it would pass for IPv4 here. */
    if (UNLIKELY(addr_is4(&out->src) || addr_is4(&out->dst))) {
        return DROP_IP_SOURCE;
    }
    out->proto = h->next;
    out->payload = in->p + sizeof *h;
    out->payload_len = total - sizeof *h;
    out->bad_at = offsetof(struct ip6_hdr, next); /* what an unknown protocol is blamed on */
    return UNLIKELY(ip6_is_ext(h->next)) ? ip6_ext_walk(out) : DROP_NONE;
}

void ip6_build(uint8_t *at, const struct ip_send *how, size_t total, uint8_t next)
{
    struct ip6_hdr *h = (void *)at;
    size_t len = total - sizeof *h;
    h->ver_class_flow = be32_of(UINT32_C(6) << 28 | (uint32_t)how->tos << 20);
    h->len = be16_of(len > UINT16_MAX ? 0 : (uint16_t)len);
    h->next = next;
    h->hops = how->ttl;
    memcpy(h->src, how->src.b, sizeof h->src);
    memcpy(h->dst, how->dst.b, sizeof h->dst);
}

/* RFC 7739 5.3: an unpredictable identification. */
uint32_t ip6_next_id(struct stack *st)
{
    uint8_t in[5] = {'6', (uint8_t)(st->ip_id >> 24), (uint8_t)(st->ip_id >> 16),
                     (uint8_t)(st->ip_id >> 8), (uint8_t)st->ip_id};
    st->ip_id++;
    return (uint32_t)isn_hash(st->port_secret, in, sizeof in);
}
