/*
 * tcp_user.c - theory of operation
 *
 * The user calls of RFC 9293 3.10.1-3.10.6 behind sock.h: OPEN, SEND, RECEIVE, CLOSE, ABORT
 * (STATUS is tcp_opt.c), what poll shows, and how a connection ends.
 *
 * An ended connection that a program still holds stays as CLOSED with what was received and not
 * yet read; its error, if any, waits to be taken. One that nobody holds goes at once, or when TCP
 * is done with it.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "isn.h"
#include "sock_errq.h"
#include "sock_priv.h"
#include "sock_ts.h"
#include "tcp_saved.h"

uint32_t tcp_obj_size(void)
{
    return sizeof(struct tcp);
}

void tcp_init(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    c->fl = &st->no_flight;
    timer_init(&c->timer);
    c->timer.owner = MEM_TCP;
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        *tcp_due_at(c, k) = NEVER;
    }
    tcp_rtt_init(&c->rtt);
    tcp_cc_start(st, c, (uint8_t)st->knobs.tcp_congestion_control,
                 (uint32_t)st->knobs.user_init_cwnd, env->now);
    ring_init(&c->sq, 0);
    ring_init(&c->rq, 0);
    c->reordering = (uint8_t)min_u32((uint32_t)st->knobs.tcp_reordering, 255);
    c->reo_steps = 1;
    c->nagle_any = !profile_of(&st->knobs)->nagle_minshall;
    c->window_exact = !profile_of(&st->knobs)->window_grows;
    c->snd.mss = 536;
    c->snd.mss_clamp = 65535;
    c->info.state_since = env->now;
}

/* ---- OPEN */

uint16_t tcp_adv_mss(const struct stack *st, const struct tcp *c, const struct addr *raddr)
{
    uint32_t hdr = addr_is4(raddr) ? 40 : 60;
    uint32_t mtu = ip_mtu(st, raddr);
    uint32_t mss = mtu > hdr + 8 ? mtu - hdr : 8; /* MUST-14, MUST-67, SHLD-6 */

    return (uint16_t)(c->user_mss ? min_u32(mss, c->user_mss) : min_u32(mss, 65535 - hdr));
}

void tcp_open_mss(const struct stack *st, struct tcp *c)
{
    c->rcv.adv_mss = tcp_adv_mss(st, c, &c->s.flow.raddr);
}

static int open_syn(struct stack *st, struct env *env, struct tcp *c, struct tcp_first *f)
{
    int err =
        f ? tfo_open(st, env, c, f) : tcp_flight_push(st, env, c, c->iss, c->snd.nxt, 1, env->now);
    if (err) {
        tcp_done(st, env, c, ERR_OK);
        return -ERR_NOBUFS;
    }
    st->stats.TcpActiveOpens++;
    if (!f) {
        tcp_send_syn(st, env, c, TX_SYN);
    }
    tcp_timer_set(st, env, c, TT_RTO, env->now + RTO_INITIAL);
    if (profile_of(&st->knobs)->connect_s) {
        tcp_timer_set(st, env, c, TT_KEEP, env->now + profile_of(&st->knobs)->connect_s * SEC);
    }
    return 0;
}

int tcp_open(struct stack *st, struct env *env, struct sock *s, struct tcp_first *f)
{
    struct tcp *c = tcp_of(s);
    struct tcp_first none = {0};

    c->iss = isn_of(st->isn_secret, &s->flow, env->now);
    c->ts_offset = isn_ts_offset(st->ts_secret, &s->flow);
    c->snd.una = c->iss;
    c->snd.nxt = seq_add(c->iss, 1);
    c->snd.sml = c->iss;
    c->snd.pushed = c->snd.nxt;
    c->ts_ok = st->knobs.tcp_timestamps;
    c->sack_ok = st->knobs.tcp_sack;
    c->ws_ok = st->knobs.tcp_window_scaling;
    c->snd.mss_clamp = 65535;
    tcp_md5_open(c);
    tcp_open_mss(st, c);
    tcp_mtu_open(st, env, c);
    tcp_to(st, env, c, TCP_SYN_SENT);
    tcp_rcv_init(st, c);
    c->rcv.nxt = c->rcv.adv = seq_of(0);
    if (!f && c->fastopen_connect) {
        if (tfo_defers(st, env, c)) {
            c->defer_connect = true;
            return 1;
        }
        f = &none;
    }
    return open_syn(st, env, c, f);
}

