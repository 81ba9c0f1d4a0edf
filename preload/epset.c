/*
 * Theory: an epoll set has two halves.
 *
 *   the kernel's set   the program's other descriptors, as the program registered them
 *                      + hidden: TUN, timer (EPOLLEXCLUSIVE), wake-up; twins of our sockets
 *   the pollset        the stack sockets, with LT, ET, ONESHOT and EXCLUSIVE of their own
 *                      (core/pollset.c)
 *
 * They meet when the program waits (epset_wait.c).
 *
 * A kernel twin (decide.h) is registered with the events of its socket; what the kernel reports
 * for it is the program's event for the socket, joined with the pollset's if both have one.
 *
 * fork: the child shares the kernel's set, but a wake-up reaches one process. The first use in
 * the child makes a wake-up and a pollset of its own, with copies of the watches. (A later change
 * by one process is not seen by the other: they share only the kernel's half.)
 *
 * The structures are this process's; the stack's lock guards them too.
 */
#include "preload/epset_priv.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/check.h"
#include "preload/decide.h"
#include "preload/hidden.h"
#include "preload/hook.h"
#include "tun/fd.h"
#include "tun/sysio.h"

static struct epset *sets; /* all of this process */
static struct epset *pool;
struct epset_twin epset_twins[EPSET_TWINS_MAX];

/* ------------------------------------------------------------------ twins, entered */

static void twins_del(struct epset *ep, int32_t key)
{
    for (unsigned i = 0; ep->ntwins > 0 && i < EPSET_TWINS_MAX; i++) {
        if (epset_twins[i].ep == ep && epset_twins[i].key == key) {
            sys_epoll_ctl(ep->epfd, EPOLL_CTL_DEL, epset_twins[i].fd, NULL);
            epset_twins[i].ep = NULL;
            ep->ntwins--;
        }
    }
}

static void twin_add(struct epset *ep, const struct watch *w, int fd)
{
    const uint32_t kept =
        EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
    uint32_t events = w->events & kept;
    if (fd < 0 || !(events & (EPOLLIN | EPOLLRDNORM))) {
        return;
    }
    for (unsigned i = 0; i < EPSET_TWINS_MAX; i++) {
        if (!epset_twins[i].ep) {
            struct epoll_event ev = {.events = events, .data.u64 = hidden_data(HIDDEN_TWIN + i)};
            if (sys_epoll_ctl(ep->epfd, EPOLL_CTL_ADD, fd, &ev) == 0) {
                epset_twins[i] =
                    (struct epset_twin){.ep = ep, .key = w->key, .fd = fd, .data = w->data};
                ep->ntwins++;
            }
            return;
        }
    }
}

static void twins_set(struct epset *ep, const struct file *f, int32_t key)
{
    twins_del(ep, key);
    const struct watch *w = pollset_find(the_stack(), ep->set, key);
    if (w && (f->twin_fd >= 0 || f->twin6_fd >= 0)) {
        twin_add(ep, w, f->twin_fd);
        twin_add(ep, w, f->twin6_fd);
    }
}

void epset_twin(struct file *f)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    if (!sets || !hook_enter(&env, &ref)) {
        return;
    }
    for (struct watch *w = ref.s->watches; w; w = w->sock_next) {
        for (struct epset *ep = sets; ep; ep = ep->next) {
            if (ep->set == w->set && ep->member == the_session.me) {
                twins_set(ep, f, w->key);
            }
        }
    }
    leave(env);
}

/* ------------------------------------------------------------------ birth, fork, end */

/* Entered. */
static struct epset *ep_new(void)
{
    if (!pool) {
        struct epset *page =
            sys_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        for (size_t i = 0; sys_mmap_err(page) == 0 && i < 4096 / sizeof *page; i++) {
            page[i].next = pool;
            pool = &page[i];
        }
    }
    struct epset *ep = pool;
    if (ep) {
        pool = ep->next;
        *ep = (struct epset){.wake_fd = -1, .next_key = -2, .batch = 1};
    }
    return ep;
}

/* What an inherited set watches is watched by the copy too. Entered. */
static void copy_watches(struct env *env, struct pollset *from, uint32_t from_gen,
                         struct pollset *to)
{
    if (!from || from->obj.kind != MEM_POLLSET || from->obj.gen != from_gen) {
        return;
    }
    for (struct watch *w = from->watches; w; w = w->set_next) {
        if (sock_held_by(w->sock, env->member)) {
            pollset_add(the_stack(), env, to, w->sock, w->key, w->events, w->data);
        }
    }
}

