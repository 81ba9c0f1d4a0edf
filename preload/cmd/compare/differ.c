/*
 * Purpose: the comparison. What the program got is compared over all runs; the handshake and the
 * way of closing in the first run of each; counts and times as medians, and called different only
 * beyond the spread of the runs.
 */
#include "differ.h"
#include "show.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

const char *const class_names[CLASSES] = {"bug", "allowed", "policy", "timing"};

static struct difference *add(struct sides *s, enum diff_class class, const char *what,
                              const char *clause)
{
    static struct difference nobody;
    struct difference *d = s->ndiffs < DIFFERENCES_MAX ? &s->diff[s->ndiffs++] : &nobody;

    *d = (struct difference){.class = class, .clause = clause};
    snprintf(d->what, sizeof d->what, "%s", what);
    return d;
}

/* Two texts, if they differ. */
static void texts(struct sides *s, enum diff_class class, const char *what, const char *clause,
                  const char *kernel, const char *ours)
{
    if (strcmp(kernel, ours) != 0) {
        struct difference *d = add(s, class, what, clause);
        snprintf(d->kernel, sizeof d->kernel, "%s", kernel);
        snprintf(d->ours, sizeof d->ours, "%s", ours);
    }
}

static void numbers(struct sides *s, enum diff_class class, const char *what, const char *clause,
                    long kernel, long ours)
{
    char a[24];
    char b[24];

    snprintf(a, sizeof a, "%ld", kernel);
    snprintf(b, sizeof b, "%ld", ours);
    texts(s, class, what, clause, a, b);
}

char *compared_status(const struct one *o, char buf[64])
{
    if (o->timed_out) {
        snprintf(buf, 64, "stopped after the time limit");
    } else if (WIFSIGNALED(o->status)) {
        snprintf(buf, 64, "killed by signal %d", WTERMSIG(o->status));
    } else {
        snprintf(buf, 64, "exit %d", WEXITSTATUS(o->status));
    }
    return buf;
}

/* The result of most runs, and whether all agree. */
static void results(struct sides *s)
{
    char kernel[64];
    char ours[64];

    s->same_result = true;
    for (unsigned i = 0; i < s->n; i++) {
        const struct one *k = &s->one[STACK_KERNEL][i];
        const struct one *u = &s->one[STACK_USER][i];
        unsigned before = s->ndiffs;
        compared_status(k, kernel);
        compared_status(u, ours);
        if (s->same_result) {
            texts(s, CLASS_BUG, "exit status", "", kernel, ours);
            texts(s, CLASS_BUG, "output (SHA-256)", "", k->out_hash, u->out_hash);
            numbers(s, CLASS_BUG, "bytes of output", "", (long)k->out_bytes, (long)u->out_bytes);
        }
        s->same_result = s->same_result && s->ndiffs == before;
    }
}

static const char *yes(bool b)
{
    return b ? "yes" : "no";
}

static void handshake(struct sides *s)
{
    const struct story *k = &s->story[STACK_KERNEL][0];
    const struct story *u = &s->story[STACK_USER][0];
    const struct card *a = &k->card[WIRE_OUT];
    const struct card *b = &u->card[WIRE_OUT];

    if (!a->seen || !b->seen) {
        return;
    }
    numbers(s, CLASS_ALLOWED, "MSS offered", "RFC 9293 3.7.1", a->mss, b->mss);
    numbers(s, CLASS_POLICY, "window scale offered", "RFC 7323 2.2", a->wscale, b->wscale);
    texts(s, CLASS_POLICY, "SACK permitted", "RFC 2018 2", yes(a->sack), yes(b->sack));
    texts(s, CLASS_POLICY, "timestamps", "RFC 7323 3.2", yes(a->ts), yes(b->ts));
    texts(s, CLASS_POLICY, "ECN offered", "RFC 3168 6.1.1", yes(a->ecn), yes(b->ecn));
    texts(s, CLASS_ALLOWED, "order of options", "RFC 9293 3.2", a->options, b->options);
    numbers(s, CLASS_POLICY, "window in the SYN", "RFC 9293 3.8.6", a->window, b->window);
    if (k->first_flight > 14600 || u->first_flight > 14600) {
        numbers(s, CLASS_POLICY, "initial window (bytes)", "RFC 6928 2", (long)k->first_flight,
                (long)u->first_flight);
    }
}

