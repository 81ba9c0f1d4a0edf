/* Edge-triggered epoll: once per arrival, again after MOD, OUT after room came back. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 3; i++) {
        hear();
        send_all(fd, "abc", 3);
        tell();
    }
    hear();
    static char buf[65536];
    size_t sum = 0;
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n > 0) {
            sum += (size_t)n;
        } else if (n == 0) {
            break;
        } else {
            nap_ms(5);
        }
    }
    printf("peer got something: %d\n", sum > 100000);
}

static void show(int ep, int timeout)
{
    struct epoll_event ev[8];
    int n = epoll_wait(ep, ev, 8, timeout);
    printf("epoll_wait = %d %s\n", n, n == 1 ? bits(ev[0].events) : "");
}

void test(void)
{
    char buf[10];
    int fd = guest();
    nonblock(fd);
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    show(ep, 50);
    tell();
    hear();
    show(ep, 1000);
    show(ep, 50);
    recv(fd, buf, 1, 0);
    show(ep, 50);
    tell();
    hear();
    show(ep, 1000);
    show(ep, 50);
    say("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    show(ep, 50);
    show(ep, 50);
    tell();
    hear();
    show(ep, 1000);
    while (recv(fd, buf, sizeof buf, 0) > 0) {
    }
    show(ep, 50);

    ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
    show(ep, 50);
    show(ep, 50);
    static char block[65536];
    while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
    }
    say("full", -1);
    while (epoll_wait(ep, &ev, 1, 50) > 0) { /* the peer's window may have grown meanwhile */
        while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
        }
    }
    tell();
    int n = epoll_wait(ep, &ev, 1, 3000);
    printf("room: %d %s\n", n, bits(ev.events));
    close(fd);
    show(ep, 50);
}
