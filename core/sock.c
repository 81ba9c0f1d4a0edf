/*
 * sock.c - theory of operation.
 *
 * The verbs of sock.h for all protocols: what Linux's inet_*() and inet6_*() functions check and
 * choose before the protocol's own function runs. Here addresses are judged, sources and ports
 * chosen, tables entered and left; there (tcp_*.c, udp.c) the protocol happens.
 *
 * Each verb that changes a socket names it in st->touching while it runs: if the process dies in
 * between, recovery knows which one cannot be trusted. Each leaves one EV_CALL record.
 *
 * The life of the addresses of a socket:
 *
 *   create     laddr wildcard of its family, lport 0
 *   bind       laddr and lport as asked         bound, bound_addr, bound_port say what the
 *              program named
 *   connect    laddr, lport chosen if not bound, raddr, rport set, connected
 *   over       a connection has ended but is held: out of the tables (sock_leave), its names stay
 *              readable
 *   again      connect(AF_UNSPEC), or the failed connect has been reported: as bind left it
 *              (sock_forget_peer)
 */
#include "sock.h"

#include "check.h"
#include "demux.h"
#include "event.h"
#include "ip.h"
#include "pollset.h"
#include "sock_priv.h"
#include "sock_side.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

/* --- what every verb does --- */

/* The compiler may not move these stores over the work between them. */
void sock_touch(struct stack *st, struct sock *s, struct sock *s2)
{
    __atomic_store_n(&st->touching2, s2, __ATOMIC_RELAXED);
    __atomic_store_n(&st->touching, s, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void sock_untouch(struct stack *st)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&st->touching, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&st->touching2, NULL, __ATOMIC_RELAXED);
}

struct sock_call sock_call(uint8_t call, const struct sock *s, uint64_t arg, uint16_t arg2)
{
    return (struct sock_call){.call = call,
                              .proto = s->proto,
                              .lport = s->flow.lport,
                              .rport = s->flow.rport,
                              .arg2 = arg2,
                              .id = s->obj.id,
                              .fd = s->fd,
                              .arg = arg};
}

void sock_verb(struct stack *st, struct env *env, struct sock *s, uint8_t call)
{
    env->call = call;
    env->call_sock = s->obj.id;
    env->call_proto = s->proto;
    sock_touch(st, s, NULL);
}

/* Not inlined: every verb ends with it, and what it costs is measured by its name. */
static __attribute__((noinline)) void tell_call(struct stack *st, const struct env *env,
                                                const struct sock_call *c, int64_t ret,
                                                enum call_end end)
{
    struct event *ev = event_begin(st->events, env, EV_CALL);
    ev->why = (uint8_t)end;
    ev->sock_id = c->id;
    ev->proto = c->proto;
    ev->lport = c->lport;
    ev->rport = c->rport;
    ev->u.call.call = c->call;
    ev->u.call.err = (int8_t)(ret < 0 ? -ret : 0);
    ev->u.call.arg = c->arg;
    ev->u.call.arg2 = c->arg2;
    ev->u.call.fd = c->fd;
    ev->u.call.ret = ret < 0 ? -1 : ret;
    if (c->call == EVC_BIND || c->call == EVC_CONNECT) {
        memcpy(ev->u.call.addr, &c->addr, sizeof ev->u.call.addr);
    }
    event_end(st->events);
}

void sock_record(struct stack *st, const struct env *env, const struct sock_call *c, int64_t ret)
{
    tell_call(st, env, c, ret, CALL_DONE);
}

/* A verb that may find nothing: where the program's call blocks, the owner waits and tries again.
 */
static void record_try(struct stack *st, const struct env *env, const struct sock *s,
                       const struct sock_call *c, uint32_t flags, int64_t ret)
{
    bool blocks = (s->file_flags & LX_O_NONBLOCK) == 0 && (flags & LX_MSG_DONTWAIT) == 0;
    bool later = ret == -ERR_AGAIN ||
                 (c->call == EVC_CONNECT && (ret == -ERR_INPROGRESS || ret == -ERR_ALREADY));
    tell_call(st, env, c, ret, later && blocks ? CALL_WAITS : CALL_DONE);
}

