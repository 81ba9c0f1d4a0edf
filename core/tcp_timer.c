/*
 * tcp_timer.c - theory of operation
 *
 * TIMEOUTS, RFC 9293 3.10.8. A connection has eight logical timers (enum tcp_timer_kind), each a
 * time (tcp_due); one entry in the stack's heap stands at the earliest. Moving a timer later
 * costs two stores (timer.h).
 *
 * Time-outs of a connection follow Linux: R2 is not a count but the time that so many doublings
 * of the RTO would take (tcp_retries2), measured from the first retransmission.
 */
#include "tcp_cb.h"

#include "check.h"
#include "sock_priv.h"

static nsec earliest(const struct tcp *c)
{
    nsec at = NEVER;
    for (size_t k = 0; k < ARRAY_LEN(c->due); k++) {
        at = nsec_min(at, c->due[k]);
    }
    for (size_t k = 0; k < ARRAY_LEN(c->fl->due); k++) {
        at = nsec_min(at, c->fl->due[k]);
    }
    return at;
}

void tcp_timer_set(struct stack *st, struct env *env, struct tcp *c, enum tcp_timer_kind k, nsec at)
{
    bool starts = tcp_due(c, k) == NEVER && at != NEVER;
    *tcp_due_at(c, k) = at;
    if (starts) {
        tcp_tell_timer(st, env, c, k, EVT_SET, at);
    }
    if (at <= c->timer.at) {
        timer_set(&st->timers, &c->timer, at);
    } else {
        timer_set(&st->timers, &c->timer, earliest(c));
    }
}

void tcp_timer_clear(struct stack *st, struct env *env, struct tcp *c, enum tcp_timer_kind k)
{
    if (tcp_due(c, k) != NEVER) {
        tcp_timer_set(st, env, c, k, NEVER);
    }
}

void tcp_timers_off(struct stack *st, struct tcp *c)
{
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        *tcp_due_at(c, k) = NEVER;
    }
    timer_remove(&st->timers, &c->timer);
    c->timer.at = NEVER;
}

void tcp_timers_rearm(struct stack *st, struct tcp *c)
{
    nsec at = earliest(c);

    timer_init(&c->timer);
    c->timer.owner = MEM_TCP;
    timer_set(&st->timers, &c->timer, at);
}

/* RFC 8985 7.2: when the tail loss probe fires, or NEVER where there is none. */
static nsec probe_at(const struct stack *st, const struct tcp *c, nsec now)
{
    if (!st->knobs.tcp_early_retrans || !c->sack_ok || c->tlp_out || !tcp_synchronized(c) ||
        (c->ca_state != CA_OPEN && c->ca_state != CA_CWR) || c->fl->tx.sacked ||
        c->fl->tx.out == 0) {
        return NEVER;
    }
    nsec pto = RTO_INITIAL;
    if (c->rtt.srtt) {
        pto = 2 * c->rtt.srtt;
        pto += c->fl->tx.out == 1 ? (nsec)st->knobs.user_rto_min_ms * MSEC : 2 * MSEC;
    }
    return now +
           nsec_min(pto, tcp_rto(st, c)); /* never later than the timeout, but instead of it */
}

void tcp_arm_rto(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->tx.n == 0) {
        tcp_timer_clear(st, env, c, TT_RTO);
        tcp_timer_clear(st, env, c, TT_TLP);
        return;
    }
    nsec tlp = probe_at(st, c, env->now);
    if (tlp != NEVER) {
        *tcp_due_at(c, TT_RTO) = NEVER;
        tcp_timer_set(st, env, c, TT_TLP, tlp);
    } else {
        *tcp_due_at(c, TT_TLP) = NEVER;
        tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
    }
}

/* RFC 9293 3.8.4 MUST-27, MUST-28: two hours by default. */
static nsec keep_idle(const struct stack *st, const struct tcp *c)
{
    return (nsec)(c->keep_idle_s ? c->keep_idle_s : st->knobs.tcp_keepalive_time) * SEC;
}

static nsec keep_intvl(const struct stack *st, const struct tcp *c)
{
    return (nsec)(c->keep_intvl_s ? c->keep_intvl_s : st->knobs.tcp_keepalive_intvl) * SEC;
}

static int32_t keep_cnt(const struct stack *st, const struct tcp *c)
{
    return c->keep_cnt ? c->keep_cnt : st->knobs.tcp_keepalive_probes;
}

