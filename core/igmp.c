/*
 * igmp.c - theory of operation.
 *
 * What routers are told of the groups we are in, and what they ask: IGMPv3 (RFC 3376) and MLDv2
 * (RFC 3810), which are one protocol in two notations; and for routers of older versions IGMPv2,
 * IGMPv1 and MLDv1, for as long as one of them has been heard lately.
 *
 *   a change    one report at once and another within the interval (robustness 2), each with all that
 *               has changed in all groups
 *   a query     an answer at a random time within the time it allows; to a general one, one report of
 *               all groups
 *   a leave     in the older versions a message of its own, when we were the last to report
 *
 * As Linux sends them over a TUN: IPv4 with DF, TTL 1, TOS 0xc0 and the router alert option; IPv6
 * with hop limit 1 and the option in a hop-by-hop header, from our link-local address or from none.
 * Linux waits a tick before the first report; here it goes at once, so that it is out before a
 * program that ends has gone.
 *
 * Missing on purpose: answers to queries for single sources name all we want of that group (RFC
 * 3376 5.2 would list only those asked for).
 */
#include "mcast.h"

#include "be.h"
#include "check.h"
#include "csum.h"
#include "event.h"
#include "ip_priv.h"
#include "stack.h"

enum { REC_IS_IN = 1, REC_IS_EX, REC_TO_IN, REC_TO_EX, REC_ALLOW, REC_BLOCK }; /* RFC 3376 4.2.12 */

enum {
    IGMP_QUERY = 0x11,
    IGMP_REPORT1 = 0x12,
    IGMP_REPORT2 = 0x16,
    IGMP_LEAVE = 0x17,
    IGMP_REPORT3 = 0x22,
    MLD_QUERY = 130,
    MLD_REPORT1 = 131,
    MLD_DONE = 132,
    MLD_REPORT2 = 143,
};

#define ROBUSTNESS        2           /* Linux: igmp_qrv, mld_qrv */
#define UNASKED           (1 * SEC)   /* Linux: igmpv3_unsolicited_report_interval, mldv2 */
#define UNASKED_OLD       (10 * SEC)  /* Linux: igmpv2_unsolicited_report_interval, mldv1 */
#define OLD_LIFE          (260 * SEC) /* RFC 3376 8.12 */
#define MESSAGE_MAX       1440u       /* report_add looks at the MTU, too */
#define RECORD_LEN(v6, n) ((v6) ? 20 + (size_t)(n)*16 : 8 + (size_t)(n)*4)

static struct mcast_proto *proto_of(struct stack *st, bool v6)
{
    return v6 ? &st->mld : &st->igmp;
}

static bool is_v6(const struct mcast_group *g)
{
    return !addr_is4(&g->group);
}

static nsec within(struct env *env, nsec interval)
{
    uint32_t r;
    env->ops->random(env, &r, sizeof r);
    return nsec_add(env->now, interval > 0 ? (nsec)(r % (uint64_t)interval) : 0);
}

static void arm(struct stack *st)
{
    nsec at = nsec_min(nsec_min(st->igmp.change_at, st->igmp.general_at),
                       nsec_min(st->mld.change_at, st->mld.general_at));
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        if (st->mcast[i].used) {
            at = nsec_min(at, st->mcast[i].answer_at);
        }
    }
    timer_set(&st->timers, &st->mcast_timer, at);
}

/* Groups that stay on the host are told to nobody: RFC 3810 6, RFC 4291 2.7 (scope). */
static bool is_told(const struct mcast_group *g)
{
    return !is_v6(g) || (g->group.b[1] & 0x0f) > 1;
}

/* --- sending --- */

static void send(struct stack *st, struct env *env, const struct addr *to, const uint8_t *msg,
                 size_t n)
{
    bool v6 = !addr_is4(to);
    struct ip_send how = {.dst = *to,
                          .proto = v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_IGMP,
                          .tos = v6 ? 0 : 0xc0,
                          .ttl = 1};
    if (!v6 && !ip_source_for(st, to, &how.src)) {
        return;
    }
    for (uint32_t i = 0; v6 && i < st->naddr; i++) {
        if (addr_is_linklocal(&st->addr[i].addr)) {
            how.src = st->addr[i].addr;
        }
    }
    struct event *ev = event_begin(st->events, env, EV_ICMP_OUT);
    ev->proto = how.proto;
    ev->why = TX_ICMP;
    ev->u.icmp.type = msg[0];
    ev->u.icmp.len = (uint16_t)n;
    event_end(st->events);
    ip_send_alert(st, env, &how, msg, n);
}

