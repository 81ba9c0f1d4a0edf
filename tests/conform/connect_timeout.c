/* A blocking connect that nobody answers: SO_SNDTIMEO, TCP_USER_TIMEOUT, a signal. */
#include "conform.h"

static void on_alarm(int sig)
{
    (void)sig;
}

void peer(void)
{
    hear();
}

void test(void)
{
    struct timeval tv = {.tv_usec = 300000};
    int fd = tcp();
    say("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    long start = now_ms();
    say("connect", connect_to(fd, HOLE, PORT));
    took("connect", start, 300);
    start = now_ms();
    say("again", connect_to(fd, HOLE, PORT));
    took("again", start, 300);
    close(fd);

    fd = tcp();
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {.it_value.tv_usec = 200000};
    setitimer(ITIMER_REAL, &it, NULL);
    start = now_ms();
    say("connect", connect_to(fd, HOLE, PORT));
    took("signal", start, 200);
    nonblock(fd);
    say("it goes on", connect_to(fd, HOLE, PORT));
    close(fd);

    fd = tcp();
    unsigned ms = 500;
    say("TCP_USER_TIMEOUT", setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms));
    say("connect", connect_to(fd, HOLE, PORT));
    printf("after: %s\n", polled(fd, 0));
    tell();
}
