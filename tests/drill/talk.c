/*
 * Which connection a line of the script or an emitted packet belongs to.
 *
 * As in packetdrill there is one under test: the last socket made, connected or accepted; an
 * inbound packet to a listener, or to nobody, opens a new one from a fresh port of the peer.
 * Beyond packetdrill, a line that writes its ports ("5000 > 8080") means the connection with
 * those ports, so that a script may have several.
 */
#include <stdlib.h>

#include "run.h"

enum { TCP = 6, UDP = 17 };

struct conv *talk_new(struct run *r, uint8_t proto)
{
    struct conv *c = calloc(1, sizeof *c);
    if (!c) {
        abort();
    }
    c->proto = proto;
    c->v6 = r->cfg.ip == IP_V6;
    c->live_fd = -1;
    c->state = proto == TCP ? CONV_NEW : CONV_DATAGRAMS;
    c->next = r->convs;
    r->convs = c;
    return c;
}

static struct conv *talk_open(struct run *r, uint8_t proto, uint16_t lport, uint16_t rport)
{
    struct conv *c = talk_new(r, proto);
    c->state = proto == TCP ? CONV_OPEN : CONV_DATAGRAMS;
    c->local = (struct endpoint){r->cfg.local, lport};
    c->remote = (struct endpoint){r->cfg.remote, rport};
    return c;
}

static uint8_t proto_of(const struct spec *s)
{
    return s->proto == SPEC_UDP ? UDP : TCP;
}

/* A line with ports. */
static struct conv *by_ports(struct run *r, const struct spec *s)
{
    uint16_t lport = s->dir == DIR_IN ? s->dport : s->sport;
    uint16_t rport = s->dir == DIR_IN ? s->sport : s->dport;
    for (struct conv *c = r->convs; c; c = c->next) {
        if (c->proto == proto_of(s) && c->remote.port == rport &&
            (lport == 0 || c->local.port == lport)) {
            return c;
        }
    }
    if (s->dir == DIR_OUT) {
        return r->cur;
    }
    struct conv *c =
        talk_open(r, proto_of(s), lport ? lport : r->cfg.bind_port, rport ? rport : r->next_port++);
    c->written_ports = true;
    r->cur = c;
    return c;
}

/* Datagram ends that no call has told are the defaults. */
static void fill_datagrams(struct run *r, struct conv *c)
{
    if (c->local.port == 0) {
        c->local = (struct endpoint){r->cfg.local, r->cfg.bind_port};
    }
    if (addr_is_any(&c->local.addr) || addr_eq(&c->local.addr, &(struct addr){{0}})) {
        c->local.addr = r->cfg.local;
    }
    if (c->remote.port == 0) {
        c->remote = (struct endpoint){r->cfg.remote, r->cfg.connect_port};
    }
}

struct conv *talk_of_line(struct run *r, const struct spec *s)
{
    struct conv *c = r->cur;
    if (s->proto != SPEC_ICMP && (s->sport || s->dport)) {
        c = by_ports(r, s);
    } else if (s->dir == DIR_IN && s->proto == SPEC_TCP &&
               (!c || c->state == CONV_LISTEN || c->state == CONV_NEW)) {
        c = r->cur = talk_open(r, TCP, r->cfg.bind_port, r->next_port++);
    } else if (s->dir == DIR_IN && !c) {
        c = r->cur = talk_open(r, proto_of(s), r->cfg.bind_port, r->cfg.connect_port);
    } else if (s->dir == DIR_IN && c->state == CONV_LISTEN) {
        c = talk_open(r, TCP, r->cfg.bind_port, r->next_port++);
    }
    if (c && s->dir == DIR_IN && c->state == CONV_DATAGRAMS) {
        fill_datagrams(r, c);
    }
    return c;
}

bool talk_owns(const struct conv *c, const struct wire *w)
{
    if (c->remote.port && !addr_eq(&c->remote.addr, &w->dst)) {
        return false;
    }
    if (w->proto != TCP && w->proto != UDP) {
        return true;
    }
    return w->proto == c->proto && (c->remote.port == 0 || c->remote.port == w->dport) &&
           c->remote.port + c->local.port != 0 && (c->local.port == 0 || c->local.port == w->sport);
}

struct conv *talk_of_packet(struct run *r, const struct wire *w)
{
    if (r->cur && talk_owns(r->cur, w)) {
        return r->cur;
    }
    for (struct conv *c = r->convs; c; c = c->next) {
        if (talk_owns(c, w)) {
            return c;
        }
    }
    return NULL;
}

struct conv *talk_of_fd(struct run *r, int live_fd)
{
    for (struct conv *c = r->convs; c; c = c->next) {
        if (c->live_fd == live_fd) {
            return c;
        }
    }
    return NULL;
}

/* The socket under test opens another connection than the one it had. */
static struct conv *connects_anew(struct run *r, const struct wire *w)
{
    struct conv *old = r->cur;
    if (!old || old->proto != TCP || !addr_eq(&old->remote.addr, &w->dst) ||
        old->remote.port != w->dport) {
        return NULL;
    }
    struct conv *c = talk_new(r, TCP);
    c->state = CONV_CONNECT;
    c->remote = old->remote;
    c->live_fd = old->live_fd;
    old->live_fd = -1;
    r->cur = c;
    return c;
}

/* --local_isn is a promise to the script. */
static void check_isn(struct run *r, const struct wire *w)
{
    if (r->cfg.isn_given && !r->isn_seen && w->proto == TCP && w->flags & F_SYN) {
        r->isn_seen = true;
        if (w->seq != r->cfg.isn) {
            run_fail(r, "--local_isn: the stack began at %u", w->seq);
        }
    }
}

void talk_sent(struct run *r, const struct wire *w)
{
    check_isn(r, w);
    bool opens = w->proto == TCP && (w->flags & (F_SYN | F_ACK)) == F_SYN;
    struct conv *c = talk_of_packet(r, w);
    if (!c && opens) {
        c = connects_anew(r, w);
    }
    if (!c || (w->proto != TCP && w->proto != UDP)) {
        return;
    }
    if (c->local.port == 0) {
        c->local = (struct endpoint){w->src, w->sport};
    }
    if (opens && c->have_local_isn && c->local_live != w->seq) {
        c->have_local_isn = c->have_remote_isn = c->have_ts = false;
        c->nts = 0;
    }
    if (opens && c->state == CONV_CONNECT) {
        c->state = CONV_OPEN;
    }
}
