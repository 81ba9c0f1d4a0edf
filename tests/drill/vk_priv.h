/*
 * vk_priv.h - the inside of the virtual kernel, for the vk_*.c family only.
 */
#ifndef STANDIN_DRILL_VK_PRIV_H
#define STANDIN_DRILL_VK_PRIV_H

#include "core/pollset.h"
#include "tests/lib/heap.h"
#include "vkernel.h"

enum vk_kind { VK_FREE, VK_FILE_SOCK, VK_FILE_EPOLL, VK_FILE_PIPE, VK_FILE_REAL };

struct vk_pipe {
    unsigned ends;
    size_t bytes; /* only how many: what is in them is zero */
};

/* An open file description: what several descriptors may share. */
struct vk_file {
    enum vk_kind kind;
    unsigned refs;
    int flags; /* access mode and O_NONBLOCK */
    struct sock *sock;
    struct pollset *set;
    struct vk_pipe *pipe;
    bool pipe_writes;
    int real;
};

struct vk_fd {
    struct vk_file *file; /* NULL: free */
    bool cloexec;
};

struct vk {
    struct heap heap;
    struct vk_config cfg;
    struct stack *st;
    struct vk_packet *first, **last;
    uint64_t npackets;
    struct vk_fd *fds;
    int nfds;
    struct vk_call *blocked;
    uint64_t events_from;
    size_t runs_at_start; /* bytes of page runs the empty stack holds */
    char fault[256];
    char left[256]; /* the answer of vk_finish */
};

static inline struct env *vk_env(struct vk *vk)
{
    return &vk->heap.env;
}

__attribute__((format(printf, 2, 3))) void vk_fail(struct vk *vk, const char *fmt, ...);

/* After anything happened: packets held back go out, who is woken goes on, invariants are looked
 * at. */
void vk_settle(struct vk *vk);

/* vk_file.c. vk_file_of: NULL for a free number. */
struct vk_file *vk_file_of(struct vk *vk, int fd);
int vk_fd_put(struct vk *vk, struct vk_file *f,
              bool cloexec); /* the number; takes a reference over */
struct vk_file *vk_file_new(enum vk_kind kind, int flags);
void vk_file_drop(struct vk *vk, struct vk_file *f);

/* What a verb's attempt came to: bytes or 0, a negative errno, or VK_WAIT. */
#define VK_WAIT (-100000)

/* Attempts: called until they no longer answer VK_WAIT. `last`: time is over, this is the last
 * attempt. */
int64_t vk_do_sock(struct vk *vk, struct vk_call *c, bool last);
int64_t vk_do_io(struct vk *vk, struct vk_call *c, bool last);
int64_t vk_do_file(struct vk *vk, struct vk_call *c, bool last);
int64_t vk_do_poll(struct vk *vk, struct vk_call *c, bool last);

/* vk_wait.c: what a blocked call waits for. A socket's events; or a pollset of epoll; or only
 * time. */
void vk_wait_sock(struct vk *vk, struct vk_call *c, struct sock *s, uint32_t events);
void vk_wait_time(struct vk *vk, struct vk_call *c, nsec timeout);
nsec vk_after(struct vk *vk, nsec span);

/* A core error (negative) as a negative errno. */
int vk_errno(int64_t err);

/* Addresses. vk_to_endpoint: 0 or a negative errno. vk_from_endpoint fills what fits and sets the
 * full length. */
int vk_to_endpoint(const struct sock *s, const struct sockaddr *sa, socklen_t len,
                   struct endpoint *out);
void vk_from_endpoint(const struct sock *s, const struct endpoint *e, struct sockaddr *sa,
                      socklen_t *len);

#endif