static void syn_times(struct sides *s)
{
    const struct story *k = &s->story[STACK_KERNEL][0];
    const struct story *u = &s->story[STACK_USER][0];
    char a[96] = "";
    char b[96] = "";
    bool differ = k->nsyns != u->nsyns;

    for (unsigned i = 1; i < SYN_TIMES; i++) {
        if (i < k->nsyns) {
            snprintf(a + strlen(a), sizeof a - strlen(a), "%s%.2f", *a ? " " : "",
                     (double)k->syn_at[i] / 1e9);
        }
        if (i < u->nsyns) {
            snprintf(b + strlen(b), sizeof b - strlen(b), "%s%.2f", *b ? " " : "",
                     (double)u->syn_at[i] / 1e9);
        }
        if (i < k->nsyns && i < u->nsyns) {
            double x = (double)k->syn_at[i], y = (double)u->syn_at[i];
            differ = differ || fabs(x - y) > 0.05 * x + 2e7;
        }
    }
    if (differ) {
        texts(s, CLASS_TIMING, "SYN tried again after (s)", "RFC 6298 2, 5", *a ? a : "not",
              *b ? b : "not");
    }
}

const char *compared_closing(const struct story *x)
{
    if (x->reset >= 0) {
        return x->reset == WIRE_OUT ? "reset by the program's side" : "reset by the server's side";
    }
    if (x->cut) {
        return "reset by the wire";
    }
    if (x->fin[WIRE_OUT] && x->fin[WIRE_IN]) {
        return "FIN both ways";
    }
    return x->fin[WIRE_OUT]  ? "FIN by the program's side only"
           : x->fin[WIRE_IN] ? "FIN by the server's side only"
                             : "not closed";
}

const char *compared_closer(const struct story *x)
{
    return x->first_fin < 0           ? "nobody"
           : x->first_fin == WIRE_OUT ? "the program's side"
                                      : "the server's side";
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct spread spread_of(double *v, unsigned n)
{
    struct spread s = {.n = n};

    if (n) {
        qsort(v, n, sizeof *v, by_size);
        s.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
        s.min = v[0];
        s.max = v[n - 1];
    }
    return s;
}

/* Of the quantity at this offset in struct one or struct story, NEVER left out. */
static void spreads(const struct sides *s, struct spread out[STACKS], size_t offset, bool in_story,
                    bool real)
{
    for (int k = 0; k < STACKS; k++) {
        double *v = calloc(s->n ? s->n : 1, sizeof *v);
        unsigned n = 0;
        for (unsigned i = 0; v && i < s->n; i++) {
            const char *base =
                in_story ? (const char *)&s->story[k][i] : (const char *)&s->one[k][i];
            nsec t;
            double x;
            memcpy(&t, base + offset, sizeof t);
            memcpy(&x, base + offset, sizeof x);
            if (real || t != NEVER) {
                v[n++] = real ? x : (double)t;
            }
        }
        out[k] = spread_of(v, n);
        free(v);
    }
}

/* Medians that lie outside each other's range, and a tenth apart. One run has no range. */
static void times(struct sides *s, const char *what, const char *clause,
                  const struct spread x[STACKS])
{
    const struct spread *k = &x[STACK_KERNEL];
    const struct spread *u = &x[STACK_USER];
    double more = k->median > u->median ? k->median : u->median;

    if (k->n < 2 || u->n < 2 || fabs(k->median - u->median) < 0.1 * more ||
        fabs(k->median - u->median) < 1e6 || (u->median >= k->min && u->median <= k->max) ||
        (k->median >= u->min && k->median <= u->max)) {
        return;
    }
    struct difference *d = add(s, CLASS_TIMING, what, clause);
    snprintf(d->kernel, sizeof d->kernel, "%.1f ms (%.1f-%.1f)", k->median / 1e6, k->min / 1e6,
             k->max / 1e6);
    snprintf(d->ours, sizeof d->ours, "%.1f ms (%.1f-%.1f)", u->median / 1e6, u->min / 1e6,
             u->max / 1e6);
}

static uint64_t sum(const struct sides *s, enum stack_kind k, enum again why)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        for (int d = 0; d < WIRE_DIRS; d++) {
            n += s->story[k][i].count[d].again[why];
        }
    }
    return n;
}

static void counts(struct sides *s)
{
    static const struct {
        enum again why;
        const char *what, *clause;
    } rows[] = {{AGAIN_FAST, "fast retransmissions, all runs", "RFC 8985 6"},
                {AGAIN_TIMEOUT, "retransmissions by timeout, all runs", "RFC 6298 5"},
                {AGAIN_PROBE, "tail probes, all runs", "RFC 8985 7"}};

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t k = sum(s, STACK_KERNEL, rows[i].why);
        uint64_t u = sum(s, STACK_USER, rows[i].why);
        if (k > 2 * u + 2 * s->n || u > 2 * k + 2 * s->n) {
            numbers(s, CLASS_ALLOWED, rows[i].what, rows[i].clause, (long)k, (long)u);
        }
    }
    uint64_t bad[STACKS] = {0};
    for (int k = 0; k < STACKS; k++) {
        for (unsigned i = 0; i < s->n; i++) {
            bad[k] += s->story[k][i].count[WIRE_OUT].bad_checksums;
        }
    }
    numbers(s, CLASS_BUG, "segments with a wrong checksum", "RFC 9293 3.1, MUST-2", (long)bad[0],
            (long)bad[1]);
    numbers(s, CLASS_ALLOWED, "connections", "", s->story[STACK_KERNEL][0].connections,
            s->story[STACK_USER][0].connections);
}

