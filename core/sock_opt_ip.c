/*
 * sock_opt_ip.c - theory of operation.
 *
 * The levels IPPROTO_IP and IPPROTO_IPV6 of getsockopt and setsockopt; sock_opt.c tells the rest.
 * An AF_INET6 socket has both: an option of IPPROTO_IP holds for what it sends and receives in
 * mapped addresses.
 */
#include "sock_opt.h"

#include "ip.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

/* --- IPPROTO_IP --- */

/* Linux: ip_tos2prio, which a change of the type of service brings along. */
static int32_t tos_priority(uint8_t tos)
{
    static const uint8_t by_tos[16] = {0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4};
    return by_tos[(tos & 0x1e) >> 1];
}

/* On a stream the two ECN bits are TCP's. */
static uint8_t tos_of(const struct sock *s, int32_t v, uint8_t old)
{
    return (uint8_t)(s->type == LX_SOCK_STREAM ? (v & 0xfc) | (old & 3) : v);
}

static int set_tos(struct sock *s, int32_t v)
{
    uint8_t tos = tos_of(s, v, s->opt.tos);
    if (tos != s->opt.tos) {
        s->opt.tos = tos;
        s->opt.priority = tos_priority(tos);
    }
    return 0;
}

static int in_range(int32_t v, int32_t low, int32_t high)
{
    return v < low || v > high ? -ERR_INVAL : 0;
}

/* Stores a value that was judged: `err` is 0 or what is wrong with it. */
static int keep16(int16_t *field, int32_t v, int err)
{
    if (err == 0) {
        *field = (int16_t)v;
    }
    return err;
}

static int keep8(uint8_t *field, int32_t v, int err)
{
    if (err == 0) {
        *field = (uint8_t)v;
    }
    return err;
}

static int set_port_range(struct sock *s, const struct opt_arg *a)
{
    uint32_t low = (uint32_t)a->v & 0xffff;
    uint32_t high = (uint32_t)a->v >> 16;
    if (a->len != sizeof a->v || (low != 0 && high != 0 && low > high)) {
        return -ERR_INVAL;
    }
    s->opt.port_range = (uint32_t)a->v;
    return 0;
}

static int set_ip_flag(struct sock *s, int name, const struct opt_arg *a)
{
    bool needs_value = name == LX_IP_FREEBIND || name == LX_IP_TRANSPARENT ||
                       name == LX_IP_MULTICAST_LOOP || name == LX_IP_MULTICAST_ALL;
    if (needs_value && a->len < 1) {
        return -ERR_INVAL;
    }
    if (name == LX_IP_MULTICAST_ALL && (a->v < 0 || a->v > 1)) {
        return -ERR_INVAL;
    }
    if (name == LX_IP_TRANSPARENT && a->v != 0 && !a->privileged) {
        return -ERR_PERM;
    }
    return opt_flag_set(&s->opt, OPT_KEY(LX_IPPROTO_IP, name), a->v != 0) ? 0 : -ERR_NOPROTOOPT;
}

int opt_ip_set(struct stack *st, struct env *env, struct sock *s, int name, const struct opt_arg *a)
{
    int err = opt_mcast_set(st, env, s, LX_IPPROTO_IP, name, a);
    if (err != OPT_NOT_MINE) {
        return err;
    }
    switch (name) {
    case LX_IP_TOS:
        return set_tos(s, a->v);
    case LX_IP_TTL:
        err = a->len < 1 || (a->v != -1 && in_range(a->v, 1, 255) != 0) ? -ERR_INVAL : 0;
        return keep16(&s->opt.ttl, a->v, err);
    case LX_IP_MTU_DISCOVER:
        err = in_range(a->v, 0, 5);
        return keep8(&s->opt.mtu_discover, a->v, err);
    case LX_IP_MINTTL:
        err = a->len < 1 ? -ERR_INVAL : in_range(a->v, 0, 255);
        return keep8(&s->opt.minttl, a->v, err);
    case LX_IP_MULTICAST_TTL:
        err = opt_is_tcp(s) || a->len < 1 ? -ERR_INVAL : in_range(a->v, -1, 255);
        return keep16(&s->opt.mcast_ttl, a->v < 0 ? 1 : a->v, err);

    case LX_IP_LOCAL_PORT_RANGE:
        return set_port_range(s, a);
    case LX_IP_OPTIONS:
        return a->len == 0 ? 0 : a->len > 40 ? -ERR_INVAL : -ERR_NOPROTOOPT;
    default:
        return set_ip_flag(s, name, a);
    }
}

