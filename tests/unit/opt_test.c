/*
 * opt_test.c - socket options: for every option, length and value what the kernel of this machine
 * says and what we say.
 *
 * The kernel's sockets are never connected to anything. Where a test runs without the rights of
 * root, options that need them are tried as by a user on both sides.
 */
#include <errno.h>
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
#include "tests/lib/lone.h"

static struct lone *host;
static bool root;

static int knob_of_file(const char *path, int32_t *out)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        return -1;
    }
    int n = fscanf(f, "%d", out);
    fclose(f);
    return n == 1 ? 0 : -1;
}

/* The limits that the kernel's administrator has set. */
static void tune(struct stack_config *cfg)
{
    knob_of_file("/proc/sys/net/core/rmem_max", &cfg->knobs.rmem_max);
    knob_of_file("/proc/sys/net/core/wmem_max", &cfg->knobs.wmem_max);
    knob_of_file("/proc/sys/net/core/rmem_default", &cfg->knobs.rmem_default);
    knob_of_file("/proc/sys/net/core/wmem_default", &cfg->knobs.wmem_default);
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_rmem", "r");
    if (f) {
        (void)!fscanf(f, "%d %d %d", &cfg->knobs.tcp_rmem_min, &cfg->knobs.tcp_rmem_default,
                      &cfg->knobs.tcp_rmem_max);
        fclose(f);
    }
}

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, tune);
    root = geteuid() == 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

struct pair {
    int fd;
    struct sock *s;
    int family, type;
};

/* What other kernels say is another matter. */
static bool kernel_is_the_model(void)
{
    struct utsname u;
    return uname(&u) == 0 && strncmp(u.release, "6.18", 4) == 0;
}

static struct pair pair_new(int family, int type)
{
    struct pair p = {.family = family, .type = type};
    p.fd = socket(family, type, 0);
    if (p.fd < 0 || !kernel_is_the_model()) {
        skip(); /* or no IPv6 here */
    }
    p.s = lone_sock(host, family, type);
    return p;
}

static void pair_free(struct pair *p)
{
    close(p->fd);
    lone_close(host, p->s);
}

static void complain(const struct pair *p, int level, int name, const char *what, int kernel,
                     int us, size_t len)
{
    fail_msg("family %d type %d level %d option %d length %zu: %s: kernel %d, we %d", p->family,
             p->type, level, name, len, what, kernel, us);
}

static void compare_get(const struct pair *p, int level, int name, size_t room)
{
    uint8_t theirs[64] = {0};
    uint8_t ours[64] = {0};
    socklen_t their_len = (socklen_t)room;
    size_t our_len = room;

    int kernel = getsockopt(p->fd, level, name, theirs, &their_len) == 0 ? 0 : errno;
    int us = lone_errno(sock_getopt(host->st, lone_env(host), p->s, level, name, ours, &our_len));
    if (kernel != us) {
        complain(p, level, name, "getsockopt", kernel, us, room);
    }
    if (kernel == 0 && their_len != our_len) {
        complain(p, level, name, "length", (int)their_len, (int)our_len, room);
    }
    if (kernel == 0 && memcmp(theirs, ours, our_len) != 0) {
        complain(p, level, name, "value", theirs[0] | theirs[1] << 8 | theirs[2] << 16,
                 ours[0] | ours[1] << 8 | ours[2] << 16, room);
    }
}

static void compare_set(const struct pair *p, int level, int name, const void *val, size_t len)
{
    int kernel = setsockopt(p->fd, level, name, val, (socklen_t)len) == 0 ? 0 : errno;
    int us = lone_errno(sock_setopt(host->st, lone_env(host), p->s, level, name, val, len, root));
    if (kernel != us) {
        complain(p, level, name, "setsockopt", kernel, us, len);
    }
}

struct value {
    size_t len;
    uint8_t bytes[24];
};

