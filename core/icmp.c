/*
 * icmp.c - theory of operation.
 *
 * Echo requests are answered. Errors about packets of ours are looked up by the addresses and ports
 * they quote and handed to that socket, with Linux's errno for each type and code; a "too big"
  * first lowers the path's MTU. TCP says whether the quoted sequence number is in flight, and an
 * error that fails this test changes nothing (RFC 5927 4.1). Timestamp requests are answered.
 * Everything else (redirects, source quench by RFC 6633 and MUST-55 of RFC 9293, neighbour
 * messages) is counted and dropped: a TUN device has no neighbours.
 *
 * Errors of ours obey RFC 1122 3.2.2 and RFC 4443 2.4 (e): none about errors, about groups, about
 * later fragments, or to what cannot be one host. They are limited twice, as in Linux: all
 * together, with a little noise so that nobody can measure through the limit whether a port is open
 * (CVE-2020-25705), and per destination.
 */
#include "icmp.h"

#include "be.h"
#include "check.h"
#include "csum.h"
#include "demux.h"
#include "event.h"
#include "ip_priv.h"
#include "isn.h"
#include "mcast.h"
#include "pmtu.h"
#include "sock_errq.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

/* RFC 792, RFC 4443 2.1 */
struct icmp_hdr {
    uint8_t type;
    uint8_t code;
    be16 csum;
    be32 rest;
};
_Static_assert(sizeof(struct icmp_hdr) == 8, "RFC 792");

enum {
    V4_REPLY = 0,
    V4_UNREACH = 3,
    V4_QUENCH = 4,
    V4_REDIRECT = 5,
    V4_ECHO = 8,
    V4_TIME = 11,
    V4_PARAM = 12,
    V4_STAMP = 13,
    V4_STAMP_REPLY = 14
};
enum { V6_UNREACH = 1, V6_TOO_BIG = 2, V6_TIME = 3, V6_PARAM = 4, V6_ECHO = 128, V6_REPLY = 129 };

#define QUOTE_MAX4 576u  /* RFC 1812 4.3.2.3: the whole message within 576 bytes */
#define QUOTE_MAX6 1280u /* RFC 4443 2.4 (c) */

#define ONE_BURST 6 /* Linux: XRLIM_BURST_FACTOR */

#define DAY (86400 * SEC)

/* What an error of the network means to a program. */
struct meaning {
    uint8_t err; /* enum err */
    bool hard;   /* told to a connected datagram socket even without IP_RECVERR */
};

/* Linux: icmp_err_convert. By code of "destination unreachable", RFC 792 and RFC 1122 3.2.2.1. */
static const struct meaning unreach4[] = {
    {ERR_NETUNREACH, false},  {ERR_HOSTUNREACH, false}, {ERR_NOPROTOOPT, true},
    {ERR_CONNREFUSED, true},  {ERR_MSGSIZE, true},      {ERR_OPNOTSUPP, false},
    {ERR_NETUNREACH, true},   {ERR_HOSTDOWN, true},     {ERR_NONET, true},
    {ERR_NETUNREACH, true},   {ERR_HOSTUNREACH, true},  {ERR_NETUNREACH, false},
    {ERR_HOSTUNREACH, false}, {ERR_HOSTUNREACH, true},  {ERR_HOSTUNREACH, true},
    {ERR_HOSTUNREACH, true},
};

/* Linux: icmpv6_err_convert. RFC 4443 3.1. */
static const struct meaning unreach6[] = {
    {ERR_NETUNREACH, false}, {ERR_ACCES, true}, {ERR_HOSTUNREACH, false}, {ERR_HOSTUNREACH, false},
    {ERR_CONNREFUSED, true}, {ERR_ACCES, true}, {ERR_ACCES, true},
};

/* An error that has come, and the packet of ours that it quotes. */
struct quote {
    const struct ip_hdr *ip; /* the error */
    uint8_t type;
    uint8_t code;
    uint32_t info; /* the header's last word */
    struct flow flow;
    uint8_t proto;
    const uint8_t *upper; /* the quoted transport header and what follows */
    size_t len;
};

