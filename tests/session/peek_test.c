/*
 * A session looked at from outside: found by name, read while its program runs, is stopped in the
 * midst of a call with the lock held, has died; by those who may, and for reading only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/trace.h"
#include "host.h"
#include "tun/peek.h"

#define PEER "10.77.0.1"
#define OURS "10.77.0.2"

static struct peek p;

static void opened(const struct session_result *r)
{
    struct session_result o = peek_open(&p, r->name, "");
    if (o.code) {
        print_error("%s: %s (%s)\n", o.step, session_strerror(o.code), strerror(o.err));
    }
    assert_int_equal(o.code, SESSION_OK);
}

/* How many sockets, and the connection to port `port` among them. */
static unsigned look(uint16_t port, struct view_sock *found)
{
    struct view_iter it = {0};
    struct view_sock s;
    unsigned n = 0;
    memset(found, 0, sizeof *found);
    while (view_next(&p.view, &it, &s)) {
        n++;
        if (s.flow.rport == port) {
            *found = s;
        }
    }
    return n;
}

static unsigned count_calls(unsigned call)
{
    struct event ev[256];
    uint64_t from = 0, lost = 0;
    uint32_t k;
    unsigned n = 0;
    while ((k = view_events(&p.view, &from, ev, 256, &lost)) > 0) {
        for (uint32_t i = 0; i < k; i++) {
            n += ev[i].kind == EV_CALL && ev[i].u.call.call == call;
        }
    }
    return n;
}

static int connects(int talk, void *arg)
{
    struct loop *l = loop_start(&the_session);
    struct sleeper w;
    struct sock *s = stk_socket(LX_SOCK_STREAM);
    struct sock *other = stk_socket(LX_SOCK_DGRAM);
    REQUIRE(l && other);
    sleeper_open(&w, l);
    REQUIRE(stk_connect(s, PEER, *(uint16_t *)arg) == -ERR_INPROGRESS);
    REQUIRE(sleeper_wait(&w, s, LX_POLLOUT, 5000));
    REQUIRE(stk_send(s, "hello", 5) == 5);
    say(talk, getpid());
    int64_t what = hear(talk);
    if (what == 1) { /* hang, the lock held */
        struct env env;
        session_lock(&the_session, &env);
        say(talk, 2);
        pause();
    }
    return 0;
}

static void running_hanging_dead(void **state)
{
    struct view_sock s;
    char names[4][SESSION_NAME];
    (void)state;
    host_net();
    assert_int_equal(peek_list(names, 4), 0);
    struct session_result r = host_start();
    assert_int_equal(peek_list(names, 4), 1);
    assert_string_equal(names[0], r.name);
    int fd = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(fd);
    struct child c = member_run(&r, connects, &port);
    int64_t pid = hear(c.talk);

    opened(&r);
    assert_int_equal(look(port, &s), 2);
    assert_int_equal(s.state, TCP_ESTABLISHED);
    assert_int_equal(s.proto, LX_IPPROTO_TCP);
    uint32_t member = peek_member(&p, (int32_t)pid);
    assert_true(member > 0);
    assert_true(s.members.w[member / 64] >> member % 64 & 1);
    assert_int_equal(count_calls(EVC_SEND), 1);
    assert_string_equal(p.arena->token, "");
    assert_int_equal(peek_member(&p, -5), 0);

    say(c.talk, 1);
    hear(c.talk);
    assert_true(peek_refresh(&p));
    assert_int_equal(p.arena->lock_owner, member);
    assert_int_equal(look(port, &s), 2);
    assert_int_equal(s.info.tcpi_snd_mss, 1448);

    child_kill(&c, SIGKILL);
    child_end(&c);
    assert_true(peek_refresh(&p));
    assert_true(look(port, &s) <= 2); /* what it left, or what is left of that */
    assert_true(count_calls(EVC_CONNECT) == 1);
    close(fd);
    peek_close(&p);
}

static bool ended(void *arg)
{
    (void)arg;
    return peek_ended(&p);
}

/* A dead program's session, which a launcher still holds. */
static void dead_but_held(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    int fd = krn_socket(SOCK_STREAM, PEER, 0);
    uint16_t port = krn_port(fd);
    int hold = session_hold(r.name, r.token);
    struct child c = member_run(&r, connects, &port);
    hear(c.talk);
    child_kill(&c, SIGKILL);
    child_end(&c);
    opened(&r);
    assert_int_equal(count_calls(EVC_SEND), 1);
    assert_false(peek_ended(&p));
    close(hold);
    close(fd);
    assert_int_equal(count_calls(EVC_SEND), 1);
    peek_close(&p);
}

static void for_reading_only(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    opened(&r);
    char byte = 1;
    assert_true(pwrite(p.fd, &byte, 1, 0) < 0);
    assert_int_equal(errno, EBADF);
    void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
    assert_ptr_equal(m, MAP_FAILED);
    assert_int_equal(errno, EACCES);
    assert_false(peek_read(&p, 0, &byte, 1));
    assert_false(peek_read(&p, ARENA_BASE - 1, &byte, 1));
    assert_false(peek_read(&p, ARENA_BASE + ARENA_MAX, &byte, 1));
    assert_false(peek_read(&p, UINT64_MAX, &byte, 1));
    assert_true(peek_read(&p, ARENA_BASE, &byte, 1));
    peek_close(&p);
}

/* Another user is refused without the token, and let in with it. */
static int as_nobody(int talk, void *arg)
{
    const struct session_result *r = arg;
    (void)talk;
    REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    REQUIRE(peek_open(&p, r->name, "").code == SESSION_REFUSED);
    REQUIRE(peek_open(&p, r->name, r->token).code == SESSION_OK);
    peek_close(&p);
    REQUIRE(peek_open(&p, "@standin-0000000000000000", "").code == SESSION_DEAD);
    return 0;
}

static void who_may_look(void **state)
{
    (void)state;
    host_net();
    struct session_result r = host_start();
    struct child c = child_run(as_nobody, &r);
    assert_int_equal(child_end(&c), 0);
}

static int looks_on(int talk, void *arg)
{
    (void)arg;
    say(talk, keeper_of());
    hear(talk);
    session_leave(&the_session);
    return 0;
}

static int starts(int talk, void *arg)
{
    struct session_result *r = arg;
    *r = host_start();
    say(talk, 1);
    hear(talk);
    return 0;
}

/* One who looks keeps nothing alive, and sees the end. */
static void keeps_nothing(void **state)
{
    (void)state;
    host_net();
    struct session_result *r =
        mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct child s = child_run(starts, r);
    hear(s.talk);
    struct child c = member_run(r, looks_on, NULL);
    pid_t keeper = (pid_t)hear(c.talk);
    say(s.talk, 0);
    assert_int_equal(child_end(&s), 0);
    opened(r);
    assert_false(peek_ended(&p));
    say(c.talk, 0);
    assert_int_equal(child_end(&c), 0);
    assert_true(keeper_ends(keeper, 5000));
    assert_true(until(ended, NULL, 5000));
    assert_true(count_calls(EVC_SOCKET) == 0);
    assert_true(view_event_count(&p.view) >= 2); /* the member came and went */
    peek_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_hanging_dead), cmocka_unit_test(dead_but_held),
        cmocka_unit_test(for_reading_only),     cmocka_unit_test(who_may_look),
        cmocka_unit_test(keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