int tcp_connect_again(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    if (tcp_opening(s)) {
        return -ERR_ALREADY;
    }
    if (c->connect_told || c->passive || c->state == TCP_LISTEN || c->defer_connect) {
        return -ERR_ISCONN; /* Linux, not RFC: also when it has ended since */
    }
    if (c->state == TCP_CLOSED) {
        int err = s->err ? sock_take_error(s) : ERR_CONNABORTED;
        tcp_disconnect(st, env, s);
        return -err;
    }
    c->connect_told = true;
    return 0;
}

void tcp_copy_options(struct tcp *c, const struct tcp *from)
{
    c->nodelay = from->nodelay;
    c->cork = from->cork;
    c->user_mss = from->user_mss;
    c->window_clamp = from->window_clamp;
    c->keep_idle_s = from->keep_idle_s;
    c->keep_intvl_s = from->keep_intvl_s;
    c->keep_cnt = from->keep_cnt;
    c->user_timeout_ms = from->user_timeout_ms;
    c->linger2_s = from->linger2_s;
    c->notsent_lowat = from->notsent_lowat;
    c->inq_opt = from->inq_opt;
    c->save_syn = from->save_syn;
    c->cc.algo = from->cc.algo;
}

/* As new, but for the program's options. */
static void reset_block(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp old = *c;

    memset((uint8_t *)c + sizeof c->s, 0, sizeof *c - sizeof c->s);
    tcp_init(st, env, &c->s);
    tcp_copy_options(c, &old);
    c->syncnt = old.syncnt;
    c->fastopen_connect = old.fastopen_connect;
    c->fastopen_no_cookie = old.fastopen_no_cookie;
    c->fo = old.fo;
}

static void leave_flush_list(struct stack *st, struct tcp *c)
{
    if (!c->in_flush) {
        return;
    }
    struct tcp **at = &st->flush_head;
    while (*at && *at != c) {
        at = &(*at)->flush_next;
    }
    if (*at) {
        *at = c->flush_next;
    }
    c->in_flush = false;
    c->flush_next = NULL;
}

int tcp_disconnect(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);
    bool alive = c->state != TCP_CLOSED && c->state != TCP_LISTEN && c->state != TCP_TIME_WAIT;

    if (c->state == TCP_LISTEN) {
        tcp_listen_close(st, env, c);
        tcp_to(st, env, c, TCP_CLOSED);
    } else if (c->state != TCP_CLOSED) {
        if (c->state != TCP_TIME_WAIT && c->state != TCP_SYN_SENT) {
            tcp_send_rst(st, env, c);
        }
        tcp_done(st, env, c, ERR_OK);
    }
    tcp_release_bufs(st, c);
    ring_fini(&c->rq, st->mem);
    tcp_timers_off(st, c);
    leave_flush_list(st, c);
    sock_forget_peer(st, s);
    tcp_urg_reset(c);
    tcp_ecn_free(st, c);
    tcp_saved_free(st, s);
    s->rcv_shut = s->snd_shut = false;
    s->err = alive ? ERR_CONNRESET : ERR_OK; /* Linux, not RFC */
    reset_block(st, env, c);
    return 0;
}

/* ---- buffers */

uint32_t tcp_rcvbuf(const struct stack *st, const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);
    uint32_t base =
        s->opt.rcvbuf > 0 ? (uint32_t)s->opt.rcvbuf : (uint32_t)st->knobs.tcp_rmem_default;

    return s->opt.rcvbuf_locked
               ? base
               : max_u32(base, profile_of(&st->knobs)->rcvbuf_share * c->rcv.wnd_clamp);
}

/* Linux, not RFC: twice the window, counted with the overhead of a segment's buffer, within
 * tcp_wmem. */
