/* An AF_INET6 wildcard listener takes both families; IPV6_V6ONLY does not; mapped names. */
#include "conform.h"

void peer(void)
{
    hear();
    int a = dial(ME, PORT);
    struct sockaddr_in6 s6 = at6(ME6, PORT);
    int b = socket(AF_INET6, SOCK_STREAM, 0);
    say("peer connect six", connect(b, (struct sockaddr *)&s6, sizeof s6));
    close(a);
    close(b);
    hear();
    say("peer connect four to six only", connect_to(tcp(), ME, PORT + 1));
    tell();
}

static void show(const char *what, const struct sockaddr_in6 *s6, socklen_t len)
{
    char ip[64];
    printf("%s %s family %d length %u\n", what, inet_ntop(AF_INET6, &s6->sin6_addr, ip, sizeof ip),
           s6->sin6_family, len);
}

void test(void)
{
    int on = 1;
    int l = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in6 any = at6("::", PORT);
    say("bind", bind(l, (struct sockaddr *)&any, sizeof any));
    say("listen", listen(l, 5));
    tell();
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in6 s6;
        socklen_t len = sizeof s6;
        int c = accept(l, (struct sockaddr *)&s6, &len);
        show("peer", &s6, len);
        len = sizeof s6;
        getsockname(c, (struct sockaddr *)&s6, &len);
        show("self", &s6, len);
        close(c);
    }
    int four = tcp();
    say("four beside it", bind_to(four, "0.0.0.0", PORT) < 0 ? -1 : listen(four, 1));
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    say("v6only", setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    any = at6("::", PORT + 1);
    say("bind", bind(six, (struct sockaddr *)&any, sizeof any));
    say("listen", listen(six, 5));
    say("v6only after bind", setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    tell();
    hear();
    int c = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 mapped = at6("::ffff:" PEER, 5997);
    say("mapped connect", connect(c, (struct sockaddr *)&mapped, sizeof mapped));
    setsockopt(c, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    int d = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(d, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    say("mapped connect, v6only", connect(d, (struct sockaddr *)&mapped, sizeof mapped));
}
