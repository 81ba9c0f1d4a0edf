/*
 * Theory: epoll_wait over both halves of a set (epset.c).
 *
 * What our half has ready is answered from user space; only every LOOK-th such wait asks the
 * kernel too, so that neither half starves. With nothing ready the TUN is drained, the thread
 * registers as a sleeper of the pollset and sleeps in the kernel's set, where a packet, the stack's
 * deadline, a wake-up by another thread's drive or one of the program's descriptors ends it. The
 * lock is taken once per wake-up: drive, unregister, collect.
 */
#include "preload/epset_priv.h"

#include <errno.h>

#include "core/check.h"
#include "preload/hidden.h"
#include "preload/hook.h"
#include "preload/sleep.h"
#include "tun/sysio.h"

#define LOOK  4   /* every so many waits answered by the pollset ask the kernel as well */
#define BATCH 256 /* events of the pollset in one wait */
#define TURN  16u /* packets in one turn at most */
#define GROW  4   /* full turns before more are tried */
#define FEW   (BATCH / 16)

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
    const struct epset_twin *t = index < EPSET_TWINS_MAX ? &epset_twins[index] : NULL;
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
    for (unsigned i = 0; o && o->events == 0 && i < EPSET_TWINS_MAX; i++) {
        if (epset_twins[i].ep == ep && epset_twins[i].key == key) {
            struct epoll_event ev = {.data.u64 = hidden_data(HIDDEN_TWIN + i)};
            sys_epoll_ctl(ep->epfd, EPOLL_CTL_MOD, epset_twins[i].fd, &ev);
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

/* Drives until our half has something or the TUN is empty. Collects no more once there is
 * something: what is level-triggered would be told twice. Entered. */
static void drive_and_collect(struct wait *w, struct env *env)
{
    bool drained = false;
    if (w->owes && w->ep->set) {
        w->owes = false;
        drained = drive(w->ep, env);
    }
    collect(w);
    while (w->n == 0 && !drained && w->ep->set) {
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
    int err = epset_arm(epfd, f);
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
