/*
 * hidden.h - the entries of ours in a kernel's epoll set: how they are told from the program's,
 * how they get there.
 *
 * Their data words are addresses in the arena's reserved range below the stack: no program has a
 * pointer or a number there, and they mean the same in every member, so that an inherited set is
 * filtered as well.
 */
#ifndef STANDIN_PRELOAD_HIDDEN_H
#define STANDIN_PRELOAD_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "tun/session.h"

#define HIDDEN_ROOM 3 /* at most so many in one set: TUN, timer, wake-up */

enum hidden {
    HIDDEN_TUN,
    HIDDEN_TIMER,
    HIDDEN_WAKE,
    HIDDEN_TWIN = 0x1000, /* and up: an index into epset.c's twins */
};

static inline uint64_t hidden_data(uint32_t what)
{
    return ARENA_BASE + what;
}

static inline bool hidden_is(uint64_t data)
{
    return data - ARENA_BASE < ARENA_STACK;
}

static inline uint32_t hidden_what(uint64_t data)
{
    return (uint32_t)(data - ARENA_BASE);
}

/* Puts TUN and timer (EPOLLEXCLUSIVE) and the wake-up into the kernel's set. 0 or -errno: EINVAL,
 * EBADF when epfd is no epoll set. Entries that are there already stay. May be called entered. */
int hidden_add(int epfd, int wake_fd);

/* After hidden_add: the loops register behind the new set. Not entered. */
void hidden_loops_last(void);

#endif
