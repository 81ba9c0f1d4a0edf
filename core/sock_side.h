/*
 * sock_side.h - what only few sockets need, in an object of its own beside the socket.
 *
 * Urgent data, the error queue, time stamps, MSG_ZEROCOPY, SO_PEEK_OFF, TCP-MD5, what losses are
 * counted by: a socket that has met none of them has s->side NULL and pays eight bytes. The object
 * is made when first needed and goes with its socket. In recovery an object and a socket keep each
 * other only if each names the other.
 */
#ifndef STANDIN_CORE_SOCK_SIDE_H
#define STANDIN_CORE_SOCK_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "seq.h"
#include "sock.h"

/* What is known of the urgent byte that the peer announced (tcp_urg.c). */
enum urg_state {
    URG_NONE,
    URG_NOTYET, /* announced, not arrived */
    URG_VALID,  /* urg_byte is there for MSG_OOB */
    URG_READ,   /* taken; the mark stands until the stream is read past it */
};

/* What happens at a mark in the stream being sent (tcp_mark.c). */
enum {
    MARK_SCHED = 2,   /* the time is told: when it goes out (before the link, after) */
    MARK_SND = 4,     /* */
    MARK_ACK = 8,     /* ... when it is acknowledged */
    MARK_COPIED = 16, /* a MSG_ZEROCOPY is complete then */
};

struct mark {
    struct mem_obj obj; /* kind MEM_MARK */
    struct sock *owner;
    struct mark *next;
    seq at;       /* the byte behind the last one concerned */
    uint32_t id;  /* MARK_COPIED: number of the send */
    nsec real;    /* of a mark in the stream received: when the byte before it came */
    uint8_t what; /* 0: received */
};

/* For TCP_INFO: what only a connection has that met losses, reordering or a full buffer
 * (tcp_info.c). */
struct tcp_tally {
    uint64_t bytes_retrans;
    nsec rwnd_limited, sndbuf_limited; /* time spent so */
    uint32_t dsack_dups, reord_seen, rcv_ooo;
    uint32_t rto_ms; /* spent in timeouts */
    uint16_t total_rto, rto_recoveries;
};

struct dgram;
struct md5_key;

struct side {
    struct mem_obj obj; /* kind MEM_SIDE */
    struct sock *owner;

    /* urgent data, RFC 9293 3.8.5 */
    seq urg_seq;    /* in: the urgent byte */
    seq snd_up;     /* out: SND.UP, the byte behind the urgent one, while urg_out */
    uint8_t urg_in; /* enum urg_state */
    uint8_t urg_byte;
    bool urg_out;

    /* marks in the stream being sent, in order */
    struct mark *mark_head, *mark_tail;
    struct mark *mark_next;         /* the first that SND.NXT has not passed */
    struct mark *rx_head, *rx_tail; /* and in the stream received, while times are wanted */

    /* the error queue (sock_errq.c) */
    struct dgram *err_head, *err_tail;
    uint32_t err_bytes;
    uint32_t
        ts_key;    /* SOF_TIMESTAMPING_OPT_ID: the next datagram's number, or byte 0 of a stream */
    bool peek_set; /* SO_PEEK_OFF was called: peek_off holds */
    int32_t
        peek_off; /* where the next MSG_PEEK begins, from what was read; negative: always there */
    uint32_t zc_next; /* MSG_ZEROCOPY: number of the next send */

    struct md5_key *md5_head; /* TCP-MD5: keys by peer (tcp_md5.c) */

    char device[16];      /* SO_BINDTODEVICE: kept, there is only one */
    uint32_t tx_delay_us; /* TCP_TX_DELAY: kept */
    uint32_t saved;       /* id of the SYN's headers (tcp_saved.h); 0: none */

    struct tcp_tally tally;

    /* SIGURG */
    bool signalled;    /* on the stack's list of signals to send */
    int32_t sig_owner; /* F_SETOWN: a process, or a group as a negative number; 0: none */
    struct side *sig_next;
};

/* The socket's side object, made if it has none. NULL: no memory. */
struct side *sock_side(struct stack *st, struct env *env, struct sock *s);

/* The socket goes: its side object with it. */
void sock_side_free(struct stack *st, struct sock *s);

/* F_SETOWN: who gets SIGURG; 0: nobody. 0, or -ERR_NOBUFS. */
int sock_set_owner(struct stack *st, struct env *env, struct sock *s, int32_t pid);

/* Urgent data was announced: its owner gets a signal. */
void sock_signal_urgent(struct stack *st, struct sock *s);

/* Recovery, before the sockets are rebuilt: what does not belong together is let go. */
void sock_side_rebuild(struct stack *st);

#endif