/* ---- what the calls answered */

/* An error that one stack's program met and the other's did not, whatever the other met instead.
 * That a program saw the end of a stream, or did not come to call at all, is a matter of time. */
static void call_errors(struct sides *s)
{
    const struct calls *c = s->calls;

    for (unsigned i = 0; i < c->noutcomes; i++) {
        const struct outcome *x = &c->outcome[i];
        char what[128], kernel[96], ours[96];
        bool one_sided = (x->runs[0] == 0) != (x->runs[1] == 0);
        bool told = false;
        for (unsigned j = 0; j < i && !told; j++) { /* with the first error of this call */
            const struct outcome *y = &c->outcome[j];
            told = y->error && (y->runs[0] == 0) != (y->runs[1] == 0) && calls_same(c, i, j);
        }
        if (!x->error || !one_sided || told) {
            continue;
        }
        bool always = x->runs[0] == s->n || x->runs[1] == s->n;
        snprintf(what, sizeof what, "%s, %s", x->call, x->socket);
        if (x->nth > 1) {
            snprintf(what + strlen(what), sizeof what - strlen(what), " (no. %u)", x->nth);
        }
        calls_results(c, i, STACK_KERNEL, s->n, kernel, sizeof kernel);
        calls_results(c, i, STACK_USER, s->n, ours, sizeof ours);
        texts(s, always ? CLASS_BUG : CLASS_TIMING, what, "", kernel, ours);
    }
}

/* Bytes that the program got or gave, where all runs of a stack agree on them. */
static void call_bytes(struct sides *s)
{
    static const char *const ways[] = {"bytes sent", "bytes received"};

    for (unsigned i = 0; i < s->calls->ncarried; i++) {
        const struct carried *x = &s->calls->carried[i];
        if (x->varies[0] || x->varies[1] || x->runs[0] < s->n || x->runs[1] < s->n) {
            continue;
        }
        for (int w = 0; w < 2; w++) {
            char what[128];
            snprintf(what, sizeof what, "%s, %s", ways[w], x->socket);
            numbers(s, s->n > 1 ? CLASS_BUG : CLASS_TIMING, what, "", (long)x->bytes[0][w],
                    (long)x->bytes[1][w]);
        }
    }
}

static void calls(struct sides *s)
{
    if (s->calls->watched[STACK_KERNEL] && s->calls->watched[STACK_USER]) {
        call_errors(s);
        call_bytes(s);
    }
}

void sides_compare(struct sides *s)
{
    results(s);
    if (s->n == 0) {
        return;
    }
    calls(s);
    for (unsigned i = 0; i < s->n; i++) {
        s->retrans[STACK_KERNEL] += one_retrans(&s->one[STACK_KERNEL][i]);
        s->retrans[STACK_USER] += one_retrans(&s->one[STACK_USER][i]);
    }
    handshake(s);
    syn_times(s);
    const struct story *k = &s->story[STACK_KERNEL][0];
    const struct story *u = &s->story[STACK_USER][0];
    texts(s, CLASS_BUG, "how it ended", "RFC 9293 3.6", compared_closing(k), compared_closing(u));
    texts(s, CLASS_ALLOWED, "who closed first", "RFC 9293 3.6", compared_closer(k),
          compared_closer(u));
    counts(s);
    spreads(s, s->wall, offsetof(struct one, wall), false, false);
    spreads(s, s->cpu, offsetof(struct one, cpu), false, false);
    spreads(s, s->connect, offsetof(struct story, connect), true, false);
    spreads(s, s->first_byte, offsetof(struct story, first_byte), true, false);
    spreads(s, s->total, offsetof(struct story, total), true, false);
    spreads(s, s->repair, offsetof(struct story, repair), true, false);
    spreads(s, s->goodput, offsetof(struct story, goodput), true, true);
    times(s, "time to connect", "RFC 9293 3.5", s->connect);
    times(s, "time to the first byte", "", s->first_byte);
    times(s, "time on the wire", "", s->total);
    times(s, "longest repair of a loss", "RFC 8985, RFC 6298", s->repair);
}
