/*
 * keeper_members.c - theory of operation: who is a member, and what is done when one has died.
 *
 * A member's process is watched by a pidfd, which is readable as soon as the process has ended,
 * zombie or not, however it ended. Then, under the lock: it lets go of its sockets, which close as
 * the kernel would close them; its sleepers are forgotten; its place is free. A turn of the stack
 * follows, in case a packet woke it that it did not live to read.
 *
 * Poll sets may be shared with children by fork. So those of a dead member go to a child of its if
 * it has one, and to that child the other children are handed too: a set is freed when no
 * descendant of its maker is left that could use it. The same happens to the sets of an image that
 * exec has replaced.
 *
 * A child's place can be left waiting, when its parent dies in the middle of fork: the child writes
 * its pid itself when it comes to it. The tick finds such places, and the ones whose child never
 * came. It runs only while there is a place without a guard, or while nothing but a debt to the
 * network keeps us.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"
#include "core/pollset.h"
#include "tun/keeper.h"
#include "tun/live_wire.h"
#include "tun/loop.h"
#include "tun/sysio.h"

#define TICK_MS      1000
#define TICK_LAST_MS 20 /* when all that keeps us is what the stack owes */
#define MISSED_MAX   2

static struct member *member_at(uint32_t i)
{
    return &the_session.arena->member[i];
}

/* When the process started, in clock ticks since boot; 0: not to be seen. */
static uint64_t start_of(pid_t pid)
{
    char path[32] = "/proc/", buf[512], digits[12];
    size_t at = strlen(path), nd = 0;

    do {
        digits[nd++] = (char)('0' + pid % 10);
        pid /= 10;
    } while (pid > 0);
    while (nd) {
        path[at++] = digits[--nd];
    }
    memcpy(path + at, "/stat", sizeof "/stat");
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    long n = fd < 0 ? fd : sys_read(fd, buf, sizeof buf - 1);
    if (fd >= 0) {
        sys_close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    buf[n] = 0;
    char *p = strrchr(buf, ')'); /* the name before it may hold anything */
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    return p ? strtoull(p, NULL, 10) : 0;
}

/* Guards */

static void guard_free(uv_handle_t *h)
{
    free(h);
}

static void guard_drop(struct keeper *k, uint32_t member)
{
    struct guard *g = k->guard[member];
    if (!g) {
        return;
    }
    k->guard[member] = NULL;
    uv_poll_stop(&g->poll);
    sys_close(g->pidfd);
    uv_close((uv_handle_t *)&g->poll, guard_free);
}

static void on_death(uv_poll_t *poll, int status, int events)
{
    struct guard *g = (struct guard *)poll;
    (void)status;
    (void)events;
    members_died(g->k, g->member);
}

/* Takes pidfd over. */
static void guard_set(struct keeper *k, uint32_t member, int pidfd)
{
    if (pidfd < 0 || k->guard[member]) {
        if (pidfd >= 0) {
            sys_close(pidfd);
        }
        return;
    }
    struct guard *g = calloc(1, sizeof *g);
    if (!g || uv_poll_init(k->uv, &g->poll, pidfd) != 0) {
        free(g);
        sys_close(pidfd); /* the tick tries again */
        return;
    }
    g->k = k;
    g->member = member;
    g->pidfd = pidfd;
    k->guard[member] = g;
    uv_poll_start(&g->poll, UV_READABLE, on_death);
}

/* A member that nobody watches yet: opens its pidfd by number. False: it does not live. */
static bool guard_find(struct keeper *k, uint32_t member)
{
    struct member *m = member_at(member);
    if (m->pid <= 0) {
        return true;
    }
    int pidfd = sys_pidfd_open(m->pid);
    uint64_t start = start_of(m->pid);
    if (pidfd < 0 || (m->start && start && m->start != start)) {
        if (pidfd >= 0) {
            sys_close(pidfd);
        }
        return false;
    }
    m->start = start;
    guard_set(k, member, pidfd);
    return true;
}

/* Under the lock */

static void note(struct env *env, uint32_t member, bool joined)
{
    struct event *ev = event_begin(the_session.stack->events, env, EV_MEMBER);
    ev->member = (uint8_t)member;
    ev->u.member.pid = (uint32_t)member_at(member)->pid;
    ev->u.member.joined = joined;
    event_end(the_session.stack->events);
}

static uint32_t child_of(uint32_t parent)
{
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        const struct member *m = member_at(i);
        if (m->parent == parent && (m->state == MEMBER_LIVE || m->state == MEMBER_JOINING)) {
            return i;
        }
    }
    return 0;
}

