/*
 * Theory: poll and select over ours and theirs together.
 *
 *   look     ours by their readiness, theirs by one poll of the kernel without waiting; something
 *            there: done
 *   sleep    watches for ours in the thread's pollset; theirs join the TUN in the thread's kernel
 *            set; one sleep for both
 *   again    everything out, and look
 *
 * The TUN is never polled itself: among pollers it would wake all of them; in the kernel set
 * (EPOLLEXCLUSIVE) a packet wakes one. Kernel twins of our sockets are theirs, their events those
 * of the socket. An epoll set that holds stack sockets is asked for both its halves. select is
 * poll with the bits of Linux's do_select.
 *
 * A call with none of ours is libc's. The single most frequent case, one socket of ours and
 * nothing else, sleeps on the thread's kept watch and costs no registration.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/abi.h"
#include "preload/block.h"
#include "preload/decide.h"
#include "preload/epset.h"
#include "preload/hook.h"
#include "preload/sleep.h"
#include "tun/sysio.h"

#define FEW    64
#define TURN   1u /* packets between two looks */
#define ALWAYS (POLLERR | POLLHUP)
#define NAP    (1 * MSEC)

/* One call. */
struct call {
    struct pollfd *fds; /* the program's */
    nfds_t n;
    struct pollfd *kfds; /* theirs, and twins of ours */
    uint32_t *kof;       /* index in fds of each */
    unsigned nk;
    unsigned nours;
    unsigned only; /* index of the only one of ours */
    nsec deadline;
    const sigset_t *mask;
};

static struct file *our_set(int fd)
{
    struct file *f = hook_epset(fd);
    return f && f->ep && f->ep->armed ? f : NULL;
}

static bool any_ours(struct pollfd *fds, nfds_t n)
{
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].fd >= 0 && (hook_sock(fds[i].fd) || our_set(fds[i].fd))) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ looking */

/* Entered. How many of ours show something; *want: only whether any does. */
static unsigned look_ours(struct call *c)
{
    unsigned found = 0;
    for (nfds_t i = 0; i < c->n; i++) {
        struct pollfd *p = &c->fds[i];
        const struct file *f = p->fd < 0 ? NULL : hook_sock(p->fd);
        if (!f) {
            continue;
        }
        struct sock_ref ref = f->sock;
        uint32_t bits = POLLNVAL;
        if (sock_ref_ok(&ref)) {
            bits = sock_ready(the_stack(), ref.s) & ((uint16_t)p->events | ALWAYS);
        }
        p->revents = (short)(p->revents | (short)bits);
        found += bits != 0;
    }
    return found;
}

static void look_sets(struct call *c)
{
    for (unsigned k = 0; k < c->nk; k++) {
        struct pollfd *p = &c->fds[c->kof[k]];
        struct file *f = our_set(p->fd);
        if (f && epset_ready(f)) {
            p->revents = (short)(p->revents | (p->events & (POLLIN | POLLRDNORM)));
        }
    }
}

static void look_theirs(struct call *c)
{
    if (c->nk == 0) {
        return;
    }
    look_sets(c);
    if (sys3(SYS_poll, (long)c->kfds, c->nk, 0) <= 0) {
        return;
    }
    for (unsigned k = 0; k < c->nk; k++) {
        struct pollfd *p = &c->fds[c->kof[k]];
        p->revents = (short)(p->revents | c->kfds[k].revents);
    }
}

static int count(const struct call *c)
{
    int found = 0;
    for (nfds_t i = 0; i < c->n; i++) {
        found += c->fds[i].revents != 0;
    }
    return found;
}

/* Everything as it is now; the stack driven if none of ours has anything. Not entered. */
static int look(struct call *c)
{
    for (nfds_t i = 0; i < c->n; i++) {
        c->fds[i].revents = 0;
    }
    struct env *env = c->nours > 0 ? enter() : NULL;
    if (env) {
        bool drained = false;
        while (look_ours(c) == 0 && !drained) {
            drive_turn(&the_session, env, TURN, &drained);
        }
        leave(env);
    }
    look_theirs(c);
    return count(c);
}

/* ------------------------------------------------------------------ sleeping */

