#include "wire.h"

#include <string.h>

#include "core/rdwr.h"
#include "opt.h"

enum {
    PROTO_ICMP = 1,
    PROTO_IPIP = 4,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_IP6 = 41,
    PROTO_ICMP6 = 58
};

/* RFC 1071, a byte at a time. */
static uint32_t sum_bytes(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint16_t sum_end(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static uint32_t sum_pseudo(const struct addr *src, const struct addr *dst, bool v6, uint8_t proto,
                           size_t len)
{
    size_t skip = v6 ? 0 : 12;
    uint8_t tail[4] = {0, proto, (uint8_t)(len >> 8), (uint8_t)len};
    uint32_t sum = sum_bytes(0, src->b + skip, 16 - skip);
    sum = sum_bytes(sum, dst->b + skip, 16 - skip);
    return sum_bytes(sum, tail, 4) + (uint32_t)(len >> 16);
}

static bool fail(struct str *err, const char *why)
{
    str_add(err, "%s", why);
    return false;
}

static bool parse_v4(struct wire *w, const uint8_t *p, size_t len, struct str *err)
{
    struct rd r = rd_of(p, len);
    uint8_t first = rd_u8(&r);
    size_t ihl = (first & 15u) * 4u;
    w->tos = rd_u8(&r);
    size_t total = rd_u16(&r);
    w->id = rd_u16(&r);
    uint16_t frag = rd_u16(&r);
    w->ttl = rd_u8(&r);
    w->proto = rd_u8(&r);
    rd_skip(&r, 2);
    const uint8_t *src = rd_bytes(&r, 4);
    const uint8_t *dst = rd_bytes(&r, 4);
    if (!rd_ok(&r) || ihl < 20 || ihl > len) {
        return fail(err, "IPv4 header incomplete");
    }
    if (total != len) {
        return fail(err, "IPv4 total length is not the packet's");
    }
    if (sum_end(sum_bytes(0, p, ihl)) != 0) {
        return fail(err, "IPv4 header checksum wrong");
    }
    w->src = addr_of4(src);
    w->dst = addr_of4(dst);
    w->df = (frag & 0x4000) != 0;
    w->frag = (frag & 0x3fff) != 0;
    w->l4 = p + ihl;
    w->l4_len = len - ihl;
    return true;
}

static bool parse_v6(struct wire *w, const uint8_t *p, size_t len, struct str *err)
{
    struct rd r = rd_of(p, len);
    uint32_t first = rd_u32(&r);
    size_t total = rd_u16(&r);
    w->v6 = true;
    w->tos = (uint8_t)(first >> 20);
    w->flow = first & 0xfffff;
    w->proto = rd_u8(&r);
    w->ttl = rd_u8(&r);
    const uint8_t *src = rd_bytes(&r, 16);
    const uint8_t *dst = rd_bytes(&r, 16);
    if (!rd_ok(&r)) {
        return fail(err, "IPv6 header incomplete");
    }
    if (total + 40 != len) {
        return fail(err, "IPv6 payload length is not the packet's");
    }
    w->src = addr_of6(src);
    w->dst = addr_of6(dst);
    w->frag = w->proto == 44;
    w->l4 = p + 40;
    w->l4_len = len - 40;
    return true;
}

static bool l4_sum_good(const struct wire *w, uint8_t proto)
{
    uint32_t sum = sum_pseudo(&w->src, &w->dst, w->v6, proto, w->l4_len);
    return sum_end(sum_bytes(sum, w->l4, w->l4_len)) == 0;
}

static bool parse_tcp(struct wire *w, struct str *err)
{
    struct rd r = rd_of(w->l4, w->l4_len);
    w->sport = rd_u16(&r);
    w->dport = rd_u16(&r);
    w->seq = rd_u32(&r);
    w->ack = rd_u32(&r);
    uint16_t flags = rd_u16(&r);
    w->win = rd_u16(&r);
    rd_skip(&r, 2);
    w->urg = rd_u16(&r);
    size_t doff = (flags >> 12) * 4u;
    if (!rd_ok(&r) || doff < 20 || doff > w->l4_len) {
        return fail(err, "TCP header incomplete");
    }
    if (!l4_sum_good(w, PROTO_TCP)) {
        return fail(err, "TCP checksum wrong");
    }
    w->flags = flags & 0x1ff;
    w->reserved = (uint8_t)(flags >> 9 & 7);
    w->opts.n = (uint8_t)(doff - 20);
    memcpy(w->opts.b, w->l4 + 20, doff - 20);
    w->payload = w->l4 + doff;
    w->payload_len = w->l4_len - doff;
    return true;
}

static bool parse_udp(struct wire *w, struct str *err)
{
    struct rd r = rd_of(w->l4, w->l4_len);
    w->sport = rd_u16(&r);
    w->dport = rd_u16(&r);
    size_t len = rd_u16(&r);
    uint16_t sum = rd_u16(&r);
    if (!rd_ok(&r) || len != w->l4_len) {
        return fail(err, "UDP length is not the packet's");
    }
    if ((sum == 0 && w->v6) || (sum && !l4_sum_good(w, PROTO_UDP))) {
        return fail(err, "UDP checksum wrong");
    }
    w->payload = w->l4 + 8;
    w->payload_len = w->l4_len - 8;
    return true;
}

static bool parse_icmp(struct wire *w, struct str *err)
{
    struct rd r = rd_of(w->l4, w->l4_len);
    w->type = rd_u8(&r);
    w->code = rd_u8(&r);
    rd_skip(&r, 2);
    w->rest = rd_u32(&r);
    if (!rd_ok(&r)) {
        return fail(err, "ICMP header incomplete");
    }
    bool good = w->v6 ? l4_sum_good(w, PROTO_ICMP6) : sum_end(sum_bytes(0, w->l4, w->l4_len)) == 0;
    if (!good) {
        return fail(err, "ICMP checksum wrong");
    }
    w->payload = w->l4 + 8;
    w->payload_len = w->l4_len - 8;
    return true;
}

bool wire_parse(const uint8_t *p, size_t len, struct wire *out, struct str *err)
{
    *out = (struct wire){0};
    if (len == 0 || (p[0] >> 4 != 4 && p[0] >> 4 != 6)) {
        return fail(err, "not an IP packet");
    }
    if (!(p[0] >> 4 == 4 ? parse_v4(out, p, len, err) : parse_v6(out, p, len, err))) {
        return false;
    }
    if (out->frag) {
        return true;
    }
    switch (out->proto) {
    case PROTO_TCP:
        return parse_tcp(out, err);
    case PROTO_UDP:
        return parse_udp(out, err);
    case PROTO_ICMP:
    case PROTO_ICMP6:
        return parse_icmp(out, err);
    default:
        return fail(err, "neither TCP nor UDP nor ICMP");
    }
}

/* What an ICMP error quotes: the sequence number, length and kind of the packet it is about. */
static void quote_spec(const struct wire *w, struct icmp_spec *m)
{
    const uint8_t *p = w->payload;
    size_t ihl = w->v6 ? 40 : w->payload_len ? (p[0] & 15u) * 4u : 0;
    if (w->payload_len < ihl + 8 || ihl < 20) {
        return;
    }
    uint8_t proto = w->v6 ? p[6] : p[9];
    size_t total = w->v6 ? 40u + (size_t)(p[4] << 8 | p[5]) : (size_t)(p[2] << 8 | p[3]);
    struct rd r = rd_of(p + ihl, w->payload_len - ihl);
    if (proto == PROTO_UDP) {
        m->quote = QUOTE_UDP;
        m->len = total > ihl + 8 ? (uint32_t)(total - ihl - 8) : 0;
    } else if (proto == PROTO_TCP) {
        rd_skip(&r, 4);
        m->quote = QUOTE_TCP;
        m->seq = rd_u32(&r);
        size_t doff = w->payload_len >= ihl + 13 ? (p[ihl + 12] >> 4) * 4u : 20;
        m->len = total > ihl + doff ? (uint32_t)(total - ihl - doff) : 0;
    } else {
        m->quote = QUOTE_RAW;
        m->len = (uint32_t)(total - ihl);
    }
}

bool wire_icmp_is_error(bool v6, uint8_t type)
{
    return v6 ? type < 128 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool icmp_has_mtu(bool v6, uint8_t type, uint8_t code)
{
    return v6 ? type == 2 : type == 3 && code == 4;
}

static void icmp_of_wire(const struct wire *w, struct icmp_spec *m)
{
    m->type = w->type;
    m->code = w->code;
    if (wire_icmp_is_error(w->v6, w->type)) {
        quote_spec(w, m);
        m->have_mtu = icmp_has_mtu(w->v6, w->type, w->code);
        m->mtu = w->rest;
    } else {
        m->have_id = true;
        m->id = (uint16_t)(w->rest >> 16);
    }
}

void wire_spec(const struct wire *w, struct spec *out)
{
    *out = (struct spec){.dir = DIR_OUT, .v6 = w->v6};
    out->len = (uint32_t)w->payload_len;
    if (w->proto == PROTO_UDP) {
        out->proto = SPEC_UDP;
    } else if (w->proto == PROTO_TCP) {
        out->proto = SPEC_TCP;
        out->flags = w->flags;
        out->seq = w->seq;
        out->have_ack = (w->flags & F_ACK) != 0 || w->ack != 0;
        out->ack = w->ack;
        out->have_win = true;
        out->win = w->win;
        out->urg = w->urg;
        out->opts = w->opts;
    } else {
        out->proto = SPEC_ICMP;
        icmp_of_wire(w, &out->icmp);
    }
}

/* --- building --- */

static void put_ip(struct wr *w, const struct ip_info *ip, const struct addr *src,
                   const struct addr *dst, uint8_t proto, size_t len)
{
    uint8_t tos = ip->tos_check == TOS_ANY ? 0 : ip->tos;
    uint8_t ttl = ip->have_ttl ? ip->ttl : 64;
    if (!addr_is4(src)) {
        wr_u32(w, 6u << 28 | (uint32_t)tos << 20 | (ip->have_flow ? ip->flow : 0));
        wr_u16(w, (uint16_t)len);
        wr_u8(w, proto);
        wr_u8(w, ttl);
        wr_bytes(w, src->b, 16);
        wr_bytes(w, dst->b, 16);
        return;
    }
    size_t at = w->at;
    wr_u8(w, 0x45);
    wr_u8(w, tos);
    wr_u16(w, (uint16_t)(len + 20));
    wr_u32(w, 0);
    wr_u8(w, ttl);
    wr_u8(w, proto);
    wr_u16(w, 0);
    wr_bytes(w, addr_bytes4(src), 4);
    wr_bytes(w, addr_bytes4(dst), 4);
    uint16_t sum = sum_end(sum_bytes(0, w->p + at, 20));
    w->p[at + 10] = (uint8_t)(sum >> 8);
    w->p[at + 11] = (uint8_t)sum;
}

static void put_sum(uint8_t *l4, size_t len, size_t at, uint32_t start)
{
    uint16_t sum = sum_end(sum_bytes(start, l4, len));
    l4[at] = (uint8_t)(sum >> 8);
    l4[at + 1] = (uint8_t)sum;
}

static void put_tcp(struct wr *w, const struct spec *s, const struct wire_ends *e)
{
    unsigned doff = (20u + s->opts.n) / 4;
    wr_u16(w, e->sport);
    wr_u16(w, e->dport);
    wr_u32(w, s->seq);
    wr_u32(w, s->ack);
    wr_u16(w, (uint16_t)(doff << 12 | s->flags));
    wr_u16(w, s->win);
    wr_u16(w, 0);
    wr_u16(w, s->urg);
    wr_bytes(w, s->opts.b, s->opts.n);
    wr_zero(w, s->len);
}

static void put_udp(struct wr *w, const struct spec *s, const struct wire_ends *e)
{
    wr_u16(w, e->sport);
    wr_u16(w, e->dport);
    wr_u16(w, (uint16_t)(s->len + 8));
    wr_u16(w, 0);
    wr_zero(w, s->len);
}

/* The packet an error is about went from dst to src: its IP header and eight bytes. */
static void put_quote(struct wr *w, const struct spec *s, const struct wire_ends *e)
{
    const struct icmp_spec *m = &s->icmp;
    static const struct ip_info plain;
    uint8_t proto = m->quote == QUOTE_TCP ? PROTO_TCP : m->quote == QUOTE_UDP ? PROTO_UDP : 255;
    size_t len = m->len + (m->quote == QUOTE_TCP ? 20 : m->quote == QUOTE_UDP ? 8 : 0);
    put_ip(w, &plain, &e->dst, &e->src, proto, len);
    wr_u16(w, e->dport);
    wr_u16(w, e->sport);
    if (m->quote == QUOTE_TCP) {
        wr_u32(w, m->seq);
    } else if (m->quote == QUOTE_UDP) {
        wr_u16(w, (uint16_t)(m->len + 8));
        wr_u16(w, 0);
    } else {
        wr_u32(w, 0);
    }
}

static void put_icmp(struct wr *w, const struct spec *s, const struct wire_ends *e)
{
    const struct icmp_spec *m = &s->icmp;
    wr_u8(w, m->type);
    wr_u8(w, m->code);
    wr_u16(w, 0);
    wr_u32(w, m->have_mtu ? m->mtu : (uint32_t)m->id << 16);
    if (m->quote != QUOTE_NONE || wire_icmp_is_error(s->v6, m->type)) {
        put_quote(w, s, e);
    }
}

static uint8_t proto_of(const struct spec *s, bool v6)
{
    switch (s->proto) {
    case SPEC_TCP:
        return PROTO_TCP;
    case SPEC_UDP:
        return PROTO_UDP;
    default:
        return v6 ? PROTO_ICMP6 : PROTO_ICMP;
    }
}

static size_t build_l4(const struct spec *s, const struct wire_ends *e, bool v6, uint8_t *l4,
                       size_t room)
{
    struct wr w = wr_of(l4, room);
    uint32_t pseudo;
    switch (s->proto) {
    case SPEC_TCP:
        put_tcp(&w, s, e);
        pseudo = sum_pseudo(&e->src, &e->dst, v6, PROTO_TCP, w.at);
        put_sum(l4, w.at, 16, pseudo);
        break;
    case SPEC_UDP:
        put_udp(&w, s, e);
        pseudo = sum_pseudo(&e->src, &e->dst, v6, PROTO_UDP, w.at);
        put_sum(l4, w.at, 6, pseudo);
        if (l4[6] == 0 && l4[7] == 0) { /* RFC 768: zero is sent as all ones */
            l4[6] = l4[7] = 0xff;
        }
        break;
    default:
        put_icmp(&w, s, e);
        pseudo = v6 ? sum_pseudo(&e->src, &e->dst, v6, PROTO_ICMP6, w.at) : 0;
        put_sum(l4, w.at, 2, pseudo);
        break;
    }
    return w.at;
}

size_t wire_build(const struct spec *s, const struct wire_ends *e, uint8_t buf[WIRE_MAX])
{
    static const struct ip_info plain;
    bool v6 = !addr_is4(&e->src);
    size_t inner = v6 ? 40 : 20;
    size_t outer = !s->outer ? 0 : addr_is4(&s->outer_src) ? 20 : 40;
    size_t len = build_l4(s, e, v6, buf + outer + inner, WIRE_MAX - outer - inner);
    struct wr w = wr_of(buf, outer + inner);
    if (outer) {
        put_ip(&w, &plain, &s->outer_src, &s->outer_dst, v6 ? PROTO_IP6 : PROTO_IPIP, inner + len);
    }
    put_ip(&w, &s->ip, &e->src, &e->dst, proto_of(s, v6), len);
    return outer + inner + len;
}
