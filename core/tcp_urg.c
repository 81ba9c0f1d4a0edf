/*
 * tcp_urg.c - theory of operation
 *
 * Urgent data, RFC 9293 3.8.5, as RFC 6093 found it in the world and Linux does it: the urgent
 * pointer names the byte *behind* the urgent one (a pointer of 0 names the first byte of its
 * segment), and that one byte is what programs call out-of-band data.
 *
 *     out   MSG_OOB makes the last byte written the urgent one: SND.UP is the end of the stream.
 *           Until that is acknowledged every segment before it says URG, each is at most one MSS
 *           (its pointer is its own), and Nagle and the cork do not hold it (MUST-62). A later
 *           MSG_OOB moves SND.UP on; the earlier byte becomes ordinary.
 *     in    The sixth check (RFC 9293 3.10.7.4). A pointer ahead of what was read is remembered as
 *           the mark and the program told; the byte itself is copied aside when it arrives, in
 *           order or not. It stays in the receive ring: a read stops before the mark, the next one
 *           skips it, unless SO_OOBINLINE lets it through.
 *
 * The state of both directions is in the side object. Pointers beyond the window or the data are
 * numbers and no more: nothing is read but a byte of the segment at hand.
 */
#include "tcp_cb.h"

#include "check.h"

#define POINTER_MAX 0xffffu

/* ---- out */

int tcp_urg_mark(struct stack *st, struct env *env, struct tcp *c)
{
    struct side *x = sock_side(st, env, &c->s);

    if (!x) {
        return -ERR_NOBUFS;
    }
    x->snd_up = tcp_write_end(c);
    x->urg_out = true;
    return 0;
}

void tcp_urg_header(const struct tcp *c, struct tcp_seg *seg)
{
    const struct side *x = c->s.side;

    if (!x->urg_out || !seq_lt(seg->seq, x->snd_up)) {
        return;
    }
    uint32_t ahead = seq_dist(seg->seq, x->snd_up);
    if (ahead <= POINTER_MAX) {
        seg->up = (uint16_t)ahead;
        seg->flags |= TCP_URG;
    } else if (seq_gt(seq_add(seg->seq, POINTER_MAX), c->snd.nxt)) {
        seg->up =
            POINTER_MAX; /* Linux, not RFC: as far as the field goes, while all is in flight */
        seg->flags |= TCP_URG;
    }
}

void tcp_urg_acked(struct tcp *c)
{
    struct side *x = c->s.side;

    if (x->urg_out && seq_geq(c->snd.una, x->snd_up)) {
        x->urg_out = false;
    }
}

/* ---- in */

/* RFC 9293 3.10.7.4, sixth: the pointer of a segment. */
static void take_pointer(struct stack *st, struct env *env, struct tcp *c,
                         const struct tcp_seg *seg)
{
    seq at = seq_add(seg->seq, seg->up ? seg->up - 1u : 0); /* RFC 6093 3.1 */
    seq head = seq_add(tcp_rcv_base(c), (uint32_t)c->rq.head);

    if (seq_lt(at, head) || seq_lt(at, c->rcv.nxt)) {
        return; /* MUST-31: only what is ahead of RCV.NXT is news */
    }
    struct side *x = sock_side(st, env, &c->s);
    if (!x || (x->urg_in != URG_NONE && !seq_gt(at, x->urg_seq))) {
        return;
    }
    if (x->urg_in != URG_NONE && seq_eq(x->urg_seq, head) && !c->s.opt.oobinline &&
        !seq_eq(head, c->rcv.nxt)) {
        ring_drop(&c->rq, 1); /* Linux, not RFC: the mark moves on over the byte it stood at */
    }
    x->urg_in = URG_NOTYET;
    x->urg_seq = at;
    sock_signal_urgent(st, &c->s);
}

void tcp_urg_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (seg->flags & TCP_URG) {
        take_pointer(st, env, c, seg);
    }
    struct side *x = c->s.side;
    if (x && x->urg_in == URG_NOTYET && seq_in(x->urg_seq, seg->seq, seg->len)) {
        x->urg_byte = seg->data[seq_dist(seg->seq, x->urg_seq)];
        x->urg_in = URG_VALID;
        sock_notify(st, &c->s, LX_POLLPRI | LX_POLLIN | LX_POLLRDNORM);
    }
}

