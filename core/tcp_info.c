/*
 * tcp_info.c - theory of operation
 *
 * The STATUS call of RFC 9293 3.10.6 in Linux's form, TCP_INFO, and what is measured for it alone.
 *
 * Three clocks tell what a sender's time went to (Linux's chronographs). One of them runs while
 * anything is written and not acknowledged: that of the send buffer while the program waits for
 * room and all that it could write is sent; that of the receive window while the peer's window
 * holds the next segment back; that of being busy otherwise. tcpi_busy_time is all three.
 *
 * A time in retransmission timeouts begins with the first one that fires and ends when the loss it
 * meant is repaired.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"

static void switch_to(struct stack *st, struct env *env, struct tcp *c, uint8_t k)
{
    nsec ran = env->now - c->info.chrono_at;

    if (c->chrono_now == CHRONO_BUSY) {
        c->info.busy += ran;
    } else if (c->chrono_now) {
        struct tcp_tally *t = tcp_tally(st, env, c);
        if (t) {
            *(c->chrono_now == CHRONO_RWND ? &t->rwnd_limited : &t->sndbuf_limited) += ran;
        }
    }
    c->chrono_now = k;
    c->info.chrono_at = env->now;
}

void tcp_chrono_start(struct stack *st, struct env *env, struct tcp *c, enum tcp_chrono k)
{
    if (k > c->chrono_now) {
        switch_to(st, env, c, (uint8_t)k);
    }
}

void tcp_chrono_stop(struct stack *st, struct env *env, struct tcp *c, enum tcp_chrono k)
{
    if (c->chrono_now == CHRONO_IDLE) {
        return;
    }
    if (c->fl->tx.n == 0 && ring_len(&c->sq) == 0) {
        switch_to(st, env, c, CHRONO_IDLE);
    } else if (c->chrono_now == k) {
        switch_to(st, env, c, CHRONO_BUSY);
    }
}

struct tcp_tally *tcp_tally(struct stack *st, struct env *env, struct tcp *c)
{
    struct side *x = sock_side(st, env, &c->s);

    return x ? &x->tally : NULL;
}

void tcp_rto_began(struct stack *st, struct env *env, struct tcp *c)
{
    struct tcp_tally *t = tcp_tally(st, env, c);

    if (!c->retries) {
        c->fl->rto_since = env->now;
    }
    if (t) {
        t->rto_recoveries = (uint16_t)(t->rto_recoveries + !c->retries);
        t->total_rto = (uint16_t)min_u32(t->total_rto + 1u, UINT16_MAX);
    }
}

void tcp_rto_over(struct stack *st, struct env *env, struct tcp *c)
{
    if (c->fl->rto_since) {
        struct tcp_tally *t = tcp_tally(st, env, c);
        if (t) {
            t->rto_ms += (uint32_t)((env->now - c->fl->rto_since) / MSEC);
        }
        c->fl->rto_since = 0;
    }
}

static uint32_t ms_since(nsec at, nsec now)
{
    return at ? (uint32_t)((now - at) / MSEC) : (uint32_t)(now / MSEC);
}

static uint32_t usec(nsec t)
{
    return (uint32_t)(t / USEC);
}

static uint8_t info_options(const struct tcp *c)
{
    return (uint8_t)((c->ts_ok ? LX_TCPI_OPT_TIMESTAMPS : 0) | (c->sack_ok ? LX_TCPI_OPT_SACK : 0) |
                     (c->ws_ok ? LX_TCPI_OPT_WSCALE : 0) | (c->ecn_mode ? LX_TCPI_OPT_ECN : 0) |
                     (c->ecn_seen ? LX_TCPI_OPT_ECN_SEEN : 0) |
                     (c->syn_data_acked ? LX_TCPI_OPT_SYN_DATA : 0));
}

/* Linux, not RFC: what is thought lost, sent again or not; a probe's loss is only a guess. */
static uint32_t lost_out(const struct tcp *c)
{
    return c->fl->tx.lost + c->fl->tx.retrans -
           (c->tlp_out && c->tlp_retrans && c->fl->tx.retrans ? 1 : 0);
}

