/*
 * session.h - the session: one host, many processes. The arena, its lock, its members; create,
 * join, notice a death.
 *
 * The arena is one memfd mapped shared at ARENA_BASE in every member. Its first page is struct
 * arena; the stack follows. The keeper (tun/keeper.c) makes it and holds it; a member joins through
 * the session's abstract socket and receives the arena, the TUN and the shared timerfd. Pointers
 * into the arena may be stored in it; pointers out of it may not.
 *
 * The lock is robust: when its holder dies the next one runs stack_recover before it goes on. It is
 * never held across a sleep. All I/O under it goes through sys.h.
 */
#ifndef STANDIN_TUN_SESSION_H
#define STANDIN_TUN_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/stack.h"
#include "tun/link.h"
#include "tun/wire.h"

#define ARENA_BASE      ((uintptr_t)0x550000000000)
#define ARENA_MAX       ((size_t)16 << 30)
#define ARENA_MAGIC     0x6e69646e61747331ull /* "1standin" */
#define ARENA_STACK     ((size_t)64 << 10)    /* where the stack, or the wire before it, begins */
#define SESSION_NAME    64
#define STANDIN_FD_BASE 1024
#define SESSION_TOKEN   33 /* 128 bits in hex, and its end */

enum member_state {
    MEMBER_FREE,
    /* reserved: for a joining process by the keeper, for a forked child by its parent */
    MEMBER_JOINING,
    MEMBER_LIVE,
    MEMBER_DEAD, /* died; what it held is being let go */
};

/* The keeper is member 0, always; programs are 1 and up. */
#define MEMBER_KEEPER 0u

struct member {
    uint32_t state; /* enum member_state; written under the lock */
    int32_t pid;    /* in the keeper's pid namespace, 0 where unknown */
    uint64_t start; /* its start time (field 22 of /proc/PID/stat): tells a reused pid */
    uint32_t keeper;
    uint32_t loops;     /* its loop serves the TUN now */
    uint32_t loop_wake; /* number of its loop's wake-up; 0: no loop */
    uint32_t
        loop_seen;   /* arm_seq when its loop last registered: equal means it stands behind all */
    uint32_t parent; /* whose fork made it; 0: nobody's */
    uint32_t stop_again; /* atomic: it was continued to leave the lock, and stops itself there */
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
    /* The link is there already: one end of a SEQPACKET pair that carries what a TUN does, virtio
     * header first (relay.h). Its descriptor and 1, in the process that starts the session; 0: a
     * TUN is made. */
    uint32_t given_link;
    char ifname[16];
    uint32_t snaplen; /* of a capture: bytes kept of each packet; 0: no capture */
    struct knobs knobs;
    struct wire_spec wire; /* impairments between the stack and the TUN; no rules: none */
};

/* What the keeper writes, and where. */
struct session_outputs {
    int pcap_fd;        /* a pcapng file, or a pipe to a reader; stays the caller's. -1: none */
    const char *note;   /* for its head: the command line */
    int trace_fd;       /* lines of events; stays the caller's. -1: none */
    const char *filter; /* of the trace (tracelog.h), shorter than 128 bytes */
};

/* The first page(s) of the arena. */
struct arena {
    uint64_t magic;
    char build_id[48]; /* of the library that made it; another one is refused */
    uint64_t size;     /* bytes of the file so far: the high-water mark */
    uint64_t size_max;
    _Alignas(64) pthread_mutex_t lock; /* robust, process-shared */
    uint64_t deferred;                 /* atomic, DEFER_*: work left by those who did not wait */
    uint32_t lock_owner; /* member index, for people who look from outside; it stays after unlock */
    uint32_t ready;      /* atomic: 1 when the stack is made */
    nsec armed;          /* what the shared timerfd is set to; NEVER */
    nsec last_drive;     /* atomic, relaxed: when a program thread last drove the stack */
    _Alignas(
        64) uint32_t arm_seq; /* atomic: counts the sets that were armed with the TUN (loop.h) */
    uint32_t next_wake;       /* atomic: numbers the wake-up sockets */
    struct session_config cfg;
    char name[SESSION_NAME]; /* "@standin-..." */
    char token[SESSION_TOKEN];
    uint32_t creator_uid;
    int32_t keeper_pid;
    uint32_t keeper_epoch; /* atomic: keepers so far; whoever raises it starts the next one */
    nsec keeper_claimed;   /* when it was raised last */
    struct member member[MEMBERS_MAX];
    struct stack *stack;
    struct wire *wire;    /* impairments (live_wire.h); NULL: none */
    struct pktring *pkts; /* packets on their way to a capture; NULL: none is made */
};

_Static_assert(sizeof(struct arena) <= ARENA_STACK, "the stack begins behind it");

/* A process's view of its session. Private memory; one per process. */
struct session {
    struct arena *arena; /* NULL: not joined */
    struct stack *stack;
    struct link link;  /* the TUN */
    struct wire *wire; /* in the arena, before the TUN (live_wire.h); NULL: no impairments */
    int arena_fd;
    int timer_fd;            /* shared: set to the stack's deadline */
    int keeper_fd;           /* connection to the keeper: its end tells us the keeper has gone */
    int wake_fd;             /* AF_UNIX datagram socket of ours, to send wake-ups from */
    bool deaf;               /* wake_open: nobody can reach us */
    uint32_t me;             /* our index among the members */
    size_t mapped;           /* bytes of address space mapped at ARENA_BASE */
    size_t seen;             /* arena->size when this process looked last: arena_look */
    uint32_t forking;        /* between fork_prepare and the fork: the child's index; 0: none */
    uint32_t keeper_epoch;   /* of the keeper that keeper_fd leads to */
    const char *keeper_path; /* to start another one; NULL: cannot. The caller's, for good */
    uint64_t arena_ino;      /* of arena_fd */
    bool fds_bad;            /* one of ours was closed behind our back: session_fds_check */
};

