/*
 * block.h - blocking, timeouts and EINTR built on readiness. The thread that waits drives the
 * stack.
 *
 * A wait is: enter; drive what is there; ready? leave, done. Otherwise mark the pollset as slept
 * on, leave, sleep in the kernel (epoll_wait on a set with the TUN and the shared timerfd, both
 * EPOLLEXCLUSIVE, and our wake-up), come back. The sleep is libc's own epoll_pwait, unlocked: a
 * cancellation point. Going to sleep uses a restartable stub, so that a handler that runs between
 * the last look and the sleep is not lost.
 */
#ifndef STANDIN_PRELOAD_BLOCK_H
#define STANDIN_PRELOAD_BLOCK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "preload/fdtab.h"

enum block_result {
    BLOCK_READY,
    BLOCK_TIMEOUT,
    BLOCK_INTR, /* a handler ran: EINTR, unless all of them have SA_RESTART and the call restarts */
    BLOCK_GONE, /* the socket was closed meanwhile */
};

/* What a thread waits for. */
struct block {
    struct sock_ref sock; /* copied before the wait: the file may be closed by another thread */
    uint32_t events;      /* LX_POLL*; ERR and HUP always count; with LX_EPOLLET only news counts */
    int kernel_fd[2];     /* descriptors of the kernel that also end the wait when readable; -1 */
    nsec deadline;        /* monotonic; NEVER: none */
    bool restart;         /* a call that SA_RESTART restarts */
    /* where the bytes that are waited for may go at once; READY when some have landed. NULL:
     * nowhere */
    struct drive_into *into;
};

/*
 * Waits, entered: leaves to sleep and comes back entered, having driven the stack (*env is the
 * new one). READY promises nothing: the caller tries its verb again. The kernel's descriptors are
 * not looked at before the first sleep.
 */
enum block_result block_wait(struct env **env, const struct block *b);

/* Tells the event log how a wait of `call` (enum event_call) ended that brought nothing; entered.
 */
void block_told(const struct env *env, const struct block *b, uint8_t call, enum block_result r);

/* The same, not entered before and after. */
enum block_result block_sock(struct file *f, uint32_t events, nsec deadline, bool restart);

/* When a call that starts now with this socket timeout (SO_RCVTIMEO; 0: none) ends. */
nsec block_deadline(nsec timeout);

/* The thread's own pollset and kernel set, made at the first call and anew after fork. Not
 * entered. False: no descriptors left; the caller then waits in short naps. */
bool block_prepare(void);

/* Sleeps on the thread's kernel set until `deadline`: like sleep_epoll, hidden entries seen to
 * and not counted in `ev`. Called between pollset_sleep and pollset_awake, not entered. 0 or more
 * events of the caller's own, or -errno. */
long block_sleep(struct epoll_event *ev, int max, nsec deadline, const sigset_t *mask);

/* After block_sleep, entered: if a packet woke the thread it is read, for nobody else was woken
 * for it. */
void block_pay(struct env *env);

/* At most so many events in one block_sleep. */
#define BLOCK_EVENTS 64

/* For calls that put watches of their own into the thread's pollset, or descriptors into its
 * kernel set: said true before the first, false when all are out again. A set that stayed dirty
 * (siglongjmp) is made anew by block_prepare. */
void block_dirty(bool dirty);

/* Takes out the watch that block_wait left for the next call. Entered. */
void block_unkeep(void);

/* Drives the stack once without waiting, lock not held. For calls that found nothing and return
 * at once. */
void block_poke(void);

#endif
