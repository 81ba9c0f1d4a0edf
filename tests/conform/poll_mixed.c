/* poll and select over sockets, pipes and files together; a wake-up from each kind. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    for (int i = 0; i < 2; i++) {
        hear();
        nap_ms(100);
        send_all(fd, "x", 1);
    }
    hear();
    close(fd);
}

static void write_later(int fd)
{
    if (fork() == 0) {
        nap_ms(100);
        if (write(fd, "x", 1) != 1) {
            _exit(1);
        }
        _exit(0);
    }
}

void test(void)
{
    char c;
    int p[2];
    int fd = guest();
    if (pipe(p) < 0) {
        die("pipe");
    }
    struct pollfd set[2] = {{.fd = fd, .events = POLLIN}, {.fd = p[0], .events = POLLIN}};
    tell();
    say("socket wakes", poll(set, 2, 3000));
    printf("%s ", bits((uint32_t)set[0].revents));
    printf("%s\n", bits((uint32_t)set[1].revents));
    say("recv", recv(fd, &c, 1, 0));
    write_later(p[1]);
    say("pipe wakes", poll(set, 2, 3000));
    printf("%s ", bits((uint32_t)set[0].revents));
    printf("%s\n", bits((uint32_t)set[1].revents));
    say("read", read(p[0], &c, 1));
    wait(NULL);

    fd_set r;
    int n = (fd > p[0] ? fd : p[0]) + 1;
    FD_ZERO(&r);
    FD_SET(fd, &r);
    FD_SET(p[0], &r);
    tell();
    say("select, socket", select(n, &r, NULL, NULL, NULL));
    printf("%d %d\n", FD_ISSET(fd, &r), FD_ISSET(p[0], &r));
    say("recv", recv(fd, &c, 1, 0));
    FD_ZERO(&r);
    FD_SET(fd, &r);
    FD_SET(p[0], &r);
    write_later(p[1]);
    struct timeval tv = {.tv_sec = 3};
    say("select, pipe", select(n, &r, NULL, NULL, &tv));
    printf("%d %d, time left %d\n", FD_ISSET(fd, &r), FD_ISSET(p[0], &r), tv.tv_sec >= 2);
    wait(NULL);

    int f = open("/etc/passwd", O_RDONLY);
    struct pollfd with_file[2] = {{.fd = fd, .events = POLLIN}, {.fd = f, .events = POLLIN}};
    say("a file is always ready", poll(with_file, 2, 1000));
    tell();
}
