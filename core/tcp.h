/*
 * tcp.h - what the rest of the stack may know of a TCP connection: its verbs, its readiness, its
 * segments' way in.
 *
 * The verbs stand behind those of sock.h, which has chosen addresses and ports before; errors and
 * effects are the same.
 */
#ifndef STANDIN_CORE_TCP_H
#define STANDIN_CORE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "ip.h"
#include "seq.h"
#include "sock.h"

struct stack;
struct timer;

/* RFC 9293 3.3.2, in its order. */
enum tcp_state {
    TCP_CLOSED,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCP_SYN_RCVD,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT,
    TCP_STATES
};

/* "SYN-SENT", as the RFC spells it. */
const char *tcp_state_name(enum tcp_state s);

/* The number Linux gives that state in tcpi_state and /proc/net/tcp. */
uint8_t tcp_state_linux(enum tcp_state s);

enum tcp_state tcp_state_of(const struct sock *s);

uint32_t tcp_obj_size(void);

/* The TCP part of a new, zeroed socket whose common part is set. */
void tcp_init(struct stack *st, struct env *env, struct sock *s);

/* OPEN, passive. The socket is bound. */
int tcp_listen(struct stack *st, struct env *env, struct sock *s, int backlog);

/* Takes the oldest established child; it is not held by anybody yet. NULL with *err: AGAIN,
 * INVAL, or the child's error. */
struct sock *tcp_accept(struct stack *st, struct env *env, struct sock *s, int *err);

/* What goes with the opening: the first bytes (RFC 7413). */
struct tcp_first {
    const struct span *v;
    size_t n;
    bool waits;     /* the caller blocks until the connection is there */
    uint64_t taken; /* out: how many of them the SYN carries */
};

/* OPEN, active: the flow is complete and entered in demux; sends the SYN, and with `f` (or NULL)
 * whatever of it Fast Open lets go with the SYN. 0; 1: TCP_FASTOPEN_CONNECT, the SYN waits for the
 * first send; -ERR_NOBUFS. */
int tcp_open(struct stack *st, struct env *env, struct sock *s, struct tcp_first *f);

/* What a further connect() is answered: ALREADY, ISCONN, 0 (once, on completion), or the error
 * that ended the attempt. */
int tcp_connect_again(struct stack *st, struct env *env, struct sock *s);

/* connect(AF_UNSPEC): aborts and is as new. */
int tcp_disconnect(struct stack *st, struct env *env, struct sock *s);

/* Whether the connection is on its way: a caller who blocks waits for OUT before its send is over.
 */
bool tcp_opening(const struct sock *s);

int64_t tcp_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                 uint32_t flags);
void tcp_send_ends(struct stack *st, struct env *env, struct sock *s, uint32_t flags);
int64_t tcp_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                 uint32_t flags, struct recv_info *info);
int tcp_shutdown(struct stack *st, struct env *env, struct sock *s, int how);

/* Nobody holds it any more: closes as Linux's close does (RST on unread data, SO_LINGER 0), or
 * frees it at once. */
void tcp_close(struct stack *st, struct env *env, struct sock *s);

/* Ends the connection: RST if the peer may think it lives; `err` for the program. */
void tcp_abort(struct stack *st, struct env *env, struct sock *s, enum err err);

bool tcp_at_mark(const struct sock *s);
uint32_t tcp_ready(const struct stack *st, const struct sock *s);

/* Level IPPROTO_TCP. */
int tcp_setopt(struct stack *st, struct env *env, struct sock *s, int name, const void *val,
               size_t len, bool privileged);
int tcp_getopt(struct stack *st, struct env *env, struct sock *s, int name, void *val, size_t *len);

/* SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT changed in s->opt. */
void tcp_opt_changed(struct stack *st, struct env *env, struct sock *s);

/* SO_SNDBUF and SO_RCVBUF as getsockopt shows them. */
uint32_t tcp_sndbuf(const struct stack *st, const struct sock *s);
/* What the send buffer holds, as Linux counts it. */
uint32_t tcp_queued(const struct sock *s);
uint32_t tcp_rcvbuf(const struct stack *st, const struct sock *s);

int64_t tcp_ioctl(struct stack *st, struct env *env, struct sock *s, uint32_t request);

/* SEGMENT ARRIVES: a packet with protocol 6 that is for us. */
void tcp_input(struct stack *st, struct env *env, const struct ip_hdr *ip);

/* An ICMP error, as the error queue tells it, about our segment with that sequence number.
 * `quoted`: from the TCP header on. `no_path`: net or host unreachable (RFC 6069). False: the
 * number is not in flight (RFC 5927); ignored. */
bool tcp_icmp_error(struct stack *st, struct env *env, struct sock *s, seq at,
                    const struct recv_info *ee, const struct span *quoted, bool no_path);

/* ICMP says that the path to the peer takes at most `told` bytes. False: nobody wants to know, or
 * what is in flight at that number would not be too large (RFC 5927 7.2); nothing was done. */
bool tcp_icmp_pmtu(struct stack *st, struct env *env, struct sock *s, seq at, uint32_t told);

/* A timer of a connection is due. */
void tcp_timer(struct stack *st, struct env *env, struct timer *t);

/* Sends what waited for the end of the batch: acknowledgments, window updates. */
void tcp_flush(struct stack *st, struct env *env);

/* Unsent or unacknowledged data or FIN of an orphan. */
bool tcp_owes(const struct sock *s);

/* Recovery: marks its memory and sets its timers again; what cannot be trusted is dropped (false:
 * the object is gone). */
bool tcp_rebuild(struct stack *st, struct env *env, struct sock *s);

/* Recovery, after all were rebuilt: the accept queues from the children. */
void tcp_rebuild_queues(struct stack *st, struct env *env);

/* TCP-MD5 (tcp_md5.c): the size of a key, the keys of a socket that goes, recovery. */
uint32_t tcp_md5_key_size(void);
void tcp_md5_drop(struct stack *st, struct sock *s);
void tcp_md5_rebuild(struct stack *st);

/* Where SOF_TIMESTAMPING_OPT_ID begins to count bytes. */
uint32_t tcp_ts_base(const struct sock *s, bool from_written);

/* Recovery, after all were rebuilt: the marks in their streams (sock_side.h). */
void tcp_mark_rebuild(struct stack *st);

/* NULL, or the invariant that does not hold. */
const char *tcp_check(const struct stack *st, const struct sock *s);

#endif
