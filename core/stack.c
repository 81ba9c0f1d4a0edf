/*
 * stack.c - theory of operation.
 *
 * The host as a whole: where a packet goes once its header has been read, what is done at the end
 * of a batch, when the next deadline is, and how everything is put right after the holder of the
 * lock has died.
 *
 *   stack_input    link -> ip_parse -> may this come from a wire? -> ours? -> whole? -> TCP, UDP,
 *                  ICMP
 *   stack_flush    acknowledgments, then packets to ourselves through the same door, until
 *                  nothing is left
 *   stack_expire   timers that are due -> their owners, then stack_flush
 *
 * The arena, from `at`: struct stack | event ring | tables of mem | pages. The ring lies outside of
 * mem: it is made once and outlives every recovery.
 *
 * Recovery believes only the live objects of the slabs: each was either complete or is dropped.
 * Every list, table and timer is emptied first and made again from them; nothing is followed that a
 * half-done change could have left dangling. The sockets being changed at the time of death
 * (`touching`) are aborted: their insides may contradict each other. Recovery may itself be cut
 * short and run again: `touching` is cleared last.
 */
#include "stack.h"

#include "check.h"
#include "frag.h"
#include "icmp.h"
#include "ip.h"
#include "pmtu.h"
#include "sock_priv.h"
#include "sock_side.h"
#include "tcp.h"
#include "tcp_accecn.h"
#include "tcp_flight.h"
#include "tcp_saved.h"
#include "udp.h"

#define FLUSH_PKTS_MAX \
    65536u /* packets to ourselves in one flush: no two sockets of ours can keep us for ever */
#define FIRE_MAX (1u << 20)

/* --- making --- */

static size_t page_up(size_t n)
{
    return (n + MEM_PAGE - 1) & ~(size_t)(MEM_PAGE - 1);
}

static void config_copy(struct stack *st, const struct stack_config *cfg)
{
    CHECK(cfg->naddr <= STACK_ADDRS_MAX);
    st->knobs = cfg->knobs;
    memcpy(st->addr, cfg->addr, sizeof st->addr);
    st->naddr = cfg->naddr;
    st->mtu = cfg->mtu;
    st->caps = cfg->caps;
}

static void secrets_draw(struct stack *st, struct env *env)
{
    env->ops->random(env, st->isn_secret, sizeof st->isn_secret);
    env->ops->random(env, st->ts_secret, sizeof st->ts_secret);
    env->ops->random(env, st->port_secret, sizeof st->port_secret);
    env->ops->random(env, st->cookie_secret, sizeof st->cookie_secret);
    env->ops->random(env, &st->ip_id, sizeof st->ip_id);
    env->ops->random(env, &st->port_seq, sizeof st->port_seq);
}

struct stack *stack_init(void *base, void *at, size_t size_max, const struct stack_config *cfg,
                         struct env *env)
{
    size_t before = (size_t)((uint8_t *)at - (uint8_t *)base);
    size_t own = page_up(sizeof(struct stack));
    size_t ring = page_up(sizeof(struct event_ring));
    struct stack *st = at;

    CHECK((uintptr_t)at % MEM_PAGE == 0);
    if (before + own + ring > size_max || env->ops->grow(env, before + own + ring) != 0) {
        return NULL;
    }
    memset(st, 0, sizeof *st);
    st->arena = base;
    st->arena_max = size_max;
    st->events = (void *)((uint8_t *)at + own);
    st->events->next = 0;
    config_copy(st, cfg);
    secrets_draw(st, env);
    timers_init(&st->timers);
    timer_init(&st->pmtu_timer);
    st->pmtu_timer.owner = TIMER_PMTU;
    mcast_init(st);
    tcp_flight_none(&st->no_flight);
    st->pmtu_min = UINT32_MAX;
    st->icmp_at = env->now;
    st->icmp_tokens = (uint32_t)st->knobs.icmp_msgs_burst;

