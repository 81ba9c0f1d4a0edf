/* One set with sockets, a pipe and a connecting socket added before connect; dups; many waits. */
#include "conform.h"

void peer(void)
{
    int l = listen_at(PEER, PORT);
    tell();
    int fd = accept(l, NULL, NULL);
    hear();
    nap_ms(100);
    send_all(fd, "x", 1);
    hear();
    send_all(fd, "y", 1);
    tell();
    hear();
}

static void show(int ep, int timeout)
{
    struct epoll_event ev[8];
    int n = epoll_wait(ep, ev, 8, timeout);
    say("epoll_wait", n);
    for (uint32_t want = 0; want < 4; want++) {
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u32 == want) {
                printf("  %u %s\n", want, bits(ev[i].events));
            }
        }
    }
}

void test(void)
{
    char c;
    int p[2];
    int ep = epoll_create1(0);
    if (pipe(p) < 0) {
        die("pipe");
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 0};
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
    ev = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.u32 = 1};
    say("add before connect", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    show(ep, 0);
    hear();
    connect_to(fd, PEER, PORT);
    show(ep, 1000);
    ev.events = EPOLLIN;
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
    show(ep, 0);
    if (write(p[1], "p", 1) != 1) {
        die("write");
    }
    show(ep, 1000);
    tell();
    int woken = 0;
    for (int i = 0; i < 50 && woken < 2; i++) { /* both, though the pipe is always ready */
        struct epoll_event got[8];
        woken = epoll_wait(ep, got, 8, 100);
        nap_ms(5);
    }
    printf("both ready: %d\n", woken == 2);
    say("read", read(p[0], &c, 1));
    show(ep, 0);
    say("recv", recv(fd, &c, 1, 0));
    int d = dup(fd);
    close(fd);
    tell();
    hear();
    await(d, POLLIN);
    printf("the registration lives on with the dup\n");
    show(ep, 0);
    say("del of the old number", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    say("add of the new number", epoll_ctl(ep, EPOLL_CTL_ADD, d, &ev));
    close(d);
    show(ep, 0);
    tell();
}
