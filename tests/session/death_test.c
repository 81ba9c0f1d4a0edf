/*
 * Deaths: of a member, of the keeper, of a parent in the midst of fork. What the peer sees is what
 * it would see from the kernel, and what is left behind is nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define PEER "10.77.0.1"
#define OURS "10.77.0.2"

static void send_result(int talk, const struct session_result *r)
{
    REQUIRE(send(talk, r, sizeof *r, MSG_NOSIGNAL) == sizeof *r);
}

static struct session_result hear_result(int talk)
{
    struct session_result r;
    assert_int_equal(recv(talk, &r, sizeof r, 0), sizeof r);
    return r;
}

/* Connects and says so; then waits to be killed, having read nothing. */
static int connect_and_wait(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    struct sock *s = stk_socket(LX_SOCK_STREAM);

    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == -ERR_INPROGRESS);
    REQUIRE(sleeper_wait(&w, s, LX_POLLOUT, 5000));
    say(talk, s->obj.id);
    REQUIRE(hear(talk) == 1);
    REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
    say(talk, 1);
    hear(talk);
    return 0;
}

/* Counts a member's sockets from a member's view. */
static int count_socks(int talk, void *arg)
{
    struct mem *m = the_session.stack->mem;
    struct env env;
    (void)arg;
    while (hear(talk)) {
        int held = 0;
        session_lock(&the_session, &env);
        for (struct sock *s = mem_obj_next(m, MEM_TCP, NULL); s; s = mem_obj_next(m, MEM_TCP, s)) {
            held += !s->orphan;
        }
        const char *bad = stack_check(the_session.stack);
        session_unlock(&the_session, &env);
        if (bad) {
            fprintf(stderr, "%s\n", bad);
        }
        say(talk, bad ? -1 : held);
    }
    return 0;
}

static bool no_socks(void *arg)
{
    int talk = *(int *)arg;
    say(talk, 1);
    int64_t n = hear(talk);
    assert_true(n >= 0);
    return n == 0;
}

static void kill_member(bool unread)
{
    char byte;
    host_net();
    struct session_result r = host_start();
    int listener = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(listener);
    struct child look = member_run(&r, count_socks, NULL);
    struct child m = member_run(&r, connect_and_wait, &port);
    int fd = accept(listener, NULL, NULL);

    hear(m.talk);
    assert_false(no_socks(&look.talk));
    if (unread) {
        assert_int_equal(write(fd, "unread", 6), 6);
        say(m.talk, 1);
        hear(m.talk);
    }
    child_kill(&m, SIGKILL);
    assert_int_equal(child_end(&m), -SIGKILL);
    if (unread) {
        assert_int_equal(read(fd, &byte, 1), -1);
        assert_int_equal(errno, ECONNRESET);
    } else {
        assert_int_equal(read(fd, &byte, 1), 0);
    }
    assert_true(until(no_socks, &look.talk, 2000));
    say(look.talk, 0);
    assert_int_equal(child_end(&look), 0);
    close(fd);
    close(listener);
}

static void killed_member_closes(void **state)
{
    (void)state;
    kill_member(false);
}

static void killed_member_resets(void **state)
{
    (void)state;
    kill_member(true);
}

/* Holds a connection together with a forked child, and says the child's pid. */
static int share_with_child(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    struct env env;
    struct sock *s = stk_socket(LX_SOCK_STREAM);

    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == -ERR_INPROGRESS);
    REQUIRE(sleeper_wait(&w, s, LX_POLLOUT, 5000));
    REQUIRE(session_fork_prepare(&the_session, &env) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        REQUIRE(session_fork_child(&the_session) == 0);
        loop_forget(l);
        l = loop_start(&the_session);
        sleeper_open(&w, l);
        say(talk, getpid());
        REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
        char byte;
        REQUIRE(stk_recv(s, &byte, 1) == 1);
        REQUIRE(stk_send(s, &byte, 1) == 1);
        hear(talk);
        _exit(0);
    }
    session_fork_parent(&the_session, &env, pid);
    pause();
    return 0;
}

