/*
 * udp_snd.c - theory of operation.
 *
 * Datagrams out. Nothing is kept: a datagram is built and sent within the call, so a datagram
 * socket is always writable. Only MSG_MORE and UDP_CORK hold bytes back, in one struct dgram of
 * full size, whose destination is fixed by the first piece.
 *
 * An echo socket sends the program's own ICMP header, in which we write the identifier, our "port",
 * and the checksum.
 */
#include "be.h"
#include "check.h"
#include "demux.h"
#include "ip_priv.h"
#include "sock_errq.h"
#include "sock_priv.h"
#include "sock_ts.h"
#include "stack.h"
#include "udp_priv.h"

enum { HDR_LEN = 8, ECHO4 = 8, ECHO6 = 128 };
enum { UDP_LEN_MAX = 65535, CORK_ORDER = 4, SEGMENTS_MAX = 128 /* Linux: UDP_MAX_SEGMENTS */ };

/* Where a send goes and from where. */
static int destination(struct stack *st, const struct sock *s, const struct endpoint *to,
                       struct endpoint *dst, struct addr *src)
{
    if (!to) {
        *dst = (struct endpoint){.addr = s->flow.raddr, .port = s->flow.rport};
        *src = s->flow.laddr;
        return s->connected ? 0 : -ERR_DESTADDRREQ;
    }
    if (to->port == 0 && !is_ping(s)) {
        return -ERR_INVAL;
    }
    *dst = *to;
    int err = sock_route(st, s, dst, src);
    const uint8_t *chosen = ((const struct udp *)(const void *)s)->mcast_src;
    bool chooses = (chosen[0] | chosen[1] | chosen[2] | chosen[3]) != 0 && addr_is4(&dst->addr);
    if (chooses && addr_is_multicast(&dst->addr) && !s->bound_addr) {
        *src = addr_of4(chosen); /* IP_MULTICAST_IF */
    }
    if (err == 0 && ip_is_broadcast(st, &dst->addr) && !s->opt.broadcast) {
        err = -ERR_ACCES;
    }
    return err;
}

static int autobind(struct stack *st, struct env *env, struct sock *s)
{
    struct addr at = s->flow.laddr;
    if (s->bound) {
        return 0;
    }
    return demux_bind(st, env, s, &at, 0) == 0 ? 0 : -ERR_AGAIN;
}

static struct ip_send how_of(const struct stack *st, const struct sock *s, const struct addr *dst,
                             const struct addr *src)
{
    bool v6 = !addr_is4(dst);
    bool many = addr_is_multicast(dst);
    int ttl = many ? s->opt.mcast_ttl : v6 ? s->opt.hoplimit : s->opt.ttl;
    return (struct ip_send){
        .src = *src,
        .dst = *dst,
        .proto = s->proto,
        .tos = v6 ? s->opt.tclass : s->opt.tos,
        .ttl = (uint8_t)(ttl >= 0 ? ttl
                         : many   ? 1
                                  : st->knobs.ip_default_ttl),
        .loop = many ? (v6 ? s->opt.mcast_loop6 : s->opt.mcast_loop) && ip_is_ours(st, dst)
                     : ip_is_broadcast(st, dst),
    };
}

/* IP_MTU_DISCOVER: whether a packet of `total` bytes may be fragmented, and whether it may be sent
 * at all. */
static int mtu_judge(struct stack *st, const struct sock *s, size_t total, struct ip_send *how)
{
    bool v6 = !addr_is4(&how->dst);
    uint8_t mode = v6 ? s->opt.mtu_discover6 : s->opt.mtu_discover;
    bool device = mode == LX_IP_PMTUDISC_PROBE || mode == LX_IP_PMTUDISC_INTERFACE;
    uint32_t mtu = device && !ip_is_local(st, &how->dst) ? st->mtu : ip_mtu(st, &how->dst);
    bool fits = total <= mtu;

    how->df = mode == LX_IP_PMTUDISC_DO || mode == LX_IP_PMTUDISC_PROBE ||
              (mode == LX_IP_PMTUDISC_WANT && fits);
    bool whole = v6 && s->opt.dontfrag6; /* RFC 3542 11.2 */
    if (fits || (!whole && (mode == LX_IP_PMTUDISC_DONT || mode == LX_IP_PMTUDISC_WANT ||
                            mode == LX_IP_PMTUDISC_OMIT))) {
        return 0;
    }
    return -(int)mtu;
}

/* The program is told on its error queue how much would have fitted. */
static void local_error(struct stack *st, struct env *env, struct sock *s,
                        const struct endpoint *dst, uint32_t mtu)
{
    struct recv_info ee = {.from = *dst, .have_from = true, .have_err = true};
    if (addr_is4(&dst->addr)) {
        ee.from.port = s->flow.rport; /* Linux: that of the connection, or none */
    }
    ee.ee.err = ERR_MSGSIZE;
    ee.ee.origin = EE_LOCAL;
    ee.ee.info = mtu;
    if (s->opt.recverr || s->opt.recverr6) {
        udp_icmp_error(st, env, s, ERR_MSGSIZE, false, &ee, &(struct span){0});
        s->err = ERR_OK; /* this call tells it */
    }
}