void sock_gave_up(struct stack *st, const struct env *env, const struct sock *s, uint8_t call,
                  enum err err)
{
    struct sock_call c = sock_call(call, s, 0, 0);
    if (call == EVC_CONNECT) {
        c.addr = s->flow.raddr;
        c.arg2 = s->flow.rport;
    }
    tell_call(st, env, &c, -(int64_t)err, CALL_DONE);
}

static bool is_tcp(const struct sock *s)
{
    return s->proto == LX_IPPROTO_TCP;
}

static const struct addr *wildcard_of(const struct sock *s)
{
    return s->family == LX_AF_INET ? &addr_any4 : &addr_any6;
}

/* --- birth and end --- */

static void opts_default(struct sock_opts *o)
{
    *o = (struct sock_opts){
        .sndbuf = -1,
        .rcvbuf = -1,
        .rcvlowat = 1,
        .linger_s = -1,
        .ttl = -1,
        .hoplimit = -1,
        .mcast_ttl = 1,
        .mtu_discover = 1, /* IP_PMTUDISC_WANT */
        .mtu_discover6 = 1,
        .max_pacing_rate = UINT64_MAX,
        .mcast_loop = true,
        .mcast_loop6 = true,
        .mcast_all = true,
        .mcast_all6 = true,
        .autoflow6 = true,
    };
}

void sock_init_common(struct stack *st, struct env *env, struct sock *s, int family, int type,
                      int proto)
{
    (void)st;
    opts_default(&s->opt);
    s->type = (uint8_t)type;
    s->proto = (uint8_t)proto;
    s->born = env->now;
    s->flow.laddr = family == LX_AF_INET ? addr_any4 : addr_any6;
    s->flow.raddr = s->flow.laddr;
    s->fd = -1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    s->family = (uint8_t)family;
}

void sock_init_child(struct stack *st, struct env *env, struct sock *child,
                     const struct sock *listener)
{
    sock_init_common(st, env, child, listener->family, listener->type, listener->proto);
    child->opt = listener->opt;
    const struct side *x = listener->side;
    if (UNLIKELY(x && (x->device[0] || x->tx_delay_us)) && sock_side(st, env, child)) {
        memcpy(child->side->device, x->device, sizeof x->device);
        child->side->tx_delay_us = x->tx_delay_us;
    }
    child->uid = listener->uid;
    child->owner_pid = listener->owner_pid;
    child->bound_addr = listener->bound_addr;
    child->bound_port = true;
    child->connected = true;
}

void sock_leave(struct stack *st, struct sock *s)
{
    demux_del_conn(st, s);
    if (!s->bound_port) {
        demux_del_bind(st, s);
    }
}

void sock_forget_peer(struct stack *st, struct sock *s)
{
    sock_leave(st, s);
    s->connected = false;
    s->flow.raddr = *wildcard_of(s);
    s->flow.rport = 0;
    if (!s->bound_addr) {
        s->flow.laddr = *wildcard_of(s);
    }
    if (!s->bound) {
        s->flow.lport = 0;
    }
}

void sock_free(struct stack *st, struct sock *s)
{
    demux_del_conn(st, s);
    demux_del_bind(st, s);
    sock_unwatch(st, s);
    sock_side_free(st, s);
    if (st->touching == s) {
        st->touching = NULL;
    }
    if (st->touching2 == s) {
        st->touching2 = NULL;
    }
    if (st->place_hint == s) {
        st->place_hint = NULL;
    }
    mem_obj_put(st->mem, s);
}

bool sock_live(const struct stack *st, const struct sock *s)
{
    if (!s || (s->obj.kind != MEM_TCP && s->obj.kind != MEM_UDP)) {
        return false;
    }
    return mem_obj_at(st->mem, s->obj.kind, s->obj.id) == s && s->family != 0;
}

