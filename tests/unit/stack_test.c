/*
 * stack_test.c - the host as a whole: making it, talking to itself, members, hostile packets, and
 * dying inside it.
 *
 * The last one is what recovery is for: a child process runs verbs on a shared arena and is killed
 * after a random number of single instructions within one. Then the arena must be made whole again,
 * whatever was half done.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/pollset.h"
#include "core/sock_priv.h"
#include "core/tcp.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define US4   "10.77.0.2"
#define US6   "fd77::2"

static struct lone *host;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t buf[200000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_forget(host);
    lone_wait(host, lone_env(host)->now + 1000 * SEC);
    return lone_free(host);
}

/* An arena that is too small, at any of its requests: no stack, no harm. */
static void no_room(void **state)
{
    struct stack_config cfg = {.mtu = 1500};
    (void)state;
    knobs_default(&cfg.knobs);
    for (uint32_t n = 1; n < 6; n++) {
        struct heap h;
        heap_init(&h, (size_t)64 << 20, 1);
        h.grow_fail = n;
        struct stack *st = stack_init(h.base, h.base, h.reserved, &cfg, &h.env);
        assert_true(st == NULL || h.grow_fail > 0);
        heap_fini(&h);
    }
    struct heap h;
    heap_init(&h, (size_t)64 << 20, 1);
    assert_null(stack_init(h.base, h.base, (size_t)1 << 20, &cfg, &h.env));
    heap_fini(&h);
}

static struct sock *listener(const char *at, uint16_t port)
{
    bool v6 = strchr(at, ':') != NULL;
    struct sock *s = lone_sock(host, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM);
    assert_int_equal(lone_bind(host, s, at, port), 0);
    assert_int_equal(sock_listen(host->st, lone_env(host), s, 10), 0);
    return s;
}

static void flush(void)
{
    stack_flush(host->st, lone_env(host));
    assert_null(stack_check(host->st));
}

/* Both ends ours: nothing leaves, everything arrives. */
static void talks_to_itself(void **state)
{
    static const char *const at[] = {US4, US6, "127.0.0.1", "::1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        int err;
        bool v6 = strchr(at[i], ':') != NULL;
        struct sock *l = listener(v6 || i == 0 ? "::" : "0.0.0.0", 80);
        struct sock *c = lone_sock(host, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM);
        assert_int_equal(lone_connect(host, c, at[i], 80), -ERR_INPROGRESS);
        flush();
        struct sock *s = sock_accept(host->st, lone_env(host), l, &err);
        assert_non_null(s);
        struct addr want = lone_addr(at[i]);
        assert_true(addr_eq(&s->flow.laddr, &want));
        size_t sent = 0;
        size_t read = 0;
        while (read < sizeof buf) {
            int64_t n =
                sent < sizeof buf ? lone_send(host, c, buf + sent, sizeof buf - sent, NULL, 0) : 0;
            sent += n > 0 ? (size_t)n : 0;
            n = lone_recv(host, s, buf, sizeof buf, 0, NULL);
            read += n > 0 ? (size_t)n : 0;
            flush();
        }
        assert_int_equal(lone_recv(host, s, buf, 1, 0, NULL), -ERR_AGAIN);
        lone_close(host, c);
        flush();
        assert_int_equal(lone_recv(host, s, buf, 1, 0, NULL), 0);
        lone_close(host, s);
        lone_close(host, l);
        flush();
        assert_null(lone_take(host));
        lone_wait(host, lone_env(host)->now + 100 * SEC);
    }
}

/* Linux: a socket that connects to its own address and port is connected to itself. */
static void self_connect(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
    char got[8];
    (void)state;
    assert_int_equal(lone_bind(host, s, US4, 4444), 0);
    assert_int_equal(lone_connect(host, s, US4, 4444), -ERR_INPROGRESS);
    flush();
    assert_int_equal(tcp_state_of(s), TCP_ESTABLISHED);
    assert_int_equal(lone_send(host, s, "self", 4, NULL, 0), 4);
    flush();
    assert_int_equal(lone_recv(host, s, got, 8, 0, NULL), 4);
    lone_close(host, s);
    flush();
}