static bool keep_asked(const struct stack *st, const struct tcp *c)
{
    return c->s.opt.keepalive || profile_of(&st->knobs)->keep_always;
}

/* RFC 9293 3.8.4 MUST-24, MUST-25, MAY-5: only if the program asks. */
void tcp_arm_keep(struct stack *st, struct env *env, struct tcp *c)
{
    if (keep_asked(st, c) && tcp_synchronized(c) && c->state != TCP_TIME_WAIT) {
        tcp_timer_set(st, env, c, TT_KEEP, env->now + keep_idle(st, c));
    } else {
        tcp_timer_clear(st, env, c, TT_KEEP);
    }
}

static nsec persist_interval(const struct stack *st, const struct tcp *c)
{
    const struct profile *p = profile_of(&st->knobs);
    nsec max = (nsec)st->knobs.user_rto_max_ms * MSEC;
    nsec at = nsec_max(c->rtt.rto, (nsec)st->knobs.user_rto_min_ms * MSEC);
    if (p->persist_max_s) {
        max = p->persist_max_s * SEC;
    }
    for (unsigned i = 0; i < c->backoff && at < max; i++) {
        at *= 2;
    }
    return nsec_min(nsec_max(at, p->persist_min_s * SEC), max);
}

/* Linux, not RFC: a timer does not run past the end of TCP_USER_TIMEOUT. */
static nsec within_user_timeout(const struct tcp *c, nsec wait, nsec since, nsec now)
{
    if (!c->user_timeout_ms || !since) {
        return wait;
    }
    nsec left = since + (nsec)c->user_timeout_ms * MSEC - now;
    return nsec_min(wait, nsec_max(left, MSEC));
}

void tcp_arm_persist(struct stack *st, struct env *env, struct tcp *c)
{
    if (tcp_due(c, TT_PERSIST) == NEVER) {
        nsec wait = within_user_timeout(c, persist_interval(st, c), c->fl->probe_since, env->now);
        tcp_timer_set(st, env, c, TT_PERSIST, env->now + wait);
    }
}

/* Linux, not RFC: the time that `boundary` doublings beginning with `base` take. */
static nsec model_timeout(const struct stack *st, unsigned boundary, nsec base)
{
    nsec max = (nsec)st->knobs.user_rto_max_ms * MSEC;
    nsec sum = 0, step = base;

    for (unsigned i = 0; i <= boundary; i++) {
        sum += step;
        step = nsec_min(step * 2, max);
    }
    return sum;
}

static bool timed_out(const struct stack *st, const struct tcp *c, nsec now, unsigned boundary,
                      nsec base)
{
    if (!c->fl->stall_at) {
        return false;
    }
    nsec limit =
        c->user_timeout_ms ? (nsec)c->user_timeout_ms * MSEC : model_timeout(st, boundary, base);
    return now - c->fl->stall_at >= limit;
}

/* RFC 1122 4.2.3.5 R1: long enough to doubt the path. */
static bool is_stalled(const struct stack *st, const struct tcp *c, nsec now)
{
    nsec base = (nsec)st->knobs.user_rto_min_ms * MSEC;
    return c->fl->stall_at &&
           now - c->fl->stall_at >= model_timeout(st, (unsigned)st->knobs.tcp_retries1, base);
}

static unsigned orphan_retries(const struct stack *st, const struct tcp *c, bool alive)
{
    if (c->s.soft_err && !alive) {
        return 0;
    }
    if (st->knobs.tcp_orphan_retries == 0 && alive) {
        return 8; /* Linux, not RFC: with a 200 ms RTO more than 100 s */
    }
    return (unsigned)st->knobs.tcp_orphan_retries;
}

/* Gives the connection up: the soft error if there was one, else ETIMEDOUT. RFC 1122 4.2.3.5 R2;
 * RFC 9293 3.8.3 MUST-20, MUST-47. */
static void give_up(struct stack *st, struct env *env, struct tcp *c)
{
    enum err err = c->s.soft_err ? (enum err)c->s.soft_err : ERR_TIMEDOUT;

    st->stats.TcpAbortOnTimeout++;
    tcp_done(st, env, c, err);
}

/* RFC 9293 3.8.6 SHLD-17, MUST-37: the peer took its window back, and what is sent again is a
 * probe. Linux, not RFC: over when nothing at all was heard for twice the largest RTO. */
