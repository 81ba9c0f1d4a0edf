/* Both directions at once through epoll, non-blocking, with a small buffer. */
#include "conform.h"

#define TOTAL ((size_t)16 << 20)

static void run(const char *who, int fd)
{
    static uint8_t in[30000], out[30000];
    size_t sent = 0, got = 0, wrong = 0;
    nonblock(fd);
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    while (sent < TOTAL || got < TOTAL) {
        if (epoll_wait(ep, &ev, 1, 5000) <= 0) {
            printf("%s stuck at %zu %zu\n", who, sent, got);
            return;
        }
        if (ev.events & EPOLLIN) {
            ssize_t n = recv(fd, in, sizeof in, 0);
            for (ssize_t i = 0; i < n; i++) {
                wrong += in[i] != (uint8_t)((got + (size_t)i) % 251);
            }
            got += n > 0 ? (size_t)n : 0;
        }
        if ((ev.events & EPOLLOUT) && sent < TOTAL) {
            size_t n = TOTAL - sent < sizeof out ? TOTAL - sent : sizeof out;
            for (size_t i = 0; i < n; i++) {
                out[i] = (uint8_t)((sent + i) % 251);
            }
            ssize_t k = send(fd, out, n, MSG_NOSIGNAL);
            sent += k > 0 ? (size_t)k : 0;
        }
        if (sent == TOTAL) {
            struct epoll_event only = {.events = EPOLLIN};
            epoll_ctl(ep, EPOLL_CTL_MOD, fd, &only);
        }
    }
    printf("%s sent %zu got %zu wrong %zu\n", who, sent, got, wrong);
}

void peer(void)
{
    int fd = host();
    int small = 50000;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    run("peer", fd);
    hear();
}

void test(void)
{
    int fd = guest();
    int small = 50000;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    run("test", fd);
    tell();
}
