/*
 * forkstorm ADDRESS SECONDS - threads that talk over connections of ADDRESS (one of this host's),
 * threads that fork, vfork and spawn meanwhile, signals for all of them. Children use the stack as
 * well. Prints what was done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* NOLINTBEGIN(clang-analyzer-*): vfork is what is tried out here */

#define TALKERS 3
#define FORKERS 2

static const char *address;
static atomic_bool stop;
static atomic_ulong talked, forked, signals;

static void must(int ok, const char *what)
{
    if (!ok) {
        printf("%d: %s: errno %d\n", (int)getpid(), what, errno);
        fflush(stdout);
        _exit(1);
    }
}

static void tcp_pair(int p[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, address, &at.sin_addr);
    must(bind(l, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    must(listen(l, 5) == 0, "listen");
    must(getsockname(l, (struct sockaddr *)&at, &len) == 0, "getsockname");
    p[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(p[0], (struct sockaddr *)&at, sizeof at) == 0, "connect");
    p[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    must(p[1] >= 0, "accept4");
    close(l);
}

static void say(const int p[2], size_t n)
{
    char buf[2000] = "";
    must(send(p[0], buf, n, 0) == (ssize_t)n, "send");
    must(recv(p[1], buf, n, MSG_WAITALL) == (ssize_t)n, "recv");
}

static void *talk(void *arg)
{
    while (!stop) {
        int p[2];
        tcp_pair(p);
        for (int i = 0; i < 50; i++) {
            say(p, 2000);
            talked++;
        }
        close(p[0]);
        close(p[1]);
    }
    return arg;
}

static pid_t start(int how)
{
    char *argv[] = {"true", NULL};
    pid_t child = -1;
    if (how == 0 || how == 1) {
        child = fork();
    } else if (how == 2) {
        child = vfork();
    } else {
        posix_spawnp(&child, "true", NULL, NULL, argv, environ);
    }
    if (child == 0 && how == 0) {
        int p[2];
        tcp_pair(p);
        say(p, 5);
        _exit(0);
    }
    if (child == 0) {
        execvp("true", argv);
        _exit(9);
    }
    return child;
}

static void *run(void *arg)
{
    for (int n = 0; !stop; n = (n + 1) % 4) {
        int status = -1;
        pid_t child = start(n);
        must(child > 0, "fork");
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        must(status == 0, "the child's status");
        forked++;
    }
    return arg;
}

static void count(int sig)
{
    (void)sig;
    signals++;
}

int main(int argc, char **argv)
{
    pthread_t t[TALKERS + FORKERS];
    struct sigaction a = {.sa_handler = count, .sa_flags = SA_RESTART};
    if (argc < 3) {
        return 2;
    }
    address = argv[1];
    sigaction(SIGUSR1, &a, NULL);
    for (int i = 0; i < TALKERS + FORKERS; i++) {
        pthread_create(&t[i], NULL, i < TALKERS ? talk : run, NULL);
    }
    for (int ms = atoi(argv[2]) * 1000; ms > 0; ms--) {
        usleep(1000);
        for (int i = 0; i < TALKERS + FORKERS; i++) {
            pthread_kill(t[i], SIGUSR1);
        }
    }
    stop = 1;
    for (int i = 0; i < TALKERS + FORKERS; i++) {
        pthread_join(t[i], NULL);
    }
    printf("%lu talks, %lu children, %lu signals\n", (unsigned long)talked, (unsigned long)forked,
           (unsigned long)signals);
    return 0;
}
/* NOLINTEND(clang-analyzer-*) */
