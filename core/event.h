/*
 * event.h - the event ring: everything that happens in the stack, as fixed-size records, always on.
 *
 * core writes one record per segment, state change, timer, drop, retransmission and socket call,
 * under the stack's lock. A reader in any process copies records out without the lock: it reads
 * `next`, copies, reads `next` again and discards what was overwritten meanwhile (event_read does
 * that). The record's text form is in trace.h.
 */
#ifndef STANDIN_CORE_EVENT_H
#define STANDIN_CORE_EVENT_H

#include <stdint.h>

#include "env.h"
#include "err.h"

enum event_kind {
    EV_NONE,
    EV_SEG_OUT, /* seg; why = enum tx_reason */
    EV_SEG_IN,  /* seg; what follows from it comes behind it */
    EV_DROP, /* a packet was not used; why = enum drop; u.pkt. Of a segment: behind its EV_SEG_IN */
    EV_STATE,    /* u.state */
    EV_TIMER,    /* u.timer: it starts to run, or fires. One that is moved or stops is not told */
    EV_CALL,     /* u.call; why = enum call_end */
    EV_CWND,     /* u.cwnd; why = enum cwnd_why */
    EV_DGRAM_IN, /* u.pkt */
    EV_DGRAM_OUT,
    EV_ICMP_IN, /* u.icmp */
    EV_ICMP_OUT,
    EV_MEMBER,  /* u.member: a process came or went */
    EV_RECOVER, /* the lock's holder died; sock_id is the connection it was touching */
    EV_IMPAIR,  /* u.impair: a rule of the emulated wire fired; why = enum impair_act */
    EV_INFO,    /* u.info: what TCP_INFO said; only in the log of a watched program */
    EV_KINDS
};

/* Why a segment was sent. WHY(name, text) */
#define TX_REASON_LIST                                         \
    WHY(DATA, "new data")                                      \
    WHY(ACK, "acknowledges data at once")                      \
    WHY(DELACK, "delayed acknowledgment")                      \
    WHY(WINDOW, "window update")                               \
    WHY(SYN, "opens a connection")                             \
    WHY(SYNACK, "answers an opening")                          \
    WHY(FIN, "nothing more to send")                           \
    WHY(RST, "resets")                                         \
    WHY(RTO, "retransmission timer fired")                     \
    WHY(FAST, "fast retransmission")                           \
    WHY(TLP, "tail loss probe")                                \
    WHY(LIMITED, "limited transmit")                           \
    WHY(DUPACK, "out-of-order data: duplicate acknowledgment") \
    WHY(CHALLENGE, "challenge acknowledgment")                 \
    WHY(PROBE, "zero-window probe")                            \
    WHY(KEEPALIVE, "keepalive probe")                          \
    WHY(TIMEWAIT, "acknowledges again in TIME-WAIT")           \
    WHY(PMTU, "sent again in smaller segments")                \
    WHY(MTU, "probes whether the path takes larger ones")      \
    WHY(ECN, "feeds back congestion marks")                    \
    WHY(DGRAM, "datagram")                                     \
    WHY(ICMP, "ICMP message")

enum tx_reason {
    TX_NONE,
#define WHY(name, text) TX_##name,
    TX_REASON_LIST
#undef WHY
        TX_REASON_COUNT
};

enum event_timer {
    EVT_RTO,
    EVT_PERSIST,
    EVT_DELACK,
    EVT_KEEPALIVE,
    EVT_TIMEWAIT,
    EVT_FINWAIT2,
    EVT_TLP,
    EVT_REORDER,
    EVT_SYNACK,
    EVT_USER,
    EVT_PACE,
    EVT_TIMER_COUNT
};

enum event_timer_act { EVT_SET, EVT_FIRED, EVT_CANCELLED };

/* How an EV_CALL ended. */
enum call_end {
    CALL_DONE,
    CALL_WAITS, /* nothing there: a blocking call waits now, and tells its result later */
};

/* What moved the congestion window. */
enum cwnd_why {
    CWND_STATE, /* loss recovery went to another state (u.cwnd.ca_state) */
    CWND_GROWN, /* by an acknowledgment */
    CWND_UNDO,  /* the loss was none */
    CWND_IDLE,  /* RFC 7661: not used lately */
};

/* What the emulated wire did to a packet. ACT(name, text) */
#define IMPAIR_ACT_LIST                           \
    ACT(DROP, "dropped")                          \
    ACT(DELAY, "delayed")                         \
    ACT(REORDER, "held back behind a later one")  \
    ACT(DUP, "sent twice")                        \
    ACT(CORRUPT, "damaged")                       \
    ACT(QUEUE, "dropped: the queue is full")      \
    ACT(BLACKHOLE, "swallowed")                   \
    ACT(TOO_BIG, "dropped: larger than the path") \
    ACT(STRIP, "options taken out")               \
    ACT(MARK, "marked: congestion experienced")   \
    ACT(RESET, "answered with a reset")           \
    ACT(WINDOW, "its window changed")

enum impair_act {
    IMPAIR_NONE,
#define ACT(name, text) IMPAIR_##name,
    IMPAIR_ACT_LIST
#undef ACT
        IMPAIR_ACT_COUNT
};

enum event_call {
    EVC_NONE,
    EVC_SOCKET,
    EVC_BIND,
    EVC_LISTEN,
    EVC_ACCEPT,
    EVC_CONNECT,
    EVC_SEND,
    EVC_RECV,
    EVC_SHUTDOWN,
    EVC_CLOSE,
    EVC_SETSOCKOPT,
    EVC_GETSOCKOPT,
    EVC_CALL_COUNT
};

