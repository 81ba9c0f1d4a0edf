/*
 * wire_flow.c - theory of operation: which packet this is.
 *
 * A connection is found by its addresses and ports; a SYN with another initial sequence number
 * begins it anew. Each direction knows where its stream begins (behind the SYN, or at the first
 * byte seen) and how much of it has passed. What lies beyond that is new data, and has a place in
 * the stream that does not depend on time or on how the stack cut it; all else is counted: by kind,
 * within the connection and direction.
 *
 *     stream   0 ......... sent ......................
 *     packet          [off .. off + plen)      new: off + plen > sent
 *
 * The table has WIRE_SETS times WIRE_WAYS places; in a full set the connection that was quiet for
 * longest is forgotten. If it speaks again it begins as one whose opening was not seen.
 */
#include <string.h>

#include "core/check.h"
#include "tun/wire_priv.h"

enum { OPT_MSS = 2, OPT_WSCALE = 3, OPT_TS = 8 };

static const char *const pick_names[PICK_COUNT] = {
    "any", "syn", "syn+ack", "ack", "data", "fin", "rst", "retransmit", "udp", "icmp",
};

const char *wire_pick_name(unsigned pick)
{
    return pick < PICK_COUNT ? pick_names[pick] : "?";
}

/* splitmix64's last step */
uint64_t draw_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Connections */

static uint32_t hash(const struct flow *f)
{
    uint64_t h = 0;
    const uint8_t *p = (const uint8_t *)f;
    for (size_t i = 0; i < sizeof *f; i += 4) {
        uint32_t word;
        memcpy(&word, p + i, 4);
        h = draw_mix(h ^ word);
    }
    return (uint32_t)h;
}

static void conn_begin(struct wire *w, struct wire_conn *c, const struct flow *f)
{
    *c = (struct wire_conn){.no = ++w->conns, .flow = *f};
    for (int d = 0; d < WIRE_DIRS; d++) {
        c->half[d].wscale = 0xff;
        c->half[d].wnd_since = NEVER;
    }
}

static struct wire_conn *conn_find(struct wire *w, const struct flow *f)
{
    struct wire_conn *set = w->conn[hash(f) % WIRE_SETS];
    struct wire_conn *oldest = set;
    for (uint32_t i = 0; i < WIRE_WAYS; i++) {
        if (set[i].no && memcmp(&set[i].flow, f, sizeof *f) == 0) {
            return &set[i];
        }
        if (oldest->no && (!set[i].no || set[i].seen < oldest->seen)) {
            oldest = &set[i];
        }
    }
    conn_begin(w, oldest, f);
    return oldest;
}

static void learn_syn(struct wire_half *h, const struct wire_view *v)
{
    uint32_t len;
    uint32_t at = view_option(v, OPT_MSS, &len);
    if (at && len == 4) {
        h->mss = (uint16_t)(v->p[at + 2] << 8 | v->p[at + 3]);
    }
    at = view_option(v, OPT_WSCALE, &len);
    h->wscale = at && len == 3 ? v->p[at + 2] : 0xff;
    h->ts = view_option(v, OPT_TS, &len) != 0;
}

/* The connection a SYN belongs to: one with another initial number is a new life of the ports. */
static struct wire_conn *conn_of(struct wire *w, const struct wire_view *v)
{
    struct flow f = view_flow(v);
    struct wire_conn *c = conn_find(w, &f);
    struct wire_half *h = &c->half[v->dir];
    if ((v->flags & TCP_SYN) && h->known && h->base != v->seq + 1) {
        conn_begin(w, c, &f);
    }
    return c;
}

uint32_t flow_stretch(const struct wire *w, const struct wire_conn *c)
{
    uint32_t a = c->half[WIRE_OUT].mss;
    uint32_t b = c->half[WIRE_IN].mss;
    bool ts = c->half[WIRE_OUT].ts && c->half[WIRE_IN].ts;
    if (!a && !b) { /* joined in the middle: what the links would have made of it */
        a = w->mtu > 2 * WIRE_MSS ? w->mtu - 40 : WIRE_MSS;
        ts = true;
    }
    uint32_t mss = a && b ? min_u32(a, b) : max_u32(a, b);
    return mss > 2 * WIRE_TS_LEN ? mss - (ts ? WIRE_TS_LEN : 0) : mss;
}

/* Places */

/* The offset in the stream of a sequence number that lies within 2^31 of what has passed. */
static uint64_t place(const struct wire_half *h, uint32_t number)
{
    int64_t at = (int64_t)h->sent + (int32_t)(number - (h->base + (uint32_t)h->sent));
    return at > 0 ? (uint64_t)at : 0;
}

static void see_acked(struct wire_half *h, const struct wire_half *other, const struct wire_view *v)
{
    if ((v->flags & TCP_ACK) && other->known) {
        const uint8_t *t = v->p + v->l4 + 8;
        uint32_t ack = (uint32_t)t[0] << 24 | (uint32_t)t[1] << 16 | (uint32_t)t[2] << 8 | t[3];
        h->acked = max_u64(h->acked, min_u64(place(other, ack), other->sent));
    }
}

/*
 * What chance goes by: the beginning of the stretch in which a packet begins, and how many began
 * there before it. Two stacks, or two runs, whose packets lie a few bytes apart draw the same.
 */
static uint64_t place_of_chance(struct wire_half *h, uint64_t off, uint32_t stretch)
{
    uint64_t k = off / stretch;
    h->within = h->stretch == k + 1 ? h->within + 1 : 0;
    h->stretch = k + 1;
    return k * stretch + h->within;
}

