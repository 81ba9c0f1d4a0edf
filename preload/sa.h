/*
 * sa.h - struct sockaddr between programs and the stack's endpoints, with Linux's rules for
 * lengths and families.
 */
#ifndef STANDIN_PRELOAD_SA_H
#define STANDIN_PRELOAD_SA_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/addr.h"

enum sa_use {
    SA_BIND,
    SA_CONNECT_STREAM,
    SA_CONNECT_DGRAM,
    SA_SEND,
};

/*
 * The address of a call on a socket of `family`. 0; 1: AF_UNSPEC (connect: dissolve; send: no
 * address); or -errno as Linux answers (-EINVAL too short, -EAFNOSUPPORT, -EFAULT). v6only: the
 * socket refuses IPv4-mapped addresses.
 */
int sa_get(const struct sockaddr *sa, socklen_t len, int family, bool v6only, enum sa_use use,
           struct endpoint *out);

/* The full form of an endpoint as a socket of `family` shows it; returns its length. */
socklen_t sa_of(const struct endpoint *e, int family, struct sockaddr_storage *out);

/* Copies a full form out under the rules of getsockname: *len in and out, truncation silent. 0,
 * -EFAULT or -EINVAL. */
int sa_copy_out(const struct sockaddr_storage *full, socklen_t full_len, struct sockaddr *sa,
                socklen_t *len);

/* Both in one. sa may be NULL: then nothing is asked for. */
int sa_put(const struct endpoint *e, int family, struct sockaddr *sa, socklen_t *len);

#endif