struct event {
    nsec at;
    uint32_t sock_id; /* 0: none */
    uint32_t tid;
    uint8_t kind; /* enum event_kind */
    uint8_t why;  /* enum tx_reason or enum drop or enum event_timer ... by kind */
    uint8_t member;
    uint8_t proto;
    uint16_t lport;
    uint16_t rport;
    union {
        struct {
            uint32_t seq; /* relative to the initial sequence number of its direction */
            uint32_t ack;
            uint32_t len;
            uint32_t wnd;  /* scaled: bytes */
            uint32_t cwnd; /* bytes; as the other four 0 where there is no connection */
            union {
                uint32_t ssthresh; /* bytes; UINT32_MAX: none yet */
                struct {           /* of a segment with SYN: what it offers */
                    uint16_t mss;  /* 0: no option */
                    uint8_t wscale;
                    uint8_t opts; /* SEG_SYN_* */
                } syn;
            };
            uint32_t inflight; /* bytes */
            uint32_t srtt_us;
            uint16_t flags    : 9; /* low byte as on the wire, bit 8: AE */
            uint16_t ca_state : 3; /* enum tcp_ca */
            uint16_t state    : 4; /* enum tcp_state before this segment; 0: no connection */
            uint16_t gso;
            uint32_t rto_us;
        } seg;
        struct {
            uint8_t from, to; /* enum tcp_state */
            uint16_t line;
            char func[24];
        } state;
        struct {
            uint8_t timer, act;
            nsec at;
        } timer;
        struct {
            uint8_t call; /* enum event_call */
            int8_t err;   /* enum err */
            uint16_t arg2;
            int32_t fd;  /* the descriptor the program first got for the socket; -1: not known */
            int64_t ret; /* as libc returns it */
            uint64_t arg;
            uint8_t addr[16]; /* bind, connect: the address (struct addr), its port in arg2 */
        } call;
        struct {
            uint32_t cwnd, ssthresh, inflight; /* segments */
            uint8_t ca_state;                  /* enum tcp_ca */
        } cwnd;
        struct {
            uint32_t len;
            uint8_t ver;
        } pkt;
        struct {
            uint8_t type, code;
            uint16_t len;
            uint32_t info;
        } icmp;
        struct {
            uint32_t pid;
            uint8_t joined;
        } member;
        struct {
            uint16_t rule;  /* number of the rule in its list, from 1 */
            uint8_t out;    /* 1: a packet that the program's side sent */
            uint8_t again;  /* of act REORDER and DELAY: 1 when it goes on */
            uint32_t nth;   /* firings of this rule so far, this one included */
            uint32_t len;   /* bytes of the packet */
            uint32_t seq;   /* TCP: as on the wire; sock_id and ports are those of the connection */
            nsec delay;     /* how long it is held; 0 */
            uint16_t what;  /* act CORRUPT, STRIP: where in the packet, or which option; 0 */
            uint16_t flags; /* TCP: as in seg */
        } impair;
        struct {
            uint32_t cwnd, ssthresh, unacked; /* segments */
            uint32_t retrans;                 /* segments sent again, ever */
            uint32_t mss, srtt_us, rto_us;
        } info;
        uint8_t raw[40];
    } u;
};

_Static_assert(sizeof(struct event) == 64, "a record is one cache line");

/* seg.syn.opts */
#define SEG_SYN_WSCALE 0x1u
#define SEG_SYN_SACK   0x2u
#define SEG_SYN_TS     0x4u

#define EVENT_RING_LEN 16384u /* a power of two: 1 MiB */

struct event_ring {
    uint64_t next; /* number of records ever finished; record i lies at i % EVENT_RING_LEN */
    uint64_t pad[7];
    struct event ev[EVENT_RING_LEN];
};

/* The next record to fill, with at, tid and member set and the rest zero; call event_end when it is
 * filled. */
struct event *event_begin(struct event_ring *r, const struct env *env, enum event_kind kind);
void event_end(struct event_ring *r);

/*
 * Copies records from number *from on into out[0..max), from another thread or process, without a
 * lock. *from becomes the number after the last one copied; *lost is raised by those that were
 * overwritten before they could be read. Returns how many were copied. `r` may be a private copy or
 * a mapping that changes meanwhile.
 */
uint32_t event_read(const struct event_ring *r, uint64_t *from, struct event *out, uint32_t max,
                    uint64_t *lost);

/*
 * The two halves of event_read, for readers that copy by other means than a mapping: window says
 * how many of `max` records to copy, beginning with number *from (raised past what is gone);
 * settle, with `next` read again after the copy, throws away what may have been overwritten
 * meanwhile and moves *from on.
 */
uint32_t event_window(uint64_t next, uint64_t *from, uint32_t max, uint64_t *lost);
uint32_t event_settle(uint64_t next, uint64_t *from, struct event *out, uint32_t n, uint64_t *lost);

const char *tx_reason_name(unsigned why);
const char *tx_reason_text(unsigned why);
const char *impair_text(unsigned act);
const char *event_call_name(unsigned call);   /* "send" */
const char *event_timer_name(unsigned timer); /* "rto" */
/* "TCP_NODELAY"; NULL: not known here */
const char *event_option_name(unsigned level, unsigned option);

#endif
