/*
 * session.c - theory of operation: how a process becomes a member, what happens to it at fork, how
 * it leaves.
 *
 * Join. The session's abstract socket leads to its keeper. One hello, one welcome: the member's
 * index, and the arena, the TUN and the timer as descriptors. The arena is mapped where everybody
 * has it, its magic and build are compared, and the process is a member. The connection stays open:
 * its end tells that the keeper has gone. The keeper watches the process by a pidfd, not by the
 * connection: children keep copies of that.
 *
 * A process that called exec joins again from its new image and gets its old index: what it held it
 * still holds.
 *
 * Fork. The parent may close its sockets the moment fork returns, as every server with a process
 * per connection does. So the child's place is made before the fork, under the lock, and holds from
 * then on what the parent holds. The parent writes down the child's pid before it releases the lock
 * and hands the keeper a pidfd. If the parent dies in between, the child finds no pid in its place
 * and writes it itself.
 *
 * Descriptors. A program that closes what it does not know can close ours. Using one then gives
 * EBADF, or worse, reaches a stranger; session_fds_check looks whether each is what it was and
 * fetches it again.
 */
#include "tun/session.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "core/check.h"
#include "core/pollset.h"
#include "tun/arena.h"
#include "tun/client.h"
#include "tun/lock.h"
#include "tun/sysio.h"

struct session the_session = {
    .arena_fd = -1, .timer_fd = -1, .keeper_fd = -1, .wake_fd = -1, .link = {.fd = -1}};

/* The conversation */

void client_patience(int fd)
{
    struct timeval t = {.tv_sec = CLIENT_PATIENCE_S};
    sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

int client_dial(const char *name)
{
    struct sockaddr_un at;
    size_t len = fd_abstract(&at, name, 0);

    int fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fd;
    }
    client_patience(fd);
    int err = sys_connect(fd, &at, len);
    if (err) {
        sys_close(fd);
        return err;
    }
    return fd;
}

static void hello_fill(struct hello *h, uint32_t op, uint32_t member, const char *token)
{
    memset(h, 0, sizeof *h);
    h->magic = MESSAGE_MAGIC;
    h->op = op;
    h->member = member;
    h->pid = sys_getpid();
    strncpy(h->build, session_build_id(), sizeof h->build - 1);
    memcpy(h->token, token, strnlen(token, SESSION_TOKEN - 1));
    sys_prctl(PR_GET_NAME, h->comm);
}

static void close_all(int fds[FD_PASS_MAX])
{
    for (size_t i = 0; i < FD_PASS_MAX; i++) {
        if (fds[i] >= 0) {
            sys_close(fds[i]);
            fds[i] = -1;
        }
    }
}

int client_hello(int fd, uint32_t op, uint32_t member, const char *token, struct welcome *w,
                 int fds[FD_PASS_MAX])
{
    struct hello h;

    hello_fill(&h, op, member, token);
    int err = fd_send(fd, &h, sizeof h, NULL, 0);
    if (err) {
        return err;
    }
    long n = fd_recv(fd, w, sizeof *w, fds);
    if (n == (long)sizeof *w && w->magic == MESSAGE_MAGIC) {
        return w->code;
    }
    close_all(fds);
    return n < 0 ? (int)n : n == 0 ? SESSION_DEAD : SESSION_BUILD;
}

struct session_result client_fail(int code, int err, const char *step)
{
    struct session_result r = {.code = code, .err = err};
    strncpy(r.step, step, sizeof r.step - 1);
    return r;
}

/* A negative errno of a conversation as what it means: nobody there, or not answering. */
static struct session_result talk_failed(int ret, const char *step)
{
    if (ret > 0) {
        return client_fail(ret, 0, step);
    }
    bool gone = ret == -ECONNREFUSED || ret == -ECONNRESET || ret == -EPIPE || ret == -EAGAIN;
    return client_fail(gone ? SESSION_DEAD : ret, -ret, step);
}

/* Join */

static void session_clear(struct session *s)
{
    const char *path = s->keeper_path;
    *s = (struct session){
        .arena_fd = -1,
        .timer_fd = -1,
        .keeper_fd = -1,
        .wake_fd = -1,
        .link = {.fd = -1},
        .keeper_path = path,
    };
}

/* Closes and unmaps whatever there is. */
static void session_undo(struct session *s)
{
    fd_close(s->arena_fd);
    fd_close(s->timer_fd);
    fd_close(s->keeper_fd);
    fd_close(s->wake_fd);
    fd_close(s->link.fd);
    if (s->mapped) {
        arena_unmap(s->mapped);
    }
    session_clear(s);
}

static void take_fds(struct session *s, const int fds[FD_PASS_MAX])
{
    struct stat st = {0};

    s->arena_fd = fd_ours(fds[WELCOME_ARENA]);
    s->link.fd = fd_ours(fds[WELCOME_TUN]);
    s->timer_fd = fd_ours(fds[WELCOME_TIMER]);
    s->arena_ino = sys_fstat(s->arena_fd, &st) == 0 ? st.st_ino : 0;
}

