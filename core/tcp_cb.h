/*
 * tcp_cb.h - the control block (TCB, RFC 9293 3.3.1), for the tcp_*.c family and its tests only.
 *
 * Sequence space and rings. A byte at ring offset o has the sequence number base + o (mod 2^32),
 * base being ISS + 1 or IRS + 1. SYN comes before offset 0; FIN comes after the last byte.
 *
 *   sq.head        snd.nxt         sq.tail      rq.head       rq.tail = rcv.nxt       adv
 *      |-- in flight --|-- not sent --|            |-- readable --|-- ooo ranges, room --|
 *      = snd.una
 */
#ifndef STANDIN_CORE_TCP_CB_H
#define STANDIN_CORE_TCP_CB_H

#include <stdbool.h>
#include <stdint.h>

#include "check.h"
#include "nsec.h"
#include "profile.h"
#include "ring.h"
#include "seq.h"
#include "sock.h"
#include "sock_side.h"
#include "stack.h"
#include "tcp.h"
#include "tcp_accecn.h"
#include "tcp_cc.h"
#include "tcp_ecn.h"
#include "tcp_flight.h"
#include "tcp_rate.h"
#include "tcp_rtt.h"
#include "tcp_wire.h"
#include "timer.h"
#include "view.h"

#define DELACK_MAX (200 * MSEC) /* RFC 9293 3.8.6.3 MUST-40, SHLD-18: under 0.5 s */

/* What a sender's time goes to (tcp_info.c), in Linux's order of precedence. */
enum tcp_chrono { CHRONO_IDLE, CHRONO_BUSY, CHRONO_RWND, CHRONO_SNDBUF };

/* RFC 5682: whether it is still to be learned if a timeout was for nothing. */
enum tcp_frto {
    FRTO_OFF,
    FRTO_SENT, /* step 1: the first segment went out again */
    FRTO_NEW,  /* step 2.b: new data goes out, and nothing else again */
};

/* The logical timers behind the one deadline of a connection. Each is a time or NEVER. */
enum tcp_timer_kind {
    TT_RTO,     /* retransmission, of data, SYN, SYN-ACK or FIN */
    TT_TLP,     /* tail loss probe, RFC 8985 7 */
    TT_REORDER, /* RACK's reordering window, RFC 8985 6.3 */
    TT_PERSIST, /* zero window, RFC 9293 3.8.6.1 */
    TT_DELACK,  /* delayed acknowledgment, RFC 9293 3.8.6.3 */
    TT_PACE,    /* the next segment may leave (tcp_pace.c) */
    TT_KEEP,    /* keepalive, RFC 9293 3.8.4 */
    TT_WAIT,    /* TIME-WAIT and an orphan's FIN-WAIT-2 */
    TT_COUNT
};

struct tcp {
    struct sock s; /* first */

    uint8_t state;    /* enum tcp_state; written by tcp_to only */
    uint8_t ca_state; /* enum tcp_ca */
    uint8_t ack_why;  /* enum tx_reason of the acknowledgment that is wanted */

    /* what happened */
    bool passive      : 1; /* came from LISTEN (MUST-11) */
    bool fin_queued   : 1; /* the program wants no more sent: FIN follows sq.tail */
    bool fin_sent     : 1; /* at fin_seq */
    bool fin_rcvd     : 1; /* rcv.nxt has passed it */
    bool connect_told : 1; /* connect() has been answered 0 */
    bool want_out     : 1; /* on the flush list: try to send */
    bool want_ack     : 1; /* on the flush list: acknowledge */
    bool in_flush     : 1;
    bool in_accept    : 1; /* established child in its parent's accept queue */
    bool half_open    : 1; /* child that a request is just becoming */
    bool fin_ahead    : 1; /* a FIN waits behind a hole, at fin_ahead_seq */
    bool pushed       : 1; /* the last data had PSH */
    bool cwnd_limited : 1; /* the window, not the program, held us back lately */
    bool tlp_out      : 1; /* a tail loss probe is in flight */
    bool tlp_retrans  : 1; /* ... and it was a retransmission */
    bool reord_seen   : 1; /* reordering has been seen on this path */
    bool reo_widened  : 1; /* in this round, which ends at reo_round */
    bool dsack_seen   : 1;
    bool mtu_probing  : 1; /* searches the path's MTU: tcp_mtu.c */

    /* negotiated */
    bool ts_ok   : 1;
    bool sack_ok : 1;
    bool ws_ok   : 1;
    bool md5     : 1; /* segments are signed (tcp_md5.c) */

    /* program's options */
    bool nodelay      : 1;
    bool window_exact : 1; /* the window is all there is, not whole segments (profile) */
    bool nagle_any    : 1; /* Nagle holds while anything is unacknowledged (profile) */
    bool cork         : 1;
    bool nospace      : 1; /* a send found the buffer full (Linux's SOCK_NOSPACE) */
    bool inq_opt      : 1;
    uint8_t save_syn  : 2; /* TCP_SAVE_SYN */

