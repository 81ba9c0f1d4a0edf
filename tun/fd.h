/*
 * fd.h - our own descriptors: high, CLOEXEC, announced; and how they travel between processes.
 */
#ifndef STANDIN_TUN_FD_H
#define STANDIN_TUN_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "tun/session.h"

#define FD_PASS_MAX 4u

/* Makes a new descriptor of ours out of what a system call returned: moved high, announced.
 * Negative: passed through. */
int fd_ours(int fd);

/* One message with n <= FD_PASS_MAX descriptors. 0 or -errno. */
int fd_send(int sock, const void *msg, size_t len, const int *fds, size_t n);

/* Receives one message of at most len bytes. Returns its length, 0 at the end, -errno.
 * fds[0..FD_PASS_MAX) gets what came with it, CLOEXEC, and -1 behind that; they are the caller's.
 */
long fd_recv(int sock, void *msg, size_t len, int fds[FD_PASS_MAX]);

/* The address of the abstract UNIX socket that `name` ("@...") and, if not 0, "-number" spell.
 * Returns its length. */
size_t fd_abstract(struct sockaddr_un *out, const char *name, uint32_t number);

#endif
