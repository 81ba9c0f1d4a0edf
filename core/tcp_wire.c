/*
 * tcp_wire.c - theory of operation
 *
 * Parsing takes the common header of an established connection (only the timestamp option, laid
 * out as everybody lays it out) in one comparison, RFC 7323 appendix A; everything else goes
 * through a cursor that cannot leave the header. Building writes big-endian words straight away;
 * there is nothing to check, the layout is ours.
 *
 * Deliberately missing: options that are not implemented are skipped by their length (RFC 9293
 * MUST-6).
 */
#include "tcp_wire.h"

#include <string.h>

#include "check.h"
#include "rdwr.h"

#define FO_EXP_ID 0xf989u /* RFC 6994's identifier of Fast Open's experiment */

/* <nop,nop,TS> as a word: 0x0101080a. */
static const uint8_t ts_layout[4] = {TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_TS, 10};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
    return p + 4;
}

static void parse_sack(struct tcp_seg *s, struct rd *body)
{
    s->nsack = 0;
    while (rd_left(body) >= 8 && s->nsack < TCP_SACK_MAX) {
        struct sack_block *b = &s->sack[s->nsack++];
        b->from = seq_of(rd_u32(body));
        b->to = seq_of(rd_u32(body));
    }
}

/* RFC 7413 4.1.1. Linux, not RFC: the last option counts, an odd length is passed over, and another
 * that no cookie can have takes away what was there. */
static void parse_fastopen(struct tcp_seg *s, struct rd *body, bool exp)
{
    size_t n = rd_left(body);

    if (n % 2) {
        return;
    }
    s->fo.here = n == 0 || (n >= TFO_COOKIE_MIN && n <= TFO_COOKIE_MAX);
    s->fo.exp = exp;
    s->fo.len = s->fo.here ? (uint8_t)n : 0;
    if (s->fo.len) {
        memcpy(s->fo.b, rd_bytes(body, n), n);
    }
}

/* RFC 9768 3.2.3: whole counters, whatever the length; the rest is padding. 3.2.3.2.1: on a SYN it
 * is nothing. */
static void parse_accecn(struct tcp_seg *s, struct rd *body, bool order1)
{
    s->accecn = (struct accecn_opt){.here = true, .order1 = order1};
    while (rd_left(body) >= 3 && s->accecn.n < 3) {
        uint32_t high = rd_u8(body);
        s->accecn.v[s->accecn.n++] = high << 16 | rd_u16(body);
    }
}

/* One option's body; a wrong length makes it unknown. MSS, WSCALE and SACK-permitted count only
 * on a SYN. */
static void parse_option(struct tcp_seg *s, uint8_t kind, struct rd *body)
{
    bool syn = s->flags & TCP_SYN;
    size_t n = rd_left(body);

    if (kind == TCP_OPT_MSS && n == 2 && syn) {
        s->mss = rd_u16(body);
        s->has_mss = true;
    } else if (kind == TCP_OPT_WSCALE && n == 1 && syn) {
        uint8_t shift = rd_u8(body);
        s->wscale = shift > 14 ? 14 : shift; /* RFC 7323 2.3 */
        s->has_wscale = true;
    } else if (kind == TCP_OPT_SACK_OK && n == 0 && syn) {
        s->has_sack_ok = true;
    } else if (kind == TCP_OPT_TS && n == 8) {
        s->ts_val = rd_u32(body);
        s->ts_ecr = rd_u32(body);
        s->has_ts = true;
    } else if (kind == TCP_OPT_SACK && n >= 8 && n % 8 == 0 && !syn) {
        parse_sack(s, body);
    } else if (kind == TCP_OPT_MD5 && n == 16) {
        s->md5 = rd_bytes(body, n);
    } else if ((kind == TCP_OPT_ACCECN0 || kind == TCP_OPT_ACCECN1) &&
               !(syn && !(s->flags & TCP_ACK))) {
        parse_accecn(s, body, kind == TCP_OPT_ACCECN1);
    } else if (kind == TCP_OPT_FO && syn) {
        parse_fastopen(s, body, false);
    } else if (kind == TCP_OPT_EXP && n >= 2 && syn && rd_u16(body) == FO_EXP_ID) {
        parse_fastopen(s, body, true);
    }
}

