/*
 * demux_test.c - who may have a port, and whom a packet is for: the kernel's answers and ours, side
 * by side.
 *
 * Random sockets bind, listen, connect and close on loopback addresses, with random options; each
 * call is made on the kernel and on a stack. Then every address and port is asked: which socket
 * gets a datagram, a connection? The kernel's loopback is used as it is; no rights are needed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/demux.h"
#include "core/sock_priv.h"
#include "core/tcp.h"
#include "tests/lib/lone.h"

#define SOCKS 12
#define PORTS 2

static struct lone *host;

struct both {
    int fd;
    struct sock *s;
    int family, type;
    bool bound, listens, connected, reuseport;
};

static struct both socks[SOCKS];
static uint16_t ports[2][PORTS]; /* free ones of TCP, UDP */
static char story[20000];

/* The kernel remembers of a port only the last SO_REUSEPORT socket's address, and where others are
 * mixed in it lets some conflicts pass: so all have it, or none. */
static bool reuseport_round;

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

static socklen_t sockaddr_of(struct sockaddr_storage *out, int family, const char *addr,
                             uint16_t port)
{
    memset(out, 0, sizeof *out);
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        inet_pton(AF_INET, addr, &in->sin_addr);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)out;
    char mapped[64];
    snprintf(mapped, sizeof mapped, "%s%s", strchr(addr, ':') ? "" : "::ffff:", addr);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    inet_pton(AF_INET6, mapped, &in6->sin6_addr);
    return sizeof *in6;
}

static void agree(const char *what, int kernel, int us)
{
    if (kernel != us) {
        fprintf(stderr, "%s", story);
        fail_msg("%s: kernel %s, we %s", what, strerror(kernel), strerror(us));
    }
}

static void set_both(struct both *b, int level, int name, int v)
{
    int kernel = setsockopt(b->fd, level, name, &v, sizeof v) == 0 ? 0 : errno;
    int us =
        lone_errno(sock_setopt(host->st, lone_env(host), b->s, level, name, &v, sizeof v, false));
    agree("setsockopt", kernel, us);
}

static void make(unsigned i)
{
    struct both *b = &socks[i];
    memset(b, 0, sizeof *b);
    b->family = below(2) ? AF_INET : AF_INET6;
    b->type = below(2) ? SOCK_STREAM : SOCK_DGRAM;
    b->fd = socket(b->family, b->type | SOCK_NONBLOCK, 0);
    b->s = lone_sock(host, b->family, b->type);
    tell("%u = socket(%s, %s)\n", i, b->family == AF_INET ? "4" : "6",
         b->type == SOCK_STREAM ? "tcp" : "udp");
    if (!reuseport_round && below(2)) {
        set_both(b, SOL_SOCKET, SO_REUSEADDR, 1);
        tell("  %u REUSEADDR\n", i);
    }
    if (reuseport_round) {
        set_both(b, SOL_SOCKET, LX_SO_REUSEPORT, 1);
        b->reuseport = true;
        tell("  %u REUSEPORT\n", i);
    }
    if (b->family == AF_INET6 && below(2)) {
        set_both(b, IPPROTO_IPV6, LX_IPV6_V6ONLY, 1);
        tell("  %u V6ONLY\n", i);
    }
}

static void unmake(unsigned i)
{
    struct both *b = &socks[i];
    struct linger at_once = {1, 0};
    if (b->s) {
        tell("close(%u)\n", i);
        setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(b->fd);
        b->s->opt.linger_s = 0;
        lone_close(host, b->s);
        b->s = NULL;
    }
}

static const char *any_addr(int family)
{
    static const char *const v4[] = {"0.0.0.0", "127.0.0.1", "127.0.0.2", "192.0.2.77"};
    static const char *const v6[] = {"::", "::1", "127.0.0.1", "0.0.0.0", "2001:db8::77"};
    return family == AF_INET ? v4[below(4)] : v6[below(5)];
}

static void try_bind(unsigned i)
{
    struct both *b = &socks[i];
    struct sockaddr_storage sa;
    const char *addr = any_addr(b->family);
    uint16_t port = ports[b->type == SOCK_DGRAM][below(PORTS)];
    socklen_t len = sockaddr_of(&sa, b->family, addr, port);
    tell("bind(%u, %s, %u)\n", i, addr, port);
    int kernel = bind(b->fd, (void *)&sa, len) == 0 ? 0 : errno;
    agree("bind", kernel, lone_errno(lone_bind(host, b->s, addr, port)));
    b->bound = b->bound || kernel == 0;
}