/* socket(2)'s third argument: 0 means the usual one. 0, or a negative error. */
static int proto_of(int family, int type, int proto)
{
    if (family != LX_AF_INET && family != LX_AF_INET6) {
        return -ERR_AFNOSUPPORT;
    }
    if (type == LX_SOCK_STREAM) {
        return proto == 0 || proto == LX_IPPROTO_TCP ? LX_IPPROTO_TCP : -ERR_PROTONOSUPPORT;
    }
    if (type != LX_SOCK_DGRAM) {
        return -ERR_SOCKTNOSUPPORT;
    }
    if (proto == 0 || proto == LX_IPPROTO_UDP) {
        return LX_IPPROTO_UDP;
    }
    bool ping = proto == (family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6);
    return ping ? proto : -ERR_PROTONOSUPPORT;
}

struct sock *sock_create(struct stack *st, struct env *env, int family, int type, int proto,
                         int *err)
{
    int p = proto_of(family, type, proto);
    if (p < 0) {
        *err = p;
        return NULL;
    }
    struct sock *s = mem_obj_get(st->mem, env, type == LX_SOCK_STREAM ? MEM_TCP : MEM_UDP);
    if (!s) {
        *err = -ERR_NOBUFS;
        return NULL;
    }
    sock_hold(s, env->member);
    sock_init_common(st, env, s, family, type, p);
    if (is_tcp(s)) {
        tcp_init(st, env, s);
    } else {
        udp_init(st, s);
    }
    *err = 0;
    return s;
}

void sock_named(struct stack *st, struct env *env, struct sock *s, int fd, const struct sock *from)
{
    struct sock_call c = from ? sock_call(EVC_ACCEPT, from, s->obj.id, 0)
                              : sock_call(EVC_SOCKET, s, s->family, s->type);
    s->fd = fd;
    sock_record(st, env, &c, fd);
}

void sock_hold(struct sock *s, uint32_t member)
{
    CHECK(member < MEMBERS_MAX);
    s->members.w[member / 64] |= UINT64_C(1) << member % 64;
}

bool sock_held_by(const struct sock *s, uint32_t member)
{
    return member < MEMBERS_MAX && (s->members.w[member / 64] >> member % 64 & 1) != 0;
}

/* Whether nobody but this member holds the socket. */
static bool is_last(const struct sock *s, uint32_t member)
{
    struct members others = s->members;
    others.w[member / 64] &= ~(UINT64_C(1) << member % 64);
    return (others.w[0] | others.w[1] | others.w[2] | others.w[3]) == 0;
}

void sock_release(struct stack *st, struct env *env, struct sock *s, uint32_t member)
{
    if (!sock_held_by(s, member)) {
        return;
    }
    uint64_t *word = &s->members.w[member / 64];
    if (!is_last(s, member)) {
        *word &= ~(UINT64_C(1) << member % 64);
        return;
    }
    /* An orphan first, then held by nobody: at no instant is it neither (stack_recover). */
    struct sock_call c = sock_call(EVC_CLOSE, s, 0, 0);
    sock_verb(st, env, s, EVC_CLOSE);
    s->orphan = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *word = 0;
    sock_unwatch(st, s);
    if (is_tcp(s)) {
        tcp_close(st, env, s);
    } else {
        udp_close(st, env, s);
    }
    sock_untouch(st);
    sock_record(st, env, &c, 0);
}

void sock_release_all(struct stack *st, struct env *env, uint32_t member)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (struct sock *s = mem_obj_next(st->mem, kinds[k], NULL); s;
             s = mem_obj_next(st->mem, kinds[k], s)) {
            sock_release(st, env, s, member);
        }
    }
}

