/*
 * netcfg.c - theory of operation: a little rtnetlink.
 *
 * A request is a header, a fixed body and attributes, sent and answered on one socket. Changes ask
 * for an acknowledgment; questions are dumps, walked message by message with a callback that may
 * stop early by what it remembers. Addresses inside are core's (IPv4-mapped) and are turned into
 * the kernel's at this edge only.
 *
 * Why not libnl: the keeper is a static program of a few hundred kilobytes that needs five
 * requests.
 */
#include "tun/netcfg.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/check.h"
#include "tun/sysio.h"

#define REPLY_MAX 32768

#ifndef IN6_ADDR_GEN_MODE_NONE
#define IN6_ADDR_GEN_MODE_NONE 1
#endif

struct request {
    struct nlmsghdr h;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
        struct rtgenmsg gen;
    } body;
    uint8_t attrs[256];
};

int netcfg_open(struct netcfg *nc)
{
    struct sockaddr_nl me = {.nl_family = AF_NETLINK};
    *nc = (struct netcfg){.fd = sys_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (nc->fd < 0) {
        return nc->fd;
    }
    int err = sys_bind(nc->fd, &me, sizeof me);
    if (err) {
        netcfg_close(nc);
    }
    return err;
}

void netcfg_close(struct netcfg *nc)
{
    sys_close(nc->fd);
    nc->fd = -1;
}

int netcfg_index(const char *name)
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    int fd = sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    int err = sys_ioctl(fd, SIOCGIFINDEX, &ifr);
    sys_close(fd);
    return err ? err : ifr.ifr_ifindex;
}

/* Requests */

static void req_init(struct request *r, uint16_t type, uint16_t flags, size_t body)
{
    memset(r, 0, sizeof *r);
    r->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
    r->h.nlmsg_type = type;
    r->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
}

/* Appends an attribute; returns it, for nesting. */
static struct rtattr *req_attr(struct request *r, unsigned type, const void *data, size_t len)
{
    size_t at = NLMSG_ALIGN(r->h.nlmsg_len);
    struct rtattr *a = (struct rtattr *)(void *)((uint8_t *)r + at);

    CHECK(at + RTA_SPACE(len) <= sizeof *r);
    a->rta_type = (uint16_t)type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    if (len) {
        memcpy(RTA_DATA(a), data, len);
    }
    r->h.nlmsg_len = (uint32_t)(at + RTA_ALIGN(a->rta_len));
    return a;
}

static void req_attr_end(struct request *r, struct rtattr *nest)
{
    nest->rta_len = (uint16_t)((uint8_t *)r + r->h.nlmsg_len - (uint8_t *)nest);
}

static int req_send(struct netcfg *nc, struct request *r)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    r->h.nlmsg_seq = ++nc->seq;
    long n = sys_sendto(nc->fd, r, r->h.nlmsg_len, 0, &kernel, sizeof kernel);
    return n < 0 ? (int)n : 0;
}

typedef void msg_fn(const struct nlmsghdr *h, void *arg);

/* Walks one datagram of answers. 1: all is said; 0: more to come; -errno. */
static int reply_walk(const uint8_t *buf, size_t len, uint32_t number, msg_fn *fn, void *arg)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;

    for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
        if (h->nlmsg_seq != number) {
            continue; /* the rest of a dump that nobody wanted any more */
        }
        if (h->nlmsg_type == NLMSG_DONE) {
            return 1;
        }
        if (h->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *e = NLMSG_DATA(h);
            return e->error ? e->error : 1;
        }
        if (fn) {
            fn(h, arg);
        }
    }
    return 0;
}

static int req_run(struct netcfg *nc, struct request *r, msg_fn *fn, void *arg)
{
    static uint8_t buf[REPLY_MAX] __attribute__((aligned(8)));
    int ret = req_send(nc, r);

    while (ret == 0) {
        long n = sys_recv(nc->fd, buf, sizeof buf, 0);
        if (n < 0 && n != -EINTR) {
            return (int)n;
        }
        if (n > 0) {
            ret = reply_walk(buf, (size_t)n, nc->seq, fn, arg);
        }
    }
    return ret < 0 ? ret : 0;
}

static int dump(struct netcfg *nc, uint16_t type, uint8_t family, msg_fn *fn, void *arg)
{
    struct request r;
    req_init(&r, type, NLM_F_DUMP, sizeof r.body);
    r.body.gen.rtgen_family = family;
    return req_run(nc, &r, fn, arg);
}

/* The link */

