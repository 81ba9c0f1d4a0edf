/*
 * sock_opt_mcast.c - theory of operation.
 *
 * Multicast groups in setsockopt: the structures of IPPROTO_IP (struct ip_mreq, ip_mreqn,
 * ip_mreq_source), of IPPROTO_IPV6 (struct ipv6_mreq) and those of both (struct group_req,
 * group_source_req, RFC 3678 5). There is one device: an address of it or none is right, whatever
 * index is taken for its.
 */
#include "ip.h"
#include "mcast.h"
#include "sock_opt.h"
#include "stack.h"
#include "udp.h"

/* Offsets in Linux's structures of RFC 3678 on 64 bits. */
enum { GROUP_AT = 8, SOURCE_AT = 136, GROUP_REQ_LEN = 136, GROUP_SOURCE_REQ_LEN = 264 };

/* A struct sockaddr_storage of the level's family. */
static bool sockaddr_take(const uint8_t *p, int level, struct addr *out)
{
    uint16_t family;
    memcpy(&family, p, sizeof family);
    if (family != (level == LX_IPPROTO_IP ? LX_AF_INET : LX_AF_INET6)) {
        return false;
    }
    *out = level == LX_IPPROTO_IP ? addr_of4(p + 4) : addr_of6(p + 8);
    return true;
}

/* Whether this names the device: none, or an address of ours. */
static bool is_device(const struct stack *st, const uint8_t *at)
{
    struct addr a = addr_of4(at);
    return addr_is_any(&a) || ip_is_local(st, &a);
}

/* IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP */
static int set_mreq(struct stack *st, struct env *env, struct sock *s, bool join,
                    const struct opt_arg *a)
{
    const uint8_t *p = a->val;
    int32_t index = 0;
    if (a->len < 8) {
        return -ERR_INVAL;
    }
    struct addr group = addr_of4(p);
    if (a->len >= 12) {
        memcpy(&index, p + 8, sizeof index);
    }
    if (!addr_is_multicast(&group)) {
        return join ? -ERR_INVAL : -ERR_ADDRNOTAVAIL;
    }
    if (join && index == 0 && !is_device(st, p + 4)) {
        return -ERR_NODEV;
    }
    return join ? mcast_join(st, env, s, &group) : mcast_leave(st, env, s, &group);
}

/* IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP */
static int set_mreq6(struct stack *st, struct env *env, struct sock *s, bool join,
                     const struct opt_arg *a)
{
    if (a->len < 20) {
        return -ERR_INVAL;
    }
    struct addr group = addr_of6(a->val);
    if (addr_is4(&group)) {
        return -ERR_INVAL;
    }
    return join ? mcast_join(st, env, s, &group) : mcast_leave(st, env, s, &group);
}

/* IP_ADD_SOURCE_MEMBERSHIP and its kin: group, device, source. */
static int set_mreq_source(struct stack *st, struct env *env, struct sock *s, int name,
                           const struct opt_arg *a)
{
    const uint8_t *p = a->val;
    if (a->len != 12) {
        return -ERR_INVAL;
    }
    if (!is_device(st, p + 4)) {
        return -ERR_NODEV;
    }
    struct addr group = addr_of4(p);
    struct addr src = addr_of4(p + 8);
    bool exclude = name == LX_IP_BLOCK_SOURCE || name == LX_IP_UNBLOCK_SOURCE;
    bool add = name == LX_IP_BLOCK_SOURCE || name == LX_IP_ADD_SOURCE_MEMBERSHIP;
    return mcast_source(st, env, s, &group, &src, exclude, add);
}

/* MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP */
static int set_group_req(struct stack *st, struct env *env, struct sock *s, int level, bool join,
                         const struct opt_arg *a)
{
    struct addr group;
    if (a->len < GROUP_REQ_LEN) {
        return -ERR_INVAL;
    }
    if (!sockaddr_take((const uint8_t *)a->val + GROUP_AT, level, &group)) {
        return level == LX_IPPROTO_IP ? -ERR_INVAL : -ERR_ADDRNOTAVAIL;
    }
    return join ? mcast_join(st, env, s, &group) : mcast_leave(st, env, s, &group);
}