void sock_inherit_all(struct stack *st, uint32_t parent, uint32_t child)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (struct sock *s = mem_obj_next(st->mem, kinds[k], NULL); s;
             s = mem_obj_next(st->mem, kinds[k], s)) {
            if (sock_held_by(s, parent)) {
                sock_hold(s, child);
            }
        }
    }
}

/* --- bind, listen, accept --- */

/* Whether bind(2) may name this address. */
static bool bindable(const struct stack *st, const struct sock *s, const struct addr *a)
{
    return addr_is_any(a) || s->opt.freebind || ip_is_local(st, a) || addr_is_multicast(a) ||
           ip_is_broadcast(st, a);
}

/* inet_bind's order of checks differs from inet6_bind's: which of two errors shows depends on the
 * family. */
static int bind_check(const struct stack *st, const struct sock *s, const struct endpoint *at,
                      bool privileged)
{
    bool is4 = addr_is4(&at->addr);
    if (s->family == LX_AF_INET && !is4) {
        return -ERR_AFNOSUPPORT;
    }
    if (s->family == LX_AF_INET6 && !is4 && addr_is_multicast(&at->addr) && is_tcp(s)) {
        return -ERR_INVAL;
    }
    if (s->family == LX_AF_INET && !bindable(st, s, &at->addr)) {
        return -ERR_ADDRNOTAVAIL;
    }
    if (at->port != 0 && at->port < st->knobs.ip_unprivileged_port_start && !privileged) {
        return -ERR_ACCES;
    }
    bool closed = !is_tcp(s) || tcp_state_of(s) == TCP_CLOSED;
    if (!closed || s->bound) {
        return -ERR_INVAL;
    }
    if (s->family == LX_AF_INET6 && is4 && s->opt.v6only) {
        return -ERR_INVAL;
    }
    return bindable(st, s, &at->addr) ? 0 : -ERR_ADDRNOTAVAIL;
}

static int do_bind(struct stack *st, struct env *env, struct sock *s, const struct endpoint *at,
                   bool privileged)
{
    int err = bind_check(st, s, at, privileged);
    if (err != 0) {
        return err;
    }
    if (at->port == 0 && s->opt.bind_no_port) { /* IP_BIND_ADDRESS_NO_PORT: connect will choose */
        s->flow.laddr = at->addr;
    } else {
        err = demux_bind(st, env, s, &at->addr, at->port);
    }
    if (err == 0) {
        s->bound_addr = !addr_is_any(&at->addr);
        if (s->bound_addr && !addr_is4(&at->addr)) {
            s->opt.v6only = true; /* Linux: __inet6_bind */
        }
        s->bound_port = at->port != 0;
    }
    return err;
}

int sock_bind(struct stack *st, struct env *env, struct sock *s, const struct endpoint *at,
              bool privileged)
{
    sock_verb(st, env, s, EVC_BIND);
    int err = do_bind(st, env, s, at, privileged);
    sock_untouch(st);
    struct sock_call c = sock_call(EVC_BIND, s, 0, at->port);
    c.addr = at->addr;
    sock_record(st, env, &c, err);
    return err;
}

static int do_listen(struct stack *st, struct env *env, struct sock *s, int backlog)
{
    if (!is_tcp(s)) {
        return -ERR_OPNOTSUPP;
    }
    enum tcp_state state = tcp_state_of(s);
    if ((state != TCP_CLOSED && state != TCP_LISTEN) || (s->connected && state == TCP_CLOSED)) {
        return -ERR_INVAL;
    }
    if (state == TCP_CLOSED) {
        struct addr at = s->flow.laddr;
        int err = s->bound ? demux_may_listen(st, s) : demux_bind(st, env, s, &at, 0);
        if (err != 0) {
            return err;
        }
    }
    bool fits = backlog >= 0 && backlog <= st->knobs.somaxconn;
    return tcp_listen(st, env, s, fits ? backlog : st->knobs.somaxconn);
}

