/*
 * udp_priv.h - what udp.c (queues, packets in) and udp_snd.c (packets out) share.
 */
#ifndef STANDIN_CORE_UDP_PRIV_H
#define STANDIN_CORE_UDP_PRIV_H

#include "be.h"
#include "event.h"
#include "udp.h"

/* RFC 768 */
struct udp_hdr {
    be16 sport;
    be16 dport;
    be16 len;
    be16 csum;
};
_Static_assert(sizeof(struct udp_hdr) == 8, "RFC 768");

/* RFC 792, RFC 4443 4.1 */
struct echo_hdr {
    uint8_t type;
    uint8_t code;
    be16 csum;
    be16 id;
    be16 number;
};
_Static_assert(sizeof(struct echo_hdr) == 8, "RFC 792");

static inline struct udp *udp_of(struct sock *s)
{
    return (struct udp *)(void *)s;
}

static inline bool is_ping(const struct sock *s)
{
    return s->proto != LX_IPPROTO_UDP;
}

/* A datagram of the socket with room for `len` bytes; NULL without memory. */
struct dgram *dgram_new(struct stack *st, struct env *env, struct sock *s, size_t len);
void dgram_free(struct stack *st, struct dgram *d);

/* Copies its bytes out; how many. What a receiver is told of it, by the socket's options. */
size_t dgram_scatter(const struct dgram *d, struct mspan *v, size_t n);
void dgram_info(const struct sock *s, const struct dgram *d, struct recv_info *info);

static inline uint8_t *dgram_bytes(struct dgram *d)
{
    return d->data ? d->data : d->small;
}

/* The pending error, taken: 0 or negative. */
static inline int udp_take_error(struct sock *s)
{
    int err = s->err;
    s->err = ERR_OK;
    return -err;
}

/* EV_DGRAM_IN, EV_DGRAM_OUT */
void udp_record(struct stack *st, const struct env *env, enum event_kind kind, const struct sock *s,
                uint16_t rport, size_t len, bool v6);

#endif