/* RFC 9293 3.2: any option in any segment (MUST-4, MUST-5), unknown ones passed over (MUST-6), at
 * any alignment (MUST-64). */
static void parse_options(struct tcp_seg *s, struct rd r)
{
    while (rd_left(&r)) {
        uint8_t kind = rd_u8(&r);
        if (kind == TCP_OPT_EOL) {
            return;
        }
        if (kind == TCP_OPT_NOP) {
            continue;
        }
        uint8_t len = rd_u8(&r);
        if (!rd_ok(&r) || len < 2 || (size_t)(len - 2) > rd_left(&r)) {
            return; /* RFC 9293 MUST-7 */
        }
        struct rd body = rd_of(rd_bytes(&r, (size_t)len - 2), (size_t)len - 2);
        parse_option(s, kind, &body);
    }
}

enum drop tcp_seg_parse(struct tcp_seg *s, const uint8_t *p, size_t len)
{
    if (len < TCP_HDR_MIN) {
        return DROP_TCP_SHORT;
    }
    uint32_t hdr_len = (uint32_t)(p[12] >> 4) * 4;
    if (hdr_len < TCP_HDR_MIN || hdr_len > len) {
        return DROP_TCP_OFFSET;
    }

    s->sport = (uint16_t)(p[0] << 8 | p[1]);
    s->dport = (uint16_t)(p[2] << 8 | p[3]);
    s->seq = seq_of(get32(p + 4));
    s->ack = seq_of(get32(p + 8));
    s->flags = (uint16_t)((p[12] & 1) << 8 | p[13]);
    s->wnd = (uint16_t)(p[14] << 8 | p[15]);
    s->up = (uint16_t)(p[18] << 8 | p[19]);
    s->data = p + hdr_len;
    s->place = NULL;
    s->len = (uint32_t)(len - hdr_len);
    s->gso_size = 0;
    s->hdr_len = (uint8_t)hdr_len;
    s->has_mss = s->has_wscale = s->has_sack_ok = s->has_ts = false;
    s->nsack = 0;
    s->md5 = NULL;
    s->fo.here = false;
    s->accecn.here = false;
    s->was_syn = false;

    if (hdr_len == 32 && memcmp(p + 20, ts_layout, 4) == 0) {
        s->ts_val = get32(p + 24);
        s->ts_ecr = get32(p + 28);
        s->has_ts = true;
    } else if (hdr_len > TCP_HDR_MIN) {
        parse_options(s, rd_of(p + TCP_HDR_MIN, hdr_len - TCP_HDR_MIN));
    }
    return DROP_NONE;
}

static uint8_t *build_ts(uint8_t *p, const struct tcp_seg *s, uint8_t pad1, uint8_t pad2)
{
    *p++ = pad1;
    *p++ = pad2;
    *p++ = TCP_OPT_TS;
    *p++ = 10;
    p = put32(p, s->ts_val);
    return put32(p, s->ts_ecr);
}

/* RFC 7413 4.1.1; left out where the forty bytes are full. */
static uint8_t *build_fastopen(uint8_t *p, const struct tfo_cookie *fo, uint32_t room)
{
    uint32_t len = (fo->exp ? 4u : 2u) + fo->len;

    if (((len + 3) & ~3u) > room) {
        return p;
    }
    *p++ = fo->exp ? TCP_OPT_EXP : TCP_OPT_FO;
    *p++ = (uint8_t)len;
    if (fo->exp) {
        *p++ = FO_EXP_ID >> 8;
        *p++ = FO_EXP_ID & 0xff;
    }
    memcpy(p, fo->b, fo->len);
    p += fo->len;
    for (; len % 4; len++) {
        *p++ = TCP_OPT_NOP;
    }
    return p;
}

