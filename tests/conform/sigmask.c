/* ppoll, pselect and epoll_pwait: the mask holds during the wait only, atomically. */
#include "conform.h"

static volatile int hits;

static void on_usr(int sig)
{
    (void)sig;
    hits++;
}

void peer(void)
{
    int fd = host();
    hear();
    close(fd);
}

void test(void)
{
    int fd = guest();
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGUSR1, on_usr);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec second = {.tv_sec = 1};
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    fd_set r;

    raise(SIGUSR1);
    say("ppoll", ppoll(&p, 1, &second, &none));
    printf("hits %d\n", hits);
    raise(SIGUSR1);
    FD_ZERO(&r);
    FD_SET(fd, &r);
    say("pselect", pselect(fd + 1, &r, NULL, NULL, &second, &none));
    printf("hits %d\n", hits);
    raise(SIGUSR1);
    say("epoll_pwait", epoll_pwait(ep, &ev, 1, 1000, &none));
    printf("hits %d\n", hits);
    raise(SIGUSR1);
    struct timespec zero = {0};
    say("ppoll, no wait", ppoll(&p, 1, &zero, &none));
    printf("hits %d\n", hits);
    raise(SIGUSR1);
    p.events = POLLOUT;
    say("ppoll, ready", ppoll(&p, 1, &second, &none));
    printf("hits %d\n", hits);
    sigset_t pending;
    sigpending(&pending);
    printf("pending %d\n", sigismember(&pending, SIGUSR1));
    if (fork() == 0) {
        nap_ms(100);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    p.events = POLLIN;
    sigset_t all;
    sigfillset(&all);
    struct timespec shortly = {.tv_nsec = 300000000};
    say("ppoll, all blocked", ppoll(&p, 1, &shortly, &all));
    printf("hits %d\n", hits);
    wait(NULL);
    tell();
}