int sock_listen(struct stack *st, struct env *env, struct sock *s, int backlog)
{
    sock_verb(st, env, s, EVC_LISTEN);
    int err = do_listen(st, env, s, backlog);
    sock_untouch(st);
    struct sock_call c = sock_call(EVC_LISTEN, s, (uint64_t)backlog, 0);
    sock_record(st, env, &c, err);
    return err;
}

struct sock *sock_accept(struct stack *st, struct env *env, struct sock *s, int *err)
{
    struct sock *child = NULL;
    *err = -ERR_OPNOTSUPP;
    sock_verb(st, env, s, EVC_ACCEPT);
    if (is_tcp(s)) {
        *err = 0;
        child = tcp_accept(st, env, s, err);
    }
    if (child) {
        sock_touch(st, s, child);
        sock_hold(child, env->member);
    }
    sock_untouch(st);
    if (!child) { /* else sock_named tells it, with the descriptor */
        struct sock_call c = sock_call(EVC_ACCEPT, s, 0, 0);
        record_try(st, env, s, &c, 0, *err);
    }
    return child;
}

/* --- connect --- */

/* Where a connect or a send really goes: the wildcard means ourselves (ip(7); Linux chooses
 * loopback). */
static void dest_settle(const struct sock *s, struct endpoint *to)
{
    static const struct addr loopback4 = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    static const struct addr loopback6 = {{[15] = 1}};
    if (!addr_is_any(&to->addr)) {
        return;
    }
    bool is4 = addr_is4(&to->addr) || addr_is4(&s->flow.laddr);
    if (!addr_is_any(&s->flow.laddr) && addr_is4(&s->flow.laddr) == is4) {
        to->addr = s->flow.laddr;
    } else {
        to->addr = is4 ? loopback4 : loopback6;
    }
}

int sock_route(const struct stack *st, const struct sock *s, struct endpoint *to, struct addr *src)
{
    bool is4 = addr_is4(&to->addr);
    if (s->family == LX_AF_INET && !is4) {
        return -ERR_AFNOSUPPORT;
    }
    dest_settle(s, to);
    is4 = addr_is4(&to->addr);
    if (s->family == LX_AF_INET6 && is4 && s->opt.v6only) {
        return -ERR_NETUNREACH;
    }
    *src = s->flow.laddr; /* bind's, or that of a datagram socket's first connect */
    if (addr_is4(src) && !is4) {
        return -ERR_AFNOSUPPORT; /* Linux: ip6_dst_lookup_tail */
    }
    if (addr_is_any(src) || addr_is_multicast(src) || ip_is_broadcast(st, src)) {
        return ip_source_for(st, &to->addr, src) ? 0 : -ERR_NETUNREACH;
    }
    if (is4 && !addr_is4(src)) {
        return -ERR_NETUNREACH;
    }
    /* Linux: a loopback source leaves through no other device. */
    return addr_is_loopback(src) && !ip_is_local(st, &to->addr) ? -ERR_INVAL : 0;
}

/* `first`: what goes with the SYN, or NULL. */
static int connect_tcp(struct stack *st, struct env *env, struct sock *s, struct endpoint to,
                       struct tcp_first *first)
{
    struct addr src;
    int err = sock_route(st, s, &to, &src);
    if (err != 0) {
        return err;
    }
    if (addr_is_multicast(&to.addr) || ip_is_broadcast(st, &to.addr)) {
        return -ERR_NETUNREACH; /* RFC 9293 3.9.2.3, MUST-46 */
    }
    if (!s->bound) {
        err = demux_pick_port(st, env, s, &src, &to);
        if (err != 0) {
            return err;
        }
    }
    s->flow.laddr = src;
    s->flow.raddr = to.addr;
    s->flow.rport = to.port;
    err = demux_add_conn(st, env, s);
    if (err == 0) {
        s->connected = true;
        err = tcp_open(st, env, s, first);
    } else if (err == -ERR_ADDRINUSE) {
        err = -ERR_ADDRNOTAVAIL;
    }
    if (err < 0) {
        sock_forget_peer(st, s);
        return err;
    }
    return err ? 0 : -ERR_INPROGRESS; /* 1: it waits for data */
}

