/*
 * tcp_fastopen.h - TCP Fast Open (RFC 7413): data with the SYN, both ways.
 *
 * A client keeps the cookie and MSS of each server in a bounded table of the stack (struct tfo);
 * a server makes cookies from its keys and keeps nothing. What a listener needs beside its queues
 * (limit, keys of its own) is a side object of kind MEM_TFO that few sockets have.
 *
 * Flags of the knob tcp_fastopen, options and errors are Linux's (tcp(7), ip-sysctl).
 */
#ifndef STANDIN_CORE_TCP_FASTOPEN_H
#define STANDIN_CORE_TCP_FASTOPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "env.h"
#include "mem.h"
#include "nsec.h"
#include "tcp_wire.h"

struct ip_hdr;
struct stack;
struct tcp;
struct tcp_first;

/* The knob tcp_fastopen. */
enum {
    TFO_CLIENT = 0x1,
    TFO_SERVER = 0x2,
    TFO_CLIENT_NO_COOKIE = 0x4,
    TFO_SERVER_NO_COOKIE = 0x200,
    TFO_SERVER_WO_SOCKOPT = 0x400, /* every listener, without TCP_FASTOPEN */
};

/* tcpi_fastopen_client_fail */
enum { TFO_FAIL_NONE, TFO_COOKIE_UNAVAILABLE, TFO_DATA_NOT_ACKED, TFO_SYN_RETRANSMITTED };

#define TFO_KEY_LEN 16u
#define TFO_KEYS    2u /* the one that makes cookies, and one that still opens old ones */
#define TFO_SETS    64u
#define TFO_WAYS    2u /* servers remembered: TFO_SETS * TFO_WAYS at most */
#define TFO_RSTS    32u

/* What is remembered of a server. All fields are values: recovery has nothing to do. */
struct tfo_entry {
    struct addr dst;
    nsec used; /* 0: free */
    uint16_t mss;
    uint8_t try_exp; /* 1: ask by the experimental option next; 2: that was no use either */
    struct tfo_cookie cookie;
};

/* Of a stack. */
struct tfo {
    uint8_t key[TFO_KEYS][TFO_KEY_LEN];
    uint32_t nkeys;     /* 0: none yet; drawn when first needed */
    uint32_t off_times; /* how often in a row a path turned out to swallow connections */
    nsec off_at;        /* and when it did last */
    struct tfo_entry cache[TFO_SETS * TFO_WAYS];
};

/* A listener's side object. The listener owns it. */
struct tfo_listener {
    struct mem_obj obj;
    struct tcp *owner;
    uint32_t max_qlen; /* TCP_FASTOPEN; 0: off */
    uint32_t qlen;     /* children before the end of their handshake, and recent resets */
    uint32_t nkeys;    /* 0: the stack's */
    uint8_t key[TFO_KEYS][TFO_KEY_LEN];
    /* when those that were reset count no more, oldest first; when full the last entry stands for
     * several */
    uint32_t nrst;
    nsec rst[TFO_RSTS];
    uint32_t rst_count[TFO_RSTS];
};

/* The cookie of a client for a server, by that server's key. */
void tfo_cookie_make(const uint8_t key[TFO_KEY_LEN], const struct addr *client,
                     const struct addr *server, struct tfo_cookie *out);

/* Linux's tcp_fastopen_key: one or two keys of 16 bytes. -ERR_INVAL for another length. */
int tfo_set_keys(struct stack *st, const void *key, size_t len);

/* Forgets all servers (ip tcp_metrics flush). */
void tfo_flush(struct stack *st);

/* ---- for the tcp_*.c family */

/* TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, and TCP_FASTOPEN_KEY. -ERR_INVAL,
 * -ERR_OPNOTSUPP, -ERR_NOBUFS. */
int tfo_setopt(struct stack *st, struct env *env, struct tcp *c, int name, int v);
int tfo_getopt(const struct tcp *c, int name);
int tfo_set_key(struct stack *st, struct env *env, struct tcp *c, const void *key, size_t len);
int tfo_get_key(const struct stack *st, const struct tcp *c, void *key, size_t *len);

/* listen(2): turns it on where the knob says so for all. */
int tfo_listen(struct stack *st, struct env *env, struct tcp *l);
void tfo_free(struct stack *st, struct tcp *c);

/* Client. Whether connect may wait for the first data (TCP_FASTOPEN_CONNECT). */
bool tfo_defers(struct stack *st, struct env *env, struct tcp *c);
/* Sends the SYN with the option, and with as much of f's bytes as fit (f->taken). SYN-SENT.
 * -ERR_NOBUFS. */
int tfo_open(struct stack *st, struct env *env, struct tcp *c, struct tcp_first *f);
/* The SYN-ACK of such a SYN: what it says is remembered, what it did not take is sent again.
 * SND.UNA is the end of SYN. True: the text of the SYN-ACK may be taken. */
bool tfo_synack(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* The path takes less than the SYN with data had: a plain SYN goes at once. SYN-SENT. */
void tfo_pmtu(struct stack *st, struct env *env, struct tcp *c);
/* The timer fired, for the `timeouts`-th time in a row; `over`: once too often. */
void tfo_timeout(struct stack *st, struct env *env, const struct tcp *c, unsigned timeouts,
                 bool over);
/* The connection ends: what it tells about the path. */
void tfo_end(struct stack *st, struct env *env, struct tcp *c);

/* Server. Whether the SYN opens a connection at once; *answer: the option its SYN-ACK carries. */
bool tfo_admit(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
               const struct tcp_seg *seg, struct tfo_cookie *answer);
/* A child's handshake is over, by a reset or not: it counts no more for its listener. */
void tfo_left(struct stack *st, struct env *env, struct tcp *child, bool reset);
/* The listener closes: its children know it no more. */
void tfo_orphan(struct stack *st, struct tcp *l);

/* Takes the bytes of a SYN or SYN-ACK. False: no memory. */
bool tfo_take(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);

/* Recovery: side objects without an owner go; the counts start from 0. */
void tfo_rebuild(struct stack *st);

#endif