static void drop(struct stack *st, struct env *env, enum drop why, const struct ip_hdr *ip)
{
    stack_drop(st, env, why, &(struct pkt_in){.p = ip->start, .len = ip->len});
}

static void record(struct stack *st, struct env *env, enum event_kind kind, uint32_t sock_id,
                   const struct icmp_hdr *h, bool v6, size_t len)
{
    struct event *ev = event_begin(st->events, env, kind);
    ev->sock_id = sock_id;
    ev->proto = v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP;
    ev->why = kind == EV_ICMP_OUT ? TX_ICMP : 0;
    ev->u.icmp.type = h->type;
    ev->u.icmp.code = h->code;
    ev->u.icmp.len = (uint16_t)min_size(len, UINT16_MAX);
    ev->u.icmp.info = be32_get(h->rest);
    event_end(st->events);
}

/* --- errors in --- */

static bool too_big(const struct quote *q)
{
    return q->ip->v6 ? q->type == V6_TOO_BIG : q->type == V4_UNREACH && q->code == 4;
}

/* The MTU it names. */
static uint32_t told_mtu(const struct quote *q)
{
    return q->ip->v6 ? q->info : q->info & 0xffff;
}

static struct meaning meaning_of(const struct quote *q)
{
    if (too_big(q)) {
        return (struct meaning){ERR_MSGSIZE, true};
    }
    if (q->type == (q->ip->v6 ? V6_PARAM : V4_PARAM)) {
        return (struct meaning){ERR_PROTO, true};
    }
    if (q->type == (q->ip->v6 ? V6_TIME : V4_TIME)) {
        return (struct meaning){ERR_HOSTUNREACH, false};
    }
    if (q->ip->v6) {
        if (q->type != V6_UNREACH) {
            return (struct meaning){ERR_PROTO, false}; /* RFC 4443 2.4 (a): not known, passed on */
        }
        return q->code < ARRAY_LEN(unreach6) ? unreach6[q->code]
                                             : (struct meaning){ERR_PROTO, true};
    }
    return q->code < ARRAY_LEN(unreach4) ? unreach4[q->code]
                                         : (struct meaning){ERR_HOSTUNREACH, false};
}

/* The quoted header: what we sent, so its source is our side. Only its first fragment says which
 * flow it was. */
static bool quote_parse4(struct quote *q, const uint8_t *p, size_t len)
{
    const struct ip4_hdr *h = (const void *)p;
    size_t ihl = len >= sizeof *h ? (size_t)(h->ver_ihl & 15) * 4 : 0;
    if (ihl < sizeof *h || len < ihl + 8 || h->ver_ihl >> 4 != 4 ||
        (be16_get(h->frag) & IP4_OFFSET) != 0) {
        return false;
    }
    q->flow.laddr = addr_of4(h->src);
    q->flow.raddr = addr_of4(h->dst);
    q->proto = h->proto;
    q->upper = p + ihl;
    q->len = len - ihl;
    return true;
}

static bool quote_parse6(struct quote *q, const uint8_t *p, size_t len)
{
    const struct ip6_hdr *h = (const void *)p;
    size_t at = sizeof *h;
    if (len < at + 8 || p[0] >> 4 != 6) {
        return false;
    }
    q->flow.laddr = addr_of6(h->src);
    q->flow.raddr = addr_of6(h->dst);
    q->proto = h->next;
    if (h->next == IP6_FRAGMENT) { /* the only extension header we send */
        const struct ip6_frag_hdr *f = (const void *)(p + at);
        if ((be16_get(f->at) & 0xfff8) != 0) {
            return false;
        }
        q->proto = f->next;
        at += sizeof *f;
    }
    q->upper = p + at;
    q->len = len - at;
    return q->len >= 8;
}

