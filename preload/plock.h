/*
 * plock.h - a lock between the threads of this process, for short sections without calls out.
 * Zeroed it is free.
 *
 * Not a pthread mutex, because a forked child must be able to free what its parent's thread held.
 * Whoever takes it holds the program's handlers back first (signals_hold), or a handler could meet
 * its own thread's lock.
 */
#ifndef STANDIN_PRELOAD_PLOCK_H
#define STANDIN_PRELOAD_PLOCK_H

#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>

#include "tun/sys.h"

struct plock {
    uint32_t word; /* 0: free, 1: taken, 2: taken and somebody waits */
};

static inline void plock_take(struct plock *l)
{
    uint32_t seen = 0;
    if (__atomic_compare_exchange_n(&l->word, &seen, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return;
    }
    while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0) {
        sys4(SYS_futex, (long)&l->word, FUTEX_WAIT_PRIVATE, 2, 0);
    }
}

static inline void plock_give(struct plock *l)
{
    if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2) {
        sys3(SYS_futex, (long)&l->word, FUTEX_WAKE_PRIVATE, 1);
    }
}

#endif
