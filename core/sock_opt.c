/*
 * sock_opt.c - theory of operation.
 *
 * getsockopt and setsockopt at the levels SOL_SOCKET, IPPROTO_IP and IPPROTO_IPV6; IPPROTO_TCP and
 * IPPROTO_UDP belong to the protocols. Values, lengths, defaults and errors are those that a 6.18
 * kernel gives, tried one by one.
 *
 * Options that are on or off stand in one list, FLAG_LIST, from which their reading and writing are
 * made; the others have a case of their own. What is accepted here and has no effect in this stack
 * is kept so that it can be read back: IP_MINTTL, the device's name.
 *
 * How a value arrives differs by level, as in Linux: SOL_SOCKET wants an int; IPPROTO_IP takes an
 * int or, if it is shorter, one byte; IPPROTO_IPV6 wants an int. How it leaves differs too:
 * IPPROTO_IP gives one byte to a caller with room for less than an int.
 *
 * Missing on purpose: IP options (never sent), packet filters, SO_PEEK_OFF on datagrams, SO_TXTIME,
 * source-specific multicast.
 */
#include "sock_opt.h"

#include "event.h"
#include "sock.h"
#include "sock_priv.h"
#include "sock_side.h"
#include "sock_ts.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

#define SNDBUF_MIN 4608 /* Linux: SOCK_MIN_SNDBUF */
#define RCVBUF_MIN 2304 /* Linux: SOCK_MIN_RCVBUF */
/* Seconds, half a year: a timeout of more is for ever. Linux has no such bound on 64 bits. */
#define TIMEOUT_MAX (UINT32_MAX / (uint32_t)(SEC / SOCK_TICK))

#define SOL(name) OPT_KEY(LX_SOL_SOCKET, LX_SO_##name)
#define IP4(name) OPT_KEY(LX_IPPROTO_IP, LX_IP_##name)
#define IP6(name) OPT_KEY(LX_IPPROTO_IPV6, LX_IPV6_##name)

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
    FLAG(IP6(FREEBIND), freebind)                 \
    FLAG(IP4(RECVERR_RFC4884), rfc4884)           \
    FLAG(IP6(RECVERR_RFC4884), rfc4884_6)         \
    FLAG(IP6(RECVHOPOPTS), hopopts6)              \
    FLAG(IP6(RECVRTHDR), rthdr6)                  \
    FLAG(IP6(RECVDSTOPTS), dstopts6)              \
    FLAG(IP6(RECVPATHMTU), pathmtu6)

/* 0 or 1; -1: no such flag. */
int opt_flag_get(const struct sock_opts *o, uint32_t key)
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

bool opt_flag_set(struct sock_opts *o, uint32_t key, bool v)
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

/* --- SOL_SOCKET, setting --- */

static int32_t buffer_size(int32_t asked, int32_t max, int32_t least)
{
    uint32_t v = min_u32((uint32_t)asked, (uint32_t)max); /* a negative one is a large one */
    return (int32_t)max_u32(min_u32(v, INT32_MAX / 2) * 2, (uint32_t)least);
}

static int set_buffer(struct stack *st, struct env *env, struct sock *s, int name,
                      const struct opt_arg *a)
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
    if (opt_is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_linger(struct sock *s, const struct opt_arg *a)
{
    int32_t onoff_secs[2];
    if (a->len < sizeof onoff_secs) {
        return -ERR_INVAL;
    }
    memcpy(onoff_secs, a->val, sizeof onoff_secs);
    s->opt.linger_s = onoff_secs[0] == 0 ? -1 : onoff_secs[1] < 0 ? INT32_MAX : onoff_secs[1];
    return 0;
}

static int set_timeout(uint32_t *out, const struct opt_arg *a)
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
        *out = SOCK_NO_WAIT; /* Linux: no waiting at all; 0 would be for ever */
        return 0;
    }
    if (sec_usec[0] >= TIMEOUT_MAX) {
        *out = 0;
        return 0;
    }
    nsec t = sec_usec[0] * SEC + sec_usec[1] * USEC; /* Linux: rounded up */
    *out = (uint32_t)((t + SOCK_TICK - 1) / SOCK_TICK);
    return 0;
}

