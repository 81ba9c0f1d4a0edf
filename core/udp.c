/*
 * udp.c - theory of operation.
 *
 * Datagram sockets: UDP, and unprivileged ICMP echo sockets, which differ only in the header. Their
 * queues and what comes in; what goes out is in udp_snd.c.
 *
 * One struct dgram per datagram on the socket's queue, small payloads inside it, larger ones in a
 * page run, both charged against SO_RCVBUF as Linux charges its truesize. Errors that IP_RECVERR
 * wants are struct dgrams too, on a queue of their own.
 *
 * Errors follow udp(7): an ICMP error becomes the pending error of a connected socket when it is a
 * hard one, and of any socket when IP_RECVERR is set; the next call that is asked for data, or
 * takes some, is answered with it.
 */
#include "udp.h"

#include "check.h"
#include "csum.h"
#include "demux.h"
#include "ip.h"
#include "mcast.h"
#include "pollset.h"
#include "sock_errq.h"
#include "sock_priv.h"
#include "sock_side.h"
#include "sock_ts.h"
#include "stack.h"
#include "udp_priv.h"

void udp_record(struct stack *st, const struct env *env, enum event_kind kind, const struct sock *s,
                uint16_t rport, size_t len, bool v6)
{
    struct event *ev = event_begin(st->events, env, kind);
    ev->sock_id = s->obj.id;
    ev->why = kind == EV_DGRAM_OUT ? TX_DGRAM : 0;
    ev->proto = s->proto;
    ev->lport = s->flow.lport;
    ev->rport = rport;
    ev->u.pkt.len = (uint32_t)len;
    ev->u.pkt.ver = v6 ? 6 : 4;
    event_end(st->events);
}

static void drop(struct stack *st, struct env *env, enum drop why, const struct ip_hdr *ip)
{
    stack_drop(st, env, why, &(struct pkt_in){.p = ip->start, .len = ip->len});
}

/* --- datagrams in memory --- */

struct dgram *dgram_new(struct stack *st, struct env *env, struct sock *s, size_t len)
{
    unsigned order = 0;
    struct dgram *d = mem_obj_get(st->mem, env, MEM_DGRAM);
    if (!d) {
        return NULL;
    }
    if (len > sizeof d->small) {
        while (((size_t)MEM_PAGE << order) < len) {
            order++;
        }
        d->data = mem_pages_get(st->mem, env, order);
        if (!d->data) {
            mem_obj_put(st->mem, d);
            return NULL;
        }
        d->order = (uint8_t)order;
    }
    d->len = (uint32_t)len;
    d->owner = s;
    return d;
}

void dgram_free(struct stack *st, struct dgram *d)
{
    if (d->data) {
        mem_pages_put(st->mem, d->data, d->order);
    }
    mem_obj_put(st->mem, d);
}

static uint32_t dgram_charge(const struct dgram *d)
{
    return (uint32_t)sizeof *d + (d->data ? MEM_PAGE << d->order : 0);
}

static void queue_put(struct udp *u, struct dgram *d)
{
    d->next = NULL;
    *(u->tail ? &u->tail->next : &u->head) = d;
    u->tail = d;
    u->queued += dgram_charge(d);
}

static struct dgram *queue_take(struct udp *u)
{
    struct dgram *d = u->head;
    u->head = d->next;
    if (!u->head) {
        u->tail = NULL;
    }
    u->queued -= dgram_charge(d);
    return d;
}

static bool queue_room(const struct stack *st, const struct udp *u, size_t len)
{
    int32_t set = u->s.opt.rcvbuf;
    uint32_t rcvbuf = (uint32_t)(set >= 0 ? set : st->knobs.rmem_default);
    size_t charge = sizeof(struct dgram) + (len > sizeof((struct dgram *)0)->small ? len : 0);
    return u->queued == 0 || u->queued + charge <= rcvbuf; /* Linux: an empty queue takes one */
}

/* --- receiving --- */

size_t dgram_scatter(const struct dgram *d, struct mspan *v, size_t n)
{
    const uint8_t *p = d->data ? d->data : d->small;
    size_t at = 0;
    for (size_t i = 0; i < n && at < d->len; i++) {
        size_t take = min_size(v[i].n, d->len - at);
        if (take > 0) {
            memcpy(v[i].p, p + at, take);
            at += take;
        }
    }
    return at;
}

