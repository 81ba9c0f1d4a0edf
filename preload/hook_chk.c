/*
 * Purpose: the names that _FORTIFY_SOURCE gives to calls whose buffer's size the compiler knows.
 * The check is ours, the call is the plain hook; what is too long goes to libc's own, which aborts
 * with its own words.
 */
#include "preload/real.h"

HOOK ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
    return len > size ? real.__read_chk(fd, buf, len, size) : read(fd, buf, len);
}

HOOK ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
    return len > size ? real.__recv_chk(fd, buf, len, size, flags) : recv(fd, buf, len, flags);
}

HOOK ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags,
                            struct sockaddr *from, socklen_t *fromlen)
{
    return len > size ? real.__recvfrom_chk(fd, buf, len, size, flags, from, fromlen)
                      : recvfrom(fd, buf, len, flags, from, fromlen);
}

HOOK int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
    return n > size / sizeof *fds ? real.__poll_chk(fds, n, timeout, size) : poll(fds, n, timeout);
}

HOOK int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                     const sigset_t *mask, size_t size)
{
    return n > size / sizeof *fds ? real.__ppoll_chk(fds, n, timeout, mask, size)
                                  : ppoll(fds, n, timeout, mask);
}
