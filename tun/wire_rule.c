/*
 * wire_rule.c - theory of operation: one function a rule, in the order they were written.
 *
 * A rule sees the packet as the rules before it left it. What can be said of one packet alone is
 * done at once (drop, damage, options, marks, windows); what concerns its way is written into the
 * view (delay, copies, holding back) and done when all rules have spoken.
 */
#include <string.h>

#include "core/check.h"
#include "tun/wire_priv.h"

#define NORMAL_TERMS 12u /* uniform numbers whose sum is nearly normal, with deviation 1 */
#define PARETO_CAP   20.0

enum verdict { PASS, GONE };

struct at {
    struct wire *w;
    struct wire_view *v;
    const struct wire_rule *r;
    unsigned rule;
    nsec now;
    const struct wire_tap *tap;
};

static void fire(const struct at *a, unsigned what)
{
    wire_fire(a->w, a->v, a->now, a->rule, what, a->tap);
}

static enum verdict gone(const struct at *a, unsigned what)
{
    fire(a, what);
    return GONE;
}

static bool chance(const struct at *a)
{
    return flow_chance(a->w, a->v, a->rule, a->r->ppm);
}

/* Delay */

/* In [0, 1) */
static double unit(const struct at *a, unsigned salt)
{
    return (double)(flow_draw(a->w, a->v, a->rule, salt) >> 11) / 9007199254740992.0;
}

static double normal(const struct at *a)
{
    double sum = 0;
    for (unsigned i = 0; i < NORMAL_TERMS; i++) {
        sum += unit(a, i + 1);
    }
    return sum - NORMAL_TERMS / 2.0;
}

/* Pareto's distribution with exponent 3, moved and scaled to mean 0 and deviation 1: u^(-1/3) by
 * Newton's method. Its tail is cut. */
static double pareto(const struct at *a)
{
    double x = 1 / (1 - unit(a, 1));
    double y = 1;
    for (int i = 0; i < 200; i++) {
        double next = (2 * y + x / (y * y)) / 3;
        double step = next - y;
        y = next;
        if (step < 1e-9 && step > -1e-9) {
            break;
        }
    }
    double z = (y - 1.5) / 0.8660254;
    return z < PARETO_CAP ? z : PARETO_CAP;
}

static enum verdict apply_delay(const struct at *a)
{
    double z = 0;
    if (a->r->u.delay.jitter) {
        switch (a->r->u.delay.dist) {
        case DIST_NORMAL:
            z = normal(a);
            break;
        case DIST_PARETO:
            z = pareto(a);
            break;
        default:
            z = 2 * unit(a, 1) - 1;
            break;
        }
    }
    nsec d = a->r->u.delay.mean + (nsec)(z * (double)a->r->u.delay.jitter);
    a->v->delay = nsec_add(a->v->delay, nsec_max(d, 0));
    a->v->ordered |= a->r->u.delay.ordered;
    return PASS;
}

nsec rules_delay(const struct wire *w, enum wire_dir d)
{
    nsec sum = 0;
    for (uint32_t i = 0; i < w->spec.nrules; i++) {
        const struct wire_rule *r = &w->spec.rule[i];
        if (r->kind == RULE_DELAY && (r->dirs & 1u << d) && r->sel.pick == PICK_ANY) {
            sum = nsec_add(sum, r->u.delay.mean);
        }
    }
    return sum;
}

/* Loss */

/* Two states, a step and a draw for each packet of the direction in its order. */
static enum verdict apply_ge(const struct at *a)
{
    struct wire_memory *m = &a->w->memory[a->rule];
    uint8_t d = a->v->dir;
    uint64_t key = draw_mix(a->w->spec.seed ^ draw_mix(a->rule * 2u + d + 1000));
    uint64_t n = m->drawn[d]++;
    uint64_t step = draw_mix(key ^ draw_mix(2 * n)) % WIRE_PPM;
    uint64_t loss = draw_mix(key ^ draw_mix(2 * n + 1)) % WIRE_PPM;

    if (step < (m->bad[d] ? a->r->u.ge.r : a->r->u.ge.p)) {
        m->bad[d] = !m->bad[d];
    }
    return loss < (m->bad[d] ? a->r->u.ge.bad : a->r->u.ge.good) ? gone(a, FIRED_LOST) : PASS;
}

static enum verdict apply_hole(const struct at *a)
{
    struct wire_memory *m = &a->w->memory[a->rule];
    const struct wire_rule *r = a->r;

