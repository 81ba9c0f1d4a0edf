/*
 * tcp_listen.c - theory of operation
 *
 * LISTEN, RFC 9293 3.10.7.2. A SYN makes a request (tcp_req.c); the acknowledgment of its SYN-ACK
 * makes the request a child, which stands in the accept queue until the program takes it. Fast
 * Open makes the child at once. Limits are Linux's: while more requests than the backlog are
 * open a SYN is answered by a cookie (tcp_cookie.c) or dropped, while the accept queue is
 * over-full it is dropped, and an ACK that would complete a handshake is not taken while there is
 * no place, so that the client, which thinks itself connected, says it again.
 *
 * The queue is an index: a child knows its parent and whether it stands in it.
 */
#include "tcp_cb.h"

#include "check.h"
#include "isn.h"
#include "sock_priv.h"
#include "tcp_cookie.h"
#include "tcp_saved.h"

static void enqueue(struct tcp **head, struct tcp **tail, struct tcp *c)
{
    c->q_next = NULL;
    c->q_prev = *tail;
    if (*tail) {
        (*tail)->q_next = c;
    } else {
        *head = c;
    }
    *tail = c;
}

static void dequeue(struct tcp **head, struct tcp **tail, struct tcp *c)
{
    if (c->q_prev) {
        c->q_prev->q_next = c->q_next;
    } else {
        *head = c->q_next;
    }
    if (c->q_next) {
        c->q_next->q_prev = c->q_prev;
    } else {
        *tail = c->q_prev;
    }
    c->q_next = c->q_prev = NULL;
}

void tcp_listen_forget(struct stack *st, struct tcp *child)
{
    struct tcp *l = child->parent;

    (void)st;
    if (!l) {
        return;
    }
    if (child->in_accept) {
        dequeue(&l->acc_head, &l->acc_tail, child);
        l->nacc--;
    }
    child->half_open = child->in_accept = false;
    if (!child->fo_child) { /* whose listener counts it until its handshake is over */
        child->parent = NULL;
    }
}

int tcp_listen(struct stack *st, struct env *env, struct sock *s, int backlog)
{
    struct tcp *c = tcp_of(s);
    uint32_t max = (uint32_t)st->knobs.somaxconn;

    c->backlog = backlog < 0 || (uint32_t)backlog > max ? max : (uint32_t)backlog;
    if (c->state == TCP_LISTEN) {
        return 0;
    }
    c->acc_head = c->acc_tail = NULL;
    c->nhalf = c->nyoung = c->nacc = 0;
    tcp_to(st, env, c, TCP_LISTEN);
    return tfo_listen(st, env, c);
}

struct sock *tcp_accept(struct stack *st, struct env *env, struct sock *s, int *err)
{
    struct tcp *l = tcp_of(s);
    struct tcp *c = l->acc_head;

    (void)env;
    if (l->state != TCP_LISTEN) {
        *err = -ERR_INVAL;
        return NULL;
    }
    if (!c) {
        *err = -ERR_AGAIN;
        return NULL;
    }
    st->touching2 = &c->s;
    tcp_listen_forget(st, c);
    return &c->s;
}

/* Numbers, options and window of a child, as its request has them. */
static void open_child(struct stack *st, struct env *env, struct tcp *c, const struct tcp_req *r)
{
    c->passive = true;
    c->info.segs_in = 1; /* the SYN: RFC 4898, PerfSegsIn */
    c->irs = r->irs;
    c->rcv.nxt = c->rcv.wup = seq_add(r->irs, 1);
    c->iss = r->iss;
    c->ts_offset = isn_ts_offset(st->ts_secret, &c->s.flow);
    c->snd.una = c->iss;
    c->snd.nxt = seq_add(c->iss, 1);
    c->snd.sml = c->iss;
    c->snd.pushed = c->snd.nxt;
    c->snd.wl1 = r->irs;
    c->snd.wnd = c->snd.wnd_max = r->wnd;
    c->snd.mss_clamp = r->mss;
    c->ts_ok = r->ts_ok;
    c->ts_recent = r->ts_recent;
    c->ts_recent_at = env->now;
    c->sack_ok = r->sack_ok;
    c->ws_ok = r->ws_ok;
    c->snd_scale = r->wscale;
    tcp_open_mss(st, c);
    tcp_mtu_open(st, env, c);
    tcp_rcv_init(st, c);
    c->rcv.adv =
        seq_add(c->rcv.nxt, min_u32(c->rcv.wnd_lim, 65535u)); /* what the SYN-ACK announced */
}

static struct tcp *new_child(struct stack *st, struct env *env, struct tcp *l, const struct flow *f)
{
    struct tcp *c = mem_obj_get(st->mem, env, MEM_TCP);

