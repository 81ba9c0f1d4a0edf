/*
 * Theory: the address decides, as late as possible.
 *
 *   bind     ours -> stack; wildcard -> both; any other -> the kernel, which knows whether it
 *            exists
 *   connect  the session's subnets, the host's own addresses and all groups -> stack; loopback
 *            and the rest -> kernel
 *   listen   a wildcard listener is joined by kernel listeners on loopback
 *   send     a datagram socket decides for each datagram, through a twin
 *
 * The host's own addresses are the kernel's to know: a datagram socket connected there gets the
 * very same address as its source. That question costs four system calls and is asked only for
 * addresses outside the session's subnets; a thread remembers its last answer for a second.
 *
 * The change to the kernel happens under the descriptor: dup3 over every descriptor of the file
 * in this process. dup3 loses epoll registrations, so they are moved by hand
 * (epset_move_to_kernel). A process that shares the file by fork keeps the stack's undecided
 * socket: the one stated gap.
 *
 * Twins never listen on a real interface: what reaches a NIC or the TUN is the stack's. They are
 * bound to 127.0.0.1 and ::1; a dual-stack AF_INET6 socket has one on ::ffff:127.0.0.1 so that
 * its peers look as they should.
 */
#include "preload/decide.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/abi.h"
#include "core/check.h"
#include "preload/enter.h"
#include "preload/epset.h"
#include "preload/hook.h"
#include "preload/log.h"
#include "preload/sa.h"
#include "tun/sys.h"

#define PORT_TRIES 64
#define FDS_MAX    256

static const uint8_t loop6[16] = {[15] = 1};

/* ------------------------------------------------------------------ where to */

bool decide_ours(const struct addr *a)
{
    const struct stack *st = the_stack();
    for (uint32_t i = 0; st && i < st->naddr; i++) {
        if (addr_eq(a, &st->addr[i].addr)) {
            return true;
        }
    }
    return false;
}

static bool in_subnets(const struct addr *a)
{
    const struct stack *st = the_stack();
    for (uint32_t i = 0; st && i < st->naddr; i++) {
        if (addr_is4(a) == addr_is4(&st->addr[i].addr) &&
            addr_in_prefix(a, &st->addr[i].addr, st->addr[i].bits)) {
            return true;
        }
    }
    return false;
}

