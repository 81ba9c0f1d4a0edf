/*
 * Bytes in and out: the send and recv families, and what moves bytes between descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/check.h"
#include "vk_priv.h"

#define IOV_TAKE 64u
#define MOVE_MAX 65536u
#define INQ_CMSG 36 /* TCP_CM_INQ */

static size_t iov_total(const struct msghdr *m)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)m->msg_iovlen; i++) {
        n += m->msg_iov[i].iov_len;
    }
    return n;
}

/* The part of the message behind its first `skip` bytes. -EFAULT: a NULL buffer with a length. */
static int spans_of(const struct msghdr *m, size_t skip, struct mspan *v, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < (size_t)m->msg_iovlen && *n < IOV_TAKE; i++) {
        size_t len = m->msg_iov[i].iov_len;
        if (len && !m->msg_iov[i].iov_base) {
            return -EFAULT;
        }
        size_t cut = skip < len ? skip : len;
        skip -= cut;
        if (len > cut) {
            v[(*n)++] = (struct mspan){(uint8_t *)m->msg_iov[i].iov_base + cut, len - cut};
        }
    }
    return 0;
}

static bool no_wait(struct vk *vk, const struct vk_call *c)
{
    struct vk_file *f = vk_file_of(vk, c->fd);
    return (f->flags & O_NONBLOCK) || (c->u.io.flags & MSG_DONTWAIT);
}

static int64_t wait_for(struct vk *vk, struct vk_call *c, struct sock *s, uint32_t events,
                        nsec timeout)
{
    vk_wait_sock(vk, c, s, events);
    vk_wait_time(vk, c, vk_after(vk, timeout));
    return VK_WAIT;
}

static int send_to(const struct sock *s, const struct msghdr *m, bool fastopen, struct endpoint *to,
                   bool *have)
{
    *have = m->msg_name != NULL && m->msg_namelen > 0;
    const struct sockaddr *sa = m->msg_name;
    if (*have && fastopen && m->msg_namelen >= sizeof sa->sa_family && sa->sa_family == AF_UNSPEC) {
        return -EOPNOTSUPP;
    }
    return *have ? vk_to_endpoint(s, m->msg_name, m->msg_namelen, to) : 0;
}

static int64_t do_send(struct vk *vk, struct sock *s, struct vk_call *c, bool last)
{
    const struct msghdr *m = c->u.io.msg;
    struct mspan v[IOV_TAKE];
    struct span out[IOV_TAKE];
    struct endpoint to;
    bool have_to;
    size_t n;
    bool fastopen = s->type == LX_SOCK_STREAM && (c->u.io.flags & MSG_FASTOPEN);
    int bad = send_to(s, m, fastopen, &to, &have_to);
    bad = bad ? bad : spans_of(m, (size_t)c->progress, v, &n);
    if (bad) {
        return bad;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct span){v[i].p, v[i].n};
    }
    uint32_t flags = (uint32_t)c->u.io.flags & ~(uint32_t)MSG_DONTWAIT;
    flags &= ~(c->opening ? (uint32_t)MSG_FASTOPEN : 0);
    flags |= no_wait(vk, c) ? MSG_DONTWAIT : 0;
    int64_t r = sock_send(vk->st, vk_env(vk), s, out, n, flags, have_to ? &to : NULL);
    bool was_opening = c->opening;
    c->opening = sock_opening(s);
    if (r >= 0) {
        c->progress += r;
        if (no_wait(vk, c) || s->type == LX_SOCK_DGRAM ||
            ((size_t)c->progress >= iov_total(m) && !c->opening)) {
            return c->progress;
        }
    } else if ((r != -ERR_AGAIN && r != -ERR_INPROGRESS) || no_wait(vk, c)) {
        return c->progress && !was_opening ? c->progress : vk_errno(r);
    }
    if (last) {
        return c->progress ? c->progress : -EAGAIN;
    }
    return wait_for(vk, c, s, LX_POLLOUT, sock_timeout(s->opt.sndtimeo));
}

/* --- ancillary data --- */

static struct cmsghdr *cmsg_put(struct msghdr *m, size_t *used, int level, int type,
                                const void *data, size_t len)
{
    if (*used + CMSG_SPACE(len) > m->msg_controllen) {
        m->msg_flags |= MSG_CTRUNC;
        return NULL;
    }
    struct cmsghdr *h = (struct cmsghdr *)((uint8_t *)m->msg_control + *used);
    h->cmsg_level = level;
    h->cmsg_type = type;
    h->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(h), data, len);
    *used += CMSG_SPACE(len);
    return h;
}

static void cmsg_error(struct vk *vk, const struct sock *s, struct msghdr *m, size_t *used,
                       const struct recv_info *info)
{
    (void)vk;
    struct {
        struct sock_extended_err ee;
        struct sockaddr_in6 offender;
    } d = {0};
    d.ee.ee_errno = info->ee.err ? (uint32_t)-vk_errno(-(int64_t)info->ee.err) : 0;
    d.ee.ee_origin = info->ee.origin;
    d.ee.ee_type = info->ee.type;
    d.ee.ee_code = info->ee.code;
    d.ee.ee_info = info->ee.info;
    d.ee.ee_data = info->ee.data;
    socklen_t len = sizeof d.offender;
    vk_from_endpoint(s, &info->ee.offender, (struct sockaddr *)&d.offender, &len);
    bool v4 = s->family == LX_AF_INET;
    cmsg_put(m, used, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &d,
             sizeof d.ee + len);
}

