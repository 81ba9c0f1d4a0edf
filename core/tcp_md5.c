/*
 * tcp_md5.c - theory of operation
 *
 * TCP-MD5, RFC 2385: a segment carries a digest of its addresses, header, data and a key that both
 * ends know (TCP_MD5SIG). A key belongs to a peer's address or, with TCP_MD5SIG_EXT, a prefix; the
 * longest prefix that fits counts. A listener's keys are for its children, each of which gets the
 * one that fits it.
 *
 *     in    A segment that should be signed and is not, that is signed and should not be, or whose
 *           digest is wrong is dropped in silence (RFC 2385 2.0), whatever it says.
 *     out   Every segment is one packet of at most one MSS, since a digest is of the whole. The
 *           option stands first, as in Linux; SACK blocks get what room is left, and a SYN-ACK that
 *           agrees to SACK leaves out timestamps.
 *
 * MD5 is no longer sound; RFC 5925 (TCP-AO) replaces this and is not here. BGP still speaks it.
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"
#include "ip.h"
#include "md5.h"
#include "sock_opt.h"

/* struct tcp_md5sig, and what is in its sockaddr_storage. */
enum {
    SIG_LEN = 216,
    SIG_FLAGS = 128,
    SIG_PREFIX = 129,
    SIG_KEYLEN = 130,
    SIG_IFINDEX = 132,
    SIG_KEY = 136,
    SIG_KEY_MAX = 80,
    FLAG_PREFIX = 1,
    FLAG_IFINDEX = 2,
    SIN_ADDR = 4,
    SIN6_ADDR = 8,
};

/* One key of a socket. */
struct md5_key {
    struct mem_obj obj; /* kind MEM_MD5 */
    struct sock *owner;
    struct md5_key *next;
    struct addr addr;
    uint8_t bits; /* of the prefix, within 128 */
    uint8_t len;
    uint8_t key[SIG_KEY_MAX];
};

uint32_t tcp_md5_key_size(void)
{
    return sizeof(struct md5_key);
}

/* ---- keys */

static bool fits(const struct md5_key *k, const struct addr *a)
{
    unsigned whole = k->bits / 8, rest = k->bits % 8;

    return memcmp(k->addr.b, a->b, whole) == 0 &&
           (rest == 0 || (k->addr.b[whole] ^ a->b[whole]) >> (8 - rest) == 0);
}

static const struct md5_key *find(const struct sock *s, const struct addr *peer)
{
    const struct md5_key *best = NULL;

    for (const struct md5_key *k = s->side ? s->side->md5_head : NULL; k; k = k->next) {
        if (fits(k, peer) && (!best || k->bits > best->bits)) {
            best = k;
        }
    }
    return best;
}

/* What is in flight, for a signature on each segment should it be sent again. */
static void cut_records(struct stack *st, struct env *env, struct tcp *c)
{
    for (uint32_t i = 0; i < c->fl->tx.n; i++) {
        const struct tx_rec *r = txq_at(&c->fl->tx, i);
        if (seq_dist(r->from, r->to) > c->snd.mss &&
            txq_split(&c->fl->tx, st->mem, env, i, seq_add(r->from, c->snd.mss), c->snd.mss)) {
            return; /* no memory: what is left will not be understood, and not be acknowledged */
        }
    }
}

/* Whether this connection's segments are signed, and so how long they may be. */
static void refresh(struct stack *st, struct env *env, struct tcp *c)
{
    bool md5 = c->s.connected && find(&c->s, &c->s.flow.raddr);

    if (md5 == c->md5) {
        return;
    }
    c->md5 = md5;
    if (tcp_synchronized(c) && c->state != TCP_TIME_WAIT) {
        tcp_sync_mss(st, c);
        if (md5) {
            cut_records(st, env, c);
        }
    }
}

static struct md5_key **place_of(struct side *x, const struct addr *a, uint8_t bits)
{
    struct md5_key **at = &x->md5_head;

