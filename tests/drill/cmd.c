/*
 * Commands in backticks. None is given to a shell: what sets a kernel's knobs sets the stack's,
 * what has no meaning for a stack of its own is passed over, and anything else is an error, so
 * that no script passes by not being run.
 */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "run.h"
#include "sysctl.h"

/* The settings google's scripts begin with (their common/defaults.sh), as far as the stack has
 * them. */
static const char *const defaults[] = {
    "net.ipv4.tcp_rmem=4096 540000 15728640",
    "net.ipv4.tcp_wmem=4096 262144 4194304",
    "net.ipv4.tcp_timestamps=1",
    "net.ipv4.tcp_syn_retries=5",
    "net.ipv4.tcp_synack_retries=5",
    "net.ipv4.tcp_frto=2",
    "net.ipv4.tcp_sack=1",
    "net.ipv4.tcp_dsack=1",
    "net.ipv4.tcp_reordering=3",
    "net.ipv4.tcp_congestion_control=cubic",
    "net.ipv4.tcp_slow_start_after_idle=0",
    "net.ipv4.tcp_early_retrans=4",
    "net.ipv4.tcp_recovery=1",
    "net.ipv4.tcp_ecn=0",
    "net.ipv4.tcp_notsent_lowat=4294967295",
    "net.ipv4.tcp_fastopen=0x70403",
    "net.ipv4.tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
    "net.ipv4.tcp_syncookies=1",
};

static bool one_of(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool set_sysctl(struct run *r, const char *name, const char *value)
{
    struct str why = {0};
    bool ok = sysctl_set(r->vk, name, value, &why);
    if (!ok) {
        run_fail(r, "not run: %s", str_text(&why));
    }
    str_free(&why);
    return ok;
}

/* "net.ipv4.NAME=VALUE" or "/proc/sys/net/ipv4/NAME=VALUE" */
static bool assign(struct run *r, const char *text)
{
    const char *eq = strchr(text, '=');
    const char *name = text;
    for (const char *p = text; eq && p < eq; p++) {
        if (*p == '.' || *p == '/') {
            name = p + 1;
        }
    }
    if (!eq) {
        return run_fail(r, "not run: %s sets nothing", text);
    }
    struct str n = {0};
    str_add(&n, "%.*s", (int)(eq - name), name);
    bool ok = set_sysctl(r, str_text(&n), eq + 1);
    str_free(&n);
    return ok;
}

/* $((A*B*C)): a product of numbers, written out. Returns where it ends. */
static const char *product(const char *p, struct str *out)
{
    long long v = 1;
    for (;;) {
        char *end = NULL;
        while (*p == '(' || *p == ' ' || *p == '*' || *p == '$') {
            p++;
        }
        long long f = strtoll(p, &end, 0);
        if (end == p) {
            break;
        }
        v *= f;
        p = end;
    }
    str_add(out, "%lld", v);
    while (*p == ')') {
        p++;
    }
    return p;
}

/* The next word of a command line; quotes taken off. False at the end. */
static bool word(const char **at, struct str *out)
{
    const char *p = *at + strspn(*at, " \t");
    char quote = 0;
    str_clear(out);
    if (!*p) {
        return false;
    }
    for (; *p && (quote || !strchr(" \t", *p)); p++) {
        if (strncmp(p, "$((", 3) == 0) {
            p = product(p, out) - 1;
        } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
        } else {
            str_add(out, "%c", *p);
        }
    }
    *at = p;
    return true;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool run_assignments(struct run *r, const char *args)
{
    struct str w = {0};
    bool ok = true;
    while (ok && word(&args, &w)) {
        if (str_text(&w)[0] == '#') {
            break;
        }
        const char *t = str_text(&w);
        if (t[0] && t[strlen(t) - 1] == '>') {
            word(&args, &w); /* where to */
        } else if (t[0] != '-' && !strchr("<>12&", t[0])) {
            ok = assign(r, t);
        }
    }
    str_free(&w);
    return ok;
}

static bool run_defaults(struct run *r)
{
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        if (!assign(r, defaults[i])) {
            return false;
        }
    }
    return true;
}

/* echo VALUE > /proc/sys/net/ipv4/NAME */
static bool run_echo(struct run *r, const char *args)
{
    struct str w = {0}, value = {0}, both = {0};
    bool to = false, ok = true;
    while (ok && word(&args, &w)) {
        if (strcmp(str_text(&w), ">") == 0) {
            to = true;
        } else if (to) {
            const char *path = str_text(&w);
            str_add(&both, "%s=%s", path, str_text(&value));
            ok = strncmp(path, "/proc/sys/net/", 14) == 0 ? assign(r, str_text(&both))
                                                          : run_fail(r, "not run: > %s", path);
        } else {
            str_add(&value, "%s%s", value.n ? " " : "", str_text(&w));
        }
    }
    str_free(&w);
    str_free(&value);
    str_free(&both);
    return ok;
}

/* Commands about a device, a cache or counters that a stack of its own does not share with the
 * kernel. */
static bool passed_over(const char *cmd, const char *args)
{
    static const char *const names[] = {"true", ":", "tc", "modprobe", "sync", "ethtool"};
    return one_of(names, ARRAY_LEN(names), cmd) || strstr(cmd, "sysctl_restore_") ||
           (strcmp(cmd, "nstat") == 0 && !strchr(args, '|'));
}

static bool run_line(struct run *r, const char *line)
{
    struct str cmd = {0};
    const char *args = line;
    bool ok = true;
    if (!word(&args, &cmd) || str_text(&cmd)[0] == '#') {
        str_free(&cmd);
        return true;
    }
    const char *c = str_text(&cmd);
    if (ends_with(c, "sysctl") || ends_with(c, "set_sysctls.py")) {
        ok = run_assignments(r, args);
    } else if (ends_with(c, "defaults.sh")) {
        ok = run_defaults(r);
    } else if (strcmp(c, "ip") == 0 && strstr(args, "tcp_metrics flush")) {
        tfo_flush(vk_stack(r->vk));
    } else if (strcmp(c, "echo") == 0) {
        ok = run_echo(r, args);
    } else if (strcmp(c, "sleep") == 0) {
        run_wait(r, run_now(r) + (nsec)(strtod(args, NULL) * 1e6) * USEC);
    } else if (!passed_over(c, args)) {
        ok = run_fail(r, "not run: %s%s", c, args);
    }
    str_free(&cmd);
    return ok && !run_failed(r);
}

bool cmd_run(struct run *r, const char *text)
{
    struct str line = {0};
    bool ok = true;
    char quote = 0;
    for (const char *p = text;; p++) {
        if (p[0] == '\\' && p[1] == '\n') {
            p++; /* the line goes on */
            continue;
        }
        bool sep = *p == '\0' || *p == '\n' || (!quote && *p == ';') ||
                   (!quote && p[0] == '&' && p[1] == '&');
        if (!sep) {
            quote = quote ? (*p == quote ? 0 : quote) : *p == '"' || *p == '\'' ? *p : 0;
            str_add(&line, "%c", *p);
            continue;
        }
        ok = ok && run_line(r, str_text(&line));
        str_clear(&line);
        p += *p == '&';
        if (*p == '\0') {
            break;
        }
    }
    str_free(&line);
    return ok;
}
