/*
 * tcp_mark.c - theory of operation
 *
 * Marks: places in the stream being sent at which something is to happen, in order of place, in a
 * list of their own beside the send ring. Only what programs ask for makes them: the end of a
 * record (MSG_EOR). A mark stands at the byte behind the last one it concerns. It is passed twice:
 * by SND.NXT when that byte goes out first, and by SND.UNA, which ends it. side->mark_next is the
 * first one that SND.NXT has not passed.
 *
 * The objects are the truth: recovery makes the lists anew from them.
 */
#include "tcp_cb.h"

#include "check.h"

int tcp_mark_add(struct stack *st, struct env *env, struct tcp *c, uint8_t what)
{
    struct side *x = sock_side(st, env, &c->s);
    struct mark *m = x ? mem_obj_get(st->mem, env, MEM_MARK) : NULL;

    if (!m) {
        return -ERR_NOBUFS;
    }
    m->at = tcp_write_end(c);
    m->what = what;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    m->owner = &c->s;
    *(x->mark_tail ? &x->mark_tail->next : &x->mark_head) = m;
    x->mark_tail = m;
    if (!x->mark_next) {
        x->mark_next = m;
    }
    return 0;
}

void tcp_mark_sent(struct tcp *c)
{
    struct side *x = c->s.side;

    while (x->mark_next && seq_leq(x->mark_next->at, c->snd.nxt)) {
        x->mark_next = x->mark_next->next;
    }
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

void tcp_mark_acked(struct stack *st, struct tcp *c)
{
    struct side *x = c->s.side;

    while (x->mark_head && seq_leq(x->mark_head->at, c->snd.una)) {
        pop(st, x);
    }
}

void tcp_mark_drop(struct stack *st, struct tcp *c)
{
    struct side *x = c->s.side;

    while (x && x->mark_head) {
        pop(st, x);
    }
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
        if (!c || !seq_gt(m->at, c->snd.una) || seq_gt(m->at, tcp_write_end(c))) {
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
