/*
 * view.h - a stack seen from outside: its sockets and its event log as plain values, read out of
 * memory that belongs to others, who go on changing it, hang in the midst of a change, or are dead.
 *
 * Nothing here follows a pointer of that memory. Every address found in it is given to the owner's
 * `read`, which says false where there is nothing; every count is compared with what can be; what
 * has come over is a private copy. A wrong value gives a wrong line, never a crash. The lock is not
 * taken: an object is read until two readings agree (view_sock.torn tells where they never did).
 *
 *     view_open(&v, read, ctx, address of struct stack)          false: that is no stack
 *     while (view_next(&v, &at, &sock)) ...                      TCP sockets, then the others
 *     n = view_events(&v, &from, ev, ARRAY_LEN(ev), &lost);      as event_read
 *
 * A view is as old as its view_open or view_refresh; sockets and events are read as they are now.
 */
#ifndef STANDIN_CORE_VIEW_H
#define STANDIN_CORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "sock.h"
#include "stack.h"
#include "tcp.h"

/* Copies `len` bytes from an address in the stack's memory. False: not all of them are there. */
typedef bool view_read_fn(void *ctx, uint64_t addr, void *buf, size_t len);

#define VIEW_MEM_MAX 12288u
#define VIEW_OBJ_MAX 4096u

/* Plain memory of the owner's; nothing needs closing. */
struct view {
    view_read_fn *read;
    void *ctx;
    uint64_t at;     /* where struct stack lies */
    struct stack st; /* a copy: its pointers are addresses for `read` and nothing else */
    nsec now; /* for what is told as "since"; the time of the last event, the owner may set it */
    _Alignas(16) uint8_t mem[VIEW_MEM_MAX];    /* a copy of the allocator's head */
    _Alignas(16) uint8_t obj[2][VIEW_OBJ_MAX]; /* two readings of an object */
};

/* Why a connection does not send more than it does. LIMIT(name, text) */
#define TCP_LIMIT_LIST                                             \
    LIMIT(NONE, "sending")                                         \
    LIMIT(APP, "the program has nothing to send")                  \
    LIMIT(CWND, "the congestion window is full")                   \
    LIMIT(RWND, "the peer's window is full")                       \
    LIMIT(NAGLE, "Nagle: waits for an acknowledgment or more")     \
    LIMIT(CORK, "TCP_CORK or MSG_MORE: waits for a whole segment") \
    LIMIT(STATE, "not in a state that sends")

enum tcp_limit {
#define LIMIT(name, text) TCP_LIMIT_##name,
    TCP_LIMIT_LIST
#undef LIMIT
        TCP_LIMIT_COUNT
};

#define VIEW_RANGES_MAX 8u

/* One socket. Times are the stack's monotonic clock; NEVER where there is none. */
struct view_sock {
    bool torn;   /* it changed faster than it could be read: its values may not belong together */
    uint32_t id; /* as sock_id of its events, together with proto */
    uint16_t gen;
    uint8_t family, type, proto; /* LX_* */
    struct flow flow;
    bool bound, bound_port, connected, orphan, rcv_shut, snd_shut;
    bool nonblocking;
    uint8_t err, soft_err; /* enum err, pending */
    int32_t fd;            /* the descriptor its program first got; -1: not known */
    uint64_t inode;        /* of that descriptor, as in /proc/PID/fd */
    uint32_t uid, owner_pid;
    uint32_t ready; /* poll bits the program was last told */
    struct members members;
    nsec born;
    struct sock_opts opt;
    uint64_t rcv_queue; /* bytes the program has not read; LISTEN: connections to accept */
    uint64_t snd_queue; /* bytes not acknowledged; LISTEN: the backlog */

    /* TCP only, zero for others */
    enum tcp_state state;
    nsec state_since;
    struct lx_tcp_info info;   /* as getsockopt(TCP_INFO) would say */
    nsec due[EVT_TIMER_COUNT]; /* when each timer fires, by enum event_timer; NEVER */
    nsec next_timer;           /* the earliest of them */
    uint8_t next_which;        /* enum event_timer; meaningful where next_timer is not NEVER */
    enum tcp_limit limit;
    uint32_t unsent;           /* bytes written and never sent */
    uint32_t held;             /* of those, held by Nagle or cork */
    uint32_t snd_wnd, rcv_wnd; /* bytes the peer, and we, may still be sent from the last ACK on */
    uint32_t nhalf, nacc, backlog; /* LISTEN: opening, to be accepted, allowed */
    uint32_t parent;               /* id of the listener whose queue holds it; 0 */
    bool passive, nodelay, cork;
    uint8_t algo;         /* enum tcp_cc_algo */
    uint32_t nranges;     /* ranges received out of order; the first VIEW_RANGES_MAX are here */
    uint32_t range_bytes; /* in all that were read */
    struct {
        uint32_t from, to; /* relative to the peer's initial number */
    } range[VIEW_RANGES_MAX];
    uint32_t dropped; /* UDP: datagrams that found no room */
};

/* False: there is no stack at `addr`. */
bool view_open(struct view *v, view_read_fn *read, void *ctx, uint64_t addr);
bool view_refresh(struct view *v);

/* Where a walk stands; begins as {0}. */
struct view_iter {
    uint32_t kind; /* enum mem_kind */
    uint32_t id;
};
bool view_next(struct view *v, struct view_iter *it, struct view_sock *out);

/* The socket with this number now; false: there is none. */
bool view_sock_at(struct view *v, uint8_t proto, uint32_t id, struct view_sock *out);

/* event_read over `read`: the same contract. */
uint32_t view_events(struct view *v, uint64_t *from, struct event *out, uint32_t max,
                     uint64_t *lost);

/* The number of records finished so far; 0 where it cannot be read. */
uint64_t view_event_count(struct view *v);

const char *tcp_limit_name(unsigned limit); /* "CWND" */
const char *tcp_limit_text(unsigned limit);

/* ---- inside */

/* mem_view.c: copies object `id` of a kind into buf; `mem` is a copy of struct mem. False: there is
 * none, or it cannot be read. */
bool mem_view_object(const void *mem, view_read_fn *read, void *ctx, uint32_t kind, uint32_t id,
                     void *buf, size_t size);
size_t mem_view_size(void);
uint32_t mem_view_count(const void *mem, uint32_t kind); /* places of a kind */

/* tcp_view.c: the TCP part of `out` from a copy of a struct tcp. */
void tcp_view(struct view *v, void *copy, struct view_sock *out);

#endif
