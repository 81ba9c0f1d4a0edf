/*
 * tcp_idle_test.c - what a connection costs that has nothing to do, and that what only busy ones
 * have (tcp_flight.h) comes and goes: with memory failing, and after the lock's holder has died.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "tests/lib/lone.h"
#include "tests/lib/peer.h"

#define PORT     80
#define MANY     1200u
#define IDLE_MAX 1024u /* bytes of arena of an idle connection: all there is of it */

/* MSS 1460, SACK permitted, timestamps, window scale 7 */
static const uint8_t options[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};

static struct lone *host;
static uint8_t buf[65536];

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

static uint32_t alive(enum mem_kind k)
{
    return mem_use(host->st->mem).objs[k];
}

static struct peer opened(struct sock *l, uint16_t port)
{
    struct peer p = peer_of(host, false, port);

    peer_connect(&p, l, NULL, 0);
    return p;
}

static int64_t write_some(struct peer *p, size_t n)
{
    struct span v = {buf, n};

    return sock_send(host->st, lone_env(host), p->s, &v, 1, LX_MSG_DONTWAIT, NULL);
}

/* The peer acknowledges all that has come. */
static void acknowledge(struct peer *p)
{
    struct tcp_seg got;

    while (peer_take(p, &got)) {
        p->ack = tcp_seg_end(&got).v;
    }
    peer_say(p, TCP_ACK, NULL, 0);
}

static void ask_and_answer(struct peer *p)
{
    peer_say(p, TCP_ACK | TCP_PSH, "request", 7);
    assert_int_equal(lone_recv(host, p->s, buf, sizeof buf, 0, NULL), 7);
    assert_int_equal(write_some(p, 300), 300);
    acknowledge(p);
}

/* An idle connection costs under 1 KiB, tables included. Memory comes in slabs of many: counted
 * from one new slab to another, more than a thousand connections later. */
static void idle_is_small(void **state)
{
    static struct peer p[MANY];
    struct sock *l = peer_listener(host, PORT, (int)MANY);
    size_t used = 0, first = 0, last = 0;
    uint32_t first_n = 0, last_n = 0;

    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        p[i] = peer_of(host, false, (uint16_t)(1000 + i));
        peer_connect(&p[i], l, options, sizeof options);
        ask_and_answer(&p[i]);
        lone_forget(host);
        if (i > 0 && mem_used(host->st->mem) > used) {
            first = first ? first : mem_used(host->st->mem);
            first_n = first_n ? first_n : i;
            last = mem_used(host->st->mem);
            last_n = i;
        }
        used = mem_used(host->st->mem);
    }
    assert_int_equal(alive(MEM_TCP), MANY + 1);
    assert_int_equal(alive(MEM_FLIGHT), 0);
    assert_true(last_n - first_n > 1000);
    size_t each = (last - first) / (last_n - first_n);
    print_message("an idle connection: %zu bytes of arena, %zu of them its control block\n", each,
                  sizeof(struct tcp));
    assert_true(each < IDLE_MAX);
    for (uint32_t i = 0; i < MANY; i++) {
        tcp_abort(host->st, lone_env(host), p[i].s, ERR_CONNABORTED);
        lone_close(host, p[i].s);
        lone_forget(host);
    }
    lone_close(host, l);
}

static void over(struct peer *p, struct sock *l)
{
    tcp_abort(host->st, lone_env(host), p->s, ERR_CONNABORTED);
    lone_close(host, p->s);
    lone_close(host, l);
    assert_int_equal(alive(MEM_FLIGHT), 0);
}

/* There while something is unsent, unacknowledged, or waits behind a hole. */
static void comes_and_goes(void **state)
{
    struct sock *l = peer_listener(host, PORT, 8);
    struct peer p = opened(l, 2000);

    (void)state;
    assert_int_equal(alive(MEM_FLIGHT), 0);
    assert_int_equal(write_some(&p, 1000), 1000);
    assert_int_equal(alive(MEM_FLIGHT), 1);
    acknowledge(&p);
    assert_int_equal(alive(MEM_FLIGHT), 0);

    p.seq += 10;
    peer_say(&p, TCP_ACK, "later", 5);
    assert_int_equal(alive(MEM_FLIGHT), 1);
    p.seq -= 15;
    peer_say(&p, TCP_ACK, "0123456789", 10);
    assert_int_equal(lone_recv(host, p.s, buf, sizeof buf, 0, NULL), 15);
    assert_int_equal(alive(MEM_FLIGHT), 0);
    over(&p, l);
}

