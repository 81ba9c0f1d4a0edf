/*
 * tcp_req.c - theory of operation
 *
 * SYN-RCVD without a connection. A request answers its SYN, sends the SYN-ACK again (1, 2, 4 ...
 * seconds after, tcp_synack_retries times), and judges what comes for its flow by the checks of RFC
 * 9293 3.10.7.4, in Linux's order; the acknowledgment of the SYN-ACK makes it a child in
 * tcp_listen.c, where everything else that the segment carries is taken.
 *
 * Old requests give way when more than half of a listener's places are taken (Linux): with fewer
 * than half of them young, the number of retries falls, down to two.
 *
 * With TCP_DEFER_ACCEPT a bare acknowledgment is noted and not more: the SYN-ACK is not sent again
 * until the last but one timeout of that period, whose answer is then taken as it is.
 */
#include "tcp_req.h"

#include <string.h>

#include "check.h"
#include "isn.h"
#include "profile.h"
#include "sock_priv.h"
#include "tcp_cb.h"
#include "tcp_cookie.h"
#include "tcp_saved.h"

#define ORDER_MAX 8u /* 128 Ki buckets */

/* ---- the table */

static struct tcp_req **bucket(const struct stack *st, const struct flow *f)
{
    return &st->reqs.hash[isn_hash(st->demux.key, f, sizeof *f) & st->reqs.mask];
}

struct tcp_req *tcp_req_find(struct stack *st, const struct flow *f)
{
    if (st->reqs.n == 0) {
        return NULL;
    }
    struct tcp_req *r = *bucket(st, f);
    while (r && memcmp(&r->flow, f, sizeof *f) != 0) {
        r = r->hash_next;
    }
    return r;
}

static bool table_new(struct stack *st, struct env *env, uint8_t order)
{
    struct tcp_req **t = mem_pages_get(st->mem, env, order);

    if (!t) {
        return false;
    }
    memset(t, 0, (size_t)MEM_PAGE << order);
    st->reqs.hash = t;
    st->reqs.order = order;
    st->reqs.mask = (uint32_t)(((size_t)MEM_PAGE << order) / sizeof(void *)) - 1;
    return true;
}

static void hash_link(struct stack *st, struct tcp_req *r)
{
    struct tcp_req **head = bucket(st, &r->flow);

    r->hash_next = *head;
    *head = r;
    st->reqs.n++;
}

/* Twice the buckets when there is one request for each, one page when there is none. Without memory
 * the chains grow longer. */
static void table_fit(struct stack *st, struct env *env)
{
    struct tcp_req **old = st->reqs.hash;
    uint32_t mask = st->reqs.mask;
    uint8_t order = st->reqs.order;
    uint8_t want = st->reqs.n == 0 ? 0 : (uint8_t)(order + (st->reqs.n > mask));

    if (want == order || want > ORDER_MAX || !table_new(st, env, want)) {
        return;
    }
    st->reqs.n = 0;
    for (uint32_t i = 0; i <= mask; i++) {
        while (old[i]) {
            struct tcp_req *r = old[i];
            old[i] = r->hash_next;
            hash_link(st, r);
        }
    }
    mem_pages_put(st->mem, old, order);
}

int tcp_req_init(struct stack *st, struct env *env)
{
    st->reqs = (struct tcp_reqs){0};
    timer_init(&st->reqs.timer);
    st->reqs.timer.owner = TIMER_REQ;
    return table_new(st, env, 0) ? 0 : -ERR_NOMEM;
}

static void hash_unlink(struct stack *st, struct tcp_req *r)
{
    struct tcp_req **at = bucket(st, &r->flow);

    while (*at != r) {
        at = &(*at)->hash_next;
    }
    *at = r->hash_next;
    st->reqs.n--;
}

/* ---- the lists: each in the order of its deadlines, for all of a level wait equally long */

static uint32_t level_of(const struct tcp_req *r)
{
    return min_u32(r->timeouts, REQ_LEVELS - 1);
}

static nsec wait_of(const struct stack *st, const struct tcp_req *r)
{
    return nsec_min(RTO_INITIAL << level_of(r), (nsec)st->knobs.user_rto_max_ms * MSEC);
}

