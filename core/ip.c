/*
 * ip.c - theory of operation.
 *
 * What both families have in common: which addresses are ours, which source a destination gets, how
 * large a packet may be, and the way out. There is one link and no routing table: what is not ours
 * goes to the link.
 *
 *   ip_send   to an address of ours    -> the loop queue, whole, whatever its size
 *             larger than the path     -> fragments, or -ERR_MSGSIZE
 *             gso_size and a link without TSO -> cut into segments here
 *             otherwise                -> one packet; the checksum is the link's where it can
  *
 * A packet in the loop queue is complete but for its transport checksum: nothing
 * can have damaged it.
 */
#include "ip.h"

#include "csum.h"
#include "event.h"
#include "ip_priv.h"
#include "mcast.h"
#include "pmtu.h"

#define LOOP_MTU      65535u /* Linux: lo's 65536, less what an IPv4 length can say */
#define LOOP_PKTS_MAX 1024u  /* Linux: netdev_max_backlog is 1000 */

enum { TCP_AT_SEQ = 4, TCP_AT_FLAGS = 13, TCP_FIN_PSH = 0x09, UDP_AT_LEN = 4 };

enum drop ip_parse(const struct pkt_in *in, struct ip_hdr *out)
{
    uint8_t version = in->len > 0 ? in->p[0] >> 4 : 0;
    if (version == 4) {
        return ip4_parse(in, out);
    }
    return version == 6 ? ip6_parse(in, out) : in->len > 0 ? DROP_IP_VERSION : DROP_IP_SHORT;
}

bool ip_is_local(const struct stack *st, const struct addr *a)
{
    for (uint32_t i = 0; i < st->naddr; i++) {
        if (addr_eq(a, &st->addr[i].addr)) {
            return true;
        }
    }
    return addr_is_loopback(a);
}

/* RFC 1122 3.2.1.3 (d); RFC 3021 2.1: none in a subnet of two. */
static bool is_subnet_broadcast(const struct ifaddr *ours, const struct addr *a)
{
    if (ours->bits > 30 || !addr_is4(&ours->addr) || !addr_in_prefix(a, &ours->addr, ours->bits)) {
        return false;
    }
    be32 host;
    memcpy(host.b, addr_bytes4(a), sizeof host.b);
    uint32_t mask = UINT32_MAX >> ours->bits;
    return (be32_get(host) & mask) == mask;
}

bool ip_is_broadcast(const struct stack *st, const struct addr *a)
{
    if ((a->b[15] & 3) != 3 || !addr_is4(a)) { /* a subnet has at least two bits for its hosts */
        return false;
    }
    for (uint32_t i = 0; i < st->naddr; i++) {
        if (is_subnet_broadcast(&st->addr[i], a)) {
            return true;
        }
    }
    return addr_is_broadcast(a);
}

bool ip_is_ours(const struct stack *st, const struct addr *dst)
{
    if (ip_is_local(st, dst)) {
        return true;
    }
    return addr_is_multicast(dst) ? mcast_joined(st, dst) : ip_is_broadcast(st, dst);
}

static unsigned common_prefix(const struct addr *a, const struct addr *b)
{
    for (unsigned i = 0; i < sizeof a->b; i++) {
        uint8_t diff = a->b[i] ^ b->b[i];
        if (diff != 0) {
            return i * 8 + (unsigned)__builtin_clz(diff) - 24;
        }
    }
    return 128;
}

/* How well an address of ours serves as the source for dst; larger is better, 0: not at all. */
static unsigned source_score(const struct ifaddr *ours, const struct addr *dst)
{
    if (addr_is4(&ours->addr) != addr_is4(dst)) {
        return 0;
    }
    unsigned score = 1;
    if (addr_in_prefix(dst, &ours->addr, ours->bits)) {
        score += 1000u + ours->bits; /* the subnet's own address: its route is the most specific */
    }
    if (addr_is4(dst)) {
        return score; /* Linux: otherwise the first address of the device */
    }
    if (addr_is_linklocal(dst) == addr_is_linklocal(&ours->addr)) {
        score += 200; /* RFC 6724 5, rule 2 */
    }
    return score + common_prefix(dst, &ours->addr); /* rule 8 */
}

