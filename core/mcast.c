/*
 * mcast.c - theory of operation.
 *
 * Memberships (struct mcast_member) hang in two lists: that of their socket and that of their
 * group. A group (struct mcast_group) exists while it has members, and a little longer until
 * routers have been told. What the host wants of a group is what its members want together (RFC
 * 3376 3.2); each change of that is handed to igmp.c.
 *
 * The all-hosts groups are joined by nature and never told (RFC 3376 6, RFC 3810 6).
 *
 * Missing on purpose: whole filters at once (IP_MSFILTER, MCAST_MSFILTER), more than MCAST_SRCS_MAX
 * sources for IPv6 too.
 */
#include "mcast.h"

#include "check.h"
#include "sock_priv.h"
#include "stack.h"
#include "udp.h"

/* Every host is in these: RFC 1112 4, RFC 4291 2.7.1. */
static bool is_all_hosts(const struct addr *a)
{
    static const struct addr all6 = {{0xff, 0x02, [15] = 1}};
    static const struct addr own6 = {{0xff, 0x01, [15] = 1}};
    static const struct addr all4 = {{[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 1}};
    return addr_eq(a, &all6) || addr_eq(a, &own6) || addr_eq(a, &all4);
}

static struct mcast_group *group_find(const struct stack *st, const struct addr *group)
{
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        const struct mcast_group *g = &st->mcast[i];
        if (g->used && addr_eq(&g->group, group)) {
            return (struct mcast_group *)(uintptr_t)g;
        }
    }
    return NULL;
}

/* A free place, else one that only waits for its last report; NULL: full. */
static struct mcast_group *group_place(struct stack *st)
{
    struct mcast_group *waiting = NULL;
    for (uint32_t i = 0; i < MCAST_GROUPS_MAX; i++) {
        struct mcast_group *g = &st->mcast[i];
        if (!g->used) {
            return g;
        }
        waiting = g->members ? waiting : g;
    }
    return waiting;
}

/* The group, made if need be. */
static struct mcast_group *group_get(struct stack *st, const struct addr *group)
{
    struct mcast_group *g = group_find(st, group);
    if (!g && (g = group_place(st)) != NULL) {
        *g = (struct mcast_group){.group = *group, .used = true, .answer_at = NEVER};
    }
    return g;
}

static struct udp *udp_of_sock(const struct sock *s)
{
    return (struct udp *)(void *)(uintptr_t)s;
}

static struct mcast_member *member_find(const struct sock *s, const struct addr *group)
{
    struct mcast_member *m = udp_of_sock(s)->groups;
    while (m && !addr_eq(&m->group, group)) {
        m = m->sock_next;
    }
    return m;
}

/* --- filters --- */

static int index_of(const struct mcast_filter *f, const struct addr *src)
{
    for (int i = 0; i < f->n; i++) {
        if (addr_eq(&f->src[i], src)) {
            return i;
        }
    }
    return -1;
}

static bool passes(const struct mcast_filter *f, const struct addr *src)
{
    return (index_of(f, src) >= 0) != f->exclude;
}

static bool some_want(const struct mcast_group *g, const struct addr *src)
{
    const struct mcast_member *m = g->members;
    while (m && !passes(&m->filter, src)) {
        m = m->group_next;
    }
    return m != NULL;
}

/* Adds what fits; what does not fit in a list of blocked ones is simply not blocked. */
static bool filter_add(struct mcast_filter *f, const struct addr *src)
{
    if (index_of(f, src) < 0) {
        if (f->n == MCAST_SRCS_MAX) {
            return false;
        }
        f->src[f->n++] = *src;
    }
    return true;
}

/* RFC 3376 3.2. More wanted sources than a list holds: all but none. */
void mcast_filter_of(const struct mcast_group *g, struct mcast_filter *out)
{
    *out = (struct mcast_filter){0};
    for (const struct mcast_member *m = g->members; m; m = m->group_next) {
        out->exclude = out->exclude || m->filter.exclude;
    }
    for (const struct mcast_member *m = g->members; m; m = m->group_next) {
        for (uint8_t i = 0; i < m->filter.n; i++) {
            bool wanted = some_want(g, &m->filter.src[i]);
            if (wanted != out->exclude && !filter_add(out, &m->filter.src[i]) && !out->exclude) {
                *out = (struct mcast_filter){.exclude = true};
                return;
            }
        }
    }
}

/* --- joining and leaving --- */

/* Takes the membership out of its group's list. */
static void unlink_group(struct mcast_group *g, const struct mcast_member *m)
{
    struct mcast_member **at = &g->members;
    while (*at && *at != m) {
        at = &(*at)->group_next;
    }
    if (*at) {
        *at = m->group_next;
    }
}

/* Tells of what has changed since `was`. */
static void changed(struct stack *st, struct env *env, struct mcast_group *g,
                    const struct mcast_filter *was)
{
    struct mcast_filter now;
    mcast_filter_of(g, &now);
    if (!is_all_hosts(&g->group)) {
        igmp_changed(st, env, g, was, &now);
    } else if (!g->members) {
        g->used = false;
    }
}

/* Enters a membership whose owner, group and filter are set. */
static void enter(struct stack *st, struct env *env, struct mcast_group *g, struct mcast_member *m)
{
    struct udp *u = udp_of_sock(m->owner);
    struct mcast_filter was;
    mcast_filter_of(g, &was);
    m->sock_next = u->groups;
    m->group_next = g->members;
    u->groups = m;
    u->ngroups++;
    g->members = m;
    changed(st, env, g, &was);
}