static void arm(struct stack *st)
{
    nsec at = NEVER;

    for (uint32_t i = 0; i < REQ_LEVELS; i++) {
        at = st->reqs.head[i] ? nsec_min(at, st->reqs.head[i]->due) : at;
    }
    timer_set(&st->timers, &st->reqs.timer, at);
}

static void wait_begin(struct stack *st, struct env *env, struct tcp_req *r)
{
    struct tcp_reqs *t = &st->reqs;
    uint32_t i = level_of(r);

    r->due = env->now + wait_of(st, r);
    r->next = NULL;
    r->prev = t->tail[i];
    if (r->prev) {
        r->prev->next = r;
    } else {
        t->head[i] = r;
    }
    t->tail[i] = r;
}

static void wait_end(struct stack *st, struct tcp_req *r)
{
    struct tcp_reqs *t = &st->reqs;
    uint32_t i = level_of(r);

    if (r->prev) {
        r->prev->next = r->next;
    } else {
        t->head[i] = r->next;
    }
    if (r->next) {
        r->next->prev = r->prev;
    } else {
        t->tail[i] = r->prev;
    }
    r->next = r->prev = NULL;
}

/* ---- the life of a request */

void tcp_req_fill(struct stack *st, struct tcp_req *r, struct tcp *l, const struct ip_hdr *ip,
                  const struct tcp_seg *seg)
{
    uint32_t mss = addr_is4(&ip->src) ? 536 : 1220; /* RFC 9293 3.7.1 MUST-15 */

    mss = seg->has_mss && seg->mss ? seg->mss : mss;
    r->parent = l;
    r->flow =
        (struct flow){.laddr = ip->dst, .raddr = ip->src, .lport = seg->dport, .rport = seg->sport};
    r->irs = seg->seq;
    r->mss = (uint16_t)(l->user_mss ? min_u32(mss, l->user_mss) : mss);
    r->wnd = seg->wnd;
    r->ts_ok = seg->has_ts && st->knobs.tcp_timestamps;
    r->ts_recent = r->ts_ok ? seg->ts_val : 0;
    r->sack_ok = seg->has_sack_ok && st->knobs.tcp_sack;
    if (r->sack_ok && UNLIKELY(tcp_md5_for_reply(&l->s, &ip->src) != NULL)) {
        r->ts_ok = false; /* Linux, not RFC: all three do not fit */
    }
    r->ws_ok = seg->has_wscale && st->knobs.tcp_window_scaling;
    r->wscale = r->ws_ok ? seg->wscale : 0;
    tcp_ecn_request(st, l, seg, r);
}

struct tcp_req *tcp_req_keep(struct stack *st, struct env *env, const struct tcp_req *from)
{
    table_fit(st, env);
    struct tcp_req *r = mem_obj_get(st->mem, env, MEM_REQ);
    if (!r) {
        return NULL;
    }
    struct mem_obj head = r->obj;
    *r = *from;
    r->obj = head;
    r->parent = NULL;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    r->parent = from->parent;
    hash_link(st, r);
    wait_begin(st, env, r);
    arm(st);
    r->parent->nhalf++;
    r->parent->nyoung++;
    return r;
}

void tcp_req_drop(struct stack *st, struct tcp_req *r)
{
    r->parent->nhalf--;
    r->parent->nyoung -= r->timeouts == 0;
    hash_unlink(st, r);
    wait_end(st, r);
    tcp_saved_forget(st, r);
    mem_obj_put(st->mem, r);
}

nsec tcp_req_sent(const struct stack *st, const struct env *env, const struct tcp_req *r)
{
    return r->cookie ? env->now : r->due - wait_of(st, r);
}

void tcp_req_forget_all(struct stack *st, struct tcp *l)
{
    struct tcp_req *r = NULL;

    while (l->nhalf && (r = mem_obj_next(st->mem, MEM_REQ, r)) != NULL) {
        if (r->parent == l) {
            tcp_req_drop(st, r);
        }
    }
}

