/* dup and fork share one socket: flags, data, and the end only with the last descriptor. */
#include "conform.h"

void peer(void)
{
    char buf[100];
    int fd = host();
    say_text("peer recv", buf, recv(fd, buf, 6, MSG_WAITALL));
    hear();
    say("peer, not closed yet", recv(fd, buf, 1, MSG_DONTWAIT));
    tell();
    say("peer recv", recv(fd, buf, 1, 0));
    tell();
}

void test(void)
{
    int fd = guest();
    int d = dup(fd);
    nonblock(fd);
    printf("shared nonblock %d\n", (fcntl(d, F_GETFL) & O_NONBLOCK) != 0);
    say("recv", recv(d, &(char){0}, 1, 0));
    fcntl(d, F_SETFL, fcntl(d, F_GETFL) & ~O_NONBLOCK);
    printf("shared again %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    int hi = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    printf("F_DUPFD %d cloexec %d\n", hi, fcntl(hi, F_GETFD));
    say("dup2", dup2(fd, 300));
    say("close", close(fd));
    say("recv on closed", recv(fd, &(char){0}, 1, 0));
    send_all(d, "aa", 2);
    send_all(hi, "bb", 2);
    pid_t pid = fork();
    if (pid == 0) {
        send_all(300, "cc", 2);
        close(300);
        close(hi);
        nap_ms(300);
        close(d);
        _exit(0);
    }
    close(300);
    close(hi);
    close(d);
    nap_ms(100);
    tell();
    hear();
    int st;
    waitpid(pid, &st, 0);
    printf("child %d\n", WEXITSTATUS(st));
    hear();
}
