/*
 * Wake-ups: a packet wakes one sleeper, and it reaches the socket it is for whoever is busy,
 * stopped or dead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "tun/fd.h"

#define PEER "10.77.0.1"
#define OURS "10.77.0.2"

static void kernel_sends(int fd, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(0x0a4d0002); /* OURS */
    assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
}

/* Watches from inside: whether the keeper's loop stands behind all sets. */
static int watch_order(int talk, void *arg)
{
    const struct arena *a = the_session.arena;
    (void)arg;
    while (hear(talk)) {
        uint32_t armed = __atomic_load_n(&a->arm_seq, __ATOMIC_ACQUIRE);
        bool last = true;
        for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
            const struct member *m = &a->member[i];
            last &= m->loop_wake == 0 || __atomic_load_n(&m->loop_seen, __ATOMIC_ACQUIRE) == armed;
        }
        say(talk, last);
    }
    return 0;
}

static bool loops_are_last(void *arg)
{
    int talk = *(int *)arg;
    say(talk, 1);
    return hear(talk) != 0;
}

/* Whether a process is asleep in epoll_wait. */
static bool sleeps(void *arg)
{
    char path[64], where[64] = "";
    snprintf(path, sizeof path, "/proc/%d/wchan", *(pid_t *)arg);
    FILE *f = fopen(path, "re");
    if (f) {
        where[fread(where, 1, sizeof where - 1, f)] = 0;
        fclose(f);
    }
    return strstr(where, "ep_poll") || strstr(where, "epoll");
}

/* A socket that is bound to *arg; every packet is said. */
static int receive(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    char byte;
    struct sock *s = stk_socket(LX_SOCK_DGRAM);

    stk_bind(s, OURS, *(uint16_t *)arg);
    sleeper_open(&w, l);
    say(talk, getpid());
    for (;;) {
        REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 20000));
        while (stk_recv(s, &byte, 1) == 1) {
            say(talk, 1);
        }
    }
    return 0;
}

static bool is_stopped(void *arg)
{
    int status;
    return waitpid(*(pid_t *)arg, &status, WUNTRACED | WNOHANG) > 0 && WIFSTOPPED(status);
}

static void stopped_member(void **state)
{
    uint16_t port[2] = {5001, 5002};
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child a = member_run(&r, receive, &port[0]);
    hear(a.talk);
    struct child b = member_run(&r, receive, &port[1]);
    hear(b.talk);

    kernel_sends(fd, port[0]);
    hear(a.talk);
    child_kill(&a, SIGSTOP);
    assert_true(until(is_stopped, &a.pid, 1000));
    for (int i = 0; i < 50; i++) {
        kernel_sends(fd, port[1]);
        hear(b.talk);
    }
    kernel_sends(fd, port[0]);
    child_kill(&a, SIGCONT);
    hear(a.talk);
    child_kill(&a, SIGKILL);
    child_end(&a);
    kernel_sends(fd, port[1]);
    hear(b.talk);
    child_kill(&b, SIGKILL);
    child_end(&b);
    close(fd);
}

/* Is woken by a packet and stopped before it can read it. */
static int wake_and_stop(int talk, void *arg)
{
    struct sleeper w;
    struct epoll_event ev;
    (void)arg;
    sleeper_open(&w, NULL);
    say(talk, 1);
    epoll_wait(w.epfd, &ev, 1, -1);
    raise(SIGSTOP);
    hear(talk);
    return 0;
}

static void stopped_after_wake(void **state)
{
    uint16_t port = 5002;
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child order = member_run(&r, watch_order, NULL);
    struct child a = member_run(&r, wake_and_stop, NULL); /* first registered, first chosen */
    hear(a.talk);
    struct child b = member_run(&r, receive, &port);
    hear(b.talk);

    assert_true(until(loops_are_last, &order.talk, 2000));
    assert_true(until(sleeps, &a.pid, 2000) && until(sleeps, &b.pid, 2000));
    nsec t = session_now();
    kernel_sends(fd, port);
    hear(b.talk);
    print_message("rescued after %.1f ms\n", (double)(session_now() - t) / 1e6);
    assert_true(until(is_stopped, &a.pid, 1000)); /* it was the one that was woken */
    child_kill(&a, SIGKILL);
    child_end(&a);
    say(order.talk, 0);
    child_end(&order);
    child_kill(&b, SIGKILL);
    child_end(&b);
    close(fd);
}

