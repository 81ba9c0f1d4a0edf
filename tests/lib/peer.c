/*
 * peer.c - see peer.h.
 */
#include "tests/lib/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

static _Noreturn void fatal(const char *what)
{
    fprintf(stderr, "peer: %s\n", what);
    abort();
}

struct peer peer_of(struct lone *h, bool v6, uint16_t rport)
{
    return (struct peer){
        .h = h,
        .us = v6 ? "fd77::2" : "10.77.0.2",
        .them = v6 ? "fd77::1" : "10.77.0.1",
        .lport = 80,
        .rport = rport,
        .seq = 1000,
        .wnd = 65535,
    };
}

size_t peer_build(const struct peer *p, const struct peer_seg *s, uint8_t buf[LONE_PKT_MAX])
{
    static uint8_t seg[LONE_PKT_MAX];
    size_t hdr = TCP_HDR_MIN + (s->nopt + 3) / 4 * 4;
    struct tcp_hdr h = {
        .sport = be16_of(p->rport),
        .dport = be16_of(p->lport),
        .seq = be32_of(s->seq),
        .ack = be32_of(s->ack),
        .off = (uint8_t)((s->off ? s->off : hdr / 4) << 4 | (s->reserved & 7u) << 1 |
                         (s->flags & TCP_AE ? 1 : 0)),
        .flags = (uint8_t)s->flags,
        .wnd = be16_of(s->wnd),
        .up = be16_of(s->up),
    };

    memset(seg, 0, hdr);
    memcpy(seg, &h, sizeof h);
    if (s->nopt) {
        memcpy(seg + TCP_HDR_MIN, s->opt, s->nopt);
    }
    if (s->len && s->data) {
        memcpy(seg + hdr, s->data, s->len);
    } else {
        memset(seg + hdr, 0, s->len);
    }
    return lone_ip(buf, p->them, p->us, 6, seg, hdr + s->len);
}

void peer_send(const struct peer *p, const struct peer_seg *s)
{
    static uint8_t buf[LONE_PKT_MAX];

    lone_in(p->h, buf, peer_build(p, s, buf));
}

void peer_say(struct peer *p, uint16_t flags, const void *data, size_t len)
{
    struct peer_seg s = {.seq = p->seq,
                         .ack = flags & TCP_ACK ? p->ack : 0,
                         .flags = flags,
                         .wnd = p->wnd,
                         .data = data,
                         .len = len};

    peer_send(p, &s);
    p->seq += (uint32_t)len + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
}

bool peer_take(struct peer *p, struct tcp_seg *out)
{
    const struct lone_pkt *k;

    while ((k = lone_take(p->h)) != NULL) {
        size_t at = k->p[0] >> 4 == 4 ? 20 : 40;
        uint8_t proto = k->p[0] >> 4 == 4 ? k->p[9] : k->p[6];
        if (proto == 6 && tcp_seg_parse(out, k->p + at, k->len - at) == DROP_NONE &&
            out->dport == p->rport && out->sport == p->lport) {
            return true;
        }
    }
    return false;
}

uint32_t peer_drain(struct peer *p)
{
    struct tcp_seg s;
    uint32_t n = 0;

    while (peer_take(p, &s)) {
        n++;
    }
    return n;
}

void peer_connect(struct peer *p, struct sock *listener, const void *opt, size_t nopt)
{
    struct tcp_seg in;
    int err;

    peer_send(p, &(struct peer_seg){
                     .seq = p->seq, .flags = TCP_SYN, .wnd = p->wnd, .opt = opt, .nopt = nopt});
    if (!peer_take(p, &in) || (in.flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK)) {
        fatal("no SYN,ACK");
    }
    p->seq++;
    p->ack = in.seq.v + 1;
    peer_say(p, TCP_ACK, NULL, 0);
    p->s = sock_accept(p->h->st, lone_env(p->h), listener, &err);
    if (!p->s) {
        fatal("nothing to accept");
    }
}

struct sock *peer_listener(struct lone *h, uint16_t port, int backlog)
{
    struct sock *s = lone_sock(h, LX_AF_INET6, LX_SOCK_STREAM);

    if (lone_bind(h, s, "::", port) || sock_listen(h->st, lone_env(h), s, backlog)) {
        fatal("no listener");
    }
    return s;
}