/* NOPs up to where an offset from `from` leaves `rest` of a word. */
static uint8_t *pad_to(uint8_t *p, const uint8_t *from, uint32_t rest)
{
    while ((uint32_t)(p - from) % 4 != rest) {
        *p++ = TCP_OPT_NOP;
    }
    return p;
}

static uint8_t *build_accecn(uint8_t *p, const struct accecn_opt *o)
{
    *p++ = o->order1 ? TCP_OPT_ACCECN1 : TCP_OPT_ACCECN0;
    *p++ = (uint8_t)(2 + 3 * o->n);
    for (uint8_t i = 0; i < o->n; i++) {
        *p++ = (uint8_t)(o->v[i] >> 16);
        *p++ = (uint8_t)(o->v[i] >> 8);
        *p++ = (uint8_t)o->v[i];
    }
    return p;
}

/* MUST-65: the MSS with SYN only, and always (SHLD-5, MAY-3). Linux, not RFC: sackOK takes the
 * place of the two NOPs before the timestamp. */
static uint8_t *build_syn_options(uint8_t *p, const struct tcp_seg *s)
{
    const uint8_t *from = p;

    if (s->has_mss) {
        *p++ = TCP_OPT_MSS;
        *p++ = 4;
        *p++ = (uint8_t)(s->mss >> 8);
        *p++ = (uint8_t)s->mss;
    }
    if (s->has_ts) {
        p = s->has_sack_ok ? build_ts(p, s, TCP_OPT_SACK_OK, 2)
                           : build_ts(p, s, TCP_OPT_NOP, TCP_OPT_NOP);
    }
    if (s->accecn.here) {
        p = build_accecn(p, &s->accecn);
    }
    if (s->has_sack_ok && !s->has_ts) {
        p = pad_to(p, from, 2);
        *p++ = TCP_OPT_SACK_OK;
        *p++ = 2;
    }
    if (s->has_wscale) {
        p = pad_to(p, from, 1);
        *p++ = TCP_OPT_WSCALE;
        *p++ = 3;
        *p++ = s->wscale;
    }
    return pad_to(p, from, 0);
}

static uint8_t *pad_nop(uint8_t *p, const uint8_t *from, uint32_t ahead, uint32_t to)
{
    while ((uint32_t)(p - from + ahead) % to) {
        *p++ = TCP_OPT_NOP;
    }
    return p;
}

/* FreeBSD, not RFC: the value of each option is aligned, and the end is an end (MUST-69). */
static uint8_t *build_syn_freebsd(uint8_t *p, const struct tcp_seg *s)
{
    const uint8_t *from = p;

    if (s->has_mss) {
        *p++ = TCP_OPT_MSS;
        *p++ = 4;
        *p++ = (uint8_t)(s->mss >> 8);
        *p++ = (uint8_t)s->mss;
    }
    if (s->has_wscale) {
        p = pad_nop(p, from, 1, 2);
        *p++ = TCP_OPT_WSCALE;
        *p++ = 3;
        *p++ = s->wscale;
    }
    if (s->has_sack_ok) {
        p = pad_nop(p, from, 0, 2);
        *p++ = TCP_OPT_SACK_OK;
        *p++ = 2;
    }
    if (s->has_ts) {
        p = pad_nop(p, from, 2, 4);
        *p++ = TCP_OPT_TS;
        *p++ = 10;
        p = put32(p, s->ts_val);
        p = put32(p, s->ts_ecr);
    }
    if (s->accecn.here) {
        p = build_accecn(p, &s->accecn);
    }
    while ((p - from) % 4) {
        *p++ = s->fo.here ? TCP_OPT_NOP : TCP_OPT_EOL; /* Fast Open's comes behind */
    }
    return p;
}

/* Behind the NOPs, or what stands in their place. */
static uint8_t *build_sack(uint8_t *p, const struct tcp_seg *s, uint32_t room)
{
    uint32_t n = (room - 2) / 8;
    if (n > s->nsack) {
        n = s->nsack;
    }
    *p++ = TCP_OPT_SACK;
    *p++ = (uint8_t)(2 + 8 * n);
    for (uint32_t i = 0; i < n; i++) {
        p = put32(p, s->sack[i].from.v);
        p = put32(p, s->sack[i].to.v);
    }
    return p;
}

