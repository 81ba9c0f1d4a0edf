/*
 * ip6.c - theory of operation.
 *
 * The IPv6 header and the chain of extension headers behind it (RFC 8200 4), read into a struct
 * ip_hdr; and the plain header, written from a struct ip_send. Each step of the walk consumes at
 * least eight bytes of the packet, so it ends; more than EXT_MAX headers are refused all the same.
 *
 * Of options only the two bits of RFC 8200 4.2 matter: skip, drop, or drop and say so. A routing
 * header is passed over when it asks for nothing more (segments left 0), and refused otherwise: RFC
 * 5095 for type 0, RFC 8200 4.4 for the rest. At a fragment header the walk stops, unless it is
 * atomic (RFC 6946): then it means nothing. A first fragment must hold the whole chain (RFC 7112).
 * Authentication and encapsulation headers count as unknown protocols.
 */
#include "csum.h"
#include "icmp.h"
#include "ip_priv.h"
#include "isn.h"

#define EXT_MAX 8

struct walk {
    const uint8_t *p;
    size_t len; /* of the packet */
    size_t at;  /* the header looked at */
    uint8_t next;
    size_t next_at; /* where the field lies that said so */
    bool multicast; /* the destination */
    struct ip_hdr *out;
};

static enum drop bad(struct walk *w, enum icmp_why why, size_t at)
{
    w->out->bad_why = (uint8_t)(1 + why);
    w->out->bad_at = (uint32_t)at;
    return DROP_IP6_EXTENSION;
}

/* The two highest bits of an option's type that is not known say what to do. RFC 8200 4.2. */
static enum drop option_unknown(struct walk *w, size_t at)
{
    switch (w->p[at] >> 6) {
    case 0:
        return DROP_NONE;
    case 1:
        return DROP_IP6_EXTENSION;
    case 2:
        return bad(w, ICMP_PARAM_OPTION, at);
    default:
        return w->multicast ? DROP_IP6_EXTENSION : bad(w, ICMP_PARAM_OPTION, at);
    }
}

/* The options in [at, end). */
static enum drop options_walk(struct walk *w, size_t at, size_t end)
{
    while (at < end) {
        if (w->p[at] == 0) { /* Pad1 */
            at++;
            continue;
        }
        size_t len = at + 1 < end ? (size_t)w->p[at + 1] + 2 : 0;
        if (len == 0 || len > end - at) {
            return DROP_IP6_EXTENSION;
        }
        if (w->p[at] != 1) { /* PadN */
            enum drop d = option_unknown(w, at);
            if (d != DROP_NONE) {
                return d;
            }
        }
        at += len;
    }
    return DROP_NONE;
}

/* A hop-by-hop, destination or routing header at w->at; moves past it. */
static enum drop header_walk(struct walk *w)
{
    enum drop d = DROP_NONE;
    if (w->len - w->at < 8) {
        return DROP_IP6_EXTENSION;
    }
    size_t len = ((size_t)w->p[w->at + 1] + 1) * 8;
    if (len > w->len - w->at) {
        return DROP_IP6_EXTENSION;
    }
    if (w->next != IP6_ROUTING) {
        d = options_walk(w, w->at + 2, w->at + len);
    } else if (w->p[w->at + 3] != 0) {
        d = bad(w, ICMP_PARAM_PROBLEM, w->at + 2); /* the routing type */
    }
    w->next = w->p[w->at];
    w->next_at = w->at;
    w->at += len;
    return d;
}

static bool is_extension(uint8_t next)
{
    return next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_DEST;
}

/* RFC 7112 5: the first fragment holds all headers, the upper-layer header included. */
static bool chain_complete(struct walk w)
{
    for (int i = 0; is_extension(w.next); i++) {
        if (i == EXT_MAX || header_walk(&w) != DROP_NONE) {
            return false;
        }
    }
    size_t need = w.next == 6 ? 20 : w.next == 17 || w.next == 58 ? 8 : 1; /* as Linux */
    return w.next == IP6_NO_NEXT || w.len - w.at >= need;
}

/* The fragment header at w->at; moves past it. RFC 8200 4.5 */
static enum drop fragment_walk(struct walk *w)
{
    if (w->len - w->at < sizeof(struct ip6_frag_hdr)) {
        return DROP_IP6_EXTENSION;
    }
    const struct ip6_frag_hdr *f = (const void *)(w->p + w->at);
    uint16_t at = be16_get(f->at);
    w->next = f->next;
    w->next_at = w->at;
    w->at += sizeof *f;
    w->out->frag_at = at & 0xfff8;
    w->out->frag_more = at & 1;
    w->out->frag_id = be32_get(f->id);
    w->out->frag = w->out->frag_at != 0 || w->out->frag_more; /* RFC 6946 4: else atomic */
    if (w->out->frag && w->out->frag_at == 0 && !chain_complete(*w)) {
        return bad(w, ICMP_PARAM_CHAIN, 0);
    }
    return DROP_NONE;
}

static enum drop chain_walk(struct walk *w)
{
    for (int i = 0; is_extension(w->next) || w->next == IP6_FRAGMENT; i++) {
        if (i == EXT_MAX) {
            return DROP_IP6_EXTENSION;
        }
        if (w->next == IP6_HOP_BY_HOP && w->at != sizeof(struct ip6_hdr)) {
            return bad(w, ICMP_PROTO_UNREACH, w->next_at); /* RFC 8200 4.1: only at the front */
        }
        enum drop d = w->next == IP6_FRAGMENT ? fragment_walk(w) : header_walk(w);
        if (d != DROP_NONE || w->out->frag) {
            return d;
        }
    }
    return DROP_NONE;
}

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
    enum drop d = DROP_NONE;
    struct walk w = {.p = in->p, .len = total, .at = sizeof *h, .next = h->next, .next_at = 6};
    if (UNLIKELY(is_extension(h->next) || h->next == IP6_FRAGMENT)) {
        w.multicast = addr_is_multicast(&out->dst);
        w.out = out;
        d = chain_walk(&w);
    }
    out->proto = w.next;
    out->payload = in->p + w.at;
    out->payload_len = total - w.at;
    if (d == DROP_NONE) {
        out->bad_at = (uint32_t)w.next_at; /* what an unknown protocol is blamed on */
    }
    return d;
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
