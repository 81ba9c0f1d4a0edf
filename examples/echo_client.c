/*
 * echo_client HOST [PORT] - sends each line of its input and prints what comes back.
 *
 * getaddrinfo, a blocking connect, and shutdown(SHUT_WR) to say "that was all" while still
 * listening: a half-close.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(const char *host, const char *port)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int err = getaddrinfo(host, port, &want, &list);
    int fd = -1;
    if (err) {
        fprintf(stderr, "echo_client: %s: %s\n", host, gai_strerror(err));
        exit(1);
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        fprintf(stderr, "echo_client: %s port %s: %s\n", host, port, strerror(errno));
        exit(1);
    }
    return fd;
}

int main(int argc, char *argv[])
{
    char line[1024];
    ssize_t n;
    int fd;
    if (argc < 2) {
        fprintf(stderr, "usage: echo_client HOST [PORT]\n");
        return 2;
    }
    fd = connect_to(argv[1], argc > 2 ? argv[2] : "7000");
    while (fgets(line, sizeof line, stdin)) {
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
            perror("echo_client: send");
            return 1;
        }
    }
    shutdown(fd, SHUT_WR);
    while ((n = recv(fd, line, sizeof line, 0)) > 0) {
        fwrite(line, 1, (size_t)n, stdout);
    }
    if (n < 0) {
        perror("echo_client: recv");
        return 1;
    }
    close(fd);
    return 0;
}
