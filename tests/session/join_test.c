/*
 * Members: two processes on one host, and packets between them and the kernel. What each start and
 * join that cannot work says, and that it leaves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define PEER "10.77.0.1"
#define OURS "10.77.0.2"

/* A member sends to the kernel's socket `*arg`, three times, and wants each back. */
static int echo_udp(int talk, void *arg)
{
    uint16_t port = *(uint16_t *)arg;
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    char text[32], back[32];

    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    REQUIRE(l);
    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, port) == 0);
    for (int i = 0; i < 3; i++) {
        int n = snprintf(text, sizeof text, "%d from %d", i, getpid());
        REQUIRE(stk_send(s, text, (size_t)n) == n);
        REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
        REQUIRE(stk_recv(s, back, sizeof back) == n);
        REQUIRE(memcmp(text, back, (size_t)n) == 0);
    }
    say(talk, 1);
    hear(talk); /* the other is done too */
    sleeper_close(&w);
    loop_stop(l);
    session_leave(&the_session);
    return 0;
}

static void kernel_echoes(int fd, int times)
{
    char buf[64];
    struct sockaddr from;
    while (times--) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, buf, sizeof buf, 0, &from, &len);
        assert_true(n > 0);
        assert_int_equal(sendto(fd, buf, (size_t)n, 0, &from, len), n);
    }
}

static void two_members_udp(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child a = member_run(&r, echo_udp, &port);
    struct child b = member_run(&r, echo_udp, &port);

    kernel_echoes(fd, 6);
    hear(a.talk);
    hear(b.talk);
    say(a.talk, 0);
    say(b.talk, 0);
    assert_int_equal(child_end(&a), 0);
    assert_int_equal(child_end(&b), 0);
    close(fd);
}

#define BULK (4u << 20)

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

/* Sends BULK bytes and reads them back. */
static int stream_to_kernel(int talk, void *arg)
{
    static uint8_t out[65536], in[65536];
    size_t sent = 0, got = 0;
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    (void)talk;

    struct sock *s = stk_socket(LX_SOCK_STREAM);
    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == -ERR_INPROGRESS);
    REQUIRE(sleeper_wait(&w, s, LX_POLLOUT, 5000));
    while (got < BULK) {
        size_t n = BULK - sent < sizeof out ? BULK - sent : sizeof out;
        for (size_t i = 0; i < n; i++) {
            out[i] = pattern(sent + i);
        }
        int64_t k = n ? stk_send(s, out, n) : 0;
        REQUIRE(k >= 0 || k == -ERR_AGAIN);
        sent += k > 0 ? (size_t)k : 0;
        uint32_t want = sent < BULK ? LX_POLLIN | LX_POLLOUT : LX_POLLIN;
        REQUIRE(sleeper_wait(&w, s, want, 5000));
        k = stk_recv(s, in, sizeof in);
        for (int64_t i = 0; i < k; i++) {
            REQUIRE(in[i] == pattern(got + (size_t)i));
        }
        got += k > 0 ? (size_t)k : 0;
    }
    sleeper_close(&w);
    loop_stop(l);
    session_leave(&the_session);
    return 0;
}

/* The kernel's end of it, in a process of its own. */
static int kernel_returns(int talk, void *arg)
{
    static uint8_t buf[65536];
    size_t all = 0;
    (void)talk;
    int fd = accept(*(int *)arg, NULL, NULL);
    REQUIRE(fd >= 0);
    while (all < BULK) {
        ssize_t n = read(fd, buf, sizeof buf);
        REQUIRE(n > 0);
        for (ssize_t at = 0; at < n;) {
            ssize_t k = write(fd, buf + at, (size_t)(n - at));
            REQUIRE(k > 0);
            at += k;
        }
        all += (size_t)n;
    }
    REQUIRE(read(fd, buf, 1) == 0); /* an orderly end */
    return 0;
}

static void connect_to_kernel(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int listener = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(listener);
    struct child k = child_run(kernel_returns, &listener);
    struct child m = member_run(&r, stream_to_kernel, &port);

    assert_int_equal(child_end(&m), 0);
    assert_int_equal(child_end(&k), 0);
    close(listener);
}

