/*
 * tcp_rate.c - see tcp_rate.h. Names in comments are draft-ietf-ccwg-bbr's, section 4.1.
 */
#include "tcp_rate.h"

#include "check.h"

static uint32_t span_us(nsec from, nsec to)
{
    return (uint32_t)min_u64((uint64_t)(nsec_max(to - from, 0) / USEC), UINT32_MAX);
}

/* 4.1.2.2 */
void tcp_rate_sent(const struct tcp_rate *r, struct rate_flight *f, struct rate_mark *m,
                   uint32_t inflight, bool first, nsec now)
{
    if (first) {
        f->first_sent = f->delivered_at = now;
    }
    *m = (struct rate_mark){
        .delivered = r->delivered,
        .send_span_us = span_us(f->first_sent, now),
        .ack_span_us = span_us(f->delivered_at, now),
        .lost = r->lost,
        .inflight = (uint16_t)min_u32(inflight, UINT16_MAX),
        .app_limited = r->app_limited != 0,
    };
}

/* 4.1.2.4 */
void tcp_rate_limited(struct tcp_rate *r, uint32_t inflight)
{
    uint32_t until = r->delivered + inflight;
    r->app_limited = until ? until : 1;
}

/* 4.1.2.3, UpdateRateSample: the newest one counts. */
void tcp_rate_delivered(struct rate_flight *f, struct rate_sample *s, const struct rate_mark *m,
                        nsec at, seq end, bool retrans)
{
    if (s->sent_at && (at < s->sent_at || (at == s->sent_at && !seq_gt(end, s->end)))) {
        return;
    }
    s->sent_at = at;
    s->end = end;
    s->prior_delivered = m->delivered;
    s->prior_at = at - (nsec)m->ack_span_us * USEC;
    s->interval = (nsec)m->send_span_us * USEC;
    s->lost = m->lost;
    s->inflight = m->inflight;
    s->app_limited = m->app_limited;
    s->retrans = retrans;
    f->first_sent = at;
}

static void keep_best(struct tcp_rate *r, const struct rate_sample *s)
{
    uint32_t us = span_us(0, s->interval);

    if (us == 0 || us > INT32_MAX) {
        return;
    }
    if (!s->app_limited || (uint64_t)s->delivered * r->best_us >= (uint64_t)r->best_segs * us) {
        r->best_segs = s->delivered;
        r->best_us = us & 0x7fffffffu;
        r->best_limited = s->app_limited;
    }
}

/* 4.1.2.3, GenerateRateSample. */
void tcp_rate_sample(struct tcp_rate *r, struct rate_flight *f, struct rate_sample *s,
                     uint32_t delivered, nsec min_rtt, nsec now)
{
    if (r->app_limited && (int32_t)(r->delivered - r->app_limited) > 0) {
        r->app_limited = 0; /* the bubble is out of the pipe */
    }
    if (delivered) {
        f->delivered_at = now;
    }
    if (!s->sent_at) {
        return;
    }
    s->interval = nsec_max(s->interval, now - s->prior_at);
    s->delivered = r->delivered - s->prior_delivered;
    s->lost = r->lost - s->lost;
    if (s->interval < USEC || s->interval < min_rtt) {
        s->interval = 0;
        return;
    }
    keep_best(r, s);
}

uint64_t tcp_rate_best(const struct tcp_rate *r, uint32_t mss)
{
    return r->best_us ? (uint64_t)r->best_segs * mss * 1000000u / r->best_us : 0;
}
