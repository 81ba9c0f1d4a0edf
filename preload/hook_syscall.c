/*
 * Theory: programs that make their system calls through libc's syscall() (libuv closes every
 * descriptor so) must meet the same hooks. A number that has a hook goes to it, with libc's
 * convention for errno on both sides; every other number goes to libc untouched. io_uring_setup
 * answers ENOSYS, so that its users fall back to calls that we see: a ring would act on
 * placeholders.
 *
 * Differences between the system call and the hook's function are handled here: pselect6's sixth
 * argument, the size of signal sets (libc's functions pass it themselves; another size than 8 goes
 * to the kernel, which refuses it), clone's many meanings. Nothing allocates, and six registers are
 * passed on whether they were set or not.
 */
#include "preload/hook.h"
#include "preload/real.h"

#include <linux/sched.h>

#include "preload/fork.h"
#include "preload/startup.h"
#include "tun/sys.h"

#define SET_SIZE 8 /* the kernel's signal set */

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* From registers to what the hooks take. */
#define INT(i)      ((int)a[i])
#define UNSIGNED(i) ((unsigned)a[i])
#define SIZE(i)     ((size_t)a[i])
#define PTR(i)      ((void *)a[i])

static long pass(long number, const long a[6])
{
    return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bool descriptors(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_close:
        *ret = close(INT(0));
        return true;
    case SYS_close_range:
        *ret = close_range(UNSIGNED(0), UNSIGNED(1), INT(2));
        return true;
    case SYS_dup:
        *ret = dup(INT(0));
        return true;
    case SYS_dup2:
        *ret = dup2(INT(0), INT(1));
        return true;
    case SYS_dup3:
        *ret = dup3(INT(0), INT(1), INT(2));
        return true;
    case SYS_fcntl:
        *ret = fcntl(INT(0), INT(1), PTR(2));
        return true;
    case SYS_ioctl:
        *ret = ioctl(INT(0), (unsigned long)a[1], PTR(2));
        return true;
    default:
        return false;
    }
}

static bool sockets(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_socket:
        *ret = socket(INT(0), INT(1), INT(2));
        return true;
    case SYS_socketpair:
        *ret = socketpair(INT(0), INT(1), INT(2), PTR(3));
        return true;
    case SYS_bind:
        *ret = bind(INT(0), PTR(1), (socklen_t)a[2]);
        return true;
    case SYS_listen:
        *ret = listen(INT(0), INT(1));
        return true;
    case SYS_accept:
        *ret = accept(INT(0), PTR(1), PTR(2));
        return true;
    case SYS_accept4:
        *ret = accept4(INT(0), PTR(1), PTR(2), INT(3));
        return true;
    case SYS_connect:
        *ret = connect(INT(0), PTR(1), (socklen_t)a[2]);
        return true;
    case SYS_shutdown:
        *ret = shutdown(INT(0), INT(1));
        return true;
    case SYS_getsockname:
        *ret = getsockname(INT(0), PTR(1), PTR(2));
        return true;
    case SYS_getpeername:
        *ret = getpeername(INT(0), PTR(1), PTR(2));
        return true;
    case SYS_getsockopt:
        *ret = getsockopt(INT(0), INT(1), INT(2), PTR(3), PTR(4));
        return true;
    case SYS_setsockopt:
        *ret = setsockopt(INT(0), INT(1), INT(2), PTR(3), (socklen_t)a[4]);
        return true;
    default:
        return false;
    }
}

static bool data(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_read:
        *ret = read(INT(0), PTR(1), SIZE(2));
        return true;
    case SYS_readv:
        *ret = readv(INT(0), PTR(1), INT(2));
        return true;
    case SYS_recvfrom:
        *ret = recvfrom(INT(0), PTR(1), SIZE(2), INT(3), PTR(4), PTR(5));
        return true;
    case SYS_recvmsg:
        *ret = recvmsg(INT(0), PTR(1), INT(2));
        return true;
    case SYS_recvmmsg:
        *ret = recvmmsg(INT(0), PTR(1), UNSIGNED(2), INT(3), PTR(4));
        return true;
    case SYS_write:
        *ret = write(INT(0), PTR(1), SIZE(2));
        return true;
    case SYS_writev:
        *ret = writev(INT(0), PTR(1), INT(2));
        return true;
    case SYS_sendto:
        *ret = sendto(INT(0), PTR(1), SIZE(2), INT(3), PTR(4), (socklen_t)a[5]);
        return true;
    case SYS_sendmsg:
        *ret = sendmsg(INT(0), PTR(1), INT(2));
        return true;
    case SYS_sendmmsg:
        *ret = sendmmsg(INT(0), PTR(1), UNSIGNED(2), INT(3));
        return true;
    case SYS_sendfile:
        *ret = sendfile(INT(0), INT(1), PTR(2), SIZE(3));
        return true;
    case SYS_splice:
        *ret = splice(INT(0), PTR(1), INT(2), PTR(3), SIZE(4), UNSIGNED(5));
        return true;
    default:
        return false;
    }
}

