/* A set made before fork works in parent and child; a child's close does not end the parent's
 * registration. */
#include "conform.h"

void peer(void)
{
    int fd = host();
    hear();
    send_all(fd, "x", 1);
    hear();
    send_all(fd, "y", 1);
    hear();
    close(fd);
}

void test(void)
{
    char c;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5}, got = {0};
    int fd = guest();
    int ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    say("nothing", epoll_wait(ep, &got, 1, 0));
    pid_t pid = fork();
    if (pid == 0) {
        tell();
        int n = epoll_wait(ep, &got, 1, 3000);
        printf("child: %d data %u %s\n", n, got.data.u32, bits(got.events));
        say("child recv", recv(fd, &c, 1, 0));
        close(fd);
        close(ep);
        _exit(0);
    }
    int st;
    waitpid(pid, &st, 0);
    printf("child %d\n", WEXITSTATUS(st));
    say("read already", epoll_wait(ep, &got, 1, 0));
    tell();
    int n = epoll_wait(ep, &got, 1, 3000);
    printf("parent: %d data %u %s\n", n, got.data.u32, bits(got.events));
    say("recv", recv(fd, &c, 1, 0));
    tell();
}
