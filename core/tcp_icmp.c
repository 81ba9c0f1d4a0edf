/*
 * tcp_icmp.c - theory of operation
 *
 * What ICMP says about a connection. It is believed only when it quotes what is in flight (RFC 5927
 * 4.1), and then, as in Linux:
 *
 *   while it opens        any error ends the attempt (Linux, not RFC 1122 4.2.3.9)
 *   once it is open       a soft error: told if the connection times out, or by SO_ERROR; with
 *                         IP_RECVERR it is the pending error at once. The connection goes on (RFC
 *                         5461 and MUST-54..56).
 *   net or host           ... and the timer was backing off: the path is broken rather than full, so
 *   unreachable           the last doubling is taken back (RFC 6069)
 *   too big               tcp_mtu.c, if what is in flight would be too big (RFC 5927 7.2)
 */
#include "tcp_cb.h"

#include "check.h"
#include "pmtu.h"
#include "pollset.h"
#include "sock_errq.h"

/* Linux, not RFC: also a child of Fast Open that nobody has accepted. */
static bool is_opening(const struct tcp *c)
{
    return tcp_opening(&c->s) || (c->fo_child && c->in_accept);
}

/* RFC 6069 4.2, TCP-LCD: at the earliest what one doubling less would have been. */
static void revert_backoff(struct stack *st, struct env *env, struct tcp *c, seq at)
{
    if (!seq_eq(at, c->snd.una) || c->retries == 0 || c->backoff == 0 ||
        tcp_due(c, TT_RTO) == NEVER || c->fl->tx.n == 0) {
        return;
    }
    c->backoff--;
    nsec due = txq_at(&c->fl->tx, 0)->at + tcp_rto(st, c);
    tcp_timer_set(st, env, c, TT_RTO, nsec_max(due, env->now));
}

/* Linux: over IPv4 whoever looks into its error queue learns why connect failed, over IPv6 with
 * IPV6_RECVERR. */
static void queue_error(struct stack *st, struct env *env, struct sock *s,
                        const struct recv_info *ee, const struct span *quoted)
{
    if (addr_is4(&s->flow.raddr) || s->opt.recverr6) {
        (void)errq_put(st, env, s, ee, quoted, 1);
    }
}

bool tcp_icmp_error(struct stack *st, struct env *env, struct sock *s, seq at,
                    const struct recv_info *ee, const struct span *quoted, bool no_path)
{
    struct tcp *c = tcp_of(s);
    enum err err = (enum err)ee->ee.err;

    if (c->state == TCP_LISTEN || c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT) {
        return false;
    }
    if (!seq_geq(at, c->snd.una) || !seq_lt(at, seq_add(c->snd.nxt, 1))) {
        return false;
    }
    if (is_opening(c) && !seq_eq(at, c->iss)) {
        return false; /* RFC 5927 4.1 to the letter where an error ends the attempt */
    }
    if (is_opening(c)) {
        st->stats.TcpAttemptFails++;
        queue_error(st, env, s, ee, quoted);
        tcp_done(st, env, c, err);
        return true;
    }
    if (no_path) {
        revert_backoff(st, env, c, at);
    }
    if (addr_is4(&s->flow.raddr) ? s->opt.recverr : s->opt.recverr6) {
        s->err = (uint8_t)err;
        sock_notify(st, s, LX_POLLERR);
    } else {
        s->soft_err = (uint8_t)err; /* MUST-54, MUST-56, SHLD-25: it may yet recover */
    }
    return true;
}

/* Whether what is in flight at that number would be too large for the path: RFC 5927 7.2. */
static bool is_in_flight(const struct tcp *c, seq at, uint32_t mtu)
{
    bool syn_data = c->state == TCP_SYN_SENT && c->syn_data;
    if (syn_data && seq_geq(at, c->snd.una) && seq_lt(at, c->snd.nxt)) {
        uint32_t len = seq_dist(tcp_snd_base(c), c->snd.nxt);
        return tcp_mtu_of(c, len + TCP_HDR_MAX - TCP_HDR_MIN) > mtu;
    }
    if (!tcp_synchronized(c) || c->state == TCP_TIME_WAIT || !c->fl->tx.n ||
        seq_lt(at, c->snd.una) || seq_geq(at, c->snd.nxt)) {
        return false;
    }
    const struct tx_rec *r = txq_at(&c->fl->tx, txq_find(&c->fl->tx, at));
    uint32_t left = seq_dist(seq_max(at, r->from), r->to);
    uint32_t largest = r->flags & TXR_MTU ? left : min_u32(left, c->snd.mss);
    return tcp_mtu_of(c, largest) > mtu;
}

bool tcp_icmp_pmtu(struct stack *st, struct env *env, struct sock *s, seq at, uint32_t told)
{
    struct tcp *c = tcp_of(s);
    uint8_t mode = addr_is4(&s->flow.raddr) ? s->opt.mtu_discover : s->opt.mtu_discover6;
    uint32_t mtu = pmtu_news(st, &s->flow.raddr, told);

    if (mtu == 0 || mode == LX_IP_PMTUDISC_DONT || mode >= LX_IP_PMTUDISC_INTERFACE ||
        !is_in_flight(c, at, mtu)) {
        return false;
    }
    uint32_t was = c->snd.mss;
    pmtu_learn(st, env, &s->flow.raddr, mtu, told < mtu);
    if (c->state == TCP_SYN_SENT) {
        tfo_pmtu(st, env, c);
        return true;
    }
    tcp_sync_mss(st, c);
    tcp_smaller(st, env, c, was, TX_PMTU);
    return true;
}
