/*
 * tcp_wire.h - the TCP header and its options between bytes and struct tcp_seg. RFC 9293 3.1,
 * 3.2; RFC 7323; RFC 2018; RFC 9768 3.2.3.
 */
#ifndef STANDIN_CORE_TCP_WIRE_H
#define STANDIN_CORE_TCP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <stddef.h>

#include "be.h"
#include "err.h"
#include "seq.h"

enum {
    TCP_FIN = 0x001,
    TCP_SYN = 0x002,
    TCP_RST = 0x004,
    TCP_PSH = 0x008,
    TCP_ACK = 0x010,
    TCP_URG = 0x020,
    TCP_ECE = 0x040,
    TCP_CWR = 0x080,
    TCP_AE = 0x100, /* RFC 9768; the NS bit of RFC 3540 */
};

/* Kinds of options that segments are read for or built with. */
enum {
    TCP_OPT_EOL = 0,
    TCP_OPT_NOP = 1,
    TCP_OPT_MSS = 2,
    TCP_OPT_WSCALE = 3,
    TCP_OPT_SACK_OK = 4,
    TCP_OPT_SACK = 5,
    TCP_OPT_TS = 8,
    TCP_OPT_MD5 = 19, /* RFC 2385 */
    TCP_OPT_FO = 34,
    TCP_OPT_ACCECN0 = 172, /* RFC 9768 3.2.3 */
    TCP_OPT_ACCECN1 = 174,
    TCP_OPT_EXP = 254,
};

/* How the options of a SYN are laid out. */
enum syn_layout {
    SYN_LINUX,   /* <mss,sackOK,TS,nop,wscale>, nops where one is missing */
    SYN_FREEBSD, /* <mss,nop,wscale,sackOK,TS>, each aligned for itself, eol and zeros at the end */
};

#define TCP_HDR_MIN  20u
#define TCP_HDR_MAX  60u
#define TCP_SACK_MAX 4u
#define TCP_MD5_OPT  20u /* <nop,nop,md5>: RFC 2385 3.0 */
#define TCP_MD5_AT   24u /* the digest, from the start of the header */

struct tcp_hdr {
    be16 sport;
    be16 dport;
    be32 seq;
    be32 ack;
    uint8_t off; /* data offset in words << 4, reserved, AE */
    uint8_t flags;
    be16 wnd;
    be16 csum;
    be16 up;
};

_Static_assert(sizeof(struct tcp_hdr) == 20, "RFC 9293 3.1");

struct sack_block {
    seq from;
    seq to;
};

#define TFO_COOKIE_MIN 4u /* RFC 7413 2 */
#define TFO_COOKIE_MAX 16u

/* The Fast Open option of a SYN. RFC 7413 4.1.1 */
struct tfo_cookie {
    bool here;   /* there is an option */
    bool exp;    /* in its experimental form: kind 254 (RFC 6994) */
    uint8_t len; /* 0: asks for a cookie */
    uint8_t b[TFO_COOKIE_MAX];
};

/* The AccECN option: counters of 24 bits, in one of two orders. RFC 9768 3.2.3 */
struct accecn_opt {
    bool here;
    bool order1;   /* kind 174: e1b, ceb, e0b; else 172: e0b, ceb, e1b */
    uint8_t n;     /* counters there are, 0..3 */
    uint32_t v[3]; /* in their order */
};

struct rx_place;

/* A segment as a value. As parsed, `data` points into the packet. */
struct tcp_seg {
    uint16_t sport;
    uint16_t dport;
    seq seq;
    seq ack;
    uint16_t flags; /* nine bits */
    bool was_syn;   /* its SYN has been taken off: ECN's flags are no counter (RFC 9768 3.2.2) */
    uint16_t wnd;   /* as on the wire: unscaled */
    uint16_t up;
    const uint8_t *data;
    const struct rx_place *place; /* where the payload lies already (place.h); NULL: at data */
    uint32_t len;                 /* payload bytes; SYN and FIN not counted */
    uint16_t gso_size;
    uint8_t hdr_len;
    uint8_t ecn;        /* the packet's codepoint, tcp_ecn.h; the caller's */
    uint8_t syn_layout; /* enum syn_layout, for tcp_seg_build */

    bool has_mss     : 1;
    bool has_wscale  : 1;
    bool has_sack_ok : 1;
    bool has_ts      : 1;
    uint16_t mss;
    uint8_t wscale;
    uint8_t nsack;
    bool sign;          /* for tcp_seg_build: room for a TCP-MD5 digest, at TCP_MD5_AT, first */
    const uint8_t *md5; /* as parsed: the digest of a TCP-MD5 option, or NULL */
    uint32_t ts_val;
    uint32_t ts_ecr;
    struct sack_block sack[TCP_SACK_MAX];
    struct tfo_cookie fo;
    struct accecn_opt accecn;
};

/* SEG.LEN of RFC 9293 3.4: with SYN and FIN. */
static inline uint32_t tcp_seg_len(const struct tcp_seg *s)
{
    return s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}

static inline seq tcp_seg_end(const struct tcp_seg *s)
{
    return seq_add(s->seq, tcp_seg_len(s));
}

/* Parses p[0..len), a whole segment. DROP_NONE, DROP_TCP_SHORT, DROP_TCP_OFFSET. A malformed
 * option ends the options (RFC 9293 MUST-7: it must not harm); what came before it holds. The
 * checksum is the caller's. */
enum drop tcp_seg_parse(struct tcp_seg *s, const uint8_t *p, size_t len);

/*
 * Writes the header and options of `s` (not its data) to out[0..TCP_HDR_MAX), checksum zero. The
 * options stand in Linux's order: a SYN has <mss,sackOK,TS,nop,wscale> with nops where one is
 * missing and FO behind them, others <nop,nop,TS> and <nop,nop,sack ..>. AccECN's stands behind the
 * timestamp and ends on what the next one needs, where nops would be. Sets s->hdr_len and returns
 * it. As many SACK blocks as fit are written.
 */
uint32_t tcp_seg_build(struct tcp_seg *s, uint8_t *out);

/*
 * How much of the AccECN option of a segment to be built has room beside its other options: sets
 * accecn.n, at least `need`, or takes the option away; false then. SACK blocks beyond two give way
 * to what is needed. RFC 9768 3.2.3.3, the order of trying is Linux's.
 */
bool tcp_accecn_fit(struct tcp_seg *s, uint8_t need);

/* Bytes of options a segment without SYN will carry. */
static inline uint32_t tcp_opt_len(bool ts, uint32_t nsack)
{
    uint32_t n = ts ? 12 : 0;
    if (nsack) {
        n += 4 + 8 * nsack;
    }
    return n;
}

#endif