    const uint32_t sizes[MEM_KINDS] = {
        [MEM_TCP] = tcp_obj_size(),
        [MEM_UDP] = sizeof(struct udp),
        [MEM_DGRAM] = sizeof(struct dgram),
        [MEM_POLLSET] = sizeof(struct pollset),
        [MEM_WATCH] = sizeof(struct watch),
        [MEM_FRAG] = sizeof(struct frag),
        [MEM_SIDE] = sizeof(struct side),
        [MEM_TFO] = sizeof(struct tfo_listener),
        [MEM_MEMBER] = sizeof(struct mcast_member),
        [MEM_MARK] = sizeof(struct mark),
        [MEM_MD5] = tcp_md5_key_size(),
        [MEM_REQ] = sizeof(struct tcp_req),
        [MEM_FLIGHT] = sizeof(struct tcp_flight),
        [MEM_ACCECN] = sizeof(struct accecn),
        [MEM_SYN] = sizeof(struct saved_syn),
    };
    st->mem = mem_init(base, (uint8_t *)at + own + ring, size_max, sizes, cfg->mem_limit, env);
    if (!st->mem || demux_init(st, env) != 0 || tcp_req_init(st, env) != 0) {
        return NULL;
    }
    st->magic = STACK_MAGIC;
    return st;
}

/* --- packets in --- */

/* Whose packet it was, as far as its bytes tell. Nothing in it has been judged. */
static void tell_flow(struct event *ev, const struct pkt_in *in, uint8_t version)
{
    size_t at = 0;
    if (version == 4 && in->len >= 20) {
        ev->proto = in->p[9];
        at = (size_t)(in->p[0] & 15) * 4;
    } else if (version == 6 && in->len >= 40) {
        ev->proto = in->p[6];
        at = 40;
    }
    if ((ev->proto == LX_IPPROTO_TCP || ev->proto == LX_IPPROTO_UDP) && in->len >= at + 4) {
        ev->rport = (uint16_t)(in->p[at] << 8 | in->p[at + 1]);
        ev->lport = (uint16_t)(in->p[at + 2] << 8 | in->p[at + 3]);
    }
}

void stack_drop(struct stack *st, struct env *env, enum drop why, const struct pkt_in *in)
{
    struct event *ev = event_begin(st->events, env, EV_DROP);
    uint8_t version = in->len > 0 ? in->p[0] >> 4 : 0;
    tell_flow(ev, in, version);
    ev->why = (uint8_t)why;
    ev->u.pkt.len = (uint32_t)in->len;
    ev->u.pkt.ver = version;
    event_end(st->events);
    st->stats.drop[why]++;
}

static bool is_own(const struct stack *st, const struct addr *a)
{
    for (uint32_t i = 0; i < st->naddr; i++) {
        if (addr_eq(a, &st->addr[i].addr)) {
            return true;
        }
    }
    return false;
}

/* Whether a host on the wire may have this address. RFC 1122 3.2.1.3, RFC 4291 2.5.2, 2.5.3, 2.7.
 */
static enum drop source_check(const struct stack *st, const struct ip_hdr *ip)
{
    const struct addr *a = &ip->src;
    bool zero_net = !ip->v6 && addr_bytes4(a)[0] == 0;
    if (zero_net || addr_is_any(a) || addr_is_multicast(a) || ip_is_broadcast(st, a)) {
        return DROP_IP_SOURCE;
    }
    /* Our own address or loopback from outside: somebody lies (LAND). */
    return is_own(st, a) || addr_is_loopback(a) ? DROP_MARTIAN : DROP_NONE;
}

enum cast { CAST_NONE, CAST_UNI, CAST_MANY };

static enum cast cast_of(const struct stack *st, const struct addr *dst, bool looped)
{
    if (LIKELY(is_own(st, dst))) {
        return CAST_UNI;
    }
    if (addr_is_loopback(dst)) {
        return looped ? CAST_UNI : CAST_NONE;
    }
    return ip_is_ours(st, dst) ? CAST_MANY : CAST_NONE;
}