/* What is in flight is sent again after the holder of the lock died, and the unsent after it. */
static void survives(void **state)
{
    struct sock *l = peer_listener(host, PORT, 8);
    struct peer p = opened(l, 2000);
    struct tcp *c = tcp_of(p.s);
    struct tcp_seg got;

    (void)state;
    assert_int_equal(write_some(&p, 60000), 60000);
    peer_drain(&p);
    uint32_t out = c->fl->tx.out;
    assert_in_range(out, 1, 40);
    lone_recover(host);
    assert_int_equal(alive(MEM_FLIGHT), 1);
    assert_int_equal(c->fl->tx.out, out);
    lone_wait(host, lone_env(host)->now + 2 * SEC);
    assert_true(peer_take(&p, &got));
    assert_int_equal(got.seq.v, p.ack);
    for (int i = 0; i < 200 && c->fl->tx.n; i++) {
        p.ack = c->snd.nxt.v;
        peer_drain(&p);
        peer_say(&p, TCP_ACK, NULL, 0);
    }
    assert_int_equal(c->info.bytes_acked, 60000);
    assert_int_equal(alive(MEM_FLIGHT), 0);
    over(&p, l);
}

/* Died before the connection named it; died with the object gone and the connection naming it. */
static void half_made(void **state)
{
    struct sock *l = peer_listener(host, PORT, 8);
    struct peer p = opened(l, 2000);
    struct tcp *c = tcp_of(p.s);
    struct tcp_flight *lost = mem_obj_get(host->st->mem, lone_env(host), MEM_FLIGHT);

    (void)state;
    lost->owner = c;
    lone_recover(host);
    assert_int_equal(alive(MEM_FLIGHT), 0);
    assert_ptr_equal(c->fl, &host->st->no_flight);

    assert_true(tcp_flight_get(host->st, lone_env(host), c));
    mem_obj_put(host->st->mem, c->fl);
    lone_recover(host);
    assert_ptr_equal(c->fl, &host->st->no_flight);
    ask_and_answer(&p);
    over(&p, l);
}

/* Each request for memory fails once: what cannot be written is refused, what cannot be kept is as
 * if lost, and the connection goes on. */
static void no_memory(void **state)
{
    struct sock *l = peer_listener(host, PORT, 8);

    (void)state;
    for (uint32_t n = 1; n < 8; n++) {
        struct peer p = opened(l, (uint16_t)(2000 + n));
        mem_fail_nth(host->st->mem, n);
        int64_t wrote = write_some(&p, 100);
        assert_true(wrote == 100 || wrote == -ERR_NOBUFS);
        mem_fail_nth(host->st->mem, n);
        p.seq += 10;
        peer_say(&p, TCP_ACK, "later", 5);
        mem_fail_nth(host->st->mem, 0);
        assert_null(stack_check(host->st));
        p.seq -= 15;
        peer_say(&p, TCP_ACK, "0123456789later", 15);
        assert_int_equal(lone_recv(host, p.s, buf, sizeof buf, 0, NULL), 15);
        acknowledge(&p);
        ask_and_answer(&p);
        assert_int_equal(alive(MEM_FLIGHT), 0);
        tcp_abort(host->st, lone_env(host), p.s, ERR_CONNABORTED);
        lone_close(host, p.s);
    }
    lone_close(host, l);
}

/* shutdown() without memory for the FIN's record: it goes with the next acknowledgment. */
static void fin_without_memory(void **state)
{
    struct sock *l = peer_listener(host, PORT, 8);
    struct peer p = opened(l, 2000);
    struct tcp_seg got;

    (void)state;
    mem_fail_nth(host->st->mem, 1);
    assert_int_equal(sock_shutdown(host->st, lone_env(host), p.s, LX_SHUT_WR), 0);
    mem_fail_nth(host->st->mem, 0);
    assert_null(stack_check(host->st));
    assert_int_equal(peer_drain(&p), 0);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    assert_true(peer_drain(&p) > 0); /* probes, which a living peer answers */
    peer_say(&p, TCP_ACK, NULL, 0);
    assert_true(peer_take(&p, &got));
    assert_true(got.flags & TCP_FIN);
    over(&p, l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_is_small, setup, teardown),
        cmocka_unit_test_setup_teardown(comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(survives, setup, teardown),
        cmocka_unit_test_setup_teardown(half_made, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(fin_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
