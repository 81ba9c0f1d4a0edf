/*
 * sock.h - the protocol-neutral socket: what every socket has, and the verbs a program's calls
 * become.
 *
 * No verb blocks: what cannot be done now is -ERR_AGAIN (or -ERR_INPROGRESS for connect), and
 * readiness says when to try again. Every verb wants the stack's lock held by its caller, with
 * env->now fresh. Packets that a verb causes are emitted during the verb, except acknowledgments
 * that may wait for stack_flush.
 *
 * A socket lives in the arena and is the head of a struct tcp or struct udp. Members (processes)
 * hold it; when the last one lets go it closes as the kernel would, and the connection may live on
 * as an orphan until TCP is done with it. A pointer to a socket is good while a member holds it;
 * after that only (id, gen) tells whether it is still the same.
 *
 * Semantics, defaults and error codes are Linux's; the sources are ip(7), tcp(7), udp(7), socket(7)
 * and what a 6.18 kernel does.
 */
#ifndef STANDIN_CORE_SOCK_H
#define STANDIN_CORE_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "addr.h"
#include "env.h"
#include "err.h"
#include "mem.h"
#include "pkt.h"

struct stack;
struct side;
struct watch;

#define MEMBERS_MAX   256u
#define MEMBER_FLIGHT (MEMBERS_MAX - 1) /* no process: holds sockets that are on their way to one */

/* Who holds a socket: one bit per member of the session. */
struct members {
    uint64_t w[MEMBERS_MAX / 64];
};

enum sock_why { /* why a socket is where it is; the preload adds its own reasons above these */
                SOCK_ON_STACK,
};

/* Options as set by the program, in Linux's units; -1: not set, the stack's default holds. */
struct sock_opts {
    uint64_t max_pacing_rate; /* bytes per second; UINT64_MAX: none */
    uint32_t rcvtimeo;        /* sock_timeout(); kept for the caller, which does the waiting */
    uint32_t sndtimeo;
    int32_t sndbuf; /* bytes as getsockopt reports them (twice what was asked for) */
    int32_t rcvbuf;
    int32_t rcvlowat;
    int32_t priority;
    uint32_t mark;
    int32_t linger_s; /* -1: SO_LINGER off */
    int16_t ttl;      /* -1: ip_default_ttl */
    int16_t hoplimit;
    int16_t mcast_ttl;
    uint16_t segment; /* UDP_SEGMENT: bytes of each datagram that one send makes; 0: one */
    uint8_t tos;
    uint8_t tclass;
    uint8_t mtu_discover;
    uint8_t mtu_discover6;
    uint8_t minttl; /* TCP: from further away nothing is taken (RFC 5082) */
    uint8_t minhops;
    uint32_t timestamping;  /* LX_SOF_TIMESTAMPING_* */
    uint32_t port_range;    /* IP_LOCAL_PORT_RANGE: low | high << 16; 0: none */
    bool sndbuf_locked : 1; /* set by the program: no autotuning */
    bool rcvbuf_locked : 1;
    bool reuseaddr     : 1;
    bool reuseport     : 1;
    bool keepalive     : 1;
    bool broadcast     : 1;
    bool dontroute     : 1;
    bool debug         : 1;
    bool oobinline     : 1;
    bool no_check      : 1;
    bool timestamp     : 1;
    bool timestampns   : 1;
    bool v6only        : 1;
    bool freebind      : 1;
    bool bind_no_port  : 1;
    bool pktinfo       : 1;
    bool pktinfo6      : 1;
    bool recvttl       : 1;
    bool recvtos       : 1;
    bool recverr       : 1;
    bool recverr6      : 1;
    bool recvhoplimit  : 1;
    bool recvtclass    : 1;
    bool mcast_loop    : 1;
    bool mcast_loop6   : 1;
    bool zerocopy      : 1;
    bool transparent   : 1; /* from here on kept only */
    bool mcast_all     : 1;
    bool mcast_all6    : 1;
    bool rxq_ovfl      : 1;
    bool select_err    : 1;
    bool recvopts      : 1;
    bool retopts       : 1;
    bool origdst       : 1;
    bool origdst6      : 1;
    bool flowinfo6     : 1;
    bool dontfrag6     : 1;
    bool autoflow6     : 1;
    bool rfc4884       : 1; /* extensions of ICMP errors are not told apart */
    bool rfc4884_6     : 1;
    bool hopopts6      : 1; /* extension headers are not handed on */
    bool rthdr6        : 1;
    bool dstopts6      : 1;
    bool pathmtu6      : 1;
};

