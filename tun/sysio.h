/*
 * sysio.h - the system calls that tun uses, by name; inline ones (sys.h): never libc's, never
 * hooked, without errno.
 *
 * Each returns what the kernel returns: >= 0 or -errno. Only what is used is here.
 */
#ifndef STANDIN_TUN_SYSIO_H
#define STANDIN_TUN_SYSIO_H

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "tun/sys.h"

static inline long sys_read(int fd, void *buf, size_t n)
{
    return sys3(SYS_read, fd, (long)buf, (long)n);
}

static inline long sys_pread(int fd, void *buf, size_t n, uint64_t at)
{
    return sys4(SYS_pread64, fd, (long)buf, (long)n, (long)at);
}

static inline long sys_write(int fd, const void *buf, size_t n)
{
    return sys3(SYS_write, fd, (long)buf, (long)n);
}

static inline long sys_readv(int fd, const struct iovec *v, size_t n)
{
    return sys3(SYS_readv, fd, (long)v, (long)n);
}

static inline long sys_writev(int fd, const struct iovec *v, size_t n)
{
    return sys3(SYS_writev, fd, (long)v, (long)n);
}

static inline int sys_uname(struct utsname *u)
{
    return (int)sys3(SYS_uname, (long)u, 0, 0);
}

static inline int sys_open(const char *path, int flags)
{
    return (int)sys4(SYS_openat, AT_FDCWD, (long)path, flags, 0);
}

static inline int sys_close(int fd)
{
    return (int)sys3(SYS_close, fd, 0, 0);
}

static inline int sys_fcntl(int fd, int cmd, long arg)
{
    return (int)sys3(SYS_fcntl, fd, cmd, arg);
}

static inline int sys_ioctl(int fd, unsigned long request, const void *arg)
{
    return (int)sys3(SYS_ioctl, fd, (long)request, (long)arg);
}

static inline int sys_fstat(int fd, struct stat *st)
{
    return (int)sys3(SYS_fstat, fd, (long)st, 0);
}

static inline int sys_ftruncate(int fd, size_t size)
{
    return (int)sys3(SYS_ftruncate, fd, (long)size, 0);
}

/* Sockets */

static inline int sys_socket(int family, int type, int proto)
{
    return (int)sys3(SYS_socket, family, type, proto);
}

static inline int sys_socketpair(int family, int type, int fd[2])
{
    return (int)sys4(SYS_socketpair, family, type, 0, (long)fd);
}

static inline int sys_bind(int fd, const void *addr, size_t len)
{
    return (int)sys3(SYS_bind, fd, (long)addr, (long)len);
}

static inline int sys_listen(int fd, int backlog)
{
    return (int)sys3(SYS_listen, fd, backlog, 0);
}

static inline int sys_accept(int fd, int flags)
{
    return (int)sys4(SYS_accept4, fd, 0, 0, flags);
}

static inline int sys_connect(int fd, const void *addr, size_t len)
{
    return (int)sys3(SYS_connect, fd, (long)addr, (long)len);
}

static inline long sys_send(int fd, const void *buf, size_t n, int flags)
{
    return sys6(SYS_sendto, fd, (long)buf, (long)n, flags, 0, 0);
}

static inline long sys_sendto(int fd, const void *buf, size_t n, int flags, const void *to,
                              size_t len)
{
    return sys6(SYS_sendto, fd, (long)buf, (long)n, flags, (long)to, (long)len);
}

static inline long sys_recv(int fd, void *buf, size_t n, int flags)
{
    return sys6(SYS_recvfrom, fd, (long)buf, (long)n, flags, 0, 0);
}

static inline long sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return sys3(SYS_sendmsg, fd, (long)m, flags);
}

static inline long sys_recvmsg(int fd, struct msghdr *m, int flags)
{
    return sys3(SYS_recvmsg, fd, (long)m, flags);
}

static inline int sys_setsockopt(int fd, int level, int name, const void *val, size_t len)
{
    return (int)sys6(SYS_setsockopt, fd, level, name, (long)val, (long)len, 0);
}

static inline int sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    return (int)sys6(SYS_getsockopt, fd, level, name, (long)val, (long)len, 0);
}

/* Waiting */

static inline int sys_epoll_create(void)
{
    return (int)sys3(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0);
}

static inline int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    return (int)sys4(SYS_epoll_ctl, epfd, op, fd, (long)ev);
}

static inline int sys_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    return (int)sys4(SYS_epoll_wait, epfd, (long)ev, max, timeout_ms);
}

static inline int sys_timerfd_create(int clock, int flags)
{
    return (int)sys3(SYS_timerfd_create, clock, flags, 0);
}

static inline int sys_timerfd_settime(int fd, int flags, const struct itimerspec *at)
{
    return (int)sys4(SYS_timerfd_settime, fd, flags, (long)at, 0);
}

/* Memory */

static inline void *sys_mmap(void *at, size_t len, int prot, int flags, int fd)
{
    return (void *)sys6(SYS_mmap, (long)at, (long)len, prot, flags, fd, 0);
}

/* What sys_mmap returned as -errno; 0 when it is a mapping. */
static inline int sys_mmap_err(const void *p)
{
    return (unsigned long)p > -4096ul ? (int)(long)p : 0;
}

static inline int sys_munmap(void *at, size_t len)
{
    return (int)sys3(SYS_munmap, (long)at, (long)len, 0);
}

static inline int sys_madvise(void *at, size_t len, int advice)
{
    return (int)sys3(SYS_madvise, (long)at, (long)len, advice);
}

static inline int sys_memfd_create(const char *name, unsigned flags)
{
    return (int)sys3(SYS_memfd_create, (long)name, flags, 0);
}

/* The process */

static inline pid_t sys_getpid(void)
{
    return (pid_t)sys3(SYS_getpid, 0, 0, 0);
}

static inline pid_t sys_gettid(void)
{
    return (pid_t)sys3(SYS_gettid, 0, 0, 0);
}

static inline long sys_getrandom(void *buf, size_t n)
{
    return sys3(SYS_getrandom, (long)buf, (long)n, 0);
}

static inline int sys_prlimit(int what, const struct rlimit *to, struct rlimit *from)
{
    return (int)sys4(SYS_prlimit64, 0, what, (long)to, (long)from);
}

static inline int sys_prctl(int what, const void *arg)
{
    return (int)sys3(SYS_prctl, what, (long)arg, 0);
}

static inline int sys_pidfd_open(pid_t pid)
{
    return (int)sys3(SYS_pidfd_open, pid, 0, 0);
}

static inline int sys_sigprocmask(int how, const uint64_t *set, uint64_t *old)
{
    return (int)sys4(SYS_rt_sigprocmask, how, (long)set, (long)old, sizeof *set);
}

static inline int sys_wait4(pid_t pid, int *status, int flags)
{
    return (int)sys4(SYS_wait4, pid, (long)status, flags, 0);
}

static inline int sys_dup3(int from, int to, int flags)
{
    return (int)sys3(SYS_dup3, from, to, flags);
}

static inline int sys_execve(const char *path, char *const argv[], char *const envp[])
{
    return (int)sys3(SYS_execve, (long)path, (long)argv, (long)envp);
}

static inline int sys_nanosleep(const struct timespec *ts)
{
    return (int)sys3(SYS_nanosleep, (long)ts, 0, 0);
}

#endif
