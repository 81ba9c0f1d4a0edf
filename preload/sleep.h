/*
 * sleep.h - the one place where a hooked call sleeps: epoll_pwait2 on a set that holds the TUN, the
 * timer and a wake-up.
 *
 * A blocking call goes like this:
 *
 *     env = enter();
 *     sleep_begin();                       handlers from here on end the sleep
 *     while (!ready) {
 *         if (pollset_sleep(st, set)) {
 *             sleep_mark(set);
 *             leave(env);                  postponed handlers run here, and are counted
 *             n = sleep_epoll(...);        -EINTR at once when one has run
 *             env = enter();
 *             sleep_unmark();
 *         }
 *         if (self.interrupted) ...        EINTR, unless the call restarts and so did all of them
 *     }
 *     leave(env);
 *
 * Not lost: a handler that runs after leave and before the kernel sleeps. The stub looks at
 * self.interrupted and then executes the system call; the wrapper before every handler, finding
 * that it interrupted the stub before the call, makes it return -EINTR (signals.c). While a handler
 * runs its thread is not registered as a sleeper: the wrapper has unmarked it, so the handler may
 * call anything, and may leave by siglongjmp.
 *
 * Cancellation: the stub runs with asynchronous cancellation, exactly as libc's own blocking calls
 * do, so that pthread_cancel reaches a thread that sleeps. (libc's epoll_pwait would be cancellable
 * as well, but its code has no bounds that the wrapper could know.) A cancelled sleeper unmarks
 * itself at the thread's end and drives the stack once, for it may have eaten the wake-up of a
 * packet.
 */
#ifndef STANDIN_PRELOAD_SLEEP_H
#define STANDIN_PRELOAD_SLEEP_H

#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "preload/enter.h"

/* The call begins: forgets handlers that ran before it. Entered, or at the start of the hook. */
static inline void sleep_begin(void)
{
    self.interrupted = 0;
}

/* Entered, after pollset_sleep said true. */
static inline void sleep_mark(struct pollset *set)
{
    self.asleep = set;
}

/* Entered, after waking: no sleeper any more, unless a handler has seen to it already. */
static inline void sleep_unmark(void)
{
    if (self.asleep) {
        pollset_awake(self.asleep);
        self.asleep = NULL;
    }
}

/*
 * Sleeps, not entered: events of the kernel's set, 0 at the timeout (NULL: none), or -errno. A
 * cancellation point. mask (NULL: unchanged) holds during the sleep, atomically. -EINTR with
 * self.interrupted == 0 is the kernel's own (a stopped process goes on): a call that is not
 * epoll_wait sleeps again.
 */
long sleep_epoll(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
                 const sigset_t *mask);

/* Once, in the constructor. */
void sleep_init(void);

/*
 * For the wrapper (signals.c), before and after a handler of the program: unmarks a sleeping
 * thread, and takes asynchronous cancellation from it (a handler may lock, and may jump away). Not
 * entered. sleep_resume gets what sleep_interrupt gave.
 */
int sleep_interrupt(void);
void sleep_resume(int type);

/* For the wrapper: where to go on instead of pc when the stub was interrupted there; pc itself
 * elsewhere. */
uintptr_t sleep_divert(uintptr_t pc);

#endif
