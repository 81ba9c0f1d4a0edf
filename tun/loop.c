/*
 * loop.c - theory of operation: the last to drive.
 *
 * The loop sleeps in a set of its own: {TUN, timerfd (both EPOLLEXCLUSIVE), wake-up, connection to
 * the keeper, libuv's backend}. libuv then runs without blocking. uv_poll cannot ask for EXCLUSIVE,
 * hence the set around it.
 *
 * The kernel wakes one sleeper per packet: among the sets that somebody sleeps on, the one
 * registered first. The loop wants to be the last, so that the thread a packet is for is woken
 * itself. Whenever a program arms a new set it calls loop_last: its own loop registers anew, the
 * other members' loops are told and do the same, and those tell the keeper's, which so comes behind
 * them all. arm_seq counts armings, so that a loop that was not reached in time sees at its first
 * packet that it stands in front of somebody, and moves.
 *
 * A packet that does wake the loop came while no program thread slept: they are all busy, or
 * stopped. If one of them has driven the stack within LOOP_GRACE, or holds the lock now, it is
 * about to come back, and will read the packet itself. The loop then takes itself off the TUN, so
 * that the packets behind it cost no wake-up, and looks again soon: still driving, it stays away
 * (up to PAUSE_MAX between looks); else it registers again, finds the TUN readable, and drives.
 *
 *        on the TUN --packet, program drives--> away --look: program drives--> away, pause doubled
 *            ^                                    |
 *            +----- look: nobody drives ----------+
 *
 * A process can be stopped after a packet woke it and before it read it; nobody else is woken for
 * that packet. So the keeper looks at the TUN every BACKSTOP,
 * and less often where nothing happens.
 */
#include "tun/loop.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <uv.h>

#include "core/check.h"
#include "tun/fd.h"
#include "tun/sysio.h"

#define PAUSE_MAX   (4 * LOOP_GRACE)
#define BACKSTOP    (250 * MSEC)
#define QUIET       (10 * SEC) /* after which a session is idle */
#define IDLE_LOOK   (1 * SEC)
#define REVIVE_WAIT (20 * MSEC)
#define STACK_SIZE  ((size_t)256 << 10)
#define EVENTS      8

enum source { SRC_TUN, SRC_TIMER, SRC_WAKE, SRC_KEEPER, SRC_UV };

struct post {
    struct post *next;
    void (*fn)(struct uv_loop_s *uv, void *arg);
    void *arg;
};

struct loop {
    uv_loop_t uv;
    struct session *s;
    pthread_t thread;
    int epfd;
    int wake_fd;
    uint32_t wake_number;
    bool away;          /* off the TUN */
    nsec look_at;       /* when to look again; NEVER */
    nsec pause;         /* how long we are away at a time */
    nsec revive_at;     /* when to ask for the keeper again; NEVER */
    nsec check_at;      /* the keeper's next look at the TUN; NEVER */
    bool quit;          /* atomic */
    bool begun;         /* atomic: its thread runs */
    struct post *posts; /* atomic: newest first */
};

/* Registration */

static int ctl(struct loop *l, int op, int fd, uint32_t events, enum source src)
{
    struct epoll_event ev = {.events = events, .data.u32 = src};
    return sys_epoll_ctl(l->epfd, op, fd, &ev);
}

static void leave_tun(struct loop *l)
{
    ctl(l, EPOLL_CTL_DEL, l->s->link.fd, 0, SRC_TUN);
}

static int enter_tun(struct loop *l)
{
    return ctl(l, EPOLL_CTL_ADD, l->s->link.fd, EPOLLIN | EPOLLEXCLUSIVE, SRC_TUN);
}

/* Behind all that are registered now. */
static void go_last(struct loop *l)
{
    uint32_t armed = __atomic_load_n(&l->s->arena->arm_seq, __ATOMIC_ACQUIRE);
    if (!__atomic_load_n(&l->away, __ATOMIC_RELAXED)) {
        leave_tun(l);
        enter_tun(l);
    }
    ctl(l, EPOLL_CTL_DEL, l->s->timer_fd, 0, SRC_TIMER);
    ctl(l, EPOLL_CTL_ADD, l->s->timer_fd, EPOLLIN | EPOLLEXCLUSIVE, SRC_TIMER);
    __atomic_store_n(&l->s->arena->member[l->s->me].loop_seen, armed, __ATOMIC_RELEASE);
}

