/* A process that goes to another network namespace keeps its connections, and is woken for them
 * although another process takes its packets in. */
#include "conform.h"

#include <sched.h>

enum { ROUNDS = 100 };

void peer(void)
{
    int l = listen_at(PEER, PORT);
    tell();
    int fd = accept(l, NULL, NULL), quiet = accept(l, NULL, NULL);
    char c;
    while (recv(fd, &c, 1, 0) == 1) {
        send(fd, &c, 1, MSG_NOSIGNAL);
    }
    close(quiet);
}

static int talk(int fd)
{
    int done = 0;
    for (char c = 'x'; done < ROUNDS && send(fd, &c, 1, 0) == 1 && recv(fd, &c, 1, 0) == 1;) {
        done++;
    }
    return done;
}

/* The parent sleeps in a recv of its own, and is the first whom a packet wakes. */
void test(void)
{
    hear();
    int fd = dial(PEER, PORT), quiet = dial(PEER, PORT), status = -1;
    char c;
    pid_t child = fork();
    if (child == 0) {
        close(quiet);
        say("unshare", unshare(CLONE_NEWNET));
        printf("%d answers\n", talk(fd));
        fflush(stdout);
        _exit(0);
    }
    close(fd);
    say("quiet", recv(quiet, &c, 1, 0));
    waitpid(child, &status, 0);
    printf("status %d\n", status);
}
