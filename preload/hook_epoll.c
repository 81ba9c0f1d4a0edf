/*
 * Theory: the epoll calls. A set that never held a stack socket is libc's alone, except that the
 * hidden entries may come in while a thread sleeps in it: what libc's epoll_wait returns is
 * filtered then, and the wait goes on as ours.
 */
#include <errno.h>
#include <limits.h>

#include "preload/epset.h"
#include "preload/hook.h"
#include "preload/startup.h"

#define EVENTS_MAX (INT_MAX / (int)sizeof(struct epoll_event))

/* Every set is known from its birth, so that its dups are. */
static int created(int epfd)
{
    if (epfd >= 0 && !hooks_off() && startup_done) {
        fdtab_adopt(epfd, FILE_EPOLL);
    }
    return epfd;
}

HOOK int epoll_create(int size)
{
    return created(real.epoll_create(size));
}

HOOK int epoll_create1(int flags)
{
    return created(real.epoll_create1(flags));
}

static int ctl_kernel(int epfd, int op, int fd, struct epoll_event *ev)
{
    struct file *ep = hook_epset(epfd);
    struct file *inner = ep ? hook_epset(fd) : NULL;
    if (inner && op == EPOLL_CTL_ADD && inner != ep) {
        epset_nest(fd, inner);
    }
    if (ep && fdtab_hidden(fd)) {
        return (int)hook_ret(-EBADF);
    }
    int ret = real.epoll_ctl(epfd, op, fd, ev);
    if (ret == 0 && ep && op != EPOLL_CTL_MOD) {
        epset_count(ep, op);
    }
    return ret;
}

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    struct file *target = hook_sock(fd);
    if (!target || (op == EPOLL_CTL_ADD && !fdtab_check(fd))) {
        return ctl_kernel(epfd, op, fd, ev);
    }
    return (int)hook_ret(epset_ctl(epfd, op, fd, target, ev));
}

static bool armed(const struct file *f)
{
    return f && f->ep && f->ep->armed;
}

static long wait_ours(int epfd, struct file *f, struct epoll_event *ev, int max, nsec timeout,
                      const sigset_t *mask)
{
    pthread_testcancel();
    if (max <= 0 || max > EVENTS_MAX) {
        return -EINVAL;
    }
    if (!ev) {
        return -EFAULT;
    }
    return epset_wait(epfd, f, ev, max, timeout, mask);
}

/* libc has waited; perhaps the set became ours meanwhile. True: the wait goes on, with what is
 * left of the time. */
static bool became_ours(const struct file *f, struct epoll_event *ev, int *n)
{
    if (LIKELY(*n <= 0 || !armed(f))) {
        return false;
    }
    *n = epset_filter((struct file *)(uintptr_t)f, ev, *n);
    return *n == 0;
}

static nsec ns_of_ms(int ms)
{
    return ms < 0 ? NEVER : ms * MSEC;
}

static nsec left_of(nsec timeout, nsec start)
{
    return timeout == NEVER ? NEVER : nsec_max(timeout - (session_now() - start), 0);
}

HOOK int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
    struct file *f = hook_epset(epfd);
    nsec ns = ns_of_ms(timeout);
    if (!armed(f)) {
        nsec start = f && timeout > 0 ? session_now() : 0;
        int n = real.epoll_pwait(epfd, ev, max, timeout, mask);
        if (!became_ours(f, ev, &n)) {
            return n;
        }
        ns = timeout > 0 ? left_of(ns, start) : ns;
    }
    return (int)hook_ret(wait_ours(epfd, f, ev, max, ns, mask));
}

HOOK int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
    struct file *f = hook_epset(epfd);
    nsec ns = ns_of_ms(timeout);
    if (!armed(f)) {
        nsec start = f && timeout > 0 ? session_now() : 0;
        int n = real.epoll_wait(epfd, ev, max, timeout);
        if (!became_ours(f, ev, &n)) {
            return n;
        }
        ns = timeout > 0 ? left_of(ns, start) : ns;
    }
    return (int)hook_ret(wait_ours(epfd, f, ev, max, ns, NULL));
}

HOOK int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
                      const sigset_t *mask)
{
    struct file *f = hook_epset(epfd);
    bool valid =
        !timeout || (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < SEC);
    nsec ns = NEVER;
    if (timeout && valid && timeout->tv_sec < NEVER / SEC) {
        ns = (nsec)timeout->tv_sec * SEC + timeout->tv_nsec;
    }
    if (!armed(f) || !valid) {
        nsec start = f && ns != 0 ? session_now() : 0;
        int n = real.epoll_pwait2(epfd, ev, max, timeout, mask);
        if (!became_ours(f, ev, &n)) {
            return n;
        }
        ns = left_of(ns, start);
    }
    return (int)hook_ret(wait_ours(epfd, f, ev, max, ns, mask));
}
