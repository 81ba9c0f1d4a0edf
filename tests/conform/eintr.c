/* A signal in a blocking call: EINTR, or on with SA_RESTART; which calls never restart. */
#include "conform.h"

static volatile int hits;

static void on_alarm(int sig)
{
    (void)sig;
    hits++;
}

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 3; i++) {
        hear();
        nap_ms(300);
        send_all(fd, "x", 1);
    }
    hear();
    close(fd);
}

static void alarm_in(int flags, int ms)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {.it_value.tv_usec = ms * 1000};
    setitimer(ITIMER_REAL, &it, NULL);
}

void test(void)
{
    char c;
    int fd = guest();
    int l = listen_at(ME, PORT + 2);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);

    alarm_in(0, 100);
    say("recv", recv(fd, &c, 1, 0));
    alarm_in(0, 100);
    say("accept", accept(l, NULL, NULL));
    alarm_in(SA_RESTART, 100);
    say("poll, SA_RESTART", poll(&p, 1, 2000));
    alarm_in(SA_RESTART, 100);
    say("epoll_wait, SA_RESTART", epoll_wait(ep, &ev, 1, 2000));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(fd, &r);
    alarm_in(SA_RESTART, 100);
    say("select, SA_RESTART", select(fd + 1, &r, NULL, NULL, NULL));
    printf("handlers ran %d\n", hits);

    tell();
    alarm_in(SA_RESTART, 100);
    say("recv, SA_RESTART", recv(fd, &c, 1, 0));
    tell();
    alarm_in(SA_RESTART, 100);
    say("recv, waitall, SA_RESTART", recv(fd, &c, 1, MSG_WAITALL));
    struct timeval tv = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    alarm_in(SA_RESTART, 100);
    say("recv, SO_RCVTIMEO, SA_RESTART", recv(fd, &c, 1, 0));
    tell();
    alarm_in(SA_RESTART, 100);
    say("read, SO_RCVTIMEO", read(fd, &c, 1));
    say("read", read(fd, &c, 1));
    printf("handlers ran %d\n", hits);
    tell();
}
