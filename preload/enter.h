/*
 * enter.h - going into the stack and out again: the session, the lock, and signals.
 *
 * Between enter and leave this thread holds the stack's lock and no signal handler of the program runs in it: the wrapper
 * that stands before every handler (signals.c) saves the signal, adds it to the frame's mask and returns; leave queues it
 * again and unblocks it, and the kernel delivers it with a genuine frame. Nothing between enter and leave may be a
 * cancellation point or a hooked call.
 *
 *     struct env *env = enter();          NULL: no session; the call is the kernel's
 *     n = sock_recv(the_stack(), env, ...);
 *     leave(env);
 */
#ifndef STANDIN_PRELOAD_ENTER_H
#define STANDIN_PRELOAD_ENTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tun/session.h"

struct thread_state {
    struct env env;
    int depth;       /* inside the stack; handlers are postponed while > 0 */
    int off;         /* > 0: hooks pass through (our own work, a vfork child) */
    int vfork_child; /* this thread runs in a vfork child: pass through */
    pid_t tid;
    bool postponed;      /* signals.c holds at least one */
    struct pollset *set; /* this thread's own, for blocking calls; made at first use */
    int epfd;            /* its kernel set {TUN, timerfd, wake-up}, high; -1 */
    int wake_fd;
    uint32_t wake_number;
    uint32_t member; /* the member that made set and epfd: after fork they are made anew */
};

extern __thread struct thread_state self __attribute__((tls_model("initial-exec")));

/* Joins or starts the session at the first call. NULL when there is none and there will be none (reason kept). */
struct env *enter(void);
void leave(struct env *env);

static inline struct stack *the_stack(void)
{
    return the_session.stack;
}

/* Whether hooks should pass through in this thread now. Async-signal-safe. */
static inline bool hooks_off(void)
{
    return __builtin_expect(self.off | self.vfork_child, 0);
}

/* core's error as errno: sets errno and returns -1 for a negative value, the value itself otherwise. The one place. */
int64_t ret_errno(int64_t ret);

#endif
