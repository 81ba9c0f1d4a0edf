/*
 * sock_opt.c - theory of operation.
 *
 * getsockopt and setsockopt at the levels SOL_SOCKET, IPPROTO_IP and IPPROTO_IPV6; IPPROTO_TCP and IPPROTO_UDP belong
 * to the protocols. Values, lengths, defaults and errors are those that a 6.18 kernel gives, tried one by one.
 *
 * Options that are on or off stand in one list, FLAG_LIST, from which their reading and writing are made; the others
 * have a case of their own. What is accepted here and has no effect in this stack is kept so that it can be read back:
 * the flags of SO_TIMESTAMPING, IP_MINTTL, the device's name.
 *
 * How a value arrives differs by level, as in Linux: SOL_SOCKET wants an int; IPPROTO_IP takes an int or, if it is
 * shorter, one byte; IPPROTO_IPV6 wants an int. How it leaves differs too: IPPROTO_IP gives one byte to a caller with
 * room for less than an int.
 *
 * Missing on purpose: IP options (never sent), packet filters, SO_PEEK_OFF, SO_TXTIME, source-specific multicast.
 */
#include "check.h"
#include "event.h"
#include "ip.h"
#include "sock.h"
#include "sock_priv.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

#define SNDBUF_MIN 4608       /* Linux: SOCK_MIN_SNDBUF */
#define RCVBUF_MIN 2304       /* Linux: SOCK_MIN_RCVBUF */
#define TICK       (4 * MSEC) /* Linux: HZ is 250; timeouts are rounded up to it */

#define KEY(level, name) ((uint32_t)(level) << 16 | (uint32_t)(name))

#define SOL(name) KEY(LX_SOL_SOCKET, LX_SO_##name)
#define IP4(name) KEY(LX_IPPROTO_IP, LX_IP_##name)
#define IP6(name) KEY(LX_IPPROTO_IPV6, LX_IPV6_##name)

/* FLAG(key, field of struct sock_opts) */
#define FLAG_LIST                                 \
    FLAG(SOL(DEBUG), debug)                       \
    FLAG(SOL(REUSEADDR), reuseaddr)               \
    FLAG(SOL(REUSEPORT), reuseport)               \
    FLAG(SOL(DONTROUTE), dontroute)               \
    FLAG(SOL(BROADCAST), broadcast)               \
    FLAG(SOL(KEEPALIVE), keepalive)               \
    FLAG(SOL(OOBINLINE), oobinline)               \
    FLAG(SOL(NO_CHECK), no_check)                 \
    FLAG(SOL(TIMESTAMP), timestamp)               \
    FLAG(SOL(TIMESTAMPNS), timestampns)           \
    FLAG(SOL(RXQ_OVFL), rxq_ovfl)                 \
    FLAG(SOL(SELECT_ERR_QUEUE), select_err)       \
    FLAG(SOL(ZEROCOPY), zerocopy)                 \
    FLAG(IP4(RECVOPTS), recvopts)                 \
    FLAG(IP4(RETOPTS), retopts)                   \
    FLAG(IP4(PKTINFO), pktinfo)                   \
    FLAG(IP4(RECVERR), recverr)                   \
    FLAG(IP4(RECVTTL), recvttl)                   \
    FLAG(IP4(RECVTOS), recvtos)                   \
    FLAG(IP4(FREEBIND), freebind)                 \
    FLAG(IP4(TRANSPARENT), transparent)           \
    FLAG(IP4(ORIGDSTADDR), origdst)               \
    FLAG(IP4(BIND_ADDRESS_NO_PORT), bind_no_port) \
    FLAG(IP4(MULTICAST_LOOP), mcast_loop)         \
    FLAG(IP4(MULTICAST_ALL), mcast_all)           \
    FLAG(IP6(FLOWINFO), flowinfo6)                \
    FLAG(IP6(MULTICAST_LOOP), mcast_loop6)        \
    FLAG(IP6(MULTICAST_ALL), mcast_all6)          \
    FLAG(IP6(RECVERR), recverr6)                  \
    FLAG(IP6(V6ONLY), v6only)                     \
    FLAG(IP6(RECVPKTINFO), pktinfo6)              \
    FLAG(IP6(RECVHOPLIMIT), recvhoplimit)         \
    FLAG(IP6(DONTFRAG), dontfrag6)                \
    FLAG(IP6(RECVTCLASS), recvtclass)             \
    FLAG(IP6(AUTOFLOWLABEL), autoflow6)           \
    FLAG(IP6(ORIGDSTADDR), origdst6)              \
    FLAG(IP6(TRANSPARENT), transparent)           \
    FLAG(IP6(FREEBIND), freebind)

