/* A non-blocking connect: EINPROGRESS, EALREADY, readiness, success told once, EISCONN. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    close(fd);
}

void test(void)
{
    int hole = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("connect to nobody", connect_to(hole, HOLE, PORT));
    say("again", connect_to(hole, HOLE, PORT));
    printf("waiting: %s\n", polled(hole, 0));
    say("send", send(hole, "x", 1, MSG_NOSIGNAL));
    say("recv", recv(hole, &(char){0}, 1, 0));
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    say("getpeername", getpeername(hole, (struct sockaddr *)&sin, &len));
    say("close", close(hole));

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    hear();
    int ret = connect_to(fd, PEER, PORT);
    printf("connect %s\n", ret == 0 || errno == EINPROGRESS ? "goes on" : strerrorname_np(errno));
    await(fd, POLLOUT);
    printf("done: %s SO_ERROR %s\n", polled(fd, 0), ename(so_error(fd)));
    say("connect", connect_to(fd, PEER, PORT));
    say("connect", connect_to(fd, PEER, PORT));
    say("recv", recv(fd, &(char){0}, 1, 0));
    tell();
}
