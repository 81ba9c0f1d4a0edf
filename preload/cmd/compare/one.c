/*
 * one.c - theory: two network namespaces, A for the program and B for the server, and the relay
 * between them (tun/relay.h). On the kernel's stack the program's end of the wire is a TUN in A; on
 * ours it is a pair whose other end the session takes for its link. Everything else is the same:
 * server, engine, addresses, order of steps.
 *
 *     make A, B and both ends -> start the server, wait until it listens -> relay -> sampler
 *     -> program
 *     -> wait for it -> wait until both sides have closed -> stop everything, in reverse
 */
#include "one.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../msg.h"
#include "../place.h"
#include "tun/impair.h"
#include "tun/pcapng.h"
#include "tun/peek.h"
#include "tun/relay.h"

#define LISTEN_MS 15000
#define CLOSE_MS  3000
#define STEP_MS   3
#define MADE      "made by the wire"

const char *const stack_names[STACKS] = {"kernel", "user"};

/* One run under way. */
struct stage {
    const struct setup *s;
    struct one *o;
    int home, a, b; /* network namespaces; -1 */
    struct link program, peer;
    int session_fd; /* ours: what the session takes for its link */
    pid_t server;   /* leads a process group; 0: none */
};

static void sleep_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

/* ---- what the wire shows; in the relay's thread */

static void on_put(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len)
{
    struct one *o = ctx;

    if (o->nseen == SEEN_MAX) {
        o->unseen++;
        return;
    }
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) {
        o->unseen++;
        return;
    }
    memcpy(copy, p, len);
    o->seen[o->nseen++] = (struct seen){
        .at = at, .arrived = NEVER, .no = no, .dir = (uint8_t)d, .len = (uint16_t)len, .p = copy};
}

/* It is among the latest. */
static struct seen *find(struct one *o, unsigned dir, uint64_t no)
{
    for (unsigned i = o->nseen; i-- > 0;) {
        bool own = o->seen[i].no == 0 && no != 0;
        if (o->seen[i].dir == dir && o->seen[i].no <= no && !own) {
            return o->seen[i].no == no ? &o->seen[i] : NULL;
        }
    }
    return NULL;
}

static void on_fired(void *ctx, const struct wire_firing *f)
{
    struct seen *x = find(ctx, f->dir, f->pkt);
    if (x) {
        x->fired = f->what;
        x->rule = f->rule;
    }
}

static void on_taken(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len)
{
    if (no == 0) { /* made by the wire: it did not go in */
        on_put(ctx, at, d, no, p, len);
    }
    struct seen *x = find(ctx, d, no);
    if (x && x->arrived == NEVER) {
        x->arrived = at;
    }
}

/* ---- processes */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = write(fd, text, strlen(text));
        (void)n;
        close(fd);
    }
}

/* In a new namespace: nothing remembered of earlier runs; and what --set asks for. */
static void set_kernel(const struct setup *s)
{
    write_text("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
    for (unsigned i = 0; i < s->nset; i++) {
        char path[160];
        const char *eq = strchr(s->set[i], '=');
        if (eq && strncmp(s->set[i], "user.", 5) != 0) {
            snprintf(path, sizeof path, "/proc/sys/net/ipv4/%.*s", (int)(eq - s->set[i]),
                     s->set[i]);
            write_text(path, eq + 1);
        }
    }
}

static void to_file(int fd, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file >= 0) {
        dup2(file, fd);
    }
}

/* A child in that namespace, which ends with us; its own process group. */
static pid_t start(const struct setup *s, int netns, const char *path, char *const argv[],
                   const char *out, const char *err)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (relay_enter(netns) != 0) {
        _exit(EXIT_STANDIN);
    }
    set_kernel(s);
    to_file(0, "/dev/null");
    to_file(1, out);
    to_file(2, err);
    execvp(path, argv);
    _exit(EXIT_MISSING);
}