/* What the image of this member made and only its descendants may use. */
static void bequeath(uint32_t from)
{
    struct stack *st = the_session.stack;
    uint32_t heir = child_of(from);

    pollset_forget(st, from);
    for (struct pollset *set = mem_obj_next(st->mem, MEM_POLLSET, NULL); set;
         set = mem_obj_next(st->mem, MEM_POLLSET, set)) {
        if (set->member != from) {
            continue;
        }
        if (heir) {
            set->member = heir;
        } else {
            pollset_free(st, set);
        }
    }
    for (uint32_t i = MEMBER_KEEPER + 1; heir && i < MEMBERS_MAX; i++) {
        if (member_at(i)->parent == from) {
            member_at(i)->parent = i == heir ? member_at(from)->parent : heir;
        }
    }
}

static void place_clear(struct env *env, uint32_t member)
{
    struct member *m = member_at(member);
    m->state = MEMBER_DEAD;
    m->loop_wake = 0;
    sock_release_all(the_session.stack, env, member);
    bequeath(member);
    note(env, member, false);
    memset(m, 0, sizeof *m); /* MEMBER_FREE */
}

static uint32_t place_take(void)
{
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        if (member_at(i)->state == MEMBER_FREE) {
            return i;
        }
    }
    return 0;
}

/* Coming and going */

static uint32_t find_pid(pid_t pid, uint64_t start)
{
    for (uint32_t i = MEMBER_KEEPER + 1; pid > 0 && i < MEMBERS_MAX; i++) {
        const struct member *m = member_at(i);
        if (m->state == MEMBER_LIVE && m->pid == pid &&
            (m->start == start || m->start == 0 || start == 0)) {
            return i;
        }
    }
    return 0;
}

void members_join(struct keeper *k, const struct hello *h, pid_t pid, int pidfd, struct welcome *w)
{
    struct env env;
    uint64_t start = pid > 0 ? start_of(pid) : 0;

    session_lock(&the_session, &env);
    uint32_t old = find_pid(pid, start); /* the process before it called exec */
    uint32_t at = old ? old : place_take();
    if (old) {
        bequeath(old);
    }
    if (at) {
        struct member *m = member_at(at);
        if (!old) {
            memset(m, 0, sizeof *m);
            m->pid = pid;
        }
        m->start = start;
        m->loop_wake = 0;
        memcpy(m->comm, h->comm, sizeof m->comm);
        m->state = MEMBER_LIVE;
        note(&env, at, true);
    }
    session_unlock(&the_session, &env);
    w->code = at ? SESSION_OK : SESSION_FULL;
    w->member = at;
    w->rejoined = old != 0;
    if (at) {
        guard_set(k, at, pidfd);
    } else if (pidfd >= 0) {
        sys_close(pidfd);
    }
}

/* A message can come late: the tick may have found that child dead, and its place be another's. */
void members_forked(struct keeper *k, uint32_t member, pid_t pid, int pidfd)
{
    struct env env;

    if (member == MEMBER_KEEPER || member_at(member)->state != MEMBER_LIVE ||
        member_at(member)->pid != pid) {
        if (pidfd >= 0) {
            sys_close(pidfd);
        }
        return;
    }
    member_at(member)->start = start_of(member_at(member)->pid);
    session_lock(&the_session, &env);
    note(&env, member, true);
    session_unlock(&the_session, &env);
    guard_set(k, member, pidfd);
    if (!k->guard[member] && !guard_find(k, member)) {
        members_died(k, member);
    }
}

