/* tcp_rate_test.c - delivery rate estimation, draft-ietf-ccwg-bbr 4.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_rate.h"

#define T0 (1000 * SEC)

static struct rate_flight f; /* tcp_rate_sent begins it */

/* A segment sent at T0 + at, ending at sequence number `end`. */
static struct rate_mark sent(struct tcp_rate *r, uint32_t inflight, nsec at)
{
    struct rate_mark m;
    tcp_rate_sent(r, &f, &m, inflight, inflight == 1, T0 + at);
    return m;
}

/* It alone is acknowledged at T0 + now. */
static struct rate_sample acked(struct tcp_rate *r, const struct rate_mark *m, nsec at,
                                uint32_t end, uint32_t n, nsec now)
{
    struct rate_sample s = {0};
    r->delivered += n;
    tcp_rate_delivered(&f, &s, m, T0 + at, seq_of(end), false);
    tcp_rate_sample(r, &f, &s, n, 0, T0 + now);
    return s;
}

/* A flight of one: one segment each round trip. */
static void one_segment(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m = sent(&r, 1, 0);
    struct rate_sample s = acked(&r, &m, 0, 1, 1, 100 * MSEC);
    assert_int_equal(100 * MSEC, s.interval);
    assert_int_equal(1, s.delivered);
    assert_int_equal(0, s.prior_delivered);
}

/* Ten segments a millisecond apart, acknowledged likewise: from the second round trip on the rate
 * is that of the path. */
static void steady(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m[40];
    struct rate_sample s = {0};
    uint32_t inflight = 0, next = 0, done = 0;
    for (nsec t = 0; t < 40 * MSEC; t += MSEC) {
        if (t >= 10 * MSEC && done < next) {
            s = acked(&r, &m[done], (nsec)done * MSEC, done + 1, 1, t);
            done++;
            inflight--;
        }
        m[next++] = sent(&r, ++inflight, t);
    }
    assert_int_equal(10 * MSEC, s.interval);
    assert_int_equal(10, s.delivered);
    assert_int_equal(10 * 1448 * 100, tcp_rate_best(&r, 1448));
}

/* Acknowledgments held back and then delivered all at once do not make the path fast: the span in
 * which the flight was sent counts. */
static void compressed_acks(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m[20];
    struct rate_sample s = {0};
    for (uint32_t i = 0; i < 19; i++) {
        m[i] = sent(&r, i + 1, (nsec)i * MSEC);
    }
    for (uint32_t i = 0; i < 10; i++) {
        acked(&r, &m[i], (nsec)i * MSEC, i + 1, 1, 18 * MSEC);
    }
    m[19] = sent(&r, 10, 19 * MSEC);
    for (uint32_t i = 10; i < 20; i++) {
        s = acked(&r, &m[i], (nsec)i * MSEC, i + 1, 1, 20 * MSEC);
    }
    assert_int_equal(10 * MSEC, s.interval); /* sent at 9 to 19; acknowledged at 18 to 20 */
    assert_int_equal(10, s.delivered);
}

/* A burst sent at once and delivered slowly: the span of the acknowledgments counts. */
static void burst(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m[10];
    struct rate_sample s = {0};
    for (uint32_t i = 0; i < 10; i++) {
        m[i] = sent(&r, i + 1, 0);
    }
    for (uint32_t i = 0; i < 10; i++) {
        s = acked(&r, &m[i], 0, i + 1, 1, 10 * MSEC + (nsec)i * MSEC);
    }
    assert_int_equal(19 * MSEC, s.interval);
    assert_int_equal(10, s.delivered);
}

/* The newest of the segments that one ACK delivers makes the sample. */
static void newest_counts(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark a = sent(&r, 1, 0), b = sent(&r, 2, 5 * MSEC);
    struct rate_sample s = {0};
    r.delivered += 2;
    tcp_rate_delivered(&f, &s, &b, T0 + 5 * MSEC, seq_of(2), true);
    tcp_rate_delivered(&f, &s, &a, T0, seq_of(1), false);
    assert_int_equal(T0 + 5 * MSEC, s.sent_at);
    assert_true(s.retrans);
    assert_int_equal(T0 + 5 * MSEC, f.first_sent);
    assert_int_equal(2, s.inflight);
}