/* The hidden entries and the pollset, for this member. Entered. 0 or -errno. */
static int arm(struct env *env, struct epset *ep, int epfd)
{
    struct pollset *old = ep->set;
    struct pollset *set = pollset_new(the_stack(), env, 0);
    if (!set) {
        return -ENOMEM;
    }
    fd_close(ep->wake_fd); /* of the parent, after fork */
    ep->wake_fd = wake_open(&the_session, &ep->wake_number);
    int err = ep->wake_fd < 0 ? ep->wake_fd : hidden_add(epfd, ep->wake_fd);
    if (err < 0) {
        fd_close(ep->wake_fd);
        ep->wake_fd = -1;
        pollset_free(the_stack(), set);
        return err;
    }
    set->owner = ep->wake_number;
    set->sleepers = ep->nested ? 1 : 0;
    if (ep->armed) {
        copy_watches(env, old, ep->set_gen, set);
    }
    ep->set = set;
    ep->set_gen = set->obj.gen;
    ep->epfd = epfd;
    ep->member = env->member;
    if (!ep->armed) {
        ep->next = sets;
        sets = ep;
    }
    ep->armed = true;
    wake_send(&the_session, ep->wake_number); /* threads that sleep here already learn of it */
    return 0;
}

static struct epset *ep_of(struct file *f)
{
    if (!f->ep) {
        f->ep = ep_new();
    }
    return f->ep;
}

int epset_arm(int epfd, struct file *f)
{
    struct epset *ep = f->ep;
    if (LIKELY(ep && ep->armed && ep->member == the_session.me)) {
        return 0;
    }
    struct env *env = enter();
    if (!env) {
        return -ENOMEM;
    }
    ep = ep_of(f);
    int err = !ep ? -ENOMEM : (ep->armed && ep->member == env->member) ? 0 : arm(env, ep, epfd);
    leave(env);
    if (err == 0) {
        hidden_loops_last();
    }
    return err;
}

void epset_close(struct file *f)
{
    struct epset *ep = f->ep;
    struct env *env = ep ? enter() : NULL;
    if (!env) {
        return;
    }
    f->ep = NULL;
    if (ep->armed && ep->member == env->member) {
        pollset_free(the_stack(), ep->set);
    }
    for (struct epset **at = &sets; *at; at = &(*at)->next) {
        if (*at == ep) {
            *at = ep->next;
            break;
        }
    }
    for (unsigned i = 0; ep->ntwins > 0 && i < EPSET_TWINS_MAX; i++) {
        if (epset_twins[i].ep == ep) {
            epset_twins[i].ep = NULL;
            ep->ntwins--;
        }
    }
    int wake = ep->wake_fd;
    ep->set = NULL;
    ep->armed = false;
    ep->next = pool;
    pool = ep;
    leave(env);
    fd_close(wake);
}

void epset_forget_sock(struct file *f)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    if (!ref.s || !ref.s->watches || !hook_enter(&env, &ref)) {
        return;
    }
    struct watch *next;
    for (struct watch *w = ref.s->watches; w; w = next) {
        next = w->sock_next;
        if (w->set->member != env->member) {
            continue;
        }
        for (struct epset *ep = sets; ep; ep = ep->next) {
            if (ep->set == w->set) {
                twins_del(ep, w->key);
            }
        }
        pollset_del(the_stack(), w->set, w->key);
    }
    leave(env);
}

/* ------------------------------------------------------------------ epoll_ctl */

/* The registration of (fd, socket), Linux's key. A number that another socket has taken since
 * does not hide it. */
static struct watch *find(struct epset *ep, int fd, const struct sock *s)
{
    struct watch *w = pollset_find(the_stack(), ep->set, fd);
    return w && w->sock == s ? w : NULL;
}

/* The number stands for a socket that lives on under another one (dup): its registration steps
 * aside. */
static void step_aside(struct env *env, struct epset *ep, int fd)
{
    struct watch *w = pollset_find(the_stack(), ep->set, fd);
    if (w) {
        struct watch old = *w;
        pollset_del(the_stack(), ep->set, fd);
        pollset_add(the_stack(), env, ep->set, old.sock, ep->next_key--, old.events, old.data);
    }
}

