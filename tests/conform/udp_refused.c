/* A connected datagram socket learns of a closed port; an unconnected one does not. */
#include "conform.h"

void peer(void)
{
    hear();
}

void test(void)
{
    char c;
    int u = udp();
    connect_to(u, PEER, 5998);
    say("send", send(u, "x", 1, 0));
    await(u, POLLERR);
    printf("poll: %s\n", polled(u, 0));
    say("recv", recv(u, &c, 1, 0));
    printf("then: %s\n", polled(u, 0));
    say("send", send(u, "x", 1, 0));
    await(u, POLLERR);
    say("send tells", send(u, "x", 1, 0));
    say("send", send(u, "x", 1, 0));
    await(u, POLLERR);
    printf("SO_ERROR %s\n", ename(so_error(u)));

    int v = udp();
    struct sockaddr_in to = at(PEER, 5998);
    say("sendto", sendto(v, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
    nap_ms(50);
    printf("unconnected: %s\n", polled(v, 0));
    say("recv", recv(v, &c, 1, MSG_DONTWAIT));
    say("shutdown, unconnected", shutdown(v, SHUT_RDWR));
    say("shutdown", shutdown(u, SHUT_RDWR));
    printf("shut: %s\n", polled(u, 0));
    say("recv", recv(u, &c, 1, 0));
    say("send", send(u, "x", 1, 0));
    tell();
}
