/*
 * wire.c - theory of operation: the way of a packet.
 *
 * It is copied into a place of its own first, whole or in segments (what comes in may be 64 KiB of
 * one connection, and what a rule says is about packets as they are on a wire). There it is looked
 * at, numbered, cut where a rule names a stretch of the stream that it holds only in part, shown to
 * the rules, and sent: into the queue where the direction has a rate, or on its way.
 *
 * Everything is bounded: places, connections, firings. A packet for which there is no place is
 * lost, and counted as NO_ROOM.
 */
#include "tun/wire.h"

#include <string.h>

#include "core/check.h"
#include "tun/wire_priv.h"

#define WIRE_MAGIC 0x65726977646e6174ull
#define HEAD_MAX   256u /* bytes of a packet in which its headers must lie to be cut */

struct wire *wire_init(void *mem, size_t bytes, uint32_t mtu, const struct wire_spec *spec)
{
    struct wire *w = mem;

    CHECK((uintptr_t)mem % 64 == 0);
    CHECK(spec->nrules <= WIRE_RULES_MAX);
    if (bytes < wire_size_min(mtu)) {
        return NULL;
    }
    memset(w, 0, sizeof *w);
    w->spec = *spec;
    w->mtu = mtu;
    w->began = NEVER;
    pool_init(w, bytes);
    rules_init(w);
    w->magic = WIRE_MAGIC;
    return w;
}

/* Firings */

static void record(struct wire *w, const struct wire_firing *f, const struct wire_tap *tap)
{
    struct wire_firing *to = &w->firing[w->nfirings % WIRE_FIRINGS_MAX];
    *to = *f;
    to->nth = f->rule < WIRE_RULES_MAX ? ++w->memory[f->rule].fired : 0;
    w->nfirings++;
    w->way[f->dir].counts.fired[f->what]++;
    if (tap && tap->fired) {
        tap->fired(tap->ctx, to);
    }
}

void wire_fire(struct wire *w, const struct wire_view *v, nsec now, unsigned rule, unsigned what,
               const struct wire_tap *tap)
{
    struct wire_firing f = {.at = now,
                            .pkt = v->no,
                            .offset = v->off,
                            .len = v->plen,
                            .seq = v->seq,
                            .conn = v->conn ? v->conn->no : 0,
                            .lport = v->conn ? v->conn->flow.lport : 0,
                            .rport = v->conn ? v->conn->flow.rport : 0,
                            .dir = v->dir,
                            .rule = (uint8_t)rule,
                            .what = (uint8_t)what,
                            .pick = v->again ? PICK_RETRANSMIT : v->pick};
    record(w, &f, tap);
}

void wire_fire_slot(struct wire *w, const struct wire_slot *s, nsec now, unsigned rule,
                    unsigned what, const struct wire_tap *tap)
{
    struct wire_firing f = {.at = now,
                            .pkt = s->no,
                            .offset = s->off,
                            .len = s->plen,
                            .seq = s->seq,
                            .conn = s->conn,
                            .lport = s->lport,
                            .rport = s->rport,
                            .dir = s->dir,
                            .rule = (uint8_t)rule,
                            .what = (uint8_t)what,
                            .pick = s->pick};
    record(w, &f, tap);
}

/* No place for a packet of direction d. */
static void no_room(struct wire *w, enum wire_dir d, nsec now, const struct wire_tap *tap)
{
    struct wire_firing f = {.at = now,
                            .pkt = ++w->way[d].numbers,
                            .dir = (uint8_t)d,
                            .rule = WIRE_RULES_MAX,
                            .what = FIRED_NO_ROOM};
    record(w, &f, tap);
}

/* Sending */

static void slot_fill(struct wire_slot *s, const struct wire_view *v)
{
    s->len = v->len;
    s->dir = v->dir;
    s->no = v->no;
    s->conn = v->conn ? v->conn->no : 0;
    s->lport = v->conn ? v->conn->flow.lport : 0;
    s->rport = v->conn ? v->conn->flow.rport : 0;
    s->seq = v->seq;
    s->delay = v->delay;
    s->ordered = v->ordered;
    s->hold_rule = v->hold_rule;
    s->pick = v->again ? PICK_RETRANSMIT : v->pick;
    s->plen = v->plen;
    s->off = v->off;
}

static void send_copies(struct wire *w, const struct wire_view *v, nsec now,
                        const struct wire_tap *tap)
{
    for (uint32_t k = 1; k < v->copies; k++) {
        uint32_t i = pool_get(w);
        if (i == WIRE_NONE) {
            no_room(w, v->dir, now, tap);
            return;
        }
        struct wire_slot *s = pool_slot(w, i);
        slot_fill(s, v);
        memcpy(s->bytes, v->p, v->len);
        pool_send(w, i, now, tap);
    }
}

static void release_held(struct wire *w, uint32_t rules, uint32_t conn, nsec now,
                         const struct wire_tap *tap)
{
    for (unsigned i = 0; rules >> i; i++) {
        if (rules >> i & 1) {
            pool_release(w, i, conn, now, tap);
        }
    }
}

