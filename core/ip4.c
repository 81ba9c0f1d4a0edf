/*
 * ip4.c - theory of operation.
 *
 * The IPv4 header: read into a struct ip_hdr, written from a struct ip_send. Nothing is believed
 * before it has been compared with the length of the buffer; what lies beyond the total length
 * (link padding) is never looked at.
 *
 * Options are only walked: a packet whose options run past the header is dropped and answered with
 * a parameter problem, one with a source route is dropped in silence (Linux, not RFC 1122 3.2.1.8
 * (c): accept_source_route is 0), all others mean nothing to us. No option is ever sent.
 *
 * An identification is needed only where a datagram may be fragmented (RFC 6864 4.1: atomic
 * datagrams carry 0). It comes from a keyed permutation of a counter: no value is used twice within
 * 65536, and none tells the next.
 */
#include "csum.h"
#include "icmp.h"
#include "ip_priv.h"
#include "isn.h"

enum { OPT_EOL = 0, OPT_NOP = 1, OPT_LSRR = 131, OPT_SSRR = 137 }; /* RFC 791 3.1 */

/* RFC 1122 3.2.1.8: unknown options are ignored; one without a credible length makes the rest
 * unreadable. */
static enum drop options_check(const uint8_t *h, size_t ihl, struct ip_hdr *out)
{
    size_t at = sizeof(struct ip4_hdr);
    while (at < ihl && h[at] != OPT_EOL) {
        if (h[at] == OPT_NOP) {
            at++;
            continue;
        }
        size_t len = at + 1 < ihl ? h[at + 1] : 0;
        if (len < 2 || len > ihl - at) {
            out->bad_why = 1 + ICMP_PARAM_PROBLEM;
            out->bad_at = (uint32_t)at;
            return DROP_IP_OPTIONS;
        }
        if (h[at] == OPT_LSRR || h[at] == OPT_SSRR) {
            return DROP_IP_OPTIONS;
        }
        at += len;
    }
    return DROP_NONE;
}

static void fill(const struct pkt_in *in, size_t ihl, size_t total, struct ip_hdr *out)
{
    const struct ip4_hdr *h = (const void *)in->p;
    uint16_t frag = be16_get(h->frag);

    out->src = addr_of4(h->src);
    out->dst = addr_of4(h->dst);
    out->payload = in->p + ihl;
    out->payload_len = total - ihl;
    out->start = in->p;
    out->len = total;
    out->proto = h->proto;
    out->ttl = h->ttl;
    out->tos = h->tos;
    out->v6 = false;
    out->frag = (frag & (IP4_MF | IP4_OFFSET)) != 0;
    out->frag_at = (uint16_t)((frag & IP4_OFFSET) * 8);
    out->frag_more = (frag & IP4_MF) != 0;
    out->frag_id = be16_get(h->id);
    out->csum_ok = in->csum_ok;
    out->gso_size = in->gso_size;
    out->bad_why = 0;
    out->bad_at = 0;
}

enum drop ip4_parse(const struct pkt_in *in, struct ip_hdr *out)
{
    const struct ip4_hdr *h = (const void *)in->p;
    if (in->len < sizeof *h) {
        return DROP_IP_SHORT;
    }
    size_t ihl = (size_t)(h->ver_ihl & 15) * 4;
    if (ihl < sizeof *h || ihl > in->len) {
        return DROP_IP_SHORT;
    }
    size_t total = be16_get(h->len);
    if (total == 0 && in->gso_size != 0) {
        total = in->len; /* a super-segment of a local peer: the field cannot hold it */
    }
    if (total < ihl || total > in->len) {
        return DROP_IP_LENGTH;
    }
    uint64_t sum = LIKELY(ihl == sizeof *h) ? ip4_sum(in->p) : csum_add(0, h, ihl);
    if (!csum_good(sum)) {
        return DROP_IP_CHECKSUM;
    }
    fill(in, ihl, total, out);
    return ihl == sizeof *h ? DROP_NONE : options_check(in->p, ihl, out);
}

void ip4_build(uint8_t *at, const struct ip_send *how, size_t total, uint16_t id, uint16_t frag)
{
    struct ip4_hdr *h = (void *)at;
    h->ver_ihl = 0x45;
    h->tos = how->tos;
    h->len = be16_of(total > UINT16_MAX ? 0 : (uint16_t)total);
    h->id = be16_of(id);
    h->frag = be16_of(frag);
    h->ttl = how->ttl;
    h->proto = how->proto;
    h->csum = be16_of(0);
    memcpy(h->src, addr_bytes4(&how->src), sizeof h->src);
    memcpy(h->dst, addr_bytes4(&how->dst), sizeof h->dst);
    h->csum = csum_fold(ip4_sum(at));
}

/* A Feistel network of four rounds on two halves of 8 bits: whatever the rounds are, it is a
 * permutation. */
uint16_t ip4_next_id(struct stack *st)
{
    uint32_t count = st->ip_id++;
    uint8_t left = (uint8_t)(count >> 8);
    uint8_t right = (uint8_t)count;
    for (uint8_t round = 0; round < 4; round++) {
        uint8_t in[4] = {'4', round, right, (uint8_t)(count >> 16)};
        uint8_t mixed = (uint8_t)(left ^ isn_hash(st->port_secret, in, sizeof in));
        left = right;
        right = mixed;
    }
    return (uint16_t)(left << 8 | right);
}
