/*
 * pmtu.c - theory of operation.
 *
 * The table is searched from end to end, but only for packets larger than its least entry (ip.c) or
 * when it changes. Its generation tells connections that something has changed, up or down: they
 * look again before they send (tcp_mtu.c).
 */
#include "pmtu.h"

#include "check.h"
#include "stack.h"

#define PMTU_LIFE (600 * SEC) /* Linux: net.ipv4.route.mtu_expires */

static const struct pmtu *find(const struct stack *st, const struct addr *dst)
{
    for (uint32_t i = 0; st->pmtu_min != UINT32_MAX && i < STACK_PMTU_MAX; i++) {
        if (st->pmtu[i].mtu != 0 && addr_eq(&st->pmtu[i].dst, dst)) {
            return &st->pmtu[i];
        }
    }
    return NULL;
}

uint32_t pmtu_of(const struct stack *st, const struct addr *dst)
{
    const struct pmtu *p = find(st, dst);
    return p ? min_u32(p->mtu, st->mtu) : st->mtu;
}

bool pmtu_locked(const struct stack *st, const struct addr *dst)
{
    const struct pmtu *p = find(st, dst);
    return p && p->locked;
}

uint32_t pmtu_news(const struct stack *st, const struct addr *dst, uint32_t told)
{
    bool is4 = addr_is4(dst);
    if (!is4 && told < PMTU_FLOOR6) {
        return 0;
    }
    uint32_t mtu = is4 ? max_u32(told, PMTU_FLOOR4) : told;
    return mtu < pmtu_of(st, dst) ? mtu : 0;
}

/* After a change of the table: its least entry, and when the next one ends. */
static void settle(struct stack *st)
{
    nsec next = NEVER;
    st->pmtu_min = UINT32_MAX;
    st->pmtu_nlocked = 0;
    for (uint32_t i = 0; i < STACK_PMTU_MAX; i++) {
        if (st->pmtu[i].mtu != 0) {
            st->pmtu_min = min_u32(st->pmtu_min, st->pmtu[i].mtu);
            st->pmtu_nlocked += st->pmtu[i].locked;
            next = nsec_min(next, st->pmtu[i].until);
        }
    }
    st->pmtu_gen++;
    timer_set(&st->timers, &st->pmtu_timer, next);
}

/* The entry of dst; else a free one; else the one that would end first. */
static struct pmtu *place(struct stack *st, const struct addr *dst)
{
    struct pmtu *best = &st->pmtu[0];
    for (uint32_t i = 0; i < STACK_PMTU_MAX; i++) {
        struct pmtu *p = &st->pmtu[i];
        if (p->mtu != 0 && addr_eq(&p->dst, dst)) {
            return p;
        }
        if (best->mtu != 0 && (p->mtu == 0 || p->until < best->until)) {
            best = p;
        }
    }
    return best;
}

void pmtu_learn(struct stack *st, struct env *env, const struct addr *dst, uint32_t mtu,
                bool locked)
{
    *place(st, dst) = (struct pmtu){
        .dst = *dst, .mtu = mtu, .locked = locked, .until = nsec_add(env->now, PMTU_LIFE)};
    settle(st);
}

void pmtu_expire(struct stack *st, struct env *env)
{
    for (uint32_t i = 0; i < STACK_PMTU_MAX; i++) {
        if (st->pmtu[i].until <= env->now) {
            st->pmtu[i].mtu = 0;
        }
    }
    settle(st);
}