/* Whether the kernel of this host answers for the address: it is then its own source. */
static bool host_has(const struct addr *a)
{
    int family = addr_is4(a) ? AF_INET : AF_INET6;
    int fd = (int)sys3(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct endpoint to = {.addr = *a, .port = 9};
    struct sockaddr_storage sa;
    struct sockaddr_storage me;
    socklen_t len = sa_of(&to, family, &sa);
    socklen_t me_len = sizeof me;
    bool same = false;
    if (sys3(SYS_connect, fd, (long)&sa, len) == 0 &&
        sys3(SYS_getsockname, fd, (long)&me, (long)&me_len) == 0) {
        struct endpoint src;
        same = sa_get((struct sockaddr *)&me, me_len, family, false, SA_BIND, &src) == 0 &&
               addr_eq(&src.addr, a);
    }
    sys3(SYS_close, fd, 0, 0);
    return same;
}

static enum file_why decide_slow(const struct addr *to)
{
    if (addr_is_linklocal(to)) {
        return FILE_WHY_NO_UPLINK;
    }
    return host_has(to) ? FILE_WHY_STACK : FILE_WHY_NO_UPLINK;
}

enum file_why decide_dest(const struct addr *to)
{
    static __thread struct {
        struct addr addr;
        enum file_why why;
        nsec until;
    } last __attribute__((tls_model("initial-exec")));

    if (addr_is_loopback(to) || addr_is_any(to)) { /* Linux takes the wildcard for loopback */
        return FILE_WHY_LOOPBACK;
    }
    if (in_subnets(to) || addr_is_multicast(to) || addr_is_broadcast(to)) {
        return FILE_WHY_STACK; /* groups are joined on the TUN */
    }
    nsec now = session_now();
    if (now >= last.until || !addr_eq(&last.addr, to)) {
        last.why = decide_slow(to);
        last.addr = *to;
        last.until = now + SEC;
    }
    return last.why;
}

/* ------------------------------------------------------------------ to the kernel */

bool opt_is_group(int level, int name)
{
    return (level == IPPROTO_IP && name >= IP_ADD_MEMBERSHIP && name <= MCAST_LEAVE_SOURCE_GROUP) ||
           (level == IPPROTO_IPV6 &&
            ((name >= IPV6_JOIN_GROUP && name <= IPV6_LEAVE_GROUP) ||
             (name >= MCAST_JOIN_GROUP && name <= MCAST_LEAVE_SOURCE_GROUP)));
}

static void replay(const struct file *f, int kfd, bool groups)
{
    for (const struct opt_record *o = f->opts; o; o = o->next) {
        if (groups || !opt_is_group(o->level, o->name)) {
            sys6(SYS_setsockopt, kfd, o->level, o->name, (long)o->val, o->len, 0);
        }
    }
}

/* A kernel socket of the same kind with the same options; `groups`: in the same groups, too. */
static int alike(const struct file *f, bool groups)
{
    const struct sock *s = f->sock.s;
    int proto = s->type == LX_SOCK_STREAM || s->proto != LX_IPPROTO_UDP ? s->proto : 0;
    int kfd = (int)sys3(SYS_socket, s->family, s->type | SOCK_CLOEXEC, proto);
    if (kfd >= 0) {
        replay(f, kfd, groups);
    }
    return kfd;
}

int kernel_like(const struct file *f)
{
    return alike(f, true);
}

static int kernel_bind(int kfd, int family, const struct endpoint *at)
{
    struct sockaddr_storage sa;
    socklen_t len = sa_of(at, family, &sa);
    return (int)sys3(SYS_bind, kfd, (long)&sa, len);
}

/* The kernel's socket takes over what the stack's was bound to. The stack's port is free only
 * after the move, but it is another table: no conflict. */
static int bind_alike(const struct file *f, int kfd)
{
    const struct sock *s = f->sock.s;
    if (!s->bound || (!s->bound_port && !s->bound_addr)) {
        return 0;
    }
    struct endpoint at = {.addr = s->flow.laddr, .port = s->flow.lport};
    if (!s->bound_addr) {
        at.addr = s->family == LX_AF_INET6 ? addr_any6 : addr_any4;
    }
    return kernel_bind(kfd, s->family, &at);
}

struct fds {
    const struct file *f;
    int n;
    int fd[FDS_MAX];
};

static void collect_fd(int fd, struct file *f, void *arg)
{
    struct fds *all = arg;
    if (f == all->f && all->n < FDS_MAX) {
        all->fd[all->n++] = fd;
    }
}

int file_to_kernel(int fd, struct file *f, enum file_why why, int kfd)
{
    static const char *const text[FILE_WHY_COUNT] = {
#define WHY_FILE(name, words) [FILE_WHY_##name] = words,
        FILE_WHY_LIST
#undef WHY_FILE
    };
    bool fresh = kfd < 0;
    if (fresh) {
        kfd = kernel_like(f);
        if (kfd < 0) {
            return kfd;
        }
        twin_close(f); /* its port is wanted now */
        int err = bind_alike(f, kfd);
        if (err < 0) {
            sys3(SYS_close, kfd, 0, 0);
            return err;
        }
    }
    LOG(LOG_DEBUG, "descriptor %d goes to the kernel: %s", fd, text[why]);
    sys3(SYS_fcntl, kfd, F_SETFL, f->sock.s->file_flags & (O_NONBLOCK | O_ASYNC));

    struct fds all = {.f = f};
    fdtab_each(collect_fd, &all);
    for (int i = 0; i < all.n; i++) {
        int cloexec = (int)sys3(SYS_fcntl, all.fd[i], F_GETFD, 0) & FD_CLOEXEC;
        sys3(SYS_dup3, kfd, all.fd[i], cloexec ? O_CLOEXEC : 0);
        epset_move_to_kernel(f, all.fd[i]);
        fdtab_drop(all.fd[i]);
    }
    sys3(SYS_close, kfd, 0, 0);
    return 0;
}

/* ------------------------------------------------------------------ twins */

static void close_hidden(int *fd)
{
    if (*fd >= 0) {
        fdtab_unhide(*fd);
        sys3(SYS_close, *fd, 0, 0);
        *fd = -1;
    }
}

void twin_close(struct file *f)
{
    close_hidden(&f->twin_fd);
    close_hidden(&f->twin6_fd);
    f->twin_any = false;
}

/* One twin at that address; *port 0: any, and it comes back. The descriptor, hidden and
 * non-blocking, or -errno. */
static int twin_at(const struct file *f, const struct addr *a, uint16_t *port)
{
    int family = f->sock.s->family;
    int kfd = alike(f, false); /* groups are joined on the TUN only */
    if (kfd < 0) {
        return kfd;
    }
    struct endpoint at = {.addr = *a, .port = *port};
    int err = kernel_bind(kfd, family, &at);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (err == 0) {
        err = (int)sys3(SYS_getsockname, kfd, (long)&sa, (long)&len);
    }
    if (err < 0) {
        sys3(SYS_close, kfd, 0, 0);
        return err;
    }
    sa_get((struct sockaddr *)&sa, len, family, false, SA_BIND, &at);
    *port = at.port;
    sys3(SYS_fcntl, kfd, F_SETFL, O_NONBLOCK);
    kfd = fd_high(kfd);
    fdtab_hide(kfd);
    return kfd;
}

/* 127.0.0.1 unless the socket is IPv6 only, ::1 if it is IPv6. The port of the first is the
 * second's too. */
static int twins_on(struct file *f, uint16_t *port)
{
    const struct sock *s = f->sock.s;
    struct addr loop4 = addr_v4(127, 0, 0, 1);
    struct addr one = addr_of6(loop6);
    bool v6 = s->family == LX_AF_INET6;
    if (!v6 || !s->opt.v6only) {
        f->twin_fd = twin_at(f, &loop4, port);
        if (f->twin_fd < 0) {
            int err = f->twin_fd;
            f->twin_fd = -1;
            return err;
        }
    }
    if (v6) {
        f->twin6_fd = twin_at(f, &one, port);
        if (f->twin6_fd < 0) {
            int err = f->twin6_fd;
            f->twin6_fd = -1;
            if (err == -EADDRINUSE) {
                twin_close(f);
                return err;
            }
        }
    }
    return f->twin_fd >= 0 || f->twin6_fd >= 0 ? 0 : -EADDRNOTAVAIL;
}

static int stack_bind(struct file *f, const struct endpoint *at, bool privileged, bool named)
{
    struct env *env;
    struct sock_ref ref = f->sock;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    int err = sock_bind(the_stack(), env, s, at, privileged);
    if (err == 0 && !named) {
        s->bound_port = false; /* the program named no port */
    }
    leave(env);
    return (int)errno_of(err);
}

/* A port that is free on both sides: the kernel proposes, the stack agrees or the next is tried. */
static int twin_bind_any(struct file *f, const struct endpoint *at, bool privileged)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        struct endpoint both = *at;
        int err = twins_on(f, &both.port);
        if (err == -EADDRINUSE) {
            continue;
        }
        if (err < 0) {
            break; /* no loopback here: the stack alone */
        }
        err = stack_bind(f, &both, privileged, false);
        if (err == 0) {
            return 0;
        }
        twin_close(f);
        if (err != -EADDRINUSE) {
            return err;
        }
    }
    return stack_bind(f, at, privileged, true);
}