/* LAND and its kin: from the link, our own addresses are lies; a group is no peer. RFC 9293
 * 3.9.2.3, MUST-57, MUST-63. */
static void martians(void **state)
{
    static const struct {
        const char *src, *dst;
        enum drop why;
    } table[] = {{US4, US4, DROP_MARTIAN},
                 {"127.0.0.1", US4, DROP_MARTIAN},
                 {PEER4, "127.0.0.1", DROP_IP_NOT_OURS},
                 {US6, US6, DROP_MARTIAN},
                 {"::1", US6, DROP_MARTIAN},
                 {PEER6, "::1", DROP_IP_NOT_OURS},
                 {"224.1.1.1", US4, DROP_IP_SOURCE},
                 {PEER4, "10.77.0.255", DROP_MARTIAN},
                 {PEER4, "224.0.0.1", DROP_MARTIAN},
                 {"10.77.0.255", US4, DROP_IP_SOURCE},
                 {PEER6, "ff02::1", DROP_MARTIAN}};
    struct sock *l = listener("::", 80);
    uint8_t syn[20] = {0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint64_t before = host->st->stats.drop[table[i].why];
        lone_in(host, pkt, lone_ip(pkt, table[i].src, table[i].dst, 6, syn, sizeof syn));
        assert_int_equal(host->st->stats.drop[table[i].why], before + 1);
        assert_null(lone_take(host));
    }
    lone_close(host, l);
}

/* What connect refuses, with Linux's errors. RFC 9293 3.9.2.3, MUST-46. */
static void connect_errors(void **state)
{
    static const struct {
        int family;
        const char *bind, *to;
        int err;
    } table[] = {{LX_AF_INET, NULL, "224.0.0.1", -ERR_NETUNREACH},
                 {LX_AF_INET, NULL, "255.255.255.255", -ERR_NETUNREACH},
                 {LX_AF_INET, NULL, "10.77.0.255", -ERR_NETUNREACH},
                 {LX_AF_INET, NULL, PEER6, -ERR_AFNOSUPPORT},
                 {LX_AF_INET, "127.0.0.1", PEER4, -ERR_INVAL},
                 {LX_AF_INET6, US4, PEER6, -ERR_AFNOSUPPORT},
                 {LX_AF_INET6, US6, PEER4, -ERR_NETUNREACH},
                 {LX_AF_INET6, NULL, "ff02::1", -ERR_NETUNREACH},
                 {LX_AF_INET6, US4, PEER4, -ERR_INPROGRESS},
                 {LX_AF_INET6, "::", PEER4, -ERR_INPROGRESS},
                 {LX_AF_INET, "0.0.0.0", PEER4, -ERR_INPROGRESS}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct sock *s = lone_sock(host, table[i].family, LX_SOCK_STREAM);
        if (table[i].bind) {
            assert_int_equal(lone_bind(host, s, table[i].bind, 0), 0);
        }
        assert_int_equal(lone_connect(host, s, table[i].to, 80), table[i].err);
        lone_close(host, s);
        flush();
    }
}

/* After a failure the socket may try again; AF_UNSPEC undoes everything. */
static void connect_again(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
    struct endpoint e;
    (void)state;
    assert_int_equal(lone_connect(host, s, US4, 81), -ERR_INPROGRESS);
    flush(); /* nobody listens: reset */
    assert_int_equal(lone_connect(host, s, US4, 81), -ERR_CONNREFUSED);
    assert_int_equal(lone_bind(host, s, US4, 0), 0); /* Linux: the port was given back */
    struct sock *l = listener("0.0.0.0", 81);
    assert_int_equal(lone_connect(host, s, US4, 81), -ERR_INPROGRESS);
    flush();
    assert_int_equal(lone_connect(host, s, US4, 81), 0);
    assert_int_equal(lone_connect(host, s, US4, 81), -ERR_ISCONN);
    assert_int_equal(sock_peer(host->st, s, &e), 0);
    assert_int_equal(sock_connect(host->st, lone_env(host), s, NULL), 0);
    assert_int_equal(sock_peer(host->st, s, &e), -ERR_NOTCONN);
    flush();
    assert_int_equal(lone_connect(host, s, US4, 81), -ERR_INPROGRESS);
    flush();
    lone_close(host, s);
    lone_close(host, l);
    flush();
}

