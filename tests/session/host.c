#include "host.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tun/netcfg.h"

#define HEAR_MS 10000

void host_die(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", file, line, what, errno);
    fflush(stderr);
    _exit(99);
}

void host_net(void)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    REQUIRE(unshare(CLONE_NEWNET) == 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0);
    close(fd);
}

struct session_config host_config(void)
{
    struct session_config cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.offload = true;
    knobs_default(&cfg.knobs);
    return cfg;
}

struct session_result host_start(void)
{
    struct session_config cfg = host_config();
    struct session_result r = session_start(KEEPER, &cfg);
    if (r.code) {
        fprintf(stderr, "%s: %s (%s)\n", r.step, session_strerror(r.code), strerror(r.err));
    }
    REQUIRE(r.code == SESSION_OK);
    return r;
}

void host_join(const struct session_result *r)
{
    struct session_result j = session_join(&the_session, r->name, r->token);
    if (j.code) {
        fprintf(stderr, "%s: %s (%s)\n", j.step, session_strerror(j.code), strerror(j.err));
    }
    REQUIRE(j.code == SESSION_OK);
    the_session.keeper_path = KEEPER;
}

/* Children */

struct child child_run(child_fn *fn, void *arg)
{
    struct child c;
    int pair[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    fflush(NULL);
    c.pid = fork();
    REQUIRE(c.pid >= 0);
    if (c.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        _exit(fn(pair[1], arg));
    }
    close(pair[1]);
    c.talk = pair[0];
    return c;
}

struct joiner {
    const struct session_result *r;
    child_fn *fn;
    void *arg;
};

static int join_and_run(int talk, void *arg)
{
    struct joiner *j = arg;
    host_join(j->r);
    return j->fn(talk, j->arg);
}

struct child member_run(const struct session_result *r, child_fn *fn, void *arg)
{
    struct joiner j = {r, fn, arg};
    return child_run(join_and_run, &j);
}

void say(int talk, int64_t word)
{
    REQUIRE(send(talk, &word, sizeof word, MSG_NOSIGNAL) == sizeof word);
}

int64_t hear(int talk)
{
    struct pollfd p = {.fd = talk, .events = POLLIN};
    int64_t word;
    REQUIRE(poll(&p, 1, HEAR_MS) == 1);
    REQUIRE(recv(talk, &word, sizeof word, 0) == sizeof word);
    return word;
}

int child_end(struct child *c)
{
    int status;
    REQUIRE(waitpid(c->pid, &status, 0) == c->pid);
    close(c->talk);
    c->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_kill(struct child *c, int sig)
{
    REQUIRE(kill(c->pid, sig) == 0);
}

/* Waiting */

bool until(bool (*holds)(void *arg), void *arg, int ms)
{
    nsec end = session_now() + ms * MSEC;
    while (!holds(arg)) {
        if (session_now() >= end) {
            return false;
        }
        usleep(1000);
    }
    return true;
}

bool keeper_runs(pid_t pid)
{
    char path[32], text[512], *p;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f) {
        return false;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    p = strrchr(text, ')');
    return p && p[2] != 'Z' && p[2] != 'X'; /* a zombie is what init has not got to yet */
}

pid_t keeper_of(void)
{
    return the_session.arena->keeper_pid;
}

static bool has_gone(void *arg)
{
    return !keeper_runs(*(pid_t *)arg);
}

bool keeper_ends(pid_t pid, int ms)
{
    return until(has_gone, &pid, ms);
}

bool device_there(const char *name)
{
    return netcfg_index(name) > 0;
}

int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    REQUIRE(d);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n - 3; /* ".", "..", the directory itself */
}

/* Sleeping */

void sleep_on(struct sleeper *w, int fd, uint32_t events, uint32_t what)
{
    struct epoll_event ev = {.events = events, .data.u32 = what};
    REQUIRE(epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
}

void sleeper_open(struct sleeper *w, struct loop *l)
{
    struct session *s = &the_session;
    struct env env;

    memset(w, 0, sizeof *w);
    w->epfd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = wake_open(s, &w->number);
    REQUIRE(w->epfd >= 0 && w->wake_fd >= 0);
    sleep_on(w, s->link.fd, EPOLLIN | EPOLLEXCLUSIVE, SLEEP_TUN);
    sleep_on(w, s->timer_fd, EPOLLIN | EPOLLEXCLUSIVE, SLEEP_TIMER);
    sleep_on(w, w->wake_fd, EPOLLIN, SLEEP_WAKE);
    session_lock(s, &env);
    w->set = pollset_new(s->stack, &env, w->number);
    session_unlock(s, &env);
    REQUIRE(w->set);
    loop_last(s, l);
}

void sleeper_close(struct sleeper *w)
{
    struct env env;
    session_lock(&the_session, &env);
    pollset_free(the_session.stack, w->set);
    session_unlock(&the_session, &env);
    close(w->epfd);
    close(w->wake_fd);
}

static bool drive_until(struct env *env, const struct sock *s, uint32_t events)
{
    bool drained;
    do {
        drive_turn(&the_session, env, 8, &drained);
        if (sock_ready(the_session.stack, s) & events) {
            return true;
        }
    } while (!drained);
    return false;
}

/* Sleeps once, not holding the lock. */
static void doze(struct sleeper *w, nsec end)
{
    struct epoll_event ev[4];
    nsec left = end - session_now();
    int n = epoll_wait(w->epfd, ev, 4, left <= 0 ? 0 : (int)(left / MSEC) + 1);
    w->slept++;
    for (int i = 0; i < n; i++) {
        if (ev[i].data.u32 == SLEEP_WAKE) {
            wake_drain(w->wake_fd);
        }
    }
}

bool sleeper_wait(struct sleeper *w, struct sock *s, uint32_t events, int ms)
{
    struct stack *st = the_session.stack;
    nsec end = session_now() + ms * MSEC;
    struct env env;
    bool ready;

    session_lock(&the_session, &env);
    REQUIRE(pollset_add(st, &env, w->set, s, 0, events, 0) == 0);
    for (;;) {
        ready = drive_until(&env, s, events);
        if (ready || env.now >= end) {
            break;
        }
        if (!pollset_sleep(st, w->set)) {
            continue;
        }
        session_unlock(&the_session, &env);
        doze(w, end);
        session_lock(&the_session, &env);
        pollset_awake(w->set);
    }
    pollset_del(st, w->set, 0);
    session_unlock(&the_session, &env);
    return ready;
}

/* Stack sockets */

struct sock *stk_socket(int type)
{
    struct env env;
    int err;
    session_lock(&the_session, &env);
    struct sock *s = sock_create(the_session.stack, &env, LX_AF_INET, type, 0, &err);
    session_unlock(&the_session, &env);
    REQUIRE(s);
    return s;
}

static struct endpoint endpoint(const char *addr, uint16_t port)
{
    struct endpoint e = {.port = port};
    REQUIRE(addr_parse(addr, &e.addr));
    return e;
}

void stk_bind(struct sock *s, const char *addr, uint16_t port)
{
    struct endpoint at = endpoint(addr, port);
    struct env env;
    session_lock(&the_session, &env);
    int err = sock_bind(the_session.stack, &env, s, &at, true);
    if (!err && s->type == LX_SOCK_STREAM) {
        err = sock_listen(the_session.stack, &env, s, 16);
    }
    session_unlock(&the_session, &env);
    REQUIRE(err == 0);
}

int stk_connect(struct sock *s, const char *addr, uint16_t port)
{
    struct endpoint to = endpoint(addr, port);
    struct env env;
    session_lock(&the_session, &env);
    int err = sock_connect(the_session.stack, &env, s, &to);
    session_unlock(&the_session, &env);
    return err;
}

int64_t stk_send(struct sock *s, const void *buf, size_t n)
{
    struct span v = {buf, n};
    struct env env;
    session_lock(&the_session, &env);
    int64_t ret = sock_send(the_session.stack, &env, s, &v, 1, 0, NULL);
    session_unlock(&the_session, &env);
    return ret;
}

int64_t stk_recv(struct sock *s, void *buf, size_t n)
{
    struct mspan v = {buf, n};
    struct env env;
    session_lock(&the_session, &env);
    int64_t ret = sock_recv(the_session.stack, &env, s, &v, 1, 0, NULL);
    session_unlock(&the_session, &env);
    return ret;
}

/* Kernel sockets */

static struct sockaddr_in in_addr_of(const char *addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    REQUIRE(inet_pton(AF_INET, addr, &a.sin_addr) == 1);
    return a;
}

int krn_socket(int type, const char *addr, uint16_t port)
{
    struct sockaddr_in at = in_addr_of(addr, port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = HEAR_MS / 1000};
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    REQUIRE(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    REQUIRE(type == SOCK_DGRAM || listen(fd, 16) == 0);
    return fd;
}

int krn_connect(int type, const char *addr, uint16_t port)
{
    struct sockaddr_in to = in_addr_of(addr, port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = HEAR_MS / 1000};
    REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    REQUIRE(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

uint16_t krn_port(int fd)
{
    struct sockaddr_in at = {0};
    socklen_t len = sizeof at;
    REQUIRE(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.sin_port);
}

int host_echo(int talk, void *arg)
{
    int fd = *(int *)arg;
    struct sockaddr from;
    socklen_t len = sizeof from;
    char byte;
    (void)talk;
    while (recvfrom(fd, &byte, 1, 0, &from, &len) == 1) {
        sendto(fd, &byte, 1, 0, &from, len);
        len = sizeof from;
    }
    return 1;
}