static const struct value values[] = {
    {0, {0}},
    {1, {1}},
    {1, {0}},
    {2, {1, 0}},
    {4, {0}},
    {4, {1}},
    {4, {2}},
    {4, {0xff, 0xff, 0xff, 0xff}},
    {4, {0xfe, 0xff, 0xff, 0xff}},
    {4, {5}},
    {4, {6}},
    {4, {0x1c}},
    {4, {0xff}},
    {4, {0, 1}},
    {4, {0xe8, 3}},
    {4, {0x40, 0x42, 0x0f}},
    {4, {0xff, 0xff, 0xff, 0x7f}},
    {8, {1}},
    {8, {1, 0, 0, 0, 5}},
    {8, {0, 0, 0, 0, 7}},
    {8, {10, 77, 0, 2}},
    {16, {1, 0, 0, 0, 0, 0, 0, 0, 0x21, 0xa1, 7}},
    {16, {0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x42, 0x0f}},
    {16, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {16, {1, 0, 0, 0, 0, 0, 0, 0, 3}},
};

struct option {
    int level;
    int name;
};

#define S(n)                     \
    {                            \
        LX_SOL_SOCKET, LX_SO_##n \
    }
#define I4(n)                    \
    {                            \
        LX_IPPROTO_IP, LX_IP_##n \
    }
#define I6(n)                        \
    {                                \
        LX_IPPROTO_IPV6, LX_IPV6_##n \
    }

/* Whose values are what the last setsockopt made them. */
static const struct option stored[] = {
    S(DEBUG),
    S(REUSEADDR),
    S(TYPE),
    S(ERROR),
    S(DONTROUTE),
    S(BROADCAST),
    S(SNDBUF),
    S(RCVBUF),
    S(KEEPALIVE),
    S(OOBINLINE),
    S(NO_CHECK),
    S(PRIORITY),
    S(REUSEPORT),
    S(PEERCRED),
    S(RCVLOWAT),
    S(SNDLOWAT),
    S(RCVTIMEO),
    S(SNDTIMEO),
    S(TIMESTAMP),
    S(ACCEPTCONN),
    S(TIMESTAMPNS),
    S(MARK),
    S(TIMESTAMPING),
    S(PROTOCOL),
    S(DOMAIN),
    S(RXQ_OVFL),
    S(SELECT_ERR_QUEUE),
    S(MAX_PACING_RATE),
    S(MEMINFO),
    S(INCOMING_NAPI_ID),
    S(ZEROCOPY),
    S(SNDBUFFORCE),
    S(RCVBUFFORCE),
    I4(TOS),
    I4(TTL),
    I4(RECVOPTS),
    I4(RETOPTS),
    I4(PKTINFO),
    I4(PKTOPTIONS),
    I4(MTU_DISCOVER),
    I4(RECVERR),
    I4(RECVTTL),
    I4(RECVTOS),
    I4(MTU),
    I4(FREEBIND),
    I4(TRANSPARENT),
    I4(ORIGDSTADDR),
    I4(MINTTL),
    I4(BIND_ADDRESS_NO_PORT),
    I4(MULTICAST_TTL),
    I4(MULTICAST_LOOP),
    I4(MULTICAST_ALL),
    I4(LOCAL_PORT_RANGE),
    I4(ADD_MEMBERSHIP),
    {LX_IPPROTO_IP, 53},
    I6(UNICAST_HOPS),
    I6(MULTICAST_HOPS),
    I6(MULTICAST_LOOP),
    I6(MTU_DISCOVER),
    I6(MTU),
    I6(RECVERR),
    I6(V6ONLY),
    I6(MULTICAST_ALL),
    I6(RECVPKTINFO),
    I6(RECVHOPLIMIT),
    I6(DONTFRAG),
    I6(RECVTCLASS),
    I6(TCLASS),
    I6(AUTOFLOWLABEL),
    I6(MINHOPCOUNT),
    I6(ORIGDSTADDR),
    I6(TRANSPARENT),
    I6(FREEBIND),
    {LX_IPPROTO_IPV6, 79},
    {LX_IPPROTO_ICMP, 1},
    {LX_IPPROTO_IPV6, 1000},
    {LX_IPPROTO_ICMPV6, 1},
    {132, 1},
    {255, 1},
    {LX_SOL_SOCKET, 200},
};

/* Deviations: IPV6_MULTICAST_HOPS and IP_MULTICAST_TTL are one here; IP_MULTICAST_ALL is off on
 * IPv6 sockets there. */
static bool deviates(const struct pair *p, const struct option *o)
{
    return o->level == LX_IPPROTO_IP && o->name == LX_IP_MULTICAST_ALL && p->family == AF_INET6;
}

static void compare_option(int family, int type, const struct option *o)
{
    static const size_t rooms[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 36, 64};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct pair p = pair_new(family, type);
        if (!deviates(&p, o)) {
            compare_set(&p, o->level, o->name, values[i].bytes, values[i].len);
            for (size_t k = 0; k < ARRAY_LEN(rooms); k++) {
                compare_get(&p, o->level, o->name, rooms[k]);
            }
            compare_get(&p, LX_SOL_SOCKET, LX_SO_PRIORITY, 4);
        }
        pair_free(&p);
    }
}