/* A socket lives as long as one process holds it. */
static void members(void **state)
{
    struct env *env = lone_env(host);
    struct sock *a = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct sock *b = listener("0.0.0.0", 80);
    (void)state;
    sock_inherit_all(host->st, 0, 200);
    assert_true(sock_held_by(a, 200) && sock_held_by(b, 200));
    sock_release(host->st, env, a, 7); /* not held: nothing */
    sock_release_all(host->st, env, 0);
    assert_int_equal(mem_use(host->st->mem).objs[MEM_UDP], 1);
    assert_int_equal(tcp_state_of(b), TCP_LISTEN);
    sock_release_all(host->st, env, 200);
    assert_int_equal(mem_use(host->st->mem).objs[MEM_UDP], 0);
    assert_int_equal(mem_use(host->st->mem).objs[MEM_TCP], 0);
}

/* Packets of all sorts, many nearly right, at a host with every kind of socket open. */
static void hostile(void **state)
{
    struct sock *l = listener("::", 80);
    struct sock *u = lone_sock(host, LX_AF_INET6, LX_SOCK_DGRAM);
    (void)state;
    assert_int_equal(lone_bind(host, u, "::", 53), 0);
    for (unsigned i = 0; i < 150000; i++) {
        static const uint8_t protos[] = {6, 17, 1, 58, 44, 0, 60, 4};
        uint8_t upper[120];
        bool v6 = i & 1;
        size_t n = heap_below(&host->heap, sizeof upper);
        heap_random(lone_env(host), upper, sizeof upper);
        upper[0] = upper[2] = 0;
        upper[3] = i & 2 ? 80 : 53;
        upper[12] = (uint8_t)(upper[12] & (i & 4 ? 0x50 : 0xff));
        size_t len = lone_ip(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4,
                             protos[heap_below(&host->heap, ARRAY_LEN(protos))], upper, n);
        if (i % 5 == 0) {
            pkt[heap_below(&host->heap, (uint32_t)len)] ^=
                (uint8_t)(1 << heap_below(&host->heap, 8));
            if (i % 2 == 0) {
                lone_fix(pkt, len);
            }
        }
        lone_in(host, pkt, len);
        if (i % 2000 == 0) {
            assert_null(stack_check(host->st));
            lone_wait(host, lone_env(host)->now + SEC);
            lone_forget(host);
        }
    }
    lone_close(host, l);
    lone_close(host, u);
    flush();
}

/* --- dying inside --- */

#define ARENA ((size_t)96 << 20)
#define OPEN  12

static uint8_t *arena;
static uint32_t rnd_state;

static uint32_t rnd(uint32_t n)
{
    rnd_state = rnd_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(rnd_state >> 8) * n >> 24);
}

static void emit_nothing(struct env *env, const struct pkt_out *p)
{
    (void)env;
    (void)p;
}

static int grow_none(struct env *env, size_t size)
{
    (void)env;
    return size <= ARENA ? 0 : -ERR_NOMEM;
}

static void chance(struct env *env, void *p, size_t len)
{
    (void)env;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)p)[i] = (uint8_t)rnd(256);
    }
}

static const struct env_ops ops = {.emit = emit_nothing, .grow = grow_none, .random = chance};

/* What the dying process has; it is its own memory. */
static struct {
    struct stack *st;
    struct env env;
    struct sock *s[OPEN];
    struct pollset *set;
    bool dgrams_only;
} life;

static struct endpoint somewhere(void)
{
    static const char *const at[] = {US4, US6, "127.0.0.1", PEER4, "0.0.0.0", "::"};
    return lone_at(at[rnd(ARRAY_LEN(at))], (uint16_t)(5000 + rnd(6)));
}

