/*
 * event_flow_test.c - what a connection tells the event ring, in which order, and how much of it:
 * two whole stacks on a wire in virtual time. tests/tools/events.sh runs this under callgrind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/tcp.h"
#include "core/trace.h"
#include "tests/lib/rig.h"

#define ROUNDS     1000u
#define PER_ROUND  8u /* events a round trip, on either host */
#define LINES_MAX  64
#define BULK_BYTES 400000u

struct lines {
    char text[LINES_MAX][TRACE_LINE_MAX];
    unsigned n;
};

static uint64_t all_events; /* of all stacks here, for events.sh */

static struct rig *start(struct sock **listener, struct sock **client)
{
    int err;
    struct rig *r = rig_new(7, 0, NULL);
    r->host[0].out = r->host[1].out = (struct rig_wire){.delay = 10 * MSEC};
    struct endpoint at = {.addr = addr_any4, .port = 80};
    struct stack *st = r->host[1].st;
    *listener = sock_create(st, rig_env(r, 1), LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    assert_non_null(*listener);
    sock_named(st, rig_env(r, 1), *listener, 3, NULL);
    assert_int_equal(sock_bind(st, rig_env(r, 1), *listener, &at, true), 0);
    assert_int_equal(sock_listen(st, rig_env(r, 1), *listener, 8), 0);
    *client = sock_create(r->host[0].st, rig_env(r, 0), LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    assert_non_null(*client);
    sock_named(r->host[0].st, rig_env(r, 0), *client, 5, NULL);
    return r;
}

static void dial(struct rig *r, struct sock *client)
{
    struct endpoint to = {.addr = rig_addr(1, false), .port = 80};
    assert_int_equal(sock_connect(r->host[0].st, rig_env(r, 0), client, &to), -ERR_INPROGRESS);
    rig_flush(r, 0);
}

static struct sock *answer(struct rig *r, struct sock *listener)
{
    int err;
    struct sock *s = sock_accept(r->host[1].st, rig_env(r, 1), listener, &err);
    if (s) {
        sock_named(r->host[1].st, rig_env(r, 1), s, 4, listener);
    }
    return s;
}

static struct sock *connected(struct rig *r, struct sock *listener, struct sock *client)
{
    struct sock *s = NULL;
    dial(r, client);
    while (!s) {
        assert_true(rig_step(r, r->now + 10 * SEC));
        s = answer(r, listener);
    }
    return s;
}

static void finish(struct rig *r, struct sock *a, struct sock *b, struct sock *l)
{
    sock_release(r->host[0].st, rig_env(r, 0), a, rig_env(r, 0)->member);
    rig_flush(r, 0);
    while (rig_step(r, r->now + SEC)) {
    }
    if (b) {
        sock_release(r->host[1].st, rig_env(r, 1), b, rig_env(r, 1)->member);
        rig_flush(r, 1);
    }
    sock_release(r->host[1].st, rig_env(r, 1), l, rig_env(r, 1)->member);
    while (rig_step(r, r->now + 4000 * SEC)) {
    }
    rig_check_empty(r);
    all_events += r->host[0].st->events->next + r->host[1].st->events->next;
    rig_free(r);
}

static int64_t put(struct rig *r, unsigned i, struct sock *s, size_t n)
{
    static uint8_t buf[BULK_BYTES];
    struct span v = {buf, n};
    int64_t got = sock_send(r->host[i].st, rig_env(r, i), s, &v, 1, 0, NULL);
    rig_flush(r, i);
    return got;
}

static int64_t get(struct rig *r, unsigned i, struct sock *s)
{
    static uint8_t buf[BULK_BYTES];
    struct mspan v = {buf, sizeof buf};
    int64_t got = sock_recv(r->host[i].st, rig_env(r, i), s, &v, 1, 0, NULL);
    rig_flush(r, i);
    return got;
}

/* A blocking receive: as the preload does, a try that finds nothing comes first. */
static void wait_for(struct rig *r, unsigned i, struct sock *s)
{
    int64_t got;
    while ((got = get(r, i, s)) == -ERR_AGAIN) {
        while (!(sock_ready(r->host[i].st, s) & LX_POLLIN)) {
            assert_true(rig_step(r, r->now + 10 * SEC));
        }
    }
    assert_int_equal(got, 100);
}

/* A request and its answer, again and again, both sides in blocking calls. */
static void round_trips(void **state)
{
    struct sock *l, *a;
    (void)state;
    struct rig *r = start(&l, &a);
    struct sock *b = connected(r, l, a);
    uint64_t from[2] = {r->host[0].st->events->next, r->host[1].st->events->next};

    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(put(r, 0, a, 100), 100);
        wait_for(r, 1, b);
        assert_int_equal(put(r, 1, b, 100), 100);
        wait_for(r, 0, a);
    }
    for (unsigned i = 0; i < 2; i++) {
        double per = (double)(r->host[i].st->events->next - from[i]) / ROUNDS;
        printf("host %u: %.2f events a round trip\n", i, per);
        assert_true(per <= PER_ROUND);
    }
    finish(r, a, b, l);
}

/* The lines of a host's records from number `from` on. */
static void lines_of(struct rig *r, unsigned i, uint64_t from, nsec t0, struct lines *out)
{
    static struct event ev[EVENT_RING_LEN];
    uint64_t lost = 0;
    uint32_t n = event_read(r->host[i].st->events, &from, ev, EVENT_RING_LEN, &lost);
    assert_int_equal(lost, 0);
    out->n = 0;
    for (uint32_t k = 0; k < n && out->n < LINES_MAX; k++) {
        trace_line(&ev[k], t0, out->text[out->n++]);
    }
}

/* `want`: beginnings of lines, without their times, each somewhere behind the one before it. */
static void in_order(const struct lines *have, const char *const *want, size_t nwant)
{
    unsigned at = 0;
    for (size_t i = 0; i < nwant; i++) {
        while (at < have->n &&
               strncmp(strchr(have->text[at], ']') + 2, want[i], strlen(want[i])) != 0) {
            at++;
        }
        if (at == have->n) {
            for (unsigned k = 0; k < have->n; k++) {
                print_error("  %s\n", have->text[k]);
            }
            fail_msg("no line \"%s\" there, or not in that place", want[i]);
        }
    }
}

#define IN_ORDER(have, ...)                                 \
    do {                                                    \
        static const char *const want[] = {__VA_ARGS__};    \
        in_order((have), want, sizeof want / sizeof *want); \
    } while (0)

static void opening_and_closing(void **state)
{
    struct sock *l, *a;
    struct lines have;
    (void)state;
    struct rig *r = start(&l, &a);
    struct sock *b = connected(r, l, a);
    assert_int_equal(put(r, 0, a, 100), 100);
    wait_for(r, 1, b);
    lines_of(r, 0, 0, r->now, &have);
    IN_ORDER(&have, "1 . socket(AF_INET, SOCK_STREAM) = 5", "1 = CLOSED -> SYN-SENT",
             "1 > S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>", "1 * rto set, 1.000000 s",
             "1 . connect(5, 10.0.0.2:80) waits",
             "1 < S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS,wscale 10>",
             "1 = SYN-SENT -> ESTABLISHED", "1 > . 1:1(0) ack 1", "1 > P. 1:101(100) ack 1",
             "1 * tlp set", "1 . send(5, ..., 100) = 100");
    lines_of(r, 1, 0, r->now, &have);
    IN_ORDER(&have, "1 . socket(AF_INET, SOCK_STREAM) = 3", "1 . bind(3, 0.0.0.0:80) = 0",
             "1 = CLOSED -> LISTEN", "1 . listen(3, 8) = 0", "1 < S 0:0(0) win",
             "1 > S. 0:0(0) ack 1", "1 < . 1:1(0) ack 1", "2 = CLOSED -> SYN-RCVD",
             "2 = SYN-RCVD -> ESTABLISHED", "1 . accept(3) = 4", "2 . recv(4, ..., 400000) waits",
             "2 < P. 1:101(100) ack 1", "2 . recv(4, ..., 400000) = 100");
    finish(r, a, b, l);
}

/* A lost SYN: the timer is seen to start, to fire, to start again for twice as long; the second
 * SYN says why it was sent. */
static void timers_and_reasons(void **state)
{
    struct sock *l, *a;
    struct lines have;
    (void)state;
    struct rig *r = start(&l, &a);
    r->host[0].out.loss = 1000000;
    dial(r, a);
    while (r->host[0].sent < 2) {
        assert_true(rig_step(r, r->now + 10 * SEC));
    }
    lines_of(r, 0, 0, r->now, &have);
    IN_ORDER(&have, "1 > S 0:0(0)", "1 * rto set, 1.000000 s", "1 * rto fired",
             "1 > S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>  // retransmission timer fired",
             "1 * rto set, 1.000000 s");
    finish(r, a, NULL, l);
}

/* What is not used says so behind its segment, with the connection it was for; once. */
static void drops(void **state)
{
    struct sock *l, *a;
    struct lines have;
    (void)state;
    struct rig *r = start(&l, &a);
    struct sock *b = connected(r, l, a);
    uint64_t from = r->host[1].st->events->next;
    uint64_t old = r->host[1].st->stats.drop[DROP_TCP_OLD];
    r->host[0].out.dup = 1000000;
    assert_int_equal(put(r, 0, a, 100), 100);
    while (rig_step(r, r->now + 100 * MSEC)) {
    }
    lines_of(r, 1, from, r->now, &have);
    IN_ORDER(&have, "2 < P. 1:101(100) ack 1", "2 < P. 1:101(100) ack 1", "2 ! tcp: old duplicate");
    assert_int_equal(r->host[1].st->stats.drop[DROP_TCP_OLD], old + 1);

    from = r->host[1].st->events->next;
    uint64_t bad = r->host[1].st->stats.drop[DROP_TCP_CHECKSUM];
    uint8_t pkt[40] = {[0] = 0x45, [3] = 40, [8] = 64,    [9] = 6,     [12] = 10, [15] = 1,
                       [16] = 10,  [19] = 2, [20] = 0x12, [21] = 0x34, [23] = 80, [32] = 0x50};
    pkt[10] = 0x66; /* the header's own checksum is right, TCP's is not */
    pkt[11] = 0xce;
    struct pkt_in in = {.p = pkt, .len = sizeof pkt};
    stack_input(r->host[1].st, rig_env(r, 1), &in);
    lines_of(r, 1, from, r->now, &have);
    assert_int_equal(have.n, 1);
    IN_ORDER(&have, "0 ! tcp: TCP checksum wrong (40)");
    assert_int_equal(r->host[1].st->stats.drop[DROP_TCP_CHECKSUM], bad + 1);
    const struct event *ev = &r->host[1].st->events->ev[from & (EVENT_RING_LEN - 1)];
    assert_int_equal(ev->lport, 80);
    assert_int_equal(ev->rport, 0x1234);
    r->host[0].out.dup = 0;
    finish(r, a, b, l);
}

/* The window grows with acknowledgments, falls with a loss, and every segment tells it. */
static void windows(void **state)
{
    static struct event ev[EVENT_RING_LEN];
    struct sock *l, *a;
    uint64_t from = 0, lost = 0;
    unsigned grown = 0, recovery = 0, again = 0;
    (void)state;
    struct rig *r = start(&l, &a);
    struct sock *b = connected(r, l, a);
    int64_t left = BULK_BYTES - put(r, 0, a, BULK_BYTES), got = 0;
    r->host[0].out.loss = 20000;
    while (got < BULK_BYTES) {
        assert_true(rig_step(r, r->now + 100 * SEC));
        int64_t n = get(r, 1, b);
        got += n > 0 ? n : 0;
        n = left > 0 ? put(r, 0, a, (size_t)left) : 0;
        left -= n > 0 ? n : 0;
    }
    uint32_t n = event_read(r->host[0].st->events, &from, ev, EVENT_RING_LEN, &lost);
    assert_int_equal(lost, 0);
    for (uint32_t i = 0; i < n; i++) {
        grown += ev[i].kind == EV_CWND && ev[i].why == CWND_GROWN;
        recovery += ev[i].kind == EV_CWND && ev[i].u.cwnd.ca_state == 3;
        again += ev[i].kind == EV_SEG_OUT && ev[i].why == TX_FAST;
        if (ev[i].kind == EV_SEG_OUT && ev[i].u.seg.len > 0) {
            assert_int_equal(ev[i].u.seg.state, TCP_ESTABLISHED);
            assert_in_range(ev[i].u.seg.cwnd, 1, 1u << 24);
            assert_in_range(ev[i].u.seg.srtt_us, 19000, 60000);
        }
    }
    assert_in_range(grown, 5, n);
    assert_in_range(recovery, 1, n);
    assert_in_range(again, 1, n);
    r->host[0].out.loss = 0;
    finish(r, a, b, l);
}

static int tell(void **state)
{
    (void)state;
    printf("events %llu\n", (unsigned long long)all_events);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(opening_and_closing),
        cmocka_unit_test(timers_and_reasons),
        cmocka_unit_test(drops),
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, tell);
}