static void all_of(int family, int type)
{
    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        compare_option(family, type, &stored[i]);
    }
}

static void tcp4(void **state)
{
    (void)state;
    all_of(AF_INET, SOCK_STREAM);
}

static void udp4(void **state)
{
    (void)state;
    all_of(AF_INET, SOCK_DGRAM);
}

static void tcp6(void **state)
{
    (void)state;
    all_of(AF_INET6, SOCK_STREAM);
}

static void udp6(void **state)
{
    (void)state;
    all_of(AF_INET6, SOCK_DGRAM);
}

/* SO_LINGER: off forgets the seconds here, and keeps them there. */
static void linger(void **state)
{
    static const int32_t v[][2] = {{1, 0}, {1, 5}, {1, 100000}, {0, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct pair p = pair_new(AF_INET, SOCK_STREAM);
        compare_set(&p, SOL_SOCKET, SO_LINGER, v[i], sizeof v[i]);
        compare_set(&p, SOL_SOCKET, SO_LINGER, v[i], 7);
        compare_get(&p, SOL_SOCKET, SO_LINGER, 64);
        compare_get(&p, SOL_SOCKET, SO_LINGER, 5);
        pair_free(&p);
    }
}

/* What only we can say: no kernel is asked. */
static void own_values(void **state)
{
    struct sock *s = lone_sock(host, AF_INET, SOCK_DGRAM);
    struct sock *t = lone_sock(host, AF_INET, SOCK_DGRAM);
    uint64_t a = 0;
    uint64_t b = 0;
    char name[16] = {0};
    size_t len = sizeof a;
    (void)state;
    struct env *env = lone_env(host);
    assert_int_equal(sock_getopt(host->st, env, s, SOL_SOCKET, LX_SO_COOKIE, &a, &len), 0);
    assert_int_equal(sock_getopt(host->st, env, t, SOL_SOCKET, LX_SO_COOKIE, &b, &len), 0);
    assert_true(a != 0 && b != 0 && a != b);
    len = 7;
    assert_int_equal(sock_getopt(host->st, env, t, SOL_SOCKET, LX_SO_COOKIE, &b, &len), -ERR_INVAL);
    assert_int_equal(
        sock_setopt(host->st, env, s, SOL_SOCKET, LX_SO_BINDTODEVICE, "tun0", 4, false), 0);
    len = sizeof name;
    assert_int_equal(sock_getopt(host->st, env, s, SOL_SOCKET, LX_SO_BINDTODEVICE, name, &len), 0);
    assert_string_equal(name, "tun0");
    assert_int_equal(len, 5);

    int32_t mtu = 0;
    len = sizeof mtu;
    assert_int_equal(lone_connect(host, s, "192.0.2.1", 9), 0);
    assert_int_equal(sock_getopt(host->st, env, s, LX_IPPROTO_IP, LX_IP_MTU, &mtu, &len), 0);
    assert_int_equal(mtu, 1500);
    lone_close(host, s);
    lone_close(host, t);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(tcp4), T(udp4),   T(tcp6),
                                       T(udp6), T(linger), T(own_values)};
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
