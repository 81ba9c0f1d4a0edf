/*
 * Purpose: what libuv and tun/ call instead of a hooked function.
 *
 * preload.mk renames the calls in their objects, so that our own loop never meets our own hooks: a
 * hooked name becomes real_NAME, libc's own function again; one that makes a descriptor becomes
 * own_NAME, which moves it out of the program's way and hides it at once (tun/fd.h). close forgets
 * it. A program that closes every descriptor cannot take these.
 */
#include "preload/real.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "tun/fd.h"
#include "tun/session.h"

/* clang-format off */
#define CALL(ret, name, params, args) \
    ret real_##name params;           \
    ret real_##name params            \
    {                                 \
        return real.name args;        \
    }
#include "preload/calls.h"
/* clang-format on */

int real_fcntl(int fd, int cmd, void *arg);
int real_ioctl(int fd, unsigned long request, void *arg);
long real_syscall(long number, long a, long b, long c, long d, long e, long f);
int own_close(int fd);
int own_socket(int domain, int type, int proto);
int own_socketpair(int domain, int type, int proto, int sv[2]);
int own_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int own_epoll_create(int size);
int own_epoll_create1(int flags);
int own_eventfd(unsigned value, int flags);
int own_pipe2(int p[2], int flags);
int own_open64(const char *path, int flags, mode_t mode);
int own_inotify_init1(int flags);

/* Called through a variadic prototype: on x86-64 the registers are the same. */
int real_fcntl(int fd, int cmd, void *arg)
{
    return real.fcntl(fd, cmd, arg);
}

int real_ioctl(int fd, unsigned long request, void *arg)
{
    return real.ioctl(fd, request, arg);
}

/* libuv closes with syscall(SYS_close, fd). */
long real_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_close) {
        return own_close((int)a);
    }
    return real.syscall(number, a, b, c, d, e, f);
}

int own_close(int fd)
{
    if (session_fd_hook) {
        session_fd_hook(fd, false);
    }
    return real.close(fd);
}

/* Announced and high; errno as the maker left it. */
static int own(int fd)
{
    int saved = errno;
    fd = fd_ours(fd);
    errno = saved;
    return fd;
}

static int own_two(int ret, int p[2])
{
    if (ret == 0) {
        p[0] = own(p[0]);
        p[1] = own(p[1]);
    }
    return ret;
}

int own_socket(int domain, int type, int proto)
{
    return own(real.socket(domain, type, proto));
}

int own_socketpair(int domain, int type, int proto, int sv[2])
{
    return own_two(real.socketpair(domain, type, proto, sv), sv);
}

int own_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return own(real.accept4(fd, addr, len, flags));
}

int own_epoll_create(int size)
{
    return own(real.epoll_create(size));
}

int own_epoll_create1(int flags)
{
    return own(real.epoll_create1(flags));
}

int own_eventfd(unsigned value, int flags)
{
    return own(eventfd(value, flags));
}

int own_pipe2(int p[2], int flags)
{
    return own_two(pipe2(p, flags), p);
}

int own_open64(const char *path, int flags, mode_t mode)
{
    return own(open64(path, flags, mode));
}

int own_inotify_init1(int flags)
{
    return own(inotify_init1(flags));
}
