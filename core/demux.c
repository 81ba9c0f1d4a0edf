/*
 * demux.c - theory of operation.
 *
 * Two hash tables, keyed by SipHash so that no peer can fill one bucket.
 *
 *   conn   by protocol and flow: every TCP connection, from SYN-SENT or SYN-RCVD to the end of
 *          TIME-WAIT
 *   bind   by protocol and local port: every socket that has a port
 *
 * A bucket of `bind` has two lists. The open list holds what a packet may be for: listeners,
 * sockets that are bound but not connected, and all datagram sockets. The held list holds TCP
 * connections, which are found by flow and only keep their port from others; it may be long (a
 * server's children), so looking up a listener must not walk it. A socket moves to the held list
 * when it enters `conn`, and back when it leaves it with its port.
 *
 * Bind rules are Linux's (inet_csk_bind_conflict, udp_lib_get_port): two sockets with overlapping
 * addresses may share a port if both have SO_REUSEADDR and neither listens, or both have
 * SO_REUSEPORT and the same user. Ports for connect are taken from the low parity first and those
 * for bind from the high one, so that the two seldom meet; a port that connect chose may be shared
 * by connections to other peers, one that bind chose may not.
 *
 * Missing on purpose: SO_BINDTODEVICE as part of the key (there is one device), BPF selection in
 * SO_REUSEPORT groups.
 */
#include "demux.h"

#include "check.h"
#include "isn.h"
#include "stack.h"
#include "tcp.h"

#define ORDER_FIRST 0u  /* 512 buckets of conn, 256 of bind */
#define ORDER_MAX   12u /* 2 Mi buckets of conn */

enum { LIST_OPEN = 0, LIST_HELD = 1 };

/* --- hashing --- */

static uint32_t conn_hash(const struct demux *d, uint8_t proto, const struct flow *f)
{
    uint8_t key[37];
    if (addr_is4(&f->laddr)) { /* the mapping prefix says nothing */
        memcpy(key, f->laddr.b + 12, 4);
        memcpy(key + 4, f->raddr.b + 12, 4);
        memcpy(key + 8, &f->lport, 4);
        key[12] = proto;
        return (uint32_t)isn_hash(d->key, key, 13);
    }
    memcpy(key, f, sizeof *f);
    key[36] = proto;
    return (uint32_t)isn_hash(d->key, key, sizeof key);
}

static uint32_t bind_hash(uint8_t proto, uint16_t port)
{
    return port + proto * UINT32_C(7919); /* ports are ours to choose: no key needed */
}

static struct sock **conn_bucket(const struct demux *d, uint8_t proto, const struct flow *f)
{
    return &d->conn[conn_hash(d, proto, f) & d->conn_mask];
}

static struct sock **bind_bucket(const struct demux *d, uint8_t proto, uint16_t port, int list)
{
    return &d->bind[(bind_hash(proto, port) & d->bind_mask) * 2 + (uint32_t)list];
}

/* --- tables --- */

static struct sock **table_new(struct stack *st, struct env *env, unsigned order)
{
    struct sock **t = mem_pages_get(st->mem, env, order);
    if (t) {
        memset(t, 0, (size_t)MEM_PAGE << order);
    }
    return t;
}

static uint32_t table_mask(unsigned order, size_t width)
{
    return (uint32_t)(((size_t)MEM_PAGE << order) / (width * sizeof(struct sock *))) - 1;
}

int demux_init(struct stack *st, struct env *env)
{
    struct demux *d = &st->demux;
    *d = (struct demux){.conn_order = ORDER_FIRST, .bind_order = ORDER_FIRST};
    env->ops->random(env, d->key, sizeof d->key);
    d->conn = table_new(st, env, d->conn_order);
    d->bind = table_new(st, env, d->bind_order);
    if (!d->conn || !d->bind) {
        return -ERR_NOMEM;
    }
    d->conn_mask = table_mask(d->conn_order, 1);
    d->bind_mask = table_mask(d->bind_order, 2);
    return 0;
}

static void conn_link(struct demux *d, struct sock *s)
{
    struct sock **head = conn_bucket(d, s->proto, &s->flow);
    s->conn_next = *head;
    *head = s;
    s->in_conn = true;
    d->nconn++;
}