void tcp_req_rebuild(struct stack *st, struct env *env)
{
    struct tcp_req *r = NULL;

    CHECK(tcp_req_init(st, env) == 0); /* all that the old table had is free now */
    while ((r = mem_obj_next(st->mem, MEM_REQ, r)) != NULL) {
        struct tcp *l = r->parent;
        if (!l || !sock_live(st, &l->s) || l->state != TCP_LISTEN) {
            mem_obj_put(st->mem, r);
            continue;
        }
        table_fit(st, env);
        hash_link(st, r);
        wait_begin(st, env, r);
        l->nhalf++;
        l->nyoung += r->timeouts == 0;
    }
    arm(st);
}

/* ---- what is sent */

static void emit(struct stack *st, struct env *env, const struct tcp_req *r, struct tcp_seg *seg,
                 enum tx_reason why)
{
    const struct sock_opts *o = &r->parent->s.opt;
    bool v6 = !addr_is4(&r->flow.raddr);
    int16_t ttl = v6 ? o->hoplimit : o->ttl;
    struct pkt_out p;

    seg->sport = r->flow.lport;
    seg->dport = r->flow.rport;
    seg->ack = seq_add(r->irs, 1);
    if (r->ts_ok) {
        seg->has_ts = true;
        seg->ts_ecr = r->ts_recent;
        seg->ts_val = (uint32_t)(env->now / MSEC);
        seg->ts_val = r->cookie ? tcp_cookie_ts(r, seg->ts_val) : seg->ts_val;
        seg->ts_val += isn_ts_offset(st->ts_secret, &r->flow);
    }
    uint8_t *th = ip_begin(&p, v6);
    const struct md5_key *key = tcp_md5_for_reply(&r->parent->s, &r->flow.raddr);
    seg->sign = key != NULL;
    uint32_t hdr_len = tcp_seg_build(seg, th);
    if (UNLIKELY(key != NULL)) {
        tcp_md5_sign_bare(key, &r->flow.laddr, &r->flow.raddr, th, hdr_len);
    }
    p.hdr_len = (uint16_t)(p.hdr_len + hdr_len);
    p.csum_offset = offsetof(struct tcp_hdr, csum);
    p.reason = (uint16_t)why;
    p.sock_id = r->parent->s.obj.id;
    p.nspan = 0;
    p.gso_size = 0;
    struct ip_send how = {
        .src = r->flow.laddr,
        .dst = r->flow.raddr,
        .proto = LX_IPPROTO_TCP,
        .tos = v6 ? o->tclass : o->tos,
        .ttl = (uint8_t)(ttl >= 0 ? ttl : st->knobs.ip_default_ttl),
        .df = true,
    };
    tcp_tell_req(st, env, r, seg, EV_SEG_OUT, why);
    st->stats.TcpOutSegs++;
    ip_send(st, env, &p, &how);
}

/* What the SYN-ACK says of our receiving half; the child says the same. */
static struct tcp_offer offer_of(const struct stack *st, const struct tcp_req *r, uint16_t *mss)
{
    *mss = tcp_adv_mss(st, r->parent, &r->flow.raddr);
    return tcp_rcv_offer(st, r->parent, *mss - (r->ts_ok ? 12u : 0), r->ws_ok);
}

void tcp_req_synack(struct stack *st, struct env *env, const struct tcp_req *r, enum tx_reason why,
                    const struct tfo_cookie *fo)
{
    uint16_t mss;
    struct tcp_offer offer = offer_of(st, r, &mss);
    struct tcp_seg seg = {
        .flags = TCP_SYN | TCP_ACK,
        .seq = r->iss,
        .wnd = (uint16_t)min_u32(offer.lim, 65535u),
        .has_mss = true,
        .mss = mss,
        .has_sack_ok = r->sack_ok,
        .has_wscale = r->ws_ok,
        .wscale = offer.scale,
        .syn_layout = profile_of(&st->knobs)->syn_layout,
    };
    if (fo) {
        seg.fo = *fo;
    }
    seg.has_ts = r->ts_ok;
    seg.sign = tcp_md5_for_reply(&r->parent->s, &r->flow.raddr) != NULL;
    tcp_ecn_synack(st, r, &seg);
    emit(st, env, r, &seg, why);
}