static void op_create(unsigned i)
{
    int err;
    if (!life.s[i]) {
        life.s[i] =
            sock_create(life.st, &life.env, rnd(2) ? LX_AF_INET : LX_AF_INET6,
                        rnd(3) && !life.dgrams_only ? LX_SOCK_STREAM : LX_SOCK_DGRAM, 0, &err);
        return;
    }
    struct endpoint at = somewhere();
    if (rnd(3) == 0) {
        (void)sock_bind(life.st, &life.env, life.s[i], &at, true);
        (void)sock_listen(life.st, &life.env, life.s[i], 4);
    } else {
        (void)sock_connect(life.st, &life.env, life.s[i], rnd(20) ? &at : NULL);
    }
}

static void op_accept(unsigned i)
{
    int err;
    unsigned free_one = 0;
    while (free_one < OPEN && life.s[free_one]) {
        free_one++;
    }
    if (life.s[i] && free_one < OPEN) {
        struct sock *child = sock_accept(life.st, &life.env, life.s[i], &err);
        life.s[free_one] = child;
    }
}

static void op_data(unsigned i)
{
    static uint8_t data[6000];
    struct span v = {data, rnd(sizeof data)};
    struct mspan m = {data, rnd(sizeof data)};
    struct endpoint to = somewhere();
    struct recv_info info;
    if (!life.s[i]) {
        return;
    }
    bool dgram = life.s[i]->type == LX_SOCK_DGRAM;
    if (rnd(3)) {
        (void)sock_send(life.st, &life.env, life.s[i], &v, 1, 0, dgram ? &to : NULL);
    } else {
        (void)sock_recv(life.st, &life.env, life.s[i], &m, 1, 0, &info);
    }
}

static void op_watch(unsigned i)
{
    struct poll_event ev[8];
    if (!life.set) {
        life.set = pollset_new(life.st, &life.env, 1);
    } else if (life.s[i] && rnd(3)) {
        (void)pollset_add(life.st, &life.env, life.set, life.s[i], (int)i, LX_POLLIN | LX_POLLOUT,
                          1);
    } else if (rnd(2)) {
        (void)pollset_del(life.st, life.set, (int)i);
    } else {
        (void)pollset_collect(life.st, life.set, ev, 8);
    }
}

static void op_packet(void)
{
    uint8_t upper[1000] = {0x10, 0, 0x13, 0x88};
    size_t len;
    if (rnd(2)) {
        len = lone_frag(pkt, PEER4, US4, 17, rnd(20), upper, rnd(60) * 8, 8 * (1 + rnd(60)),
                        rnd(3) > 0);
    } else {
        upper[13] = 2; /* SYN, from nowhere */
        upper[12] = 0x50;
        upper[3] = (uint8_t)(0x88 + rnd(6));
        len = lone_ip(pkt, PEER4, US4, 6, upper, 20);
    }
    stack_input(life.st, &life.env, &(struct pkt_in){.p = pkt, .len = len});
}

static void one_op(void)
{
    unsigned i = rnd(OPEN);
    life.env.now += rnd(50) * MSEC;
    switch (rnd(10)) {
    case 0:
    case 1:
    case 2:
        op_create(i);
        break;
    case 3:
        op_accept(i);
        break;
    case 4:
    case 5:
        op_data(i);
        break;
    case 6:
        op_watch(i);
        break;
    case 7:
        op_packet();
        break;
    case 8:
        if (life.s[i] && rnd(2)) {
            struct sock *s = life.s[i];
            life.s[i] = NULL;
            sock_release(life.st, &life.env, s, 1);
        }
        break;
    default:
        stack_expire(life.st, &life.env);
    }
    stack_flush(life.st, &life.env);
}

static struct stack *stack_shared(void)
{
    struct stack_config cfg = {.naddr = 2, .mtu = 1500};
    cfg.addr[0] = (struct ifaddr){lone_addr(US4), 24};
    cfg.addr[1] = (struct ifaddr){lone_addr(US6), 64};
    knobs_default(&cfg.knobs);
    life.env = (struct env){.ops = &ops, .now = 1000 * SEC, .member = 1};
    assert_int_equal(madvise(arena, ARENA, MADV_REMOVE), 0); /* an arena is new memory */
    struct stack *st = stack_init(arena, arena, ARENA, &cfg, &life.env);
    assert_non_null(st);
    return st;
}

