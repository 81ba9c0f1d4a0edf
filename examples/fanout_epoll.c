/*
 * fanout_epoll HOST PORT [CONNECTIONS [ROUNDS]] - keeps many connections to an echo server busy at
 * once.
 *
 * Edge-triggered epoll: every socket is read until it says EAGAIN, and a round's echo sends the
 * next round.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS  64
#define MESSAGE "round and round it goes\n"

struct conn {
    int fd;
    unsigned rounds_left;
    size_t awaited; /* bytes of this round's echo that are still to come */
};

static void die(const char *what)
{
    fprintf(stderr, "fanout_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void open_one(struct conn *c, const struct addrinfo *a, int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK, a->ai_protocol);
    if (c->fd < 0) {
        die("socket");
    }
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
    if (connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS) {
        die("connect");
    }
}

static void say(struct conn *c)
{
    if (send(c->fd, MESSAGE, sizeof MESSAGE - 1, MSG_NOSIGNAL) != sizeof MESSAGE - 1) {
        die("send");
    }
    c->awaited = sizeof MESSAGE - 1;
    c->rounds_left--;
}

/* Everything that is there. True when the connection has said all it had to say, and heard it. */
static int hear(struct conn *c)
{
    char buf[1024];
    ssize_t n;
    while ((n = recv(c->fd, buf, sizeof buf, 0)) > 0) {
        c->awaited -= (size_t)n;
    }
    if (n == 0 || errno != EAGAIN) {
        die("recv");
    }
    if (c->awaited == 0 && c->rounds_left > 0) {
        say(c);
    }
    return c->awaited == 0 && c->rounds_left == 0;
}

static void check_connected(const struct conn *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        errno = err;
        die("connect");
    }
}

static void run(int epfd, unsigned live)
{
    while (live > 0) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(epfd, ev, EVENTS, 10000);
        if (n == 0) {
            errno = ETIMEDOUT;
        }
        if (n <= 0) {
            die("epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            check_connected(c);
            if (hear(c)) {
                close(c->fd); /* leaves the epoll set by itself */
                live--;
            }
        }
    }
}

int main(int argc, char *argv[])
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
    unsigned rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 10;
    struct conn *conns;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (argc < 3 || n == 0 || rounds == 0) {
        fprintf(stderr, "usage: fanout_epoll HOST PORT [CONNECTIONS [ROUNDS]]\n");
        return 2;
    }
    conns = calloc(n, sizeof *conns);
    if (!conns || epfd < 0 || getaddrinfo(argv[1], argv[2], &want, &list) != 0) {
        die("set-up");
    }
    for (unsigned i = 0; i < n; i++) {
        conns[i].rounds_left = rounds;
        open_one(&conns[i], list, epfd);
    }
    freeaddrinfo(list);
    run(epfd, n);
    printf("%u connections, %u rounds each: all came back\n", n, rounds);
    free(conns);
    return 0;
}
