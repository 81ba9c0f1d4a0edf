/*
 * sock_errq.h - the error queue of a socket (MSG_ERRQUEUE): ICMP errors with IP_RECVERR, times of
 * transmission (SO_TIMESTAMPING), completions of MSG_ZEROCOPY. ip(7), and Linux's
 * Documentation/networking/{timestamping,msg_zerocopy}.rst as a fact.
 *
 * Its entries are struct dgrams on a list of the side object, bounded by SO_RCVBUF. While there is
 * one poll shows POLLERR.
 */
#ifndef STANDIN_CORE_SOCK_ERRQ_H
#define STANDIN_CORE_SOCK_ERRQ_H

#include "sock.h"
#include "sock_side.h"

struct dgram;

/* SO_EE_ORIGIN_* */
enum { EE_NONE, EE_LOCAL, EE_ICMP, EE_ICMP6, EE_TIMESTAMPING, EE_ZEROCOPY };

/* Adds an entry with these bytes. The program is not told of it yet. False: no room or memory. */
bool errq_put(struct stack *st, struct env *env, struct sock *s, const struct recv_info *ee,
              const struct span *v, size_t n);

/* The newest entry, to be changed while nobody has taken it; NULL. */
struct recv_info *errq_newest(struct sock *s);

/* POLLERR. */
void errq_notify(struct stack *st, struct sock *s);

/* MSG_ERRQUEUE: takes the oldest; its bytes, or -ERR_AGAIN. */
int64_t errq_recv(struct stack *st, struct sock *s, struct mspan *v, size_t n,
                  struct recv_info *info);

static inline bool errq_any(const struct sock *s)
{
    return s->side && s->side->err_head;
}

void errq_purge(struct stack *st, struct sock *s);

/* Recovery: an entry of a live socket that has a side object goes back to its place. */
void errq_rebuild_one(struct dgram *d);

/* MSG_ZEROCOPY number `id` is complete, and was a copy: joined with the newest entry where it is
 * the next (tcp_mark.c). */
void zerocopy_done(struct stack *st, struct env *env, struct sock *s, uint32_t id);

#endif
