/*
 * keeper_make.c - theory of operation: a session from nothing, or from what its last keeper left.
 *
 * The steps, each of which can fail and names itself: the device, its link, its addresses, the
 * arena, the timer, the name. A failed step ends the process, and the kernel takes back what the
 * earlier ones made.
 *
 * Two keepers must not take the same subnet. Where the user named no address, the device's name is
 * the claim: standinN is made exclusively, and its N is the subnet's, 10.77.N.0/24 and fd77:N::/64.
 * An N whose subnet somebody else uses is passed over. Where addresses were named the kernel would
 * let two devices have the same one, so looking and adding is done by one keeper at a time: whoever
 * binds the abstract name of the set-up goes first, the others wait for its end.
 *
 * A prepared device (ip tuntap add ... user U) needs no privilege to be used: if the kernel refuses
 * to configure it, but it is as it should be, that is good enough.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "core/check.h"
#include "tun/arena.h"
#include "tun/keeper.h"
#include "tun/live_wire.h"
#include "tun/lock.h"
#include "tun/netcfg.h"
#include "tun/pktring.h"
#include "tun/sysio.h"

#define SETUP_NAME   "@standin-setup"
#define SETUP_TIME   (6 * SEC) /* less than the patience of who waits for us */
#define ENDING_SOON  (30 * MSEC)
#define ENDING       (2 * SEC)
#define NAME_WAIT    (1 * SEC)
#define SUBNETS      256u
#define TXQUEUELEN   8192u
#define MTU_DEFAULT  1500u
#define ARENA_MIN    ((size_t)64 << 20)
#define LISTEN_MAX   128
#define NAME_RANDOM  8
#define TOKEN_RANDOM 16

static struct session_result failed(int code, int err, const char *step)
{
    struct session_result r = {.code = code, .err = err < 0 ? -err : err};
    snprintf(r.step, sizeof r.step, "%s", step);
    return r;
}

static const struct session_result fine;

/* One keeper at a time */

static int setup_bind(void)
{
    struct sockaddr_un at;
    size_t len = fd_abstract(&at, SETUP_NAME, 0);
    int fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    int err = sys_bind(fd, &at, len);
    if (!err) {
        err = sys_listen(fd, LISTEN_MAX);
    }
    if (err) {
        sys_close(fd);
        return err;
    }
    return fd;
}

/* Until the one who has the name has finished: its socket closes, and with it our connection. */
static void setup_await(void)
{
    struct sockaddr_un at;
    size_t len = fd_abstract(&at, SETUP_NAME, 0);
    struct timeval limit = {.tv_sec = 1};
    char byte;

    int fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (sys_connect(fd, &at, len) == 0) {
        sys_recv(fd, &byte, 1, 0);
    }
    sys_close(fd);
}

/* The claim to set a session up: a descriptor, or -errno. */
static int setup_claim(void)
{
    nsec until = session_now() + SETUP_TIME;
    int fd = setup_bind();
    while (fd == -EADDRINUSE && session_now() < until) {
        setup_await();
        fd = setup_bind();
    }
    return fd;
}

/* The device */

static void choose_subnet(struct session_config *cfg, unsigned n)
{
    struct addr v6 = {{0xfd, 0x77, 0, (uint8_t)n}};

    snprintf(cfg->ifname, sizeof cfg->ifname, "standin%u", n);
    cfg->addr[0] = (struct ifaddr){addr_v4(10, 77, (uint8_t)n, 2), 24};
    cfg->peer[0] = (struct ifaddr){addr_v4(10, 77, (uint8_t)n, 1), 24};
    v6.b[15] = 2;
    cfg->addr[1] = (struct ifaddr){v6, 64};
    v6.b[15] = 1;
    cfg->peer[1] = (struct ifaddr){v6, 64};
    cfg->naddr = 2;
    cfg->npeer = 2;
}

static bool subnet_taken(struct netcfg *nc, const struct session_config *cfg, int ifindex)
{
    for (uint32_t i = 0; i < cfg->naddr; i++) {
        if (netcfg_taken(nc, ifindex, &cfg->addr[i], !cfg->claimed)) {
            return true;
        }
    }
    return false;
}

static int tun_code(int err, const char *step)
{
    if (strcmp(step, "TUNSETIFF") != 0) {
        return SESSION_NO_TUN;
    }
    return err == -EPERM || err == -EACCES ? SESSION_NO_PERM : err;
}

int keeper_mark_needed(const char *ifname)
{
    struct sockaddr_un at;
    char name[SESSION_NAME];

    snprintf(name, sizeof name, "@standin-needed-%s", ifname);
    int fd = sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    int err = sys_bind(fd, &at, fd_abstract(&at, name, 0));
    if (err) {
        sys_close(fd);
        return err;
    }
    return fd;
}

