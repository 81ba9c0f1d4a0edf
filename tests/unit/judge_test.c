/* build/packetdrill.so through its interface, as google's packetdrill uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/check.h"
#include "tests/drill/opt.h"
#include "tests/drill/wire.h"
#include "tests/judge/ifc.h"

#define US_PER_S 1000000ll

static struct ifc open_ifc(const char *flags)
{
    struct ifc f = {0};
    void *so = dlopen(JUDGE_SO, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        fail_msg("%s", dlerror());
    }
    void (*init)(const char *, struct ifc *);
    *(void **)&init = dlsym(so, "packetdrill_interface_init");
    assert_non_null(init);
    init(flags, &f);
    return f;
}

static long long now_us(struct ifc *f)
{
    struct timeval tv;
    assert_int_equal(f->gettimeofday(f->self, &tv, NULL), 0);
    return tv.tv_sec * US_PER_S + tv.tv_usec;
}

/* --- a peer --- */

static struct wire_ends ends(void)
{
    struct wire_ends e = {.sport = 40000, .dport = 8080};
    addr_parse("192.0.2.1", &e.src);
    addr_parse("192.168.0.1", &e.dst);
    return e;
}

static void inject(struct ifc *f, uint16_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    static uint8_t buf[WIRE_MAX];
    struct wire_ends e = ends();
    struct spec s = {.dir = DIR_IN, .proto = SPEC_TCP, .flags = flags, .win = 65535};
    s.seq = seq;
    s.ack = ack;
    s.have_ack = true;
    s.len = len;
    size_t n = wire_build(&s, &e, buf);
    assert_int_equal(f->netdev_send(f->self, buf, n), 0);
}

struct seen {
    struct wire w;
    long long at;
    uint8_t bytes[2048];
    size_t n;
};

static void receive(struct ifc *f, struct seen *s)
{
    struct str err = {0};
    s->n = sizeof s->bytes;
    assert_int_equal(f->netdev_receive(f->self, s->bytes, &s->n, &s->at), 0);
    assert_true(wire_parse(s->bytes, s->n, &s->w, &err));
    str_free(&err);
}

