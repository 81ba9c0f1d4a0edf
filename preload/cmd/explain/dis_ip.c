/* Purpose: the IPv4 header (RFC 791), the IPv6 header and its extension headers (RFC 8200), field
 * by field. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dissect.h"
#include "proto.h"

static const enum text_id ecn_names[4] = {TEXT_ECN_NOT, TEXT_ECN_ECT1, TEXT_ECN_ECT0, TEXT_ECN_CE};

static void ecn_field(const struct cut *c, size_t bit, const char *key)
{
    struct field *f = field_add(c, bit, 2, key, TEXT_ECN);
    field_show(f, "%u", (unsigned)f->value);
    field_mean(f, ecn_names[f->value & 3]);
}

static void addr_field(const struct cut *c, size_t at, size_t len, const char *key,
                       enum text_id name, uint8_t *bytes, char text[48])
{
    struct field *f = field_add(c, at * 8, len * 8, key, name);

    memset(bytes, 0, len);
    if (cut_has(c, at + len)) {
        memcpy(bytes, c->d->p + c->at + at, len);
    }
    inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, 48);
    field_show(f, "%s", text);
}

static void ip4_options(const struct cut *c, size_t ihl)
{
    size_t at = 20;

    while (at < ihl && cut_has(c, at + 1)) {
        unsigned kind = (unsigned)cut_bits(c, at * 8, 8);
        size_t len = kind <= 1 ? 1 : (size_t)cut_bits(c, at * 8 + 8, 8);
        if (kind > 1 && (len < 2 || at + len > ihl)) {
            note_add(c->d, TEXT_NOTE_OPTION_LENGTH, kind, (unsigned)len);
            return;
        }
        struct field *f = field_add(c, at * 8, len * 8, "ip.option", TEXT_IP_OPTION);
        f->value = kind;
        field_show(f, "%u", kind);
        enum text_id mean = kind == 0     ? TEXT_OPT_EOL
                            : kind == 1   ? TEXT_OPT_NOP
                            : kind == 7   ? TEXT_IP_OPT_RR
                            : kind == 68  ? TEXT_IP_OPT_TS
                            : kind == 131 ? TEXT_IP_OPT_LSRR
                            : kind == 137 ? TEXT_IP_OPT_SSRR
                            : kind == 148 ? TEXT_IP_OPT_RA
                                          : TEXT_OPT_UNKNOWN;
        field_mean(f, mean, kind);
        if (kind == 0) {
            return;
        }
        at += len;
    }
}

static size_t ip4_lengths(const struct cut *c, size_t ihl, size_t *total)
{
    struct dissection *d = c->d;

    if (*total == 0 && d->wire_len > 65535) {
        note_add(d, TEXT_NOTE_BIG, (unsigned)d->wire_len);
        *total = d->wire_len;
    } else if (*total == 0 && d->wire_len > ihl) {
        note_add(d, TEXT_NOTE_TSO_LENGTH, (unsigned)d->wire_len);
        *total = d->wire_len;
    } else if (*total < ihl) {
        note_add(d, TEXT_NOTE_LENGTH_SHORT, (unsigned)*total, (unsigned)ihl);
        *total = ihl;
    } else if (*total > d->wire_len) {
        note_add(d, TEXT_NOTE_LENGTH_LONG, (unsigned)*total, (unsigned)d->wire_len);
    }
    return c->at + *total < c->end ? c->at + *total : c->end;
}

static void ip4_fragment(const struct cut *c)
{
    struct dissection *d = c->d;
    struct field *f = field_add(c, 32, 16, "ip.id", TEXT_IP_ID);
    field_show(f, "0x%04x", (unsigned)f->value);
    field_mean(f, TEXT_IP_ID_MEAN);
    field_add(c, 48, 1, "ip.flags.rb", TEXT_RESERVED);
    f = field_add(c, 49, 1, "ip.flags.df", TEXT_IP_DF);
    field_mean(f, f->value ? TEXT_IP_DF_SET : TEXT_IP_DF_CLEAR);
    f = field_add(c, 50, 1, "ip.flags.mf", TEXT_IP_MF);
    field_mean(f, f->value ? TEXT_IP_MF_SET : TEXT_IP_MF_CLEAR);
    f = field_add(c, 51, 13, "ip.frag_offset", TEXT_IP_OFFSET);
    f->value *= 8;
    field_show(f, "%u", (unsigned)f->value);
    field_mean(f, TEXT_IP_OFFSET_MEAN, (unsigned)f->value);
    d->fragment = f->value != 0;
}

void dis_ip4(struct dissection *d, size_t at, size_t end)
{
    struct cut c = {d, at, end};
    char buf[8];

    layer_add(d, LAYER_IP4, TEXT_IP4, at, end - at < 20 ? end - at : 20);
    if (!cut_has(&c, 20)) {
        note_add(d, TEXT_NOTE_CUT, "IPv4", (unsigned)(end - at), 20u);
        return;
    }
    struct field *f = field_add(&c, 0, 4, "ip.version", TEXT_VERSION);
    field_mean(f, TEXT_VERSION_4);
    f = field_add(&c, 4, 4, "ip.hdr_len", TEXT_IHL);
    size_t ihl = f->value * 4;
    f->value = ihl;
    field_mean(f, TEXT_IHL_MEAN, (unsigned)(ihl / 4), (unsigned)ihl);
    if (ihl < 20 || !cut_has(&c, ihl)) {
        note_add(d, TEXT_NOTE_HEADER_LENGTH, (unsigned)ihl);
        ihl = 20;
    }
    d->layer[d->nlayers - 1].len = ihl;
    f = field_add(&c, 8, 6, "ip.dsfield.dscp", TEXT_DSCP);
    field_mean(f, f->value ? TEXT_DSCP_OTHER : TEXT_DSCP_DEFAULT);
    ecn_field(&c, 14, "ip.dsfield.ecn");
    f = field_add(&c, 16, 16, "ip.len", TEXT_TOTAL_LENGTH);
    size_t total = f->value;
    size_t stop = ip4_lengths(&c, ihl, &total);
    field_mean(f, TEXT_TOTAL_MEAN, (unsigned)ihl, (unsigned)(total - ihl));
    ip4_fragment(&c);
    f = field_add(&c, 64, 8, "ip.ttl", TEXT_TTL);
    field_mean(f, TEXT_TTL_MEAN, (unsigned)f->value);
    f = field_add(&c, 72, 8, "ip.proto", TEXT_PROTOCOL);
    uint8_t proto = (uint8_t)f->value;
    field_mean(f, TEXT_PROTOCOL_MEAN, proto_name(proto, buf));
    f = field_add(&c, 80, 16, "ip.checksum", TEXT_CHECKSUM);
    field_show(f, "0x%04x", (unsigned)f->value);
    struct checksum *s = sum_add(d, "ip.checksum", TEXT_SUM_IP4, (uint16_t)f->value);
    sum_part(s, TEXT_SUM_HEADER, d->p + at, ihl, 10);
    sum_close(s, false);
    addr_field(&c, 12, 4, "ip.src", TEXT_SOURCE, d->src, d->src_text);
    addr_field(&c, 16, 4, "ip.dst", TEXT_DESTINATION, d->dst, d->dst_text);
    ip4_options(&c, ihl);
    dis_upper(d, proto, at + ihl, stop, total - ihl);
}

/* ---- IPv6 */