static int stack_listens(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    struct env env;
    char byte;
    int err;
    (void)arg;

    struct sock *s = stk_socket(LX_SOCK_STREAM);
    sleeper_open(&w, l);
    stk_bind(s, OURS, 80);
    say(talk, 1);
    REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
    session_lock(&the_session, &env);
    struct sock *c = sock_accept(the_session.stack, &env, s, &err);
    session_unlock(&the_session, &env);
    REQUIRE(c);
    REQUIRE(sleeper_wait(&w, c, LX_POLLIN, 5000));
    REQUIRE(stk_recv(c, &byte, 1) == 1);
    REQUIRE(stk_send(c, &byte, 1) == 1);
    hear(talk);
    return byte;
}

static void kernel_connects(void **state)
{
    char byte = 42;
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child m = member_run(&r, stack_listens, NULL);

    hear(m.talk);
    int fd = krn_connect(SOCK_STREAM, OURS, 80);
    assert_int_equal(write(fd, &byte, 1), 1);
    byte = 0;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 42);
    say(m.talk, 0);
    assert_int_equal(child_end(&m), 42);
    assert_int_equal(read(fd, &byte, 1),
                     0); /* it ended without a close: the keeper closes for it */
    close(fd);
}

/* fork, exec */

/* What the child of a fork does: the parent lets go at once, the child still sends. */
static int fork_member(int talk, void *arg)
{
    struct env env;
    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == 0);
    uint32_t parent = the_session.me;

    REQUIRE(session_fork_prepare(&the_session, &env) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        REQUIRE(session_fork_child(&the_session) == 0);
        REQUIRE(the_session.me != parent);
        REQUIRE(hear(talk) == 1);
        session_lock(&the_session, &env);
        REQUIRE(sock_held_by(s, the_session.me));
        REQUIRE(!sock_held_by(s, parent));
        session_unlock(&the_session, &env);
        REQUIRE(stk_send(s, "child", 5) == 5);
        _exit(0);
    }
    session_fork_parent(&the_session, &env, pid);
    session_lock(&the_session, &env);
    sock_release(the_session.stack, &env, s, the_session.me);
    session_unlock(&the_session, &env);
    say(talk, 2); /* heard by the test: the child may go on */
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WEXITSTATUS(status);
}

static void fork_inherits(void **state)
{
    char buf[16];
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child m = member_run(&r, fork_member, &port);

    assert_int_equal(hear(m.talk), 2);
    say(m.talk, 1);
    assert_int_equal(recv(fd, buf, sizeof buf, 0), 5);
    assert_memory_equal(buf, "child", 5);
    assert_int_equal(child_end(&m), 0);
    close(fd);
}

static char self_path[4096];

/* This program again, from its start: see main. */
static int exec_member(int talk, void *arg)
{
    const struct session_result *r = arg;
    char text[SESSION_NAME + SESSION_TOKEN + 1], me[16], fd[16];
    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    (void)s;
    snprintf(text, sizeof text, "%s,%s", r->name, r->token);
    snprintf(me, sizeof me, "%u", the_session.me);
    snprintf(fd, sizeof fd, "%d", dup(talk));
    execl(self_path, self_path, "exec", text, me, fd, (char *)NULL);
    return 98;
}

static int after_exec(char **argv)
{
    char name[SESSION_NAME], token[SESSION_TOKEN];
    uint32_t me = (uint32_t)strtoul(argv[3], NULL, 10);
    unsigned held = 0;

    REQUIRE(session_parse(argv[2], name, token));
    struct session_result r = session_join(&the_session, name, token);
    REQUIRE(r.code == SESSION_OK && r.rejoined && the_session.me == me);
    struct mem *m = the_session.stack->mem;
    for (struct sock *s = mem_obj_next(m, MEM_UDP, NULL); s; s = mem_obj_next(m, MEM_UDP, s)) {
        held += sock_held_by(s, me);
    }
    return held == 1 ? 0 : 97;
}