/* 0 or 1; -1: no such flag. */
static int flag_get(const struct sock_opts *o, uint32_t key)
{
    switch (key) {
#define FLAG(k, field) \
    case k:            \
        return o->field;
        FLAG_LIST
#undef FLAG
    default:
        return -1;
    }
}

static bool flag_set(struct sock_opts *o, uint32_t key, bool v)
{
    switch (key) {
#define FLAG(k, field) \
    case k:            \
        o->field = v;  \
        return true;
        FLAG_LIST
#undef FLAG
    default:
        return false;
    }
}

static bool is_tcp(const struct sock *s)
{
    return s->proto == LX_IPPROTO_TCP;
}

/* What setsockopt was given. */
struct arg {
    const void *val;
    size_t len;
    int32_t v; /* as an int */
    bool privileged;
};

/* Copies what fits of an answer. */
static int answer(void *val, size_t *len, const void *from, size_t n)
{
    *len = min_size(*len, n);
    memcpy(val, from, *len);
    return 0;
}

static int answer_int(void *val, size_t *len, int32_t v)
{
    return answer(val, len, &v, sizeof v);
}

/* --- SOL_SOCKET, setting --- */

static int32_t buffer_size(int32_t asked, int32_t max, int32_t least)
{
    uint32_t v = min_u32((uint32_t)asked, (uint32_t)max); /* a negative one is a large one */
    return (int32_t)max_u32(min_u32(v, INT32_MAX / 2) * 2, (uint32_t)least);
}

