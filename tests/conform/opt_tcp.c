/* TCP and buffer options: each set to odd values, closed and connected, and read back. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    close(fd);
}

static void one(int fd, int level, int name, const char *text, int v)
{
    int got = -1;
    socklen_t len = sizeof got;
    int ret = setsockopt(fd, level, name, &v, sizeof v);
    int err = errno;
    int ret2 = getsockopt(fd, level, name, &got, &len);
    printf("%s %d: %s, then %s %d\n", text, v, ret < 0 ? ename(err) : "ok",
           ret2 < 0 ? ename(errno) : "is", got);
}

#define TRY(level, name, ...)                                 \
    do {                                                      \
        int v[] = {__VA_ARGS__};                              \
        for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) { \
            one(fd, level, name, #name, v[i]);                \
        }                                                     \
    } while (0)

static void all(int fd)
{
    TRY(IPPROTO_TCP, TCP_NODELAY, 0, 1, 7, -1, 0);
    TRY(IPPROTO_TCP, TCP_CORK, 0, 1, 7, 0);
    TRY(IPPROTO_TCP, TCP_KEEPIDLE, 0, 1, 32767, 32768, -1, 100);
    TRY(IPPROTO_TCP, TCP_KEEPINTVL, 0, 1, 32767, 32768, -1, 100);
    TRY(IPPROTO_TCP, TCP_KEEPCNT, 0, 1, 127, 128, -1, 5);
    TRY(IPPROTO_TCP, TCP_SYNCNT, 0, 1, 127, 128, -1, 5);
    TRY(IPPROTO_TCP, TCP_LINGER2, 0, 1, 60, 120, 121, 100000, -1, 5);
    TRY(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 1, 2, 3, 10, -1, 0);
    TRY(IPPROTO_TCP, TCP_QUICKACK, 0, 1, 2, 0, 1);
    TRY(IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 1, 5000, -1, 0);
    TRY(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, 1, -1, 0);
    TRY(IPPROTO_TCP, TCP_INQ, 0, 1, 2, -1, 0);
    TRY(SOL_SOCKET, SO_SNDBUF, 0, 1, 4608, 100000, 1 << 30, -1);
    TRY(SOL_SOCKET, SO_RCVLOWAT, 0, 1, 100, -1, 1);
    TRY(SOL_SOCKET, SO_ZEROCOPY, 0, 1, 2, -1, 0);
    TRY(SOL_SOCKET, SO_OOBINLINE, 0, 1, 2, 0);
    TRY(SOL_SOCKET, SO_PEEK_OFF, 5, -1);
    TRY(SOL_SOCKET, SO_TIMESTAMP, 1, 0);
    TRY(SOL_SOCKET, SO_TIMESTAMPNS, 1, 0);
    TRY(IPPROTO_IP, IP_TOS, 0, 1, 3, 0x10, 0xff, 256, -1, 0);
    TRY(IPPROTO_IP, IP_TTL, 0, 1, 255, 256, -1);
    TRY(IPPROTO_IP, IP_MTU_DISCOVER, 0, 1, 2, 3, 4, 5, 6, -1, 1);
    TRY(IPPROTO_IP, IP_RECVERR, 1, 0);
}

static void lengths(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = -5};
    socklen_t len = sizeof l;
    say("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    say("read", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
    printf("linger on %d, length %u\n", l.l_onoff, len);
    say("short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l - 1));
    say("nodelay of 3 bytes", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, 3));
    uint32_t mem[9];
    len = sizeof mem;
    say("meminfo", getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len));
    printf("length %u, receive queue %u, send queue %u\n", len, mem[0], mem[5]);
    char text[300];
    len = sizeof text;
    say("tcp_info", getsockopt(fd, IPPROTO_TCP, TCP_INFO, text, &len) == 0 && len >= 232);
    len = 8;
    say("part of it", getsockopt(fd, IPPROTO_TCP, TCP_INFO, text, &len));
    printf("length %u\n", len);
    len = sizeof text;
    say("cc info", getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, text, &len));
    len = sizeof text;
    say("congestion", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len));
    printf("length %u\n", len);
}

void test(void)
{
    int fd = tcp();
    printf("closed\n");
    all(fd);
    TRY(IPPROTO_TCP, TCP_MAXSEG, 0, 1, 87, 88, 536, 32767, 32768, -1);
    TRY(IPPROTO_TCP, TCP_WINDOW_CLAMP, 1, 1000, 100000, 0);
    lengths(fd);
    close(fd);
    fd = guest();
    printf("connected\n");
    all(fd);
    lengths(fd);
    tell();
    close(fd);
}