bool ip_source_for(const struct stack *st, const struct addr *dst, struct addr *src)
{
    static const struct addr loopback4 = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    unsigned best = 0;

    if (addr_is_loopback(dst)) {
        *src = addr_is4(dst) ? loopback4 : *dst;
        return true;
    }
    for (uint32_t i = 0; i < st->naddr; i++) {
        if (addr_eq(dst, &st->addr[i].addr)) {
            *src = *dst;
            return true;
        }
        unsigned score = source_score(&st->addr[i], dst);
        if (score > best) {
            best = score;
            *src = st->addr[i].addr;
        }
    }
    return best > 0;
}

uint32_t ip_mtu(const struct stack *st, const struct addr *dst)
{
    uint32_t mtu = pmtu_of(st, dst);
    return mtu == st->mtu && ip_is_local(st, dst) ? LOOP_MTU : mtu;
}

uint8_t *ip_begin(struct pkt_out *p, bool v6)
{
    p->ip_len = v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip4_hdr);
    p->hdr_len = p->ip_len;
    p->csum_offset = 0xffff;
    p->gso_size = 0;
    p->v6 = v6;
    p->csum_partial = false;
    p->nspan = 0;
    p->proto = 0;
    p->reason = TX_NONE;
    p->sock_id = 0;
    return p->hdr + p->ip_len;
}

uint8_t ip_cut(const struct pkt_out *p, size_t from, size_t n, struct span out[PKT_SPAN_MAX])
{
    uint8_t nout = 0;
    for (uint8_t i = 0; i < p->nspan && n > 0; i++) {
        const struct span *s = &p->span[i];
        if (from >= s->n) {
            from -= s->n;
            continue;
        }
        size_t take = min_size(n, s->n - from);
        out[nout++] = (struct span){.p = s->p + from, .n = take};
        from = 0;
        n -= take;
    }
    return nout;
}

static void emit(struct stack *st, struct env *env, const struct pkt_out *p, size_t total)
{
    st->stats.IpOutRequests++;
    st->stats.IpOutBytes += total;
    env->ops->emit(env, p);
}

/* The header of an unfragmented packet. */
static void build(struct stack *st, struct pkt_out *p, const struct ip_send *how, size_t total)
{
    if (p->v6) {
        ip6_build(p->hdr, how, total, how->proto);
    } else {
        bool df = how->df && !(st->pmtu_nlocked != 0 && pmtu_locked(st, &how->dst));
        ip4_build(p->hdr, how, total, df ? 0 : ip4_next_id(st), df ? IP4_DF : 0);
    }
}

static uint64_t pseudo(const struct pkt_out *p, const struct ip_send *how, size_t total)
{
    uint32_t len = (uint32_t)(total - p->ip_len);
    return p->v6 ? csum_pseudo(&how->src, &how->dst, how->proto, len)
                 : ip4_pseudo(&how->src, &how->dst, how->proto, len);
}

/* The whole transport checksum. */
static void csum_fill(struct pkt_out *p, const struct ip_send *how, size_t total)
{
    uint8_t *field = p->hdr + p->ip_len + p->csum_offset;
    size_t at = (size_t)p->hdr_len - p->ip_len;
    uint64_t sum = 0;

    memset(field, 0, 2);
    if (how->proto != LX_IPPROTO_ICMP) { /* RFC 792: no pseudo-header */
        sum = pseudo(p, how, total);
    }
    sum = csum_add(sum, p->hdr + p->ip_len, at);
    for (uint8_t i = 0; i < p->nspan; i++) {
        sum = csum_add_at(sum, p->span[i].p, p->span[i].n, at);
        at += p->span[i].n;
    }
    be16 folded = csum_fold(sum);
    if (how->proto == LX_IPPROTO_UDP && be16_get(folded) == 0) {
        folded = be16_of(0xffff); /* RFC 768: 0 would say that there is none */
    }
    memcpy(field, folded.b, 2);
}

