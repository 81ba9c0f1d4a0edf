/*
 * Theory: the calls that make, name and join sockets.
 *
 * socket makes a stack socket for the families and types the stack has, everything else is
 * libc's. bind and connect ask decide.h where the address belongs, and may turn the socket into a
 * kernel one on the way; then the very same call goes to the kernel. accept takes from the
 * stack's listener and from its kernel twins in turn, so that neither starves; what comes from a
 * twin is an ordinary kernel socket. A blocking connect goes as Linux's: a second one waits for
 * the first, SO_SNDTIMEO ends it with EINPROGRESS, a signal with EINTR.
 */
#include <fcntl.h>
#include <string.h>

#include "core/abi.h"
#include "preload/block.h"
#include "preload/decide.h"
#include "preload/epset.h"
#include "preload/hook.h"
#include "preload/sa.h"
#include "preload/sleep.h"
#include "tun/sysio.h"

#define SOCK_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/* ------------------------------------------------------------------ socket */

/* Whether the stack has such sockets. */
static bool wanted(int domain, int type, int protocol)
{
    int base = type & ~SOCK_FLAGS;
    if (domain != AF_INET && domain != AF_INET6) {
        return false;
    }
    if (base == SOCK_STREAM) {
        return protocol == 0 || protocol == IPPROTO_TCP;
    }
    if (base != SOCK_DGRAM) {
        return false;
    }
    return protocol == 0 || protocol == IPPROTO_UDP ||
           protocol == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static int socket_real(int domain, int type, int protocol)
{
    int fd = real.socket(domain, type, protocol);
    fdtab_fresh(fd);
    return fd;
}

/* A stack socket becomes a descriptor; on failure it is let go. from: the listener it was accepted
 * on, or NULL. */
static long socket_publish(struct sock *s, int type, const struct sock_ref *from)
{
    struct sock_ref ref = sock_ref(s);
    long fd = fdtab_new_sock(s, type);
    struct env *env;
    if (hook_enter(&env, &ref)) {
        if (fd < 0) {
            sock_release(the_stack(), env, ref.s, env->member);
        } else {
            sock_named(the_stack(), env, s, (int)fd, from && sock_ref_ok(from) ? from->s : NULL);
        }
        leave(env);
    }
    if (fd < 0) {
        return fd;
    }
    struct file *f = fdtab_get((int)fd);
    if (f) {
        f->twin_asked = true;
    }
    return fd;
}

long my_socket(int domain, int type, int protocol)
{
    struct env *env = enter();
    if (!env) {
        return hook_errno(socket_real(domain, type, protocol));
    }
    int err = 0;
    struct sock *s = sock_create(the_stack(), env, domain, type & ~SOCK_FLAGS, protocol, &err);
    if (s) {
        s->file_flags = (uint16_t)(type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
    }
    leave(env);
    return s ? socket_publish(s, type, NULL) : errno_of(err < 0 ? err : -err);
}

HOOK int socket(int domain, int type, int protocol)
{
    if (hooks_off() || !wanted(domain, type, protocol)) {
        return socket_real(domain, type, protocol);
    }
    return (int)hook_ret(my_socket(domain, type, protocol));
}

HOOK int socketpair(int domain, int type, int protocol, int sv[2])
{
    int ret = real.socketpair(domain, type, protocol, sv);
    if (ret == 0) {
        fdtab_fresh(sv[0]);
        fdtab_fresh(sv[1]);
    }
    return ret;
}

/* ------------------------------------------------------------------ bind */

/* An address of the kernel's: it says whether it exists and is free, before anything changes. */
static long bind_kernel(int fd, struct file *f, const struct sockaddr *sa, socklen_t len)
{
    int kfd = kernel_like(f);
    if (kfd < 0) {
        return kfd;
    }
    int err = sys_bind(kfd, sa, len);
    if (err < 0) {
        sys_close(kfd);
        return err;
    }
    return file_to_kernel(fd, f, FILE_WHY_LOOPBACK, kfd);
}

static long bind_stack(struct file *f, const struct endpoint *at, bool privileged)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    int err = sock_bind(the_stack(), env, s, at, privileged);
    leave(env);
    if (err == 0) {
        f->decided = true;
        f->why = FILE_WHY_STACK;
    }
    return errno_of(err);
}

long my_bind(int fd, struct file *f, const struct sockaddr *sa, socklen_t len)
{
    const struct sock *s = f->sock.s;
    struct endpoint at;
    int err = sa_get(sa, len, s->family, s->opt.v6only, SA_BIND, &at);
    if (err) {
        return err < 0 ? err : -EAFNOSUPPORT;
    }
    bool privileged = at.port == 0 || at.port >= 1024 || may_bind_low();
    if (s->bound || f->decided || decide_ours(&at.addr)) {
        return bind_stack(f, &at, privileged);
    }
    if (!addr_is_any(&at.addr)) {
        return bind_kernel(fd, f, sa, len);
    }
    return twin_bind(f, &at, privileged);
}

HOOK int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct file *f = hook_sock(fd);
    if (!f || !fdtab_check(fd)) {
        return real.bind(fd, sa, len);
    }
    return (int)hook_ret(my_bind(fd, f, sa, len));
}