/* SO_NO_CHECK; RFC 6935 for IPv6. */
static bool has_no_check(const struct sock *s, bool v6)
{
    return v6 ? ((const struct udp *)(const void *)s)->no_check_tx : s->opt.no_check;
}

/* UDP_SEGMENT: one send of many datagrams. 0, or why not; Linux: udp_send_skb. */
static int segment_check(const struct stack *st, const struct sock *s, const struct pkt_out *p,
                         const struct addr *dst, size_t len)
{
    size_t each = s->opt.segment;
    size_t mtu = min_size(ip_mtu(st, dst), UDP_LEN_MAX);
    if (p->ip_len + HDR_LEN + min_size(len, each) > mtu) {
        return -ERR_MSGSIZE;
    }
    return len > each * SEGMENTS_MAX || has_no_check(s, p->v6) ? -ERR_INVAL : 0;
}

/* Our header, or the program's with our identifier. 0, or -ERR_INVAL for what no echo socket may
 * send. */
static int header_put(struct pkt_out *p, const struct sock *s, uint16_t dport, size_t len)
{
    if (!is_ping(s)) {
        struct udp_hdr *h = (void *)(p->hdr + p->ip_len);
        *h = (struct udp_hdr){
            .sport = be16_of(s->flow.lport),
            .dport = be16_of(dport),
            .len = be16_of((uint16_t)(len + HDR_LEN)),
        };
        p->csum_offset = has_no_check(s, p->v6) ? 0xffff : offsetof(struct udp_hdr, csum);
    } else {
        struct echo_hdr *h = (void *)(p->hdr + p->ip_len);
        struct span rest[PKT_SPAN_MAX];
        uint8_t *at = (uint8_t *)h;
        uint8_t nspan = ip_cut(p, 0, HDR_LEN, rest);
        for (uint8_t i = 0; i < nspan; i++) {
            memcpy(at, rest[i].p, rest[i].n);
            at += rest[i].n;
        }
        if (len < HDR_LEN || h->type != (p->v6 ? ECHO6 : ECHO4) || h->code != 0) {
            return -ERR_INVAL;
        }
        h->id = be16_of(s->flow.lport);
        p->nspan = ip_cut(p, HDR_LEN, len - HDR_LEN, rest);
        memcpy(p->span, rest, p->nspan * sizeof rest[0]);
        p->csum_offset = offsetof(struct echo_hdr, csum);
    }
    p->hdr_len = (uint16_t)(p->ip_len + HDR_LEN);
    return 0;
}

/* Sends one datagram of at most PKT_SPAN_MAX spans. */
static int64_t transmit(struct stack *st, struct env *env, struct sock *s, const struct span *v,
                        size_t n, const struct endpoint *dst, const struct addr *src)
{
    struct pkt_out p;
    struct ip_send how = how_of(st, s, &dst->addr, src);
    size_t len = span_total(v, n);

    CHECK(n <= PKT_SPAN_MAX);
    (void)ip_begin(&p, !addr_is4(&dst->addr));
    p.reason = TX_DGRAM;
    p.sock_id = s->obj.id;
    p.nspan = (uint8_t)n;
    memcpy(p.span, v, n * sizeof *v);
    int err = header_put(&p, s, dst->port, len);
    if (err != 0) {
        return err;
    }
    size_t total = pkt_out_len(&p);
    if (total - (p.v6 ? p.ip_len : 0) > UDP_LEN_MAX) {
        return -ERR_MSGSIZE;
    }
    if (s->opt.segment != 0 && !is_ping(s)) {
        err = segment_check(st, s, &p, &dst->addr, len);
        if (err != 0) {
            return err;
        }
        p.gso_size = len > s->opt.segment ? s->opt.segment : 0;
        total = min_size(total, (size_t)p.hdr_len + s->opt.segment);
    }
    int judged = mtu_judge(st, s, total, &how);
    if (judged != 0) {
        local_error(st, env, s, dst, (uint32_t)-judged);
        return -ERR_MSGSIZE;
    }
    udp_record(st, env, EV_DGRAM_OUT, s, dst->port, len, p.v6);
    err = ip_send(st, env, &p, &how);
    st->stats.UdpOutDatagrams += !is_ping(s);
    if (UNLIKELY(s->opt.timestamping & TS_TX_FLAGS) && err == 0) {
        ts_sent(st, env, s, &p);
    }
    return err == 0 ? (int64_t)len : err;
}

/* More pieces than a packet has spans: copied together first. */
static int64_t transmit_gathered(struct stack *st, struct env *env, struct sock *s,
                                 const struct span *v, size_t n, const struct endpoint *dst,
                                 const struct addr *src)
{
    struct dgram *d = dgram_new(st, env, s, span_total(v, n));
    if (!d) {
        return -ERR_NOBUFS;
    }
    uint8_t *at = dgram_bytes(d);
    for (size_t i = 0; i < n; i++) {
        if (v[i].n > 0) {
            memcpy(at, v[i].p, v[i].n);
            at += v[i].n;
        }
    }
    struct span whole = {.p = dgram_bytes(d), .n = d->len};
    int64_t ret = transmit(st, env, s, &whole, 1, dst, src);
    dgram_free(st, d);
    return ret;
}

