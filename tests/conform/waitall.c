/* MSG_WAITALL and SO_RCVLOWAT wait for enough; the end of the stream ends the wait. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 4; i++) {
        hear();
        for (int k = 0; k < 5; k++) {
            send_all(fd, "12345678", 8);
            nap_ms(20);
        }
    }
    hear();
    send_all(fd, "last", 4);
    shutdown(fd, SHUT_WR);
    hear();
}

void test(void)
{
    char buf[100];
    int fd = guest();
    tell();
    say("waitall", recv(fd, buf, 40, MSG_WAITALL));
    tell();
    struct iovec iov[3] = {{buf, 7}, {buf + 7, 20}, {buf + 27, 13}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};
    say("waitall in pieces", recvmsg(fd, &m, MSG_WAITALL));
    tell();
    int low = 24;
    say("SO_RCVLOWAT", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    ssize_t n = recv(fd, buf, sizeof buf, 0);
    printf("at least 24: %d\n", n >= 24);
    low = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    say("the rest", n + recv(fd, buf, (size_t)(40 - n), MSG_WAITALL));
    tell();
    say("waitall", recv(fd, buf, 40, MSG_WAITALL));
    tell();
    say("waitall", recv(fd, buf, 40, MSG_WAITALL));
    say("waitall", recv(fd, buf, 40, MSG_WAITALL));
    tell();
}