static uint32_t events_of(const struct call *c, int fd)
{
    uint32_t events = 0;
    for (unsigned k = 0; k < c->nk; k++) {
        events |= c->kfds[k].fd == fd ? (uint16_t)c->kfds[k].events : 0u;
    }
    return events;
}

/* Theirs into the thread's kernel set. False: one of them cannot be there (it shows in the next
 * look). */
static bool theirs_in(const struct call *c)
{
    for (unsigned k = 0; k < c->nk; k++) {
        int fd = c->kfds[k].fd;
        struct epoll_event ev = {.events = events_of(c, fd), .data.u32 = k};
        int err = sys_epoll_ctl(self.epfd, EPOLL_CTL_ADD, fd, &ev);
        if (err < 0 && err != -EEXIST) {
            return false;
        }
    }
    return true;
}

static void theirs_out(const struct call *c)
{
    for (unsigned k = 0; k < c->nk; k++) {
        sys_epoll_ctl(self.epfd, EPOLL_CTL_DEL, c->kfds[k].fd, NULL);
    }
}

/* Entered. */
static bool ours_in(const struct call *c, struct env *env)
{
    block_unkeep();
    for (nfds_t i = 0; i < c->n; i++) {
        const struct pollfd *p = &c->fds[i];
        const struct file *f = p->fd < 0 ? NULL : hook_sock(p->fd);
        if (!f || !sock_ref_ok(&f->sock)) {
            continue;
        }
        if (pollset_add(the_stack(), env, self.set, f->sock.s, (int32_t)i, (uint16_t)p->events, 0) <
            0) {
            return false;
        }
    }
    return true;
}

static void ours_out(const struct call *c)
{
    for (nfds_t i = 0; i < c->n && self.set->nwatches > 0; i++) {
        pollset_del(the_stack(), self.set, (int32_t)i);
    }
}

/* One sleep. 0: look again; -EINTR; -ETIME. */
static long sleep_once(const struct call *c)
{
    long ret = 0;
    if (!block_prepare()) {
        struct timespec ts = {.tv_nsec = NAP};
        sys_nanosleep(&ts);
        return c->deadline != NEVER && session_now() >= c->deadline ? -ETIME : 0;
    }
    block_dirty(true);
    bool all = theirs_in(c);
    struct env *env = enter();
    if (all && env && ours_in(c, env)) {
        bool drained = false;
        while (!drained && !pollset_ready(the_stack(), self.set)) {
            drive_turn(&the_session, env, TURN, &drained);
        }
        if (pollset_sleep(the_stack(), self.set)) {
            struct epoll_event ev[BLOCK_EVENTS];
            sleep_mark(self.set);
            leave(env);
            ret = block_sleep(ev, BLOCK_EVENTS, c->deadline, c->mask);
            env = enter();
            sleep_unmark();
            block_pay(env);
            if (ret == 0 && c->deadline != NEVER && env->now >= c->deadline) {
                ret = -ETIME;
            }
        }
    }
    if (env) {
        ours_out(c);
        leave(env);
    }
    theirs_out(c);
    block_dirty(false);
    return ret > 0 ? 0 : ret;
}

/* The same for one socket and nothing else. */
static long sleep_single(const struct call *c)
{
    const struct pollfd *p = &c->fds[c->only];
    const struct file *f = hook_sock(p->fd);
    if (!f) {
        return 0;
    }
    struct block b = {.sock = f->sock,
                      .events = (uint16_t)p->events,
                      .kernel_fd = {-1, -1},
                      .deadline = c->deadline};
    struct env *env;
    if (!hook_enter(&env, &b.sock)) {
        return 0;
    }
    enum block_result r = block_wait(&env, &b);
    leave(env);
    return r == BLOCK_INTR ? -EINTR : r == BLOCK_TIMEOUT ? -ETIME : 0;
}

static long run(struct call *c, nsec timeout)
{
    int found = look(c);
    if (found > 0) {
        return found;
    }
    if (timeout == 0) { /* signals that the mask lets through still count */
        struct timespec none = {0};
        return c->mask ? hook_errno(real.ppoll(NULL, 0, &none, c->mask)) : 0;
    }
    bool single = c->nours == 1 && c->nk == 0 && !c->mask;
    for (;;) {
        long slept = single ? sleep_single(c) : sleep_once(c);
        found = look(c);
        if (found > 0 || slept == -ETIME) {
            return found;
        }
        if (slept == -EINTR && (self.interrupted || c->mask)) {
            return slept;
        }
    }
}

