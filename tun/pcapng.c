/*
 * pcapng.c - theory of operation.
 *
 * A block is type, length, body, length again; everything is padded to four bytes. Options are
 * code, length, value, padded, and end with code 0. The writer notes where a block began, appends,
 * and writes the length into both places at its end; a block that does not fit is taken back whole.
 * The reader compares both lengths and every inner one with what is left before it looks inside.
 */
#include "tun/pcapng.h"

#include <string.h>

#define MAGIC         0x1a2b3c4du
#define MAGIC_SWAPPED 0x4d3c2b1au
#define BLOCK_MIN     12u
#define NSEC_RES      9u /* if_tsresol: 10^-9 */
#define TICKS_DEFAULT 1000000u

enum {
    OPT_END = 0,
    OPT_COMMENT = 1,
    SHB_OS = 3,
    SHB_APPL = 4,
    IF_NAME = 2,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    EPB_PACKETID = 5,
    ISB_START = 2,
    ISB_END = 3,
    ISB_RECEIVED = 4,
    ISB_DROPPED = 5,
    NRB_IPV4 = 1,
    NRB_IPV6 = 2,
};

/* ---- writing */

static void put(struct pcapng_out *o, const void *bytes, size_t n)
{
    size_t padded = (n + 3) & ~(size_t)3;
    if (o->full || padded > o->max - o->len) {
        o->full = true;
        return;
    }
    memcpy(o->p + o->len, bytes, n);
    memset(o->p + o->len + n, 0, padded - n);
    o->len += padded;
}

static void put32(struct pcapng_out *o, uint32_t v)
{
    put(o, &v, sizeof v);
}

static void put16x2(struct pcapng_out *o, uint16_t a, uint16_t b)
{
    uint16_t v[2] = {a, b};
    put(o, v, sizeof v);
}

static void put_option(struct pcapng_out *o, uint16_t code, const void *bytes, size_t n)
{
    n = n < UINT16_MAX ? n : UINT16_MAX;
    put16x2(o, code, (uint16_t)n);
    put(o, bytes, n);
}

static void put_text(struct pcapng_out *o, uint16_t code, const char *text)
{
    if (text && *text) {
        put_option(o, code, text, strlen(text));
    }
}

/* A time, high half first. */
static void put_time_option(struct pcapng_out *o, uint16_t code, uint64_t t)
{
    uint32_t v[2] = {(uint32_t)(t >> 32), (uint32_t)t};
    put_option(o, code, v, sizeof v);
}

static size_t begin(struct pcapng_out *o, uint32_t type)
{
    size_t start = o->len;
    put32(o, type);
    put32(o, 0);
    return start;
}

static void end(struct pcapng_out *o, size_t start, bool options)
{
    if (options) {
        put16x2(o, OPT_END, 0);
    }
    uint32_t total = (uint32_t)(o->len - start + sizeof total);
    put32(o, total);
    if (o->full) {
        o->len = start;
        return;
    }
    memcpy(o->p + start + 4, &total, sizeof total);
}

void pcapng_section(struct pcapng_out *o, const char *appl, const char *os, const char *comment)
{
    static const uint64_t unknown = UINT64_MAX;
    size_t start = begin(o, PCAPNG_SHB);
    put32(o, MAGIC);
    put16x2(o, 1, 0);
    put(o, &unknown, sizeof unknown);
    put_text(o, SHB_OS, os);
    put_text(o, SHB_APPL, appl);
    put_text(o, OPT_COMMENT, comment);
    end(o, start, true);
}

void pcapng_interface(struct pcapng_out *o, const char *name, uint32_t snaplen)
{
    static const uint8_t resolution = NSEC_RES;
    size_t start = begin(o, PCAPNG_IDB);
    put16x2(o, PCAPNG_LINK_RAW, 0);
    put32(o, snaplen);
    put_text(o, IF_NAME, name);
    put_option(o, IF_TSRESOL, &resolution, 1);
    end(o, start, true);
}

void pcapng_packet(struct pcapng_out *o, const struct pcapng_packet *p)
{
    size_t start = begin(o, PCAPNG_EPB);
    put32(o, 0);
    put32(o, (uint32_t)(p->at >> 32));
    put32(o, (uint32_t)p->at);
    put32(o, p->caplen);
    put32(o, p->len);
    put(o, p->data, p->caplen);
    put_option(o, EPB_FLAGS, &p->flags, sizeof p->flags);
    put_option(o, EPB_PACKETID, &p->id, sizeof p->id);
    for (uint32_t i = 0; i < p->ncomments && i < PCAPNG_COMMENTS_MAX; i++) {
        if (p->comment[i].n) {
            put_option(o, OPT_COMMENT, p->comment[i].p, p->comment[i].n);
        }
    }
    end(o, start, true);
}

