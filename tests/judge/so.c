/*
 * The table that packetdrill calls, filled with the virtual kernel's calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ifc.h"
#include "judge.h"
#include "plt.h"

#define PATIENCE    (24 * 3600 * SEC) /* how long a packet is waited for */
#define FINISH_TIME (4 * 3600 * SEC)
#define LATENCY_US  5 /* no packet leaves at the moment of what caused it; ranges rely on that */

__attribute__((visibility("default"))) void packetdrill_interface_init(const char *flags,
                                                                       struct ifc *out);

struct judge *judge_only;

static struct judge *of(void *self)
{
    return self;
}

static int call(void *self, struct vk_call *c)
{
    return (int)judge_call(of(self), c);
}

/* --- sockets --- */

static int do_socket(void *self, int domain, int type, int proto)
{
    struct vk_call c = {.op = VK_SOCKET, .u.socket = {domain, type, proto}};
    int fd = call(self, &c);
    judge_pace(of(self), fd);
    return fd;
}

static int do_bind(void *self, int fd, ifc_addr sa, socklen_t len)
{
    struct vk_call c = {.op = VK_BIND, .fd = fd, .u.addr = {sa, len}};
    return call(self, &c);
}

static int do_listen(void *self, int fd, int backlog)
{
    struct vk_call c = {.op = VK_LISTEN, .fd = fd, .u.n = backlog};
    return call(self, &c);
}

static int do_accept(void *self, int fd, struct sockaddr *sa, socklen_t *len)
{
    struct vk_call c = {.op = VK_ACCEPT, .fd = fd, .u.name = {sa, len, 0}};
    return call(self, &c);
}

static int do_connect(void *self, int fd, ifc_addr sa, socklen_t len)
{
    struct vk_call c = {.op = VK_CONNECT, .fd = fd, .u.addr = {sa, len}};
    return call(self, &c);
}

static int do_shutdown(void *self, int fd, int how)
{
    struct vk_call c = {.op = VK_SHUTDOWN, .fd = fd, .u.n = how};
    return call(self, &c);
}

static int do_getsockopt(void *self, int fd, int level, int name, void *val, socklen_t *len)
{
    struct vk_call c = {.op = VK_GETSOCKOPT, .fd = fd};
    c.u.opt.level = level;
    c.u.opt.name = name;
    c.u.opt.val = val;
    c.u.opt.len = len;
    return call(self, &c);
}

static int do_setsockopt(void *self, int fd, int level, int name, const void *val, socklen_t len)
{
    struct vk_call c = {.op = VK_SETSOCKOPT, .fd = fd};
    c.u.opt.level = level;
    c.u.opt.name = name;
    c.u.opt.val = (void *)(uintptr_t)val;
    c.u.opt.size = len;
    return call(self, &c);
}

/* --- bytes --- */

static ssize_t io(void *self, enum vk_op op, int fd, struct msghdr *m, int flags, bool plain)
{
    struct vk_call c = {.op = op, .fd = fd, .u.io = {m, flags, plain}};
    return judge_call(of(self), &c);
}

static ssize_t one(void *self, enum vk_op op, int fd, const void *buf, size_t n, int flags,
                   bool plain)
{
    struct iovec v = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return io(self, op, fd, &m, flags, plain);
}

static ssize_t vector(void *self, enum vk_op op, int fd, const struct iovec *v, int n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    if (n < 0) {
        errno = EINVAL;
        return -1;
    }
    return io(self, op, fd, &m, 0, true);
}

static ssize_t do_read(void *self, int fd, void *buf, size_t n)
{
    return one(self, VK_RECV, fd, buf, n, 0, true);
}

static ssize_t do_readv(void *self, int fd, const struct iovec *v, int n)
{
    return vector(self, VK_RECV, fd, v, n);
}

static ssize_t do_recv(void *self, int fd, void *buf, size_t n, int flags)
{
    return one(self, VK_RECV, fd, buf, n, flags, false);
}