uint32_t tcp_sndbuf(const struct stack *st, const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);
    uint32_t base =
        s->opt.sndbuf > 0 ? (uint32_t)s->opt.sndbuf : (uint32_t)st->knobs.tcp_wmem_default;

    if (s->opt.sndbuf_locked || !tcp_synchronized(c) || tcp_mem_pressed(st)) {
        return base;
    }
    uint64_t want = 2ull * max_u32(c->cc.cwnd, 10) * c->snd.buf_per_seg;
    return max_u32(base, (uint32_t)min_u64(want, (uint32_t)st->knobs.tcp_wmem_max));
}

/* Linux, not RFC: writable when a third is free, and less than half of the low-water mark waits
 * unsent. */
bool tcp_writable(const struct stack *st, const struct tcp *c)
{
    uint32_t queued = tcp_snd_queued(c);
    uint32_t limit = tcp_snd_limit(st, c);

    return queued < limit && limit - queued >= queued / 2 &&
           (uint64_t)tcp_unsent(c) * 2 < tcp_unsent_limit(st, c);
}

uint32_t tcp_readable(const struct tcp *c)
{
    return (uint32_t)ring_len(&c->rq);
}

bool tcp_opening(const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);

    return (c->state == TCP_SYN_SENT && !c->defer_connect) ||
           (c->state == TCP_SYN_RCVD && !c->passive);
}

/* TCP_FASTOPEN_CONNECT: now the SYN goes. */
int64_t tcp_open_deferred(struct stack *st, struct env *env, struct tcp *c, const struct span *v,
                          size_t n, uint32_t flags)
{
    struct tcp_first f = {.v = v, .n = n, .waits = !(flags & LX_MSG_DONTWAIT)};
    int err = open_syn(st, env, c, &f);

    if (err) {
        return err;
    }
    return f.taken ? (int64_t)f.taken : -ERR_INPROGRESS;
}

/* ---- RECEIVE */

static int64_t nothing_to_read(struct tcp *c)
{
    if (c->s.err) {
        return -sock_take_error(&c->s);
    }
    if (c->s.rcv_shut || c->fin_rcvd) {
        return 0;
    }
    switch (c->state) {
    case TCP_LISTEN:
        return -ERR_NOTCONN;
    case TCP_CLOSED:
        return c->s.connected || c->info.segs_in ? 0 : -ERR_NOTCONN;
    default:
        return -ERR_AGAIN;
    }
}

static uint32_t copy_out(struct tcp *c, uint64_t *from, struct mspan *v, size_t n, uint32_t flags)
{
    uint32_t have = (uint32_t)(ring_tail(&c->rq) - *from);
    uint32_t done = 0;

    for (size_t i = 0; i < n && done < have; i++) {
        uint32_t part = (uint32_t)min_size(v[i].n, have - done);
        if (!(flags & LX_MSG_TRUNC)) {
            ring_get(&c->rq, *from + done, v[i].p, part);
        }
        done += part;
    }
    *from += done;
    return done;
}

/* The program has taken so many bytes off the receive ring. */
static void take(struct stack *st, struct env *env, struct tcp *c, uint32_t n)
{
    ring_drop(&c->rq, n);
    if (ring_len(&c->rq) == 0 && c->fl->ooo.n == 0) {
        ring_trim(&c->rq, st->mem);
    }
    if (UNLIKELY(tcp_urg_pending(c))) {
        tcp_urg_taken(c);
    }
    tcp_rcv_taken(st, env, c, n);
}

/* TCP_INQ: what is left, the end of the stream counting as one. Linux's tcp_inq_hint. */
static uint32_t tcp_inq(const struct tcp *c)
{
    return tcp_readable(c) + c->fin_rcvd;
}

/* SO_PEEK_OFF: peeking moves on, reading takes back. */
static void move_peek(struct side *x, int64_t by)
{
    int64_t off = x->peek_off + by;

    x->peek_off = off < 0 ? 0 : (int32_t)(off > INT32_MAX ? INT32_MAX : off);
}

