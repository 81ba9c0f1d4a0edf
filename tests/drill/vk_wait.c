/*
 * Blocking: the list of calls that wait, what wakes them, and what is looked at after every event.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "vk_priv.h"

static const int errnos[] = {
#define ERR(name, text) [ERR_##name] = E##name,
    ERR_LIST
#undef ERR
};

int vk_errno(int64_t err)
{
    int64_t e = -err;
    return e >= 0 && e < (int64_t)ARRAY_LEN(errnos) ? -errnos[e] : -EIO;
}

nsec vk_after(struct vk *vk, nsec span)
{
    return span > 0 ? nsec_add(vk_now(vk), span) : NEVER;
}

void vk_wait_sock(struct vk *vk, struct vk_call *c, struct sock *s, uint32_t events)
{
    if (c->set) {
        return;
    }
    c->set = pollset_new(vk->st, vk_env(vk), (uint64_t)(uintptr_t)c);
    if (!c->set ||
        pollset_add(vk->st, vk_env(vk), c->set, s, 0, events | LX_POLLERR | LX_POLLHUP, 0) != 0) {
        vk_fail(vk, "no memory to wait with");
    }
}

void vk_wait_time(struct vk *vk, struct vk_call *c, nsec timeout)
{
    (void)vk;
    if (!c->blocked) {
        c->timeout = timeout;
    }
}

/* The pollset a blocked call sleeps on: its own, or that of the epoll descriptor. */
static struct pollset *set_of(struct vk *vk, const struct vk_call *c)
{
    if (c->op == VK_EPOLL_WAIT) {
        struct vk_file *f = vk_file_of(vk, c->fd);
        return f ? f->set : NULL;
    }
    return c->set;
}

static void go_to_sleep(struct vk *vk, struct vk_call *c)
{
    struct pollset *set = set_of(vk, c);
    c->woken = false;
    c->asleep = set && pollset_sleep(vk->st, set);
}

static void wake_up(struct vk *vk, struct vk_call *c)
{
    struct pollset *set = set_of(vk, c);
    if (c->asleep && set) {
        pollset_awake(set);
    }
    c->asleep = false;
}

static int64_t attempt(struct vk *vk, struct vk_call *c, bool last)
{
    switch (c->op) {
    case VK_SEND:
    case VK_RECV:
    case VK_SPLICE:
    case VK_SENDFILE:
        return vk_do_io(vk, c, last);
    case VK_POLL:
    case VK_EPOLL_CREATE:
    case VK_EPOLL_CTL:
    case VK_EPOLL_WAIT:
        return vk_do_poll(vk, c, last);
    case VK_FCNTL:
    case VK_CLOSE:
    case VK_PIPE:
    case VK_OPEN:
        return vk_do_file(vk, c, last);
    default:
        return vk_do_sock(vk, c, last);
    }
}

static void finish(struct vk *vk, struct vk_call *c, int64_t r)
{
    c->done = true;
    c->blocked = false;
    c->ended = vk_now(vk);
    c->ret = r < 0 ? -1 : r;
    c->err = r < 0 ? (int)-r : 0;
    if (c->set) {
        pollset_free(vk->st, c->set);
        c->set = NULL;
    }
}

static void unlink_call(struct vk *vk, struct vk_call *c)
{
    for (struct vk_call **at = &vk->blocked; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            return;
        }
    }
}

bool vk_start(struct vk *vk, struct vk_call *c)
{
    c->began = vk_now(vk);
    c->timeout = NEVER;
    int64_t r = attempt(vk, c, false);
    if (r != VK_WAIT) {
        finish(vk, c, r);
        vk_settle(vk);
        return true;
    }
    c->blocked = true;
    c->next = vk->blocked;
    vk->blocked = c;
    go_to_sleep(vk, c);
    c->woken = !c->asleep && !c->always && set_of(vk, c);
    vk_settle(vk);
    return c->done;
}

void vk_cancel(struct vk *vk, struct vk_call *c)
{
    if (!c->blocked) {
        return;
    }
    unlink_call(vk, c);
    wake_up(vk, c);
    finish(vk, c, -EINTR);
}

static void mark_woken(struct vk *vk)
{
    struct pollset *set;
    while ((set = pollset_next_wake(vk->st)) != NULL) {
        for (struct vk_call *c = vk->blocked; c; c = c->next) {
            if (set_of(vk, c) == set) {
                c->woken = true;
            }
        }
    }
}

/* What a blocked call of its own set saw is taken off the ready list, as epoll_wait would, before
 * it sleeps again. */
static void sleep_again(struct vk *vk, struct vk_call *c)
{
    struct poll_event ev[8];
    if (c->set) {
        pollset_collect(vk->st, c->set, ev, ARRAY_LEN(ev));
    }
    go_to_sleep(vk, c);
}

/* One blocked call that may go on. True: it is done. */
static bool retry(struct vk *vk, struct vk_call *c)
{
    bool last = c->timeout <= vk_now(vk);
    if (!c->woken && !c->always && !last) {
        return false;
    }
    wake_up(vk, c);
    int64_t r = attempt(vk, c, last);
    if (r == VK_WAIT) {
        if (last) {
            vk_fail(vk, "a call goes on waiting although its time is over");
            c->timeout = NEVER;
        }
        sleep_again(vk, c);
        return false;
    }
    unlink_call(vk, c);
    finish(vk, c, r);
    return true;
}

static bool retry_all(struct vk *vk)
{
    for (struct vk_call *c = vk->blocked; c; c = c->next) {
        if (retry(vk, c)) {
            return true; /* the list has changed */
        }
    }
    return false;
}

/* Whoever sleeps must have been woken if there is something for it. */
static void check_sleepers(struct vk *vk)
{
    for (struct vk_call *c = vk->blocked; c; c = c->next) {
        struct pollset *set = set_of(vk, c);
        if (c->asleep && !c->woken && set && pollset_ready(vk->st, set)) {
            vk_fail(vk, "a sleeper was not woken although its socket is ready");
        }
    }
}

void vk_settle(struct vk *vk)
{
    do {
        stack_flush(vk->st, vk_env(vk));
        mark_woken(vk);
    } while (retry_all(vk));
    check_sleepers(vk);
    const char *bad = stack_check(vk->st);
    if (bad) {
        vk_fail(vk, "invariant: %s", bad);
    }
}
