/*
 * http_get HOST [PORT [PATH]] - fetches a page and prints its body; the status line goes to stderr.
 *
 * The socket is non-blocking: connect answers EINPROGRESS, poll tells when it is done, SO_ERROR how
 * it went.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE 10000 /* milliseconds */

static void die(const char *what)
{
    fprintf(stderr, "http_get: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, PATIENCE);
    if (n == 0) {
        errno = ETIMEDOUT;
    }
    if (n <= 0) {
        die("poll");
    }
}

static int connect_to(const struct addrinfo *a)
{
    int err = 0;
    socklen_t len = sizeof err;
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0) {
        die("socket");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
        return fd;
    }
    if (errno != EINPROGRESS) {
        die("connect");
    }
    await(fd, POLLOUT);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        errno = err;
        die("connect");
    }
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            die("send");
        }
        if (n < 0) {
            await(fd, POLLOUT);
            continue;
        }
        data += n;
        len -= (size_t)n;
    }
}

/* The answer's bytes, until the server closes. Returns 0 at the end. */
static size_t receive(int fd, char *buf, size_t size)
{
    for (;;) {
        ssize_t n = recv(fd, buf, size, 0);
        if (n >= 0) {
            return (size_t)n;
        }
        if (errno != EAGAIN) {
            die("recv");
        }
        await(fd, POLLIN);
    }
}

static int show(int fd)
{
    static char buf[65536 + 1];
    size_t have = 0;
    size_t n;
    char *body;
    do { /* the head */
        n = receive(fd, buf + have, sizeof buf - 1 - have);
        have += n;
        buf[have] = '\0';
        body = strstr(buf, "\r\n\r\n");
    } while (!body && n > 0 && have < sizeof buf - 1);
    if (!body) {
        fprintf(stderr, "http_get: that was no HTTP\n");
        return 1;
    }
    fprintf(stderr, "%.*s\n", (int)strcspn(buf, "\r"), buf);
    body += 4;
    fwrite(body, 1, have - (size_t)(body - buf), stdout);
    while ((n = receive(fd, buf, sizeof buf - 1)) > 0) {
        fwrite(buf, 1, n, stdout);
    }
    return 0;
}

int main(int argc, char *argv[])
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char request[2048];
    int fd, err, len, ret;
    if (argc < 2) {
        fprintf(stderr, "usage: http_get HOST [PORT [PATH]]\n");
        return 2;
    }
    err = getaddrinfo(argv[1], argc > 2 ? argv[2] : "80", &want, &list);
    if (err) {
        fprintf(stderr, "http_get: %s: %s\n", argv[1], gai_strerror(err));
        return 1;
    }
    fd = connect_to(list);
    freeaddrinfo(list);
    len = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                   argc > 3 ? argv[3] : "/", argv[1]);
    send_all(fd, request, (size_t)len < sizeof request ? (size_t)len : sizeof request - 1);
    ret = show(fd);
    close(fd);
    return ret;
}