static void again(struct stack *st, struct env *env, struct tcp_req *r, enum tx_reason why)
{
    r->again = true;
    tcp_ecn_synack_again(r);
    st->stats.TcpRetransSegs++;
    tcp_req_synack(st, env, r, why, NULL);
}

/* An acknowledgment to a segment that is not in order; at most one in tcp_invalid_ratelimit. */
static bool may_answer(const struct stack *st, const struct env *env, struct tcp_req *r)
{
    uint32_t now = (uint32_t)(env->now / MSEC) | 1;

    if (r->oow_ms && now - r->oow_ms < (uint32_t)st->knobs.tcp_invalid_ratelimit) {
        return false;
    }
    r->oow_ms = now;
    return true;
}

static void send_ack(struct stack *st, struct env *env, struct tcp_req *r, enum tx_reason why)
{
    uint16_t mss;
    struct tcp_offer offer = offer_of(st, r, &mss);
    struct tcp_seg seg = {
        .flags = TCP_ACK,
        .seq = seq_add(r->iss, 1),
        .wnd = (uint16_t)(min_u32(offer.lim, 65535u) >> offer.scale),
    };
    if (may_answer(st, env, r)) {
        emit(st, env, r, &seg, why);
    }
}

/* Whatever the peer has of our SYN-ACKs: it is acceptable in SYN-SENT and in ESTABLISHED. */
static void send_rst(struct stack *st, struct env *env, struct tcp_req *r)
{
    struct tcp_seg seg = {.flags = TCP_RST | TCP_ACK, .seq = seq_add(r->iss, 1)};

    st->stats.TcpOutRsts++;
    emit(st, env, r, &seg, TX_RST);
}

/* ---- time */

/* Linux: how many retries the crowd in the queue leaves. */
static uint32_t retries_of(const struct stack *st, const struct tcp *l)
{
    uint32_t max = (uint32_t)(l->syncnt ? l->syncnt : st->knobs.tcp_synack_retries);
    uint32_t young = l->nyoung * 2;

    if (l->nhalf * 2 > max_u32(8, l->backlog)) {
        while (max > 2 && l->nhalf >= young) {
            max--;
            young *= 2;
        }
    }
    return max;
}

/* Linux's syn_ack_recalc. */
static void timeout(struct stack *st, struct env *env, struct tcp_req *r)
{
    struct tcp *l = r->parent;
    bool over = r->timeouts >= retries_of(st, l);
    bool resend = true;

    if (l->defer_tries) {
        over = over && (!r->acked || r->timeouts >= l->defer_tries);
        resend = !r->acked || r->timeouts + 1 >= l->defer_tries;
    }
    st->stats.TcpTimeouts++;
    if (over) {
        st->stats.TcpAttemptFails++;
        tcp_req_drop(st, r);
        return;
    }
    wait_end(st, r);
    l->nyoung -= r->timeouts == 0;
    r->timeouts++;
    wait_begin(st, env, r);
    if (resend) {
        again(st, env, r, TX_RTO);
    }
}

void tcp_req_expire(struct stack *st, struct env *env)
{
    for (uint32_t i = 0; i < REQ_LEVELS; i++) {
        struct tcp_req *r;
        while ((r = st->reqs.head[i]) != NULL && r->due <= env->now) {
            st->touching = &r->parent->s;
            timeout(st, env, r);
            st->touching = NULL;
        }
    }
    arm(st);
}

/* ---- what arrives */

bool tcp_req_icmp(struct stack *st, struct tcp_req *r, seq at, bool over)
{
    if (!seq_eq(at, r->iss)) {
        return false; /* RFC 5927 4.1 */
    }
    if (over) { /* Linux, not RFC 1122 4.2.3.9 */
        st->stats.TcpAttemptFails++;
        tcp_req_drop(st, r);
    }
    return true;
}

