/*
 * Theory: bytes in and out of a stack socket, whatever the call they come by.
 *
 *   receive   try; nothing there: drive once (non-blocking) or wait (blocking); what lies there
 *             satisfies the call, unless
 *             MSG_WAITALL or SO_RCVLOWAT asks for more. A call that has bytes returns them,
 *             whatever ends the wait.
 *   send      a stream takes what fits and waits for room until all is taken; the segments leave
 *             during the call.
 *
 * A datagram socket may have a kernel twin (decide.h): a datagram is received from whichever has
 * one, and sent by the one that reaches its destination. While it waits, the twin lies in the
 * thread's kernel set beside the TUN.
 *
 * MSG_PEEK|MSG_WAITALL waits for more than lies there: readiness says nothing new, so that wait
 * is for an edge.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/abi.h"
#include "core/place.h"
#include "preload/block.h"
#include "preload/decide.h"
#include "preload/fault.h"
#include "preload/hook.h"
#include "preload/sa.h"
#include "preload/sleep.h"
#include "preload/xfer.h"
#include "tun/sysio.h"

#define IOV_FEW 8

/* One call under way. */
struct call {
    struct file *f;
    struct sock_ref ref;
    struct env *env;
    struct xfer *x;
    int flags;
    struct mspan *v; /* room for all vectors */
    size_t total;
    bool poked;
    bool stamped; /* a control message says which times are told: */
    int64_t stamps;
};

static bool nonblocking(const struct call *c)
{
    return (c->flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) != 0 ||
           (c->ref.s->file_flags & O_NONBLOCK) != 0;
}

/* What a wait that brought nothing means; the call has left the stack then. */
static long wait_error(enum block_result r)
{
    return r == BLOCK_TIMEOUT ? -EAGAIN : r == BLOCK_INTR ? -EINTR : -EBADF;
}

/* A non-blocking call that found nothing looks at the TUN once. Entered. */
static bool poke(struct call *c)
{
    bool drained;
    if (c->poked) {
        return false;
    }
    c->poked = true;
    return drive_turn(&the_session, c->env, 0, &drained) > 0 && sock_ref_ok(&c->ref);
}

/* ------------------------------------------------------------------ receiving from a stream */

/* Bytes that end a blocking receive. */
static size_t recv_target(const struct call *c)
{
    if (c->flags & MSG_WAITALL) {
        return max_size(c->total, 1);
    }
    size_t low = (size_t)(c->ref.s->opt.rcvlowat > 0 ? c->ref.s->opt.rcvlowat : 1);
    return max_size(min_size(low, c->total), 1);
}

#define INTO_FLAGS (MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL)

/* Whether what arrives may go straight into the program's memory: a plain receive into one large
 * buffer. */
static bool may_land(const struct call *c, size_t n, const struct recv_info *info)
{
    return n == 1 && c->v[0].n >= PLACE_MIN && !info && (c->flags & ~INTO_FLAGS) == 0;
}

/* Bytes have landed: what the stream says to that, and whether the call has enough. Entered. */
static bool landed(struct call *c, struct drive_into *into, size_t *done)
{
    if (into->done == 0) {
        return false;
    }
    *done += into->done;
    if (sock_ref_ok(&c->ref)) {
        place_received(the_stack(), c->env, c->ref.s, into->done);
    }
    return *done >= recv_target(c) || nonblocking(c);
}

