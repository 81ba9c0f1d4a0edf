/* Forks by the system call, which libc knows nothing of, right after a process's first socket call:
 * each child gives up privileges (which libc does in all threads it knows) and makes the next. */
#include "conform.h"

#include <grp.h>
#include <sys/syscall.h>

enum { GENERATIONS = 60 };

void peer(void)
{
    int fd = host();
    char c;
    while (recv(fd, &c, 1, 0) == 1) {
        send(fd, &c, 1, MSG_NOSIGNAL);
    }
}

static int generation(int fd, int n)
{
    char c = 'x';
    if (n == GENERATIONS || send(fd, &c, 1, 0) != 1) {
        return n;
    }
    long child = syscall(SYS_clone, (long)SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        alarm(10);
        if (setgroups(0, NULL) < 0) {
            _exit(254);
        }
        _exit(generation(fd, n + 1));
    }
    int status = -1;
    waitpid((pid_t)child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

void test(void)
{
    int fd = guest();
    for (int i = 0; i < 4; i++) {
        printf("%d generations\n", generation(fd, 0));
    }
}