/* One packet, one sleeper */

#define SLEEPERS 8

/* Sleeps; says what woke it: how often the TUN, how often a wake-up. */
static int sleep_and_count(int talk, void *arg)
{
    struct sleeper w;
    struct env env;
    struct epoll_event ev[4];
    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    int64_t tun = 0, wakes = 0;
    bool drained;

    stk_bind(s, OURS, *(uint16_t *)arg);
    sleeper_open(&w, NULL);
    session_lock(&the_session, &env);
    REQUIRE(pollset_add(the_session.stack, &env, w.set, s, 0, LX_POLLIN, 0) == 0);
    REQUIRE(pollset_sleep(the_session.stack, w.set));
    session_unlock(&the_session, &env);
    sleep_on(&w, talk, EPOLLIN, 99);
    say(talk, 1);
    for (;;) {
        int n = epoll_wait(w.epfd, ev, 4, 10000);
        bool mine = false, end = false;
        for (int i = 0; i < n; i++) {
            mine |= ev[i].data.u32 == SLEEP_TUN;
            wakes += ev[i].data.u32 == SLEEP_WAKE;
            end |= ev[i].data.u32 == 99;
        }
        tun += mine;
        wake_drain(w.wake_fd);
        if (end) {
            break;
        }
        session_lock(&the_session, &env);
        pollset_awake(w.set);
        drive_turn(&the_session, &env, 0, &drained);
        bool ready = !pollset_sleep(the_session.stack, w.set);
        session_unlock(&the_session, &env);
        if (ready) {
            char byte;
            REQUIRE(stk_recv(s, &byte, 1) == 1);
            say(talk, 2);
            session_lock(&the_session, &env);
            pollset_sleep(the_session.stack, w.set);
            session_unlock(&the_session, &env);
        }
    }
    hear(talk);
    say(talk, tun);
    say(talk, wakes);
    return 0;
}

static void one_packet_one_sleeper(void **state)
{
    uint16_t port[SLEEPERS];
    struct child c[SLEEPERS];
    int64_t tun = 0, wakes = 0;
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child order = member_run(&r, watch_order, NULL);

    for (int i = 0; i < SLEEPERS; i++) {
        port[i] = (uint16_t)(6000 + i);
        c[i] = member_run(&r, sleep_and_count, &port[i]);
        hear(c[i].talk);
    }
    assert_true(until(loops_are_last, &order.talk, 2000));
    for (int i = 0; i < SLEEPERS; i++) { /* each is once the one it is for */
        for (int k = 0; k < SLEEPERS; k++) {
            assert_true(until(sleeps, &c[k].pid, 2000));
        }
        kernel_sends(fd, port[i]);
        assert_int_equal(hear(c[i].talk), 2);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        say(c[i].talk, 0);
        int64_t t = hear(c[i].talk), w = hear(c[i].talk);
        tun += t;
        wakes += w;
        assert_int_equal(child_end(&c[i]), 0);
    }
    /* Eight packets, eight sleepers woken by the TUN, the keeper's loop by none; and the seven they
     * were not for. */
    assert_int_equal(tun, SLEEPERS);
    assert_int_equal(wakes, SLEEPERS - 1);
    say(order.talk, 0);
    child_end(&order);
    close(fd);
}

/* The loop */

/* Its only thread of a program computes: the loop reads. */
static int busy_program(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    (void)arg;

    REQUIRE(l);
    stk_bind(s, OURS, 5001);
    say(talk, 1);
    nsec end = session_now() + 5 * SEC;
    while (session_now() < end) { /* looks at memory, never drives */
        if (sock_ready(the_session.stack, s) & LX_POLLIN) {
            say(talk, 2);
            loop_stop(l);
            session_leave(&the_session);
            return 0;
        }
    }
    return 1;
}

