/*
 * tcp_accecn.h - More Accurate ECN feedback, RFC 9768: for tcp_ecn.c, tcp_info.c and tests.
 *
 * Who asks and who agrees is tcp_ecn.c's; here is what both ends do once it is agreed: count marks
 * as a receiver, feed the counters back (three flags and an option), read them as a sender. The
 * counters of a connection are a side object of kind MEM_ACCECN. It is made when AccECN is asked
 * for, belongs to its connection and goes with it; a connection in another mode has none.
 */
#ifndef STANDIN_CORE_TCP_ACCECN_H
#define STANDIN_CORE_TCP_ACCECN_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "event.h"
#include "mem.h"
#include "nsec.h"
#include "seq.h"

struct lx_tcp_info;
struct stack;
struct tcp;
struct tcp_acked;
struct tcp_seg;

/* What cannot be relied on: tcpi_accecn_fail_mode. */
enum {
    ACCECN_ACE_FAIL_SEND = 1, /* we said 0 in a SYN-ACK: the peer may not be in this mode */
    ACCECN_ACE_FAIL_RECV =
        2, /* flags or codepoints do not come through: nothing is sent with ECT */
    ACCECN_OPT_FAIL_SEND = 4, /* our option gets segments lost: it is not sent */
    ACCECN_OPT_FAIL_RECV = 8, /* the peer's option is spoiled: it is not read */
};

/* Of the peer's options: tcpi_accecn_opt_seen. */
enum { ACCECN_OPT_NOT_SEEN, ACCECN_OPT_EMPTY_SEEN, ACCECN_OPT_COUNTER_SEEN, ACCECN_OPT_FAIL_SEEN };

#define ACCECN_CEP_INIT 5u  /* r.cep and s.cep begin there. RFC 9768 3.2.1 */
#define ACCECN_OPT_LEN  12u /* the whole option, with its padding */

struct accecn {
    struct mem_obj obj;
    struct tcp *owner;
    nsec opt_at; /* when an option went out last */

    /* Received, without the counters' initial values. By codepoint less one: ECT(1), ECT(0), CE. */
    uint32_t rcv_ce; /* packets */
    uint32_t rcv_bytes[3];

    /* Delivered, as the peer says; of CE packets it is info.delivered_ce */
    uint32_t dlv_bytes[3];

    seq dsack_from;        /* what the D-SACK said that went out last with an option */
    uint16_t acked_avg;    /* segments that an ACK delivers, moving average * 64 */
    uint8_t fail;          /* ACCECN_*_FAIL_* */
    uint8_t seen;          /* ACCECN_OPT_* */
    uint8_t ce_unsent;     /* CE packets since the last segment that fed back; stops at 15 */
    uint8_t reserve;       /* bytes of each segment that SND.MSS leaves for the option */
    uint8_t prev      : 2; /* codepoint of the packet that came last */
    uint8_t syn_ect   : 2; /* ... of the SYN or SYN-ACK that came last */
    uint8_t demand    : 2; /* so many segments still must have the option */
    uint8_t need      : 2; /* counters that the next option must have */
    bool reflect      : 1; /* the ACK that goes out now has the handshake's encoding */
    bool handshake    : 1; /* the ACK being taken has it */
    bool fed          : 1; /* a counter has come in the flags */
    bool opt_before   : 1; /* the ACK before had an option that counted */
    bool dsack_before : 1; /* our option went out with a D-SACK last */
    bool deaf         : 1; /* what the peer feeds back is not believed */
    bool syn_marked   : 1; /* our SYN or SYN-ACK met congestion */
    bool synack_ce    : 1; /* a SYN-ACK's mark is counted */
    bool unsure       : 1; /* a SYN-ACK sent again has no option, whatever the peer can do */
};

/* ---- the object */

/* Makes it; false: no memory. */
bool accecn_new(struct stack *st, struct env *env, struct tcp *c);
void accecn_free(struct stack *st, struct tcp *c);
/* Recovery, after the connections: what does not belong together is let go. */
void accecn_rebuild(struct stack *st);

/* ---- the three flags as one number */

uint8_t accecn_ace(uint16_t flags);
uint16_t accecn_flags(uint8_t ace);
/* RFC 9768 table 2 and 3: how the handshake says which codepoint came; -1: `ace` is none of them.
 */
uint8_t accecn_reflected(uint8_t ect);
int accecn_reflects(uint8_t ace);

/* ---- opening */

/* The peer fed back in the handshake that our SYN or SYN-ACK came as it says. */
void accecn_syn_fed_back(const struct stack *st, struct tcp *c, uint8_t ace);
/* A SYN-ACK to us, or a SYN in a simultaneous open, also one sent again: its codepoint will be fed
 * back. */
void accecn_syn_in(struct tcp *c, const struct tcp_seg *seg);
/* The first segment that acknowledges our SYN-ACK. RFC 9768 3.2.2.1 */
void accecn_opened(const struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* The option of a SYN-ACK: no counter has moved yet. */
void accecn_synack_option(struct tcp_seg *seg);

/* ---- receiver */

/* A segment passed all checks: its codepoint is counted, and acknowledged at once if it must be. */
void accecn_in(struct stack *st, struct tcp *c, const struct tcp_seg *seg);
/* What is at `at` was received before. RFC 9768 3.2.3.2.2 */
void accecn_again(struct tcp *c, seq at);
/* Flags and option of a segment that is about to go; returns the codepoint of its packet. */
uint8_t accecn_out(struct stack *st, struct env *env, struct tcp *c, struct tcp_seg *seg,
                   enum tx_reason why);
/* Bytes that SND.MSS is to leave for the option. */
uint8_t accecn_reserve(const struct stack *st, const struct tcp *c);

/* ---- sender */

/* What an acknowledgment feeds back, after what it delivered is known: a->ece, a->marked. `newer`:
 * its timestamp is. */
void accecn_feedback(struct tcp *c, const struct tcp_seg *seg, struct tcp_acked *a, bool newer);

/* What is known when the flags' counter is read. */
struct accecn_ack {
    uint32_t segs;      /* newly delivered */
    uint32_t bytes;     /* ... */
    uint32_t mss;       /* of those */
    uint32_t ce_bytes;  /* of them marked, as the option says; valid with `options` */
    uint16_t acked_avg; /* as in struct accecn */
    bool options;       /* this ACK and the one before had the option */
};
/* CE packets since s_ce (s.cep less its initial value): the safest likely case. RFC 9768 3.2.2.5.2
 */
uint32_t accecn_delta(uint8_t ace, uint32_t s_ce, const struct accecn_ack *k);

/* TCP_INFO's part. */
void accecn_info(const struct tcp *c, struct lx_tcp_info *i);

#endif
