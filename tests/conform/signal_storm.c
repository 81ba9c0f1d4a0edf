/* Signals fall on every call of a transfer: not a byte is lost, whatever the handler does. */
#include "conform.h"

#define TOTAL ((size_t)8 << 20)

static volatile int hits;
static int pipes[2];

static void on_alarm(int sig)
{
    (void)sig;
    char c;
    hits++;
    if (write(pipes[1], "x", 1) == 1 && read(pipes[0], &c, 1) != 1) { /* calls in a handler */
        _exit(9);
    }
}

void peer(void)
{
    static uint8_t buf[100000];
    int fd = host();
    size_t got = 0;
    while (got < TOTAL) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            break;
        }
        send_all(fd, buf, (size_t)n);
        got += (size_t)n;
    }
    printf("peer echoed %zu\n", got);
    hear();
}

void test(void)
{
    static uint8_t out[20000], in[20000];
    if (pipe(pipes) < 0) {
        die("pipe");
    }
    int fd = guest();
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {.it_value.tv_usec = 500, .it_interval.tv_usec = 500};
    setitimer(ITIMER_REAL, &it, NULL);
    size_t sent = 0, got = 0, wrong = 0;
    while (got < TOTAL) {
        size_t n = sizeof out < TOTAL - sent ? sizeof out : TOTAL - sent;
        for (size_t i = 0; i < n; i++) {
            out[i] = (uint8_t)((sent + i) % 247);
        }
        for (size_t done = 0; done < n;) {
            ssize_t k = send(fd, out + done, n - done, MSG_NOSIGNAL);
            if (k < 0 && errno != EINTR) {
                die("send");
            }
            done += k > 0 ? (size_t)k : 0;
        }
        sent += n;
        for (size_t done = 0; done < n;) {
            ssize_t k = recv(fd, in, n - done, 0);
            if (k == 0 || (k < 0 && errno != EINTR)) {
                die("recv");
            }
            for (ssize_t i = 0; i < k; i++) {
                wrong += in[i] != (uint8_t)((got + (size_t)i) % 247);
            }
            done += k > 0 ? (size_t)k : 0;
            got += k > 0 ? (size_t)k : 0;
        }
    }
    it = (struct itimerval){0};
    setitimer(ITIMER_REAL, &it, NULL);
    printf("got %zu wrong %zu, handlers ran %d\n", got, wrong, hits > 10);
    tell();
}