static void bind_link(struct demux *d, struct sock *s, bool held)
{
    struct sock **head = bind_bucket(d, s->proto, s->flow.lport, held ? LIST_HELD : LIST_OPEN);
    s->bind_next = *head;
    s->bind_prev = NULL;
    if (*head) {
        (*head)->bind_prev = s;
    }
    *head = s;
    s->in_bind = true;
    s->bind_held = held;
    d->nbind++;
}

static void bind_unlink(struct demux *d, struct sock *s)
{
    struct sock **head =
        bind_bucket(d, s->proto, s->flow.lport, s->bind_held ? LIST_HELD : LIST_OPEN);
    if (s->bind_next) {
        s->bind_next->bind_prev = s->bind_prev;
    }
    *(s->bind_prev ? &s->bind_prev->bind_next : head) = s->bind_next;
    s->bind_next = NULL;
    s->bind_prev = NULL;
    s->in_bind = false;
    d->nbind--;
}

/* Twice the buckets when there is one entry for each. Without memory the lists just grow longer. */
static void conn_grow(struct stack *st, struct env *env)
{
    struct demux *d = &st->demux;
    if (d->nconn <= d->conn_mask || d->conn_order == ORDER_MAX) {
        return;
    }
    unsigned order = d->conn_order + 1u;
    struct sock **bigger = table_new(st, env, order);
    if (!bigger) {
        return;
    }
    struct sock **old = d->conn;
    uint32_t old_mask = d->conn_mask;
    unsigned old_order = d->conn_order;
    d->conn = bigger;
    d->conn_mask = table_mask(order, 1);
    d->conn_order = (uint8_t)order;
    d->nconn = 0;
    for (uint32_t i = 0; i <= old_mask; i++) {
        while (old[i]) {
            struct sock *s = old[i];
            old[i] = s->conn_next;
            conn_link(d, s);
        }
    }
    mem_pages_put(st->mem, old, old_order);
}

/* Moves a list to the new table, its order kept: who was bound last is found first. */
static void bind_move(struct demux *d, struct sock *s, bool held)
{
    struct sock *last = s;
    while (last && last->bind_next) {
        last = last->bind_next;
    }
    while (last) {
        struct sock *prev = last->bind_prev;
        bind_link(d, last, held);
        last = prev;
    }
}

static void bind_grow(struct stack *st, struct env *env)
{
    struct demux *d = &st->demux;
    if (d->nbind <= d->bind_mask || d->bind_order == 8) { /* 64 Ki buckets: one for each port */
        return;
    }
    unsigned order = d->bind_order + 1u;
    struct sock **bigger = table_new(st, env, order);
    if (!bigger) {
        return;
    }
    struct sock **old = d->bind;
    uint32_t old_mask = d->bind_mask;
    unsigned old_order = d->bind_order;
    d->bind = bigger;
    d->bind_mask = table_mask(order, 2);
    d->bind_order = (uint8_t)order;
    d->nbind = 0;
    for (uint32_t i = 0; i <= old_mask; i++) {
        bind_move(d, old[i * 2 + LIST_OPEN], false);
        bind_move(d, old[i * 2 + LIST_HELD], true);
    }
    mem_pages_put(st->mem, old, old_order);
}

/* --- looking up --- */

/* In three steps that the compiler turns into loads: the ports differ most often. */
static inline bool flow_eq(const struct flow *a, const struct flow *b)
{
    return memcmp(&a->lport, &b->lport, 4) == 0 && addr_eq(&a->raddr, &b->raddr) &&
           addr_eq(&a->laddr, &b->laddr);
}

struct sock *demux_conn(struct stack *st, uint8_t proto, const struct flow *f)
{
    struct demux *d = &st->demux;
    if (d->last && d->last->proto == proto && flow_eq(&d->last->flow, f)) {
        return d->last;
    }
    for (struct sock *s = *conn_bucket(d, proto, f); s; s = s->conn_next) {
        if (s->proto == proto && flow_eq(&s->flow, f)) {
            d->last = s;
            return s;
        }
    }
    return NULL;
}

