/*
 * rows.h - the sockets of a session as rows: what core's view tells, who holds them, the last call;
 * and the internet sockets that the session's programs have on the kernel's stack, with the reason.
 */
#ifndef STANDIN_SS_ROWS_H
#define STANDIN_SS_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tun/peek.h"

#define HOLDERS_MAX 8u

/* A process that holds the socket, and under which number. */
struct holder {
    pid_t pid;
    int fd; /* -1: not found */
    char comm[16];
};

struct row {
    bool on_stack;
    const char *why; /* not on the stack: "loopback", "no-uplink"; on it: "stack" */
    /* of a kernel's socket only flow, proto, family, inode, state and queues */
    struct view_sock s;
    struct event last_call; /* kind EV_NONE: none is remembered */
    struct holder holder[HOLDERS_MAX];
    unsigned nholders; /* all of them; the first HOLDERS_MAX are here */
};

struct rows {
    struct row *row; /* on the heap */
    unsigned n;
    nsec now; /* the time that ages are counted to */
    struct knobs knobs;
};

/* Gathers them; false: no memory. Nothing that is read can be wrong in a way that harms. */
bool rows_gather(struct rows *r, struct peek *p);
void rows_free(struct rows *r);

/* ---- inside: kernel_side.c */

/* A process and the inodes of its sockets. */
struct proc_sock {
    uint64_t inode;
    pid_t pid;
    int fd;
};

struct procs {
    struct proc_sock *v; /* by inode */
    unsigned n, max;
};

void procs_read(struct procs *ps, const struct peek *p);
void procs_holders(const struct procs *ps, uint64_t inode, struct row *row);

/* Adds the kernel's sockets of these processes that are of the internet families. */
bool kernel_rows(struct rows *r, const struct peek *p, const struct procs *ps);

/* A new row at the end; NULL: no memory. */
struct row *rows_add(struct rows *r);

#endif
