/* close with unread data resets; so does data that arrives after close. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    for (int i = 0; i < 2; i++) {
        int fd = host();
        if (i == 0) {
            send_all(fd, "unread", 6);
            tell();
        }
        hear();
        if (i == 1) {
            say("peer recv", recv(fd, buf, sizeof buf, 0));
            send_all(fd, "late", 4);
            nap_ms(50);
        }
        await(fd, POLLHUP);
        printf("peer: %s\n", polled(fd, 0));
        say("peer recv", recv(fd, buf, sizeof buf, 0));
        say("peer recv", recv(fd, buf, sizeof buf, 0));
        say("peer send", send(fd, "x", 1, MSG_NOSIGNAL));
        close(fd);
    }
}

void test(void)
{
    int fd = guest();
    hear();
    await(fd, POLLIN);
    say("close", close(fd));
    tell();
    fd = guest();
    say("close", close(fd));
    tell();
    nap_ms(200);
}
