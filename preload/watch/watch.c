/*
 * watch.c - theory: a small library of its own, in front of libc (a comparison's run on the
 * kernel's stack) or of libstandin.so (the run on ours). Each function calls the next one of its
 * name, keeps errno, and writes down what it answered when the descriptor is an internet socket
 * that this family made. It adds a store to a call and changes nothing else: no descriptor, no
 * thread, no lock, no memory but the mapped log. Both runs carry the same weight.
 *
 * Which descriptors: those that socket and accept gave, and copies by dup; the table goes along
 * with fork. A vfork child has its parent's table and leaves it alone. What exec hands on, what
 * arrives over AF_UNIX, what stdio does inside libc, and raw system calls are not seen.
 */
#define _GNU_SOURCE
#include "preload/watch/watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/addr.h"

#define FDS        65536
#define INFO_EVERY (1 * MSEC) /* of a process */
#define EXPORT     __attribute__((visibility("default")))

static struct watch_log *log_;
static uint32_t sock_of[FDS]; /* its number; 0: none of ours. High bit: it is no stream */
static nsec info_at;
static pid_t owner; /* of the table */

#define NO_STREAM 0x80000000u

/* The next function of that name, bound at its first call. */
#define NEXT(ret, name, params)                                   \
    static ret(*next_##name) params;                              \
    static void bind_##name(void)                                 \
    {                                                             \
        void *sym = next_##name ? NULL : dlsym(RTLD_NEXT, #name); \
        if (sym) {                                                \
            *(void **)&next_##name = sym;                         \
        }                                                         \
    }

static nsec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (nsec)t.tv_sec * SEC + t.tv_nsec;
}

static void after_fork(void)
{
    owner = (pid_t)syscall(SYS_getpid);
}

__attribute__((constructor)) static void begin(void)
{
    int saved = errno;
    const char *path = getenv(WATCH_VARIABLE);
    int fd = path && *path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == watch_log_size()) {
        void *p = mmap(NULL, watch_log_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        struct watch_log *l = p == MAP_FAILED ? NULL : p;
        log_ = l && l->magic == WATCH_MAGIC && l->max == WATCH_MAX ? l : NULL;
        after_fork();
        pthread_atfork(NULL, NULL, after_fork);
    }
    if (fd >= 0) {
        syscall(SYS_close, fd);
    }
    errno = saved;
}

/* ---- records */

static uint8_t err_of(int e)
{
    switch (e) {
#define ERR(name, text) \
    case E##name:       \
        return ERR_##name;
        ERR_LIST
#undef ERR
    default:
        return ERR_OK;
    }
}

static uint32_t sock_at(int fd)
{
    return log_ && fd >= 0 && fd < FDS ? sock_of[fd] : 0;
}

/* Changes are rare enough to ask each time who we are. */
static void sock_set(int fd, uint32_t sock)
{
    if (fd >= 0 && fd < FDS && sock_of[fd] != sock && (pid_t)syscall(SYS_getpid) == owner) {
        sock_of[fd] = sock;
    }
}

static struct event *record(uint32_t sock)
{
    uint64_t i = __atomic_fetch_add(&log_->next, 1, __ATOMIC_RELAXED);
    if (i >= log_->max) {
        return NULL;
    }
    struct event *ev = &log_->ev[i];
    ev->at = now();
    ev->tid = (uint32_t)syscall(SYS_gettid);
    ev->sock_id = sock & ~NO_STREAM;
    ev->proto = sock & NO_STREAM ? IPPROTO_UDP : IPPROTO_TCP;
    return ev;
}

static void finish(struct event *ev, enum event_kind kind)
{
    __atomic_store_n(&ev->kind, (uint8_t)kind, __ATOMIC_RELEASE);
}

static void take_addr(struct event *ev, const struct sockaddr *sa, socklen_t len)
{
    struct addr a = {0};
    if (sa && len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        a = addr_of4((const uint8_t *)&in->sin_addr);
        ev->u.call.arg2 = ntohs(in->sin_port);
    } else if (sa && len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)sa;
        a = addr_of6((const uint8_t *)&in->sin6_addr);
        ev->u.call.arg2 = ntohs(in->sin6_port);
    }
    memcpy(ev->u.call.addr, &a, sizeof ev->u.call.addr);
}

