/*
 * tcp_opt.c - theory of operation
 *
 * Level IPPROTO_TCP of getsockopt and setsockopt, the STATUS call (TCP_INFO), and the ioctls.
 * Values, lengths, bounds and errors are Linux's (net/ipv4/tcp.c as a fact, tcp(7)).
 *
 * Deliberately missing: TCP_MD5SIG, TCP_ULP, TCP_REPAIR: they answer ENOPROTOOPT.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"

static int set_nodelay(struct stack *st, struct env *env, struct tcp *c, bool on)
{
    c->nodelay = on;
    if (on && tcp_synchronized(c)) {
        bool cork = c->cork; /* Linux, not RFC: once, over the cork */
        c->cork = false;
        tcp_output(st, env, c);
        c->cork = cork;
    }
    return 0;
}

static int set_cork(struct stack *st, struct env *env, struct tcp *c, bool on)
{
    c->cork = on;
    if (!on && tcp_synchronized(c)) {
        tcp_output(st, env, c);
    }
    return 0;
}

static int set_quickack(struct stack *st, struct env *env, struct tcp *c, int v)
{
    if (!v) {
        c->pingpong = 1;
        return 0;
    }
    c->pingpong = 0;
    if (tcp_synchronized(c) && c->due[TT_DELACK] != NEVER) {
        tcp_send_ack(st, env, c, TX_ACK);
        if (!(v & 1)) {
            c->pingpong = 1;
        }
    }
    return 0;
}

static int set_bounded(int32_t *field, int v, int min, int max)
{
    if (v < min || v > max) {
        return -ERR_INVAL;
    }
    *field = v;
    return 0;
}

static int set_keep(struct stack *st, struct env *env, struct tcp *c, int v)
{
    int err = set_bounded(&c->keep_idle_s, v, 1, 32767);

    if (!err && c->due[TT_KEEP] != NEVER) {
        tcp_arm_keep(st, env, c);
    }
    return err;
}

static int set_maxseg(struct tcp *c, int v)
{
    if (v && (v < 88 || v > 32767)) {
        return -ERR_INVAL;
    }
    c->user_mss = (uint16_t)v;
    return 0;
}

static int set_linger2(struct tcp *c, int v)
{
    c->linger2_s = v < 0 ? -1 : v > 120 ? 120 : v;
    return 0;
}

static int set_clamp(struct tcp *c, int v)
{
    if (!v) {
        if (c->state != TCP_CLOSED) {
            return -ERR_INVAL;
        }
        c->window_clamp = 0;
        return 0;
    }
    c->window_clamp = max_u32((uint32_t)v, 1152);
    if (tcp_synchronized(c)) {
        c->rcv.wnd_clamp = min_u32(c->rcv.wnd_clamp, c->window_clamp);
        c->rcv.wnd_lim = min_u32(c->rcv.wnd_lim, c->rcv.wnd_clamp);
    }
    return 0;
}

static int set_congestion(struct stack *st, struct env *env, struct tcp *c, const char *name,
                          size_t len)
{
    uint32_t cwnd = c->cc.cwnd, ssthresh = c->cc.ssthresh;
    size_t n = 0;

    while (n < len && n < 15 && name[n]) {
        n++;
    }
    int algo = n ? tcp_cc_find(name, n) : -1;
    if (algo < 0) {
        return len < 1 ? -ERR_INVAL : -ERR_NOENT;
    }
    if (algo == c->cc.algo) {
        return 0;
    }
    tcp_cc_start(st, c, (uint8_t)algo, cwnd, env->now);
    if (tcp_synchronized(c)) {
        c->cc.ssthresh = ssthresh;
    }
    return 0;
}

static int set_int(struct stack *st, struct env *env, struct tcp *c, int name, int v)
{
    switch (name) {
    case LX_TCP_NODELAY:
        return set_nodelay(st, env, c, v != 0);
    case LX_TCP_CORK:
        return set_cork(st, env, c, v != 0);
    case LX_TCP_MAXSEG:
        return set_maxseg(c, v);
    case LX_TCP_KEEPIDLE:
        return set_keep(st, env, c, v);
    case LX_TCP_KEEPINTVL:
        return set_bounded(&c->keep_intvl_s, v, 1, 32767);
    case LX_TCP_KEEPCNT:
        return set_bounded(&c->keep_cnt, v, 1, 127);
    case LX_TCP_SYNCNT:
        return set_bounded(&c->syncnt, v, 1, 127);
    case LX_TCP_LINGER2:
        return set_linger2(c, v);
    case LX_TCP_DEFER_ACCEPT:
        c->defer_accept_s = v < 0 ? 0 : v;
        return 0;
    case LX_TCP_WINDOW_CLAMP:
        return set_clamp(c, v);
    case LX_TCP_QUICKACK:
        return set_quickack(st, env, c, v);
    case LX_TCP_USER_TIMEOUT:
        return set_bounded(&c->user_timeout_ms, v, 0, INT32_MAX);
    case LX_TCP_NOTSENT_LOWAT:
        c->notsent_lowat = (uint32_t)v;
        return 0;
    case LX_TCP_INQ:
        c->inq_opt = v == 1;
        return v == 0 || v == 1 ? 0 : -ERR_INVAL;
    case LX_TCP_FASTOPEN:
    case LX_TCP_FASTOPEN_CONNECT:
    case LX_TCP_FASTOPEN_NO_COOKIE:
        return tfo_setopt(st, env, c, name, v);
    default:
        return -ERR_NOPROTOOPT;
    }
}

