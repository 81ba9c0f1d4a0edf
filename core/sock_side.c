/*
 * sock_side.c - theory of operation
 *
 * The link between a socket and its side object is written from the object to the socket first,
 * then back: whoever dies in between leaves an object that no socket names, and recovery frees it.
 */
#include "sock_side.h"

#include "check.h"
#include "sock_errq.h"
#include "sock_priv.h"
#include "stack.h"
#include "tcp.h"
#include "tcp_saved.h"

struct side *sock_side(struct stack *st, struct env *env, struct sock *s)
{
    if (s->side) {
        return s->side;
    }
    struct side *x = mem_obj_get(st->mem, env, MEM_SIDE);
    if (!x) {
        return NULL;
    }
    x->owner = s;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    s->side = x;
    return x;
}

static void unsignal(struct stack *st, struct side *x)
{
    struct side **at = &st->signal_head;

    while (x->signalled && *at) {
        if (*at == x) {
            *at = x->sig_next;
            x->signalled = false;
            return;
        }
        at = &(*at)->sig_next;
    }
}

void sock_side_free(struct stack *st, struct sock *s)
{
    struct side *x = s->side;

    if (x) {
        unsignal(st, x);
        errq_purge(st, s);
        tcp_md5_drop(st, s);
        tcp_saved_free(st, s);
        s->side = NULL;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        mem_obj_put(st->mem, x);
    }
}

int sock_set_owner(struct stack *st, struct env *env, struct sock *s, int32_t pid)
{
    struct side *x = pid || s->side ? sock_side(st, env, s) : NULL;

    if (x) {
        x->sig_owner = pid;
    }
    return x || !pid ? 0 : -ERR_NOBUFS;
}

void sock_signal_urgent(struct stack *st, struct sock *s)
{
    struct side *x = s->side;

    if (x && x->sig_owner && !x->signalled) {
        x->signalled = true;
        x->sig_next = st->signal_head;
        st->signal_head = x;
    }
}

int32_t stack_next_signal(struct stack *st)
{
    struct side *x = st->signal_head;

    if (!x) {
        return 0;
    }
    st->signal_head = x->sig_next;
    x->signalled = false;
    return x->sig_owner;
}

void sock_side_rebuild(struct stack *st)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};

    for (struct side *x = mem_obj_next(st->mem, MEM_SIDE, NULL); x;
         x = mem_obj_next(st->mem, MEM_SIDE, x)) {
        if (!sock_live(st, x->owner) || x->owner->side != x) {
            mem_obj_put(st->mem, x);
        }
        x->signalled = false;
        x->mark_head = x->mark_tail = x->mark_next = NULL;
        x->rx_head = x->rx_tail = NULL;
        x->err_head = x->err_tail = NULL;
        x->err_bytes = 0;
        x->md5_head = NULL;
    }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (struct sock *s = mem_obj_next(st->mem, kinds[k], NULL); s;
             s = mem_obj_next(st->mem, kinds[k], s)) {
            /* slabs are never given back: a stale pointer still points to an object's place */
            if (s->side && (s->side->obj.kind != MEM_SIDE || s->side->owner != s)) {
                s->side = NULL;
            }
        }
    }
}