static bool is_needed(const char *ifname)
{
    int fd = keeper_mark_needed(ifname);

    sys_close(fd);
    return fd == -EADDRINUSE;
}

/*
 * The first subnet is what a second command after another one expects: its session may be ending
 * just now. True: ask again. A session that somebody needs is given ENDING_SOON to prove
 * otherwise (its keeper may not have seen yet that its last member died); one that nobody needs
 * is waited for.
 */
static bool await_first(const char *ifname, nsec since)
{
    const struct timespec nap = {.tv_nsec = MSEC};
    nsec waited = session_now() - since;

    if (waited > (is_needed(ifname) ? ENDING_SOON : ENDING)) {
        return false;
    }
    sys_nanosleep(&nap);
    return true;
}

/* The first N whose name and subnet are free. */
static struct session_result make_free(struct link *l, struct netcfg *nc,
                                       struct session_config *cfg)
{
    const char *step;
    nsec since = session_now();
    for (unsigned n = 0; n < SUBNETS; n++) {
        choose_subnet(cfg, n);
        int err = link_tun_claim(l, cfg->ifname, cfg->offload, &step);
        while (err == -EBUSY && n == 0 && await_first(cfg->ifname, since)) {
            err = link_tun_claim(l, cfg->ifname, cfg->offload, &step);
        }
        if (err == -EBUSY) {
            continue;
        }
        if (err) {
            return failed(tun_code(err, step), err, step);
        }
        if (!subnet_taken(nc, cfg, netcfg_index(cfg->ifname))) {
            return fine;
        }
        sys_close(l->fd);
    }
    return failed(SESSION_NO_SUBNET, 0, "find a free subnet");
}

/* A device for the addresses that the user named; with the user's name for it, or the first free
 * one of ours. */
static struct session_result make_named(struct link *l, struct netcfg *nc,
                                        struct session_config *cfg)
{
    const char *step = "";
    int err = -EBUSY;

    if (cfg->ifname[0]) {
        err = link_tun_open(l, cfg->ifname, cfg->offload, &step);
    }
    for (unsigned n = 0; !cfg->ifname[0] && n < SUBNETS && err == -EBUSY; n++) {
        char name[16];
        snprintf(name, sizeof name, "standin%u", n);
        err = link_tun_claim(l, name, cfg->offload, &step);
        if (!err) {
            memcpy(cfg->ifname, name, sizeof name);
        }
    }
    if (err) {
        return failed(tun_code(err, step), err, step);
    }
    if (subnet_taken(nc, cfg, netcfg_index(cfg->ifname))) {
        return failed(SESSION_ADDR_IN_USE, EADDRINUSE, "look for the addresses");
    }
    return fine;
}

/* Takes the addresses of version 6 out: there is no IPv6 here. */
static void forget_v6(struct session_config *cfg)
{
    struct session_config old = *cfg;
    cfg->naddr = 0;
    cfg->npeer = 0;
    for (uint32_t i = 0; i < old.naddr; i++) {
        if (addr_is4(&old.addr[i].addr)) {
            cfg->addr[cfg->naddr++] = old.addr[i];
        }
    }
    for (uint32_t i = 0; i < old.npeer; i++) {
        if (addr_is4(&old.peer[i].addr)) {
            cfg->peer[cfg->npeer++] = old.peer[i];
        }
    }
}

static bool refused(int err)
{
    return err == -EPERM || err == -EACCES;
}

static struct session_result add_addrs(struct netcfg *nc, struct session_config *cfg, int ifindex)
{
    bool no_v6 = false;

    for (uint32_t i = 0; i < cfg->npeer; i++) {
        const struct ifaddr *a = &cfg->peer[i];
        char text[ADDR_TEXT_MAX], step[96];
        int err = netcfg_addr_add(nc, ifindex, a);
        if (!err || err == -EEXIST || (refused(err) && netcfg_addr_have(nc, ifindex, a))) {
            continue;
        }
        if (!addr_is4(&a->addr) && !cfg->claimed) {
            no_v6 = true;
            continue;
        }
        snprintf(step, sizeof step, "give %s the address %s", cfg->ifname,
                 addr_text(&a->addr, text));
        return failed(refused(err) ? SESSION_NO_PERM : err, err, step);
    }
    if (no_v6) {
        forget_v6(cfg);
    }
    return fine;
}

