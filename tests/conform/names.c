/* getsockname and getpeername: forms, truncation, errors, both families. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    close(fd);
}

static void show4(const char *what, int ret, const struct sockaddr_in *sin, socklen_t len)
{
    char ip[64];
    if (ret < 0) {
        say(what, ret);
        return;
    }
    inet_ntop(AF_INET, &sin->sin_addr, ip, sizeof ip);
    printf("%s: family %d %s port %s length %u\n", what, sin->sin_family, ip,
           sin->sin_port == 0             ? "0"
           : ntohs(sin->sin_port) == PORT ? "5000"
                                          : "other",
           len);
}

void test(void)
{
    struct sockaddr_in sin = {0};
    struct sockaddr *sa = (struct sockaddr *)&sin;
    socklen_t len = sizeof sin;
    int fd = tcp();
    show4("fresh name", getsockname(fd, sa, &len), &sin, len);
    show4("fresh peer", getpeername(fd, sa, &len), &sin, len);
    bind_to(fd, "0.0.0.0", 0);
    len = sizeof sin;
    show4("bound", getsockname(fd, sa, &len), &sin, len);
    close(fd);
    fd = guest();
    len = sizeof sin;
    show4("name", getsockname(fd, sa, &len), &sin, len);
    len = sizeof sin;
    show4("peer", getpeername(fd, sa, &len), &sin, len);
    memset(&sin, 0xee, sizeof sin);
    len = 3;
    say("short", getpeername(fd, sa, &len));
    printf("length %u, byte 3 %s\n", len, ((uint8_t *)&sin)[3] == 0xee ? "untouched" : "written");
    len = 0;
    say("none", getpeername(fd, sa, &len));
    printf("length %u\n", len);
    len = (socklen_t)-1;
    say("negative", getsockname(fd, sa, &len));
    struct sockaddr_storage ss;
    len = sizeof ss;
    getsockname(fd, (struct sockaddr *)&ss, &len);
    printf("roomy: %u\n", len);
    say("bad descriptor", getsockname(-1, sa, &len));
    say("not a socket", getsockname(0, sa, &len) < 0 && errno == ENOTSOCK ? 0 : -1);

    int six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 s6;
    char ip[64];
    len = sizeof s6;
    say("fresh six", getsockname(six, (struct sockaddr *)&s6, &len));
    printf("%s length %u\n", inet_ntop(AF_INET6, &s6.sin6_addr, ip, sizeof ip), len);
    s6 = at6("::", 0);
    say("bind", bind(six, (struct sockaddr *)&s6, sizeof s6));
    getsockname(six, (struct sockaddr *)&s6, &len);
    printf("%s port given %d\n", inet_ntop(AF_INET6, &s6.sin6_addr, ip, sizeof ip),
           s6.sin6_port != 0);
    tell();
}