/* Entered; leaves. */
static long recv_stream(struct call *c, size_t n, struct recv_info *info)
{
    struct sock *s = c->ref.s;
    nsec timeout = sock_timeout(s->opt.rcvtimeo);
    struct drive_into into;
    struct block b = {.sock = c->ref,
                      .events = LX_POLLIN | LX_POLLRDHUP,
                      .kernel_fd = {-1, -1},
                      .deadline = NEVER,
                      .restart = timeout == 0};
    size_t done = 0;
    for (;;) {
        int64_t got =
            sock_recv(the_stack(), c->env, s, c->v, n, (uint32_t)c->flags & ~0x100u, info);
        if (got > 0) {
            done = c->flags & MSG_PEEK ? (size_t)got : done + (size_t)got;
        }
        bool enough =
            done > 0 && (done >= recv_target(c) || nonblocking(c) || UNLIKELY(sock_at_mark(s)));
        if (enough || got == 0 || (got < 0 && got != -ERR_AGAIN)) {
            leave(c->env);
            return done > 0 || got == 0 ? (long)done : errno_of(got);
        }
        into = (struct drive_into){s, c->v[0].p, c->v[0].n, 0};
        b.into = may_land(c, n, info) ? &into : NULL;
        if (nonblocking(c)) {
            if (!c->poked && b.into && place_likely(the_stack()) == s) {
                bool drained;
                drive_into(&the_session, c->env, &into, &drained);
            }
            if (landed(c, &into, &done)) {
                leave(c->env);
                return (long)done;
            }
            if (poke(c)) {
                continue;
            }
            leave(c->env);
            return -EAGAIN;
        }
        if (timeout > 0 && b.deadline == NEVER) {
            b.deadline = nsec_add(c->env->now, timeout);
        }
        if (c->flags & MSG_PEEK) { /* what lies there is not news */
            b.events |= LX_EPOLLET;
        }
        enum block_result r = block_wait(&c->env, &b);
        if (landed(c, &into, &done)) {
            leave(c->env);
            return (long)done;
        }
        if (r != BLOCK_READY) {
            block_told(c->env, &b, EVC_RECV, r);
            leave(c->env);
            return done > 0 ? (long)done : wait_error(r);
        }
        if (done > 0 && !(c->flags & MSG_PEEK)) {
            n = (size_t)xfer_load(c->x->iov, c->x->iovcnt, done, true, c->v, &c->total);
        }
    }
}

/* ------------------------------------------------------------------ receiving datagrams */

/* The program's call as the kernel's. */
static struct msghdr twin_msg(const struct xfer *x)
{
    struct msghdr m = {.msg_name = x->name,
                       .msg_namelen = x->namelen ? *x->namelen : 0,
                       .msg_iov = (struct iovec *)(uintptr_t)x->iov,
                       .msg_iovlen = x->iovcnt};
    if (x->msg) {
        m.msg_control = x->msg->msg_control;
        m.msg_controllen = x->msg->msg_controllen;
    }
    return m;
}

/* From the kernel twins, without waiting: as recvmsg, -EAGAIN when there is nothing. Not
 * entered. */
static long recv_twin(const struct call *c)
{
    int twin[2] = {c->f->twin_fd, c->f->twin6_fd};
    struct xfer *x = c->x;
    for (int i = 0; i < 2; i++) {
        if (twin[i] < 0) {
            continue;
        }
        struct msghdr m = twin_msg(x);
        long got = sys_recvmsg(twin[i], &m, c->flags | MSG_DONTWAIT);
        if (got == -EAGAIN || got == -EBADF) {
            continue;
        }
        if (got >= 0 && x->namelen) {
            *x->namelen = m.msg_namelen;
        }
        if (got >= 0 && x->msg) {
            x->msg->msg_controllen = m.msg_controllen;
            x->msg->msg_flags = m.msg_flags;
        }
        return got;
    }
    return -EAGAIN;
}

