/* accept4: flags of the new descriptor, what is inherited, errors. */
#include "conform.h"

void peer(void)
{
    for (int i = 0; i < 3; i++) {
        hear();
        int fd = dial(ME, PORT);
        hear();
        close(fd);
    }
}

static void show(int fd)
{
    int fl = fcntl(fd, F_GETFL);
    printf("nonblock %d, rdwr %d, cloexec %d\n", (fl & O_NONBLOCK) != 0, (fl & O_ACCMODE) == O_RDWR,
           fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

void test(void)
{
    int l = listen_at(ME, PORT);
    int fd = tcp();
    int on = 1;
    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    nonblock(l);
    say("nothing there", accept(l, NULL, NULL));
    say("bad flags", accept4(l, NULL, NULL, 1));
    say("not listening", accept(fd, NULL, NULL));
    say("bad descriptor", accept(-1, NULL, NULL));
    printf("listener: %s\n", polled(l, 0));
    for (int i = 0; i < 3; i++) {
        tell();
        await(l, POLLIN);
        printf("listener: %s\n", polled(l, 0));
        struct sockaddr_storage ss;
        socklen_t len = i == 1 ? 4 : sizeof ss;
        memset(&ss, 0xee, sizeof ss);
        int c = accept4(l, (struct sockaddr *)&ss, &len,
                        i == 0   ? 0
                        : i == 1 ? SOCK_NONBLOCK
                                 : SOCK_NONBLOCK | SOCK_CLOEXEC);
        printf("accepted, length %u, family %d, byte 4 is %s\n", len, ss.ss_family,
               ((uint8_t *)&ss)[4] == 0xee ? "untouched" : "written");
        show(c);
        socklen_t n = sizeof on;
        on = -1;
        getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, &n);
        printf("inherited TCP_NODELAY %d\n", on);
        on = 1;
        tell();
        close(c);
    }
}
