/*
 * sock_priv.h - what the protocols behind sock.h share with it: how a socket comes to be, leaves
 * the tables, and goes.
 */
#ifndef STANDIN_CORE_SOCK_PRIV_H
#define STANDIN_CORE_SOCK_PRIV_H

#include "sock.h"

struct stack;

/* One EV_CALL record; what it says of the socket is taken before the verb, which may free it. */
struct sock_call {
    uint8_t call; /* enum event_call */
    uint8_t proto;
    uint16_t lport, rport;
    uint16_t arg2;
    uint32_t id;
    int32_t fd;
    uint64_t arg;
    struct addr addr; /* bind, connect */
};

struct sock_call sock_call(uint8_t call, const struct sock *s, uint64_t arg, uint16_t arg2);
void sock_record(struct stack *st, const struct env *env, const struct sock_call *c, int64_t ret);

/* Names the sockets a verb is about to change, and says that it has: recovery (stack.c) aborts
 * those named. */
void sock_touch(struct stack *st, struct sock *s, struct sock *s2);
void sock_untouch(struct stack *st);

/* As sock_touch for one socket, on behalf of the program's call: what is sent meanwhile is sent by
 * it. */
void sock_verb(struct stack *st, struct env *env, struct sock *s, uint8_t call);

/* The common part of a new, zeroed object: identity, wildcard address, Linux's default options.
 * `family` is written last: an object whose family is 0 was never finished, and recovery drops it.
 */
void sock_init_common(struct stack *st, struct env *env, struct sock *s, int family, int type,
                      int proto);

/* A child of a listener: its family, owner and options. The flow is the caller's. */
void sock_init_child(struct stack *st, struct env *env, struct sock *child,
                     const struct sock *listener);

/* The connection is over but a member still holds the socket: it leaves the table of connections,
 * and gives its port back unless bind(2) named it (Linux's tcp_set_state(TCP_CLOSE)). The names
 * that getsockname tells stay. */
void sock_leave(struct stack *st, struct sock *s);

/* As sock_leave, and forgets the peer and every address and port that bind(2) did not name: connect
 * may be tried anew. */
void sock_forget_peer(struct stack *st, struct sock *s);

/* For a connect or a send to `to` (the wildcard becomes ourselves): the source address.
 * AFNOSUPPORT, NETUNREACH, INVAL. */
int sock_route(const struct stack *st, const struct sock *s, struct endpoint *to, struct addr *src);

/* The end of the object: out of the tables, no watches, the memory back. The protocol has given its
 * own memory back. */
void sock_free(struct stack *st, struct sock *s);

/* Whether this points to a live, finished socket; for recovery, where pointers may be stale. */
bool sock_live(const struct stack *st, const struct sock *s);

static inline bool sock_held(const struct sock *s)
{
    return (s->members.w[0] | s->members.w[1] | s->members.w[2] | s->members.w[3]) != 0;
}

#endif