static ssize_t do_recvfrom(void *self, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                           socklen_t *len)
{
    struct iovec v = {buf, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (sa && len) {
        m.msg_name = sa;
        m.msg_namelen = *len;
    }
    ssize_t r = io(self, VK_RECV, fd, &m, flags, false);
    if (r >= 0 && sa && len) {
        *len = m.msg_namelen;
    }
    return r;
}

static ssize_t do_recvmsg(void *self, int fd, struct msghdr *m, int flags)
{
    return io(self, VK_RECV, fd, m, flags, false);
}

static ssize_t do_write(void *self, int fd, const void *buf, size_t n)
{
    return one(self, VK_SEND, fd, buf, n, 0, true);
}

static ssize_t do_writev(void *self, int fd, const struct iovec *v, int n)
{
    return vector(self, VK_SEND, fd, v, n);
}

static ssize_t do_send(void *self, int fd, const void *buf, size_t n, int flags)
{
    return one(self, VK_SEND, fd, buf, n, flags, false);
}

static ssize_t do_sendto(void *self, int fd, const void *buf, size_t n, int flags, ifc_addr sa,
                         socklen_t len)
{
    struct iovec v = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    m.msg_name = (void *)(uintptr_t)sa;
    m.msg_namelen = sa ? len : 0;
    return io(self, VK_SEND, fd, &m, flags, false);
}

static ssize_t do_sendmsg(void *self, int fd, const struct msghdr *m, int flags)
{
    struct msghdr copy = *m;
    return io(self, VK_SEND, fd, &copy, flags, false);
}

/* The file is libc's: packetdrill opened it itself. */
static ssize_t send_file(struct judge *j, int out, int in, off_t *at, size_t n)
{
    char *buf = malloc(n + 1);
    ssize_t got = !buf ? -1 : at ? pread(in, buf, n, *at) : read(in, buf, n);
    ssize_t r = got > 0 ? one(j, VK_SEND, out, buf, (size_t)got, 0, true) : got;
    if (r > 0 && at) {
        *at += r;
    }
    free(buf);
    return r;
}

/* --- descriptors --- */

static int do_fcntl(void *self, int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    struct vk_call c = {.op = VK_FCNTL, .fd = fd};
    c.u.fcntl.cmd = cmd;
    c.u.fcntl.arg = va_arg(ap, long);
    va_end(ap);
    return call(self, &c);
}

static int do_ioctl(void *self, int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    struct vk_call c = {.op = VK_IOCTL, .fd = fd};
    c.u.ioctl.request = request;
    c.u.ioctl.arg = va_arg(ap, void *);
    va_end(ap);
    return call(self, &c);
}

static int do_close(void *self, int fd)
{
    struct vk_call c = {.op = VK_CLOSE, .fd = fd};
    return call(self, &c);
}

static int do_poll(void *self, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct vk_call c = {.op = VK_POLL, .u.poll = {fds, n, timeout_ms}};
    return call(self, &c);
}

static int do_epoll_create(void *self, int size)
{
    struct vk_call c = {.op = VK_EPOLL_CREATE};
    if (size <= 0) {
        errno = EINVAL;
        return -1;
    }
    return call(self, &c);
}

static int do_epoll_ctl(void *self, int ep, int op, int fd, struct epoll_event *ev)
{
    struct vk_call c = {.op = VK_EPOLL_CTL, .fd = ep, .u.ctl = {op, fd, ev}};
    return call(self, &c);
}

static int do_epoll_wait(void *self, int ep, struct epoll_event *ev, int max, int timeout_ms)
{
    struct vk_call c = {.op = VK_EPOLL_WAIT, .fd = ep, .u.wait = {ev, max, timeout_ms}};
    return call(self, &c);
}

static int do_pipe(void *self, int fds[2])
{
    struct vk_call c = {.op = VK_PIPE, .u.pipe = fds};
    return call(self, &c);
}

static int do_splice(void *self, int from, loff_t *from_at, int to, loff_t *to_at, size_t n,
                     unsigned int flags)
{
    struct vk_call c = {.op = VK_SPLICE, .fd = from};
    /* Neither a pipe nor a socket has a place to begin at; packetdrill writes NULL as a zero. */
    if ((from_at && *from_at) || (to_at && *to_at)) {
        errno = ESPIPE;
        return -1;
    }
    c.u.move.fd = to;
    c.u.move.n = n;
    c.u.move.flags = (int)flags;
    return (int)judge_call(of(self), &c);
}

/* --- the device and the clock --- */

static int do_netdev_send(void *self, const void *packet, size_t n)
{
    struct judge *j = of(self);
    pthread_mutex_lock(&j->lock);
    judge_sysctls(j);
    vk_inject(j->vk, packet, n);
    judge_settle(j);
    pthread_mutex_unlock(&j->lock);
    return 0;
}

/* Time passes until there is a packet. Where none will ever come, packetdrill is given one without
 * bytes, which is an error to it: anything else it would ask again. */
static int do_netdev_receive(void *self, void *packet, size_t *n, long long *time_us)
{
    struct judge *j = of(self);
    pthread_mutex_lock(&j->lock);
    nsec end = vk_now(j->vk) + PATIENCE;
    while (!vk_packets(j->vk) && vk_deadline(j->vk) <= end) {
        judge_step(j, end);
    }
    struct vk_packet *p = vk_packets(j->vk);
    size_t room = *n;
    *n = 0;
    if (!p) {
        fprintf(stderr, "standin: no packet will be sent any more\n");
        *time_us = vk_real(j->vk) / USEC;
    } else {
        vk_take(j->vk, p);
        *time_us = (vk_real(j->vk) - (vk_now(j->vk) - p->at)) / USEC + LATENCY_US;
        *n = p->len <= room ? p->len : 0;
        memcpy(packet, p->bytes, *n);
        free(p);
    }
    pthread_mutex_unlock(&j->lock);
    return 0;
}

/* The other thread gets a moment of real time for what packetdrill does after a blocked call. */
static int do_usleep(void *self, useconds_t us)
{
    struct judge *j = of(self);
    pthread_mutex_lock(&j->lock);
    bool returned = j->returned;
    j->returned = false;
    pthread_mutex_unlock(&j->lock);
    if (returned) {
        usleep(1000);
    }
    pthread_mutex_lock(&j->lock);
    judge_pass(j, (nsec)us * USEC);
    pthread_mutex_unlock(&j->lock);
    return 0;
}

static int do_gettimeofday(void *self, struct timeval *tv, struct timezone *tz)
{
    struct judge *j = of(self);
    (void)tz;
    pthread_mutex_lock(&j->lock);
    judge_look(j, tv);
    pthread_mutex_unlock(&j->lock);
    return 0;
}

/* --- what packetdrill calls itself --- */

static bool ours(int fd)
{
    bool yes = false;
    if (judge_only) {
        pthread_mutex_lock(&judge_only->lock);
        yes = vk_sock(judge_only->vk, fd) != NULL;
        pthread_mutex_unlock(&judge_only->lock);
    }
    return yes;
}

static int libc_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    if (ours(fd)) {
        return do_getsockopt(judge_only, fd, level, name, val, len);
    }
    return (int)syscall(SYS_getsockopt, fd, level, name, val, len);
}

