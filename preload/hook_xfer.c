/*
 * Theory: the read, write, recv and send families, each a thin face of my_recv or my_send
 * (my_xfer.c). For a descriptor that is not ours a hook is one table look-up and libc's own
 * function. Descriptors that arrive over an AF_UNIX socket may be stack sockets of another
 * process: the table learns of them here.
 */
#include <limits.h>
#include <string.h>

#include "preload/hook.h"
#include "preload/rights.h"
#include "preload/xfer.h"
#include "tun/session.h"

/* ------------------------------------------------------------------ receiving */

HOOK ssize_t read(int fd, void *buf, size_t n)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.read(fd, buf, n);
    }
    pthread_testcancel();
    return n == 0 ? 0 : hook_ret(my_recv_buf(fd, f, buf, n, 0));
}

static long readv_ours(int fd, struct file *f, const struct iovec *iov, int n)
{
    pthread_testcancel();
    if (n < 0 || n > XFER_IOV_MAX) {
        return -EINVAL;
    }
    struct xfer x = {.iov = iov, .iovcnt = (size_t)n};
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > 0) {
            return my_recv(fd, f, &x, 0);
        }
    }
    return 0; /* nothing asked for: Linux does not even look */
}

HOOK ssize_t readv(int fd, const struct iovec *iov, int n)
{
    struct file *f = hook_sock(fd);
    return f ? hook_ret(readv_ours(fd, f, iov, n)) : real.readv(fd, iov, n);
}

HOOK ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    struct file *f = hook_sock(fd);
    if (!f || off != -1) {
        return real.preadv2(fd, iov, n, off, flags); /* ESPIPE */
    }
    return hook_ret(flags & ~(RWF_HIPRI | RWF_NOWAIT) ? -EOPNOTSUPP : readv_ours(fd, f, iov, n));
}

HOOK ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.recv(fd, buf, n, flags);
    }
    pthread_testcancel();
    return hook_ret(my_recv_buf(fd, f, buf, n, flags));
}

HOOK ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.recvfrom(fd, buf, n, flags, from, len);
    }
    pthread_testcancel();
    struct iovec iov = {.iov_base = buf, .iov_len = min_size(n, XFER_MAX)};
    struct xfer x = {.iov = &iov, .iovcnt = 1, .name = from, .namelen = from ? len : NULL};
    return hook_ret(my_recv(fd, f, &x, flags));
}

HOOK ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct file *f = hook_sock(fd);
    if (f) {
        pthread_testcancel();
        return hook_ret(my_recvmsg(fd, f, msg, flags));
    }
    ssize_t n = real.recvmsg(fd, msg, flags);
    if (UNLIKELY(n >= 0 && rights_maybe(msg)) && !hooks_off()) {
        rights_arrive(msg, flags & MSG_PEEK);
    }
    return n;
}

static nsec ns_of(const struct timespec *ts)
{
    return (nsec)ts->tv_sec * SEC + ts->tv_nsec;
}

/* The timeout is looked at after each datagram only, and what is left of it is written back: as
 * Linux does. */
static long recvmmsg_ours(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags,
                          struct timespec *timeout)
{
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= SEC)) {
        return -EINVAL;
    }
    nsec end = timeout ? nsec_add(session_now(), ns_of(timeout)) : NEVER;
    unsigned done = 0;
    long err = 0;
    n = n > XFER_IOV_MAX ? XFER_IOV_MAX : n;
    while (done < n) {
        err = my_recvmsg(fd, f, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (err < 0) {
            break;
        }
        msgs[done++].msg_len = (unsigned)err;
        flags |= flags & MSG_WAITFORONE ? MSG_DONTWAIT : 0;
        if (timeout && session_now() >= end) {
            break;
        }
    }
    if (timeout && done > 0) {
        nsec left = nsec_max(end - session_now(), 0);
        timeout->tv_sec = left / SEC;
        timeout->tv_nsec = left % SEC;
    }
    return done > 0 ? (long)done : err;
}