static void exec_rejoins(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child m = member_run(&r, exec_member, &r);
    assert_int_equal(child_end(&m), 0);
}

/* Descriptors closed behind our back */

static int close_ours(int talk, void *arg)
{
    struct session *s = &the_session;
    (void)talk;
    (void)arg;
    close(s->link.fd);
    close(s->timer_fd);
    close(s->arena_fd);
    close(s->wake_fd);
    int null = open("/dev/null", O_RDONLY); /* one number is somebody else's now */
    REQUIRE(dup2(null, s->timer_fd) == s->timer_fd);
    REQUIRE(session_fds_check(s) == 0);
    REQUIRE(session_fds_check(s) == 0);
    struct sock *u = stk_socket(LX_SOCK_DGRAM);
    REQUIRE(stk_connect(u, PEER, *(uint16_t *)arg) == 0);
    REQUIRE(stk_send(u, "x", 1) == 1);
    return 0;
}

static void fds_again(void **state)
{
    char byte;
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child m = member_run(&r, close_ours, &port);
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    assert_int_equal(child_end(&m), 0);
    close(fd);
}

static int own_fds(int talk, void *arg)
{
    (void)talk;
    (void)arg;
    const int fd[] = {the_session.arena_fd, the_session.timer_fd, the_session.keeper_fd,
                      the_session.wake_fd, the_session.link.fd};
    struct rlimit lim;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    for (size_t i = 0; i < sizeof fd / sizeof fd[0]; i++) {
        REQUIRE(fcntl(fd[i], F_GETFD) == FD_CLOEXEC);
        REQUIRE(fd[i] >= STANDIN_FD_BASE || fd[i] + 64 >= (int)lim.rlim_cur);
    }
    return 0;
}

static void fds_are_high(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child m = member_run(&r, own_fds, NULL);
    assert_int_equal(child_end(&m), 0);
}

/* Limits of the program */

static int grow_limited(int talk, void *arg)
{
    static uint8_t buf[60000];
    struct rlimit lim = {1 << 20, RLIM_INFINITY}, after;
    uint64_t before = the_session.arena->size;
    struct sock *s[300];
    (void)talk;
    (void)arg;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &lim) == 0); /* a step over it is SIGXFSZ */
    struct sock *to = stk_socket(LX_SOCK_DGRAM);
    stk_bind(to, OURS, 5000);
    for (int i = 0; i < 300; i++) { /* streams to ourselves: their send buffers fill */
        s[i] = stk_socket(LX_SOCK_DGRAM);
        REQUIRE(stk_connect(s[i], OURS, 5000) == 0);
        stk_send(s[i], buf, sizeof buf);
    }
    struct sock *l = stk_socket(LX_SOCK_STREAM);
    stk_bind(l, OURS, 80);
    for (int i = 0; i < 100 && the_session.arena->size == before; i++) {
        struct sock *c = stk_socket(LX_SOCK_STREAM);
        stk_connect(c, OURS, 80);
        while (stk_send(c, buf, sizeof buf) > 0) {
        }
    }
    REQUIRE(the_session.arena->size > before);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &after) == 0 && after.rlim_cur == lim.rlim_cur);
    return 0;
}

static void file_size_limit(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child m = member_run(&r, grow_limited, NULL);
    assert_int_equal(child_end(&m), 0);
}

/* A session and a member under a limit on address space: the arena's range is smaller. */
static int start_limited(int talk, void *arg)
{
    struct rlimit lim = {(rlim_t)3 << 30, (rlim_t)3 << 30};
    (void)talk;
    (void)arg;
    REQUIRE(setrlimit(RLIMIT_AS, &lim) == 0);
    struct session_result r = host_start();
    host_join(&r);
    REQUIRE(the_session.arena->size_max == (size_t)2 << 30);
    stk_socket(LX_SOCK_STREAM);
    session_leave(&the_session);
    return 0;
}

static void address_space_limit(void **state)
{
    (void)state;
    host_net();
    struct child c = child_run(start_limited, NULL);
    assert_int_equal(child_end(&c), 0);
}

