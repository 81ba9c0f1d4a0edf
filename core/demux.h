/*
 * demux.h - finds the socket a packet is for; bind rules and port ownership (Linux's, with
 * SO_REUSEADDR/SO_REUSEPORT).
 *
 * Two hash tables, both indices over the live sockets: connections by protocol and four-tuple,
 * bound sockets by protocol and local port. A last-connection cache stands before the first.
 */
#ifndef STANDIN_CORE_DEMUX_H
#define STANDIN_CORE_DEMUX_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "sock.h"

struct stack;

struct demux {
    struct sock **conn; /* page run */
    struct sock **bind; /* page run; two lists per bucket (demux.c) */
    uint32_t conn_mask;
    uint32_t bind_mask;
    uint32_t nconn;
    uint32_t nbind;
    uint8_t conn_order;
    uint8_t bind_order;
    struct sock *last; /* the connection found last */
    uint8_t key[16];   /* of the hash: no peer can aim at a bucket */
};

int demux_init(struct stack *st, struct env *env); /* -ERR_NOMEM */

/* The connection with exactly this flow, or NULL. */
struct sock *demux_conn(struct stack *st, uint8_t proto, const struct flow *f);

/* The listener (TCP) or bound socket (UDP, connected ones first) for a packet to f->laddr:lport
 * from raddr:rport: the most specific wins; among SO_REUSEPORT equals the flow's hash chooses.
 * NULL: none. */
struct sock *demux_bound(struct stack *st, uint8_t proto, const struct flow *f);

/* All datagram sockets a multicast or broadcast packet is for, one after the other; start with
 * NULL. */
struct sock *demux_each(struct stack *st, uint8_t proto, const struct flow *f, struct sock *prev);

/* Enters a socket under its flow; -ERR_ADDRINUSE when that connection exists, -ERR_NOMEM. */
int demux_add_conn(struct stack *st, struct env *env, struct sock *s);
void demux_del_conn(struct stack *st, struct sock *s);

/* Gives the socket the local address and port (0: picks a free one at random, RFC 6056), by the
 * rules of bind(2). -ERR_ADDRINUSE. */
int demux_bind(struct stack *st, struct env *env, struct sock *s, const struct addr *at,
               uint16_t port);

/* Whether the bound socket may become a listener beside those there are; -ERR_ADDRINUSE. */
int demux_may_listen(struct stack *st, struct sock *s);

/* An ephemeral port for a connect to `to` such that the four-tuple is free, and binds it.
 * -ERR_ADDRNOTAVAIL. */
int demux_pick_port(struct stack *st, struct env *env, struct sock *s, const struct addr *laddr,
                    const struct endpoint *to);

/* A child of a listener shares its port (flow.lport) without bind rules. */
void demux_share_port(struct stack *st, struct sock *child);

void demux_del_bind(struct stack *st, struct sock *s);

/* Recovery: both tables anew from the live sockets (their in_conn, in_bind). */
int demux_rebuild(struct stack *st, struct env *env);

#endif