static bool shrunk_window_over(const struct stack *st, const struct tcp *c, nsec now)
{
    nsec patience = 2 * (nsec)st->knobs.user_rto_max_ms * MSEC;
    nsec user = (nsec)c->user_timeout_ms * MSEC;
    nsec stalled = c->fl->stall_at ? now - c->fl->stall_at : 0;

    if (user) {
        if (stalled > user) {
            return true;
        }
        patience = nsec_min(patience, user);
    }
    return now - c->ack_rcv_at > patience && stalled > patience;
}

/* Whether the retransmission timer has fired once too often; then the connection is gone. */
static bool rto_exhausted(struct stack *st, struct env *env, struct tcp *c)
{
    bool over;

    if (c->state == TCP_SYN_SENT) {
        /* RFC 9293 3.8.3 MUST-22, MUST-23. Linux 6.18, not RFC: the linear ones are extra, but not
         * the time: 127 s for 6. */
        unsigned max = (unsigned)(c->syncnt ? c->syncnt : st->knobs.tcp_syn_retries);
        over = c->retries >= max + (unsigned)st->knobs.tcp_syn_linear_timeouts ||
               timed_out(st, c, env->now, max, RTO_INITIAL);
    } else if (tcp_syn_out(c)) { /* Linux, not RFC: one more for Fast Open */
        over = c->retries >=
               c->fo_child + (unsigned)(c->syncnt ? c->syncnt : st->knobs.tcp_synack_retries);
    } else if (profile_of(&st->knobs)->rexmt_max) {
        over = c->retries >= profile_of(&st->knobs)->rexmt_max;
    } else if (c->snd.wnd == 0 && !c->s.orphan) {
        over = shrunk_window_over(st, c, env->now);
    } else {
        unsigned boundary = (unsigned)st->knobs.tcp_retries2; /* MUST-21, SHLD-11 */
        if (is_stalled(st, c, env->now)) {
            tcp_mtu_black_hole(st, env, c);
        }
        if (c->s.orphan) {
            boundary =
                orphan_retries(st, c, tcp_rto(st, c) < (nsec)st->knobs.user_rto_max_ms * MSEC);
        }
        over = timed_out(st, c, env->now, boundary, (nsec)st->knobs.user_rto_min_ms * MSEC);
    }
    if (!tcp_syn_out(c)) {
        tfo_timeout(st, env, c, c->retries, over);
    }
    if (over) {
        give_up(st, env, c);
    }
    return over;
}

void tcp_resend_syn(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why)
{
    txq_at(&c->fl->tx, 0)->tries++;
    txq_set(&c->fl->tx, txq_at(&c->fl->tx, 0), TXR_EVER);
    txq_at(&c->fl->tx, 0)->at = env->now;
    c->info.total_retrans++;
    st->stats.TcpRetransSegs++;
    tcp_send_syn(st, env, c, why);
}

static void rto_fire(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->tx.n == 0 || rto_exhausted(st, env, c)) {
        return;
    }
    st->stats.TcpTimeouts++;
    tcp_rto_began(st, env, c);
    if (!c->fl->stall_at) {
        c->fl->stall_at = txq_at(&c->fl->tx, 0)->at;
    }
    c->retries++;
    bool linear = c->state == TCP_SYN_SENT && c->retries <= st->knobs.tcp_syn_linear_timeouts;
    if (!linear && tcp_rto(st, c) < (nsec)st->knobs.user_rto_max_ms * MSEC) {
        c->backoff++; /* RFC 6298 5.5; RFC 9293 3.8.1 MUST-19 */
    }
    if (tcp_syn_out(c)) {
        tcp_resend_syn(st, env, c, TX_RTO);
    } else {
        tcp_loss_timeout(st, env, c);
    }
    if (c->fl->tx.n) {
        *tcp_due_at(c, TT_TLP) = NEVER;
        nsec rto = within_user_timeout(c, tcp_rto(st, c), c->fl->stall_at, env->now);
        tcp_timer_set(st, env, c, TT_RTO, env->now + rto);
    }
}

/* RFC 9293 3.8.6.1 MUST-35, MUST-36, SHLD-29, SHLD-30. Linux gives up on an orphan or with
 * TCP_USER_TIMEOUT, and when nothing at all is answered. */
