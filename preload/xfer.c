/*
 * Theory: a receive tells more than bytes in control messages. They are written in Linux's order
 * and with its rules for a buffer that is too small: what does not fit is cut, MSG_CTRUNC says
 * so, and msg_controllen is what was used.
 */
#include "preload/xfer.h"

#include <errno.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/time.h>

#include "core/abi.h"
#include "core/check.h"
#include "preload/decide.h"
#include "preload/hook.h"
#include "preload/sa.h"

#ifndef TCP_CM_INQ
#define TCP_CM_INQ 36
#endif

long xfer_load(const struct iovec *iov, size_t n, size_t skip, bool null_ok, struct mspan *out,
               size_t *total)
{
    size_t sum = 0;
    size_t spans = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = iov[i].iov_len;
        if (len > SSIZE_MAX) {
            return -EINVAL;
        }
        if (UNLIKELY(!iov[i].iov_base && len > 0 && !null_ok)) {
            return -EFAULT;
        }
        len = min_size(len, XFER_MAX - sum);
        sum += len;
        size_t gone = min_size(skip, len);
        skip -= gone;
        if (len > gone) {
            out[spans].p = (uint8_t *)iov[i].iov_base + gone;
            out[spans].n = len - gone;
            spans++;
        }
    }
    *total = sum;
    return (long)spans;
}

struct cmsgs {
    uint8_t *at;
    size_t left;
    size_t used;
    bool cut;
};

static void put(struct cmsgs *c, int level, int type, const void *data, size_t len)
{
    if (c->left < sizeof(struct cmsghdr)) {
        c->cut = true;
        return;
    }
    struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    if (c->left < h.cmsg_len) {
        c->cut = true;
        h.cmsg_len = c->left;
    }
    memcpy(c->at, &h, sizeof h);
    memcpy(c->at + sizeof h, data, h.cmsg_len - sizeof h);
    size_t step = min_size(CMSG_SPACE(len), c->left);
    c->at += step;
    c->left -= step;
    c->used += step;
}

static void put_stamp(struct cmsgs *c, const struct recv_info *info, const struct sock *s)
{
    if (s->opt.timestampns) {
        struct timespec ts = {.tv_sec = info->stamp / SEC, .tv_nsec = info->stamp % SEC};
        put(c, SOL_SOCKET, SCM_TIMESTAMPNS, &ts, sizeof ts);
    } else {
        struct timeval tv = {.tv_sec = info->stamp / SEC, .tv_usec = info->stamp % SEC / USEC};
        put(c, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof tv);
    }
}

/* struct scm_timestamping: in software; two of hardware, which there is none of. */
static void put_tstamping(struct cmsgs *c, const struct recv_info *info)
{
    struct timespec ts[3] = {{.tv_sec = info->stamp / SEC, .tv_nsec = info->stamp % SEC}};
    put(c, SOL_SOCKET, SO_TIMESTAMPING, ts, sizeof ts);
}

static void put_pktinfo(struct cmsgs *c, const struct recv_info *info, const struct sock *s,
                        int ifindex)
{
    if (s->opt.pktinfo6 && s->family == AF_INET6) {
        struct in6_pktinfo p = {.ipi6_ifindex = (unsigned)ifindex};
        memcpy(&p.ipi6_addr, info->to.b, sizeof p.ipi6_addr);
        put(c, IPPROTO_IPV6, IPV6_PKTINFO, &p, sizeof p);
    }
    if (s->opt.pktinfo && addr_is4(&info->to)) {
        struct in_pktinfo p = {.ipi_ifindex = ifindex};
        memcpy(&p.ipi_spec_dst, addr_bytes4(&info->to), 4);
        memcpy(&p.ipi_addr, addr_bytes4(&info->to), 4);
        put(c, IPPROTO_IP, IP_PKTINFO, &p, sizeof p);
    }
}

static void put_ttl_tos(struct cmsgs *c, const struct recv_info *info, const struct sock *s)
{
    bool v6 = s->family == AF_INET6 && !addr_is4(&info->from.addr);
    if (info->have_ttl) {
        int ttl = info->ttl;
        put(c, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HOPLIMIT : IP_TTL, &ttl, sizeof ttl);
    }
    if (info->have_tos && v6) {
        int tclass = info->tos;
        put(c, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof tclass);
    } else if (info->have_tos) {
        put(c, IPPROTO_IP, IP_TOS, &info->tos, 1);
    }
}

/* IP_ORIGDSTADDR, IPV6_ORIGDSTADDR: whom the datagram was sent to, as an address. */
static void put_origdst(struct cmsgs *c, const struct recv_info *info, const struct sock *s)
{
    struct endpoint to = {.addr = info->to, .port = info->to_port};
    bool v6 = s->family == AF_INET6 && !addr_is4(&info->to);
    struct sockaddr_storage sa;
    socklen_t len = sa_of(&to, v6 ? AF_INET6 : AF_INET, &sa);
    put(c, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? LX_IPV6_ORIGDSTADDR : LX_IP_ORIGDSTADDR, &sa, len);
}