struct told {
    uint32_t sock;
    int fd;
    enum event_call call;
    long ret;
    int err; /* errno, where ret is below 0 */
    uint64_t arg;
    uint16_t arg2;
    const struct sockaddr *sa;
    socklen_t len;
};

static void tell(const struct told *t)
{
    struct event *ev = record(t->sock);
    if (!ev) {
        return;
    }
    ev->why = CALL_DONE;
    ev->u.call.call = (uint8_t)t->call;
    ev->u.call.fd = t->fd;
    ev->u.call.err = (int8_t)(t->err ? err_of(t->err) : 0);
    ev->u.call.ret = t->err && ev->u.call.err == 0 ? -t->err : t->ret;
    ev->u.call.arg = t->arg;
    ev->u.call.arg2 = t->arg2;
    if (t->sa && t->err != EFAULT) {
        take_addr(ev, t->sa, t->len);
    }
    finish(ev, EV_CALL);
}

/* What the kernel's TCP says of itself. */
static void tell_info(int fd, uint32_t sock, bool at_once)
{
    struct tcp_info i = {0};
    struct sockaddr_in6 name = {0};
    socklen_t n = sizeof i, m = sizeof name;
    nsec t = now();

    if (!log_->info || (sock & NO_STREAM) || (!at_once && t - info_at < INFO_EVERY)) {
        return;
    }
    info_at = t;
    if (syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &i, &n) != 0 ||
        syscall(SYS_getsockname, fd, &name, &m) != 0) {
        return;
    }
    struct event *ev =
        i.tcpi_state == TCP_SYN_SENT || i.tcpi_state == TCP_CLOSE || i.tcpi_state == TCP_LISTEN
            ? NULL
            : record(sock);
    if (!ev) {
        return;
    }
    ev->lport = ntohs(name.sin6_port); /* sin_port lies there, too */
    ev->u.info.cwnd = i.tcpi_snd_cwnd;
    ev->u.info.ssthresh = i.tcpi_snd_ssthresh;
    ev->u.info.unacked = i.tcpi_unacked;
    ev->u.info.retrans = i.tcpi_total_retrans;
    ev->u.info.mss = i.tcpi_snd_mss;
    ev->u.info.srtt_us = i.tcpi_rtt;
    ev->u.info.rto_us = i.tcpi_rto;
    finish(ev, EV_INFO);
}

/* The result of a call on fd, which the caller returns; errno stays as the call left it. */
static long told(struct told t)
{
    int saved = errno;
    t.sock = t.sock ? t.sock : sock_at(t.fd);
    if (t.sock) {
        t.err = t.ret < 0 ? saved : t.err;
        tell(&t);
        if (t.call == EVC_SEND || t.call == EVC_RECV || t.call == EVC_CONNECT) {
            tell_info(t.fd, t.sock, false);
        }
        errno = saved;
    }
    return t.ret;
}

/* ---- making and naming */

static uint32_t new_sock(bool stream)
{
    uint32_t n = __atomic_add_fetch(&log_->socks, 1, __ATOMIC_RELAXED);
    return n | (stream ? 0 : NO_STREAM);
}

NEXT(int, socket, (int, int, int))
EXPORT int socket(int domain, int type, int protocol)
{
    bind_socket();
    int fd = next_socket(domain, type, protocol);
    bool inet = domain == AF_INET || domain == AF_INET6;
    bool stream = (type & 0xf) == SOCK_STREAM;
    if (!log_ || !inet) {
        sock_set(fd, 0);
        return fd;
    }
    uint32_t sock = new_sock(stream);
    sock_set(fd, sock);
    return (int)told((struct told){
        .sock = sock, .fd = fd, .call = EVC_SOCKET, .ret = fd, .arg = (uint64_t)(type & 0xf)});
}

NEXT(int, bind, (int, const struct sockaddr *, socklen_t))
EXPORT int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    bind_bind();
    int ret = next_bind(fd, sa, len);
    return (int)told((struct told){.fd = fd, .call = EVC_BIND, .ret = ret, .sa = sa, .len = len});
}

NEXT(int, listen, (int, int))
EXPORT int listen(int fd, int backlog)
{
    bind_listen();
    int ret = next_listen(fd, backlog);
    return (int)told((struct told){.fd = fd, .call = EVC_LISTEN, .ret = ret});
}

