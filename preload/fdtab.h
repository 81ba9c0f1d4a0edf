/*
 * fdtab.h - which descriptors are ours: reserve, share on dup, release on last close, survive fork
 * and exec.
 *
 * A descriptor of ours is a real one: a lone AF_UNIX stream socket whose
 * inode identifies it. The table maps its number to a struct file, this process's view of one open
 * file description. A look-up is one lock-free read and async-signal-safe; a number that is not in
 * the table costs only that. Entries can be stale, since libc's own calls bypass the hooks:
 * fdtab_check compares the inode where it is cheap.
 *
 * Files come from a pool that is never unmapped: a thread that still holds a pointer after a close
 * in another thread reads a valid struct file and notices by `gen` (file_ref) or by the socket's
 * own generation under the stack's lock.
 */
#ifndef STANDIN_PRELOAD_FDTAB_H
#define STANDIN_PRELOAD_FDTAB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sock.h"

#define FDTAB_MAX (1 << 20)

enum file_kind {
    FILE_NONE,
    FILE_SOCK,  /* a stack socket, decided or not */
    FILE_EPOLL, /* an epoll set of the program that holds, or held, a stack socket */
};

/* Why a socket is with the kernel or on the stack; shown by `standin ss`. WHY_FILE(name, text) */
#define FILE_WHY_LIST                                            \
    WHY_FILE(UNDECIDED, "not bound or connected yet")            \
    WHY_FILE(STACK, "on the stack")                              \
    WHY_FILE(LOOPBACK, "loopback is the kernel's")               \
    WHY_FILE(NO_UPLINK, "the stack has no way to that network")  \
    WHY_FILE(NO_SESSION, "no session in this network namespace") \
    WHY_FILE(DISABLED, "switched off for this process")

enum file_why {
#define WHY_FILE(name, text) FILE_WHY_##name,
    FILE_WHY_LIST
#undef WHY_FILE
        FILE_WHY_COUNT
};

/* An option set before the socket was decided, to be repeated on a kernel socket. */
struct opt_record {
    struct opt_record *next;
    int level;
    int name;
    uint32_t len;
    uint8_t val[64];
};

struct file {
    uint32_t kind;        /* enum file_kind; atomic */
    uint32_t gen;         /* lives of this place */
    uint32_t refs;        /* descriptors of this process that name it */
    uint32_t why;         /* enum file_why */
    uint64_t inode;       /* of the descriptor's file */
    struct sock_ref sock; /* FILE_SOCK */
    bool decided;         /* listen, connect or an address has chosen the stack: it stays there */
    bool paired;          /* the descriptor is one end of a pair that mirrors readiness (ready.c) */
    int pair_fd;          /* the other end, high; -1 */
    int twin_fd;     /* a kernel socket beside it on loopback (wildcard listener, UDP), high; -1 */
    int twin6_fd;    /* a dual-stack one needs two: 127.0.0.1 is twin_fd, ::1 this one; -1 */
    bool twin_any;   /* twin_fd of a datagram socket is bound to the wildcard: it reaches all */
    bool let_go;     /* by an exec under way (adopt.c) */
    bool twin_asked; /* whether it wants twins was settled when it was bound; false after exec */
    struct opt_record *opts;
    struct epset *ep; /* FILE_EPOLL (epset.h) */
    struct file *pool_next;
};

/* The file behind a descriptor, or NULL: not ours. Lock-free, async-signal-safe. */
struct file *fdtab_get(int fd);

/* A new stack socket: makes the AF_UNIX descriptor (type may carry SOCK_NONBLOCK, SOCK_CLOEXEC),
 * the file, and the entry. The socket `s` (held by this member) gets the inode. Returns the
 * descriptor or -errno (then nothing is left). */
int fdtab_new_sock(struct sock *s, int type);

/* Makes an existing descriptor (an epoll set, one received or inherited) ours. NULL: no memory. */
struct file *fdtab_adopt(int fd, enum file_kind kind);

/* After a successful real dup: `newfd` names the same file (an older entry there has been released
 * by fdtab_drop before). */
void fdtab_dup(int oldfd, int newfd);

/* Before the real close: takes the entry out; at the last reference the file's end is run (the
 * socket is released, twin and pair closed). True if the descriptor was ours. */
bool fdtab_drop(int fd);

/* Whether the descriptor still is the file the table says (fstat's inode). A stale entry is
 * dropped, real descriptor kept. */
bool fdtab_check(int fd);

/* Calls fn for each entry of ours; used by fork, exec, close_range. */
void fdtab_each(void (*fn)(int fd, struct file *f, void *arg), void *arg);

/* The file of this process for that inode (SCM_RIGHTS, exec); NULL. */
struct file *fdtab_by_inode(uint64_t inode);

/* A descriptor that came from outside (SCM_RIGHTS, exec): if it is the placeholder of a socket that
 * some member of the session holds, it becomes ours and this member holds the socket too. NULL: it
 * is the kernel's. Not entered. */
struct file *fdtab_received(int fd);

/* Whether another member than `me` holds the socket too. Exact when entered. */
bool fdtab_shared(const struct sock *s, uint32_t me);

/* The kernel just gave this number out: what the table says of it is of an earlier life. */
void fdtab_fresh(int fd);

/* A record for file->opts, or NULL; given back with the file. No malloc: closing is
 * async-signal-safe. */
struct opt_record *fdtab_opt_new(void);
void fdtab_opt_free(struct opt_record *list);

/* fork: the table's lock is held over it, and free again in the child. */
void fdtab_fork_prepare(void);
void fdtab_fork_done(void);

/* Descriptors that belong to the library: hidden from the program (close answers EBADF). */
void fdtab_hide(int fd);
void fdtab_unhide(int fd);
bool fdtab_hidden(int fd);

/* Whether the table says anything of the number: a file of ours or a hidden descriptor. The hooks'
 * one read. */
bool fdtab_known(int fd);

/* The first hidden descriptor that is not below `from`; -1: none. */
int fdtab_next_hidden(int from);

#endif
