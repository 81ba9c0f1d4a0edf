/*
 * bench_client WHAT HOST PORT MILLISECONDS - one measurement, one number on stdout. A plain socket
 * program: the same binary runs on the kernel's stack and, preloaded, on ours.
 *
 *     send      Gb/s of 64 KiB writes, from after the warm-up until the peer has counted them all
 *     recv      Gb/s of 256 KiB reads
 *     rtt       microseconds, the median of one-byte round trips, blocking, no spinning
 *     connect   connections a second: connect, one byte each way, close; one after the other
 *
 * A fifth of the time is a warm-up that is not counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX (1u << 20)
#define SEND_SIZE   ((size_t)64 * 1024)

static char buf[256 * 1024];
static float samples[SAMPLES_MAX];
static struct addrinfo *peer;

static void die(const char *what)
{
    fprintf(stderr, "bench_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int open_for(char what)
{
    int on = 1;
    int fd = socket(peer->ai_family, SOCK_STREAM, 0);
    if (fd < 0) {
        die("socket");
    }
    if (connect(fd, peer->ai_addr, peer->ai_addrlen) < 0) {
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(fd, &what, 1, 0) != 1) {
        die("send");
    }
    return fd;
}

static uint64_t send_until(int fd, double end)
{
    uint64_t total = 0;
    while (now() < end) {
        ssize_t n = send(fd, buf, SEND_SIZE, 0);
        if (n <= 0) {
            die("send");
        }
        total += (uint64_t)n;
    }
    return total;
}

static double bench_send(double seconds)
{
    int fd = open_for('s');
    uint64_t warm = send_until(fd, now() + seconds / 5);
    double start = now();
    uint64_t total = send_until(fd, start + seconds);
    uint64_t counted = 0;
    double took;
    shutdown(fd, SHUT_WR);
    if (recv(fd, &counted, sizeof counted, MSG_WAITALL) != sizeof counted) {
        die("recv");
    }
    took = now() - start;
    if (counted != warm + total) {
        fprintf(stderr, "bench_client: %" PRIu64 " bytes sent, %" PRIu64 " arrived\n", warm + total,
                counted);
        exit(1);
    }
    close(fd);
    return (double)total * 8e-9 / took;
}

static uint64_t recv_until(int fd, double end)
{
    uint64_t total = 0;
    while (now() < end) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            die("recv");
        }
        total += (uint64_t)n;
    }
    return total;
}

static double bench_recv(double seconds)
{
    int fd = open_for('r');
    double start;
    double took;
    uint64_t total;
    recv_until(fd, now() + seconds / 5);
    start = now();
    total = recv_until(fd, start + seconds);
    took = now() - start;
    close(fd);
    return (double)total * 8e-9 / took;
}

static void round_trip(int fd)
{
    char c = 'x';
    if (send(fd, &c, 1, 0) != 1) {
        die("send");
    }
    if (recv(fd, &c, 1, 0) != 1) {
        die("recv");
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static double bench_rtt(double seconds)
{
    int fd = open_for('e');
    size_t n = 0;
    double end = now() + seconds / 5;
    while (now() < end) {
        round_trip(fd);
    }
    end = now() + seconds;
    for (double at = now(); at < end && n < SAMPLES_MAX; n++) {
        double then;
        round_trip(fd);
        then = now();
        samples[n] = (float)(then - at);
        at = then;
    }
    close(fd);
    qsort(samples, n, sizeof samples[0], by_size);
    return n ? (double)samples[n / 2] * 1e6 : 0;
}

static void connection(void)
{
    char c;
    int fd = open_for('c');
    ssize_t answer = recv(fd, &c, 1, 0);
    ssize_t end = recv(fd, &c, 1, 0);
    if (answer != 1 || end != 0) {
        die("recv");
    }
    close(fd);
}

static double bench_connect(double seconds)
{
    double end = now() + seconds / 5;
    double start;
    unsigned n = 0;
    while (now() < end) {
        connection();
    }
    start = now();
    while (now() < start + seconds) {
        connection();
        n++;
    }
    return n / (now() - start);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        double (*run)(double seconds);
    } table[] = {
        {"send", bench_send},
        {"recv", bench_recv},
        {"rtt", bench_rtt},
        {"connect", bench_connect},
    };
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (argc < 5 || getaddrinfo(argv[2], argv[3], &want, &peer) != 0) {
        fprintf(stderr, "usage: bench_client send|recv|rtt|connect ADDRESS PORT MILLISECONDS\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(argv[1], table[i].name) == 0) {
            printf("%.3f\n", table[i].run(atoi(argv[4]) / 1000.0));
            return 0;
        }
    }
    fprintf(stderr, "bench_client: no measurement %s\n", argv[1]);
    return 2;
}