/* Clears the place if it is in the state that we acted upon. */
static void gone(struct keeper *k, uint32_t member, enum member_state was)
{
    struct env env;
    bool drained;

    guard_drop(k, member);
    session_lock(&the_session, &env);
    if (member_at(member)->state == was) {
        place_clear(&env, member);
    }
    drive_turn(&the_session, &env, 0, &drained);
    session_unlock(&the_session, &env);
}

void members_died(struct keeper *k, uint32_t member)
{
    if (member == MEMBER_KEEPER) {
        k->starter = 0;
        guard_drop(k, member);
    } else {
        gone(k, member, MEMBER_LIVE);
    }
    members_check_end(k);
}

void members_left(struct keeper *k, uint32_t member)
{
    if (member == MEMBER_KEEPER) {
        return;
    }
    if (member_at(member)->pid == k->starter) {
        k->starter = 0;
        guard_drop(k, MEMBER_KEEPER);
    }
    gone(k, member, MEMBER_LIVE);
}

/* The end */

static bool owes(void)
{
    struct env env;
    session_lock(&the_session, &env);
    bool yes = stack_owes(the_session.stack) || live_wire_busy(&the_session);
    session_unlock(&the_session, &env);
    return yes;
}

static void on_tick(uv_timer_t *tick);

/* Says to others who may want our subnet whether somebody needs this session. */
static void mark_needed(struct keeper *k, bool needed)
{
    if (!needed && k->needed_fd >= 0) {
        sys_close(k->needed_fd);
        k->needed_fd = -1;
    } else if (needed && k->needed_fd < 0) {
        k->needed_fd = keeper_mark_needed(the_session.arena->cfg.ifname);
    }
}

void members_check_end(struct keeper *k)
{
    bool alone = k->holds == 0 && k->starter == 0;
    bool loose = false; /* a place without a guard */

    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        if (member_at(i)->state != MEMBER_FREE) {
            alone = false;
            loose = loose || !k->guard[i];
        }
    }
    mark_needed(k, !alone);
    if (alone && !owes()) {
        loop_quit(k->uv);
    } else if (alone || loose) {
        uv_timer_start(&k->tick, on_tick, alone ? TICK_LAST_MS : TICK_MS, 0);
    } else {
        uv_timer_stop(&k->tick);
    }
}

/* A place that no guard stands for. The one who forks holds the lock while its child's place waits:
 * if we get the lock and it still does, the parent has died. */
static void look_after(struct keeper *k, uint32_t i)
{
    const struct member *m = member_at(i);

    if (m->state == MEMBER_JOINING) {
        if (++k->missed[i] > MISSED_MAX) {
            k->missed[i] = 0;
            gone(k, i, MEMBER_JOINING);
        }
        return;
    }
    k->missed[i] = 0;
    if (m->state == MEMBER_LIVE && !k->guard[i] && !guard_find(k, i)) {
        gone(k, i, MEMBER_LIVE);
    } else if (m->state == MEMBER_DEAD) { /* the keeper before us died while clearing it */
        gone(k, i, MEMBER_DEAD);
    }
}

/* A starter that could give no pidfd (valgrind knows none) is asked for by its number. */
static void look_for_starter(struct keeper *k)
{
    if (k->starter && !k->guard[MEMBER_KEEPER] && sys3(SYS_kill, k->starter, 0, 0) == -ESRCH) {
        k->starter = 0;
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct keeper *k = tick->data;
    look_for_starter(k);
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        look_after(k, i);
    }
    members_check_end(k);
}

void members_start(struct keeper *k)
{
    uv_timer_init(k->uv, &k->tick);
    k->tick.data = k;
    guard_set(k, MEMBER_KEEPER, k->starter_fd);
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        look_after(k, i); /* a session that lost its keeper has members already */
    }
    members_check_end(k);
}
