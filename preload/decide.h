/*
 * decide.h - which sockets are the stack's and which the kernel's, and the change of one into the
 * other.
 *
 * A socket is born undecided, on the stack. An address decides: the session's subnets and the
 * host's own addresses are the stack's, loopback and networks without a way are the kernel's. A
 * socket that becomes the kernel's is replaced under its descriptor, options, flags and epoll
 * registrations included. A wildcard address is both: the stack's socket has hidden kernel twins
 * on 127.0.0.1 and ::1 with the same port.
 */
#ifndef STANDIN_PRELOAD_DECIDE_H
#define STANDIN_PRELOAD_DECIDE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/addr.h"
#include "preload/fdtab.h"

/* Where datagrams and connections to that address go: FILE_WHY_STACK, or the reason for the
 * kernel. Not entered. */
enum file_why decide_dest(const struct addr *to);

/* Whether the address is one of the stack's own. */
bool decide_ours(const struct addr *a);

/* A kernel socket like the file's (options repeated); close-on-exec, blocking. The descriptor or
 * -errno. Not entered. */
int kernel_like(const struct file *f);

/* Options that join or leave multicast groups: they add up, and twins take no part. */
bool opt_is_group(int level, int name);

/*
 * Replaces the file by a kernel socket under all its descriptors in this process. kfd: the kernel
 * socket made before (bound, say), or -1: one is made here, bound as the stack's socket was. kfd
 * is closed. 0 or -errno (then nothing has changed). `fd` is one of its descriptors. Not entered.
 * After it `f` must not be used.
 */
int file_to_kernel(int fd, struct file *f, enum file_why why, int kfd);

/*
 * Binds to a wildcard address, at->port may be 0: the port is won on the stack and on loopback. 0
 * or -errno. A named port that is taken on the kernel's loopback is bound without a twin. Not
 * entered.
 */
int twin_bind(struct file *f, const struct endpoint *at, bool privileged);

/* Twins for a wildcard socket that has none yet, on the port it has. listen: with that backlog;
 * -1: not. Not entered. */
void twin_make(struct file *f);
void twin_listen(struct file *f, int backlog);
void twin_close(struct file *f);

/* A wildcard socket that came from elsewhere (exec, a message) gets its twins at its first use
 * here. Not entered. */
void twin_adopt(struct file *f);

/* The kernel twin of a datagram socket that reaches `to`; made, and the socket bound, at the
 * first use. Or -errno. */
int twin_for(struct file *f, const struct addr *to);

/* A socket option goes to the twins as well. */
void twin_setopt(struct file *f, int level, int name, const void *val, socklen_t len);

/* Whether this process may bind ports below ip_unprivileged_port_start (CAP_NET_BIND_SERVICE). */
bool may_bind_low(void);

/* Whether it may do what needs CAP_NET_ADMIN. */
bool may_admin(void);

#endif
