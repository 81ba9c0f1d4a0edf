/*
 * lock.h - what lock.c and drive.c share; for tun only.
 */
#ifndef STANDIN_TUN_LOCK_H
#define STANDIN_TUN_LOCK_H

#include "tun/session.h"

/* What a member lends to core: the TUN, the arena's growth, the kernel's random numbers. */
extern const struct env_ops session_ops;

/* Makes the arena's lock: robust, between processes. 0 or -errno. */
int lock_init(struct arena *a);

/* Reads the clocks into env. Lock held. */
void lock_clock(struct env *env);

/* One packet from the link, or from the wire before it, into the stack. Lock held. */
void drive_input(struct session *s, struct env *env, const struct pkt_in *in);

/* The program's thread is in the stack, for the loops to see. Lock held. */
void drive_seen(struct session *s, const struct env *env);

/* In a forked child: forgets what belongs to the parent's thread. */
void lock_forked(void);
void drive_forked(void);

#endif
