/*
 * tcp_fastopen.c - theory of operation
 *
 * Client (RFC 7413 4.2). The first SYN to a server asks for a cookie; the SYN-ACK's cookie and MSS
 * are remembered. The next SYN carries the cookie and the first bytes, as a record of its own
 * behind the SYN's: [SYN][data]. Only the first SYN has either: one that is sent again is plain, so
 * that no middlebox can keep the connection from opening. What the SYN-ACK does not acknowledge is
 * sent again at once. With TCP_FASTOPEN_CONNECT the SYN waits, in SYN-SENT, for the first send.
 *
 * Server (RFC 7413 4.1). A good cookie makes the child at once: it takes the data, goes to the
 * accept queue in SYN-RCVD and may send. Its SYN record counts for no segment, as in Linux. Until
 * its handshake is over it counts in its listener's qlen, and for a minute more if it was reset
 * after it was accepted: who spoofs SYNs with stolen cookies runs into the limit.
 *
 * Cookies are Linux's: SipHash-2-4 of the two addresses under the key.
 *
 * A path that swallows such connections turns the client's side off for
 * tcp_fastopen_blackhole_timeout_sec (0, the default: never), twice as long each time in a row up
 * to 64 times.
 */
#include "tcp_fastopen.h"

#include <string.h>

#include "check.h"
#include "ip.h"
#include "isn.h"
#include "sock_priv.h"
#include "tcp_cb.h"

#define RST_MEMORY  (60 * SEC)
#define OPTION_ROOM 40u /* left free in a SYN with data for what middleboxes add; Linux, not RFC */

/* ---- keys and cookies */

void tfo_cookie_make(const uint8_t key[TFO_KEY_LEN], const struct addr *client,
                     const struct addr *server, struct tfo_cookie *out)
{
    uint8_t in[32];
    uint32_t n = addr_is4(client) ? 4 : 16;

    memcpy(in, client->b + 16 - n, n);
    memcpy(in + n, server->b + 16 - n, n);
    uint64_t h = isn_hash(key, in, 2 * n);
    *out = (struct tfo_cookie){.here = true, .len = 8};
    memcpy(out->b, &h, 8);
}

