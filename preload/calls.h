/*
 * calls.h - every interposed function exactly once. No include guard: define the macros you need,
 * then include it.
 *
 *     CALL(ret, name, params, args)   a function: its hook is `name`, libc's own is `real.name`
 *     CALLV(ret, name, params)        the same with `...` at the end of its parameters
 *     CALLA(name)                     its hook is written in assembler; there is no real pointer
 *     ALIAS(name, of)                 another exported name of the hook `of` (alias.c)
 *     CHK(ret, name, params, args)    a fortified name: its hook checks the size and calls the
 *                                     plain
 *                                     one (hook_chk.c); libc's own is still `real.name`
 *
 * From here come the declarations and real pointers (real.h), the export list (exports.map) and the
 * test that every hook is taken. Not here, because a stack socket's placeholder, an unconnected
 * AF_UNIX socket, gets Linux's own answer from the kernel: pread, pwrite and lseek (ESPIPE), mmap
 * (ENODEV), fstat (S_IFSOCK), tee and vmsplice (EBADF, EINVAL).
 */
#ifndef CALL
#define CALL(ret, name, params, args)
#endif
#ifndef CALLV
#define CALLV(ret, name, params)
#endif
#ifndef CALLA
#define CALLA(name)
#endif
#ifndef ALIAS
#define ALIAS(name, of)
#endif
#ifndef CHK
#define CHK(ret, name, params, args) CALL(ret, name, params, args)
#endif

/* Sockets (hook_sock.c, hook_opt.c) */
CALL(int, socket, (int domain, int type, int proto), (domain, type, proto))
CALL(int, socketpair, (int domain, int type, int proto, int sv[2]), (domain, type, proto, sv))
CALL(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
CALL(int, bindresvport, (int fd, struct sockaddr_in *addr), (fd, addr))
CALL(int, listen, (int fd, int backlog), (fd, backlog))
CALL(int, accept, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
CALL(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     (fd, addr, len, flags))
CALL(int, connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
CALL(int, shutdown, (int fd, int how), (fd, how))
CALL(int, getsockname, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
CALL(int, getpeername, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
CALL(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *len),
     (fd, level, name, val, len))
CALL(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t len),
     (fd, level, name, val, len))
CALL(int, sockatmark, (int fd), (fd))
CALLV(int, ioctl, (int fd, unsigned long request, ...))

/* Data (hook_xfer.c) */
CALL(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
CALL(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n))
CALL(ssize_t, preadv2, (int fd, const struct iovec *iov, int n, off_t off, int flags),
     (fd, iov, n, off, flags))
CALL(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
CALL(ssize_t, recvfrom,
     (int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen),
     (fd, buf, len, flags, from, fromlen))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
CALL(int, recvmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout),
     (fd, msgs, n, flags, timeout))
CALL(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
CALL(ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n))
CALL(ssize_t, pwritev2, (int fd, const struct iovec *iov, int n, off_t off, int flags),
     (fd, iov, n, off, flags))
CALL(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
CALL(ssize_t, sendto,
     (int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t tolen),
     (fd, buf, len, flags, to, tolen))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
CALL(int, sendmmsg, (int fd, struct mmsghdr *msgs, unsigned n, int flags), (fd, msgs, n, flags))
CALL(ssize_t, sendfile, (int out, int in, off_t *off, size_t len), (out, in, off, len))
CALL(ssize_t, splice,
     (int in, off64_t *in_off, int out, off64_t *out_off, size_t len, unsigned flags),
     (in, in_off, out, out_off, len, flags))
CHK(ssize_t, __read_chk, (int fd, void *buf, size_t len, size_t size), (fd, buf, len, size))
CHK(ssize_t, __recv_chk, (int fd, void *buf, size_t len, size_t size, int flags),
    (fd, buf, len, size, flags))
CHK(ssize_t, __recvfrom_chk,
    (int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *from,
     socklen_t *fromlen),
    (fd, buf, len, size, flags, from, fromlen))
ALIAS(__read, read)
ALIAS(__write, write)
ALIAS(__send, send)
ALIAS(__connect, connect)
ALIAS(__sendmmsg, sendmmsg)
ALIAS(sendfile64, sendfile)
ALIAS(preadv64v2, preadv2)
ALIAS(pwritev64v2, pwritev2)

/* Readiness (hook_poll.c, hook_epoll.c) */
CALL(int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout))
CALL(int, ppoll,
     (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
     (fds, n, timeout, mask))
CALL(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout),
     (n, r, w, e, timeout))
CALL(int, pselect,
     (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask),
     (n, r, w, e, timeout, mask))
CALL(int, epoll_create, (int size), (size))
CALL(int, epoll_create1, (int flags), (flags))
CALL(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *ev), (epfd, op, fd, ev))
CALL(int, epoll_wait, (int epfd, struct epoll_event *ev, int max, int timeout),
     (epfd, ev, max, timeout))
CALL(int, epoll_pwait,
     (int epfd, struct epoll_event *ev, int max, int timeout, const sigset_t *mask),
     (epfd, ev, max, timeout, mask))
CALL(int, epoll_pwait2,
     (int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
      const sigset_t *mask),
     (epfd, ev, max, timeout, mask))
CHK(int, __poll_chk, (struct pollfd * fds, nfds_t n, int timeout, size_t size),
    (fds, n, timeout, size))
CHK(int, __ppoll_chk,
    (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
     size_t size),
    (fds, n, timeout, mask, size))
ALIAS(__poll, poll)
ALIAS(__select, select)

/* Descriptors (hook_fd.c) */
CALL(int, close, (int fd), (fd))
CALL(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags))
CALL(void, closefrom, (int low), (low))
CALL(int, dup, (int fd), (fd))
CALL(int, dup2, (int fd, int to), (fd, to))
CALL(int, dup3, (int fd, int to, int flags), (fd, to, flags))
CALLV(int, fcntl, (int fd, int cmd, ...))
ALIAS(fcntl64, fcntl)
ALIAS(__fcntl, fcntl)
ALIAS(__close, close)
ALIAS(__dup2, dup2)

/* stdio on a socket (hook_stdio.c) */
CALL(FILE *, fdopen, (int fd, const char *mode), (fd, mode))
CALL(int, vdprintf, (int fd, const char *format, va_list ap), (fd, format, ap))
CALLV(int, dprintf, (int fd, const char *format, ...))
CHK(int, __vdprintf_chk, (int fd, int flag, const char *format, va_list ap), (fd, flag, format, ap))
CALLV(int, __dprintf_chk, (int fd, int flag, const char *format, ...))
ALIAS(_IO_fdopen, fdopen)

/* Processes (hook_proc.c, hook_exec.c) */
CALL(pid_t, fork, (void), ())
CALL(pid_t, _Fork, (void), ())
CALLA(vfork)
CALLA(__vfork)
CALLV(int, clone, (int (*fn)(void *), void *stack, int flags, void *arg, ...))
CALL(int, forkpty,
     (int *master, char *name, const struct termios *term, const struct winsize *size),
     (master, name, term, size))
CALL(int, daemon, (int nochdir, int noclose), (nochdir, noclose))
CALL(int, execve, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp))
CALL(int, execv, (const char *path, char *const argv[]), (path, argv))
CALL(int, execvp, (const char *file, char *const argv[]), (file, argv))
CALL(int, execvpe, (const char *file, char *const argv[], char *const envp[]), (file, argv, envp))
CALL(int, execveat, (int dir, const char *path, char *const argv[], char *const envp[], int flags),
     (dir, path, argv, envp, flags))
