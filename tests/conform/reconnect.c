/* One socket, several lives: failed connect then a good one, disconnect then again, a datagram
 * socket's changes of mind. */
#include "conform.h"

void peer(void)
{
    int l = listen_at(PEER, PORT);
    int u = udp();
    bind_to(u, PEER, PORT);
    tell();
    int a = accept(l, NULL, NULL);
    char c;
    say("peer recv", recv(a, &c, 1, 0));
    say("peer recv", recv(u, &c, 1, 0));
    say("peer recv", recv(u, &c, 1, 0));
    tell();
}

void test(void)
{
    char buf[10];
    hear();
    int fd = tcp();
    say("refused", connect_to(fd, PEER, 5996));
    say("then accepted", connect_to(fd, PEER, PORT));
    say("send", send(fd, "x", 1, 0));
    int lo = listen_at("127.0.0.1", PORT + 2);
    int k = tcp();
    say("loopback", connect_to(k, "127.0.0.1", PORT + 2));
    say("send", send(k, "k", 1, 0));
    int s = accept(lo, NULL, NULL);
    say_text("recv", buf, recv(s, buf, 1, 0));
    say("loopback, refused", connect_to(tcp(), "127.0.0.1", 5995));

    int u = udp();
    say("datagram to the peer", connect_to(u, PEER, PORT));
    say("send", send(u, "1", 1, 0));
    struct sockaddr_in me, to = at(PEER, PORT);
    socklen_t len = sizeof me;
    getsockname(u, (struct sockaddr *)&me, &len);
    char ip[64];
    printf("from %s\n", inet_ntop(AF_INET, &me.sin_addr, ip, sizeof ip));
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    say("dissolve", connect(u, &unspec, sizeof unspec));
    getsockname(u, (struct sockaddr *)&me, &len);
    printf("from %s\n", inet_ntop(AF_INET, &me.sin_addr, ip, sizeof ip));
    say("sendto", sendto(u, "2", 1, 0, (struct sockaddr *)&to, sizeof to));
    int v = udp();
    bind_to(v, "127.0.0.1", PORT + 3);
    say("now loopback", connect_to(u, "127.0.0.1", PORT + 3));
    say("send", send(u, "3", 1, 0));
    say_text("recv", buf, recv(v, buf, 1, 0));
    getsockname(u, (struct sockaddr *)&me, &len);
    printf("from %s\n", inet_ntop(AF_INET, &me.sin_addr, ip, sizeof ip));
    hear();
}
