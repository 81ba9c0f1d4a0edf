/*
 * ip6_ext.c - theory of operation.
 *
 * The chain of extension headers behind an IPv6 header (RFC 8200 4). Each step of the walk consumes
 * at least eight bytes of the packet, each step through options at least one, so both end; more
 * than EXT_MAX headers or OPTS_MAX options in one are refused all the same.
 *
 * Of options only the two bits of RFC 8200 4.2 matter: skip, drop, or drop and say so. Padding must
 * be padding. A jumbo payload (RFC 2675) counts as not known, and is so refused. A routing header
 * is passed over when it asks for nothing more (segments left 0), and refused otherwise: RFC 5095
 * for type 0, RFC 8200 4.4 for the rest. At a fragment header the walk stops, unless it is atomic
 * (RFC 6946): then it means nothing. A first fragment must hold the whole chain (RFC 7112).
 * Authentication and encapsulation headers count as unknown protocols.
 */
#include "icmp.h"
#include "ip_priv.h"

#define EXT_MAX  8
#define OPTS_MAX 8 /* Linux: max_hbh_opts_number, max_dst_opts_number */
#define PAD_MAX  7 /* Linux: more padding in a row aligns nothing */

enum { OPT_PAD1 = 0, OPT_PADN = 1, OPT_ROUTER_ALERT = 5 };

struct walk {
    const uint8_t *p;
    size_t len; /* of the packet */
    size_t at;  /* the header looked at */
    uint8_t next;
    size_t next_at;     /* where the field lies that said so */
    bool multicast;     /* the destination */
    bool fragment_seen; /* one is enough */
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

/* PadN carries zeros, and with the padding before it no more than aligns. RFC 4942 2.1.9.5, RFC
 * 8504 5.3 */
static bool pad_is_plain(const uint8_t *opt, size_t len, size_t *padding)
{
    *padding += len;
    for (size_t i = 2; i < len; i++) {
        if (opt[i] != 0) {
            return false;
        }
    }
    return *padding <= PAD_MAX;
}

/* Any option but padding. A router alert (RFC 2711) is known, and concerns routers. */
static enum drop option_walk(struct walk *w, size_t at, size_t len)
{
    if (w->p[at] == OPT_ROUTER_ALERT && w->next == IP6_HOP_BY_HOP) {
        return len == 4 ? DROP_NONE : DROP_IP6_EXTENSION;
    }
    return option_unknown(w, at);
}

/* The options in [at, end). */
static enum drop options_walk(struct walk *w, size_t at, size_t end)
{
    size_t padding = 0;
    int count = 0;
    while (at < end) {
        bool pad1 = w->p[at] == OPT_PAD1;
        size_t len = pad1 ? 1 : at + 1 < end ? (size_t)w->p[at + 1] + 2 : 0;
        if (len == 0 || len > end - at) {
            return DROP_IP6_EXTENSION;
        }
        if (pad1 || w->p[at] == OPT_PADN) {
            if (!pad_is_plain(w->p + at, len, &padding)) {
                return DROP_IP6_EXTENSION;
            }
        } else {
            enum drop d = ++count > OPTS_MAX ? DROP_IP6_EXTENSION : option_walk(w, at, len);
            if (d != DROP_NONE) {
                return d;
            }
            padding = 0;
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
    if (w->fragment_seen) {
        return bad(w, ICMP_PARAM_PROBLEM, w->at); /* Linux: a fragment of a fragment */
    }
    w->fragment_seen = true;
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
    for (int i = 0; ip6_is_ext(w->next); i++) {
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

enum drop ip6_ext_walk(struct ip_hdr *ip)
{
    struct walk w = {
        .p = ip->start,
        .len = ip->len,
        .at = sizeof(struct ip6_hdr),
        .next = ip->proto,
        .next_at = offsetof(struct ip6_hdr, next),
        .multicast = addr_is_multicast(&ip->dst),
        .out = ip,
    };
    enum drop d = chain_walk(&w);
    ip->proto = w.next;
    ip->payload = w.p + w.at;
    ip->payload_len = w.len - w.at;
    if (d == DROP_NONE) {
        ip->bad_at = (uint32_t)w.next_at;
    }
    return d;
}