static struct session_result configure(struct netcfg *nc, struct session_config *cfg)
{
    int ifindex = netcfg_index(cfg->ifname);
    int err = netcfg_up(nc, ifindex, cfg->mtu, TXQUEUELEN);
    if (err && !(refused(err) && netcfg_is_up(nc, ifindex, cfg->mtu))) {
        char step[96];
        snprintf(step, sizeof step, "bring %s up with an MTU of %u", cfg->ifname, cfg->mtu);
        return failed(refused(err) ? SESSION_NO_PERM : err, err, step);
    }
    return add_addrs(nc, cfg, ifindex);
}

static struct session_result make_device(struct link *l, struct session_config *cfg)
{
    struct netcfg nc;

    int err = netcfg_open(&nc);
    if (err) {
        return failed(err, err, "open a netlink socket");
    }
    struct session_result r = cfg->claimed ? make_named(l, &nc, cfg) : make_free(l, &nc, cfg);
    if (r.code == SESSION_OK) {
        r = configure(&nc, cfg);
    }
    netcfg_close(&nc);
    return r;
}

/* The arena */

static size_t map_largest(int fd)
{
    for (size_t len = ARENA_MAX; len >= ARENA_MIN; len /= 2) {
        int err = arena_map(fd, len);
        if (!err) {
            return len;
        }
        if (err != -ENOMEM) {
            break;
        }
    }
    return 0;
}

static void hex(char *out, size_t bytes)
{
    uint8_t raw[TOKEN_RANDOM] = {0};
    size_t got = 0;
    while (got < bytes) {
        long n = sys_getrandom(raw + got, bytes - got);
        got += n > 0 ? (size_t)n : 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        *out++ = "0123456789abcdef"[raw[i] >> 4];
        *out++ = "0123456789abcdef"[raw[i] & 15];
    }
    *out = 0;
}

static void fill_arena(struct arena *a, size_t map_size, const struct session_config *cfg)
{
    a->size = ARENA_STACK;
    a->size_max = map_size;
    a->cfg = *cfg;
    a->armed = NEVER;
    a->creator_uid = (uint32_t)sys3(SYS_geteuid, 0, 0, 0);
    a->keeper_pid = sys_getpid();
    a->keeper_epoch = 1;
    strcpy(a->name, "@standin-");
    hex(a->name + strlen(a->name), NAME_RANDOM);
    hex(a->token, TOKEN_RANDOM);
    strncpy(a->build_id, session_build_id(), sizeof a->build_id - 1);
    a->member[MEMBER_KEEPER] = (struct member){.keeper = 1, .pid = a->keeper_pid};
    strcpy(a->member[MEMBER_KEEPER].comm, "standin-keeper");
    a->member[MEMBER_KEEPER].state = MEMBER_LIVE;
}

static struct session_result make_arena(struct session *s, const struct session_config *cfg)
{
    s->arena_fd = arena_create(ARENA_STACK);
    if (s->arena_fd < 0) {
        return failed(SESSION_NO_ARENA, s->arena_fd, "make the arena");
    }
    s->mapped = map_largest(s->arena_fd);
    if (s->mapped == 0) {
        return failed(SESSION_NO_ARENA, ENOMEM, "map the arena");
    }
    s->arena = (struct arena *)ARENA_BASE;
    fill_arena(s->arena, s->mapped, cfg);
    int err = lock_init(s->arena);
    return err ? failed(err, err, "make the lock") : fine;
}

/* What the keeper needs beside arena, TUN and timer. */
static int make_sockets(struct session *s)
{
    s->wake_fd = sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->keeper_fd = -1;
    s->me = MEMBER_KEEPER;
    return s->wake_fd < 0 ? s->wake_fd : 0;
}

/* Where the stack begins: behind the ring of a capture, if there is one. */
static size_t make_ring(struct arena *a)
{
    size_t at = ARENA_STACK;
    if (a->cfg.snaplen == 0) {
        return at;
    }
    size_t size = (sizeof(struct pktring) + MEM_PAGE - 1) & ~(size_t)(MEM_PAGE - 1);
    if (arena_grow(&the_session, at + size)) {
        return 0;
    }
    a->pkts = (struct pktring *)(void *)((uint8_t *)a + at);
    pktring_init(a->pkts, a->cfg.snaplen);
    return at + size;
}

static struct session_result make_stack(struct session *s)
{
    struct arena *a = s->arena;
    size_t at = make_ring(a);
    struct stack_config sc = {.mtu = a->cfg.mtu, .caps = s->link.caps, .knobs = a->cfg.knobs};
    struct env env = {.ops = &session_ops, .ctx = s, .member = MEMBER_KEEPER};