/* What the socket's options ask for, of what the datagram knows. */
void dgram_info(const struct sock *s, const struct dgram *d, struct recv_info *info)
{
    bool v6 = !addr_is4(&d->info.from.addr);
    *info = d->info;
    info->have_from = true;
    info->have_pktinfo = s->opt.pktinfo || s->opt.pktinfo6;
    info->have_ttl = v6 ? s->opt.recvhoplimit : s->opt.recvttl;
    info->have_tos = v6 ? s->opt.recvtclass : s->opt.recvtos;
    ts_fill(s, info, false);
    info->have_origdst = v6 ? s->opt.origdst6 : s->opt.origdst;
    info->to_port = s->flow.lport;
}

int64_t udp_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                 uint32_t flags, struct recv_info *info)
{
    struct udp *u = udp_of(s);
    struct dgram *d = u->head;
    struct recv_info unused;

    (void)env;
    if (flags & LX_MSG_ERRQUEUE) {
        return errq_recv(st, s, v, n, info);
    }
    if (s->err != ERR_OK) {
        return udp_take_error(s);
    }
    if (!d) {
        return s->rcv_shut && (flags & LX_MSG_DONTWAIT) == 0 ? 0 : -ERR_AGAIN;
    }
    info = info ? info : &unused;
    dgram_info(s, d, info);
    size_t copied = dgram_scatter(d, v, n);
    size_t len = d->len;
    info->flags = copied < len ? (uint32_t)LX_MSG_TRUNC : 0;
    if ((flags & LX_MSG_PEEK) == 0) {
        (void)queue_take(u);
        dgram_free(st, d);
    }
    return (int64_t)((flags & LX_MSG_TRUNC) != 0 ? len : copied);
}

/* --- packets in --- */

static bool csum_right(const struct ip_hdr *ip, const struct udp_hdr *h, size_t len)
{
    if (ip->csum_ok) {
        return true; /* to ourselves: it was not made at all */
    }
    if (be16_get(h->csum) == 0) {
        return true; /* RFC 768: none was made; IPv6: is_bare */
    }
    return csum_good(
        csum_add(csum_pseudo(&ip->src, &ip->dst, LX_IPPROTO_UDP, (uint32_t)len), ip->payload, len));
}

/* IPv6 without a checksum: RFC 8200 8.1 forbids it but to whom has agreed to it (RFC 6935 5). */
static bool is_bare(const struct ip_hdr *ip)
{
    const struct udp_hdr *h = (const void *)ip->payload;
    return ip->v6 && !ip->csum_ok && be16_get(h->csum) == 0;
}

/* Queues the bytes [p, p + len) of a packet. */
static void accept_one(struct stack *st, struct env *env, struct sock *s, const struct ip_hdr *ip,
                       uint16_t sport, struct span bytes)
{
    struct udp *u = udp_of(s);
    struct dgram *d = NULL;
    bool room = queue_room(st, u, bytes.n);

    st->touching = s;
    if (room) {
        d = dgram_new(st, env, s, bytes.n);
    }
    if (!d) {
        u->dropped++;
        st->stats.UdpRcvbufErrors++;
        drop(st, env, room ? DROP_NO_MEMORY : DROP_UDP_BUFFER, ip);
    } else {
        if (bytes.n > 0) {
            memcpy(dgram_bytes(d), bytes.p, bytes.n);
        }
        d->info.from = (struct endpoint){.addr = ip->src, .port = sport};
        d->info.to = ip->dst;
        d->info.ttl = ip->ttl;
        d->info.tos = ip->tos;
        d->info.stamp = env->real;
        d->info.dropped = s->opt.rxq_ovfl ? u->dropped : 0;
        d->info.segment = bytes.n > ip->gso_size ? ip->gso_size : 0;
        d->number = ++st->dgram_number; /* not 0: it is complete */
        queue_put(u, d);
        st->stats.UdpInDatagrams += !is_ping(s);
        udp_record(st, env, EV_DGRAM_IN, s, sport, bytes.n, ip->v6);
        sock_notify(st, s, LX_POLLIN | LX_POLLRDNORM);
    }
    st->touching = NULL;
}

