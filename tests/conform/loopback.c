/* A wildcard server is reached by 127.0.0.1, ::1 and its own address; a port 0 is the same
 * everywhere. */
#include "conform.h"

void peer(void)
{
    hear();
}

static int port_of(int fd)
{
    struct sockaddr_in6 s6;
    socklen_t len = sizeof s6;
    getsockname(fd, (struct sockaddr *)&s6, &len);
    return ntohs(s6.sin6_port);
}

static void try_it(int l, int family, const char *ip)
{
    struct sockaddr_in6 from;
    socklen_t len = sizeof from;
    char text[64];
    int c = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in sin = at(ip, port_of(l));
    struct sockaddr_in6 sin6 = at6(ip, port_of(l));
    int ret = family == AF_INET ? connect(c, (struct sockaddr *)&sin, sizeof sin)
                                : connect(c, (struct sockaddr *)&sin6, sizeof sin6);
    printf("%s: ", ip);
    say("connect", ret);
    printf("listener: %s\n", polled(l, 1000));
    int s = accept(l, (struct sockaddr *)&from, &len);
    if (s >= 0) {
        inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text);
        printf("from %s\n", text);
        send_all(c, "hi", 2);
        char buf[2];
        say("recv", recv(s, buf, 2, MSG_WAITALL));
        close(s);
    }
    close(c);
}

void test(void)
{
    int l = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 any = at6("::", 0);
    say("bind", bind(l, (struct sockaddr *)&any, sizeof any));
    printf("port %d\n", port_of(l) > 0);
    say("listen", listen(l, 5));
    try_it(l, AF_INET, "127.0.0.1");
    try_it(l, AF_INET6, "::1");
    try_it(l, AF_INET, ME);
    printf("idle: %s\n", polled(l, 0));

    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    say("epoll add", epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
    int c = tcp();
    say("connect", connect_to(c, "127.0.0.1", port_of(l)));
    int n = epoll_wait(ep, &ev, 1, 1000);
    printf("epoll %d data %u %s\n", n, ev.data.u32, bits(ev.events));
    int s = accept(l, NULL, NULL);
    printf("accepted %d\n", s >= 0);
    say("epoll", epoll_wait(ep, &ev, 1, 0));
    tell();
}
