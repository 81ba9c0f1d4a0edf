/*
 * The calls that make, name, connect and describe sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vk_priv.h"

_Static_assert(LX_AF_INET == AF_INET && LX_AF_INET6 == AF_INET6, "abi.h");
_Static_assert(LX_SOCK_STREAM == (int)SOCK_STREAM, "abi.h");
_Static_assert(LX_SOCK_DGRAM == (int)SOCK_DGRAM, "abi.h");
_Static_assert(LX_MSG_DONTWAIT == (int)MSG_DONTWAIT, "abi.h");
_Static_assert(LX_MSG_WAITALL == (int)MSG_WAITALL, "abi.h");
_Static_assert(LX_POLLIN == POLLIN && LX_POLLOUT == POLLOUT && LX_POLLHUP == POLLHUP, "abi.h");

int vk_to_endpoint(const struct sock *s, const struct sockaddr *sa, socklen_t len,
                   struct endpoint *out)
{
    memset(out, 0, sizeof *out);
    if (!sa) {
        return -EFAULT;
    }
    if (len < sizeof sa->sa_family) {
        return -EINVAL;
    }
    if (s->family == LX_AF_INET) {
        struct sockaddr_in in;
        if (len < sizeof in) {
            return -EINVAL;
        }
        memcpy(&in, sa, sizeof in);
        out->addr = addr_of4((const uint8_t *)&in.sin_addr);
        out->port = ntohs(in.sin_port);
        return sa->sa_family == AF_INET ? 0 : -EAFNOSUPPORT;
    }
    struct sockaddr_in6 in6;
    if (len < 24) { /* SIN6_LEN_RFC2133 */
        return -EINVAL;
    }
    memcpy(&in6, sa, len < sizeof in6 ? len : sizeof in6);
    out->addr = addr_of6((const uint8_t *)&in6.sin6_addr);
    out->port = ntohs(in6.sin6_port);
    return sa->sa_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
}

void vk_from_endpoint(const struct sock *s, const struct endpoint *e, struct sockaddr *sa,
                      socklen_t *len)
{
    struct sockaddr_storage all = {0};
    socklen_t full;
    if (s->family == LX_AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&all;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, addr_bytes4(&e->addr), 4);
        full = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&all;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(e->port);
        memcpy(&in6->sin6_addr, e->addr.b, 16);
        full = sizeof *in6;
    }
    if (!sa || !len) {
        return;
    }
    memcpy(sa, &all, *len < full ? *len : full);
    *len = full;
}