int64_t tcp_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                 uint32_t flags, struct recv_info *info)
{
    struct tcp *c = tcp_of(s);
    uint64_t to = c->rq.head;

    if (UNLIKELY(flags & LX_MSG_ERRQUEUE)) {
        return errq_recv(st, s, v, n, info);
    }
    if (c->state == TCP_LISTEN) {
        return -ERR_NOTCONN;
    }
    if (flags & LX_MSG_OOB) {
        return tcp_urg_recv(c, v, n, flags, info);
    }
    if (UNLIKELY(s->side && s->side->peek_set) && flags & LX_MSG_PEEK) {
        to += (uint32_t)(s->side->peek_off > 0 ? s->side->peek_off : 0);
    }
    if (to >= ring_tail(&c->rq)) {
        return mspan_total(v, n) || c->s.err ? nothing_to_read(c) : 0;
    }
    uint32_t done = UNLIKELY(tcp_urg_pending(c)) ? tcp_urg_take(c, &to, v, n, flags)
                                                 : copy_out(c, &to, v, n, flags);
    if (!(flags & LX_MSG_PEEK)) {
        take(st, env, c, (uint32_t)(to - c->rq.head));
    }
    if (UNLIKELY(s->side && s->side->peek_set) && s->side->peek_off >= 0) {
        move_peek(s->side, flags & LX_MSG_PEEK ? (int64_t)done : -(int64_t)done);
    }
    if (!done && mspan_total(v, n)) { /* there was the urgent byte only */
        return nothing_to_read(c);
    }
    if (UNLIKELY(s->side && s->side->rx_head)) {
        seq end = seq_add(tcp_rcv_base(c), (uint32_t)to);
        nsec real = tcp_mark_read(st, c, end, !(flags & LX_MSG_PEEK));
        if (info) {
            info->stamp = real;
            ts_fill(s, info, false);
        }
    }
    if (info) {
        info->have_inq = c->inq_opt;
        info->inq = tcp_inq(c);
    }
    return done;
}

/* ---- CLOSE */

/* The FIN that a state lets us send: RFC 9293 3.10.4. */
static void queue_fin(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->state == TCP_ESTABLISHED || c->fo_child) {
        tcp_to(st, env, c, TCP_FIN_WAIT_1);
    } else if (c->state == TCP_CLOSE_WAIT) {
        tcp_to(st, env, c, TCP_LAST_ACK);
    } else if (c->state != TCP_SYN_RCVD) {
        return;
    }
    c->fin_queued = true;
    tcp_output(st, env, c);
}

int tcp_shutdown(struct stack *st, struct env *env, struct sock *s, int how)
{
    struct tcp *c = tcp_of(s);
    uint32_t bits = 0;

    if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT) {
        return -ERR_NOTCONN;
    }
    if (c->state == TCP_LISTEN || c->state == TCP_SYN_SENT) {
        if (c->state == TCP_LISTEN && how == LX_SHUT_WR) {
            return 0;
        }
        tcp_disconnect(st, env, s);
        sock_notify(st, s, LX_POLLHUP | LX_POLLIN | LX_POLLOUT);
        return 0;
    }
    if (how != LX_SHUT_WR) {
        s->rcv_shut = true;
        bits |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
    }
    if (how != LX_SHUT_RD && !s->snd_shut) {
        s->snd_shut = true;
        bits |= LX_POLLOUT;
        queue_fin(st, env, c);
    }
    if (s->rcv_shut && s->snd_shut) {
        bits |= LX_POLLHUP;
    }
    sock_notify(st, s, bits);
    return 0;
}

void tcp_release_bufs(struct stack *st, struct tcp *c)
{
    ring_fini(&c->sq, st->mem);
    tcp_flight_free(st, c);
    tcp_mark_drop(st, c);
}

static void free_block(struct stack *st, struct tcp *c)
{
    tcp_release_bufs(st, c);
    ring_fini(&c->rq, st->mem);
    tcp_timers_off(st, c);
    leave_flush_list(st, c);
    tcp_listen_forget(st, c);
    tfo_free(st, c);
    tcp_ecn_free(st, c);
    sock_free(st, &c->s);
}