    while (*at && !((*at)->bits == bits && addr_eq(&(*at)->addr, a))) {
        at = &(*at)->next;
    }
    return at;
}

static int add_key(struct stack *st, struct env *env, struct sock *s, const struct md5_key *key)
{
    struct side *x = sock_side(st, env, s);
    struct md5_key **at = x ? place_of(x, &key->addr, key->bits) : NULL;
    struct md5_key *k = at && *at ? *at : NULL;

    if (x && !k) {
        k = mem_obj_get(st->mem, env, MEM_MD5);
    }
    if (!k) {
        return -ERR_NOBUFS;
    }
    k->addr = key->addr;
    k->bits = key->bits;
    k->len = key->len;
    memcpy(k->key, key->key, sizeof k->key);
    if (!k->owner) {
        k->next = x->md5_head;
        x->md5_head = k;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        k->owner = s;
    }
    return 0;
}

static int del_key(struct stack *st, struct sock *s, const struct md5_key *key)
{
    struct md5_key **at = s->side ? place_of(s->side, &key->addr, key->bits) : NULL;
    struct md5_key *k = at ? *at : NULL;

    if (!k) {
        return -ERR_NOENT;
    }
    *at = k->next;
    mem_obj_put(st->mem, k);
    return 0;
}

/* Linux's tcp_v4_parse_md5_keys and tcp_v6_parse_md5_keys. */
static int parse(const struct sock *s, bool ext, const uint8_t *p, struct md5_key *out)
{
    uint16_t family, keylen;
    int32_t ifindex;
    bool v6 = s->family == LX_AF_INET6;

    memcpy(&family, p, sizeof family);
    memcpy(&keylen, p + SIG_KEYLEN, sizeof keylen);
    memcpy(&ifindex, p + SIG_IFINDEX, sizeof ifindex);
    if (family != s->family) {
        return -ERR_INVAL;
    }
    out->addr = v6 ? addr_of6(p + SIN6_ADDR) : addr_of4(p + SIN_ADDR);
    unsigned most = addr_is4(&out->addr) ? 32 : 128;
    unsigned bits = most;
    if (ext && p[SIG_FLAGS] & FLAG_PREFIX) {
        bits = p[SIG_PREFIX];
    }
    if (bits > most || (ext && p[SIG_FLAGS] & FLAG_IFINDEX && ifindex) || keylen > SIG_KEY_MAX) {
        return -ERR_INVAL; /* the one device is no L3 master */
    }
    out->bits = (uint8_t)(bits + 128 - most);
    out->len = (uint8_t)keylen;
    memcpy(out->key, p + SIG_KEY, keylen);
    return 0;
}

int tcp_md5_setopt(struct stack *st, struct env *env, struct tcp *c, bool ext, const void *val,
                   size_t len)
{
    struct md5_key key = {0};

    if (len < SIG_LEN) {
        return -ERR_INVAL;
    }
    int err = parse(&c->s, ext, val, &key);
    if (!err) {
        err = key.len ? add_key(st, env, &c->s, &key) : del_key(st, &c->s, &key);
    }
    refresh(st, env, c);
    return err;
}

void tcp_md5_open(struct tcp *c)
{
    c->md5 = find(&c->s, &c->s.flow.raddr) != NULL;
}

bool tcp_md5_inherit(struct stack *st, struct env *env, struct tcp *child, const struct tcp *l)
{
    const struct md5_key *k = find(&l->s, &child->s.flow.raddr);

    if (k && add_key(st, env, &child->s, k)) {
        return false;
    }
    child->md5 = k != NULL;
    return true;
}

void tcp_md5_drop(struct stack *st, struct sock *s)
{
    struct md5_key *k;

    while (s->side && (k = s->side->md5_head) != NULL) {
        s->side->md5_head = k->next;
        mem_obj_put(st->mem, k);
    }
}

