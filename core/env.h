/*
 * env.h - what a caller lends to core for the length of one call: the time, a way out for
 * packets, memory, chance.
 *
 * A struct env belongs to one thread of one process and lives outside the arena; core never
 * stores a pointer to it. That is what lets several processes, whose libraries lie at different
 * addresses, run the same stack in turn.
 */
#ifndef STANDIN_CORE_ENV_H
#define STANDIN_CORE_ENV_H

#include <stddef.h>
#include <stdint.h>

#include "nsec.h"

struct env;
struct pkt_out;
struct pkt_in;

struct env_ops {
    /* Sends one packet at once. All it points to is valid only during the call. A packet that
     * cannot be sent is lost, as on any link; the owner counts it. */
    void (*emit)(struct env *env, const struct pkt_out *pkt);

    /* Makes the first `size` bytes of the stack's memory usable (never shrinks). 0, or
     * -ERR_NOMEM. */
    int (*grow)(struct env *env, size_t size);

    /* Fills `buf` with unpredictable bytes; a test gives a seeded stream. */
    void (*random)(struct env *env, void *buf, size_t len);

    /* A packet to ourselves goes round inside the stack: for captures, may be NULL. */
    void (*looped)(struct env *env, const struct pkt_in *pkt);
};

struct env {
    const struct env_ops *ops;
    void *ctx; /* the owner's */
    nsec now;  /* monotonic; the owner sets it before the call */
    nsec real; /* nanoseconds since 1970 that belong to `now`; for SO_TIMESTAMP only */
    uint32_t
        /* which member calls: index into the session's table; 0 where there is no session */
        member;
    uint32_t tid; /* for events */

    /* The socket call that is under way in this section of the lock, for the packets it causes;
     * core sets them, the owner clears them when it takes the lock. */
    uint32_t call_sock; /* obj.id */
    uint8_t call;       /* enum event_call; 0: none */
    uint8_t call_proto;
};

#endif