/* A whole packet for us, to its protocol. */
static void deliver(struct stack *st, struct env *env, const struct pkt_in *in, struct ip_hdr *ip,
                    enum cast cast)
{
    st->stats.IpInDelivers++;
    if (ip->proto == LX_IPPROTO_TCP) {
        if (LIKELY(cast == CAST_UNI)) {
            tcp_input(st, env, ip);
        } else {
            stack_drop(st, env, DROP_MARTIAN, in); /* RFC 9293 3.9.2.3, MUST-57 */
        }
    } else if (ip->proto == LX_IPPROTO_UDP) {
        if (!udp_input(st, env, ip)) {
            icmp_send_error(st, env, ip, ICMP_PORT_UNREACH, 0);
        }
    } else if (ip->proto == (ip->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP)) {
        icmp_input(st, env, ip);
    } else if (!ip->v6 && ip->proto == LX_IPPROTO_IGMP) {
        igmp_input(st, env, ip);
    } else {
        stack_drop(st, env, DROP_IP_PROTOCOL, in);
        if (!(ip->v6 && ip->proto == 59)) { /* RFC 8200 4.7: no next header, nothing to say */
            icmp_send_error(st, env, ip, ICMP_PROTO_UNREACH, ip->bad_at);
        }
    }
}

static void reassemble(struct stack *st, struct env *env, const struct pkt_in *in,
                       const struct ip_hdr *ip, enum cast cast)
{
    struct pkt_in whole;
    struct ip_hdr hdr;
    enum drop why = DROP_NONE;
    struct frag *f = frag_input(st, env, ip, &whole, &why);
    if (why != DROP_NONE) {
        stack_drop(st, env, why, in);
    }
    if (!f) {
        return;
    }
    why = ip_parse(&whole, &hdr);
    if (why != DROP_NONE || hdr.frag) { /* a fragment in a fragment is nothing anybody sends */
        stack_drop(st, env, why != DROP_NONE ? why : DROP_IP_FRAGMENT, &whole);
    } else {
        deliver(st, env, &whole, &hdr, cast);
    }
    frag_free(st, f);
}

static void input(struct stack *st, struct env *env, const struct pkt_in *in, bool looped)
{
    struct ip_hdr ip;
    st->stats.IpInReceives++;
    st->stats.IpInBytes += in->len;

    ip.bad_why = 0;
    enum drop why = ip_parse(in, &ip);
    bool parsed = why == DROP_NONE || ip.bad_why != 0;
    if (parsed && !looped) {
        enum drop source = source_check(st, &ip);
        why = source != DROP_NONE ? source : why;
        parsed = source == DROP_NONE;
    }
    enum cast cast = parsed ? cast_of(st, &ip.dst, looped) : CAST_NONE;
    if (parsed && cast == CAST_NONE) {
        why = DROP_IP_NOT_OURS;
    }
    if (UNLIKELY(why != DROP_NONE)) {
        stack_drop(st, env, why, in);
        if (cast != CAST_NONE && ip.bad_why != 0) {
            icmp_send_error(st, env, &ip, (enum icmp_why)(ip.bad_why - 1), ip.bad_at);
        }
    } else if (UNLIKELY(ip.frag)) {
        reassemble(st, env, in, &ip, cast);
    } else {
        deliver(st, env, in, &ip, cast);
    }
}

void stack_input(struct stack *st, struct env *env, const struct pkt_in *in)
{
    input(st, env, in, false);
}

/* --- the end of a batch, and time --- */

static void loop_next(struct stack *st, struct env *env)
{
    struct loop_pkt *l = st->loop_head;
    struct pkt_in in = {.p = l->bytes, .len = l->len, .csum_ok = true, .gso_size = l->gso_size};

    st->loop_head = l->next;
    if (!st->loop_head) {
        st->loop_tail = NULL;
    }
    st->loop_len--;
    if (env->ops->looped) {
        env->ops->looped(env, &in);
    }
    input(st, env, &in, true);
    mem_pages_put(st->mem, l, l->order);
}

void stack_flush(struct stack *st, struct env *env)
{
    uint32_t budget = FLUSH_PKTS_MAX;
    tcp_flush(st, env);
    while (st->loop_head && budget > 0) {
        for (; st->loop_head && budget > 0; budget--) {
            loop_next(st, env);
        }
        tcp_flush(st, env);
    }
}