HOOK int bindresvport(int fd, struct sockaddr_in *sin)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        return real.bindresvport(fd, sin);
    }
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_in *at = sin ? sin : &any;
    if (at->sin_family != AF_INET) {
        return (int)hook_ret(-EAFNOSUPPORT);
    }
    long err = -EADDRINUSE;
    for (uint16_t port = 1023; port >= 600 && err == -EADDRINUSE; port--) {
        at->sin_port = htons(port);
        err = my_bind(fd, f, (struct sockaddr *)at, sizeof *at);
    }
    return (int)hook_ret(err);
}

/* ------------------------------------------------------------------ listen, accept */

long my_listen(int fd, struct file *f, int backlog)
{
    (void)fd;
    const struct sock *s = f->sock.s;
    bool stream = s->type == LX_SOCK_STREAM;
    if (stream && !s->bound && !s->connected) { /* an unbound listener gets a port of its own */
        struct endpoint any = {.addr = s->family == LX_AF_INET6 ? addr_any6 : addr_any4};
        long err = twin_bind(f, &any, true);
        if (err < 0) {
            return err;
        }
    }
    struct sock_ref ref = f->sock;
    struct env *env;
    if (!hook_enter(&env, &ref)) {
        return -EBADF;
    }
    int err = sock_listen(the_stack(), env, ref.s, backlog);
    leave(env);
    if (err == 0) {
        f->decided = true;
        f->why = FILE_WHY_STACK;
        twin_make(f);
        twin_listen(f, backlog);
    }
    return errno_of(err);
}

HOOK int listen(int fd, int backlog)
{
    struct file *f = hook_sock(fd);
    if (!f || !fdtab_check(fd)) {
        return real.listen(fd, backlog);
    }
    return (int)hook_ret(my_listen(fd, f, backlog));
}

/* One accept under way. */
struct accepting {
    struct file *f;
    struct sock_ref ref;
    struct env *env;
    struct sockaddr *sa;
    socklen_t *len;
    int flags;
    int family;
    bool poked;
};

/* From a kernel twin: an ordinary kernel descriptor, or -EAGAIN. Not entered. */
static long accept_twin(const struct accepting *a)
{
    int twin[2] = {a->f->twin_fd, a->f->twin6_fd};
    for (int i = 0; i < 2; i++) {
        if (twin[i] < 0) {
            continue;
        }
        long fd = sys4(SYS_accept4, twin[i], (long)a->sa, (long)a->len, a->flags);
        if (fd >= 0) {
            fdtab_fresh((int)fd);
            return fd;
        }
        if (fd != -EAGAIN && fd != -ECONNABORTED && fd != -EBADF) {
            return fd;
        }
    }
    return -EAGAIN;
}

static void accept_drop(struct sock *child)
{
    struct sock_ref ref = sock_ref(child);
    struct env *env;
    if (hook_enter(&env, &ref)) {
        sock_release(the_stack(), env, child, env->member);
        leave(env);
    }
}

/* The new connection gets its descriptor. Not entered. */
static long accept_finish(const struct accepting *a, struct sock *child,
                          const struct endpoint *peer)
{
    int err = a->sa ? sa_put(peer, a->family, a->sa, a->len) : 0;
    if (err < 0) {
        accept_drop(child);
        return err;
    }
    long fd = socket_publish(child, SOCK_STREAM | a->flags, &a->ref);
    struct file *f = fd >= 0 ? fdtab_get((int)fd) : NULL;
    if (f) {
        f->decided = true;
        f->why = FILE_WHY_STACK;
    }
    return fd;
}

/* Linux gives out the number first: without one (EMFILE) the connection stays in the queue. */
static long spare_fd(void)
{
    long fd = sys_fcntl(the_session.wake_fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0) {
        sys_close((int)fd);
        return 0;
    }
    return fd == -EMFILE || fd == -ENFILE ? fd : 0;
}

/* From the stack's queue, entered. -EAGAIN: nothing there, still entered. Otherwise the answer,
 * and not entered. The peer's name is taken at once: a later reset must not change it. */