NEXT(int, connect, (int, const struct sockaddr *, socklen_t))
EXPORT int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    bind_connect();
    int ret = next_connect(fd, sa, len);
    return (int)told(
        (struct told){.fd = fd, .call = EVC_CONNECT, .ret = ret, .sa = sa, .len = len});
}

static int accepted(int fd, int got)
{
    int saved = errno;
    uint32_t made = got >= 0 && sock_at(fd) ? new_sock(!(sock_at(fd) & NO_STREAM)) : 0;
    if (got >= 0) {
        sock_set(got, made);
    }
    errno = saved;
    return (int)told(
        (struct told){.fd = fd, .call = EVC_ACCEPT, .ret = got, .arg = made & ~NO_STREAM});
}

NEXT(int, accept, (int, struct sockaddr *, socklen_t *))
EXPORT int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    bind_accept();
    return accepted(fd, next_accept(fd, sa, len));
}

NEXT(int, accept4, (int, struct sockaddr *, socklen_t *, int))
EXPORT int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    bind_accept4();
    return accepted(fd, next_accept4(fd, sa, len, flags));
}

NEXT(int, shutdown, (int, int))
EXPORT int shutdown(int fd, int how)
{
    bind_shutdown();
    int ret = next_shutdown(fd, how);
    return (int)told(
        (struct told){.fd = fd, .call = EVC_SHUTDOWN, .ret = ret, .arg = (uint64_t)how});
}

/* ---- options */

NEXT(int, setsockopt, (int, int, int, const void *, socklen_t))
EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    bind_setsockopt();
    int ret = next_setsockopt(fd, level, name, val, len);
    return (int)told((struct told){.fd = fd,
                                   .call = EVC_SETSOCKOPT,
                                   .ret = ret,
                                   .arg = (uint64_t)name,
                                   .arg2 = (uint16_t)level});
}

NEXT(int, getsockopt, (int, int, int, void *, socklen_t *))
EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    bind_getsockopt();
    int ret = next_getsockopt(fd, level, name, val, len);
    int err = 0;
    if (ret == 0 && level == SOL_SOCKET && name == SO_ERROR && *len >= sizeof err) {
        memcpy(&err, val, sizeof err);
    }
    return (int)told((struct told){.fd = fd,
                                   .call = EVC_GETSOCKOPT,
                                   .ret = ret,
                                   .err = err,
                                   .arg = (uint64_t)name,
                                   .arg2 = (uint16_t)level});
}

/* ---- sending and receiving */

#define XFER(which, want, result) \
    told((struct told){.fd = fd, .call = (which), .ret = (result), .arg = (want)})

static uint64_t total(const struct iovec *iov, int n)
{
    uint64_t sum = 0;
    for (int i = 0; iov && i < n && i < 1024; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

/* The vectors are looked at only where the call took them. */
#define IOV_WANT(ret, iov, n) ((ret) < 0 ? 1 : total((iov), (int)(n)))

NEXT(ssize_t, read, (int, void *, size_t))
EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    bind_read();
    return XFER(EVC_RECV, n, next_read(fd, buf, n));
}

NEXT(ssize_t, __read_chk, (int, void *, size_t, size_t))
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
    bind___read_chk();
    return XFER(EVC_RECV, n, next___read_chk(fd, buf, n, room));
}

NEXT(ssize_t, readv, (int, const struct iovec *, int))
EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
    bind_readv();
    ssize_t ret = next_readv(fd, iov, n);
    return XFER(EVC_RECV, IOV_WANT(ret, iov, n), ret);
}

NEXT(ssize_t, recv, (int, void *, size_t, int))
EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    bind_recv();
    return XFER(EVC_RECV, n, next_recv(fd, buf, n, flags));
}

NEXT(ssize_t, __recv_chk, (int, void *, size_t, size_t, int))
EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
    bind___recv_chk();
    return XFER(EVC_RECV, n, next___recv_chk(fd, buf, n, room, flags));
}

NEXT(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))
EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
                        socklen_t *len)
{
    bind_recvfrom();
    return XFER(EVC_RECV, n, next_recvfrom(fd, buf, n, flags, from, len));
}

NEXT(ssize_t, __recvfrom_chk, (int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *))
EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
                              struct sockaddr *from, socklen_t *len);
EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
                              struct sockaddr *from, socklen_t *len)
{
    bind___recvfrom_chk();
    return XFER(EVC_RECV, n, next___recvfrom_chk(fd, buf, n, room, flags, from, len));
}

NEXT(ssize_t, recvmsg, (int, struct msghdr *, int))
EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    bind_recvmsg();
    ssize_t ret = next_recvmsg(fd, m, flags);
    return XFER(EVC_RECV, IOV_WANT(ret, m->msg_iov, m->msg_iovlen), ret);
}

NEXT(ssize_t, write, (int, const void *, size_t))
EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    bind_write();
    return XFER(EVC_SEND, n, next_write(fd, buf, n));
}

NEXT(ssize_t, writev, (int, const struct iovec *, int))
EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
    bind_writev();
    ssize_t ret = next_writev(fd, iov, n);
    return XFER(EVC_SEND, IOV_WANT(ret, iov, n), ret);
}

NEXT(ssize_t, send, (int, const void *, size_t, int))
EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    bind_send();
    return XFER(EVC_SEND, n, next_send(fd, buf, n, flags));
}

NEXT(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))
EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
                      socklen_t len)
{
    bind_sendto();
    return XFER(EVC_SEND, n, next_sendto(fd, buf, n, flags, to, len));
}

NEXT(ssize_t, sendmsg, (int, const struct msghdr *, int))
EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    bind_sendmsg();
    ssize_t ret = next_sendmsg(fd, m, flags);
    return XFER(EVC_SEND, IOV_WANT(ret, m->msg_iov, m->msg_iovlen), ret);
}

NEXT(ssize_t, sendfile, (int, int, off_t *, size_t))
EXPORT ssize_t sendfile(int fd, int in, off_t *at, size_t n)
{
    bind_sendfile();
    return XFER(EVC_SEND, n, next_sendfile(fd, in, at, n));
}

NEXT(ssize_t, sendfile64, (int, int, off64_t *, size_t))
EXPORT ssize_t sendfile64(int fd, int in, off64_t *at, size_t n)
{
    bind_sendfile64();
    return XFER(EVC_SEND, n, next_sendfile64(fd, in, at, n));
}

/* ---- descriptors */

NEXT(int, close, (int))
EXPORT int close(int fd)
{
    bind_close();
    uint32_t sock = sock_at(fd);
    if (sock) {
        int saved = errno;
        tell_info(fd, sock, true);
        errno = saved;
    }
    int ret = next_close(fd);
    sock_set(fd, sock_at(fd) == sock ? 0 : sock_at(fd)); /* another thread may have it already */
    return sock ? (int)told((struct told){.sock = sock, .fd = fd, .call = EVC_CLOSE, .ret = ret})
                : ret;
}

NEXT(int, fclose, (FILE *))
EXPORT int fclose(FILE *f)
{
    bind_fclose();
    int saved = errno;
    int fd = f ? fileno(f) : -1;
    sock_set(fd, 0);
    errno = saved;
    return next_fclose(f);
}

static void forget(unsigned first, unsigned last)
{
    for (unsigned fd = first; log_ && fd <= last && fd < FDS; fd++) {
        sock_set((int)fd, 0);
    }
}

NEXT(int, close_range, (unsigned, unsigned, int))
EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    bind_close_range();
    if (((unsigned)flags & 4u) == 0) { /* CLOSE_RANGE_CLOEXEC closes nothing yet */
        forget(first, last);
    }
    return next_close_range(first, last, flags);
}

NEXT(void, closefrom, (int))
EXPORT void closefrom(int low)
{
    bind_closefrom();
    forget(low < 0 ? 0 : (unsigned)low, ~0u);
    next_closefrom(low);
}

static int copied(int fd, int to)
{
    if (to >= 0) {
        sock_set(to, sock_at(fd));
    }
    return to;
}

NEXT(int, dup, (int))
EXPORT int dup(int fd)
{
    bind_dup();
    return copied(fd, next_dup(fd));
}

NEXT(int, dup2, (int, int))
EXPORT int dup2(int fd, int to)
{
    bind_dup2();
    return copied(fd, next_dup2(fd, to));
}

NEXT(int, dup3, (int, int, int))
EXPORT int dup3(int fd, int to, int flags)
{
    bind_dup3();
    return copied(fd, next_dup3(fd, to, flags));
}