/* ------------------------------------------------------------------ poll */

static void add_kernel(struct call *c, nfds_t of, int fd, short events)
{
    c->kfds[c->nk] = (struct pollfd){.fd = fd, .events = events};
    c->kof[c->nk++] = (uint32_t)of;
}

static void sort_out(struct call *c)
{
    const short in = POLLIN | POLLRDNORM;
    for (nfds_t i = 0; i < c->n; i++) {
        struct pollfd *p = &c->fds[i];
        if (p->fd < 0) {
            continue;
        }
        struct file *f = hook_sock(p->fd);
        if (f && UNLIKELY(!f->twin_asked)) {
            twin_adopt(f);
        }
        if (!f) {
            struct file *set = our_set(p->fd);
            if (set) {
                epset_nest(p->fd, set);
            }
            add_kernel(c, i, p->fd, p->events);
            continue;
        }
        c->nours++;
        c->only = (unsigned)i;
        if (f->twin_fd >= 0 && (p->events & in)) {
            add_kernel(c, i, f->twin_fd, p->events & in);
        }
        if (f->twin6_fd >= 0 && (p->events & in)) {
            add_kernel(c, i, f->twin6_fd, p->events & in);
        }
    }
}

static long poll_large(struct call *c, nsec timeout)
{
    size_t each = sizeof *c->kfds + sizeof *c->kof;
    size_t size = 3 * c->n * each;
    uint8_t *m = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (sys_mmap_err(m)) {
        return -ENOMEM;
    }
    c->kfds = (struct pollfd *)(void *)m;
    c->kof = (uint32_t *)(void *)(m + 3 * c->n * sizeof *c->kfds);
    sort_out(c);
    long ret = run(c, timeout);
    sys_munmap(m, size);
    return ret;
}

long my_poll(struct pollfd *fds, nfds_t n, nsec timeout, const sigset_t *mask)
{
    struct call c = {
        .fds = fds,
        .n = n,
        .deadline = timeout == 0 || timeout == NEVER ? timeout : nsec_add(session_now(), timeout),
        .mask = mask};
    sleep_begin();
    if (n > FEW) {
        return poll_large(&c, timeout);
    }
    struct pollfd kfds[3 * FEW];
    uint32_t kof[3 * FEW];
    c.kfds = kfds;
    c.kof = kof;
    sort_out(&c);
    return run(&c, timeout);
}

HOOK int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    if (!fds || !any_ours(fds, n)) {
        return real.poll(fds, n, timeout);
    }
    pthread_testcancel();
    return (int)hook_ret(my_poll(fds, n, timeout < 0 ? NEVER : timeout * MSEC, NULL));
}

/* false: not a time (EINVAL). NULL: for ever. */
static bool ns_of(const struct timespec *ts, nsec *out)
{
    *out = NEVER;
    if (!ts) {
        return true;
    }
    if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= SEC) {
        return false;
    }
    if (ts->tv_sec < NEVER / SEC) {
        *out = (nsec)ts->tv_sec * SEC + ts->tv_nsec;
    }
    return true;
}

HOOK int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    nsec ns;
    if (!fds || !any_ours(fds, n)) {
        return real.ppoll(fds, n, timeout, mask);
    }
    pthread_testcancel();
    if (!ns_of(timeout, &ns)) {
        return (int)hook_ret(-EINVAL);
    }
    return (int)hook_ret(my_poll(fds, n, ns, mask));
}

/* ------------------------------------------------------------------ select */

#define SEL_IN  (POLLRDNORM | POLLRDBAND | POLLIN)
#define SEL_OUT (POLLWRNORM | POLLWRBAND | POLLOUT)

static bool has(const fd_set *set, int fd)
{
    return set && (set->fds_bits[fd / NFDBITS] >> (fd % NFDBITS) & 1) != 0;
}

static void give(fd_set *set, int fd, bool on)
{
    if (set) {
        unsigned long bit = 1ul << (fd % NFDBITS);
        unsigned long word = (unsigned long)set->fds_bits[fd / NFDBITS];
        set->fds_bits[fd / NFDBITS] = (__fd_mask)(on ? word | bit : word & ~bit);
    }
}

