/*
 * Purpose: `standin run` as the parent of its program, for --wait, -w and --trace. For --wait we
 * become the subreaper, so that a daemon that forks away from its parent becomes our child and
 * wait(2) sees the last one go. All signals are blocked and taken one at a time by sigwaitinfo: no
 * handler, no race between a signal and the wait.
 *
 * What the terminal sends (^C, ^\, ^Z) it sends to the whole process group, the program included:
 * only what a process sent to us alone is sent on. Without those options none of this is needed:
 * the command becomes the program (run.c).
 */
#include "family.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msg.h"

struct family {
    pid_t first; /* the program; 0 when it has ended */
    int status;  /* of the program */
    const struct family_job *job;
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
    return pid == 0 && (fam->job->whole || fam->first);
}

static void wait_all(struct family *fam, const sigset_t *all)
{
    const struct family_job *job = fam->job;
    const struct timespec tick = {.tv_nsec = job->tick_ms * 1000000L};
    while (reap(fam)) {
        siginfo_t info;
        int sig = sigtimedwait(all, &info, job->tick_ms ? &tick : NULL);
        if (sig > 0 && sig != SIGCHLD) {
            send_on(fam, &info);
        }
        if (job->tick_ms) {
            job->tick(job->arg);
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

int family_run(const struct family_job *job)
{
    struct family fam = {.job = job};
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    fam.first = fork();
    if (fam.first < 0) {
        msg("cannot start a process: %s", strerror(errno));
        return EXIT_STANDIN;
    }
    if (fam.first == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        _exit(job->become(job->arg));
    }
    job->begin(
        job->arg); /* for --wait it makes us the subreaper: the keeper must not become ours */
    wait_all(&fam, &all);
    job->over(job->arg);
    end_like(fam.status);
}