struct sock {
    struct mem_obj obj; /* kind MEM_TCP or MEM_UDP; id and gen name the socket */
    struct members members;
    struct flow flow;    /* laddr/lport: where it is bound; raddr/rport: whom it is connected to */
    uint8_t family;      /* LX_AF_INET or LX_AF_INET6 */
    uint8_t type;        /* LX_SOCK_* */
    uint8_t proto;       /* LX_IPPROTO_TCP, _UDP, _ICMP, _ICMPV6 */
    bool bound      : 1; /* has a port */
    bool bound_addr : 1; /* bind named an address that is not the wildcard */
    bool bound_port : 1; /* bind named a port (not 0) */
    bool connected  : 1; /* raddr/rport hold */
    bool orphan     : 1; /* no member holds it any more */
    bool in_conn    : 1; /* in the table of connections */
    bool in_bind    : 1; /* in the table of bound ports */
    bool bind_held  : 1; /* there only to hold the port: a TCP connection (demux.c) */
    bool auto_port  : 1; /* connect chose the port: others may share it towards other peers */
    bool rcv_shut   : 1; /* shutdown(SHUT_RD) */
    bool snd_shut   : 1; /* shutdown(SHUT_WR) */
    uint8_t err;         /* enum err: pending, taken by SO_ERROR or the next call */
    uint8_t soft_err;    /* enum err: reported if the connection times out (RFC 1122 4.2.3.9) */
    uint16_t ready;      /* poll bits at the last sock_notify */
    uint16_t file_flags; /* O_NONBLOCK, O_ASYNC of its open file description: the preload's */
    /* messages on AF_UNIX sockets that carry it: MEMBER_FLIGHT holds it meanwhile */
    uint32_t in_flight;
    int32_t fd;         /* the descriptor its program first got for it, for people; -1: none yet */
    uint64_t inode;     /* of the descriptor that stands for it; 0: none yet */
    uint32_t uid;       /* of the creator */
    uint32_t owner_pid; /* of the creator, for ss */
    nsec born;
    struct side *side;      /* rare state, NULL while there is none (sock_side.h) */
    struct watch *watches;  /* who wants to know about its readiness (pollset.h) */
    struct sock *conn_next; /* demux.h */
    struct sock *bind_next;
    struct sock *bind_prev;
    struct sock_opts opt;
};

/* Timeouts of a socket are counted in ticks, as Linux does; and kept in so many. */
#define SOCK_TICK    (4 * MSEC) /* Linux: HZ is 250 */
#define SOCK_NO_WAIT UINT32_MAX /* an instant */

/* 0: none. */
static inline nsec sock_timeout(uint32_t ticks)
{
    return ticks == SOCK_NO_WAIT ? 1 : ticks * SOCK_TICK;
}

/* Identifies a socket across the lives of its place. */
struct sock_ref {
    struct sock *s;
    uint32_t id;
    uint16_t gen;
};

/* What recv tells besides bytes. Fields with a have_ flag are filled only when the option asks for
 * them. */
struct recv_info {
    struct endpoint from; /* datagrams; for TCP the peer */
    struct addr to;       /* destination of the datagram (IP_PKTINFO) */
    uint32_t flags;       /* LX_MSG_* out: TRUNC, OOB, ERRQUEUE, EOR */
    nsec stamp;           /* realtime */
    int16_t ttl;
    uint8_t tos;
    bool have_from      : 1;
    bool have_pktinfo   : 1;
    bool have_ttl       : 1;
    bool have_tos       : 1;
    bool have_stamp     : 1;
    bool have_tstamping : 1; /* SO_TIMESTAMPING: stamp, as a struct scm_timestamping */
    bool have_inq       : 1; /* TCP_INQ */
    bool have_origdst   : 1; /* `to` and to_port */
    uint32_t inq;
    uint16_t to_port;
    uint16_t segment;  /* UDP_GRO: the datagrams that are told as one; 0: one */
    uint32_t dropped;  /* SO_RXQ_OVFL: before this one, of the socket; 0: not told */
    bool have_err : 1; /* MSG_ERRQUEUE: a struct sock_extended_err and its offender */
    struct {
        uint32_t err; /* enum err */
        uint8_t origin, type, code;
        uint32_t info, data;
        struct endpoint offender;
    } ee;
};

/*
 * socket(2). family LX_AF_*, type LX_SOCK_* without flags, proto 0 or LX_IPPROTO_*. The calling
 * member holds it. NULL with *err: AFNOSUPPORT, SOCKTNOSUPPORT, PROTONOSUPPORT, NOBUFS.
 */
struct sock *sock_create(struct stack *st, struct env *env, int family, int type, int proto,
                         int *err);

/* Says which descriptor the program got for it: the end of socket(2), or of accept(2) on `from`, in
 * the event log. */
void sock_named(struct stack *st, struct env *env, struct sock *s, int fd, const struct sock *from);

/* A call that waited ends without the verb: for the event log. call: enum event_call, err:
 * ERR_AGAIN (its time is over) or ERR_INTR. */
void sock_gave_up(struct stack *st, const struct env *env, const struct sock *s, uint8_t call,
                  enum err err);

/* bind(2); the address is IPv4-mapped for LX_AF_INET. INVAL (bound already), ADDRINUSE,
 * ADDRNOTAVAIL, ACCES (port below ip_unprivileged_port_start unless `privileged`), AFNOSUPPORT. */