static void child_outlives_parent(void **state)
{
    char byte = 7;
    (void)state;
    host_net();
    struct session_result r = host_start();
    int listener = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(listener);
    struct child m = member_run(&r, share_with_child, &port);
    int fd = accept(listener, NULL, NULL);
    int talk = dup(m.talk);

    hear(m.talk);
    child_kill(&m, SIGKILL);
    assert_int_equal(child_end(&m), -SIGKILL);
    assert_int_equal(write(fd, &byte, 1), 1);
    byte = 0;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 7);
    say(talk, 0); /* the child ends, and with it the connection */
    assert_int_equal(read(fd, &byte, 1), 0);
    close(talk);
    close(fd);
    close(listener);
}

/* Dies between the two halves of a fork: its child never was. */
static int die_forking(int talk, void *arg)
{
    struct env env;
    (void)talk;
    (void)arg;
    stk_socket(LX_SOCK_STREAM);
    REQUIRE(session_fork_prepare(&the_session, &env) == 0);
    raise(SIGKILL);
    return 0;
}

static void parent_dies_forking(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child look = member_run(&r, count_socks, NULL);
    struct child m = member_run(&r, die_forking, NULL);

    assert_int_equal(child_end(&m), -SIGKILL);
    assert_true(until(no_socks, &look.talk, 10000));
    say(look.talk, 0);
    assert_int_equal(child_end(&look), 0);
}

/* The keeper's end */

/* Starts a session, says its name, and ends when told. */
static int starter(int talk, void *arg)
{
    (void)arg;
    struct session_result r = host_start();
    send_result(talk, &r);
    hear(talk);
    return 0;
}

/* Joins and says who its keeper is. */
static int say_keeper(int talk, void *arg)
{
    (void)arg;
    say(talk, keeper_of());
    hear(talk);
    return 0;
}

static bool no_device(void *arg)
{
    return !device_there(arg);
}

static void nothing_left(void **state)
{
    (void)state;
    host_net();
    int fds = count_fds();
    struct child s = child_run(starter, NULL);
    struct session_result r = hear_result(s.talk);
    struct child m = member_run(&r, say_keeper, NULL);
    pid_t keeper = (pid_t)hear(m.talk);

    assert_true(device_there("standin0"));
    say(s.talk, 0); /* the starter goes first: the member keeps it alive */
    assert_int_equal(child_end(&s), 0);
    assert_false(keeper_ends(keeper, 100));
    child_kill(&m, SIGKILL);
    child_end(&m);
    assert_true(keeper_ends(keeper, 2000));
    assert_true(until(no_device, (void *)(uintptr_t) "standin0", 1000));
    assert_int_equal(count_fds(), fds);
    assert_int_equal(session_join(&the_session, r.name, r.token).code, SESSION_DEAD);
}

static void hold_keeps(void **state)
{
    (void)state;
    host_net();
    struct child s = child_run(starter, NULL);
    struct session_result r = hear_result(s.talk);
    int hold = session_hold(r.name, r.token);

    assert_true(hold >= 0);
    assert_true(session_hold(r.name, "") >=
                0); /* the same user: leaks one on purpose, closed below */
    say(s.talk, 0);
    child_end(&s);
    struct child m = member_run(&r, say_keeper, NULL);
    pid_t keeper = (pid_t)hear(m.talk);
    say(m.talk, 0);
    child_end(&m);
    assert_false(keeper_ends(keeper, 100));
    close(hold);
    close(hold + 1);
    assert_true(keeper_ends(keeper, 2000));
}

#define OWED (1u << 20)

/* Leaves much unsent behind: the peer reads nothing yet. */
static int leave_unsent(int talk, void *arg)
{
    static uint8_t buf[65536];
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    int64_t sent = 0;
    struct sock *s = stk_socket(LX_SOCK_STREAM);

    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == -ERR_INPROGRESS);
    while (sleeper_wait(&w, s, LX_POLLOUT, 200)) {
        int64_t n = stk_send(s, buf, sizeof buf);
        REQUIRE(n > 0 || n == -ERR_AGAIN);
        sent += n > 0 ? n : 0;
    }
    say(talk, keeper_of());
    say(talk, sent);
    return 0;
}