static void cmsg_pktinfo(const struct sock *s, struct msghdr *m, size_t *used,
                         const struct recv_info *info)
{
    if (s->family == LX_AF_INET) {
        struct in_pktinfo pi = {.ipi_ifindex = 1};
        memcpy(&pi.ipi_addr, addr_bytes4(&info->to), 4);
        pi.ipi_spec_dst = pi.ipi_addr;
        cmsg_put(m, used, IPPROTO_IP, IP_PKTINFO, &pi, sizeof pi);
        return;
    }
    struct in6_pktinfo pi = {.ipi6_ifindex = 1};
    memcpy(&pi.ipi6_addr, info->to.b, 16);
    cmsg_put(m, used, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof pi);
}

static void cmsg_stamp(const struct sock *s, struct msghdr *m, size_t *used,
                       const struct recv_info *info)
{
    int64_t t[2] = {info->stamp / SEC, info->stamp % SEC};
    if (s->opt.timestampns) {
        cmsg_put(m, used, SOL_SOCKET, SO_TIMESTAMPNS, t, sizeof t);
    } else {
        t[1] /= 1000;
        cmsg_put(m, used, SOL_SOCKET, SO_TIMESTAMP, t, sizeof t);
    }
}

static void put_info(struct vk *vk, const struct sock *s, struct msghdr *m,
                     const struct recv_info *info)
{
    size_t used = 0;
    bool v4 = s->family == LX_AF_INET;
    int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    m->msg_flags = (int)info->flags;
    if (m->msg_name && info->have_from) {
        vk_from_endpoint(s, &info->from, m->msg_name, &m->msg_namelen);
    } else {
        m->msg_namelen = 0;
    }
    if (info->have_stamp) {
        cmsg_stamp(s, m, &used, info);
    }
    if (info->have_tstamping) {
        int64_t t[6] = {info->stamp / SEC, info->stamp % SEC};
        cmsg_put(m, &used, SOL_SOCKET, SO_TIMESTAMPING, t, sizeof t);
    }
    if (info->have_pktinfo) {
        cmsg_pktinfo(s, m, &used, info);
    }
    if (info->have_ttl) {
        int ttl = info->ttl;
        cmsg_put(m, &used, level, v4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof ttl);
    }
    if (info->have_tos) {
        int tos = info->tos;
        cmsg_put(m, &used, level, v4 ? IP_TOS : IPV6_TCLASS, &tos, v4 ? 1 : sizeof tos);
    }
    if (info->have_inq) {
        int inq = (int)info->inq;
        cmsg_put(m, &used, IPPROTO_TCP, INQ_CMSG, &inq, sizeof inq);
    }
    if (info->have_err) {
        cmsg_error(vk, s, m, &used, info);
    }
    m->msg_controllen = used;
}

/* How many bytes a blocking receive waits for. */
static size_t recv_target(const struct sock *s, const struct vk_call *c, size_t len)
{
    if (s->type == LX_SOCK_DGRAM || len == 0) {
        return 0;
    }
    if (c->u.io.flags & MSG_WAITALL) {
        return len;
    }
    return s->opt.rcvlowat > 1 ? min_size((size_t)s->opt.rcvlowat, len) : 1;
}

static int64_t do_recv(struct vk *vk, struct sock *s, struct vk_call *c, bool last)
{
    struct msghdr *m = c->u.io.msg;
    struct recv_info info = {0};
    struct mspan v[IOV_TAKE];
    size_t n;
    bool peek = (c->u.io.flags & MSG_PEEK) != 0;
    int bad = spans_of(m, (size_t)c->progress, v, &n);
    if (bad) {
        return bad;
    }
    size_t target = recv_target(s, c, iov_total(m));
    uint32_t flags = (uint32_t)c->u.io.flags & ~(uint32_t)(MSG_DONTWAIT | MSG_WAITALL);
    int64_t r = sock_recv(vk->st, vk_env(vk), s, v, n, flags, &info);
    if (r >= 0) {
        int64_t all = (peek ? 0 : c->progress) + r;
        if (r == 0 || (size_t)all >= target || no_wait(vk, c) || last || info.flags & MSG_OOB ||
            sock_at_mark(s)) {
            put_info(vk, s, m, &info);
            return all;
        }
        c->progress = peek ? 0 : all;
    } else if (r != -ERR_AGAIN || no_wait(vk, c) || (c->u.io.flags & (MSG_ERRQUEUE | MSG_OOB))) {
        return c->progress ? c->progress : vk_errno(r);
    }
    if (last) {
        return c->progress ? c->progress : -EAGAIN;
    }
    return wait_for(vk, c, s, LX_POLLIN | LX_POLLRDHUP, sock_timeout(s->opt.rcvtimeo));
}