/* CUBIC as on our stack, on every route: its sysctl takes only what the first namespace allows. */
static bool set_cubic(const struct setup *s, int netns)
{
    char sh[] = "sh", c[] = "-c";
    char cmd[] = "for f in -4 -6; do ip $f route show | while read -r r; do "
                 "ip $f route replace $r congctl cubic || exit 1; done; done";
    char *words[] = {sh, c, cmd, NULL};
    int status = -1;

    waitpid(start(s, netns, sh, words, "/dev/null", "/dev/null"), &status, 0);
    if (status != 0) {
        msg("cannot set CUBIC on the kernel's routes: ip (iproute2) is needed");
    }
    return status == 0;
}

/* How many sockets of the calling thread's namespace are in a state of this set (bit n: Linux's
 * number n). */
static unsigned count_states(unsigned set)
{
    static const char *const tables[] = {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"};
    char line[512];
    unsigned st;
    unsigned n = 0;

    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(tables[i], "re");
        while (f && fgets(line, sizeof line, f)) {
            if (sscanf(line, "%*d: %*s %*s %x", &st) == 1 && st < 32 && set >> st & 1) {
                n++;
            }
        }
        if (f) {
            fclose(f);
        }
    }
    return n;
}

enum { LINUX_TIME_WAIT = 6, LINUX_CLOSE = 7, LINUX_LISTEN = 10 };
#define OPEN_STATES (0xfffu & ~(1u << LINUX_TIME_WAIT | 1u << LINUX_CLOSE | 1u << LINUX_LISTEN))

static bool start_server(struct stage *t)
{
    char sh[] = "sh", c[] = "-c";
    char out[600], err[600];
    char *words[] = {sh, c, (char *)(uintptr_t)t->s->server, NULL};

    if (!t->s->server) {
        return true;
    }
    snprintf(out, sizeof out, "%s/server.out", t->s->folder);
    snprintf(err, sizeof err, "%s/server.err", t->s->folder);
    t->server = start(t->s, t->b, sh, words, out, err);
    relay_enter(t->b);
    bool ready = false;
    for (int ms = 0; ms < LISTEN_MS && !(ready = count_states(1u << LINUX_LISTEN) > 0);
         ms += STEP_MS) {
        if (waitpid(t->server, NULL, WNOHANG) == t->server) {
            msg("the server ended before it listened: %s", t->s->server);
            msg_do("See:", "%s", err);
            t->server = 0;
            break;
        }
        sleep_ms(STEP_MS);
    }
    relay_enter(t->home);
    if (!ready && t->server) {
        msg("the server listens on no TCP port after %d s: %s", LISTEN_MS / 1000, t->s->server);
    }
    return ready;
}

/* ---- the stage */

static struct ifaddr address(const char *text, uint8_t bits)
{
    struct ifaddr a = {.bits = bits};
    addr_parse(text, &a.addr);
    return a;
}

static bool failed(const char *what, int err)
{
    msg("cannot %s: %s", what, strerror(-err));
    if (err == -EPERM || err == -EACCES) {
        msg_more("A comparison makes network namespaces and TUN devices.");
        msg_do("Fix:", "sudo standin compare ...");
        msg_do("Or:", "unshare -rn standin compare ...    (where /dev/net/tun may be opened)");
    }
    return false;
}

static bool make_ends(struct stage *t)
{
    struct ifaddr ours[2] = {address("10.77.0.2", 24), address("fd77::2", 64)};
    struct ifaddr theirs[2] = {address("10.77.0.1", 24), address("fd77::1", 64)};
    const char *step = "make a pair";
    int err;

    t->a = relay_netns();
    t->b = t->a < 0 ? t->a : relay_netns();
    if (t->b < 0) {
        return failed("make a network namespace", t->b);
    }
    if (t->o->stack == STACK_USER) {
        err = relay_pair(&t->program, t->s->mtu, &t->session_fd);
    } else {
        err = relay_tun(&t->program, t->a, ours, 2, t->s->mtu, false, &step);
    }
    if (!err) {
        err = relay_tun(&t->peer, t->b, theirs, 2, t->s->mtu, false, &step);
    }
    return err ? failed(step, err) : true;
}

