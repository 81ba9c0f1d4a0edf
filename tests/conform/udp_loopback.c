/* A wildcard datagram socket serves loopback, its own address and the peer; replies go back where
 * they came from. */
#include "conform.h"

void peer(void)
{
    char buf[20];
    hear();
    int u = udp();
    struct sockaddr_in to = at(ME, PORT);
    sendto(u, "from afar", 9, 0, (struct sockaddr *)&to, sizeof to);
    say_text("peer", buf, recv(u, buf, sizeof buf, 0));
    tell();
}

static void serve(int u)
{
    char buf[20], ip[64];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(u, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
    say_text("server", buf, n);
    printf("from %s\n", inet_ntop(AF_INET, &from.sin_addr, ip, sizeof ip));
    say("answer", sendto(u, "yes", 3, 0, (struct sockaddr *)&from, len));
}

static void ask(int u, const char *ip)
{
    char buf[20];
    int c = udp();
    struct sockaddr_in to = at(ip, PORT);
    say("ask", sendto(c, "near", 4, 0, (struct sockaddr *)&to, sizeof to));
    await(u, POLLIN);
    serve(u);
    await(c, POLLIN);
    say_text("client", buf, recv(c, buf, sizeof buf, 0));
    close(c);
}

void test(void)
{
    int u = udp();
    say("bind", bind_to(u, "0.0.0.0", PORT));
    ask(u, "127.0.0.1");
    ask(u, ME);
    tell();
    serve(u);
    hear();
    int c = udp();
    say("connect", connect_to(c, "127.0.0.1", PORT));
    say("send", send(c, "linked", 6, 0));
    serve(u);
    char buf[20];
    say_text("client", buf, recv(c, buf, sizeof buf, 0));
}