    /* ECN (tcp_ecn.c) */
    uint8_t ecn_mode    : 2; /* enum ecn_mode */
    bool ecn_seen       : 1; /* the peer has sent with ECT */
    bool ecn_demand_cwr : 1; /* congestion was marked: ECE until CWR comes */
    bool ecn_queue_cwr  : 1; /* our window fell: CWR with the next new data */

    /* Fast Open (tcp_fastopen.c) */
    bool fastopen_connect        : 1; /* TCP_FASTOPEN_CONNECT */
    bool fastopen_no_cookie      : 1; /* TCP_FASTOPEN_NO_COOKIE */
    bool defer_connect           : 1; /* SYN-SENT, but the SYN waits for the first data */
    bool syn_fastopen            : 1; /* our SYN had the option */
    bool syn_fastopen_exp        : 1; /* ... in its experimental form */
    bool syn_fastopen_ch         : 1; /* the first after a time of being switched off */
    bool syn_data                : 1; /* our SYN had data */
    bool syn_data_acked          : 1; /* a SYN's data was taken: by the peer or by us */
    bool fo_child                : 1; /* made by Fast Open; its handshake goes on */
    bool write_pending           : 1; /* a send waits for the connection: the ACK may ride on it */
    bool opener_waits            : 1; /* MSG_FASTOPEN blocks until the connection is there */
    uint8_t fastopen_client_fail : 2;

    seq iss;
    seq fin_seq;
    struct {
        seq una;
        seq nxt;
        seq wl1;
        seq pushed;   /* end of what was written when a buffer got PSH last */
        seq sml;      /* end of the last small segment (Minshall's Nagle) */
        uint32_t wnd; /* bytes */
        uint32_t wnd_max;
        uint32_t buf_per_seg; /* what a segment counts for in the send buffer, as in Linux */
        uint16_t mss;         /* payload bytes of a segment without SACK blocks */
        uint16_t mss_clamp;   /* what the peer's MSS option allows, timestamps not subtracted */
    } snd;

    seq irs;
    seq fin_ahead_seq;
    struct {
        seq nxt;
        seq adv;          /* the right edge of the window we told the peer: never moves left */
        seq wup;          /* RCV.NXT when the last acknowledgment went out */
        uint32_t wnd_lim; /* how much we are ready to hold: grows to the buffer by autotuning */
        uint32_t wnd_clamp;
        uint16_t mss; /* estimate of the peer's segment size */
        uint16_t adv_mss;
    } rcv;
    uint8_t snd_scale; /* window scale, RFC 7323 2 */
    uint8_t rcv_scale;

    /* round trip, congestion, recovery */
    uint8_t backoff; /* doublings of the RTO */
    uint8_t retries; /* retransmissions of the same data by timeout */
    uint8_t dup_acks;
    uint8_t frto;        /* enum tcp_frto */
    uint8_t reordering;  /* DupThresh, in segments */
    uint8_t reo_steps;   /* RFC 8985 reo_wnd_mult */
    uint8_t reo_persist; /* ... reo_wnd_persist */

    /* acknowledging */
    uint8_t chrono_now; /* enum tcp_chrono: which of the clocks runs */
    uint8_t quickacks;  /* acknowledgments still to be sent at once */
    uint8_t pingpong;   /* the program answers what it receives: acknowledge with the answer */

    /* program's options, 0: the stack's */
    uint8_t probes; /* unanswered window probes or keepalives */
    uint8_t keep_cnt;
    uint8_t syncnt;
    uint8_t defer_tries; /* TCP_DEFER_ACCEPT, in timeouts of a request */
    int8_t linger2_s;    /* -1: none */
    uint16_t keep_idle_s, keep_intvl_s;
    uint16_t user_mss;
    uint32_t user_timeout_ms;
    uint32_t notsent_lowat; /* bytes */
    uint32_t window_clamp;

    /* how large a packet the path takes: tcp_mtu.c */
    struct {
        uint16_t gen;     /* the stack's pmtu_gen when snd.mss was made */
        uint16_t low;     /* it takes so much; bytes of IP packet */
        uint16_t high;    /* and not more than this */
        uint16_t probe;   /* in flight; 0: none */
        uint32_t since_s; /* when the search began */
    } mtu;

    uint32_t ts_recent; /* timestamps, RFC 7323 */
    uint32_t ts_offset;
    nsec ts_recent_at;

    struct ring sq;
    struct ring rq;
    struct tcp_flight *fl; /* what is under way, both ways; never NULL (tcp_flight.h) */

    struct tcp_rtt rtt;
    struct tcp_cc cc;
    struct tcp_rate rate;
    uint32_t challenge_ms; /* RFC 5961 7, per connection: low bits of when the last went; 0: none */
    nsec pace_at;          /* when paced: nothing leaves before it */
    nsec cwnd_stamp;
    uint32_t cwnd_used; /* RFC 7661 in Linux's form */
    seq tlp_high;
    seq reo_round;   /* RFC 8985 dsack_round, while reo_widened */
    uint32_t ato_ns; /* delayed ACK interval */

