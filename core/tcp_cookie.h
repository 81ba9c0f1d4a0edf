/*
 * tcp_cookie.h - SYN cookies (RFC 4987 3.6): a request whose whole state is in our initial sequence
 * number, and in our timestamp if the peer has them.
 */
#ifndef STANDIN_CORE_TCP_COOKIE_H
#define STANDIN_CORE_TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "seq.h"

struct ip_hdr;
struct stack;
struct tcp;
struct tcp_req;
struct tcp_seg;

/* Makes a request one of a cookie: r->iss; r->mss falls to what a cookie can tell, and without
 * timestamps there are no other options. */
void tcp_cookie_make(struct stack *st, struct env *env, struct tcp_req *r);

/* The timestamp of its SYN-ACK, before the connection's offset: `now` or up to 63 before it. */
uint32_t tcp_cookie_ts(const struct tcp_req *r, uint32_t now);

/* Whether an acknowledgment that reached a listener brings a cookie of the last two minutes; then
 * *r is the request. */
bool tcp_cookie_check(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                      const struct tcp_seg *seg, struct tcp_req *r);

#endif