static void csum_put(uint8_t *msg, size_t n)
{
    be16 sum = csum_fold(csum_add(0, msg, n)); /* MLD's is made by ip_send_alert */
    memcpy(msg + 2, sum.b, sizeof sum.b);
}

static size_t addr_put(uint8_t *at, const struct addr *a, bool v6)
{
    memcpy(at, v6 ? a->b : addr_bytes4(a), v6 ? 16 : 4);
    return v6 ? 16 : 4;
}

/* One report in the making. RFC 3376 4.2, RFC 3810 5.2 */
struct report {
    bool v6;
    uint16_t records;
    size_t len;
    uint8_t msg[MESSAGE_MAX];
};

static void report_begin(struct report *r, bool v6)
{
    *r = (struct report){.v6 = v6, .len = 8};
    r->msg[0] = v6 ? MLD_REPORT2 : IGMP_REPORT3;
}

static void report_end(struct stack *st, struct env *env, struct report *r)
{
    static const struct addr to4 = {{[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 22}};
    static const struct addr to6 = {{0xff, 0x02, [15] = 0x16}};
    if (r->records > 0) {
        r->msg[6] = (uint8_t)(r->records >> 8);
        r->msg[7] = (uint8_t)r->records;
        csum_put(r->msg, r->len);
        send(st, env, r->v6 ? &to6 : &to4, r->msg, r->len);
    }
    report_begin(r, r->v6);
}

static void report_add(struct stack *st, struct env *env, struct report *r, uint8_t type,
                       const struct addr *group, const struct addr *src, uint8_t n)
{
    size_t room = min_size(MESSAGE_MAX, st->mtu > 128 ? st->mtu - 60 : 68);
    if (r->len + RECORD_LEN(r->v6, n) > room) {
        report_end(st, env, r);
    }
    uint8_t *at = r->msg + r->len;
    at[0] = type;
    at[3] = n;
    at += 4;
    at += addr_put(at, group, r->v6);
    for (uint8_t i = 0; i < n; i++) {
        at += addr_put(at, &src[i], r->v6);
    }
    r->len = (size_t)(at - r->msg);
    r->records++;
}

static void report_state(struct stack *st, struct env *env, struct report *r,
                         const struct mcast_group *g)
{
    struct mcast_filter f;
    mcast_filter_of(g, &f);
    if (g->members && is_told(g)) {
        report_add(st, env, r, f.exclude ? REC_IS_EX : REC_IS_IN, &g->group, f.src, f.n);
    }
}

/* A report or a leave of the older versions. RFC 2236 2, RFC 2710 3 */
static void send_old(struct stack *st, struct env *env, const struct mcast_group *g, bool leaving)
{
    static const struct addr routers4 = {{[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 2}};
    static const struct addr routers6 = {{0xff, 0x02, [15] = 2}};
    bool v6 = is_v6(g);
    uint8_t msg[24] = {0};
    if (v6) {
        msg[0] = leaving ? MLD_DONE : MLD_REPORT1;
    } else {
        msg[0] = leaving ? IGMP_LEAVE : st->igmp.oldest ? IGMP_REPORT1 : IGMP_REPORT2;
    }
    size_t n = v6 ? 8 : 4;
    n += addr_put(msg + n, &g->group, v6);
    csum_put(msg, n);
    send(st, env, !leaving ? &g->group : v6 ? &routers6 : &routers4, msg, n);
}

/* --- changes --- */

/* What is in a and not in b. */
static uint8_t minus(const struct mcast_filter *a, const struct mcast_filter *b, struct addr *out)
{
    uint8_t n = 0;
    for (uint8_t i = 0; i < a->n; i++) {
        uint8_t k = 0;
        while (k < b->n && !addr_eq(&a->src[i], &b->src[k])) {
            k++;
        }
        if (k == b->n) {
            out[n++] = a->src[i];
        }
    }
    return n;
}

/* RFC 3376 5.1, the table. A change that was still being told gives way to the new one. */
static void note_change(struct mcast_group *g, const struct mcast_filter *was,
                        const struct mcast_filter *now)
{
    struct mcast_change *c = g->change;
    if (was->exclude != now->exclude) {
        c[0] = (struct mcast_change){
            .type = now->exclude ? REC_TO_EX : REC_TO_IN, .left = ROBUSTNESS, .n = now->n};
        memcpy(c[0].src, now->src, sizeof c[0].src);
        c[1] = (struct mcast_change){0};
        return;
    }
    struct mcast_change allow = {.type = REC_ALLOW, .left = ROBUSTNESS};
    struct mcast_change block = {.type = REC_BLOCK, .left = ROBUSTNESS};
    allow.n = now->exclude ? minus(was, now, allow.src) : minus(now, was, allow.src);
    block.n = now->exclude ? minus(now, was, block.src) : minus(was, now, block.src);
    if (allow.n > 0) {
        c[0] = allow;
    }
    if (block.n > 0) {
        c[1] = block;
    }
}

static void send_changes(struct stack *st, struct env *env, bool v6)
{
    struct report r;
    bool more = false;
    report_begin(&r, v6);
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        struct mcast_group *g = &st->mcast[i];
        for (int k = 0; k < 2 && g->used && is_v6(g) == v6; k++) {
            struct mcast_change *c = &g->change[k];
            if (c->left > 0) {
                report_add(st, env, &r, c->type, &g->group, c->src, c->n);
                c->left--;
                more = more || c->left > 0;
            }
        }
        if (g->used && !g->members && g->change[0].left == 0 && g->change[1].left == 0) {
            g->used = false;
        }
    }
    report_end(st, env, &r);
    proto_of(st, v6)->change_at = more ? within(env, UNASKED) : NEVER;
}

static void changed_old(struct stack *st, struct env *env, struct mcast_group *g, bool was_in)
{
    if (!was_in) {
        send_old(st, env, g, false);
        g->reporter = true;
        g->reports = ROBUSTNESS - 1;
        g->answer_at = within(env, UNASKED_OLD);
    } else if (!g->members) {
        bool says = g->reporter && !(st->igmp.oldest && !is_v6(g)); /* IGMPv1 knows no leave */
        if (says) {
            send_old(st, env, g, true);
        }
        g->used = false;
    }
}

void igmp_changed(struct stack *st, struct env *env, struct mcast_group *g,
                  const struct mcast_filter *was, const struct mcast_filter *now)
{
    struct mcast_proto *p = proto_of(st, is_v6(g));
    bool same = was->exclude == now->exclude && was->n == now->n;
    struct addr unused[MCAST_SRCS_MAX];
    if (!is_told(g)) {
        g->used = g->members != NULL;
    } else if (p->old_until > env->now) {
        changed_old(st, env, g, was->exclude || was->n > 0);
    } else if (!same || minus(was, now, unused) > 0) {
        note_change(g, was, now);
        send_changes(st, env, is_v6(g));
    }
    arm(st);
}

/* --- queries --- */

/* What a query says. */
struct query {
    bool v6;
    bool older; /* not IGMPv3, MLDv2 */
    bool oldest;
    nsec allows;
    struct addr group; /* the wildcard: all */
};

/* RFC 3376 4.1.1, RFC 3810 5.1.3: three bits of exponent and a mantissa; tenths of a second, or
 * milliseconds. */
static nsec time_of(uint32_t code, unsigned mantissa_bits, nsec unit)
{
    uint32_t exponent = code >> mantissa_bits & 7;
    uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    bool plain = code >> (mantissa_bits + 3) == 0;
    uint64_t v = plain ? code : (uint64_t)(mantissa | 1u << mantissa_bits) << (exponent + 3);
    return (nsec)v * unit;
}

static void answer_group(struct env *env, struct mcast_group *g, nsec allows)
{
    nsec at = within(env, allows);
    if (g->members && is_told(g)) {
        g->answer_at = nsec_min(g->answer_at, at);
    }
}

static void query_in(struct stack *st, struct env *env, const struct query *q)
{
    struct mcast_proto *p = proto_of(st, q->v6);
    bool all = addr_is_any(&q->group);
    if (q->older) { /* RFC 3376 7.2.1: what waited was for the newer version */
        p->old_until = nsec_add(env->now, OLD_LIFE);
        p->oldest = q->oldest;
        p->change_at = NEVER;
        p->general_at = NEVER;
    }
    if (all && p->old_until <= env->now) {
        p->general_at = nsec_min(p->general_at, within(env, q->allows));
    }
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        struct mcast_group *g = &st->mcast[i];
        bool asked = all ? p->old_until > env->now : addr_eq(&g->group, &q->group);
        if (g->used && is_v6(g) == q->v6 && asked) {
            answer_group(env, g, q->allows);
        }
    }
    arm(st);
}