    if (m->since == NEVER && m->bytes >= r->u.hole.after &&
        a->now - a->w->began >= r->u.hole.after_time) {
        m->since = a->now;
    }
    m->bytes += a->v->plen;
    if (m->since != NEVER && a->now < nsec_add(m->since, r->u.hole.lasts)) {
        return gone(a, FIRED_HOLE);
    }
    return PASS;
}

static enum verdict apply_idle(const struct at *a)
{
    struct wire_conn *c = a->v->conn;
    if (!c) {
        return PASS;
    }
    c->forgotten |= a->v->idle > a->r->u.idle.after;
    return c->forgotten ? gone(a, FIRED_FORGOTTEN) : PASS;
}

/* MTU */

static void send_fragments(const struct at *a)
{
    const struct wire_view *v = a->v;
    uint32_t ihl = (uint32_t)(v->p[0] & 15) * 4;
    uint32_t room = (a->r->u.mtu.bytes - ihl) / 8 * 8;
    for (uint32_t from = 0; from < v->len - ihl; from += room) {
        uint32_t slot;
        uint8_t *out = wire_own_room(a->w, v->dir, a->now, &slot, a->tap);
        if (!out) {
            return;
        }
        size_t n = pkt_fragment(v, from, min_u32(room, v->len - ihl - from), out);
        wire_own_send(a->w, slot, n, v->dir, v->delay, a->now, a->tap);
    }
}

static enum verdict apply_mtu(const struct at *a)
{
    const struct wire_view *v = a->v;
    uint8_t icmp[PKT_OWN_MAX];

    if (v->len <= a->r->u.mtu.bytes || v->ver == 0) {
        return PASS;
    }
    if (!view_df(v)) {
        send_fragments(a);
        return gone(a, FIRED_FRAGMENTED);
    }
    if (!a->r->u.mtu.silent) {
        enum wire_dir back = v->dir == WIRE_OUT ? WIRE_IN : WIRE_OUT;
        size_t n = pkt_too_big(v, a->r->u.mtu.bytes, icmp);
        wire_own(a->w, icmp, n, back, rules_delay(a->w, back), a->now, a->tap);
    }
    return gone(a, FIRED_MTU);
}

/* What is done to the packet */

static enum verdict apply_reorder(const struct at *a)
{
    if (a->r->u.reorder.until) {
        a->v->hold_rule = (uint8_t)a->rule;
    } else {
        a->v->delay = nsec_add(a->v->delay, a->r->u.reorder.by);
        a->v->ordered = false;
    }
    fire(a, FIRED_REORDERED);
    return PASS;
}

static enum verdict apply_dup(const struct at *a)
{
    a->v->copies = a->r->u.dup.copies;
    fire(a, FIRED_DUPLICATED);
    return PASS;
}

static enum verdict apply_corrupt(const struct at *a)
{
    if (!view_corrupt(a->v, a->r->u.corrupt.field, flow_draw(a->w, a->v, a->rule, 1))) {
        return PASS;
    }
    if (a->r->u.corrupt.fixed) {
        view_fix(a->v);
    }
    fire(a, FIRED_CORRUPTED);
    return PASS;
}

static enum verdict apply_strip(const struct at *a)
{
    bool meant = a->v->tcp && (a->r->u.strip.all || (a->v->flags & TCP_SYN));
    if (meant && view_strip(a->v, a->r->u.strip.options)) {
        fire(a, FIRED_STRIPPED);
    }
    return PASS;
}

static enum verdict apply_clamp(const struct at *a)
{
    if (a->v->tcp && (a->v->flags & TCP_SYN) && view_clamp(a->v, a->r->u.clamp.mss)) {
        fire(a, FIRED_CLAMPED);
    }
    return PASS;
}

static enum verdict apply_mark(const struct at *a)
{
    uint8_t ecn = view_ecn(a->v);
    if (ecn == 1 || ecn == 2) { /* RFC 3168 5: what is not ECN-capable must not be marked */
        view_set_ecn(a->v, 3);
        fire(a, FIRED_MARKED);
    }
    return PASS;
}

static enum verdict apply_bleach(const struct at *a)
{
    if (view_ecn(a->v) != 0) {
        view_set_ecn(a->v, 0);
        fire(a, FIRED_BLEACHED);
    }
    return PASS;
}

static enum verdict apply_window(const struct at *a)
{
    struct wire_view *v = a->v;
    if (!v->conn || (v->flags & (TCP_SYN | TCP_RST)) || !(v->flags & TCP_ACK)) {
        return PASS;
    }
    struct wire_half *h = &v->conn->half[v->dir];
    bool scaled = h->wscale != 0xff && v->conn->half[1 - v->dir].wscale != 0xff;
    uint32_t raw = a->r->u.window.bytes >> (scaled ? h->wscale : 0);
    const uint8_t *field = v->p + v->l4 + 14;

