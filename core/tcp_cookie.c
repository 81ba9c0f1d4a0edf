/*
 * tcp_cookie.c - theory of operation
 *
 * Laid out as Linux's, under a secret of its own:
 *
 *     cookie = H(flow, 0) + SEG.SEQ + minute * 2^24 + H(flow, minute, i, bits) mod 2^24
 *
 * i being an index into a table of four MSS values. Where the peer has timestamps, the low six bits
 * of ours tell the rest: its window scale (15: none), SACK and ECN; without them there is no such
 * option. AccECN the acknowledgment's own flags tell (RFC 9768 5.1). The acknowledgment gives all
 * of it back: the minute must be this one or the last, and one i must fit. Linux adds i to the hash
 * and does not hash the bits: there the peer may change what was agreed. A guess succeeds once in
 * two million times.
 *
 * A cookie is looked at only by a listener that has sent one in the last two minutes.
 */
#include "tcp_cookie.h"

#include <string.h>

#include "check.h"
#include "isn.h"
#include "tcp_cb.h"
#include "tcp_req.h"

#define PERIOD    (60 * SEC)
#define AGE_MAX   2u /* periods */
#define DATA_BITS 24u
#define DATA_MASK ((1u << DATA_BITS) - 1)

#define TS_BITS   6u
#define TS_WSCALE 0x0fu /* all ones: none */
#define TS_SACK   0x10u
#define TS_ECN    0x20u
#define TS_ABSENT 0xffu /* no timestamps */

/* Linux's tables: what most peers send, for packets of 576, 1340, 1480, 1500 and of 1280 .. 9000
 * bytes. */
static const uint16_t mss4[] = {536, 1300, 1440, 1460};
static const uint16_t mss6[] = {1220, 1420, 1440, 8940};
_Static_assert(sizeof mss4 == sizeof mss6, "one index for both");

static uint32_t hash(const struct stack *st, const struct flow *f, uint32_t count, uint32_t which)
{
    struct {
        struct flow f;
        uint32_t count, which;
    } in = {*f, count, which};

    _Static_assert(sizeof in == 44, "hashed as memory");
    return (uint32_t)isn_hash(st->cookie_secret, &in, sizeof in);
}

static const uint16_t *table_of(const struct flow *f)
{
    return addr_is4(&f->raddr) ? mss4 : mss6;
}

static uint32_t ts_bits(const struct tcp_req *r)
{
    uint32_t bits = (r->ws_ok ? r->wscale : TS_WSCALE) | (r->sack_ok ? TS_SACK : 0) |
                    (r->ecn_mode == ECN_CLASSIC ? TS_ECN : 0);

    return r->ts_ok ? bits : TS_ABSENT;
}

/* All that the cookie stands for, as a number that is not 0. */
static uint32_t told(uint32_t i, uint32_t bits)
{
    return 1 + i + (bits << 8);
}

void tcp_cookie_make(struct stack *st, struct env *env, struct tcp_req *r)
{
    const uint16_t *mss = table_of(&r->flow);
    uint32_t i = (uint32_t)ARRAY_LEN(mss4) - 1;
    uint32_t minute = (uint32_t)(env->now / PERIOD);

    while (i && r->mss < mss[i]) {
        i--;
    }
    r->mss = mss[i];
    r->cookie = true;
    if (!r->ts_ok) {
        r->sack_ok = r->ws_ok = false;
        r->wscale = 0;
        r->ecn_mode = r->ecn_mode == ECN_CLASSIC ? ECN_OFF : r->ecn_mode;
    }
    uint32_t data = hash(st, &r->flow, minute, told(i, ts_bits(r))) & DATA_MASK;
    r->iss = seq_of(hash(st, &r->flow, 0, 0) + r->irs.v + (minute << DATA_BITS) + data);
    r->parent->ts_recent_at = nsec_max(env->now, 1);
    st->stats.TcpSyncookiesSent++;
}

uint32_t tcp_cookie_ts(const struct tcp_req *r, uint32_t now)
{
    uint32_t ts = (now & ~((1u << TS_BITS) - 1)) | ts_bits(r);

    return ts > now ? ts - (1u << TS_BITS) : ts;
}

/* The index of the MSS, or as many as the table has. */
static uint32_t open_cookie(struct stack *st, struct env *env, const struct tcp_req *r)
{
    uint32_t minute = (uint32_t)(env->now / PERIOD);
    uint32_t rest = r->iss.v - hash(st, &r->flow, 0, 0) - r->irs.v;
    uint32_t age = (minute - (rest >> DATA_BITS)) & 0xff;
    uint32_t i = age < AGE_MAX ? 0 : (uint32_t)ARRAY_LEN(mss4);

    while (i < ARRAY_LEN(mss4) &&
           ((rest ^ hash(st, &r->flow, minute - age, told(i, ts_bits(r)))) & DATA_MASK) != 0) {
        i++;
    }
    return i;
}

/* What the echoed timestamp tells. False: not one that a cookie of ours had. */
static bool open_ts(const struct stack *st, const struct tcp_seg *seg, struct tcp_req *r)
{
    if (!seg->has_ts) {
        tcp_ecn_cookie(st, r, seg, false);
        return true;
    }
    uint32_t bits = seg->ts_ecr - isn_ts_offset(st->ts_secret, &r->flow);
    r->ts_ok = true;
    r->ts_recent = seg->ts_val;
    r->sack_ok = bits & TS_SACK;
    tcp_ecn_cookie(st, r, seg, bits & TS_ECN);
    r->ws_ok = (bits & TS_WSCALE) != TS_WSCALE;
    r->wscale = r->ws_ok ? bits & TS_WSCALE : 0;
    return st->knobs.tcp_timestamps && (st->knobs.tcp_sack || !r->sack_ok) &&
           (st->knobs.tcp_window_scaling || !r->ws_ok);
}

bool tcp_cookie_check(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                      const struct tcp_seg *seg, struct tcp_req *r)
{
    nsec sent = l->ts_recent_at;

    if (!st->knobs.tcp_syncookies || seg->flags & (TCP_SYN | TCP_RST) || !sent ||
        env->now - sent > (nsec)AGE_MAX * PERIOD) {
        return false;
    }
    *r = (struct tcp_req){.parent = l, .cookie = true, .again = true};
    r->flow =
        (struct flow){.laddr = ip->dst, .raddr = ip->src, .lport = seg->dport, .rport = seg->sport};
    r->iss = seq_sub(seg->ack, 1);
    r->irs = seq_sub(seg->seq, 1);
    r->wnd = seg->wnd;
    bool agreed = open_ts(st, seg, r);
    uint32_t i = agreed ? open_cookie(st, env, r) : (uint32_t)ARRAY_LEN(mss4);
    if (i >= ARRAY_LEN(mss4)) {
        st->stats.TcpSyncookiesFailed++;
        return false;
    }
    uint32_t mss = table_of(&r->flow)[i];
    r->mss = (uint16_t)(l->user_mss ? min_u32(mss, l->user_mss) : mss);
    st->stats.TcpSyncookiesRecv++;
    return true;
}
