/*
 * tcp_write.c - theory of operation
 *
 * SEND (RFC 9293 3.10.3): what the program writes goes into the send ring, and into buffers as
 * Linux would fill them (tcp_wq.h). A buffer takes up to the size goal; when one is full, what may
 * go out does, and where a lot was written since the last PSH the buffer gets one. The buffer that
 * ends the call has PSH, unless the program said MSG_MORE; what is appended to it later takes it
 * back. Linux, not RFC.
 *
 * The send buffer counts what Linux would: bytes and, for each buffer, its header. It is looked at
 * when a buffer is begun, so that the last one may exceed it.
 */
#include "tcp_cb.h"

#include "check.h"
#include "sock_priv.h"

#define RING_MAX  (((uint32_t)MEM_PAGE << MEM_ORDER_MAX) - (128u << 10)) /* and a buffer beyond */
#define FRAGS_MAX 17u                                                    /* Linux: MAX_SKB_FRAGS */
#define WBUF_HDR  832u /* what a buffer weighs beside its bytes, Linux 6.18 on x86-64 */

uint32_t tcp_snd_queued(const struct tcp *c)
{
    return (uint32_t)ring_len(&c->sq) + (c->fl->tx.n + c->fl->wq.n) * WBUF_HDR;
}

uint32_t tcp_queued(const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);

    return ring_len(&c->sq) ? tcp_snd_queued(c) : 0;
}

uint32_t tcp_snd_limit(const struct stack *st, const struct tcp *c)
{
    uint32_t limit = min_u32(tcp_sndbuf(st, &c->s), RING_MAX);

    return tcp_mem_full(st) ? min_u32(limit, (uint32_t)st->knobs.tcp_wmem_min) : limit;
}

uint32_t tcp_unsent_limit(const struct stack *st, const struct tcp *c)
{
    return c->notsent_lowat ? c->notsent_lowat : (uint32_t)st->knobs.tcp_notsent_lowat;
}

/* Whether another buffer may be begun. */
static bool room_for_another(const struct stack *st, const struct tcp *c)
{
    return tcp_snd_queued(c) < tcp_snd_limit(st, c) && tcp_unsent(c) < tcp_unsent_limit(st, c);
}

/* Whole segments, at most half of the largest window seen. */
static uint32_t size_goal(const struct stack *st, const struct tcp *c, uint32_t flags)
{
    uint32_t mss = tcp_current_mss(c);
    uint32_t half = c->snd.wnd_max > 536 ? c->snd.wnd_max / 2 : c->snd.wnd_max;
    uint32_t goal = tcp_gso_most(st, c, mss);
    if (half && half < goal) {
        goal = half;
    }
    if (UNLIKELY(tcp_mem_full(st))) {
        goal = min_u32(goal, tcp_snd_limit(st, c));
    }
    return flags & LX_MSG_OOB ? mss : max_u32(goal / mss * mss, mss);
}

/* More than half of the largest window was written since the last PSH. */
static bool must_push(const struct tcp *c)
{
    return seq_gt(tcp_write_end(c), seq_add(c->snd.pushed, c->snd.wnd_max / 2));
}

static void mark_push(struct tcp *c)
{
    if (c->fl->wq.n) {
        wq_last(&c->fl->wq)->flags |= WB_PSH;
    }
    c->snd.pushed = tcp_write_end(c);
}

/* How many bytes the last buffer still takes; 0: another one is to be begun. */
static uint32_t tail_room(struct tcp *c, uint32_t goal)
{
    if (c->fl->wq.n == 0 || (wq_last(&c->fl->wq)->flags & WB_EOR)) {
        return 0;
    }
    seq begin = c->fl->wq.n > 1 ? wq_at(&c->fl->wq, c->fl->wq.n - 2u)->end : c->snd.nxt;
    uint32_t len = seq_dist(begin, wq_last(&c->fl->wq)->end);
    return len < goal ? goal - len : 0;
}

static void copy_in(struct tcp *c, const struct span *v, size_t n, uint64_t skip, uint32_t len)
{
    uint32_t done = 0;

    for (size_t i = 0; i < n && done < len; i++) {
        if (skip >= v[i].n) {
            skip -= v[i].n;
            continue;
        }
        uint32_t take = (uint32_t)min_u64(v[i].n - skip, len - done);
        ring_put(&c->sq, ring_tail(&c->sq) + done, v[i].p + skip, take);
        done += take;
        skip = 0;
    }
    ring_commit(&c->sq, ring_tail(&c->sq) + len);
}

/* Adds len bytes to the last buffer, or to a new one. */
static void extend(struct stack *st, struct env *env, struct tcp *c, bool fresh)
{
    seq end = tcp_write_end(c);

    if (fresh) {
        wq_add(&c->fl->wq, st->mem, env, end);
    } else {
        wq_last(&c->fl->wq)->end = end;
    }
}

/* A buffer is full, and more is to come. */
static void buffer_full(struct stack *st, struct env *env, struct tcp *c)
{
    if (must_push(c)) {
        mark_push(c);
        tcp_push(st, env, c, PUSH_ALL);
    } else if (c->fl->wq.n == 1) {
        tcp_push(st, env, c, PUSH_ONE);
    }
}

