/*
 * lock.c - theory of operation: the one lock of a session, which may be held by any thread of any
 * member.
 *
 * It is glibc's robust mutex, shared between processes. The kernel walks the list of robust locks
 * of every thread that ends (killed, gone by exec, or returned) and hands a held one to the next
 * waiter with EOWNERDEAD. That one finds a stack in the middle of a change: stack_recover makes the
 * indices anew, and the lock is consistent again.
 *
 * A holder that is stopped (SIGSTOP) would stop everybody. Who waits longer than STOPPED_AFTER
 * looks whether that is so; the holder is then continued, leaves, and stops itself again.
 *
 * A turn under the lock takes a few microseconds, so a contender first spins about that long, then
 * sleeps in the kernel.
 *
 * Leaving is where the stack's promises are settled, in this order:
 *     1. work that others left because they did not want to wait (arena->deferred);
 *     2. acknowledgments and packets to ourselves that a verb left for the end of the batch;
 *     3. timers that came due, and the shared timerfd if an earlier deadline appeared or the old
 *     one has passed;
 *     4. the sleepers to wake are noted, the lock is released, and only then are they woken: they
 *     will want it.
 *
 * The timerfd is armed lazily: a deadline that moves away leaves it as it is, and the one wake-up
 * too many sets it right. arena->armed is what it is set to. It is written after the call: who dies
 * in between leaves it too early, never too late.
 */
#include "tun/lock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "core/check.h"
#include "tun/arena.h"
#include "tun/live_wire.h"
#include "tun/pktring.h"
#include "tun/sysio.h"

#define STOPPED_AFTER (20 * MSEC) /* of waiting: has the holder been stopped? */
#define SPIN_MAX      64          /* pauses of about 40 ns */
#define WAKE_BATCH    16
#define REAL_FRESH    (10 * MSEC) /* how long the distance of the two clocks is believed */

static __thread uint32_t my_tid __attribute__((tls_model("initial-exec")));

/* CLOCK_REALTIME - CLOCK_MONOTONIC; used under the lock only. */
static nsec real_offset;
static nsec real_until;

int lock_init(struct arena *a)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    int err = pthread_mutex_init(&a->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return -err;
}

/* Clocks */

static nsec clock_read(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (nsec)ts.tv_sec * SEC + ts.tv_nsec;
}

nsec session_now(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

void lock_clock(struct env *env)
{
    nsec now = session_now();
    if (UNLIKELY(now >= real_until)) {
        real_offset = clock_read(CLOCK_REALTIME) - now;
        real_until = now + REAL_FRESH;
    }
    env->now = now;
    env->real = now + real_offset;
}

void lock_forked(void)
{
    my_tid = 0;
}

/* Taking */

static int spin(pthread_mutex_t *m)
{
    for (int i = 0; i < SPIN_MAX; i++) {
        __builtin_ia32_pause();
        if (__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) == 0) {
            int err = pthread_mutex_trylock(m);
            if (err != EBUSY) {
                return err;
            }
        }
    }
    return EBUSY;
}

/* Whether all of the process is stopped by a signal (not by a debugger). */
static bool is_stopped(int32_t pid)
{
    char path[32], text[256];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    long n = fd < 0 ? fd : sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' && name_end[2] == 'T';
}

/* The holder was stopped inside (SIGSTOP cannot be postponed): it goes on until it has left, and
 * stops itself again there (session_unlock). */
static void help_out(struct arena *a)
{
    struct member *holder = &a->member[a->lock_owner % MEMBERS_MAX];

    if (holder->pid > 0 && is_stopped(holder->pid)) {
        __atomic_store_n(&holder->stop_again, 1, __ATOMIC_SEQ_CST);
        sys3(SYS_kill, holder->pid, SIGCONT, 0);
    }
}

static int wait_for(struct arena *a)
{
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        nsec at = (nsec)until.tv_sec * SEC + until.tv_nsec + STOPPED_AFTER;
        until = (struct timespec){.tv_sec = at / SEC, .tv_nsec = at % SEC};
        int err = pthread_mutex_clocklock(&a->lock, CLOCK_MONOTONIC, &until);
        if (err != ETIMEDOUT) {
            return err;
        }
        help_out(a);
    }
}

/* The lock is ours: fills env, and mends what a dead holder left. */
static void taken(struct session *s, struct env *env, int err)
{
    CHECK(err == 0 || err == EOWNERDEAD);
    if (UNLIKELY(my_tid == 0)) {
        my_tid = (uint32_t)sys_gettid();
    }
    arena_look(s);
    env->ops = &session_ops;
    env->ctx = s;
    env->member = s->me;
    env->call = 0;
    env->tid = my_tid;
    lock_clock(env);
    if (UNLIKELY(err == EOWNERDEAD)) {
        if (s->wire) {
            wire_recover(s->wire);
        }
        stack_recover(s->stack, env);
        s->arena->armed = 0; /* unknown: is set anew when we leave */
        pthread_mutex_consistent(&s->arena->lock);
    }
    s->arena->lock_owner = s->me;
    drive_seen(s, env);
}

