/* Option defaults of fresh sockets, values set and got back, lengths, errors. */
#include "conform.h"

void peer(void)
{
    hear();
}

static void get(int fd, int level, int name, const char *what)
{
    int v = -77;
    socklen_t len = sizeof v;
    int ret = getsockopt(fd, level, name, &v, &len);
    if (ret < 0) {
        say(what, ret);
    } else {
        printf("%s = %d length %u\n", what, v, len);
    }
}

static void set(int fd, int level, int name, int v, const char *what)
{
    say(what, setsockopt(fd, level, name, &v, sizeof v));
    get(fd, level, name, what);
}

#define G(level, name)    get(fd, level, name, #name)
#define S(level, name, v) set(fd, level, name, v, #name)

static void common(int fd)
{
    G(SOL_SOCKET, SO_TYPE);
    G(SOL_SOCKET, SO_DOMAIN);
    G(SOL_SOCKET, SO_PROTOCOL);
    G(SOL_SOCKET, SO_ERROR);
    G(SOL_SOCKET, SO_REUSEADDR);
    G(SOL_SOCKET, SO_REUSEPORT);
    G(SOL_SOCKET, SO_KEEPALIVE);
    G(SOL_SOCKET, SO_BROADCAST);
    G(SOL_SOCKET, SO_OOBINLINE);
    G(SOL_SOCKET, SO_ACCEPTCONN);
    G(SOL_SOCKET, SO_RCVLOWAT);
    G(SOL_SOCKET, SO_PRIORITY);
    G(SOL_SOCKET, SO_RCVBUF);
    G(SOL_SOCKET, SO_SNDBUF);
}

void test(void)
{
    int fd = tcp();
    common(fd);
    G(IPPROTO_TCP, TCP_NODELAY);
    G(IPPROTO_TCP, TCP_MAXSEG);
    G(IPPROTO_TCP, TCP_CORK);
    G(IPPROTO_TCP, TCP_KEEPIDLE);
    G(IPPROTO_TCP, TCP_KEEPINTVL);
    G(IPPROTO_TCP, TCP_KEEPCNT);
    G(IPPROTO_TCP, TCP_SYNCNT);
    G(IPPROTO_TCP, TCP_LINGER2);
    G(IPPROTO_TCP, TCP_DEFER_ACCEPT);
    G(IPPROTO_TCP, TCP_QUICKACK);
    G(IPPROTO_TCP, TCP_USER_TIMEOUT);
    G(IPPROTO_TCP, 250);
    G(IPPROTO_IP, IP_TTL);
    G(IPPROTO_IP, IP_TOS);
    G(99, 1);
    S(SOL_SOCKET, SO_KEEPALIVE, 5);
    S(SOL_SOCKET, SO_REUSEADDR, 1);
    S(SOL_SOCKET, SO_RCVBUF, 20000);
    S(SOL_SOCKET, SO_SNDBUF, 1);
    S(SOL_SOCKET, SO_RCVLOWAT, 0);
    S(SOL_SOCKET, SO_TYPE, 1);
    S(IPPROTO_TCP, TCP_NODELAY, 7);
    S(IPPROTO_TCP, TCP_KEEPIDLE, 0);
    S(IPPROTO_TCP, TCP_KEEPIDLE, 90);
    S(IPPROTO_TCP, TCP_KEEPCNT, 200);
    S(IPPROTO_TCP, TCP_MAXSEG, 1000);
    S(IPPROTO_IP, IP_TTL, 0);
    S(IPPROTO_IP, IP_TTL, 300);
    S(IPPROTO_IP, IP_TTL, 9);
    S(IPPROTO_IP, IP_TOS, 0x13);
    int one = 1;
    say("short value", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 2));
    say("null value", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof one));
    say("bad descriptor", setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
    struct timeval tv = {.tv_sec = 1, .tv_usec = 2000000};
    say("bad time", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    tv = (struct timeval){.tv_sec = 2, .tv_usec = 500000};
    say("time", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    memset(&tv, 0, sizeof tv);
    socklen_t len = sizeof tv;
    say("time", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
    printf("%ld.%06ld length %u\n", (long)tv.tv_sec, (long)tv.tv_usec, len);
    char cc[32] = "";
    len = sizeof cc;
    say("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, &len));
    say("unknown algorithm", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
    printf("datagram\n");
    fd = udp();
    common(fd);
    G(IPPROTO_TCP, TCP_NODELAY);
    S(SOL_SOCKET, SO_BROADCAST, 1);
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    get(six, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
    set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
    get(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS");
    tell();
}