static int set_rcvlowat(struct stack *st, struct env *env, struct sock *s, int32_t v)
{
    v = v < 0 ? INT32_MAX : v;
    if (opt_is_tcp(s)) { /* Linux: tcp_set_rcvlowat */
        int32_t cap = s->opt.rcvbuf_locked ? s->opt.rcvbuf : st->knobs.tcp_rmem_max;
        v = v > cap / 2 ? cap / 2 : v;
    }
    s->opt.rcvlowat = v > 0 ? v : 1;
    if (opt_is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_device(struct stack *st, struct env *env, struct sock *s, const struct opt_arg *a)
{
    char name[sizeof s->side->device] = {0};
    memcpy(name, a->val, min_size(a->len, sizeof name - 1));
    memset(name + strlen(name), 0, sizeof name - strlen(name));
    struct side *x = name[0] ? sock_side(st, env, s) : s->side;
    if (x) {
        memcpy(x->device, name, sizeof name);
    }
    return x || !name[0] ? 0 : -ERR_NOBUFS;
}

static int set_pacing(struct stack *st, struct env *env, struct sock *s, const struct opt_arg *a)
{
    uint64_t rate = a->v == -1 ? UINT64_MAX : (uint32_t)a->v;
    if (a->len >= sizeof rate) {
        memcpy(&rate, a->val, sizeof rate);
    }
    s->opt.max_pacing_rate = rate;
    if (opt_is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

/* A stream's only. */
static int set_peek_off(struct stack *st, struct env *env, struct sock *s, int32_t v)
{
    struct side *x = opt_is_tcp(s) ? sock_side(st, env, s) : NULL;

    if (!x) {
        return opt_is_tcp(s) ? -ERR_NOBUFS : -ERR_NOPROTOOPT;
    }
    x->peek_set = true;
    x->peek_off = v;
    return 0;
}

static int set_sol_flag(struct stack *st, struct env *env, struct sock *s, int name,
                        const struct opt_arg *a)
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
    if (!opt_flag_set(&s->opt, OPT_KEY(LX_SOL_SOCKET, name), on)) {
        return -ERR_NOPROTOOPT;
    }
    if (name == LX_SO_KEEPALIVE && opt_is_tcp(s)) {
        tcp_opt_changed(st, env, s);
    }
    return 0;
}

static int set_sol(struct stack *st, struct env *env, struct sock *s, int name,
                   const struct opt_arg *a)
{
    if (name == LX_SO_BINDTODEVICE) {
        return set_device(st, env, s, a);
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
    case LX_SO_PEEK_OFF:
        return set_peek_off(st, env, s, a->v);
    case LX_SO_TIMESTAMPING:
        return ts_set(st, env, s, (uint32_t)a->v);
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
    if (opt_is_tcp(s)) {
        return (int32_t)tcp_sndbuf(st, s);
    }
    return s->opt.sndbuf >= 0 ? s->opt.sndbuf : st->knobs.wmem_default;
}

static int32_t rcvbuf_of(const struct stack *st, const struct sock *s)
{
    if (opt_is_tcp(s)) {
        return (int32_t)tcp_rcvbuf(st, s);
    }
    return s->opt.rcvbuf >= 0 ? s->opt.rcvbuf : st->knobs.rmem_default;
}

static int get_timeout(uint32_t ticks, void *val, size_t *len)
{
    nsec t = sock_timeout(ticks);
    int64_t sec_usec[2] = {t / SEC, t % SEC / USEC};
    return opt_answer(val, len, sec_usec, sizeof sec_usec);
}

/* Linux: SK_MEMINFO_*. */
static int get_meminfo(struct stack *st, struct env *env, const struct sock *s, void *val,
                       size_t *len)
{
    uint32_t info[9] = {0};
    if (opt_is_tcp(s)) {
        struct sock *t = (struct sock *)(void *)(uintptr_t)s;
        int64_t in = tcp_ioctl(st, env, t, LX_SIOCINQ);
        info[0] = in > 0 ? (uint32_t)in : 0;
        info[5] = tcp_queued(s);
    } else {
        const struct udp *u = (const void *)s;
        info[0] = u->queued;
        info[8] = u->dropped;
    }
    info[1] = (uint32_t)rcvbuf_of(st, s);
    info[3] = (uint32_t)sndbuf_of(st, s);
    return opt_answer(val, len, info, sizeof info);
}

/* Unique for the life of the socket, and never 0. */
static int get_cookie(const struct sock *s, void *val, size_t *len)
{
    uint64_t cookie = (uint64_t)s->obj.gen << 36 | (uint64_t)s->obj.kind << 32 | s->obj.id;
    return *len < sizeof cookie ? -ERR_INVAL : opt_answer(val, len, &cookie, sizeof cookie);
}

static int get_pacing(const struct sock *s, void *val, size_t *len)
{
    uint64_t rate = s->opt.max_pacing_rate;
    if (*len < sizeof rate) {
        return opt_answer_int(val, len, (int32_t)(uint32_t)min_u64(rate, UINT32_MAX));
    }
    return opt_answer(val, len, &rate, sizeof rate);
}

static int get_sol_other(struct stack *st, struct env *env, struct sock *s, int name, void *val,
                         size_t *len)
{
    switch (name) {
    case LX_SO_LINGER: {
        int32_t v[2] = {s->opt.linger_s >= 0, s->opt.linger_s >= 0 ? s->opt.linger_s : 0};
        return opt_answer(val, len, v, sizeof v);
    }
    case LX_SO_RCVTIMEO:
        return get_timeout(s->opt.rcvtimeo, val, len);
    case LX_SO_SNDTIMEO:
        return get_timeout(s->opt.sndtimeo, val, len);
    case LX_SO_BINDTODEVICE: {
        size_t n = s->side ? strlen(s->side->device) : 0;
        if (n > 0 && *len < sizeof s->side->device) {
            return -ERR_INVAL;
        }
        return opt_answer(val, len, n > 0 ? s->side->device : "", n > 0 ? n + 1 : 0);
    }
    case LX_SO_PEERCRED: {
        uint32_t v[3] = {0, UINT32_MAX, UINT32_MAX};
        return opt_answer(val, len, v, sizeof v);
    }
    case LX_SO_TIMESTAMPING: {
        uint32_t v[2] = {s->opt.timestamping, 0};
        return opt_answer(val, len, v, sizeof v);
    }
    case LX_SO_MAX_PACING_RATE:
        return get_pacing(s, val, len);
    case LX_SO_PEEK_OFF:
        if (!opt_is_tcp(s)) {
            return -ERR_NOPROTOOPT;
        }
        return opt_answer_int(val, len, s->side && s->side->peek_set ? s->side->peek_off : -1);
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
    int flag = opt_flag_get(&s->opt, OPT_KEY(LX_SOL_SOCKET, name));
    if (flag >= 0) {
        return opt_answer_int(val, len, flag);
    }
    switch (name) {
    case LX_SO_TYPE:
        return opt_answer_int(val, len, s->type);
    case LX_SO_PROTOCOL:
        return opt_answer_int(val, len, s->proto);
    case LX_SO_DOMAIN:
        return opt_answer_int(val, len, s->family);
    case LX_SO_ERROR:
        return opt_answer_int(val, len, sock_take_error(s));
    case LX_SO_ACCEPTCONN:
        return opt_answer_int(val, len, opt_is_tcp(s) && tcp_state_of(s) == TCP_LISTEN);
    case LX_SO_SNDBUF:
        return opt_answer_int(val, len, sndbuf_of(st, s));
    case LX_SO_RCVBUF:
        return opt_answer_int(val, len, rcvbuf_of(st, s));
    case LX_SO_RCVLOWAT:
        return opt_answer_int(val, len, s->opt.rcvlowat);
    case LX_SO_SNDLOWAT:
        return opt_answer_int(val, len, 1);
    case LX_SO_PRIORITY:
        return opt_answer_int(val, len, s->opt.priority);
    case LX_SO_MARK:
        return opt_answer_int(val, len, (int32_t)s->opt.mark);
    case LX_SO_INCOMING_CPU:
        return opt_answer_int(val, len, -1);
    case LX_SO_BUSY_POLL:
    case LX_SO_PREFER_BUSY_POLL:
    case LX_SO_INCOMING_NAPI_ID:
        return opt_answer_int(val, len, 0);
    default:
        return get_sol_other(st, env, s, name, val, len);
    }
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
                   const struct opt_arg *a)
{
    switch (level) {
    case LX_SOL_SOCKET:
        return set_sol(st, env, s, name, a);
    case LX_IPPROTO_IP:
        return opt_ip_set(st, env, s, name, a);
    case LX_IPPROTO_IPV6:
        return s->family == LX_AF_INET6 ? opt_ip6_set(st, env, s, name, a) : -ERR_NOPROTOOPT;
    case LX_IPPROTO_TCP:
        return opt_is_tcp(s) ? tcp_setopt(st, env, s, name, a->val, a->len, a->privileged)
                             : -ERR_NOPROTOOPT;
    case LX_IPPROTO_UDP:
        return opt_is_tcp(s) ? -ERR_NOPROTOOPT : udp_setopt(st, env, s, name, a->val, a->len);
    default:
        return -ERR_NOPROTOOPT;
    }
}

static int get_any(struct stack *st, struct env *env, struct sock *s, int level, int name,
                   void *val, size_t *len)
{
    /* Linux: ip_getsockopt and ipv6_getsockopt differ about a level that is not theirs. */
    int no_level = s->family == LX_AF_INET ? -ERR_OPNOTSUPP : -ERR_NOPROTOOPT;
    switch (level) {
    case LX_SOL_SOCKET:
        return get_sol(st, env, s, name, val, len);
    case LX_IPPROTO_IP:
        return opt_ip_get(st, s, name, val, len);
    case LX_IPPROTO_IPV6:
        return s->family == LX_AF_INET6 ? opt_ip6_get(st, s, name, val, len) : no_level;
    case LX_IPPROTO_TCP:
        return opt_is_tcp(s) ? tcp_getopt(st, env, s, name, val, len) : no_level;
    case LX_IPPROTO_UDP:
        return opt_is_tcp(s) ? no_level : udp_getopt(s, name, val, len);
    default:
        return no_level;
    }
}

int sock_setopt(struct stack *st, struct env *env, struct sock *s, int level, int name,
                const void *val, size_t len, bool privileged)
{
    struct opt_arg a = {
        .val = val, .len = len, .v = int_of(level, val, len), .privileged = privileged};
    struct sock_call c = sock_call(EVC_SETSOCKOPT, s, (uint64_t)name, (uint16_t)level);
    sock_verb(st, env, s, EVC_SETSOCKOPT);
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