nsec stack_deadline(struct stack *st)
{
    return st->loop_head ? 0 : timers_next(&st->timers); /* a flush that ran out of budget */
}

static void fire(struct stack *st, struct env *env, struct timer *t)
{
    switch (t->owner) {
    case TIMER_FRAG:
        frag_timer(st, env, t);
        break;
    case TIMER_PMTU:
        pmtu_expire(st, env);
        break;
    case TIMER_MCAST:
        igmp_timer(st, env);
        break;
    case TIMER_REQ:
        tcp_req_expire(st, env);
        break;
    default:
        tcp_timer(st, env, t);
    }
}

void stack_expire(struct stack *st, struct env *env)
{
    struct timer *t;
    for (uint32_t n = 0; n < FIRE_MAX && (t = timers_pop(&st->timers, env->now)) != NULL; n++) {
        fire(st, env, t);
    }
    stack_flush(st, env);
}

bool stack_owes(struct stack *st)
{
    for (struct sock *s = mem_obj_next(st->mem, MEM_TCP, NULL); s;
         s = mem_obj_next(st->mem, MEM_TCP, s)) {
        if (s->orphan && tcp_owes(s)) {
            return true;
        }
    }
    return false;
}

/* --- recovery --- */

/* Empties every index: from here on nothing can be reached but from the slabs. */
static void indices_clear(struct stack *st)
{
    timers_init(&st->timers);
    timer_init(&st->pmtu_timer);
    st->pmtu_timer.owner = TIMER_PMTU;
    mcast_init(st);
    st->reqs = (struct tcp_reqs){0};
    st->demux.conn = NULL;
    st->demux.bind = NULL;
    st->demux.last = NULL;
    st->watch_hash = NULL;
    st->wake_head = NULL;
    st->collecting = NULL;
    st->place_hint = NULL;
    st->flush_head = NULL;
    st->signal_head = NULL;
    st->loop_head = NULL;
    st->loop_tail = NULL;
    st->loop_len = 0;
}

static void tcp_rebuild_all(struct stack *st, struct env *env)
{
    for (struct sock *s = mem_obj_next(st->mem, MEM_TCP, NULL); s;
         s = mem_obj_next(st->mem, MEM_TCP, s)) {
        s->watches = NULL;
        if (s->family == 0) {
            mem_obj_put(st->mem, s); /* died while it was made */
        } else {
            (void)tcp_rebuild(st, env, s);
        }
    }
}

/* Path MTUs and groups are values: any state of them can be lived with once the counts are right.
 */
static void tables_settle(struct stack *st, struct env *env)
{
    mcast_rebuild(st, env);
    pmtu_expire(st, env);
}

/* The connection in whose midst the process died. A listener is whole again: its queue was made
 * anew. */
static void abort_hurt(struct stack *st, struct env *env, struct sock *s)
{
    if (!sock_live(st, s) || s->obj.kind != MEM_TCP || tcp_state_of(s) == TCP_LISTEN) {
        return;
    }
    if (tcp_state_of(s) != TCP_CLOSED) {
        tcp_abort(st, env, s, ERR_CONNABORTED);
    }
}

/* Orphans whose closing was cut short: one that still waits for its program's data was about to be
 * reset, one that is over was about to be freed. Those about to become orphans are their holder's
 * again, and go with it. */
static void orphans_sweep(struct stack *st, struct env *env)
{
    for (struct sock *s = mem_obj_next(st->mem, MEM_TCP, NULL); s;
         s = mem_obj_next(st->mem, MEM_TCP, s)) {
        enum tcp_state state = tcp_state_of(s);
        if (s->orphan && sock_held(s)) {
            s->orphan = false;
        } else if (s->orphan && (state == TCP_CLOSED || state == TCP_LISTEN)) {
            tcp_close(st, env, s);
        } else if (s->orphan &&
                   (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_SYN_SENT)) {
            tcp_abort(st, env, s, ERR_CONNABORTED);
        }
    }
}

