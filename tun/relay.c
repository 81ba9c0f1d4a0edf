/*
 * relay.c - theory of operation: a thread that waits in libuv for either link or for the wire's
 * deadline, and moves packets.
 *
 * libuv's timers count milliseconds, which is longer than a packet at 50 Mbit/s takes: the deadline
 * is a timerfd that the loop polls. The thread asks for a real-time priority, so that a busy
 * machine delays packets as little as it can; without the privilege it does without.
 *
 * A packet is carried in wire.c's memory from the read to the write, whole or in its segments.
 * Nothing here looks into it.
 */
#include "tun/relay.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "tun/netcfg.h"
#include "tun/session.h"
#include "tun/sysio.h"

#define MEMORY     ((size_t)64 << 20)
#define TXQUEUELEN 8192u
#define LO_MTU     65536u
#define SOCK_BYTES (32 << 20) /* of the pair: more than any queue that a rule may want */
#define READ_MAX   64u        /* packets of one link before the other gets its turn */

enum { PROGRAM, PEER, BESIDE, ENDS };

struct relay {
    struct relay_config cfg;
    struct link link[ENDS];
    unsigned ends; /* without BESIDE, where there is none */
    struct wire *wire;
    uv_loop_t uv;
    uv_poll_t poll[ENDS];
    uv_poll_t timer;
    uv_async_t quit;
    int timer_fd;
    nsec armed;
    pthread_t thread;
    uint8_t scratch[LINK_READ_MAX];
};

/* Namespaces and devices */

static int own_netns(void)
{
    return sys_open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int relay_enter(int netns)
{
    return setns(netns, CLONE_NEWNET) == 0 ? 0 : -errno;
}

static int up(const char *name, uint32_t mtu, const struct ifaddr *addr, unsigned naddr)
{
    struct netcfg nc;
    int err = netcfg_open(&nc);
    if (err) {
        return err;
    }
    int ifindex = netcfg_index(name);
    err = ifindex < 0 ? ifindex : netcfg_up(&nc, ifindex, mtu, TXQUEUELEN);
    for (unsigned i = 0; !err && i < naddr; i++) {
        err = netcfg_addr_add(&nc, ifindex, &addr[i]);
    }
    netcfg_close(&nc);
    return err;
}

int relay_netns(void)
{
    int own = own_netns();
    if (own < 0) {
        return own;
    }
    int fd = unshare(CLONE_NEWNET) == 0 ? own_netns() : -errno;
    int err = fd < 0 ? fd : up("lo", LO_MTU, NULL, 0);
    int back = relay_enter(own);
    sys_close(own);
    CHECK(back == 0);
    if (err && fd >= 0) {
        sys_close(fd);
    }
    return err ? err : fd;
}

static int tun_here(struct link *l, const struct ifaddr *addr, unsigned naddr, uint32_t mtu,
                    bool offload, const char **step)
{
    char name[16] = "";
    int err = link_tun_open(l, name, offload, step);
    if (err) {
        return err;
    }
    *step = "configure the device";
    err = up(name, mtu, addr, naddr);
    if (err) {
        sys_close(l->fd);
    }
    l->mtu = mtu;
    return err;
}

int relay_tun(struct link *l, int netns, const struct ifaddr *addr, unsigned naddr, uint32_t mtu,
              bool offload, const char **step)
{
    *step = "enter the network namespace";
    int own = own_netns();
    int err = own < 0 ? own : relay_enter(netns);
    if (!err) {
        err = tun_here(l, addr, naddr, mtu, offload, step);
        CHECK(relay_enter(own) == 0);
    }
    sys_close(own);
    return err;
}

int relay_pair(struct link *l, uint32_t mtu, int *session_fd)
{
    int fd[2] = {-1, -1};
    int bytes = SOCK_BYTES;
    int err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, fd);
    if (err) {
        return err;
    }
    for (int i = 0; i < 2; i++) {
        if (sys_setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
            sys_setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        }
    }
    sys_fcntl(fd[1], F_SETFD, 0);
    link_of_fd(l, fd[0], mtu, 0);
    *session_fd = fd[1];
    return 0;
}

/* Moving */

static void arm(struct relay *r)
{
    nsec at = wire_deadline(r->wire);
    struct itimerspec spec = {0};
    if (at == r->armed) {
        return;
    }
    if (at != NEVER) {
        spec.it_value.tv_sec = at / SEC;
        spec.it_value.tv_nsec = at % SEC;
    }
    sys_timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &spec);
    r->armed = at;
}