static int listener(struct ifc *f)
{
    int fd = f->socket(f->self, AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080)};
    at.sin_addr.s_addr = inet_addr("192.168.0.1");
    assert_true(fd > 2);
    assert_int_equal(f->bind(f->self, fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(f->listen(f->self, fd, 5), 0);
    return fd;
}

/* A connection that is accepted; *ack: what the peer acknowledges next. */
static int connection(struct ifc *f, uint32_t *ack)
{
    struct seen s;
    int fd = listener(f);
    inject(f, F_SYN, 1000, 0, 0);
    receive(f, &s);
    *ack = s.w.seq + 1;
    inject(f, F_ACK, 1001, *ack, 0);
    int conn = f->accept(f->self, fd, NULL, NULL);
    assert_true(conn > 2);
    return conn;
}

/* --- tests --- */

static void packetdrill_spins_on_a_clock_that_ticks(void **state)
{
    struct ifc f = open_ifc("linux");
    (void)state;
    long long a = now_us(&f);
    assert_int_equal(now_us(&f) - a, 1);
    assert_int_equal(f.usleep(f.self, 2500000), 0);
    assert_int_equal(now_us(&f) - a, 2500002);
    f.free(f.self);
}

/* RFC 6298 2.1, RFC 9293 3.8.1: a SYN,ACK is sent again after a second. */
static void waiting_for_a_packet_lets_time_pass(void **state)
{
    struct ifc f = open_ifc("");
    struct seen first, second;
    (void)state;
    listener(&f);
    long long begin = now_us(&f);
    inject(&f, F_SYN, 1000, 0, 0);
    receive(&f, &first);
    receive(&f, &second);
    assert_in_range(first.at, begin, begin + 10);
    assert_int_equal(first.w.flags, F_SYN | F_ACK);
    assert_int_equal(second.w.seq, first.w.seq);
    assert_int_equal(second.at - first.at, US_PER_S);
    f.free(f.self);
}

/* What is asked for and will never come is an error, not for ever. */
static void without_a_timer_there_is_an_empty_packet(void **state)
{
    struct ifc f = open_ifc("");
    uint8_t buf[100];
    size_t n = sizeof buf;
    long long at;
    (void)state;
    listener(&f);
    assert_int_equal(f.netdev_receive(f.self, buf, &n, &at), 0);
    assert_int_equal(n, 0);
    f.free(f.self);
}

static void calls_answer_as_in_libc(void **state)
{
    struct ifc f = open_ifc("");
    char buf[10];
    uint32_t ack;
    struct seen s;
    (void)state;
    int fd = connection(&f, &ack);
    assert_int_equal(f.recv(f.self, fd, buf, sizeof buf, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    inject(&f, F_ACK | F_PSH, 1001, ack, 7);
    assert_int_equal(f.read(f.self, fd, buf, sizeof buf), 7);
    receive(&f, &s); /* the first segments are acknowledged at once */
    assert_int_equal(s.w.ack, 1008);
    assert_int_equal(f.write(f.self, fd, "abc", 3), 3);
    receive(&f, &s);
    assert_int_equal(s.w.ack, 1008);
    assert_int_equal(s.w.payload_len, 3);
    assert_int_equal(f.close(f.self, fd), 0);
    assert_int_equal(f.read(f.self, fd, buf, 1), -1);
    assert_int_equal(errno, EBADF);
    f.free(f.self);
}

/* packetdrill asserts that much of TCP_INFO, and wants the other two to succeed. */
static void code_blocks_get_what_they_ask_for(void **state)
{
    struct ifc f = open_ifc("");
    uint8_t info[512];
    uint32_t mem[9], ack;
    socklen_t n = sizeof info;
    (void)state;
    int fd = connection(&f, &ack);
    assert_int_equal(f.getsockopt(f.self, fd, IPPROTO_TCP, TCP_INFO, info, &n), 0);
    assert_true(n >= 280);
    assert_int_equal(info[0], TCP_ESTABLISHED);
    n = sizeof mem;
    assert_int_equal(f.getsockopt(f.self, fd, SOL_SOCKET, SO_MEMINFO, mem, &n), 0);
    assert_int_equal(n, sizeof mem);
    n = sizeof info;
    assert_int_equal(f.getsockopt(f.self, fd, IPPROTO_TCP, TCP_CC_INFO, info, &n), 0);
    f.free(f.self);
}

struct reader {
    struct ifc *f;
    int fd;
    _Atomic pid_t tid;
    ssize_t got;
    long long at;
};

static void *read_on_a_thread(void *arg)
{
    struct reader *r = arg;
    char buf[10];
    r->tid = (pid_t)syscall(SYS_gettid);
    r->got = r->f->read(r->f->self, r->fd, buf, sizeof buf);
    r->at = now_us(r->f);
    return NULL;
}

static char state_of(pid_t tid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "r");
    if (!file) {
        return '?';
    }
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *end = n ? strrchr(text, ')') : NULL;
    return end ? end[2] : '?';
}

/* It sleeps as packetdrill looks for, and sees the moment its call ended at. */
static void a_blocked_call_sleeps_on_its_thread(void **state)
{
    struct ifc f = open_ifc("");
    struct reader r = {.f = &f};
    pthread_t t;
    uint32_t ack;
    (void)state;
    r.fd = connection(&f, &ack);
    assert_int_equal(pthread_create(&t, NULL, read_on_a_thread, &r), 0);
    while (!r.tid || state_of(r.tid) != 'S') {
        sched_yield();
    }
    f.usleep(f.self, 5000);
    long long sent = now_us(&f);
    inject(&f, F_ACK | F_PSH, 1001, ack, 5);
    f.usleep(f.self, 7000000); /* nothing of this is seen by the reader */
    pthread_join(t, NULL);
    assert_int_equal(r.got, 5);
    assert_int_equal(r.at, sent);
    f.free(f.self);
}

/* As FreeBSD orders the options of a SYN,ACK: <mss,nop,wscale,sackOK,TS>. */
static void a_flag_chooses_the_profile(void **state)
{
    struct ifc f = open_ifc("freebsd");
    uint8_t buf[WIRE_MAX];
    struct wire_ends e = ends();
    struct spec syn = {.dir = DIR_IN, .proto = SPEC_TCP, .flags = F_SYN, .win = 65535, .seq = 1000};
    static const uint8_t opts[] = {2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 1, 1};
    struct seen s;
    (void)state;
    memcpy(syn.opts.b, opts, sizeof opts);
    syn.opts.n = sizeof opts;
    listener(&f);
    assert_int_equal(f.netdev_send(f.self, buf, wire_build(&syn, &e, buf)), 0);
    receive(&f, &s);
    assert_int_equal(s.w.opts.b[0], OPT_MSS);
    assert_int_equal(s.w.opts.b[4], OPT_NOP);
    assert_int_equal(s.w.opts.b[5], OPT_WSCALE);
    f.free(f.self);
}

/* The bytes of a retransmitted handshake, initial sequence number and all. */
static void one_run(const char *flags, struct seen s[2])
{
    struct ifc f = open_ifc(flags);
    listener(&f);
    inject(&f, F_SYN, 1000, 0, 0);
    receive(&f, &s[0]);
    receive(&f, &s[1]);
    f.free(f.self);
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->n == b->n && a->at == b->at && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static void runs_are_alike_bit_for_bit(void **state)
{
    static struct seen a[2], b[2], c[2];
    (void)state;
    one_run("seed=5", a);
    one_run("seed=5", b);
    one_run("seed=6", c);
    assert_true(same(&a[0], &b[0]) && same(&a[1], &b[1]));
    assert_false(same(&a[0], &c[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packetdrill_spins_on_a_clock_that_ticks),
        cmocka_unit_test(waiting_for_a_packet_lets_time_pass),
        cmocka_unit_test(without_a_timer_there_is_an_empty_packet),
        cmocka_unit_test(calls_answer_as_in_libc),
        cmocka_unit_test(code_blocks_get_what_they_ask_for),
        cmocka_unit_test(a_blocked_call_sleeps_on_its_thread),
        cmocka_unit_test(a_flag_chooses_the_profile),
        cmocka_unit_test(runs_are_alike_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