static ssize_t libc_sendfile(int out, int in, off_t *at, size_t n)
{
    if (ours(out)) {
        return send_file(judge_only, out, in, at, n);
    }
    return syscall(SYS_sendfile, out, in, at, n);
}

/* Commands of scripts. Our own call goes to libc: only the program's are diverted. */
static int libc_system(const char *text)
{
    if (judge_only && text) {
        judge_command(judge_only, text);
    }
    return system(text);
}

/* --- life --- */

/* Numbers that nobody else in the process has: packetdrill closes them by itself at the end. */
static int fd_new(void *ctx)
{
    (void)ctx;
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void fd_gone(void *ctx, int fd)
{
    (void)ctx;
    close(fd);
}

static void do_free(void *self)
{
    struct judge *j = of(self);
    const char *left = vk_finish(j->vk, FINISH_TIME);
    if (left || vk_fault(j->vk)) {
        fprintf(stderr, "standin: %s\n", left ? left : vk_fault(j->vk));
        fflush(NULL);
        _exit(1);
    }
    judge_only = NULL;
    vk_free(j->vk);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->woken);
    pthread_cond_destroy(&j->heard);
    free(j->sysctls);
    free(j);
}

static struct judge *judge_new(const char *flags)
{
    struct judge *j = calloc(1, sizeof *j);
    struct vk_config cfg = {.start = 1000 * SEC, .fd_new = fd_new, .fd_gone = fd_gone};
    if (!j) {
        abort();
    }
    judge_config(flags, j, &cfg);
    j->script = pthread_self();
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->woken, NULL);
    pthread_cond_init(&j->heard, NULL);
    j->vk = vk_new(&cfg);
    if (!j->vk) {
        fprintf(stderr, "standin: no memory for a stack\n");
        exit(2);
    }
    return j;
}

void packetdrill_interface_init(const char *flags, struct ifc *out)
{
    struct judge *j = judge_new(flags);
    judge_sysctls(j);
    judge_only = j;
    plt_divert("getsockopt", (void *)(uintptr_t)libc_getsockopt);
    plt_divert("system", (void *)(uintptr_t)libc_system);
    plt_divert("sendfile", (void *)(uintptr_t)libc_sendfile);
    *out = (struct ifc){
        .self = j,
        .free = do_free,
        .socket = do_socket,
        .bind = do_bind,
        .listen = do_listen,
        .accept = do_accept,
        .connect = do_connect,
        .read = do_read,
        .readv = do_readv,
        .recv = do_recv,
        .recvfrom = do_recvfrom,
        .recvmsg = do_recvmsg,
        .write = do_write,
        .writev = do_writev,
        .send = do_send,
        .sendto = do_sendto,
        .sendmsg = do_sendmsg,
        .fcntl = do_fcntl,
        .ioctl = do_ioctl,
        .close = do_close,
        .shutdown = do_shutdown,
        .getsockopt = do_getsockopt,
        .setsockopt = do_setsockopt,
        .poll = do_poll,
        .netdev_send = do_netdev_send,
        .netdev_receive = do_netdev_receive,
        .usleep = do_usleep,
        .gettimeofday = do_gettimeofday,
        .epoll_create = do_epoll_create,
        .epoll_ctl = do_epoll_ctl,
        .epoll_wait = do_epoll_wait,
        .pipe = do_pipe,
        .splice = do_splice,
    };
}