static void see_payload(const struct wire *w, struct wire_half *h, struct wire_view *v)
{
    v->off = place(h, v->seq);
    v->fresh = v->plen > 0 && v->off + v->plen > h->sent;
    v->again = v->plen > 0 && !v->fresh;
    if (v->fresh) {
        h->sent = v->off + v->plen;
        v->place = place_of_chance(h, v->off, max_u32(flow_stretch(w, v->conn), 1));
    }
    if ((v->flags & TCP_FIN) && !v->plen) {
        v->again = h->fin;
    }
    h->fin |= (v->flags & TCP_FIN) != 0;
}

static uint8_t pick_of(const struct wire_view *v)
{
    if (v->flags & TCP_RST) {
        return PICK_RST;
    }
    if (v->flags & TCP_SYN) {
        return v->flags & TCP_ACK ? PICK_SYNACK : PICK_SYN;
    }
    return v->plen ? PICK_DATA : v->flags & TCP_FIN ? PICK_FIN : PICK_ACK;
}

static void count_tcp(struct wire_half *h, struct wire_view *v)
{
    v->nth[v->pick] = ++h->nth[v->pick];
    if ((v->flags & TCP_FIN) && v->pick == PICK_DATA) {
        v->nth[PICK_FIN] = ++h->nth[PICK_FIN];
    }
    if (v->again) {
        v->nth[PICK_RETRANSMIT] = ++h->nth[PICK_RETRANSMIT];
    }
}

static void see_tcp(struct wire *w, struct wire_view *v, nsec now)
{
    struct wire_conn *c = conn_of(w, v);
    struct wire_half *h = &c->half[v->dir];

    v->conn = c;
    v->idle = c->seen ? now - c->seen : 0;
    c->seen = now;
    v->pick = pick_of(v);
    if (v->flags & TCP_SYN) {
        v->again = h->known;
        h->known = true;
        h->base = v->seq + 1;
        learn_syn(h, v);
    } else if (!(v->flags & TCP_RST)) {
        if (!h->known) {
            h->known = true;
            h->base = v->seq;
        }
        see_payload(w, h, v);
    }
    see_acked(h, &c->half[1 - v->dir], v);
    count_tcp(h, v);
}

void flow_see(struct wire *w, struct wire_view *v, nsec now)
{
    struct wire_way *way = &w->way[v->dir];
    if (v->tcp) {
        see_tcp(w, v, now);
    } else if (v->proto == 17 || v->proto == 1 || v->proto == 58) {
        v->pick = v->proto == 17 ? PICK_UDP : PICK_ICMP;
        v->nth[v->pick] = ++way->nth[v->pick];
    }
    v->nth[PICK_ANY] = ++way->nth[PICK_ANY];
}

/* Selections */

static bool in_list(const struct wire_sel *s, uint64_t n)
{
    return n >= s->first && n <= s->last && (n - s->first) % s->step == 0;
}

bool flow_selected(const struct wire *w, const struct wire_view *v, const struct wire_sel *s)
{
    if (s->pick == PICK_DATA && s->numbered) {
        return v->fresh && in_list(s, v->off / flow_stretch(w, v->conn) + 1);
    }
    if (s->pick == PICK_DATA) {
        return v->conn && v->plen > 0;
    }
    uint32_t n = v->nth[s->pick];
    return n > 0 && (!s->numbered || in_list(s, n));
}

/* Whether one of the two stretches that meet at a border is named and the other is not, for some
 * rule. */
static bool is_border(const struct wire *w, const struct wire_view *v, uint64_t left)
{
    for (uint32_t i = 0; i < w->spec.nrules; i++) {
        const struct wire_rule *r = &w->spec.rule[i];
        if (!(r->dirs & 1u << v->dir)) {
            continue;
        }
        const struct wire_sel *sel[2] = {&r->sel, &r->u.reorder.after};
        for (int k = 0; k < (r->kind == RULE_REORDER && r->u.reorder.until ? 2 : 1); k++) {
            if (sel[k]->pick == PICK_DATA && sel[k]->numbered &&
                in_list(sel[k], left) != in_list(sel[k], left + 1)) {
                return true;
            }
        }
    }
    return false;
}

uint32_t flow_cut(const struct wire *w, const struct wire_view *v)
{
    if (!v->fresh || !w->way[v->dir].cuts) {
        return 0;
    }
    uint64_t s = flow_stretch(w, v->conn);
    for (uint64_t left = v->off / s + 1; left * s < v->off + v->plen; left++) {
        if (is_border(w, v, left)) {
            return (uint32_t)(left * s - v->off);
        }
    }
    return 0;
}

/* Chance */

uint64_t flow_draw(const struct wire *w, const struct wire_view *v, unsigned rule, unsigned salt)
{
    uint64_t key = draw_mix(w->spec.seed ^ draw_mix(rule * 8u + salt * 2u + v->dir));
    unsigned kind = v->again ? PICK_RETRANSMIT : v->pick;
    uint64_t place = v->fresh ? v->place : v->nth[kind];
    uint32_t conn = v->conn ? v->conn->no : 0;
    return draw_mix(key ^ draw_mix((uint64_t)conn << 32 | kind << 1 | v->fresh) ^
                    draw_mix(place * 2 + 1));
}

bool flow_chance(const struct wire *w, const struct wire_view *v, unsigned rule, uint32_t ppm)
{
    return ppm >= WIRE_PPM || (ppm > 0 && flow_draw(w, v, rule, 0) % WIRE_PPM < ppm);
}