static bool stands_in_front(const struct loop *l)
{
    return __atomic_load_n(&l->s->arena->arm_seq, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&l->s->arena->member[l->s->me].loop_seen, __ATOMIC_RELAXED);
}

static void tell_loop(struct session *s, uint32_t member)
{
    uint32_t number = __atomic_load_n(&s->arena->member[member].loop_wake, __ATOMIC_RELAXED);
    if (number) {
        wake_send(s, number);
    }
}

void loop_last(struct session *s, struct loop *l)
{
    bool others = false;

    __atomic_add_fetch(&s->arena->arm_seq, 1, __ATOMIC_ACQ_REL);
    if (l) {
        go_last(l);
    }
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        if (i != s->me && s->arena->member[i].loop_wake) {
            tell_loop(s, i);
            others = true;
        }
    }
    if (!others) { /* else they tell it when they have moved */
        tell_loop(s, MEMBER_KEEPER);
    }
}

/* Driving */

/* False: somebody holds the lock, who will see what we would have. A wait for it would make him
 * wake us. */
static bool try_turn(struct loop *l)
{
    struct env env;
    bool drained;

    do {
        if (!session_trylock(l->s, &env)) {
            return false;
        }
        drive_turn(l->s, &env, 0, &drained);
        session_unlock(l->s, &env);
    } while (!drained);
    return true;
}

static void turn(struct loop *l)
{
    struct env env;

    if (!try_turn(l)) {
        session_lock(l->s, &env);
        session_unlock(l->s, &env);
        try_turn(l);
    }
}

/* Whether a thread of some program drove the stack after `since`. */
static bool program_drives(const struct loop *l, nsec since)
{
    return __atomic_load_n(&l->s->arena->last_drive, __ATOMIC_RELAXED) > since;
}

static void set_away(struct loop *l, bool away)
{
    __atomic_store_n(&l->away, away, __ATOMIC_RELAXED);
    __atomic_store_n(&l->s->arena->member[l->s->me].loops, !away, __ATOMIC_RELAXED);
}

static void on_tun(struct loop *l, nsec now)
{
    if (stands_in_front(l)) {
        go_last(l);
    }
    if (!program_drives(l, now - LOOP_GRACE) && try_turn(l)) {
        return;
    }
    set_away(l, true);
    leave_tun(l);
    l->pause = LOOP_GRACE;
    l->look_at = now + l->pause;
}

/* It is time to see whether we are needed again. */
static void look(struct loop *l, nsec now)
{
    if (program_drives(l, now - l->pause)) {
        l->pause = nsec_min(2 * l->pause, PAUSE_MAX);
        l->look_at = now + l->pause;
        return;
    }
    l->look_at = NEVER;
    set_away(l, false);
    enter_tun(l); /* says at once if there is something to read */
}

/* The keeper only. */
static void backstop(struct loop *l, nsec now)
{
    struct pollfd p = {.fd = l->s->link.fd, .events = POLLIN};
    if (sys3(SYS_poll, (long)&p, 1, 0) == 1 && !program_drives(l, now - PAUSE_MAX)) {
        turn(l);
    }
    l->check_at = now + (program_drives(l, now - QUIET) ? BACKSTOP : IDLE_LOOK);
}

/* Events */

static void on_wake(struct loop *l)
{
    wake_drain(l->wake_fd);
    if (l->s->me == MEMBER_KEEPER) {
        go_last(l); /* whatever we have seen: others may have moved behind us since */
    } else if (stands_in_front(l)) {
        go_last(l);
        tell_loop(l->s, MEMBER_KEEPER);
    }
}

