#include "tests/lib/rig.h"

#include "core/check.h"
#include "core/csum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA ((size_t)256 << 20)

static uint32_t chance(struct rig *r, uint32_t n)
{
    r->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = r->rng;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static struct rig_host *host_of(struct env *env)
{
    return (struct rig_host *)(void *)env;
}

static struct rig_pkt *copy_of(const struct pkt_out *p)
{
    size_t len = pkt_out_len(p);
    struct rig_pkt *q = calloc(1, sizeof *q + len);
    if (!q) {
        abort();
    }
    memcpy(q->bytes, p->hdr, p->hdr_len);
    uint8_t *at = q->bytes + p->hdr_len;
    for (unsigned i = 0; i < p->nspan; i++) {
        memcpy(at, p->span[i].p, p->span[i].n);
        at += p->span[i].n;
    }
    q->len = len;
    q->gso_size = p->gso_size;
    q->csum_ok = p->csum_partial;
    return q;
}

static void enqueue(struct rig *r, struct rig_pkt *q)
{
    struct rig_pkt **at = &r->queue;
    while (*at && ((*at)->at < q->at || ((*at)->at == q->at && (*at)->no < q->no))) {
        at = &(*at)->next;
    }
    q->next = *at;
    *at = q;
}

/* RFC 3168 5: congestion experienced, on what says it can. The header's checksum follows. */
static bool mark(struct rig_pkt *q)
{
    if (q->bytes[0] >> 4 != 4 || (q->bytes[1] & 3) == 0) {
        return false;
    }
    q->bytes[1] |= 3;
    q->bytes[10] = q->bytes[11] = 0;
    be16 sum = csum_fold(csum_add(0, q->bytes, 4u * (q->bytes[0] & 15u)));
    memcpy(&q->bytes[10], &sum, sizeof sum);
    return true;
}

static uint64_t waiting(const struct rig_host *h, nsec now)
{
    return h->busy_until > now ? (uint64_t)(h->busy_until - now) * h->out.rate / (uint64_t)SEC : 0;
}

/* When the last byte leaves, given the wire's rate; -1: the queue is full. */
static nsec departure(struct rig_host *h, size_t len, nsec now)
{
    if (!h->out.rate) {
        return now;
    }
    nsec start = nsec_max(now, h->busy_until);
    if (h->out.queue && waiting(h, now) + len > h->out.queue) {
        return -1;
    }
    h->busy_until = start + (nsec)(len * (uint64_t)SEC / h->out.rate);
    return h->busy_until;
}

static void put_on_wire(struct rig_host *h, const struct pkt_out *p)
{
    struct rig *r = h->rig;
    struct rig_pkt *q = copy_of(p);
    bool full = h->out.mark && waiting(h, r->now) > h->out.mark;
    nsec leaves = departure(h, q->len, r->now);

    h->sent++;
    h->marked += full && mark(q);
    bool too_large = h->out.mtu != 0 && (q->gso_size ? q->gso_size + 52u : q->len) > h->out.mtu;
    if (leaves < 0 || too_large || chance(r, 1000000) < h->out.loss) {
        h->lost++;
        free(q);
        return;
    }
    if (chance(r, 1000000) < h->out.corrupt) {
        uint32_t bit = chance(r, (uint32_t)q->len * 8);
        q->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    q->to = 1 - h->no;
    q->no = r->count++;
    q->at = leaves + h->out.delay;
    if (h->out.jitter) {
        q->at += (nsec)chance(r, (uint32_t)h->out.jitter);
    }
    enqueue(r, q);
}

static void emit(struct env *env, const struct pkt_out *p)
{
    struct rig_host *h = host_of(env);

    put_on_wire(h, p);
    if (chance(h->rig, 1000000) < h->out.dup) {
        put_on_wire(h, p);
    }
}

static const struct env_ops ops = {.emit = emit, .grow = heap_grow, .random = heap_random};

struct addr rig_addr(unsigned i, bool v6)
{
    struct addr a;
    char text[16];
    snprintf(text, sizeof text, v6 ? "fd00::%u" : "10.0.0.%u", i + 1);
    addr_parse(text, &a);
    return a;
}

struct rig *rig_new(uint64_t seed, uint32_t caps, void (*tune)(struct stack_config *cfg))
{
    struct rig *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->rng = seed;
    r->now = 1000 * SEC;
    for (unsigned i = 0; i < 2; i++) {
        struct rig_host *h = &r->host[i];
        struct stack_config cfg = {.mtu = 1500, .caps = caps, .naddr = 2};
        heap_init(&h->heap, ARENA, seed * 2 + i + 1);
        h->heap.env.ops = &ops;
        h->heap.env.now = r->now;
        h->rig = r;
        h->no = i;
        knobs_default(&cfg.knobs);
        cfg.addr[0] = (struct ifaddr){rig_addr(i, false), 24};
        cfg.addr[1] = (struct ifaddr){rig_addr(i, true), 64};
        if (tune) {
            tune(&cfg);
        }
        h->st = stack_init(h->heap.base, h->heap.base, ARENA, &cfg, &h->heap.env);
        if (!h->st) {
            abort();
        }
    }
    return r;
}

void rig_free(struct rig *r)
{
    while (r->queue) {
        struct rig_pkt *q = r->queue;
        r->queue = q->next;
        free(q);
    }
    for (unsigned i = 0; i < 2; i++) {
        heap_fini(&r->host[i].heap);
    }
    free(r);
}

struct env *rig_env(struct rig *r, unsigned i)
{
    struct env *env = &r->host[i].heap.env;
    env->now = r->now;
    env->real = r->now;
    return env;
}

static void verify(struct rig *r, unsigned i)
{
    const char *bad = r->check ? stack_check(r->host[i].st) : NULL;
    if (bad) {
        fprintf(stderr, "host %u at %.6f s: %s\n", i, (double)r->now / 1e9, bad);
        abort();
    }
}

void rig_flush(struct rig *r, unsigned i)
{
    stack_flush(r->host[i].st, rig_env(r, i));
    verify(r, i);
}

/* As a link reads it: the header, then the spans, the rest behind a gap. The gap holds rubbish. */
static uint8_t *scatter(const struct rig_pkt *q, const struct rx_place *pl)
{
    size_t at = min_size(pl->hdr_len, q->len);
    uint8_t *buf = malloc(q->len + mspan_total(pl->span, pl->nspan));

    CHECK(buf);
    memset(buf, 0xee, q->len + mspan_total(pl->span, pl->nspan));
    memcpy(buf, q->bytes, at);
    for (unsigned i = 0; i < pl->nspan; i++) {
        size_t n = min_size(pl->span[i].n, q->len - at);
        memcpy(pl->span[i].p, q->bytes + at, n);
        at += n;
    }
    memcpy(buf + at, q->bytes + at, q->len - at);
    return buf;
}

static bool deliver_placed(struct rig *r, unsigned to, const struct rig_pkt *q)
{
    struct rig_host *h = &r->host[to];
    struct sock *likely = place_likely(h->st);
    bool own = likely && likely == h->own.sock;
    struct mspan mine = {own ? h->own.p : NULL, own ? h->own.n : 0};
    struct rx_place pl;
    size_t landed;

    if (!h->place || !likely || !place_ready(h->st, rig_env(r, to), likely, mine, &pl)) {
        return false;
    }
    struct pkt_in in = {.len = q->len, .csum_ok = q->csum_ok, .gso_size = q->gso_size};
    uint8_t *buf = scatter(q, &pl);
    in.p = buf;
    bool taken = stack_input_placed(h->st, rig_env(r, to), &in, &pl, &landed);
    free(buf);
    h->placed += taken;
    if (landed) {
        h->own.landed(h->own.arg, landed);
        place_received(h->st, rig_env(r, to), likely, landed);
    }
    return taken;
}

static void deliver(struct rig *r)
{
    struct rig_pkt *q = r->queue;
    struct pkt_in in = {
        .p = q->bytes, .len = q->len, .csum_ok = q->csum_ok, .gso_size = q->gso_size};
    unsigned to = q->to;

    r->queue = q->next;
    if (!deliver_placed(r, to, q)) {
        stack_input(r->host[to].st, rig_env(r, to), &in);
    }
    free(q);
    rig_flush(r, to);
}

bool rig_step(struct rig *r, nsec until)
{
    nsec at = r->queue ? r->queue->at : NEVER;
    int who = -1;

    for (int i = 0; i < 2; i++) {
        nsec due = stack_deadline(r->host[i].st);
        if (due < at) {
            at = due;
            who = i;
        }
    }
    if (at > until || at == NEVER) {
        return false;
    }
    r->now = nsec_max(r->now, at);
    if (who < 0) {
        deliver(r);
    } else {
        stack_expire(r->host[who].st, rig_env(r, (unsigned)who));
        verify(r, (unsigned)who);
    }
    return true;
}

void rig_check_empty(struct rig *r)
{
    for (unsigned i = 0; i < 2; i++) {
        struct mem_use use = mem_use(r->host[i].st->mem);
        const char *bad = stack_check(r->host[i].st);
        if (use.objs[MEM_TCP] || use.objs[MEM_UDP] || use.objs[MEM_DGRAM] || bad) {
            fprintf(stderr, "host %u: %u tcp, %u udp, %u dgram left; %s\n", i, use.objs[MEM_TCP],
                    use.objs[MEM_UDP], use.objs[MEM_DGRAM], bad ? bad : "tables whole");
            abort();
        }
    }
}
