/*
 * frag.c - theory of operation.
 *
 * A datagram in pieces is one struct frag: a buffer into which every piece is copied at its place,
 * and the list of pieces that have come. A piece is taken when it overlaps none of them. One that
 * equals another is a duplicate made by the network and ignored; any other overlap condemns the
 * datagram (RFC 5722 for IPv6, Linux for both): what the two said cannot both be meant. The
 * datagram is whole when the last piece is there and the bytes add up; then a plain header is put
 * in front and it goes through the parser again like any packet.
 *
 *   data   | room for a header: HEAD_ROOM | payload ... |
 *
 * Bounds: FRAGS_MAX datagrams, BYTES_MAX of buffers, FRAGS_PER_SRC from one source, FRAG_PIECES_MAX
 * pieces each, and time. When a bound is met the oldest goes (of that source, or of all): a flood
 * of first fragments pushes out its own, and a datagram whose pieces follow each other closely gets
 * through. (FragmentSmack: CVE-2018-5391.)
 *
 * Fragments of one datagram are compared with at most 127 others, and hash buckets are keyed.
 */
#include "frag.h"

#include "be.h"
#include "check.h"
#include "icmp.h"
#include "ip_priv.h"
#include "isn.h"
#include "stack.h"

#define FRAGS_MAX     512u
#define FRAGS_PER_SRC 64u
#define BYTES_MAX     (4u << 20) /* Linux: ipfrag_high_thresh */
#define HEAD_ROOM     64u
#define TIME4         (30 * SEC) /* Linux: ipfrag_time; RFC 1122 3.3.2 would like 60 to 120 s */
#define TIME6         (60 * SEC) /* RFC 8200 4.5 */
#define TOTAL_MAX     65535u