/* The program's words; ours behind `standin run`. NULL behind the last. */
static char **words_of(const struct stage *t, char *self)
{
    unsigned n = 0;
    unsigned k = 0;
    while (t->s->program[n]) {
        n++;
    }
    char **w = calloc(n + 2 * t->s->nset + 8, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (t->o->stack == STACK_USER) {
        static char run[] = "run", set[] = "--set", end[] = "--";
        w[k++] = self;
        w[k++] = run;
        for (unsigned i = 0; i < t->s->nset; i++) {
            w[k++] = set;
            w[k++] = (char *)(uintptr_t)t->s->set[i];
        }
        w[k++] = end;
    }
    memcpy(w + k, t->s->program, n * sizeof *w);
    return w;
}

static pid_t start_program(struct stage *t)
{
    char self[PATH_MAX] = "";
    char number[16];

    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    unsetenv("STANDIN_SESSION");
    if (t->o->stack == STACK_USER) {
        snprintf(number, sizeof number, "%d", t->session_fd);
        setenv("STANDIN_LINK", number, 1);
        setenv("STANDIN_ADDR", "10.77.0.2/24,fd77::2/64", 1);
    }
    char **words = words_of(t, self);
    watched_begin(t->s, t->o);
    pid_t pid =
        words && words[0] ? start(t->s, t->a, words[0], words, t->o->out_path, t->o->err_path) : -1;
    watched_end();
    unsetenv("STANDIN_LINK");
    unsetenv("STANDIN_ADDR");
    free(words);
    return pid;
}

static void await_program(struct stage *t, pid_t pid)
{
    struct rusage use = {0};
    nsec end = session_now() + t->s->timeout;
    struct one *o = t->o;

    while (wait4(pid, &o->status, WNOHANG, &use) == 0) {
        if (session_now() > end) {
            o->timed_out = true;
            kill(-pid, SIGKILL);
            wait4(pid, &o->status, 0, &use);
            break;
        }
        sleep_ms(1);
    }
    o->wall = session_now() - o->began;
    o->cpu = ((nsec)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * SEC +
             ((nsec)use.ru_utime.tv_usec + use.ru_stime.tv_usec) * USEC;
}

/* Both sides have closed what they had; a keeper of ours has gone. */
static bool quiet(struct stage *t)
{
    static char names[1][SESSION_NAME];

    relay_enter(t->b);
    unsigned open = count_states(OPEN_STATES);
    relay_enter(t->a);
    open += count_states(OPEN_STATES) + peek_list(names, 1);
    relay_enter(t->home);
    return open == 0;
}

static void stop_server(struct stage *t)
{
    if (t->server > 0) {
        kill(-t->server, SIGKILL);
        waitpid(t->server, NULL, 0);
        t->server = 0;
    }
}

static void copy_firings(struct one *o, const struct wire *w)
{
    o->firings = wire_firings(w);
    o->firing = calloc(WIRE_FIRINGS_MAX, sizeof *o->firing);
    for (uint64_t i = 0; o->firing && i < o->firings; i++) {
        const struct wire_firing *f = wire_firing(w, i);
        if (f && o->nfirings < WIRE_FIRINGS_MAX) {
            o->firing[o->nfirings++] = *f;
        }
    }
}

static bool play(struct stage *t)
{
    struct one *o = t->o;
    struct relay_config cfg = {
        .wire = t->s->wire, .mtu = t->s->mtu, .tap = {on_put, on_fired, on_taken, o}};

    if (!make_ends(t) || !set_cubic(t->s, t->a) || !set_cubic(t->s, t->b) || !start_server(t)) {
        return false;
    }
    struct relay *r = relay_start(&cfg, &t->program, &t->peer);
    if (!r) {
        return failed("start the relay", -ENOMEM);
    }
    struct sampler *sampler = sampler_start(t->a, o->stack, o);
    o->began = session_now();
    pid_t pid = start_program(t);
    if (o->stack == STACK_USER) {
        close(t->session_fd);
        t->session_fd = -1;
    }
    await_program(t, pid);
    for (int ms = 0; ms < CLOSE_MS && !quiet(t); ms += STEP_MS) {
        sleep_ms(STEP_MS);
    }
    sampler_stop(sampler);
    relay_stop(r);
    copy_firings(o, relay_wire(r));
    relay_free(r);
    watched_take(t->s, o);
    return true;
}

/* ---- hashes */

static uint64_t hash_file(const char *path, char hex[65])
{
    crypto_hash_sha256_state st;
    unsigned char digest[crypto_hash_sha256_BYTES];
    static unsigned char buf[65536];
    uint64_t total = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    crypto_hash_sha256_init(&st);
    while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0) {
        crypto_hash_sha256_update(&st, buf, (unsigned long long)n);
        total += (uint64_t)n;
    }
    if (fd >= 0) {
        close(fd);
    }
    crypto_hash_sha256_final(&st, digest);
    sodium_bin2hex(hex, 65, digest, sizeof digest);
    return total;
}

bool one_run(const struct setup *s, enum stack_kind stack, unsigned number, struct one *o)
{
    struct stage t = {.s = s,
                      .o = o,
                      .a = -1,
                      .b = -1,
                      .session_fd = -1,
                      .program = {.fd = -1},
                      .peer = {.fd = -1}};

    *o = (struct one){.stack = stack, .number = number};
    o->seen = calloc(SEEN_MAX, sizeof *o->seen);
    o->sample = calloc(SAMPLE_MAX, sizeof *o->sample);
    if (!o->seen || !o->sample) {
        msg("no memory");
        return false;
    }
    snprintf(o->out_path, sizeof o->out_path, "%s/%s-%u.out", s->folder, stack_names[stack],
             number);
    snprintf(o->err_path, sizeof o->err_path, "%s/%s-%u.err", s->folder, stack_names[stack],
             number);
    t.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    bool good = play(&t);
    stop_server(&t);
    const int fds[] = {t.a, t.b, t.home, t.session_fd, t.program.fd, t.peer.fd};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    o->out_bytes = hash_file(o->out_path, o->out_hash);
    hash_file(o->err_path, o->err_hash);
    return good;
}

void one_free(struct one *o)
{
    for (unsigned i = 0; i < o->nseen; i++) {
        free(o->seen[i].p);
    }
    free(o->seen);
    free(o->sample);
    free(o->firing);
    free(o->call);
    *o = (struct one){0};
}

/* ---- the capture */

static void put_packet(struct pcapng_out *out, const struct seen *x, const struct setup *s,
                       uint64_t real_offset)
{
    char rule[IMPAIR_RULE_MAX] = "the wire itself";
    char comment[IMPAIR_RULE_MAX + 80];
    struct pcapng_packet p = {.at = (uint64_t)x->at + real_offset,
                              .id = x->no,
                              .flags = x->dir == WIRE_OUT ? PCAPNG_OUT : PCAPNG_IN,
                              .len = x->len,
                              .data = x->p,
                              .caplen = x->len};

    if (x->no == 0) {
        p.comment[0] = (struct pcapng_text){MADE, sizeof MADE - 1};
        p.ncomments = 1;
    } else if (x->fired != FIRED_NONE) {
        if (x->rule < s->wire.nrules) {
            impair_print(&s->wire.rule[x->rule], rule);
        }
        int n = snprintf(comment, sizeof comment, "%s by rule %u: %s", wire_fired_text(x->fired),
                         x->rule + 1u, rule);
        p.comment[0] = (struct pcapng_text){comment, (size_t)n};
        p.ncomments = 1;
    }
    pcapng_packet(out, &p);
}

bool one_capture(const struct one *o, const struct setup *s, const char *path)
{
    FILE *f = fopen(path, "we");
    size_t room = pcapng_room(65536 + 1024);
    struct pcapng_out out = {.p = malloc(room), .max = room};
    struct timespec real;

    if (!f || !out.p) {
        msg("cannot write %s: %s", path, strerror(errno));
        free(out.p);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &real);
    uint64_t offset =
        (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec - (uint64_t)session_now();
    pcapng_section(&out, "standin compare", "Linux", stack_names[o->stack]);
    pcapng_interface(&out, "wire", 262144);
    fwrite(out.p, 1, out.len, f);
    for (unsigned i = 0; i < o->nseen; i++) {
        out.len = 0;
        put_packet(&out, &o->seen[i], s, offset);
        fwrite(out.p, 1, out.len, f);
    }
    free(out.p);
    if (fclose(f) != 0) {
        msg("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    return true;
}