static uint16_t port_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* The socket that sent what is quoted. */
static struct sock *quote_sock(struct stack *st, struct quote *q)
{
    q->flow.lport = port_at(q->upper);
    q->flow.rport = port_at(q->upper + 2);
    if (q->proto == LX_IPPROTO_TCP) {
        return demux_conn(st, q->proto, &q->flow);
    }
    if (q->proto == (q->ip->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP)) {
        q->flow.lport = port_at(q->upper + 4); /* the identifier of an echo socket */
        q->flow.rport = 0;
    } else if (q->proto != LX_IPPROTO_UDP) {
        return NULL;
    }
    return demux_bound(st, q->proto, &q->flow);
}

/* What the error queue says of it. */
static struct recv_info told(const struct quote *q)
{
    struct recv_info ee = {
        .from = {.addr = q->flow.raddr, .port = q->flow.rport},
        .have_from = true,
        .have_err = true,
    };
    ee.ee.err = meaning_of(q).err;
    ee.ee.origin = q->ip->v6 ? EE_ICMP6 : EE_ICMP;
    ee.ee.type = q->type;
    ee.ee.code = q->code;
    ee.ee.info = too_big(q) ? told_mtu(q) : 0;
    ee.ee.offender = (struct endpoint){.addr = q->ip->src};
    return ee;
}

static bool tell_tcp(struct stack *st, struct env *env, struct sock *s, const struct quote *q)
{
    be32 number;
    memcpy(number.b, q->upper + 4, sizeof number.b);
    seq at = seq_of(be32_get(number));
    bool used;

    st->touching = s;
    if (too_big(q)) {
        used = tcp_icmp_pmtu(st, env, s, at, told_mtu(q));
    } else {
        bool no_path = q->type == (q->ip->v6 ? V6_UNREACH : V4_UNREACH) && q->code <= !q->ip->v6;
        struct recv_info ee = told(q);
        struct span quoted = {.p = q->upper, .n = q->len};
        used = tcp_icmp_error(st, env, s, at, &ee, &quoted, no_path);
    }
    st->touching = NULL;
    return used;
}

/* A connection that is half open, and no socket yet. */
static bool tell_req(struct stack *st, const struct quote *q)
{
    struct tcp_req *r = tcp_req_find(st, &q->flow);
    be32 number;
    memcpy(number.b, q->upper + 4, sizeof number.b);
    bool over = q->type == V4_PARAM || q->type == V4_TIME ||
                (q->type == V4_UNREACH && q->code <= 1); /* Linux: tcp_v4_err, tcp_v6_err */
    if (q->ip->v6) {
        over = q->type == V6_PARAM ||
               (q->type == V6_UNREACH && q->code != 0 && q->code != 2 && q->code != 3);
    }

    return r && tcp_req_icmp(st, r, seq_of(be32_get(number)), over);
}

static void tell_dgram(struct stack *st, struct env *env, struct sock *s, const struct quote *q)
{
    struct meaning m = meaning_of(q);
    struct recv_info ee = told(q);
    size_t header = q->proto == LX_IPPROTO_UDP ? 8 : 0;
    struct span quoted = {.p = q->upper + header, .n = q->len - header};

    if (too_big(q)) {
        uint8_t mode = q->ip->v6 ? s->opt.mtu_discover6 : s->opt.mtu_discover;
        bool deaf = mode == LX_IP_PMTUDISC_INTERFACE || mode == LX_IP_PMTUDISC_OMIT;
        uint32_t mtu = deaf ? 0 : pmtu_news(st, &q->flow.raddr, told_mtu(q));
        if (mtu != 0) {
            pmtu_learn(st, env, &q->flow.raddr, mtu, told_mtu(q) < mtu);
        }
        if (mode == LX_IP_PMTUDISC_DONT || (deaf && q->ip->v6)) { /* not its business */
            return;
        }
    }
    st->touching = s;
    udp_icmp_error(st, env, s, (enum err)m.err, m.hard, &ee, &quoted);
    st->touching = NULL;
}

