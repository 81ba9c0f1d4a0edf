/*
 * relay_run.c - a program and a server with the emulated wire between them, in two network
 * namespaces of their own: the bench over a lossy wire, and the relay's own test.
 *
 *     relay_run [--stack user|kernel] [--rules RULES] [--seed N] [--firings FILE] [--seen FILE]
 *               [--cubic] [--set NAME=VALUE] --server COMMAND [--beside COMMAND] -- PROGRAM ...
 *
 * The server is ready when a TCP socket listens in its namespace. On the user's stack PROGRAM is
 * started by `standin run` with its link on a pair. --beside: a further command on the kernel's
 * stack behind the same wire, with 10.77.0.3 (a bottleneck that both stacks share). --set: of the
 * program's stack. --seen: every packet as it goes into the wire and as it comes out, for
 * tests/preload/impair.py: records of struct record, each with the packet behind it. Exit status:
 * the program's; 125: we failed.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tun/impair.h"
#include "tun/relay.h"

#define MTU     1500u
#define SET_MAX 8u

static struct {
    bool user, cubic;
    const char *rules, *firings, *server, *standin, *beside, *seen;
    const char *set[SET_MAX];
    unsigned nset;
    uint64_t seed;
} opt = {.rules = "", .seed = 1};

static _Noreturn void fail(const char *what, int err)
{
    fprintf(stderr, "relay_run: %s: %s\n", what, strerror(-err));
    exit(125);
}

static struct ifaddr address(const char *text, uint8_t bits)
{
    struct ifaddr a = {.bits = bits};
    addr_parse(text, &a.addr);
    return a;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

/* In the calling process's namespace. */
static void set_kernel(void)
{
    char path[160];
    for (unsigned i = 0; i < opt.nset; i++) {
        const char *eq = strchr(opt.set[i], '=');
        snprintf(path, sizeof path, "/proc/sys/net/ipv4/%.*s", (int)(eq ? eq - opt.set[i] : 0),
                 opt.set[i]);
        write_text(path, eq ? eq + 1 : "");
    }
}

/* A child in that namespace that ends with us; with a group of its own what it starts can be ended
 * with it. */
static pid_t start(int netns, char *const argv[], bool group, bool sets)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (group) {
        setpgid(0, 0);
    }
    if (relay_enter(netns) != 0) {
        _exit(125);
    }
    write_text("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
    if (sets) {
        set_kernel();
    }
    execvp(argv[0], argv);
    _exit(127);
}

/* In the calling process's namespace. */
static bool listens(void)
{
    static const char *const tables[] = {"tcp", "tcp6"};
    char path[64], line[256];
    bool yes = false;
    for (int i = 0; i < 2 && !yes; i++) {
        snprintf(path, sizeof path, "/proc/self/net/%s", tables[i]);
        FILE *f = fopen(path, "r");
        while (f && !yes && fgets(line, sizeof line, f)) {
            yes = strstr(line, " 0A ") != NULL;
        }
        if (f) {
            fclose(f);
        }
    }
    return yes;
}

static pid_t start_shell(int netns, const char *command)
{
    char sh[] = "sh", c[] = "-c";
    char *argv[] = {sh, c, (char *)(uintptr_t)command, NULL};
    return start(netns, argv, true, false);
}

/* CUBIC on every route of the namespace: its sysctl cannot be set there. */
static void set_cubic(int netns)
{
    int status = 0;
    if (!opt.cubic) {
        return;
    }
    pid_t pid = start_shell(netns, "for f in -4 -6; do ip $f route show | while read -r route; do "
                                   "ip $f route replace $route congctl cubic; done; done");
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail("set CUBIC", -EINVAL);
    }
}

static pid_t start_server(int netns)
{
    pid_t pid = start_shell(netns, opt.server);
    for (int i = 0; i < 2000 && !listens(); i++) {
        usleep(5000);
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            fail("the server has ended", -ECHILD);
        }
    }
    return pid;
}

/* `standin run` before the program's words. */
static char **with_standin(char **argv, int n)
{
    static char run[] = "run", set[] = "--set";
    char **all = calloc((size_t)n + 4 + 2 * SET_MAX, sizeof *all);
    size_t k = 0;
    all[k++] = strdup(opt.standin);
    all[k++] = run;
    for (unsigned i = 0; i < opt.nset; i++) {
        all[k++] = set;
        all[k++] = strdup(opt.set[i]);
    }
    memcpy(all + k, argv, (size_t)n * sizeof *all);
    return all;
}

/* What passes, in the relay's thread. */

struct record {
    int64_t at;
    uint64_t no;
    uint32_t len;
    uint8_t dir, came_out;
    uint8_t pad[2];
};

static void write_record(FILE *f, struct record r, const uint8_t *p)
{
    if (fwrite(&r, sizeof r, 1, f) != 1 || fwrite(p, r.len, 1, f) != 1) {
        fail("write what was seen", -errno);
    }
}

static void on_put(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len)
{
    write_record(ctx, (struct record){.at = at, .no = no, .len = (uint32_t)len, .dir = (uint8_t)d},
                 p);
}

static void on_taken(void *ctx, nsec at, enum wire_dir d, uint64_t no, const uint8_t *p, size_t len)
{
    struct record r = {.at = at, .no = no, .len = (uint32_t)len, .dir = (uint8_t)d, .came_out = 1};
    write_record(ctx, r, p);
}