/* The keeper is nobody's child, and no signal tells of it */

static volatile sig_atomic_t sigchld;

static void on_sigchld(int sig)
{
    (void)sig;
    sigchld++;
}

static void start_is_unseen(void **state)
{
    struct sigaction sa = {.sa_handler = on_sigchld}, old;
    (void)state;
    host_net();
    int fds = count_fds();
    sigaction(SIGCHLD, &sa, &old);
    host_start();
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(sigchld, 0);
    assert_int_equal(count_fds(), fds);
    sigaction(SIGCHLD, &old, NULL);
}

/* What cannot work */

struct attempt {
    uid_t uid;
    const char *
        /* what /dev/net/tun is: NULL: as it is; "": missing; else that device is in its place */
        node;
    const char *keeper;
    struct session_config cfg;
    struct session_result r;
};

/* In a child: privileges and mounts are not given back. */
static int attempt_start(int talk, void *arg)
{
    struct attempt *a = arg;
    if (a->node) {
        REQUIRE(unshare(CLONE_NEWNS) == 0);
        REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
        REQUIRE(mount("none", "/dev/net", "tmpfs", 0, NULL) == 0);
    }
    if (a->uid) {
        REQUIRE(setgroups(0, NULL) == 0);
        REQUIRE(setresgid(a->uid, a->uid, a->uid) == 0);
        REQUIRE(setresuid(a->uid, a->uid, a->uid) == 0);
    }
    int fds = count_fds();
    struct session_result r = session_start(a->keeper ? a->keeper : KEEPER, &a->cfg);
    REQUIRE(count_fds() == fds);
    REQUIRE(send(talk, &r, sizeof r, 0) == sizeof r);
    return 0;
}

static struct session_result try_start(struct attempt *a)
{
    struct session_result r;
    struct child c = child_run(attempt_start, a);
    assert_int_equal(recv(c.talk, &r, sizeof r, 0), sizeof r);
    assert_int_equal(child_end(&c), 0);
    return r;
}

static void without_privilege(void **state)
{
    struct attempt a = {.uid = 65534, .cfg = host_config()};
    struct stat st;
    (void)state;
    host_net();
    struct session_result r = try_start(&a);
    if (stat("/dev/net/tun", &st) == 0 && (st.st_mode & 6) == 6) {
        assert_int_equal(r.code, SESSION_NO_PERM);
        assert_int_equal(r.err, EPERM);
        assert_string_equal(r.step, "TUNSETIFF");
    } else {
        assert_int_equal(r.code, SESSION_NO_TUN);
        assert_int_equal(r.err, EACCES);
        assert_string_equal(r.step, "open /dev/net/tun");
    }
    assert_false(device_there("standin0"));
}

static void without_node(void **state)
{
    struct attempt a = {.node = "", .cfg = host_config()};
    (void)state;
    host_net();
    struct session_result r = try_start(&a);
    assert_int_equal(r.code, SESSION_NO_TUN);
    assert_int_equal(r.err, ENOENT);
    assert_string_equal(r.step, "open /dev/net/tun");
}

static void without_keeper(void **state)
{
    struct attempt a = {.keeper = "/nonexistent/standin-keeper", .cfg = host_config()};
    (void)state;
    host_net();
    struct session_result r = try_start(&a);
    assert_int_equal(r.code, SESSION_NO_KEEPER);
    assert_int_equal(r.err, ENOENT);
    a.keeper = "/bin/true"; /* says nothing */
    r = try_start(&a);
    assert_int_equal(r.code, SESSION_NO_KEEPER);
}

static void name_taken(void **state)
{
    struct session_config cfg = host_config();
    (void)state;
    host_net();
    host_start();
    strcpy(cfg.ifname, "standin0");
    cfg.claimed = true;
    addr_parse("192.168.5.2", &cfg.addr[0].addr);
    addr_parse("192.168.5.1", &cfg.peer[0].addr);
    cfg.addr[0].bits = cfg.peer[0].bits = 24;
    cfg.naddr = cfg.npeer = 1;
    struct session_result r = session_start(KEEPER, &cfg);
    assert_int_equal(r.code, -EBUSY);
    assert_string_equal(r.step, "TUNSETIFF");
}