void session_lock(struct session *s, struct env *env)
{
    pthread_mutex_t *m = &s->arena->lock;
    int err = pthread_mutex_trylock(m);
    if (UNLIKELY(err == EBUSY)) {
        err = spin(m);
        if (err == EBUSY) {
            err = wait_for(s->arena);
        }
    }
    taken(s, env, err);
}

bool session_trylock(struct session *s, struct env *env)
{
    int err = pthread_mutex_trylock(&s->arena->lock);
    if (err == EBUSY) {
        return false;
    }
    taken(s, env, err);
    return true;
}

/* Leaving */

static void arm_timer(struct session *s, nsec at)
{
    struct itimerspec spec = {0};
    if (at != NEVER) { /* all zero disarms */
        spec.it_value.tv_sec = at / SEC;
        spec.it_value.tv_nsec = at % SEC;
    }
    if (sys_timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &spec) == -EBADF) {
        s->fds_bad = true;
    }
    s->arena->armed = at;
}

/* When somebody must come back at the latest. */
static nsec deadline(const struct session *s)
{
    nsec at = stack_deadline(s->stack);
    return UNLIKELY(s->wire != NULL) ? nsec_min(at, live_wire_deadline(s)) : at;
}

static void settle(struct session *s, struct env *env)
{
    struct stack *st = s->stack;
    struct arena *a = s->arena;

    if (UNLIKELY(__atomic_load_n(&a->deferred, __ATOMIC_RELAXED))) {
        bool drained;
        __atomic_store_n(&a->deferred, 0, __ATOMIC_SEQ_CST);
        drive_turn(s, env, 0, &drained);
    }
    if (st->flush_head || st->loop_head) {
        stack_flush(st, env);
    }
    while (UNLIKELY(st->signal_head != NULL)) {
        sys3(SYS_kill, stack_next_signal(st), SIGURG, 0);
    }
    if (UNLIKELY(s->wire != NULL)) {
        live_wire_move(s, env);
    }
    nsec at = deadline(s);
    if (UNLIKELY(at <= env->now)) {
        bool
            /* what arrived before the deadline counts before it: no retransmission of what is
             * acknowledged */
            drained;
        drive_turn(s, env, 0, &drained);
        stack_expire(st, env);
        if (UNLIKELY(s->wire != NULL)) {
            live_wire_move(s, env);
        }
        at = deadline(s);
    }
    if (at < a->armed || a->armed <= env->now) {
        arm_timer(s, at);
    }
}

/* Takes up to WAKE_BATCH wake-up numbers off the stack's list. */
static unsigned take_wakes(struct stack *st, uint32_t out[WAKE_BATCH])
{
    unsigned n = 0;
    while (n < WAKE_BATCH && st->wake_head) {
        struct pollset *set = pollset_next_wake(st);
        if (set && set->owner) {
            out[n++] = (uint32_t)set->owner;
        }
    }
    return n;
}

/* The packets of this section, for a capture. The wake-up to send, or 0. */
static uint32_t publish(struct pktring *r)
{
    return UNLIKELY(r != NULL) && pktring_publish(r) ? r->wake : 0;
}

/* Somebody had us go on to leave the lock: we were to be stopped. */
static void stop_again(struct session *s)
{
    __atomic_store_n(&s->arena->member[s->me].stop_again, 0, __ATOMIC_SEQ_CST);
    sys3(SYS_kill, sys_getpid(), SIGSTOP, 0);
}

void session_unlock(struct session *s, struct env *env)
{
    uint32_t wake[WAKE_BATCH];

    for (;;) {
        settle(s, env);
        unsigned n = take_wakes(s->stack, wake);
        bool more = s->stack->wake_head != NULL;
        uint32_t capture = publish(s->arena->pkts);
        pthread_mutex_unlock(&s->arena->lock);
        for (unsigned i = 0; i < n; i++) {
            wake_send(s, wake[i]);
        }
        if (UNLIKELY(capture)) {
            wake_send(s, capture);
        }
        if (UNLIKELY(__atomic_load_n(&s->arena->member[s->me].stop_again, __ATOMIC_RELAXED))) {
            stop_again(s);
        }
        if (more) {
            session_lock(s, env);
        } else if (LIKELY(!__atomic_load_n(&s->arena->deferred, __ATOMIC_SEQ_CST)) ||
                   !session_trylock(s, env)) {
            break;
        }
    }
    if (UNLIKELY(s->fds_bad)) {
        session_fds_check(s);
    }
}

void session_defer(struct session *s, uint64_t what)
{
    struct env env;
    __atomic_fetch_or(&s->arena->deferred, what, __ATOMIC_SEQ_CST);
    if (session_trylock(s, &env)) { /* else its holder looks after releasing */
        session_unlock(s, &env);
    }
}
