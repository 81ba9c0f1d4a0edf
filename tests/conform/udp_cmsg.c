/* Control messages of sendmsg: time to live, type of service, source address, and what is
 * refused. */
#include "conform.h"

static void show(const char *who, int u)
{
    char buf[20], control[256];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    say_text(who, buf, recvmsg(u, &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int v = 0;
        memcpy(&v, CMSG_DATA(c), c->cmsg_len == CMSG_LEN(1) ? 1 : sizeof v);
        printf("  %s level %d type %d value %d\n", who, c->cmsg_level, c->cmsg_type, v);
    }
}

void peer(void)
{
    int on = 1;
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0);
    setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    setsockopt(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    setsockopt(s, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    bind_to(u, PEER, PORT);
    struct sockaddr_in6 here = at6(PEER6, PORT);
    bind(s, (struct sockaddr *)&here, sizeof here);
    tell();
    for (int i = 0; i < 4; i++) {
        show("peer", u);
    }
    show("peer six", s);
    show("peer six", s);
    tell();
}

static void send_with(const char *what, int u, const void *to, socklen_t len, int level, int type,
                      const void *data, size_t n)
{
    char control[256] = {0};
    struct iovec iov = {(void *)(uintptr_t)what, strlen(what)};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = len,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(n)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(n);
    memcpy(CMSG_DATA(c), data, n);
    say(what, sendmsg(u, &m, 0));
}

void test(void)
{
    struct sockaddr_in to = at(PEER, PORT);
    struct sockaddr_in6 to6 = at6(PEER6, PORT);
    struct in_pktinfo pi = {0};
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0);
    int nine = 9, many = 300;
    uint8_t tos = 0x20;
    pi.ipi_spec_dst = at(ME, 0).sin_addr;
    hear();
    send_with("ttl", u, &to, sizeof to, IPPROTO_IP, IP_TTL, &nine, sizeof nine);
    send_with("tos", u, &to, sizeof to, IPPROTO_IP, IP_TOS, &tos, 1);
    send_with("source", u, &to, sizeof to, IPPROTO_IP, IP_PKTINFO, &pi, sizeof pi);
    send_with("ttl 300", u, &to, sizeof to, IPPROTO_IP, IP_TTL, &many, sizeof many);
    send_with("ttl, short", u, &to, sizeof to, IPPROTO_IP, IP_TTL, &nine, 2);
    send_with("unknown", u, &to, sizeof to, IPPROTO_IP, 99, &nine, sizeof nine);
    send_with("other level", u, &to, sizeof to, 99, 99, &nine, sizeof nine);
    send_with("six ttl", s, &to6, sizeof to6, IPPROTO_IPV6, IPV6_HOPLIMIT, &nine, sizeof nine);
    send_with("six tc", s, &to6, sizeof to6, IPPROTO_IPV6, IPV6_TCLASS, &nine, sizeof nine);
    hear();
    char control[8] = {0};
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = sizeof to,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    say("too short a control", sendmsg(u, &m, MSG_DONTWAIT));
}
