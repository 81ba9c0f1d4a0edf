/*
 * view_test.c - sockets and events read from outside: what is told is what the stack itself says,
 * and no damage of the memory that is read leads the reader astray.
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
#include "core/trace.h"
#include "core/view.h"
#include "tests/lib/rig.h"

/* A copy of an arena: what an observer reads. */
struct snap {
    uint8_t *bytes;
    size_t len;
    uint64_t base;
    uint64_t reads;
};

static bool snap_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
    struct snap *s = ctx;
    s->reads++;
    if (addr < s->base || addr - s->base > s->len || len > s->len - (addr - s->base)) {
        return false;
    }
    memcpy(buf, s->bytes + (addr - s->base), len);
    return true;
}

static void snap_take(struct snap *s, const struct rig_host *h)
{
    s->base = (uint64_t)(uintptr_t)h->heap.base;
    s->len = h->heap.grown;
    s->bytes = realloc(s->bytes, s->len);
    assert_non_null(s->bytes);
    memcpy(s->bytes, h->heap.base, s->len);
}

static struct sock *make(struct rig *r, unsigned i, int type)
{
    int err;
    struct sock *s = sock_create(r->host[i].st, rig_env(r, i), LX_AF_INET, type, 0, &err);
    assert_non_null(s);
    sock_named(r->host[i].st, rig_env(r, i), s, 3 + (int)i, NULL);
    return s;
}

struct scene {
    struct rig *r;
    struct sock *l, *a, *b, *u;
};

/* A listener, a connection with data under way, and a datagram socket. */
static void scene_make(struct scene *sc)
{
    int err;
    struct endpoint at = {.addr = addr_any4, .port = 80};
    struct rig *r = sc->r = rig_new(3, 0, NULL);
    r->host[0].out = r->host[1].out = (struct rig_wire){.delay = 10 * MSEC};
    sc->l = make(r, 1, LX_SOCK_STREAM);
    assert_int_equal(sock_bind(r->host[1].st, rig_env(r, 1), sc->l, &at, true), 0);
    assert_int_equal(sock_listen(r->host[1].st, rig_env(r, 1), sc->l, 8), 0);
    sc->a = make(r, 0, LX_SOCK_STREAM);
    at.addr = rig_addr(1, false);
    assert_int_equal(sock_connect(r->host[0].st, rig_env(r, 0), sc->a, &at), -ERR_INPROGRESS);
    rig_flush(r, 0);
    while (rig_step(r, r->now + SEC)) {
    }
    sc->u = make(r, 1, LX_SOCK_DGRAM);
    sc->b = sock_accept(r->host[1].st, rig_env(r, 1), sc->l, &err);
    assert_non_null(sc->b);
}

static void scene_end(struct scene *sc)
{
    struct rig *r = sc->r;
    sock_release(r->host[0].st, rig_env(r, 0), sc->a, rig_env(r, 0)->member);
    rig_flush(r, 0);
    sock_release_all(r->host[1].st, rig_env(r, 1), rig_env(r, 1)->member);
    rig_flush(r, 1);
    while (rig_step(r, r->now + 4000 * SEC)) {
    }
    rig_check_empty(r);
    rig_free(r);
}

static int64_t put(struct rig *r, unsigned i, struct sock *s, size_t n)
{
    static uint8_t buf[65536];
    struct span v = {buf, n};
    int64_t got = sock_send(r->host[i].st, rig_env(r, i), s, &v, 1, 0, NULL);
    rig_flush(r, i);
    return got;
}

static void opened(struct view *v, struct snap *s, const struct rig_host *h)
{
    snap_take(s, h);
    assert_true(view_open(v, snap_read, s, (uint64_t)(uintptr_t)h->st));
}

static struct view v;

