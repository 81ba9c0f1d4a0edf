/* select: three sets, timeouts, EBADF, sets unchanged on error. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    send_all(fd, "x", 1);
    tell();
    hear();
    send(fd, "!", 1, MSG_OOB);
    tell();
    hear();
    close(fd);
}

static void show(int n, int fd, fd_set *r, fd_set *w, fd_set *e)
{
    say("select", n);
    printf("  r %d w %d e %d\n", FD_ISSET(fd, r), FD_ISSET(fd, w), FD_ISSET(fd, e));
}

static int three(int fd, fd_set *r, fd_set *w, fd_set *e, long usec)
{
    struct timeval tv = {.tv_usec = usec};
    FD_ZERO(r);
    FD_ZERO(w);
    FD_ZERO(e);
    FD_SET(fd, r);
    FD_SET(fd, w);
    FD_SET(fd, e);
    return select(fd + 1, r, w, e, &tv);
}

void test(void)
{
    fd_set r, w, e;
    int fd = guest();
    show(three(fd, &r, &w, &e, 0), fd, &r, &w, &e);
    tell();
    hear();
    await(fd, POLLIN);
    show(three(fd, &r, &w, &e, 0), fd, &r, &w, &e);
    tell();
    hear();
    await(fd, POLLPRI);
    show(three(fd, &r, &w, &e, 0), fd, &r, &w, &e);
    recv(fd, &(char){0}, 1, 0);
    FD_ZERO(&r);
    FD_SET(fd, &r);
    struct timeval tv = {.tv_usec = 150000};
    long start = now_ms();
    recv(fd, &(char){0}, 1, MSG_OOB);
    say("nothing", select(fd + 1, &r, NULL, NULL, &tv));
    took("select", start, 150);
    printf("left %ld.%06ld, bit %d\n", (long)tv.tv_sec, (long)tv.tv_usec, FD_ISSET(fd, &r));
    FD_SET(fd, &r);
    FD_SET(60, &r);
    say("bad descriptor", select(61, &r, NULL, NULL, &tv));
    printf("bits %d %d\n", FD_ISSET(fd, &r), FD_ISSET(60, &r));
    FD_CLR(60, &r);
    say("negative", select(-1, &r, NULL, NULL, &tv));
    struct timeval bad = {.tv_sec = -1};
    say("bad time", select(fd + 1, &r, NULL, NULL, &bad));
    tell();
}
