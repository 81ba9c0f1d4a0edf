/*
 * Theory: an epoll set has two halves.
 *
 *   the kernel's set   the program's other descriptors, as the program registered them
 *                      + hidden: TUN, timer (EPOLLEXCLUSIVE), wake-up; twins of our sockets
 *   the pollset        the stack sockets, with LT, ET, ONESHOT and EXCLUSIVE of their own (core/pollset.c)
 *
 * The halves meet in epset_wait. What our half has ready is answered from user space; only every
 * LOOK-th such wait asks the kernel too, so that neither half starves. With nothing ready the TUN
 * is drained, the thread registers as a sleeper of the pollset and sleeps in the kernel's set,
 * where a packet, the stack's deadline, a wake-up by another thread's drive or one of the
 * program's descriptors ends it. The lock is taken once per wake-up: drive, unregister, collect.
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
#include "preload/epset.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/abi.h"
#include "core/check.h"
#include "preload/decide.h"
#include "preload/enter.h"
#include "preload/hidden.h"
#include "preload/hook.h"
#include "preload/sleep.h"
#include "tun/fd.h"
#include "tun/sysio.h"

#define LOOK      4   /* every so many waits answered by the pollset ask the kernel as well */
#define BATCH     256 /* events of the pollset in one wait */
#define TURN      16u /* packets in one turn at most */
#define GROW      4   /* full turns before more are tried */
#define TWINS_MAX 1024
#define FEW       (BATCH / 16)

/* A twin in a kernel's set. */
struct twin {
    struct epset *ep; /* NULL: free */
    int32_t key;      /* of its socket in the pollset */
    int fd;
    uint64_t data;
};

static struct epset *sets; /* all of this process */
static struct epset *pool;
static struct twin twins[TWINS_MAX];

/* ------------------------------------------------------------------ twins in the kernel's set;
 * entered */