static bool same_cookie(const struct tfo_cookie *a, const struct tfo_cookie *b)
{
    return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

static int set_keys(uint8_t (*to)[TFO_KEY_LEN], uint32_t *nkeys, const void *key, size_t len)
{
    if (len != TFO_KEY_LEN && len != TFO_KEYS * TFO_KEY_LEN) {
        return -ERR_INVAL;
    }
    memcpy(to, key, len);
    *nkeys = (uint32_t)(len / TFO_KEY_LEN);
    return 0;
}

int tfo_set_keys(struct stack *st, const void *key, size_t len)
{
    return set_keys(st->tfo.key, &st->tfo.nkeys, key, len);
}

/* Linux, not RFC: the key is drawn when a server first wants one. */
static void draw_key(struct stack *st, struct env *env)
{
    if (st->tfo.nkeys == 0) {
        env->ops->random(env, st->tfo.key[0], TFO_KEY_LEN);
        st->tfo.nkeys = 1;
    }
}

/* ---- the servers we know */

static struct tfo_entry *cache_set_of(struct stack *st, const struct addr *dst)
{
    uint64_t h = isn_hash(st->port_secret, dst->b, sizeof dst->b);

    return &st->tfo.cache[h % TFO_SETS * TFO_WAYS];
}

static struct tfo_entry *cache_find(struct stack *st, const struct addr *dst)
{
    struct tfo_entry *e = cache_set_of(st, dst);

    for (uint32_t i = 0; i < TFO_WAYS; i++) {
        if (e[i].used && addr_eq(&e[i].dst, dst)) {
            return &e[i];
        }
    }
    return NULL;
}

/* Found or made, in the place of the one not used for longest. */
static struct tfo_entry *cache_place(struct stack *st, const struct addr *dst)
{
    struct tfo_entry *e = cache_find(st, dst);

    if (e) {
        return e;
    }
    e = cache_set_of(st, dst);
    for (uint32_t i = 1; i < TFO_WAYS; i++) {
        e = cache_set_of(st, dst)[i].used < e->used ? &cache_set_of(st, dst)[i] : e;
    }
    *e = (struct tfo_entry){.dst = *dst};
    return e;
}

/* Linux's tcp_fastopen_cache_set. */
static void remember(struct stack *st, struct env *env, const struct tcp *c, uint32_t mss,
                     const struct tfo_cookie *cookie, uint8_t try_exp)
{
    struct tfo_entry *e = cache_place(st, &c->s.flow.raddr);

    e->mss = (uint16_t)mss;
    if (cookie->here && cookie->len) {
        e->cookie = *cookie;
    } else if (try_exp > e->try_exp && !e->cookie.len && !e->cookie.exp) {
        e->try_exp = try_exp;
    }
    e->used = nsec_max(env->now, 1);
}

/* *cookie: what the SYN carries; without one it asks. *mss: as last time, or as it was. */
static void recall(struct stack *st, struct env *env, const struct tcp *c, uint32_t *mss,
                   struct tfo_cookie *cookie)
{
    struct tfo_entry *e = cache_find(st, &c->s.flow.raddr);

    *cookie = (struct tfo_cookie){.here = true};
    if (!e) {
        return;
    }
    e->used = nsec_max(env->now, 1);
    *mss = e->mss ? e->mss : *mss;
    if (e->cookie.len) {
        *cookie = e->cookie;
    } else {
        cookie->exp = e->try_exp == 1;
    }
}

void tfo_flush(struct stack *st)
{
    memset(st->tfo.cache, 0, sizeof st->tfo.cache);
}

/* ---- paths that swallow it */

static void switch_off(struct stack *st, struct env *env)
{
    if (st->knobs.tcp_fastopen_blackhole_timeout_sec) {
        st->tfo.off_at = env->now;
        st->tfo.off_times++;
        st->stats.TcpFastOpenBlackhole++;
    }
}

static bool switched_off(const struct stack *st, const struct env *env, struct tcp *c)
{
    nsec off = (nsec)st->knobs.tcp_fastopen_blackhole_timeout_sec * SEC;

    if (!off || !st->tfo.off_times) {
        return false;
    }
    off <<= min_u32(st->tfo.off_times - 1, 6);
    if (env->now - st->tfo.off_at < off) {
        return true;
    }
    c->syn_fastopen_ch = true; /* if this one works, all is forgotten */
    return false;
}

void tfo_timeout(struct stack *st, struct env *env, const struct tcp *c, unsigned timeouts,
                 bool over)
{
    if ((c->syn_fastopen || c->syn_data || c->syn_data_acked) &&
        (timeouts == 2 || (timeouts < 2 && over))) {
        switch_off(st, env);
    }
}

void tfo_end(struct stack *st, struct env *env, struct tcp *c)
{
    if (!c->syn_fastopen) {
        return;
    }
    if (!c->info.data_segs_in && c->fin_ahead && c->fl->ooo.n == 0) {
        switch_off(st, env); /* its FIN came, and nothing of what was before it */
    } else if (c->info.data_segs_in && c->syn_fastopen_ch) {
        st->tfo.off_times = 0;
    }
}

/* ---- client */

/* Whether data may go with the SYN. *cookie: what to send or ask for in either case. */
static bool cookie_ready(struct stack *st, struct env *env, struct tcp *c, uint32_t *mss,
                         struct tfo_cookie *cookie)
{
    recall(st, env, c, mss, cookie);
    if (switched_off(st, env, c)) {
        cookie->here = false;
        return false;
    }
    if ((st->knobs.tcp_fastopen & TFO_CLIENT_NO_COOKIE) || c->fastopen_no_cookie) {
        cookie->here = false;
        return true;
    }
    if (!cookie->len) {
        c->fastopen_client_fail = TFO_COOKIE_UNAVAILABLE;
    }
    return cookie->len > 0;
}

bool tfo_defers(struct stack *st, struct env *env, struct tcp *c)
{
    struct tfo_cookie cookie;
    uint32_t mss = 0;

    return cookie_ready(st, env, c, &mss, &cookie);
}

/* Bytes for the SYN into the send ring. Their record stands behind the SYN's. 0: none. */
static uint32_t take_first(struct stack *st, struct env *env, struct tcp *c,
                           const struct tcp_first *f, uint32_t mss)
{
    uint32_t len = 0;

    c->snd.mss_clamp = (uint16_t)(c->user_mss ? min_u32(mss, c->user_mss) : mss);
    tcp_sync_mss(st, c);
    uint32_t room = c->snd.mss + (c->ts_ok ? 12u : 0);
    room = room > OPTION_ROOM ? room - OPTION_ROOM : 0;
    room = (uint32_t)min_u64(room, span_total(f->v, f->n));
    if (!room || ring_reserve(&c->sq, st->mem, env, room)) {
        return 0;
    }
    seq from = seq_add(c->iss, 1);
    if (tcp_flight_push(st, env, c, from, seq_add(from, room), 1, env->now)) {
        return 0;
    }
    txq_set(&c->fl->tx, txq_at(&c->fl->tx, c->fl->tx.n - 1), TXR_PSH);
    for (size_t i = 0; i < f->n && len < room; i++) {
        uint32_t n = (uint32_t)min_size(f->v[i].n, room - len);
        ring_put(&c->sq, ring_tail(&c->sq) + len, f->v[i].p, n);
        len += n;
    }
    ring_commit(&c->sq, ring_tail(&c->sq) + len);
    return len;
}

int tfo_open(struct stack *st, struct env *env, struct tcp *c, struct tcp_first *f)
{
    struct tfo_cookie cookie;
    uint32_t mss = c->rcv.adv_mss;
    uint32_t len = 0;
    bool ready = cookie_ready(st, env, c, &mss, &cookie);

    if (tcp_flight_push(st, env, c, c->iss, seq_add(c->iss, 1), 1, env->now)) {
        return -ERR_NOBUFS;
    }
    if (ready) {
        len = take_first(st, env, c, f, mss);
    }
    c->defer_connect = false;
    c->syn_data = len > 0;
    c->syn_fastopen = cookie.here;
    c->syn_fastopen_exp = cookie.here && cookie.exp;
    c->snd.nxt = seq_add(tcp_snd_base(c), len);
    f->taken = len;
    c->opener_waits = f->waits;
    c->write_pending = f->waits && span_total(f->v, f->n) > len;
    tcp_send_syn_with(st, env, c, TX_SYN, &cookie, len);
    return 0;
}

/* What the SYN-ACK acknowledges of the data. True: some is left. */
static bool ack_first(struct stack *st, struct tcp *c, seq ack)
{
    uint32_t n = seq_gt(ack, tcp_snd_base(c)) ? seq_dist(tcp_snd_base(c), ack) : 0;

    ring_drop(&c->sq, n);
    c->info.bytes_acked += n;
    c->snd.una = seq_add(tcp_snd_base(c), n);
    while (c->fl->tx.n && seq_leq(txq_at(&c->fl->tx, 0)->to, c->snd.una)) {
        txq_pop(&c->fl->tx);
    }
    if (c->fl->tx.n == 0) {
        ring_trim(&c->sq, st->mem);
    }
    return c->fl->tx.n > 0;
}

/* Sends what is left again, in segments of the size agreed. Linux, not RFC: in the state LOSS, but
 * the window does not fall. */
static void resend_first(struct stack *st, struct env *env, struct tcp *c)
{
    uint32_t n = seq_dist(c->snd.una, c->snd.nxt);

    while (c->fl->tx.n) {
        txq_pop(&c->fl->tx);
    }
    uint32_t segs = (n + c->snd.mss - 1) / max_u32(c->snd.mss, 1);
    if (tcp_flight_push(st, env, c, c->snd.una, c->snd.nxt, segs, env->now)) {
        tcp_done(st, env, c, ERR_NOBUFS);
        return;
    }
    txq_set(&c->fl->tx, txq_at(&c->fl->tx, 0), TXR_LOST | TXR_PSH);
    c->fl->high_seq = c->snd.nxt;
    c->fl->undo_cwnd = 0;
    c->ca_state = CA_LOSS;
    tcp_loss_resend(st, env, c);
}

bool tfo_synack(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    struct tfo_cookie got = seg->fo;
    uint32_t mss = seg->has_mss && seg->mss ? seg->mss : tcp_default_mss(c);
    uint8_t try_exp = 0;
    bool again = c->info.total_retrans > 0;
    bool left = ack_first(st, c, seg->ack);

    if (!c->syn_fastopen) {
        got.here = false; /* nobody asked */
    } else if (!again && !got.here && !c->syn_data) {
        try_exp = c->syn_fastopen_exp ? 2 : 1;
    }
    remember(st, env, c, mss, &got, try_exp);
    if (left) {
        c->fastopen_client_fail = again ? TFO_SYN_RETRANSMITTED : TFO_DATA_NOT_ACKED;
        st->stats.TcpFastOpenActiveFail++;
        resend_first(st, env, c);
        return false;
    }
    c->syn_data_acked = c->syn_data;
    st->stats.TcpFastOpenActive += c->syn_data;
    return true;
}

void tfo_pmtu(struct stack *st, struct env *env, struct tcp *c)
{
    uint16_t before = c->rcv.adv_mss;

    tcp_open_mss(st, c);
    tcp_sync_mss(st, c);
    if (c->rcv.adv_mss >= before || !tcp_syn_out(c)) {
        return;
    }
    tcp_resend_syn(st, env, c, TX_PMTU);
    tcp_timer_set(st, env, c, TT_RTO, env->now + tcp_rto(st, c));
}

/* ---- server */

static struct tfo_listener *side(struct stack *st, struct env *env, struct tcp *c)
{
    if (!c->fo) {
        struct tfo_listener *o = mem_obj_get(st->mem, env, MEM_TFO);
        if (o) {
            o->owner = c;
            c->fo = o;
        }
    }
    return c->fo;
}

void tfo_free(struct stack *st, struct tcp *c)
{
    struct tfo_listener *o = c->fo;

    c->fo = NULL;
    if (o) {
        mem_obj_put(st->mem, o);
    }
}

static int set_queue(struct stack *st, struct env *env, struct tcp *c, uint32_t max)
{
    if (!max && !c->fo) {
        return 0;
    }
    if (!side(st, env, c)) {
        return -ERR_NOBUFS;
    }
    c->fo->max_qlen = min_u32(max, (uint32_t)st->knobs.somaxconn);
    draw_key(st, env);
    return 0;
}

int tfo_listen(struct stack *st, struct env *env, struct tcp *l)
{
    uint32_t all = TFO_SERVER_WO_SOCKOPT | TFO_SERVER;

    if (((uint32_t)st->knobs.tcp_fastopen & all) == all && !(l->fo && l->fo->max_qlen)) {
        return set_queue(st, env, l, l->backlog);
    }
    return 0;
}

/* The oldest resets are forgotten when their minute is over. */
static void forget_resets(struct tfo_listener *o, nsec now)
{
    while (o->nrst && o->rst[0] <= now) {
        o->qlen -= min_u32(o->qlen, o->rst_count[0]);
        o->nrst--;
        memmove(o->rst, o->rst + 1, o->nrst * sizeof o->rst[0]);
        memmove(o->rst_count, o->rst_count + 1, o->nrst * sizeof o->rst_count[0]);
    }
}

static void remember_reset(struct tfo_listener *o, nsec now)
{
    uint32_t at = min_u32(o->nrst, TFO_RSTS - 1);

    o->rst_count[at] = at < o->nrst ? o->rst_count[at] + 1 : 1;
    o->rst[at] = now + RST_MEMORY;
    o->nrst = at + 1;
    o->qlen++;
}

static bool queue_has_room(struct stack *st, struct env *env, struct tfo_listener *o)
{
    if (!o || !o->max_qlen) {
        return false;
    }
    if (o->qlen >= o->max_qlen) {
        forget_resets(o, env->now);
    }
    if (o->qlen >= o->max_qlen) {
        st->stats.TcpFastOpenListenOverflow++;
        return false;
    }
    return true;
}

/* Which key made the cookie: 1 or 2; 0: neither. *fresh: the cookie it should be. */
static uint32_t judge_cookie(struct stack *st, const struct tcp *l, const struct ip_hdr *ip,
                             const struct tfo_cookie *got, struct tfo_cookie *fresh)
{
    bool own = l->fo->nkeys > 0;
    uint32_t n = own ? l->fo->nkeys : st->tfo.nkeys;
    const uint8_t(*key)[TFO_KEY_LEN] = own ? l->fo->key : st->tfo.key;

    for (uint32_t i = 0; i < n; i++) {
        struct tfo_cookie one;
        tfo_cookie_make(key[i], &ip->src, &ip->dst, &one);
        if (i == 0) {
            *fresh = one;
        }
        if (got->len && same_cookie(&one, got)) {
            return i + 1;
        }
    }
    return 0;
}

bool tfo_admit(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
               const struct tcp_seg *seg, struct tfo_cookie *answer)
{
    const struct tfo_cookie *got = &seg->fo;
    uint32_t flags = (uint32_t)st->knobs.tcp_fastopen;

    *answer = (struct tfo_cookie){0};
    st->stats.TcpFastOpenCookieReqd += got->here && !got->len;
    if (!(flags & TFO_SERVER) || (!seg->len && !got->here) || !queue_has_room(st, env, l->fo)) {
        return false;
    }
    if ((flags & TFO_SERVER_NO_COOKIE) || l->fastopen_no_cookie) {
        return true;
    }
    if (!got->here) {
        return false; /* data by itself earns nothing */
    }
    struct tfo_cookie fresh = {0};
    uint32_t by = judge_cookie(st, l, ip, got, &fresh);
    fresh.exp = got->exp;
    if (by != 1) {
        *answer = fresh; /* asked for, wrong, or by the key that goes out of use */
    }
    st->stats.TcpFastOpenPassiveFail += got->len && !by;
    return by > 0;
}

bool tfo_take(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    if (!seg->len) {
        return true;
    }
    if (ring_reserve(&c->rq, st->mem, env, seg->len)) {
        return false;
    }
    ring_put(&c->rq, ring_tail(&c->rq), seg->data, seg->len);
    ring_commit(&c->rq, ring_tail(&c->rq) + seg->len);
    c->rcv.nxt = seq_add(c->rcv.nxt, seg->len);
    c->rcv.adv = seq_max(c->rcv.adv, c->rcv.nxt);
    c->info.bytes_rcvd += seg->len;
    c->info.data_segs_in++;
    return true;
}

void tfo_left(struct stack *st, struct env *env, struct tcp *child, bool reset)
{
    struct tcp *l = child->parent;

    (void)st;
    if (!child->fo_child) {
        return;
    }
    child->fo_child = false;
    if (l && l->fo) {
        l->fo->qlen -= min_u32(l->fo->qlen, 1);
        if (reset && !child->in_accept) {
            remember_reset(l->fo, env->now);
        }
    }
    if (!child->in_accept) {
        child->parent = NULL;
    }
}

void tfo_orphan(struct stack *st, struct tcp *l)
{
    struct tcp *c = NULL;

    if (!l->fo || !l->fo->qlen) {
        return;
    }
    while ((c = mem_obj_next(st->mem, MEM_TCP, c)) != NULL) {
        if (c->parent == l && c->fo_child) {
            c->fo_child = false;
            c->parent = NULL;
        }
    }
    l->fo->qlen = 0;
    l->fo->nrst = 0;
}

void tfo_rebuild(struct stack *st)
{
    struct tcp *c = NULL;
    struct tfo_listener *o = NULL;

    while ((c = mem_obj_next(st->mem, MEM_TCP, c)) != NULL) {
        if (c->fo && (c->fo->obj.kind != MEM_TFO || c->fo->owner != c)) {
            c->fo = NULL;
        }
    }
    while ((o = mem_obj_next(st->mem, MEM_TFO, o)) != NULL) {
        o->qlen = 0;
        o->nrst = 0;
        if (!o->owner || !sock_live(st, &o->owner->s) || o->owner->fo != o) {
            mem_obj_put(st->mem, o);
        }
    }
}

/* ---- options */

static bool is_closed_or_listen(const struct tcp *c)
{
    return c->state == TCP_CLOSED || c->state == TCP_LISTEN;
}

int tfo_setopt(struct stack *st, struct env *env, struct tcp *c, int name, int v)
{
    if (name == LX_TCP_FASTOPEN) {
        return v >= 0 && is_closed_or_listen(c) ? set_queue(st, env, c, (uint32_t)v) : -ERR_INVAL;
    }
    if (v < 0 || v > 1) {
        return -ERR_INVAL;
    }
    if (name == LX_TCP_FASTOPEN_NO_COOKIE) {
        if (!is_closed_or_listen(c)) {
            return -ERR_INVAL;
        }
        c->fastopen_no_cookie = v;
        return 0;
    }
    if (!(st->knobs.tcp_fastopen & TFO_CLIENT)) {
        return -ERR_OPNOTSUPP;
    }
    if (c->state != TCP_CLOSED) {
        return -ERR_INVAL;
    }
    c->fastopen_connect = v;
    return 0;
}

int tfo_getopt(const struct tcp *c, int name)
{
    switch (name) {
    case LX_TCP_FASTOPEN:
        return c->fo ? (int)c->fo->max_qlen : 0;
    case LX_TCP_FASTOPEN_CONNECT:
        return c->fastopen_connect;
    default:
        return c->fastopen_no_cookie;
    }
}

int tfo_set_key(struct stack *st, struct env *env, struct tcp *c, const void *key, size_t len)
{
    if (len != TFO_KEY_LEN && len != TFO_KEYS * TFO_KEY_LEN) {
        return -ERR_INVAL;
    }
    return side(st, env, c) ? set_keys(c->fo->key, &c->fo->nkeys, key, len) : -ERR_NOBUFS;
}

int tfo_get_key(const struct stack *st, const struct tcp *c, void *key, size_t *len)
{
    bool own = c->fo && c->fo->nkeys;
    size_t n = (own ? c->fo->nkeys : st->tfo.nkeys) * TFO_KEY_LEN;

    *len = min_size(*len, n);
    memcpy(key, own ? c->fo->key : st->tfo.key, *len);
    return 0;
}
