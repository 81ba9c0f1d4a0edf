/* A sender that fills every buffer: EAGAIN, poll without OUT, room again after the peer reads. */
#include "conform.h"

void peer(void)
{
    static char buf[1 << 20];
    int fd = host();
    hear();
    size_t sum = 0;
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        sum += (size_t)n;
    }
    printf("peer got all: %d\n", sum > 0);
    tell();
}

void test(void)
{
    static char block[1 << 16];
    int fd = guest();
    nonblock(fd);
    size_t sum = 0;
    for (int idle = 0; idle < 3;) {
        ssize_t n = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) {
            sum += (size_t)n;
            idle = 0;
        } else {
            nap_ms(50);
            idle++;
        }
    }
    ssize_t more =
        send(fd, block, sizeof block, MSG_NOSIGNAL); /* a probe may have made a little room */
    printf("full: %s\n", more < (ssize_t)sizeof block ? "yes" : "no");
    printf("full: %s\n", polled(fd, 0));
    fd_set w;
    FD_ZERO(&w);
    FD_SET(fd, &w);
    struct timeval tv = {0};
    say("select", select(fd + 1, NULL, &w, NULL, &tv));
    tell();
    await(fd, POLLOUT);
    printf("room: %s\n", polled(fd, 0));
    fcntl(fd, F_SETFL, 0);
    say("blocking send", send(fd, block, sizeof block, 0));
    shutdown(fd, SHUT_WR);
    hear();
}
