/*
 * live_wire.h - the emulated wire between a session's stack and its TUN; for tun only.
 *
 * It lies in the arena, in front of the stack, and is used under the lock. A session without
 * impairments has none: session.wire is NULL, and that is all it costs.
 */
#ifndef STANDIN_TUN_LIVE_WIRE_H
#define STANDIN_TUN_LIVE_WIRE_H

#include "tun/session.h"
#include "tun/wire.h"

/* The keeper makes it `at` bytes behind the arena's start (a page's boundary), if the configuration
 * has rules. Where it ends; 0: no memory. */
size_t live_wire_make(struct session *s, size_t at);

/* Packets into it. They move when live_wire_move is called. What happens to them there is not the
 * sender's affair: live_wire_out returns 0. */
int live_wire_out(struct session *s, struct env *env, const struct pkt_out *p);
void live_wire_in(struct session *s, struct env *env, const struct pkt_in *in);

/* Delivers what has arrived by env->now, to the TUN and to the stack, and flushes. */
void live_wire_move(struct session *s, struct env *env);

nsec live_wire_deadline(const struct session *s);

/* Whether packets of ours are still under way: they are owed to the network. */
bool live_wire_busy(const struct session *s);

#endif