int sock_bind(struct stack *st, struct env *env, struct sock *s, const struct endpoint *at,
              bool privileged);

/* listen(2). OPNOTSUPP, INVAL, ADDRINUSE. */
int sock_listen(struct stack *st, struct env *env, struct sock *s, int backlog);

/* accept(2): the new socket, held by the calling member; NULL with *err: AGAIN, INVAL, OPNOTSUPP,
 * ... */
struct sock *sock_accept(struct stack *st, struct env *env, struct sock *s, int *err);

/*
 * connect(2). TCP: -ERR_INPROGRESS after the SYN went out; then OUT readiness and SO_ERROR tell, or
 * another connect: ALREADY while it goes on, 0 once after success, ISCONN after that, or the error.
 * Datagrams: 0. `to` == NULL is AF_UNSPEC: dissolves the association.
 */
int sock_connect(struct stack *st, struct env *env, struct sock *s, const struct endpoint *to);

/* send family: bytes taken (maybe fewer than offered), or -ERR_*. `to`: destination or NULL. PIPE
 * never raises a signal here; the caller does. LX_MSG_DONTWAIT says that the caller will not wait.
 * LX_MSG_FASTOPEN on a new TCP socket connects as well: bytes that went with the SYN, or
 * -ERR_INPROGRESS; while sock_opening, a caller who blocks waits for OUT and then goes on without
 * the flag. OPNOTSUPP when tcp_fastopen has no client. */
int64_t sock_send(struct stack *st, struct env *env, struct sock *s, const struct span *v, size_t n,
                  uint32_t flags, const struct endpoint *to);

/* Whether a TCP connection is on its way, its SYN sent. */
bool sock_opening(const struct sock *s);

/* A send that waited for room (without LX_MSG_DONTWAIT) ends with what it has: its last byte is the
 * last of the whole for time stamps and MSG_ZEROCOPY. */
void sock_send_ends(struct stack *st, struct env *env, struct sock *s, uint32_t flags);

/* recv family: bytes, 0 at the end of the stream, or -ERR_*. `info` may be NULL. Honours PEEK,
 * TRUNC, OOB, ERRQUEUE; WAITALL and DONTWAIT are the caller's. */
int64_t sock_recv(struct stack *st, struct env *env, struct sock *s, struct mspan *v, size_t n,
                  uint32_t flags, struct recv_info *info);

/* The urgent mark: a receive that has bytes ends here, whatever it waits for. */
bool sock_at_mark(const struct sock *s);

/* shutdown(2), how = LX_SHUT_*. NOTCONN, INVAL. */
int sock_shutdown(struct stack *st, struct env *env, struct sock *s, int how);

/* getsockname, getpeername. -ERR_NOTCONN. */
int sock_name(struct stack *st, struct sock *s, struct endpoint *out);
int sock_peer(struct stack *st, struct sock *s, struct endpoint *out);

/* getsockopt, setsockopt: Linux's levels, names, value layouts and lengths. *len in and out.
 * NOPROTOOPT, INVAL, DOM, ISCONN, PERM ... `privileged`: as CAP_NET_ADMIN. */
int sock_setopt(struct stack *st, struct env *env, struct sock *s, int level, int name,
                const void *val, size_t len, bool privileged);
int sock_getopt(struct stack *st, struct env *env, struct sock *s, int level, int name, void *val,
                size_t *len);

/* LX_SIOC*: the value, or -ERR_NOTTY is not ours to say: -ERR_NOPROTOOPT for an unknown request. */
int64_t sock_ioctl(struct stack *st, struct env *env, struct sock *s, uint32_t request);

/* poll bits now (LX_POLL*, with the RDNORM/WRNORM twins). Cheap and without effect. */
uint32_t sock_ready(const struct stack *st, const struct sock *s);

/* Takes the pending error (SO_ERROR): 0 or a positive enum err. */
int sock_take_error(struct sock *s);

/* A member comes to hold the socket, or lets go; the last one closes it. Letting go of what one
 * does not hold does nothing. After sock_release the pointer must not be used by that member. */
void sock_hold(struct sock *s, uint32_t member);
void sock_release(struct stack *st, struct env *env, struct sock *s, uint32_t member);
bool sock_held_by(const struct sock *s, uint32_t member);

/* A process has gone: it lets go of all it held. */
void sock_release_all(struct stack *st, struct env *env, uint32_t member);

/* A forked child holds what its parent holds. */
void sock_inherit_all(struct stack *st, uint32_t parent, uint32_t child);

static inline struct sock_ref sock_ref(struct sock *s)
{
    return (struct sock_ref){.s = s, .id = s->obj.id, .gen = s->obj.gen};
}

/* Whether the place still holds the same socket. */
static inline bool sock_ref_ok(const struct sock_ref *r)
{
    return r->s && r->s->obj.kind != MEM_NONE && r->s->obj.id == r->id && r->s->obj.gen == r->gen;
}

#endif