/* --- between descriptors --- */

static int64_t move_send(struct vk *vk, struct sock *s, const uint8_t *p, size_t n)
{
    struct span v = {p, n};
    int64_t r = sock_send(vk->st, vk_env(vk), s, &v, 1, 0, NULL);
    return r < 0 ? vk_errno(r) : r;
}

static int64_t do_sendfile(struct vk *vk, struct vk_call *c)
{
    static uint8_t buf[MOVE_MAX];
    struct sock *s = vk_sock(vk, c->fd);
    struct vk_file *from = vk_file_of(vk, c->u.move.fd);
    if (!s || !from || from->kind != VK_FILE_REAL) {
        return !from || !vk_file_of(vk, c->fd) ? -EBADF : -EINVAL;
    }
    size_t want = min_size(c->u.move.n, sizeof buf);
    ssize_t n =
        c->u.move.at ? pread(from->real, buf, want, *c->u.move.at) : read(from->real, buf, want);
    if (n <= 0) {
        return n < 0 ? -errno : 0;
    }
    int64_t r = move_send(vk, s, buf, (size_t)n);
    if (r > 0 && c->u.move.at) {
        *c->u.move.at += r;
    }
    return r;
}

static int64_t splice_in(struct vk *vk, struct sock *s, struct vk_call *c, struct vk_pipe *p,
                         bool last)
{
    static uint8_t buf[MOVE_MAX];
    struct mspan v = {buf, min_size(c->u.move.n, sizeof buf)};
    struct vk_file *f = vk_file_of(vk, c->fd);
    if (sock_ioctl(vk->st, vk_env(vk), s, LX_SIOCATMARK) == 1) {
        return 0; /* Linux, not RFC: urgent data is next, which splice does not take */
    }
    int64_t r = sock_recv(vk->st, vk_env(vk), s, &v, 1, 0, NULL);
    if (r == -ERR_AGAIN && !last && !(f->flags & O_NONBLOCK)) {
        return wait_for(vk, c, s, LX_POLLIN | LX_POLLRDHUP, sock_timeout(s->opt.rcvtimeo));
    }
    if (r > 0) {
        p->bytes += (size_t)r;
    }
    return r < 0 ? vk_errno(r) : r;
}

static int64_t do_splice(struct vk *vk, struct vk_call *c, bool last)
{
    static const uint8_t zeroes[MOVE_MAX];
    struct vk_file *from = vk_file_of(vk, c->fd);
    struct vk_file *to = vk_file_of(vk, c->u.move.fd);
    if (!from || !to) {
        return -EBADF;
    }
    if (from->kind == VK_FILE_SOCK && to->kind == VK_FILE_PIPE && to->pipe_writes) {
        return splice_in(vk, from->sock, c, to->pipe, last);
    }
    if (from->kind != VK_FILE_PIPE || from->pipe_writes || to->kind != VK_FILE_SOCK) {
        return -EINVAL;
    }
    size_t n = min_size(min_size(c->u.move.n, from->pipe->bytes), MOVE_MAX);
    int64_t r = n ? move_send(vk, to->sock, zeroes, n) : 0;
    if (r > 0) {
        from->pipe->bytes -= (size_t)r;
    }
    return r;
}

/* read and write of a pipe. */
static int64_t pipe_io(struct vk_file *f, const struct vk_call *c)
{
    size_t n = iov_total(c->u.io.msg);
    if ((c->op == VK_SEND) != f->pipe_writes) {
        return -EBADF;
    }
    if (f->pipe_writes) {
        f->pipe->bytes += n;
        return (int64_t)n;
    }
    n = min_size(n, f->pipe->bytes);
    f->pipe->bytes -= n;
    return n ? (int64_t)n : -EAGAIN;
}

static int64_t real_io(const struct vk_file *f, const struct vk_call *c)
{
    const struct msghdr *m = c->u.io.msg;
    int n = (int)m->msg_iovlen;
    ssize_t r = c->op == VK_SEND ? writev(f->real, m->msg_iov, n) : readv(f->real, m->msg_iov, n);
    return r < 0 ? -errno : r;
}

int64_t vk_do_io(struct vk *vk, struct vk_call *c, bool last)
{
    struct vk_file *f = vk_file_of(vk, c->fd);
    if (!f) {
        return -EBADF;
    }
    if (c->op == VK_SPLICE) {
        return do_splice(vk, c, last);
    }
    if (c->op == VK_SENDFILE) {
        return do_sendfile(vk, c);
    }
    if (f->kind != VK_FILE_SOCK) {
        if (!c->u.io.plain) {
            return -ENOTSOCK;
        }
        return f->kind == VK_FILE_PIPE   ? pipe_io(f, c)
               : f->kind == VK_FILE_REAL ? real_io(f, c)
                                         : -EINVAL;
    }
    if (c->u.io.plain && iov_total(c->u.io.msg) == 0 && c->op == VK_RECV) {
        return 0; /* read(2) of nothing looks at nothing */
    }
    return c->op == VK_SEND ? do_send(vk, f->sock, c, last) : do_recv(vk, f->sock, c, last);
}
