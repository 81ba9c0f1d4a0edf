/* shutdown(SHUT_RD): recv returns 0, data already there stays, the peer may still send. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    send_all(fd, "early", 5);
    tell();
    hear();
    send_all(fd, "late", 4);
    tell();
    hear();
    close(fd);
}

void test(void)
{
    char buf[100];
    int fd = guest();
    hear();
    await(fd, POLLIN);
    say("shutdown", shutdown(fd, SHUT_RD));
    printf("shut: %s\n", polled(fd, 0));
    say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
    say("recv", recv(fd, buf, sizeof buf, 0));
    tell();
    hear();
    nap_ms(50);
    say_text("recv late", buf, recv(fd, buf, sizeof buf, 0));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL));
    tell();
}
