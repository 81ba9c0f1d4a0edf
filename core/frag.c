/*
 * frag.c - theory of operation.
 *
 * A datagram in pieces is one struct frag: a buffer into which every piece is copied at its place,
 * and the runs of bytes that have come, in order. The rules are Linux's, for both families: a piece
 * is taken when it overlaps no run; one that lies within a run is a duplicate and ignored; any
 * other overlap condemns the datagram (RFC 5722 for IPv6): what the two said cannot both be meant.
 * Only the last run grows, so whether a piece is a duplicate does not depend on how holes were
 * filled. The datagram is whole when the last piece is there and the bytes add up; then a plain
 * header is put in front and it goes through the parser again like any packet.
 *
 *   data   | room for a header: HEAD_ROOM | payload ... |
 *
 * Bounds: FRAGS_MAX datagrams, ipfrag_high_thresh bytes of buffers, FRAGS_PER_SRC from one source,
 * FRAG_RUNS_MAX runs each, and time. When a bound is met the oldest goes (of that source, or of
 * all): a flood of first fragments pushes out its own, and a datagram whose pieces follow each
 * other closely gets through. (FragmentSmack: CVE-2018-5391. Linux, which refuses the newest,
 * starves it.) A piece costs a look into a keyed hash bucket, a binary search, and its bytes.
 *
 * Identifications of IPv4 come again soon (RFC 4963): a piece that comes after ipfrag_max_dist
 * others of its source does not belong to what is there, which is forgotten.
 *
 * The options of an IPv4 first fragment are not kept.
 */
#include "frag.h"

#include "be.h"
#include "check.h"
#include "icmp.h"
#include "ip_priv.h"
#include "isn.h"
#include "stack.h"

#define FRAGS_MAX     1024u
#define FRAGS_PER_SRC 64u
#define HEAD_ROOM     64u
#define TOTAL_MAX     65535u

static struct frag **bucket(struct stack *st, const struct frag_key *key)
{
    return &st->frag_hash[isn_hash(st->port_secret, key, sizeof *key) % STACK_FRAG_HASH];
}

static uint8_t source_of(const struct stack *st, const struct addr *src)
{
    return (uint8_t)(isn_hash(st->port_secret, src, sizeof *src) % STACK_FRAG_SRCS);
}

/* RFC 8200 4.5 says 60 s; for IPv4 RFC 1122 3.3.2 would like 60 to 120 s, Linux waits 30. */
static nsec life_of(const struct stack *st, const struct frag_key *key)
{
    return (nsec)(key->v6 ? st->knobs.ip6frag_time : st->knobs.ipfrag_time) * SEC;
}

static struct frag_key key_of(const struct ip_hdr *ip)
{
    return (struct frag_key){
        .src = ip->src,
        .dst = ip->dst,
        .id = ip->frag_id,
        .proto = ip->v6 ? 0 : ip->proto,
        .v6 = ip->v6,
    };
}

static struct frag *find(struct stack *st, const struct frag_key *key)
{
    for (struct frag *f = *bucket(st, key); f; f = f->hash_next) {
        if (memcmp(&f->key, key, sizeof *key) == 0) {
            return f;
        }
    }
    return NULL;
}

void frag_free(struct stack *st, struct frag *f)
{
    struct frag **at = bucket(st, &f->key);
    while (*at && *at != f) {
        at = &(*at)->hash_next;
    }
    if (*at) {
        *at = f->hash_next;
    }
    *(f->old_prev ? &f->old_prev->old_next : &st->frag_old) = f->old_next;
    *(f->old_next ? &f->old_next->old_prev : &st->frag_new) = f->old_prev;
    timer_remove(&st->timers, &f->timer);
    if (f->data) {
        st->frag_bytes -= MEM_PAGE << f->order;
        mem_pages_put(st->mem, f->data, f->order);
    }
    st->nfrags--;
    st->frag_src[f->source].nfrags--;
    mem_obj_put(st->mem, f);
}

static void fail(struct stack *st, struct frag *f)
{
    st->stats.IpReasmFails++;
    frag_free(st, f);
}

/* --- bounds --- */

