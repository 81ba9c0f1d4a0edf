/*
 * tcp_place.c - theory of operation
 *
 * Direct placement (place.h) is a guess about the next packet of the link. It is made only where a
 * right guess means that nothing but the seventh check of RFC 9293 3.10.7.4 will touch the bytes:
 * the peer may still send, there are no holes and no urgent mark, and
 * somebody reads. Whether it was right is
 * decided from the header alone: the flow, no flag but ACK and PSH, the very next sequence number,
 * a header of the expected length, a timestamp that PAWS lets pass, an acknowledgment of what is in
 * flight, a payload within the window. Everything else is no error: the packet goes the usual way.
 *
 * The guess is that what came last comes again: place_hint is the connection whose segments in
 * sequence have been large.
 */
#include "place.h"

#include "check.h"
#include "sock_priv.h"
#include "sock_ts.h"
#include "tcp_cb.h"

#define DOUBTS_MAX 4u

struct sock *place_likely(const struct stack *st)
{
    return st->place_hint;
}

void place_forget(struct stack *st)
{
    st->place_hint = NULL;
}

/* A sender ends its writes with small segments, and acknowledgments of another stream may come in
 * between. */
void place_doubt(struct stack *st)
{
    if (++st->place_doubt > DOUBTS_MAX) {
        st->place_hint = NULL;
    }
}

static bool expects_text(const struct tcp *c)
{
    bool open =
        c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2;

    return open && c->fl->ooo.n == 0 && !c->fin_ahead && !c->s.rcv_shut && !c->s.orphan &&
           !tcp_urg_pending(c) && !ts_wanted(&c->s) && !c->md5;
}

/* In the ring: as much as a packet can hold and the window allows. */
static bool ring_place(struct stack *st, struct env *env, struct tcp *c, struct rx_place *out)
{
    uint32_t room = min_u32(tcp_rcv_left(c), 65536u);

    ring_rewind(&c->rq);
    if (room < PLACE_MIN || ring_reserve(&c->rq, st->mem, env, ring_len(&c->rq) + room)) {
        return false;
    }
    out->nspan = (uint8_t)ring_mspans(&c->rq, ring_tail(&c->rq), room, out->span);
    return true;
}

bool place_ready(struct stack *st, struct env *env, struct sock *s, struct mspan own,
                 struct rx_place *out)
{
    struct tcp *c = tcp_of(s);

    if (s->proto != LX_IPPROTO_TCP || !expects_text(c)) {
        return false;
    }
    out->sock = s;
    out->hdr_len = (addr_is4(&s->flow.raddr) ? 20u : 40u) + TCP_HDR_MIN + tcp_opt_len(c->ts_ok, 0);
    out->own = own.n != 0;
    if (!out->own) {
        return ring_place(st, env, c, out);
    }
    out->nspan = 1;
    out->span[0] = own;
    return ring_len(&c->rq) == 0;
}

static bool is_expected(const struct tcp *c, const struct rx_place *pl, const struct ip_hdr *ip,
                        const struct tcp_seg *seg)
{
    const struct flow *f = &c->s.flow;
    uint32_t hdr_len = (uint32_t)(ip->payload - ip->start) + seg->hdr_len;

    return hdr_len == pl->hdr_len && seg->dport == f->lport && seg->sport == f->rport &&
           addr_eq(&ip->src, &f->raddr) && addr_eq(&ip->dst, &f->laddr) &&
           (seg->flags & ~TCP_PSH) == TCP_ACK && seq_eq(seg->seq, c->rcv.nxt) &&
           seg->has_ts == c->ts_ok && (!c->ts_ok || (int32_t)(seg->ts_val - c->ts_recent) >= 0) &&
           seg->len && seg->len <= tcp_rcv_left(c) && seq_leq(c->snd.una, seg->ack) &&
           seq_leq(seg->ack, c->snd.nxt);
}

bool stack_input_placed(struct stack *st, struct env *env, const struct pkt_in *in,
                        const struct rx_place *pl, size_t *landed)
{
    struct tcp *c = tcp_of(pl->sock);
    struct ip_hdr ip;
    struct tcp_seg seg;

    *landed = 0;
    ip.bad_why = 0;
    if (!in->csum_ok || in->len <= pl->hdr_len || ip_parse(in, &ip) != DROP_NONE || ip.frag ||
        ip.len != in->len || ip.proto != LX_IPPROTO_TCP ||
        tcp_seg_parse(&seg, ip.payload, ip.payload_len) != DROP_NONE ||
        !is_expected(c, pl, &ip, &seg)) {
        place_doubt(st);
        return false;
    }
    seg.place = pl;
    seg.gso_size = ip.gso_size;
    *landed = pl->own ? min_size(seg.len, pl->span[0].n) : 0;
    st->stats.IpInReceives++;
    st->stats.IpInBytes += in->len;
    st->stats.IpInDelivers++;
    st->stats.TcpInSegs++;
    tcp_arrives(st, env, c, &ip, &seg);
    return true;
}

void place_received(struct stack *st, struct env *env, struct sock *s, size_t n)
{
    struct sock_call call = sock_call(EVC_RECV, s, n, 0);

    st->touching = s;
    tcp_rcv_taken(st, env, tcp_of(s), (uint32_t)n);
    st->touching = NULL;
    sock_record(st, env, &call, (int64_t)n);
}

/* The payload is where it belongs, but for what the span was too short for. */
void tcp_place_take(struct tcp *c, const struct tcp_seg *seg)
{
    const struct rx_place *pl = seg->place;
    size_t room = mspan_total(pl->span, pl->nspan);
    uint32_t there = (uint32_t)min_size(seg->len, room);

    if (pl->own) {
        ring_skip(&c->rq, there);
    }
    if (seg->len > there) {
        ring_put(&c->rq, pl->own ? ring_tail(&c->rq) : ring_tail(&c->rq) + there, seg->data + there,
                 seg->len - there);
    }
}

bool tcp_place_room(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg)
{
    size_t there = min_size(seg->len, mspan_total(seg->place->span, seg->place->nspan));
    size_t need = seg->place->own ? seg->len - there : ring_len(&c->rq) + seg->len;

    return need == 0 || ring_reserve(&c->rq, st->mem, env, need) == 0;
}
