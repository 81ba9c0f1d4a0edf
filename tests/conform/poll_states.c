/* poll's bits in every state of a stream, a listener and a datagram socket; invalid descriptors;
 * negative ones. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    send_all(fd, "data", 4);
    tell();
    hear();
    shutdown(fd, SHUT_WR);
    tell();
    hear();
    tell();
    hear();
    close(fd);
}

void test(void)
{
    char buf[10];
    int fd = tcp();
    printf("new: %s\n", polled(fd, 0));
    bind_to(fd, ME, PORT + 1);
    printf("bound: %s\n", polled(fd, 0));
    listen(fd, 1);
    printf("listening: %s\n", polled(fd, 0));
    close(fd);
    int u = udp();
    printf("datagram: %s\n", polled(u, 0));

    fd = guest();
    printf("connected: %s\n", polled(fd, 0));
    tell();
    hear();
    await(fd, POLLIN);
    printf("data: %s\n", polled(fd, 0));
    recv(fd, buf, sizeof buf, 0);
    printf("read: %s\n", polled(fd, 0));
    tell();
    hear();
    await(fd, POLLRDHUP);
    printf("peer's FIN: %s\n", polled(fd, 0));
    tell();
    hear();
    shutdown(fd, SHUT_WR);
    await(fd, POLLHUP);
    printf("both FINs: %s\n", polled(fd, 0));

    struct pollfd p[5] = {{.fd = fd, .events = 0},
                          {.fd = -1, .events = POLLIN},
                          {.fd = 999, .events = POLLIN},
                          {.fd = u, .events = POLLOUT | POLLWRNORM},
                          {.fd = u, .events = POLLIN}};
    say("poll of five", poll(p, 5, 0));
    for (int i = 0; i < 5; i++) {
        printf("  %d: %s\n", i, bits((uint32_t)p[i].revents));
    }
    struct pollfd q = {.fd = u, .events = POLLIN};
    long start = now_ms();
    say("poll, nothing", poll(&q, 1, 200));
    took("poll", start, 200);
    tell();
}