/* A super-datagram of a local peer comes as it is to who wants it so (UDP_GRO), else in pieces. */
static void accept_bytes(struct stack *st, struct env *env, struct sock *s, const struct ip_hdr *ip,
                         uint16_t sport, struct span bytes)
{
    if (!is_ping(s) && is_bare(ip) && !udp_of(s)->no_check_rx) {
        drop(st, env, DROP_UDP_CHECKSUM, ip);
        return;
    }
    size_t each = ip->gso_size != 0 && !udp_of(s)->gro ? ip->gso_size : bytes.n;
    do {
        struct span piece = {.p = bytes.p, .n = min_size(bytes.n, each)};
        accept_one(st, env, s, ip, sport, piece);
        bytes.p += piece.n;
        bytes.n -= piece.n;
    } while (bytes.n > 0);
}

static struct flow flow_of(const struct ip_hdr *ip, uint16_t lport, uint16_t rport)
{
    return (struct flow){.laddr = ip->dst, .raddr = ip->src, .lport = lport, .rport = rport};
}

/* RFC 1122 4.1.3.3: a copy for every socket it fits; nobody is told when there is none. */
static void accept_many(struct stack *st, struct env *env, const struct ip_hdr *ip,
                        const struct flow *f, struct span bytes)
{
    uint32_t n = 0;
    for (struct sock *s = demux_each(st, LX_IPPROTO_UDP, f, NULL); s;
         s = demux_each(st, LX_IPPROTO_UDP, f, s)) {
        bool all = ip->v6 ? s->opt.mcast_all6 : s->opt.mcast_all;
        if (!addr_is_multicast(&ip->dst) || mcast_wanted(st, s, &ip->dst, &ip->src, all)) {
            accept_bytes(st, env, s, ip, f->rport, bytes);
            n++;
        }
    }
    if (n == 0) {
        drop(st, env, DROP_UDP_NO_SOCKET, ip);
    }
}

bool udp_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    const struct udp_hdr *h = (const void *)ip->payload;
    if (ip->payload_len < sizeof *h) {
        drop(st, env, DROP_UDP_SHORT, ip);
        return true;
    }
    size_t len = be16_get(h->len);
    if (len < sizeof *h || len > ip->payload_len) {
        drop(st, env, DROP_UDP_LENGTH, ip);
        return true;
    }
    if (!csum_right(ip, h, len)) {
        drop(st, env, DROP_UDP_CHECKSUM, ip);
        return true;
    }
    struct flow f = flow_of(ip, be16_get(h->dport), be16_get(h->sport));
    struct span bytes = {.p = ip->payload + sizeof *h, .n = len - sizeof *h};
    if (UNLIKELY(addr_is_multicast(&ip->dst) || ip_is_broadcast(st, &ip->dst))) {
        accept_many(st, env, ip, &f, bytes);
        return true;
    }
    struct sock *s = demux_bound(st, LX_IPPROTO_UDP, &f);
    if (!s) {
        st->stats.UdpNoPorts++;
        drop(st, env, DROP_UDP_NO_SOCKET, ip);
        return is_bare(ip);
    }
    accept_bytes(st, env, s, ip, f.rport, bytes);
    return true;
}

void udp_ping_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    const struct echo_hdr *h = (const void *)ip->payload;
    struct flow f = flow_of(ip, be16_get(h->id), 0);
    struct sock *s = demux_bound(st, ip->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP, &f);
    if (s) {
        accept_bytes(st, env, s, ip, 0, (struct span){.p = ip->payload, .n = ip->payload_len});
    }
}

/* Linux, __udp4_lib_err: without IP_RECVERR only hard errors of connected sockets are told. */
void udp_icmp_error(struct stack *st, struct env *env, struct sock *s, enum err err, bool hard,
                    const struct recv_info *ee, const struct span *quoted)
{
    bool wanted = addr_is4(&ee->from.addr) ? s->opt.recverr : s->opt.recverr6;
    if (!wanted && (!hard || !s->connected)) {
        return;
    }
    if (wanted) {
        errq_put(st, env, s, ee, quoted, 1);
    }
    s->err = (uint8_t)err;
    sock_notify(st, s, LX_POLLERR | LX_POLLPRI);
}