    memcpy(sc.addr, a->cfg.addr, sizeof sc.addr);
    sc.naddr = a->cfg.naddr;
    lock_clock(&env);
    at = at ? live_wire_make(s, at) : 0;
    pthread_mutex_lock(&a->lock);
    s->stack = at ? stack_init(a, (uint8_t *)a + at, a->size_max, &sc, &env) : NULL;
    a->stack = s->stack;
    pthread_mutex_unlock(&a->lock);
    if (!s->stack) {
        return failed(SESSION_NO_ARENA, ENOMEM, "make the stack");
    }
    a->magic = ARENA_MAGIC;
    __atomic_store_n(&a->ready, 1, __ATOMIC_RELEASE);
    return fine;
}

/* The name */

int keeper_listen(struct keeper *k, const char *name)
{
    struct sockaddr_un at;
    size_t len = fd_abstract(&at, name, 0);

    k->listen_fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->listen_fd < 0) {
        return k->listen_fd;
    }
    int err = sys_bind(k->listen_fd, &at, len);
    return err ? err : sys_listen(k->listen_fd, LISTEN_MAX);
}

/* All together */

static struct session_result make_rest(struct keeper *k, const struct session_config *cfg)
{
    struct session *s = &the_session;

    struct session_result r = make_arena(s, cfg);
    if (r.code) {
        return r;
    }
    s->timer_fd = sys_timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->timer_fd < 0) {
        return failed(s->timer_fd, s->timer_fd, "make the timer");
    }
    int err = make_sockets(s);
    if (!err) {
        err = keeper_listen(k, s->arena->name);
    }
    if (err) {
        return failed(err, err, "make the session's socket");
    }
    return make_stack(s);
}

static struct session_result claim_device(struct link *l, struct session_config *cfg)
{
    int claim = setup_claim();
    if (claim < 0) {
        return failed(claim, claim, "wait for other sessions to be set up");
    }
    struct session_result r = make_device(l, cfg);
    sys_close(claim);
    return r;
}

/* A link that is there already: nothing to make, and nobody else's addresses to avoid. */
static struct session_result take_link(struct link *l, struct session_config *cfg, int fd)
{
    if (cfg->naddr == 0) {
        choose_subnet(cfg, 0);
    }
    memset(cfg->ifname, 0, sizeof cfg->ifname);
    cfg->offload = false;
    link_of_fd(l, fd, cfg->mtu, 0);
    return fine;
}

struct session_result keeper_make(struct keeper *k, const struct order *o,
                                  const int fds[FD_PASS_MAX])
{
    struct session *s = &the_session;
    struct session_config cfg = o->cfg;

    cfg.mtu = cfg.mtu ? cfg.mtu : MTU_DEFAULT;
    cfg.ifname[sizeof cfg.ifname - 1] = 0;
    struct session_result r =
        o->link_at >= 0 ? take_link(&s->link, &cfg, fds[o->link_at]) : claim_device(&s->link, &cfg);
    if (r.code == SESSION_OK) {
        s->link.mtu = cfg.mtu;
        r = make_rest(k, &cfg);
    }
    if (r.code == SESSION_OK) {
        memcpy(r.name, s->arena->name, sizeof r.name);
        memcpy(r.token, s->arena->token, sizeof r.token);
    }
    return r;
}

/* The keeper before us may not have closed its last descriptor yet. */
static int listen_again(struct keeper *k, const char *name)
{
    const struct timespec nap = {.tv_nsec = MSEC};
    nsec until = session_now() + NAME_WAIT;

    int err = keeper_listen(k, name);
    while (err == -EADDRINUSE && session_now() < until) {
        sys_close(k->listen_fd);
        sys_nanosleep(&nap);
        err = keeper_listen(k, name);
    }
    return err;
}

struct session_result keeper_resume(struct keeper *k, const struct order *o,
                                    const int fds[FD_PASS_MAX])
{
    struct session *s = &the_session;

    s->arena_fd = fds[WELCOME_ARENA];
    s->timer_fd = fds[WELCOME_TIMER];
    int err = arena_map(s->arena_fd, o->map_size);
    if (err) {
        return failed(SESSION_NO_ARENA, err, "map the arena");
    }
    s->mapped = o->map_size;
    s->arena = (struct arena *)ARENA_BASE;
    if (s->arena->magic != ARENA_MAGIC ||
        strncmp(s->arena->build_id, session_build_id(), sizeof s->arena->build_id - 1) != 0) {
        return failed(SESSION_BUILD, 0, "compare builds");
    }
    s->stack = s->arena->stack;
    s->wire = s->arena->wire;
    link_of_fd(&s->link, fds[WELCOME_TUN], s->stack->mtu, s->stack->caps);
    err = make_sockets(s);
    if (!err) {
        err = listen_again(k, s->arena->name);
    }
    if (err) {
        return failed(err, err, "make the session's socket");
    }
    s->arena->keeper_pid = sys_getpid();
    s->arena->member[MEMBER_KEEPER].pid = s->arena->keeper_pid;
    return fine;
}
