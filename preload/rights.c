/*
 * Theory: a descriptor in a message keeps its file open in the kernel, but our placeholder's file
 * is not the socket: when the sender closes its own right after sending, as servers that hand out
 * connections do, nobody would hold the socket. So a pseudo-member (MEMBER_FLIGHT) holds it from
 * the send to the receive, and the socket counts the messages that carry it.
 *
 * Stated gap: a message that is never received (its queue died with its sockets) keeps the socket
 * until the session ends.
 */
#include "preload/rights.h"

#include <string.h>

#include "preload/hook.h"

typedef void each_fn(int fd, bool flag);

static void each(const struct msghdr *msg, each_fn *fn, bool flag)
{
    struct msghdr *m = (struct msghdr *)(uintptr_t)msg; /* the macros only read */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len < CMSG_LEN(0)) {
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            fn(fd, flag);
        }
    }
}

static void depart(int fd, bool unused)
{
    (void)unused;
    const struct file *f = hook_sock(fd);
    struct env *env;
    struct sock *s = f ? hook_enter(&env, &f->sock) : NULL;
    if (s) {
        s->in_flight++;
        sock_hold(s, MEMBER_FLIGHT);
        leave(env);
    }
}

static void land(int fd, bool unused)
{
    (void)unused;
    const struct file *f = hook_sock(fd);
    struct env *env;
    struct sock *s = f ? hook_enter(&env, &f->sock) : NULL;
    if (s) {
        if (s->in_flight > 0 && --s->in_flight == 0) {
            sock_release(the_stack(), env, s, MEMBER_FLIGHT);
        }
        leave(env);
    }
}

static void arrive(int fd, bool peek)
{
    if (fdtab_received(fd) && !peek) {
        land(fd, false);
    }
}

void rights_depart(const struct msghdr *msg)
{
    each(msg, depart, false);
}

void rights_return(const struct msghdr *msg)
{
    each(msg, land, false);
}

void rights_arrive(const struct msghdr *msg, bool peek)
{
    each(msg, arrive, peek);
}
