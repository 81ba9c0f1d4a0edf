/*
 * mcast.h - multicast groups: which sockets belong to which, from which sources, and what routers
 * are told. RFC 1112, 3376 (IGMPv3), 3810 (MLDv2), 3678 (the socket interface).
 *
 * A membership is an object of its own, held by its socket; it ends with it. There is one device,
 * so no verb names one.
 */
#ifndef STANDIN_CORE_MCAST_H
#define STANDIN_CORE_MCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "env.h"
#include "ip.h"
#include "mem.h"

struct stack;
struct sock;

#define MCAST_GROUPS_MAX   64u /* of the host */
#define MCAST_PER_SOCK_MAX 20u /* Linux: igmp_max_memberships */
#define MCAST_SRCS_MAX     10u /* Linux: igmp_max_msf */

/* Which sources: all but those listed, or only those. RFC 3376 3.1 */
struct mcast_filter {
    bool exclude;
    uint8_t n;
    struct addr src[MCAST_SRCS_MAX];
};

/* One socket in one group. */
struct mcast_member {
    struct mem_obj obj;
    struct sock *owner;
    struct mcast_member *sock_next;  /* of the same socket */
    struct mcast_member *group_next; /* in the same group */
    struct addr group;               /* the wildcard: not finished, or gone */
    struct mcast_filter filter;
};

/* A change that routers have yet to be told of. RFC 3376 5.1 */
struct mcast_change {
    uint8_t type; /* of the group record; 0: none */
    uint8_t left; /* reports it is still to go into */
    uint8_t n;
    struct addr src[MCAST_SRCS_MAX];
};

/* A group that somebody is in, or about whose end routers are still to be told. */
struct mcast_group {
    struct addr group;
    bool used;
    bool reporter;   /* we were the last to report it: a leave is ours to tell (older versions) */
    uint8_t reports; /* of the older versions, still to be sent unasked */
    struct mcast_member *members;
    struct mcast_change change[2];
    nsec answer_at; /* a report to a query, or of an older version; NEVER: none */
};

/* IGMP or MLD: what has been heard and what is due. */
struct mcast_proto {
    nsec change_at;  /* the next report of changes; NEVER */
    nsec general_at; /* the answer to a general query; NEVER */
    nsec old_until;  /* a router of an older version has been heard: speak it until then */
    bool oldest;     /* ... IGMPv1 */
};

/* INVAL (not a group), ADDRINUSE (is in it), NOBUFS. Leaving: INVAL, ADDRNOTAVAIL. */
int mcast_join(struct stack *st, struct env *env, struct sock *s, const struct addr *group);
int mcast_leave(struct stack *st, struct env *env, struct sock *s, const struct addr *group);

/* Adds a source to a membership's list, or takes it off. `exclude`: the list of blocked sources;
 * else that of wanted ones, which makes the membership with its first and ends it with its last.
 * INVAL (no such membership, or the list is of the other kind), ADDRNOTAVAIL (there already, or not
 * there), NOBUFS. RFC 3678 4.1 */
int mcast_source(struct stack *st, struct env *env, struct sock *s, const struct addr *group,
                 const struct addr *src, bool exclude, bool add);

/* The socket closes. */
void mcast_leave_all(struct stack *st, struct env *env, struct sock *s);

/* Whether the host takes packets to the group (from that source): some socket wants them, or every
 * host has to. */
bool mcast_joined(const struct stack *st, const struct addr *group);

/* Whether the socket does. `all`: also what it has not joined itself (IP_MULTICAST_ALL). */
bool mcast_wanted(const struct stack *st, const struct sock *s, const struct addr *group,
                  const struct addr *src, bool all);

/* No group, no timer. */
void mcast_init(struct stack *st);

/* Recovery: the memberships of live sockets are told anew; the others go. */
void mcast_rebuild(struct stack *st, struct env *env);

/* ---- igmp.c: what routers are told and ask */

/* The filter of the group has changed from `was` (include nothing: nobody was in it). */
void igmp_changed(struct stack *st, struct env *env, struct mcast_group *g,
                  const struct mcast_filter *was, const struct mcast_filter *now);

/* What all sockets together want of a group. */
void mcast_filter_of(const struct mcast_group *g, struct mcast_filter *out);

/* A packet of protocol 2, or an MLD message (types 130-132, 143), checksum verified. */
void igmp_input(struct stack *st, struct env *env, const struct ip_hdr *ip);
void mld_input(struct stack *st, struct env *env, const struct ip_hdr *ip);

/* The timer of both is due. */
void igmp_timer(struct stack *st, struct env *env);

#endif