/* Without a link-local address the kernel sends no router solicitations into the device. */
static void attr_no_linklocal(struct request *r)
{
    uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
    struct rtattr *spec = req_attr(r, IFLA_AF_SPEC, NULL, 0);
    struct rtattr *inet6 = req_attr(r, AF_INET6, NULL, 0);
    req_attr(r, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
    req_attr_end(r, inet6);
    req_attr_end(r, spec);
}

static void setlink_init(struct request *r, int ifindex)
{
    req_init(r, RTM_SETLINK, NLM_F_ACK, sizeof r->body.link);
    r->body.link.ifi_index = ifindex;
}

/* The queue's length before the device is up: changed later, the kernel waits a millisecond for all
 * readers to see it. */
int netcfg_up(struct netcfg *nc, int ifindex, uint32_t mtu, uint32_t txqueuelen)
{
    struct request r;

    setlink_init(&r, ifindex);
    attr_no_linklocal(&r);
    req_run(nc, &r, NULL, NULL); /* fails where IPv6 is off, and then is not needed */

    setlink_init(&r, ifindex);
    req_attr(&r, IFLA_MTU, &mtu, sizeof mtu);
    req_attr(&r, IFLA_TXQLEN, &txqueuelen, sizeof txqueuelen);
    int err = req_run(nc, &r, NULL, NULL);
    if (err) {
        return err;
    }
    setlink_init(&r, ifindex);
    r.body.link.ifi_flags = IFF_UP;
    r.body.link.ifi_change = IFF_UP;
    return req_run(nc, &r, NULL, NULL);
}

struct link_look {
    int ifindex;
    uint32_t mtu;
    bool up;
};

static void look_link(const struct nlmsghdr *h, void *arg)
{
    const struct ifinfomsg *m = NLMSG_DATA(h);
    struct link_look *look = arg;
    size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);

    if (h->nlmsg_type != RTM_NEWLINK || m->ifi_index != look->ifindex) {
        return;
    }
    look->up = (m->ifi_flags & IFF_UP) != 0;
    for (const struct rtattr *a = IFLA_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type == IFLA_MTU) {
            memcpy(&look->mtu, RTA_DATA(a), sizeof look->mtu);
        }
    }
}

bool netcfg_is_up(struct netcfg *nc, int ifindex, uint32_t mtu)
{
    struct link_look look = {.ifindex = ifindex};
    return dump(nc, RTM_GETLINK, AF_UNSPEC, look_link, &look) == 0 && look.up && look.mtu == mtu;
}

/* Addresses */

int netcfg_addr_add(struct netcfg *nc, int ifindex, const struct ifaddr *a)
{
    bool v4 = addr_is4(&a->addr);
    const void *bytes = v4 ? (const void *)addr_bytes4(&a->addr) : (const void *)&a->addr;
    size_t len = v4 ? 4 : 16;
    struct request r;

    req_init(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof r.body.addr);
    r.body.addr.ifa_family = v4 ? AF_INET : AF_INET6;
    r.body.addr.ifa_prefixlen = a->bits;
    r.body.addr.ifa_flags = v4 ? 0 : IFA_F_NODAD;
    r.body.addr.ifa_index = (uint32_t)ifindex;
    req_attr(&r, IFA_LOCAL, bytes, len);
    req_attr(&r, IFA_ADDRESS, bytes, len);
    return req_run(nc, &r, NULL, NULL);
}

struct addr_look {
    int ifindex;
    const struct ifaddr *a;
    bool have;  /* the device has the address itself */
    bool taken; /* another device's subnet overlaps */
};

/* An address attribute of either family as core's. */
static struct addr addr_of_attr(const struct rtattr *a)
{
    return RTA_PAYLOAD(a) == 4 ? addr_of4(RTA_DATA(a)) : addr_of6(RTA_DATA(a));
}

static bool overlap(const struct ifaddr *a, const struct addr *b, unsigned bits)
{
    return addr_is4(&a->addr) == addr_is4(b) &&
           addr_in_prefix(&a->addr, b, a->bits < bits ? a->bits : bits);
}

static void look_addr(const struct nlmsghdr *h, void *arg)
{
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    struct addr_look *look = arg;
    size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);

    if (h->nlmsg_type != RTM_NEWADDR) {
        return;
    }
    for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type != IFA_ADDRESS && a->rta_type != IFA_LOCAL) {
            continue;
        }
        struct addr at = addr_of_attr(a);
        if ((int)m->ifa_index != look->ifindex) {
            look->taken = look->taken || overlap(look->a, &at, m->ifa_prefixlen);
        } else if (addr_eq(&at, &look->a->addr)) {
            look->have = true;
        }
    }
}

static void look_route(const struct nlmsghdr *h, void *arg)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    struct addr_look *look = arg;
    size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    bool hit = false, mine = false;

    if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_dst_len == 0 || m->rtm_table != RT_TABLE_MAIN) {
        return;
    }
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type == RTA_DST) {
            struct addr at = addr_of_attr(a);
            hit = overlap(look->a, &at, m->rtm_dst_len);
        } else if (a->rta_type == RTA_OIF) {
            mine = memcmp(RTA_DATA(a), &look->ifindex, sizeof look->ifindex) == 0;
        }
    }
    look->taken = look->taken || (hit && !mine);
}

bool netcfg_addr_have(struct netcfg *nc, int ifindex, const struct ifaddr *a)
{
    struct addr_look look = {.ifindex = ifindex, .a = a};
    uint8_t family = addr_is4(&a->addr) ? AF_INET : AF_INET6;
    return dump(nc, RTM_GETADDR, family, look_addr, &look) == 0 && look.have;
}

bool netcfg_taken(struct netcfg *nc, int ifindex, const struct ifaddr *a, bool routes)
{
    struct addr_look look = {.ifindex = ifindex, .a = a};
    uint8_t family = addr_is4(&a->addr) ? AF_INET : AF_INET6;
    dump(nc, RTM_GETADDR, family, look_addr, &look);
    if (routes) {
        dump(nc, RTM_GETROUTE, family, look_route, &look);
    }
    return look.taken;
}