/* How many descriptors are in any set; *ours: one of them concerns us. */
static unsigned members(int n, const fd_set *r, const fd_set *w, const fd_set *e, bool *ours)
{
    unsigned all = 0;
    *ours = false;
    for (int fd = 0; fd < n; fd++) {
        if (has(r, fd) || has(w, fd) || has(e, fd)) {
            all++;
            *ours = *ours || hook_sock(fd) || our_set(fd);
        }
    }
    return all;
}

static unsigned to_poll(int n, const fd_set *r, const fd_set *w, const fd_set *e,
                        struct pollfd *fds)
{
    unsigned k = 0;
    for (int fd = 0; fd < n; fd++) {
        int events =
            (has(r, fd) ? SEL_IN : 0) | (has(w, fd) ? SEL_OUT : 0) | (has(e, fd) ? POLLPRI : 0);
        if (events) {
            fds[k++] = (struct pollfd){.fd = fd, .events = (short)events};
        }
    }
    return k;
}

/* Writes the answer into the sets; how many bits are on. */
static long from_poll(const struct pollfd *fds, unsigned k, fd_set *r, fd_set *w, fd_set *e)
{
    long bits = 0;
    for (unsigned i = 0; i < k; i++) {
        int fd = fds[i].fd;
        int got = fds[i].revents;
        bool in = has(r, fd) && (got & (SEL_IN | POLLHUP | POLLERR));
        bool out = has(w, fd) && (got & (SEL_OUT | POLLERR));
        bool pri = has(e, fd) && (got & POLLPRI);
        give(r, fd, in);
        give(w, fd, out);
        give(e, fd, pri);
        bits += in + out + pri;
    }
    return bits;
}

static long select_with(struct pollfd *fds, int n, fd_set *r, fd_set *w, fd_set *e, nsec timeout,
                        const sigset_t *mask)
{
    unsigned k = to_poll(n, r, w, e, fds);
    long ret = my_poll(fds, k, timeout, mask);
    if (ret < 0) {
        return ret;
    }
    for (unsigned i = 0; i < k; i++) {
        if (fds[i].revents & POLLNVAL) {
            return -EBADF;
        }
    }
    return from_poll(fds, k, r, w, e);
}

long my_select(int n, fd_set *r, fd_set *w, fd_set *e, nsec timeout, const sigset_t *mask)
{
    bool ours;
    unsigned all = members(n, r, w, e, &ours);
    if (all <= FEW) {
        struct pollfd fds[FEW];
        return select_with(fds, n, r, w, e, timeout, mask);
    }
    size_t size = all * sizeof(struct pollfd);
    struct pollfd *fds =
        sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (sys_mmap_err(fds)) {
        return -ENOMEM;
    }
    long ret = select_with(fds, n, r, w, e, timeout, mask);
    sys_munmap(fds, size);
    return ret;
}

static bool concerns_us(int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
    bool ours = false;
    if (n > 0 && !hooks_off()) {
        members(n, r, w, e, &ours);
    }
    return ours;
}

HOOK int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
    if (!concerns_us(n, r, w, e)) {
        return real.select(n, r, w, e, timeout);
    }
    pthread_testcancel();
    nsec ns = NEVER;
    if (timeout) {
        if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
            return (int)hook_ret(-EINVAL);
        }
        ns = timeout->tv_sec < NEVER / SEC - 1 ? timeout->tv_sec * SEC + timeout->tv_usec * USEC
                                               : NEVER;
    }
    nsec start = timeout ? session_now() : 0;
    long ret = my_select(n, r, w, e, ns, NULL);
    if (timeout && ns != NEVER) { /* Linux: what is left of it */
        nsec left = nsec_max(ns - (session_now() - start), 0);
        timeout->tv_sec = left / SEC;
        timeout->tv_usec = left % SEC / USEC;
    }
    return (int)hook_ret(ret);
}

HOOK int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout,
                 const sigset_t *mask)
{
    nsec ns;
    if (!concerns_us(n, r, w, e)) {
        return real.pselect(n, r, w, e, timeout, mask);
    }
    pthread_testcancel();
    if (!ns_of(timeout, &ns)) {
        return (int)hook_ret(-EINVAL);
    }
    return (int)hook_ret(my_select(n, r, w, e, ns, mask));
}
