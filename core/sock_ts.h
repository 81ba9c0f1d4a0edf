/*
 * sock_ts.h - SO_TIMESTAMPING: when data was sent, acknowledged, received. socket(7), Linux's
 * Documentation/networking/timestamping.rst as a fact.
 *
 * Times are of the wall clock (env->real). What was sent is told on the error queue, with the
 * packet unless OPT_TSONLY asks for the time alone; what was received, with the data.
 */
#ifndef STANDIN_CORE_SOCK_TS_H
#define STANDIN_CORE_SOCK_TS_H

#include "sock.h"

struct pkt_out;

/* SCM_TSTAMP_*: which moment an entry of the error queue tells. */
enum ts_moment { TS_SND, TS_SCHED, TS_ACK };

#define TS_TX_FLAGS \
    (LX_SOF_TIMESTAMPING_TX_SOFTWARE | LX_SOF_TIMESTAMPING_TX_SCHED | LX_SOF_TIMESTAMPING_TX_ACK)

/* setsockopt. -ERR_INVAL: flags that are unknown or do not go together; -ERR_NOBUFS. */
int ts_set(struct stack *st, struct env *env, struct sock *s, uint32_t flags);

/* Tells one moment. `key`: with OPT_ID, which datagram or byte it was. The bytes are the packet's.
 */
void ts_tell(struct stack *st, struct env *env, struct sock *s, enum ts_moment m, uint32_t key,
             const struct span *v, size_t n);

/* A datagram has been handed to the link. */
void ts_sent(struct stack *st, struct env *env, struct sock *s, const struct pkt_out *p);

/* Whether received data is to carry its time, and how the receiver wants to be told of info->stamp.
 */
static inline bool ts_wanted(const struct sock *s)
{
    return s->opt.timestamp || s->opt.timestampns ||
           s->opt.timestamping & LX_SOF_TIMESTAMPING_RX_SOFTWARE;
}
void ts_fill(const struct sock *s, struct recv_info *info, bool is_err);

#endif
