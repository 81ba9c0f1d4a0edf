/*
 * poll and epoll.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "vk_priv.h"

#define POLL_TAKE 64u

static uint32_t other_ready(const struct vk_file *f)
{
    if (f->kind == VK_FILE_PIPE) {
        return f->pipe_writes ? LX_POLLOUT : f->pipe->bytes ? LX_POLLIN : 0;
    }
    return LX_POLLIN | LX_POLLOUT;
}

static int16_t ready_of(struct vk *vk, const struct pollfd *p)
{
    struct vk_file *f = vk_file_of(vk, p->fd);
    if (p->fd < 0) {
        return 0;
    }
    if (!f) {
        return POLLNVAL;
    }
    uint32_t now = f->kind == VK_FILE_SOCK ? sock_ready(vk->st, f->sock) : other_ready(f);
    uint32_t asked = (uint16_t)p->events | LX_POLLERR | LX_POLLHUP;
    return (int16_t)(now & asked);
}

static int64_t poll_look(struct vk *vk, struct vk_call *c)
{
    int64_t n = 0;
    for (nfds_t i = 0; i < c->u.poll.n; i++) {
        struct pollfd *p = &c->u.poll.fds[i];
        p->revents = ready_of(vk, p);
        n += p->revents != 0;
    }
    return n;
}

static void poll_watch(struct vk *vk, struct vk_call *c)
{
    for (nfds_t i = 0; i < c->u.poll.n; i++) {
        const struct pollfd *p = &c->u.poll.fds[i];
        struct sock *s = vk_sock(vk, p->fd);
        if (!s) {
            c->always = c->always || p->fd >= 0;
            continue;
        }
        if (!c->set) {
            c->set = pollset_new(vk->st, vk_env(vk), (uint64_t)(uintptr_t)c);
        }
        if (!c->set) {
            vk_fail(vk, "no memory to wait with");
            return;
        }
        uint32_t events = (uint16_t)p->events | LX_POLLERR | LX_POLLHUP;
        pollset_add(vk->st, vk_env(vk), c->set, s, (int32_t)i, events, 0);
    }
}

static nsec patience(struct vk *vk, int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : nsec_add(vk_now(vk), timeout_ms * MSEC);
}

static int64_t do_poll(struct vk *vk, struct vk_call *c, bool last)
{
    if (c->u.poll.n && !c->u.poll.fds) {
        return -EFAULT;
    }
    int64_t n = poll_look(vk, c);
    if (n || last || c->u.poll.timeout_ms == 0) {
        return n;
    }
    if (!c->blocked) {
        poll_watch(vk, c);
        vk_wait_time(vk, c, patience(vk, c->u.poll.timeout_ms));
    }
    return VK_WAIT;
}

static int64_t do_create(struct vk *vk, const struct vk_call *c)
{
    struct vk_file *f = vk_file_new(VK_FILE_EPOLL, 0);
    f->set = pollset_new(vk->st, vk_env(vk), 0);
    if (!f->set) {
        free(f);
        return -ENOMEM;
    }
    return vk_fd_put(vk, f, c->u.n != 0);
}

static int64_t do_ctl(struct vk *vk, struct vk_file *ep, const struct vk_call *c)
{
    struct vk_file *f = vk_file_of(vk, c->u.ctl.fd);
    const struct epoll_event *ev = c->u.ctl.ev;
    if (!f) {
        return -EBADF;
    }
    if (f == ep) {
        return -EINVAL;
    }
    if (f->kind != VK_FILE_SOCK) {
        return -EPERM;
    }
    if (c->u.ctl.op != EPOLL_CTL_DEL && !ev) {
        return -EFAULT;
    }
    switch (c->u.ctl.op) {
    case EPOLL_CTL_ADD:
        return vk_errno(pollset_add(vk->st, vk_env(vk), ep->set, f->sock, c->u.ctl.fd, ev->events,
                                    ev->data.u64));
    case EPOLL_CTL_MOD:
        return vk_errno(pollset_mod(vk->st, ep->set, c->u.ctl.fd, ev->events, ev->data.u64));
    case EPOLL_CTL_DEL:
        return vk_errno(pollset_del(vk->st, ep->set, c->u.ctl.fd));
    default:
        return -EINVAL;
    }
}

static int64_t do_wait(struct vk *vk, struct vk_file *ep, struct vk_call *c, bool last)
{
    struct poll_event got[POLL_TAKE];
    if (c->u.wait.max <= 0) {
        return -EINVAL;
    }
    if (!c->u.wait.ev) {
        return -EFAULT;
    }
    unsigned max = (unsigned)c->u.wait.max < POLL_TAKE ? (unsigned)c->u.wait.max : POLL_TAKE;
    unsigned n = pollset_collect(vk->st, ep->set, got, max);
    for (unsigned i = 0; i < n; i++) {
        c->u.wait.ev[i].events = got[i].events;
        c->u.wait.ev[i].data.u64 = got[i].data;
    }
    if (n || last || c->u.wait.timeout_ms == 0) {
        return n;
    }
    vk_wait_time(vk, c, patience(vk, c->u.wait.timeout_ms));
    return VK_WAIT;
}

int64_t vk_do_poll(struct vk *vk, struct vk_call *c, bool last)
{
    if (c->op == VK_POLL) {
        return do_poll(vk, c, last);
    }
    if (c->op == VK_EPOLL_CREATE) {
        return do_create(vk, c);
    }
    struct vk_file *ep = vk_file_of(vk, c->fd);
    if (!ep) {
        return -EBADF;
    }
    if (ep->kind != VK_FILE_EPOLL) {
        return -EINVAL;
    }
    return c->op == VK_EPOLL_CTL ? do_ctl(vk, ep, c) : do_wait(vk, ep, c, last);
}