static bool is_extension(uint8_t next)
{
    return next == PROTO_HOPOPT || next == PROTO_ROUTING || next == PROTO_FRAGMENT ||
           next == PROTO_DSTOPTS;
}

/* One extension header. Its length; 0: it cannot be read. */
static size_t ip6_ext(struct dissection *d, uint8_t kind, size_t at, size_t end, uint8_t *next)
{
    struct cut c = {d, at, end};
    char buf[8];

    if (!cut_has(&c, 8)) {
        note_add(d, TEXT_NOTE_CUT, "IPv6", (unsigned)(end - at), 8u);
        return 0;
    }
    size_t len = kind == PROTO_FRAGMENT ? 8 : ((size_t)d->p[at + 1] + 1) * 8;
    enum text_id name = kind == PROTO_HOPOPT     ? TEXT_EXT_HOP
                        : kind == PROTO_ROUTING  ? TEXT_EXT_ROUTING
                        : kind == PROTO_FRAGMENT ? TEXT_EXT_FRAGMENT
                                                 : TEXT_EXT_DEST;
    layer_add(d, LAYER_EXT, name, at, len < end - at ? len : end - at);
    struct field *f = field_add(&c, 0, 8, "ipv6.ext.nxt", TEXT_NEXT_HEADER);
    *next = (uint8_t)f->value;
    field_mean(f, TEXT_PROTOCOL_MEAN, proto_name(*next, buf));
    if (kind == PROTO_FRAGMENT) {
        f = field_add(&c, 16, 13, "ipv6.fragment.offset", TEXT_IP_OFFSET);
        f->value *= 8;
        field_show(f, "%u", (unsigned)f->value);
        field_mean(f, TEXT_IP_OFFSET_MEAN, (unsigned)f->value);
        d->fragment = f->value != 0;
        f = field_add(&c, 31, 1, "ipv6.fragment.more", TEXT_IP_MF);
        field_mean(f, f->value ? TEXT_IP_MF_SET : TEXT_IP_MF_CLEAR);
        f = field_add(&c, 32, 32, "ipv6.fragment.id", TEXT_IP_ID);
        field_show(f, "0x%08x", (unsigned)f->value);
        return 8;
    }
    f = field_add(&c, 8, 8, "ipv6.ext.len", TEXT_EXT_LEN);
    field_mean(f, TEXT_EXT_LEN_MEAN, (unsigned)len);
    return len <= end - at ? len : 0;
}