static int answer_ip(void *val, size_t *len, int32_t v)
{
    uint8_t byte = (uint8_t)v;
    if (*len<sizeof v && * len> 0 && v >= 0 && v <= 255) {
        return opt_answer(val, len, &byte, sizeof byte);
    }
    return opt_answer_int(val, len, v);
}

/* IP_MTU, IPV6_MTU */
static int get_mtu(struct stack *st, struct sock *s, int32_t *v)
{
    bool gone = opt_is_tcp(s) && tcp_state_of(s) == TCP_CLOSED;
    if (!s->connected || gone) {
        return -ERR_NOTCONN;
    }
    *v = (int32_t)ip_mtu(st, &s->flow.raddr);
    return 0;
}

int opt_ip_get(struct stack *st, struct sock *s, int name, void *val, size_t *len)
{
    static const uint8_t none[4];
    int err = 0;
    int32_t v = opt_flag_get(&s->opt, OPT_KEY(LX_IPPROTO_IP, name));
    if (v >= 0) {
        return answer_ip(val, len, v);
    }
    switch (name) {
    case LX_IP_TOS:
        return answer_ip(val, len, s->opt.tos);
    case LX_IP_TTL:
        return answer_ip(val, len, s->opt.ttl >= 0 ? s->opt.ttl : st->knobs.ip_default_ttl);
    case LX_IP_MTU_DISCOVER:
        return answer_ip(val, len, s->opt.mtu_discover);
    case LX_IP_MTU:
        err = get_mtu(st, s, &v);
        return err == 0 ? answer_ip(val, len, v) : err;
    case LX_IP_MINTTL:
        return answer_ip(val, len, s->opt.minttl);
    case LX_IP_MULTICAST_TTL:
        return answer_ip(val, len, s->opt.mcast_ttl);
    case LX_IP_LOCAL_PORT_RANGE:
        return answer_ip(val, len, (int32_t)s->opt.port_range);
    case LX_IP_HDRINCL:
        return answer_ip(val, len, 0);
    case LX_IP_MULTICAST_IF:
        return opt_answer(val, len, opt_is_tcp(s) ? none : ((struct udp *)(void *)s)->mcast_src, 4);
    case LX_IP_OPTIONS:
        *len = 0;
        return 0;
    case LX_IP_PKTOPTIONS:
        *len = 0;
        return opt_is_tcp(s) ? 0 : -ERR_NOPROTOOPT;
    default:
        return -ERR_NOPROTOOPT;
    }
}

/* --- IPPROTO_IPV6 --- */

static int set_ip6_flag(struct sock *s, int name, const struct opt_arg *a)
{
    bool any_length = name == LX_IPV6_DONTFRAG || name == LX_IPV6_AUTOFLOWLABEL;
    bool strict = name == LX_IPV6_MULTICAST_LOOP;
    if (opt_flag_get(&s->opt, OPT_KEY(LX_IPPROTO_IPV6, name)) < 0) {
        return -ERR_NOPROTOOPT;
    }
    if ((!any_length && a->len < sizeof a->v) || (strict && in_range(a->v, 0, 1) != 0)) {
        return -ERR_INVAL;
    }
    if (name == LX_IPV6_V6ONLY && s->bound) {
        return -ERR_INVAL;
    }
    if (name == LX_IPV6_TRANSPARENT && a->v != 0 && !a->privileged) {
        return -ERR_PERM;
    }
    return opt_flag_set(&s->opt, OPT_KEY(LX_IPPROTO_IPV6, name), a->v != 0) ? 0 : -ERR_NOPROTOOPT;
}