static int64_t file_for(struct vk *vk, struct sock *s, int type_flags)
{
    struct vk_file *f =
        vk_file_new(VK_FILE_SOCK, O_RDWR | (type_flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    f->sock = s;
    return vk_fd_put(vk, f, (type_flags & SOCK_CLOEXEC) != 0);
}

static int64_t do_socket(struct vk *vk, const struct vk_call *c)
{
    int type = c->u.socket.type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    int err = 0;
    struct sock *s =
        sock_create(vk->st, vk_env(vk), c->u.socket.domain, type, c->u.socket.proto, &err);
    return s ? file_for(vk, s, c->u.socket.type) : vk_errno(err);
}

static int64_t do_bind(struct vk *vk, struct sock *s, const struct vk_call *c)
{
    struct endpoint at;
    int bad = vk_to_endpoint(s, c->u.addr.sa, c->u.addr.len, &at);
    return bad ? bad : vk_errno(sock_bind(vk->st, vk_env(vk), s, &at, true));
}

static int64_t do_accept(struct vk *vk, struct sock *s, struct vk_call *c, bool last)
{
    struct vk_file *f = vk_file_of(vk, c->fd);
    int err = 0;
    struct sock *child = sock_accept(vk->st, vk_env(vk), s, &err);
    if (child) {
        struct endpoint peer = {.addr = child->flow.raddr, .port = child->flow.rport};
        if (c->u.name.sa) { /* also when it has been reset meanwhile */
            vk_from_endpoint(s, &peer, c->u.name.sa, c->u.name.len);
        }
        return file_for(vk, child, c->u.name.flags);
    }
    if (err != -ERR_AGAIN || last || (f->flags & O_NONBLOCK)) {
        return vk_errno(err);
    }
    vk_wait_sock(vk, c, s, LX_POLLIN);
    vk_wait_time(vk, c, vk_after(vk, sock_timeout(s->opt.rcvtimeo)));
    return VK_WAIT;
}

static int64_t do_connect(struct vk *vk, struct sock *s, struct vk_call *c, bool last)
{
    struct vk_file *f = vk_file_of(vk, c->fd);
    struct endpoint to;
    bool unspec = c->u.addr.sa && c->u.addr.len >= sizeof(sa_family_t) &&
                  c->u.addr.sa->sa_family == AF_UNSPEC;
    int bad = unspec ? 0 : vk_to_endpoint(s, c->u.addr.sa, c->u.addr.len, &to);
    if (bad) {
        return bad;
    }
    int r = sock_connect(vk->st, vk_env(vk), s, unspec ? NULL : &to);
    bool going_on = r == -ERR_INPROGRESS || (c->blocked && r == -ERR_ALREADY);
    if (!going_on || (f->flags & O_NONBLOCK)) {
        return vk_errno(r);
    }
    if (last) {
        return -EINPROGRESS; /* SO_SNDTIMEO is over; the attempt goes on */
    }
    vk_wait_sock(vk, c, s, LX_POLLOUT);
    vk_wait_time(vk, c, vk_after(vk, sock_timeout(s->opt.sndtimeo)));
    return VK_WAIT;
}

static int64_t do_name(struct vk *vk, struct sock *s, const struct vk_call *c)
{
    struct endpoint e;
    int r = c->op == VK_GETSOCKNAME ? sock_name(vk->st, s, &e) : sock_peer(vk->st, s, &e);
    if (r == 0) {
        vk_from_endpoint(s, &e, c->u.name.sa, c->u.name.len);
    }
    return vk_errno(r);
}

/* What SO_ERROR says is core's own number until here. */
static void error_to_errno(const struct vk_call *c)
{
    int e;
    if (c->u.opt.level != SOL_SOCKET || c->u.opt.name != SO_ERROR ||
        *c->u.opt.len < (socklen_t)sizeof e) {
        return;
    }
    memcpy(&e, c->u.opt.val, sizeof e);
    e = -vk_errno(-(int64_t)e);
    memcpy(c->u.opt.val, &e, sizeof e);
}

static int64_t do_getsockopt(struct vk *vk, struct sock *s, const struct vk_call *c)
{
    if (!c->u.opt.len || !c->u.opt.val) {
        return -EFAULT;
    }
    if ((int)*c->u.opt.len < 0) {
        return -EINVAL;
    }
    size_t len = *c->u.opt.len;
    int r = sock_getopt(vk->st, vk_env(vk), s, c->u.opt.level, c->u.opt.name, c->u.opt.val, &len);
    if (r == 0) {
        *c->u.opt.len = (socklen_t)len;
        error_to_errno(c);
    }
    return vk_errno(r);
}

static int64_t do_setsockopt(struct vk *vk, struct sock *s, const struct vk_call *c)
{
    if ((int)c->u.opt.size < 0) {
        return -EINVAL;
    }
    if (!c->u.opt.val && c->u.opt.size > 0) {
        return -EFAULT;
    }
    return vk_errno(sock_setopt(vk->st, vk_env(vk), s, c->u.opt.level, c->u.opt.name, c->u.opt.val,
                                c->u.opt.size, true));
}

static int64_t do_ioctl(struct vk *vk, struct sock *s, const struct vk_call *c)
{
    int *arg = c->u.ioctl.arg;
    if (!arg) {
        return -EFAULT;
    }
    if (c->u.ioctl.request == FIONBIO) {
        struct vk_file *f = vk_file_of(vk, c->fd);
        f->flags = (f->flags & ~O_NONBLOCK) | (*arg ? O_NONBLOCK : 0);
        return 0;
    }
    int64_t r = sock_ioctl(vk->st, vk_env(vk), s, (uint32_t)c->u.ioctl.request);
    if (r < 0) {
        return r == -ERR_NOPROTOOPT ? -ENOTTY : vk_errno(r);
    }
    *arg = (int)r;
    return 0;
}

int64_t vk_do_sock(struct vk *vk, struct vk_call *c, bool last)
{
    if (c->op == VK_SOCKET) {
        return do_socket(vk, c);
    }
    if (!vk_file_of(vk, c->fd)) {
        return -EBADF;
    }
    struct sock *s = vk_sock(vk, c->fd);
    if (!s) {
        return c->op == VK_IOCTL ? -ENOTTY : -ENOTSOCK;
    }
    switch (c->op) {
    case VK_BIND:
        return do_bind(vk, s, c);
    case VK_LISTEN:
        return vk_errno(sock_listen(vk->st, vk_env(vk), s, c->u.n));
    case VK_ACCEPT:
        return do_accept(vk, s, c, last);
    case VK_CONNECT:
        return do_connect(vk, s, c, last);
    case VK_SHUTDOWN:
        return vk_errno(sock_shutdown(vk->st, vk_env(vk), s, c->u.n));
    case VK_GETSOCKNAME:
    case VK_GETPEERNAME:
        return do_name(vk, s, c);
    case VK_GETSOCKOPT:
        return do_getsockopt(vk, s, c);
    case VK_SETSOCKOPT:
        return do_setsockopt(vk, s, c);
    case VK_IOCTL:
        return do_ioctl(vk, s, c);
    default:
        return -ENOSYS;
    }
}
