/*
 * pollset_test.c - epoll(7) beside ours: the same random watches, datagrams and waits, the same
 * events in the same order; and what epoll cannot show: sleepers, the wake list, exclusive
 * wake-ups.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/pollset.h"
#include "tests/lib/lone.h"

#define SOCKS 5

static struct lone *host;
static char story[40000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static uint32_t below(uint32_t n)
{
    return heap_below(&host->heap, n);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list args;
    size_t at = strlen(story);
    va_start(args, format);
    vsnprintf(story + at, sizeof story - at, format, args);
    va_end(args);
}

struct both {
    int fd;
    uint16_t port;
    struct sock *s;
};

static struct both socks[SOCKS];
static int epfd, sender;
static struct pollset *set;

static void agree(const char *what, int kernel, int us)
{
    if (kernel != us) {
        fprintf(stderr, "%s", story);
        fail_msg("%s: kernel %d, we %d", what, kernel, us);
    }
}

static void open_all(void)
{
    epfd = epoll_create1(0);
    sender = socket(AF_INET, SOCK_DGRAM, 0);
    set = pollset_new(host->st, lone_env(host), 1);
    for (unsigned i = 0; i < SOCKS; i++) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof sa;
        socks[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(socks[i].fd, (void *)&sa, sizeof sa), 0);
        getsockname(socks[i].fd, (void *)&sa, &len);
        socks[i].port = ntohs(sa.sin_port);
        socks[i].s = lone_sock(host, AF_INET, SOCK_DGRAM);
        assert_int_equal(lone_bind(host, socks[i].s, "127.0.0.1", socks[i].port), 0);
    }
}

static void close_all(void)
{
    close(epfd);
    close(sender);
    pollset_free(host->st, set);
    for (unsigned i = 0; i < SOCKS; i++) {
        close(socks[i].fd);
        lone_close(host, socks[i].s);
    }
}

static uint32_t any_events(void)
{
    static const uint32_t some[] = {0,
                                    EPOLLIN,
                                    EPOLLOUT,
                                    EPOLLIN | EPOLLOUT,
                                    EPOLLIN | EPOLLRDHUP,
                                    EPOLLIN | EPOLLRDNORM | EPOLLPRI};
    static const uint32_t modes[] = {0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    return some[below(ARRAY_LEN(some))] | modes[below(ARRAY_LEN(modes))];
}

static void do_add(unsigned i)
{
    struct epoll_event ev = {.events = any_events() | (below(8) == 0 ? EPOLLEXCLUSIVE : 0)};
    ev.data.u32 = i;
    tell("add(%u, %x)\n", i, ev.events);
    int kernel = epoll_ctl(epfd, EPOLL_CTL_ADD, socks[i].fd, &ev) == 0 ? 0 : errno;
    agree("add", kernel,
          lone_errno(pollset_add(host->st, lone_env(host), set, socks[i].s, (int)i, ev.events, i)));
}

static void do_mod(unsigned i)
{
    struct epoll_event ev = {.events = any_events()};
    ev.data.u32 = i;
    tell("mod(%u, %x)\n", i, ev.events);
    int kernel = epoll_ctl(epfd, EPOLL_CTL_MOD, socks[i].fd, &ev) == 0 ? 0 : errno;
    agree("mod", kernel, lone_errno(pollset_mod(host->st, set, (int)i, ev.events, i)));
}

static void do_del(unsigned i)
{
    tell("del(%u)\n", i);
    int kernel = epoll_ctl(epfd, EPOLL_CTL_DEL, socks[i].fd, NULL) == 0 ? 0 : errno;
    agree("del", kernel, lone_errno(pollset_del(host->st, set, (int)i)));
}

static void do_send(unsigned i)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tell("send(%u)\n", i);
    sa.sin_port = htons(socks[i].port);
    sendto(sender, "x", 1, 0, (void *)&sa, sizeof sa);
    struct sock *s = lone_sock(host, AF_INET, SOCK_DGRAM);
    assert_int_equal(lone_send(host, s, "x", 1, "127.0.0.1", socks[i].port), 1);
    lone_close(host, s);
}

static void do_recv(unsigned i)
{
    char byte;
    tell("recv(%u)\n", i);
    int kernel = recv(socks[i].fd, &byte, 1, 0) == 1;
    agree("recv", kernel, lone_recv(host, socks[i].s, &byte, 1, 0, NULL) == 1);
}

static void do_shutdown(unsigned i)
{
    int how = (int)below(3);
    tell("shutdown(%u, %d)\n", i, how);
    int kernel = shutdown(socks[i].fd, how) == 0 ? 0 : errno;
    agree("shutdown", kernel, lone_errno(sock_shutdown(host->st, lone_env(host), socks[i].s, how)));
}

static void do_wait(void)
{
    struct epoll_event theirs[SOCKS + 2];
    struct poll_event ours[SOCKS + 2];
    int max = (int)below(SOCKS + 1) + 1;
    int kernel = epoll_wait(epfd, theirs, max, 0);
    int us = (int)pollset_collect(host->st, set, ours, (unsigned)max);
    tell("wait(%d) = %d\n", max, kernel);
    agree("number of events", kernel, us);
    for (int i = 0; i < us; i++) {
        tell("  %u %x\n", theirs[i].data.u32, theirs[i].events);
        agree("which", (int)theirs[i].data.u32, (int)ours[i].data);
        agree("events", (int)theirs[i].events, (int)ours[i].events);
    }
}

static void as_epoll(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        story[0] = '\0';
        open_all();
        for (int step = 0; step < 150; step++) {
            unsigned i = below(SOCKS);
            switch (below(12)) {
            case 0:
            case 1:
                do_add(i);
                break;
            case 2:
            case 3:
                do_mod(i);
                break;
            case 4:
                do_del(i);
                break;
            case 5:
            case 6:
                do_send(i);
                break;
            case 7:
            case 8:
                do_recv(i);
                break;
            case 9:
                if (below(20) == 0) {
                    do_shutdown(i);
                }
                break;
            default:
                do_wait();
            }
            assert_null(stack_check(host->st));
        }
        close_all();
    }
}

/* --- sleeping and waking --- */