/* A connect on a socket that has been connecting before. Once the failure has been told, it may try
 * anew. */
static int connect_tcp_again(struct stack *st, struct env *env, struct sock *s)
{
    int err = tcp_connect_again(st, env, s);
    bool over = err != 0 && err != -ERR_ALREADY && err != -ERR_ISCONN && err != -ERR_INPROGRESS;
    if (over && tcp_state_of(s) == TCP_CLOSED) {
        sock_forget_peer(st, s);
    }
    return err;
}

static int connect_dgram(struct stack *st, struct env *env, struct sock *s, struct endpoint to)
{
    struct addr src;
    int err = sock_route(st, s, &to, &src);
    if (err != 0) {
        return err;
    }
    if (ip_is_broadcast(st, &to.addr) && !s->opt.broadcast) {
        return -ERR_ACCES;
    }
    if (!s->bound) {
        struct addr at = s->flow.laddr;
        err = demux_bind(st, env, s, &at, 0);
        if (err != 0) {
            return -ERR_AGAIN; /* Linux's inet_autobind */
        }
    }
    if (!s->bound_addr) {
        s->flow.laddr = src;
    }
    s->flow.raddr = to.addr;
    s->flow.rport = to.port;
    s->connected = true;
    return 0;
}

static int disconnect(struct stack *st, struct env *env, struct sock *s)
{
    int err = is_tcp(s) ? tcp_disconnect(st, env, s) : 0;
    if (err == 0) {
        if (!is_tcp(s) && !s->bound_port) {
            demux_del_bind(st, s);
        }
        sock_forget_peer(st, s);
    }
    return err;
}

static int do_connect(struct stack *st, struct env *env, struct sock *s, const struct endpoint *to)
{
    if (!to) {
        return disconnect(st, env, s);
    }
    if (!is_tcp(s)) {
        return connect_dgram(st, env, s, *to);
    }
    if (tcp_state_of(s) != TCP_CLOSED || s->connected) {
        return connect_tcp_again(st, env, s);
    }
    return connect_tcp(st, env, s, *to, NULL);
}

int sock_connect(struct stack *st, struct env *env, struct sock *s, const struct endpoint *to)
{
    sock_verb(st, env, s, EVC_CONNECT);
    int err = do_connect(st, env, s, to);
    sock_untouch(st);
    struct sock_call c = sock_call(EVC_CONNECT, s, 0, to ? to->port : 0);
    c.addr = to ? to->addr : *wildcard_of(s);
    record_try(st, env, s, &c, 0, err);
    return err;
}

/* --- data --- */

/* MSG_FASTOPEN: a connect and a send in one. 0: the connection is there, send. */
static int64_t send_opening(struct stack *st, struct env *env, struct sock *s,
                            struct tcp_first *first, const struct endpoint *to)
{
    if (!(st->knobs.tcp_fastopen & TFO_CLIENT)) {
        return -ERR_OPNOTSUPP;
    }
    if (tcp_state_of(s) != TCP_CLOSED || s->connected) {
        int err = connect_tcp_again(st, env, s);
        bool deferred = err == -ERR_ISCONN && tcp_state_of(s) == TCP_SYN_SENT;
        return deferred ? 0 : err;
    }
    if (!to) {
        return -ERR_INVAL;
    }
    int err = connect_tcp(st, env, s, *to, first);
    return first->taken ? (int64_t)first->taken : err;
}

static int64_t do_send(struct stack *st, struct env *env, struct sock *s, const struct span *v,
                       size_t n, uint32_t flags, const struct endpoint *to)
{
    if (!is_tcp(s)) {
        return udp_send(st, env, s, v, n, flags, to);
    }
    if (UNLIKELY(flags & LX_MSG_FASTOPEN)) {
        struct tcp_first first = {.v = v, .n = n, .waits = !(flags & LX_MSG_DONTWAIT)};
        int64_t done = send_opening(st, env, s, &first, to);
        if (done > 0 && (first.taken == span_total(v, n) || flags & LX_MSG_DONTWAIT)) {
            tcp_send_ends(st, env, s, flags);
        }
        if (done) {
            return done;
        }
    }
    return tcp_send(st, env, s, v, n, flags);
}

