/*
 * Theory: what the hooks share. core has its own error numbers; here they become errno's, by
 * token pasting. A stream socket's EPIPE comes with a signal that core cannot raise: it is sent
 * to the calling thread once the stack is left, so that a handler finds the world as after the
 * kernel's.
 */
#include "preload/hook.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/abi.h"
#include "core/err.h"
#include "tun/session.h"
#include "tun/sys.h"

_Static_assert(LX_POLLIN == POLLIN && LX_POLLOUT == POLLOUT && LX_POLLRDHUP == POLLRDHUP, "abi");
_Static_assert(LX_EPOLLET == (uint32_t)EPOLLET && LX_EPOLLONESHOT == EPOLLONESHOT, "abi");
_Static_assert(LX_MSG_DONTWAIT == (int)MSG_DONTWAIT && LX_MSG_WAITALL == (int)MSG_WAITALL, "abi");
_Static_assert(LX_O_NONBLOCK == O_NONBLOCK, "abi");
_Static_assert(LX_SO_RCVTIMEO == SO_RCVTIMEO && LX_SO_PROTOCOL == SO_PROTOCOL, "abi");

static const int errno_table[ERR_COUNT] = {
#define ERR(name, text) [ERR_##name] = E##name,
    ERR_LIST
#undef ERR
};

long errno_of(int64_t ret)
{
    if (LIKELY(ret >= 0)) {
        return (long)ret;
    }
    return ret > -(int64_t)ERR_COUNT ? -errno_table[-ret] : -EIO;
}

void hook_sigpipe(void)
{
    sys3(SYS_tgkill, sys3(SYS_getpid, 0, 0, 0), sys3(SYS_gettid, 0, 0, 0), SIGPIPE);
}

int hook_kernel_sock(int family)
{
    static _Atomic int cached[2] = {-1, -1};
    _Atomic int *place = &cached[family == AF_INET6];
    int fd = *place;
    if (fd >= 0 && sys3(SYS_fcntl, fd, 1 /* F_GETFD */, 0) >= 0) {
        return fd;
    }
    int fresh = (int)sys3(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fresh < 0) {
        return fresh;
    }
    fresh = fd_high(fresh);
    if (!atomic_compare_exchange_strong(place, &fd, fresh)) {
        sys3(SYS_close, fresh, 0, 0); /* another thread was faster */
        return fd;
    }
    fdtab_hide(fresh);
    return fresh;
}
