/*
 * tcp_rate.h - delivery rate estimation, pure arithmetic.
 * draft-cheng-iccrg-delivery-rate-estimation, now draft-ietf-ccwg-bbr 4.1.
 *
 * How fast the path delivered, measured per acknowledgment over the flight of the newest segment
 * it delivered. Each transmission notes what had been delivered when it left (struct rate_mark);
 * when it arrives, the difference over the time is a sample. The time is the longer of the span in
 * which the flight was sent and the span in which it was acknowledged, so that neither a burst sent
 * nor acknowledgments bunched on their way make the path look faster than it is.
 *
 * Counted in segments. A sample taken while the program did not fill the window only says that the
 * path can do at least that much (app_limited).
 */
#ifndef STANDIN_CORE_TCP_RATE_H
#define STANDIN_CORE_TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "nsec.h"
#include "seq.h"

/* What a transmission remembers; in every struct tx_rec, so small. Spans end when it was sent. */
struct rate_mark {
    uint32_t delivered;    /* P.delivered */
    uint32_t send_span_us; /* since the flight's first: P.sent_time - P.first_sent_time */
    uint32_t ack_span_us;  /* since the last delivery: P.sent_time - P.delivered_time */
    uint32_t lost;         /* P.lost */
    uint16_t inflight;     /* P.tx_in_flight, this one included; at most 65535 */
    bool app_limited;      /* P.is_app_limited */
};

/* Of a connection while anything is in flight. */
struct rate_flight {
    nsec first_sent;   /* C.first_sent_time */
    nsec delivered_at; /* C.delivered_time */
};

/* Of a connection. */
struct tcp_rate {
    uint32_t delivered;   /* C.delivered */
    uint32_t lost;        /* C.lost */
    uint32_t app_limited; /* C.app_limited: until so much has been delivered; 0: not limited */
    uint32_t best_segs;   /* what TCP_INFO tells: the last sample that was not app-limited, ... */
    uint32_t best_us      : 31; /* ... or one that was and is higher; 0: none */
    uint32_t best_limited : 1;
};

/* Of an acknowledgment; begins all zero. */
struct rate_sample {
    nsec sent_at;  /* of the newest segment delivered; 0: none */
    seq end;       /* and its end */
    nsec interval; /* 0: no sample */
    nsec prior_at;
    uint32_t prior_delivered;
    uint32_t delivered; /* during the interval */
    uint32_t lost;      /* since that segment was sent */
    uint32_t inflight;  /* when it was sent */
    bool app_limited;
    bool retrans; /* it had been sent more than once */
};

/* A segment leaves; inflight: with it, first: nothing else was in flight. */
void tcp_rate_sent(const struct tcp_rate *r, struct rate_flight *f, struct rate_mark *m,
                   uint32_t inflight, bool first, nsec now);

/* The program has no more to send, `inflight` segments being on their way. */
void tcp_rate_limited(struct tcp_rate *r, uint32_t inflight);

/* A segment sent at `at` and ending at `end` was acknowledged or reported by SACK for the first
 * time. */
void tcp_rate_delivered(struct rate_flight *f, struct rate_sample *s, const struct rate_mark *m,
                        nsec at, seq end, bool retrans);

/* The acknowledgment is taken in; `delivered` segments by it, already counted in r->delivered. An
 * interval shorter than min_rtt is no sample (ACKs of segments reported twice). */
void tcp_rate_sample(struct tcp_rate *r, struct rate_flight *f, struct rate_sample *s,
                     uint32_t delivered, nsec min_rtt, nsec now);

/* Bytes per second, for TCP_INFO. */
uint64_t tcp_rate_best(const struct tcp_rate *r, uint32_t mss);

#endif