/* --- the rest --- */

void udp_init(struct stack *st, struct sock *s)
{
    (void)st;
    (void)s;
}

int udp_shutdown(struct stack *st, struct env *env, struct sock *s, int how)
{
    (void)env;
    s->rcv_shut = s->rcv_shut || how != LX_SHUT_WR;
    s->snd_shut = s->snd_shut || how != LX_SHUT_RD;
    sock_notify(st, s, NOTIFY_ALL);         /* Linux: sk_state_change */
    return s->connected ? 0 : -ERR_NOTCONN; /* Linux: the flags are set nevertheless */
}

void udp_close(struct stack *st, struct env *env, struct sock *s)
{
    struct udp *u = udp_of(s);
    while (u->head) {
        dgram_free(st, queue_take(u));
    }
    if (u->pending) {
        dgram_free(st, u->pending);
        u->pending = NULL;
    }
    mcast_leave_all(st, env, s);
    sock_free(st, s);
}

uint32_t udp_ready(const struct stack *st, const struct sock *s)
{
    const struct udp *u = (const void *)s;
    uint32_t bits = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;
    (void)st;
    if (s->err != ERR_OK || errq_any(s)) {
        bits |= LX_POLLERR | (s->opt.select_err ? LX_POLLPRI : 0);
    }
    if (s->rcv_shut) {
        bits |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
    }
    if (s->rcv_shut && s->snd_shut) {
        bits |= LX_POLLHUP;
    }
    if (u->head) {
        bits |= LX_POLLIN | LX_POLLRDNORM;
    }
    return bits;
}

int64_t udp_ioctl(struct stack *st, struct sock *s, uint32_t request)
{
    const struct udp *u = udp_of(s);
    (void)st;
    switch (request) {
    case LX_SIOCINQ:
        return u->head ? u->head->len : 0; /* of the first one */
    case LX_SIOCOUTQ:
        return 0;
    default:
        return -ERR_NOPROTOOPT;
    }
}

/* --- recovery --- */

/* Behind the last datagram that came before it. They are met by number of place, which is nearly
 * that order. */
static void queue_insert(struct udp *u, struct dgram *d)
{
    struct dgram **at = &u->head;
    if (u->tail && u->tail->number < d->number) {
        at = &u->tail->next;
    }
    while (*at && (*at)->number < d->number) {
        at = &(*at)->next;
    }
    d->next = *at;
    *at = d;
    if (!d->next) {
        u->tail = d;
    }
    u->queued += dgram_charge(d);
}

static bool dgram_whole(struct stack *st, struct dgram *d)
{
    if (!sock_live(st, d->owner) || (d->is_err ? !d->owner->side : d->owner->obj.kind != MEM_UDP)) {
        return false;
    }
    if (!d->data) {
        return d->len <= sizeof d->small;
    }
    return d->order <= MEM_ORDER_MAX && d->len <= (size_t)MEM_PAGE << d->order &&
           mem_mark_pages(st->mem, d->data, d->order);
}

void udp_rebuild(struct stack *st, struct env *env)
{
    (void)env;
    for (struct udp *u = mem_obj_next(st->mem, MEM_UDP, NULL); u;
         u = mem_obj_next(st->mem, MEM_UDP, u)) {
        u->s.watches = NULL;
        u->head = u->tail = NULL;
        u->pending = NULL; /* half of a datagram: lost */
        u->queued = 0;
        u->s.orphan = false;
        if (u->s.family == 0 || !sock_held(&u->s)) {
            sock_side_free(st, &u->s);
            mem_obj_put(st->mem, u);
        }
    }
    for (struct dgram *d = mem_obj_next(st->mem, MEM_DGRAM, NULL); d;
         d = mem_obj_next(st->mem, MEM_DGRAM, d)) {
        if (d->number == 0 || !dgram_whole(st, d)) {
            mem_obj_put(st->mem, d);
        } else if (d->is_err) {
            errq_rebuild_one(d);
        } else {
            queue_insert(udp_of(d->owner), d);
        }
    }
}
