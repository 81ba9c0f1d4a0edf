/* sendmmsg and recvmmsg; MSG_PEEK and MSG_TRUNC; who gets what among connected, specific and
 * wildcard sockets of one port; broadcasts. */
#include "conform.h"

static char buf[8][100];

static int sock(const char *ip, int port, bool reuse)
{
    int u = udp(), on = 1;
    struct timeval tv = {.tv_usec = 300000};
    setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (reuse) {
        setsockopt(u, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    struct sockaddr_in a = at(ip, port);
    say("bind", bind(u, (struct sockaddr *)&a, sizeof a));
    return u;
}

void peer(void)
{
    struct sockaddr_in to = at(ME, PORT);
    int u = udp(), v = udp();
    bind_to(u, PEER, PORT + 1);
    bind_to(v, PEER, PORT + 2);
    tell();
    for (int i = 0; i < 4; i++) {
        hear();
        sendto(u, "one", 3, 0, (struct sockaddr *)&to, sizeof to);
        sendto(u, "three", 5, 0, (struct sockaddr *)&to, sizeof to);
        sendto(v, "other", 5, 0, (struct sockaddr *)&to, sizeof to);
        tell();
    }
    hear();
    for (int i = 0; i < 3; i++) {
        ssize_t n = recv(u, buf[0], sizeof buf[0], 0);
        say_text("peer", buf[0], n);
    }
    tell();
}

static void turn(void)
{
    tell();
    hear();
}

static void take(const char *who, int u)
{
    for (;;) {
        ssize_t n = recv(u, buf[0], sizeof buf[0], 0);
        if (n < 0) {
            break;
        }
        say_text(who, buf[0], n);
    }
}

void test(void)
{
    struct mmsghdr m[8] = {0};
    struct iovec iov[8];
    struct sockaddr_in to = at(PEER, PORT + 1), from, all = at("255.255.255.255", PORT);
    struct timespec quick = {.tv_nsec = 100000000};
    int a = sock("0.0.0.0", PORT, true), b, on = 1;
    for (int i = 0; i < 8; i++) {
        iov[i] = (struct iovec){buf[i], i == 1 ? 2 : sizeof buf[i]};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    m[0].msg_hdr.msg_name = &from;
    m[0].msg_hdr.msg_namelen = sizeof from;
    hear();
    turn();
    int n = recvmmsg(a, m, 8, MSG_WAITFORONE, NULL);
    say("recvmmsg", n);
    for (int i = 0; i < n; i++) {
        printf("  %u %s\n", m[i].msg_len, m[i].msg_hdr.msg_flags & MSG_TRUNC ? "cut" : "whole");
    }
    printf("  from port %d\n", ntohs(from.sin_port) - PORT);
    say("none", recvmmsg(a, m, 8, MSG_DONTWAIT, NULL));
    say("in time", recvmmsg(a, m, 8, 0, &quick));
    turn();
    say("peek", recv(a, buf[0], 2, MSG_PEEK));
    say("peek trunc", recv(a, buf[0], 2, MSG_PEEK | MSG_TRUNC));
    say("trunc", recv(a, buf[0], 2, MSG_TRUNC));
    say("inq", ioctl(a, FIONREAD, &n));
    printf("  %d\n", n);
    take("a", a);

    b = sock(ME, PORT, true); /* the more specific one gets it */
    turn();
    take("a", a);
    take("b", b);
    say("connect", connect(a, (struct sockaddr *)&to, sizeof to)); /* the connected one does */
    turn();
    take("a", a);
    take("b", b);

    for (int i = 0; i < 3; i++) {
        iov[i] = (struct iovec){(char *)(uintptr_t) "sent by many", (size_t)(4 + i)};
        m[i].msg_hdr = (struct msghdr){
            .msg_iov = &iov[i], .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
    }
    say("sendmmsg", sendmmsg(b, m, 3, 0));
    for (int i = 0; i < 3; i++) {
        printf("  %u\n", m[i].msg_len);
    }
    turn();
    say("broadcast", sendto(b, "x", 1, 0, (struct sockaddr *)&all, sizeof all));
    all = at("10.77.0.255", PORT);
    say("broadcast", sendto(b, "x", 1, 0, (struct sockaddr *)&all, sizeof all));
    say("connect", connect(b, (struct sockaddr *)&all, sizeof all));
    say("allow", setsockopt(b, SOL_SOCKET, SO_BROADCAST, &on, sizeof on));
    say("broadcast", sendto(b, "x", 1, 0, (struct sockaddr *)&all, sizeof all));
    say("connect", connect(b, (struct sockaddr *)&all, sizeof all));
}
