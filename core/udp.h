/*
 * udp.h - datagram sockets: UDP (RFC 768) and unprivileged ICMP echo ("ping") sockets: parse,
 * build, queue.
 *
 * The verbs stand behind those of sock.h.
 */
#ifndef STANDIN_CORE_UDP_H
#define STANDIN_CORE_UDP_H

#include "ip.h"
#include "sock.h"

struct stack;

/* One datagram, or one error of the error queue, waiting to be received. Small payloads lie inside.
 */
struct dgram {
    struct mem_obj obj;
    struct dgram *next;
    struct sock *owner;
    struct recv_info info;
    uint64_t number; /* of arrival: recovery puts the queues in its order */
    bool is_err;     /* belongs to the error queue */
    uint32_t len;
    uint8_t order; /* of the page run `data`; payload inside when data is NULL */
    uint8_t *data;
    uint8_t small[256];
};

struct udp {
    struct sock s; /* first */
    struct dgram *head, *tail;
    uint32_t queued; /* bytes charged against the receive buffer */
    uint32_t dropped;
    bool cork;        /* UDP_CORK */
    bool gro;         /* UDP_GRO */
    bool no_check_tx; /* UDP_NO_CHECK6_TX, _RX: IPv6 without checksum (RFC 6935) */
    bool no_check_rx;
    struct dgram *pending; /* what MSG_MORE and UDP_CORK hold back: one datagram in the making */
    uint8_t ngroups;
    struct mcast_member *groups; /* mcast.h */
    /* IP_MULTICAST_IF, IPV6_MULTICAST_IF */
    uint8_t mcast_src[4];
    uint32_t mcast_ifindex6;
};

void udp_init(struct stack *st, struct sock *s);
int64_t udp_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                 uint32_t flags, const struct endpoint *to);
int64_t udp_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                 uint32_t flags, struct recv_info *info);
int udp_shutdown(struct stack *st, struct env *env, struct sock *s, int how);
void udp_close(struct stack *st, struct env *env, struct sock *s);
uint32_t udp_ready(const struct stack *st, const struct sock *s);
int64_t udp_ioctl(struct stack *st, struct sock *s, uint32_t request);

/* A packet with protocol 17 that is for us. False: no socket (the caller answers port unreachable).
 */
bool udp_input(struct stack *st, struct env *env, const struct ip_hdr *ip);

/* An ICMP echo reply for a ping socket. */
void udp_ping_input(struct stack *st, struct env *env, const struct ip_hdr *ip);

/* An ICMP error about a datagram of ours: pending error of a connected socket; the error queue with
 * IP_RECVERR. */
void udp_icmp_error(struct stack *st, struct env *env, struct sock *s, enum err err, bool hard,
                    const struct recv_info *ee, const struct span *quoted);

/* Level IPPROTO_UDP. */
int udp_setopt(struct stack *st, struct env *env, struct sock *s, int name, const void *val,
               size_t len);
int udp_getopt(const struct sock *s, int name, void *val, size_t *len);

/* Recovery: marks the datagrams' memory and makes the queues anew from them; sockets nobody holds
 * go. */
void udp_rebuild(struct stack *st, struct env *env);

#endif