/* The checksum by whoever does it. */
static void csum_settle(struct stack *st, struct pkt_out *p, const struct ip_send *how,
                        size_t total)
{
    if (p->csum_offset == 0xffff) {
        return;
    }
    p->csum_partial = (st->caps & LINK_CSUM) != 0 &&
                      (how->proto == LX_IPPROTO_TCP || how->proto == LX_IPPROTO_UDP);
    if (p->csum_partial) {
        be16 sum = csum_partial(pseudo(p, how, total));
        memcpy(p->hdr + p->ip_len + p->csum_offset, sum.b, 2);
    } else {
        csum_fill(p, how, total);
    }
}

/* A TCP packet with gso_size over a link that cannot cut it: each segment gets the header with its
 * own sequence number; FIN and PSH belong to the last, CWR to the first (RFC 3168 6.1.2). */
static void send_segments(struct stack *st, struct env *env, struct pkt_out *p,
                          const struct ip_send *how, size_t payload)
{
    struct pkt_out seg = *p;
    uint8_t *tcp = seg.hdr + seg.ip_len;
    uint8_t flags = tcp[TCP_AT_FLAGS];
    be32 first;

    memcpy(first.b, tcp + TCP_AT_SEQ, sizeof first.b);
    seg.gso_size = 0;
    for (size_t at = 0; at < payload;) {
        size_t n = min_size(p->gso_size, payload - at);
        be32 from = be32_of(be32_get(first) + (uint32_t)at);
        memcpy(tcp + TCP_AT_SEQ, from.b, sizeof from.b);
        tcp[TCP_AT_FLAGS] =
            (uint8_t)(flags & ~(at > 0 ? TCP_CWR : 0) & ~(at + n < payload ? TCP_FIN_PSH : 0));
        seg.nspan = ip_cut(p, at, n, seg.span);
        build(st, &seg, how, seg.hdr_len + n);
        csum_settle(st, &seg, how, seg.hdr_len + n);
        emit(st, env, &seg, seg.hdr_len + n);
        at += n;
    }
}

/* UDP datagrams of one size over a link that cannot cut them: each gets the header with its own
 * length. */
static void send_datagrams(struct stack *st, struct env *env, struct pkt_out *p,
                           const struct ip_send *how, size_t payload)
{
    struct pkt_out one = *p;
    size_t head = (size_t)one.hdr_len - one.ip_len;

    one.gso_size = 0;
    for (size_t at = 0; at < payload;) {
        size_t n = min_size(p->gso_size, payload - at);
        be16 len = be16_of((uint16_t)(head + n));
        memcpy(one.hdr + one.ip_len + UDP_AT_LEN, len.b, sizeof len.b);
        one.nspan = ip_cut(p, at, n, one.span);
        build(st, &one, how, one.hdr_len + n);
        csum_settle(st, &one, how, one.hdr_len + n);
        emit(st, env, &one, one.hdr_len + n);
        at += n;
    }
}

/* Whether the link cuts such a packet itself. */
static bool link_cuts(const struct stack *st, const struct pkt_out *p)
{
    if (p->proto == LX_IPPROTO_UDP) {
        return (st->caps & (p->v6 ? LINK_USO6 : LINK_USO4)) != 0;
    }
    return (st->caps & (p->v6 ? LINK_TSO6 : LINK_TSO4)) != 0;
}