static void recover_record(struct stack *st, struct env *env, const struct sock *hurt)
{
    struct event *ev = event_begin(st->events, env, EV_RECOVER);
    if (sock_live(st, hurt)) {
        ev->sock_id = hurt->obj.id;
        ev->proto = hurt->proto;
        ev->lport = hurt->flow.lport;
        ev->rport = hurt->flow.rport;
    }
    event_end(st->events);
}

void stack_recover(struct stack *st, struct env *env)
{
    struct sock *hurt = st->touching;
    struct sock *hurt2 = st->touching2;

    st->generation++;
    st->stats.Recoveries++;
    mem_rebuild_begin(st->mem);
    indices_clear(st);
    frag_rebuild(st);
    sock_side_rebuild(st);
    tcp_flight_rebuild(st);
    tcp_rebuild_all(st, env);
    tcp_mark_rebuild(st);
    tcp_md5_rebuild(st);
    accecn_rebuild(st);
    udp_rebuild(st, env);
    mem_rebuild_end(st->mem);

    CHECK(demux_rebuild(st, env) == 0); /* all that the old tables had is free now */
    pollset_rebuild(st, env);
    tcp_rebuild_queues(st, env);
    tables_settle(st, env);
    recover_record(st, env, hurt);
    orphans_sweep(st, env);
    abort_hurt(st, env, hurt);
    abort_hurt(st, env, hurt2);
    orphans_sweep(st, env);
    st->touching = NULL;
    st->touching2 = NULL;
}

/* --- invariants --- */

static const char *check_sock(struct stack *st, const struct sock *s)
{
    if (s->family != LX_AF_INET && s->family != LX_AF_INET6) {
        return "a live socket has no family";
    }
    if (s->in_conn && demux_conn(st, s->proto, &s->flow) != s) {
        return "a connection is not found under its flow";
    }
    if (s->bound && !s->in_bind) {
        return "a bound socket is not in the table of ports";
    }
    if (s->in_conn && s->in_bind && !s->bind_held) {
        return "a connection is in the list of open sockets";
    }
    for (const struct watch *w = s->watches; w; w = w->sock_next) {
        if (w->sock != s || (w->sock_next && w->sock_next->sock_prev != w)) {
            return "the list of a socket's watches is torn";
        }
    }
    return s->proto == LX_IPPROTO_TCP ? tcp_check(st, s) : NULL;
}

static const char *check_set(const struct pollset *set)
{
    uint32_t n = 0;
    uint32_t ready = 0;
    for (const struct watch *w = set->watches; w; w = w->set_next) {
        n++;
        if (w->set != set) {
            return "a watch is on another set's list";
        }
    }
    for (const struct watch *w = set->ready_head; w; w = w->ready_next) {
        ready++;
        if (!w->in_ready || w->set != set) {
            return "a watch on the ready list does not know it";
        }
    }
    return n != set->nwatches || ready != set->nready ? "a set's counts are wrong" : NULL;
}

static const char *check_loop(const struct stack *st)
{
    uint32_t n = 0;
    const struct loop_pkt *last = NULL;
    for (const struct loop_pkt *l = st->loop_head; l; l = l->next) {
        last = l;
        n++;
    }
    return n != st->loop_len || last != st->loop_tail ? "the loop queue is torn" : NULL;
}

const char *stack_check(struct stack *st)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};
    const char *bad = st->magic == STACK_MAGIC ? mem_check(st->mem) : "no stack";
    for (size_t k = 0; !bad && k < ARRAY_LEN(kinds); k++) {
        for (struct sock *s = mem_obj_next(st->mem, kinds[k], NULL); s && !bad;
             s = mem_obj_next(st->mem, kinds[k], s)) {
            bad = check_sock(st, s);
        }
    }
    for (struct pollset *set = mem_obj_next(st->mem, MEM_POLLSET, NULL); set && !bad;
         set = mem_obj_next(st->mem, MEM_POLLSET, set)) {
        bad = check_set(set);
    }
    if (!bad && (st->touching || st->touching2)) {
        bad = "a socket is being touched between verbs";
    }
    return bad ? bad : check_loop(st);
}
