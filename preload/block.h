/*
 * block.h - blocking, timeouts and EINTR built on readiness. The thread that waits drives the stack.
 *
 * A wait is: enter; drive what is there; ready? leave, done. Otherwise mark the pollset as slept on, leave, sleep in the
 * kernel (epoll_wait on a set with the TUN and the shared timerfd, both EPOLLEXCLUSIVE, and our wake-up), come back. The sleep is
 * libc's own epoll_pwait, unlocked: a cancellation point. Going to sleep uses a restartable stub, so that a handler that
 * runs between the last look and the sleep is not lost.
 */
#ifndef STANDIN_PRELOAD_BLOCK_H
#define STANDIN_PRELOAD_BLOCK_H

#include <signal.h>
#include <stdint.h>

#include "preload/fdtab.h"

enum block_result {
    BLOCK_READY,
    BLOCK_TIMEOUT,
    BLOCK_INTR, /* a handler ran: EINTR, or restart if all of them have SA_RESTART and the call restarts */
    BLOCK_GONE, /* the socket was closed meanwhile */
};

/*
 * Waits until the socket shows one of `events` (ERR and HUP always count), the deadline (monotonic; NEVER: none) passes or a
 * handler runs. restart: the call is one that SA_RESTART restarts.
 */
enum block_result block_sock(struct file *f, uint32_t events, nsec deadline, bool restart);

/* When a call that starts now with this socket timeout (SO_RCVTIMEO; 0: none) ends. */
nsec block_deadline(nsec timeout);

/* Drives the stack once without waiting, lock not held. For calls that found nothing and return at once. */
void block_poke(void);

#endif