static bool is_beside(const struct relay *r, const struct wire_pkt_out *o)
{
    bool v4 = o->len >= 20 && o->p[0] >> 4 == 4;
    if (r->ends <= BESIDE || (!v4 && o->len < 40)) {
        return false;
    }
    struct addr dst = v4 ? addr_of4(o->p + 16) : addr_of6(o->p + 24);
    return addr_eq(&dst, &r->cfg.beside_addr[0]) || addr_eq(&dst, &r->cfg.beside_addr[1]);
}

static struct link *end_of(struct relay *r, const struct wire_pkt_out *o)
{
    return &r->link[o->dir == WIRE_OUT ? PEER : is_beside(r, o) ? BESIDE : PROGRAM];
}

static void deliver(struct relay *r)
{
    struct wire_pkt_out o;
    while (wire_take(r->wire, session_now(), &o, &r->cfg.tap)) {
        struct pkt_out out = {.nspan = 1, .csum_offset = 0xffff, .span = {{o.p, o.len}}};
        link_send(end_of(r, &o), &out);
        wire_done(r->wire, &o);
    }
}

static void on_link(uv_poll_t *poll, int status, int events)
{
    struct relay *r = poll->data;
    unsigned end = (unsigned)(poll - r->poll);
    enum wire_dir d = end == PEER ? WIRE_IN : WIRE_OUT;
    struct pkt_in in;
    (void)events;

    int ret = status < 0 ? status : 1;
    for (unsigned n = 0; n < READ_MAX && ret > 0; n++) {
        ret = link_recv(&r->link[end], r->scratch, &in);
        if (ret > 0) {
            struct span v = {in.p, in.len};
            struct wire_in w = {
                .span = &v, .nspan = 1, .gso_size = in.gso_size, .csum_open = in.csum_ok};
            wire_put(r->wire, session_now(), d, &w, &r->cfg.tap);
            deliver(r);
        }
    }
    if (ret < 0) {
        uv_poll_stop(poll); /* the other end of a pair has gone, or the device */
    }
    deliver(r);
    arm(r);
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct relay *r = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    sys_read(r->timer_fd, &count, sizeof count);
    r->armed = NEVER;
    deliver(r);
    arm(r);
}

/* The thread */

static void on_quit(uv_async_t *quit)
{
    struct relay *r = quit->data;
    for (unsigned i = 0; i < r->ends; i++) {
        uv_close((uv_handle_t *)&r->poll[i], NULL);
    }
    uv_close((uv_handle_t *)&r->timer, NULL);
    uv_close((uv_handle_t *)&r->quit, NULL);
}

static void *run(void *arg)
{
    struct relay *r = arg;
    struct sched_param high = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &high);
    uv_run(&r->uv, UV_RUN_DEFAULT);
    return NULL;
}

static int poll_start(struct relay *r, uv_poll_t *poll, int fd, uv_poll_cb fn)
{
    poll->data = r;
    int err = uv_poll_init(&r->uv, poll, fd);
    return err ? err : uv_poll_start(poll, UV_READABLE, fn);
}

static int start_loop(struct relay *r)
{
    int err = uv_loop_init(&r->uv);
    if (!err) {
        err = uv_async_init(&r->uv, &r->quit, on_quit);
    }
    r->quit.data = r;
    for (unsigned i = 0; !err && i < r->ends; i++) {
        err = poll_start(r, &r->poll[i], r->link[i].fd, on_link);
    }
    return err ? err : poll_start(r, &r->timer, r->timer_fd, on_timer);
}

struct relay *relay_start(const struct relay_config *cfg, const struct link *program,
                          const struct link *peer)
{
    size_t bytes = cfg->memory ? cfg->memory : MEMORY;
    struct relay *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->cfg = *cfg;
    r->link[PROGRAM] = *program;
    r->link[PEER] = *peer;
    r->ends = cfg->beside ? ENDS : BESIDE;
    if (cfg->beside) {
        r->link[BESIDE] = *cfg->beside;
    }
    r->armed = NEVER;
    void *mem = aligned_alloc(64, (bytes + 63) / 64 * 64);
    r->wire = mem ? wire_init(mem, bytes, cfg->mtu, &cfg->wire) : NULL;
    r->timer_fd = sys_timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->wire && r->timer_fd >= 0 && start_loop(r) == 0 &&
        pthread_create(&r->thread, NULL, run, r) == 0) {
        return r;
    }
    free(mem); /* the loop, if there is one, is left: it fails where memory or descriptors end */
    free(r);
    return NULL;
}

void relay_stop(struct relay *r)
{
    uv_async_send(&r->quit);
    pthread_join(r->thread, NULL);
    uv_loop_close(&r->uv);
    sys_close(r->timer_fd);
}

const struct wire *relay_wire(const struct relay *r)
{
    return r->wire;
}

void relay_free(struct relay *r)
{
    free(r->wire);
    free(r);
}
