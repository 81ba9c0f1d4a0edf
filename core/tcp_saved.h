/*
 * tcp_saved.h - TCP_SAVE_SYN and TCP_SAVED_SYN: the headers of the SYN that opened a connection,
 * for the program that accepts it. Linux, not RFC.
 *
 * An object each, named by the request (tcp_req.saved) and then by the child's side object; it is
 * given back when it has been read, as on Linux. A connection from a SYN cookie has none. On a TUN
 * there is no header of the link, so TCP_SAVE_SYN 2 gives what 1 does.
 */
#ifndef STANDIN_CORE_TCP_SAVED_H
#define STANDIN_CORE_TCP_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "mem.h"

struct ip_hdr;
struct sock;
struct stack;
struct tcp;
struct tcp_req;

#define SAVED_SYN_MAX 240u /* bytes; of a SYN with more (IPv6 extensions) nothing is kept */

struct saved_syn {
    struct mem_obj obj; /* kind MEM_SYN */
    bool named;         /* recovery: by a request or a connection */
    uint8_t len;
    uint8_t bytes[SAVED_SYN_MAX]; /* IP and TCP header, as they came */
};

/* A SYN has made this request: keeps its headers if the listener wants them. */
void tcp_saved_keep(struct stack *st, struct env *env, struct tcp_req *r, const struct ip_hdr *ip);
/* The request has become c; it goes away without. */
void tcp_saved_hand_over(struct stack *st, struct env *env, struct tcp_req *r, struct tcp *c);
void tcp_saved_forget(struct stack *st, struct tcp_req *r);

/* TCP_SAVED_SYN: 0, or -ERR_INVAL with what it needs in *len. */
int tcp_saved_take(struct stack *st, struct sock *s, void *val, size_t *len);

/* The socket goes. */
void tcp_saved_free(struct stack *st, struct sock *s);

/* Recovery, after sockets and requests were rebuilt: what nobody names is given back. */
void tcp_saved_rebuild(struct stack *st);

#endif