int64_t sock_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                  uint32_t flags, const struct endpoint *to)
{
    sock_verb(st, env, s, EVC_SEND);
    int64_t ret = do_send(st, env, s, v, n, flags, to);
    sock_untouch(st);
    struct sock_call c = sock_call(EVC_SEND, s, span_total(v, n), (uint16_t)flags);
    record_try(st, env, s, &c, flags, ret);
    return ret;
}

bool sock_opening(const struct sock *s)
{
    return is_tcp(s) && tcp_opening(s);
}

void sock_send_ends(struct stack *st, struct env *env, struct sock *s, uint32_t flags)
{
    if (is_tcp(s)) {
        tcp_send_ends(st, env, s, flags);
    }
}

int64_t sock_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                  uint32_t flags, struct recv_info *info)
{
    struct sock_call c = sock_call(EVC_RECV, s, mspan_total(v, n), (uint16_t)flags);
    sock_verb(st, env, s, EVC_RECV);
    int64_t ret = is_tcp(s) ? tcp_recv(st, env, s, v, n, flags, info)
                            : udp_recv(st, env, s, v, n, flags, info);
    sock_untouch(st);
    record_try(st, env, s, &c, flags, ret);
    return ret;
}

bool sock_at_mark(const struct sock *s)
{
    return s->side && is_tcp(s) && tcp_at_mark(s);
}

int sock_shutdown(struct stack *st, struct env *env, struct sock *s, int how)
{
    int err = -ERR_INVAL;
    struct sock_call c = sock_call(EVC_SHUTDOWN, s, (uint64_t)how, 0);
    sock_verb(st, env, s, EVC_SHUTDOWN);
    if (how >= LX_SHUT_RD && how <= LX_SHUT_RDWR) {
        err = is_tcp(s) ? tcp_shutdown(st, env, s, how) : udp_shutdown(st, env, s, how);
    }
    sock_untouch(st);
    sock_record(st, env, &c, err);
    return err;
}

/* --- questions --- */

int sock_name(struct stack *st, struct sock *s, struct endpoint *out)
{
    (void)st;
    *out = (struct endpoint){.addr = s->flow.laddr, .port = s->flow.lport};
    return 0;
}

int sock_peer(struct stack *st, struct sock *s, struct endpoint *out)
{
    (void)st;
    bool known = s->connected;
    if (is_tcp(s)) {
        enum tcp_state state = tcp_state_of(s);
        /* Linux: what is left in TIME-WAIT is no longer the program's socket. */
        known = state != TCP_CLOSED && state != TCP_LISTEN && state != TCP_SYN_SENT &&
                state != TCP_TIME_WAIT;
    }
    if (!known) {
        return -ERR_NOTCONN;
    }
    *out = (struct endpoint){.addr = s->flow.raddr, .port = s->flow.rport};
    return 0;
}

int64_t sock_ioctl(struct stack *st, struct env *env, struct sock *s, uint32_t request)
{
    return is_tcp(s) ? tcp_ioctl(st, env, s, request) : udp_ioctl(st, s, request);
}

uint32_t sock_ready(const struct stack *st, const struct sock *s)
{
    return is_tcp(s) ? tcp_ready(st, s) : udp_ready(st, s);
}

int sock_take_error(struct sock *s)
{
    int err = s->err;
    s->err = ERR_OK;
    if (err == ERR_OK && s->type == LX_SOCK_STREAM) {
        err = s->soft_err; /* Linux: SO_ERROR falls back on sk_err_soft */
        s->soft_err = ERR_OK;
    }
    return err;
}