static void sockets(void **state)
{
    struct scene sc;
    struct snap s = {0};
    struct view_sock out;
    struct view_iter it = {0};
    (void)state;
    scene_make(&sc);
    opened(&v, &s, &sc.r->host[1]);
    assert_true(view_next(&v, &it, &out));
    assert_int_equal(out.state, TCP_LISTEN);
    assert_int_equal(out.flow.lport, 80);
    assert_int_equal(out.fd, 4);
    assert_int_equal(out.backlog, 8);
    assert_int_equal(out.snd_queue, 8);
    assert_true(view_next(&v, &it, &out));
    assert_int_equal(out.state, TCP_ESTABLISHED);
    assert_int_equal(out.id, sc.b->obj.id);
    assert_int_equal(out.flow.lport, 80);
    assert_true(addr_eq(&out.flow.raddr, &sc.a->flow.laddr));
    assert_true(out.passive);
    assert_false(out.torn);
    assert_true(view_next(&v, &it, &out));
    assert_int_equal(out.proto, LX_IPPROTO_UDP);
    assert_int_equal(out.type, LX_SOCK_DGRAM);
    assert_false(view_next(&v, &it, &out));
    assert_false(view_next(&v, &it, &out));

    assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.b->obj.id, &out));
    assert_false(view_sock_at(&v, LX_IPPROTO_TCP, 0, &out));
    assert_false(view_sock_at(&v, LX_IPPROTO_TCP, 3, &out));
    free(s.bytes);
    scene_end(&sc);
}

/* TCP_INFO from outside is what getsockopt says inside; queues, limits and timers hold. */
static void a_connection(void **state)
{
    struct scene sc;
    struct snap s = {0};
    struct view_sock out;
    struct lx_tcp_info info;
    size_t len = sizeof info;
    (void)state;
    scene_make(&sc);
    struct rig *r = sc.r;
    assert_int_equal(put(r, 0, sc.a, 100), 100);
    assert_int_equal(put(r, 0, sc.a, 50), 50); /* Nagle holds this one */
    opened(&v, &s, &r->host[0]);
    v.now = r->now;
    assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.a->obj.id, &out));
    assert_int_equal(
        sock_getopt(r->host[0].st, rig_env(r, 0), sc.a, LX_IPPROTO_TCP, LX_TCP_INFO, &info, &len),
        0);
    assert_memory_equal(&info, &out.info, sizeof info);
    assert_int_equal(out.info.tcpi_unacked, 1);
    assert_int_equal(out.snd_queue, 150);
    assert_int_equal(out.unsent, 50);
    assert_int_equal(out.limit, TCP_LIMIT_NAGLE);
    assert_int_equal(out.held, 50);
    assert_int_equal(out.next_which, EVT_TLP);
    assert_true(out.due[EVT_TLP] == out.next_timer && out.next_timer > r->now);
    assert_true(out.due[EVT_KEEPALIVE] == NEVER);

    assert_int_equal(put(r, 0, sc.a, 65536), 65536);
    opened(&v, &s, &r->host[0]);
    assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.a->obj.id, &out));
    assert_int_equal(out.limit, TCP_LIMIT_CWND);
    while (rig_step(r, r->now + SEC)) {
    }
    opened(&v, &s, &r->host[0]);
    assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.a->obj.id, &out));
    assert_int_equal(out.limit, out.unsent ? TCP_LIMIT_RWND : TCP_LIMIT_APP);
    opened(&v, &s, &r->host[1]);
    assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.b->obj.id, &out));
    assert_true(out.rcv_queue > 10000);
    free(s.bytes);
    scene_end(&sc);
}

/* A hole: what lies behind it is told, relative to the peer's first number. */
static void out_of_order(void **state)
{
    struct scene sc;
    struct snap s = {0};
    struct view_sock out;
    (void)state;
    scene_make(&sc);
    struct rig *r = sc.r;
    r->host[0].out.loss = 1000000;
    assert_int_equal(put(r, 0, sc.a, 1000), 1000);
    r->host[0].out.loss = 0;
    assert_int_equal(put(r, 0, sc.a, 1460), 1460);
    while (out.nranges = 0, rig_step(r, r->now + 15 * MSEC)) {
        opened(&v, &s, &r->host[1]);
        assert_true(view_sock_at(&v, LX_IPPROTO_TCP, sc.b->obj.id, &out));
        if (out.nranges) {
            break;
        }
    }
    assert_int_equal(out.nranges, 1);
    assert_int_equal(out.range[0].from, 1001);
    assert_true(out.range_bytes > 0 && out.range[0].to == 1001 + out.range_bytes);
    while (rig_step(r, r->now + SEC)) {
    }
    free(s.bytes);
    scene_end(&sc);
}