/* Bytes of a segment's options without AccECN's; *spare: of the NOPs among them, those that can
 * give way to its end. */
static uint32_t other_options(const struct tcp_seg *s, uint32_t *spare)
{
    uint32_t n = (s->sign ? TCP_MD5_OPT : 0) + (s->has_ts ? 12 : 0);

    if (!(s->flags & TCP_SYN)) {
        *spare = s->nsack ? 2 : 0;
        return n + (s->nsack ? 4 + 8u * s->nsack : 0);
    }
    *spare = s->syn_layout == SYN_FREEBSD ? 0 : s->has_sack_ok && !s->has_ts ? 2 : s->has_wscale;
    n += (s->has_mss ? 4u : 0) + (s->has_wscale ? 4u : 0) + (s->has_sack_ok && !s->has_ts ? 4u : 0);
    if (s->fo.here) {
        n += ((s->fo.exp ? 4u : 2u) + s->fo.len + 3) & ~3u;
    }
    return s->syn_layout == SYN_FREEBSD ? n + 4 : n; /* what aligning may cost */
}

bool tcp_accecn_fit(struct tcp_seg *s, uint8_t need)
{
    uint8_t blocks = s->nsack;

    for (;; s->nsack--) {
        uint32_t spare;
        uint32_t others = other_options(s, &spare);
        for (int n = 3; n >= need; n--) {
            uint32_t len = 2 + 3 * (uint32_t)n;
            len = len % 4 <= spare ? len & ~3u : (len + 3) & ~3u;
            if (others + len <= TCP_HDR_MAX - TCP_HDR_MIN) {
                s->accecn.n = (uint8_t)n;
                return true;
            }
        }
        if (need == 0 || s->nsack <= 2) {
            break; /* RFC 9768 3.2.3.3: two blocks come first */
        }
    }
    s->nsack = blocks;
    s->accecn.here = false;
    return false;
}

/* RFC 9293 3.1, 3.2: every option with its length (MUST-68), whole words (MUST-69), reserved bits
 * zero. */
uint32_t tcp_seg_build(struct tcp_seg *s, uint8_t *out)
{
    uint8_t *p = out + TCP_HDR_MIN;
    const uint8_t *from = p;

    if (UNLIKELY(s->sign)) { /* Linux, not RFC: before all others; the digest comes last */
        const uint8_t head[4] = {TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_MD5, 18};
        memcpy(p, head, sizeof head);
        memset(p + sizeof head, 0, 16);
        p += TCP_MD5_OPT;
    }
    if (s->flags & TCP_SYN) {
        p = s->syn_layout == SYN_FREEBSD ? build_syn_freebsd(p, s) : build_syn_options(p, s);
        if (s->fo.here) {
            p = build_fastopen(p, &s->fo, (uint32_t)(out + TCP_HDR_MAX - p));
        }
    } else {
        p = s->has_ts ? build_ts(p, s, TCP_OPT_NOP, TCP_OPT_NOP) : p;
        p = s->accecn.here ? build_accecn(p, &s->accecn) : p;
    }
    if (s->nsack) {
        p = pad_to(p, from, 2);
        p = build_sack(p, s, (uint32_t)(out + TCP_HDR_MAX - p));
    }
    p = pad_to(p, from, 0);
    s->hdr_len = (uint8_t)(p - out);

    struct tcp_hdr h = {
        .sport = be16_of(s->sport),
        .dport = be16_of(s->dport),
        .seq = be32_of(s->seq.v),
        .ack = be32_of(s->ack.v),
        .off = (uint8_t)(s->hdr_len << 2 | (s->flags & TCP_AE ? 1 : 0)),
        .flags = (uint8_t)s->flags,
        .wnd = be16_of(s->wnd),
        .up = be16_of(s->up),
    };
    memcpy(out, &h, sizeof h);
    return s->hdr_len;
}
