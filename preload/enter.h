/*
 * enter.h - going into the stack and out again: the session, the lock, and signals.
 *
 * Between enter and leave this thread holds the stack's lock and no signal handler of the program
 * runs in it: the wrapper that stands before every handler (signals.c) queues the signal to its own
 * thread again, adds it to the frame's mask and returns; leave unblocks it, and the kernel delivers
 * it with a genuine frame. Nothing between enter and leave may be a cancellation point or a hooked
 * call.
 *
 *     struct env *env = enter();          NULL: no session; the call is the kernel's
 *     n = sock_recv(the_stack(), env, ...);
 *     leave(env);
 */
#ifndef STANDIN_PRELOAD_ENTER_H
#define STANDIN_PRELOAD_ENTER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tun/session.h"

/* thread_state.interrupted: what ran since sleep_begin (sleep.h). */
enum {
    INTERRUPTED = 1,            /* a handler of the program */
    INTERRUPTED_NO_RESTART = 2, /* one without SA_RESTART */
};

#define KEPT_MAX 3

struct loop;

struct thread_state {
    struct env env;
    int depth;       /* inside the stack; handlers are postponed while > 0 */
    int off;         /* > 0: hooks pass through (our own work, a vfork child) */
    int vfork_child; /* this thread runs in a vfork child: pass through */
    pid_t tid;
    bool fork_hook;   /* the fork under way will tell its child's number */
    bool fork_owed;   /* ... and has not told it yet */
    uint32_t forking; /* its child's member index */
    bool held; /* the stack's lock is ours; true for too long if a handler jumped out of a fault */
    uint64_t postponed;       /* signals (bit sig - 1) that wait, blocked, until depth is 0 */
    siginfo_t kept[KEPT_MAX]; /* of the first of them */
    unsigned nkept;
    uint32_t interrupted;   /* INTERRUPTED* */
    bool async_cancel;      /* in sleep_epoll: cancellation is asynchronous */
    bool ends;              /* the destructor of sleep.c is set for this thread */
    struct pollset *asleep; /* the set this thread is registered on as a sleeper (sleep.h) */
    struct pollset *set;    /* this thread's own, for blocking calls; made at first use */
    int epfd;               /* its kernel set {TUN, timerfd, wake-up}, high; -1 */
    int wake_fd;
    uint32_t wake_number;
    uint32_t member; /* the member that made set and epfd: after fork they are made anew */
};

extern __thread struct thread_state self __attribute__((tls_model("initial-exec")));

/* Joins or starts the session at the first call. NULL when there is none and there will be none
 * (enter_why). */
struct env *enter(void);
void leave(struct env *env);

/* Whether enter would go in without joining or starting anything. */
static inline bool entered_before(void)
{
    return the_session.arena != NULL;
}

/* The same for letting go: joins nothing, starts nothing. NULL: this process is no member. */
struct env *enter_if_member(void);

/* Joins or starts the session without going in and without a loop: for the constructor. False:
 * there is none. */
bool enter_join(void);

/* Why there is no session: a text, "" when there is one or nobody asked yet. */
const char *enter_why(void);

/* This process's loop, NULL when it has none. */
struct loop *enter_loop(void);

/* What is put into the environment of programs we start: "STANDIN_SESSION=@name,token", or NULL. */
const char *enter_session_env(void);

static inline struct stack *the_stack(void)
{
    return the_session.stack;
}

/* fork.c's view: prepare says whether there is a session, whose lock is then held. */
bool enter_fork_prepare(void);
void enter_fork_parent(void);
void enter_fork_child(bool joined);

/* Whether hooks should pass through in this thread now. Async-signal-safe. */
static inline bool hooks_off(void)
{
    return __builtin_expect(self.off | self.vfork_child, 0);
}

/* No handler of the program runs between the two, without the stack's lock: for process-private
 * tables. They nest. */
static inline void signals_hold(void)
{
    self.depth++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void signals_flush(void); /* signals.c */

static inline void signals_let(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (--self.depth == 0 && __builtin_expect(self.postponed != 0, 0)) {
        signals_flush();
    }
}

#endif