int tcp_setopt(struct stack *st, struct env *env, struct sock *s, int name, const void *val,
               size_t len, bool privileged)
{
    int v;

    (void)privileged;
    if (name == LX_TCP_CONGESTION) {
        return set_congestion(st, env, tcp_of(s), val, len);
    }
    if (name == LX_TCP_FASTOPEN_KEY) {
        return tfo_set_key(st, env, tcp_of(s), val, len);
    }
    if (len < sizeof v) {
        return -ERR_INVAL;
    }
    memcpy(&v, val, sizeof v);
    return set_int(st, env, tcp_of(s), name, v);
}

/* ---- TCP_INFO */

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
                     (c->ws_ok ? LX_TCPI_OPT_WSCALE : 0) |
                     (c->syn_data_acked ? LX_TCPI_OPT_SYN_DATA : 0));
}

static void info_send(const struct stack *st, const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    i->tcpi_snd_mss = c->snd.mss;
    i->tcpi_unacked = c->tx.out;
    i->tcpi_sacked = c->tx.sacked + c->reno_sacked;
    i->tcpi_lost = c->tx.lost;
    i->tcpi_retrans = c->tx.retrans;
    i->tcpi_last_data_sent = ms_since(c->snd_at, now);
    i->tcpi_pmtu = ip_mtu(st, &c->s.flow.raddr);
    i->tcpi_rtt = usec(c->rtt.srtt);
    i->tcpi_rttvar = usec(c->rtt.srtt ? c->rtt.mdev : RTO_INITIAL / 4);
    i->tcpi_min_rtt = c->rtt.min == NEVER ? UINT32_MAX : usec(c->rtt.min);
    i->tcpi_snd_ssthresh = c->cc.ssthresh;
    i->tcpi_snd_cwnd = c->cc.cwnd;
    i->tcpi_reordering = c->reordering;
    i->tcpi_total_retrans = c->info.total_retrans;
    i->tcpi_max_pacing_rate = c->s.opt.max_pacing_rate;
    i->tcpi_pacing_rate = UINT64_MAX;
    i->tcpi_bytes_acked = c->info.bytes_acked;
    i->tcpi_segs_out = c->info.segs_out;
    i->tcpi_notsent_bytes = tcp_unsent(c);
    i->tcpi_data_segs_out = c->info.data_segs_out;
    i->tcpi_delivered = c->info.delivered;
    i->tcpi_bytes_sent = c->info.bytes_sent;
    i->tcpi_bytes_retrans = c->info.bytes_retrans;
    i->tcpi_dsack_dups = c->info.dsack_dups;
    i->tcpi_reord_seen = c->info.reord_seen;
    i->tcpi_snd_wnd = c->snd.wnd;
    i->tcpi_total_rto = (uint16_t)c->info.total_rto;
    nsec busy = c->info.busy + (c->info.busy_since ? now - c->info.busy_since : 0);
    i->tcpi_busy_time = (uint64_t)(busy / USEC);
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
    i->tcpi_rcv_ooopack = c->info.rcv_ooo;
    i->tcpi_rcv_wnd = tcp_rcv_left(c);
}

void tcp_fill_info(const struct stack *st, const struct tcp *c, struct lx_tcp_info *i, nsec now)
{
    memset(i, 0, sizeof *i);
    i->tcpi_state = tcp_state_linux((enum tcp_state)c->state);
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
    i->tcpi_snd_wscale = c->snd.scale & 15u;
    i->tcpi_rcv_wscale = c->rcv.scale & 15u;
    i->tcpi_fastopen_client_fail = c->fastopen_client_fail & 3u;
    i->tcpi_rto = usec(tcp_rto(st, c));
    i->tcpi_ato = usec(c->ato);
    info_send(st, c, i, now);
    info_rcv(c, i, now);
}

static int give(void *val, size_t *len, const void *src, size_t n)
{
    *len = min_size(*len, n);
    memcpy(val, src, *len);
    return 0;
}