static void fragment_header(struct pkt_out *f, const struct ip_send *how, size_t at, size_t n,
                            bool more, uint32_t id)
{
    if (!f->v6) {
        ip4_build(f->hdr, how, sizeof(struct ip4_hdr) + n, (uint16_t)id,
                  (uint16_t)(at / 8 | (more ? IP4_MF : 0)));
        return;
    }
    struct ip6_frag_hdr *h = (void *)(f->hdr + sizeof(struct ip6_hdr));
    ip6_build(f->hdr, how, sizeof(struct ip6_hdr) + sizeof *h + n, IP6_FRAGMENT);
    h->next = how->proto;
    h->zero = 0;
    h->at = be16_of((uint16_t)(at | more)); /* a multiple of 8, within 16 bits */
    h->id = be32_of(id);
}

/* RFC 791 3.2, RFC 8200 4.5: the datagram in pieces of a multiple of 8 bytes, the transport header
 * in the first. */
static int send_fragments(struct stack *st, struct env *env, struct pkt_out *p,
                          const struct ip_send *how, size_t total, uint32_t mtu)
{
    size_t head = p->v6 ? sizeof(struct ip6_hdr) + sizeof(struct ip6_frag_hdr) : p->ip_len;
    size_t upper = (size_t)p->hdr_len - p->ip_len;
    size_t len = total - p->ip_len;
    size_t chunk = (mtu - head) & ~(size_t)7;
    uint32_t id = p->v6 ? ip6_next_id(st) : ip4_next_id(st);
    struct pkt_out f = *p;

    size_t len_max = p->v6 ? UINT16_MAX : UINT16_MAX - sizeof(struct ip4_hdr);
    if (len > len_max || chunk < upper || mtu < head) {
        st->stats.IpFragFails++;
        return -ERR_MSGSIZE;
    }
    st->stats.IpFragOKs++;
    if (p->csum_offset != 0xffff) {
        csum_fill(p, how, total);
    }
    f.csum_offset = 0xffff;
    for (size_t at = 0; at < len; at += chunk) {
        size_t n = min_size(chunk, len - at);
        size_t skip = at == 0 ? upper : 0; /* lies in the header block */
        fragment_header(&f, how, at, n, at + n < len, id);
        memcpy(f.hdr + head, p->hdr + p->ip_len, skip);
        f.hdr_len = (uint16_t)(head + skip);
        f.nspan = ip_cut(p, at + skip - upper, n - skip, f.span);
        st->stats.IpFragCreates++;
        emit(st, env, &f, head + n);
    }
    return 0;
}

/* A copy for ourselves, delivered by stack_flush. Lost when there is no room, as on any link. */
static void send_loop(struct stack *st, struct env *env, struct pkt_out *p,
                      const struct ip_send *how, size_t total)
{
    unsigned order = 0;
    while (((size_t)MEM_PAGE << order) < total + sizeof(struct loop_pkt)) {
        order++;
    }
    struct loop_pkt *l = NULL;
    if (st->loop_len < LOOP_PKTS_MAX && order <= MEM_ORDER_MAX) {
        l = mem_pages_get(st->mem, env, order);
    }
    if (!l) {
        struct pkt_in head = {.p = p->hdr, .len = p->hdr_len};
        stack_drop(st, env, DROP_NO_MEMORY, &head);
        return;
    }
    build(st, p, how, total);
    l->next = NULL;
    l->len = (uint32_t)total;
    l->order = (uint8_t)order;
    l->gso_size = p->gso_size;
    memcpy(l->bytes, p->hdr, p->hdr_len);
    size_t at = p->hdr_len;
    for (uint8_t i = 0; i < p->nspan; i++) {
        memcpy(l->bytes + at, p->span[i].p, p->span[i].n);
        at += p->span[i].n;
    }
    *(st->loop_tail ? &st->loop_tail->next : &st->loop_head) = l;
    st->loop_tail = l;
    st->loop_len++;
    st->stats.IpOutRequests++;
    st->stats.IpOutBytes += total;
}