/* What is noted of the place the call ends at. One that will wait for room is not over. */
static void mark_end(struct stack *st, struct env *env, struct tcp *c, uint32_t flags, bool all,
                     struct mark **mark)
{
    if (flags & LX_MSG_OOB) {
        tcp_urg_mark(st, env, c);
    }
    if ((flags & LX_MSG_EOR) && all) {
        wq_last(&c->fl->wq)->flags |= WB_EOR;
    }
    if (*mark && (all || flags & LX_MSG_DONTWAIT)) {
        tcp_mark_set(c, *mark, tcp_mark_wanted(c, flags));
        *mark = NULL;
    }
}

void tcp_send_ends(struct stack *st, struct env *env, struct sock *s, uint32_t flags)
{
    struct tcp *c = tcp_of(s);
    uint8_t what = tcp_mark_wanted(c, flags);
    struct mark *m = what ? tcp_mark_new(st, env, c) : NULL;

    if (m) {
        tcp_mark_set(c, m, what);
    }
}

/* The call is over: all of it is taken, or there is no room. */
static void call_over(struct stack *st, struct env *env, struct tcp *c, uint32_t flags, bool all)
{
    bool more = all && (flags & LX_MSG_MORE);

    if (!more || must_push(c)) {
        mark_push(c);
    }
    tcp_push(st, env, c, !all ? PUSH_ALL : more ? PUSH_CORKED : PUSH_NORMAL);
}

static int64_t may_send_now(struct tcp *c)
{
    if (c->s.err) {
        return -sock_take_error(&c->s);
    }
    if (c->s.snd_shut || c->fin_queued) {
        return -ERR_PIPE;
    }
    switch (c->state) {
    case TCP_ESTABLISHED:
    case TCP_CLOSE_WAIT:
        return 0;
    case TCP_SYN_SENT:
        return -ERR_AGAIN;
    case TCP_SYN_RCVD:
        return c->fo_child ? 0 : -ERR_AGAIN;
    default:
        return -ERR_PIPE;
    }
}

/* With MSG_ZEROCOPY Linux's buffers refer to the program's memory, to so many pieces of it at most:
 * how many bytes that is from `skip` on. */
static uint32_t frags_len(const struct span *v, size_t n, uint64_t skip)
{
    uint64_t sum = 0;
    unsigned frags = 0;

    for (size_t i = 0; i < n && frags < FRAGS_MAX; i++) {
        if (skip >= v[i].n) {
            skip -= v[i].n;
            continue;
        }
        sum += v[i].n - skip;
        skip = 0;
        frags++;
    }
    return (uint32_t)min_u64(sum, UINT32_MAX);
}

int64_t tcp_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                 uint32_t flags)
{
    struct tcp *c = tcp_of(s);
    uint64_t total = span_total(v, n);
    uint64_t done = 0;

    if (c->defer_connect && !s->err) {
        return tcp_open_deferred(st, env, c, v, n, flags);
    }
    int64_t err = may_send_now(c);
    if (err) {
        c->write_pending = tcp_opening(s) && !(flags & LX_MSG_DONTWAIT);
        return err;
    }
    if (total && !tcp_flight_get(st, env, c)) {
        return -ERR_NOBUFS;
    }
    struct mark *mark = NULL;
    if (UNLIKELY(tcp_mark_wanted(c, flags)) && total) {
        mark = tcp_mark_new(st, env, c);
        if (!mark) {
            return -ERR_NOBUFS;
        }
    }
    if (flags & LX_MSG_OOB && !sock_side(st, env, s)) {
        return -ERR_NOBUFS;
    }
    ring_rewind(&c->sq);
    if (total) {
        tcp_chrono_start(st, env, c, CHRONO_BUSY);
    }
    if (tcp_unsent(c) < c->snd.mss && tcp_inflight(c) < c->cc.cwnd && !c->fl->tx.lost) {
        tcp_rate_limited(&c->rate, tcp_inflight(c));
    }
    bool by_reference = UNLIKELY(flags & LX_MSG_ZEROCOPY) && s->opt.zerocopy;
    while (done < total) {
        uint32_t goal = size_goal(st, c, flags);
        uint32_t room = tail_room(c, goal);
        bool fresh = room == 0;
        if (fresh && !room_for_another(st, c)) {
            break;
        }
        uint32_t len = (uint32_t)min_u64(total - done, fresh ? goal : room);
        uint32_t frags = by_reference ? frags_len(v, n, done) : len;
        len = min_u32(len, frags);
        if (ring_reserve(&c->sq, st->mem, env, ring_len(&c->sq) + len)) {
            err = -ERR_NOBUFS;
            break;
        }
        if (!fresh && !done) {
            wq_last(&c->fl->wq)->flags &= (uint8_t)~WB_PSH;
        }
        copy_in(c, v, n, done, len);
        extend(st, env, c, fresh);
        done += len;
        if (UNLIKELY(len == frags) && by_reference && done < total) {
            wq_last(&c->fl->wq)->flags |= WB_EOR; /* its references are used up */
            mark_push(c);
        }
        if (done < total && !(flags & LX_MSG_OOB) && tail_room(c, goal) == 0) {
            buffer_full(st, env, c);
        }
    }
    c->nospace = done < total;
    if (done) {
        if (UNLIKELY(mark != NULL || flags & (LX_MSG_OOB | LX_MSG_EOR))) {
            mark_end(st, env, c, flags, done == total, &mark);
        }
        call_over(st, env, c, flags, done == total);
    } else {
        tcp_flight_idle(st, env, c);
    }
    if (UNLIKELY(mark != NULL)) {
        mem_obj_put(st->mem, mark);
    }
    return done || !total ? (int64_t)done : err ? err : -ERR_AGAIN;
}