/* The child: some verbs in peace, a stop, and then one in which it dies. */
static _Noreturn void child_life(unsigned peaceful, bool recovering)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    for (unsigned i = 0; i < peaceful; i++) {
        one_op();
    }
    raise(SIGSTOP);
    if (recovering) {
        stack_recover(life.st, &life.env);
    }
    for (;;) {
        one_op();
    }
}

/* False: this machine does not let us trace. */
static bool die_within(pid_t pid, unsigned steps)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return false;
    }
    for (unsigned i = 0; i < steps; i++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0 || waitpid(pid, &status, 0) != pid ||
            !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
            return false;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return true;
}

/* The dead held everything; once it lets go and time passes, nothing may be left. */
static void bury(struct stack *st, struct env *env)
{
    sock_release_all(st, env, 1);
    for (struct pollset *p = mem_obj_next(st->mem, MEM_POLLSET, NULL); p;
         p = mem_obj_next(st->mem, MEM_POLLSET, p)) {
        pollset_free(st, p);
    }
    for (int i = 0; i < 2000; i++) {
        nsec at = stack_deadline(st);
        if (at == NEVER) {
            break;
        }
        env->now = nsec_max(env->now, at);
        stack_expire(st, env);
    }
}

static void nothing_left(struct stack *st, unsigned round)
{
    const char *bad = stack_check(st);
    struct mem_use use = mem_use(st->mem);
    for (int k = 0; !bad && k < MEM_KINDS; k++) {
        bad = use.objs[k] != 0 ? "something is left" : NULL;
    }
    if (bad) {
        fail_msg("round %u: %s", round, bad);
    }
}

static void one_death(unsigned round)
{
    rnd_state = round * 2654435761u + 1;
    memset(&life, 0, sizeof life);
    life.st = stack_shared();
    struct stack *st = life.st;
    struct env env = life.env;
    env.member = 0;
    unsigned peaceful = 20 + rnd(150);
    unsigned steps = 1 + rnd(round % 4 == 0 ? 20000 : 2500);
    bool recovering = round % 4 == 0;

    pid_t pid = fork();
    if (pid == 0) {
        child_life(peaceful, recovering);
    }
    if (!die_within(pid, steps)) {
        kill(pid, SIGKILL);
        skip();
    }
    env.now += 20 * SEC;
    stack_recover(st, &env);
    const char *bad = stack_check(st);
    if (bad) {
        fail_msg("round %u, after recovery: %s", round, bad);
    }
    bury(st, &env);
    nothing_left(st, round);
}

/* The same verbs without a death; datagrams now and then without memory: nothing breaks or is left.
 */
static void random_lives(void **state)
{
    (void)state;
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    assert_true(arena != MAP_FAILED);
    for (unsigned round = 0; round < 60; round++) {
        rnd_state = round * 2246822519u + 7;
        memset(&life, 0, sizeof life);
        life.st = stack_shared();
        life.dgrams_only = round & 1;
        for (unsigned i = 0; i < 1500; i++) {
            if (life.dgrams_only) {
                mem_fail_nth(life.st->mem, rnd(8));
            }
            one_op();
            mem_fail_nth(life.st->mem, 0);
            if (i % 50 == 0) {
                const char *bad = stack_check(life.st);
                if (bad) {
                    fail_msg("round %u, step %u: %s", round, i, bad);
                }
            }
        }
        bury(life.st, &life.env);
        nothing_left(life.st, round);
    }
    munmap(arena, ARENA);
}

static void dying_inside(void **state)
{
    (void)state;
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    assert_true(arena != MAP_FAILED);
    const char *first = getenv("ROUND");
    unsigned from = first ? (unsigned)atoi(first) : 0;
    const char *many = getenv("ROUNDS");
    unsigned count = many ? (unsigned)atoi(many) : 60;
    for (unsigned round = from; round < from + count; round++) {
        one_death(round);
    }
    munmap(arena, ARENA);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(no_room),
        T(talks_to_itself),
        T(self_connect),
        T(martians),
        T(connect_errors),
        T(connect_again),
        T(members),
        T(hostile),
        cmocka_unit_test(random_lives),
        cmocka_unit_test(dying_inside),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
