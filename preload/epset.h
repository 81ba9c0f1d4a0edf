/*
 * epset.h - an epoll set of the program: the kernel's set for its other descriptors, a pollset
 * for stack sockets.
 *
 * Beside the program's own descriptors the kernel's set holds three hidden entries once the first
 * stack socket is added: the TUN and the shared timerfd (EPOLLEXCLUSIVE) and a wake-up. Their
 * data words are addresses of ours; they are filtered out of what epoll_wait returns. LT, ET and
 * ONESHOT of stack sockets are the pollset's.
 */
#ifndef STANDIN_PRELOAD_EPSET_H
#define STANDIN_PRELOAD_EPSET_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "preload/fdtab.h"

struct epset {
    struct epset *next; /* all of this process */
    struct pollset *set;
    uint32_t set_gen; /* of the pollset's place, for a child that copies its parent's */
    int epfd;         /* a descriptor of it */
    int wake_fd;
    uint32_t wake_number;
    uint32_t member; /* who armed it; a forked child arms its own */
    bool armed;      /* the hidden entries are in the kernel's set */
    bool
        /* something waits for the set itself: its wake-up stands for the pollset's readiness */
        nested;
    uint32_t
        /* of the program in the kernel's set: an upper bound, since closing takes them out
         * silently */
        kernel_fds;
    uint32_t ntwins;
    uint32_t turn;    /* counts waits, so that the kernel's entries are looked at every few */
    uint8_t batch;    /* packets read before the pollset is looked at again: adapts to what comes */
    uint8_t full;     /* turns in a row that brought so many */
    int32_t next_key; /* for registrations whose descriptor's number went to another socket */
};

/* epoll_ctl on a set when the descriptor is a stack socket, with Linux's answers. 0 or -errno. */
int epset_ctl(int epfd, int op, int fd, struct file *target, struct epoll_event *ev);

/* epoll_wait for a set that is FILE_EPOLL. Count or -errno (-EINTR). timeout in ns, NEVER for
 * -1. */
int epset_wait(int epfd, struct file *ep, struct epoll_event *out, int max, nsec timeout,
               const sigset_t *mask);

/* The stack socket's descriptor moved to the kernel: its registrations go over (fd keeps its
 * number). */
void epset_move_to_kernel(struct file *f, int fd);

/* A descriptor of a stack socket was closed: its watches in this process's sets go when the file
 * has no more descriptors. */
void epset_forget_sock(struct file *f);
void epset_close(struct file *ep);

/* The socket got kernel twins: every set that watches it watches them too. */
void epset_twin(struct file *f);

/* For poll: whether the pollset has something. The hidden entries are quiet afterwards, so that
 * the kernel's own poll of the set tells about the program's other descriptors. Not entered. */
bool epset_ready(struct file *ep);

/* An event list of the kernel for a set that got its hidden entries while libc's epoll_wait
 * slept. Returns what is left. */
int epset_filter(struct file *ep, struct epoll_event *ev, int n);

/* A descriptor that is not ours went into the set, or out of it. */
void epset_count(struct file *ep, int op);

/* Makes the set's kernel half show what the pollset shows (an outer set, poll or an inherited
 * copy looks at it). */
void epset_nest(int epfd, struct file *ep);

#endif
