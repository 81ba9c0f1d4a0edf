/*
 * tcp_flight.c - theory of operation
 *
 * As with sock_side.c, the link is written from the object to the connection first, then back:
 * whoever dies in between leaves an object that no connection names, and recovery frees it. A
 * connection whose object is lost to it had nothing in flight: the object's own pointer is set
 * before anything is noted in it, and cleared after the last of it has gone.
 */
#include "tcp_cb.h"

#include "check.h"
#include "sock_priv.h"

void tcp_flight_none(struct tcp_flight *fl)
{
    *fl = (struct tcp_flight){.undo_retrans = -1};
    for (int k = 0; k < FLIGHT_TIMERS; k++) {
        fl->due[k] = NEVER;
    }
}

/* The same for an object: its head stays. */
static void begin(struct tcp_flight *fl)
{
    struct mem_obj head = fl->obj;

    tcp_flight_none(fl);
    fl->obj = head;
}

bool tcp_flight_get(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl != &st->no_flight) {
        return true;
    }
    struct tcp_flight *fl = mem_obj_get(st->mem, env, MEM_FLIGHT);
    if (!fl) {
        return false;
    }
    begin(fl);
    fl->usage_seq = c->snd.una;
    fl->high_seq = c->snd.nxt;
    fl->owner = c;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    c->fl = fl;
    return true;
}

int tcp_flight_push(struct stack *st, struct env *env, struct tcp *c, seq from, seq to,
                    uint32_t segs, nsec now)
{
    if (!tcp_flight_get(st, env, c)) {
        return -ERR_NOBUFS;
    }
    return txq_push(&c->fl->tx, st->mem, env, from, to, segs, now);
}

static void let_go(struct stack *st, struct tcp *c)
{
    struct tcp_flight *fl = c->fl;

    c->fl = &st->no_flight;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    mem_obj_put(st->mem, fl);
}

void tcp_flight_free(struct stack *st, struct tcp *c)
{
    if (c->fl != &st->no_flight) {
        txq_fini(&c->fl->tx, st->mem);
        wq_fini(&c->fl->wq, st->mem);
        ranges_fini(&c->fl->ooo, st->mem);
        let_go(st, c);
    }
}

void tcp_flight_idle(struct stack *st, struct env *env, struct tcp *c)
{
    const struct tcp_flight *fl = c->fl;

    if (fl == &st->no_flight || fl->tx.n || tcp_unsent(c) || c->ca_state != CA_OPEN || fl->ooo.n ||
        fl->nrecent || fl->has_dsack || (c->fin_queued && !c->fin_sent)) {
        return;
    }
    tcp_timer_clear(st, env, c, TT_RTO);
    tcp_timer_clear(st, env, c, TT_TLP);
    tcp_timer_clear(st, env, c, TT_REORDER);
    tcp_timer_clear(st, env, c, TT_PACE);
    tcp_flight_free(st, c);
}

/* --- recovery --- */

static bool is_own(const struct tcp *c)
{
    /* slabs are never given back: a stale pointer still points to an object's place */
    return c->fl && c->fl->obj.kind == MEM_FLIGHT && c->fl->owner == c;
}

void tcp_flight_rebuild(struct stack *st)
{
    tcp_flight_none(&st->no_flight);
    for (struct tcp *c = mem_obj_next(st->mem, MEM_TCP, NULL); c;
         c = mem_obj_next(st->mem, MEM_TCP, c)) {
        if (!is_own(c)) {
            c->fl = &st->no_flight;
        }
    }
    for (struct tcp_flight *fl = mem_obj_next(st->mem, MEM_FLIGHT, NULL); fl;
         fl = mem_obj_next(st->mem, MEM_FLIGHT, fl)) {
        const struct tcp *c = fl->owner;
        bool named =
            sock_live(st, (const struct sock *)c) && c->s.obj.kind == MEM_TCP && c->fl == fl;
        if (!named) {
            mem_obj_put(st->mem, fl);
        }
    }
}

bool tcp_flight_mark(struct stack *st, struct tcp *c)
{
    bool ok = txq_mark(&c->fl->tx, st->mem);
    ok = wq_mark(&c->fl->wq, st->mem) && ok;
    return ranges_mark(&c->fl->ooo, st->mem) && ok;
}

void tcp_flight_forget(struct stack *st, struct tcp *c)
{
    if (c->fl != &st->no_flight) {
        let_go(st, c);
    }
}

static bool untouched(const struct tcp_flight *fl)
{
    bool due = false;

    for (int k = 0; k < FLIGHT_TIMERS; k++) {
        due = due || fl->due[k] != NEVER;
    }
    return !fl->owner && !fl->tx.v && !fl->tx.n && !fl->tx.out && !fl->wq.v && !fl->wq.n && !due &&
           !fl->stall_at && !fl->rto_since && !fl->probe_since && !fl->reno_sacked &&
           !fl->max_out && !fl->undo_cwnd && !fl->rack.at && !fl->ooo.v && !fl->ooo.n &&
           !fl->nrecent && !fl->has_dsack && !fl->prr_out && !fl->retrans_stamp &&
           fl->undo_retrans == -1;
}

const char *tcp_flight_check(const struct stack *st, const struct tcp *c)
{
    if (!untouched(&st->no_flight)) {
        return "I7: what stands for no flight was changed";
    }
    if (c->fl == &st->no_flight) {
        return tcp_synchronized(c) && tcp_unsent(c) ? "I7: unsent without a flight" : NULL;
    }
    return is_own(c) ? NULL : "I7: a flight is another's";
}
