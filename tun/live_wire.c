/*
 * live_wire.c - theory of operation: the wire between the stack and its TUN.
 *
 *     core -> op_emit -> live_wire_out -> wire -> live_wire_move -> link_send -> TUN
 *     TUN -> link_recv -> live_wire_in -> wire -> live_wire_move -> stack_input
 *
 * Whoever holds the lock moves it: session_unlock does so before it settles the timerfd, whose time
 * is the earlier of the stack's deadline and the wire's. So a delayed packet wakes one sleeper, as
 * a timer of the stack would.
 *
 * It lies in the arena and outlives the members. When one dies in the midst of it, the next holder
 * of the lock makes its indices anew (wire_recover) before it mends the stack, which may have to
 * send; the packet that was being carried is lost, as on any wire.
 *
 * Super-segments are cut on the way, so the TUN sees real segments with whole checksums whatever
 * its offloads; packets to the stack are checked by its software.
 */
#include "tun/live_wire.h"

#include <errno.h>

#include "core/check.h"
#include "core/event.h"
#include "tun/arena.h"
#include "tun/lock.h"
#include "tun/pktring.h"

#define LIVE_WIRE_BYTES ((size_t)48 << 20) /* about 30,000 packets of 1500 bytes; used as needed */

size_t live_wire_make(struct session *s, size_t at)
{
    struct arena *a = s->arena;
    if (a->cfg.wire.nrules == 0) {
        return at;
    }
    size_t least = (wire_size_min(a->cfg.mtu) + MEM_PAGE - 1) / MEM_PAGE * MEM_PAGE;
    size_t size = max_size(LIVE_WIRE_BYTES, least);
    if (arena_grow(s, at + size)) {
        return 0;
    }
    a->wire = wire_init((uint8_t *)a + at, size, a->cfg.mtu, &a->cfg.wire);
    s->wire = a->wire;
    return at + size;
}

/* What it does is told in the stack's log. */

struct told {
    struct session *s;
    struct env *env;
    struct pkt_in in; /* what goes in towards us: a capture shows what did not come, too */
    uint64_t no;      /* its number */
};

static bool is_loss(uint8_t act)
{
    return act == IMPAIR_DROP || act == IMPAIR_QUEUE || act == IMPAIR_BLACKHOLE ||
           act == IMPAIR_TOO_BIG;
}

static uint8_t act_of(unsigned fired)
{
    static const uint8_t acts[FIRED_COUNT] = {
        [FIRED_LOST] = IMPAIR_DROP,         [FIRED_DROPPED] = IMPAIR_DROP,
        [FIRED_QUEUE] = IMPAIR_QUEUE,       [FIRED_CODEL] = IMPAIR_QUEUE,
        [FIRED_HOLE] = IMPAIR_BLACKHOLE,    [FIRED_MTU] = IMPAIR_TOO_BIG,
        [FIRED_FORGOTTEN] = IMPAIR_DROP,    [FIRED_NO_ROOM] = IMPAIR_DROP,
        [FIRED_REORDERED] = IMPAIR_REORDER, [FIRED_DUPLICATED] = IMPAIR_DUP,
        [FIRED_CORRUPTED] = IMPAIR_CORRUPT, [FIRED_STRIPPED] = IMPAIR_STRIP,
        [FIRED_CLAMPED] = IMPAIR_STRIP,     [FIRED_MARKED] = IMPAIR_MARK,
        [FIRED_BLEACHED] = IMPAIR_MARK,     [FIRED_RESET] = IMPAIR_RESET,
        [FIRED_WINDOW] = IMPAIR_WINDOW,     [FIRED_FRAGMENTED] = IMPAIR_TOO_BIG,
    };
    return acts[fired];
}

static void on_fired(void *ctx, const struct wire_firing *f)
{
    struct told *t = ctx;
    uint64_t from = t->s->stack->events->next;
    struct event *ev = event_begin(t->s->stack->events, t->env, EV_IMPAIR);
    bool lost = is_loss(act_of(f->what)) && f->what != FIRED_FRAGMENTED;
    ev->why = act_of(f->what);
    ev->lport = f->lport;
    ev->rport = f->rport;
    ev->u.impair.rule = f->rule < WIRE_RULES_MAX ? (uint16_t)(f->rule + 1) : 0;
    ev->u.impair.out = f->dir == WIRE_OUT;
    ev->u.impair.nth = f->nth;
    ev->u.impair.len = f->len;
    ev->u.impair.seq = f->seq;
    event_end(t->s->stack->events);
    if (lost && t->no == f->pkt && t->in.p && t->s->arena->pkts) {
        pktring_lost(t->s->arena->pkts, t->s->stack, t->env, &t->in, from);
    }
}

/* The piece that meets the rules next: a super-segment is cut before them. */
static void on_put(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len)
{
    struct told *t = ctx;
    (void)at;
    (void)d;
    t->no = no;
    t->in = (struct pkt_in){.p = p, .len = len};
}

/* Moving */

int live_wire_out(struct session *s, struct env *env, const struct pkt_out *p)
{
    struct told told = {.s = s, .env = env};
    struct wire_tap tap = {.fired = on_fired, .ctx = &told};
    struct span v[1 + PKT_SPAN_MAX] = {{p->hdr, p->hdr_len}};
    struct wire_in in = {
        .span = v, .nspan = 1u + p->nspan, .gso_size = p->gso_size, .csum_open = p->csum_partial};

    for (size_t i = 0; i < p->nspan; i++) {
        v[1 + i] = p->span[i];
    }
    wire_put(s->wire, env->now, WIRE_OUT, &in, &tap);
    return 0;
}

void live_wire_in(struct session *s, struct env *env, const struct pkt_in *p)
{
    struct told told = {.s = s, .env = env};
    struct wire_tap tap = {.put = on_put, .fired = on_fired, .ctx = &told};
    struct span v = {p->p, p->len};
    struct wire_in in = {.span = &v, .nspan = 1, .gso_size = p->gso_size, .csum_open = p->csum_ok};
    wire_put(s->wire, env->now, WIRE_IN, &in, &tap);
}

static void deliver(struct session *s, struct env *env, const struct wire_pkt_out *o)
{
    if (o->dir == WIRE_IN) {
        struct pkt_in in = {.p = o->p, .len = o->len};
        drive_input(s, env, &in);
        return;
    }
    struct pkt_out out = {.nspan = 1, .csum_offset = 0xffff, .span = {{o->p, o->len}}};
    if (UNLIKELY(link_send(&s->link, &out) == -EBADF)) {
        s->fds_bad = true;
    }
}

/* What arrives may have the stack send, at once if there is no delay. */
void live_wire_move(struct session *s, struct env *env)
{
    struct told told = {.s = s, .env = env};
    struct wire_tap tap = {.fired = on_fired, .ctx = &told};
    struct wire_pkt_out o;

    while (wire_deadline(s->wire) <= env->now) {
        while (wire_take(s->wire, env->now, &o, &tap)) {
            deliver(s, env, &o);
            wire_done(s->wire, &o);
        }
        stack_flush(s->stack, env);
    }
}

nsec live_wire_deadline(const struct session *s)
{
    return wire_deadline(s->wire);
}

bool live_wire_busy(const struct session *s)
{
    return s->wire && wire_in_flight(s->wire, WIRE_OUT) > 0;
}