static void run_posts(struct loop *l)
{
    struct post *list = __atomic_exchange_n(&l->posts, NULL, __ATOMIC_ACQ_REL);
    struct post *first = NULL;

    while (list) { /* turn it round: oldest first */
        struct post *next = list->next;
        list->next = first;
        first = list;
        list = next;
    }
    while (first) {
        struct post *next = first->next;
        first->fn(&l->uv, first->arg);
        free(first);
        first = next;
    }
}

/* The connection to the keeper is at its end, or we asked in vain before. */
static void on_keeper(struct loop *l, nsec now)
{
    int old = l->s->keeper_fd;

    if (l->revive_at == NEVER && !session_keeper_gone(l->s)) {
        return;
    }
    ctl(l, EPOLL_CTL_DEL, old, 0, SRC_KEEPER);
    int err = session_revive(l->s);
    if (err == 0) {
        l->revive_at = NEVER;
        ctl(l, EPOLL_CTL_ADD, l->s->keeper_fd, EPOLLIN | EPOLLRDHUP, SRC_KEEPER);
    } else {
        l->revive_at = err == -EAGAIN ? now + REVIVE_WAIT : now + 50 * REVIVE_WAIT;
    }
}

static void on_event(struct loop *l, enum source src)
{
    nsec now = session_now();
    switch (src) {
    case SRC_TUN:
        on_tun(l, now);
        break;
    case SRC_TIMER:
        turn(l);
        break;
    case SRC_WAKE:
        on_wake(l);
        break;
    case SRC_KEEPER:
        on_keeper(l, now);
        break;
    case SRC_UV:
        uv_run(&l->uv, UV_RUN_NOWAIT);
        break;
    }
}

static int ms_until(nsec at, nsec now)
{
    return at <= now ? 0 : (int)nsec_min((at - now + MSEC - 1) / MSEC, 1 << 20);
}

/* How long to sleep at most; runs what libuv has to do first. */
static int sleep_ms(struct loop *l)
{
    int uv_ms = -1;
    nsec now = session_now();
    nsec at = nsec_min(nsec_min(l->look_at, l->revive_at), l->check_at);

    if (uv_loop_alive(&l->uv)) {
        uv_update_time(&l->uv);
        uv_ms = uv_backend_timeout(&l->uv);
        if (uv_ms == 0) { /* something is due, or handles are not yet in the backend */
            uv_run(&l->uv, UV_RUN_NOWAIT);
            uv_ms = uv_loop_alive(&l->uv) ? uv_backend_timeout(&l->uv) : -1;
        }
    }
    if (at == NEVER) {
        return uv_ms;
    }
    int ms = ms_until(at, now);
    return uv_ms >= 0 && uv_ms < ms ? uv_ms : ms;
}

static void after_sleep(struct loop *l)
{
    nsec now = session_now();
    if (now >= l->look_at) {
        look(l, now);
    }
    if (now >= l->revive_at) {
        on_keeper(l, now);
    }
    if (now >= l->check_at) {
        backstop(l, now);
    }
    if (__atomic_load_n(&l->posts, __ATOMIC_RELAXED)) {
        run_posts(l);
    }
}

static void run(struct loop *l)
{
    struct epoll_event ev[EVENTS] = {0};

    drive_not_program();
    while (!__atomic_load_n(&l->quit, __ATOMIC_ACQUIRE)) {
        int n = sys_epoll_wait(l->epfd, ev, EVENTS, sleep_ms(l));
        for (int i = 0; i < n; i++) {
            on_event(l, ev[i].data.u32);
        }
        after_sleep(l);
        if (n < 0 && n != -EINTR) {
            return; /* our set was closed behind our back: the program threads drive without us */
        }
    }
}

/* Making and ending */

