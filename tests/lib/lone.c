/*
 * lone.c - see lone.h.
 */
#include "tests/lib/lone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/csum.h"

#define ARENA ((size_t)512 << 20)

static _Noreturn void fatal(const char *what)
{
    fprintf(stderr, "lone: %s\n", what);
    abort();
}

static size_t csum_at(uint8_t proto)
{
    return proto == 6 ? 16 : proto == 17 ? 6 : 2;
}

/* The transport part of a whole packet: where it begins, and its protocol; 0 when it is a fragment
 * or unknown. */
static size_t upper_of(const uint8_t *p, size_t len, uint8_t *proto)
{
    if (p[0] >> 4 == 4) {
        *proto = p[9];
        return (p[6] & 0x3f) == 0 && p[7] == 0 ? (size_t)(p[0] & 15) * 4 : 0;
    }
    *proto = p[6];
    if (*proto == 0 && len > 48 && p[41] == 0) { /* a hop-by-hop header: MLD has one */
        *proto = p[40];
        return *proto == 58 ? 48 : 0;
    }
    return len > 40 && (*proto == 6 || *proto == 17 || *proto == 58) ? 40 : 0;
}

static uint64_t pseudo_of(const uint8_t *p, size_t len, size_t at, uint8_t proto)
{
    struct addr src = p[0] >> 4 == 4 ? addr_of4(p + 12) : addr_of6(p + 8);
    struct addr dst = p[0] >> 4 == 4 ? addr_of4(p + 16) : addr_of6(p + 24);
    return proto <= 2 ? 0 : csum_pseudo(&src, &dst, proto, (uint32_t)(len - at));
}

void lone_fix(uint8_t *p, size_t len)
{
    uint8_t proto;
    if (p[0] >> 4 == 4) {
        size_t ihl = (size_t)(p[0] & 15) * 4;
        p[10] = p[11] = 0;
        be16 sum = csum_fold(csum_add(0, p, min_size(ihl, len)));
        memcpy(p + 10, sum.b, 2);
    }
    size_t at = upper_of(p, len, &proto);
    if (at != 0 && at + csum_at(proto) + 2 <= len) {
        memset(p + at + csum_at(proto), 0, 2);
        be16 sum = csum_fold(csum_add(pseudo_of(p, len, at, proto), p + at, len - at));
        memcpy(p + at + csum_at(proto), sum.b, 2);
    }
}

static void judge(struct lone_pkt *k)
{
    uint8_t proto;
    uint8_t *p = k->p;
    size_t said =
        p[0] >> 4 == 4 ? (size_t)p[2] << 8 | p[3] : (size_t)40 + (size_t)(p[4] << 8 | p[5]);
    if (said != k->len) {
        fatal("a packet's length field is wrong");
    }
    if (p[0] >> 4 == 4 && !csum_good(csum_add(0, p, (size_t)(p[0] & 15) * 4))) {
        fatal("a packet's header checksum is wrong");
    }
    size_t at = upper_of(p, k->len, &proto);
    if (at == 0) {
        return;
    }
    uint64_t pseudo = pseudo_of(p, k->len, at, proto);
    if (k->partial) {
        be16 sum = csum_partial(pseudo);
        if (memcmp(p + at + csum_at(proto), sum.b, 2) != 0) {
            fatal("a partial checksum is wrong");
        }
        lone_fix(p, k->len);
    } else if ((proto != 17 || p[at + 6] != 0 || p[at + 7] != 0) &&
               !csum_good(csum_add(pseudo, p + at, k->len - at))) {
        fatal("a packet's transport checksum is wrong");
    }
}

static void emit(struct env *env, const struct pkt_out *p)
{
    struct lone *h = (struct lone *)(void *)env;
    h->emitted++;
    if (h->nout == LONE_OUT_MAX) {
        return;
    }
    struct lone_pkt *k = &h->out[h->nout++];
    *k = (struct lone_pkt){.len = pkt_out_len(p), .gso_size = p->gso_size};
    k->partial = p->csum_partial;
    k->p = malloc(k->len);
    memcpy(k->p, p->hdr, p->hdr_len);
    size_t at = p->hdr_len;
    for (uint8_t i = 0; i < p->nspan; i++) {
        memcpy(k->p + at, p->span[i].p, p->span[i].n);
        at += p->span[i].n;
    }
    judge(k);
}