    nsec rcv_at; /* last data received */
    nsec snd_at; /* last data sent */
    nsec ack_rcv_at;
    nsec ack_snd_at;

    union {
        struct { /* receive autotuning (Linux's DRS) */
            nsec drs_at;
            nsec rcv_rtt; /* 0: none yet */
            nsec rcv_rtt_at;
            uint32_t rcv_rtt_ecr;
            seq rcv_rtt_seq;
            uint32_t drs_space;
            uint32_t rq_taken; /* ring offset when drs_at began, its low half */
        };
        struct { /* LISTEN */
            struct tcp *acc_head, *acc_tail;
            uint32_t nhalf, nyoung; /* requests, and those not yet sent a second SYN-ACK */
            uint32_t nacc, backlog;
        };
    };
    struct tcp *parent;          /* of a listener's child */
    struct tcp *q_next, *q_prev; /* among the parent's accept queue */
    struct tfo_listener *fo;     /* owned; NULL: it has none */
    struct accecn *accecn;       /* owned; while ecn_mode is ECN_ACCURATE or ECN_ASKED */

    nsec due[TT_COUNT - FLIGHT_TIMERS]; /* tcp_due */
    struct timer timer;                 /* at the earliest of them */
    struct tcp *flush_next;

    /* for people: TCP_INFO */
    struct {
        uint64_t bytes_acked, bytes_rcvd, bytes_sent;
        uint32_t segs_out, segs_in, data_segs_out, data_segs_in;
        uint32_t total_retrans, delivered_ce;
        nsec chrono_at;
        nsec busy; /* CHRONO_BUSY; the other two are in the tally */
        nsec state_since;
    } info;
};

/* A time for ato_ns. Linux has eight bits of ticks for it. */
static inline uint32_t tcp_ato(nsec t)
{
    return (uint32_t)nsec_min(t, UINT32_MAX);
}

static inline struct tcp *tcp_of(struct sock *s)
{
    return (struct tcp *)s;
}

static inline const struct tcp *tcp_of_const(const struct sock *s)
{
    return (const struct tcp *)s;
}

/* Where the time of a timer stands: beside c, or in its flight. */
static inline nsec *tcp_due_at(struct tcp *c, enum tcp_timer_kind k)
{
    switch (k) {
    case TT_RTO:
        return &c->fl->due[FLIGHT_RTO];
    case TT_TLP:
        return &c->fl->due[FLIGHT_TLP];
    case TT_REORDER:
        return &c->fl->due[FLIGHT_REORDER];
    case TT_PACE:
        return &c->fl->due[FLIGHT_PACE];
    case TT_PERSIST:
        return &c->due[0];
    case TT_DELACK:
        return &c->due[1];
    case TT_KEEP:
        return &c->due[2];
    case TT_WAIT:
    case TT_COUNT:
        break;
    }
    return &c->due[3];
}

static inline nsec tcp_due(const struct tcp *c, enum tcp_timer_kind k)
{
    return *tcp_due_at((struct tcp *)(uintptr_t)c, k);
}

/* Our SYN is not acknowledged yet. */
static inline bool tcp_syn_out(const struct tcp *c)
{
    return c->fl->tx.n && seq_eq(c->snd.una, c->iss);
}

/* RFC 9293 3.3.2: from ESTABLISHED on. */
static inline bool tcp_synchronized(const struct tcp *c)
{
    return c->state >= TCP_ESTABLISHED;
}

/* The sequence number of the first byte of the send ring's stream, and of the receive ring's. */
static inline seq tcp_snd_base(const struct tcp *c)
{
    return seq_add(c->iss, 1);
}

static inline seq tcp_rcv_base(const struct tcp *c)
{
    return seq_add(c->irs, 1);
}

static inline seq tcp_seq_of_sq(const struct tcp *c, uint64_t off)
{
    return seq_add(tcp_snd_base(c), (uint32_t)off);
}

/* Ring offset of a sequence number at or after the ring's head. */
static inline uint64_t tcp_sq_off(const struct tcp *c, seq x)
{
    return c->sq.head + seq_dist(tcp_seq_of_sq(c, c->sq.head), x);
}

static inline uint64_t tcp_rq_off(const struct tcp *c, seq x)
{
    return ring_tail(&c->rq) + seq_dist(seq_add(tcp_rcv_base(c), (uint32_t)ring_tail(&c->rq)), x);
}

/* The end of what the program has written. */
static inline seq tcp_write_end(const struct tcp *c)
{
    return tcp_seq_of_sq(c, ring_tail(&c->sq));
}