void pcapng_name(struct pcapng_out *o, const uint8_t *addr, size_t addrlen, const char *name)
{
    size_t n = strlen(name) + 1;
    size_t start = begin(o, PCAPNG_NRB);
    uint8_t record[16 + 256];
    if (n > 256 || addrlen > 16) {
        o->len = start;
        return;
    }
    memcpy(record, addr, addrlen);
    memcpy(record + addrlen, name, n);
    put_option(o, addrlen == 4 ? NRB_IPV4 : NRB_IPV6, record, addrlen + n);
    put16x2(o, 0, 0); /* the end of the records; there are no options */
    end(o, start, false);
}

void pcapng_counts(struct pcapng_out *o, uint64_t from, uint64_t to, uint64_t packets,
                   uint64_t dropped, const char *comment)
{
    size_t start = begin(o, PCAPNG_ISB);
    put32(o, 0);
    put32(o, (uint32_t)(to >> 32));
    put32(o, (uint32_t)to);
    put_time_option(o, ISB_START, from);
    put_time_option(o, ISB_END, to);
    put_option(o, ISB_RECEIVED, &packets, sizeof packets);
    put_option(o, ISB_DROPPED, &dropped, sizeof dropped);
    put_text(o, OPT_COMMENT, comment);
    end(o, start, true);
}

size_t pcapng_room(size_t bytes)
{
    return bytes + 128 + 8 * PCAPNG_COMMENTS_MAX;
}

/* ---- reading */

void pcapng_open(struct pcapng_in *in, const void *bytes, size_t len)
{
    *in = (struct pcapng_in){.p = bytes, .len = len, .ticks = TICKS_DEFAULT};
}

static uint16_t get16(const struct pcapng_in *in, const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return in->swap ? __builtin_bswap16(v) : v;
}

static uint32_t get32(const struct pcapng_in *in, const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return in->swap ? __builtin_bswap32(v) : v;
}

static uint64_t get64(const struct pcapng_in *in, const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return in->swap ? __builtin_bswap64(v) : v;
}

static int bad(struct pcapng_in *in, const char *what)
{
    in->error = what;
    return -1;
}

/* if_tsresol: a power of ten, or with the high bit of two. 0: none that 64 bits can hold. */
static uint64_t ticks_of(uint8_t resolution)
{
    unsigned n = resolution & 0x7f;
    uint64_t t = 1;
    if (resolution & 0x80) {
        return n < 64 ? UINT64_C(1) << n : 0;
    }
    for (unsigned i = 0; i < n && t; i++) {
        t = n <= 19 ? t * 10 : 0;
    }
    return t;
}

/* Ticks as nanoseconds; they may be of any size. */
static uint64_t nanoseconds(uint64_t t, uint64_t ticks)
{
    uint64_t s = t / ticks, rest = t % ticks;
    return s * 1000000000u + (uint64_t)((double)rest * 1e9 / (double)ticks + 0.5);
}

static void take_option(struct pcapng_in *in, struct pcapng_block *b, uint16_t code,
                        const uint8_t *v, size_t n)
{
    struct pcapng_text text = {(const char *)v, n};

    if (code == OPT_COMMENT) {
        if (b->packet.ncomments < PCAPNG_COMMENTS_MAX) {
            b->packet.comment[b->packet.ncomments++] = text;
        }
    } else if (b->type == PCAPNG_SHB && code == SHB_APPL) {
        b->appl = text;
    } else if (b->type == PCAPNG_IDB && code == IF_NAME) {
        b->ifname = text;
    } else if (b->type == PCAPNG_IDB && code == IF_TSRESOL && n == 1 && in->nif == 1) {
        in->ticks = ticks_of(*v);
    } else if (b->type == PCAPNG_EPB && code == EPB_FLAGS && n == 4) {
        b->packet.flags = get32(in, v);
    } else if (b->type == PCAPNG_EPB && code == EPB_PACKETID && n == 8) {
        b->packet.id = get64(in, v);
    } else if (b->type == PCAPNG_ISB && code == ISB_RECEIVED && n == 8) {
        b->received = get64(in, v);
    } else if (b->type == PCAPNG_ISB && code == ISB_DROPPED && n == 8) {
        b->dropped = get64(in, v);
    }
}

