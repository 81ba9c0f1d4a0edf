/* sendfile and splice: offsets, positions, errors, all bytes there. */
#include <sys/sendfile.h>

#include "conform.h"

#define SIZE 3000000

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 % 251);
}

void peer(void)
{
    static uint8_t buf[65536];
    int fd = host();
    size_t got = 0, wrong = 0;
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            wrong += buf[i] != byte_at(got + (size_t)i);
        }
        got += (size_t)n;
    }
    printf("peer got %zu wrong %zu\n", got, wrong);
    send_all(fd, "to the pipe", 11);
    hear();
}

void test(void)
{
    static uint8_t data[SIZE];
    char name[] = "/tmp/conform-sendfile-XXXXXX";
    int f = mkstemp(name);
    unlink(name);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = byte_at(i);
    }
    if (write(f, data, SIZE) != SIZE) {
        die("write");
    }
    lseek(f, 0, SEEK_SET);
    int fd = guest();
    say("from the position", sendfile(fd, f, NULL, 1000));
    printf("position %ld\n", (long)lseek(f, 0, SEEK_CUR));
    off_t off = 1000;
    say("from an offset", sendfile(fd, f, &off, 2000));
    printf("offset %ld position %ld\n", (long)off, (long)lseek(f, 0, SEEK_CUR));
    size_t sum = 3000;
    while (sum < SIZE - 11000) {
        ssize_t n = sendfile(fd, f, &off, SIZE - 11000 - sum);
        if (n <= 0) {
            say("sendfile", n);
            break;
        }
        sum += (size_t)n;
    }
    printf("sum %zu\n", sum);
    off = SIZE - 11000;
    say("beyond the end", sendfile(fd, f, &off, 1000000) > 0 ? 0 : -1);
    while (off < SIZE && sendfile(fd, f, &off, 1000000) > 0) {
    }
    say("at the end", sendfile(fd, f, &off, 10));
    off = -1;
    say("negative offset", sendfile(fd, f, &off, 10));
    int p[2];
    if (pipe(p) < 0) {
        die("pipe");
    }
    say("bad input", sendfile(fd, -1, NULL, 10));
    shutdown(fd, SHUT_WR);
    char buf[20];
    await(fd, POLLIN);
    nap_ms(50);
    say("splice to the pipe", splice(fd, NULL, p[1], NULL, 100, 0));
    say_text("read", buf, read(p[0], buf, sizeof buf));
    say("splice of no pipe", splice(fd, NULL, f, NULL, 100, 0));
    loff_t lo = 0;
    say("splice with offset", splice(fd, &lo, p[1], NULL, 100, 0));
    say("copy_file_range", copy_file_range(f, NULL, fd, NULL, 100, 0));
    tell();
}
