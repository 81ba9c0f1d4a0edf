/*
 * loop.h - the libuv loop of a member and of the keeper: the last to drive, never signalled per
 * packet.
 *
 * A thread of its own (all signals blocked) that sleeps in our epoll set {TUN, timerfd, wake-up,
 * uv_backend_fd}, TUN and timer with EPOLLEXCLUSIVE, and then runs libuv without blocking. It
 * serves timers, and the TUN while every program thread is busy. While program threads drive
 * (arena.last_drive is fresh) it takes itself off the TUN and looks again after LOOP_GRACE, so that
 * busy programs cost it no wake-up per packet.
 */
#ifndef STANDIN_TUN_LOOP_H
#define STANDIN_TUN_LOOP_H

#include "tun/session.h"

#define LOOP_GRACE (1 * MSEC)

struct loop;
struct uv_loop_s;

/* Starts the loop's thread for a joined session. NULL when that fails. */
struct loop *loop_start(struct session *s);

/* Ends and frees it (before exec it is not needed: the thread dies with the image). */
void loop_stop(struct loop *l);

/* Waits until the thread runs. A child that is made without libc's fork keeps libc's list of its
 * parent's threads, and setuid in it would wait for ever for one that was just being made. NULL:
 * nothing. */
void loop_begun(const struct loop *l);

/* In a forked child: the thread is gone; frees what it left, without touching the parent's
 * descriptors' state. */
void loop_forget(struct loop *l);

/*
 * Registers itself anew behind everybody else ("first added is first chosen") and asks the other
 * loops to do the same, the keeper's last: called after a new set of the program was armed. l may
 * be NULL (no loop of our own).
 */
void loop_last(struct session *s, struct loop *l);

/* Runs fn(uv, arg) in the loop's thread, soon. 0 or -errno (nothing will be called). */
int loop_post(struct loop *l, void (*fn)(struct uv_loop_s *uv, void *arg), void *arg);

/* Runs the loop in the calling thread until loop_quit; for the keeper. */
int loop_run(struct session *s, void (*started)(struct uv_loop_s *, void *), void *arg);
void loop_quit(struct uv_loop_s *uv);

#endif
