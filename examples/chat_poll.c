/*
 * chat_poll [PORT] - a chat: what one says, all others hear. One thread, poll over every socket.
 *
 * Try it with two terminals and `nc HOST 7001`.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUESTS 64

static struct pollfd sockets[1 + GUESTS]; /* the listener, then the guests */
static nfds_t count = 1;

static void die(const char *what)
{
    fprintf(stderr, "chat_poll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int listen_on(unsigned short port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0) {
        die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || listen(fd, GUESTS) < 0) {
        die("listen");
    }
    return fd;
}

static void tell_others(nfds_t speaker, const char *text, size_t len)
{
    for (nfds_t i = 1; i < count; i++) {
        if (i != speaker) {
            send(sockets[i].fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT); /* the slow miss it */
        }
    }
}

static void welcome(void)
{
    static const char hello[] = "* someone came in\n";
    int fd = accept(sockets[0].fd, NULL, NULL);
    if (fd < 0) {
        return;
    }
    if (count == 1 + GUESTS) {
        close(fd);
        return;
    }
    sockets[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    tell_others(count - 1, hello, sizeof hello - 1);
}

/* The last guest takes the place of the one who left. */
static void farewell(nfds_t i)
{
    static const char bye[] = "* someone left\n";
    close(sockets[i].fd);
    sockets[i] = sockets[--count];
    tell_others(0, bye, sizeof bye - 1);
}

static void listen_to(nfds_t i)
{
    char text[1024];
    ssize_t n = recv(sockets[i].fd, text, sizeof text, MSG_DONTWAIT);
    if (n > 0) {
        tell_others(i, text, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        farewell(i);
    }
}

int main(int argc, char *argv[])
{
    int listener = listen_on((unsigned short)(argc > 1 ? atoi(argv[1]) : 7001));
    sockets[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        if (poll(sockets, count, -1) < 0) {
            die("poll");
        }
        if (sockets[0].revents) {
            welcome();
        }
        for (nfds_t i = count - 1; i >= 1; i--) { /* downwards: farewell moves the last one */
            if (sockets[i].revents) {
                listen_to(i);
            }
        }
    }
}
