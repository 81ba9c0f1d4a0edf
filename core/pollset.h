/*
 * pollset.h - who waits for which socket: the semantics of epoll as a pure machine.
 *
 * A pollset holds watches; a watch is one socket, the events wanted and the program's data. It
 * serves the program's epoll sets and, with a set of its own per thread, every call that blocks
 * (recv, accept, connect, poll, select). When a socket's readiness changes, sock_notify puts its
 * watches on their sets' ready lists; a set that has a sleeper goes on the stack's wake list, which
 * the owner empties with pollset_next_wake before or just after it unlocks.
 *
 * LT, ET, ONESHOT and EXCLUSIVE are those of epoll(7) on Linux: a ready list that is re-checked
 * when collected, LT entries going back to its tail.
 */
#ifndef STANDIN_CORE_POLLSET_H
#define STANDIN_CORE_POLLSET_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "mem.h"
#include "sock.h"

struct stack;

struct watch {
    struct mem_obj obj;
    struct sock *sock;
    struct pollset *set;
    uint64_t data;
    int32_t key;     /* the caller's, unique within the set: the descriptor's number */
    uint32_t events; /* LX_POLL* and LX_EPOLL*, ERR and HUP always; 0 after ONESHOT fired */
    bool in_ready;
    struct watch *sock_next, *sock_prev;   /* all watches of the socket */
    struct watch *set_next, *set_prev;     /* all watches of the set */
    struct watch *ready_next, *ready_prev; /* the set's ready list */
    struct watch *hash_next;
};

struct pollset {
    struct mem_obj obj;
    uint32_t member;   /* who made it */
    uint32_t sleepers; /* threads that sleep on it now */
    uint64_t owner;    /* the owner's: what tells it how to wake the sleepers */
    uint64_t owner2;
    struct watch *watches;
    struct watch *ready_head, *ready_tail;
    uint32_t nwatches;
    uint32_t nready; /* entries of the ready list: an upper bound of what collect finds */
    bool waking;     /* on the stack's wake list */
    struct pollset *wake_next;
};

struct poll_event {
    uint32_t events;
    int32_t key;
    uint64_t data;
    struct sock *sock;
};

/* NULL: no memory. */
struct pollset *pollset_new(struct stack *st, struct env *env, uint64_t owner);
void pollset_free(struct stack *st, struct pollset *set);

/* epoll_ctl. -ERR_EXIST, -ERR_NOENT, -ERR_NOMEM, -ERR_INVAL (MOD of an EXCLUSIVE one). A socket
 * that is ready already is put on the ready list at once (and a sleeper woken). */
int pollset_add(struct stack *st, struct env *env, struct pollset *set, struct sock *s, int32_t key,
                uint32_t events, uint64_t data);
int pollset_mod(struct stack *st, struct pollset *set, int32_t key, uint32_t events, uint64_t data);
int pollset_del(struct stack *st, struct pollset *set, int32_t key);

/* The watch with that key, or NULL. O(1). */
struct watch *pollset_find(struct stack *st, const struct pollset *set, int32_t key);

/* epoll_wait without waiting: up to max events, with epoll's treatment of the ready list. Returns
 * how many. */
unsigned pollset_collect(struct stack *st, struct pollset *set, struct poll_event *out,
                         unsigned max);

/* Whether pollset_collect would find something; drops entries that are no longer ready, changes
 * nothing else. */
bool pollset_ready(struct stack *st, struct pollset *set);

/* Before and after a thread sleeps on the set. pollset_sleep returns false, and counts no sleeper,
 * when something is ready already. A sleeper that died is forgotten with pollset_forget. */
bool pollset_sleep(struct stack *st, struct pollset *set);
void pollset_awake(struct pollset *set);
void pollset_forget(struct stack *st, uint32_t member);

/* The next set to wake, taken off the wake list; NULL when there is none. */
struct pollset *pollset_next_wake(struct stack *st);

/* A socket's readiness may have changed; `bits` are those that are new or had a new edge (more data
 * arrived). */
void sock_notify(struct stack *st, struct sock *s, uint32_t bits);

/* The bits of a change of state (shutdown, a FIN, the end): every watch looks again, whatever it
 * waits for, as after Linux's sk_state_change. */
#define NOTIFY_ALL UINT32_MAX

/* The socket dies: all its watches go. */
void sock_unwatch(struct stack *st, struct sock *s);

/* Recovery: makes every list here anew from the live watches and sets, everything marked ready to
 * be re-checked. */
void pollset_rebuild(struct stack *st, struct env *env);

#endif