static int join(struct stack *st, struct env *env, struct sock *s, const struct addr *group,
                const struct mcast_filter *filter)
{
    if (!addr_is_multicast(group)) {
        return -ERR_INVAL;
    }
    if (member_find(s, group)) {
        return -ERR_ADDRINUSE;
    }
    if (udp_of_sock(s)->ngroups == MCAST_PER_SOCK_MAX) {
        return -ERR_NOBUFS;
    }
    struct mcast_member *m = mem_obj_get(st->mem, env, MEM_MEMBER);
    struct mcast_group *g = m ? group_get(st, group) : NULL;
    if (!g) {
        if (m) {
            mem_obj_put(st->mem, m);
        }
        return -ERR_NOBUFS;
    }
    m->owner = s;
    m->filter = *filter;
    m->group = *group;
    enter(st, env, g, m);
    return 0;
}

static void leave(struct stack *st, struct env *env, struct sock *s, struct mcast_member *m)
{
    struct udp *u = udp_of_sock(s);
    struct mcast_group *g = group_find(st, &m->group);
    struct mcast_member **at = &u->groups;
    while (*at != m) {
        at = &(*at)->sock_next;
    }
    *at = m->sock_next;
    u->ngroups--;
    if (g) {
        struct mcast_filter was;
        mcast_filter_of(g, &was);
        unlink_group(g, m);
        changed(st, env, g, &was);
    }
    mem_obj_put(st->mem, m);
}

int mcast_join(struct stack *st, struct env *env, struct sock *s, const struct addr *group)
{
    static const struct mcast_filter all = {.exclude = true};
    return join(st, env, s, group, &all);
}

int mcast_leave(struct stack *st, struct env *env, struct sock *s, const struct addr *group)
{
    struct mcast_member *m = member_find(s, group);
    if (!addr_is_multicast(group)) {
        return -ERR_INVAL;
    }
    if (!m) {
        return -ERR_ADDRNOTAVAIL;
    }
    leave(st, env, s, m);
    return 0;
}

void mcast_leave_all(struct stack *st, struct env *env, struct sock *s)
{
    while (udp_of_sock(s)->groups) {
        leave(st, env, s, udp_of_sock(s)->groups);
    }
}

/* Changes the list of m, which is of that kind or empty. */
static int source_change(struct stack *st, struct env *env, struct mcast_member *m, struct addr src,
                         bool exclude, bool add)
{
    struct mcast_group *g = group_find(st, &m->group);
    struct mcast_filter f = m->filter;
    int i = index_of(&f, &src);
    if (add == (i >= 0)) {
        return -ERR_ADDRNOTAVAIL;
    }
    if (add && f.n == MCAST_SRCS_MAX) {
        return -ERR_NOBUFS;
    }
    f.exclude = exclude;
    if (add) {
        f.src[f.n++] = src;
    } else {
        f.src[i] = f.src[--f.n];
    }
    struct mcast_filter was;
    mcast_filter_of(g, &was);
    m->filter = f;
    changed(st, env, g, &was);
    return 0;
}

int mcast_source(struct stack *st, struct env *env, struct sock *s, const struct addr *group,
                 const struct addr *src, bool exclude, bool add)
{
    struct mcast_member *m = member_find(s, group);
    if (!addr_is_multicast(group)) {
        return -ERR_INVAL;
    }
    if (!m && add && !exclude) {
        struct mcast_filter one = {.n = 1};
        one.src[0] = *src;
        return join(st, env, s, group, &one);
    }
    /* Linux: an empty list may change its kind. */
    if (!m || (m->filter.exclude != exclude && m->filter.n > 0)) {
        return -ERR_INVAL;
    }
    if (!add && !exclude && m->filter.n == 1 && index_of(&m->filter, src) == 0) {
        leave(st, env, s, m);
        return 0;
    }
    return source_change(st, env, m, *src, exclude, add);
}

/* --- who gets what --- */

bool mcast_joined(const struct stack *st, const struct addr *group)
{
    const struct mcast_group *g = group_find(st, group);
    return is_all_hosts(group) || (g && g->members);
}

bool mcast_wanted(const struct stack *st, const struct sock *s, const struct addr *group,
                  const struct addr *src, bool all)
{
    const struct mcast_member *m = member_find(s, group);
    if (m) {
        return passes(&m->filter, src);
    }
    const struct mcast_group *g = group_find(st, group);
    return all && (is_all_hosts(group) || (g && some_want(g, src)));
}

void mcast_init(struct stack *st)
{
    memset(st->mcast, 0, sizeof st->mcast);
    st->igmp = (struct mcast_proto){.change_at = NEVER, .general_at = NEVER};
    st->mld = st->igmp;
    timer_init(&st->mcast_timer);
    st->mcast_timer.owner = TIMER_MCAST;
}

/* --- recovery --- */

void mcast_rebuild(struct stack *st, struct env *env)
{
    for (struct udp *u = mem_obj_next(st->mem, MEM_UDP, NULL); u;
         u = mem_obj_next(st->mem, MEM_UDP, u)) {
        u->groups = NULL;
        u->ngroups = 0;
    }
    for (struct mcast_member *m = mem_obj_next(st->mem, MEM_MEMBER, NULL); m;
         m = mem_obj_next(st->mem, MEM_MEMBER, m)) {
        bool whole = !addr_is_any(&m->group) && m->filter.n <= MCAST_SRCS_MAX &&
                     sock_live(st, m->owner) && m->owner->obj.kind == MEM_UDP &&
                     !member_find(m->owner, &m->group);
        struct mcast_group *g = whole ? group_get(st, &m->group) : NULL;
        if (g) {
            enter(st, env, g, m);
        } else {
            mem_obj_put(st->mem, m);
        }
    }
}