static const struct env_ops ops = {.emit = emit, .grow = heap_grow, .random = heap_random};

void lone_init(struct lone *h, uint32_t caps, void (*tune)(struct stack_config *cfg))
{
    struct stack_config cfg = {.naddr = 2, .mtu = 1500, .caps = caps};
    *h = (struct lone){0};
    heap_init(&h->heap, ARENA, 42);
    h->heap.env.ops = &ops;
    h->heap.env.now = 1000 * SEC;
    h->heap.env.real = 1700000000 * SEC;
    cfg.addr[0] = (struct ifaddr){lone_addr("10.77.0.2"), 24};
    cfg.addr[1] = (struct ifaddr){lone_addr("fd77::2"), 64};
    knobs_default(&cfg.knobs);
    if (tune) {
        tune(&cfg);
    }
    h->st = stack_init(h->heap.base, h->heap.base, ARENA, &cfg, &h->heap.env);
    if (!h->st) {
        fatal("no stack");
    }
}

int lone_fini(struct lone *h)
{
    const char *bad = stack_check(h->st);
    struct mem_use use = mem_use(h->st->mem);
    for (int k = 0; !bad && k < MEM_KINDS; k++) {
        bad = use.objs[k] != 0 ? "objects are left" : NULL;
    }
    if (bad) {
        fprintf(stderr, "lone: %s\n", bad);
    }
    lone_forget(h);
    heap_fini(&h->heap);
    return bad ? -1 : 0;
}

struct lone *lone_new(uint32_t caps, void (*tune)(struct stack_config *cfg))
{
    struct lone *h = malloc(sizeof *h);
    lone_init(h, caps, tune);
    return h;
}

int lone_free(struct lone *h)
{
    int bad = lone_fini(h);
    free(h);
    return bad;
}

void lone_recover(struct lone *h)
{
    stack_recover(h->st, lone_env(h));
    const char *bad = stack_check(h->st);
    if (bad) {
        fatal(bad);
    }
}

struct env *lone_env(struct lone *h)
{
    return &h->heap.env;
}

void lone_in(struct lone *h, const void *p, size_t len)
{
    uint8_t *own = malloc(len > 0 ? len : 1); /* its end is the end of the memory: ASan sees */
    memcpy(own, p, len);
    stack_input(h->st, &h->heap.env, &(struct pkt_in){.p = own, .len = len});
    stack_flush(h->st, &h->heap.env);
    free(own);
}

const struct lone_pkt *lone_take(struct lone *h)
{
    return h->taken < h->nout ? &h->out[h->taken++] : NULL;
}

void lone_forget(struct lone *h)
{
    for (uint32_t i = 0; i < h->nout; i++) {
        free(h->out[i].p);
    }
    h->nout = 0;
    h->taken = 0;
}

void lone_wait(struct lone *h, nsec until)
{
    nsec at;
    while ((at = stack_deadline(h->st)) <= until) {
        h->heap.env.now = nsec_max(h->heap.env.now, at);
        stack_expire(h->st, &h->heap.env);
    }
    h->heap.env.now = until;
}

struct addr lone_addr(const char *text)
{
    struct addr a;
    if (!addr_parse(text, &a)) {
        fatal("no address");
    }
    return a;
}

struct endpoint lone_at(const char *text, uint16_t port)
{
    return (struct endpoint){.addr = lone_addr(text), .port = port};
}

static void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static size_t header(uint8_t *buf, const char *src, const char *dst, uint8_t proto, size_t len)
{
    struct addr a = lone_addr(src);
    struct addr b = lone_addr(dst);
    if (addr_is4(&a)) {
        memset(buf, 0, 20);
        buf[0] = 0x45;
        put16(buf + 2, 20 + len);
        buf[8] = 64;
        buf[9] = proto;
        memcpy(buf + 12, addr_bytes4(&a), 4);
        memcpy(buf + 16, addr_bytes4(&b), 4);
        return 20;
    }
    memset(buf, 0, 40);
    buf[0] = 0x60;
    put16(buf + 4, len);
    buf[6] = proto;
    buf[7] = 64;
    memcpy(buf + 8, a.b, 16);
    memcpy(buf + 24, b.b, 16);
    return 40;
}