/* Somebody else has reported a group of ours: in the older versions that is enough. RFC 2236 3 */
static void report_in(struct stack *st, const struct addr *group, bool v6)
{
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        struct mcast_group *g = &st->mcast[i];
        if (g->used && is_v6(g) == v6 && addr_eq(&g->group, group) &&
            proto_of(st, v6)->old_until != 0) {
            g->answer_at = NEVER;
            g->reporter = false;
            g->reports = 0;
        }
    }
    arm(st);
}

void igmp_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    const uint8_t *m = ip->payload;
    size_t n = ip->payload_len;
    if (n < 8 || !csum_good(csum_add(0, m, n))) {
        stack_drop(st, env, n < 8 ? DROP_ICMP_SHORT : DROP_ICMP_CHECKSUM,
                   &(struct pkt_in){.p = ip->start, .len = ip->len});
        return;
    }
    struct addr group = addr_of4(m + 4);
    if (m[0] == IGMP_REPORT1 || m[0] == IGMP_REPORT2) {
        report_in(st, &group, false);
    } else if (m[0] == IGMP_QUERY && (n == 8 || n >= 12)) { /* RFC 3376 7.1 */
        struct query q = {.older = n == 8, .oldest = n == 8 && m[1] == 0, .group = group};
        q.allows = n == 8 ? (m[1] == 0 ? 10 * SEC : m[1] * (SEC / 10)) : time_of(m[1], 4, SEC / 10);
        query_in(st, env, &q);
    }
}

