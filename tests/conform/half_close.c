/* shutdown(SHUT_WR): the other half stays open; what each side sees. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    int fd = host();
    say_text("peer recv", buf, recv(fd, buf, sizeof buf, MSG_WAITALL));
    say("peer recv", recv(fd, buf, sizeof buf, 0));
    send_all(fd, "late answer", 11);
    tell();
    hear();
    close(fd);
    tell();
    hear();
}

void test(void)
{
    char buf[100];
    int fd = guest();
    send_all(fd, "question", 8);
    say("shutdown", shutdown(fd, SHUT_WR));
    say("send", send(fd, "x", 1, MSG_NOSIGNAL));
    hear();
    await(fd, POLLIN);
    printf("half closed: %s\n", polled(fd, 0));
    say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
    printf("read: %s\n", polled(fd, 0));
    tell();
    hear();
    await(fd, POLLRDHUP);
    printf("both closed: %s\n", polled(fd, 0));
    say("recv", recv(fd, buf, sizeof buf, 0));
    say("shutdown again", shutdown(fd, SHUT_WR));
    say("shutdown bad how", shutdown(fd, 7));
    say("not connected", shutdown(tcp(), SHUT_RDWR));
    tell();
}
