/*
 * session.h - the session: one host, many processes. The arena, its lock, its members; create, join, notice a death.
 *
 * The arena is one memfd mapped shared at ARENA_BASE in every member. Its first page is struct arena; the stack follows.
 * The keeper (tun/keeper.c) makes it and holds it; a member joins through the session's abstract socket and receives the
 * arena, the TUN and the shared timerfd. Pointers into the arena may be stored in it; pointers out of it may not.
 *
 * The lock is robust: when its holder dies the next one runs stack_recover before it goes on. It is never held across a
 * sleep. All I/O under it goes through sys.h.
 */
#ifndef STANDIN_TUN_SESSION_H
#define STANDIN_TUN_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/stack.h"
#include "tun/link.h"

#define ARENA_BASE    ((uintptr_t)0x550000000000)
#define ARENA_MAX     ((size_t)16 << 30)
#define ARENA_MAGIC   0x6e69646e61747331ull /* "1standin" */
#define ARENA_STACK   ((size_t)64 << 10)    /* where the stack begins */
#define SESSION_NAME  64
#define SESSION_TOKEN 33 /* 128 bits in hex, and its end */

enum member_state {
    MEMBER_FREE,
    MEMBER_JOINING, /* the keeper reserved the place */
    MEMBER_LIVE,
    MEMBER_DEAD, /* died; what it held is being let go */
};

struct member {
    uint32_t state; /* enum member_state; written under the lock */
    int32_t pid;    /* in the keeper's pid namespace, 0 where unknown */
    uint64_t start; /* its start time (field 22 of /proc/PID/stat): tells a reused pid */
    uint32_t keeper;
    uint32_t loops; /* its loop serves the TUN now */
    char comm[16];
};

/* What the session was made with. */
struct session_config {
    struct ifaddr addr[STACK_ADDRS_MAX]; /* ours: 10.77.0.2/24, fd77::2/64 */
    uint32_t naddr;
    struct ifaddr peer[2]; /* the kernel's side: 10.77.0.1/24, fd77::1/64 */
    uint32_t npeer;
    uint32_t mtu;
    bool offload;
    bool claimed; /* addresses were named by the user, not chosen */
    char ifname[16];
    struct knobs knobs;
};

/* The first page(s) of the arena. */
struct arena {
    uint64_t magic;
    char build_id[48]; /* of the library that made it; another one is refused */
    uint64_t size;     /* bytes of the file so far: the high-water mark */
    uint64_t size_max;
    pthread_mutex_t lock; /* robust, process-shared */
    uint64_t deferred;    /* atomic: work left by those who did not want to wait */
    uint32_t lock_owner;  /* member index, for people who look from outside */
    uint32_t ready;       /* atomic: 1 when the stack is made */
    struct session_config cfg;
    char name[SESSION_NAME]; /* "@standin-..." */
    char token[SESSION_TOKEN];
    uint32_t creator_uid;
    nsec armed;      /* what the shared timerfd is set to; NEVER */
    nsec last_drive; /* atomic, relaxed: when a program thread last drove the stack */
    int32_t keeper_pid;
    uint32_t next_wake; /* numbers the wake-up sockets */
    struct member member[MEMBERS_MAX];
    struct stack *stack;
};

_Static_assert(sizeof(struct arena) <= ARENA_STACK, "the stack begins behind it");

/* A process's view of its session. Private memory; one per process. */
struct session {
    struct arena *arena; /* NULL: not joined */
    struct stack *stack;
    struct link link; /* the TUN */
    int arena_fd;
    int timer_fd;  /* shared: set to the stack's deadline */
    int keeper_fd; /* connection to the keeper: its end tells us the keeper has gone */
    int wake_fd;   /* AF_UNIX datagram socket of ours, to send wake-ups from */
    uint32_t me;   /* our index among the members */
    size_t mapped; /* bytes of the arena known to be usable */
};

/* The process's session (one at most). */
extern struct session the_session;

enum session_error { /* beside -errno, for messages; texts by session_strerror */
                     SESSION_OK = 0,
                     SESSION_NO_TUN = 10000, /* /dev/net/tun cannot be opened */
                     SESSION_NO_PERM,        /* TUNSETIFF or netlink refused */
                     SESSION_ADDR_IN_USE,    /* the address or subnet is taken */
                     SESSION_NO_SUBNET,      /* no free 10.77.x.0/24 */
                     SESSION_DEAD,           /* the socket answers no more */
                     SESSION_REFUSED,        /* not the same user, no token */
                     SESSION_BUILD,          /* made by another build */
                     SESSION_NO_ARENA,       /* the address range is taken, or no memory */
                     SESSION_NO_KEEPER,      /* the keeper could not be started */
                     SESSION_FULL,           /* MEMBERS_MAX */
};

struct session_result {
    int code;      /* SESSION_OK, a SESSION_* or -errno */
    int err;       /* errno of the failing step, 0 if none */
    char step[96]; /* what was tried: "open /dev/net/tun" */
    char name[SESSION_NAME];
    char token[SESSION_TOKEN];
};

/*
 * Starts a keeper for a new session in this network namespace and returns its name and token. keeper_path: the program
 * standin-keeper. The keeper is nobody's child that wait(2) could see (design.md section 2).
 */
struct session_result session_start(const char *keeper_path, const struct session_config *cfg);

/* Joins the session: maps the arena, receives descriptors (moved to high numbers), becomes a member. */
struct session_result session_join(struct session *s, const char *name, const char *token);

/* After fork, in the child, before any stack verb: becomes a member that holds what the parent held. 0 or -errno. */
int session_fork_child(struct session *s);

/* Leaves in order: lets go of all sockets. Death does the same through the keeper. */
void session_leave(struct session *s);

/* "STANDIN_SESSION" form: "@name,token". */
bool session_parse(const char *text, char name[SESSION_NAME], char token[SESSION_TOKEN]);

const char *session_strerror(int code);

/*
 * The lock. session_lock fills env (time, member, ops) and recovers the stack if the last holder died. Between lock and
 * unlock no cancellation, no hooked call, no sleep. session_unlock arms the shared timerfd if an earlier deadline
 * appeared, releases, and then sends the wake-ups that became due.
 */
void session_lock(struct session *s, struct env *env);
bool session_trylock(struct session *s, struct env *env);
void session_unlock(struct session *s, struct env *env);

/* Monotonic now, by the vDSO. */
nsec session_now(void);

/*
 * One turn of the stack for whoever calls, lock held: reads up to `max` packets from the TUN (0: as many as there are),
 * feeds them, expires what is due, flushes. Returns packets read; *drained tells that the TUN was empty at the end.
 */
unsigned drive_turn(struct session *s, struct env *env, unsigned max, bool *drained);

/* A wake-up address: an AF_UNIX datagram socket bound to an abstract name made of `number`. The owner of a pollset keeps
 * number in set->owner; wake_send reaches it from any member of the session. */
int wake_open(struct session *s,
              uint32_t *number); /* the descriptor, high and CLOEXEC; or -errno */
void wake_send(struct session *s, uint32_t number);
void wake_drain(int fd);

/* Moves a descriptor to STANDIN_FD_BASE or above (below the soft limit where that is lower), CLOEXEC. Returns the new one
 * (the old is closed), or the old one when no place was found. */
int fd_high(int fd);

#endif