static int set_buffer(struct stack *st, struct env *env, struct sock *s, int name,
                      const struct arg *a)
{
    bool force = name == LX_SO_SNDBUFFORCE || name == LX_SO_RCVBUFFORCE;
    if (force && !a->privileged) {
        return -ERR_PERM;
    }
    int32_t v = force && a->v < 0 ? 0 : a->v;
    if (name == LX_SO_SNDBUF || name == LX_SO_SNDBUFFORCE) {
        s->opt.sndbuf = buffer_size(v, force ? INT32_MAX : st->knobs.wmem_max, SNDBUF_MIN);
        s->opt.sndbuf_locked = true;
    } else {
        s->opt.rcvbuf = buffer_size(v, force ? INT32_MAX : st->knobs.rmem_max, RCVBUF_MIN);
        s->opt.rcvbuf_locked = true;
    }
    if (is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_linger(struct sock *s, const struct arg *a)
{
    int32_t onoff_secs[2];
    if (a->len < sizeof onoff_secs) {
        return -ERR_INVAL;
    }
    memcpy(onoff_secs, a->val, sizeof onoff_secs);
    s->opt.linger_s = onoff_secs[0] == 0 ? -1 : onoff_secs[1] < 0 ? INT32_MAX : onoff_secs[1];
    return 0;
}

static int set_timeout(nsec *out, const struct arg *a)
{
    int64_t sec_usec[2];
    if (a->len < sizeof sec_usec) {
        return -ERR_INVAL;
    }
    memcpy(sec_usec, a->val, sizeof sec_usec);
    if (sec_usec[1] < 0 || sec_usec[1] >= 1000000) {
        return -ERR_DOM;
    }
    if (sec_usec[0] < 0) {
        *out = 1; /* Linux: no waiting at all; 0 would be for ever */
        return 0;
    }
    if (sec_usec[0] >= NEVER / SEC - 1) {
        *out = 0;
        return 0;
    }
    *out = sec_usec[0] * SEC + (sec_usec[1] * USEC + TICK - 1) / TICK * TICK;
    return 0;
}

static int set_rcvlowat(struct stack *st, struct env *env, struct sock *s, int32_t v)
{
    v = v < 0 ? INT32_MAX : v;
    if (is_tcp(s)) { /* Linux: tcp_set_rcvlowat */
        int32_t cap = s->opt.rcvbuf_locked ? s->opt.rcvbuf : st->knobs.tcp_rmem_max;
        v = v > cap / 2 ? cap / 2 : v;
    }
    s->opt.rcvlowat = v > 0 ? v : 1;
    if (is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_device(struct sock *s, const struct arg *a)
{
    char name[sizeof s->opt.device] = {0};
    memcpy(name, a->val, min_size(a->len, sizeof name - 1));
    memset(s->opt.device, 0, sizeof s->opt.device);
    memcpy(s->opt.device, name, strlen(name));
    return 0;
}

static int set_pacing(struct stack *st, struct env *env, struct sock *s, const struct arg *a)
{
    uint64_t rate = a->v == -1 ? UINT64_MAX : (uint32_t)a->v;
    if (a->len >= sizeof rate) {
        memcpy(&rate, a->val, sizeof rate);
    }
    s->opt.max_pacing_rate = rate;
    if (is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

/* SOF_TIMESTAMPING_OPT_ID counts bytes of a connection: on TCP it may come only with a connection. */
static int set_timestamping(struct sock *s, int32_t v)
{
    const int32_t opt_id = 1 << 7;
    if ((v & ~0x7ffff) != 0 || ((v & opt_id) != 0 && is_tcp(s) && !s->connected)) {
        return -ERR_INVAL;
    }
    s->opt.timestamping = (uint32_t)v;
    return 0;
}

static int set_sol_flag(struct stack *st, struct env *env, struct sock *s, int name,
                        const struct arg *a)
{
    bool on = a->v != 0;
    if (name == LX_SO_DEBUG && on && !a->privileged) {
        return -ERR_ACCES;
    }
    if (name == LX_SO_ZEROCOPY && (a->v < 0 || a->v > 1)) {
        return -ERR_INVAL;
    }
    if (name == LX_SO_TIMESTAMP || name == LX_SO_TIMESTAMPNS) { /* one or the other */
        s->opt.timestamp = false;
        s->opt.timestampns = false;
    }
    if (!flag_set(&s->opt, KEY(LX_SOL_SOCKET, name), on)) {
        return -ERR_NOPROTOOPT;
    }
    if (name == LX_SO_KEEPALIVE && is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_sol(struct stack *st, struct env *env, struct sock *s, int name, const struct arg *a)
{
    if (name == LX_SO_BINDTODEVICE) {
        return set_device(s, a);
    }
    if (a->len < sizeof a->v) {
        return -ERR_INVAL;
    }
    switch (name) {
    case LX_SO_SNDBUF:
    case LX_SO_RCVBUF:
    case LX_SO_SNDBUFFORCE:
    case LX_SO_RCVBUFFORCE:
        return set_buffer(st, env, s, name, a);
    case LX_SO_LINGER:
        return set_linger(s, a);
    case LX_SO_RCVTIMEO:
        return set_timeout(&s->opt.rcvtimeo, a);
    case LX_SO_SNDTIMEO:
        return set_timeout(&s->opt.sndtimeo, a);
    case LX_SO_RCVLOWAT:
        return set_rcvlowat(st, env, s, a->v);
    case LX_SO_PRIORITY:
        if ((a->v < 0 || a->v > 6) && !a->privileged) {
            return -ERR_PERM;
        }
        s->opt.priority = a->v;
        return 0;
    case LX_SO_MARK:
        if (!a->privileged) {
            return -ERR_PERM;
        }
        s->opt.mark = (uint32_t)a->v;
        return 0;
    case LX_SO_TIMESTAMPING:
        return set_timestamping(s, a->v);
    case LX_SO_MAX_PACING_RATE:
        return set_pacing(st, env, s, a);
    case LX_SO_BUSY_POLL:
        return a->v < 0 ? -ERR_INVAL : 0;
    case LX_SO_INCOMING_CPU:
    case LX_SO_PREFER_BUSY_POLL:
        return 0;
    default:
        return set_sol_flag(st, env, s, name, a);
    }
}

/* --- SOL_SOCKET, getting --- */

static int32_t sndbuf_of(const struct stack *st, const struct sock *s)
{
    if (is_tcp(s)) {
        return (int32_t)tcp_sndbuf(st, s);
    }
    return s->opt.sndbuf >= 0 ? s->opt.sndbuf : st->knobs.wmem_default;
}

static int32_t rcvbuf_of(const struct stack *st, const struct sock *s)
{
    if (is_tcp(s)) {
        return (int32_t)tcp_rcvbuf(st, s);
    }
    return s->opt.rcvbuf >= 0 ? s->opt.rcvbuf : st->knobs.rmem_default;
}

static int get_timeout(nsec t, void *val, size_t *len)
{
    int64_t sec_usec[2] = {t / SEC, t % SEC / USEC};
    return answer(val, len, sec_usec, sizeof sec_usec);
}

/* Linux: SK_MEMINFO_*. */
static int get_meminfo(struct stack *st, struct env *env, const struct sock *s, void *val,
                       size_t *len)
{
    uint32_t info[9] = {0};
    if (is_tcp(s)) {
        struct sock *t = (struct sock *)(void *)(uintptr_t)s;
        int64_t in = tcp_ioctl(st, env, t, LX_SIOCINQ);
        int64_t out = tcp_ioctl(st, env, t, LX_SIOCOUTQ);
        info[0] = in > 0 ? (uint32_t)in : 0;
        info[5] = out > 0 ? (uint32_t)out : 0;
    } else {
        const struct udp *u = (const void *)s;
        info[0] = u->queued;
        info[8] = u->dropped;
    }
    info[1] = (uint32_t)rcvbuf_of(st, s);
    info[3] = (uint32_t)sndbuf_of(st, s);
    return answer(val, len, info, sizeof info);
}

/* Unique for the life of the socket, and never 0. */
static int get_cookie(const struct sock *s, void *val, size_t *len)
{
    uint64_t cookie = (uint64_t)s->obj.gen << 36 | (uint64_t)s->obj.kind << 32 | s->obj.id;
    return *len < sizeof cookie ? -ERR_INVAL : answer(val, len, &cookie, sizeof cookie);
}

static int get_pacing(const struct sock *s, void *val, size_t *len)
{
    uint64_t rate = s->opt.max_pacing_rate;
    if (*len < sizeof rate) {
        return answer_int(val, len, (int32_t)(uint32_t)min_u64(rate, UINT32_MAX));
    }
    return answer(val, len, &rate, sizeof rate);
}

static int get_sol_other(struct stack *st, struct env *env, struct sock *s, int name, void *val,
                         size_t *len)
{
    switch (name) {
    case LX_SO_LINGER: {
        int32_t v[2] = {s->opt.linger_s >= 0, s->opt.linger_s >= 0 ? s->opt.linger_s : 0};
        return answer(val, len, v, sizeof v);
    }
    case LX_SO_RCVTIMEO:
        return get_timeout(s->opt.rcvtimeo, val, len);
    case LX_SO_SNDTIMEO:
        return get_timeout(s->opt.sndtimeo, val, len);
    case LX_SO_BINDTODEVICE: {
        size_t n = strlen(s->opt.device);
        if (n > 0 && *len < sizeof s->opt.device) {
            return -ERR_INVAL;
        }
        return answer(val, len, s->opt.device, n > 0 ? n + 1 : 0);
    }
    case LX_SO_PEERCRED: {
        uint32_t v[3] = {0, UINT32_MAX, UINT32_MAX};
        return answer(val, len, v, sizeof v);
    }
    case LX_SO_TIMESTAMPING: {
        uint32_t v[2] = {s->opt.timestamping, 0};
        return answer(val, len, v, sizeof v);
    }
    case LX_SO_MAX_PACING_RATE:
        return get_pacing(s, val, len);
    case LX_SO_MEMINFO:
        return get_meminfo(st, env, s, val, len);
    case LX_SO_COOKIE:
        return get_cookie(s, val, len);
    default:
        return -ERR_NOPROTOOPT;
    }
}

static int get_sol(struct stack *st, struct env *env, struct sock *s, int name, void *val,
                   size_t *len)
{
    int flag = flag_get(&s->opt, KEY(LX_SOL_SOCKET, name));
    if (flag >= 0) {
        return answer_int(val, len, flag);
    }
    switch (name) {
    case LX_SO_TYPE:
        return answer_int(val, len, s->type);
    case LX_SO_PROTOCOL:
        return answer_int(val, len, s->proto);
    case LX_SO_DOMAIN:
        return answer_int(val, len, s->family);
    case LX_SO_ERROR:
        return answer_int(val, len, sock_take_error(s));
    case LX_SO_ACCEPTCONN:
        return answer_int(val, len, is_tcp(s) && tcp_state_of(s) == TCP_LISTEN);
    case LX_SO_SNDBUF:
        return answer_int(val, len, sndbuf_of(st, s));
    case LX_SO_RCVBUF:
        return answer_int(val, len, rcvbuf_of(st, s));
    case LX_SO_RCVLOWAT:
        return answer_int(val, len, s->opt.rcvlowat);
    case LX_SO_SNDLOWAT:
        return answer_int(val, len, 1);
    case LX_SO_PRIORITY:
        return answer_int(val, len, s->opt.priority);
    case LX_SO_MARK:
        return answer_int(val, len, (int32_t)s->opt.mark);
    case LX_SO_INCOMING_CPU:
        return answer_int(val, len, -1);
    case LX_SO_BUSY_POLL:
    case LX_SO_PREFER_BUSY_POLL:
    case LX_SO_INCOMING_NAPI_ID:
        return answer_int(val, len, 0);
    default:
        return get_sol_other(st, env, s, name, val, len);
    }
}

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

/* struct ip_mreq and struct ip_mreqn begin with the group and an address of the device. */
static int set_group(struct stack *st, struct sock *s, bool join, const uint8_t *group, bool v6)
{
    struct addr g = v6 ? addr_of6(group) : addr_of4(group);
    if (!addr_is_multicast(&g)) {
        return -ERR_INVAL;
    }
    return join ? udp_join(st, s, &g) : udp_leave(st, s, &g);
}

static int set_group4(struct stack *st, struct sock *s, bool join, const struct arg *a)
{
    if (is_tcp(s)) {
        return -ERR_PROTO;
    }
    return a->len < 8 ? -ERR_INVAL : set_group(st, s, join, a->val, false);
}

/* IP_MULTICAST_IF: an address, which must be ours or none; or with an index, which is that of the one device. */
static int set_mcast_if(const struct stack *st, const struct sock *s, const struct arg *a)
{
    if (is_tcp(s) || a->len < 4) {
        return -ERR_INVAL;
    }
    struct addr at = addr_of4(a->len >= 8 ? (const uint8_t *)a->val + 4 : a->val);
    return addr_is_any(&at) || ip_is_local(st, &at) ? 0 : -ERR_ADDRNOTAVAIL;
}

static int set_port_range(struct sock *s, const struct arg *a)
{
    uint32_t low = (uint32_t)a->v & 0xffff;
    uint32_t high = (uint32_t)a->v >> 16;
    if (a->len != sizeof a->v || (low != 0 && high != 0 && low > high)) {
        return -ERR_INVAL;
    }
    s->opt.port_range = (uint32_t)a->v;
    return 0;
}

static int set_ip_flag(struct sock *s, int name, const struct arg *a)
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
    return flag_set(&s->opt, KEY(LX_IPPROTO_IP, name), a->v != 0) ? 0 : -ERR_NOPROTOOPT;
}

static int set_ip(struct stack *st, struct sock *s, int name, const struct arg *a)
{
    int err = 0;
    switch (name) {
    case LX_IP_TOS:
        return set_tos(s, a->v);
    case LX_IP_TTL:
        err = a->len < 1 || (a->v != -1 && in_range(a->v, 1, 255) != 0) ? -ERR_INVAL : 0;
        s->opt.ttl = err == 0 ? (int16_t)a->v : s->opt.ttl;
        return err;
    case LX_IP_MTU_DISCOVER:
        err = in_range(a->v, 0, 5);
        s->opt.mtu_discover = err == 0 ? (uint8_t)a->v : s->opt.mtu_discover;
        return err;
    case LX_IP_MINTTL:
        err = a->len < 1 ? -ERR_INVAL : in_range(a->v, 0, 255);
        s->opt.minttl = err == 0 ? (uint8_t)a->v : s->opt.minttl;
        return err;
    case LX_IP_MULTICAST_TTL:
        err = is_tcp(s) || a->len < 1 ? -ERR_INVAL : in_range(a->v, -1, 255);
        s->opt.mcast_ttl = err != 0 ? s->opt.mcast_ttl : a->v < 0 ? 1 : (int16_t)a->v;
        return err;
    case LX_IP_MULTICAST_IF:
        return set_mcast_if(st, s, a);
    case LX_IP_ADD_MEMBERSHIP:
    case LX_IP_DROP_MEMBERSHIP:
        return set_group4(st, s, name == LX_IP_ADD_MEMBERSHIP, a);
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
        return answer(val, len, &byte, sizeof byte);
    }
    return answer_int(val, len, v);
}

/* IP_MTU, IPV6_MTU */
static int get_mtu(struct stack *st, struct sock *s, int32_t *v)
{
    bool gone = is_tcp(s) && tcp_state_of(s) == TCP_CLOSED;
    if (!s->connected || gone) {
        return -ERR_NOTCONN;
    }
    *v = (int32_t)ip_mtu(st, &s->flow.raddr);
    return 0;
}

static int get_ip(struct stack *st, struct sock *s, int name, void *val, size_t *len)
{
    int err = 0;
    int32_t v = flag_get(&s->opt, KEY(LX_IPPROTO_IP, name));
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
        return answer_int(val, len, 0);
    case LX_IP_OPTIONS:
        *len = 0;
        return 0;
    case LX_IP_PKTOPTIONS:
        *len = 0;
        return is_tcp(s) ? 0 : -ERR_NOPROTOOPT;
    default:
        return -ERR_NOPROTOOPT;
    }
}

/* --- IPPROTO_IPV6 --- */

/* struct ipv6_mreq: the group and an index. */
static int set_group6(struct stack *st, struct sock *s, bool join, const struct arg *a)
{
    if (a->len < 20) {
        return -ERR_INVAL;
    }
    return is_tcp(s) ? -ERR_PROTO : set_group(st, s, join, a->val, true);
}

static int set_ip6_flag(struct sock *s, int name, const struct arg *a)
{
    bool any_length = name == LX_IPV6_DONTFRAG || name == LX_IPV6_AUTOFLOWLABEL;
    bool strict = name == LX_IPV6_MULTICAST_LOOP || name == LX_IPV6_MULTICAST_ALL;
    if ((!any_length && a->len < sizeof a->v) || (strict && in_range(a->v, 0, 1) != 0)) {
        return -ERR_INVAL;
    }
    if (name == LX_IPV6_V6ONLY && s->bound) {
        return -ERR_INVAL;
    }
    if (name == LX_IPV6_TRANSPARENT && a->v != 0 && !a->privileged) {
        return -ERR_PERM;
    }
    return flag_set(&s->opt, KEY(LX_IPPROTO_IPV6, name), a->v != 0) ? 0 : -ERR_NOPROTOOPT;
}

static int set_ip6(struct stack *st, struct sock *s, int name, const struct arg *a)
{
    bool is_int = a->len >= sizeof a->v;
    int err = 0;
    switch (name) {
    case LX_IPV6_UNICAST_HOPS:
        err = is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        s->opt.hoplimit = err == 0 ? (int16_t)a->v : s->opt.hoplimit;
        return err;
    case LX_IPV6_TCLASS:
        err = is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        if (err == 0) {
            s->opt.tclass = tos_of(s, a->v < 0 ? 0 : a->v, s->opt.tclass);
        }
        return err;
    case LX_IPV6_MTU_DISCOVER:
        err = is_int ? in_range(a->v, 0, 5) : -ERR_INVAL;
        s->opt.mtu_discover6 = err == 0 ? (uint8_t)a->v : s->opt.mtu_discover6;
        return err;
    case LX_IPV6_MINHOPCOUNT:
        err = is_int ? in_range(a->v, 0, 255) : -ERR_INVAL;
        s->opt.minhops = err == 0 ? (uint8_t)a->v : s->opt.minhops;
        return err;
    case LX_IPV6_MULTICAST_HOPS:
        err = is_tcp(s) ? -ERR_NOPROTOOPT : is_int ? in_range(a->v, -1, 255) : -ERR_INVAL;
        s->opt.mcast_ttl = err != 0 ? s->opt.mcast_ttl : a->v < 0 ? 1 : (int16_t)a->v;
        return err;
    case LX_IPV6_MULTICAST_IF:
        return is_tcp(s) ? -ERR_NOPROTOOPT : is_int ? 0 : -ERR_INVAL;
    case LX_IPV6_MTU:
        return is_int && (a->v == 0 || a->v >= 1280) ? 0 : -ERR_INVAL;
    case LX_IPV6_ADD_MEMBERSHIP:
    case LX_IPV6_DROP_MEMBERSHIP:
        return set_group6(st, s, name == LX_IPV6_ADD_MEMBERSHIP, a);
    default:
        return set_ip6_flag(s, name, a);
    }
}

static int get_ip6(struct stack *st, struct sock *s, int name, void *val, size_t *len)
{
    int32_t v = flag_get(&s->opt, KEY(LX_IPPROTO_IPV6, name));
    int err = 0;
    if (v >= 0) {
        return answer_int(val, len, v);
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
        v = 0;
        break;
    case LX_IPV6_MTU:
        err = get_mtu(st, s, &v);
        break;
    default:
        err = -ERR_NOPROTOOPT;
    }
    return err == 0 ? answer_int(val, len, v) : err;
}

/* --- levels --- */

/* An int; or one byte where the level allows that; or 0. */
static int32_t int_of(int level, const void *val, size_t len)
{
    int32_t v = 0;
    if (len >= sizeof v) {
        memcpy(&v, val, sizeof v);
    } else if (level == LX_IPPROTO_IP && len > 0) {
        v = *(const uint8_t *)val;
    }
    return v;
}

static int set_any(struct stack *st, struct env *env, struct sock *s, int level, int name,
                   const struct arg *a)
{
    switch (level) {
    case LX_SOL_SOCKET:
        return set_sol(st, env, s, name, a);
    case LX_IPPROTO_IP:
        return set_ip(st, s, name, a);
    case LX_IPPROTO_IPV6:
        return s->family == LX_AF_INET6 ? set_ip6(st, s, name, a) : -ERR_NOPROTOOPT;
    case LX_IPPROTO_TCP:
        return is_tcp(s) ? tcp_setopt(st, env, s, name, a->val, a->len, a->privileged)
                         : -ERR_NOPROTOOPT;
    case LX_IPPROTO_UDP:
        return is_tcp(s) ? -ERR_NOPROTOOPT : udp_setopt(st, env, s, name, a->val, a->len);
    default:
        return -ERR_NOPROTOOPT;
    }
}

static int get_any(struct stack *st, struct env *env, struct sock *s, int level, int name,
                   void *val, size_t *len)
{
    switch (level) {
    case LX_SOL_SOCKET:
        return get_sol(st, env, s, name, val, len);
    case LX_IPPROTO_IP:
        return get_ip(st, s, name, val, len);
    case LX_IPPROTO_IPV6:
        return s->family == LX_AF_INET6 ? get_ip6(st, s, name, val, len) : -ERR_OPNOTSUPP;
    case LX_IPPROTO_TCP:
        return is_tcp(s) ? tcp_getopt(st, env, s, name, val, len) : -ERR_OPNOTSUPP;
    case LX_IPPROTO_UDP:
        return is_tcp(s) ? -ERR_OPNOTSUPP : udp_getopt(s, name, val, len);
    default:
        return -ERR_OPNOTSUPP;
    }
}

int sock_setopt(struct stack *st, struct env *env, struct sock *s, int level, int name,
                const void *val, size_t len, bool privileged)
{
    struct arg a = {.val = val, .len = len, .v = int_of(level, val, len), .privileged = privileged};
    struct sock_call c = sock_call(EVC_SETSOCKOPT, s, (uint64_t)name, (uint16_t)level);
    sock_touch(st, s, NULL);
    int err = set_any(st, env, s, level, name, &a);
    sock_untouch(st);
    sock_record(st, env, &c, err);
    return err;
}

int sock_getopt(struct stack *st, struct env *env, struct sock *s, int level, int name, void *val,
                size_t *len)
{
    struct sock_call c = sock_call(EVC_GETSOCKOPT, s, (uint64_t)name, (uint16_t)level);
    int err = get_any(st, env, s, level, name, val, len);
    sock_record(st, env, &c, err);
    return err;
}