static void try_listen(unsigned i)
{
    struct both *b = &socks[i];
    if (!b->bound) {
        return;
    }
    tell("listen(%u)\n", i);
    int kernel = listen(b->fd, 5) == 0 ? 0 : errno;
    agree("listen", kernel, lone_errno(sock_listen(host->st, lone_env(host), b->s, 5)));
    b->listens = b->listens || kernel == 0;
}

/* Datagram sockets only: a connection would need the other side's help. */
static void try_connect(unsigned i)
{
    struct both *b = &socks[i];
    struct sockaddr_storage sa;
    if (b->type != SOCK_DGRAM || !b->bound || b->connected) {
        return;
    }
    const char *addr = b->family == AF_INET || below(2) ? "127.0.0.1" : "::1";
    socklen_t len = sockaddr_of(&sa, b->family, addr, 9);
    tell("connect(%u, %s)\n", i, addr);
    int kernel = connect(b->fd, (void *)&sa, len) == 0 ? 0 : errno;
    agree("connect", kernel, lone_errno(lone_connect(host, b->s, addr, 9)));
    b->connected = b->connected || kernel == 0;
}

static int index_of(const struct sock *s)
{
    for (int i = 0; i < SOCKS; i++) {
        if (s && socks[i].s == s) {
            return i;
        }
    }
    return -1;
}

static int our_taker(int type, const char *addr, uint16_t port)
{
    struct flow f = {.laddr = lone_addr(addr), .lport = port, .rport = 1};
    f.raddr = lone_addr(strchr(addr, ':') ? "::1" : "127.0.0.1");
    return index_of(demux_bound(host->st, type == SOCK_STREAM ? 6 : 17, &f));
}

static int kernel_udp_taker(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
    char byte;
    sendto(fd, "x", 1, 0, (const void *)sa, len);
    for (int i = 0; i < SOCKS; i++) {
        if (socks[i].s && socks[i].type == SOCK_DGRAM && recv(socks[i].fd, &byte, 1, 0) == 1) {
            return i;
        }
    }
    return -1;
}

static int kernel_tcp_taker(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (connect(fd, (const void *)sa, len) != 0) {
        return -1;
    }
    for (int i = 0; i < SOCKS; i++) {
        if (socks[i].s && socks[i].listens) {
            int got = accept(socks[i].fd, NULL, NULL);
            if (got >= 0) {
                setsockopt(got, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
                close(got);
                return i;
            }
        }
    }
    return -2;
}

/* Every address and port: who gets it? Among SO_REUSEPORT equals each kernel has a hash of its own.
 */
static void ask_all(void)
{
    static const char *const addrs[] = {"127.0.0.1", "127.0.0.2", "::1"};
    struct sockaddr_storage sa;
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        for (size_t a = 0; a < ARRAY_LEN(addrs) * PORTS; a++) {
            const char *addr = addrs[a / PORTS];
            uint16_t port = ports[type == SOCK_DGRAM][a % PORTS];
            int family = strchr(addr, ':') ? AF_INET6 : AF_INET;
            socklen_t len = sockaddr_of(&sa, family, addr, port);
            int fd = socket(family, type, 0);
            int kernel = type == SOCK_STREAM ? kernel_tcp_taker(fd, &sa, len)
                                             : kernel_udp_taker(fd, &sa, len);
            int us = our_taker(type, addr, port);
            close(fd);
            bool group = kernel >= 0 && us >= 0 && socks[kernel].reuseport && socks[us].reuseport;
            if (kernel != us && !group) {
                fprintf(stderr, "%s", story);
                fail_msg("%s to %s:%u: kernel gives it to %d, we to %d",
                         type == SOCK_STREAM ? "tcp" : "udp", addr, port, kernel, us);
            }
        }
    }
}

static uint16_t free_port(int type)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET6, type, 0);
    assert_int_equal(bind(fd, (void *)&sa, len), 0);
    getsockname(fd, (void *)&sa, &len);
    close(fd);
    return ntohs(sa.sin6_port);
}

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    memset(socks, 0, sizeof socks);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static bool kernel_is_the_model(void)
{
    struct utsname u;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool yes = fd >= 0 && bind(fd, (void *)&sa, sizeof sa) == 0 && uname(&u) == 0 &&
               strncmp(u.release, "6.18", 4) == 0;
    close(fd);
    return yes;
}

