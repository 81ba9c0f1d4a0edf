/*
 * wire_pkt.c - theory of operation: what the wire must know of a packet, and the packets it makes.
 *
 * A packet is looked at where it lies and never trusted: every offset is checked against the
 * length once, in view_parse, and a packet that does not parse is carried like any other, only
 * without a connection. Extension headers of IPv6 are walked as far as a TCP or UDP header may
 * hide behind them.
 *
 * Checksums: what the wire changes on a path that a middlebox would change (options, windows, ECN
 * bits) keeps its checksum right by RFC 1624's difference, so that one that was wrong stays wrong.
 */
#include <string.h>

#include "core/be.h"
#include "core/check.h"
#include "core/csum.h"
#include "core/tcp_wire.h"
#include "tun/wire_priv.h"

enum {
    IP_PROTO_ICMP = 1,
    IP_PROTO_TCP = 6,
    IP_PROTO_UDP = 17,
    IP_PROTO_ICMP6 = 58,
    IP4_LEN = 20,
    IP6_LEN = 40,
    TCP_AT_ACK = 8,
    TCP_AT_OFFSET = 12,
    TCP_AT_FLAGS = 13,
    TCP_AT_WINDOW = 14,
    TCP_AT_CSUM = 16,
    UDP_AT_CSUM = 6,
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

/* Views */

static void parse4(struct wire_view *v)
{
    uint32_t ihl = (uint32_t)(v->p[0] & 15) * 4;
    if (v->len < IP4_LEN || ihl < IP4_LEN || ihl > v->len) {
        return;
    }
    v->ver = 4;
    if ((get16(v->p + 6) & 0x1fff) == 0) {
        v->proto = v->p[9];
        v->l4 = ihl;
    }
}

static bool is_extension(uint8_t proto)
{
    return proto == 0 || proto == 43 || proto == 60; /* RFC 8200 4.1: what has no end of its own */
}

static void parse6(struct wire_view *v)
{
    if (v->len < IP6_LEN) {
        return;
    }
    uint8_t proto = v->p[6];
    uint32_t at = IP6_LEN;
    v->ver = 6;
    while (is_extension(proto) && at + 8 <= v->len) {
        proto = v->p[at];
        at += ((uint32_t)v->p[at + 1] + 1) * 8;
    }
    if (proto == 44 && at + 8 <= v->len && (get16(v->p + at + 2) & 0xfff8) == 0) {
        proto = v->p[at];
        at += 8;
    }
    if (at < v->len) {
        v->proto = proto;
        v->l4 = at;
    }
}

static void parse_tcp(struct wire_view *v)
{
    uint32_t room = v->len - v->l4;
    if (room < TCP_HDR_MIN) {
        return;
    }
    const uint8_t *t = v->p + v->l4;
    uint32_t off = (uint32_t)(t[TCP_AT_OFFSET] >> 4) * 4;
    if (off < TCP_HDR_MIN || off > room) {
        return;
    }
    v->tcp = true;
    v->flags = t[TCP_AT_FLAGS];
    v->seq = get32(t + 4);
    v->data = v->l4 + off;
    v->plen = v->len - v->data;
}

void view_parse(struct wire_view *v)
{
    v->ver = 0;
    v->proto = 0;
    v->tcp = false;
    v->plen = 0;
    if (v->len == 0) {
        return;
    }
    if (v->p[0] >> 4 == 4) {
        parse4(v);
    } else if (v->p[0] >> 4 == 6) {
        parse6(v);
    }
    if (v->proto == IP_PROTO_TCP) {
        parse_tcp(v);
    } else if (v->proto == IP_PROTO_UDP && v->len >= v->l4 + 8) {
        v->data = v->l4 + 8;
        v->plen = v->len - v->data;
    }
}

static struct addr addr_at(const struct wire_view *v, bool source)
{
    if (v->ver == 4) {
        return addr_of4(v->p + (source ? 12 : 16));
    }
    return addr_of6(v->p + (source ? 8 : 24));
}

/* The program's end first, whichever way the packet goes. */
struct flow view_flow(const struct wire_view *v)
{
    struct addr src = addr_at(v, true);
    struct addr dst = addr_at(v, false);
    uint16_t sport = get16(v->p + v->l4);
    uint16_t dport = get16(v->p + v->l4 + 2);
    if (v->dir == WIRE_OUT) {
        return (struct flow){.laddr = src, .raddr = dst, .lport = sport, .rport = dport};
    }
    return (struct flow){.laddr = dst, .raddr = src, .lport = dport, .rport = sport};
}

/* Checksums */

static void fix4(uint8_t *p)
{
    put16(p + 10, 0);
    be16 sum = csum_fold(csum_add(0, p, (size_t)(p[0] & 15) * 4));
    memcpy(p + 10, sum.b, 2);
}

/* Where the transport checksum lies from its header on; 0: none that we know. */
static uint32_t csum_place(const struct wire_view *v)
{
    switch (v->proto) {
    case IP_PROTO_TCP:
        return v->tcp ? TCP_AT_CSUM : 0;
    case IP_PROTO_UDP:
        return v->len >= v->l4 + 8 ? UDP_AT_CSUM : 0;
    default:
        return 0;
    }
}

static void fix_upper(struct wire_view *v)
{
    uint32_t place = csum_place(v);
    if (!place) {
        return;
    }
    uint8_t *field = v->p + v->l4 + place;
    struct addr src = addr_at(v, true);
    struct addr dst = addr_at(v, false);
    uint32_t len = v->len - v->l4;

    memset(field, 0, 2);
    be16 sum = csum_fold(csum_add(csum_pseudo(&src, &dst, v->proto, len), v->p + v->l4, len));
    if (v->proto == IP_PROTO_UDP && be16_get(sum) == 0) {
        sum = be16_of(0xffff); /* RFC 768 */
    }
    memcpy(field, sum.b, 2);
}

void view_fix(struct wire_view *v)
{
    if (v->ver == 4) {
        fix4(v->p);
    }
    fix_upper(v);
}

static void follow(uint8_t *csum, uint16_t from, uint16_t to)
{
    be16 old = {{csum[0], csum[1]}};
    be16 sum = csum_update(old, be16_of(from), be16_of(to));
    memcpy(csum, sum.b, 2);
}

/* `at` lies an even number of bytes behind the transport header. */
void view_set16(struct wire_view *v, uint32_t at, uint16_t value)
{
    follow(v->p + v->l4 + TCP_AT_CSUM, get16(v->p + at), value);
    put16(v->p + at, value);
}

/* ECN, RFC 3168 5: the two low bits of the byte that was TOS. */

uint8_t view_ecn(const struct wire_view *v)
{
    return v->ver == 4 ? v->p[1] & 3 : v->ver == 6 ? v->p[1] >> 4 & 3 : 0;
}

void view_set_ecn(struct wire_view *v, uint8_t ecn)
{
    uint16_t old = get16(v->p);
    if (v->ver == 4) {
        v->p[1] = (uint8_t)((v->p[1] & ~3u) | ecn);
        follow(v->p + 10, old, get16(v->p));
    } else if (v->ver == 6) {
        v->p[1] = (uint8_t)((v->p[1] & ~0x30u) | (unsigned)ecn << 4);
    }
}

bool view_df(const struct wire_view *v)
{
    return v->ver != 4 || (v->p[6] & 0x40);
}

/* Fields */

static const struct {
    const char *name;
    uint8_t layer; /* 0: any, 3, 4, 5: payload, 6: TCP's options */
    uint8_t at, len;
} fields[FIELD_COUNT] = {
    [FIELD_ANY] = {"any", 0, 0, 0},
    [FIELD_PAYLOAD] = {"payload", 5, 0, 0},
    [FIELD_IP_CHECKSUM] = {"ip.checksum", 3, 10, 2},
    [FIELD_IP_LENGTH] = {"ip.length", 3, 2, 2},
    [FIELD_IP_TTL] = {"ip.ttl", 3, 8, 1},
    [FIELD_TCP_SPORT] = {"tcp.sport", 4, 0, 2},
    [FIELD_TCP_DPORT] = {"tcp.dport", 4, 2, 2},
    [FIELD_TCP_SEQ] = {"tcp.seq", 4, 4, 4},
    [FIELD_TCP_ACK] = {"tcp.ack", 4, 8, 4},
    [FIELD_TCP_OFFSET] = {"tcp.offset", 4, 12, 1},
    [FIELD_TCP_FLAGS] = {"tcp.flags", 4, 13, 1},
    [FIELD_TCP_WINDOW] = {"tcp.window", 4, 14, 2},
    [FIELD_TCP_CHECKSUM] = {"tcp.checksum", 4, 16, 2},
    [FIELD_TCP_URGENT] = {"tcp.urgent", 4, 18, 2},
    [FIELD_TCP_OPTIONS] = {"tcp.options", 6, 0, 0},
};

const char *wire_field_name(unsigned field)
{
    return field < FIELD_COUNT ? fields[field].name : "?";
}

/* Where a field lies in this packet; length 0: it has none. IPv6 has the length at 4, the hop limit
 * at 7, and no checksum. */
static void field_place(const struct wire_view *v, enum wire_field field, uint32_t *at,
                        uint32_t *len)
{
    *at = fields[field].at;
    *len = 0;
    switch (fields[field].layer) {
    case 0:
        *len = v->len;
        break;
    case 3:
        *len = v->ver == 4 || (v->ver == 6 && field != FIELD_IP_CHECKSUM) ? fields[field].len : 0;
        if (v->ver == 6) {
            *at = field == FIELD_IP_LENGTH ? 4 : 7;
        }
        break;
    case 4:
        *at += v->l4;
        *len = v->tcp ? fields[field].len : 0;
        break;
    case 5:
        *at = v->data;
        *len = v->plen;
        break;
    default:
        *at = v->l4 + TCP_HDR_MIN;
        *len = v->tcp ? v->data - *at : 0;
        break;
    }
}

bool view_corrupt(struct wire_view *v, enum wire_field field, uint64_t draw)
{
    uint32_t at, len;
    field_place(v, field, &at, &len);
    if (len == 0) {
        return false;
    }
    uint32_t bit = (uint32_t)(draw % (len * 8ull));
    if (field == FIELD_TCP_OFFSET) {
        bit %= 4; /* the other half is reserved */
    }
    v->p[at + bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
    return true;
}

/* Options */

/* Walks: the option at *at (offset in the packet), its length; false: the end. */
static bool option_next(const struct wire_view *v, uint32_t *at, uint32_t *len)
{
    *at += *len;
    while (*at < v->data && v->p[*at] == TCP_OPT_NOP) {
        (*at)++;
    }
    if (*at + 2 > v->data || v->p[*at] == 0) {
        return false;
    }
    *len = v->p[*at + 1];
    return *len >= 2 && *at + *len <= v->data;
}

uint32_t view_option(const struct wire_view *v, uint8_t kind, uint32_t *len)
{
    uint32_t at = v->l4 + TCP_HDR_MIN;
    *len = 0;
    while (option_next(v, &at, len)) {
        if (v->p[at] == kind) {
            return at;
        }
    }
    return 0;
}

static uint8_t strip_bit(uint8_t kind)
{
    switch (kind) {
    case TCP_OPT_MSS:
        return STRIP_MSS;
    case TCP_OPT_WSCALE:
        return STRIP_WSCALE;
    case TCP_OPT_SACK_OK:
    case TCP_OPT_SACK:
        return STRIP_SACK;
    case TCP_OPT_TS:
        return STRIP_TIMESTAMPS;
    case TCP_OPT_MD5:
        return STRIP_MD5;
    case TCP_OPT_FO:
        return STRIP_FASTOPEN;
    case TCP_OPT_ACCECN0:
    case TCP_OPT_ACCECN1:
        return STRIP_ACCECN;
    default:
        return STRIP_OTHER;
    }
}

/* One byte of the TCP segment, its checksum following. */
static void set8(struct wire_view *v, uint32_t at, uint8_t value)
{
    uint32_t word = at - (at - v->l4) % 2;
    uint16_t old = get16(v->p + word);
    v->p[at] = value;
    follow(v->p + v->l4 + TCP_AT_CSUM, old, get16(v->p + word));
}

bool view_strip(struct wire_view *v, uint8_t which)
{
    uint32_t at = v->l4 + TCP_HDR_MIN;
    uint32_t len = 0;
    bool any = false;
    while (option_next(v, &at, &len)) {
        if (!(which & strip_bit(v->p[at]))) {
            continue;
        }
        for (uint32_t i = 0; i < len; i++) {
            set8(v, at + i, TCP_OPT_NOP);
        }
        any = true;
    }
    return any;
}

bool view_clamp(struct wire_view *v, uint16_t mss)
{
    uint32_t len;
    uint32_t at = view_option(v, TCP_OPT_MSS, &len);
    if (!at || len != 4 || get16(v->p + at + 2) <= mss) {
        return false;
    }
    set8(v, at + 2, (uint8_t)(mss >> 8));
    set8(v, at + 3, (uint8_t)mss);
    return true;
}

/* Packets of our own */

static void set_length(uint8_t *p, size_t len)
{
    if (p[0] >> 4 == 4) {
        put16(p + 2, len);
    } else {
        put16(p + 4, len - IP6_LEN);
    }
}

size_t pkt_piece(const struct wire_view *v, uint32_t from, uint32_t n, uint8_t *out)
{
    struct wire_view o = {.p = out, .len = v->data + n};
    uint8_t *upper = out + v->l4;

    memmove(out, v->p, v->data);
    set_length(out, o.len);
    if (v->tcp) {
        put32(upper + 4, v->seq + from);
        if (from + n != v->plen) {
            upper[TCP_AT_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        }
        if (from > 0) {
            upper[TCP_AT_FLAGS] &= (uint8_t)~TCP_CWR; /* RFC 3168 6.1.2: on the first */
        }
    } else {
        put16(upper + 4, n + 8);
    }
    view_parse(&o);
    view_fix(&o);
    return o.len;
}

/* RFC 791 3.2 */
size_t pkt_fragment(const struct wire_view *v, uint32_t from, uint32_t n, uint8_t *out)
{
    uint32_t ihl = (uint32_t)(v->p[0] & 15) * 4;
    uint32_t was = get16(v->p + 6);
    uint32_t more = (was & 0x2000) || from + n < v->len - ihl ? 0x2000 : 0;

    memcpy(out, v->p, ihl);
    memcpy(out + ihl, v->p + ihl + from, n);
    put16(out + 2, ihl + n);
    put16(out + 6, more | ((was & 0x1fff) + from / 8));
    fix4(out);
    return ihl + n;
}

static void icmp_ip(const struct wire_view *v, uint8_t *out, size_t len)
{
    if (v->ver == 4) {
        memset(out, 0, IP4_LEN);
        out[0] = 0x45;
        out[8] = 64;
        out[9] = IP_PROTO_ICMP;
        memcpy(out + 12, v->p + 16, 4); /* in the name of the destination: there is no router */
        memcpy(out + 16, v->p + 12, 4);
    } else {
        memset(out, 0, IP6_LEN);
        out[0] = 0x60;
        out[6] = IP_PROTO_ICMP6;
        out[7] = 64;
        memcpy(out + 8, v->p + 24, 16);
        memcpy(out + 24, v->p + 8, 16);
    }
    set_length(out, len);
}

/* RFC 1191 4: destination unreachable, fragmentation needed; RFC 4443 3.2. */
size_t pkt_too_big(const struct wire_view *v, uint32_t mtu, uint8_t *out)
{
    uint32_t head = v->ver == 4 ? IP4_LEN : IP6_LEN;
    uint32_t quote = min_u32(v->len, (v->ver == 4 ? 576u : PKT_OWN_MAX) - head - 8);
    uint8_t *icmp = out + head;
    size_t len = (size_t)head + 8 + quote;

    icmp_ip(v, out, len);
    memset(icmp, 0, 8);
    memcpy(icmp + 8, v->p, quote);
    be16 sum;
    if (v->ver == 4) {
        icmp[0] = 3;
        icmp[1] = 4;
        put16(icmp + 6, mtu);
        fix4(out);
        sum = csum_fold(csum_add(0, icmp, 8 + quote));
    } else {
        struct addr src = addr_of6(out + 8);
        struct addr dst = addr_of6(out + 24);
        icmp[0] = 2;
        put32(icmp + 4, mtu);
        sum = csum_fold(
            csum_add(csum_pseudo(&src, &dst, IP_PROTO_ICMP6, 8 + quote), icmp, 8 + (size_t)quote));
    }
    memcpy(icmp + 2, sum.b, 2);
    return len;
}

size_t pkt_reset(const struct wire_view *v, uint32_t from, uint8_t *out)
{
    struct wire_view o = {.p = out, .len = v->l4 + TCP_HDR_MIN};
    uint8_t *t = out + v->l4;
    bool ack = v->flags & TCP_ACK;

    if (o.len > PKT_OWN_MAX) {
        return 0; /* behind a heap of extension headers */
    }
    memcpy(out, v->p, v->l4 + TCP_HDR_MIN);
    set_length(out, o.len);
    put32(t + 4, from);
    t[TCP_AT_OFFSET] = 5 << 4;
    t[TCP_AT_FLAGS] = (uint8_t)(TCP_RST | (ack ? TCP_ACK : 0));
    if (!ack) {
        put32(t + TCP_AT_ACK, 0);
    }
    put16(t + TCP_AT_WINDOW, 0);
    put16(t + 18, 0);
    view_parse(&o);
    view_fix(&o);
    return o.len;
}