static void make_ready(struct sock *s)
{
    assert_int_equal(lone_send(host, s, "x", 1, "10.77.0.2", s->flow.lport), 1);
}

static struct sock *bound(uint16_t port)
{
    struct sock *s = lone_sock(host, AF_INET, SOCK_DGRAM);
    assert_int_equal(lone_bind(host, s, "10.77.0.2", port), 0);
    return s;
}

static void sleepers(void **state)
{
    struct env *env = lone_env(host);
    struct sock *s = bound(7);
    struct poll_event ev[4];
    char byte;
    (void)state;
    struct pollset *a = pollset_new(host->st, env, 1);
    struct pollset *b = pollset_new(host->st, env, 2);
    assert_int_equal(pollset_add(host->st, env, a, s, 1, LX_POLLIN, 0), 0);
    assert_int_equal(pollset_add(host->st, env, b, s, 1, LX_POLLIN, 0), 0);

    assert_true(pollset_sleep(host->st, a)); /* b does not sleep: it is not woken */
    make_ready(s);
    assert_ptr_equal(pollset_next_wake(host->st), a);
    assert_null(pollset_next_wake(host->st));
    pollset_awake(a);
    assert_false(pollset_sleep(host->st, a)); /* there is something: no sleep */
    assert_false(pollset_sleep(host->st, b));
    assert_int_equal(pollset_collect(host->st, b, ev, 4), 1);
    assert_int_equal(lone_recv(host, s, &byte, 1, 0, NULL), 1);
    assert_true(pollset_sleep(host->st, a)); /* a stale entry is no reason to stay awake */
    make_ready(s);
    pollset_free(host->st, a); /* leaves the wake list */
    assert_null(pollset_next_wake(host->st));
    pollset_free(host->st, b);
    lone_close(host, s);
}

/* EPOLLEXCLUSIVE: one sleeping set for each notification, everybody else too if not exclusive. */
static void exclusive(void **state)
{
    struct env *env = lone_env(host);
    struct sock *s = bound(7);
    struct pollset *p[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        p[i] = pollset_new(host->st, env, i);
        uint32_t ev = LX_POLLIN | (i < 3 ? LX_EPOLLEXCLUSIVE : 0);
        assert_int_equal(pollset_add(host->st, env, p[i], s, 1, ev, 0), 0);
        assert_true(pollset_sleep(host->st, p[i]));
    }
    make_ready(s);
    unsigned woken = 0;
    struct pollset *w;
    bool plain = false;
    while ((w = pollset_next_wake(host->st)) != NULL) {
        plain = plain || w == p[3];
        assert_true(w == p[3] || w == p[0]);
        woken++;
    }
    assert_true(plain);
    assert_int_equal(woken, 2);
    make_ready(s); /* twice before anybody runs: the second goes to another */
    make_ready(s);
    woken = 0;
    while (pollset_next_wake(host->st)) {
        woken++;
    }
    assert_int_equal(woken, 3);
    for (unsigned i = 0; i < 4; i++) {
        pollset_free(host->st, p[i]);
    }
    lone_close(host, s);
}

/* The socket goes first: its watches go with it. */
static void socket_dies(void **state)
{
    struct env *env = lone_env(host);
    struct sock *s = bound(7);
    (void)state;
    struct pollset *a = pollset_new(host->st, env, 1);
    assert_int_equal(pollset_add(host->st, env, a, s, 5, LX_POLLIN, 0), 0);
    make_ready(s);
    assert_non_null(pollset_find(host->st, a, 5));
    lone_close(host, s);
    assert_null(pollset_find(host->st, a, 5));
    assert_false(pollset_ready(host->st, a));
    pollset_free(host->st, a);
}

static void many(void **state)
{
    enum { N = 3000 };
    struct env *env = lone_env(host);
    struct sock *s = bound(7);
    (void)state;
    struct pollset *a = pollset_new(host->st, env, 1);
    for (int i = 0; i < N; i++) {
        assert_int_equal(pollset_add(host->st, env, a, s, i, LX_POLLIN, (uint64_t)i), 0);
        assert_int_equal(pollset_add(host->st, env, a, s, i, LX_POLLIN, 0), -ERR_EXIST);
    }
    for (int i = 0; i < N; i++) {
        struct watch *w = pollset_find(host->st, a, i);
        assert_non_null(w);
        assert_int_equal(w->data, i);
    }
    assert_null(stack_check(host->st));
    pollset_free(host->st, a);
    lone_close(host, s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(as_epoll), T(sleepers), T(exclusive), T(socket_dies),
                                       T(many)};
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