static bool in_window(const struct stack *st, const struct tcp_req *r, const struct tcp_seg *seg)
{
    uint16_t mss;
    seq from = seq_add(r->irs, 1);
    seq to = seq_add(from, min_u32(offer_of(st, r, &mss).lim, 65535u));
    seq end = tcp_seg_end(seg);

    return seq_eq(seg->seq, from) || (seq_gt(end, from) && seq_lt(seg->seq, to)) ||
           (seq_eq(seg->seq, to) && seq_eq(seg->seq, end));
}

/* The acknowledgment that makes a connection of it. */
static enum drop complete(struct stack *st, struct env *env, struct tcp_req *r,
                          const struct ip_hdr *ip, struct tcp_seg *seg)
{
    struct tcp *l = r->parent;

    if (r->timeouts < l->defer_tries && tcp_seg_len(seg) == 0) {
        r->acked = true; /* tcp(7): data shall wake accept */
        return DROP_TCP_DEFER;
    }
    bool full = false;
    enum drop why = tcp_listen_child(st, env, r, ip, seg, &full);
    if (!full) {
        tcp_req_drop(st, r);
    } else if (st->knobs.tcp_abort_on_overflow) {
        tcp_reply_rst(st, env, ip, seg);
        tcp_req_drop(st, r);
    } else {
        r->acked = true; /* the client thinks it is connected: it will say so again */
    }
    return why;
}

static enum drop in_req(struct stack *st, struct env *env, struct tcp_req *r,
                        const struct ip_hdr *ip, struct tcp_seg *seg)
{
    bool old = r->ts_ok && seg->has_ts && (int32_t)(r->ts_recent - seg->ts_val) > 0;
    uint16_t what = seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);

    if (what == TCP_SYN && seq_eq(seg->seq, r->irs) && !old) { /* our answer was lost */
        if (!tcp_ecn_request_again(st, r, seg)) {
            send_rst(st, env, r);
            st->stats.TcpAttemptFails++;
            tcp_req_drop(st, r);
            return DROP_TCP_SYN;
        }
        if (may_answer(st, env, r)) {
            wait_end(st, r);
            wait_begin(st, env, r);
            arm(st);
            again(st, env, r, TX_SYNACK);
        }
        return DROP_TCP_OLD;
    }
    if (seg->flags & TCP_ACK && !seq_eq(seg->ack, seq_add(r->iss, 1))) {
        tcp_reply_rst(st, env, ip, seg);
        return DROP_TCP_ACK;
    }
    if (old || !in_window(st, r, seg)) { /* first */
        st->stats.TcpPawsDrops += old;
        if (!(seg->flags & TCP_RST)) {
            send_ack(st, env, r, TX_DUPACK);
        }
        return old ? DROP_TCP_PAWS : seg->flags & TCP_RST ? DROP_TCP_RST : DROP_TCP_WINDOW;
    }
    if (seg->flags & TCP_RST) { /* second, by RFC 5961 3.2 */
        if (!seq_eq(seg->seq, seq_add(r->irs, 1))) {
            send_ack(st, env, r, TX_CHALLENGE);
            return DROP_TCP_RST;
        }
        st->stats.TcpAttemptFails++;
        tcp_req_drop(st, r);
        return DROP_NONE;
    }
    if (seg->flags & TCP_SYN) { /* fourth: back to LISTEN */
        tcp_req_drop(st, r);
        return DROP_TCP_SYN;
    }
    if (!(seg->flags & TCP_ACK)) { /* fifth */
        return DROP_TCP_FLAGS;
    }
    if (r->ts_ok && seg->has_ts && seq_leq(seg->seq, seq_add(r->irs, 1))) {
        r->ts_recent = seg->ts_val;
    }
    return complete(st, env, r, ip, seg);
}

void tcp_req_in(struct stack *st, struct env *env, struct tcp_req *r, const struct ip_hdr *ip,
                struct tcp_seg *seg)
{
    uint32_t id = r->parent->s.obj.id;

    seg->ecn = ip->tos & ECN_MASK;
    tcp_tell_req(st, env, r, seg, EV_SEG_IN, TX_NONE);
    st->touching = &r->parent->s;
    enum drop why = in_req(st, env, r, ip, seg);
    st->touching = NULL;
    if (why != DROP_NONE) {
        tcp_tell_drop(st, env, id, seg, why);
    }
}