static void persist_fire(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->tx.n || (tcp_unsent(c) == 0 && !(c->fin_queued && !c->fin_sent))) {
        return;
    }
    bool over = c->user_timeout_ms && c->fl->probe_since &&
                env->now - c->fl->probe_since >= (nsec)c->user_timeout_ms * MSEC;
    if (!c->fl->probe_since && tcp_flight_get(st, env, c)) {
        c->fl->probe_since = env->now; /* answers do not move it, only a window does */
    }
    unsigned max = (unsigned)st->knobs.tcp_retries2;
    if (c->s.orphan) {
        max = orphan_retries(st, c, tcp_rto(st, c) < (nsec)st->knobs.user_rto_max_ms * MSEC);
    }
    if (over || c->probes >= max) {
        give_up(st, env, c);
        return;
    }
    c->probes++;
    tcp_send_probe(st, env, c, TX_PROBE);
    if (c->fl->tx.n) { /* it was data after all */
        c->probes = 0;
        c->backoff = 0;
        c->fl->probe_since = 0;
        return;
    }
    if (c->backoff < 20) {
        c->backoff++;
    }
    tcp_arm_persist(st, env, c);
}

static void keep_fire(struct stack *st, struct env *env, struct tcp *c)
{
    nsec idle = env->now - nsec_max(c->rcv_at, c->ack_rcv_at);

    if (!tcp_synchronized(c)) {
        give_up(st, env, c); /* the profile gives an open so much time */
        return;
    }
    if (!keep_asked(st, c) || c->fl->tx.n || tcp_unsent(c)) {
        tcp_arm_keep(st, env, c); /* data in flight tests the path already */
        return;
    }
    if (idle < keep_idle(st, c)) { /* MUST-26 */
        tcp_timer_set(st, env, c, TT_KEEP, env->now + keep_idle(st, c) - idle);
        return;
    }
    /* MUST-29: several must be unanswered */
    bool over = c->user_timeout_ms ? idle >= (nsec)c->user_timeout_ms * MSEC && c->probes
                                   : c->probes >= keep_cnt(st, c);
    if (over) {
        tcp_send_rst(st, env, c);
        give_up(st, env, c);
        return;
    }
    c->probes++;
    st->stats.TcpKeepAlives++;
    tcp_send_probe(st, env, c, TX_KEEPALIVE);
    tcp_timer_set(st, env, c, TT_KEEP, env->now + keep_intvl(st, c));
}

static void delack_fire(struct stack *st, struct env *env, struct tcp *c)
{
    st->stats.TcpDelayedAcks++;
    if (c->pingpong) {
        c->pingpong = 0; /* the program did not answer in time after all */
        c->ato_ns = tcp_ato((nsec)st->knobs.user_delack_min_ms * MSEC);
    } else {
        c->ato_ns = tcp_ato(nsec_min(2 * (nsec)c->ato_ns, c->rtt.rto));
    }
    tcp_send_ack(st, env, c, TX_DELACK);
}

static void fire(struct stack *st, struct env *env, struct tcp *c, enum tcp_timer_kind k)
{
    tcp_tell_timer(st, env, c, k, EVT_FIRED, env->now);
    switch (k) {
    case TT_RTO:
        rto_fire(st, env, c);
        break;
    case TT_TLP:
        tcp_tlp_fire(st, env, c);
        break;
    case TT_REORDER:
        tcp_loss_reorder(st, env, c);
        break;
    case TT_PERSIST:
        persist_fire(st, env, c);
        break;
    case TT_DELACK:
        delack_fire(st, env, c);
        break;
    case TT_PACE:
        tcp_output(st, env, c);
        break;
    case TT_KEEP:
        keep_fire(st, env, c);
        break;
    case TT_WAIT:
        tcp_done(st, env, c, ERR_OK);
        break;
    case TT_COUNT:
        break;
    }
}

void tcp_timer(struct stack *st, struct env *env, struct timer *t)
{
    struct tcp *c = CONTAINER_OF(t, struct tcp, timer);
    struct sock_ref ref = sock_ref(&c->s);

    st->touching = &c->s;
    for (enum tcp_timer_kind k = 0; k < TT_COUNT; k++) {
        if (tcp_due(c, k) <= env->now) {
            *tcp_due_at(c, k) = NEVER;
            fire(st, env, c, k);
            if (!sock_ref_ok(&ref) || c->state == TCP_CLOSED) {
                st->touching = NULL;
                return;
            }
        }
    }
    timer_set(&st->timers, &c->timer, earliest(c));
    st->touching = NULL;
}
