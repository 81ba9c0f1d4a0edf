/*
 * keeper_serve.c - theory of operation: the session's socket.
 *
 * Whoever connects says hello first. Let in are the session's user, root, and who has the token: a
 * server that gave up its privileges and then calls exec comes as somebody else, with the token in
 * its environment. What they get, the arena and the TUN, is the whole session: from then on they
 * are trusted like its user.
 *
 * A connection is a member's life line only in the other direction (its end tells the member that
 * the keeper has gone), unless the kernel can give no pidfd for the process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tun/keeper.h"
#include "tun/loop.h"
#include "tun/sysio.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

struct conn {
    uv_poll_t poll;
    struct keeper *k;
    int fd;
    uint32_t guards; /* the member whose life this connection stands for; 0: none */
    bool known;      /* has been let in */
    bool holds;
};

static void conn_free(uv_handle_t *h)
{
    free(h);
}

static void conn_end(struct conn *c)
{
    struct keeper *k = c->k;
    k->holds -= c->holds;
    uv_poll_stop(&c->poll);
    sys_close(c->fd);
    if (c->guards) {
        members_died(k, c->guards);
    }
    uv_close((uv_handle_t *)&c->poll, conn_free);
    members_check_end(k);
}

/* Who is there */

static bool same_token(const char *a, const char *b)
{
    unsigned differ = 0;
    for (size_t i = 0; i < SESSION_TOKEN - 1; i++) {
        differ |= (unsigned)(a[i] ^ b[i]); /* takes as long whatever the difference */
    }
    return differ == 0;
}

static bool may_come_in(const struct hello *h, const struct ucred *cred)
{
    const struct arena *a = the_session.arena;
    return cred->uid == a->creator_uid || cred->uid == 0 || same_token(h->token, a->token);
}

static int peer_pidfd(int fd, pid_t pid)
{
    int pidfd = -1;
    socklen_t len = sizeof pidfd;
    if (sys_getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) != 0) {
        pidfd = pid > 0 ? sys_pidfd_open(pid) : -1;
    }
    return pidfd;
}

/* Answers */

static void answer(struct conn *c, struct welcome *w, bool with_fds)
{
    struct session *s = &the_session;
    int fds[WELCOME_FDS];

    fds[WELCOME_ARENA] = s->arena_fd;
    fds[WELCOME_TUN] = s->link.fd;
    fds[WELCOME_TIMER] = s->timer_fd;
    w->magic = MESSAGE_MAGIC;
    w->epoch = s->arena->keeper_epoch;
    w->map_size = s->mapped;
    fd_send(c->fd, w, sizeof *w, fds, with_fds ? WELCOME_FDS : 0);
}

static void join(struct conn *c, const struct hello *h, const struct ucred *cred)
{
    struct welcome w = {0};
    int pidfd = peer_pidfd(c->fd, cred->pid);

    members_join(c->k, h, cred->pid, pidfd, &w);
    if (w.code == SESSION_OK && pidfd < 0) {
        c->guards = w.member;
    }
    answer(c, &w, w.code == SESSION_OK);
}

static void left(struct conn *c, uint32_t member)
{
    struct welcome w = {0};
    c->guards = 0;
    members_left(c->k, member);
    answer(c, &w, false);
}

/* A descriptor of its own for one who only looks: what it cannot write it cannot harm. */
static void observe(const struct conn *c)
{
    struct welcome w = {0};
    char path[] = "/proc/self/fd/0000000000";
    char *end = path + sizeof path - 1;
    int n = the_session.arena_fd;
    char *p = end;

    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memmove(path + strlen("/proc/self/fd/"), p, (size_t)(end - p) + 1);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    w.magic = MESSAGE_MAGIC;
    w.code = fd < 0 ? fd : SESSION_OK;
    fd_send(c->fd, &w, sizeof w, &fd, fd >= 0);
    if (fd >= 0) {
        sys_close(fd);
    }
}

static void obey(struct conn *c, const struct hello *h, const struct ucred *cred, int pidfd)
{
    struct welcome w = {.member = h->member};
    switch (h->op) {
    case HELLO_JOIN:
        join(c, h, cred);
        return;
    case HELLO_FORKED:
        members_forked(c->k, h->member, h->pid, pidfd);
        return;
    case HELLO_LEAVE:
        left(c, h->member);
        return;
    case HELLO_HOLD:
        c->k->holds += !c->holds;
        c->holds = true;
        break;
    case HELLO_OBSERVE:
        observe(c);
        return;
    case HELLO_ATTACH:
    case HELLO_FDS:
        break;
    default:
        w.code = -EINVAL;
        break;
    }
    answer(c, &w, h->op == HELLO_FDS);
}

/* 0, or why this one is not let in. */
static int look_at(const struct conn *c, const struct hello *h, const struct ucred *cred)
{
    if (strncmp(h->build, session_build_id(), sizeof h->build - 1) != 0) {
        return SESSION_BUILD;
    }
    return c->known || may_come_in(h, cred) ? 0 : SESSION_REFUSED;
}

static void conn_hello(struct conn *c, const struct hello *h, int pidfd)
{
    struct ucred cred = {0};
    socklen_t len = sizeof cred;

    sys_getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    int code = look_at(c, h, &cred);
    if (code == 0 && h->member < MEMBERS_MAX) {
        c->known = true;
        obey(c, h, &cred, pidfd);
        members_check_end(c->k);
        return;
    }
    struct welcome w = {.code = code ? code : -EINVAL};
    answer(c, &w, false);
    if (pidfd >= 0) {
        sys_close(pidfd);
    }
}

static void on_conn(uv_poll_t *poll, int status, int events)
{
    struct conn *c = (struct conn *)poll;
    struct hello h;
    int fds[FD_PASS_MAX];
    (void)events;

    long n = status < 0 ? status : fd_recv(c->fd, &h, sizeof h, fds);
    if (n == -EAGAIN) {
        return;
    }
    for (size_t i = 1; n >= 0 && i < FD_PASS_MAX; i++) {
        if (fds[i] >= 0) {
            sys_close(fds[i]);
        }
    }
    if (n == (long)sizeof h && h.magic == MESSAGE_MAGIC) {
        h.token[SESSION_TOKEN - 1] = 0;
        h.comm[sizeof h.comm - 1] = 0;
        conn_hello(c, &h, fds[0]);
        return;
    }
    if (n >= 0 && fds[0] >= 0) {
        sys_close(fds[0]);
    }
    conn_end(c);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct keeper *k = poll->data;
    (void)status;
    (void)events;

    int fd = sys_accept(k->listen_fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (!c || uv_poll_init(k->uv, &c->poll, fd) != 0) {
        free(c);
        sys_close(fd);
        return;
    }
    c->k = k;
    c->fd = fd;
    uv_poll_start(&c->poll, UV_READABLE, on_conn);
}

void serve_start(struct keeper *k)
{
    uv_poll_init(k->uv, &k->listener, k->listen_fd);
    k->listener.data = k;
    uv_poll_start(&k->listener, UV_READABLE, on_listener);
}
