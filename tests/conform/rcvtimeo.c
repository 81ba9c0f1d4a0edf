/* SO_RCVTIMEO and SO_SNDTIMEO end blocking calls with EAGAIN, or with what there is. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    send_all(fd, "abc", 3);
    hear();
    close(fd);
}

void test(void)
{
    char buf[10];
    int fd = guest();
    struct timeval tv = {.tv_usec = 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    long start = now_ms();
    say("recv", recv(fd, buf, sizeof buf, 0));
    took("recv", start, 200);
    tell();
    start = now_ms();
    say_text("waitall", buf, recv(fd, buf, sizeof buf, MSG_WAITALL));
    took("waitall", start, 200);
    int l = listen_at(ME, PORT + 3);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    start = now_ms();
    say("accept", accept(l, NULL, NULL));
    took("accept", start, 200);
    int u = udp();
    bind_to(u, ME, PORT + 3);
    setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    start = now_ms();
    say("datagram", recv(u, buf, sizeof buf, 0));
    took("datagram", start, 200);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    static char block[1 << 20];
    ssize_t n;
    size_t sum = 0;
    start = now_ms();
    while ((n = send(fd, block, sizeof block, MSG_NOSIGNAL)) > 0) {
        sum += (size_t)n;
    }
    printf("the last one was refused: %s, after much: %d\n", strerrorname_np(errno), sum > 100000);
    start = now_ms();
    n = send(fd, block, sizeof block, MSG_NOSIGNAL);
    printf("send, full: %s\n", n < (ssize_t)sizeof block ? "yes" : "no");
    took("send", start, 200);
    tell();
}