/* One packet, looked at and numbered, that lies in the place v->slot. */
static void pass(struct wire *w, struct wire_view *v, nsec now, const struct wire_tap *tap)
{
    struct wire_way *way = &w->way[v->dir];
    uint8_t reset[PKT_OWN_MAX];
    size_t nreset = 0;

    v->no = ++way->numbers;
    v->copies = 1;
    v->hold_rule = WIRE_RULES_MAX;
    way->counts.put++;
    way->counts.bytes += v->len;
    pool_slot(w, v->slot)->len = v->len;
    if (tap && tap->put) {
        tap->put(tap->ctx, now, v->dir, v->no, v->p, v->len);
    }
    if (rules_apply(w, v, now, tap)) {
        nreset = rules_reset(w, v, now, reset, tap);
        slot_fill(pool_slot(w, v->slot), v);
        send_copies(w, v, now, tap);
        pool_send(w, v->slot, now, tap);
    } else {
        pool_put(w, v->slot);
    }
    if (nreset) {
        wire_own(w, reset, nreset, v->dir, v->delay, now, tap);
    }
    if (v->releases) {
        release_held(w, v->releases, v->conn ? v->conn->no : 0, now, tap);
    }
}

uint8_t *wire_own_room(struct wire *w, enum wire_dir d, nsec now, uint32_t *slot,
                       const struct wire_tap *tap)
{
    *slot = pool_get(w);
    if (*slot == WIRE_NONE) {
        no_room(w, d, now, tap);
        return NULL;
    }
    return pool_slot(w, *slot)->bytes;
}

void wire_own_send(struct wire *w, uint32_t slot, size_t len, enum wire_dir d, nsec delay, nsec now,
                   const struct wire_tap *tap)
{
    struct wire_view v = {
        .len = (uint32_t)len, .dir = (uint8_t)d, .delay = delay, .hold_rule = WIRE_RULES_MAX};
    slot_fill(pool_slot(w, slot), &v);
    pool_send(w, slot, now, tap);
}

void wire_own(struct wire *w, const uint8_t *p, size_t len, enum wire_dir d, nsec delay, nsec now,
              const struct wire_tap *tap)
{
    uint32_t slot;
    uint8_t *room = wire_own_room(w, d, now, &slot, tap);
    if (room) {
        memcpy(room, p, len);
        wire_own_send(w, slot, len, d, delay, now, tap);
    }
}

/* The first `cut` bytes of payload as a packet of their own; what is left stays in the view. */
static bool split(struct wire *w, struct wire_view *v, uint32_t cut, nsec now,
                  const struct wire_tap *tap)
{
    uint32_t i = pool_get(w);
    if (i == WIRE_NONE) {
        return false;
    }
    struct wire_view first = *v;
    first.slot = i;
    first.p = pool_slot(w, i)->bytes;
    memcpy(first.p + v->data, v->p + v->data, cut);
    first.len = (uint32_t)pkt_piece(v, 0, cut, first.p);
    first.plen = cut;
    first.flags &= (uint8_t)~TCP_FIN; /* it goes with the last piece */
    first.nth[PICK_FIN] = 0;

    memmove(v->p + v->data, v->p + v->data + cut, v->plen - cut);
    v->len = (uint32_t)pkt_piece(v, cut, v->plen - cut, v->p);
    v->plen -= cut;
    v->seq += cut;
    v->off += cut;
    pass(w, &first, now, tap);
    return true;
}

/* A packet of `len` bytes that lies in place i. */
static void enter(struct wire *w, uint32_t i, uint32_t len, enum wire_dir d, nsec now,
                  const struct wire_tap *tap)
{
    struct wire_view v = {.p = pool_slot(w, i)->bytes, .len = len, .slot = i, .dir = (uint8_t)d};
    view_parse(&v);
    flow_see(w, &v, now);
    uint32_t cut;
    while ((cut = flow_cut(w, &v)) > 0 && split(w, &v, cut, now, tap)) {
    }
    pass(w, &v, now, tap);
}

/* Coming in */

/* Bytes [from, from + n) of what lies in the spans. */
static void gather(const struct wire_in *in, size_t from, size_t n, uint8_t *out)
{
    for (size_t k = 0; k < in->nspan && n > 0; k++) {
        const struct span *s = &in->span[k];
        if (from >= s->n) {
            from -= s->n;
            continue;
        }
        size_t take = min_size(n, s->n - from);
        memcpy(out, s->p + from, take);
        out += take;
        n -= take;
        from = 0;
    }
}