static struct frag **bucket(struct stack *st, const struct frag_key *key)
{
    return &st->frag_hash[isn_hash(st->port_secret, key, sizeof *key) % STACK_FRAG_HASH];
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
static void evict_of_source(struct stack *st, const struct addr *src)
{
    struct frag *oldest = NULL;
    uint32_t n = 0;
    for (struct frag *f = st->frag_old; f; f = f->old_next) {
        if (addr_eq(&f->key.src, src)) {
            oldest = oldest ? oldest : f;
            n++;
        }
    }
    if (n >= FRAGS_PER_SRC) {
        fail(st, oldest);
    }
}

static struct frag *begin(struct stack *st, struct env *env, const struct frag_key *key)
{
    evict_of_source(st, &key->src);
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
    st->stats.IpFragCreates++;
    timer_set(&st->timers, &f->timer, nsec_add(env->now, key->v6 ? TIME6 : TIME4));
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
    while (st->frag_bytes + more > BYTES_MAX) {
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

static enum fit fit_of(const struct frag *f, uint32_t from, uint32_t to)
{
    for (uint16_t i = 0; i < f->npieces; i++) {
        const struct frag_piece *p = &f->piece[i];
        if (p->from == from && p->to == to) {
            return FIT_AGAIN;
        }
        if (from < p->to && p->from < to) {
            return FIT_OVERLAP;
        }
    }
    return FIT_NEW;
}

/* Whether the end that this piece claims agrees with all that is known. */
static bool end_agrees(struct frag *f, uint32_t to, bool more)
{
    if (f->total != 0 && (to > f->total || (!more && to != f->total))) {
        return false;
    }
    return more || to >= f->reach;
}

/* RFC 3168 5.3: congestion marked on one piece is marked on the whole; with pieces that were not
 * capable it is none. */
static void note_ecn(struct frag *f, uint8_t tos)
{
    f->ce = f->ce || (tos & 3) == 3;
    f->not_ect = f->not_ect || (tos & 3) == 0;
}

static bool piece_put(struct stack *st, struct env *env, struct frag *f, const struct ip_hdr *ip)
{
    uint32_t from = ip->frag_at;
    uint32_t to = from + (uint32_t)ip->payload_len;
    if (f->npieces == FRAG_PIECES_MAX || !end_agrees(f, to, ip->frag_more) ||
        !reserve(st, env, f, to)) {
        return false;
    }
    memcpy(f->data + HEAD_ROOM + from, ip->payload, ip->payload_len);
    f->piece[f->npieces++] = (struct frag_piece){.from = (uint16_t)from, .to = (uint16_t)to};
    f->have += to - from;
    f->reach = max_u32(f->reach, to);
    if (!ip->frag_more) {
        f->total = to;
    }
    if (from == 0) {
        f->next = ip->proto;
        f->tos = ip->tos;
        f->ttl = ip->ttl;
    }
    note_ecn(f, ip->tos);
    return true;
}

/* Puts a plain header before the first `len` bytes of the payload; returns where the packet begins.
 */
static uint8_t *head_put(struct frag *f, uint32_t len, bool whole)
{
    bool v6 = f->key.v6;
    uint8_t ecn = whole && f->ce ? 3 : f->tos & 3;
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

/* What cannot be part of any datagram. RFC 791 3.2, RFC 8200 4.5 */
static enum drop impossible(const struct ip_hdr *ip)
{
    size_t head = ip->v6 ? 0 : sizeof(struct ip4_hdr);
    bool odd = ip->frag_more && ip->payload_len % 8 != 0;
    bool long_ = ip->frag_at + ip->payload_len + head > TOTAL_MAX; /* ping of death */
    return odd || long_ || ip->payload_len == 0 ? DROP_IP_FRAGMENT : DROP_NONE;
}

/* RFC 8200 4.5: IPv6 tells the source so. */
static void tell_impossible(struct stack *st, struct env *env, const struct ip_hdr *ip)
{
    if (!ip->v6 || ip->payload_len == 0) {
        return;
    }
    bool odd = ip->frag_more && ip->payload_len % 8 != 0;
    uint32_t offset_at = (uint32_t)(ip->payload - ip->start) - 6; /* in the fragment header */
    struct ip_hdr about = *ip;
    about.frag_at = 0; /* this error is due for any fragment */
    icmp_send_error(st, env, &about, ICMP_PARAM_PROBLEM, odd ? 4 : offset_at);
}

struct frag *frag_input(struct stack *st, struct env *env, const struct ip_hdr *ip,
                        struct pkt_in *out, enum drop *why)
{
    struct frag_key key = key_of(ip);
    *why = impossible(ip);
    if (*why != DROP_NONE) {
        tell_impossible(st, env, ip);
        return NULL;
    }
    struct frag *f = find(st, &key);
    f = f ? f : begin(st, env, &key);
    if (!f) {
        *why = DROP_NO_MEMORY;
        return NULL;
    }
    enum fit fit = fit_of(f, ip->frag_at, ip->frag_at + (uint32_t)ip->payload_len);
    if (fit == FIT_AGAIN) {
        *why = DROP_IP_FRAGMENT;
        return NULL;
    }
    if (fit == FIT_OVERLAP || !piece_put(st, env, f, ip) || (f->ce && f->not_ect)) {
        *why = DROP_IP_FRAGMENT;
        fail(st, f);
        return NULL;
    }
    if (f->total == 0 || f->have != f->total) {
        return NULL;
    }
    st->stats.IpReasmOKs++;
    out->p = head_put(f, f->total, true);
    out->len = (size_t)(f->data + HEAD_ROOM - out->p) + f->total;
    out->csum_ok = false;
    out->gso_size = 0;
    return f;
}

/* The first piece as it came, for the error that says that the others did not. */
static void tell_timeout(struct stack *st, struct env *env, struct frag *f)
{
    for (uint16_t i = 0; i < f->npieces; i++) {
        if (f->piece[i].from == 0) {
            uint32_t len = f->piece[i].to;
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
            return;
        }
    }
}

void frag_timer(struct stack *st, struct env *env, struct timer *t)
{
    struct frag *f = CONTAINER_OF(t, struct frag, timer);
    tell_timeout(st, env, f);
    fail(st, f);
}

void frag_rebuild(struct stack *st)
{
    memset(st->frag_hash, 0, sizeof st->frag_hash);
    st->frag_old = NULL;
    st->frag_new = NULL;
    st->nfrags = 0;
    st->frag_bytes = 0;
    for (struct frag *f = mem_obj_next(st->mem, MEM_FRAG, NULL); f;
         f = mem_obj_next(st->mem, MEM_FRAG, f)) {
        mem_obj_put(st->mem, f); /* its pages, marked by nobody, are free again */
    }
}