void tcp_done(struct stack *st, struct env *env, struct tcp *c, enum err err)
{
    if (c->state != TCP_CLOSED) {
        tcp_to(st, env, c, TCP_CLOSED);
    }
    tcp_timers_off(st, c);
    tfo_end(st, env, c);
    tfo_left(st, env, c, false);
    if (UNLIKELY(c->s.side != NULL)) {
        tcp_mark_over(st, env, c);
    }
    tcp_release_bufs(st, c);
    leave_flush_list(st, c);
    c->want_out = c->want_ack = false;
    c->defer_connect = false;
    c->snd.una = c->snd.nxt;
    if (c->s.orphan || c->half_open || (!sock_held(&c->s) && !c->in_accept && !c->parent)) {
        free_block(st, c);
        return;
    }
    sock_leave(st, &c->s);
    c->s.rcv_shut = c->s.snd_shut = true;
    if (err) { /* RFC 9293 3.6, MUST-12 */
        c->s.err = (uint8_t)err;
    }
    uint32_t bits = LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLRDHUP | LX_POLLHUP;
    sock_notify(st, &c->s, err ? bits | LX_POLLERR : bits);
}

void tcp_enter_time_wait(struct stack *st, struct env *env, struct tcp *c)
{
    tcp_to(st, env, c, TCP_TIME_WAIT);
    st->stats.TcpTimeWaits++;
    tcp_timers_off(st, c);
    tcp_release_bufs(st, c);
    c->snd.una = c->snd.nxt;
    if (c->s.orphan) {
        ring_fini(&c->rq, st->mem);
    }
    /* RFC 9293 3.6.1 MUST-13; Linux, not RFC: an MSL of 30 s */
    tcp_timer_set(st, env, c, TT_WAIT, env->now + (nsec)st->knobs.user_timewait_s * SEC);
    if (!c->s.orphan) {
        sock_notify(st, &c->s, LX_POLLIN | LX_POLLRDHUP | LX_POLLHUP);
    }
}

/* RFC 9293 3.10.5: the peer is told if it may think the connection lives. */
void tcp_abort(struct stack *st, struct env *env, struct sock *s, enum err err)
{
    struct tcp *c = tcp_of(s);

    if (c->state == TCP_LISTEN) {
        tcp_listen_close(st, env, c);
    } else if (c->state != TCP_TIME_WAIT) {
        tcp_send_rst(st, env, c);
    }
    tcp_done(st, env, c, err);
}

/* RFC 2525 2.17, RFC 9293 3.6.1 SHLD-3, MAY-1: what the program did not read is lost; the peer must
 * know. */
static bool close_resets(struct stack *st, const struct tcp *c)
{
    if (ring_len(&c->rq) && profile_of(&st->knobs)->close_unread_resets) {
        st->stats.TcpAbortOnClose++;
        return true;
    }
    if (c->s.opt.linger_s == 0) {
        st->stats.TcpAbortOnLinger++;
        return true;
    }
    return false;
}

static void close_orphan(struct stack *st, struct env *env, struct tcp *c)
{
    c->s.rcv_shut = c->s.snd_shut = true;
    queue_fin(st, env, c);
    if (c->state == TCP_FIN_WAIT_2) {
        if (c->linger2_s < 0) {
            tcp_send_rst(st, env, c);
            tcp_done(st, env, c, ERR_OK);
            return;
        }
        nsec wait = (nsec)(c->linger2_s > 0 ? c->linger2_s : st->knobs.tcp_fin_timeout) * SEC;
        tcp_timer_set(st, env, c, TT_WAIT, env->now + wait);
    }
    tcp_timer_clear(st, env, c, TT_KEEP);
}

void tcp_close(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    switch (c->state) {
    case TCP_CLOSED:
        free_block(st, c);
        return;
    case TCP_LISTEN:
        tcp_listen_close(st, env, c);
        tcp_done(st, env, c, ERR_OK);
        return;
    case TCP_SYN_SENT:
        tcp_done(st, env, c, ERR_OK);
        return;
    case TCP_TIME_WAIT:
        ring_fini(&c->rq, st->mem);
        return;
    default:
        break;
    }
    if (close_resets(st, c)) {
        tcp_send_rst(st, env, c);
        tcp_done(st, env, c, ERR_OK);
        return;
    }
    close_orphan(st, env, c);
}