static void put_whole(struct wire *w, nsec now, enum wire_dir d, const struct wire_in *in,
                      uint32_t len, const struct wire_tap *tap)
{
    uint32_t i = len <= w->slot_size - sizeof(struct wire_slot) ? pool_get(w) : WIRE_NONE;
    if (i == WIRE_NONE) {
        no_room(w, d, now, tap);
        return;
    }
    struct wire_view v = {.p = pool_slot(w, i)->bytes, .len = len};
    gather(in, 0, len, v.p);
    if (in->csum_open) {
        view_parse(&v);
        view_fix(&v);
    }
    enter(w, i, len, d, now, tap);
}

/* IPv4 gives each segment a number of its own: the first one's and those behind it (RFC 6864 asks
 * it of what may be fragmented; Linux does it for all). */
static void number_segment(uint8_t *p, uint32_t k)
{
    uint32_t id = (uint32_t)(p[4] << 8 | p[5]) + k;
    p[4] = (uint8_t)(id >> 8);
    p[5] = (uint8_t)id;
}

/* A super-segment, cut as a sender's device cuts it. */
static void put_cut(struct wire *w, nsec now, enum wire_dir d, const struct wire_in *in,
                    struct wire_view *head, const struct wire_tap *tap)
{
    uint32_t k = 0;
    for (uint32_t from = 0; from < head->plen; from += in->gso_size, k++) {
        uint32_t n = min_u32(in->gso_size, head->plen - from);
        uint32_t i =
            head->data + n <= w->slot_size - sizeof(struct wire_slot) ? pool_get(w) : WIRE_NONE;
        if (i == WIRE_NONE) {
            no_room(w, d, now, tap);
            continue;
        }
        uint8_t *p = pool_slot(w, i)->bytes;
        gather(in, head->data + from, n, p + head->data);
        if (k > 0 && head->ver == 4) {
            number_segment(head->p, 1);
        }
        uint32_t len = (uint32_t)pkt_piece(head, from, n, p);
        enter(w, i, len, d, now, tap);
    }
}

void wire_put(struct wire *w, nsec now, enum wire_dir d, const struct wire_in *in,
              const struct wire_tap *tap)
{
    uint8_t bytes[HEAD_MAX];
    size_t total = span_total(in->span, in->nspan);
    struct wire_view head = {.p = bytes, .len = (uint32_t)min_size(total, HEAD_MAX)};

    if (w->began == NEVER) {
        w->began = now;
    }
    if (in->gso_size) {
        gather(in, 0, head.len, bytes);
        view_parse(&head);
        head.plen = head.data ? (uint32_t)total - head.data : 0;
    }
    if (head.plen > in->gso_size) {
        put_cut(w, now, d, in, &head, tap);
    } else {
        put_whole(w, now, d, in, (uint32_t)total, tap);
    }
}

/* Going out */

bool wire_take(struct wire *w, nsec now, struct wire_pkt_out *out, const struct wire_tap *tap)
{
    pool_run(w, now, tap);
    uint32_t i = pool_arrived(w, now, tap);
    if (i == WIRE_NONE) {
        return false;
    }
    struct wire_slot *s = pool_slot(w, i);
    *out =
        (struct wire_pkt_out){.p = s->bytes, .len = s->len, .no = s->no, .slot = i, .dir = s->dir};
    w->way[s->dir].counts.delivered++;
    if (tap && tap->taken) {
        tap->taken(tap->ctx, now, s->dir, s->no, s->bytes, s->len);
    }
    return true;
}

void wire_done(struct wire *w, const struct wire_pkt_out *out)
{
    CHECK(pool_slot(w, out->slot)->state == SLOT_HAND);
    pool_put(w, out->slot);
}

nsec wire_deadline(const struct wire *w)
{
    return pool_deadline(w);
}

uint32_t wire_in_flight(const struct wire *w, enum wire_dir d)
{
    return w->way[d].flying;
}

void wire_recover(struct wire *w)
{
    pool_rebuild(w);
}

/* Looking at it */

const char *wire_check(const struct wire *w)
{
    return w->magic == WIRE_MAGIC ? pool_check(w) : "no wire";
}

const struct wire_counts *wire_counts(const struct wire *w, enum wire_dir d)
{
    return &w->way[d].counts;
}

const struct wire_spec *wire_spec(const struct wire *w)
{
    return &w->spec;
}

uint64_t wire_firings(const struct wire *w)
{
    return w->nfirings;
}

const struct wire_firing *wire_firing(const struct wire *w, uint64_t i)
{
    bool kept = i < w->nfirings && w->nfirings - i <= WIRE_FIRINGS_MAX;
    return kept ? &w->firing[i % WIRE_FIRINGS_MAX] : NULL;
}

static const struct {
    const char *name, *text;
} fired[FIRED_COUNT] = {[FIRED_NONE] = {"NONE", "nothing"},
#define FIRED(id, words) [FIRED_##id] = {#id, words},
                        WIRE_FIRED_LIST
#undef FIRED
};

const char *wire_fired_name(unsigned what)
{
    return what < FIRED_COUNT ? fired[what].name : "?";
}

const char *wire_fired_text(unsigned what)
{
    return what < FIRED_COUNT ? fired[what].text : "?";
}
