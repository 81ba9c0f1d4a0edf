/*
 * Descriptors and open file descriptions; the calls that concern them alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/tcp.h"
#include "vk_priv.h"

struct vk_file *vk_file_of(struct vk *vk, int fd)
{
    return fd >= 0 && fd < vk->nfds ? vk->fds[fd].file : NULL;
}

struct sock *vk_sock(struct vk *vk, int fd)
{
    struct vk_file *f = vk_file_of(vk, fd);
    return f && f->kind == VK_FILE_SOCK ? f->sock : NULL;
}

struct vk_file *vk_file_new(enum vk_kind kind, int flags)
{
    struct vk_file *f = calloc(1, sizeof *f);
    if (!f) {
        abort();
    }
    f->kind = kind;
    f->flags = flags;
    f->refs = 1;
    f->real = -1;
    return f;
}

static int lowest_free(struct vk *vk, int from)
{
    int fd = from;
    while (vk_file_of(vk, fd)) {
        fd++;
    }
    return fd;
}

static int put_at(struct vk *vk, struct vk_file *f, int fd, bool cloexec)
{
    if (fd >= vk->nfds) {
        int n = fd + 16;
        struct vk_fd *fds = realloc(vk->fds, (size_t)n * sizeof *fds);
        if (!fds) {
            abort();
        }
        for (int i = vk->nfds; i < n; i++) {
            fds[i] = (struct vk_fd){0};
        }
        vk->fds = fds;
        vk->nfds = n;
    }
    vk->fds[fd] = (struct vk_fd){.file = f, .cloexec = cloexec};
    return fd;
}

int vk_fd_put(struct vk *vk, struct vk_file *f, bool cloexec)
{
    int fd = vk->cfg.fd_new ? vk->cfg.fd_new(vk->cfg.ctx) : lowest_free(vk, 3);
    if (fd < 0) {
        vk_file_drop(vk, f);
        return -EMFILE;
    }
    return put_at(vk, f, fd, cloexec);
}

static void file_end(struct vk *vk, struct vk_file *f)
{
    switch (f->kind) {
    case VK_FILE_SOCK:
        sock_release(vk->st, vk_env(vk), f->sock, vk_env(vk)->member);
        break;
    case VK_FILE_EPOLL:
        pollset_free(vk->st, f->set);
        break;
    case VK_FILE_PIPE:
        if (--f->pipe->ends == 0) {
            free(f->pipe);
        }
        break;
    case VK_FILE_REAL:
        close(f->real);
        break;
    case VK_FREE:
        break;
    }
    free(f);
}

void vk_file_drop(struct vk *vk, struct vk_file *f)
{
    if (--f->refs == 0) {
        file_end(vk, f);
    }
}

/* Linux, not RFC: close with SO_LINGER waits in these states, until the peer has acknowledged or
 * the time is over. */
static bool still_closing(const struct vk_call *c)
{
    if (!sock_ref_ok(&c->linger)) {
        return false;
    }
    enum tcp_state st = tcp_state_of(c->linger.s);
    return st == TCP_FIN_WAIT_1 || st == TCP_CLOSING || st == TCP_LAST_ACK;
}

static int64_t do_close(struct vk *vk, struct vk_call *c, bool last)
{
    if (c->blocked) {
        return last || !still_closing(c) ? 0 : VK_WAIT;
    }
    struct vk_file *f = vk_file_of(vk, c->fd);
    if (!f) {
        return -EBADF;
    }
    struct sock *s = f->kind == VK_FILE_SOCK && f->refs == 1 ? f->sock : NULL;
    int linger = s ? s->opt.linger_s : -1;
    if (s) {
        c->linger = sock_ref(s);
    }
    vk->fds[c->fd] = (struct vk_fd){0};
    vk_file_drop(vk, f);
    if (vk->cfg.fd_gone) {
        vk->cfg.fd_gone(vk->cfg.ctx, c->fd);
    }
    if (!s || linger <= 0 || s->proto != LX_IPPROTO_TCP || !still_closing(c)) {
        return 0;
    }
    c->always = true;
    vk_wait_time(vk, c, vk_after(vk, linger * SEC));
    return VK_WAIT;
}

static int64_t do_fcntl(struct vk *vk, const struct vk_call *c)
{
    struct vk_file *f = vk_file_of(vk, c->fd);
    if (!f) {
        return -EBADF;
    }
    switch (c->u.fcntl.cmd) {
    case F_GETFL:
        return f->flags;
    case F_SETFL:
        f->flags = (f->flags & O_ACCMODE) | (int)(c->u.fcntl.arg & ~(long)O_ACCMODE);
        return 0;
    case F_GETFD:
        return vk->fds[c->fd].cloexec ? FD_CLOEXEC : 0;
    case F_SETFD:
        vk->fds[c->fd].cloexec = (c->u.fcntl.arg & FD_CLOEXEC) != 0;
        return 0;
    case F_DUPFD:
        f->refs++;
        return vk->cfg.fd_new ? vk_fd_put(vk, f, false)
                              : put_at(vk, f, lowest_free(vk, (int)c->u.fcntl.arg), false);
    default:
        return -EINVAL;
    }
}

static int64_t do_pipe(struct vk *vk, const struct vk_call *c)
{
    struct vk_pipe *p = calloc(1, sizeof *p);
    if (!p) {
        abort();
    }
    p->ends = 2;
    for (int i = 0; i < 2; i++) {
        struct vk_file *f = vk_file_new(VK_FILE_PIPE, i ? O_WRONLY : O_RDONLY);
        f->pipe = p;
        f->pipe_writes = i == 1;
        c->u.pipe[i] = vk_fd_put(vk, f, false);
    }
    return 0;
}

static int64_t do_open(struct vk *vk, const struct vk_call *c)
{
    int real = open(c->u.open.path, c->u.open.flags | O_CLOEXEC, 0600);
    if (real < 0) {
        return -errno;
    }
    struct vk_file *f = vk_file_new(VK_FILE_REAL, c->u.open.flags);
    f->real = real;
    return vk_fd_put(vk, f, false);
}

int64_t vk_do_file(struct vk *vk, struct vk_call *c, bool last)
{
    switch (c->op) {
    case VK_CLOSE:
        return do_close(vk, c, last);
    case VK_FCNTL:
        return do_fcntl(vk, c);
    case VK_PIPE:
        return do_pipe(vk, c);
    default:
        return do_open(vk, c);
    }
}
