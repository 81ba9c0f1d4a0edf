/*
 * spawn.c - theory of operation: starting the keeper from inside a program that must not notice.
 *
 *     caller --clone(VM|VFORK, no signal)--> helper --clone(VM|VFORK, SIGCHLD)--> keeper: execve
 *        |  <--wait4(__WCLONE)------------------ _exit
 *
 * A child without an exit signal is reported by no ordinary wait and raises no SIGCHLD; the keeper,
 * its child, belongs to init when the helper has gone. Both share the caller's memory until the
 * exec, so nothing is copied whatever the program's size; they have their own descriptor tables.
 * VFORK holds the calling thread back meanwhile; others go on.
 *
 * All signals are blocked across it: a handler that ran in helper or keeper would run in the
 * program's memory. The mask survives the exec; the keeper empties it.
 *
 * The two run on a stack of their own and make only inline system calls: libc does not know them.
 *
 * Limit: a program that is a child subreaper, or the init of a PID namespace, inherits the keeper
 * as a child.
 */
#include "tun/spawn.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/wait.h>

#include "tun/message.h"
#include "tun/sysio.h"

#define STACK_SIZE ((size_t)64 << 10)

struct spawn {
    const char *path;
    int fd;
    uint8_t *stack; /* two halves: helper's, keeper's */
    volatile int err;
};

typedef void child_fn(struct spawn *sp);

/* clone with a new stack, on which the child runs fn(sp) and exits. Returns the child's pid or
 * -errno. */
__attribute__((noinline)) static long clone_run(unsigned long flags, uint8_t *top, child_fn *fn,
                                                struct spawn *sp)
{
    long ret;
    register child_fn *keep_fn __asm__("r12") = fn;
    register struct spawn *keep_sp __asm__("r13") = sp;
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "xor %%edi, %%edi\n\t"
                     "mov %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(ret)
                     : "a"((long)SYS_clone), "D"(flags), "S"(top), "d"(0), "r"(r10), "r"(r8),
                       "r"(keep_fn), "r"(keep_sp), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory");
    return ret;
}

/* In the one that becomes the keeper. */
static void run_keeper(struct spawn *sp)
{
    static char name[] = "standin-keeper";
    char *argv[] = {name, NULL};
    char *envp[] = {NULL};
    int err;

    if (sp->fd == KEEPER_FD) {
        err = sys_fcntl(sp->fd, F_SETFD, 0);
    } else {
        err = sys_dup3(sp->fd, KEEPER_FD, 0);
    }
    if (err >= 0) {
        err = sys_execve(sp->path, argv, envp);
    }
    sp->err = err;
}

static void run_helper(struct spawn *sp)
{
    long pid =
        clone_run(CLONE_VM | CLONE_VFORK | SIGCHLD, sp->stack + 2 * STACK_SIZE, run_keeper, sp);
    if (pid < 0) {
        sp->err = (int)pid;
    }
}

int spawn_unseen(const char *path, int fd)
{
    struct spawn sp = {.path = path, .fd = fd};
    uint64_t all = ~0ull, old;

    sp.stack =
        sys_mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (sys_mmap_err(sp.stack)) {
        return sys_mmap_err(sp.stack);
    }
    sys_sigprocmask(SIG_SETMASK, &all, &old);
    long pid = clone_run(CLONE_VM | CLONE_VFORK, sp.stack + STACK_SIZE, run_helper, &sp);
    while (pid > 0 && sys_wait4((pid_t)pid, NULL, (int)__WCLONE) == -EINTR) {
    }
    sys_sigprocmask(SIG_SETMASK, &old, NULL);
    sys_munmap(sp.stack, 2 * STACK_SIZE);
    return pid < 0 ? (int)pid : sp.err;
}