/* Gives up the oldest datagram, but not `keep`. */
static bool evict_oldest(struct stack *st, const struct frag *keep)
{
    struct frag *f = st->frag_old;
    if (f && f == keep) {
        f = f->old_next;
    }
    if (f) {
        fail(st, f);
    }
    return f != NULL;
}

/* One source may not have more than its share. */
static void evict_of_source(struct stack *st, uint8_t source)
{
    struct frag *f = st->frag_old;
    if (st->frag_src[source].nfrags < FRAGS_PER_SRC) {
        return;
    }
    while (f && f->source != source) {
        f = f->old_next;
    }
    if (f) {
        fail(st, f);
    }
}

static struct frag *begin(struct stack *st, struct env *env, const struct frag_key *key)
{
    uint8_t source = source_of(st, &key->src);
    evict_of_source(st, source);
    if (st->nfrags >= FRAGS_MAX) {
        (void)evict_oldest(st, NULL);
    }
    struct frag *f = mem_obj_get(st->mem, env, MEM_FRAG);
    if (!f) {
        return NULL;
    }
    timer_init(&f->timer);
    f->timer.owner = TIMER_FRAG;
    f->key = *key;
    struct frag **head = bucket(st, key);
    f->hash_next = *head;
    *head = f;
    f->old_prev = st->frag_new;
    *(st->frag_new ? &st->frag_new->old_next : &st->frag_old) = f;
    st->frag_new = f;
    st->nfrags++;
    f->source = source;
    st->frag_src[source].nfrags++;
    timer_set(&st->timers, &f->timer, nsec_add(env->now, life_of(st, key)));
    return f;
}

/* Room for `need` bytes of payload. */
static bool reserve(struct stack *st, struct env *env, struct frag *f, size_t need)
{
    unsigned order = f->data ? f->order : 0;
    while (((size_t)MEM_PAGE << order) < HEAD_ROOM + need) {
        order++;
    }
    if (f->data && order == f->order) {
        return true;
    }
    uint32_t more = MEM_PAGE << order;
    while (st->frag_bytes + more > (uint32_t)st->knobs.ipfrag_high_thresh) {
        if (!evict_oldest(st, f)) {
            return false;
        }
    }
    uint8_t *bigger = mem_pages_get(st->mem, env, order);
    if (!bigger) {
        return false;
    }
    st->frag_bytes += more;
    if (f->data) {
        memcpy(bigger, f->data, HEAD_ROOM + f->reach);
        st->frag_bytes -= MEM_PAGE << f->order;
        mem_pages_put(st->mem, f->data, f->order);
    }
    f->data = bigger;
    f->order = (uint8_t)order;
    return true;
}

/* --- pieces --- */

enum fit { FIT_NEW, FIT_AGAIN, FIT_OVERLAP };

/* How a piece lies to what has come, and where its run would stand. */
static enum fit fit_of(const struct frag *f, uint32_t from, uint32_t to, uint16_t *at)
{
    uint16_t low = 0;
    uint16_t high = f->nruns;
    while (low < high) { /* the first run that does not end before the piece */
        uint16_t mid = (uint16_t)((low + high) / 2);
        if (f->run[mid].to <= from) {
            low = (uint16_t)(mid + 1);
        } else {
            high = mid;
        }
    }
    *at = low;
    if (low == f->nruns || to <= f->run[low].from) {
        return FIT_NEW;
    }
    return from >= f->run[low].from && to <= f->run[low].to ? FIT_AGAIN : FIT_OVERLAP;
}

/* Enters a piece that fits at that place. False: too many runs. */
static bool run_put(struct frag *f, uint32_t from, uint32_t to, uint16_t at)
{
    if (at == f->nruns && at > 0 && f->run[at - 1].to == from) {
        f->run[at - 1].to = (uint16_t)to;
        return true;
    }
    if (f->nruns == FRAG_RUNS_MAX) {
        return false;
    }
    memmove(&f->run[at + 1], &f->run[at], (size_t)(f->nruns - at) * sizeof f->run[0]);
    f->run[at] = (struct frag_run){.from = (uint16_t)from, .to = (uint16_t)to};
    f->nruns++;
    return true;
}

/* Whether the end that this piece claims agrees with all that is known. */
static bool end_agrees(const struct frag *f, uint32_t to, bool more)
{
    if (f->total != 0 && (to > f->total || (!more && to != f->total))) {
        return false;
    }
    return more || to >= f->reach;
}

