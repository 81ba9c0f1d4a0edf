/* Groups: joining and its answers, who gets what, sources, IP_MULTICAST_ALL, _LOOP, _TTL, _IF. */
#include "conform.h"

#include <net/if.h>

#define GROUP  "239.77.0.1"
#define GROUP2 "239.77.0.2"
#define GROUP6 "ff05::77"

static int group_sock(int port)
{
    int on = 1;
    int u = udp();
    struct timeval tv = {.tv_usec = 300000};
    setsockopt(u, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    bind_to(u, "0.0.0.0", port);
    return u;
}

void peer(void)
{
    struct in_addr me;
    struct sockaddr_in to = at(GROUP, PORT), to2 = at(GROUP2, PORT);
    struct sockaddr_in6 to6 = at6(GROUP6, PORT);
    struct sockaddr_in6 here = at6(PEER6, 0);
    int u = udp(), s = socket(AF_INET6, SOCK_DGRAM, 0), r = group_sock(PORT + 1), ttl = 0, on = 1;
    char buf[20];
    struct ip_mreqn m = {.imr_address = at(PEER, 0).sin_addr};
    unsigned index = 0;
    inet_pton(AF_INET, PEER, &me);
    bind_to(u, PEER, 0);
    bind(s, (struct sockaddr *)&here, sizeof here);
    setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &me, sizeof me);
    for (unsigned i = 1; i < 20; i++) { /* the device that is not loopback */
        char name[IF_NAMESIZE];
        if (if_indextoname(i, name) && strcmp(name, "lo") != 0) {
            index = i;
        }
    }
    setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    inet_pton(AF_INET, GROUP, &m.imr_multiaddr);
    setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
    setsockopt(r, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    tell();
    for (int i = 0; i < 6; i++) { /* once for each question of the test */
        hear();
        sendto(u, "one", 3, 0, (struct sockaddr *)&to, sizeof to);
        sendto(u, "two", 3, 0, (struct sockaddr *)&to2, sizeof to2);
        sendto(s, "six", 3, 0, (struct sockaddr *)&to6, sizeof to6);
        tell();
    }
    for (int i = 0; i < 2; i++) { /* what the test sends to the group */
        char control[64];
        struct iovec iov = {buf, sizeof buf};
        struct sockaddr_in from;
        struct msghdr h = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        struct timeval tv = {.tv_sec = 5};
        setsockopt(r, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        say_text("peer", buf, recvmsg(r, &h, 0));
        memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof ttl);
        printf("ttl %d from %s\n", ttl, inet_ntoa(from.sin_addr));
    }
    tell();
}

static void ask(const char *what, int a, int b, int s)
{
    char buf[20];
    printf("-- %s\n", what);
    tell();
    hear();
    say_text("a", buf, recv(a, buf, sizeof buf, 0));
    say_text("a", buf, recv(a, buf, sizeof buf, 0));
    say_text("b", buf, recv(b, buf, sizeof buf, 0));
    say_text("b", buf, recv(b, buf, sizeof buf, 0));
    say_text("six", buf, recv(s, buf, sizeof buf, 0));
}

static int source(int u, int name, const char *src)
{
    struct ip_mreq_source m;
    inet_pton(AF_INET, GROUP, &m.imr_multiaddr);
    inet_pton(AF_INET, ME, &m.imr_interface);
    inet_pton(AF_INET, src, &m.imr_sourceaddr);
    return setsockopt(u, IPPROTO_IP, name, &m, sizeof m);
}

void test(void)
{
    struct ip_mreq m = {0}, bad;
    struct group_req g = {0};
    struct ipv6_mreq m6 = {0};
    int a = group_sock(PORT), b = group_sock(PORT), off = 0, v = 0, on = 1;
    int s = socket(AF_INET6, SOCK_DGRAM, 0);
    struct timeval tv = {.tv_usec = 300000};
    struct sockaddr_in6 any6 = at6("::", PORT);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    say("bind six", bind(s, (struct sockaddr *)&any6, sizeof any6));
    inet_pton(AF_INET, GROUP, &m.imr_multiaddr);
    inet_pton(AF_INET, ME, &m.imr_interface);
    inet_pton(AF_INET6, GROUP6, &m6.ipv6mr_multiaddr);
    hear();
    ask("nobody is in a group", a, b, s);

    say("join", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
    say("again", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
    bad = m;
    inet_pton(AF_INET, "10.1.1.1", &bad.imr_multiaddr);
    say("no group", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &bad, sizeof bad));
    bad = m;
    inet_pton(AF_INET, "10.9.9.9", &bad.imr_interface);
    say("no device", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &bad, sizeof bad));
    bad = m;
    inet_pton(AF_INET, "239.77.9.9", &bad.imr_multiaddr);
    say("not in it", setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &bad, sizeof bad));
    ask("a is in one", a, b, s);

    say("all off", setsockopt(b, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off));
    ask("b takes only its own", a, b, s);

    say("block", source(a, IP_BLOCK_SOURCE, PEER));
    say("block again", source(a, IP_BLOCK_SOURCE, PEER));
    say("unblock another", source(a, IP_UNBLOCK_SOURCE, "10.77.0.9"));
    say("only from", source(b, IP_ADD_SOURCE_MEMBERSHIP, PEER));
    ask("a blocks the peer, b wants it", a, b, s);
    say("no more", source(b, IP_DROP_SOURCE_MEMBERSHIP, PEER));
    say("unblock", source(a, IP_UNBLOCK_SOURCE, PEER));

    struct sockaddr_in *sin = (struct sockaddr_in *)&g.gr_group;
    *sin = at(GROUP2, 0);
    for (unsigned i = 1; i < 20; i++) {
        char name[IF_NAMESIZE];
        if (if_indextoname(i, name) && strcmp(name, "lo") != 0) {
            g.gr_interface = i;
            m6.ipv6mr_interface = i;
        }
    }
    say("group_req", setsockopt(b, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g));
    say("join six", setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof m6));
    say("six again", setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof m6));
    ask("each in one", a, b, s);
    say("leave", setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
    say("leave six", setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m6, sizeof m6));
    ask("a and six have left", a, b, s);

    struct sockaddr_in to = at(GROUP, PORT + 1);
    socklen_t len = sizeof v;
    getsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &v, &len);
    printf("ttl %d\n", v);
    say("if", setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &m.imr_interface, 4));
    say("send", sendto(a, "near", 4, 0, (struct sockaddr *)&to, sizeof to));
    v = 7;
    say("ttl 7", setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &v, sizeof v));
    say("send", sendto(a, "far", 3, 0, (struct sockaddr *)&to, sizeof to));
    hear();

    to = at(GROUP2, PORT); /* b is in that one: our own comes back */
    char buf[20];
    say("send", sendto(a, "loop", 4, 0, (struct sockaddr *)&to, sizeof to));
    say_text("b", buf, recv(b, buf, sizeof buf, 0));
    say("loop off", setsockopt(a, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off));
    say("send", sendto(a, "loop", 4, 0, (struct sockaddr *)&to, sizeof to));
    say_text("b", buf, recv(b, buf, sizeof buf, 0));
}
