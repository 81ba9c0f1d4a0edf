/* IPv6 datagrams: to the peer and to oneself, control messages, addresses. */
#include "conform.h"

void peer(void)
{
    char buf[20];
    int u = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 here = at6(PEER6, PORT), from;
    socklen_t len = sizeof from;
    bind(u, (struct sockaddr *)&here, sizeof here);
    tell();
    say_text("peer", buf, recvfrom(u, buf, sizeof buf, 0, (struct sockaddr *)&from, &len));
    say("answer", sendto(u, "back", 4, 0, (struct sockaddr *)&from, len));
    tell();
}

static void show(int u)
{
    char buf[20], control[256], ip[64];
    struct sockaddr_in6 from;
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    say_text("recvmsg", buf, recvmsg(u, &m, 0));
    printf("from %s namelen %u\n", inet_ntop(AF_INET6, &from.sin6_addr, ip, sizeof ip),
           m.msg_namelen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int v;
        memcpy(&v, CMSG_DATA(c), sizeof v);
        printf("  level %d type %d length %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        printf(c->cmsg_type == IPV6_PKTINFO ? "\n" : " value %d\n", v);
    }
}

void test(void)
{
    int on = 1;
    int u = socket(AF_INET6, SOCK_DGRAM, 0);
    setsockopt(u, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    setsockopt(u, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    setsockopt(u, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    struct sockaddr_in6 here = at6(ME6, PORT), there = at6(PEER6, PORT);
    say("bind", bind(u, (struct sockaddr *)&here, sizeof here));
    hear();
    say("sendto", sendto(u, "there", 5, 0, (struct sockaddr *)&there, sizeof there));
    show(u);
    hear();
    say("to oneself", sendto(u, "here", 4, 0, (struct sockaddr *)&here, sizeof here));
    show(u);
    int v = socket(AF_INET6, SOCK_DGRAM, 0);
    here = at6("::ffff:" ME, PORT + 1);
    say("bind mapped", bind(v, (struct sockaddr *)&here, sizeof here));
    struct sockaddr_in four = at(ME, PORT + 1);
    say("four on six", sendto(v, "four", 4, 0, (struct sockaddr *)&four, sizeof four));
    show(v);
}