/* Entered; leaves. */
static long recv_dgram(struct call *c, size_t n, struct recv_info *info)
{
    struct sock *s = c->ref.s;
    nsec timeout = sock_timeout(s->opt.rcvtimeo);
    struct block b = {.sock = c->ref,
                      .events = LX_POLLIN | LX_EPOLLEXCLUSIVE,
                      .kernel_fd = {c->f->twin_fd, c->f->twin6_fd},
                      .deadline = block_deadline(timeout),
                      .restart = timeout == 0};
    bool has_twin = b.kernel_fd[0] >= 0 || b.kernel_fd[1] >= 0;
    for (;;) {
        int64_t got = sock_recv(the_stack(), c->env, s, c->v, n, (uint32_t)c->flags, info);
        if (got != -ERR_AGAIN) {
            leave(c->env);
            return errno_of(got);
        }
        if (has_twin) {
            leave(c->env);
            long twin = recv_twin(c);
            if (twin != -EAGAIN) {
                info->have_from = false;
                c->x->msg = NULL; /* filled already */
                return twin;
            }
            if (!hook_enter(&c->env, &c->ref)) {
                return -EBADF;
            }
        }
        if (nonblocking(c)) {
            if (poke(c)) {
                continue;
            }
            leave(c->env);
            return -EAGAIN;
        }
        enum block_result r = block_wait(&c->env, &b);
        if (r != BLOCK_READY) {
            block_told(c->env, &b, EVC_RECV, r);
            leave(c->env);
            return wait_error(r);
        }
    }
}

/* The index of the TUN device, for packet information. */
static int tun_index(void)
{
    static int cached;
    if (cached == 0) {
        struct ifreq ifr;
        memset(&ifr, 0, sizeof ifr);
        memcpy(ifr.ifr_name, the_session.arena->cfg.ifname, sizeof ifr.ifr_name - 1);
        int fd = hook_kernel_sock(AF_INET);
        if (fd >= 0 && sys_ioctl(fd, SIOCGIFINDEX, &ifr) == 0) {
            cached = ifr.ifr_ifindex;
        }
    }
    return cached;
}

/* The address and the control part, after a successful receive. Not entered. */
static long recv_tell(struct xfer *x, const struct sock *s, const struct recv_info *info, long got)
{
    if (x->msg) {
        xfer_cmsg(x->msg, info, s, info->have_pktinfo ? tun_index() : 0);
    }
    if (!x->namelen) {
        return got;
    }
    if (s->type == LX_SOCK_STREAM) {
        *x->namelen = 0;
    } else if (info->have_from && x->name) {
        int err = sa_put(&info->from, s->family, x->name, x->namelen);
        return err < 0 ? err : got;
    }
    return got;
}

/* The kernel notices a bad buffer when it copies: not before there is something to copy. */
static __attribute__((noinline)) long recv_nowhere(struct file *f, int flags)
{
    struct call c = {.ref = f->sock, .flags = flags};
    if (!hook_enter(&c.env, &c.ref)) {
        return -EBADF;
    }
    bool empty = !(sock_ready(the_stack(), c.ref.s) & (LX_POLLIN | LX_POLLRDHUP | LX_POLLHUP));
    long err = empty && nonblocking(&c) ? -EAGAIN : -EFAULT;
    leave(c.env);
    return err;
}

static long recv_with(struct file *f, struct xfer *x, int flags, struct mspan *v)
{
    if (UNLIKELY(!fault_may_iov(x->iov, x->iovcnt, true)) && !(flags & MSG_TRUNC)) {
        return recv_nowhere(f, flags);
    }
    if (UNLIKELY(!f->twin_asked)) {
        twin_adopt(f);
    }
    struct call c = {.f = f, .ref = f->sock, .x = x, .flags = flags, .v = v};
    long n = xfer_load(x->iov, x->iovcnt, 0, (flags & MSG_TRUNC) != 0, v, &c.total);
    if (n < 0) {
        return n;
    }
    sleep_begin();
    struct sock *s = hook_enter(&c.env, &c.ref);
    if (!s) {
        return -EBADF;
    }
    struct recv_info info;
    if (LIKELY(s->type == LX_SOCK_STREAM && !x->msg)) {
        long got = recv_stream(&c, (size_t)n, NULL);
        if (got >= 0 && x->namelen) {
            *x->namelen = 0; /* Linux's TCP tells no address */
        }
        return got;
    }
    memset(&info, 0, sizeof info);
    long got = s->type == LX_SOCK_STREAM ? recv_stream(&c, (size_t)n, &info)
                                         : recv_dgram(&c, (size_t)n, &info);
    return got < 0 ? got : recv_tell(x, s, &info, got);
}