static void info_send(const struct stack *st, const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    i->tcpi_snd_mss = c->snd.mss;
    i->tcpi_unacked = c->fl->tx.out;
    i->tcpi_sacked = c->fl->tx.sacked + c->fl->reno_sacked;
    i->tcpi_lost = lost_out(c);
    i->tcpi_retrans = c->fl->tx.retrans;
    i->tcpi_last_data_sent = ms_since(c->snd_at, now);
    i->tcpi_pmtu = ip_mtu(st, &c->s.flow.raddr);
    i->tcpi_rtt = usec(c->rtt.srtt);
    i->tcpi_rttvar = usec(c->rtt.srtt ? c->rtt.mdev : RTO_INITIAL / 4);
    i->tcpi_min_rtt = c->rtt.min == NEVER ? UINT32_MAX : usec(c->rtt.min);
    i->tcpi_snd_ssthresh = c->cc.ssthresh;
    i->tcpi_total_retrans = c->info.total_retrans;
    i->tcpi_bytes_acked = c->info.bytes_acked;
    i->tcpi_segs_out = c->info.segs_out;
    i->tcpi_notsent_bytes = tcp_unsent(c);
    i->tcpi_data_segs_out = c->info.data_segs_out;
    i->tcpi_delivered = c->rate.delivered;
    i->tcpi_delivered_ce = c->info.delivered_ce;
    i->tcpi_bytes_sent = c->info.bytes_sent;
    i->tcpi_snd_wnd = c->snd.wnd;
    i->tcpi_total_rto_time = c->fl->rto_since ? (uint32_t)((now - c->fl->rto_since) / MSEC) : 0;
}

static void info_tally(const struct tcp_tally *t, struct lx_tcp_info *i)
{
    i->tcpi_bytes_retrans = t->bytes_retrans;
    i->tcpi_dsack_dups = t->dsack_dups;
    i->tcpi_reord_seen = t->reord_seen;
    i->tcpi_rcv_ooopack = t->rcv_ooo;
    i->tcpi_total_rto = t->total_rto;
    i->tcpi_total_rto_recoveries = t->rto_recoveries;
    i->tcpi_total_rto_time += t->rto_ms;
}

static void info_chrono(const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    nsec runs = c->chrono_now ? now - c->info.chrono_at : 0;
    nsec rwnd = c->chrono_now == CHRONO_RWND ? runs : 0;
    nsec sndbuf = c->chrono_now == CHRONO_SNDBUF ? runs : 0;

    if (c->s.side) {
        rwnd += c->s.side->tally.rwnd_limited;
        sndbuf += c->s.side->tally.sndbuf_limited;
    }
    nsec busy = c->info.busy + (c->chrono_now == CHRONO_BUSY ? runs : 0);
    i->tcpi_busy_time = (uint64_t)((busy + rwnd + sndbuf) / USEC);
    i->tcpi_rwnd_limited = (uint64_t)(rwnd / USEC);
    i->tcpi_sndbuf_limited = (uint64_t)(sndbuf / USEC);
}

static void info_rcv(const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    i->tcpi_rcv_mss = c->rcv.mss;
    i->tcpi_last_data_recv = ms_since(c->rcv_at, now);
    i->tcpi_last_ack_recv = ms_since(c->ack_rcv_at, now);
    i->tcpi_rcv_ssthresh = c->rcv.wnd_lim;
    i->tcpi_advmss = c->rcv.adv_mss - (c->ts_ok ? 12u : 0);
    i->tcpi_rcv_rtt = usec(c->rcv_rtt);
    i->tcpi_rcv_space = c->drs_space;
    i->tcpi_bytes_received = c->info.bytes_rcvd;
    i->tcpi_segs_in = c->info.segs_in;
    i->tcpi_data_segs_in = c->info.data_segs_in;
    i->tcpi_rcv_wnd = tcp_rcv_left(c);
}

void tcp_fill_info(const struct stack *st, const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    memset(i, 0, sizeof *i);
    i->tcpi_state = tcp_state_linux((enum tcp_state)c->state);
    i->tcpi_pacing_rate = c->cc.pacing_rate ? c->cc.pacing_rate : UINT64_MAX;
    i->tcpi_delivery_rate = tcp_rate_best(&c->rate, c->snd.mss);
    i->tcpi_delivery_rate_app_limited = c->rate.best_limited;
    i->tcpi_max_pacing_rate = c->s.opt.max_pacing_rate;
    i->tcpi_reordering = c->reordering;
    i->tcpi_snd_cwnd = c->cc.cwnd;
    if (c->state == TCP_LISTEN) { /* Linux, not RFC: the accept queue in these two */
        i->tcpi_unacked = c->nacc;
        i->tcpi_sacked = c->backlog;
        return;
    }
    i->tcpi_ca_state = c->ca_state;
    i->tcpi_retransmits = c->retries;
    i->tcpi_probes = c->probes;
    i->tcpi_backoff = c->backoff;
    i->tcpi_options = info_options(c);
    i->tcpi_snd_wscale = c->snd_scale & 15u;
    i->tcpi_rcv_wscale = c->rcv_scale & 15u;
    i->tcpi_fastopen_client_fail = c->fastopen_client_fail & 3u;
    i->tcpi_ecn_mode = c->ecn_mode;
    i->tcpi_rto = usec(tcp_rto(st, c));
    i->tcpi_ato = usec(c->ato_ns);
    info_send(st, c, i, now);
    info_chrono(c, i, now);
    info_rcv(c, i, now);
    if (c->s.side) {
        info_tally(&c->s.side->tally, i);
    }
}