    if (!c) {
        return NULL;
    }
    sock_init_child(st, env, &c->s, &l->s);
    c->s.flow = *f;
    c->s.connected = true;
    tcp_init(st, env, &c->s);
    tcp_copy_options(c, l);
    if (UNLIKELY(l->s.side != NULL) && !tcp_md5_inherit(st, env, c, l)) {
        sock_free(st, &c->s);
        return NULL;
    }
    if (demux_add_conn(st, env, &c->s)) {
        sock_free(st, &c->s);
        return NULL;
    }
    demux_share_port(st, &c->s);
    return c;
}

static void to_accept_queue(struct stack *st, struct tcp *l, struct tcp *c)
{
    c->in_accept = true;
    enqueue(&l->acc_head, &l->acc_tail, c);
    l->nacc++;
    sock_notify(st, &l->s, LX_POLLIN | LX_POLLRDNORM);
}

/* Whether a SYN may begin a connection; *cookie: by a cookie only. Linux, not RFC: SYN with FIN is
 * nobody's opening. */
static enum drop admit(struct stack *st, const struct tcp *l, const struct tcp_seg *seg,
                       bool *cookie)
{
    uint32_t most = (uint32_t)st->knobs.tcp_max_syn_backlog;
    int32_t mode = st->knobs.tcp_syncookies;

    *cookie = false;
    if (seg->flags & TCP_FIN && st->knobs.user_drop_synfin) {
        return DROP_TCP_FLAGS;
    }
    if (mode == 2 || l->nhalf > l->backlog) {
        *cookie = mode != 0;
        if (!mode) {
            return DROP_TCP_SYN_QUEUE;
        }
    }
    if (l->nacc > l->backlog) {
        return DROP_TCP_BACKLOG;
    }
    /* Linux: the last quarter is for peers known from before; we know of none. */
    bool scarce = l->nhalf + most / 4 > most;
    return !mode && scarce ? DROP_TCP_SYN_QUEUE : DROP_NONE;
}

/* A child in SYN-RCVD. `sent`: when its SYN-ACK was, for its round trip. NULL: no memory. */
static struct tcp *make_child(struct stack *st, struct env *env, const struct tcp_req *r,
                              uint32_t segs, nsec sent)
{
    struct tcp *c = new_child(st, env, r->parent, &r->flow);

    if (!c) {
        return NULL;
    }
    st->touching2 = &c->s;
    tcp_to(st, env, c, TCP_SYN_RCVD);
    open_child(st, env, c, r);
    c->parent = r->parent;
    c->half_open = true;
    if (!tcp_ecn_child(st, env, c, r) ||
        tcp_flight_push(st, env, c, c->iss, c->snd.nxt, segs, sent)) {
        tcp_done(st, env, c, ERR_NOBUFS);
        st->touching2 = NULL;
        return NULL;
    }
    return c;
}

/* RFC 7413 4.1.2: the child takes the SYN's data and needs no handshake to be accepted. */
static enum drop open_fast(struct stack *st, struct env *env, struct tcp_req *r,
                           const struct tcp_seg *seg, const struct tfo_cookie *answer)
{
    struct tcp *c = make_child(st, env, r, 0, env->now);

    if (!c || !tfo_take(st, env, c, seg)) {
        st->stats.TcpFastOpenPassiveFail++;
        if (c) {
            tcp_done(st, env, c, ERR_NOBUFS);
        }
        st->touching2 = NULL;
        return DROP_NO_MEMORY;
    }
    c->half_open = false;
    c->fo_child = true;
    c->syn_data_acked = seg->len > 0;
    tcp_saved_hand_over(st, env, r, c);
    c->parent->fo->qlen++;
    st->stats.TcpFastOpenPassive++;
    tcp_send_syn_with(st, env, c, TX_SYNACK, answer, 0);
    tcp_timer_set(st, env, c, TT_RTO, env->now + RTO_INITIAL);
    to_accept_queue(st, c->parent, c);
    st->touching2 = NULL;
    return DROP_NONE;
}

static enum drop take_syn(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                          const struct tcp_seg *seg)
{
    struct tcp_req r = {0};
    struct tfo_cookie answer;
    bool cookie;
    enum drop why = admit(st, l, seg, &cookie);

    if (why != DROP_NONE) {
        st->stats.TcpListenDrops++;
        st->stats.TcpListenOverflows += why == DROP_TCP_BACKLOG;
        return why;
    }
    tcp_req_fill(st, &r, l, ip, seg);
    if (cookie) {
        tcp_cookie_make(st, env, &r);
        tcp_req_synack(st, env, &r, TX_SYNACK, NULL);
        return DROP_NONE;
    }
    r.iss = isn_of(st->isn_secret, &r.flow, env->now);
    tcp_saved_keep(st, env, &r, ip);
    if (tfo_admit(st, env, l, ip, seg, &answer)) {
        why = open_fast(st, env, &r, seg, &answer);
        tcp_saved_forget(st, &r);
        return why;
    }
    if (!tcp_req_keep(st, env, &r)) {
        tcp_saved_forget(st, &r);
        return DROP_NO_MEMORY;
    }
    tcp_req_synack(st, env, &r, TX_SYNACK, &answer);
    return DROP_NONE;
}

