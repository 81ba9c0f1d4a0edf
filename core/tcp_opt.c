/*
 * tcp_opt.c - theory of operation
 *
 * Level IPPROTO_TCP of getsockopt and setsockopt, and the ioctls; TCP_INFO is tcp_info.c.
 * Values, lengths, bounds and errors are Linux's (net/ipv4/tcp.c as a fact, tcp(7)).
 *
 * Deliberately missing: TCP_ULP, TCP_REPAIR: they answer ENOPROTOOPT.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "tcp_saved.h"

#define TX_DELAY_MAX 0x0fffffff /* Linux 6.18, in microseconds */

static int set_nodelay(struct stack *st, struct env *env, struct tcp *c, bool on)
{
    c->nodelay = on;
    if (on && tcp_synchronized(c)) {
        tcp_push(st, env, c, PUSH_ALL);
    }
    return 0;
}

static int set_cork(struct stack *st, struct env *env, struct tcp *c, bool on)
{
    c->cork = on;
    if (!on && tcp_synchronized(c)) {
        tcp_push(st, env, c, c->nodelay ? PUSH_ALL : PUSH_NORMAL);
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
    if (tcp_synchronized(c) && tcp_due(c, TT_DELACK) != NEVER) {
        tcp_send_ack(st, env, c, TX_ACK);
        if (!(v & 1)) {
            c->pingpong = 1;
        }
    }
    return 0;
}

static int set_seconds(uint16_t *field, int v)
{
    if (v < 1 || v > 32767) {
        return -ERR_INVAL;
    }
    *field = (uint16_t)v;
    return 0;
}

static int set_count(uint8_t *field, int v)
{
    if (v < 1 || v > 127) {
        return -ERR_INVAL;
    }
    *field = (uint8_t)v;
    return 0;
}

static int set_keep(struct stack *st, struct env *env, struct tcp *c, int v)
{
    int err = set_seconds(&c->keep_idle_s, v);

    if (!err && tcp_due(c, TT_KEEP) != NEVER) {
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
    c->linger2_s = (int8_t)(v < 0 ? -1 : v > 120 ? 120 : v);
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

/* Linux: the fq discipline delays what leaves by so much; as without it, nothing is delayed here.
 */
static int set_tx_delay(struct stack *st, struct env *env, struct tcp *c, int v)
{
    struct side *x = v || c->s.side ? sock_side(st, env, &c->s) : NULL;

    if (v < 0 || v > TX_DELAY_MAX) {
        return -ERR_INVAL;
    }
    if (x) {
        x->tx_delay_us = (uint32_t)v;
    }
    return x || !v ? 0 : -ERR_NOBUFS;
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

/* Linux: TCP_DEFER_ACCEPT is kept as the number of timeouts that fill the time. */
static uint8_t tries_of(int seconds)
{
    uint8_t n = seconds > 0;

    for (int step = 1, sum = 1; seconds > sum && n < 255; n++) {
        step = step * 2 < 120 ? step * 2 : 120;
        sum += step;
    }
    return n;
}

static int seconds_of(uint8_t tries)
{
    int sum = 0;

    for (int step = 1; tries > 0; tries--) {
        sum += step;
        step = step * 2 < 120 ? step * 2 : 120;
    }
    return sum;
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
        return set_seconds(&c->keep_intvl_s, v);
    case LX_TCP_KEEPCNT:
        return set_count(&c->keep_cnt, v);
    case LX_TCP_SYNCNT:
        return set_count(&c->syncnt, v);
    case LX_TCP_LINGER2:
        return set_linger2(c, v);
    case LX_TCP_DEFER_ACCEPT:
        c->defer_tries = tries_of(v);
        return 0;
    case LX_TCP_WINDOW_CLAMP:
        return set_clamp(c, v);
    case LX_TCP_QUICKACK:
        return set_quickack(st, env, c, v);
    case LX_TCP_USER_TIMEOUT:
        if (v < 0) {
            return -ERR_INVAL;
        }
        c->user_timeout_ms = (uint32_t)v;
        return 0;
    case LX_TCP_NOTSENT_LOWAT:
        c->notsent_lowat = (uint32_t)v;
        return 0;
    case LX_TCP_SAVE_SYN:
        if (v < 0 || v > 2) {
            return -ERR_INVAL;
        }
        c->save_syn = (uint8_t)v & 3u;
        return 0;
    case LX_TCP_TX_DELAY:
        return set_tx_delay(st, env, c, v);
    case LX_TCP_INQ:
        if (v != 0 && v != 1) {
            return -ERR_INVAL;
        }
        c->inq_opt = v == 1;
        return 0;
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
    if (name == LX_TCP_MD5SIG || name == LX_TCP_MD5SIG_EXT) {
        return tcp_md5_setopt(st, env, tcp_of(s), name == LX_TCP_MD5SIG_EXT, val, len);
    }
    if (len < sizeof v) {
        return -ERR_INVAL;
    }
    memcpy(&v, val, sizeof v);
    return set_int(st, env, tcp_of(s), name, v);
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
        *v = seconds_of(c->defer_tries);
        return 0;
    case LX_TCP_WINDOW_CLAMP:
        *v = (int)(c->window_clamp ? c->window_clamp : c->rcv.wnd_clamp);
        return 0;
    case LX_TCP_QUICKACK:
        *v = !c->pingpong;
        return 0;
    case LX_TCP_USER_TIMEOUT:
        *v = (int)c->user_timeout_ms;
        return 0;
    case LX_TCP_NOTSENT_LOWAT:
        *v = (int)c->notsent_lowat;
        return 0;
    case LX_TCP_SAVE_SYN:
        *v = c->save_syn;
        return 0;
    case LX_TCP_TX_DELAY:
        *v = c->s.side ? (int)c->s.side->tx_delay_us : 0;
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
        if (c->accecn) {
            accecn_info(c, &info);
        }
        return give(val, len, &info, sizeof info);
    }
    if (name == LX_TCP_CONGESTION) {
        char text[16] = {0};
        const char *algo = tcp_cc_ops(c->cc.algo)->name;
        memcpy(text, algo, min_size(strlen(algo), sizeof text - 1));
        return give(val, len, text, sizeof text);
    }
    if (name == LX_TCP_SAVED_SYN) {
        return tcp_saved_take(st, s, val, len);
    }
    if (name == LX_TCP_FASTOPEN_KEY) {
        return tfo_get_key(st, c, val, len);
    }
    if (name == LX_TCP_CC_INFO) {
        uint32_t words[CC_INFO_WORDS] = {0};
        const struct cc_ops *ops = tcp_cc_ops(c->cc.algo);
        return give(val, len, words, ops->info ? ops->info(&c->cc, words) : 0);
    }
    int err = get_int(st, c, name, &v);
    return err ? err : give(val, len, &v, sizeof v);
}

void tcp_opt_changed(struct stack *st, struct env *env, struct sock *s)
{
    struct tcp *c = tcp_of(s);

    if (s->opt.keepalive != (tcp_due(c, TT_KEEP) != NEVER)) {
        tcp_arm_keep(st, env, c);
    }
    tcp_pace_update(st, c);
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
