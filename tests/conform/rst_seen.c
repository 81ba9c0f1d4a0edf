/* The peer resets: what poll, recv, send, SO_ERROR say, and in which order. */
#include "conform.h"

void peer(void)
{
    struct linger lg = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 4; i++) {
        int fd = host();
        if (i == 3) {
            send_all(fd, "before", 6);
            hear();
        }
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
        close(fd);
        tell();
        hear();
    }
}

void test(void)
{
    char buf[100];
    for (int i = 0; i < 4; i++) {
        int fd = guest();
        if (i == 3) {
            await(fd, POLLIN);
            tell();
        }
        hear();
        await(fd, POLLHUP);
        printf("reset: %s\n", polled(fd, 0));
        if (i == 0) {
            printf("SO_ERROR %s then %s\n", ename(so_error(fd)), ename(so_error(fd)));
        } else if (i == 1) {
            say("send", send(fd, "x", 1, MSG_NOSIGNAL));
            say("send", send(fd, "x", 1, MSG_NOSIGNAL));
        }
        say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
        say_text("recv", buf, recv(fd, buf, sizeof buf, 0));
        say("send", send(fd, "x", 1, MSG_NOSIGNAL));
        printf("after: %s\n", polled(fd, 0));
        struct sockaddr_in sin;
        socklen_t len = sizeof sin;
        say("getpeername", getpeername(fd, (struct sockaddr *)&sin, &len));
        close(fd);
        tell();
    }
}
