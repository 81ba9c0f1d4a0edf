/* EFAULT: bad pointers in every place; the connection goes on. */
#include "conform.h"

#include <sys/mman.h>

void peer(void)
{
    char buf[100];
    int fd = host();
    hear();
    send_all(fd, "hello", 5);
    tell();
    say("peer got", recv(fd, buf, sizeof buf, 0));
    hear();
    close(fd);
}

static void sends(int fd, const char *what, void *bad)
{
    struct iovec v = {bad, 100};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    printf("%s\n", what);
    say("  write", write(fd, bad, 100));
    say("  send", send(fd, bad, 100, 0));
    say("  sendto", sendto(fd, bad, 100, 0, NULL, 0));
    say("  writev", writev(fd, &v, 1));
    say("  sendmsg", sendmsg(fd, &m, 0));
    say("  nothing of it", send(fd, bad, 0, 0));
    say("  setsockopt", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, bad, sizeof(int)));
}

static void recvs(int fd, const char *what, void *bad)
{
    struct iovec v = {bad, 100};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    socklen_t len = sizeof(int);
    printf("%s\n", what);
    say("  read", read(fd, bad, 100));
    say("  recv", recv(fd, bad, 100, 0));
    say("  peek", recv(fd, bad, 100, MSG_PEEK));
    say("  recvfrom", recvfrom(fd, bad, 100, 0, NULL, NULL));
    say("  readv", readv(fd, &v, 1));
    say("  recvmsg", recvmsg(fd, &m, 0));
    say("  getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, bad, &len));
    say("  ioctl", ioctl(fd, FIONREAD, bad));
}

void test(void)
{
    char buf[100];
    long page = sysconf(_SC_PAGESIZE);
    char *none = mmap(NULL, (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *ro = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *gone = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(gone, (size_t)page);
    int fd = guest();
    sends(fd, "NULL", NULL);
    sends(fd, "1", (void *)1);
    sends(fd, "-1", (void *)-200);
    sends(fd, "no access", none);
    sends(fd, "unmapped", gone);

    nonblock(fd);
    recvs(fd, "nothing there", NULL);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    tell();
    hear();
    await(fd, POLLIN);
    recvs(fd, "NULL", NULL);
    recvs(fd, "no access", none);
    recvs(fd, "read only", ro);
    recvs(fd, "unmapped", gone);

    say("connect", connect(tcp(), (struct sockaddr *)none, sizeof(struct sockaddr_in)));
    say("bind", bind(tcp(), (struct sockaddr *)8, sizeof(struct sockaddr_in)));
    say("getsockname", getsockname(fd, (struct sockaddr *)buf, (socklen_t *)none));
    socklen_t len = sizeof(struct sockaddr_in);
    say("getpeername", getpeername(fd, (struct sockaddr *)none, &len));
    say("sendmsg", sendmsg(fd, (struct msghdr *)none, 0));
    say("recvmsg", recvmsg(fd, (struct msghdr *)none, 0));
    say("writev", writev(fd, (struct iovec *)none, 1));
    say("getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, (socklen_t *)8));

    say_text("and now", buf, recv(fd, buf, sizeof buf, 0));
    say("send", send(fd, "x", 1, 0));
    tell();
    close(fd);
}