/* pselect6: the mask and its size lie behind one pointer, and the timeout is written back. */
static long pselect6(const long a[6])
{
    struct {
        const sigset_t *mask;
        size_t size;
    } const *arg = PTR(5);
    struct timespec t;
    if (arg && arg->mask && arg->size != SET_SIZE) {
        return pass(SYS_pselect6, a);
    }
    if (PTR(4)) {
        t = *(struct timespec *)PTR(4);
    }
    return pselect(INT(0), PTR(1), PTR(2), PTR(3), PTR(4) ? &t : NULL, arg ? arg->mask : NULL);
}

static bool readiness(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_poll:
        *ret = poll(PTR(0), (nfds_t)a[1], INT(2));
        return true;
    case SYS_ppoll:
        if (PTR(3) && SIZE(4) != SET_SIZE) {
            return false;
        }
        *ret = ppoll(PTR(0), (nfds_t)a[1], PTR(2), PTR(3));
        return true;
    case SYS_select:
        *ret = select(INT(0), PTR(1), PTR(2), PTR(3), PTR(4));
        return true;
    case SYS_pselect6:
        *ret = pselect6(a);
        return true;
    default:
        return false;
    }
}

static bool epolls(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_epoll_create:
        *ret = epoll_create(INT(0));
        return true;
    case SYS_epoll_create1:
        *ret = epoll_create1(INT(0));
        return true;
    case SYS_epoll_ctl:
        *ret = epoll_ctl(INT(0), INT(1), INT(2), PTR(3));
        return true;
    case SYS_epoll_wait:
        *ret = epoll_wait(INT(0), PTR(1), INT(2), INT(3));
        return true;
    case SYS_epoll_pwait:
        if (PTR(4) && SIZE(5) != SET_SIZE) {
            return false;
        }
        *ret = epoll_pwait(INT(0), PTR(1), INT(2), INT(3), PTR(4));
        return true;
    case SYS_epoll_pwait2:
        if (PTR(4) && SIZE(5) != SET_SIZE) {
            return false;
        }
        *ret = epoll_pwait2(INT(0), PTR(1), INT(2), PTR(3), PTR(4));
        return true;
    case SYS_io_uring_setup:
        if (!startup_done) {
            return false;
        }
        errno = ENOSYS;
        *ret = -1;
        return true;
    default:
        return false;
    }
}

/* A raw fork runs no fork handlers. */
static long fork_raw(long number, const long a[6])
{
    fork_prepare_raw();
    long child = pass(number, a);
    int saved = errno;
    if (child == 0) {
        fork_child();
    } else {
        fork_parent((pid_t)child);
    }
    errno = saved;
    return child;
}

/* Only what forks: a child with memory of its own that goes on here. Threads and shared memory need
 * the caller's own assembler anyway. */
static bool forks(long number, const long a[6])
{
    if (number == SYS_fork) {
        return true;
    }
    if (number == SYS_clone) {
        return !(a[0] & CLONE_VM) && PTR(1) == NULL;
    }
    const struct clone_args *args = PTR(0);
    return number == SYS_clone3 && SIZE(1) >= CLONE_ARGS_SIZE_VER0 && args &&
           !(args->flags & CLONE_VM) && args->stack == 0;
}

static bool processes(long number, const long a[6], long *ret)
{
    switch (number) {
    case SYS_execve:
        *ret = execve(PTR(0), PTR(1), PTR(2));
        return true;
    case SYS_execveat:
        *ret = execveat(INT(0), PTR(1), PTR(2), PTR(3), INT(4));
        return true;
    case SYS_fork:
    case SYS_clone:
    case SYS_clone3:
        if (!forks(number, a)) {
            return false;
        }
        *ret = fork_raw(number, a);
        return true;
    default:
        return false;
    }
}

HOOK long syscall(long number, ...)
{
    long a[6];
    long ret;
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);
    bool exec = number == SYS_execve || number == SYS_execveat; /* in a vfork child too */
    if ((!hooks_off() || exec) &&
        (descriptors(number, a, &ret) || data(number, a, &ret) || sockets(number, a, &ret) ||
         readiness(number, a, &ret) || epolls(number, a, &ret) || processes(number, a, &ret))) {
        return ret;
    }
    return pass(number, a);
}