void tcp_md5_rebuild(struct stack *st)
{
    for (struct md5_key *k = mem_obj_next(st->mem, MEM_MD5, NULL); k;
         k = mem_obj_next(st->mem, MEM_MD5, k)) {
        struct sock *s = k->owner;
        if (!s || s->obj.kind != MEM_TCP || !s->side || k->len > SIG_KEY_MAX || k->bits > 128) {
            mem_obj_put(st->mem, k);
            continue;
        }
        k->next = s->side->md5_head;
        s->side->md5_head = k;
    }
}

/* ---- digests, RFC 2385 2.0 */

static void add_pseudo(struct md5 *m, const struct addr *src, const struct addr *dst, uint32_t len)
{
    const uint8_t l4[4] = {0, LX_IPPROTO_TCP, (uint8_t)(len >> 8), (uint8_t)len};
    const uint8_t l6[8] = {
        (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0,
        LX_IPPROTO_TCP};

    if (addr_is4(src)) {
        md5_add(m, addr_bytes4(src), 4);
        md5_add(m, addr_bytes4(dst), 4);
        md5_add(m, l4, sizeof l4);
    } else {
        md5_add(m, src->b, 16);
        md5_add(m, dst->b, 16);
        md5_add(m, l6, sizeof l6);
    }
}

/* The header without its options and with a checksum of zero. */
static void digest(const struct md5_key *k, const struct addr *src, const struct addr *dst,
                   const uint8_t *th, uint32_t hdr_len, const struct span *v, size_t n,
                   uint8_t out[MD5_LEN])
{
    struct md5 m;
    struct tcp_hdr h;

    memcpy(&h, th, sizeof h);
    h.csum = be16_of(0);
    md5_init(&m);
    add_pseudo(&m, src, dst, hdr_len + (uint32_t)span_total(v, n));
    md5_add(&m, &h, sizeof h);
    for (size_t i = 0; i < n; i++) {
        md5_add(&m, v[i].p, v[i].n);
    }
    md5_add(&m, k->key, k->len);
    md5_end(&m, out);
}

void tcp_md5_sign(const struct tcp *c, uint8_t *th, const struct pkt_out *p)
{
    const struct md5_key *k = find(&c->s, &c->s.flow.raddr);

    if (k) {
        digest(k, &c->s.flow.laddr, &c->s.flow.raddr, th, (uint32_t)(p->hdr_len - p->ip_len),
               p->span, p->nspan, th + TCP_MD5_AT);
    }
}

const struct md5_key *tcp_md5_for_reply(const struct sock *s, const struct addr *peer)
{
    return s ? find(s, peer) : NULL;
}

void tcp_md5_sign_bare(const struct md5_key *k, const struct addr *src, const struct addr *dst,
                       uint8_t *th, uint32_t hdr_len)
{
    digest(k, src, dst, th, hdr_len, NULL, 0, th + TCP_MD5_AT);
}

enum drop tcp_md5_check(struct stack *st, const struct tcp *c, const struct ip_hdr *ip,
                        const struct tcp_seg *seg)
{
    const struct md5_key *k = find(&c->s, &ip->src);
    uint8_t want[MD5_LEN];

    if (!k) {
        st->stats.TcpMD5Unexpected += seg->md5 != NULL;
        return seg->md5 ? DROP_TCP_MD5_UNEXPECTED : DROP_NONE;
    }
    if (!seg->md5) {
        st->stats.TcpMD5NotFound++;
        return DROP_TCP_MD5_MISSING;
    }
    struct span data = {.p = seg->data, .n = seg->len};
    digest(k, &ip->src, &ip->dst, ip->payload, seg->hdr_len, &data, 1, want);
    uint8_t differ = 0;
    for (unsigned i = 0; i < MD5_LEN; i++) { /* in a time that tells nothing */
        differ |= (uint8_t)(want[i] ^ seg->md5[i]);
    }
    if (differ) {
        st->stats.TcpMD5Failure++;
        return DROP_TCP_MD5_FAILURE;
    }
    return DROP_NONE;
}