static void put_err(struct cmsgs *c, const struct recv_info *info, const struct sock *s)
{
    struct {
        struct sock_extended_err ee;
        union {
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } offender;
    } e;
    memset(&e, 0, sizeof e);
    e.ee.ee_errno = info->ee.err ? (uint32_t)-errno_of(-(int64_t)info->ee.err) : 0;
    e.ee.ee_origin = info->ee.origin;
    e.ee.ee_type = info->ee.type;
    e.ee.ee_code = info->ee.code;
    e.ee.ee_info = info->ee.info;
    e.ee.ee_data = info->ee.data;
    bool icmp = e.ee.ee_origin == SO_EE_ORIGIN_ICMP || e.ee.ee_origin == SO_EE_ORIGIN_ICMP6;
    struct sockaddr_storage sa;
    socklen_t len = sa_of(&info->ee.offender, s->family, &sa);
    if (icmp) { /* for others the address is all zero */
        memcpy(&e.offender, &sa, len);
    }
    bool v6 = s->family == AF_INET6;
    put(c, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &e, sizeof e.ee + len);
}

void xfer_cmsg(struct msghdr *msg, const struct recv_info *info, const struct sock *s, int ifindex)
{
    struct cmsgs c = {.at = msg->msg_control, .left = msg->msg_control ? msg->msg_controllen : 0};
    if (info->have_stamp) {
        put_stamp(&c, info, s);
    }
    if (info->have_tstamping) {
        put_tstamping(&c, info);
    }
    if (info->dropped != 0) {
        put(&c, SOL_SOCKET, SO_RXQ_OVFL, &info->dropped, sizeof info->dropped);
    }
    if (info->segment != 0) {
        int segment = info->segment;
        put(&c, IPPROTO_UDP, LX_UDP_GRO, &segment, sizeof segment);
    }
    if (info->have_pktinfo) {
        put_pktinfo(&c, info, s, ifindex);
    }
    put_ttl_tos(&c, info, s);
    if (info->have_origdst) {
        put_origdst(&c, info, s);
    }
    if (info->have_err) {
        put_err(&c, info, s);
    }
    if (info->have_inq) {
        int inq = (int)info->inq;
        put(&c, IPPROTO_TCP, TCP_CM_INQ, &inq, sizeof inq);
    }
    msg->msg_controllen = c.used;
    msg->msg_flags = (int)info->flags | (c.cut ? MSG_CTRUNC : 0);
}

/* One number within [low, high] in a message of exactly that size. */
static int ctl_number(const struct cmsghdr *h, const uint8_t *data, int low, int high, int *out)
{
    int v;
    if (h->cmsg_len == CMSG_LEN(1) && h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TOS) {
        v = *data;
    } else if (h->cmsg_len == CMSG_LEN(sizeof v)) {
        memcpy(&v, data, sizeof v);
    } else {
        return -EINVAL;
    }
    if (v < low || v > high) {
        return -EINVAL;
    }
    *out = v;
    return 0;
}

static int ctl_ip4(const struct cmsghdr *h, const uint8_t *data, struct send_ctl *out)
{
    struct in_pktinfo p;
    switch (h->cmsg_type) {
    case IP_TTL:
        return ctl_number(h, data, 1, 255, &out->ttl);
    case IP_TOS:
        return ctl_number(h, data, 0, 255, &out->tos);
    case IP_PKTINFO:
        if (h->cmsg_len != CMSG_LEN(sizeof p)) {
            return -EINVAL;
        }
        memcpy(&p, data, sizeof p);
        out->have_src = p.ipi_spec_dst.s_addr != 0;
        out->src = addr_of4((const uint8_t *)&p.ipi_spec_dst);
        return 0;
    default:
        return -EINVAL;
    }
}

static int ctl_ip6(const struct cmsghdr *h, const uint8_t *data, struct send_ctl *out)
{
    struct in6_pktinfo p;
    switch (h->cmsg_type) {
    case IPV6_HOPLIMIT:
        return ctl_number(h, data, -1, 255, &out->ttl);
    case IPV6_TCLASS:
        return ctl_number(h, data, -1, 255, &out->tos);
    case IPV6_DONTFRAG:
        return ctl_number(h, data, 0, 1, &out->dontfrag);
    case IPV6_PKTINFO:
        if (h->cmsg_len < CMSG_LEN(sizeof p)) {
            return -EINVAL;
        }
        memcpy(&p, data, sizeof p);
        out->src = addr_of6(p.ipi6_addr.s6_addr);
        out->have_src = !addr_is_any(&out->src);
        return 0;
    default:
        return -EINVAL;
    }
}

