/* Purpose: UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443). */
#include <stdio.h>

#include "dissect.h"
#include "proto.h"

void dis_udp(struct dissection *d, size_t at, size_t end, size_t wire)
{
    struct cut c = {d, at, end};

    layer_add(d, LAYER_UDP, TEXT_UDP, at, end - at < 8 ? end - at : 8);
    if (!cut_has(&c, 8)) {
        note_add(d, TEXT_NOTE_CUT, "UDP", (unsigned)(end - at), 8u);
        return;
    }
    struct field *f = field_add(&c, 0, 16, "udp.srcport", TEXT_SOURCE_PORT);
    d->sport = (uint16_t)f->value;
    f = field_add(&c, 16, 16, "udp.dstport", TEXT_DESTINATION_PORT);
    d->dport = (uint16_t)f->value;
    f = field_add(&c, 32, 16, "udp.length", TEXT_LENGTH);
    size_t len = f->value;
    field_mean(f, TEXT_UDP_LENGTH_MEAN, (unsigned)(len < 8 ? 0 : len - 8));
    if (len < 8 || len > wire) {
        note_add(d, TEXT_NOTE_LENGTH_LONG, (unsigned)len, (unsigned)wire);
        len = wire;
    }
    size_t stop = at + len < end ? at + len : end;
    f = field_add(&c, 48, 16, "udp.checksum", TEXT_CHECKSUM);
    field_show(f, "0x%04x", (unsigned)f->value);
    struct checksum *s = sum_add(d, "udp.checksum", TEXT_SUM_UDP, (uint16_t)f->value);
    sum_pseudo(s, d, PROTO_UDP, len);
    sum_part(s, TEXT_SUM_HEADER, d->p + at, 8, 6);
    sum_part(s, TEXT_DATA, d->p + at + 8, stop - at - 8, SIZE_MAX);
    sum_close(s, stop - at < len);
    if (f->value == 0 && d->version == 4) {
        s->verdict = SUM_NONE;
    }
    dis_data(d, at + 8, stop);
}

struct icmp_name {
    uint8_t type;
    int16_t code; /* -1: any */
    enum text_id name;
};

static const struct icmp_name names4[] = {
    {0, -1, TEXT_ICMP_ECHO_REPLY}, {3, 0, TEXT_ICMP_NET},      {3, 1, TEXT_ICMP_HOST},
    {3, 2, TEXT_ICMP_PROTO},       {3, 3, TEXT_ICMP_PORT},     {3, 4, TEXT_ICMP_FRAG},
    {3, 13, TEXT_ICMP_ADMIN},      {3, -1, TEXT_ICMP_UNREACH}, {4, -1, TEXT_ICMP_QUENCH},
    {5, -1, TEXT_ICMP_REDIRECT},   {8, -1, TEXT_ICMP_ECHO},    {11, 1, TEXT_ICMP_REASSEMBLY},
    {11, -1, TEXT_ICMP_TTL},       {12, -1, TEXT_ICMP_PARAM},
};

static const struct icmp_name names6[] = {
    {1, 0, TEXT_ICMP_NET},        {1, 1, TEXT_ICMP_ADMIN},         {1, 3, TEXT_ICMP_HOST},
    {1, 4, TEXT_ICMP_PORT},       {1, -1, TEXT_ICMP_UNREACH},      {2, -1, TEXT_ICMP_TOOBIG},
    {3, 1, TEXT_ICMP_REASSEMBLY}, {3, -1, TEXT_ICMP_TTL},          {4, -1, TEXT_ICMP_PARAM},
    {128, -1, TEXT_ICMP_ECHO},    {129, -1, TEXT_ICMP_ECHO_REPLY}, {133, -1, TEXT_ICMP_RS},
    {134, -1, TEXT_ICMP_RA},      {135, -1, TEXT_ICMP_NS},         {136, -1, TEXT_ICMP_NA},
    {143, -1, TEXT_ICMP_MLD2},
};

static enum text_id icmp_name(bool v6, unsigned type, unsigned code)
{
    const struct icmp_name *t = v6 ? names6 : names4;
    size_t n = v6 ? sizeof names6 / sizeof names6[0] : sizeof names4 / sizeof names4[0];

    for (size_t i = 0; i < n; i++) {
        if (t[i].type == type && (t[i].code < 0 || (unsigned)t[i].code == code)) {
            return t[i].name;
        }
    }
    return TEXT_ICMP_OTHER;
}

/* What the second word means depends on the type. */
static void icmp_rest(const struct cut *c, bool v6, unsigned type, unsigned code)
{
    bool echo = v6 ? type == 128 || type == 129 : type == 0 || type == 8;

    if (echo) {
        struct field *f = field_add(c, 32, 16, "icmp.ident", TEXT_ICMP_ID);
        field_show(f, "0x%04x", (unsigned)f->value);
        field_add(c, 48, 16, "icmp.seq", TEXT_ICMP_SEQ);
    } else if (v6 ? type == 2 : type == 3 && code == 4) {
        size_t bits = v6 ? 32 : 16;
        struct field *f = field_add(c, v6 ? 32 : 48, bits, "icmp.mtu", TEXT_ICMP_MTU);
        field_mean(f, TEXT_ICMP_MTU_MEAN, (unsigned)f->value);
    }
}

void dis_icmp(struct dissection *d, size_t at, size_t end, size_t wire, bool v6)
{
    struct cut c = {d, at, end};
    const char *key = v6 ? "icmpv6.checksum" : "icmp.checksum";

    layer_add(d, v6 ? LAYER_ICMP6 : LAYER_ICMP, v6 ? TEXT_ICMP6 : TEXT_ICMP, at,
              end - at < 8 ? end - at : 8);
    if (!cut_has(&c, 8)) {
        note_add(d, TEXT_NOTE_CUT, "ICMP", (unsigned)(end - at), 8u);
        return;
    }
    struct field *f = field_add(&c, 0, 8, v6 ? "icmpv6.type" : "icmp.type", TEXT_TYPE);
    unsigned type = (unsigned)f->value;
    unsigned code = (unsigned)cut_bits(&c, 8, 8);
    field_mean(f, icmp_name(v6, type, code), type, code);
    field_add(&c, 8, 8, v6 ? "icmpv6.code" : "icmp.code", TEXT_CODE);
    f = field_add(&c, 16, 16, key, TEXT_CHECKSUM);
    field_show(f, "0x%04x", (unsigned)f->value);
    struct checksum *s = sum_add(d, key, TEXT_SUM_ICMP, (uint16_t)f->value);
    if (v6) { /* RFC 4443 2.3 */
        sum_pseudo(s, d, PROTO_ICMP6, wire);
    }
    sum_part(s, TEXT_SUM_HEADER, d->p + at, 8, 2);
    sum_part(s, TEXT_DATA, d->p + at + 8, end - at - 8, SIZE_MAX);
    sum_close(s, end - at < wire);
    icmp_rest(&c, v6, type, code);
    dis_data(d, at + 8, end);
}
