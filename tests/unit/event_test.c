/*
 * event_test.c - the event ring, read while it is written by another process; and the text of its
 * records.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/abi.h"
#include "core/check.h"
#include "core/event.h"
#include "core/tcp.h"
#include "core/trace.h"

static struct event_ring *ring;
static struct env env = {.now = 5 * SEC, .member = 3, .tid = 77};
static struct event out[EVENT_RING_LEN];

static int setup(void **state)
{
    (void)state;
    ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return ring == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(ring, sizeof *ring);
}

/* Record number n: every byte follows from n. */
static void put(uint64_t n)
{
    struct event *ev = event_begin(ring, &env, EV_CALL);
    ev->sock_id = (uint32_t)n;
    for (size_t i = 0; i < 5; i++) {
        memcpy(ev->u.raw + i * 8, &n, 8);
    }
    event_end(ring);
}

static void verify(const struct event *ev, uint64_t n)
{
    assert_int_equal(ev->sock_id, (uint32_t)n);
    for (size_t i = 0; i < 5; i++) {
        assert_memory_equal(ev->u.raw + i * 8, &n, 8);
    }
}

static void in_order(void **state)
{
    uint64_t from = 0;
    uint64_t lost = 0;
    uint64_t want = 0;
    (void)state;
    assert_int_equal(event_read(ring, &from, out, 10, &lost), 0);
    for (uint64_t n = 0; n < 3 * EVENT_RING_LEN; n++) {
        put(n);
        if (n % 1000 == 999) {
            uint32_t k;
            while ((k = event_read(ring, &from, out, 300, &lost)) > 0) {
                for (uint32_t i = 0; i < k; i++) {
                    verify(&out[i], want++);
                    assert_int_equal(out[i].member, 3);
                    assert_int_equal(out[i].tid, 77);
                    assert_int_equal(out[i].at, 5 * SEC);
                }
            }
        }
    }
    assert_int_equal(lost, 0);
    assert_int_equal(want, 3 * EVENT_RING_LEN / 1000 * 1000);
}

/* A reader that comes late is told how much it missed; one from another life of the ring starts at
 * its end. */
static void late(void **state)
{
    uint64_t from = 0;
    uint64_t lost = 0;
    (void)state;
    for (uint64_t n = 0; n < 2 * EVENT_RING_LEN; n++) {
        put(n);
    }
    uint32_t k = event_read(ring, &from, out, EVENT_RING_LEN, &lost);
    assert_int_equal(k + lost, 2 * EVENT_RING_LEN);
    assert_true(lost <= EVENT_RING_LEN + 1);
    verify(&out[0], lost);
    assert_int_equal(from, 2 * EVENT_RING_LEN);
    from = UINT64_MAX;
    assert_int_equal(event_read(ring, &from, out, 10, &lost), 0);
    assert_int_equal(from, 2 * EVENT_RING_LEN);
}

/* Another process writes as fast as it can: no record is ever seen torn, all are seen or counted.
 */
static void while_written(void **state)
{
    enum { N = 3000000 };
    uint64_t from = 0;
    uint64_t lost = 0;
    uint64_t seen = 0;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        for (uint64_t n = 0; n < N; n++) {
            put(n);
        }
        _exit(0);
    }
    while (seen + lost < N) {
        uint64_t before = lost;
        uint32_t k = event_read(ring, &from, out, 4096, &lost);
        for (uint32_t i = 0; i < k; i++) {
            verify(&out[i], from - k + i);
        }
        seen += k;
        assert_int_equal(seen + lost, from);
        assert_true(lost >= before);
    }
    waitpid(pid, NULL, 0);
    assert_true(seen > 0);
}

/* --- text --- */

static void line_is(const struct event *ev, const char *want)
{
    char buf[TRACE_LINE_MAX];
    assert_string_equal(trace_line(ev, 10 * SEC, buf), want);
}

