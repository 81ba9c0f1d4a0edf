/*
 * Theory: processes that come into being without exec. fork itself is seen by the handlers of
 * fork.c; the hook only tells them the child's number. _Fork and clone run no handlers, so theirs
 * are run here. daemon and forkpty are libc's, remade from hooked pieces, because they fork and
 * overwrite descriptors inside libc.
 *
 * vfork stays vfork: the child runs on the parent's memory while the parent stands still, and
 * programs count on it. The hook must not have a frame (the child would write over it), so it is
 * assembler: it marks the thread as a vfork child (hooks pass through, the table is the parent's),
 * makes the system call with the return address in a register, and in the parent restores the mark.
 * clone(CLONE_VM|CLONE_VFORK) is the same with a stack of its own.
 */
#include "preload/hook.h"
#include "preload/real.h"

#include <paths.h>
#include <pty.h>
#include <utmp.h>

#include "preload/fork.h"
#include "tun/sys.h"

HOOK pid_t fork(void)
{
    if (hooks_off()) {
        return real.fork();
    }
    fork_expect();
    pid_t child = real.fork();
    if (child != 0) {
        int saved = errno;
        fork_told(child);
        errno = saved;
    }
    return child;
}

HOOK pid_t _Fork(void)
{
    if (hooks_off()) {
        return real._Fork();
    }
    fork_prepare();
    pid_t child = real._Fork();
    int saved = errno;
    if (child == 0) {
        fork_child();
    } else {
        fork_parent(child);
    }
    errno = saved;
    return child;
}

/* ------------------------------------------------------------------ vfork */

_Static_assert(sizeof(self.vfork_child) == 4, "the stub stores 32 bits");

/* rdi: return address, rsi: the mark's place, edx: what it was. The system call keeps all three. */
__asm__(".pushsection .text\n"
        ".globl vfork, __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        "vfork:\n"
        "__vfork:\n"
        "    endbr64\n"
        "    mov self@gottpoff(%rip), %rsi\n"
        "    add %fs:0, %rsi\n"
        "    add $VFORK_CHILD, %rsi\n"
        "    mov (%rsi), %edx\n"
        "    movl $1, (%rsi)\n"
        "    pop %rdi\n"
        "    mov $58, %eax\n" /* SYS_vfork */
        "    syscall\n"
        "    push %rdi\n"
        "    test %eax, %eax\n"
        "    jz 1f\n"
        "    mov %edx, (%rsi)\n"
        "    js 2f\n"
        "1:  ret\n"
        "2:  neg %eax\n"
        "    push %rax\n"
        "    call __errno_location@PLT\n"
        "    pop %rdx\n"
        "    mov %edx, (%rax)\n"
        "    mov $-1, %eax\n"
        "    ret\n"
        ".size vfork, .-vfork\n"
        ".popsection\n");

/* The offset, told to the assembler. */
__attribute__((used)) static void vfork_offset(void)
{
    __asm__ volatile(".set VFORK_CHILD, %c0"
                     :
                     : "i"(__builtin_offsetof(struct thread_state, vfork_child)));
}

/* ------------------------------------------------------------------ clone */

struct start {
    int (*fn)(void *);
    void *arg;
};

static int start_forked(void *arg)
{
    struct start s = *(struct start *)arg; /* our own copy of the parent's stack */
    fork_child();
    return s.fn(s.arg);
}

static int clone_forked(int (*fn)(void *), void *stack, int flags, void *arg, void *const more[3])
{
    struct start s = {.fn = fn, .arg = arg};
    fork_prepare_raw();
    int child = real.clone(start_forked, stack, flags, &s, more[0], more[1], more[2]);
    int saved = errno;
    fork_parent(child);
    errno = saved;
    return child;
}

HOOK int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    void *more[3];
    va_list ap;
    va_start(ap, arg);
    for (int i = 0; i < 3; i++) {
        more[i] = va_arg(ap, void *);
    }
    va_end(ap);
    if (!(flags & CLONE_VM) && fn && stack && !hooks_off()) {
        return clone_forked(fn, stack, flags, arg, more);
    }
    int was = self.vfork_child;
    bool mark = (flags & CLONE_VFORK) && (flags & CLONE_VM) && !(flags & CLONE_SETTLS);
    if (mark) {
        self.vfork_child = 1;
    }
    int child = real.clone(fn, stack, flags, arg, more[0], more[1], more[2]);
    if (mark) {
        self.vfork_child = was;
    }
    return child;
}

/* ------------------------------------------------------------------ daemon, forkpty */

static int null_for_stdio(void)
{
    int fd = (int)sys4(SYS_openat, AT_FDCWD, (long)_PATH_DEVNULL, O_RDWR, 0);
    if (fd < 0) {
        errno = -fd;
        return -1;
    }
    for (int to = STDIN_FILENO; to <= STDERR_FILENO; to++) {
        dup2(fd, to);
    }
    if (fd > STDERR_FILENO) {
        close(fd);
    }
    return 0;
}

HOOK int daemon(int nochdir, int noclose)
{
    pid_t child = fork();
    if (child < 0) {
        return -1;
    }
    if (child > 0) {
        _exit(0);
    }
    if (setsid() < 0) {
        return -1;
    }
    if (!nochdir && chdir("/") != 0) {
        return -1;
    }
    return noclose ? 0 : null_for_stdio();
}

HOOK int forkpty(int *master, char *name, const struct termios *term, const struct winsize *size)
{
    int m;
    int s;
    if (openpty(&m, &s, name, term, size) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child < 0) {
        close(m);
        close(s);
        return -1;
    }
    if (child > 0) {
        *master = m;
        close(s);
        return child;
    }
    close(m);
    for (int to = STDIN_FILENO; to <= STDERR_FILENO; to++) {
        fdtab_drop(to); /* login_tty overwrites them inside libc */
    }
    if (login_tty(s) != 0) {
        _exit(1);
    }
    return 0;
}