static int take_options(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *p,
                        const uint8_t *stop)
{
    while (stop - p >= 4) {
        uint16_t code = get16(in, p);
        size_t n = get16(in, p + 2);
        p += 4;
        if (code == OPT_END) {
            return 1;
        }
        if (n > (size_t)(stop - p)) {
            return bad(in, "an option is longer than its block");
        }
        take_option(in, b, code, p, n);
        size_t padded = (n + 3) & ~(size_t)3;
        if (padded > (size_t)(stop - p)) {
            break;
        }
        p += padded;
    }
    return 1;
}

static int take_section(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *body, size_t n)
{
    if (n < 16) {
        return bad(in, "a section header that is too short");
    }
    if (get16(in, body + 4) != 1) {
        return bad(in, "a pcapng version other than 1");
    }
    in->nif = 0;
    in->link = 0;
    in->ticks = TICKS_DEFAULT;
    return take_options(in, b, body + 16, body + n);
}

static int take_interface(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *body,
                          size_t n)
{
    if (n < 8) {
        return bad(in, "an interface that is too short");
    }
    if (in->nif++ == 0) {
        in->link = get16(in, body);
        in->snaplen = get32(in, body + 4);
    }
    int ret = take_options(in, b, body + 8, body + n);
    return ret == 1 && in->ticks == 0 ? bad(in, "times of a resolution that is not understood")
                                      : ret;
}

static int take_packet(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *body, size_t n)
{
    struct pcapng_packet *p = &b->packet;

    if (n < 20) {
        return bad(in, "a packet block that is too short");
    }
    if (get32(in, body) >= in->nif) {
        return bad(in, "a packet of an interface that is not there");
    }
    uint64_t at = (uint64_t)get32(in, body + 4) << 32 | get32(in, body + 8);
    p->caplen = get32(in, body + 12);
    p->len = get32(in, body + 16);
    p->data = body + 20;
    if (p->caplen > n - 20) {
        return bad(in, "a packet that is longer than its block");
    }
    p->at = nanoseconds(at, in->ticks);
    size_t padded = ((size_t)p->caplen + 3) & ~(size_t)3;
    return padded <= n - 20 ? take_options(in, b, body + 20 + padded, body + n) : 1;
}

static int take_counts(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *body, size_t n)
{
    return n < 12 ? bad(in, "counts that are too short") : take_options(in, b, body + 12, body + n);
}

/* The byte order is the section's own affair: its magic says. */
static bool learn_order(struct pcapng_in *in, const uint8_t *p, size_t left)
{
    uint32_t magic;
    if (left < BLOCK_MIN) {
        return false;
    }
    memcpy(&magic, p + 8, sizeof magic);
    in->swap = magic == MAGIC_SWAPPED;
    return magic == MAGIC || magic == MAGIC_SWAPPED;
}

static int take(struct pcapng_in *in, struct pcapng_block *b, const uint8_t *body, size_t n)
{
    switch (b->type) {
    case PCAPNG_SHB:
        return take_section(in, b, body, n);
    case PCAPNG_IDB:
        return take_interface(in, b, body, n);
    case PCAPNG_EPB:
        return take_packet(in, b, body, n);
    case PCAPNG_ISB:
        return take_counts(in, b, body, n);
    default:
        return 1; /* NRB, and what we do not know */
    }
}

int pcapng_next(struct pcapng_in *in, struct pcapng_block *b)
{
    const uint8_t *p = in->p + in->at;
    size_t left = in->len - in->at;
    uint32_t type, length;

    memset(b, 0, sizeof *b);
    if (left == 0) {
        return 0;
    }
    if (left < BLOCK_MIN) {
        return bad(in, in->in_section ? "the file ends in the midst of a block" : "not pcapng");
    }
    memcpy(&type, p, sizeof type); /* an SHB's reads the same in either order */
    if (type == PCAPNG_SHB) {
        if (!learn_order(in, p, left)) {
            return bad(in, "a section without its magic number");
        }
        in->in_section = true;
    } else if (!in->in_section) {
        return bad(in, "not pcapng");
    }
    b->type = get32(in, p);
    length = get32(in, p + 4);
    if (length < BLOCK_MIN || length % 4) {
        return bad(in, "a block of an impossible length");
    }
    if (length > left) {
        return bad(in, "the file ends in the midst of a block");
    }
    if (get32(in, p + length - 4) != length) {
        return bad(in, "a block whose two lengths differ");
    }
    int ret = take(in, b, p + 8, length - BLOCK_MIN);
    in->at += ret == 1 ? length : 0;
    return ret;
}
