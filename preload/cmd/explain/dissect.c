/* Purpose: what the dissectors of single headers share: reading, adding fields and notes, adding up
 * checksums. */
#include "dissect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto.h"

bool cut_has(const struct cut *c, size_t bytes)
{
    return c->at <= c->end && c->end - c->at >= bytes;
}

uint64_t cut_bits(const struct cut *c, size_t bit, size_t bits)
{
    uint64_t v = 0;

    for (size_t i = bit; i < bit + bits; i++) {
        size_t byte = c->at + i / 8;
        unsigned b = byte < c->end ? c->d->p[byte] >> (7 - i % 8) & 1u : 0;
        v = v << 1 | b;
    }
    return v;
}

unsigned layer_add(struct dissection *d, enum layer_kind kind, enum text_id name, size_t at,
                   size_t len)
{
    if (d->nlayers == LAYERS_MAX) {
        return LAYERS_MAX - 1;
    }
    d->layer[d->nlayers] = (struct layer){.kind = kind, .name = name, .at = at, .len = len};
    return d->nlayers++;
}

struct field *field_add(const struct cut *c, size_t bit, size_t bits, const char *key,
                        enum text_id name)
{
    static struct field nobody;
    struct dissection *d = c->d;
    struct field *f = d->nfields < FIELDS_MAX ? &d->field[d->nfields++] : &nobody;

    *f = (struct field){
        .layer = (uint8_t)(d->nlayers - 1),
        .bit = (uint16_t)(c->at * 8 + bit),
        .bits = (uint16_t)bits,
        .key = key,
        .name = name,
        .value = bits <= 64 ? cut_bits(c, bit, bits) : 0,
    };
    snprintf(f->shown, sizeof f->shown, "%llu", (unsigned long long)f->value);
    return f;
}

void field_show(struct field *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->shown, sizeof f->shown, fmt, args);
    va_end(args);
}

void field_mean(struct field *f, enum text_id id, ...)
{
    va_list args;
    va_start(args, id);
    vsnprintf(f->mean, sizeof f->mean, words(id), args);
    va_end(args);
}

void note_add(struct dissection *d, enum text_id id, ...)
{
    va_list args;
    if (d->nnotes == NOTES_MAX) {
        return;
    }
    va_start(args, id);
    vsnprintf(d->note[d->nnotes++], sizeof d->note[0], words(id), args);
    va_end(args);
}

/* ---- checksums: RFC 1071 */

struct checksum *sum_add(struct dissection *d, const char *key, enum text_id name, uint16_t stored)
{
    static struct checksum nobody;
    struct checksum *s = d->nsums < SUMS_MAX ? &d->sum[d->nsums++] : &nobody;

    *s = (struct checksum){.key = key, .name = name, .stored = stored};
    return s;
}

void sum_part(struct checksum *s, enum text_id name, const uint8_t *p, size_t len, size_t skip)
{
    if (s->nparts < sizeof s->part / sizeof s->part[0]) {
        s->part[s->nparts++] = (struct sum_part){.name = name, .p = p, .len = len, .skip = skip};
    }
}

/* RFC 9293 3.1, RFC 8200 8.1: addresses, protocol and length are covered without being sent twice.
 */
void sum_pseudo(struct checksum *s, const struct dissection *d, uint8_t proto, size_t len)
{
    struct sum_part *part = &s->part[s->nparts++];
    size_t addr = d->version == 4 ? 4 : 16;

    *part = (struct sum_part){.name = TEXT_SUM_PSEUDO, .skip = SIZE_MAX};
    memcpy(part->bytes, d->src, addr);
    memcpy(part->bytes + addr, d->dst, addr);
    if (d->version == 4) {
        part->bytes[9] = proto;
        part->bytes[10] = (uint8_t)(len >> 8);
        part->bytes[11] = (uint8_t)len;
        part->len = 12;
    } else {
        part->bytes[32] = (uint8_t)(len >> 24);
        part->bytes[33] = (uint8_t)(len >> 16);
        part->bytes[34] = (uint8_t)(len >> 8);
        part->bytes[35] = (uint8_t)len;
        part->bytes[39] = proto;
        part->len = 40;
    }
}

uint16_t sum_word(const struct sum_part *part, size_t at)
{
    const uint8_t *p = part->p ? part->p : part->bytes;

    if (at == part->skip) {
        return 0;
    }
    return (uint16_t)(p[at] << 8 |
                      (at + 1 < part->len ? p[at + 1] : 0)); /* an odd byte has a zero behind it */
}

uint32_t sum_of(const struct sum_part *part)
{
    uint32_t sum = 0;

    for (size_t at = 0; at < part->len; at += 2) {
        sum += sum_word(part, at);
    }
    return sum;
}

uint16_t sum_fold(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

void sum_close(struct checksum *s, bool cut)
{
    for (unsigned i = 0; i < s->nparts; i++) {
        s->total += sum_of(&s->part[i]);
    }
    s->folded = sum_fold(s->total);
    s->computed = (uint16_t)~s->folded;
    bool pseudo = s->nparts > 1 && s->part[0].p == NULL;
    if (cut) {
        s->verdict = SUM_CUT;
    } else if (s->stored == s->computed || (s->stored == 0xffff && s->computed == 0)) {
        s->verdict = SUM_GOOD;
    } else if (pseudo && s->stored == sum_fold(sum_of(&s->part[0]))) {
        s->verdict = SUM_PARTIAL;
    } else {
        s->verdict = SUM_BAD;
    }
}

/* ---- layers */

const char *proto_name(uint8_t proto, char buf[8])
{
    switch (proto) {
    case PROTO_ICMP:
        return "ICMP";
    case PROTO_IGMP:
        return "IGMP";
    case PROTO_TCP:
        return "TCP";
    case PROTO_UDP:
        return "UDP";
    case PROTO_ICMP6:
        return "ICMPv6";
    default:
        snprintf(buf, 8, "%u", proto);
        return buf;
    }
}

void dis_data(struct dissection *d, size_t at, size_t end)
{
    if (at < end) {
        layer_add(d, LAYER_DATA, TEXT_DATA, at, end - at);
    }
}

void dis_upper(struct dissection *d, uint8_t proto, size_t at, size_t end, size_t wire)
{
    d->proto = proto;
    if (d->fragment) {
        note_add(d, TEXT_NOTE_FRAGMENT);
        dis_data(d, at, end);
    } else if (proto == PROTO_TCP) {
        dis_tcp(d, at, end, wire);
    } else if (proto == PROTO_UDP) {
        dis_udp(d, at, end, wire);
    } else if (proto == (d->version == 4 ? PROTO_ICMP : PROTO_ICMP6)) {
        dis_icmp(d, at, end, wire, d->version == 6);
    } else {
        dis_data(d, at, end);
    }
}

void dissect(struct dissection *d, const uint8_t *p, size_t len, size_t wire_len)
{
    memset(d, 0, sizeof *d);
    d->p = p;
    d->len = len;
    d->wire_len = wire_len > len ? wire_len : len;
    d->version = len ? p[0] >> 4 : 0;
    if (d->version == 4) {
        dis_ip4(d, 0, len);
    } else if (d->version == 6) {
        dis_ip6(d, 0, len);
    } else {
        d->version = 0;
        note_add(d, TEXT_NOTE_NOT_IP);
    }
}
