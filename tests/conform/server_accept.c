/* A server on the wildcard address with epoll, many short connections from the peer. */
#include "conform.h"

#define CONNS 200

void peer(void)
{
    int ok = 0;
    hear();
    for (int i = 0; i < CONNS; i++) {
        char buf[16];
        int fd = dial(ME, PORT);
        send_all(fd, "ping", 4);
        ok += recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "pong", 4) == 0;
        ok += recv(fd, buf, 4, 0) == 0;
        close(fd);
    }
    printf("peer: %d\n", ok);
}

void test(void)
{
    int l = listen_at("0.0.0.0", PORT);
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = l};
    nonblock(l);
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
    tell();
    int served = 0, accepted = 0;
    while (served < CONNS) {
        struct epoll_event got[16];
        int n = epoll_wait(ep, got, 16, 5000);
        if (n <= 0) {
            printf("stuck\n");
            break;
        }
        for (int i = 0; i < n; i++) {
            int fd = got[i].data.fd;
            if (fd == l) {
                int c = accept4(l, NULL, NULL, SOCK_NONBLOCK);
                if (c >= 0) {
                    accepted++;
                    ev = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                                              .data.fd = c};
                    epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
                }
                continue;
            }
            char buf[16];
            if (recv(fd, buf, sizeof buf, 0) == 4) {
                send_all(fd, "pong", 4);
                close(fd);
                served++;
            }
        }
    }
    printf("accepted %d served %d\n", accepted, served);
    say("none left", accept(l, NULL, NULL));
}
