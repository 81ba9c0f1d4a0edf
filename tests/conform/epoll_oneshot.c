/* EPOLLONESHOT, EPOLLEXCLUSIVE and the errors of epoll_ctl. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    send_all(fd, "abc", 3);
    tell();
    hear();
    send_all(fd, "def", 3);
    tell();
    hear();
    close(fd);
}

static void show(int ep, int timeout)
{
    struct epoll_event ev[8];
    int n = epoll_wait(ep, ev, 8, timeout);
    printf("epoll_wait = %d %s\n", n, n == 1 ? bits(ev[0].events) : "");
}

void test(void)
{
    int fd = guest();
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
    say("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    tell();
    hear();
    show(ep, 1000);
    show(ep, 50);
    tell();
    hear();
    show(ep, 100);
    say("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    show(ep, 1000);
    show(ep, 50);

    say("add twice", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    say("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    say("del twice", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    say("mod of none", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    say("no event", epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
    say("bad op", epoll_ctl(ep, 9, fd, &ev));
    say("bad set", epoll_ctl(-1, EPOLL_CTL_ADD, fd, &ev));
    say("not a set", epoll_ctl(fd, EPOLL_CTL_ADD, fd, &ev));
    int pipes[2];
    if (pipe(pipes) == 0) {
        say("a pipe as set", epoll_ctl(pipes[0], EPOLL_CTL_ADD, fd, &ev));
    }
    say("closed target", epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev));
    say("max 0", epoll_wait(ep, &ev, 0, 0));
    say("max -1", epoll_wait(ep, &ev, -1, 0));
    say("wait on a socket", epoll_wait(fd, &ev, 1, 0));

    ev.events = EPOLLIN | EPOLLEXCLUSIVE;
    say("exclusive", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    say("mod exclusive", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    ev.events = EPOLLIN;
    say("mod of exclusive", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    say("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    ev.events = EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE;
    say("exclusive one-shot", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    tell();
}