/* What the ECN fields of all pieces make together. RFC 3168 5.3: congestion marked on one is marked
 * on the whole. -1: pieces that were ECN-capable beside some that were not. */
static int ecn_of(const struct frag *f, uint8_t first)
{
    if ((f->ecn & 1) != 0) {
        return f->ecn == 1 ? 0 : -1;
    }
    return (f->ecn & 8) != 0 ? 3 : first & 3;
}

static bool piece_put(struct stack *st, struct env *env, struct frag *f, const struct ip_hdr *ip,
                      uint16_t at)
{
    uint32_t from = ip->frag_at;
    uint32_t to = from + (uint32_t)ip->payload_len;
    if (!reserve(st, env, f, to) || !run_put(f, from, to, at)) {
        return false;
    }
    memcpy(f->data + HEAD_ROOM + from, ip->payload, ip->payload_len);
    f->have += to - from;
    f->reach = max_u32(f->reach, to);
    if (from == 0) {
        f->next = ip->proto;
        f->tos = ip->tos;
        f->ttl = ip->ttl;
        f->first_len = (uint16_t)to;
    }
    f->ecn |= (uint8_t)(1u << (ip->tos & 3));
    return true;
}

/* Linux's ip_frag_too_far: so many others of its source came since the last piece that this one is
 * of another datagram with the same identification. RFC 4963 */
static bool too_far(struct stack *st, struct frag *f)
{
    uint32_t *count = &st->frag_src[f->source].count;
    uint32_t max = (uint32_t)st->knobs.ipfrag_max_dist;
    if (f->key.v6 || max == 0) {
        return false;
    }
    uint32_t before = f->count;
    f->count = ++*count;
    return f->nruns > 0 && f->count - before > max;
}

static void forget_pieces(struct stack *st, struct env *env, struct frag *f)
{
    st->stats.IpReasmFails++;
    f->nruns = 0;
    f->first_len = 0;
    f->ecn = 0;
    f->have = 0;
    f->total = 0;
    f->reach = 0;
    timer_set(&st->timers, &f->timer, nsec_add(env->now, life_of(st, &f->key)));
}

/* Puts a plain header before the first `len` bytes of the payload; returns where the packet begins.
 */
static uint8_t *head_put(struct frag *f, uint32_t len, bool whole)
{
    bool v6 = f->key.v6;
    int ecn = whole ? ecn_of(f, f->tos) : f->tos & 3;
    struct ip_send how = {
        .src = f->key.src,
        .dst = f->key.dst,
        .proto = f->next,
        .tos = (uint8_t)((f->tos & 0xfc) | ecn),
        .ttl = f->ttl,
    };
    size_t head = v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip4_hdr);
    if (v6 && !whole) {
        head += sizeof(struct ip6_frag_hdr);
    }
    uint8_t *at = f->data + HEAD_ROOM - head;
    if (!v6) {
        ip4_build(at, &how, head + len, (uint16_t)f->key.id, whole ? 0 : IP4_MF);
    } else {
        ip6_build(at, &how, head + len, whole ? f->next : IP6_FRAGMENT);
    }
    if (v6 && !whole) {
        struct ip6_frag_hdr *h = (void *)(at + sizeof(struct ip6_hdr));
        *h = (struct ip6_frag_hdr){.next = f->next, .at = be16_of(1), .id = be32_of(f->key.id)};
    }
    return at;
}

/* What IPv6 tells the source of a piece that can be part of no datagram: where the fault lies. 0:
 * it can. RFC 8200 4.5 */
static uint32_t fault_at(const struct ip_hdr *ip)
{
    if (ip->frag_at + ip->payload_len > TOTAL_MAX) {
        return (uint32_t)(ip->payload - ip->start) - 6; /* the offset in the fragment header */
    }
    return ip->frag_more && ip->payload_len % 8 != 0 ? 4 : 0; /* the length in the IPv6 header */
}

static void tell_fault(struct stack *st, struct env *env, const struct ip_hdr *ip, uint32_t at)
{
    struct ip_hdr about = *ip;
    about.frag_at = 0; /* this error is due for any fragment */
    icmp_send_error(st, env, &about, ICMP_PARAM_PROBLEM, at);
}

