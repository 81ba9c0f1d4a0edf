/*
 * vkernel.h - a virtual kernel: one program's descriptors and calls on one stack, in virtual time.
 *
 * Time stands still until vk_step or vk_run_to lets it pass, and then jumps from one deadline to
 * the next; no thread sleeps. A call that cannot finish is kept, and finishes when the stack
 * wakes it or its time is over, as in a kernel: the wake-up is the stack's own (pollset.h), and a
 * call that could finish but was not woken is a fault. After every event the stack's invariants
 * are checked.
 *
 * It knows nothing of scripts. What is emitted waits in a list until somebody takes it.
 */
#ifndef STANDIN_DRILL_VKERNEL_H
#define STANDIN_DRILL_VKERNEL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "core/event.h"
#include "core/nsec.h"
#include "core/stack.h"

struct vk;

/* One packet the stack sent, whole, checksums complete. */
struct vk_packet {
    struct vk_packet *next;
    nsec at;
    uint64_t number; /* counts from 1 */
    uint16_t reason; /* enum tx_reason */
    uint32_t sock_id;
    size_t len;
    uint8_t bytes[];
};

struct vk_config {
    struct stack_config stack;
    size_t arena; /* bytes at most; 0: 256 MiB */
    uint64_t seed;
    nsec start; /* the first time on the clock */
    void *ctx;
    void (*sent)(void *ctx, const struct vk_packet *p); /* told of every packet; may be NULL */
    int (*fd_new)(void *ctx);           /* a free descriptor number; NULL: the lowest from 3 */
    void (*fd_gone)(void *ctx, int fd); /* that number is free again; may be NULL */
};

/* NULL: no memory for a stack. */
struct vk *vk_new(const struct vk_config *cfg);
void vk_free(struct vk *vk);

struct stack *vk_stack(struct vk *vk);
nsec vk_now(const struct vk *vk);
nsec vk_real(const struct vk *vk); /* nanoseconds since 1970 at that time */

/* When something happens by itself: a timer of the stack, the end of a call's patience; NEVER. */
nsec vk_deadline(struct vk *vk);

/* Lets time pass to the next deadline, at most to `limit`, and runs what is due. False: nothing
 * was due until then. */
bool vk_step(struct vk *vk, nsec limit);
void vk_run_to(struct vk *vk, nsec t);

/* One packet from the network. */
void vk_inject(struct vk *vk, const void *bytes, size_t len);

/* What was emitted and not yet taken, oldest first. vk_take unlinks; the caller frees with
 * free(). */
struct vk_packet *vk_packets(const struct vk *vk);
void vk_take(struct vk *vk, struct vk_packet *p);

/* The first thing found wrong inside the machine, NULL if there is none. */
const char *vk_fault(const struct vk *vk);

/* A setting under the name of Linux's sysctl (knobs.h). 0, -ERR_NOENT, -ERR_DOM. */
int vk_knob(struct vk *vk, const char *name, int64_t value);

/* Closes every descriptor, lets time pass until nothing is due any more (at most `limit` more),
 * and says what is left over that should not be: objects, memory, timers. NULL: nothing. */
const char *vk_finish(struct vk *vk, nsec limit);

/* Copies events of the stack recorded since the last call; how many. */
uint32_t vk_events(struct vk *vk, struct event *out, uint32_t max);

/* --- calls --- */

enum vk_op {
    VK_SOCKET,
    VK_BIND,
    VK_LISTEN,
    VK_ACCEPT,
    VK_CONNECT,
    VK_SEND, /* write, writev, send, sendto, sendmsg */
    VK_RECV, /* read, readv, recv, recvfrom, recvmsg */
    VK_FCNTL,
    VK_IOCTL,
    VK_CLOSE,
    VK_SHUTDOWN,
    VK_GETSOCKOPT,
    VK_SETSOCKOPT,
    VK_GETSOCKNAME,
    VK_GETPEERNAME,
    VK_POLL,
    VK_EPOLL_CREATE,
    VK_EPOLL_CTL,
    VK_EPOLL_WAIT,
    VK_PIPE,
    VK_SPLICE,
    VK_SENDFILE,
    VK_OPEN,
    VK_OPS
};

/* A call's arguments are those of the system call; what they point to stays until it is done. */
struct vk_call {
    enum vk_op op;
    int fd;
    union {
        struct {
            int domain, type, proto;
        } socket;
        struct {
            const struct sockaddr *sa;
            socklen_t len;
        } addr; /* BIND, CONNECT */
        struct {
            struct sockaddr *sa;
            socklen_t *len;
            int flags;
        } name; /* ACCEPT, GETSOCKNAME, GETPEERNAME */
        struct {
            struct msghdr *msg;
            int flags;
            bool plain; /* read, write: works on pipes and files too */
        } io;
        int n; /* LISTEN: backlog; SHUTDOWN: how; EPOLL_CREATE: flags */
        struct {
            int cmd;
            long arg;
        } fcntl;
        struct {
            unsigned long request;
            void *arg;
        } ioctl;
        struct {
            int level, name;
            void *val;
            socklen_t *len; /* GETSOCKOPT */
            socklen_t size; /* SETSOCKOPT */
        } opt;
        struct {
            struct pollfd *fds;
            nfds_t n;
            int timeout_ms;
        } poll;
        struct {
            int op, fd;
            struct epoll_event *ev;
        } ctl;
        struct {
            struct epoll_event *ev;
            int max, timeout_ms;
        } wait;
        int *pipe;
        struct {
            int fd; /* SPLICE: to; SENDFILE: from */
            size_t n;
            int flags;
            int64_t *at;
        } move;
        struct {
            const char *path;
            int flags;
        } open;
    } u;

    bool done;
    int64_t ret; /* -1 with err, as in libc */
    int err;     /* an errno */
    nsec began, ended;

    /* the kernel's, while it blocks */
    struct vk_call *next;
    struct pollset *set;
    nsec timeout;
    int64_t progress; /* bytes moved already */
    struct sock_ref linger;
    bool opening; /* a send that waits for its connection: until then its bytes do not count */
    bool blocked;
    bool asleep; /* counted by its pollset as a sleeper */
    bool woken;
    bool always; /* what it waits for wakes nobody: tried after every event */
};

/* Starts a call. True: it is done, ret and err hold. False: it blocks; `done` will be true after
 * some later event. */
bool vk_start(struct vk *vk, struct vk_call *c);

/* Gives up on a blocked call. */
void vk_cancel(struct vk *vk, struct vk_call *c);

/* The socket behind a descriptor, or NULL. */
struct sock *vk_sock(struct vk *vk, int fd);

#endif