static void error_input(struct stack *st, struct env *env, const struct ip_hdr *ip,
                        const struct icmp_hdr *h)
{
    struct quote q = {.ip = ip, .type = h->type, .code = h->code, .info = be32_get(h->rest)};
    const uint8_t *p = ip->payload + sizeof *h;
    size_t len = ip->payload_len - sizeof *h;
    struct sock *s = NULL;

    if (ip->v6 ? quote_parse6(&q, p, len) : quote_parse4(&q, p, len)) {
        s = ip_is_local(st, &q.flow.laddr) ? quote_sock(st, &q) : NULL;
    }
    record(st, env, EV_ICMP_IN, s ? s->obj.id : 0, h, ip->v6, ip->payload_len);
    if (!s && q.proto == LX_IPPROTO_TCP && tell_req(st, &q)) {
        return;
    }
    if (!s) {
        drop(st, env, DROP_ICMP_QUOTE, ip);
        st->stats.IcmpInErrors++;
    } else if (q.proto != LX_IPPROTO_TCP) {
        tell_dgram(st, env, s, &q);
    } else if (!tell_tcp(st, env, s, &q)) {
        drop(st, env, DROP_ICMP_QUOTE, ip);
    }
}

/* --- echo --- */

static void send(struct stack *st, struct env *env, struct pkt_out *p, const struct ip_hdr *about,
                 const struct icmp_hdr *h, uint8_t tos)
{
    struct ip_send how = {
        .dst = about->src,
        .proto = about->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP,
        .tos = tos,
        .ttl = (uint8_t)st->knobs.ip_default_ttl,
    };
    /* RFC 1122 3.2.2.6: from the address that was spoken to, unless it was that of many. */
    if (ip_is_local(st, &about->dst)) {
        how.src = about->dst;
    } else if (!ip_source_for(st, &about->src, &how.src)) {
        return;
    }
    memcpy(p->hdr + p->ip_len, h, sizeof *h);
    p->hdr_len = (uint16_t)(p->ip_len + sizeof *h);
    p->csum_offset = offsetof(struct icmp_hdr, csum);
    p->reason = TX_ICMP;
    st->stats.IcmpOutMsgs++;
    record(st, env, EV_ICMP_OUT, 0, h, about->v6, sizeof *h + span_total(p->span, p->nspan));
    (void)ip_send(st, env, p, &how);
}

static void echo_input(struct stack *st, struct env *env, const struct ip_hdr *ip,
                       const struct icmp_hdr *h)
{
    bool many = !ip->v6 && !ip_is_local(st, &ip->dst);
    record(st, env, EV_ICMP_IN, 0, h, ip->v6, ip->payload_len);
    if (st->knobs.icmp_echo_ignore_all || many) { /* Linux: icmp_echo_ignore_broadcasts */
        drop(st, env, DROP_ICMP_TYPE, ip);
        return;
    }
    struct pkt_out p;
    struct icmp_hdr reply = {
        .type = ip->v6 ? V6_REPLY : V4_REPLY, .code = h->code, .rest = h->rest};
    (void)ip_begin(&p, ip->v6);
    p.nspan = 1;
    p.span[0] = (struct span){.p = ip->payload + sizeof *h, .n = ip->payload_len - sizeof *h};
    send(st, env, &p, ip, &reply, ip->tos);
}

/* RFC 792, RFC 1122 3.2.2.8: when it came and when the answer goes, in milliseconds of the day. A
 * request without room for its own time is none. */