static __attribute__((noinline)) long recv_many(struct file *f, struct xfer *x, int flags)
{
    struct mspan v[XFER_IOV_MAX];
    return recv_with(f, x, flags, v);
}

long my_recv(int fd, struct file *f, struct xfer *x, int flags)
{
    (void)fd;
    if (UNLIKELY(x->iovcnt > IOV_FEW)) {
        return recv_many(f, x, flags);
    }
    struct mspan v[IOV_FEW];
    return recv_with(f, x, flags, v);
}

long my_recv_buf(int fd, struct file *f, void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = buf, .iov_len = min_size(n, XFER_MAX)};
    struct xfer x = {.iov = &iov, .iovcnt = 1};
    return my_recv(fd, f, &x, flags);
}

long my_recvmsg(int fd, struct file *f, struct msghdr *msg, int flags)
{
    if (!fault_may_write(msg, sizeof *msg) ||
        (msg->msg_control && !fault_may_write(msg->msg_control, msg->msg_controllen))) {
        return -EFAULT;
    }
    if (msg->msg_iovlen > XFER_IOV_MAX) {
        return -EMSGSIZE;
    }
    if ((int)msg->msg_namelen < 0) {
        return -EINVAL;
    }
    struct xfer x = {.iov = msg->msg_iov,
                     .iovcnt = msg->msg_iovlen,
                     .name = msg->msg_name,
                     .namelen = msg->msg_name ? &msg->msg_namelen : NULL,
                     .msg = msg};
    return my_recv(fd, f, &x, flags);
}

/* ------------------------------------------------------------------ sending on a stream */

#define BULK      (32 << 10) /* bytes for which a look at the TUN costs next to nothing */
#define BULK_TURN 16u

/* One try. LX_MSG_DONTWAIT tells the stack whether more will come by itself. */
static int64_t stream_once(struct call *c, size_t n, const struct endpoint *to)
{
    uint32_t flags = (uint32_t)c->flags | (nonblocking(c) ? LX_MSG_DONTWAIT : 0);
    struct sock *s = c->ref.s;
    uint32_t before = s->opt.timestamping;
    if (UNLIKELY(c->stamped)) {
        s->opt.timestamping = xfer_stamps(before, c->stamps);
    }
    int64_t took = sock_send(the_stack(), c->env, s, (const struct span *)c->v, n, flags, to);
    if (UNLIKELY(c->stamped)) {
        s->opt.timestamping = before;
    }
    return took;
}

/*
 * Entered; leaves. `to`: where MSG_FASTOPEN connects, or NULL. A call whose connection is on its
 * way (Fast Open) waits for it, though its bytes are with the SYN, and fails if that does.
 */
static long send_stream(struct call *c, size_t n, const struct endpoint *to)
{
    struct sock *s = c->ref.s;
    nsec timeout = sock_timeout(s->opt.sndtimeo);
    struct block b = {.sock = c->ref,
                      .events = LX_POLLOUT,
                      .kernel_fd = {-1, -1},
                      .deadline = NEVER,
                      .restart = timeout == 0};
    size_t done = 0;
    bool opening = false;
    for (;;) {
        int64_t took = stream_once(c, n, to);
        bool failed = took < 0 && took != -ERR_AGAIN;
        if (took > 0) {
            done += (size_t)took;
        }
        if (took >= BULK) { /* the acknowledgments are there already */
            bool drained;
            drive_turn(&the_session, c->env, BULK_TURN, &drained);
            if (UNLIKELY(!sock_ref_ok(&c->ref))) {
                leave(c->env);
                return (long)done;
            }
        }
        if (UNLIKELY(opening && failed)) {
            done = 0;
        }
        opening = UNLIKELY(sock_opening(s)) && !nonblocking(c);
        if (LIKELY(!opening && (done >= c->total || failed))) {
            leave(c->env);
            return done > 0 || took >= 0 ? (long)done : errno_of(took);
        }
        if (nonblocking(c)) {
            if (done == 0 && poke(c)) {
                continue;
            }
            leave(c->env);
            return done > 0 ? (long)done : -EAGAIN;
        }
        if (opening) {
            c->flags &= ~MSG_FASTOPEN;
        }
        if (timeout > 0 && b.deadline == NEVER) {
            b.deadline = nsec_add(c->env->now, timeout);
        }
        enum block_result r = block_wait(&c->env, &b);
        if (r != BLOCK_READY) {
            if (done > 0 && sock_ref_ok(&c->ref)) {
                sock_send_ends(the_stack(), c->env, s, (uint32_t)c->flags);
            }
            block_told(c->env, &b, EVC_SEND, r);
            leave(c->env);
            return done > 0 ? (long)done : wait_error(r);
        }
        n = (size_t)xfer_load(c->x->iov, c->x->iovcnt, done, false, c->v, &c->total);
    }
}

