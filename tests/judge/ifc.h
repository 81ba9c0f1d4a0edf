/*
 * ifc.h - what google's packetdrill asks of a shared object it loads with --so_filename.
 *
 * It looks up packetdrill_interface_init, and expects a table of functions in this order: one of
 * each call it can make, the two ends of a network device without link headers, and a clock.
 * `self` is what init left in the first field. Calls answer as in libc: -1 and errno.
 */
#ifndef STANDIN_JUDGE_IFC_H
#define STANDIN_JUDGE_IFC_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef const struct sockaddr *ifc_addr;

struct ifc {
    void *self;
    void (*free)(void *self);
    int (*socket)(void *self, int domain, int type, int proto);
    int (*bind)(void *self, int fd, ifc_addr sa, socklen_t len);
    int (*listen)(void *self, int fd, int backlog);
    int (*accept)(void *self, int fd, struct sockaddr *sa, socklen_t *len);
    int (*connect)(void *self, int fd, ifc_addr sa, socklen_t len);
    ssize_t (*read)(void *self, int fd, void *buf, size_t n);
    ssize_t (*readv)(void *self, int fd, const struct iovec *v, int n);
    ssize_t (*recv)(void *self, int fd, void *buf, size_t n, int flags);
    ssize_t (*recvfrom)(void *self, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                        socklen_t *len);
    ssize_t (*recvmsg)(void *self, int fd, struct msghdr *m, int flags);
    ssize_t (*write)(void *self, int fd, const void *buf, size_t n);
    ssize_t (*writev)(void *self, int fd, const struct iovec *v, int n);
    ssize_t (*send)(void *self, int fd, const void *buf, size_t n, int flags);
    ssize_t (*sendto)(void *self, int fd, const void *buf, size_t n, int flags, ifc_addr sa,
                      socklen_t len);
    ssize_t (*sendmsg)(void *self, int fd, const struct msghdr *m, int flags);
    int (*fcntl)(void *self, int fd, int cmd, ...);
    int (*ioctl)(void *self, int fd, unsigned long request, ...);
    int (*close)(void *self, int fd);
    int (*shutdown)(void *self, int fd, int how);
    int (*getsockopt)(void *self, int fd, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(void *self, int fd, int level, int name, const void *val, socklen_t len);
    int (*poll)(void *self, struct pollfd *fds, nfds_t n, int timeout_ms);
    /* A packet for the stack: 0 or -1. */
    int (*netdev_send)(void *self, const void *packet, size_t n);
    /* The stack's next packet and the time it was sent: 0; *n is the room and then the length.
     * Asked again after anything but 0. */
    int (*netdev_receive)(void *self, void *packet, size_t *n, long long *time_us);
    int (*usleep)(void *self, useconds_t us);
    int (*gettimeofday)(void *self, struct timeval *tv, struct timezone *tz);
    int (*epoll_create)(void *self, int size);
    int (*epoll_ctl)(void *self, int ep, int op, int fd, struct epoll_event *ev);
    int (*epoll_wait)(void *self, int ep, struct epoll_event *ev, int max, int timeout_ms);
    int (*pipe)(void *self, int fds[2]);
    int (*splice)(void *self, int from, loff_t *from_at, int to, loff_t *to_at, size_t n,
                  unsigned int flags);
};

#endif
