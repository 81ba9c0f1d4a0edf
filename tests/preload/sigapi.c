/*
 * sigapi - what a program sees of its own signal dispositions, and what its handlers get. Prints
 * one line for each fact; the output with the library must be that without it.
 */
/* NOLINTBEGIN(clang-analyzer-*): vfork, null pointers and leaks are what is tried out here */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t ran;
static siginfo_t last;
static sigset_t mask_in_handler;
static sigjmp_buf back;

static void plain(int sig)
{
    ran = sig;
    sigprocmask(SIG_BLOCK, NULL, &mask_in_handler);
}

static void other(int sig)
{
    ran = -sig;
}

static void full(int sig, siginfo_t *info, void *uc)
{
    ran = sig;
    last = *info;
    printf("  frame: blocked-before=%d\n", sigismember(&((ucontext_t *)uc)->uc_sigmask, SIGUSR2));
}

static void jump(int sig)
{
    siglongjmp(back, sig);
}

static const char *name(void (*h)(int))
{
    return h == SIG_DFL                          ? "DFL"
           : h == SIG_IGN                        ? "IGN"
           : h == SIG_ERR                        ? "ERR"
           : h == SIG_HOLD                       ? "HOLD"
           : h == plain                          ? "plain"
           : h == other                          ? "other"
           : h == jump                           ? "jump"
           : h == (void (*)(int))(uintptr_t)full ? "full"
                                                 : "?";
}

static void show(const char *what, int sig)
{
    struct sigaction a;
    int r = sigaction(sig, NULL, &a);
    printf("%s: %d %s flags=%x usr2=%d\n", what, r, name(a.sa_handler), (unsigned)a.sa_flags,
           sigismember(&a.sa_mask, SIGUSR2));
}

static void dispositions(void)
{
    struct sigaction a = {.sa_handler = plain};
    struct sigaction old;
    show("start", SIGUSR1);
    sigaddset(&a.sa_mask, SIGUSR2);
    a.sa_flags = SA_RESTART | SA_NODEFER;
    printf("set %d\n", sigaction(SIGUSR1, &a, &old));
    printf("old %s\n", name(old.sa_handler));
    show("set", SIGUSR1);
    a.sa_handler = other;
    sigaction(SIGUSR1, &a, &old);
    printf("old %s\n", name(old.sa_handler));
    raise(SIGUSR1);
    printf("ran %d\n", (int)ran);
    a = old;
    sigaction(SIGUSR1, &a, &old);
    printf("swapped %s\n", name(old.sa_handler));
    show("ignored", SIGPIPE);
    printf("signal %s\n", name(signal(SIGUSR1, SIG_IGN)));
    raise(SIGUSR1);
    show("ign", SIGUSR1);
    printf("signal %s\n", name(signal(SIGUSR1, plain)));
    show("signal", SIGUSR1);
    printf("kill %d errno %d\n", sigaction(SIGKILL, &a, NULL), errno);
    printf("65 %d errno %d\n", sigaction(65, &a, NULL), errno);
    printf("0 %d errno %d\n", sigaction(0, &a, NULL), errno);
    printf("32 %d errno %d\n", sigaction(32, &a, NULL), errno);
    printf("signal(0) %s errno %d\n", name(signal(0, plain)), errno);
}

static void once(void)
{
    struct sigaction a = {.sa_handler = plain, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGUSR1, &a, NULL);
    show("resethand", SIGUSR1);
    raise(SIGUSR1);
    printf("ran %d blocked %d\n", (int)ran, sigismember(&mask_in_handler, SIGUSR1));
    show("after", SIGUSR1);
}

static void older(void)
{
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    printf("sysv %s\n", name(sysv_signal(SIGUSR1, plain)));
    show("sysv", SIGUSR1);
    raise(SIGUSR1);
    printf("ran %d blocked %d\n", (int)ran, sigismember(&mask_in_handler, SIGUSR1));
    show("after", SIGUSR1);
    printf("sigset %s\n", name(sigset(SIGUSR1, plain)));
    show("sigset", SIGUSR1);
    printf("hold %s\n", name(sigset(SIGUSR1, SIG_HOLD)));
    printf("again %s\n", name(sigset(SIGUSR1, other)));
    printf("then %s\n", name(sigset(SIGUSR1, SIG_DFL)));
    printf("ignore %d\n", sigignore(SIGUSR1));
    show("sigignore", SIGUSR1);
    signal(SIGUSR1, plain);
    printf("interrupt %d\n", siginterrupt(SIGUSR1, 1));
    show("siginterrupt", SIGUSR1);
    signal(SIGUSR1, plain);
    show("signal after", SIGUSR1);
    printf("interrupt %d\n", siginterrupt(SIGUSR1, 0));
    show("siginterrupt", SIGUSR1);
}

static void info(void)
{
    struct sigaction a = {.sa_sigaction = full, .sa_flags = SA_SIGINFO};
    union sigval v = {.sival_int = 4711};
    sigset_t usr2;
    sigaction(SIGRTMIN, &a, NULL);
    show("siginfo", SIGRTMIN);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    sigqueue(getpid(), SIGRTMIN, v);
    sigprocmask(SIG_UNBLOCK, &usr2, NULL);
    printf("ran %d code %d value %d from-me %d\n", (int)ran, last.si_code, last.si_value.sival_int,
           last.si_pid == getpid());
}

static void jumping(void)
{
    signal(SIGUSR1, jump);
    int r = sigsetjmp(back, 1);
    if (r == 0) {
        raise(SIGUSR1);
    }
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("jumped %d blocked %d\n", r, sigismember(&now, SIGUSR1));
}

/* Faults are handled at once, and a default disposition kills. */
static void faults(void)
{
    struct sigaction a = {.sa_handler = jump};
    volatile int *volatile nowhere = NULL;
    sigaction(SIGSEGV, &a, NULL);
    int r = sigsetjmp(back, 1);
    if (r == 0) {
        *nowhere = 1;
    }
    printf("fault %d\n", r);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *nowhere = 1;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* What a vfork child does to its dispositions is its own. */
static void vforked(void)
{
    signal(SIGUSR1, plain);
    pid_t child = vfork();
    if (child == 0) {
        signal(SIGUSR1, SIG_DFL);
        signal(SIGUSR2, SIG_IGN);
        _exit(3);
    }
    int status;
    waitpid(child, &status, 0);
    show("vfork usr1", SIGUSR1);
    show("vfork usr2", SIGUSR2);
    ran = 0;
    raise(SIGUSR1);
    printf("ran %d status %d\n", (int)ran, WEXITSTATUS(status));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    dispositions();
    once();
    older();
    info();
    jumping();
    faults();
    vforked();
    return 0;
}
/* NOLINTEND(clang-analyzer-*) */