/* ------------------------------------------------------------------ sending datagrams */

static long send_twin(const struct call *c, const struct addr *to)
{
    int twin = twin_for(c->f, to);
    if (twin < 0) {
        return twin;
    }
    const struct xfer *x = c->x;
    struct msghdr m = twin_msg(x);
    for (;;) {
        long ret = sys_sendmsg(twin, &m, c->flags | MSG_NOSIGNAL);
        if (ret != -EAGAIN || nonblocking(c)) {
            return ret;
        }
        struct pollfd p = {.fd = twin, .events = POLLOUT};
        if (real.poll(&p, 1, -1) < 0) {
            return -errno;
        }
    }
}

/* One try, with what the control messages ask for. Entered. */
static int64_t send_once(struct call *c, size_t n, const struct endpoint *to, struct send_ctl *ctl)
{
    struct stack *st = the_stack();
    struct sock *s = c->ref.s;
    struct sock saved;
    bool plain = ctl->ttl < 0 && ctl->tos < 0 && !ctl->have_src && ctl->segment < 0 &&
                 ctl->dontfrag < 0 && ctl->stamps < 0;
    if (!plain && xfer_ctl_on(st, c->env, s, ctl, &saved) < 0) {
        return -ERR_INVAL;
    }
    int64_t took = sock_send(st, c->env, s, (const struct span *)c->v, n, (uint32_t)c->flags, to);
    if (!plain) {
        xfer_ctl_off(s, &saved);
    }
    return took;
}

/* Entered; leaves. */
static long send_stack(struct call *c, size_t n, const struct endpoint *to, struct send_ctl *ctl)
{
    nsec timeout = sock_timeout(c->ref.s->opt.sndtimeo);
    struct block b = {.sock = c->ref,
                      .events = LX_POLLOUT,
                      .kernel_fd = {-1, -1},
                      .deadline = block_deadline(timeout),
                      .restart = timeout == 0};
    for (;;) {
        int64_t took = send_once(c, n, to, ctl);
        if (took != -ERR_AGAIN || (nonblocking(c) && !poke(c))) {
            leave(c->env);
            return errno_of(took);
        }
        if (nonblocking(c)) {
            continue;
        }
        enum block_result r = block_wait(&c->env, &b);
        if (r != BLOCK_READY) {
            block_told(c->env, &b, EVC_SEND, r);
            leave(c->env);
            return wait_error(r);
        }
    }
}

static long send_dgram(struct call *c, size_t n)
{
    const struct xfer *x = c->x;
    const struct sock *s = c->ref.s;
    struct endpoint to;
    bool named = false;
    if (x->name && *x->namelen > 0) {
        int got = sa_get(x->name, *x->namelen, s->family, s->opt.v6only, SA_SEND, &to);
        if (got < 0) {
            return got;
        }
        named = got == 0;
    }
    if (named && !s->bound_addr && decide_dest(&to.addr) != FILE_WHY_STACK) {
        return send_twin(c, &to.addr);
    }
    struct send_ctl ctl;
    int err = xfer_ctl(x->msg, false, &ctl);
    if (err < 0) {
        return err;
    }
    if (!hook_enter(&c->env, &c->ref)) {
        return -EBADF;
    }
    return send_stack(c, n, named ? &to : NULL, &ctl);
}

