/* Threads: one writes while one reads the same socket; several wait in one set; cancellation in
 * recv. */
#include <pthread.h>

#include "conform.h"

static int fd, ep;

static void *reader(void *arg)
{
    char buf[1000];
    size_t sum = 0;
    while (sum < 1000000) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            break;
        }
        sum += (size_t)n;
    }
    *(size_t *)arg = sum;
    return NULL;
}

static void cleaned(void *unused)
{
    (void)unused;
    printf("cleanup ran\n");
}

static void *victim(void *unused)
{
    char c;
    (void)unused;
    pthread_cleanup_push(cleaned, NULL);
    say("recv", recv(fd, &c, 1, 0));
    pthread_cleanup_pop(0);
    return NULL;
}

static void *waiter(void *arg)
{
    struct epoll_event ev;
    int n = epoll_wait(ep, &ev, 1, 3000);
    *(int *)arg = n;
    return NULL;
}

void peer(void)
{
    int c = host();
    static char buf[4096];
    size_t sum = 0;
    while (sum < 1000000) { /* an echo */
        ssize_t n = recv(c, buf, sizeof buf, 0);
        if (n <= 0) {
            break;
        }
        send_all(c, buf, (size_t)n);
        sum += (size_t)n;
    }
    hear();
    nap_ms(200);
    send_all(c, "x", 1);
    hear();
}

void test(void)
{
    pthread_t t[4];
    static char block[10000];
    size_t got = 0;
    fd = guest();
    pthread_create(&t[0], NULL, reader, &got);
    for (int i = 0; i < 100; i++) {
        send_all(fd, block, sizeof block);
    }
    pthread_join(t[0], NULL);
    printf("echoed %zu\n", got);

    void *how;
    pthread_create(&t[0], NULL, victim, NULL);
    nap_ms(100);
    pthread_cancel(t[0]);
    pthread_join(t[0], &how);
    printf("cancelled %d\n", how == PTHREAD_CANCELED);

    int n[4];
    ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    for (int i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, waiter, &n[i]);
    }
    tell();
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += n[i];
    }
    printf("woken %d\n", sum);
    tell();
}
