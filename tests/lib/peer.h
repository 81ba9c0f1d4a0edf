/*
 * peer.h - a TCP peer by hand for a lone host: a test writes every field of the segments it sends,
 * and reads those that come back.
 */
#ifndef STANDIN_TESTS_PEER_H
#define STANDIN_TESTS_PEER_H

#include "core/tcp_wire.h"
#include "tests/lib/lone.h"

struct peer {
    struct lone *h;
    const char *us, *them; /* addresses: the host's, the peer's */
    uint16_t lport, rport; /* ports: the host's, the peer's */
    uint32_t seq;          /* the next number of the peer */
    uint32_t ack;          /* what it has received */
    uint16_t wnd;
    struct sock *s; /* after peer_accept */
};

/* One segment. Fields that are not given are zero; flags say what is set. */
struct peer_seg {
    uint32_t seq, ack;
    uint16_t flags, wnd, up;
    uint8_t reserved;   /* the three bits between data offset and flags */
    uint8_t off;        /* the data offset in words; 0: the right one */
    const uint8_t *opt; /* padded with zeros to a whole word */
    size_t nopt;
    const void *data;
    size_t len;
};

/* A peer of port 80 on 10.77.0.2 or fd77::2. */
struct peer peer_of(struct lone *h, bool v6, uint16_t rport);

/* The whole packet; its length. */
size_t peer_build(const struct peer *p, const struct peer_seg *s, uint8_t buf[LONE_PKT_MAX]);
void peer_send(const struct peer *p, const struct peer_seg *s);

/* Sends at p->seq with p->ack and p->wnd, and counts what was sent. */
void peer_say(struct peer *p, uint16_t flags, const void *data, size_t len);

/* The next segment the host sent to this peer; false: there is none. Others are passed over. */
bool peer_take(struct peer *p, struct tcp_seg *out);
uint32_t peer_drain(struct peer *p); /* how many there were */

/* The handshake with a listener, and its accept. Options as for a SYN. */
void peer_connect(struct peer *p, struct sock *listener, const void *opt, size_t nopt);

/* A listening socket on that port, both families. */
struct sock *peer_listener(struct lone *h, uint16_t port, int backlog);

#endif