void dis_ip6(struct dissection *d, size_t at, size_t end)
{
    struct cut c = {d, at, end};
    char buf[8];

    layer_add(d, LAYER_IP6, TEXT_IP6, at, end - at < 40 ? end - at : 40);
    if (!cut_has(&c, 40)) {
        note_add(d, TEXT_NOTE_CUT, "IPv6", (unsigned)(end - at), 40u);
        return;
    }
    struct field *f = field_add(&c, 0, 4, "ipv6.version", TEXT_VERSION);
    field_mean(f, TEXT_VERSION_6);
    f = field_add(&c, 4, 6, "ipv6.tclass.dscp", TEXT_DSCP);
    field_mean(f, f->value ? TEXT_DSCP_OTHER : TEXT_DSCP_DEFAULT);
    ecn_field(&c, 10, "ipv6.tclass.ecn");
    f = field_add(&c, 12, 20, "ipv6.flow", TEXT_FLOW_LABEL);
    field_show(f, "0x%05x", (unsigned)f->value);
    field_mean(f, TEXT_FLOW_MEAN);
    f = field_add(&c, 32, 16, "ipv6.plen", TEXT_PAYLOAD_LENGTH);
    size_t payload = f->value;
    field_mean(f, TEXT_PAYLOAD_MEAN, (unsigned)payload);
    if (payload == 0 && d->wire_len > 40) {
        note_add(d, TEXT_NOTE_TSO_LENGTH, (unsigned)d->wire_len);
        payload = d->wire_len - 40;
    } else if (payload + 40 > d->wire_len) {
        note_add(d, TEXT_NOTE_LENGTH_LONG, (unsigned)payload + 40, (unsigned)d->wire_len);
    }
    f = field_add(&c, 48, 8, "ipv6.nxt", TEXT_NEXT_HEADER);
    uint8_t next = (uint8_t)f->value;
    field_mean(f, TEXT_PROTOCOL_MEAN, proto_name(next, buf));
    f = field_add(&c, 56, 8, "ipv6.hlim", TEXT_HOP_LIMIT);
    field_mean(f, TEXT_TTL_MEAN, (unsigned)f->value);
    addr_field(&c, 8, 16, "ipv6.src", TEXT_SOURCE, d->src, d->src_text);
    addr_field(&c, 24, 16, "ipv6.dst", TEXT_DESTINATION, d->dst, d->dst_text);

    size_t to = at + 40;
    size_t stop = to + payload < end ? to + payload : end;
    for (unsigned n = 0; n < 8 && is_extension(next); n++) {
        uint8_t kind = next;
        size_t len = ip6_ext(d, kind, to, stop, &next);
        if (len == 0) {
            return;
        }
        to += len;
        payload -= len < payload ? len : payload;
    }
    dis_upper(d, next, to, stop, payload);
}