static void as_the_kernel(void **state)
{
    (void)state;
    if (!kernel_is_the_model()) {
        skip();
    }
    for (int round = 0; round < 300; round++) {
        story[0] = '\0';
        reuseport_round = round % 3 == 2;
        for (int p = 0; p < PORTS; p++) {
            ports[0][p] = free_port(SOCK_STREAM);
            ports[1][p] = free_port(SOCK_DGRAM);
        }
        for (int step = 0; step < 60; step++) {
            unsigned i = below(SOCKS);
            if (!socks[i].s) {
                make(i);
                try_bind(i);
            } else if (below(5) == 0) {
                unmake(i);
            } else if (socks[i].type == SOCK_STREAM) {
                try_listen(i);
            } else if (below(4) == 0) {
                try_connect(i);
            } else {
                try_bind(i);
            }
            assert_null(stack_check(host->st));
            if (step % 8 == 7) {
                ask_all();
            }
        }
        for (unsigned i = 0; i < SOCKS; i++) {
            unmake(i);
        }
    }
}

/* --- our own --- */

/* RFC 6056: ports for connects are in the range, do not follow each other, and are free for the
 * peer. */
static void ephemeral_ports(void **state)
{
    struct sock *s[600];
    uint16_t last = 0;
    unsigned near = 0;
    (void)state;
    host->st->knobs.ip_local_port_range_min = 40000;
    host->st->knobs.ip_local_port_range_max = 40599;
    for (unsigned i = 0; i < 600; i++) {
        s[i] = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
        assert_int_equal(lone_connect(host, s[i], "10.77.0.1", 80), -ERR_INPROGRESS);
        uint16_t port = s[i]->flow.lport;
        assert_in_range(port, 40000, 40599);
        near += port > last && port - last <= 2;
        last = port;
    }
    assert_true(near < 100);
    struct sock *more = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
    assert_int_equal(lone_connect(host, more, "10.77.0.1", 80), -ERR_ADDRNOTAVAIL);
    /* another peer, another four-tuple */
    assert_int_equal(lone_connect(host, more, "10.77.0.1", 81), -ERR_INPROGRESS);
    for (unsigned i = 0; i < 600; i++) {
        lone_close(host, s[i]);
    }
    lone_close(host, more);
}

/* Both tables grow, and everything is still found; ten thousand children do not slow their
 * listener. */
static void many(void **state)
{
    enum { N = 5000 };
    static struct sock *s[N];
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        s[i] = lone_sock(host, i & 1 ? LX_AF_INET : LX_AF_INET6, LX_SOCK_DGRAM);
        assert_int_equal(
            lone_bind(host, s[i], i & 1 ? "10.77.0.2" : "fd77::2", (uint16_t)(1000 + i)), 0);
    }
    assert_null(stack_check(host->st));
    for (unsigned i = 0; i < N; i++) {
        struct flow f = {.lport = (uint16_t)(1000 + i), .rport = 7};
        f.laddr = lone_addr(i & 1 ? "10.77.0.2" : "fd77::2");
        f.raddr = lone_addr(i & 1 ? "10.77.0.1" : "fd77::1");
        assert_ptr_equal(demux_bound(host->st, 17, &f), s[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        lone_close(host, s[i]);
    }
}

/* SO_REUSEPORT shares flows out evenly, and a flow always meets the same socket. */
static void reuseport_spreads(void **state)
{
    struct sock *s[4];
    unsigned hits[4] = {0};
    int on = 1;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        s[i] = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
        sock_setopt(host->st, lone_env(host), s[i], SOL_SOCKET, LX_SO_REUSEPORT, &on, sizeof on,
                    false);
        assert_int_equal(lone_bind(host, s[i], "0.0.0.0", 53), 0);
    }
    for (unsigned k = 0; k < 4000; k++) {
        struct flow f = {.laddr = lone_addr("10.77.0.2"), .lport = 53, .rport = (uint16_t)k};
        f.raddr = lone_addr("10.77.0.1");
        struct sock *t = demux_bound(host->st, 17, &f);
        assert_ptr_equal(t, demux_bound(host->st, 17, &f));
        for (unsigned i = 0; i < 4; i++) {
            hits[i] += t == s[i];
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_in_range(hits[i], 850, 1150);
        lone_close(host, s[i]);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(as_the_kernel), T(ephemeral_ports), T(many),
                                       T(reuseport_spreads)};
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
