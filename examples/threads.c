/*
 * threads HOST PORT [THREADS [KIB]] - each thread sends its own bytes to an echo server and checks
 * what comes back.
 *
 * Two threads share each socket: one writes, the other reads.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 1000

struct pair {
    pthread_t writer, reader;
    int fd;
    unsigned seed;
    size_t bytes;
    int bad;
};

static void die(const char *what)
{
    fprintf(stderr, "threads: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The byte at a place of a pair's stream: told apart by seed and place. */
static unsigned char byte_at(const struct pair *p, size_t at)
{
    return (unsigned char)(at * 31 + at / 251 + p->seed);
}

static void *write_all(void *arg)
{
    struct pair *p = arg;
    size_t at = 0;
    while (at < p->bytes) {
        unsigned char buf[PIECE];
        size_t len = p->bytes - at < sizeof buf ? p->bytes - at : sizeof buf;
        for (size_t i = 0; i < len; i++) {
            buf[i] = byte_at(p, at + i);
        }
        for (size_t done = 0; done < len;) {
            ssize_t n = send(p->fd, buf + done, len - done, MSG_NOSIGNAL);
            if (n < 0) {
                die("send");
            }
            done += (size_t)n;
        }
        at += len;
    }
    shutdown(p->fd, SHUT_WR);
    return NULL;
}

static void *read_all(void *arg)
{
    struct pair *p = arg;
    unsigned char buf[PIECE];
    size_t at = 0;
    ssize_t n;
    while ((n = recv(p->fd, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            p->bad |= buf[i] != byte_at(p, at++);
        }
    }
    p->bad |= n < 0 || at != p->bytes;
    return NULL;
}

static void start(struct pair *p, const struct addrinfo *a)
{
    p->fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (p->fd < 0 || connect(p->fd, a->ai_addr, a->ai_addrlen) < 0) {
        die("connect");
    }
    if (pthread_create(&p->writer, NULL, write_all, p) ||
        pthread_create(&p->reader, NULL, read_all, p)) {
        die("pthread_create");
    }
}

int main(int argc, char *argv[])
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 8;
    size_t bytes = (argc > 4 ? (size_t)atoi(argv[4]) : 1024) * 1024;
    struct pair *pairs;
    int bad = 0;
    if (argc < 3 || n == 0) {
        fprintf(stderr, "usage: threads HOST PORT [THREADS [KIB]]\n");
        return 2;
    }
    pairs = calloc(n, sizeof *pairs);
    if (!pairs || getaddrinfo(argv[1], argv[2], &want, &list) != 0) {
        die("set-up");
    }
    for (unsigned i = 0; i < n; i++) {
        pairs[i].seed = i * 7;
        pairs[i].bytes = bytes;
        start(&pairs[i], list);
    }
    freeaddrinfo(list);
    for (unsigned i = 0; i < n; i++) {
        pthread_join(pairs[i].writer, NULL);
        pthread_join(pairs[i].reader, NULL);
        bad += pairs[i].bad;
        close(pairs[i].fd);
    }
    printf("%u pairs of threads, %zu bytes each: %s\n", n, bytes, bad ? "CORRUPT" : "all equal");
    free(pairs);
    return bad != 0;
}