    if (h->wnd_since == NEVER && h->acked >= a->r->u.window.after) {
        h->wnd_since = a->now;
    }
    if (h->wnd_since == NEVER || a->now >= nsec_add(h->wnd_since, a->r->u.window.lasts) ||
        raw >= (uint32_t)(field[0] << 8 | field[1])) {
        return PASS;
    }
    view_set16(v, v->l4 + 14, (uint16_t)raw);
    fire(a, FIRED_WINDOW);
    return PASS;
}

static enum verdict apply(const struct at *a)
{
    switch (a->r->kind) {
    case RULE_DELAY:
        return apply_delay(a);
    case RULE_LOSS:
        return gone(a, FIRED_LOST);
    case RULE_GE:
        return apply_ge(a);
    case RULE_DROP:
        return gone(a, FIRED_DROPPED);
    case RULE_REORDER:
        return apply_reorder(a);
    case RULE_DUP:
        return apply_dup(a);
    case RULE_CORRUPT:
        return apply_corrupt(a);
    case RULE_BLACKHOLE:
        return apply_hole(a);
    case RULE_MTU:
        return apply_mtu(a);
    case RULE_STRIP:
        return apply_strip(a);
    case RULE_CLAMP:
        return apply_clamp(a);
    case RULE_MARK:
        return apply_mark(a);
    case RULE_BLEACH:
        return apply_bleach(a);
    case RULE_WINDOW:
        return apply_window(a);
    case RULE_IDLE:
        return apply_idle(a);
    default: /* RULE_RATE: the queue; RULE_RST: rules_reset */
        return PASS;
    }
}

/* Those held back until a packet like this one has passed. */
static bool releases(const struct at *a)
{
    return a->r->kind == RULE_REORDER && a->r->u.reorder.until &&
           flow_selected(a->w, a->v, &a->r->u.reorder.after);
}

bool rules_apply(struct wire *w, struct wire_view *v, nsec now, const struct wire_tap *tap)
{
    for (uint32_t i = 0; i < w->spec.nrules; i++) {
        struct at a = {.w = w, .v = v, .r = &w->spec.rule[i], .rule = i, .now = now, .tap = tap};
        if (!(a.r->dirs & 1u << v->dir)) {
            continue;
        }
        if (releases(&a)) {
            v->releases |= 1u << i;
        }
        if (flow_selected(w, v, &a.r->sel) && chance(&a) && apply(&a) == GONE) {
            return false;
        }
    }
    return true;
}

size_t rules_reset(struct wire *w, const struct wire_view *v, nsec now, uint8_t *out,
                   const struct wire_tap *tap)
{
    for (uint32_t i = 0; i < w->spec.nrules; i++) {
        const struct wire_rule *r = &w->spec.rule[i];
        if (r->kind != RULE_RST || !(r->dirs & 1u << v->dir) || !v->conn || (v->flags & TCP_RST)) {
            continue;
        }
        struct wire_half *h = &v->conn->half[v->dir];
        uint32_t *done = &v->conn->resets[v->dir];
        if ((*done & 1u << i) || h->sent < r->u.rst.after || !flow_selected(w, v, &r->sel)) {
            continue;
        }
        *done |= 1u << i;
        wire_fire(w, v, now, i, FIRED_RESET, tap);
        return pkt_reset(v, h->base + (uint32_t)h->sent + h->fin, out);
    }
    return 0;
}

void rules_init(struct wire *w)
{
    for (uint32_t i = 0; i < WIRE_RULES_MAX; i++) {
        w->memory[i].since = NEVER;
    }
    for (int d = 0; d < WIRE_DIRS; d++) {
        w->way[d].rate_rule = WIRE_RULES_MAX;
        for (uint32_t i = 0; i < w->spec.nrules; i++) {
            const struct wire_rule *r = &w->spec.rule[i];
            if (!(r->dirs & 1u << d)) {
                continue;
            }
            if (r->kind == RULE_RATE) {
                w->way[d].rate_rule = (uint8_t)i;
            }
            w->way[d].cuts |= r->sel.pick == PICK_DATA && r->sel.numbered;
            w->way[d].cuts |= r->kind == RULE_REORDER && r->u.reorder.until &&
                              r->u.reorder.after.pick == PICK_DATA && r->u.reorder.after.numbered;
        }
    }
}