CALL(int, fexecve, (int fd, char *const argv[], char *const envp[]), (fd, argv, envp))
CALLV(int, execl, (const char *path, const char *arg, ...))
CALLV(int, execlp, (const char *file, const char *arg, ...))
CALLV(int, execle, (const char *path, const char *arg, ...))
CALL(int, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *fa,
      const posix_spawnattr_t *attr, char *const argv[], char *const envp[]),
     (pid, path, fa, attr, argv, envp))
CALL(int, posix_spawnp,
     (pid_t * pid, const char *file, const posix_spawn_file_actions_t *fa,
      const posix_spawnattr_t *attr, char *const argv[], char *const envp[]),
     (pid, file, fa, attr, argv, envp))
CALL(int, system, (const char *command), (command))
CALL(FILE *, popen, (const char *command, const char *type), (command, type))
ALIAS(_IO_popen, popen)
ALIAS(__fork, fork)

/* Limits (hook_limit.c) */
CALL(int, getrlimit, (__rlimit_resource_t what, struct rlimit *lim), (what, lim))
CALL(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *lim), (what, lim))
CALL(int, prlimit,
     (pid_t pid, __rlimit_resource_t what, const struct rlimit *set, struct rlimit *old),
     (pid, what, set, old))
ALIAS(getrlimit64, getrlimit)
ALIAS(setrlimit64, setrlimit)
ALIAS(prlimit64, prlimit)

/* Signals (signals.c) */
CALL(int, sigaction, (int sig, const struct sigaction *act, struct sigaction *old), (sig, act, old))
CALL(sighandler_t, signal, (int sig, sighandler_t handler), (sig, handler))
CALL(sighandler_t, sysv_signal, (int sig, sighandler_t handler), (sig, handler))
CALL(sighandler_t, sigset, (int sig, sighandler_t handler), (sig, handler))
CALL(int, sigignore, (int sig), (sig))
CALL(int, siginterrupt, (int sig, int interrupt), (sig, interrupt))
ALIAS(__sigaction, sigaction)
ALIAS(bsd_signal, signal)
ALIAS(ssignal, signal)
ALIAS(__sysv_signal, sysv_signal)

/* Raw system calls (hook_syscall.c) */
CALLV(long, syscall, (long number, ...))

#undef CALL
#undef CALLV
#undef CALLA
#undef ALIAS
#undef CHK
