/* UDP_SEGMENT and UDP_GRO: one call for many datagrams, by option and by control message; what is
 * refused. */
#include "conform.h"

#include <netinet/udp.h>

static char data[70000];

/* To an address of one's own: a wildcard of the stack's takes the kernel's loopback with it, and
 * the peer beside it could not have the kernel's. */
static int bound(int family, const char *ip, int port)
{
    int u = socket(family, SOCK_DGRAM, 0);
    struct timeval tv = {.tv_usec = 300000};
    struct sockaddr_in sin = at(ip, port);
    struct sockaddr_in6 sin6 = at6(ip, port);
    setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if ((family == AF_INET ? bind(u, (struct sockaddr *)&sin, sizeof sin)
                           : bind(u, (struct sockaddr *)&sin6, sizeof sin6)) < 0) {
        die("bind");
    }
    return u;
}

/* Everything that has come: how many datagrams of which size, and what they said of themselves. */
static void drain(const char *who, int u)
{
    for (;;) {
        char control[256];
        struct iovec iov = {data, sizeof data};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(u, &m, 0);
        if (n < 0) {
            break;
        }
        printf("%s %zd", who, n);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            int v = 0;
            memcpy(&v, CMSG_DATA(c), sizeof v);
            printf(" [level %d type %d: %d]", c->cmsg_level, c->cmsg_type, v);
        }
        printf("\n");
    }
}

void peer(void)
{
    struct sockaddr_in to = at(ME, PORT);
    int u = bound(AF_INET, PEER, PORT), s = bound(AF_INET6, PEER6, PORT + 1), v = 1000;
    tell();
    for (int i = 0; i < 5; i++) {
        hear();
        drain("peer", u);
        drain("peer six", s);
        tell();
    }
    setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v);
    hear();
    say("peer sends", sendto(u, data, 2500, 0, (struct sockaddr *)&to, sizeof to));
    tell();
    hear();
    say("peer sends", sendto(u, data, 2500, 0, (struct sockaddr *)&to, sizeof to));
    tell();
}

static void send_cmsg(const char *what, int u, const struct sockaddr_in *to, uint16_t each,
                      size_t n, size_t len)
{
    char control[64] = {0};
    struct iovec iov = {data, n};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = sizeof *to,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(len)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), &each, sizeof each);
    say(what, sendmsg(u, &m, 0));
}

static void turn(void)
{
    tell();
    hear();
}

void test(void)
{
    struct sockaddr_in to = at(PEER, PORT);
    struct sockaddr_in6 to6 = at6(PEER6, PORT + 1);
    int u = bound(AF_INET, ME, PORT), s = bound(AF_INET6, ME6, PORT + 1), v = 0;
    socklen_t len = sizeof v;
    hear();
    say("get", getsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, &len));
    printf("segment %d\n", v);
    v = 65536;
    say("too large", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    v = -1;
    say("negative", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    v = 1000;
    say("1000", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    say("1000 six", setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    say("2500", sendto(u, data, 2500, 0, (struct sockaddr *)&to, sizeof to));
    say("2500 six", sendto(s, data, 2500, 0, (struct sockaddr *)&to6, sizeof to6));
    turn();
    say("1000", sendto(u, data, 1000, 0, (struct sockaddr *)&to, sizeof to));
    say("999", sendto(u, data, 999, 0, (struct sockaddr *)&to, sizeof to));
    turn();
    send_cmsg("cmsg 700", u, &to, 700, 1400, 2);
    send_cmsg("cmsg of four bytes", u, &to, 700, 1400, 4);
    turn();
    v = 1473;
    say("1473", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    say("does not fit", sendto(u, data, 3000, 0, (struct sockaddr *)&to, sizeof to));
    v = 100;
    say("100", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    say("129 of them", sendto(u, data, 12801, 0, (struct sockaddr *)&to, sizeof to));
    v = 1;
    say("no check", setsockopt(u, SOL_SOCKET, SO_NO_CHECK, &v, sizeof v));
    say("without checksum", sendto(u, data, 300, 0, (struct sockaddr *)&to, sizeof to));
    v = 0;
    say("check", setsockopt(u, SOL_SOCKET, SO_NO_CHECK, &v, sizeof v));
    say("off", setsockopt(u, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof v));
    turn();
    v = 1;
    say("cork", setsockopt(u, IPPROTO_UDP, UDP_CORK, &v, sizeof v));
    say("a", sendto(u, data, 10, 0, (struct sockaddr *)&to, sizeof to));
    say("b", sendto(u, data, 20, 0, (struct sockaddr *)&to, sizeof to));
    v = 0;
    say("uncork", setsockopt(u, IPPROTO_UDP, UDP_CORK, &v, sizeof v));
    turn();

    say("gro", getsockopt(u, IPPROTO_UDP, UDP_GRO, &v, &len));
    printf("gro %d\n", v);
    turn();
    drain("test", u);
    v = 1;
    say("gro on", setsockopt(u, IPPROTO_UDP, UDP_GRO, &v, sizeof v));
    turn();
    drain("test", u);
}
