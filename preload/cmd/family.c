/*
 * Purpose: `standin run --wait`. We become the subreaper, so that a daemon that forks away from its
 * parent becomes our child and wait(2) sees the last one go. All signals are blocked and taken one
 * at a time by sigwaitinfo: no handler, no race between a signal and the wait.
 *
 * What the terminal sends (^C, ^\, ^Z) it sends to the whole process group, the program included:
 * only what a process sent to us alone is sent on. Without --wait none of this is needed: the
 * command becomes the program (run.c).
 */
#include "family.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msg.h"

struct family {
    pid_t first; /* the program; 0 when it has ended */
    int status;  /* of the program */
};

/* Everybody who is our child now: daemons of the family once the program itself has ended. */
static void send_to_children(int sig)
{
    char path[64];
    FILE *f;
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    while (f && fscanf(f, "%d", &pid) == 1) {
        kill(pid, sig);
    }
    if (f) {
        fclose(f);
    }
}

static void send_on(const struct family *fam, const siginfo_t *info)
{
    if (info->si_code == SI_KERNEL && fam->first) {
        return; /* from the terminal: the program, in our process group, has it already */
    }
    if (fam->first) {
        kill(fam->first, info->si_signo);
    } else {
        send_to_children(info->si_signo);
    }
}

/* Takes in whoever ended or stopped. False when no child is left. */
static bool reap(struct family *fam)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (pid == fam->first && WIFSTOPPED(status)) {
            kill(getpid(), SIGSTOP); /* the shell sees its job stop, as it would without us */
        } else if (pid == fam->first) {
            fam->status = status;
            fam->first = 0;
        }
    }
    return pid == 0;
}

static void wait_all(struct family *fam, const sigset_t *all)
{
    while (reap(fam)) {
        siginfo_t info;
        int sig = sigwaitinfo(all, &info);
        if (sig > 0 && sig != SIGCHLD) {
            send_on(fam, &info);
        }
    }
}

/* Ends as the program ended. The core, if there was one, is the program's. */
static _Noreturn void end_like(int status)
{
    if (WIFSIGNALED(status)) {
        int sig = WTERMSIG(status);
        struct rlimit none = {0, 0};
        sigset_t one;
        setrlimit(RLIMIT_CORE, &none);
        signal(sig, SIG_DFL);
        sigemptyset(&one);
        sigaddset(&one, sig);
        raise(sig);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
        _exit(128 + sig);
    }
    _exit(WEXITSTATUS(status));
}

int family_run(const char *path, char *const argv[])
{
    struct family fam = {0};
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        msg("cannot wait for the whole family: %s", strerror(errno));
        return EXIT_STANDIN;
    }
    sigprocmask(SIG_BLOCK, &all, &old);
    fam.first = fork();
    if (fam.first < 0) {
        msg("cannot start %s: %s", path, strerror(errno));
        return EXIT_STANDIN;
    }
    if (fam.first == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        execvp(path, argv);
        msg("cannot execute %s: %s (exit %d)", path, strerror(errno), EXIT_CANNOT);
        _exit(EXIT_CANNOT);
    }
    wait_all(&fam, &all);
    end_like(fam.status);
}
