/*
 * conform.h - what the conformance programs share. They know nothing of the project.
 *
 * Each program is two: `prog test CTL` runs on the stack in question, on 10.77.0.2; `prog peer
 * CTL` runs on the kernel, on 10.77.0.1. CTL is the path of a UNIX socket over which they take
 * turns: tell() here lets hear() there go on. What both print is compared between a run on the
 * kernel and one on the stack, so nothing printed may depend on time or numbers of ports.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

#define ME    "10.77.0.2"  /* the test's address */
#define PEER  "10.77.0.1"  /* the peer's */
#define HOLE  "10.77.0.99" /* nobody answers there */
#define ME6   "fd77::2"
#define PEER6 "fd77::1"
#define PORT  5000

void test(void);
void peer(void);
__attribute__((weak)) int again(int argc,
                                char **argv); /* `prog again ...`: what the test starts by exec */

static int ctl = -1;

static UNUSED void die(const char *what)
{
    printf("FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static UNUSED void tell(void)
{
    if (write(ctl, "x", 1) != 1) {
        die("tell");
    }
}

static UNUSED void hear(void)
{
    char c;
    if (read(ctl, &c, 1) != 1) {
        die("hear: the other side has gone");
    }
}

/* "what = 3", or "what = -1 ECONNRESET". */
static UNUSED long say(const char *what, long ret)
{
    int err = errno;
    if (ret < 0) {
        printf("%s = %ld %s\n", what, ret, strerrorname_np(err));
    } else {
        printf("%s = %ld\n", what, ret);
    }
    errno = err;
    return ret;
}

static UNUSED const char *bits(uint32_t ev)
{
    static char text[128];
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},         {POLLPRI, "PRI"},       {POLLOUT, "OUT"},
                 {POLLERR, "ERR"},       {POLLHUP, "HUP"},       {POLLNVAL, "NVAL"},
                 {POLLRDNORM, "RDNORM"}, {POLLWRNORM, "WRNORM"}, {POLLRDHUP, "RDHUP"}};
    text[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (ev & names[i].bit) {
            strcat(text, text[0] ? "|" : "");
            strcat(text, names[i].name);
        }
    }
    return text[0] ? text : "-";
}

static UNUSED struct sockaddr_in at(const char *ip, int port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &sin.sin_addr);
    return sin;
}

static UNUSED struct sockaddr_in6 at6(const char *ip, int port)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, ip, &sin6.sin6_addr);
    return sin6;
}

static UNUSED int tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? (die("socket"), -1) : fd;
}

static UNUSED int udp(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? (die("socket"), -1) : fd;
}

static UNUSED int connect_to(int fd, const char *ip, int port)
{
    struct sockaddr_in sin = at(ip, port);
    return connect(fd, (struct sockaddr *)&sin, sizeof sin);
}

static UNUSED int bind_to(int fd, const char *ip, int port)
{
    struct sockaddr_in sin = at(ip, port);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&sin, sizeof sin);
}

static UNUSED int listen_at(const char *ip, int port)
{
    int fd = tcp();
    if (bind_to(fd, ip, port) < 0 || listen(fd, 16) < 0) {
        die("listen");
    }
    return fd;
}

static UNUSED int dial(const char *ip, int port)
{
    int fd = tcp();
    return connect_to(fd, ip, port) < 0 ? (die("connect"), -1) : fd;
}

/* A connection between the two: the peer calls host(), the test calls guest(). */
static UNUSED int host(void)
{
    int l = listen_at(PEER, PORT);
    tell();
    int fd = accept(l, NULL, NULL);
    close(l);
    return fd < 0 ? (die("accept"), -1) : fd;
}

static UNUSED int guest(void)
{
    hear();
    return dial(PEER, PORT);
}

static UNUSED void nonblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static UNUSED int so_error(int fd)
{
    int err = -1;
    socklen_t len = sizeof err;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return err;
}

static UNUSED const char *ename(int err)
{
    return err == 0 ? "0" : strerrorname_np(err);
}

/* What poll says now of all bits. */
static UNUSED const char *polled(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
    int n = poll(&p, 1, timeout);
    return n < 0 ? strerrorname_np(errno) : bits((uint32_t)p.revents);
}

/* Waits until a bit shows. */
static UNUSED void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    if (poll(&p, 1, 5000) <= 0) {
        printf("FAILED await\n");
    }
}

static UNUSED void nap_ms(int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
    nanosleep(&ts, NULL);
}

static UNUSED long now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* "about 300 ms": not early, and late by no more than a busy machine makes it. */
static UNUSED void took(const char *what, long start, long ms)
{
    long t = now_ms() - start;
    if (t >= ms - 20 && t <= ms + 1500) {
        printf("%s took about %ld ms\n", what, ms);
    } else {
        printf("%s took %ld ms, not %ld\n", what, t, ms);
    }
}

static UNUSED void send_all(int fd, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = send(fd, (const char *)buf + done, n - done, MSG_NOSIGNAL);
        if (k < 0) {
            die("send");
        }
        done += (size_t)k;
    }
}

static UNUSED void say_text(const char *what, const char *buf, ssize_t n)
{
    if (n < 0) {
        say(what, n);
    } else {
        printf("%s = %zd \"%.*s\"\n", what, n, (int)n, buf);
    }
}

static int meet(const char *path, bool test_side)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    strncpy(sun.sun_path, path, sizeof sun.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!test_side) {
        unlink(path);
        if (bind(fd, (struct sockaddr *)&sun, sizeof sun) < 0 || listen(fd, 1) < 0) {
            die("control socket");
        }
        int c = accept(fd, NULL, NULL);
        close(fd);
        return c;
    }
    for (int i = 0; i < 500; i++) {
        if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0) {
            return fd;
        }
        nap_ms(10);
    }
    die("control socket");
    return -1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        return again(argc, argv);
    }
    if (argc < 3) {
        fprintf(stderr, "usage: %s test|peer CONTROL-SOCKET\n", argv[0]);
        return 2;
    }
    bool test_side = strcmp(argv[1], "test") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(20);
    ctl = meet(argv[2], test_side);
    if (test_side) {
        test();
    } else {
        peer();
    }
    return 0;
}

#endif
