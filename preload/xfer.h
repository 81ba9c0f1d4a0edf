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

/* What the control messages of a sendmsg ask for, for this datagram only. */
struct send_ctl {
    int ttl;      /* hop limit of either family; -1: not asked for */
    int tos;      /* or traffic class; -1 */
    int segment;  /* UDP_SEGMENT; -1 */
    int dontfrag; /* IPV6_DONTFRAG; -1 */
    struct addr src;
    bool have_src;
    int64_t stamps; /* SO_TIMESTAMPING: which moments of this call are told; -1 */
};

/* Reads them: 0, or -EINVAL when they are malformed or unknown, as Linux says. A stream takes only
 * those of SOL_SOCKET. */
int xfer_ctl(const struct msghdr *msg, bool stream, struct send_ctl *out);

/* SO_TIMESTAMPING's flags for this call. */
uint32_t xfer_stamps(uint32_t flags, int64_t asked);

/* Puts them on, and takes them off again; entered, around sock_send. -EINVAL: a source that is not
 * ours. */
int xfer_ctl_on(struct stack *st, struct env *env, struct sock *s, struct send_ctl *c,
                struct sock *saved);
void xfer_ctl_off(struct sock *s, const struct sock *saved);

#endif