/* Maps the arena and looks whether it is one of ours. 0, SESSION_* or -errno. */
static int map_arena(struct session *s, size_t size)
{
    int err = arena_map(s->arena_fd, size);
    if (err) {
        return err;
    }
    struct arena *a = (struct arena *)ARENA_BASE;
    s->mapped = size;
    s->seen = 0;
    if (a->magic != ARENA_MAGIC ||
        strncmp(a->build_id, session_build_id(), sizeof a->build_id - 1) != 0) {
        return SESSION_BUILD;
    }
    if (!__atomic_load_n(&a->ready, __ATOMIC_ACQUIRE)) {
        return SESSION_DEAD;
    }
    s->arena = a;
    s->stack = a->stack;
    s->wire = a->wire;
    return 0;
}

/* What the keeper gave is put to use. */
static struct session_result settle_in(struct session *s, const struct welcome *w)
{
    int err = map_arena(s, w->map_size);
    if (err) {
        return client_fail(err < 0 ? SESSION_NO_ARENA : err, err < 0 ? -err : 0, "map the arena");
    }
    link_of_fd(&s->link, s->link.fd, s->stack->mtu, s->stack->caps);
    s->me = w->member;
    s->keeper_epoch = w->epoch;
    s->wake_fd = fd_ours(sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (s->wake_fd < 0) {
        return client_fail(s->wake_fd, -s->wake_fd, "make a socket for wake-ups");
    }
    return (struct session_result){.rejoined = w->rejoined != 0};
}

struct session_result session_join(struct session *s, const char *name, const char *token)
{
    struct welcome w = {0};
    int fds[FD_PASS_MAX];

    session_clear(s);
    int fd = client_dial(name);
    if (fd < 0) {
        return talk_failed(fd, "connect to the session");
    }
    s->keeper_fd = fd_ours(fd);
    int err = client_hello(s->keeper_fd, HELLO_JOIN, 0, token, &w, fds);
    if (err) {
        session_undo(s);
        return talk_failed(err, "join the session");
    }
    take_fds(s, fds);
    struct session_result r = settle_in(s, &w);
    if (r.code) {
        client_hello(s->keeper_fd, HELLO_LEAVE, w.member, token, &w, fds);
        session_undo(s);
        return r;
    }
    strncpy(r.name, name, sizeof r.name - 1);
    strncpy(r.token, token, sizeof r.token - 1);
    return r;
}

void session_leave(struct session *s)
{
    struct env env;
    struct welcome w = {0};
    int fds[FD_PASS_MAX];

    if (!s->arena) {
        return;
    }
    session_lock(s, &env);
    sock_release_all(s->stack, &env, s->me);
    session_unlock(s, &env);
    /* Waits for the answer: a later join of this process must not find the old place. */
    client_hello(s->keeper_fd, HELLO_LEAVE, s->me, s->arena->token, &w, fds);
    session_undo(s);
}

int session_hold(const char *name, const char *token)
{
    struct welcome w = {0};
    int fds[FD_PASS_MAX];

    int fd = client_dial(name);
    if (fd < 0) {
        return fd;
    }
    int err = client_hello(fd, HELLO_HOLD, 0, token, &w, fds);
    if (err) {
        sys_close(fd);
        return err < 0 ? err : -EACCES;
    }
    return fd_ours(fd);
}

/* Fork */

/* A free place under the lock; 0: none. */
static uint32_t place_free(const struct arena *a)
{
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        if (a->member[i].state == MEMBER_FREE) {
            return i;
        }
    }
    return 0;
}

int session_fork_prepare(struct session *s, struct env *env)
{
    struct arena *a = s->arena;

    session_lock(s, env);
    s->forking = place_free(a);
    if (s->forking == 0) {
        return -ENFILE;
    }
    struct member *m = &a->member[s->forking];
    *m = (struct member){.parent = s->me};
    memcpy(m->comm, a->member[s->me].comm, sizeof m->comm);
    __atomic_store_n(&m->state, MEMBER_JOINING, __ATOMIC_RELEASE);
    sock_inherit_all(s->stack, s->me, s->forking);
    return 0;
}

/* The keeper shall watch it. Nothing is lost if the keeper has gone: the next one reads the table.
 */
static void tell_forked(struct session *s, uint32_t member, pid_t child)
{
    struct hello h;
    int pidfd = sys_pidfd_open(child);

    hello_fill(&h, HELLO_FORKED, member, s->arena->token);
    h.pid = child;
    fd_send(s->keeper_fd, &h, sizeof h, &pidfd, pidfd >= 0);
    if (pidfd >= 0) {
        sys_close(pidfd);
    }
}

