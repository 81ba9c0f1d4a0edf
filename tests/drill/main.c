/*
 * drill - runs scripts in packetdrill's language on the stack, in virtual time.
 *
 *     drill [options] FILE.pkt...
 *
 * One line per failing script and what was seen instead; then "N passed, N failed". Exit status 1
 * if one failed, 2 for a mistake in the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define TAIL_LINES 15u

struct option {
    struct option *next;
    const char *name;
    const char *value;
};

struct drill {
    struct pool pool;
    struct defines defs; /* of the command line */
    struct option *options, **last;
    bool versions[3];
    bool any_version; /* given on the command line */
    bool parse_only;
    bool all; /* scripts known to fail count like others */
    bool quiet;
    unsigned passed, failed, skipped;
};

static const char *const version_names[] = {"ipv4", "ipv6", "ipv4-mapped-ipv6"};

static void usage(FILE *out)
{
    fputs("usage: drill [options] FILE.pkt...\n"
          "  -v, --verbose         print the trace of every script\n"
          "  -q                    only the closing line and the failures' first lines\n"
          "  -D NAME=VALUE         define a word\n"
          "  --both                run over IPv4 and IPv6\n"
          "  --ip_version=V[,V]    ipv4, ipv6, ipv4-mapped-ipv6\n"
          "  --all                 count scripts that say \"// SKIP: reason\" like others\n"
          "  --lax                 packets left over at the end are no failure\n"
          "  --seed=N              another stream of chance\n"
          "  --parse               only parse, and print every packet line\n"
          "  and packetdrill's: --bind_port --connect_port --local_ip --remote_ip --netmask_ip\n"
          "  --mtu --tolerance_usecs --tolerance_percent --tcp_ts_tick_usecs --tcp_ts_ecr_scaled\n"
          "  --strict_segments\n"
          "  --local_isn=N         the first connection's own initial sequence number (its local\n"
          "                        port is bind_port), so that a script can begin near 2^32\n",
          out);
}

static bool versions_parse(const char *value, bool out[3], struct str *err)
{
    memset(out, 0, 3 * sizeof out[0]);
    for (const char *p = value ? value : ""; *p;) {
        size_t n = strcspn(p, ",");
        bool found = false;
        for (unsigned i = 0; i < 3; i++) {
            if (strlen(version_names[i]) == n && strncmp(version_names[i], p, n) == 0) {
                out[i] = found = true;
            }
        }
        if (!found) {
            str_add(err, "no such IP version: %.*s", (int)n, p);
            return false;
        }
        p += n + (p[n] == ',');
    }
    return true;
}

static void add_option(struct drill *d, const char *text)
{
    struct option *o = pool_get(&d->pool, sizeof *o);
    const char *eq = strchr(text, '=');
    o->name = pool_text(&d->pool, text, eq ? (size_t)(eq - text) : strlen(text));
    o->value = eq ? eq + 1 : NULL;
    *d->last = o;
    d->last = &o->next;
}

static bool both_versions(struct drill *d)
{
    d->versions[IP_V4] = d->versions[IP_V6] = true;
    d->any_version = true;
    return true;
}

/* One argument that begins with a dash; `next` is the one behind it; *used: it was needed. */
static bool take_option(struct drill *d, const char *arg, const char *next, bool *used,
                        struct str *err)
{
    if (strcmp(arg, "-v") == 0) {
        add_option(d, "verbose");
        return true;
    }
    if (strcmp(arg, "-q") == 0) {
        return d->quiet = true;
    }
    if (strcmp(arg, "--all") == 0) {
        return d->all = true;
    }
    if (strcmp(arg, "--parse") == 0) {
        return d->parse_only = true;
    }
    if (strcmp(arg, "--both") == 0) {
        return both_versions(d);
    }
    if (strncmp(arg, "--ip_version=", 13) == 0) {
        d->any_version = true;
        return versions_parse(arg + 13, d->versions, err);
    }
    if (strncmp(arg, "-D", 2) == 0) {
        *used = arg[2] == '\0';
        const char *def = *used ? next : arg + 2;
        if (!def || !define_parse(&d->defs, def, true)) {
            str_add(err, "-D needs NAME=VALUE");
            return false;
        }
        return true;
    }
    if (strncmp(arg, "--", 2) == 0) {
        struct drill_config scratch;
        config_default(&scratch, IP_V4);
        add_option(d, arg + 2);
        const struct option *o = d->options;
        while (o->next) {
            o = o->next;
        }
        return config_set(&scratch, o->name, o->value, err);
    }
    str_add(err, "no such option: %s", arg);
    return false;
}

/* --- one script --- */

static void report(struct drill *d, const struct run *r, const char *path, const char *version)
{
    struct str tail = {0};
    printf("FAIL %s:%d: %s (%s)\n", path, r->why_line, str_text(&r->why), version);
    if (d->quiet) {
        return;
    }
    printf("  at %.6f\n", r->vk ? (double)run_now(r) / 1e9 : 0.0);
    if (r->expected.n) {
        printf("  expected  %s\n  actual    %s\n", str_text(&r->expected), str_text(&r->actual));
    }
    if (r->ntrace && !r->cfg.verbose) {
        log_tail(r, TAIL_LINES, &tail);
        printf("  trace:\n%s", str_text(&tail));
    }
    str_free(&tail);
}

static void fail_plain(struct drill *d, const struct str *err)
{
    printf("FAIL %s\n", str_text(err));
    d->failed++;
}