/* How well a bound socket fits a packet; 0: not at all. Linux's compute_score. */
static unsigned score_of(const struct sock *s, uint8_t proto, const struct flow *f)
{
    if (s->proto != proto || s->flow.lport != f->lport) {
        return 0;
    }
    unsigned score = s->family == LX_AF_INET ? 2 : 1;
    if (addr_eq(&s->flow.laddr, &f->laddr)) {
        score += 16;
    } else if (addr_eq(&s->flow.laddr, &addr_any4)) {
        score = addr_is4(&f->laddr) ? score : 0;
    } else if (addr_eq(&s->flow.laddr, &addr_any6)) {
        score = s->opt.v6only && addr_is4(&f->laddr) ? 0 : score;
    } else {
        return 0;
    }
    if (s->connected && score > 0) {
        bool from_peer = (proto != LX_IPPROTO_UDP || s->flow.rport == f->rport) &&
                         addr_eq(&s->flow.raddr, &f->raddr);
        score = from_peer ? score + 32 : 0;
    }
    return score;
}

static bool takes_packets(const struct sock *s)
{
    return s->proto != LX_IPPROTO_TCP || tcp_state_of(s) == TCP_LISTEN;
}

/* Of `n` equals in a SO_REUSEPORT group the one that the flow's hash chooses. */
static struct sock *group_pick(struct stack *st, uint8_t proto, const struct flow *f, unsigned best,
                               uint32_t n)
{
    uint64_t at = ((uint64_t)conn_hash(&st->demux, proto, f) * n) >> 32;
    for (struct sock *s = *bind_bucket(&st->demux, proto, f->lport, LIST_OPEN); s;
         s = s->bind_next) {
        if (s->opt.reuseport && score_of(s, proto, f) == best && takes_packets(s) && at-- == 0) {
            return s;
        }
    }
    return NULL;
}

struct sock *demux_bound(struct stack *st, uint8_t proto, const struct flow *f)
{
    struct sock *found = NULL;
    unsigned best = 0;
    uint32_t group = 0; /* SO_REUSEPORT sockets with the best score */

    for (struct sock *s = *bind_bucket(&st->demux, proto, f->lport, LIST_OPEN); s;
         s = s->bind_next) {
        unsigned score = score_of(s, proto, f);
        if (score == 0 || score < best || !takes_packets(s)) {
            continue;
        }
        if (score > best) {
            best = score;
            found = s;
            group = 0;
        }
        group += s->opt.reuseport;
    }
    if (group > 1 && found->opt.reuseport) {
        return group_pick(st, proto, f, best, group);
    }
    return found;
}

struct sock *demux_each(struct stack *st, uint8_t proto, const struct flow *f, struct sock *prev)
{
    struct sock *s = prev ? prev->bind_next : *bind_bucket(&st->demux, proto, f->lport, LIST_OPEN);
    while (s && score_of(s, proto, f) == 0) {
        s = s->bind_next;
    }
    return s;
}

/* --- connections --- */

int demux_add_conn(struct stack *st, struct env *env, struct sock *s)
{
    CHECK(!s->in_conn);
    if (demux_conn(st, s->proto, &s->flow)) {
        return -ERR_ADDRINUSE;
    }
    conn_grow(st, env);
    if (s->in_bind && !s->bind_held) {
        bind_unlink(&st->demux, s);
        bind_link(&st->demux, s, true);
    }
    conn_link(&st->demux, s);
    return 0;
}

void demux_del_conn(struct stack *st, struct sock *s)
{
    struct demux *d = &st->demux;
    if (d->last == s) {
        d->last = NULL;
    }
    if (!s->in_conn || !d->conn) { /* no table: in the midst of recovery */
        return;
    }
    struct sock **at = conn_bucket(d, s->proto, &s->flow);
    while (*at && *at != s) {
        at = &(*at)->conn_next;
    }
    if (*at) {
        *at = s->conn_next;
    }
    s->conn_next = NULL;
    s->in_conn = false;
    d->nconn--;
    if (s->in_bind && s->bind_held) {
        bind_unlink(d, s);
        bind_link(d, s, false);
    }
}

/* --- bind rules --- */

/* Whether two sockets would both want a packet to some address. */
static bool addrs_overlap(const struct addr *a, bool a_only6, const struct addr *b, bool b_only6)
{
    if (addr_eq(a, b)) {
        return true;
    }
    if (addr_eq(a, &addr_any6)) {
        return !(a_only6 && addr_is4(b));
    }
    if (addr_eq(b, &addr_any6)) {
        return !(b_only6 && addr_is4(a));
    }
    return (addr_eq(a, &addr_any4) && addr_is4(b)) || (addr_eq(b, &addr_any4) && addr_is4(a));
}

