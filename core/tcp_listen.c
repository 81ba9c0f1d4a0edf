/*
 * tcp_listen.c - theory of operation
 *
 * LISTEN, RFC 9293 3.10.7.2. A SYN makes a child in SYN-RCVD, a full connection that answers and
 * retransmits by itself; it stands in the listener's half-open queue until its handshake
 * completes, then in the accept queue until the program takes it. Both are bounded by the
 * backlog, as in Linux: a SYN is dropped while the accept queue is over-full or the half-open
 * queue full, and an ACK that would complete a handshake is dropped while there is no place, so
 * that the client, which thinks itself connected, sends again.
 *
 * The queues are indices: a child knows its parent and which queue it stands in.
 *
 * Deliberately missing: SYN cookies.
 */
#include "tcp_cb.h"

#include "check.h"
#include "isn.h"
#include "sock_priv.h"

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
    if (child->half_open) {
        dequeue(&l->half_head, &l->half_tail, child);
        l->nhalf--;
    } else if (child->in_accept) {
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

static void take_syn_options(struct stack *st, struct tcp *c, const struct tcp_seg *seg)
{
    uint32_t mss = seg->has_mss && seg->mss ? seg->mss : tcp_default_mss(c);

    if (c->user_mss) {
        mss = min_u32(mss, c->user_mss);
    }
    c->snd.mss_clamp = (uint16_t)mss;
    c->ts_ok = seg->has_ts && st->knobs.tcp_timestamps;
    c->sack_ok = seg->has_sack_ok && st->knobs.tcp_sack;
    c->ws_ok = seg->has_wscale && st->knobs.tcp_window_scaling;
    c->snd.scale = c->ws_ok ? seg->wscale : 0;
    if (c->ts_ok) {
        c->ts_recent = seg->ts_val;
    }
}

/* Number and window of a child, before its SYN-ACK. */
static void open_child(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    struct flow *f = &c->s.flow;

    c->passive = true;
    c->info.segs_in = 1; /* the SYN: RFC 4898, PerfSegsIn */
    c->irs = seg->seq;
    c->rcv.nxt = c->rcv.wup = c->rcv.adv = seq_add(seg->seq, 1);
    c->rcv_base = c->rcv.nxt;
    c->iss = isn_of(st->isn_secret, f, env->now);
    c->ts_offset = isn_ts_offset(st->ts_secret, f);
    c->snd.una = c->iss;
    c->snd.nxt = c->snd.max = c->snd_base = seq_add(c->iss, 1);
    c->snd.sml = c->iss;
    c->snd.pushed = c->snd.nxt;
    c->snd.wl1 = seg->seq;
    c->snd.wl2 = c->iss;
    c->snd.wnd = c->snd.wnd_max = seg->wnd;
    tcp_open_mss(st, c);
    take_syn_options(st, c, seg);
    c->ts_recent_at = env->now;
    tcp_mtu_open(st, env, c);
    tcp_rcv_init(st, c);
}

static struct tcp *new_child(struct stack *st, struct env *env, struct tcp *l,
                             const struct ip_hdr *ip, const struct tcp_seg *seg)
{
    struct tcp *c = mem_obj_get(st->mem, env, MEM_TCP);

    if (!c) {
        return NULL;
    }
    sock_init_child(st, env, &c->s, &l->s);
    c->s.flow =
        (struct flow){.laddr = ip->dst, .raddr = ip->src, .lport = seg->dport, .rport = seg->sport};
    c->s.connected = true;
    tcp_init(st, env, &c->s);
    c->nodelay = l->nodelay;
    c->user_mss = l->user_mss;
    c->window_clamp = l->window_clamp;
    c->keep_idle_s = l->keep_idle_s;
    c->keep_intvl_s = l->keep_intvl_s;
    c->keep_cnt = l->keep_cnt;
    c->user_timeout_ms = l->user_timeout_ms;
    c->linger2_s = l->linger2_s;
    c->notsent_lowat = l->notsent_lowat;
    c->cork = l->cork;
    c->inq_opt = l->inq_opt;
    c->cc.algo = l->cc.algo;
    if (demux_add_conn(st, env, &c->s)) {
        sock_free(st, &c->s);
        return NULL;
    }
    demux_share_port(st, &c->s);
    return c;
}

/* RFC 7413 4.1.2: the child takes the SYN's data and needs no handshake to be accepted. */
static bool open_fast(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (!tfo_take(st, env, c, seg)) {
        st->stats.TcpFastOpenPassiveFail++;
        return false;
    }
    c->fo_child = true;
    c->syn_data_acked = seg->len > 0;
    c->parent->fo->qlen++;
    st->stats.TcpFastOpenPassive++;
    return true;
}

static void to_accept_queue(struct stack *st, struct tcp *l, struct tcp *c)
{
    c->in_accept = true;
    enqueue(&l->acc_head, &l->acc_tail, c);
    l->nacc++;
    sock_notify(st, &l->s, LX_POLLIN | LX_POLLRDNORM);
}

static enum drop admit(const struct stack *st, const struct tcp *l, const struct tcp_seg *seg)
{
    if (seg->flags & TCP_FIN && st->knobs.user_drop_synfin) {
        return DROP_TCP_FLAGS; /* Linux, not RFC: SYN with FIN is nobody's opening */
    }
    if (l->nacc > l->backlog) {
        return DROP_TCP_BACKLOG;
    }
    if (l->nhalf >= max_u32(l->backlog, 8)) {
        return DROP_TCP_SYN_QUEUE;
    }
    return DROP_NONE;
}

static enum drop take_syn(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                          const struct tcp_seg *seg)
{
    enum drop why = admit(st, l, seg);

    if (why != DROP_NONE) {
        st->stats.TcpListenDrops++;
        st->stats.TcpListenOverflows += why == DROP_TCP_BACKLOG;
        return why;
    }
    struct tfo_cookie answer;
    bool fast = tfo_admit(st, env, l, ip, seg, &answer);
    struct tcp *c = new_child(st, env, l, ip, seg);
    if (!c) {
        return DROP_NO_MEMORY;
    }
    st->touching2 = &c->s;
    tcp_to(st, env, c, TCP_SYN_RCVD);
    open_child(st, env, c, seg);
    c->parent = l;
    fast = fast && open_fast(st, env, c, seg);
    if (!fast) {
        c->half_open = true;
        enqueue(&l->half_head, &l->half_tail, c);
        l->nhalf++;
    }
    if (txq_push(&c->tx, st->mem, env, c->iss, c->snd.nxt, !fast, env->now)) {
        tcp_done(st, env, c, ERR_NOBUFS);
        st->touching2 = NULL;
        return DROP_NO_MEMORY;
    }
    tcp_send_syn_with(st, env, c, TX_SYNACK, &answer, 0);
    tcp_timer_set(st, env, c, TT_RTO, env->now + RTO_INITIAL);
    if (fast) {
        to_accept_queue(st, l, c);
    }
    st->touching2 = NULL;
    return DROP_NONE;
}

enum drop tcp_listen_in(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                        const struct tcp_seg *seg)
{
    enum drop why = DROP_TCP_FLAGS;

    if (seg->flags & TCP_RST) {
        why = DROP_TCP_RST; /* first: nothing to reset */
    } else if (seg->flags & TCP_ACK) {
        tcp_reply_rst(st, env, ip, seg); /* second: it acknowledges nothing of ours */
        why = DROP_TCP_ACK;
    } else if (seg->flags & TCP_SYN) {
        why = take_syn(st, env, l, ip, seg); /* third */
    }
    return why;
}

bool tcp_listen_complete(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp *l = c->parent;

    (void)env;
    if (!l || c->fo_child) {
        return true;
    }
    if (l->nacc > l->backlog) {
        st->stats.TcpListenOverflows++;
        st->stats.TcpListenDrops++;
        return false;
    }
    st->touching2 = &l->s;
    dequeue(&l->half_head, &l->half_tail, c);
    l->nhalf--;
    c->half_open = false;
    to_accept_queue(st, l, c);
    st->touching2 = NULL;
    return true;
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
    drop_children(st, env, &l->half_head);
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
        } else if (c->half_open) {
            c->in_accept = false;
            enqueue(&l->half_head, &l->half_tail, c);
            l->nhalf++;
        } else {
            enqueue(&l->acc_head, &l->acc_tail, c);
            l->nacc++;
        }
    }
}
