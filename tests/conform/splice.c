/* A relay by splice: socket -> pipe -> socket. */
#include <sys/sendfile.h>

#include "conform.h"

#define TOTAL 2000000

void peer(void)
{
    static uint8_t buf[TOTAL], back[TOTAL];
    int fd = host();
    for (size_t i = 0; i < TOTAL; i++) {
        buf[i] = (uint8_t)(i % 253);
    }
    if (fork() == 0) {
        send_all(fd, buf, TOTAL);
        _exit(0);
    }
    size_t got = 0;
    while (got < TOTAL) {
        ssize_t n = recv(fd, back + got, TOTAL - got, 0);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    printf("peer: %zu back, same %d\n", got, memcmp(buf, back, TOTAL) == 0);
    wait(NULL);
    hear();
    send_all(fd, "more", 4);
    tell();
}

void test(void)
{
    int p[2];
    int fd = guest();
    if (pipe(p) < 0) {
        die("pipe");
    }
    size_t sum = 0;
    while (sum < TOTAL) {
        ssize_t n = splice(fd, NULL, p[1], NULL, 65536, SPLICE_F_MOVE);
        if (n <= 0) {
            say("splice in", n);
            break;
        }
        for (ssize_t k = 0; k < n;) {
            ssize_t m = splice(p[0], NULL, fd, NULL, (size_t)(n - k), SPLICE_F_MOVE);
            if (m <= 0) {
                say("splice out", m);
                return;
            }
            k += m;
        }
        sum += (size_t)n;
    }
    printf("relayed %zu\n", sum);
    nonblock(fd);
    say("nothing there", splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    fcntl(fd, F_SETFL, 0);
    tell();
    hear();
    await(fd, POLLIN);
    say("sendfile from a socket", sendfile(p[1], fd, NULL, 4));
    char buf[10];
    say_text("read", buf, read(p[0], buf, sizeof buf));
    int f = open("/dev/null", O_WRONLY);
    say("sendfile to no pipe", sendfile(f, fd, NULL, 4) < 0 ? -1 : 0);
}