/* ---- readiness */

uint32_t tcp_ready(const struct stack *st, const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);
    uint32_t bits = s->err || errq_any(s) ? LX_POLLERR : 0;

    if (c->state == TCP_LISTEN) {
        return bits | (c->acc_head ? LX_POLLIN | LX_POLLRDNORM : 0);
    }
    if ((s->rcv_shut && s->snd_shut) || c->state == TCP_CLOSED) {
        bits |= LX_POLLHUP;
    }
    if (s->rcv_shut) {
        bits |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
    }
    if (tcp_opening(s)) {
        return bits;
    }
    uint32_t have = tcp_readable(c);
    uint32_t need = (uint32_t)s->opt.rcvlowat;
    if (UNLIKELY(s->side != NULL)) {
        need += tcp_urg_skips(c);
        bits |= s->side->urg_in == URG_VALID ? LX_POLLPRI : 0;
    }
    if (have && have >= need) {
        bits |= LX_POLLIN | LX_POLLRDNORM;
    }
    if (s->snd_shut || tcp_writable(st, c)) {
        bits |= LX_POLLOUT | LX_POLLWRNORM;
    }
    return bits;
}

/* ---- what is owed, and recovery */

bool tcp_owes(const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);

    return s->orphan && (c->state == TCP_FIN_WAIT_1 || c->state == TCP_CLOSING ||
                         c->state == TCP_LAST_ACK || c->state == TCP_SYN_RCVD);
}

static bool marks_fit(struct stack *st, struct tcp *c)
{
    bool ok = c->state < TCP_STATES;

    ok = ring_mark(&c->sq, st->mem) && ok;
    ok = ring_mark(&c->rq, st->mem) && ok;
    ok = tcp_flight_mark(st, c) && ok;
    return ok;
}

/* What cannot be trusted is forgotten: its memory was not marked and is free again. */
static void forget_all(struct stack *st, struct tcp *c)
{
    ring_init(&c->sq, 0);
    ring_init(&c->rq, 0);
    tcp_flight_forget(st, c);
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        *tcp_due_at(c, k) = NEVER;
    }
    c->state = TCP_CLOSED;
    c->s.in_conn = c->s.in_bind = false;
    c->s.rcv_shut = c->s.snd_shut = true;
    c->s.err = ERR_CONNABORTED;
}

/* tcp_done may have been cut short after the change of state: what is not marked is free. */
static void forget_unsent(struct stack *st, struct tcp *c)
{
    ring_init(&c->sq, 0);
    tcp_flight_forget(st, c);
    c->snd.una = c->snd.nxt;
    c->want_out = c->want_ack = false;
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        *tcp_due_at(c, k) = NEVER;
    }
}

bool tcp_rebuild(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    (void)env;
    c->q_next = c->q_prev = NULL;
    if (c->state == TCP_LISTEN) {
        c->acc_head = c->acc_tail = NULL;
        c->nhalf = c->nyoung = c->nacc = 0;
    }
    c->in_flush = false;
    c->flush_next = NULL;
    if (c->state == TCP_CLOSED || c->state == TCP_LISTEN) {
        forget_unsent(st, c);
    }
    if (!marks_fit(st, c)) {
        forget_all(st, c);
    }
    bool gone = c->state == TCP_CLOSED && !sock_held(s) && !(c->in_accept && c->parent);
    if (gone) {
        forget_all(st, c);
        timer_init(&c->timer);
        sock_free(st, s);
        return false;
    }
    tcp_timers_rearm(st, c);
    if (tcp_synchronized(c) && c->state != TCP_TIME_WAIT) {
        tcp_want_out(st, c);
        if (c->want_ack || tcp_due(c, TT_DELACK) != NEVER) {
            tcp_want_ack(st, c, TX_ACK);
        }
    }
    return true;
}