static void twins_del(struct epset *ep, int32_t key)
{
    for (unsigned i = 0; ep->ntwins > 0 && i < TWINS_MAX; i++) {
        if (twins[i].ep == ep && twins[i].key == key) {
            sys_epoll_ctl(ep->epfd, EPOLL_CTL_DEL, twins[i].fd, NULL);
            twins[i].ep = NULL;
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
    for (unsigned i = 0; i < TWINS_MAX; i++) {
        if (!twins[i].ep) {
            struct epoll_event ev = {.events = events, .data.u64 = hidden_data(HIDDEN_TWIN + i)};
            if (sys_epoll_ctl(ep->epfd, EPOLL_CTL_ADD, fd, &ev) == 0) {
                twins[i] = (struct twin){.ep = ep, .key = w->key, .fd = fd, .data = w->data};
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

/* Ready for use by this process. Not entered. 0 or -errno. */
static int ready_for_use(int epfd, struct file *f)
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
    for (unsigned i = 0; ep->ntwins > 0 && i < TWINS_MAX; i++) {
        if (twins[i].ep == ep) {
            twins[i].ep = NULL;
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
    int err = ready_for_use(epfd, f);
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

/* ------------------------------------------------------------------ epoll_wait */

/* One wait under way. */
struct wait {
    struct epset *ep;
    int epfd;
    struct epoll_event *out;
    int max;
    int n;     /* events in out */
    bool owes; /* a packet woke this thread: it must read one, for nobody else was woken for it */
    int ntwin; /* the first of them that came by a twin lie at twin_at */
    int twin_at[4];
    int32_t twin_key[4];
};

/* A twin's event is its socket's. Entered or not: the table changes only under the lock, an entry
 * that died is skipped. */
static void twin_event(struct wait *w, uint32_t index, uint32_t events)
{
    const struct twin *t = index < TWINS_MAX ? &twins[index] : NULL;
    if (!t || t->ep != w->ep || w->n >= w->max) {
        return;
    }
    for (int i = 0; i < w->ntwin; i++) {
        if (w->twin_key[i] == t->key) { /* both 127.0.0.1 and ::1 */
            w->out[w->twin_at[i]].events |= events;
            return;
        }
    }
    if (w->ntwin < 4) {
        w->twin_at[w->ntwin] = w->n;
        w->twin_key[w->ntwin] = t->key;
        w->ntwin++;
    }
    w->out[w->n++] = (struct epoll_event){.events = events, .data.u64 = t->data};
}

/* Sorts what the kernel reported; `got` may lie in w->out from w->n on. */
static void take_kernel(struct wait *w, const struct epoll_event *got, long n)
{
    for (long i = 0; i < n; i++) {
        struct epoll_event ev = got[i];
        if (!hidden_is(ev.data.u64)) {
            if (w->n < w->max) {
                w->out[w->n++] = ev;
            }
            continue;
        }
        uint32_t what = hidden_what(ev.data.u64);
        if (what == HIDDEN_WAKE) {
            wake_drain(w->ep->wake_fd);
        } else if (what == HIDDEN_TUN) {
            w->owes = true;
        } else if (what >= HIDDEN_TWIN) {
            twin_event(w, what - HIDDEN_TWIN, ev.events);
        }
    }
}

/* Asks the kernel for at most `room` of the program's events: sleeps until the deadline (NULL: no
 * end). Not entered. */
static long ask_kernel(struct wait *w, int room, const struct timespec *timeout,
                       const sigset_t *mask)
{
    struct epoll_event few[FEW + HIDDEN_ROOM];
    struct epoll_event *got = few;
    int max = room + HIDDEN_ROOM;
    if (room > FEW) { /* the program's own buffer: hidden entries take a place for a moment */
        got = w->out + w->n;
        max = room;
    }
    long n = sleep_epoll(w->epfd, got, max, timeout, mask);
    if (n > 0) {
        take_kernel(w, got, n);
    }
    return n;
}

/* The other half of a one-shot registration is disabled with the one that fired. Entered. */
static void one_shot(struct wait *w)
{
    for (int i = 0; i < w->ntwin; i++) {
        struct watch *o = pollset_find(the_stack(), w->ep->set, w->twin_key[i]);
        if (o && (o->events & EPOLLONESHOT)) {
            o->events = 0;
        }
    }
}

static void one_shot_twins(struct epset *ep, int32_t key)
{
    const struct watch *o = pollset_find(the_stack(), ep->set, key);
    for (unsigned i = 0; o && o->events == 0 && i < TWINS_MAX; i++) {
        if (twins[i].ep == ep && twins[i].key == key) {
            struct epoll_event ev = {.data.u64 = hidden_data(HIDDEN_TWIN + i)};
            sys_epoll_ctl(ep->epfd, EPOLL_CTL_MOD, twins[i].fd, &ev);
        }
    }
}

/* Our half's events behind what is there. Entered. */
static void collect(struct wait *w)
{
    struct poll_event got[BATCH];
    int room = w->max - w->n < BATCH ? w->max - w->n : BATCH;
    if (room <= 0) {
        return;
    }
    if (UNLIKELY(w->ntwin > 0)) {
        one_shot(w);
    }
    unsigned n = pollset_collect(the_stack(), w->ep->set, got, (unsigned)room);
    for (unsigned i = 0; i < n; i++) {
        int joined = -1;
        for (int t = 0; t < w->ntwin; t++) {
            joined = w->twin_key[t] == got[i].key ? w->twin_at[t] : joined;
        }
        if (UNLIKELY(joined >= 0)) {
            w->out[joined].events |= got[i].events;
            continue;
        }
        w->out[w->n++] = (struct epoll_event){.events = got[i].events, .data.u64 = got[i].data};
        if (UNLIKELY(w->ep->ntwins > 0)) {
            one_shot_twins(w->ep, got[i].key);
        }
    }
}

/*
 * One turn of the stack for a set. Reading the TUN once more than there are packets costs a
 * system call, looking at the pollset after each packet gives up batches: as many are read as
 * came lately, more now and then. Entered.
 */
static bool drive(struct epset *ep, struct env *env)
{
    bool drained;
    the_stack()->collecting = ep->set; /* an exclusive event need wake nobody else */
    unsigned n = drive_turn(&the_session, env, ep->batch, &drained);
    the_stack()->collecting = NULL;
    if (drained) {
        ep->batch = n > 1 ? (uint8_t)n : 1;
        ep->full = 0;
    } else if (ep->batch < TURN && ++ep->full >= GROW) {
        ep->batch = (uint8_t)(ep->batch * 2);
        ep->full = 0;
    }
    return drained;
}

/* Drives until our half has something or the TUN is empty. Entered. */
static void drive_and_collect(struct wait *w, struct env *env)
{
    bool drained = false;
    collect(w);
    while ((w->n == 0 || w->owes) && !drained && w->ep->set) {
        w->owes = false;
        drained = drive(w->ep, env);
        collect(w);
    }
}

/* The wait ends: others that sleep here learn of what is left. Entered; leaves. */
static int finish(struct wait *w, struct env *env)
{
    struct pollset *set = w->ep->set;
    bool more = w->n == w->max && set->nready > 0 && set->sleepers > 0;
    bool shown = UNLIKELY(w->ep->nested) && pollset_ready(the_stack(), set);
    uint32_t number = w->ep->wake_number;
    leave(env);
    if (UNLIKELY(more || shown)) {
        wake_send(&the_session, number);
    }
    return w->n;
}

static const struct timespec *until(nsec deadline, struct timespec *ts)
{
    if (deadline == NEVER) {
        return NULL;
    }
    nsec left = deadline == 0 ? 0 : nsec_max(deadline - session_now(), 0);
    ts->tv_sec = left / SEC;
    ts->tv_nsec = left % SEC;
    return ts;
}

/* With nothing of ours ready: sleeps once in the kernel's set. Entered before and after; -errno,
 * or what it found. */
static long sleep_once(struct wait *w, struct env **env, nsec deadline, const sigset_t *mask)
{
    struct timespec ts;
    sleep_mark(w->ep->set);
    leave(*env);
    long n = ask_kernel(w, w->max, until(deadline, &ts), mask);
    *env = enter();
    sleep_unmark();
    return n;
}

int epset_wait(int epfd, struct file *f, struct epoll_event *out, int max, nsec timeout,
               const sigset_t *mask)
{
    int err = ready_for_use(epfd, f);
    if (err < 0) {
        return err;
    }
    struct wait w = {.ep = f->ep, .epfd = epfd, .out = out, .max = max};
    nsec deadline = timeout == 0 || timeout == NEVER ? timeout : nsec_add(session_now(), timeout);
    bool kernel = w.ep->kernel_fds > 0 || w.ep->ntwins > 0;
    bool look = ++w.ep->turn % LOOK == 0;
    sleep_begin();
    if (kernel && look) {
        struct timespec none = {0};
        ask_kernel(&w, max > 1 ? max / 2 : 1, &none, NULL);
    }
    struct env *env = enter();
    if (env && look) { /* our half, always ready, must not keep packets waiting */
        drive(w.ep, env);
    }
    long slept = 0;
    bool last = timeout == 0 && !kernel && !mask;
    for (;;) {
        if (UNLIKELY(!env || !w.ep->set)) { /* closed meanwhile */
            if (env) {
                leave(env);
            }
            return -EBADF;
        }
        drive_and_collect(&w, env);
        if (w.n > 0 || slept < 0 || last) {
            break;
        }
        if (pollset_sleep(the_stack(), w.ep->set)) {
            slept = sleep_once(&w, &env, deadline, mask);
            last = deadline != NEVER && (timeout == 0 || (env && env->now >= deadline));
        }
    }
    int n = finish(&w, env);
    return n == 0 && slept < 0 ? (int)slept : n;
}

int epset_filter(struct file *f, struct epoll_event *ev, int n)
{
    struct epset *ep = f->ep;
    struct env *env = n > 0 && ep ? enter() : NULL;
    if (!env) {
        return n;
    }
    struct wait w = {.ep = ep, .out = ev, .max = n};
    take_kernel(&w, ev, n);
    leave(env);
    return w.n;
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

bool epset_ready(struct file *f)
{
    struct epset *ep = f->ep;
    struct env *env;
    if (!ep || !ep->armed || ep->member != the_session.me || !(env = enter())) {
        return false;
    }
    bool drained = false;
    bool ready = ep->set && pollset_ready(the_stack(), ep->set);
    while (ep->set && !ready && !drained) {
        drive_turn(&the_session, env, TURN, &drained);
        ready = pollset_ready(the_stack(), ep->set);
    }
    leave(env);
    wake_drain(ep->wake_fd);
    return ready;
}