/* 4.1.2.4: marked until what was in flight when the program paused has been delivered. */
static void app_limited(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m[4];
    m[0] = sent(&r, 1, 0);
    tcp_rate_limited(&r, 1);
    m[1] = sent(&r, 2, MSEC);
    assert_false(m[0].app_limited);
    assert_true(m[1].app_limited);
    assert_false(acked(&r, &m[0], 0, 1, 1, 10 * MSEC).app_limited);
    assert_int_not_equal(0, r.app_limited);
    assert_true(acked(&r, &m[1], MSEC, 2, 1, 11 * MSEC).app_limited);
    assert_int_equal(0, r.app_limited);
    m[2] = sent(&r, 1, 12 * MSEC);
    assert_false(m[2].app_limited);
}

/* A limited sample raises what TCP_INFO tells, but does not lower it. */
static void best(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m = sent(&r, 1, 0);
    acked(&r, &m, 0, 1, 10, 10 * MSEC);
    assert_int_equal(1000 * 1000, tcp_rate_best(&r, 1000));
    tcp_rate_limited(&r, 0);
    m = sent(&r, 1, 20 * MSEC);
    acked(&r, &m, 20 * MSEC, 2, 1, 30 * MSEC);
    assert_int_equal(1000 * 1000, tcp_rate_best(&r, 1000));
    assert_false(r.best_limited);
    tcp_rate_limited(&r, 0);
    m = sent(&r, 1, 40 * MSEC);
    acked(&r, &m, 40 * MSEC, 3, 20, 50 * MSEC);
    assert_int_equal(2000 * 1000, tcp_rate_best(&r, 1000));
    assert_true(r.best_limited);
}

/* An interval below the smallest round trip is no sample: what was acknowledged had been sent
 * twice. */
static void too_short(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    struct rate_mark m = sent(&r, 1, 0);
    struct rate_sample s = {0};
    r.delivered++;
    tcp_rate_delivered(&f, &s, &m, T0, seq_of(1), true);
    tcp_rate_sample(&r, &f, &s, 1, 50 * MSEC, T0 + 20 * MSEC);
    assert_int_equal(0, s.interval);
    assert_int_equal(0, tcp_rate_best(&r, 1000));
}

/* Losses between sending and delivery. */
static void losses(void **state)
{
    (void)state;
    struct tcp_rate r = {.lost = 7};
    struct rate_mark m = sent(&r, 1, 0);
    r.lost += 3;
    assert_int_equal(3, acked(&r, &m, 0, 1, 1, 10 * MSEC).lost);
}

/* An acknowledgment that delivers nothing makes no sample. */
static void nothing_delivered(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    sent(&r, 1, 0);
    struct rate_sample s = {0};
    tcp_rate_sample(&r, &f, &s, 0, 0, T0 + SEC);
    assert_int_equal(0, s.interval);
    assert_int_equal(T0, f.delivered_at);
}

/* A pause of two hours in a span does not overflow its 32 bits of microseconds. */
static void long_pause(void **state)
{
    (void)state;
    struct tcp_rate r = {0};
    sent(&r, 1, 0);
    struct rate_mark m = sent(&r, 2, 7200 * SEC);
    assert_int_equal(UINT32_MAX, m.send_span_us);
    struct rate_sample s = acked(&r, &m, 7200 * SEC, 2, 1, 7201 * SEC);
    assert_true(s.interval > 4294 * SEC);
    assert_int_equal(0, tcp_rate_best(&r, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_segment),
        cmocka_unit_test(steady),
        cmocka_unit_test(compressed_acks),
        cmocka_unit_test(burst),
        cmocka_unit_test(newest_counts),
        cmocka_unit_test(app_limited),
        cmocka_unit_test(best),
        cmocka_unit_test(too_short),
        cmocka_unit_test(losses),
        cmocka_unit_test(nothing_delivered),
        cmocka_unit_test(long_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