/* To the link. */
static int send_link(struct stack *st, struct env *env, struct pkt_out *p,
                     const struct ip_send *how, size_t total)
{
    uint32_t mtu = total > st->pmtu_min ? ip_mtu(st, &how->dst) : st->mtu;
    size_t payload = total - p->hdr_len;

    if (payload <= p->gso_size) {
        p->gso_size = 0;
    }
    if (p->gso_size == 0 && total > mtu) {
        return how->df ? -ERR_MSGSIZE : send_fragments(st, env, p, how, total, mtu);
    }
    if (p->gso_size != 0 && !link_cuts(st, p)) {
        if (p->proto == LX_IPPROTO_UDP) {
            send_datagrams(st, env, p, how, payload);
        } else {
            send_segments(st, env, p, how, payload);
        }
        return 0;
    }
    build(st, p, how, total);
    csum_settle(st, p, how, total);
    emit(st, env, p, total);
    return 0;
}

void ip_send_alert(struct stack *st, struct env *env, const struct ip_send *how, const uint8_t *msg,
                   size_t n)
{
    static const uint8_t alert4[4] = {0x94, 4, 0, 0};          /* RFC 2113 */
    static const uint8_t alert6[8] = {0, 0, 5, 2, 0, 0, 1, 0}; /* RFC 2711, and two bytes of PadN */
    struct pkt_out p;
    bool v6 = !addr_is4(&how->dst);
    (void)ip_begin(&p, v6);
    size_t fixed = p.ip_len;
    size_t option = v6 ? sizeof alert6 : sizeof alert4;
    size_t total = fixed + option + n;
    if (total > st->mtu) {
        return;
    }
    memcpy(p.hdr + fixed, v6 ? alert6 : alert4, option);
    p.ip_len = (uint16_t)(fixed + option);
    p.hdr_len = p.ip_len;
    p.proto = how->proto;
    p.reason = TX_ICMP;
    p.nspan = 1;
    p.span[0] = (struct span){.p = msg, .n = n};
    if (v6) {
        uint64_t all = csum_pseudo(&how->src, &how->dst, how->proto, (uint32_t)n);
        ip6_build(p.hdr, how, total, IP6_HOP_BY_HOP);
        p.hdr[fixed] = how->proto;
        memcpy(p.hdr + p.hdr_len, msg, 4);
        memset(p.hdr + p.hdr_len + 2, 0, 2);
        be16 whole = csum_fold(csum_add(csum_add(all, p.hdr + p.hdr_len, 4), msg + 4, n - 4));
        memcpy(p.hdr + p.hdr_len + 2, whole.b, sizeof whole.b);
        p.hdr_len = (uint16_t)(p.hdr_len + 4);
        p.span[0] = (struct span){.p = msg + 4, .n = n - 4};
    } else {
        struct ip4_hdr *h = (void *)p.hdr;
        ip4_build(p.hdr, how, total, 0, IP4_DF);
        h->ver_ihl = 0x40 | 24 / 4;
        h->csum = be16_of(0);
        h->csum = csum_fold(csum_add(0, p.hdr, p.ip_len));
    }
    emit(st, env, &p, total);
}

int ip_send(struct stack *st, struct env *env, struct pkt_out *p, const struct ip_send *how)
{
    size_t total = pkt_out_len(p);
    CHECK(p->hdr_len >= p->ip_len);
    CHECK(p->hdr_len <= PKT_HDR_MAX);
    CHECK(p->nspan <= PKT_SPAN_MAX);

    p->proto = how->proto;
    if (UNLIKELY(ip_is_local(st, &how->dst))) {
        if (p->gso_size == 0 && total > LOOP_MTU + (p->v6 ? sizeof(struct ip6_hdr) : 0)) {
            return -ERR_MSGSIZE;
        }
        send_loop(st, env, p, how, total);
        return 0;
    }
    if (UNLIKELY(how->loop)) {
        send_loop(st, env, p, how, total);
    }
    return send_link(st, env, p, how, total);
}