static int64_t cork_push(struct stack *st, struct env *env, struct udp *u)
{
    struct dgram *d = u->pending;
    struct span whole = {.p = d->data, .n = d->len};
    u->pending = NULL;
    int64_t ret = transmit(st, env, &u->s, &whole, 1, &d->info.from, &d->info.to);
    dgram_free(st, d);
    return ret;
}

/* MSG_MORE, UDP_CORK: the first piece fixes the destination, the one without MORE sends all. */
static int64_t send_corked(struct stack *st, struct env *env, struct udp *u, const struct span *v,
                           size_t n, bool more, const struct endpoint *to)
{
    size_t len = span_total(v, n);
    if (!u->pending) {
        struct endpoint dst;
        struct addr src;
        int err = destination(st, &u->s, to, &dst, &src);
        if (err != 0) {
            return err;
        }
        u->pending = dgram_new(st, env, &u->s, (size_t)MEM_PAGE << CORK_ORDER);
        if (!u->pending) {
            return -ERR_NOBUFS;
        }
        u->pending->len = 0;
        u->pending->info.from = dst;
        u->pending->info.to = src;
    }
    struct dgram *d = u->pending;
    if (len > UDP_LEN_MAX - HDR_LEN - d->len) {
        u->pending = NULL;
        dgram_free(st, d);
        return -ERR_MSGSIZE;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i].n > 0) {
            memcpy(d->data + d->len, v[i].p, v[i].n);
            d->len += (uint32_t)v[i].n;
        }
    }
    int64_t ret = more ? (int64_t)len : cork_push(st, env, u);
    return ret < 0 ? ret : (int64_t)len;
}

int64_t udp_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                 uint32_t flags, const struct endpoint *to)
{
    struct udp *u = udp_of(s);
    struct endpoint dst;
    struct addr src;
    size_t len = span_total(v, n);
    int err = autobind(st, env, s);

    if (err != 0) {
        return err;
    }
    if (len > UDP_LEN_MAX) {
        return -ERR_MSGSIZE;
    }
    if (flags & LX_MSG_OOB) {
        return -ERR_OPNOTSUPP;
    }
    bool more = u->cork || (flags & LX_MSG_MORE) != 0;
    if (!is_ping(s) && (more || u->pending)) {
        return send_corked(st, env, u, v, n, more, to);
    }
    err = destination(st, s, to, &dst, &src);
    if (err == 0 && s->err != ERR_OK) {
        err = udp_take_error(s);
    }
    if (err == 0 && s->snd_shut) {
        err = -ERR_PIPE;
    }
    if (err != 0) {
        return err;
    }
    int64_t ret = n <= PKT_SPAN_MAX ? transmit(st, env, s, v, n, &dst, &src)
                                    : transmit_gathered(st, env, s, v, n, &dst, &src);
    if (UNLIKELY(flags & LX_MSG_ZEROCOPY) && s->opt.zerocopy && ret > 0 && sock_side(st, env, s)) {
        zerocopy_done(st, env, s, s->side->zc_next++);
    }
    return ret;
}

int udp_setopt(struct stack *st, struct env *env, struct sock *s, int name, const void *val,
               size_t len)
{
    struct udp *u = udp_of(s);
    int32_t v;
    if (len < sizeof v) {
        return -ERR_INVAL;
    }
    memcpy(&v, val, sizeof v);
    if (is_ping(s)) {
        return -ERR_NOPROTOOPT;
    }
    switch (name) {
    case LX_UDP_CORK:
        u->cork = v != 0;
        if (!u->cork && u->pending) {
            (void)cork_push(st, env, u);
        }
        return 0;
    case LX_UDP_NO_CHECK6_TX:
        u->no_check_tx = v != 0;
        return 0;
    case LX_UDP_NO_CHECK6_RX:
        u->no_check_rx = v != 0;
        return 0;
    case LX_UDP_SEGMENT:
        if (v < 0 || v > UINT16_MAX) {
            return -ERR_INVAL;
        }
        s->opt.segment = (uint16_t)v;
        return 0;
    case LX_UDP_GRO:
        u->gro = v != 0;
        return 0;
    default:
        return -ERR_NOPROTOOPT;
    }
}

int udp_getopt(const struct sock *s, int name, void *val, size_t *len)
{
    const struct udp *u = (const void *)s;
    int32_t v;
    if (is_ping(s)) {
        return -ERR_NOPROTOOPT;
    }
    switch (name) {
    case LX_UDP_CORK:
        v = u->cork;
        break;
    case LX_UDP_NO_CHECK6_TX:
        v = u->no_check_tx;
        break;
    case LX_UDP_NO_CHECK6_RX:
        v = u->no_check_rx;
        break;
    case LX_UDP_SEGMENT:
        v = s->opt.segment;
        break;
    case LX_UDP_GRO:
        v = u->gro;
        break;
    default:
        return -ERR_NOPROTOOPT;
    }
    *len = min_size(*len, sizeof v);
    memcpy(val, &v, *len);
    return 0;
}