static int get_int(const struct stack *st, const struct tcp *c, int name, int *v)
{
    switch (name) {
    case LX_TCP_NODELAY:
        *v = c->nodelay;
        return 0;
    case LX_TCP_CORK:
        *v = c->cork;
        return 0;
    case LX_TCP_MAXSEG:
        *v = c->user_mss && (c->state == TCP_CLOSED || c->state == TCP_LISTEN) ? c->user_mss
                                                                               : c->snd.mss;
        return 0;
    case LX_TCP_KEEPIDLE:
        *v = c->keep_idle_s ? c->keep_idle_s : st->knobs.tcp_keepalive_time;
        return 0;
    case LX_TCP_KEEPINTVL:
        *v = c->keep_intvl_s ? c->keep_intvl_s : st->knobs.tcp_keepalive_intvl;
        return 0;
    case LX_TCP_KEEPCNT:
        *v = c->keep_cnt ? c->keep_cnt : st->knobs.tcp_keepalive_probes;
        return 0;
    case LX_TCP_SYNCNT:
        *v = c->syncnt ? c->syncnt : st->knobs.tcp_syn_retries;
        return 0;
    case LX_TCP_LINGER2:
        *v = c->linger2_s ? c->linger2_s : st->knobs.tcp_fin_timeout;
        return 0;
    case LX_TCP_DEFER_ACCEPT:
        *v = c->defer_accept_s;
        return 0;
    case LX_TCP_WINDOW_CLAMP:
        *v = (int)(c->window_clamp ? c->window_clamp : c->rcv.wnd_clamp);
        return 0;
    case LX_TCP_QUICKACK:
        *v = !c->pingpong;
        return 0;
    case LX_TCP_USER_TIMEOUT:
        *v = c->user_timeout_ms;
        return 0;
    case LX_TCP_NOTSENT_LOWAT:
        *v = (int)c->notsent_lowat;
        return 0;
    case LX_TCP_INQ:
        *v = c->inq_opt;
        return 0;
    case LX_TCP_FASTOPEN:
    case LX_TCP_FASTOPEN_CONNECT:
    case LX_TCP_FASTOPEN_NO_COOKIE:
        *v = tfo_getopt(c, name);
        return 0;
    default:
        return -ERR_NOPROTOOPT;
    }
}

int tcp_getopt(struct stack *st, struct env *env, struct sock *s, int name, void *val, size_t *len)
{
    const struct tcp *c = tcp_of(s);
    int v;

    if (name == LX_TCP_INFO) {
        struct lx_tcp_info info;
        tcp_fill_info(st, c, &info, env->now);
        return give(val, len, &info, sizeof info);
    }
    if (name == LX_TCP_CONGESTION) {
        char text[16] = {0};
        const char *algo = tcp_cc_ops(c->cc.algo)->name;
        memcpy(text, algo, min_size(strlen(algo), sizeof text - 1));
        return give(val, len, text, sizeof text);
    }
    if (name == LX_TCP_FASTOPEN_KEY) {
        return tfo_get_key(st, c, val, len);
    }
    if (name == LX_TCP_CC_INFO) {
        *len = 0;
        return 0;
    }
    int err = get_int(st, c, name, &v);
    return err ? err : give(val, len, &v, sizeof v);
}

void tcp_opt_changed(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    if (s->opt.keepalive != (c->due[TT_KEEP] != NEVER)) {
        tcp_arm_keep(st, env, c);
    }
    if (s->opt.rcvbuf_locked && tcp_synchronized(c)) {
        uint32_t wnd = (uint32_t)s->opt.rcvbuf / 2;
        c->rcv.wnd_clamp = c->window_clamp ? min_u32(wnd, c->window_clamp) : wnd;
        c->rcv.wnd_lim = min_u32(c->rcv.wnd_lim, c->rcv.wnd_clamp);
    }
    if (tcp_synchronized(c) && tcp_readable(c) && tcp_readable(c) >= (uint32_t)s->opt.rcvlowat) {
        sock_notify(st, s, LX_POLLIN | LX_POLLRDNORM);
    }
}

int64_t tcp_ioctl(struct stack *st, struct env *env, struct sock *s, uint32_t request)
{
    const struct tcp *c = tcp_of(s);

    (void)st;
    (void)env;
    bool opening = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD;
    if (request == LX_SIOCATMARK) {
        return tcp_urg_at_mark(c);
    }
    if (c->state == TCP_LISTEN) {
        return -ERR_INVAL;
    }
    switch (request) {
    case LX_SIOCINQ:
        return opening ? 0 : tcp_urg_unread(c);
    case LX_SIOCOUTQ:
        return opening ? 0 : (int64_t)ring_len(&c->sq);
    case LX_SIOCOUTQNSD:
        return opening ? 0 : tcp_unsent(c);
    default:
        return -ERR_NOPROTOOPT;
    }
}