static long accept_stack(struct accepting *a)
{
    struct sock *s = a->ref.s;
    if (sock_ready(the_stack(), s) & LX_POLLIN) {
        leave(a->env);
        long none = spare_fd();
        if (none < 0) {
            return none;
        }
        if (!hook_enter(&a->env, &a->ref)) {
            return -EBADF;
        }
    }
    int err = 0;
    struct sock *child = sock_accept(the_stack(), a->env, s, &err);
    if (!child && err == -ERR_AGAIN) {
        return -EAGAIN;
    }
    struct endpoint peer = {0};
    if (child) {
        child->file_flags = (uint16_t)(a->flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
        peer = (struct endpoint){.addr = child->flow.raddr, .port = child->flow.rport};
    }
    leave(a->env);
    return child ? accept_finish(a, child, &peer) : errno_of(err);
}

/* From either side, entered. As accept_stack. */
static long accept_once(struct accepting *a)
{
    long got = accept_stack(a);
    if (got != -EAGAIN || (a->f->twin_fd < 0 && a->f->twin6_fd < 0)) {
        return got;
    }
    leave(a->env);
    got = accept_twin(a);
    return got == -EAGAIN && !hook_enter(&a->env, &a->ref) ? -EBADF : got;
}

/* Nothing there: 0 to try again, entered; otherwise the answer, and not entered. */
static long accept_wait(struct accepting *a, const struct block *b)
{
    long ret;
    if (a->ref.s->file_flags & O_NONBLOCK) {
        bool drained;
        if (!a->poked && drive_turn(&the_session, a->env, 0, &drained) > 0) {
            a->poked = true;
            return 0;
        }
        ret = -EAGAIN;
    } else {
        enum block_result r = block_wait(&a->env, b);
        if (r == BLOCK_READY) {
            return 0;
        }
        block_told(a->env, b, EVC_ACCEPT, r);
        ret = r == BLOCK_TIMEOUT ? -EAGAIN : r == BLOCK_INTR ? -EINTR : -EBADF;
    }
    leave(a->env);
    return ret;
}

long my_accept4(int fd, struct file *f, struct sockaddr *sa, socklen_t *len, int flags)
{
    (void)fd;
    struct accepting a = {.f = f, .sa = sa, .len = len, .flags = flags};
    if (flags & ~SOCK_FLAGS) {
        return -EINVAL;
    }
    sleep_begin();
    if (UNLIKELY(!f->twin_asked)) {
        twin_adopt(f);
    }
    a.ref = f->sock;
    if (!hook_enter(&a.env, &a.ref)) {
        return -EBADF;
    }
    a.family = a.ref.s->family;
    nsec timeout = sock_timeout(a.ref.s->opt.rcvtimeo);
    struct block b = {.sock = a.ref,
                      .events = LX_POLLIN | LX_EPOLLEXCLUSIVE,
                      .kernel_fd = {f->twin_fd, f->twin6_fd},
                      .deadline = block_deadline(timeout),
                      .restart = timeout == 0};
    for (;;) {
        long got = accept_once(&a);
        if (got == -EAGAIN) {
            got = accept_wait(&a, &b);
            if (got == 0) {
                continue;
            }
        }
        return got;
    }
}

HOOK int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        int ret = real.accept4(fd, sa, len, flags);
        fdtab_fresh(ret);
        return ret;
    }
    pthread_testcancel();
    return (int)hook_ret(my_accept4(fd, f, sa, len, flags));
}

HOOK int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        int ret = real.accept(fd, sa, len);
        fdtab_fresh(ret);
        return ret;
    }
    pthread_testcancel();
    return (int)hook_ret(my_accept4(fd, f, sa, len, 0));
}

/* ------------------------------------------------------------------ connect */

/* Waits for the handshake, entered; leaves. `err`: what the first try said (INPROGRESS, or
 * ALREADY for a later connect), and what a timeout says. */
static long connect_wait(struct env *env, const struct sock_ref *ref, const struct endpoint *to,
                         int err)
{
    struct sock *s = ref->s;
    nsec timeout = sock_timeout(s->opt.sndtimeo);
    struct block b = {.sock = *ref,
                      .events = LX_POLLOUT,
                      .kernel_fd = {-1, -1},
                      .deadline = block_deadline(timeout),
                      .restart = timeout == 0};
    for (;;) {
        enum block_result r = block_wait(&env, &b);
        if (r == BLOCK_READY) {
            int now = sock_connect(the_stack(), env, s, to);
            if (now == -ERR_ALREADY || now == -ERR_INPROGRESS) {
                continue;
            }
            leave(env);
            return errno_of(now);
        }
        block_told(env, &b, EVC_CONNECT, r);
        leave(env);
        return r == BLOCK_TIMEOUT ? errno_of(err) : r == BLOCK_INTR ? -EINTR : -EBADF;
    }
}