HOOK int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
    struct file *f = hook_sock(fd);
    if (f) {
        pthread_testcancel();
        return (int)hook_ret(recvmmsg_ours(fd, f, msgs, n, flags, timeout));
    }
    int got = real.recvmmsg(fd, msgs, n, flags, timeout);
    for (int i = 0; i < got && !hooks_off(); i++) {
        if (rights_maybe(&msgs[i].msg_hdr)) {
            rights_arrive(&msgs[i].msg_hdr, flags & MSG_PEEK);
        }
    }
    return got;
}

/* ------------------------------------------------------------------ sending */

HOOK ssize_t write(int fd, const void *buf, size_t n)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.write(fd, buf, n);
    }
    pthread_testcancel();
    return hook_ret(my_send_buf(fd, f, buf, n, 0));
}

static long writev_ours(int fd, struct file *f, const struct iovec *iov, int n)
{
    pthread_testcancel();
    if (n < 0 || n > XFER_IOV_MAX) {
        return -EINVAL;
    }
    struct xfer x = {.iov = iov, .iovcnt = (size_t)n};
    return my_send(fd, f, &x, 0);
}

HOOK ssize_t writev(int fd, const struct iovec *iov, int n)
{
    struct file *f = hook_sock(fd);
    return f ? hook_ret(writev_ours(fd, f, iov, n)) : real.writev(fd, iov, n);
}

HOOK ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    struct file *f = hook_sock(fd);
    if (!f || off != -1) {
        return real.pwritev2(fd, iov, n, off, flags); /* ESPIPE */
    }
    return hook_ret(flags & ~(RWF_HIPRI | RWF_NOWAIT) ? -EOPNOTSUPP : writev_ours(fd, f, iov, n));
}

HOOK ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.send(fd, buf, n, flags);
    }
    pthread_testcancel();
    return hook_ret(my_send_buf(fd, f, buf, n, flags));
}

HOOK ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
                    socklen_t len)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        return real.sendto(fd, buf, n, flags, to, len);
    }
    pthread_testcancel();
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = min_size(n, XFER_MAX)};
    struct xfer x = {
        .iov = &iov, .iovcnt = 1, .name = (struct sockaddr *)(uintptr_t)to, .namelen = &len};
    return hook_ret(my_send(fd, f, &x, flags));
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct file *f = hook_sock(fd);
    if (LIKELY(!f)) {
        bool carries = UNLIKELY(rights_maybe(msg)) && !hooks_off();
        if (carries) {
            rights_depart(msg);
        }
        ssize_t n = real.sendmsg(fd, msg, flags);
        if (carries && n < 0) {
            rights_return(msg);
        }
        return n;
    }
    pthread_testcancel();
    return hook_ret(my_sendmsg(fd, f, msg, flags));
}

static long sendmmsg_ours(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags)
{
    unsigned done = 0;
    long err = 0;
    n = n > XFER_IOV_MAX ? XFER_IOV_MAX : n;
    while (done < n) {
        err = my_sendmsg(fd, f, &msgs[done].msg_hdr, flags);
        if (err < 0) {
            break;
        }
        msgs[done++].msg_len = (unsigned)err;
    }
    return done > 0 ? (long)done : err;
}

HOOK int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        unsigned carry = hooks_off() || !msgs ? 0 : n;
        for (unsigned i = 0; i < carry; i++) {
            if (rights_maybe(&msgs[i].msg_hdr)) {
                rights_depart(&msgs[i].msg_hdr);
            }
        }
        int sent = real.sendmmsg(fd, msgs, n, flags);
        for (unsigned i = sent < 0 ? 0 : (unsigned)sent; i < carry; i++) {
            if (rights_maybe(&msgs[i].msg_hdr)) {
                rights_return(&msgs[i].msg_hdr);
            }
        }
        return sent;
    }
    pthread_testcancel();
    return (int)hook_ret(sendmmsg_ours(fd, f, msgs, n, flags));
}
