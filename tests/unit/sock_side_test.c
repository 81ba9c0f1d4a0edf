/*
 * sock_side_test.c - the rare state beside a socket after the lock's holder has died: what belongs
 * together stays, in its order; what was being made or let go is free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sock_errq.h"
#include "core/sock_ts.h"
#include "core/tcp_cb.h"
#include "tests/lib/lone.h"
#include "tests/lib/peer.h"

#define PEER "10.77.0.1"
#define US   "10.77.0.2"
#define PORT 80

static struct lone *host;
static uint8_t buf[8192];

static int setup(void **state)
{
    (void)state;
    host = lone_new(LINK_CSUM, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static void set(struct sock *s, int name, int32_t v)
{
    assert_int_equal(
        sock_setopt(host->st, lone_env(host), s, LX_SOL_SOCKET, name, &v, sizeof v, false), 0);
}

static uint32_t alive(enum mem_kind k)
{
    return mem_use(host->st->mem).objs[k];
}

/* Three datagrams' times wait; recovery keeps them and their order, the large one's pages too. */
static void error_queue(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct recv_info info;

    (void)state;
    set(s, LX_SO_TIMESTAMPING,
        LX_SOF_TIMESTAMPING_TX_SOFTWARE | LX_SOF_TIMESTAMPING_SOFTWARE |
            LX_SOF_TIMESTAMPING_OPT_ID);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(lone_send(host, s, buf, i == 1 ? 1400 : 10, PEER, 9) > 0);
    }
    lone_recover(host);
    for (uint32_t i = 0; i < 3; i++) {
        memset(&info, 0, sizeof info);
        int64_t n = lone_recv(host, s, buf, sizeof buf, LX_MSG_ERRQUEUE, &info);
        assert_int_equal(n, (i == 1 ? 1400 : 10) + 28);
        assert_int_equal(info.ee.data, i);
        assert_int_equal(info.ee.origin, EE_TIMESTAMPING);
    }
    assert_int_equal(lone_recv(host, s, buf, sizeof buf, LX_MSG_ERRQUEUE, &info), -ERR_AGAIN);
    lone_close(host, s);
    assert_int_equal(alive(MEM_SIDE), 0);
    assert_int_equal(alive(MEM_DGRAM), 0);
}

static struct peer opened(struct sock *l)
{
    struct peer p = peer_of(host, false, 2000);

    peer_connect(&p, l, NULL, 0);
    return p;
}

static struct sock *listening(void)
{
    struct sock *l = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);

    assert_int_equal(lone_bind(host, l, US, PORT), 0);
    assert_int_equal(sock_listen(host->st, lone_env(host), l, 8), 0);
    return l;
}

static int64_t send_flags(struct sock *s, size_t n, uint32_t flags)
{
    struct span v = {buf, n};

    return sock_send(host->st, lone_env(host), s, &v, 1, flags, NULL);
}

/* Marks of a stream: times and completions keep their places and numbers. */
static void marks(void **state)
{
    struct sock *l = listening();
    struct peer p = opened(l);
    struct tcp *c = tcp_of(p.s);

    (void)state;
    set(p.s, LX_SO_ZEROCOPY, 1);
    assert_int_equal(send_flags(p.s, 100, LX_MSG_ZEROCOPY), 100);
    set(p.s, LX_SO_TIMESTAMPING, LX_SOF_TIMESTAMPING_TX_ACK);
    assert_int_equal(send_flags(p.s, 100, 0), 100);
    set(p.s, LX_SO_TIMESTAMPING, 0);
    assert_int_equal(send_flags(p.s, 100, LX_MSG_ZEROCOPY), 100);
    assert_int_equal(alive(MEM_MARK), 3);
    lone_recover(host);
    assert_int_equal(alive(MEM_MARK), 3);
    const struct mark *m = p.s->side->mark_head;
    for (uint32_t i = 1; i <= 3; i++, m = m->next) {
        assert_int_equal(seq_dist(tcp_snd_base(c), m->at), 100 * i);
        assert_int_equal(m->what, i == 2 ? MARK_ACK : MARK_COPIED);
        assert_int_equal(m->id, i == 3);
    }
    assert_null(m);
    assert_ptr_equal(p.s->side->mark_tail->at.v, tcp_write_end(c).v);
    tcp_abort(host->st, lone_env(host), p.s, ERR_CONNABORTED);
    assert_int_equal(alive(MEM_MARK), 0);
    assert_int_equal(errq_newest(p.s)->ee.info, 0);
    assert_int_equal(errq_newest(p.s)->ee.data, 1);
    lone_close(host, p.s);
    lone_close(host, l);
}

/* The urgent mark stands where it stood. */
static void urgent(void **state)
{
    struct sock *l = listening();
    struct peer p = opened(l);

    (void)state;
    assert_int_equal(send_flags(p.s, 10, LX_MSG_OOB), 10);
    seq up = p.s->side->snd_up;
    lone_recover(host);
    assert_true(p.s->side->urg_out);
    assert_int_equal(p.s->side->snd_up.v, up.v);
    tcp_abort(host->st, lone_env(host), p.s, ERR_CONNABORTED);
    lone_close(host, p.s);
    lone_close(host, l);
}

/* Died before the socket named it; died with the object gone and the socket still naming it. */
static void half_made(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct side *lost = mem_obj_get(host->st->mem, lone_env(host), MEM_SIDE);

    (void)state;
    lost->owner = s;
    lone_recover(host);
    assert_int_equal(alive(MEM_SIDE), 0);

    struct side *x = sock_side(host->st, lone_env(host), s);
    assert_non_null(x);
    mem_obj_put(host->st->mem, x);
    lone_recover(host);
    assert_null(s->side);

    struct mark *m = mem_obj_get(host->st->mem, lone_env(host), MEM_MARK);
    assert_non_null(m);
    lone_recover(host);
    assert_int_equal(alive(MEM_MARK), 0);
    lone_close(host, s);
}

/* Each request for memory fails once: the send says so or succeeds, and nothing is left. */
static void no_memory(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 8; n++) {
        struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
        set(s, LX_SO_TIMESTAMPING, LX_SOF_TIMESTAMPING_TX_SOFTWARE | LX_SOF_TIMESTAMPING_TX_SCHED);
        set(s, LX_SO_ZEROCOPY, 1);
        mem_fail_nth(host->st->mem, n);
        (void)lone_send(host, s, buf, 300, PEER, 9);
        mem_fail_nth(host->st->mem, 0);
        lone_close(host, s);
        assert_int_equal(alive(MEM_SIDE), 0);
        assert_int_equal(alive(MEM_DGRAM), 0);
    }
}

/* The queue is bounded by the receive buffer, but takes one. */
static void bounded(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    uint32_t n = 0;

    (void)state;
    set(s, LX_SO_RCVBUF, 1);
    set(s, LX_SO_TIMESTAMPING, LX_SOF_TIMESTAMPING_TX_SOFTWARE);
    for (int i = 0; i < 100; i++) {
        lone_send(host, s, buf, 10, PEER, 9);
    }
    while (lone_recv(host, s, buf, sizeof buf, LX_MSG_ERRQUEUE, NULL) >= 0) {
        n++;
    }
    assert_in_range(n, 1, 10);
    lone_forget(host);
    lone_close(host, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(error_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(marks, setup, teardown),
        cmocka_unit_test_setup_teardown(urgent, setup, teardown),
        cmocka_unit_test_setup_teardown(half_made, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
