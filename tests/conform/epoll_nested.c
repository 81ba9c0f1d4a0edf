/* A set inside a set, and poll on a set: the inner one's readiness shows outside. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 3; i++) {
        hear();
        nap_ms(100);
        send_all(fd, "x", 1);
    }
    hear();
}

static void show(const char *what, int n, const struct epoll_event *ev)
{
    printf("%s = %d %s\n", what, n, n == 1 ? bits(ev->events) : "");
}

void test(void)
{
    char c;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 1}, got;
    int fd = guest();
    int inner = epoll_create1(0), outer = epoll_create1(0);
    epoll_ctl(inner, EPOLL_CTL_ADD, fd, &ev);
    ev.data.u32 = 2;
    say("nest", epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev));
    tell();
    int n;
    for (;;) { /* the outer set may speak too early, but not too late */
        n = epoll_wait(outer, &got, 1, 3000);
        if (n != 1 || epoll_wait(inner, &(struct epoll_event){0}, 1, 0) == 1) {
            break;
        }
    }
    show("outer", n, &got);
    show("inner", epoll_wait(inner, &got, 1, 0), &got);
    say("recv", recv(fd, &c, 1, 0));
    show("inner, read", epoll_wait(inner, &got, 1, 0), &got);
    struct pollfd p = {.fd = inner, .events = POLLIN};
    say("poll of the set", poll(&p, 1, 50));
    tell();
    say("poll of the set", poll(&p, 1, 3000));
    printf("%s\n", bits((uint32_t)p.revents));
    show("inner", epoll_wait(inner, &got, 1, 0), &got);
    say("recv", recv(fd, &c, 1, 0));
    tell();
    fd_set r;
    FD_ZERO(&r);
    FD_SET(inner, &r);
    say("select of the set", select(inner + 1, &r, NULL, NULL, NULL));
    show("inner", epoll_wait(inner, &got, 1, 0), &got);
    say("itself", epoll_ctl(inner, EPOLL_CTL_ADD, inner, &ev));
    tell();
}