/* The process's session (one at most). */
extern struct session the_session;

/* Told of every descriptor that tun makes for itself (hide) or closes; NULL by default. Set once,
 * before the first use. */
extern void (*session_fd_hook)(int fd, bool hide);

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
    bool
        /* session_join after an exec: the member's index, and what it holds, are as before */
        rejoined;
};

/*
 * Starts a keeper for a new session in this network namespace and returns its name and token.
 * keeper_path: the program standin-keeper. The keeper is nobody's child that wait(2) could see
 * (design.md section 2).
 */
struct session_result session_start(const char *keeper_path, const struct session_config *cfg);

/* The same, with a capture of all its packets (cfg->snaplen). */
struct session_result session_start_with(const char *keeper_path, const struct session_config *cfg,
                                         const struct session_outputs *out);

/* Joins the session: maps the arena, receives descriptors (moved to high numbers), becomes a
 * member. */
struct session_result session_join(struct session *s, const char *name, const char *token);

/*
 * fork. prepare takes the lock and reserves a member for the child, which from then on holds what
 * the caller holds (so the parent may close its own at once); env is the caller's until parent.
 * parent releases the lock and tells the keeper whom to watch; pid < 0: fork failed. child runs in
 * the child before its first stack verb; the lock is not its to release. -ENFILE from prepare (the
 * lock is taken all the same): no place; the child has no session, and session_fork_child returns
 * it.
 */
int session_fork_prepare(struct session *s, struct env *env);
void session_fork_parent(struct session *s, struct env *env, pid_t child);
int session_fork_child(struct session *s);

/* Keeps a session alive without being a member (a launcher): a descriptor to hold open, or -errno.
 */
int session_hold(const char *name, const char *token);

/* The keeper has gone (keeper_fd is at its end): starts another one with what we hold, or finds the
 * one that another member started. 0, or -EAGAIN (somebody is at it: ask again soon), -errno. */
int session_revive(struct session *s);
bool session_keeper_gone(const struct session *s);

/* Whether our descriptors still are what they were; what was closed behind our back is fetched
 * again from the keeper. Lock not held. 0 or -errno. session_unlock does it after an EBADF. */
int session_fds_check(struct session *s);

/* What tells two builds apart whose arenas differ. */
const char *session_build_id(void);

/* Leaves in order: lets go of all sockets. Death does the same through the keeper. */
void session_leave(struct session *s);

/* "STANDIN_SESSION" form: "@name,token". */
bool session_parse(const char *text, char name[SESSION_NAME], char token[SESSION_TOKEN]);

const char *session_strerror(int code);

/*
 * The lock. session_lock fills env (time, member, ops) and recovers the stack if the last holder
 * died. Between lock and unlock no cancellation, no hooked call, no sleep. session_unlock arms the
 * shared timerfd if an earlier deadline appeared, releases, and then sends the wake-ups that became
 * due.
 */
void session_lock(struct session *s, struct env *env);
bool session_trylock(struct session *s, struct env *env);
void session_unlock(struct session *s, struct env *env);

/* Leaves work for whoever holds the lock, or does it if nobody does. Never waits. */
#define DEFER_DRIVE 1u /* a turn of the stack */
void session_defer(struct session *s, uint64_t what);

/* Monotonic now, by the vDSO. */
nsec session_now(void);

/* The calling thread is not the program's (a loop): its turns do not count as the program's in
 * arena.last_drive. */
void drive_not_program(void);

/*
 * One turn of the stack for whoever calls, lock held: reads up to `max` packets from the TUN (0: as
 * many as there are), feeds them, expires what is due, flushes. Returns packets read; *drained
 * tells that the TUN was empty at the end.
 */
unsigned drive_turn(struct session *s, struct env *env, unsigned max, bool *drained);

/* The program's memory that the next bytes of a stream may be read into at once (core/place.h). */
struct drive_into {
    struct sock *sock;
    uint8_t *p;
    size_t n;
    size_t done; /* bytes that have landed */
};

/* A turn of a thread that is receiving from into->sock and has taken all that was there: as
 * drive_turn(1), but as long as the stream goes on, packet after packet, until `n` bytes are full.
 * The caller says place_received. */
void drive_into(struct session *s, struct env *env, struct drive_into *into, bool *drained);

/* A wake-up address: an AF_UNIX datagram socket bound to an abstract name made of `number`. The
 * owner of a pollset keeps number in set->owner; wake_send reaches it from any member of the
 * session. A process that left the session's network namespace is an exception: s->deaf is set
 * then, and who sleeps must look by himself, every WAKE_DEAF. */
#define WAKE_DEAF (10 * MSEC)
int wake_open(struct session *s,
              uint32_t *number); /* the descriptor, high and CLOEXEC; or -errno */
void wake_send(struct session *s, uint32_t number);
void wake_drain(int fd);

/* Closes a descriptor of ours and tells the hook. */
void fd_close(int fd);

/* Moves a descriptor to STANDIN_FD_BASE or above (below the soft limit where that is lower),
 * CLOEXEC. Returns the new one (the old is closed), or the old one when no place was found. */
int fd_high(int fd);

#endif