static inline uint32_t tcp_unsent(const struct tcp *c)
{
    seq end = tcp_write_end(c);
    return seq_lt(c->snd.nxt, end) ? seq_dist(c->snd.nxt, end) : 0;
}

/* Segments in the network: RFC 6675's pipe. */
static inline uint32_t tcp_inflight(const struct tcp *c)
{
    uint32_t n = txq_inflight(&c->fl->tx);
    return n > c->fl->reno_sacked ? n - c->fl->reno_sacked : 0;
}

/* What a peer takes that says nothing. RFC 9293 3.7.1 MUST-15 */
static inline uint32_t tcp_default_mss(const struct tcp *c)
{
    return addr_is4(&c->s.flow.raddr) ? 536 : 1220;
}

static inline nsec tcp_rto(const struct stack *st, const struct tcp *c)
{
    nsec max = (nsec)st->knobs.user_rto_max_ms * MSEC;
    nsec rto = c->rtt.rto;
    for (unsigned i = 0; i < c->backoff && rto < max; i++) {
        rto *= 2;
    }
    return nsec_min(rto + (nsec)st->knobs.user_rto_slop_ms * MSEC, max);
}

struct tcp_acked;

/* ---- tcp_state.c */

/* The only writer of c->state; checks the move and records it. */
#define tcp_to(st, env, c, state) tcp_move(st, env, c, state, __func__, __LINE__)
void tcp_move(struct stack *st, struct env *env, struct tcp *c, enum tcp_state to, const char *func,
              int line);

/* ---- tcp_event.c: records for the event ring */
void tcp_tell_out(struct stack *st, const struct env *env, const struct tcp *c,
                  const struct tcp_seg *seg, uint32_t gso, enum tx_reason why);
/* A reset that belongs to no connection. */
void tcp_tell_reply(struct stack *st, const struct env *env, const struct tcp_seg *seg);
/* c may be NULL. Before the segment has changed anything. */
void tcp_tell_in(struct stack *st, const struct env *env, const struct tcp *c,
                 const struct tcp_seg *seg);
/* The segment that came last was not used; counts it too. */
void tcp_tell_req(struct stack *st, const struct env *env, const struct tcp_req *r,
                  const struct tcp_seg *seg, enum event_kind kind, enum tx_reason why);
void tcp_tell_drop(struct stack *st, const struct env *env, uint32_t sock_id,
                   const struct tcp_seg *seg, enum drop why);
void tcp_tell_state(struct stack *st, const struct env *env, const struct tcp *c,
                    enum tcp_state from, const char *func, int line);
void tcp_tell_timer(struct stack *st, const struct env *env, const struct tcp *c,
                    enum tcp_timer_kind k, enum event_timer_act act, nsec at);
void tcp_tell_cwnd(struct stack *st, const struct env *env, const struct tcp *c, enum cwnd_why why);

/* ---- tcp_timer.c */
void tcp_timer_set(struct stack *st, struct env *env, struct tcp *c, enum tcp_timer_kind k,
                   nsec at);