static long connect_stack(struct file *f, const struct endpoint *to)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    int err = sock_connect(the_stack(), env, s, to);
    bool waits = err == -ERR_INPROGRESS || err == -ERR_ALREADY;
    if (waits && !(s->file_flags & O_NONBLOCK)) {
        return connect_wait(env, &ref, to, err);
    }
    leave(env);
    return errno_of(err);
}

/* A stream that is bound to the wildcard, or to nothing, goes where its peer is. */
static bool may_move(const struct file *f)
{
    const struct sock *s = f->sock.s;
    if (s->type == LX_SOCK_STREAM) {
        return !f->decided;
    }
    return !s->bound_addr;
}

int my_aim(int fd, struct file *f, const struct sockaddr *sa, socklen_t len, struct endpoint *to)
{
    const struct sock *s = f->sock.s;
    bool stream = s->type == LX_SOCK_STREAM;
    int got = sa_get(sa, len, s->family, s->opt.v6only,
                     stream ? SA_CONNECT_STREAM : SA_CONNECT_DGRAM, to);
    if (got != 0) {
        return got < 0 ? got : AIM_NOWHERE;
    }
    if (may_move(f)) {
        enum file_why why = decide_dest(&to->addr);
        if (why != FILE_WHY_STACK) {
            int err = file_to_kernel(fd, f, why, -1);
            return err ? err : AIM_KERNEL;
        }
    }
    if (stream && !f->decided) {
        twin_close(f); /* it will not listen */
        f->decided = true;
    }
    f->why = FILE_WHY_STACK;
    return AIM_STACK;
}

long my_connect(int fd, struct file *f, const struct sockaddr *sa, socklen_t len)
{
    struct endpoint to = {0};
    sleep_begin();
    int where = my_aim(fd, f, sa, len, &to);
    if (where < 0) {
        return where;
    }
    if (where == AIM_KERNEL) {
        return hook_errno(real.connect(fd, sa, len));
    }
    return connect_stack(f, where == AIM_NOWHERE ? NULL : &to);
}

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct file *f = hook_sock(fd);
    if (!f || !fdtab_check(fd)) {
        return real.connect(fd, sa, len);
    }
    pthread_testcancel();
    return (int)hook_ret(my_connect(fd, f, sa, len));
}

/* ------------------------------------------------------------------ shutdown, names */

long my_shutdown(int fd, struct file *f, int how)
{
    (void)fd;
    struct sock_ref ref = f->sock;
    struct env *env;
    if (!hook_enter(&env, &ref)) {
        return -EBADF;
    }
    int err = sock_shutdown(the_stack(), env, ref.s, how);
    leave(env);
    if (err == 0) { /* a listener ends on both sides */
        if (f->twin_fd >= 0) {
            sys3(SYS_shutdown, f->twin_fd, how, 0);
        }
        if (f->twin6_fd >= 0) {
            sys3(SYS_shutdown, f->twin6_fd, how, 0);
        }
    }
    return errno_of(err);
}

HOOK int shutdown(int fd, int how)
{
    struct file *f = hook_sock(fd);
    return f ? (int)hook_ret(my_shutdown(fd, f, how)) : real.shutdown(fd, how);
}

static long name_of(struct file *f, int (*ask)(struct stack *, struct sock *, struct endpoint *),
                    struct sockaddr *sa, socklen_t *len)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    struct endpoint e = {0};
    int err = ask(the_stack(), s, &e);
    int family = s->family;
    leave(env);
    return err ? errno_of(err) : sa_put(&e, family, sa, len);
}

long my_getsockname(int fd, struct file *f, struct sockaddr *sa, socklen_t *len)
{
    (void)fd;
    return name_of(f, sock_name, sa, len);
}

long my_getpeername(int fd, struct file *f, struct sockaddr *sa, socklen_t *len)
{
    (void)fd;
    return name_of(f, sock_peer, sa, len);
}

HOOK int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct file *f = hook_sock(fd);
    return f ? (int)hook_ret(my_getsockname(fd, f, sa, len)) : real.getsockname(fd, sa, len);
}

HOOK int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct file *f = hook_sock(fd);
    return f ? (int)hook_ret(my_getpeername(fd, f, sa, len)) : real.getpeername(fd, sa, len);
}

HOOK int sockatmark(int fd)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        return real.sockatmark(fd);
    }
    int mark = 0;
    long err = my_ioctl(fd, f, LX_SIOCATMARK, &mark);
    return err < 0 ? (int)hook_ret(err) : mark;
}
