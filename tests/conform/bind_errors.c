/* bind and listen: what is refused, and with which error. */
#include "conform.h"

void peer(void)
{
    hear();
}

void test(void)
{
    struct sockaddr_in sin = at(ME, (PORT + 100));
    struct sockaddr *sa = (struct sockaddr *)&sin;
    int on = 1;
    int a = tcp();
    say("short", bind(a, sa, 8));
    say("null", bind(a, NULL, sizeof sin));
    say("huge", bind(a, sa, 500));
    sin.sin_family = AF_UNIX;
    say("wrong family", bind(a, sa, sizeof sin));
    sin.sin_family = AF_UNSPEC;
    say("unspec, not wildcard", bind(a, sa, sizeof sin));
    sin = at("10.77.0.50", (PORT + 100));
    say("not ours", bind(a, sa, sizeof sin));
    sin = at(ME, (PORT + 100));
    say("bind", bind(a, sa, sizeof sin));
    say("twice", bind(a, sa, sizeof sin));
    int b = tcp();
    say("in use", bind(b, sa, sizeof sin));
    setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    say("reuse", bind(b, sa, sizeof sin));
    say("listen", listen(a, 1));
    say("second listener", listen(b, 1));
    say("listen again", listen(a, 5));
    sin = at("0.0.0.0", (PORT + 100));
    int c = tcp();
    setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    say("wildcard over a listener", bind(c, sa, sizeof sin));
    sin.sin_family = AF_UNSPEC;
    sin.sin_port = htons((PORT + 100) + 9);
    int d = tcp();
    say("unspec wildcard", bind(d, sa, sizeof sin));
    say("connect on a listener", connect_to(a, PEER, PORT));
    int u = udp(), v = udp();
    say("datagram", bind_to(u, ME, (PORT + 100)));
    sin = at(ME, (PORT + 100));
    say("datagram in use", bind(v, sa, sizeof sin));
    int r1 = tcp(), r2 = tcp();
    sin = at(ME, (PORT + 100) + 20);
    setsockopt(r1, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(r2, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    say("reuseport", bind(r1, sa, sizeof sin));
    say("reuseport", bind(r2, sa, sizeof sin));
    say("both listen", listen(r1, 1) + listen(r2, 1));
    tell();
}