int twin_bind(struct file *f, const struct endpoint *at, bool privileged)
{
    const struct sock *s = f->sock.s;
    if (at->port == 0 && !s->bound && !s->opt.bind_no_port) {
        return twin_bind_any(f, at, privileged);
    }
    int err = stack_bind(f, at, privileged, true);
    if (err == 0 && s->type != LX_SOCK_STREAM) {
        twin_make(f); /* datagrams come without a listen */
    }
    return err;
}

void twin_make(struct file *f)
{
    const struct sock *s = f->sock.s;
    if (f->twin_fd >= 0 || f->twin6_fd >= 0 || !s->bound || s->bound_addr) {
        return;
    }
    uint16_t port = s->flow.lport;
    if (twins_on(f, &port) == 0) {
        epset_twin(f);
    }
}

void twin_listen(struct file *f, int backlog)
{
    int *twin[2] = {&f->twin_fd, &f->twin6_fd};
    for (int i = 0; i < 2; i++) {
        if (*twin[i] >= 0 && sys3(SYS_listen, *twin[i], backlog, 0) < 0) {
            close_hidden(twin[i]);
        }
    }
}

void twin_adopt(struct file *f)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return;
    }
    f->twin_asked = true;
    int listens = 0;
    size_t len = sizeof listens;
    sock_getopt(the_stack(), env, s, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    bool stream = s->type == LX_SOCK_STREAM;
    bool wants = s->bound && !s->bound_addr && !s->connected && (listens || !stream);
    leave(env);
    if (wants) {
        twin_make(f);
        if (stream) {
            twin_listen(f, SOMAXCONN);
        }
    }
}