static void stamp_input(struct stack *st, struct env *env, const struct ip_hdr *ip,
                        const struct icmp_hdr *h)
{
    record(st, env, EV_ICMP_IN, 0, h, false, ip->payload_len);
    if (ip->payload_len < sizeof *h + 4 || !ip_is_local(st, &ip->dst)) {
        drop(st, env, DROP_ICMP_TYPE, ip);
        return;
    }
    struct pkt_out p;
    struct icmp_hdr reply = {.type = V4_STAMP_REPLY, .rest = h->rest};
    be32 times[2];
    times[0] = be32_of((uint32_t)(env->real % DAY / MSEC));
    times[1] = times[0];
    (void)ip_begin(&p, false);
    p.nspan = 2;
    p.span[0] = (struct span){.p = ip->payload + sizeof *h, .n = 4};
    p.span[1] = (struct span){.p = (const uint8_t *)times, .n = sizeof times};
    send(st, env, &p, ip, &reply, ip->tos);
}

/* --- everything in --- */

static bool csum_right(const struct ip_hdr *ip)
{
    uint64_t sum =
        ip->v6 ? csum_pseudo(&ip->src, &ip->dst, LX_IPPROTO_ICMPV6, (uint32_t)ip->payload_len) : 0;
    return csum_good(csum_add(sum, ip->payload, ip->payload_len));
}

static bool is_error(bool v6, uint8_t type)
{
    if (v6) {
        return type < 128; /* RFC 4443 2.1 */
    }
    /* RFC 1122 3.2.2: redirect and source quench are errors too. */
    return type == V4_UNREACH || type == V4_QUENCH || type == V4_REDIRECT || type == V4_TIME ||
           type == V4_PARAM;
}

/* The errors that are looked at. */
static bool is_told(bool v6, uint8_t type)
{
    return v6 ? is_error(true, type) : type == V4_UNREACH || type == V4_TIME || type == V4_PARAM;
}

void icmp_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    const struct icmp_hdr *h = (const void *)ip->payload;
    st->stats.IcmpInMsgs++;
    if (ip->payload_len < sizeof *h) {
        drop(st, env, DROP_ICMP_SHORT, ip);
    } else if (!ip->csum_ok && !csum_right(ip)) {
        drop(st, env, DROP_ICMP_CHECKSUM, ip);
    } else if (h->type == (ip->v6 ? V6_ECHO : V4_ECHO)) {
        echo_input(st, env, ip, h);
    } else if (!ip->v6 && h->type == V4_STAMP) {
        stamp_input(st, env, ip, h);
    } else if (h->type == (ip->v6 ? V6_REPLY : V4_REPLY) && h->code == 0) {
        record(st, env, EV_ICMP_IN, 0, h, ip->v6, ip->payload_len);
        udp_ping_input(st, env, ip);
    } else if (ip->v6 && ((h->type >= 130 && h->type <= 132) || h->type == 143)) {
        record(st, env, EV_ICMP_IN, 0, h, true, ip->payload_len);
        mld_input(st, env, ip);
    } else if (is_told(ip->v6, h->type)) {
        error_input(st, env, ip, h);
    } else {
        drop(st, env, DROP_ICMP_TYPE, ip);
    }
}

/* --- errors out --- */

/* RFC 1122 3.2.2, RFC 4443 2.4 (e). */
static bool may_answer(const struct stack *st, const struct ip_hdr *ip, enum icmp_why why)
{
    const struct addr *src = &ip->src;
    bool unicast = ip_is_local(st, &ip->dst);
    if (ip->frag_at != 0 || (!unicast && !(ip->v6 && why == ICMP_PARAM_OPTION))) {
        return false;
    }
    if (addr_is_any(src) || addr_is_multicast(src) || ip_is_broadcast(st, src)) {
        return false;
    }
    bool icmp = ip->proto == (ip->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP);
    return !icmp || (ip->payload_len > 0 && !is_error(ip->v6, ip->payload[0]));
}

/* The bucket of all errors together. Linux: icmp_global_allow. */
static bool all_allow(struct stack *st, struct env *env)
{
    uint32_t burst = (uint32_t)st->knobs.icmp_msgs_burst;
    uint64_t per_sec = (uint64_t)st->knobs.icmp_msgs_per_sec;
    uint64_t due = (uint64_t)nsec_min(env->now - st->icmp_at, SEC) * per_sec / (uint64_t)SEC;
    if (due > 0) {
        st->icmp_tokens = (uint32_t)min_u64(st->icmp_tokens + due, burst);
        st->icmp_at = env->now;
    }
    if (st->icmp_tokens == 0) {
        return false;
    }
    uint8_t noise;
    env->ops->random(env, &noise, sizeof noise);
    st->icmp_tokens -= min_u32(st->icmp_tokens, 1 + noise % 3u);
    return true;
}

