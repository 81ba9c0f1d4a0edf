/* Several listeners and datagram sockets on one port: each connection and datagram reaches
 * exactly one. */
#include "conform.h"

#define N 60

void peer(void)
{
    hear();
    int got = 0;
    for (int i = 0; i < N; i++) {
        char c;
        int fd = dial(ME, PORT + 50);
        got += recv(fd, &c, 1, 0) == 1;
        close(fd);
    }
    printf("peer: %d answers\n", got);
    for (int i = 0; i < N; i++) {
        int u = udp();
        struct sockaddr_in to = at(ME, PORT + 50);
        sendto(u, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
        close(u);
    }
    tell();
}

void test(void)
{
    struct pollfd p[6];
    int on = 1, taken[6] = {0};
    struct sockaddr_in sin = at(ME, PORT + 50);
    for (int i = 0; i < 6; i++) {
        int fd = i < 3 ? tcp() : udp();
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&sin, sizeof sin) < 0 || (i < 3 && listen(fd, 100) < 0)) {
            die("bind");
        }
        nonblock(fd);
        p[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    tell();
    int sum = 0, dgrams = 0;
    while (sum < N && poll(p, 6, 3000) > 0) {
        for (int i = 0; i < 3; i++) {
            int c = accept(p[i].fd, NULL, NULL);
            if (c >= 0) {
                send_all(c, "a", 1);
                close(c);
                taken[i]++;
                sum++;
            }
        }
    }
    hear();
    nap_ms(100);
    for (int i = 3; i < 6; i++) {
        while (recv(p[i].fd, &on, 1, 0) == 1) {
            taken[i]++;
            dgrams++;
        }
    }
    printf("connections %d, more than one listener served %d\n", sum,
           (taken[0] > 0) + (taken[1] > 0) + (taken[2] > 0) > 1);
    printf("datagrams %d, more than one socket served %d\n", dgrams,
           (taken[3] > 0) + (taken[4] > 0) + (taken[5] > 0) > 1);
}