static void segments(void **state)
{
    struct event ev = {.kind = EV_SEG_IN, .at = 10 * SEC + 110123456, .sock_id = 3};
    (void)state;
    ev.u.seg.flags = 0x12;
    ev.u.seg.ack = 1;
    ev.u.seg.wnd = 65535;
    line_is(&ev, "[  0.110123] 3 < S. 0:0(0) ack 1 win 65535");
    ev.u.seg.syn.mss = 1460;
    line_is(&ev, "[  0.110123] 3 < S. 0:0(0) ack 1 win 65535 <mss 1460>");
    ev.u.seg.syn.opts = SEG_SYN_SACK | SEG_SYN_TS | SEG_SYN_WSCALE;
    ev.u.seg.syn.wscale = 7;
    line_is(&ev, "[  0.110123] 3 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS,wscale 7>");
    ev.u.seg.syn.mss = 0;
    ev.u.seg.syn.opts = SEG_SYN_WSCALE;
    line_is(&ev, "[  0.110123] 3 < S. 0:0(0) ack 1 win 65535 <wscale 7>");
    ev.u.seg.flags = 0x18;
    ev.u.seg.seq = 1;
    ev.u.seg.len = 100;
    line_is(&ev, "[  0.110123] 3 < P. 1:101(100) ack 1 win 65535");
    ev.kind = EV_SEG_OUT;
    ev.why = TX_FAST;
    line_is(&ev, "[  0.110123] 3 > P. 1:101(100) ack 1 win 65535  // fast retransmission");
    ev.why = TX_DATA;
    ev.at += 100 * SEC;
    ev.u.seg.flags = 0x1fd;
    line_is(&ev, "[100.110123] 3 > FRP.UEWA 1:101(100) ack 1 win 65535");
}

static void other_lines(void **state)
{
    struct event ev = {.kind = EV_STATE, .at = 10 * SEC, .sock_id = 3, .proto = LX_IPPROTO_TCP};
    (void)state;
    ev.u.state.from = TCP_SYN_SENT;
    ev.u.state.to = TCP_ESTABLISHED;
    ev.u.state.line = 88;
    memcpy(ev.u.state.func, "tcp_in_syn_sent", 16);
    line_is(&ev, "[  0.000000] 3 = SYN-SENT -> ESTABLISHED      tcp_in_syn_sent:88");

    ev = (struct event){.kind = EV_DROP, .proto = 17, .why = DROP_UDP_NO_SOCKET};
    ev.u.pkt.len = 60;
    line_is(&ev, "[  0.000000] 0 ! udp: no UDP socket on that port (60)");
    ev = (struct event){.kind = EV_TIMER, .sock_id = 3, .at = 10 * SEC};
    ev.u.timer.act = EVT_FIRED;
    line_is(&ev, "[  0.000000] 3 * rto fired");
    ev.u.timer.act = EVT_SET;
    ev.u.timer.timer = EVT_DELACK;
    ev.u.timer.at = 10 * SEC + 40 * MSEC;
    line_is(&ev, "[  0.000000] 3 * delack set, 0.040000 s");

    ev = (struct event){.kind = EV_CALL, .sock_id = 3, .at = 10 * SEC};
    ev.u.call.call = EVC_SEND;
    ev.u.call.fd = 5;
    ev.u.call.arg = 100;
    ev.u.call.ret = 100;
    line_is(&ev, "[  0.000000] 3 . send(5, ..., 100) = 100");
    ev.u.call.call = EVC_RECV;
    ev.why = CALL_WAITS;
    line_is(&ev, "[  0.000000] 3 . recv(5, ..., 100) waits");
    ev.why = CALL_DONE;
    ev.u.call.call = EVC_CLOSE;
    ev.u.call.ret = 0;
    line_is(&ev, "[  0.000000] 3 . close(5) = 0");
    ev.u.call.call = EVC_CONNECT;
    ev.u.call.fd = -1;
    ev.u.call.arg2 = 80;
    ev.u.call.ret = -1;
    ev.u.call.err = ERR_INPROGRESS;
    struct addr to = addr_v4(10, 77, 0, 1);
    memcpy(ev.u.call.addr, &to, sizeof to);
    line_is(&ev,
            "[  0.000000] 3 . connect(10.77.0.1:80) = -1 EINPROGRESS (connection in progress)");
    ev.u.call.addr[0] = 0xfd;
    line_is(&ev, "[  0.000000] 3 . connect([fd00::ffff:a4d:1]:80) = -1 EINPROGRESS (connection in "
                 "progress)");

    ev = (struct event){.kind = EV_DGRAM_IN, .proto = 17, .lport = 53, .rport = 9};
    ev.u.pkt.len = 12;
    line_is(&ev, "[  0.000000] 0 < udp 9 > 53 (12)");
    ev.kind = EV_DGRAM_OUT;
    line_is(&ev, "[  0.000000] 0 > udp 53 > 9 (12)");
    ev = (struct event){.kind = EV_ICMP_IN, .proto = 1};
    ev.u.icmp.type = 3;
    ev.u.icmp.code = 4;
    ev.u.icmp.info = 1300;
    ev.u.icmp.len = 36;
    line_is(&ev, "[  0.000000] 0 < icmp unreachable code 4 mtu 1300 (36)");

    ev = (struct event){.kind = EV_CWND, .sock_id = 3, .why = CWND_UNDO};
    ev.u.cwnd.cwnd = 10;
    ev.u.cwnd.ssthresh = UINT32_MAX;
    line_is(&ev, "[  0.000000] 3 ~ cwnd 10 inflight 0 Open  // the loss was none");
    ev = (struct event){.kind = EV_IMPAIR, .sock_id = 3, .why = IMPAIR_DROP};
    ev.u.impair.rule = 2;
    ev.u.impair.out = 1;
    ev.u.impair.len = 1500;
    line_is(&ev, "[  0.000000] 3 ! rule 2: out, dropped (1500)");
    ev.why = IMPAIR_DELAY;
    ev.u.impair.out = 0;
    ev.u.impair.delay = 20 * MSEC;
    line_is(&ev, "[  0.000000] 3 ! rule 2: in, delayed (1500) for 0.020000 s");
}