static int ctl_udp(const struct cmsghdr *h, const uint8_t *data, struct send_ctl *out)
{
    uint16_t each;
    if (h->cmsg_type != LX_UDP_SEGMENT || h->cmsg_len != CMSG_LEN(sizeof each)) {
        return -EINVAL;
    }
    memcpy(&each, data, sizeof each);
    out->segment = each;
    return 0;
}

#define STAMP_MOMENTS                                                                          \
    (SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | \
     SOF_TIMESTAMPING_TX_ACK)

static int ctl_sol(const struct cmsghdr *h, const uint8_t *data, struct send_ctl *out)
{
    uint32_t v;
    if (h->cmsg_type != SO_TIMESTAMPING) {
        return 0;
    }
    if (h->cmsg_len != CMSG_LEN(sizeof v)) {
        return -EINVAL;
    }
    memcpy(&v, data, sizeof v);
    if (v & ~(uint32_t)STAMP_MOMENTS) {
        return -EINVAL;
    }
    out->stamps = v;
    return 0;
}

uint32_t xfer_stamps(uint32_t flags, int64_t asked)
{
    return asked < 0 ? flags : (flags & ~(uint32_t)STAMP_MOMENTS) | (uint32_t)asked;
}

int xfer_ctl(const struct msghdr *msg, bool stream, struct send_ctl *out)
{
    *out = (struct send_ctl){.ttl = -1, .tos = -1, .segment = -1, .dontfrag = -1, .stamps = -1};
    size_t total = msg && msg->msg_control ? msg->msg_controllen : 0;
    size_t at = 0;
    while (total - at >= sizeof(struct cmsghdr)) {
        const uint8_t *p = (const uint8_t *)msg->msg_control + at;
        struct cmsghdr h;
        int err = 0;
        memcpy(&h, p, sizeof h);
        if (h.cmsg_len < sizeof h || h.cmsg_len > total - at) {
            return -EINVAL;
        }
        if (h.cmsg_level == SOL_SOCKET) {
            err = ctl_sol(&h, p + CMSG_LEN(0), out);
        } else if (stream) {
            err = 0;
        } else if (h.cmsg_level == IPPROTO_IP) {
            err = ctl_ip4(&h, p + CMSG_LEN(0), out);
        } else if (h.cmsg_level == IPPROTO_IPV6) {
            err = ctl_ip6(&h, p + CMSG_LEN(0), out);
        } else if (h.cmsg_level == IPPROTO_UDP) {
            err = ctl_udp(&h, p + CMSG_LEN(0), out);
        }
        if (err < 0) {
            return err;
        }
        at += min_size(CMSG_ALIGN(h.cmsg_len), total - at);
    }
    return 0;
}

/* A port of its own before the source is lent: the port must not be bound to that address. */
static int ctl_bind(struct stack *st, struct env *env, struct sock *s)
{
    if (s->bound) {
        return 0;
    }
    struct endpoint any = {.addr = s->family == LX_AF_INET6 ? addr_any6 : addr_any4};
    return sock_bind(st, env, s, &any, true);
}

int xfer_ctl_on(struct stack *st, struct env *env, struct sock *s, struct send_ctl *c,
                struct sock *saved)
{
    if (c->have_src && !decide_ours(&c->src)) {
        return -EINVAL;
    }
    int err = c->have_src ? ctl_bind(st, env, s) : 0;
    *saved = *s;
    if (err < 0) {
        return (int)errno_of(err);
    }
    if (c->ttl >= 0) {
        s->opt.ttl = (int16_t)c->ttl;
        s->opt.hoplimit = (int16_t)c->ttl;
        s->opt.mcast_ttl = (int16_t)c->ttl;
    }
    if (c->tos >= 0) {
        s->opt.tos = (uint8_t)c->tos;
        s->opt.tclass = (uint8_t)c->tos;
    }
    if (c->segment >= 0) {
        s->opt.segment = (uint16_t)c->segment;
    }
    if (c->dontfrag >= 0) {
        s->opt.dontfrag6 = c->dontfrag != 0;
    }
    s->opt.timestamping = xfer_stamps(s->opt.timestamping, c->stamps);
    if (c->have_src) {
        s->flow.laddr = c->src;
        s->bound_addr = true;
    }
    return 0;
}

void xfer_ctl_off(struct sock *s, const struct sock *saved)
{
    s->opt.ttl = saved->opt.ttl;
    s->opt.hoplimit = saved->opt.hoplimit;
    s->opt.mcast_ttl = saved->opt.mcast_ttl;
    s->opt.tos = saved->opt.tos;
    s->opt.tclass = saved->opt.tclass;
    s->opt.segment = saved->opt.segment;
    s->opt.dontfrag6 = saved->opt.dontfrag6;
    s->opt.timestamping = saved->opt.timestamping;
    if (saved->bound) { /* else the send itself has bound it */
        s->flow.laddr = saved->flow.laddr;
    }
    s->bound_addr = saved->bound_addr;
}