static int set_group_source(struct stack *st, struct env *env, struct sock *s, int level, int name,
                            const struct opt_arg *a)
{
    struct addr group;
    struct addr src;
    const uint8_t *p = a->val;
    if (a->len != GROUP_SOURCE_REQ_LEN) {
        return -ERR_INVAL;
    }
    if (!sockaddr_take(p + GROUP_AT, level, &group) || !sockaddr_take(p + SOURCE_AT, level, &src)) {
        return -ERR_ADDRNOTAVAIL;
    }
    bool exclude = name == LX_MCAST_BLOCK_SOURCE || name == LX_MCAST_UNBLOCK_SOURCE;
    bool add = name == LX_MCAST_BLOCK_SOURCE || name == LX_MCAST_JOIN_SOURCE_GROUP;
    return mcast_source(st, env, s, &group, &src, exclude, add);
}

/* IP_MULTICAST_IF: an address, which must be ours or none; or with an index. It becomes the source
 * of what is sent to groups. */
static int set_if(const struct stack *st, struct sock *s, const struct opt_arg *a)
{
    struct udp *u = (struct udp *)(void *)s;
    const uint8_t *p = a->val;
    int32_t index = 0;
    if (a->len < 4) {
        return -ERR_INVAL;
    }
    p += a->len >= 8 ? 4 : 0;
    if (a->len >= 12) {
        memcpy(&index, p + 4, sizeof index);
    }
    if (index == 0 && !is_device(st, p)) {
        return -ERR_ADDRNOTAVAIL;
    }
    memcpy(u->mcast_src, p, sizeof u->mcast_src);
    return 0;
}

static int set_if6(struct sock *s, const struct opt_arg *a)
{
    if (a->len < sizeof a->v) {
        return -ERR_INVAL;
    }
    if (a->v < 0) {
        return -ERR_NODEV;
    }
    ((struct udp *)(void *)s)->mcast_ifindex6 = (uint32_t)a->v;
    return 0;
}

/* Options of one level only; OPT_NOT_MINE. */
static int set_by_level(struct stack *st, struct env *env, struct sock *s, uint32_t key,
                        const struct opt_arg *a)
{
    switch (key) {
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_MULTICAST_IF):
        return opt_is_tcp(s) ? -ERR_INVAL : set_if(st, s, a);
    case OPT_KEY(LX_IPPROTO_IPV6, LX_IPV6_MULTICAST_IF):
        return opt_is_tcp(s) ? -ERR_NOPROTOOPT : set_if6(s, a);
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_ADD_MEMBERSHIP):
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_DROP_MEMBERSHIP):
        return opt_is_tcp(s) ? -ERR_PROTO
                             : set_mreq(st, env, s, (key & 0xff) == LX_IP_ADD_MEMBERSHIP, a);
    case OPT_KEY(LX_IPPROTO_IPV6, LX_IPV6_ADD_MEMBERSHIP):
    case OPT_KEY(LX_IPPROTO_IPV6, LX_IPV6_DROP_MEMBERSHIP):
        return opt_is_tcp(s) ? -ERR_PROTO
                             : set_mreq6(st, env, s, (key & 0xff) == LX_IPV6_ADD_MEMBERSHIP, a);
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_ADD_SOURCE_MEMBERSHIP):
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_DROP_SOURCE_MEMBERSHIP):
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_BLOCK_SOURCE):
    case OPT_KEY(LX_IPPROTO_IP, LX_IP_UNBLOCK_SOURCE):
        return opt_is_tcp(s) ? -ERR_PROTO : set_mreq_source(st, env, s, (int)(key & 0xff), a);
    default:
        return OPT_NOT_MINE;
    }
}

int opt_mcast_set(struct stack *st, struct env *env, struct sock *s, int level, int name,
                  const struct opt_arg *a)
{
    if (name < LX_MCAST_JOIN_GROUP || name > LX_MCAST_LEAVE_SOURCE_GROUP) {
        return set_by_level(st, env, s, OPT_KEY(level, name), a);
    }
    if (opt_is_tcp(s)) {
        return -ERR_PROTO;
    }
    if (name == LX_MCAST_JOIN_GROUP || name == LX_MCAST_LEAVE_GROUP) {
        return set_group_req(st, env, s, level, name == LX_MCAST_JOIN_GROUP, a);
    }
    return set_group_source(st, env, s, level, name, a);
}