size_t lone_ip(uint8_t *buf, const char *src, const char *dst, uint8_t proto, const void *upper,
               size_t len)
{
    size_t at = header(buf, src, dst, proto, len);
    memmove(buf + at, upper, len);
    lone_fix(buf, at + len);
    return at + len;
}

size_t lone_udp(uint8_t *buf, const char *src, uint16_t sport, const char *dst, uint16_t dport,
                const void *data, size_t len)
{
    size_t at = header(buf, src, dst, 17, len + 8);
    put16(buf + at, sport);
    put16(buf + at + 2, dport);
    put16(buf + at + 4, len + 8);
    memcpy(buf + at + 8, data, len);
    lone_fix(buf, at + 8 + len);
    return at + 8 + len;
}

size_t lone_icmp(uint8_t *buf, const char *src, const char *dst, uint8_t type, uint8_t code,
                 uint32_t rest, const void *data, size_t len)
{
    struct addr a = lone_addr(src);
    size_t at = header(buf, src, dst, addr_is4(&a) ? 1 : 58, len + 8);
    be32 word = be32_of(rest);
    buf[at] = type;
    buf[at + 1] = code;
    memcpy(buf + at + 4, word.b, 4);
    memmove(buf + at + 8, data, len);
    lone_fix(buf, at + 8 + len);
    return at + 8 + len;
}

size_t lone_frag(uint8_t *buf, const char *src, const char *dst, uint8_t proto, uint32_t id,
                 const uint8_t *upper, size_t from, size_t n, bool more)
{
    struct addr a = lone_addr(src);
    bool v6 = !addr_is4(&a);
    size_t at = header(buf, src, dst, v6 ? 44 : proto, n + (v6 ? 8 : 0));
    if (v6) {
        be32 word = be32_of(id);
        buf[at] = proto;
        buf[at + 1] = 0;
        put16(buf + at + 2, from | more);
        memcpy(buf + at + 4, word.b, 4);
        at += 8;
    } else {
        put16(buf + 4, id);
        put16(buf + 6, from / 8 | (more ? 0x2000 : 0));
    }
    memcpy(buf + at, upper + from, n);
    lone_fix(buf, at + n);
    return at + n;
}

struct sock *lone_sock(struct lone *h, int family, int type)
{
    int err;
    struct sock *s = sock_create(h->st, lone_env(h), family, type, 0, &err);
    if (!s) {
        fatal("no socket");
    }
    return s;
}

int lone_bind(struct lone *h, struct sock *s, const char *at, uint16_t port)
{
    struct endpoint e = lone_at(at, port);
    return sock_bind(h->st, lone_env(h), s, &e, true);
}

int lone_connect(struct lone *h, struct sock *s, const char *to, uint16_t port)
{
    struct endpoint e = lone_at(to, port);
    return sock_connect(h->st, lone_env(h), s, &e);
}

int64_t lone_send(struct lone *h, struct sock *s, const void *p, size_t len, const char *to,
                  uint16_t port)
{
    struct endpoint e = {.port = port};
    struct span v = {.p = p, .n = len};
    if (to) {
        e.addr = lone_addr(to);
    }
    int64_t ret = sock_send(h->st, lone_env(h), s, &v, 1, 0, to ? &e : NULL);
    stack_flush(h->st, lone_env(h));
    return ret;
}

int64_t lone_recv(struct lone *h, struct sock *s, void *p, size_t len, uint32_t flags,
                  struct recv_info *info)
{
    struct mspan v = {.p = p, .n = len};
    return sock_recv(h->st, lone_env(h), s, &v, 1, flags, info);
}

void lone_close(struct lone *h, struct sock *s)
{
    sock_release(h->st, lone_env(h), s, 0);
}

int lone_errno(int err)
{
    switch (-err) {
#define ERR(name, text) \
    case ERR_##name:    \
        return E##name;
        ERR_LIST
#undef ERR
    default:
        return 0;
    }
}
