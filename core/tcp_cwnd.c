/*
 * tcp_cwnd.c - theory of operation
 *
 * The connection's side of congestion control: what an acknowledgment tells the algorithm
 * (tcp_cc.h), and whether the window it has reached is still true: not when it was not used (RFC
 * 7661 in Linux's form), not after idling (RFC 5681 4.1).
 */
#include "tcp_cb.h"

#include "check.h"

void tcp_cc_start(const struct stack *st, struct tcp *c, uint8_t algo, uint32_t cwnd, nsec now)
{
    struct cc_setup how = {
        .now = now,
        .cwnd = cwnd,
        .nxt = c->snd.nxt,
        .srtt = c->rtt.srtt,
        .delivered = c->rate.delivered,
        .mss = c->snd.mss,
        .hystart = (uint8_t)st->knobs.user_hystart,
    };
    bool paced = c->cc.paced;

    tcp_cc_init(&c->cc, algo, &how);
    /* Linux, not RFC: what a connection was asked to do it goes on doing; but one that is not open
     * yet has not been asked. */
    c->cc.paced = paced || (tcp_synchronized(c) && (tcp_cc_ops(algo)->flags & CC_PACES));
    tcp_pace_update(st, c);
}

void tcp_cc_lost(struct tcp *c, const struct tx_rec *r)
{
    const struct cc_ops *ops = tcp_cc_ops(c->cc.algo);

    c->rate.lost += r->segs;
    if (ops->on_lost) {
        struct cc_lost lost = {
            .segs = r->segs,
            .inflight = r->rate.inflight,
            .lost = c->rate.lost - r->rate.lost,
            .delivered = c->rate.delivered,
            .app_limited = r->rate.app_limited,
        };
        ops->on_lost(&c->cc, &lost);
    }
}

/* RFC 5681: the window grows only by acknowledgments of a sender that was held back by it. */
static bool may_grow(const struct stack *st, const struct tcp *c, const struct tcp_acked *a)
{
    if (c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR || !a->delivered || !a->cwnd_limited) {
        return false;
    }
    /* Linux, not RFC: unless the path reorders, only what is acknowledged counts */
    return a->new_data || c->reordering > st->knobs.tcp_reordering;
}

void tcp_cc_acked(struct stack *st, const struct env *env, struct tcp *c, struct tcp_acked *a)
{
    nsec now = env->now;
    const struct cc_ops *ops = tcp_cc_ops(c->cc.algo);
    uint32_t before = c->cc.cwnd;

    tcp_rate_sample(&c->rate, &c->fl->rate, &a->rate, a->delivered,
                    c->rtt.min == NEVER ? 0 : c->rtt.min, now);
    struct cc_ack ack = {
        .now = now,
        .acked = a->delivered,
        .lost = a->newly_lost,
        .una = c->snd.una,
        .nxt = c->snd.nxt,
        .rtt = a->rtt,
        .srtt = c->rtt.srtt,
        .inflight = tcp_inflight(c),
        .prior_inflight = a->prior_inflight,
        .mss = c->snd.mss,
        .ca_state = c->ca_state,
        .ece = a->ece,
        .cwnd_limited = a->cwnd_limited,
        .marked = c->ecn_mode == ECN_ACCURATE ? a->marked
                  : a->ece                    ? a->delivered
                                              : 0,
        .burst = tcp_tso_segs(st, c, c->snd.mss, 64000),
        .rate = &a->rate,
        .total = &c->rate,
    };
    if (a->rtt && ops->on_sample) {
        ops->on_sample(&c->cc, &ack);
    }
    if (ops->on_delivery) {
        ops->on_delivery(&c->cc, &ack);
    }
    if (ops->control) {
        ops->control(&c->cc, &ack);
    } else if (may_grow(st, c, a)) {
        ops->on_ack(&c->cc, &ack);
    }
    if (c->cc.cwnd != before) {
        c->cwnd_stamp = now;
        tcp_tell_cwnd(st, env, c, CWND_GROWN);
    }
    tcp_pace_update(st, c);
}

void tcp_cwnd_restart(struct stack *st, const struct env *env, struct tcp *c)
{
    nsec now = env->now;
    nsec idle = now - c->snd_at;

    if (!st->knobs.tcp_slow_start_after_idle || c->fl->tx.out || !c->snd_at ||
        idle <= tcp_rto(st, c) || !tcp_unsent(c) || tcp_cc_ops(c->cc.algo)->control) {
        return;
    }
    uint32_t restart = min_u32((uint32_t)st->knobs.user_init_cwnd, c->cc.cwnd);
    c->cc.ssthresh = max_u32(c->cc.ssthresh, c->cc.cwnd - c->cc.cwnd / 4);
    while ((idle -= tcp_rto(st, c)) > 0 && c->cc.cwnd > restart) {
        c->cc.cwnd /= 2;
    }
    c->cc.cwnd = max_u32(c->cc.cwnd, restart);
    c->cwnd_used = 0;
    c->cwnd_stamp = now;
    tcp_tell_cwnd(st, env, c, CWND_IDLE);
}

void tcp_cwnd_validate(struct stack *st, const struct env *env, struct tcp *c, bool limited)
{
    nsec now = env->now;

    if (seq_geq(c->snd.una, c->fl->usage_seq) || limited ||
        (!c->cwnd_limited && c->fl->tx.out > c->fl->max_out)) {
        c->cwnd_limited = limited;
        c->fl->max_out = c->fl->tx.out;
        c->fl->usage_seq = c->snd.nxt;
    }
    if (c->cwnd_limited || (tcp_cc_in_slow_start(&c->cc) && c->cc.cwnd < 2 * c->fl->max_out)) {
        c->cwnd_used = 0;
        c->cwnd_stamp = now;
        return;
    }
    c->cwnd_used = max_u32(c->cwnd_used, c->fl->tx.out);
    if (!st->knobs.tcp_slow_start_after_idle || now - c->cwnd_stamp < c->rtt.rto ||
        tcp_cc_ops(c->cc.algo)->control) {
        return;
    }
    uint32_t used = max_u32(c->cwnd_used, (uint32_t)st->knobs.user_init_cwnd);
    if (used < c->cc.cwnd && c->ca_state == CA_OPEN) {
        c->cc.ssthresh = max_u32(c->cc.ssthresh, c->cc.cwnd - c->cc.cwnd / 4);
        c->cc.cwnd = (c->cc.cwnd + used) / 2;
        tcp_tell_cwnd(st, env, c, CWND_IDLE);
    }
    c->cwnd_used = 0;
    c->cwnd_stamp = now;
}
