/*
 * client.h - a process's side of the session's socket; shared by session.c and start.c, for tun
 * only.
 */
#ifndef STANDIN_TUN_CLIENT_H
#define STANDIN_TUN_CLIENT_H

#include "tun/fd.h"
#include "tun/message.h"

#define CLIENT_PATIENCE_S 10 /* a keeper that is stopped answers nobody */

/* A connection to the session's keeper: descriptor or -errno; not yet one of ours (fd_ours). */
int client_dial(const char *name);

/* Says hello on a connection and takes the welcome. Descriptors as in fd_recv. 0, a SESSION_* or
 * -errno. */
int client_hello(int fd, uint32_t op, uint32_t member, const char *token, struct welcome *w,
                 int fds[FD_PASS_MAX]);

/* How long the two ends of a conversation wait for each other. */
void client_patience(int fd);

/* A result that says where it failed. err > 0 is an errno. */
struct session_result client_fail(int code, int err, const char *step);

#endif
