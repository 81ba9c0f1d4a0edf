/*
 * tcp_saved.c - theory of operation: tcp_saved.h. Who dies on the way leaves an object that nobody
 * names, or a name of one that has gone; recovery puts both right.
 */
#include "tcp_saved.h"

#include <string.h>

#include "check.h"
#include "ip.h"
#include "tcp_cb.h"
#include "tcp_req.h"

void tcp_saved_keep(struct stack *st, struct env *env, struct tcp_req *r, const struct ip_hdr *ip)
{
    size_t len = (size_t)(ip->payload - ip->start) + (size_t)(ip->payload[12] >> 4) * 4;
    struct saved_syn *x = NULL;

    if (LIKELY(!r->parent->save_syn)) {
        return;
    }
    if (len <= SAVED_SYN_MAX) {
        x = mem_obj_get(st->mem, env, MEM_SYN);
    }
    if (x) {
        x->len = (uint8_t)len;
        memcpy(x->bytes, ip->start, len);
        r->saved = x->obj.id;
    }
}

void tcp_saved_forget(struct stack *st, struct tcp_req *r)
{
    if (UNLIKELY(r->saved)) {
        struct saved_syn *x = mem_obj_at(st->mem, MEM_SYN, r->saved);
        r->saved = 0;
        if (x) {
            mem_obj_put(st->mem, x);
        }
    }
}

void tcp_saved_hand_over(struct stack *st, struct env *env, struct tcp_req *r, struct tcp *c)
{
    struct side *side = r->saved ? sock_side(st, env, &c->s) : NULL;

    if (side) {
        side->saved = r->saved;
        r->saved = 0;
    }
}

void tcp_saved_free(struct stack *st, struct sock *s)
{
    struct saved_syn *x =
        s->side && s->side->saved ? mem_obj_at(st->mem, MEM_SYN, s->side->saved) : NULL;

    if (x) {
        s->side->saved = 0;
        mem_obj_put(st->mem, x);
    }
}

int tcp_saved_take(struct stack *st, struct sock *s, void *val, size_t *len)
{
    const struct saved_syn *x =
        s->side && s->side->saved ? mem_obj_at(st->mem, MEM_SYN, s->side->saved) : NULL;

    if (!x) {
        *len = 0;
        return 0;
    }
    size_t room = *len;
    *len = x->len;
    if (room < x->len) {
        return -ERR_INVAL;
    }
    memcpy(val, x->bytes, x->len);
    tcp_saved_free(st, s);
    return 0;
}

void tcp_saved_rebuild(struct stack *st)
{
    struct side *side = NULL;
    struct tcp_req *r = NULL;
    struct saved_syn *x = NULL;

    if (!mem_obj_next(st->mem, MEM_SYN, NULL)) {
        return;
    }
    while ((x = mem_obj_next(st->mem, MEM_SYN, x)) != NULL) {
        x->named = false;
    }
    while ((side = mem_obj_next(st->mem, MEM_SIDE, side)) != NULL) {
        x = side->saved ? mem_obj_at(st->mem, MEM_SYN, side->saved) : NULL;
        side->saved = x ? side->saved : 0;
        if (x) {
            x->named = true;
        }
    }
    while ((r = mem_obj_next(st->mem, MEM_REQ, r)) != NULL) {
        x = r->saved ? mem_obj_at(st->mem, MEM_SYN, r->saved) : NULL;
        r->saved = x && !x->named ? r->saved : 0; /* a child may have it already */
        if (r->saved) {
            x->named = true;
        }
    }
    x = NULL;
    while ((x = mem_obj_next(st->mem, MEM_SYN, x)) != NULL) {
        if (!x->named) {
            mem_obj_put(st->mem, x);
        }
    }
}