void session_fork_parent(struct session *s, struct env *env, pid_t child)
{
    uint32_t place = s->forking;
    struct member *m = &s->arena->member[place];

    s->forking = 0;
    if (place && child < 0) {
        sock_release_all(s->stack, env, place);
        m->state = MEMBER_FREE;
    } else if (place) {
        m->pid = child;
        m->state = MEMBER_LIVE;
    }
    session_unlock(s, env);
    if (place && child >= 0) {
        tell_forked(s, place, child);
    }
}

int session_fork_child(struct session *s)
{
    lock_forked();
    drive_forked();
    if (s->forking == 0) {
        session_undo(s);
        return -ENFILE;
    }
    s->me = s->forking;
    s->forking = 0;
    struct member *m = &s->arena->member[s->me];
    if (m->pid == 0) { /* the parent has not come to it, or never will */
        m->pid = sys_getpid();
        m->state = MEMBER_LIVE;
    }
    return 0;
}

/* Descriptors */

bool session_keeper_gone(const struct session *s)
{
    char byte;
    long n = sys_recv(s->keeper_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR);
}

static bool is_arena(const struct session *s)
{
    struct stat st = {0};
    return sys_fstat(s->arena_fd, &st) == 0 && st.st_ino == s->arena_ino;
}

static bool is_socket(int fd, int type)
{
    int got = 0, domain = 0;
    socklen_t len = sizeof got;
    return sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &len) == 0 && got == type &&
           sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static bool is_tun(const struct session *s)
{
    if (s->arena->cfg.given_link) {
        return is_socket(s->link.fd, SOCK_SEQPACKET);
    }
    struct {
        char name[16];
        char rest[32];
    } ifr = {0};
    return sys_ioctl(s->link.fd, TUNGETIFF, &ifr) == 0 &&
           strncmp(ifr.name, s->arena->cfg.ifname, sizeof ifr.name) == 0;
}

static bool is_timer(const struct session *s)
{
    struct itimerspec now;
    return sys3(SYS_timerfd_gettime, s->timer_fd, (long)&now, 0) == 0;
}

/* Keeps what is good, else takes the new one; a bad number is somebody else's now and is not
 * closed. */
static void replace(int *fd, bool good, int with)
{
    if (good) {
        sys_close(with);
        return;
    }
    if (session_fd_hook) {
        session_fd_hook(*fd, false);
    }
    *fd = fd_ours(with);
}

static int fetch_again(struct session *s)
{
    struct welcome w = {0};
    int fds[FD_PASS_MAX];

    int fd = client_dial(s->arena->name);
    if (fd < 0) {
        return fd;
    }
    int err = client_hello(fd, HELLO_FDS, s->me, s->arena->token, &w, fds);
    if (err) {
        sys_close(fd);
        return err < 0 ? err : -EACCES;
    }
    replace(&s->arena_fd, is_arena(s), fds[WELCOME_ARENA]);
    replace(&s->link.fd, is_tun(s), fds[WELCOME_TUN]);
    replace(&s->timer_fd, is_timer(s), fds[WELCOME_TIMER]);
    replace(&s->keeper_fd, is_socket(s->keeper_fd, SOCK_SEQPACKET), fd);
    return 0;
}

int session_fds_check(struct session *s)
{
    s->fds_bad = false;
    if (s->me == MEMBER_KEEPER) {
        return 0; /* nobody closes behind its back */
    }
    if (!is_socket(s->wake_fd, SOCK_DGRAM)) {
        int fd = sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return fd;
        }
        replace(&s->wake_fd, false, fd);
    }
    if (is_arena(s) && is_tun(s) && is_timer(s) && is_socket(s->keeper_fd, SOCK_SEQPACKET)) {
        return 0;
    }
    return fetch_again(s);
}

/* Texts */

bool session_parse(const char *text, char name[SESSION_NAME], char token[SESSION_TOKEN])
{
    const char *comma = strchr(text, ',');
    if (text[0] != '@' || !comma || comma - text < 2 || comma - text >= SESSION_NAME ||
        strlen(comma + 1) >= SESSION_TOKEN) {
        return false;
    }
    memset(name, 0, SESSION_NAME);
    memset(token, 0, SESSION_TOKEN);
    memcpy(name, text, (size_t)(comma - text));
    memcpy(token, comma + 1, strlen(comma + 1));
    return true;
}

const char *session_strerror(int code)
{
    static const char *const text[] = {
        "no TUN device can be opened",
        "not permitted to make a network device",
        "the address or its subnet is in use",
        "no free subnet among 10.77.0.0/24 to 10.77.255.0/24",
        "the session does not answer",
        "the session refuses: another user, and no token",
        "the session was made by another build",
        "the arena cannot be mapped",
        "the keeper cannot be started",
        "the session is full",
    };
    if (code == SESSION_OK) {
        return "success";
    }
    if (code >= SESSION_NO_TUN && code < SESSION_NO_TUN + (int)ARRAY_LEN(text)) {
        return text[code - SESSION_NO_TUN];
    }
    const char *desc = code < 0 ? strerrordesc_np(-code) : NULL;
    return desc ? desc : "unknown error";
}
