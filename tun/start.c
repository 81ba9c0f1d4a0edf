/*
 * start.c - theory of operation: bringing a keeper to life, for a new session or for one whose
 * keeper has died.
 *
 * The one who starts it makes a socket pair, spawns the keeper unseen (spawn.c) and sends its
 * order: what the session shall be like and a pidfd of itself (the session lives at least as long
 * as its starter), or the descriptors of a session that is there already. The keeper answers with a
 * session_result when all is made, or with the step that failed; nothing is left behind then, since
 * all it had made dies with it.
 *
 * When a keeper dies every member sees the end of its connection. Under the lock one of them raises
 * keeper_epoch and starts the next; the others ask again soon and find it at the old name.
 */
#include <errno.h>
#include <string.h>

#include "tun/client.h"
#include "tun/lock.h"
#include "tun/spawn.h"
#include "tun/sysio.h"

#define CLAIM_TIME (2 * SEC) /* then the one who claimed it is held to have died too */

static void order_fill(struct order *o, bool resume)
{
    memset(o, 0, sizeof *o);
    o->magic = MESSAGE_MAGIC;
    o->resume = resume;
    o->pidfd_at = -1;
    o->pcap_at = -1;
    o->trace_at = -1;
    o->link_at = -1;
    strncpy(o->build, session_build_id(), sizeof o->build - 1);
}

static struct session_result take_result(int fd)
{
    struct session_result r = {0};
    int none[FD_PASS_MAX];

    long n = fd_recv(fd, &r, sizeof r, none);
    if (n == (long)sizeof r) {
        return r;
    }
    int err = n == 0 ? ECHILD : n < 0 ? (int)-n : EPROTO;
    return client_fail(n > 0 ? SESSION_BUILD : SESSION_NO_KEEPER, err, "hear from the keeper");
}

static struct session_result launch(const char *path, const struct order *o, const int *fds,
                                    size_t nfds)
{
    int pair[2] = {-1, -1};

    int err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, pair);
    if (err) {
        return client_fail(SESSION_NO_KEEPER, -err, "make a socket pair");
    }
    client_patience(pair[0]);
    err = spawn_unseen(path, pair[1]);
    sys_close(pair[1]);
    if (err) {
        sys_close(pair[0]);
        return client_fail(SESSION_NO_KEEPER, -err, "run standin-keeper");
    }
    fd_send(pair[0], o, sizeof *o, fds, nfds); /* if it has gone, the answer tells */
    struct session_result r = take_result(pair[0]);
    sys_close(pair[0]);
    return r;
}

struct session_result session_start(const char *keeper_path, const struct session_config *cfg)
{
    return session_start_with(keeper_path, cfg, NULL);
}

struct session_result session_start_with(const char *keeper_path, const struct session_config *cfg,
                                         const struct session_outputs *out)
{
    struct order o;
    int fds[FD_PASS_MAX];
    int n = 0;
    int me = sys_pidfd_open(sys_getpid());

    order_fill(&o, false);
    o.cfg = *cfg;
    if (me >= 0) {
        o.pidfd_at = n;
        fds[n++] = me;
    }
    if (out && out->pcap_fd >= 0) {
        o.pcap_at = n;
        fds[n++] = out->pcap_fd;
        strncpy(o.note, out->note ? out->note : "", sizeof o.note - 1);
    } else {
        o.cfg.snaplen = 0;
    }
    if (cfg->given_link) {
        o.link_at = n;
        fds[n] = (int)cfg->given_link - 1;
        sys_fcntl(fds[n++], F_SETFD, FD_CLOEXEC); /* the keeper's now, and no program's */
    }
    if (out && out->trace_fd >= 0) {
        o.trace_at = n;
        fds[n++] = out->trace_fd;
        strncpy(o.filter, out->filter ? out->filter : "", sizeof o.filter - 1);
    }
    struct session_result r = launch(keeper_path, &o, fds, (size_t)n);
    if (me >= 0) {
        sys_close(me);
    }
    return r;
}

/* A new connection to a keeper that is there. 0 or -errno. */
static int attach(struct session *s)
{
    struct welcome w = {0};
    int none[FD_PASS_MAX];

    int fd = client_dial(s->arena->name);
    if (fd < 0) {
        return fd;
    }
    int err = client_hello(fd, HELLO_ATTACH, s->me, s->arena->token, &w, none);
    if (err) {
        sys_close(fd);
        return err < 0 ? err : -EACCES;
    }
    fd_close(s->keeper_fd);
    s->keeper_fd = fd_ours(fd);
    s->keeper_epoch = w.epoch;
    return 0;
}

/* Whether it is ours to start the next keeper. */
static bool claim(struct session *s)
{
    struct arena *a = s->arena;
    struct env env;

    session_lock(s, &env);
    bool mine = a->keeper_epoch == s->keeper_epoch || env.now - a->keeper_claimed > CLAIM_TIME;
    if (mine) {
        a->keeper_claimed = env.now;
        a->keeper_epoch++;
    }
    session_unlock(s, &env);
    return mine;
}

int session_revive(struct session *s)
{
    struct order o;
    int fds[WELCOME_FDS];

    if (!session_keeper_gone(s)) {
        return 0;
    }
    if (attach(s) == 0) {
        return 0;
    }
    if (!s->keeper_path) {
        return -ENOENT;
    }
    if (!claim(s)) {
        return -EAGAIN;
    }
    order_fill(&o, true);
    o.map_size = s->mapped;
    fds[WELCOME_ARENA] = s->arena_fd;
    fds[WELCOME_TUN] = s->link.fd;
    fds[WELCOME_TIMER] = s->timer_fd;
    struct session_result r = launch(s->keeper_path, &o, fds, WELCOME_FDS);
    if (r.code) {
        return r.err ? -r.err : -ECHILD;
    }
    return attach(s);
}