static void loop_drives(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child a = member_run(&r, busy_program, NULL);

    hear(a.talk);
    kernel_sends(fd, 5001);
    assert_int_equal(hear(a.talk), 2);
    assert_int_equal(child_end(&a), 0);
    close(fd);
}

static long switches(const char *name)
{
    char path[64], text[2048];
    long all = -1;
    for (int tid = getpid(); tid < getpid() + 1000 && all < 0; tid++) {
        snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
        FILE *f = fopen(path, "re");
        if (!f) {
            continue;
        }
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        const char *p = strstr(text, "voluntary_ctxt_switches:");
        if (p && strncmp(text + strlen("Name:\t"), name, strlen(name)) == 0) {
            all = strtol(p + strlen("voluntary_ctxt_switches:"), NULL, 10);
        }
    }
    return all;
}

static bool has_named_itself(void *arg)
{
    (void)arg;
    return switches("standin") >= 0;
}

/* Exchanges packets as fast as it can; says how often its loop woke up for that, and how many
 * packets there were. */
static int drive_hard(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    char byte;
    struct sock *s = stk_socket(LX_SOCK_DGRAM);

    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == 0);
    REQUIRE(until(has_named_itself, NULL, 1000));
    long before = switches("standin");
    nsec end = session_now() + 300 * MSEC;
    int64_t n = 0;
    while (session_now() < end) {
        REQUIRE(stk_send(s, "x", 1) == 1);
        REQUIRE(sleeper_wait(&w, s, LX_POLLIN, 5000));
        REQUIRE(stk_recv(s, &byte, 1) == 1);
        n++;
    }
    say(talk, n);
    say(talk, switches("standin") - before);
    say(talk, w.slept);
    return 0;
}

static void loop_stays_away(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child echo = child_run(host_echo, &fd);
    struct child a = member_run(&r, drive_hard, &port);
    int64_t n = hear(a.talk), woke = hear(a.talk), slept = hear(a.talk);

    print_message("%ld round trips, the program slept %ld times, the loop woke %ld times\n",
                  (long)n, (long)slept, (long)woke);
    assert_true(woke <= 310); /* at most once a millisecond */
    assert_int_equal(child_end(&a), 0);
    child_kill(&echo, SIGKILL);
    child_end(&echo);
    close(fd);
}

/* Connects to where nobody is, and then does nothing at all. */
static int connect_nowhere(int talk, void *arg)
{
    (void)arg;
    struct sock *s = stk_socket(LX_SOCK_STREAM);
    REQUIRE(stk_connect(s, "10.77.0.99", 9) == -ERR_INPROGRESS);
    nsec end = session_now() + 8 * SEC;
    while (session_now() < end && the_session.stack->stats.TcpRetransSegs == 0) {
        usleep(1000);
    }
    say(talk, (int64_t)the_session.stack->stats.TcpRetransSegs);
    return 0;
}

static void keeper_keeps_time(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child a = member_run(&r, connect_nowhere, NULL);
    assert_true(hear(a.talk) >= 1);
    assert_int_equal(child_end(&a), 0);
}

/* Many sets to wake at once */

#define MANY 50

static int wake_many(int talk, void *arg)
{
    static struct sleeper w[MANY];
    static struct sock *s[MANY];
    struct env env;
    (void)arg;

    for (int i = 0; i < MANY; i++) {
        s[i] = stk_socket(LX_SOCK_DGRAM);
        stk_bind(s[i], OURS, (uint16_t)(7000 + i));
        sleeper_open(&w[i], NULL);
        session_lock(&the_session, &env);
        REQUIRE(pollset_add(the_session.stack, &env, w[i].set, s[i], 0, LX_POLLIN, 0) == 0);
        REQUIRE(pollset_sleep(the_session.stack, w[i].set));
        session_unlock(&the_session, &env);
    }
    say(talk, 1);
    for (int i = 0; i < MANY; i++) {
        struct epoll_event ev;
        struct epoll_event only = {.events = EPOLLIN};
        int one = epoll_create1(EPOLL_CLOEXEC);
        epoll_ctl(one, EPOLL_CTL_ADD, w[i].wake_fd, &only);
        REQUIRE(epoll_wait(one, &ev, 1, 5000) == 1);
        close(one);
    }
    return 0;
}