static void write_firings(const struct wire *w)
{
    FILE *f = fopen(opt.firings, "w");
    if (!f) {
        fail(opt.firings, -errno);
    }
    for (uint64_t i = 0; i < wire_firings(w); i++) {
        const struct wire_firing *x = wire_firing(w, i);
        if (x) {
            fprintf(f, "%s rule %u %s %s conn %u offset %llu len %u pkt %llu at %lld\n",
                    x->dir == WIRE_OUT ? "out" : "in", x->rule + 1u, wire_fired_name(x->what),
                    wire_pick_name(x->pick), x->conn, (unsigned long long)x->offset, x->len,
                    (unsigned long long)x->pkt, (long long)x->at);
        }
    }
    for (int d = 0; d < WIRE_DIRS; d++) {
        const struct wire_counts *c = wire_counts(w, (enum wire_dir)d);
        fprintf(f, "# %s put %llu delivered %llu\n", d == WIRE_OUT ? "out" : "in",
                (unsigned long long)c->put, (unsigned long long)c->delivered);
    }
    fclose(f);
}

static int options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"stack", 1, NULL, 's'},   {"rules", 1, NULL, 'r'},   {"seed", 1, NULL, 'n'},
        {"server", 1, NULL, 'v'},  {"firings", 1, NULL, 'f'}, {"cubic", 0, NULL, 'c'},
        {"standin", 1, NULL, 'S'}, {"beside", 1, NULL, 'b'},  {"seen", 1, NULL, 'e'},
        {"set", 1, NULL, 't'},     {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            opt.user = strcmp(optarg, "user") == 0;
            break;
        case 'r':
            opt.rules = optarg;
            break;
        case 'n':
            opt.seed = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            opt.server = optarg;
            break;
        case 'f':
            opt.firings = optarg;
            break;
        case 'S':
            opt.standin = optarg;
            break;
        case 'b':
            opt.beside = optarg;
            break;
        case 'e':
            opt.seen = optarg;
            break;
        case 't':
            opt.set[opt.nset] = optarg;
            opt.nset += opt.nset < SET_MAX - 1;
            break;
        case 'c':
            opt.cubic = true;
            break;
        default:
            exit(125);
        }
    }
    if (optind >= argc || !opt.server || (opt.user && !opt.standin)) {
        fprintf(stderr, "relay_run: --server, --standin and a program are needed\n");
        exit(125);
    }
    return optind;
}

static void rules(struct wire_spec *spec)
{
    struct impair_error err;
    char why[400];
    spec->seed = opt.seed;
    if (!impair_parse(spec, opt.rules, &err)) {
        fprintf(stderr, "relay_run: %s\n", impair_explain(opt.rules, &err, why, sizeof why));
        exit(125);
    }
}

/* The program's end of the wire. */
static void program_end(struct link *l, int netns)
{
    struct ifaddr ours[2] = {address("10.77.0.2", 24), address("fd77::2", 64)};
    const char *step = "make a pair";
    char number[16];
    int fd;
    int err;
    if (opt.user) {
        err = relay_pair(l, MTU, &fd);
        snprintf(number, sizeof number, "%d", fd);
        setenv("STANDIN_LINK", number, 1);
        setenv("STANDIN_ADDR", "10.77.0.2/24,fd77::2/64", 1);
    } else {
        err = relay_tun(l, netns, ours, 2, MTU, false, &step);
    }
    if (err) {
        fail(step, err);
    }
}

/* A host of the kernel's on the program's side. */
static int beside_end(struct link *l, struct relay_config *cfg)
{
    struct ifaddr third[2] = {address("10.77.0.3", 24), address("fd77::3", 64)};
    const char *step;
    int netns = relay_netns();
    if (netns < 0) {
        fail("make a network namespace", netns);
    }
    int err = relay_tun(l, netns, third, 2, MTU, false, &step);
    if (err) {
        fail(step, err);
    }
    cfg->beside = l;
    cfg->beside_addr[0] = third[0].addr;
    cfg->beside_addr[1] = third[1].addr;
    return netns;
}

int main(int argc, char **argv)
{
    struct relay_config cfg = {.mtu = MTU};
    struct ifaddr theirs[2] = {address("10.77.0.1", 24), address("fd77::1", 64)};
    struct link program, peer, beside;
    int c = -1;
    const char *step;
    int at = options(argc, argv);
    int status = 0;

    rules(&cfg.wire);
    unsetenv("STANDIN_SESSION");
    int a = relay_netns();
    int b = relay_netns();
    if (a < 0 || b < 0) {
        fail("make a network namespace", a < 0 ? a : b);
    }
    program_end(&program, a);
    int err = relay_tun(&peer, b, theirs, 2, MTU, false, &step);
    if (err) {
        fail(step, err);
    }
    if (opt.beside) {
        c = beside_end(&beside, &cfg);
    }
    relay_enter(b); /* to see the server's sockets, and no others */
    set_cubic(a);
    set_cubic(b);
    if (c >= 0) {
        set_cubic(c);
    }
    pid_t server = start_server(b);
    if (opt.seen) {
        FILE *f = fopen(opt.seen, "w");
        if (!f) {
            fail(opt.seen, -errno);
        }
        cfg.tap = (struct wire_tap){.put = on_put, .taken = on_taken, .ctx = f};
    }
    struct relay *r = relay_start(&cfg, &program, &peer);
    if (!r) {
        fail("start the relay", -ENOMEM);
    }
    char **words = opt.user ? with_standin(argv + at, argc - at) : argv + at;
    pid_t pid = start(a, words, false, !opt.user);
    pid_t other = opt.beside ? start_shell(c, opt.beside) : -1;
    waitpid(pid, &status, 0);
    if (other > 0) {
        waitpid(other, NULL, 0);
    }
    relay_stop(r);
    if (cfg.tap.ctx) {
        fclose(cfg.tap.ctx);
    }
    if (opt.firings) {
        write_firings(relay_wire(r));
    }
    relay_free(r);
    kill(-server, SIGKILL);
    waitpid(server, NULL, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