/* ------------------------------------------------------------------ sending */

/* MSG_FASTOPEN with an address: the socket's side is chosen as for connect. */
static int fastopen(int fd, struct call *c, struct endpoint *to)
{
    struct xfer *x = c->x;
    if (!x->name) {
        return AIM_STACK;
    }
    int where = my_aim(fd, c->f, x->name, *x->namelen, to);
    return where == AIM_NOWHERE ? -EOPNOTSUPP : where;
}

static long send_with(int fd, struct file *f, struct xfer *x, int flags, struct mspan *v)
{
    if (UNLIKELY(!fault_may_iov(x->iov, x->iovcnt, false))) {
        return -EFAULT;
    }
    struct call c = {.f = f, .ref = f->sock, .x = x, .flags = flags, .v = v};
    long n = xfer_load(x->iov, x->iovcnt, 0, false, v, &c.total);
    if (n < 0) {
        return n;
    }
    sleep_begin();
    const struct sock *s = c.ref.s;
    if (UNLIKELY(!s)) { /* closed by another thread */
        return -EBADF;
    }
    if (UNLIKELY(s->type != LX_SOCK_STREAM)) {
        return send_dgram(&c, (size_t)n);
    }
    if (UNLIKELY(x->msg && x->msg->msg_control)) {
        struct send_ctl ctl;
        int err = xfer_ctl(x->msg, true, &ctl);
        if (err < 0) {
            return err;
        }
        c.stamped = ctl.stamps >= 0;
        c.stamps = ctl.stamps;
    }
    struct endpoint to;
    bool opens = UNLIKELY(flags & MSG_FASTOPEN);
    if (opens) {
        int where = fastopen(fd, &c, &to);
        if (where < 0) {
            return where;
        }
        if (where == AIM_KERNEL) {
            struct msghdr m = {.msg_name = x->name,
                               .msg_namelen = *x->namelen,
                               .msg_iov = (struct iovec *)(uintptr_t)x->iov,
                               .msg_iovlen = x->iovcnt};
            return hook_errno(real.sendmsg(fd, &m, flags));
        }
        opens = x->name != NULL;
    }
    if (!hook_enter(&c.env, &c.ref)) {
        return -EBADF;
    }
    long ret = send_stream(&c, (size_t)n, opens ? &to : NULL);
    if (UNLIKELY(ret == -EPIPE) && !(flags & MSG_NOSIGNAL)) {
        hook_sigpipe();
    }
    return ret;
}

static __attribute__((noinline)) long send_many(int fd, struct file *f, struct xfer *x, int flags)
{
    struct mspan v[XFER_IOV_MAX];
    return send_with(fd, f, x, flags, v);
}

long my_send(int fd, struct file *f, struct xfer *x, int flags)
{
    if (UNLIKELY(x->iovcnt > IOV_FEW)) {
        return send_many(fd, f, x, flags);
    }
    struct mspan v[IOV_FEW];
    return send_with(fd, f, x, flags, v);
}

long my_send_buf(int fd, struct file *f, const void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = min_size(n, XFER_MAX)};
    struct xfer x = {.iov = &iov, .iovcnt = 1};
    return my_send(fd, f, &x, flags);
}

long my_sendmsg(int fd, struct file *f, const struct msghdr *msg, int flags)
{
    if (!fault_may_read(msg, sizeof *msg) ||
        (msg->msg_control && !fault_may_read(msg->msg_control, msg->msg_controllen))) {
        return -EFAULT;
    }
    if (msg->msg_iovlen > XFER_IOV_MAX) {
        return -EMSGSIZE;
    }
    socklen_t len = msg->msg_namelen;
    struct xfer x = {.iov = msg->msg_iov,
                     .iovcnt = msg->msg_iovlen,
                     .name = msg->msg_name,
                     .namelen = &len,
                     .msg = (struct msghdr *)(uintptr_t)msg};
    return my_send(fd, f, &x, flags);
}
