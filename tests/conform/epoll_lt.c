/* Level-triggered epoll: told again until read; room for one; two sockets take turns. */
#include "conform.h"

void peer(void)
{
    int l = listen_at(PEER, PORT);
    tell();
    int a = accept(l, NULL, NULL);
    int b = accept(l, NULL, NULL);
    hear();
    send_all(a, "aa", 2);
    send_all(b, "bb", 2);
    tell();
    hear();
    close(a);
    tell();
    hear();
}

static void show(int ep, int max)
{
    struct epoll_event ev[8];
    int n = epoll_wait(ep, ev, max, 0);
    say("epoll_wait", n);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u32 == (uint32_t)pass) {
                printf("  %c %s\n", 'a' + pass, bits(ev[i].events));
            }
        }
    }
}

void test(void)
{
    char c;
    hear();
    int a = dial(PEER, PORT);
    int b = dial(PEER, PORT);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = 0};
    say("add", epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
    ev.data.u64 = 1;
    say("add", epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
    show(ep, 8);
    tell();
    hear();
    await(a, POLLIN);
    await(b, POLLIN);
    show(ep, 8);
    show(ep, 8);
    int seen[2] = {0, 0};
    for (int i = 0; i < 6; i++) {
        int n = epoll_wait(ep, &ev, 1, 100);
        seen[ev.data.u32] += n;
    }
    printf("taking turns: %d %d\n", seen[0], seen[1]);
    recv(a, &c, 1, 0);
    show(ep, 8);
    recv(a, &c, 1, 0);
    show(ep, 8);
    ev.events = EPOLLOUT;
    ev.data.u64 = 0;
    say("mod", epoll_ctl(ep, EPOLL_CTL_MOD, a, &ev));
    show(ep, 8);
    ev.events = EPOLLIN | EPOLLRDHUP;
    epoll_ctl(ep, EPOLL_CTL_MOD, a, &ev);
    say("del", epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL));
    show(ep, 8);
    tell();
    hear();
    await(a, POLLRDHUP);
    show(ep, 8);
    close(a);
    show(ep, 8);
    tell();
}