static int open_set(struct loop *l)
{
    l->epfd = fd_ours(sys_epoll_create());
    l->wake_fd = wake_open(l->s, &l->wake_number);
    if (l->epfd < 0 || l->wake_fd < 0) {
        return -EMFILE;
    }
    int err = ctl(l, EPOLL_CTL_ADD, l->wake_fd, EPOLLIN, SRC_WAKE);
    if (!err) {
        err = ctl(l, EPOLL_CTL_ADD, uv_backend_fd(&l->uv), EPOLLIN, SRC_UV);
    }
    if (!err && l->s->keeper_fd >= 0) {
        err = ctl(l, EPOLL_CTL_ADD, l->s->keeper_fd, EPOLLIN | EPOLLRDHUP, SRC_KEEPER);
    }
    return err;
}

static void close_set(struct loop *l)
{
    __atomic_store_n(&l->s->arena->member[l->s->me].loop_wake, 0, __ATOMIC_RELAXED);
    fd_close(l->epfd);
    fd_close(l->wake_fd);
}

static struct loop *loop_new(struct session *s)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    l->s = s;
    l->look_at = NEVER;
    l->revive_at = NEVER;
    l->check_at = s->me == MEMBER_KEEPER ? 0 : NEVER;
    if (uv_loop_init(&l->uv) != 0) {
        free(l);
        return NULL;
    }
    uv_loop_set_data(&l->uv, l);
    if (open_set(l)) {
        close_set(l);
        uv_loop_close(&l->uv);
        free(l);
        return NULL;
    }
    set_away(l, false);
    go_last(l);
    __atomic_store_n(&s->arena->member[s->me].loop_wake, l->wake_number, __ATOMIC_RELAXED);
    return l;
}

static void loop_free(struct loop *l)
{
    close_set(l);
    uv_loop_close(&l->uv);
    free(l);
}

static void *thread_main(void *arg)
{
    struct loop *l = arg;
    __atomic_store_n(&l->begun, true, __ATOMIC_RELEASE);
    sys_prctl(PR_SET_NAME, "standin");
    run(l);
    return NULL;
}

void loop_begun(const struct loop *l)
{
    while (l && !__atomic_load_n(&l->begun, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
}

static int start_thread(struct loop *l)
{
    pthread_attr_t attr;
    sigset_t all;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_attr_setsigmask_np(&attr, &all);
    int err = pthread_create(&l->thread, &attr, thread_main, l);
    pthread_attr_destroy(&attr);
    return -err;
}

struct loop *loop_start(struct session *s)
{
    struct loop *l = loop_new(s);
    if (l && start_thread(l)) {
        loop_free(l);
        return NULL;
    }
    return l;
}

void loop_stop(struct loop *l)
{
    loop_quit(&l->uv);
    wake_send(l->s, l->wake_number);
    pthread_join(l->thread, NULL);
    run_posts(l);
    loop_free(l);
}

void loop_forget(struct loop *l)
{
    /* The thread was anywhere in libuv when fork copied us: its lists cannot be trusted, its
     * numbers can. */
    fd_close(l->epfd);
    fd_close(l->wake_fd);
    fd_close(uv_backend_fd(&l->uv));
    fd_close(l->uv.async_io_watcher.fd);
    fd_close(l->uv.async_wfd);
    fd_close(l->uv.signal_pipefd[0]);
    fd_close(l->uv.signal_pipefd[1]);
    free(l);
}

int loop_post(struct loop *l, void (*fn)(struct uv_loop_s *uv, void *arg), void *arg)
{
    struct post *p = malloc(sizeof *p);
    if (!p) {
        return -ENOMEM;
    }
    *p = (struct post){.fn = fn, .arg = arg, .next = __atomic_load_n(&l->posts, __ATOMIC_RELAXED)};
    while (!__atomic_compare_exchange_n(&l->posts, &p->next, p, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
    }
    wake_send(l->s, l->wake_number);
    return 0;
}

int loop_run(struct session *s, void (*started)(struct uv_loop_s *, void *), void *arg)
{
    struct loop *l = loop_new(s);
    if (!l) {
        return -ENOMEM;
    }
    started(&l->uv, arg);
    run(l);
    loop_free(l);
    return 0;
}

void loop_quit(struct uv_loop_s *uv)
{
    struct loop *l = uv_loop_get_data(uv);
    __atomic_store_n(&l->quit, true, __ATOMIC_RELEASE);
}