int opt_ip6_set(struct stack *st, struct env *env, struct sock *s, int name,
                const struct opt_arg *a)
{
    bool is_int = a->len >= sizeof a->v;
    int err = opt_mcast_set(st, env, s, LX_IPPROTO_IPV6, name, a);
    if (err != OPT_NOT_MINE) {
        return err;
    }
    switch (name) {
    case LX_IPV6_UNICAST_HOPS:
        err = is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        return keep16(&s->opt.hoplimit, a->v, err);
    case LX_IPV6_TCLASS:
        err = is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        if (err == 0) {
            s->opt.tclass = tos_of(s, a->v < 0 ? 0 : a->v, s->opt.tclass);
        }
        return err;
    case LX_IPV6_MTU_DISCOVER:
        err = is_int ? in_range(a->v, 0, 5) : -ERR_INVAL;
        return keep8(&s->opt.mtu_discover6, a->v, err);
    case LX_IPV6_MINHOPCOUNT:
        err = is_int ? in_range(a->v, 0, 255) : -ERR_INVAL;
        return keep8(&s->opt.minhops, a->v, err);
    case LX_IPV6_MULTICAST_HOPS:
        err = opt_is_tcp(s) ? -ERR_NOPROTOOPT : is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        return keep16(&s->opt.mcast_ttl, a->v < 0 ? 1 : a->v, err);

    case LX_IPV6_MTU:
        return is_int && (a->v == 0 || a->v >= 1280) ? 0 : -ERR_INVAL;

    default:
        return set_ip6_flag(s, name, a);
    }
}

/* struct ip6_mtuinfo: whom it is about, as an address, and the MTU. RFC 3542 11.4 */
static int get_pathmtu(struct stack *st, struct sock *s, void *val, size_t *len)
{
    struct {
        uint16_t family, port;
        uint32_t flowinfo;
        uint8_t addr[16];
        uint32_t scope_id;
        uint32_t mtu;
    } info = {.family = LX_AF_INET6};
    int32_t mtu;
    int err = *len < sizeof info ? -ERR_INVAL : get_mtu(st, s, &mtu);
    if (err != 0) {
        return err;
    }
    memcpy(info.addr, s->flow.raddr.b, sizeof info.addr);
    info.mtu = (uint32_t)mtu;
    return opt_answer(val, len, &info, sizeof info);
}

int opt_ip6_get(struct stack *st, struct sock *s, int name, void *val, size_t *len)
{
    int32_t v = opt_flag_get(&s->opt, OPT_KEY(LX_IPPROTO_IPV6, name));
    int err = 0;
    if (v >= 0) {
        return opt_answer_int(val, len, v);
    }
    switch (name) {
    case LX_IPV6_UNICAST_HOPS:
        v = s->opt.hoplimit >= 0 ? s->opt.hoplimit : st->knobs.ip_default_ttl;
        break;
    case LX_IPV6_TCLASS:
        v = s->opt.tclass;
        break;
    case LX_IPV6_MTU_DISCOVER:
        v = s->opt.mtu_discover6;
        break;
    case LX_IPV6_MINHOPCOUNT:
        v = s->opt.minhops;
        break;
    case LX_IPV6_MULTICAST_HOPS:
        v = s->opt.mcast_ttl;
        break;
    case LX_IPV6_MULTICAST_IF:
        v = opt_is_tcp(s) ? 0 : (int32_t)((struct udp *)(void *)s)->mcast_ifindex6;
        break;
    case LX_IPV6_MTU:
        err = get_mtu(st, s, &v);
        break;
    case LX_IPV6_PATHMTU:
        return get_pathmtu(st, s, val, len);
    default:
        err = -ERR_NOPROTOOPT;
    }
    return err == 0 ? opt_answer_int(val, len, v) : err;
}