/* Whether `s`, bound to `at`, could not share its port with `o`. `exact`: the program named the
 * port; a port that we choose is not shared by way of SO_REUSEADDR or SO_REUSEPORT. */
static bool conflicts(const struct sock *s, const struct addr *at, const struct sock *o, bool exact)
{
    /* Linux: to an IPv4 socket, an IPv6 one without v6only is IPv4 even if connect gave it an
     * address. */
    bool riddle = s->family == LX_AF_INET && addr_eq(at, &addr_any4) && !o->opt.v6only;
    bool overlap = addrs_overlap(at, s->opt.v6only, &o->flow.laddr, o->opt.v6only) || riddle;
    if (s == o || !overlap) {
        return false;
    }
    if (!exact) {
        return true;
    }
    if (s->opt.reuseaddr && o->opt.reuseaddr &&
        (s->proto != LX_IPPROTO_TCP || tcp_state_of(o) != TCP_LISTEN)) {
        return false;
    }
    bool same_user =
        s->uid == o->uid || (o->proto == LX_IPPROTO_TCP && tcp_state_of(o) == TCP_TIME_WAIT);
    return !(s->opt.reuseport && o->opt.reuseport && same_user);
}

static bool port_free(struct stack *st, const struct sock *s, const struct addr *at, uint16_t port,
                      bool exact)
{
    for (int list = LIST_OPEN; list <= LIST_HELD; list++) {
        for (struct sock *o = *bind_bucket(&st->demux, s->proto, port, list); o; o = o->bind_next) {
            if (o->proto == s->proto && o->flow.lport == port && conflicts(s, at, o, exact)) {
                return false;
            }
        }
    }
    return true;
}

static void take_port(struct stack *st, struct env *env, struct sock *s, uint16_t port)
{
    bind_grow(st, env);
    s->flow.lport = port;
    s->bound = true;
    bind_link(&st->demux, s, s->in_conn);
}

struct port_range {
    uint32_t low;
    uint32_t n; /* even, or 1 */
};

/* The ports to choose from: the stack's, narrowed by IP_LOCAL_PORT_RANGE. */
static struct port_range range_of(const struct stack *st, const struct sock *s)
{
    uint32_t low = (uint32_t)st->knobs.ip_local_port_range_min;
    uint32_t high = (uint32_t)st->knobs.ip_local_port_range_max;
    uint32_t own_low = s->opt.port_range & 0xffff;
    uint32_t own_high = s->opt.port_range >> 16;
    low = own_low > low && own_low <= high ? own_low : low;
    high = own_high != 0 && own_high < high && own_high >= low ? own_high : high;
    uint32_t n = high >= low ? high - low + 1 : 1;
    return (struct port_range){.low = low, .n = n > 1 ? n & ~1u : 1};
}

#define PORT_TRIES 32u /* in the secret order, before all are tried in theirs */

/* The i-th port to try when starting `offset` steps in: first all of the parity of `offset`, then
 * the others. */
static uint16_t nth_port(struct port_range r, uint32_t offset, uint32_t i)
{
    uint32_t half = r.n / 2;
    if (half == 0) {
        return (uint16_t)r.low;
    }
    uint32_t parity = (offset & 1) ^ (i >= half);
    return (uint16_t)(r.low + (offset / 2 + i % half) % half * 2 + parity);
}

/* RFC 9293 3.9.1.1, MUST-41, MUST-42, MUST-43. */
int demux_bind(struct stack *st, struct env *env, struct sock *s, const struct addr *at,
               uint16_t port)
{
    CHECK(!s->in_bind);
    if (port == 0) {
        struct port_range r = range_of(st, s);
        uint32_t offset;
        env->ops->random(env, &offset, sizeof offset);
        offset = s->proto == LX_IPPROTO_TCP ? offset % r.n | 1 : offset % r.n;
        for (uint32_t i = 0; i < r.n && port == 0; i++) {
            uint16_t p = nth_port(r, offset, i);
            port = port_free(st, s, at, p, false) ? p : 0;
        }
    } else if (!port_free(st, s, at, port, true)) {
        port = 0;
    }
    if (port == 0) {
        return -ERR_ADDRINUSE;
    }
    s->flow.laddr = *at;
    s->auto_port = false;
    take_port(st, env, s, port);
    return 0;
}

