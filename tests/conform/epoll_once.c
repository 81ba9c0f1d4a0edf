/* A level-triggered socket is told once in a wait, while other threads read from others and so
 * take in the packets. */
#include "conform.h"

#include <pthread.h>

enum { FDS = 16, READERS = 2, ROUNDS = 4000 };

static int end_of[FDS];
static int reader_end[READERS];
static volatile bool over;

static void *keep_sending(void *arg)
{
    const int *fd = arg;
    char c[64] = {0};
    while (send(*fd, c, sizeof c, MSG_NOSIGNAL) > 0) {
    }
    return NULL;
}

static void *keep_reading(void *arg)
{
    const int *fd = arg;
    char c[64];
    while (!over && recv(*fd, c, sizeof c, 0) > 0) {
    }
    return NULL;
}

void peer(void)
{
    int l = listen_at(PEER, PORT);
    pthread_t t;
    tell();
    for (int i = 0; i < FDS; i++) {
        end_of[i] = accept(l, NULL, NULL);
    }
    for (int i = 0; i < READERS; i++) {
        reader_end[i] = accept(l, NULL, NULL);
        pthread_create(&t, NULL, keep_sending, &reader_end[i]);
    }
    struct pollfd p[FDS + 1] = {{.fd = ctl, .events = POLLIN}};
    for (int i = 0; i < FDS; i++) {
        p[i + 1] = (struct pollfd){.fd = end_of[i], .events = POLLIN};
    }
    while (poll(p, FDS + 1, -1) > 0 && !p[0].revents) { /* echoes */
        for (int i = 1; i <= FDS; i++) {
            char c;
            if (p[i].revents && recv(p[i].fd, &c, 1, MSG_DONTWAIT) == 1) {
                send(p[i].fd, &c, 1, MSG_NOSIGNAL);
            }
        }
    }
}

/* One wait: how many descriptors were told more than once. */
static int twice_in(const struct epoll_event *ev, int n)
{
    int twice = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) {
            twice += ev[i].data.fd == ev[k].data.fd;
        }
    }
    return twice;
}

void test(void)
{
    pthread_t t[READERS];
    int ep = epoll_create1(0), twice = 0;
    hear();
    for (int i = 0; i < FDS; i++) {
        int fd = dial(PEER, PORT);
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        end_of[i] = fd;
    }
    for (int i = 0; i < READERS; i++) {
        reader_end[i] = dial(PEER, PORT);
        pthread_create(&t[i], NULL, keep_reading, &reader_end[i]);
    }
    for (int i = 0; i < FDS; i++) {
        send(end_of[i], "x", 1, 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct epoll_event ev[4 * FDS];
        int n = epoll_wait(ep, ev, 4 * FDS, 10000);
        if (n <= 0) {
            say("epoll_wait", n);
            break;
        }
        twice += twice_in(ev, n);
        for (int i = 0; i < n; i++) {
            char c;
            if (recv(ev[i].data.fd, &c, 1, MSG_DONTWAIT) == 1) {
                send(ev[i].data.fd, &c, 1, 0);
            }
        }
    }
    printf("told twice in one wait: %d\n", twice);
    over = true;
    for (int i = 0; i < READERS; i++) {
        pthread_join(t[i], NULL);
    }
    tell();
}