/* A twin bound to the wildcard, for datagrams to networks that only the kernel reaches. */
static int twin_any(struct file *f)
{
    const struct sock *s = f->sock.s;
    if (f->twin_any) {
        return f->twin_fd;
    }
    twin_close(f);
    uint16_t port = s->bound ? s->flow.lport : 0;
    struct addr any = s->family == LX_AF_INET6 ? addr_any6 : addr_any4;
    int fd = twin_at(f, &any, &port);
    if (fd < 0 && port != 0) {
        port = 0;
        fd = twin_at(f, &any, &port);
    }
    if (fd < 0) {
        return fd;
    }
    f->twin_fd = fd;
    f->twin_any = true;
    if (!s->bound) {
        struct endpoint at = {.addr = any, .port = port};
        stack_bind(f, &at, true, false);
    }
    epset_twin(f);
    return fd;
}

int twin_for(struct file *f, const struct addr *to)
{
    const struct sock *s = f->sock.s;
    if (f->twin_any) {
        return f->twin_fd;
    }
    bool loop = addr_is_loopback(to) || addr_is_any(to);
    if (!loop) {
        return twin_any(f);
    }
    if (f->twin_fd < 0 && f->twin6_fd < 0) {
        if (s->bound) {
            twin_make(f);
        } else {
            struct endpoint at = {.addr = s->family == LX_AF_INET6 ? addr_any6 : addr_any4};
            int err = twin_bind_any(f, &at, true);
            if (err < 0) {
                return err;
            }
            epset_twin(f);
        }
    }
    int fd = addr_is4(to) ? f->twin_fd : f->twin6_fd;
    return fd >= 0 ? fd : twin_any(f);
}

void twin_setopt(struct file *f, int level, int name, const void *val, socklen_t len)
{
    if (opt_is_group(level, name)) {
        return;
    }
    if (f->twin_fd >= 0) {
        sys6(SYS_setsockopt, f->twin_fd, level, name, (long)val, len, 0);
    }
    if (f->twin6_fd >= 0) {
        sys6(SYS_setsockopt, f->twin6_fd, level, name, (long)val, len, 0);
    }
}

/* ------------------------------------------------------------------ rights */

static bool has_cap(unsigned cap)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    if (sys3(SYS_capget, (long)&head, (long)data, 0) < 0) {
        return sys3(SYS_geteuid, 0, 0, 0) == 0;
    }
    return (data[cap / 32].effective >> (cap % 32)) & 1;
}

bool may_bind_low(void)
{
    return has_cap(CAP_NET_BIND_SERVICE);
}

bool may_admin(void)
{
    return has_cap(CAP_NET_ADMIN);
}