enum drop tcp_listen_child(struct stack *st, struct env *env, struct tcp_req *r,
                           const struct ip_hdr *ip, struct tcp_seg *seg, bool *full)
{
    struct tcp *l = r->parent;

    *full = true;
    if (l->nacc > l->backlog) {
        st->stats.TcpListenOverflows++;
        st->stats.TcpListenDrops++;
        return DROP_TCP_BACKLOG;
    }
    struct tcp *c = make_child(st, env, r, 1, tcp_req_sent(st, env, r));
    if (!c) {
        return DROP_NO_MEMORY;
    }
    if (r->again) {
        txq_set(&c->fl->tx, txq_at(&c->fl->tx, 0), TXR_EVER);
        c->info.total_retrans = max_u32(r->timeouts, !r->cookie);
    }
    struct sock_ref ref = sock_ref(&c->s);
    enum drop why = tcp_take(st, env, c, ip, seg);
    *full = sock_ref_ok(&ref) && c->half_open;
    if (*full) { /* it did not take the acknowledgment: nobody knows of it */
        tcp_done(st, env, c, ERR_OK);
    } else if (UNLIKELY(r->saved) && sock_ref_ok(&ref)) {
        tcp_saved_hand_over(st, env, r, c);
    }
    st->touching2 = NULL;
    return why;
}

/* A segment with ACK and without SYN: the answer to a cookie, or to nothing of ours. */
static enum drop take_ack(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                          struct tcp_seg *seg)
{
    struct tcp_req r;
    bool full = false;

    if (!tcp_cookie_check(st, env, l, ip, seg, &r)) {
        if (!(seg->flags & TCP_SYN) || profile_of(&st->knobs)->listen_synack_reset) {
            tcp_reply_rst(st, env, ip, seg);
        }
        return DROP_TCP_ACK;
    }
    return tcp_listen_child(st, env, &r, ip, seg, &full);
}

enum drop tcp_listen_in(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                        struct tcp_seg *seg)
{
    enum drop why = DROP_TCP_FLAGS;

    if (seg->flags & TCP_RST) {
        why = DROP_TCP_RST; /* first: nothing to reset */
    } else if (seg->flags & TCP_ACK) {
        why = take_ack(st, env, l, ip, seg); /* second */
    } else if (seg->flags & TCP_SYN) {
        why = take_syn(st, env, l, ip, seg); /* third */
    }
    return why;
}

void tcp_listen_complete(struct stack *st, struct tcp *c)
{
    if (c->half_open) {
        c->half_open = false;
        to_accept_queue(st, c->parent, c);
    }
}

static void drop_children(struct stack *st, struct env *env, struct tcp **head)
{
    while (*head) {
        struct tcp *c = *head;
        tcp_listen_forget(st, c);
        c->s.orphan = true;
        if (c->state == TCP_CLOSED) {
            tcp_close(st, env, &c->s);
        } else {
            tcp_send_rst(st, env, c);
            tcp_done(st, env, c, ERR_CONNRESET);
        }
    }
}

void tcp_listen_close(struct stack *st, struct env *env, struct tcp *l)
{
    tcp_req_forget_all(st, l);
    drop_children(st, env, &l->acc_head);
    tfo_orphan(st, l);
}

void tcp_rebuild_queues(struct stack *st, struct env *env)
{
    struct tcp *c = NULL;

    tfo_rebuild(st);
    while ((c = mem_obj_next(st->mem, MEM_TCP, c)) != NULL) {
        struct tcp *l = c->parent;
        bool known = l && sock_live(st, &l->s) && l->state == TCP_LISTEN;
        c->fo_child = c->fo_child && known && l->fo;
        l = known || c->half_open || c->in_accept ? l : NULL;
        if (c->fo_child) {
            l->fo->qlen++;
        }
        if (!l || !(c->half_open || c->in_accept)) {
            c->parent = c->fo_child ? l : NULL;
            c->half_open = c->in_accept = false;
        } else if (!sock_live(st, &l->s) || l->state != TCP_LISTEN) {
            c->parent = NULL;
            c->s.orphan = true;
            tcp_abort(st, env, &c->s, ERR_CONNABORTED);
        } else if (c->half_open) { /* died while it was made */
            tcp_done(st, env, c, ERR_CONNABORTED);
        } else {
            enqueue(&l->acc_head, &l->acc_tail, c);
            l->nacc++;
        }
    }
    tcp_req_rebuild(st, env);
    tcp_saved_rebuild(st);
}