static void keeper_sends_the_rest(void **state)
{
    static uint8_t buf[65536];
    int64_t got = 0;
    ssize_t n;
    (void)state;
    host_net();
    struct child s = child_run(starter, NULL);
    struct session_result r = hear_result(s.talk);
    int listener = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(listener);
    struct child m = member_run(&r, leave_unsent, &port);
    int fd = accept(listener, NULL, NULL);
    pid_t keeper = (pid_t)hear(m.talk);
    int64_t sent = hear(m.talk);

    assert_int_equal(child_end(&m), 0);
    say(s.talk, 0);
    child_end(&s);
    assert_true(keeper_runs(keeper)); /* nobody is left, but something is owed */
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        got += n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(got, sent);
    close(fd);
    close(listener);
    assert_true(keeper_ends(keeper, 5000));
    assert_false(device_there("standin0"));
}

/* Another keeper */

/* Sends and receives datagrams for ever; says the keeper's pid when it changes. */
static int watch_keeper(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    pid_t known = 0;
    char byte;
    struct sock *s = stk_socket(LX_SOCK_DGRAM);

    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == 0);
    for (;;) {
        if (keeper_of() != known) {
            known = keeper_of();
            say(talk, known);
        }
        REQUIRE(stk_send(s, "x", 1) == 1);
        REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
        REQUIRE(stk_recv(s, &byte, 1) == 1);
        usleep(1000);
    }
}

static void keeper_is_replaced(void **state)
{
    (void)state;
    host_net();
    struct child st = child_run(starter, NULL);
    struct session_result r = hear_result(st.talk);
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child echo = child_run(host_echo, &fd);
    struct child a = member_run(&r, watch_keeper, &port);
    struct child b = member_run(&r, watch_keeper, &port);
    pid_t keeper = (pid_t)hear(a.talk);

    assert_int_equal(hear(b.talk), keeper);
    say(st.talk, 0);
    child_end(&st);
    for (int i = 0; i < 5; i++) {
        nsec t = session_now();
        kill(keeper, SIGKILL);
        pid_t next = (pid_t)hear(a.talk);
        assert_int_not_equal(next, keeper);
        assert_int_equal(hear(b.talk), next);
        print_message("the next keeper after %.1f ms\n", (double)(session_now() - t) / 1e6);
        keeper = next;
        struct child c = member_run(&r, say_keeper, NULL); /* it serves */
        assert_int_equal(hear(c.talk), keeper);
        say(c.talk, 0);
        assert_int_equal(child_end(&c), 0);
    }
    child_kill(&a, SIGKILL);
    child_end(&a);
    assert_false(keeper_ends(keeper, 100));
    child_kill(&b, SIGKILL); /* it watches those it did not let in itself */
    child_end(&b);
    assert_true(keeper_ends(keeper, 2000));
    assert_false(device_there("standin0"));
    child_kill(&echo, SIGKILL);
    child_end(&echo);
    close(fd);
}

/* The keeper is stopped: members do not need it. */
static void keeper_stopped(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child a = member_run(&r, watch_keeper, &port);
    pid_t keeper = (pid_t)hear(a.talk);
    char byte;
    struct sockaddr from;
    socklen_t len = sizeof from;

    kill(keeper, SIGSTOP);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(recvfrom(fd, &byte, 1, 0, &from, &len), 1);
        assert_int_equal(sendto(fd, &byte, 1, 0, &from, len), 1);
    }
    kill(keeper, SIGCONT);
    child_kill(&a, SIGKILL);
    child_end(&a);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_member_closes),  cmocka_unit_test(killed_member_resets),
        cmocka_unit_test(child_outlives_parent), cmocka_unit_test(parent_dies_forking),
        cmocka_unit_test(nothing_left),          cmocka_unit_test(hold_keeps),
        cmocka_unit_test(keeper_sends_the_rest), cmocka_unit_test(keeper_is_replaced),
        cmocka_unit_test(keeper_stopped),
    };
    return cmocka_run_group_tests_name("session: death", tests, NULL, NULL);
}
