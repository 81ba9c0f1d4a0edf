/*
 * tcp_saved_test.c - TCP_SAVE_SYN: the headers of a SYN go from its request to the connection, are
 * read once, and are nobody's otherwise; TCP_TX_DELAY is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "core/tcp_saved.h"
#include "tests/lib/lone.h"
#include "tests/lib/peer.h"

static struct lone *host;
static struct sock *l;

static int setup(void **state)
{
    (void)state;
    host = lone_new(LINK_CSUM, NULL);
    l = peer_listener(host, 80, 8);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, l);
    lone_forget(host);
    return lone_free(host);
}

static int set(struct sock *s, int name, int32_t v)
{
    return sock_setopt(host->st, lone_env(host), s, LX_IPPROTO_TCP, name, &v, sizeof v, false);
}

static int32_t get(struct sock *s, int name)
{
    int32_t v = -1;
    size_t len = sizeof v;
    assert_int_equal(sock_getopt(host->st, lone_env(host), s, LX_IPPROTO_TCP, name, &v, &len), 0);
    return v;
}

static int saved(struct sock *s, uint8_t *buf, size_t *len)
{
    return sock_getopt(host->st, lone_env(host), s, LX_IPPROTO_TCP, LX_TCP_SAVED_SYN, buf, len);
}

static uint32_t kept(void)
{
    return mem_use(host->st->mem).objs[MEM_SYN];
}

static void over(struct peer *p)
{
    tcp_abort(host->st, lone_env(host), p->s, ERR_CONNABORTED);
    lone_close(host, p->s);
    lone_forget(host);
}

static const uint8_t options[] = {2, 4, 5, 180, 4, 2, 1, 1};

/* Both families; too small a buffer says how much is needed; the second reading finds nothing. */
static void read_once(void **state)
{
    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 1), 0);
    for (int v6 = 0; v6 < 2; v6++) {
        struct peer p = peer_of(host, v6 != 0, 2000);
        uint8_t want[LONE_PKT_MAX], buf[256];
        struct peer_seg syn = {
            .seq = p.seq, .flags = TCP_SYN, .wnd = p.wnd, .opt = options, .nopt = sizeof options};
        size_t n = peer_build(&p, &syn, want);
        peer_connect(&p, l, options, sizeof options);
        assert_int_equal(get(p.s, LX_TCP_SAVE_SYN), 1);
        size_t len = 10;
        assert_int_equal(saved(p.s, buf, &len), -ERR_INVAL);
        assert_int_equal(len, n);
        len = sizeof buf;
        assert_int_equal(saved(p.s, buf, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(buf, want, n);
        len = sizeof buf;
        assert_int_equal(saved(p.s, buf, &len), 0);
        assert_int_equal(len, 0);
        assert_int_equal(kept(), 0);
        over(&p);
    }
}

static void not_asked(void **state)
{
    uint8_t buf[256];
    size_t len = sizeof buf;
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 3), -ERR_INVAL);
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, -1), -ERR_INVAL);
    assert_int_equal(set(l, LX_TCP_SAVED_SYN, 1), -ERR_NOPROTOOPT);
    peer_connect(&p, l, NULL, 0);
    assert_int_equal(saved(p.s, buf, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(kept(), 0);
    over(&p);
}

static void half_open(struct peer *p)
{
    peer_send(p, &(struct peer_seg){.seq = p->seq, .flags = TCP_SYN, .wnd = p->wnd});
    peer_drain(p);
}

/* A request that ends takes its headers along: by RST, by its time, with its listener. */
static void goes_with_its_request(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 2), 0);
    half_open(&p);
    assert_int_equal(kept(), 1);
    half_open(&p); /* the SYN once more: the same request */
    assert_int_equal(kept(), 1);
    peer_send(&p, &(struct peer_seg){.seq = p.seq + 1, .flags = TCP_RST});
    assert_int_equal(kept(), 0);
    half_open(&p);
    lone_wait(host, lone_env(host)->now + 300 * SEC);
    assert_int_equal(kept(), 0);
    half_open(&p);
    assert_int_equal(kept(), 1);
}

/* A connection that ends without anybody having read. */
static void goes_with_its_connection(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 1), 0);
    peer_connect(&p, l, NULL, 0);
    assert_int_equal(kept(), 1);
    over(&p);
    assert_int_equal(kept(), 0);
}

/* A request's and a connection's survive the death of the lock's holder; nobody's does not. */
static void recovery(void **state)
{
    struct peer p = peer_of(host, false, 2000), q = peer_of(host, false, 2001);
    uint8_t buf[256];
    size_t len = sizeof buf;

    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 1), 0);
    peer_connect(&p, l, NULL, 0);
    half_open(&q);
    assert_non_null(mem_obj_get(host->st->mem, lone_env(host), MEM_SYN));
    assert_int_equal(kept(), 3);
    lone_recover(host);
    assert_int_equal(kept(), 2);
    assert_int_equal(saved(p.s, buf, &len), 0);
    assert_int_equal(len, 40);
    assert_int_equal(buf[20], 2000 >> 8);
    over(&p);
}

/* Each request for memory fails once: the connection opens all the same, or not at all. */
static void no_memory(void **state)
{
    (void)state;
    assert_int_equal(set(l, LX_TCP_SAVE_SYN, 1), 0);
    for (uint32_t n = 1; n < 6; n++) {
        struct peer p = peer_of(host, false, (uint16_t)(3000 + n));
        mem_fail_nth(host->st->mem, n);
        half_open(&p);
        mem_fail_nth(host->st->mem, 0);
        assert_null(stack_check(host->st));
        assert_true(kept() <= mem_use(host->st->mem).objs[MEM_REQ]);
        peer_send(&p, &(struct peer_seg){.seq = p.seq + 1, .flags = TCP_RST});
        assert_int_equal(kept(), 0);
    }
}

/* Bounds are Linux 6.18's; a child has its listener's. */
static void tx_delay(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(get(l, LX_TCP_TX_DELAY), 0);
    assert_int_equal(set(l, LX_TCP_TX_DELAY, -1), -ERR_INVAL);
    assert_int_equal(set(l, LX_TCP_TX_DELAY, 0x10000000), -ERR_INVAL);
    assert_int_equal(set(l, LX_TCP_TX_DELAY, 0x0fffffff), 0);
    peer_connect(&p, l, NULL, 0);
    assert_int_equal(get(p.s, LX_TCP_TX_DELAY), 0x0fffffff);
    over(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(read_once, setup, teardown),
        cmocka_unit_test_setup_teardown(not_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_with_its_request, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_with_its_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(recovery, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(tx_delay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
