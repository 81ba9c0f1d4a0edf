/* 64 MiB each way, checked by a rolling sum; odd sizes of writes and reads. */
#include "conform.h"

#define TOTAL ((size_t)64 << 20)

static uint64_t next_byte(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 56;
}

static void produce(int fd)
{
    static uint8_t buf[200000];
    uint64_t x = 1;
    for (size_t done = 0, k = 1; done < TOTAL; k = k * 7 % 199999 + 1) {
        size_t n = k < TOTAL - done ? k : TOTAL - done;
        for (size_t i = 0; i < n; i++) {
            buf[i] = (uint8_t)next_byte(&x);
        }
        send_all(fd, buf, n);
        done += n;
    }
}

static void consume(const char *who, int fd)
{
    static uint8_t buf[150000];
    uint64_t x = 1;
    size_t done = 0, wrong = 0;
    while (done < TOTAL) {
        ssize_t n = recv(fd, buf, done % sizeof buf + 1, 0);
        if (n <= 0) {
            say(who, n);
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            wrong += buf[i] != (uint8_t)next_byte(&x);
        }
        done += (size_t)n;
    }
    printf("%s got %zu, wrong %zu\n", who, done, wrong);
}

void peer(void)
{
    int fd = host();
    consume("peer", fd);
    produce(fd);
    hear();
    close(fd);
}

void test(void)
{
    int fd = guest();
    produce(fd);
    consume("test", fd);
    tell();
}
