/* A connected socket and a listener travel to another process over a UNIX socket and work there. */
#include "conform.h"

void peer(void)
{
    char buf[10];
    int fd = host();
    say_text("peer recv", buf, recv(fd, buf, 5, MSG_WAITALL));
    say("peer recv", recv(fd, buf, 1, 0));
    hear();
    int c = dial(ME, PORT + 1);
    say_text("peer recv", buf, recv(c, buf, 2, MSG_WAITALL));
    close(c);
}

static void give(int via, int fd)
{
    char space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {"f", 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    say("give", sendmsg(via, &m, 0));
}

static int take(int via)
{
    char c, space[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&c, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd = -1;
    if (recvmsg(via, &m, 0) == 1) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    }
    return fd;
}

void test(void)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0) {
        die("socketpair");
    }
    pid_t pid = fork(); /* before the sockets exist: it can have them from the message only */
    if (pid == 0) {
        close(sv[0]);
        int fd = take(sv[1]);
        send_all(fd, "hello", 5);
        close(fd);
        int l = take(sv[1]);
        tell();
        int c = accept(l, NULL, NULL);
        send_all(c, "ok", 2);
        close(c);
        close(l);
        _exit(0);
    }
    int fd = guest();
    give(sv[0], fd);
    close(fd);
    int l = listen_at(ME, PORT + 1);
    give(sv[0], l);
    close(l);
    int st;
    waitpid(pid, &st, 0);
    printf("child %d\n", WEXITSTATUS(st));
}