static int ctl(struct env *env, struct epset *ep, int op, int fd, struct file *target,
               const struct epoll_event *ev)
{
    struct stack *st = the_stack();
    struct sock *s = target->sock.s;
    bool there = find(ep, fd, s) != NULL;
    int err;
    switch (op) {
    case EPOLL_CTL_ADD:
        if (!there) {
            step_aside(env, ep, fd);
        }
        err = pollset_add(st, env, ep->set, s, fd, ev->events, ev->data.u64);
        break;
    case EPOLL_CTL_MOD:
        err = there ? pollset_mod(st, ep->set, fd, ev->events, ev->data.u64) : -ERR_NOENT;
        break;
    default:
        err = there ? pollset_del(st, ep->set, fd) : -ERR_NOENT;
        break;
    }
    if (err == 0) {
        twins_set(ep, target, fd);
    }
    return (int)errno_of(err);
}

/* The kernel's own opinion of epfd: a placeholder is never registered, so a set says ENOENT. */
static int check_epfd(int epfd, int fd)
{
    struct epoll_event ev = {0};
    int err = sys_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev);
    return err == -ENOENT ? 0 : err < 0 ? err : -EINVAL;
}

int epset_ctl(int epfd, int op, int fd, struct file *target, struct epoll_event *ev)
{
    if (op != EPOLL_CTL_DEL && !ev) {
        return -EFAULT;
    }
    struct file *f = fdtab_get(epfd);
    if (!f || f->kind != FILE_EPOLL) {
        int err = f ? -EINVAL : check_epfd(epfd, fd);
        f = err == 0 ? fdtab_adopt(epfd, FILE_EPOLL) : NULL;
        if (!f) {
            return err < 0 ? err : -ENOMEM;
        }
        epset_count(f, EPOLL_CTL_ADD); /* what it holds already is not known */
    }
    if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL) {
        return -EINVAL;
    }
    if (op == EPOLL_CTL_MOD && (ev->events & EPOLLEXCLUSIVE)) {
        return -EINVAL;
    }
    int err = epset_arm(epfd, f);
    if (err < 0) {
        return err;
    }
    if (UNLIKELY(!target->twin_asked)) {
        twin_adopt(target);
    }
    struct sock_ref ref = target->sock;
    struct env *env;
    if (!hook_enter(&env, &ref)) {
        return -EBADF;
    }
    err = f->ep ? ctl(env, f->ep, op, fd, target, ev) : -EBADF;
    leave(env);
    return err;
}

void epset_count(struct file *f, int op)
{
    struct env *env;
    if (!f->ep) {
        if (op == EPOLL_CTL_DEL || !entered_before()) {
            return; /* armed later, it will be taken to hold something */
        }
        env = enter();
        if (env) {
            ep_of(f);
            leave(env);
        }
    }
    if (f->ep) {
        f->ep->kernel_fds += op == EPOLL_CTL_ADD ? 1 : f->ep->kernel_fds > 0 ? (uint32_t)-1 : 0;
    }
}

void epset_move_to_kernel(struct file *f, int fd)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    if (!sets || !hook_enter(&env, &ref)) {
        return;
    }
    for (struct epset *ep = sets; ep; ep = ep->next) {
        const struct watch *w = ep->member == env->member ? find(ep, fd, ref.s) : NULL;
        if (!w) {
            continue;
        }
        struct epoll_event ev = {.events = w->events, .data.u64 = w->data};
        if (ev.events & EPOLLEXCLUSIVE) {
            ev.events &= (uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET |
                                    EPOLLWAKEUP | EPOLLEXCLUSIVE);
        }
        twins_del(ep, fd);
        pollset_del(the_stack(), ep->set, fd);
        if (sys_epoll_ctl(ep->epfd, EPOLL_CTL_ADD, fd, &ev) == 0) {
            ep->kernel_fds++;
        }
    }
    leave(env);
}

/* ------------------------------------------------------------------ sets within sets */

void epset_nest(int epfd, struct file *f)
{
    struct env *env = enter();
    if (!env) {
        return;
    }
    struct epset *ep = ep_of(f);
    if (ep && !ep->nested) {
        ep->nested = true;
        ep->epfd = epfd;
        if (ep->armed && ep->member == env->member) {
            ep->set
                /* for good: every readiness sends a wake-up, which the kernel's set shows */
                ->sleepers++;
            wake_send(&the_session, ep->wake_number);
        }
    }
    leave(env);
}
