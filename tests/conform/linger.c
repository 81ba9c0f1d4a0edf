/* SO_LINGER: 0 resets; a time waits until the peer has all. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    int fd = host();
    hear();
    await(fd, POLLIN);
    say("peer recv", recv(fd, buf, sizeof buf, 0));
    close(fd);
    fd = host();
    say("peer recv", recv(fd, buf, sizeof buf, MSG_WAITALL));
    say("peer recv", recv(fd, buf, sizeof buf, 0));
    close(fd);
}

void test(void)
{
    struct linger lg = {.l_onoff = 1, .l_linger = 0};
    socklen_t len = sizeof lg;
    int fd = guest();
    say("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
    say("close", close(fd));
    tell();
    fd = guest();
    lg.l_linger = 5;
    say("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len);
    printf("get: on %d linger %d length %u\n", lg.l_onoff, lg.l_linger, len);
    send_all(fd, "all of it", 9);
    say("close", close(fd));
    nap_ms(100);
}
