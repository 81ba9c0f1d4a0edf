/*
 * hook.h - what each hook starts and ends with, and the calls behind the hooks.
 *
 * Every interposed call has three names: `recv` is the hook, `my_recv` is ours for a stack
 * socket, `real.recv` is libc's. A hook looks the descriptor up (one lock-free read), goes to
 * libc when it is not ours, and otherwise turns the answer of ours, a value or -errno, into
 * libc's convention. errno is set here and nowhere else, and only on failure.
 */
#ifndef STANDIN_PRELOAD_HOOK_H
#define STANDIN_PRELOAD_HOOK_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "core/check.h"
#include "preload/enter.h"
#include "preload/fdtab.h"
#include "preload/real.h"

/* core's -ERR_x as -errno; other values as they are. */
long errno_of(int64_t ret);

/* -errno as libc says it. */
static inline long hook_ret(long r)
{
    if (UNLIKELY(r < 0)) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* libc's convention as -errno. */
static inline long hook_errno(long r)
{
    return r < 0 ? -errno : r;
}

/* The stack socket behind a descriptor, or NULL: the call is libc's. Async-signal-safe. */
static inline struct file *hook_sock(int fd)
{
    if (hooks_off()) {
        return NULL;
    }
    struct file *f = fdtab_get(fd);
    return UNLIKELY(f != NULL) && f->kind == FILE_SOCK && f->sock.s ? f : NULL;
}

/* The epoll set behind a descriptor if it may hold stack sockets, or NULL. */
static inline struct file *hook_epset(int fd)
{
    if (hooks_off()) {
        return NULL;
    }
    struct file *f = fdtab_get(fd);
    return UNLIKELY(f != NULL) && f->kind == FILE_EPOLL ? f : NULL;
}

/* Enters for a stack socket: the socket, or NULL when it is gone (then not entered: EBADF). */
static inline struct sock *hook_enter(struct env **env, const struct sock_ref *r)
{
    *env = enter();
    if (UNLIKELY(*env == NULL)) {
        return NULL;
    }
    if (UNLIKELY(!sock_ref_ok(r))) {
        leave(*env);
        return NULL;
    }
    return r->s;
}

/* hook_sock.c */
long my_socket(int domain, int type, int protocol);
long my_bind(int fd, struct file *f, const struct sockaddr *sa, socklen_t len);
long my_listen(int fd, struct file *f, int backlog);
long my_accept4(int fd, struct file *f, struct sockaddr *sa, socklen_t *len, int flags);
/* Where a connection to that address goes: the socket is the stack's or the kernel's from here on
 * (then `f` must not be used). AIM_NOWHERE: AF_UNSPEC. Or -errno. */
enum { AIM_STACK, AIM_NOWHERE, AIM_KERNEL };
int my_aim(int fd, struct file *f, const struct sockaddr *sa, socklen_t len, struct endpoint *to);
long my_connect(int fd, struct file *f, const struct sockaddr *sa, socklen_t len);
long my_shutdown(int fd, struct file *f, int how);
long my_getsockname(int fd, struct file *f, struct sockaddr *sa, socklen_t *len);
long my_getpeername(int fd, struct file *f, struct sockaddr *sa, socklen_t *len);

/* hook_xfer.c: iovcnt within 0..1024 was checked. */
struct xfer {
    const struct iovec *iov;
    size_t iovcnt;
    struct sockaddr *name; /* NULL: not asked for, or none given */
    socklen_t *namelen;    /* recv: in and out; send: in */
    struct msghdr
        *msg; /* recvmsg: control and flags go here; sendmsg: control comes from here; or NULL */
};
long my_recv(int fd, struct file *f, struct xfer *x, int flags);
long my_send(int fd, struct file *f, struct xfer *x, int flags);
long my_recvmsg(int fd, struct file *f, struct msghdr *msg, int flags);
long my_sendmsg(int fd, struct file *f, const struct msghdr *msg, int flags);
/* One buffer, MSG_DONTWAIT if asked for; SIGPIPE as for send. */
long my_send_buf(int fd, struct file *f, const void *buf, size_t n, int flags);
long my_recv_buf(int fd, struct file *f, void *buf, size_t n, int flags);

/* hook_opt.c */
long my_getsockopt(int fd, struct file *f, int level, int name, void *val, socklen_t *len);
long my_setsockopt(int fd, struct file *f, int level, int name, const void *val, socklen_t len);
long my_ioctl(int fd, struct file *f, unsigned long request, void *arg);

/* F_SETOWN by whatever call: who gets SIGURG. */
void hook_set_owner(const struct file *f, int pid);

/* hook_poll.c: timeout in ns, NEVER: none. */
long my_poll(struct pollfd *fds, nfds_t n, nsec timeout, const sigset_t *mask);
long my_select(int n, fd_set *r, fd_set *w, fd_set *e, nsec timeout, const sigset_t *mask);

/* hook_file.c */
long my_sendfile(int out, struct file *f, int in, off_t *offset, size_t count);

/* The process's own descriptor of a socket of that family on the kernel's stack, for questions
 * about interfaces. */
int hook_kernel_sock(int family);

/* Raises SIGPIPE in this thread, as the kernel does for a stream; not entered. */
void hook_sigpipe(void);

#endif
