/*
 * tcp_mark.c - theory of operation
 *
 * Marks: places in the stream being sent at which something is to happen, in order of place, in a
 * list of their own beside the send ring. Only what programs ask for makes them: times
 * to be told (SO_TIMESTAMPING), the end of a MSG_ZEROCOPY. A mark stands at
 * the byte behind the last one it concerns. It is passed twice: by SND.NXT when that byte goes out
 * first, and by SND.UNA, which ends it. side->mark_next is the first one that SND.NXT has not
 * passed.
 *
 * MSG_ZEROCOPY copies here: what it promises is the notification, which comes when all of the send
 * is acknowledged and says that it was copied (SO_EE_CODE_ZEROCOPY_COPIED), as Linux does on
 * loopback and TUN devices.
 *
 * In the stream received each segment leaves a mark with its time while times are wanted. These do
 * not survive a recovery.
 *
 * The objects are the truth: recovery makes the lists anew from them.
 */
#include "tcp_cb.h"

#include "check.h"
#include "sock_errq.h"
#include "sock_ts.h"

#define ZEROCOPY_COPIED 1 /* SO_EE_CODE_ZEROCOPY_COPIED */

uint8_t tcp_mark_wanted(const struct tcp *c, uint32_t flags)
{
    uint32_t ts = c->s.opt.timestamping;

    return (uint8_t)((ts & LX_SOF_TIMESTAMPING_TX_SCHED ? MARK_SCHED : 0) |
                     (ts & LX_SOF_TIMESTAMPING_TX_SOFTWARE ? MARK_SND : 0) |
                     (ts & LX_SOF_TIMESTAMPING_TX_ACK ? MARK_ACK : 0) |
                     (flags & LX_MSG_ZEROCOPY && c->s.opt.zerocopy ? MARK_COPIED : 0));
}

struct mark *tcp_mark_new(struct stack *st, struct env *env, struct tcp *c)
{
    return sock_side(st, env, &c->s) ? mem_obj_get(st->mem, env, MEM_MARK) : NULL;
}

static void append(struct mark **head, struct mark **tail, struct mark *m)
{
    *(*tail ? &(*tail)->next : head) = m;
    *tail = m;
}

