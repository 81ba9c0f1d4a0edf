/*
 * rights.h - stack sockets that travel to other processes in messages on AF_UNIX sockets
 * (SCM_RIGHTS).
 */
#ifndef STANDIN_PRELOAD_RIGHTS_H
#define STANDIN_PRELOAD_RIGHTS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Before a message is sent on a socket that is not ours: what it carries stays open on its way.
 * Not entered. */
void rights_depart(const struct msghdr *msg);

/* It was not sent after all. */
void rights_return(const struct msghdr *msg);

/* A message was received: what it brought is ours if it is a socket of the stack. peek: the
 * message is still there. */
void rights_arrive(const struct msghdr *msg, bool peek);

/* Whether a message has control data that may carry descriptors. */
static inline bool rights_maybe(const struct msghdr *msg)
{
    return msg && msg->msg_control && msg->msg_controllen >= CMSG_LEN(sizeof(int));
}

#endif