/* RFC 3810 6.2: from a link-local address, that has crossed no router. */
void mld_input(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    const uint8_t *m = ip->payload;
    size_t n = ip->payload_len;
    if (n < 24 || ip->ttl != 1 || !addr_is_linklocal(&ip->src)) {
        return;
    }
    struct addr group = addr_of6(m + 8);
    if (m[0] == MLD_REPORT1) {
        report_in(st, &group, true);
    } else if (m[0] == MLD_QUERY && (n == 24 || n >= 28)) { /* RFC 3810 8.1 */
        uint32_t code = (uint32_t)(m[4] << 8 | m[5]);
        struct query q = {.v6 = true, .older = n == 24, .group = group};
        q.allows = n == 24 ? (nsec)code * MSEC : time_of(code, 12, MSEC);
        query_in(st, env, &q);
    }
}

/* --- time --- */

/* One group's own answer. */
static void answer(struct stack *st, struct env *env, struct mcast_group *g)
{
    g->answer_at = NEVER;
    if (proto_of(st, is_v6(g))->old_until > env->now) {
        send_old(st, env, g, false);
        g->reporter = true;
        if (g->reports > 0) {
            g->reports--;
        }
    } else {
        struct report r;
        report_begin(&r, is_v6(g));
        report_state(st, env, &r, g);
        report_end(st, env, &r);
    }
}

static void general(struct stack *st, struct env *env, bool v6)
{
    struct report r;
    proto_of(st, v6)->general_at = NEVER;
    report_begin(&r, v6);
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        if (st->mcast[i].used && is_v6(&st->mcast[i]) == v6) {
            report_state(st, env, &r, &st->mcast[i]);
        }
    }
    report_end(st, env, &r);
}

void igmp_timer(struct stack *st, struct env *env)
{
    for (int v6 = 0; v6 <= 1; v6++) {
        struct mcast_proto *p = proto_of(st, v6);
        if (p->general_at <= env->now) {
            general(st, env, v6);
        }
        if (p->change_at <= env->now) {
            send_changes(st, env, v6);
        }
    }
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        struct mcast_group *g = &st->mcast[i];
        if (g->used && g->answer_at <= env->now) {
            answer(st, env, g);
        }
    }
    arm(st);
}