void tcp_mark_set(struct tcp *c, struct mark *m, uint8_t what)
{
    struct side *x = c->s.side;

    m->at = tcp_write_end(c);
    m->what = what;
    if (what & MARK_COPIED) {
        m->id = x->zc_next++;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->owner = &c->s;
    append(&x->mark_head, &x->mark_tail, m);
    if (!x->mark_next) {
        x->mark_next = m;
    }
}

void tcp_mark_sent(struct tcp *c)
{
    struct side *x = c->s.side;

    while (x->mark_next && seq_leq(x->mark_next->at, c->snd.nxt)) {
        x->mark_next = x->mark_next->next;
    }
}

uint32_t tcp_ts_base(const struct sock *s, bool from_written)
{
    const struct tcp *c = tcp_of_const(s);

    return from_written ? tcp_write_end(c).v : c->snd.una.v;
}

void tcp_mark_out(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                  const struct pkt_out *p)
{
    struct span v[PKT_SPAN_MAX + 1] = {{.p = p->hdr, .n = p->hdr_len}};
    seq end = seq_add(seg->seq, seg->len);

    for (unsigned i = 0; i < p->nspan; i++) {
        v[i + 1] = p->span[i];
    }
    for (const struct mark *m = c->s.side->mark_head; m && seq_leq(m->at, end); m = m->next) {
        uint32_t key = m->at.v - 1 - c->s.side->ts_key;
        if (!seq_gt(m->at, seg->seq)) {
            continue;
        }
        if (m->what & MARK_SCHED) {
            ts_tell(st, env, &c->s, TS_SCHED, key, v, p->nspan + 1u);
        }
        if (m->what & MARK_SND) {
            ts_tell(st, env, &c->s, TS_SND, key, v, p->nspan + 1u);
        }
    }
}

void zerocopy_done(struct stack *st, struct env *env, struct sock *s, uint32_t id)
{
    struct recv_info *last = errq_newest(s);
    struct recv_info ee = {0};

    if (last && last->ee.origin == EE_ZEROCOPY && last->ee.data + 1 == id) {
        last->ee.data = id;
    } else {
        ee.ee.origin = EE_ZEROCOPY;
        ee.ee.code = ZEROCOPY_COPIED;
        ee.ee.info = ee.ee.data = id;
        errq_put(st, env, s, &ee, NULL, 0);
    }
    errq_notify(st, s);
}

static void pop(struct stack *st, struct side *x)
{
    struct mark *m = x->mark_head;

    x->mark_head = m->next;
    if (x->mark_next == m) {
        x->mark_next = m->next;
    }
    if (!x->mark_head) {
        x->mark_tail = NULL;
    }
    mem_obj_put(st->mem, m);
}

/* The packet that an acknowledgment is told with: its payload, as far as the ring still has it. */
static void tell_acked(struct stack *st, struct env *env, struct tcp *c, const struct mark *m)
{
    uint64_t end = c->sq.head;

    if (seq_gt(m->at, tcp_seq_of_sq(c, c->sq.head))) { /* else it went with the SYN */
        end = tcp_sq_off(c, m->at);
    }
    uint64_t from = end - min_u64(end - c->sq.head, c->snd.mss);
    struct span v[2];
    unsigned n = ring_spans(&c->sq, from, (size_t)(end - from), v);

    ts_tell(st, env, &c->s, TS_ACK, m->at.v - 1 - c->s.side->ts_key, v, n);
}

void tcp_mark_acked(struct stack *st, struct env *env, struct tcp *c)
{
    struct side *x = c->s.side;

    while (x->mark_head && seq_leq(x->mark_head->at, c->snd.una)) {
        const struct mark *m = x->mark_head;
        if (m->what & MARK_ACK) {
            tell_acked(st, env, c, m);
        }
        if (m->what & MARK_COPIED) {
            zerocopy_done(st, env, &c->s, m->id);
        }
        pop(st, x);
    }
}

void tcp_mark_over(struct stack *st, struct env *env, struct tcp *c)
{
    for (const struct mark *m = c->s.side->mark_head; m; m = m->next) {
        if (m->what & MARK_COPIED) {
            zerocopy_done(st, env, &c->s, m->id);
        }
    }
}

static void pop_rx(struct stack *st, struct side *x)
{
    struct mark *m = x->rx_head;

    x->rx_head = m->next;
    if (!x->rx_head) {
        x->rx_tail = NULL;
    }
    mem_obj_put(st->mem, m);
}

void tcp_mark_drop(struct stack *st, struct tcp *c)
{
    struct side *x = c->s.side;

    while (x && x->mark_head) {
        pop(st, x);
    }
    while (x && x->rx_head) {
        pop_rx(st, x);
    }
}

void tcp_mark_arrived(struct stack *st, struct env *env, struct tcp *c, seq end)
{
    struct mark *m = tcp_mark_new(st, env, c);

    if (!m) {
        return; /* this segment has no time */
    }
    struct side *x = c->s.side;
    struct mark **at = &x->rx_head;
    m->at = end;
    m->real = env->real;
    if (x->rx_tail && seq_leq(x->rx_tail->at, end)) {
        at = &x->rx_tail->next;
    }
    while (*at && seq_leq((*at)->at, end)) {
        at = &(*at)->next;
    }
    m->next = *at;
    *at = m;
    if (!m->next) {
        x->rx_tail = m;
    }
}

nsec tcp_mark_read(struct stack *st, struct tcp *c, seq end, bool taken)
{
    struct side *x = c->s.side;
    const struct mark *m = x->rx_head;

    while (m && seq_lt(m->at, end)) {
        m = m->next;
    }
    nsec real = m ? m->real : 0;
    while (taken && x->rx_head && seq_leq(x->rx_head->at, end)) {
        pop_rx(st, x);
    }
    return real;
}

/* In order of place; they are met by number, which is nearly that order. */
static void insert(struct side *x, struct mark *m)
{
    struct mark **at = &x->mark_head;

    if (x->mark_tail && seq_leq(x->mark_tail->at, m->at)) {
        at = &x->mark_tail->next;
    }
    while (*at && seq_leq((*at)->at, m->at)) {
        at = &(*at)->next;
    }
    m->next = *at;
    *at = m;
    if (!m->next) {
        x->mark_tail = m;
    }
}

void tcp_mark_rebuild(struct stack *st)
{
    for (struct mark *m = mem_obj_next(st->mem, MEM_MARK, NULL); m;
         m = mem_obj_next(st->mem, MEM_MARK, m)) {
        struct sock *s = m->owner;
        struct tcp *c = s && s->obj.kind == MEM_TCP && s->side ? tcp_of(s) : NULL;
        if (!c || !m->what || !seq_gt(m->at, c->snd.una) || seq_gt(m->at, tcp_write_end(c))) {
            mem_obj_put(st->mem, m);
            continue;
        }
        insert(s->side, m);
        struct mark *next = s->side->mark_next;
        if (seq_gt(m->at, c->snd.nxt) && (!next || seq_lt(m->at, next->at))) {
            s->side->mark_next = m;
        }
    }
}