/* A record of garbage, as a torn ring may hold: one line, within its bounds. */
static void garbage(void **state)
{
    struct event ev;
    uint32_t x = 1;
    char buf[TRACE_LINE_MAX + 8];
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        for (size_t k = 0; k < sizeof ev; k++) {
            x = x * 1664525 + 1013904223;
            ((uint8_t *)&ev)[k] = (uint8_t)(x >> 24);
        }
        if (i & 1) {
            ev.kind %= EV_KINDS;
        }
        memset(buf, 'x', sizeof buf);
        trace_line(&ev, (nsec)((uint64_t)x << 32), buf);
        assert_true(memchr(buf, '\0', TRACE_LINE_MAX) != NULL);
        assert_int_equal(buf[TRACE_LINE_MAX], 'x');
    }
}

static void names(void **state)
{
    char buf[12];
    (void)state;
    assert_string_equal(trace_flags(0, buf), "-");
    assert_string_equal(trace_flags(0x02, buf), "S");
    assert_string_equal(tx_reason_name(TX_RTO), "RTO");
    assert_string_equal(tx_reason_text(TX_RTO), "retransmission timer fired");
    assert_string_equal(tx_reason_name(99), "?");
    assert_string_equal(event_option_name(LX_IPPROTO_TCP, LX_TCP_NODELAY), "TCP_NODELAY");
    assert_string_equal(event_option_name(LX_SOL_SOCKET, LX_SO_ERROR), "SO_ERROR");
    assert_null(event_option_name(LX_SOL_SOCKET, 14)); /* Linux has none */
    assert_null(event_option_name(LX_SOL_SOCKET, 4000000000u));
    assert_null(event_option_name(99, 1));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(in_order),    T(late),    T(while_written), T(segments),
                                       T(other_lines), T(garbage), T(names)};
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
