/*
 * echo_server [PORT] - sends back whatever it is sent; one child process for each connection.
 *
 * The oldest shape of a server: a blocking accept, fork, blocking reads and writes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "echo_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int listen_on(unsigned short port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM, 0); /* takes IPv4 connections too */
    if (fd < 0) {
        die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) {
        die("bind");
    }
    if (listen(fd, SOMAXCONN) < 0) {
        die("listen");
    }
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0) {
            die("send");
        }
        data += n;
        len -= (size_t)n;
    }
}

static void serve(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        send_all(fd, buf, (size_t)n);
    }
    if (n < 0) {
        die("recv");
    }
    close(fd);
}

int main(int argc, char *argv[])
{
    int listener = listen_on((unsigned short)(argc > 1 ? atoi(argv[1]) : 7000));
    signal(SIGCHLD, SIG_IGN); /* children need no wait */
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            die("accept");
        }
        if (fork() == 0) {
            close(listener);
            serve(fd);
            _exit(0);
        }
        close(fd);
    }
}
