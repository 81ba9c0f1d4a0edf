/*
 * Theory: how a call blocks.
 *
 *   caller    env = enter(); sleep_begin(); try the verb; -ERR_AGAIN -> block_wait -> try again
 *             ... leave
 *   wait      drive until the socket is ready or the TUN is empty; register; leave; sleep; enter;
 *             drive ...
 *
 * Each thread has a pollset of its own and a kernel set {TUN, timer, wake-up} that the kernel
 * chooses sleepers from. The lock is held from the wake-up to the caller's verb: the packet is
 * read, fed and its data taken in one section.
 *
 * A thread mostly waits for one socket again and again, so its watch stays in the pollset between
 * calls (the kept watch; it costs nothing while nobody sleeps). Everything else that a call puts
 * into the set it takes out again; if a handler left the call by siglongjmp that did not happen,
 * and the set is made anew (dirty).
 *
 * Without descriptors for a set of its own (EMFILE) a thread naps for a millisecond at a time
 * instead.
 */
#include "preload/block.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "core/abi.h"
#include "core/check.h"
#include "preload/hidden.h"
#include "preload/hook.h"
#include "preload/sleep.h"
#include "tun/loop.h"
#include "tun/sysio.h"

#define TURN     1u /* packets between two looks: no read of the TUN behind what was waited for */
#define KEPT_KEY (-1)
#define NAP_MS   1

/* This thread's set, beyond what enter.h knows of it. */
struct mine {
    struct sock_ref kept; /* whose watch is in the set */
    uint32_t kept_events;
    bool owes;  /* a packet woke this thread: it must read one, for nobody else was woken for it */
    bool dirty; /* a call has put things into the set and not taken them out */
};
static __thread struct mine mine __attribute__((tls_model("initial-exec")));

static pthread_key_t thread_key;

/* ------------------------------------------------------------------ the thread's set */

static void set_close(void)
{
    if (self.epfd > 0) {
        fdtab_unhide(self.epfd);
        sys_close(self.epfd);
    }
    if (self.wake_fd > 0) {
        fdtab_unhide(self.wake_fd);
        sys_close(self.wake_fd);
    }
    self.epfd = 0;
    self.wake_fd = 0;
}

/* At the thread's end. */
static void set_free(void *arg)
{
    (void)arg;
    if (self.set && self.member == the_session.me) {
        struct env *env = enter();
        if (env) {
            pollset_free(the_stack(), self.set);
            leave(env);
        }
    }
    self.set = NULL;
    set_close();
}

static void make_key(void)
{
    pthread_key_create(&thread_key, set_free);
}

int hidden_add(int epfd, int wake_fd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    ev.data.u64 = hidden_data(HIDDEN_TUN);
    int err = sys_epoll_ctl(epfd, EPOLL_CTL_ADD, the_session.link.fd, &ev);
    if (err < 0 && err != -EEXIST) {
        return err;
    }
    ev.data.u64 = hidden_data(HIDDEN_TIMER);
    err = sys_epoll_ctl(epfd, EPOLL_CTL_ADD, the_session.timer_fd, &ev);
    if (err < 0 && err != -EEXIST) {
        return err;
    }
    ev.events = EPOLLIN;
    ev.data.u64 = hidden_data(HIDDEN_WAKE);
    err = sys_epoll_ctl(epfd, EPOLL_CTL_ADD, wake_fd, &ev);
    return err == -EEXIST ? 0 : err;
}

void hidden_loops_last(void)
{
    loop_last(&the_session, enter_loop());
}

/* The kernel's half; the pollset stays. */
static bool set_open(void)
{
    int epfd = fd_high(sys_epoll_create());
    if (epfd < 0) {
        return false;
    }
    int wake = wake_open(&the_session, &self.wake_number);
    if (wake < 0 || hidden_add(epfd, wake) < 0) {
        sys_close(epfd);
        if (wake >= 0) {
            sys_close(wake);
        }
        return false;
    }
    fdtab_hide(epfd);
    fdtab_hide(wake);
    self.epfd = epfd;
    self.wake_fd = wake;
    hidden_loops_last();
    return true;
}

static bool set_make(void)
{
    if (self.member != the_session.me) {
        self.set = NULL; /* the parent's; its descriptors are copies */
    }
    set_close();
    struct env *env = enter();
    if (!env) {
        return false;
    }
    if (self.set) {
        pollset_free(the_stack(), self.set);
    }
    self.set = pollset_new(the_stack(), env, 0);
    self.member = the_session.me;
    leave(env);
    mine = (struct mine){0};
    if (!self.set || !set_open()) {
        return false;
    }
    self.set->owner = self.wake_number;
    pthread_setspecific(thread_key, &self);
    return true;
}

