/*
 * xfer.h - pieces of the transfer hooks: the program's vectors as spans, and its control messages.
 */
#ifndef STANDIN_PRELOAD_XFER_H
#define STANDIN_PRELOAD_XFER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/pkt.h"
#include "core/sock.h"

#define XFER_IOV_MAX 1024                 /* UIO_MAXIOV */
#define XFER_MAX     ((size_t)0x7ffff000) /* MAX_RW_COUNT */

/* The vectors behind the first `skip` bytes, at most XFER_MAX bytes. Spans filled, or -EINVAL,
 * -EFAULT (a null pointer with a length; null_ok: the bytes are not touched). *total is what all
 * of it holds. */
long xfer_load(const struct iovec *iov, size_t n, size_t skip, bool null_ok, struct mspan *out,
               size_t *total);

/* Fills msg's control part and flags from what was received. ifindex: of the stack's device. */
void xfer_cmsg(struct msghdr *msg, const struct recv_info *info, const struct sock *s, int ifindex);

/* Whether the control messages of a sendmsg are well-formed: 0 or -EINVAL. */
int xfer_cmsg_check(const struct msghdr *msg);

#endif