int demux_may_listen(struct stack *st, struct sock *s)
{
    return port_free(st, s, &s->flow.laddr, s->flow.lport, true) ? 0 : -ERR_ADDRINUSE;
}

/* Whether a connection may use a port: nobody got it by bind, and the four-tuple is free. */
static bool port_usable(struct stack *st, const struct sock *s, const struct flow *f)
{
    for (int list = LIST_OPEN; list <= LIST_HELD; list++) {
        for (struct sock *o = *bind_bucket(&st->demux, s->proto, f->lport, list); o;
             o = o->bind_next) {
            if (o != s && o->proto == s->proto && o->flow.lport == f->lport &&
                !(list == LIST_HELD && o->auto_port)) {
                return false;
            }
        }
    }
    return demux_conn(st, s->proto, f) == NULL;
}

/* The i-th port to try for a connection: at first in an order that only we know (RFC 6056 3.3),
 * each port once before any comes again; when those are taken, one after the other. Linux, not
 * RFC: even ports first, the odd ones are for bind. */
static uint16_t port_towards(const struct stack *st, struct port_range r, const struct flow *f,
                             uint32_t i)
{
    uint32_t half = r.n / 2;

    if (half < 2) {
        return nth_port(r, 0, i);
    }
    uint32_t at = isn_port_order(st->port_secret, &f->laddr, &f->raddr, f->rport, half,
                                 (st->port_seq + (i < PORT_TRIES ? i : 0)) % half);
    return nth_port(r, at * 2, i < PORT_TRIES ? 0 : i);
}

int demux_pick_port(struct stack *st, struct env *env, struct sock *s, const struct addr *laddr,
                    const struct endpoint *to)
{
    struct port_range r = range_of(st, s);
    struct flow f = {.laddr = *laddr, .raddr = to->addr, .rport = to->port};

    st->port_seq++;
    for (uint32_t i = 0; i < r.n + PORT_TRIES; i++) {
        f.lport = port_towards(st, r, &f, i);
        if (port_usable(st, s, &f)) {
            s->auto_port = true;
            take_port(st, env, s, f.lport);
            st->port_seq += min_u32(i, PORT_TRIES);
            return 0;
        }
    }
    return -ERR_ADDRNOTAVAIL;
}

void demux_share_port(struct stack *st, struct sock *child)
{
    CHECK(!child->in_bind);
    child->bound = true;
    child->auto_port = false;
    bind_link(&st->demux, child, true);
}

void demux_del_bind(struct stack *st, struct sock *s)
{
    if (s->in_bind && st->demux.bind) {
        bind_unlink(&st->demux, s);
    }
    s->bound = false;
}

/* --- recovery --- */

/* The largest table we can get, at most of this order. */
static struct sock **table_again(struct stack *st, struct env *env, uint8_t *order)
{
    if (*order > ORDER_MAX) {
        *order = ORDER_FIRST;
    }
    for (;;) {
        struct sock **t = table_new(st, env, *order);
        if (t || *order == 0) {
            return t;
        }
        --*order;
    }
}

static void relink_all(struct stack *st, enum mem_kind kind)
{
    struct demux *d = &st->demux;
    for (struct sock *s = mem_obj_next(st->mem, kind, NULL); s;
         s = mem_obj_next(st->mem, kind, s)) {
        bool conn = s->in_conn && !demux_conn(st, s->proto, &s->flow);
        s->in_conn = false;
        s->conn_next = NULL;
        if (conn) {
            conn_link(d, s);
        }
        s->bind_next = NULL;
        s->bind_prev = NULL;
        s->in_bind = false;
        s->bound = s->bound && s->flow.lport != 0;
        if (s->bound) {
            bind_link(d, s, s->in_conn);
        }
    }
}

int demux_rebuild(struct stack *st, struct env *env)
{
    struct demux *d = &st->demux;
    d->conn = table_again(st, env, &d->conn_order);
    d->bind = table_again(st, env, &d->bind_order);
    if (!d->conn || !d->bind) {
        return -ERR_NOMEM;
    }
    d->conn_mask = table_mask(d->conn_order, 1);
    d->bind_mask = table_mask(d->bind_order, 2);
    d->nconn = 0;
    d->nbind = 0;
    d->last = NULL;
    relink_all(st, MEM_TCP);
    relink_all(st, MEM_UDP);
    return 0;
}
