/* EPIPE and SIGPIPE: which calls raise it, which do not. */
#include "conform.h"

static volatile int pipes;

static void on_pipe(int sig)
{
    (void)sig;
    pipes++;
}

void peer(void)
{
    int fd = host();
    hear();
    close(fd);
}

void test(void)
{
    signal(SIGPIPE, on_pipe);
    int fd = guest();
    shutdown(fd, SHUT_WR);
    say("send NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
    printf("signals %d\n", pipes);
    say("send", send(fd, "x", 1, 0));
    printf("signals %d\n", pipes);
    say("write", write(fd, "x", 1));
    printf("signals %d\n", pipes);
    struct iovec iov = {"x", 1};
    say("writev", writev(fd, &iov, 1));
    printf("signals %d\n", pipes);
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    say("sendmsg", sendmsg(fd, &m, 0));
    printf("signals %d\n", pipes);
    say("sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0));
    say("not connected", send(tcp(), "x", 1, 0));
    printf("signals %d\n", pipes);
    signal(SIGPIPE, SIG_IGN);
    say("ignored", write(fd, "x", 1));
    say("nothing", write(fd, "", 0));
    tell();
}