static void events(void **state)
{
    struct scene sc;
    struct snap s = {0};
    static struct event mine[EVENT_RING_LEN], theirs[EVENT_RING_LEN];
    uint64_t from = 0, lost = 0;
    (void)state;
    scene_make(&sc);
    struct event_ring *ring = sc.r->host[0].st->events;
    for (unsigned turn = 0; turn < 2; turn++) {
        opened(&v, &s, &sc.r->host[0]);
        from = lost = 0;
        uint32_t n = event_read(ring, &from, mine, EVENT_RING_LEN, &lost);
        uint64_t from2 = 0, lost2 = 0;
        uint32_t n2 = 0, k;
        while ((k = view_events(&v, &from2, theirs + n2, 1000, &lost2)) > 0) {
            n2 += k;
        }
        assert_int_equal(n, n2);
        assert_int_equal(from, from2);
        assert_int_equal(lost, lost2);
        assert_memory_equal(mine, theirs, n * sizeof *mine);
        assert_true(turn ? lost > 0 : n > 5);
        for (unsigned i = 0; i < EVENT_RING_LEN + 100; i++) { /* and once more, wrapped around */
            struct event *ev = event_begin(ring, rig_env(sc.r, 0), EV_NONE);
            ev->sock_id = i;
            event_end(ring);
        }
    }
    free(s.bytes);
    scene_end(&sc);
}

static uint32_t random_next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

/* The walk ends, within the memory that is there, whatever that holds. */
static void walk_damaged(struct snap *s, uint64_t st)
{
    struct view_sock out;
    struct view_iter it = {0};
    struct event ev[16];
    char line[TRACE_LINE_MAX];
    uint64_t from = 0, lost = 0;
    s->reads = 0;
    if (!view_open(&v, snap_read, s, st)) {
        return;
    }
    for (unsigned i = 0; i < 100 && view_next(&v, &it, &out); i++) {
        assert_in_range(out.state, 0, TCP_STATES - 1);
        assert_true(out.nranges <= 2048);
    }
    uint32_t n = view_events(&v, &from, ev, ARRAY_LEN(ev), &lost);
    for (uint32_t i = 0; i < n; i++) {
        trace_line(&ev[i], 0, line);
    }
}

static void damaged(void **state)
{
    struct scene sc;
    struct snap s = {0};
    uint32_t x = 99;
    (void)state;
    scene_make(&sc);
    const struct rig_host *h = &sc.r->host[1];
    uint64_t st = (uint64_t)(uintptr_t)h->st;
    const size_t places[] = {(size_t)(st - (uint64_t)(uintptr_t)h->heap.base),
                             (size_t)((const uint8_t *)h->st->mem - h->heap.base),
                             (size_t)((const uint8_t *)sc.l - h->heap.base)};
    const size_t sizes[] = {sizeof(struct stack), mem_view_size(), 3 * tcp_obj_size()};
    snap_take(&s, h);
    for (unsigned i = 0; i < 3000; i++) {
        unsigned p = i % 3;
        size_t at = places[p] + random_next(&x) % sizes[p];
        uint8_t was[64];
        size_t len = min_size(1 + random_next(&x) % sizeof was, s.len - at);
        memcpy(was, s.bytes + at, len);
        for (size_t k = 0; k < len; k++) {
            s.bytes[at + k] = (uint8_t)(i & 1 ? random_next(&x) : (random_next(&x) & 1) * 255);
        }
        walk_damaged(&s, st);
        memcpy(s.bytes + at, was, len);
    }
    size_t whole = s.len;
    for (unsigned i = 0; i < 200; i++) { /* the file is shorter than what it tells */
        s.len = random_next(&x) % whole;
        walk_damaged(&s, st);
    }
    free(s.bytes);
    scene_end(&sc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets), cmocka_unit_test(a_connection), cmocka_unit_test(out_of_order),
        cmocka_unit_test(events),  cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
