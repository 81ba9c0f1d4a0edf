/* A listener shared by forked workers that accept, blocking; each connection is served once. */
#include "conform.h"

#define WORKERS 3
#define ROUNDS  12

void peer(void)
{
    hear();
    int sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char c = 0;
        int fd = dial(ME, PORT);
        send_all(fd, "q", 1);
        sum += recv(fd, &c, 1, 0) == 1 && c == 'a';
        close(fd);
    }
    printf("peer: %d answers\n", sum);
    for (int i = 0; i < WORKERS; i++) {
        int fd = dial(ME, PORT);
        send_all(fd, "!", 1);
        recv(fd, &(char){0}, 1, 0);
        close(fd);
    }
    tell();
}

static void worker(int l)
{
    for (;;) {
        char c;
        int fd = accept(l, NULL, NULL);
        if (fd < 0 || recv(fd, &c, 1, 0) != 1) {
            _exit(1);
        }
        if (c == '!') {
            _exit(0);
        }
        send_all(fd, "a", 1);
        close(fd);
    }
}

void test(void)
{
    int l = listen_at(ME, PORT);
    for (int i = 0; i < WORKERS; i++) {
        if (fork() == 0) {
            worker(l);
        }
    }
    close(l);
    tell();
    hear();
    for (int i = 0; i < WORKERS; i++) {
        int st;
        wait(&st);
        printf("worker %d\n", WEXITSTATUS(st));
    }
    say("nobody listens now", connect_to(tcp(), ME, PORT));
}