bool tcp_urg_at_mark(const struct tcp *c)
{
    const struct side *x = c->s.side;

    return x && x->urg_in != URG_NONE &&
           seq_eq(x->urg_seq, seq_add(tcp_rcv_base(c), (uint32_t)c->rq.head));
}

bool tcp_at_mark(const struct sock *s)
{
    return tcp_urg_at_mark(tcp_of_const(s));
}

bool tcp_urg_skips(const struct tcp *c)
{
    return !c->s.opt.oobinline && tcp_urg_at_mark(c);
}

uint32_t tcp_urg_unread(const struct tcp *c)
{
    const struct side *x = c->s.side;
    uint32_t have = tcp_readable(c);

    if (!x || x->urg_in == URG_NONE || c->s.opt.oobinline) {
        return have;
    }
    seq head = seq_add(tcp_rcv_base(c), (uint32_t)c->rq.head);
    return seq_in(x->urg_seq, head, have) ? seq_dist(head, x->urg_seq) : have;
}

int64_t tcp_urg_recv(struct tcp *c, struct mspan *v, size_t n, uint32_t flags,
                     struct recv_info *info)
{
    struct side *x = c->s.side;

    if (c->s.opt.oobinline || !x || x->urg_in == URG_NONE || x->urg_in == URG_READ) {
        return -ERR_INVAL; /* also when it was read already */
    }
    if (x->urg_in != URG_VALID) {
        return c->state == TCP_CLOSED || c->s.rcv_shut ? 0 : -ERR_AGAIN;
    }
    if (!(flags & LX_MSG_PEEK)) {
        x->urg_in = URG_READ;
    }
    if (info) {
        info->flags |= LX_MSG_OOB | (mspan_total(v, n) ? 0 : LX_MSG_TRUNC);
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i].n) {
            if (!(flags & LX_MSG_TRUNC)) {
                v[i].p[0] = x->urg_byte;
            }
            return 1;
        }
    }
    return 0;
}

/* The run of bytes from ring offset `at` on that one read may have; *at moves over a byte that is
 * out of band. 0: the read ends here. */
static uint32_t run_to_mark(const struct tcp *c, uint64_t mark, uint64_t *at, bool any)
{
    uint64_t end = ring_tail(&c->rq);

    if (*at == mark) {
        if (any) {
            return 0;
        }
        *at += !c->s.opt.oobinline;
    } else if (*at < mark && mark < end) {
        end = mark;
    }
    return (uint32_t)(end - *at);
}

uint32_t tcp_urg_take(struct tcp *c, uint64_t *from, struct mspan *v, size_t n, uint32_t flags)
{
    const struct side *x = c->s.side;
    seq tail = seq_add(tcp_rcv_base(c), (uint32_t)ring_tail(&c->rq));
    uint64_t mark = ring_tail(&c->rq) + (uint64_t)(int64_t)seq_diff(tail, x->urg_seq);
    uint32_t done = 0;
    uint32_t run = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t filled = 0; filled < v[i].n;) {
            if (run == 0) {
                run = *from < ring_tail(&c->rq) ? run_to_mark(c, mark, from, done > 0) : 0;
                if (run == 0) {
                    return done;
                }
            }
            uint32_t take = (uint32_t)min_size(v[i].n - filled, run);
            if (!(flags & LX_MSG_TRUNC)) {
                ring_get(&c->rq, *from, v[i].p + filled, take);
            }
            *from += take;
            filled += take;
            done += take;
            run -= take;
        }
    }
    return done;
}

void tcp_urg_taken(struct tcp *c)
{
    struct side *x = c->s.side;

    if (seq_gt(seq_add(tcp_rcv_base(c), (uint32_t)c->rq.head), x->urg_seq)) {
        x->urg_in = URG_NONE;
    }
}

void tcp_urg_reset(struct tcp *c)
{
    if (c->s.side) {
        c->s.side->urg_in = URG_NONE;
        c->s.side->urg_out = false;
    }
}
