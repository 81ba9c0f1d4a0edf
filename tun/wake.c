/*
 * wake.c - theory of operation: a sleeper that any member can reach by a number.
 *
 * A packet wakes one sleeper, but it may concern another: whoever drove then sends one byte to the
 * datagram socket that stands beside the TUN in that sleeper's epoll set. Its abstract name is made
 * of the session's name and a number, so it is reached without a descriptor from every process of
 * the network namespace: a process that left it (unshare, a clone with one of its own) binds where
 * nobody calls, and finds out by calling itself from a socket of before. A full queue means that it
 * is awake already; a socket that is gone had nobody behind it. So no error matters.
 */
#include <errno.h>

#include "tun/fd.h"
#include "tun/sysio.h"

#define DRAIN_MAX 64

static void try_it(struct session *s, int fd, const struct sockaddr_un *at, size_t len)
{
    if (sys_sendto(s->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, at, len) == -ECONNREFUSED) {
        s->deaf = true;
    }
    wake_drain(fd);
}

int wake_open(struct session *s, uint32_t *number)
{
    struct sockaddr_un at;
    size_t len;
    int err;

    int fd = sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    do {
        *number = __atomic_add_fetch(&s->arena->next_wake, 1, __ATOMIC_RELAXED);
        len = fd_abstract(&at, s->arena->name, *number);
        err = *number ? sys_bind(fd, &at, len) : -EADDRINUSE; /* 0 means none */
    } while (err == -EADDRINUSE);
    if (err) {
        sys_close(fd);
        return err;
    }
    try_it(s, fd, &at, len);
    return fd_ours(fd);
}

void wake_send(struct session *s, uint32_t number)
{
    struct sockaddr_un to;
    size_t len = fd_abstract(&to, s->arena->name, number);
    sys_sendto(s->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &to, len);
}

void wake_drain(int fd)
{
    char byte;
    for (int i = 0; i < DRAIN_MAX; i++) {
        if (sys_recv(fd, &byte, 1, MSG_DONTWAIT) < 0) {
            return;
        }
    }
}