void tcp_timer_clear(struct stack *st, struct env *env, struct tcp *c, enum tcp_timer_kind k);
void tcp_timers_off(struct stack *st, struct tcp *c);
void tcp_timers_rearm(struct stack *st, struct tcp *c); /* recovery */
/* The retransmission timer for what is in flight, or off; TLP instead where it applies. */
void tcp_arm_rto(struct stack *st, struct env *env, struct tcp *c);
/* The SYN or SYN-ACK in flight once more, plain. */
void tcp_resend_syn(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
void tcp_arm_keep(struct stack *st, struct env *env, struct tcp *c);
void tcp_arm_persist(struct stack *st, struct env *env, struct tcp *c);

/* ---- tcp_snd.c */
/* Sends what may be sent now. */
void tcp_output(struct stack *st, struct env *env, struct tcp *c);
/* The same, for a reason. */
enum push {
    PUSH_NORMAL, /* what Nagle and the cork let go */
    PUSH_CORKED, /* whole segments only: MSG_MORE */
    PUSH_ALL,    /* whatever Nagle and the cork say */
    PUSH_ONE,    /* the same, but one (super-)segment */
};
void tcp_push(struct stack *st, struct env *env, struct tcp *c, enum push how);
/* An acknowledgment, now. */
void tcp_send_ack(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
void tcp_send_syn(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
/* The first SYN or SYN-ACK: with a Fast Open option (not NULL) and `len` bytes of data. */
void tcp_send_syn_with(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why,
                       const struct tfo_cookie *fo, uint32_t len);
/* A segment outside the window that makes the peer answer: zero-window probe, keepalive. */
void tcp_send_probe(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
void tcp_send_rst(struct stack *st, struct env *env, struct tcp *c);
/* The answer to a segment that belongs to no connection. RFC 9293 3.10.7.1 */
void tcp_reply_rst(struct stack *st, struct env *env, const struct ip_hdr *ip,
                   const struct tcp_seg *seg);
/* Answers with an ACK that carries given numbers: TIME-WAIT, SYN-RCVD, challenges. */
void tcp_challenge(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
/* Sends record i again. -ERR_* when it could not be sent. */
int tcp_resend(struct stack *st, struct env *env, struct tcp *c, uint32_t i, enum tx_reason why);
/* Puts the connection on the flush list. */
void tcp_want_out(struct stack *st, struct tcp *c);
void tcp_want_ack(struct stack *st, struct tcp *c, enum tx_reason why);
/* What a segment takes now: without SACK blocks, and at most half of the largest window seen. */
uint32_t tcp_current_mss(const struct tcp *c);
uint32_t tcp_now_ts(const struct tcp *c, nsec now);

/* The largest super-segment, in bytes: whole segments. */
uint32_t tcp_gso_most(const struct stack *st, const struct tcp *c, uint32_t mss);

/* ---- tcp_write.c */
/* What the send buffer holds, counted as Linux does: with the headers of its buffers; and how much
 * it may. */
uint32_t tcp_snd_queued(const struct tcp *c);
uint32_t tcp_snd_limit(const struct stack *st, const struct tcp *c);
/* TCP_NOTSENT_LOWAT, or the stack's. UINT32_MAX: none. */
uint32_t tcp_unsent_limit(const struct stack *st, const struct tcp *c);

/* ---- tcp_rcvbuf.c */
/* What we announce when a connection opens. `mss`: of a segment, options taken off. */
struct tcp_offer {
    uint32_t clamp; /* what the buffer allows */
    uint32_t lim;   /* what we dare to announce first */
    uint8_t scale;
};
struct tcp_offer tcp_rcv_offer(const struct stack *st, const struct tcp *c, uint32_t mss, bool ws);
/* Window, buffers and first numbers when the connection opens. */
void tcp_rcv_init(struct stack *st, struct tcp *c);
/* The same once more when connected, where the profile asks for it. */
void tcp_rcv_round(struct stack *st, struct tcp *c);
/* In-order text has arrived; the program has taken some. */
void tcp_rcvbuf_arrived(const struct stack *st, struct tcp *c, const struct tcp_seg *seg, nsec now);
void tcp_rcvbuf_taken(const struct stack *st, struct tcp *c, nsec now);
/* Whether all connections together hold so much that buffers must not grow, or must shrink. */
bool tcp_mem_pressed(const struct stack *st);
bool tcp_mem_full(const struct stack *st);

/* ---- tcp_rcv.c */
/* The window to announce now: raw field for the header; moves rcv.adv. */
uint16_t tcp_rcv_window(struct stack *st, struct tcp *c, bool syn);
/* What the peer may still send by what we told it. */
static inline uint32_t tcp_rcv_left(const struct tcp *c)
{
    return seq_lt(c->rcv.nxt, c->rcv.adv) ? seq_dist(c->rcv.nxt, c->rcv.adv) : 0;
}
/* What is acceptable of it: that, or all there is room for (window_exact). */
uint32_t tcp_rcv_holds(const struct tcp *c);
/* Takes the text of an acceptable segment. Reports a drop reason. */
enum drop tcp_rcv_text(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg);
/* Whether the peer's FIN is next: in this segment, or one that waited behind a hole. Remembers
 * one that must wait. */
bool tcp_rcv_fin_due(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* Schedules the acknowledgment of what has been taken. */
void tcp_rcv_ack(struct stack *st, struct env *env, struct tcp *c);
/* After the program took bytes: window update, autotuning. */
void tcp_rcv_taken(struct stack *st, struct env *env, struct tcp *c, uint32_t n);
/* Fills SACK blocks of an outgoing segment. */
void tcp_rcv_sacks(const struct tcp *c, struct tcp_seg *seg);
void tcp_rcv_dsack(struct stack *st, struct env *env, struct tcp *c, seq from, seq to);
void tcp_enter_quickack(struct tcp *c, uint32_t max);

/* ---- tcp_mtu.c */
/* The effective MSS from the path MTU, the peer's MSS and our options. */
void tcp_sync_mss(struct stack *st, struct tcp *c);
/* The peer's MSS and the options are known: begins to search, if so set. */
void tcp_mtu_open(struct stack *st, struct env *env, struct tcp *c);
/* Before sending: what the stack has learned of the path since. */
static inline void tcp_mtu_follow(struct stack *st, struct tcp *c)
{
    if (UNLIKELY(c->mtu.gen != st->pmtu_gen) && tcp_synchronized(c)) {
        tcp_sync_mss(st, c);
    }
}
/* Timeouts of the same data say that larger segments do not come through. */
void tcp_mtu_black_hole(struct stack *st, struct env *env, struct tcp *c);
/* Payload of a probe to be sent now, or 0; *wait: one is due when less is in flight. */
uint32_t tcp_mtu_probe_size(struct stack *st, struct env *env, struct tcp *c, bool *wait);
/* The newest record is a probe of `size` bytes. */
void tcp_mtu_probe_sent(struct tcp *c, uint32_t size);
void tcp_mtu_probe_acked(struct stack *st, struct tcp *c);
/* Something is lost. True: only a probe, and all is done that must be. */
bool tcp_mtu_probe_lost(struct stack *st, struct env *env, struct tcp *c);
/* An IP packet with a segment of that payload. */
uint32_t tcp_mtu_of(const struct tcp *c, uint32_t mss);
/* Something is sent again: what becomes of the probe says nothing. */
void tcp_mtu_inconclusive(struct tcp *c);
/* Record i has as many segments as it takes now to send it. */
void tcp_mtu_recount(struct tcp *c, uint32_t i);
/* Sends again what is too large now; segments were of `was` bytes before. */
void tcp_smaller(struct stack *st, struct env *env, struct tcp *c, uint32_t was,
                 enum tx_reason why);

/* ---- tcp_ack.c */
/* RFC 9293 3.10.7.4, fifth. False: the segment is dropped, *why says the reason. */
bool tcp_ack_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                enum drop *why);

/* ---- tcp_cwnd.c */
/* Begins congestion control anew, with an initial window of cwnd segments. */
void tcp_cc_start(const struct stack *st, struct tcp *c, uint8_t algo, uint32_t cwnd, nsec now);
/* An acknowledgment was taken in, what it says about loss too: rate sample, window, pacing rate. */
void tcp_cc_acked(struct stack *st, const struct env *env, struct tcp *c, struct tcp_acked *a);
/* A record is marked lost. */
void tcp_cc_lost(struct tcp *c, const struct tx_rec *r);
/* Before something new is sent: after idling longer than the RTO the window decays. RFC 5681 4.1 */
void tcp_cwnd_restart(struct stack *st, const struct env *env, struct tcp *c);
/* After something was sent, or held back by the window (limited): whether window or program is the
 * limit, per window of data. RFC 7661 in Linux's form. */
void tcp_cwnd_validate(struct stack *st, const struct env *env, struct tcp *c, bool limited);

/* ---- tcp_pace.c */
/* The pacing rate anew, after window, round trip or SO_MAX_PACING_RATE changed. */
void tcp_pace_update(const struct stack *st, struct tcp *c);
/* True: nothing may leave yet; TT_PACE is set. */
bool tcp_pace_waits(struct stack *st, struct env *env, struct tcp *c);
void tcp_pace_sent(struct tcp *c, uint32_t bytes, nsec now);
/* How many segments go into one super-segment. */
uint32_t tcp_tso_segs(const struct stack *st, const struct tcp *c, uint32_t mss, uint32_t most);
/* Whether to wait for the next acknowledgment because of `unsent` bytes the `window` holds less
 * than a full super-segment. */
bool tcp_tso_defers(const struct stack *st, const struct tcp *c, uint32_t window, uint32_t unsent,
                    uint32_t full, nsec now);

/* ---- tcp_loss.c */
struct tcp_acked { /* what one acknowledgment told */
    seq prior_una;
    uint32_t acked; /* segments cumulatively acknowledged */
    uint32_t acked_bytes;
    uint32_t sacked;    /* segments newly reported by SACK */
    uint32_t delivered; /* both */
    uint32_t delivered_bytes;
    seq reord;       /* the first byte that arrived behind later ones; SND.NXT: none */
    nsec rtt;        /* sample, 0: none */
    uint32_t ts_ecr; /* of the segment; 0: none */
    uint32_t newly_lost;
    bool dup;           /* a duplicate acknowledgment, RFC 5681 2 */
    bool new_data;      /* SND.UNA moved */
    bool retrans_acked; /* something that had been sent again was acknowledged */
    bool orig_acked;    /* data that was never sent again was acknowledged or SACKed */
    bool dsack;
    bool dsack_tlp;  /* ... of the tail loss probe */
    bool ece;        /* it tells of congestion by ECN */
    uint32_t marked; /* AccECN: packets that met it */
    bool reneged;
    bool mtu_probe; /* a probe of the path's MTU */
    uint32_t prior_inflight;
    bool cwnd_limited; /* RFC 7661: the window may grow */
    struct rate_sample rate;
};
/* Takes the SACK blocks into the scoreboard. */
void tcp_loss_sack(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                   struct tcp_acked *a);
/* The end of the highest record that was SACKed; SND.UNA if none is. */
seq tcp_highest_sacked(const struct tcp *c);
void tcp_check_reordering(struct stack *st, struct env *env, struct tcp *c, seq low);
/* RACK's clock: a segment sent at `at` has been delivered. */
void tcp_rack_advance(struct tcp *c, const struct tx_rec *r, nsec now);
/* The state machine of recovery, after an acknowledgment was taken in. */
void tcp_loss_ack(struct stack *st, struct env *env, struct tcp *c, struct tcp_acked *a);
/* The retransmission timer fired: everything outstanding is lost. */
void tcp_loss_timeout(struct stack *st, struct env *env, struct tcp *c);
/* RACK's reordering timer fired. */
void tcp_loss_reorder(struct stack *st, struct env *env, struct tcp *c);
/* Sends again what is marked lost, as far as the window allows. */
void tcp_loss_resend(struct stack *st, struct env *env, struct tcp *c);
void tcp_loss_resend_as(struct stack *st, struct env *env, struct tcp *c, enum tx_reason why);
/* What was marked lost was only too large: the state of a timeout, the window as it is. */
void tcp_loss_smaller(struct stack *st, struct env *env, struct tcp *c);
void tcp_tlp_fire(struct stack *st, struct env *env, struct tcp *c);
/* What an acknowledgment says of the probe; tcp_loss_ack asks it first. */
void tcp_tlp_judge(struct stack *st, struct env *env, struct tcp *c, const struct tcp_acked *a);

/* What keeps it from sending now. */
enum tcp_limit tcp_limited(const struct tcp *c);

/* ---- tcp_info.c */
/* The clock of k runs, unless one of precedence does; it stops: the connection is busy or idle. */
void tcp_chrono_start(struct stack *st, struct env *env, struct tcp *c, enum tcp_chrono k);
void tcp_chrono_stop(struct stack *st, struct env *env, struct tcp *c, enum tcp_chrono k);
/* The retransmission timer fired; the loss is repaired. */
void tcp_rto_began(struct stack *st, struct env *env, struct tcp *c);
void tcp_rto_over(struct stack *st, struct env *env, struct tcp *c);
/* What is counted of losses and disorder. NULL: no memory, not counted. */
struct tcp_tally *tcp_tally(struct stack *st, struct env *env, struct tcp *c);
/* What TCP_INFO says at `now`. Follows no pointer of c but c->fl and the side object. */
void tcp_fill_info(const struct stack *st, const struct tcp *c, struct lx_tcp_info *i, nsec now);

/* ---- tcp_listen.c */
enum drop tcp_listen_in(struct stack *st, struct env *env, struct tcp *l, const struct ip_hdr *ip,
                        struct tcp_seg *seg);
/* The acknowledgment of a request's SYN-ACK: makes the child and lets it take the segment. *full:
 * no place or memory; the request may wait. */
enum drop tcp_listen_child(struct stack *st, struct env *env, struct tcp_req *r,
                           const struct ip_hdr *ip, struct tcp_seg *seg, bool *full);
/* A child's handshake is complete: to the accept queue. */
void tcp_listen_complete(struct stack *st, struct tcp *child);
/* A child in a queue of its parent goes away. */
void tcp_listen_forget(struct stack *st, struct tcp *child);
/* The listener closes: its children are reset. */
void tcp_listen_close(struct stack *st, struct env *env, struct tcp *l);

/* ---- tcp_place.c */
/* Memory for what the place of a segment cannot hold. False: none. */
bool tcp_place_room(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* Takes the payload of a placed segment, the next in sequence, into the ring's count. */
void tcp_place_take(struct tcp *c, const struct tcp_seg *seg);

/* ---- tcp_in.c */
/* A segment for `c` (NULL: for nobody), parsed and good: what it means, and its event. */
void tcp_arrives(struct stack *st, struct env *env, struct tcp *c, const struct ip_hdr *ip,
                 struct tcp_seg *seg);
void tcp_established(struct stack *st, struct env *env, struct tcp *c);
/* SEGMENT ARRIVES, by state; it has been told. */
enum drop tcp_take(struct stack *st, struct env *env, struct tcp *c, const struct ip_hdr *ip,
                   struct tcp_seg *seg);

/* ---- tcp_urg.c; where the side object is not asked for, the caller has seen that there is one */
/* What has been written so far ends with an urgent byte. 0, or -ERR_NOBUFS. */
int tcp_urg_mark(struct stack *st, struct env *env, struct tcp *c);
/* Urgent data is on its way out, unacknowledged. */
static inline bool tcp_urg_mode(const struct tcp *c)
{
    return c->s.side && c->s.side->urg_out;
}
void tcp_urg_header(const struct tcp *c, struct tcp_seg *seg);
void tcp_urg_acked(struct tcp *c);
/* The sixth check of a segment; its SYN was taken off. */
void tcp_urg_in(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg);
/* There is a mark, perhaps not reached: reads must go through tcp_urg_take. */
static inline bool tcp_urg_pending(const struct tcp *c)
{
    return c->s.side && c->s.side->urg_in != URG_NONE;
}
/* The next byte to read is the urgent one; and it will be left out. */
bool tcp_urg_at_mark(const struct tcp *c);
bool tcp_urg_skips(const struct tcp *c);
/* SIOCINQ: bytes before the mark. */
uint32_t tcp_urg_unread(const struct tcp *c);
/* MSG_OOB. */
int64_t tcp_urg_recv(struct tcp *c, struct mspan *v, size_t n, uint32_t flags,
                     struct recv_info *info);
/* Copies from ring offset *from up to the mark, and moves *from. */
uint32_t tcp_urg_take(struct tcp *c, uint64_t *from, struct mspan *v, size_t n, uint32_t flags);
/* The ring's head has moved. */
void tcp_urg_taken(struct tcp *c);
void tcp_urg_reset(struct tcp *c);

/* ---- tcp_md5.c */
struct md5_key;
/* TCP_MD5SIG, TCP_MD5SIG_EXT. -ERR_INVAL, -ERR_NOENT, -ERR_NOBUFS. */
int tcp_md5_setopt(struct stack *st, struct env *env, struct tcp *c, bool ext, const void *val,
                   size_t len);
/* The peer is known; a child gets its listener's key. False: no memory. */
void tcp_md5_open(struct tcp *c);
bool tcp_md5_inherit(struct stack *st, struct env *env, struct tcp *child, const struct tcp *l);
/* Whether a segment is signed as it should be: DROP_NONE or the reason. */
enum drop tcp_md5_check(struct stack *st, const struct tcp *c, const struct ip_hdr *ip,
                        const struct tcp_seg *seg);
static inline bool tcp_md5_concerns(const struct tcp *c, const struct tcp_seg *seg)
{
    return seg->md5 || (c->s.side && c->s.side->md5_head);
}
/* Writes the digest of a segment that is built; of one without data and connection, with the key of
 * whoever is asked. */
void tcp_md5_sign(const struct tcp *c, uint8_t *th, const struct pkt_out *p);
const struct md5_key *tcp_md5_for_reply(const struct sock *s, const struct addr *peer);
void tcp_md5_sign_bare(const struct md5_key *k, const struct addr *src, const struct addr *dst,
                       uint8_t *th, uint32_t hdr_len);
/* SACK blocks there is room for beside timestamp and digest. */
static inline uint8_t tcp_sack_room(const struct tcp *c)
{
    return (uint8_t)(c->md5 ? (c->ts_ok ? 0 : 2) : c->ts_ok ? 3 : 4);
}

/* ---- tcp_mark.c; but for the first two and tcp_mark_drop there is a side object */
/* What is to happen at the end of a send with these flags: MARK_*; 0: nothing. */
uint8_t tcp_mark_wanted(const struct tcp *c, uint32_t flags);
/* A mark to be set, or given back; NULL: no memory. Set: at the end of what was written. */
struct mark *tcp_mark_new(struct stack *st, struct env *env, struct tcp *c);
void tcp_mark_set(struct tcp *c, struct mark *m, uint8_t what);
/* SND.NXT has moved; a segment has gone out; SND.UNA has moved, the ring not yet. */
void tcp_mark_sent(struct tcp *c);
void tcp_mark_out(struct stack *st, struct env *env, struct tcp *c, const struct tcp_seg *seg,
                  const struct pkt_out *p);
void tcp_mark_acked(struct stack *st, struct env *env, struct tcp *c);
/* The stream is over: whoever waits for completions is told. All marks go. */
void tcp_mark_over(struct stack *st, struct env *env, struct tcp *c);
void tcp_mark_drop(struct stack *st, struct tcp *c);
/* A segment that ends at `end` has come; the bytes before `end` are read: when the last of them
 * came, 0: not known. */
void tcp_mark_arrived(struct stack *st, struct env *env, struct tcp *c, seq end);
nsec tcp_mark_read(struct stack *st, struct tcp *c, seq end, bool taken);

/* ---- tcp_user.c */
/* The connection ends: buffers freed, timers off, the program told (err 0: orderly). Frees an
 * orphan: then c is gone. */
void tcp_done(struct stack *st, struct env *env, struct tcp *c, enum err err);
/* Buffers and timers of a connection that carries data no more. */
void tcp_release_bufs(struct stack *st, struct tcp *c);
void tcp_enter_time_wait(struct stack *st, struct env *env, struct tcp *c);
/* What the program has set and a listener's children inherit. */
void tcp_copy_options(struct tcp *c, const struct tcp *from);
/* The MSS we announce, from the MTU towards the peer. */
void tcp_open_mss(const struct stack *st, struct tcp *c);
uint16_t tcp_adv_mss(const struct stack *st, const struct tcp *c, const struct addr *raddr);
/* TCP_FASTOPEN_CONNECT: the SYN that waited for the first data goes, with it. */
int64_t tcp_open_deferred(struct stack *st, struct env *env, struct tcp *c, const struct span *v,
                          size_t n, uint32_t flags);
/* Whether enough of the send buffer is free, and little enough unsent, for the socket to be
 * writable. */
bool tcp_writable(const struct stack *st, const struct tcp *c);
uint32_t tcp_readable(const struct tcp *c);

#endif