/* Takes a piece of f. False: the datagram is condemned. */
static bool take(struct stack *st, struct env *env, struct frag *f, const struct ip_hdr *ip,
                 enum drop *why)
{
    uint16_t at = 0;
    uint32_t from = ip->frag_at;
    uint32_t to = from + (uint32_t)ip->payload_len;
    if (too_far(st, f)) {
        forget_pieces(st, env, f);
    }
    if (to == from || !end_agrees(f, to, ip->frag_more)) {
        return false;
    }
    if (!ip->frag_more) {
        f->total = to; /* a duplicate says so, too */
    }
    enum fit fit = fit_of(f, from, to, &at);
    *why = fit == FIT_NEW ? DROP_NONE : DROP_IP_FRAGMENT;
    return fit == FIT_AGAIN || (fit == FIT_NEW && piece_put(st, env, f, ip, at));
}

struct frag *frag_input(struct stack *st, struct env *env, const struct ip_hdr *whole_ip,
                        struct pkt_in *out, enum drop *why)
{
    struct ip_hdr ip = *whole_ip;
    size_t head = ip.v6 ? 0 : sizeof(struct ip4_hdr);
    uint32_t fault = ip.v6 ? fault_at(&ip) : 0;

    st->stats.IpReasmReqds++;
    *why = DROP_IP_FRAGMENT;
    if (fault != 0) {
        tell_fault(st, env, &ip, fault);
        return NULL;
    }
    if (ip.frag_at + ip.payload_len + head > TOTAL_MAX) { /* ping of death */
        return NULL;
    }
    if (ip.frag_more) {
        ip.payload_len &= ~(size_t)7; /* Linux, not RFC 791: what is over is cut off */
    }
    struct frag_key key = key_of(&ip);
    struct frag *f = find(st, &key);
    f = f ? f : begin(st, env, &key);
    if (!f) {
        *why = DROP_NO_MEMORY;
        return NULL;
    }
    bool kept = take(st, env, f, &ip, why);
    bool whole = kept && *why == DROP_NONE && f->total != 0 && f->have == f->total;
    if (!kept || (whole && ecn_of(f, f->tos) < 0)) {
        *why = DROP_IP_FRAGMENT;
        fail(st, f);
        return NULL;
    }
    if (!whole) {
        return NULL;
    }
    st->stats.IpReasmOKs++;
    out->p = head_put(f, f->total, true);
    out->len = (size_t)(f->data + HEAD_ROOM - out->p) + f->total;
    out->csum_ok = false;
    out->gso_size = 0;
    return f;
}

/* The first piece as it came, for the error that says that the others did not. RFC 1122 3.3.2, RFC
 * 4443 3.3: only if there is one. */
static void tell_timeout(struct stack *st, struct env *env, struct frag *f)
{
    uint32_t len = f->first_len;
    if (len == 0) {
        return;
    }
    uint8_t *at = head_put(f, len, false);
    struct ip_hdr ip = {
        .src = f->key.src,
        .dst = f->key.dst,
        .start = at,
        .len = (size_t)(f->data + HEAD_ROOM - at) + len,
        .payload = f->data + HEAD_ROOM,
        .payload_len = len,
        .proto = f->next,
        .v6 = f->key.v6,
    };
    icmp_send_error(st, env, &ip, ICMP_REASM_TIME, 0);
}

void frag_timer(struct stack *st, struct env *env, struct timer *t)
{
    struct frag *f = CONTAINER_OF(t, struct frag, timer);
    st->stats.IpReasmTimeout++;
    tell_timeout(st, env, f);
    fail(st, f);
}

void frag_rebuild(struct stack *st)
{
    memset(st->frag_hash, 0, sizeof st->frag_hash);
    memset(st->frag_src, 0, sizeof st->frag_src);
    st->frag_old = NULL;
    st->frag_new = NULL;
    st->nfrags = 0;
    st->frag_bytes = 0;
    for (struct frag *f = mem_obj_next(st->mem, MEM_FRAG, NULL); f;
         f = mem_obj_next(st->mem, MEM_FRAG, f)) {
        mem_obj_put(st->mem, f); /* its pages, marked by nobody, are free again */
    }
}
