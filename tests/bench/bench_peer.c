/*
 * bench_peer PORT - the far end of every measurement: an ordinary server on the kernel's stack, one
 * connection at a time.
 *
 * The first byte of a connection says what it is for:
 *     s   sink     reads until the end, then answers with the number of bytes (8 bytes, host order)
 *     r   source   writes until the client has gone
 *     e   echo     sends each byte back at once
 *     c   connect  one byte back, then closes first, so that TIME-WAIT stays here
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buf[256 * 1024];

static void die(const char *what)
{
    fprintf(stderr, "bench_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int listen_on(unsigned short port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || listen(fd, 1024) < 0) {
        die("listen");
    }
    return fd;
}

static void sink(int fd)
{
    uint64_t total = 0;
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        total += (uint64_t)n;
    }
    send(fd, &total, sizeof total, 0);
}

static void source(int fd)
{
    while (send(fd, buf, sizeof buf, 0) > 0) {
    }
}

static void echo(int fd)
{
    int on = 1;
    ssize_t n;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        if (send(fd, buf, (size_t)n, 0) != n) {
            return;
        }
    }
}

static void serve(int fd)
{
    char what;
    if (recv(fd, &what, 1, 0) != 1) {
        return;
    }
    switch (what) {
    case 's':
        sink(fd);
        break;
    case 'r':
        source(fd);
        break;
    case 'e':
        echo(fd);
        break;
    default:
        send(fd, &what, 1, 0);
        break;
    }
}

int main(int argc, char *argv[])
{
    int listener = listen_on((unsigned short)(argc > 1 ? atoi(argv[1]) : 9000));
    signal(SIGPIPE, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            die("accept");
        }
        serve(fd);
        close(fd);
    }
}
