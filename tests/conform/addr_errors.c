/* connect: lengths, families, AF_UNSPEC, descriptors that are no sockets. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    say("peer recv", recv(fd, &(char){0}, 1, 0));
    hear();
}

void test(void)
{
    struct sockaddr_in sin = at(PEER, PORT);
    struct sockaddr *sa = (struct sockaddr *)&sin;
    int fd = tcp();
    say("short", connect(fd, sa, 8));
    say("shorter", connect(fd, sa, 1));
    say("zero", connect(fd, sa, 0));
    say("null", connect(fd, NULL, sizeof sin));
    sin.sin_family = AF_INET6;
    say("wrong family", connect(fd, sa, sizeof sin));
    sin.sin_family = AF_UNSPEC;
    say("unspec", connect(fd, sa, sizeof sin));
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    sin = at(PEER, PORT);
    say("four on six", connect(six, sa, sizeof sin));
    say("bad descriptor", connect(-1, sa, sizeof sin));
    say("a pipe's error", connect(0, sa, sizeof sin) < 0 && errno == ENOTSOCK ? 0 : -1);
    close(fd);
    fd = guest();
    say("connected", connect_to(fd, PEER, PORT));
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    say("disconnect", connect(fd, &unspec, sizeof unspec));
    printf("after: %s\n", polled(fd, 0));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL));
    say("socket, bad type", socket(AF_INET, 99, 0));
    say("socket, bad protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say("socket, bad family", socket(99, SOCK_STREAM, 0));
    tell();
}