static int join_as(int talk, void *arg)
{
    struct session_result *r = arg;
    REQUIRE(setgroups(0, NULL) == 0);
    REQUIRE(setresgid(65534, 65534, 65534) == 0);
    REQUIRE(setresuid(65534, 65534, 65534) == 0);
    int fds = count_fds();
    char wrong[SESSION_TOKEN] = "00000000000000000000000000000000";
    struct session_result j = session_join(&the_session, r->name, wrong);
    REQUIRE(j.code == SESSION_REFUSED);
    j = session_join(&the_session, r->name, "");
    REQUIRE(j.code == SESSION_REFUSED);
    REQUIRE(count_fds() == fds);
    j = session_join(&the_session, r->name, r->token);
    REQUIRE(j.code == SESSION_OK);
    say(talk, 1);
    session_leave(&the_session);
    REQUIRE(count_fds() == fds);
    return 0;
}

static void stranger_needs_token(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child c = child_run(join_as, &r);
    hear(c.talk);
    assert_int_equal(child_end(&c), 0);
}

static void no_such_session(void **state)
{
    (void)state;
    host_net();
    int fds = count_fds();
    struct session_result r = session_join(&the_session, "@standin-0000", "");
    assert_int_equal(r.code, SESSION_DEAD);
    assert_int_equal(r.err, ECONNREFUSED);
    assert_int_equal(count_fds(), fds);
    assert_null(the_session.arena);
}

static int join_twice(int talk, void *arg)
{
    const struct session_result *r = arg;
    (void)talk;
    for (int i = 0; i < 20; i++) { /* places are given back */
        uint32_t me = the_session.me;
        session_leave(&the_session);
        host_join(r);
        REQUIRE(the_session.me == me);
    }
    return 0;
}

static void leave_and_join(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child c = member_run(&r, join_twice, &r);
    assert_int_equal(child_end(&c), 0);
}

static void texts(void **state)
{
    char name[SESSION_NAME], token[SESSION_TOKEN];
    (void)state;
    assert_true(session_parse("@standin-ab,0123", name, token));
    assert_string_equal(name, "@standin-ab");
    assert_string_equal(token, "0123");
    assert_true(session_parse("@a,", name, token));
    assert_false(session_parse("", name, token));
    assert_false(session_parse("standin-ab,0123", name, token));
    assert_false(session_parse("@standin-ab", name, token));
    assert_false(session_parse("@,0123", name, token));
    assert_false(session_parse("@a,0123456789012345678901234567890123", name, token));
    assert_string_equal(session_strerror(-EACCES), "Permission denied");
    assert_string_equal(session_strerror(SESSION_FULL), "the session is full");
    assert_string_equal(session_strerror(123456), "unknown error");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_members_udp),      cmocka_unit_test(connect_to_kernel),
        cmocka_unit_test(kernel_connects),      cmocka_unit_test(fork_inherits),
        cmocka_unit_test(exec_rejoins),         cmocka_unit_test(fds_again),
        cmocka_unit_test(fds_are_high),         cmocka_unit_test(file_size_limit),
        cmocka_unit_test(address_space_limit),  cmocka_unit_test(start_is_unseen),
        cmocka_unit_test(without_privilege),    cmocka_unit_test(without_node),
        cmocka_unit_test(without_keeper),       cmocka_unit_test(name_taken),
        cmocka_unit_test(stranger_needs_token), cmocka_unit_test(no_such_session),
        cmocka_unit_test(leave_and_join),       cmocka_unit_test(texts),
    };
    if (argc == 5 && strcmp(argv[1], "exec") == 0) {
        return after_exec(argv);
    }
    if (readlink("/proc/self/exe", self_path, sizeof self_path - 1) < 0) {
        return 1;
    }
    return cmocka_run_group_tests_name("session: join", tests, NULL, NULL);
}