static bool configure(struct drill *d, const struct script *s, enum ip_version ip,
                      struct drill_config *cfg, struct str *err)
{
    config_default(cfg, ip);
    for (const struct script_option *o = s->options; o; o = o->next) {
        if (!config_set(cfg, o->name, o->value, err)) {
            struct str where = {0};
            str_add(&where, "%s:%d: %s", s->path, o->line, str_text(err));
            str_free(err);
            *err = where;
            return false;
        }
    }
    for (const struct option *o = d->options; o; o = o->next) {
        if (!config_set(cfg, o->name, o->value, err)) {
            return false;
        }
    }
    return true;
}

/* The words google's runner defines for each version. */
static void define_usual(struct defines *defs, bool v6)
{
    define_set(defs, "TFO_COOKIE", v6 ? "c1d1e9742a47a9bc" : "3021b9d889017eeb", false);
    define_set(defs, "CMSG_LEVEL_IP", v6 ? "SOL_IPV6" : "SOL_IP", false);
    define_set(defs, "CMSG_TYPE_RECVERR", v6 ? "IPV6_RECVERR" : "IP_RECVERR", false);
    define_set(defs, "CODE", v6 ? "address_unreachable" : "host_unreachable", false);
}

static void print_packets(const struct script *s)
{
    for (const struct script_event *ev = s->events; ev; ev = ev->next) {
        struct str line = {0};
        if (ev->type == EVENT_PACKET) {
            spec_print(&ev->pkt, &line);
            printf("%s\n", str_text(&line));
        }
        str_free(&line);
    }
}

/* A line "// SKIP: reason" says that the stack is known not to do this yet: the script runs, its
 * failure is not counted, and that it passes is a failure, so that the line goes away when the
 * reason has. NULL: there is none. */
static const char *known_to_fail(const char *text)
{
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, "// SKIP:", 8) == 0) {
            return p + 8;
        }
        if (p[0] != '/' || p[1] != '/') {
            return NULL;
        }
    }
    return NULL;
}

static void count(struct drill *d, const struct run *r, const char *path, const char *text,
                  enum ip_version ip)
{
    const char *reason = known_to_fail(text);
    bool ok = !run_failed(r);
    if (!reason || d->all) {
        d->passed += ok;
        d->failed += !ok;
        if (!ok) {
            report(d, r, path, version_names[ip]);
        }
    } else if (ok) {
        printf("FAIL %s: it passes: take its SKIP line out (%s)\n", path, version_names[ip]);
        d->failed++;
    } else {
        printf("SKIP: %s (%s):%.*s\n", path, version_names[ip], (int)strcspn(reason, "\n"), reason);
        d->skipped++;
    }
}

static void run_one(struct drill *d, const char *path, const char *text, enum ip_version ip)
{
    struct pool pool = {0};
    struct defines defs = {.pool = &pool};
    struct script s;
    struct drill_config cfg;
    struct str err = {0};
    for (const struct define *e = d->defs.head; e; e = e->next) {
        define_set(&defs, e->name, e->value, true);
    }
    define_usual(&defs, ip != IP_V4);
    if (!script_parse(path, text, &pool, &defs, ip == IP_V6, &s, &err) ||
        !configure(d, &s, ip, &cfg, &err)) {
        fail_plain(d, &err);
    } else if (d->parse_only) {
        print_packets(&s);
        d->passed++;
    } else {
        struct run r;
        run_script(&r, &s, &cfg);
        count(d, &r, path, text, ip);
        run_fini(&r);
    }
    str_free(&err);
    pool_free(&pool);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Which versions a script runs over: its own option says it, or its name (-v4.pkt,
 * -v6.pkt, -mapped.pkt), or the command line. */
static bool versions_of(const struct drill *d, const char *path, const struct script *s,
                        bool out[3], struct str *err)
{
    memcpy(out, d->versions, sizeof d->versions);
    for (const struct script_option *o = s->options; o; o = o->next) {
        if (strcmp(o->name, "ip_version") == 0) {
            return versions_parse(o->value, out, err);
        }
    }
    static const char *const suffix[] = {"-v4.pkt", "-v6.pkt", "-mapped.pkt"};
    for (int v = 0; v < 3; v++) {
        if (ends_with(path, suffix[v])) {
            out[IP_V4] = out[IP_MAPPED] = out[IP_V6] = false;
            out[v] = true;
        }
    }
    return true;
}

static void run_file(struct drill *d, const char *path)
{
    struct pool pool = {0};
    struct defines defs = {.pool = &pool};
    struct str text = {0}, err = {0};
    struct script s;
    bool versions[3];
    if (!text_read_file(path, &text, &err) ||
        !script_parse_options(path, str_text(&text), &pool, &defs, &s, &err) ||
        !versions_of(d, path, &s, versions, &err)) {
        fail_plain(d, &err);
    } else {
        for (int v = 0; v < 3; v++) {
            if (versions[v]) {
                run_one(d, path, str_text(&text), (enum ip_version)v);
            }
        }
    }
    str_free(&text);
    str_free(&err);
    pool_free(&pool);
}

int main(int argc, char **argv)
{
    struct drill d = {0};
    struct str err = {0};
    int files = 0;
    d.defs.pool = &d.pool;
    d.last = &d.options;
    d.versions[IP_V4] = true;
    for (int i = 1; i < argc; i++) {
        bool used = false;
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (argv[i][0] != '-') {
            argv[files++] = argv[i];
        } else if (!take_option(&d, argv[i], argv[i + 1], &used, &err)) {
            fprintf(stderr, "drill: %s\n", str_text(&err));
            usage(stderr);
            str_free(&err);
            pool_free(&d.pool);
            return 2;
        }
        i += used;
    }
    for (int i = 0; i < files; i++) {
        run_file(&d, argv[i]);
    }
    printf("%u passed, %u failed", d.passed, d.failed);
    if (d.skipped) {
        printf(", %u skipped", d.skipped);
    }
    printf("\n");
    pool_free(&d.pool);
    return d.failed ? 1 : 0;
}
