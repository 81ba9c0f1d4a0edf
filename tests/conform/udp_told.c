/* What recvmsg tells beside a datagram, in its order and levels: IP_PKTINFO, IP_TTL, IP_TOS, the
 * original destination, the same for IPv6 and for mapped addresses; and a buffer that is too small
 * for it. */
#include "conform.h"

static char buf[100];

static void show(const char *who, int u, size_t room)
{
    char control[512];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    say_text(who, buf, recvmsg(u, &m, 0));
    printf("  flags %x control %zu\n", (unsigned)m.msg_flags, m.msg_controllen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        const unsigned char *p = CMSG_DATA(c);
        char text[64] = "";
        int v = 0;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo i;
            memcpy(&i, p, sizeof i);
            printf("  pktinfo index %s", i.ipi_ifindex ? "set" : "0");
            printf(" spec %s", inet_ntop(AF_INET, &i.ipi_spec_dst, text, sizeof text));
            printf(" addr %s\n", inet_ntop(AF_INET, &i.ipi_addr, text, sizeof text));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo i;
            memcpy(&i, p, sizeof i);
            printf("  pktinfo6 index %s addr %s\n", i.ipi6_ifindex ? "set" : "0",
                   inet_ntop(AF_INET6, &i.ipi6_addr, text, sizeof text));
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == 20) {
            struct sockaddr_in a;
            memcpy(&a, p, sizeof a);
            printf("  origdst %s %d\n", inet_ntop(AF_INET, &a.sin_addr, text, sizeof text),
                   ntohs(a.sin_port));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 74) {
            struct sockaddr_in6 a;
            memcpy(&a, p, sizeof a);
            printf("  origdst6 %s %d\n", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text),
                   ntohs(a.sin6_port));
        } else {
            memcpy(&v, p, c->cmsg_len == CMSG_LEN(1) ? 1 : sizeof v);
            printf("  level %d type %d len %zu value %d\n", c->cmsg_level, c->cmsg_type,
                   c->cmsg_len, v);
        }
    }
}

void peer(void)
{
    struct sockaddr_in to = at(ME, PORT), to2 = at(ME, PORT + 1);
    struct sockaddr_in6 to6 = at6(ME6, PORT + 1);
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0), tos = 0x28, ttl = 33;
    setsockopt(u, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    setsockopt(u, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    setsockopt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
    tell();
    for (int i = 0; i < 3; i++) {
        hear();
        sendto(u, "four", 4, 0, (struct sockaddr *)&to, sizeof to);
        sendto(s, "six", 3, 0, (struct sockaddr *)&to6, sizeof to6);
        sendto(u, "mapped", 6, 0, (struct sockaddr *)&to2, sizeof to2);
        tell();
    }
}

static void all_on(int u, bool v6)
{
    int on = 1;
    setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, 20, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVOPTS, &on, sizeof on);
    if (v6) {
        say("hops", setsockopt(u, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
        say("class", setsockopt(u, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on));
        say("info", setsockopt(u, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
        say("origdst", setsockopt(u, IPPROTO_IPV6, 74, &on, sizeof on));
    }
}

void test(void)
{
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = at6("::", PORT + 1);
    bind_to(u, "0.0.0.0", PORT);
    bind(s, (struct sockaddr *)&any, sizeof any);
    hear();
    tell();
    hear();
    show("nothing asked", u, 512);
    show("nothing asked", s, 512);
    show("nothing asked", s, 512);
    all_on(u, false);
    all_on(s, true);
    tell();
    hear();
    show("four", u, 512);
    show("six", s, 512);
    show("mapped", s, 512);
    tell();
    hear();
    show("little room", u, 40);
    show("no room", s, 0);
    show("odd room", s, 60);
}