static void all_are_woken(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child a = member_run(&r, wake_many, NULL);

    hear(a.talk);
    for (int i = 0; i < MANY; i++) {
        kernel_sends(fd, (uint16_t)(7000 + i));
    }
    assert_int_equal(child_end(&a), 0);
    close(fd);
}

/* Work left for the holder of the lock */

static void *leave_work(void *arg)
{
    session_defer(&the_session, DEFER_DRIVE);
    return arg;
}

static int defer_drive(int talk, void *arg)
{
    struct sock *s = stk_socket(LX_SOCK_DGRAM);
    struct env env;
    pthread_t t;
    (void)arg;

    stk_bind(s, OURS, 5001);
    session_lock(&the_session, &env);
    say(talk, 1);
    hear(talk); /* the packet is in the TUN */
    REQUIRE(pthread_create(&t, NULL, leave_work, NULL) == 0);
    pthread_join(t, NULL); /* did not wait for the lock */
    REQUIRE((sock_ready(the_session.stack, s) & LX_POLLIN) == 0);
    session_unlock(&the_session, &env);
    REQUIRE(sock_ready(the_session.stack, s) & LX_POLLIN);
    return 0;
}

static void deferred_work_is_done(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_DGRAM, PEER, 0);
    struct child a = member_run(&r, defer_drive, NULL);

    hear(a.talk);
    kernel_sends(fd, 5001);
    say(a.talk, 1);
    assert_int_equal(child_end(&a), 0);
    close(fd);
}

/* The loop's own life */

static void on_post(struct uv_loop_s *uv, void *arg)
{
    static int64_t next;
    int *fail = arg;
    (void)uv;
    (void)fail;
    next++;
    if (next == 1000) {
        say(*fail, next);
    }
}

static int loop_life(int talk, void *arg)
{
    int fds = count_fds();
    (void)arg;
    for (int i = 0; i < 10; i++) {
        struct loop *l = loop_start(&the_session);
        REQUIRE(l);
        if (i == 0) {
            fds = count_fds() - 5; /* libuv keeps two for the process */
            for (int k = 0; k < 1000; k++) {
                REQUIRE(loop_post(l, on_post, &talk) == 0);
            }
            hear(talk);
        }
        loop_stop(l);
        if (i > 0) {
            REQUIRE(count_fds() <= fds + 2);
        }
    }
    struct loop *l = loop_start(&the_session);
    int before = count_fds();
    struct env env;
    REQUIRE(session_fork_prepare(&the_session, &env) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        REQUIRE(session_fork_child(&the_session) == 0);
        loop_forget(l);
        l = loop_start(&the_session);
        REQUIRE(l);
        REQUIRE(count_fds() <= before);
        loop_stop(l);
        _exit(0);
    }
    session_fork_parent(&the_session, &env, pid);
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    loop_stop(l);
    return WEXITSTATUS(status);
}

static void loops_come_and_go(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child a = member_run(&r, loop_life, NULL);
    assert_int_equal(hear(a.talk), 1000);
    say(a.talk, 0);
    assert_int_equal(child_end(&a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_member),         cmocka_unit_test(stopped_after_wake),
        cmocka_unit_test(one_packet_one_sleeper), cmocka_unit_test(loop_drives),
        cmocka_unit_test(loop_stays_away),        cmocka_unit_test(keeper_keeps_time),
        cmocka_unit_test(all_are_woken),          cmocka_unit_test(deferred_work_is_done),
        cmocka_unit_test(loops_come_and_go),
    };
    return cmocka_run_group_tests_name("session: wake", tests, NULL, NULL);
}