bool block_prepare(void)
{
    if (LIKELY(self.set && self.epfd > 0 && self.member == the_session.me && !mine.dirty)) {
        return true;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    signals_hold(); /* a handler that blocks, too, finds it whole */
    bool made = set_make();
    signals_let();
    return made;
}

void block_dirty(bool dirty)
{
    mine.dirty = dirty;
}

void block_unkeep(void)
{
    if (mine.kept.s) {
        pollset_del(the_stack(), self.set, KEPT_KEY); /* gone already if the socket has died */
        mine.kept.s = NULL;
    }
}

static bool kept_is(const struct block *b)
{
    return mine.kept.s == b->sock.s && mine.kept.id == b->sock.id && mine.kept.gen == b->sock.gen &&
           mine.kept_events == b->events;
}

/* The one watch for this wait, entered. False: no memory. */
static bool keep(struct env *env, const struct block *b)
{
    struct sock *s = b->sock.s;
    const struct watch *w = pollset_find(the_stack(), self.set, KEPT_KEY);
    if (w && w->sock == s && kept_is(b)) {
        return true;
    }
    block_unkeep();
    if (pollset_add(the_stack(), env, self.set, s, KEPT_KEY, b->events, 0) < 0) {
        return false;
    }
    mine.kept = b->sock;
    mine.kept_events = b->events;
    return true;
}

/* ------------------------------------------------------------------ sleeping */

nsec block_deadline(nsec timeout)
{
    return timeout > 0 ? nsec_add(session_now(), timeout) : NEVER;
}

static struct timespec timespec_of(nsec ns)
{
    return (struct timespec){.tv_sec = ns / SEC, .tv_nsec = ns % SEC};
}

/* Takes out the hidden entries; the caller's own move up. */
static long filter(struct epoll_event *from, long n, struct epoll_event *to, int max)
{
    int own = 0;
    for (long i = 0; i < n; i++) {
        if (!hidden_is(from[i].data.u64)) {
            if (own < max) {
                to[own++] = from[i];
            }
        } else if (hidden_what(from[i].data.u64) == HIDDEN_WAKE) {
            wake_drain(self.wake_fd);
        } else if (hidden_what(from[i].data.u64) == HIDDEN_TUN) {
            mine.owes = true;
        }
    }
    return own;
}

long block_sleep(struct epoll_event *ev, int max, nsec deadline, const sigset_t *mask)
{
    struct epoll_event got[BLOCK_EVENTS + HIDDEN_ROOM];
    struct timespec ts;
    struct timespec *timeout = NULL;
    if (deadline != NEVER) {
        ts = timespec_of(nsec_max(deadline - session_now(), 0));
        timeout = &ts;
    }
    int room = max < BLOCK_EVENTS ? max : BLOCK_EVENTS;
    long n = sleep_epoll(self.epfd, got, room + HIDDEN_ROOM, timeout, mask);
    return n < 0 ? n : filter(got, n, ev, max);
}

void block_pay(struct env *env)
{
    if (mine.owes) {
        bool drained;
        mine.owes = false;
        drive_turn(&the_session, env, TURN, &drained);
    }
}

/* No set of our own: time passes. */
static void nap(void)
{
    struct pollfd p = {.fd = the_session.link.fd, .events = POLLIN};
    struct timespec ts = timespec_of(NAP_MS * MSEC);
    if (real.poll(&p, 1, NAP_MS) < 0) { /* RLIMIT_NOFILE 0 forbids even that */
        nanosleep(&ts, NULL);
    }
}

/* Kernel descriptors that also end the wait. */
static void watch_kernel(const struct block *b, int op)
{
    for (int i = 0; i < 2; i++) {
        if (b->kernel_fd[i] >= 0) {
            struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
            sys_epoll_ctl(self.epfd, op, b->kernel_fd[i], &ev);
            mine.dirty = op == EPOLL_CTL_ADD;
        }
    }
}

/* What a wait that was cut short means for the call. Entered. */
static bool interrupted(const struct block *b)
{
    if (!self.interrupted) {
        return false;
    }
    if (b->restart && !(self.interrupted & INTERRUPTED_NO_RESTART)) {
        self.interrupted = 0;
        return false;
    }
    return true;
}

/* One turn on behalf of this wait: an exclusive event that comes with it need wake nobody else.
 * Entered. */
static bool drive(struct env *env, const struct block *b)
{
    struct stack *st = the_stack();
    bool drained;
    mine.owes = false;
    st->collecting = kept_is(b) ? self.set : NULL;
    if (b->into) {
        drive_into(&the_session, env, b->into, &drained);
    } else {
        drive_turn(&the_session, env, TURN, &drained);
    }
    st->collecting = NULL;
    return drained;
}

/* Drives until the socket is ready, or there is nothing to drive. Entered. */
static enum block_result drive_for(struct env *env, const struct block *b)
{
    bool edge = (b->events & LX_EPOLLET) != 0;
    uint32_t want = (b->events | LX_POLLERR | LX_POLLHUP) & 0xffff;
    bool drained;
    do {
        if (!sock_ref_ok(&b->sock)) {
            return BLOCK_GONE;
        }
        drained = drive(env, b);
        if (b->into && b->into->done) {
            return BLOCK_READY;
        }
        if (!sock_ref_ok(&b->sock)) {
            return BLOCK_GONE;
        }
        if (!edge && (sock_ready(the_stack(), b->sock.s) & want)) {
            return BLOCK_READY;
        }
    } while (!drained);
    return BLOCK_TIMEOUT;
}

/* Sleeps once, entered before and after. The number of kernel descriptors that are ready, or
 * -errno. */
static long sleep_once(struct env **env, const struct block *b)
{
    struct epoll_event ev[2];
    sleep_mark(self.set);
    leave(*env);
    watch_kernel(b, EPOLL_CTL_ADD);
    long n = block_sleep(ev, 2, b->deadline, NULL);
    watch_kernel(b, EPOLL_CTL_DEL);
    *env = enter();
    sleep_unmark();
    return n;
}

/* An edge is what comes after now. Entered. */
static void forget_edges(struct env *env, const struct block *b)
{
    struct poll_event ev[1];
    if (keep(env, b)) {
        while (pollset_collect(the_stack(), self.set, ev, 1) > 0) {
        }
    }
}

enum block_result block_wait(struct env **env, const struct block *b)
{
    if (UNLIKELY(!self.set || self.epfd <= 0 || self.member != the_session.me || mine.dirty)) {
        leave(*env);
        bool ok = block_prepare();
        if (!ok) {
            nap();
        }
        *env = enter();
        if (!ok) {
            drive(*env, b);
        }
        if (!ok || (b->events & LX_EPOLLET)) { /* an edge since the caller looked comes no more */
            return sock_ref_ok(&b->sock) ? BLOCK_READY : BLOCK_GONE;
        }
    }
    if (UNLIKELY(b->events & LX_EPOLLET) && sock_ref_ok(&b->sock)) {
        forget_edges(*env, b);
    }
    for (;;) {
        enum block_result r = drive_for(*env, b);
        if (r != BLOCK_TIMEOUT) {
            return r;
        }
        if (interrupted(b)) {
            return BLOCK_INTR;
        }
        if (b->deadline != NEVER && (*env)->now >= b->deadline) {
            return BLOCK_TIMEOUT;
        }
        if (!keep(*env, b) || !pollset_sleep(the_stack(), self.set)) {
            return BLOCK_READY;
        }
        long n = sleep_once(env, b);
        if (n > 0) {
            block_pay(*env);
            return sock_ref_ok(&b->sock) ? BLOCK_READY : BLOCK_GONE;
        }
        if (n == -EBADF) { /* somebody closed our set behind our back */
            mine.dirty = true;
            return BLOCK_READY;
        }
    }
}

void block_told(const struct env *env, const struct block *b, uint8_t call, enum block_result r)
{
    if ((r == BLOCK_TIMEOUT || r == BLOCK_INTR) && sock_ref_ok(&b->sock)) {
        sock_gave_up(the_stack(), env, b->sock.s, call, r == BLOCK_INTR ? ERR_INTR : ERR_AGAIN);
    }
}

enum block_result block_sock(struct file *f, uint32_t events, nsec deadline, bool restart)
{
    struct block b = {.sock = f->sock,
                      .events = events,
                      .kernel_fd = {-1, -1},
                      .deadline = deadline,
                      .restart = restart};
    struct env *env;
    if (!hook_enter(&env, &b.sock)) {
        return BLOCK_GONE;
    }
    sleep_begin();
    enum block_result r = block_wait(&env, &b);
    leave(env);
    return r;
}

void block_poke(void)
{
    struct env *env = enter();
    bool drained;
    if (env) {
        drive_turn(&the_session, env, TURN, &drained);
        leave(env);
    }
}