/* The bucket of one destination (and those that share its hash). Linux: inet_peer_xrlim_allow. */
static bool one_allow(struct stack *st, struct env *env, const struct addr *dst, nsec each)
{
    uint64_t h = isn_hash(st->port_secret, dst->b, sizeof dst->b);
    struct icmp_rate *r = &st->icmp_rate[h % STACK_ICMP_HASH];
    nsec full = each * ONE_BURST;

    r->credit = r->at == 0 ? full : nsec_min(full, nsec_add(r->credit, env->now - r->at));
    r->at = nsec_max(env->now, 1);
    if (r->credit < each) {
        return false;
    }
    r->credit -= each;
    return true;
}

/* RFC 1812 4.3.2.8, RFC 4443 2.4 (f). What goes to ourselves costs nobody else anything. */
static bool rate_allows(struct stack *st, struct env *env, const struct ip_hdr *ip, uint8_t type)
{
    bool masked = ip->v6 || (type < 32 && ((uint32_t)st->knobs.icmp_ratemask >> type & 1) != 0);
    if (!masked || ip_is_local(st, &ip->src)) {
        return true;
    }
    nsec each = (ip->v6 ? st->knobs.icmp6_ratelimit : st->knobs.icmp_ratelimit) * MSEC;
    return one_allow(st, env, &ip->src, each) && all_allow(st, env);
}

static struct icmp_hdr error_header(const struct ip_hdr *ip, enum icmp_why why, uint32_t at)
{
    static const struct {
        uint8_t type4, code4, type6, code6;
    } table[] = {
        [ICMP_PORT_UNREACH] = {V4_UNREACH, 3, V6_UNREACH, 4},
        [ICMP_PROTO_UNREACH] = {V4_UNREACH, 2, V6_PARAM, 1},
        [ICMP_PARAM_PROBLEM] = {V4_PARAM, 0, V6_PARAM, 0},
        [ICMP_PARAM_OPTION] = {V4_PARAM, 0, V6_PARAM, 2},
        [ICMP_PARAM_CHAIN] = {V4_PARAM, 0, V6_PARAM, 3},
        [ICMP_REASM_TIME] = {V4_TIME, 1, V6_TIME, 1},
    };
    struct icmp_hdr h = {.type = ip->v6 ? table[why].type6 : table[why].type4,
                         .code = ip->v6 ? table[why].code6 : table[why].code4};
    if (h.type == (ip->v6 ? V6_PARAM : V4_PARAM)) {
        h.rest = be32_of(ip->v6 ? at : at << 24); /* the pointer: a byte in IPv4 */
    }
    return h;
}

void icmp_send_error(struct stack *st, struct env *env, const struct ip_hdr *ip, enum icmp_why why,
                     uint32_t at)
{
    if (!may_answer(st, ip, why)) {
        return;
    }
    struct pkt_out p;
    struct icmp_hdr h = error_header(ip, why, at);
    if (!rate_allows(st, env, ip, h.type)) {
        drop(st, env, DROP_ICMP_RATE, ip); /* the answer to it, that is */
        return;
    }
    (void)ip_begin(&p, ip->v6);
    size_t room = (ip->v6 ? QUOTE_MAX6 : QUOTE_MAX4) - p.ip_len - sizeof h;
    p.nspan = 1;
    p.span[0] = (struct span){.p = ip->start, .n = min_size(ip->len, room)};
    send(st, env, &p, ip, &h,
         ip->v6 ? 0 : 0xc0); /* Linux: internetwork control, RFC 1812 4.3.2.5 */
}
