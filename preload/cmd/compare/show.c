/* Purpose: the verdict, the table, the JSON document. */
#include "show.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "tun/impair.h"

char *compared_verdict(const struct sides *s, char *buf, size_t size)
{
    unsigned bugs = 0;

    for (unsigned i = 0; i < s->ndiffs; i++) {
        bugs += s->diff[i].class == CLASS_BUG;
    }
    if (s->ndiffs == 0) {
        snprintf(buf, size, "Same result for the program, no difference in behaviour.");
    } else {
        char count[24] = "none";
        if (bugs) {
            snprintf(count, sizeof count, "%u of them", bugs);
        }
        snprintf(buf, size, "%s result for the program. %u difference%s in behaviour, %s a bug.",
                 s->same_result ? "Same" : "Another", s->ndiffs, s->ndiffs == 1 ? "" : "s", count);
    }
    return buf;
}

unsigned compared_fired(const struct sides *s, enum stack_kind k, unsigned rule)
{
    const struct one *o = &s->one[k][0];
    unsigned n = 0;

    for (unsigned i = 0; i < o->nfirings; i++) {
        n += o->firing[i].rule == rule;
    }
    return n;
}

bool compared_idle(const struct compared *w, unsigned rule)
{
    unsigned kind = w->setup->wire.rule[rule].kind;
    bool fires = kind != RULE_DELAY && kind != RULE_RATE;

    for (int k = 0; k < STACKS; k++) {
        for (unsigned i = 0; i < w->sides->n; i++) {
            const struct one *o = &w->sides->one[k][i];
            for (unsigned j = 0; j < o->nfirings; j++) {
                fires = fires && o->firing[j].rule != rule;
            }
        }
    }
    return fires;
}

static void time_row(const char *name, const struct spread x[STACKS])
{
    if (!x[0].n && !x[1].n) {
        return;
    }
    printf("  %-28s", name);
    for (int k = 0; k < STACKS; k++) {
        if (x[k].n) {
            printf("  %9.1f ms (%8.1f-%8.1f)", x[k].median / 1e6, x[k].min / 1e6, x[k].max / 1e6);
        } else {
            printf("  %34s", "-");
        }
    }
    putchar('\n');
}

static void text_row(const char *name, const char *a, const char *b)
{
    printf("  %-28s  %-34s  %s\n", name, a, b);
}

static void count_row(const struct sides *s, const char *name, size_t offset)
{
    char text[STACKS][48];

    for (int k = 0; k < STACKS; k++) {
        uint64_t n[WIRE_DIRS];
        for (int d = 0; d < WIRE_DIRS; d++) {
            memcpy(&n[d], (const char *)&s->story[k][0].count[d] + offset, sizeof n[d]);
        }
        snprintf(text[k], sizeof text[k], "%llu out, %llu in", (unsigned long long)n[WIRE_OUT],
                 (unsigned long long)n[WIRE_IN]);
    }
    text_row(name, text[0], text[1]);
}

char *compared_offers(const struct card *c, char *buf, size_t size)
{
    if (c->seen) {
        snprintf(buf, size, "%sSACK, %stimestamps, %sECN", c->sack ? "" : "no ", c->ts ? "" : "no ",
                 c->ecn ? "" : "no ");
    } else {
        snprintf(buf, size, "-");
    }
    return buf;
}

char *compared_syns(const struct story *x, char *buf, size_t size)
{
    size_t n = 0;

    snprintf(buf, size, "-");
    for (unsigned i = 1; i < x->nsyns && n + 12 < size; i++) {
        n += (size_t)snprintf(buf + n, size - n, "%s%.2f%s", n ? " " : "",
                              (double)x->syn_at[i] / 1e9, i + 1 == x->nsyns ? " s" : "");
    }
    return buf;
}

static void card_row(const struct sides *s)
{
    const struct card *c[STACKS];
    char text[STACKS][96];

    for (int k = 0; k < STACKS; k++) {
        c[k] = &s->story[k][0].card[WIRE_OUT];
        if (!c[k]->seen) {
            snprintf(text[k], sizeof text[k], "none seen");
        } else if (c[k]->wscale < 0) {
            snprintf(text[k], sizeof text[k], "MSS %u, no window scale", c[k]->mss);
        } else {
            snprintf(text[k], sizeof text[k], "MSS %u, window scale %d", c[k]->mss, c[k]->wscale);
        }
    }
    text_row("handshake", text[0], text[1]);
    text_row("  options", c[0]->seen ? c[0]->options : "-", c[1]->seen ? c[1]->options : "-");
    for (int k = 0; k < STACKS; k++) {
        compared_offers(c[k], text[k], sizeof text[k]);
    }
    text_row("  offered", text[0], text[1]);
    for (int k = 0; k < STACKS; k++) {
        snprintf(text[k], sizeof text[k], "%u, %llu bytes at once", c[k]->window,
                 (unsigned long long)s->story[k][0].first_flight);
    }
    text_row("  window, first flight", text[0], text[1]);
    for (int k = 0; k < STACKS; k++) {
        compared_syns(&s->story[k][0], text[k], sizeof text[k]);
    }
    text_row("  SYN again after", text[0], text[1]);
}

static void closing_rows(const struct sides *s)
{
    text_row("how it ended", compared_closing(&s->story[STACK_KERNEL][0]),
             compared_closing(&s->story[STACK_USER][0]));
    text_row("  closed first", compared_closer(&s->story[STACK_KERNEL][0]),
             compared_closer(&s->story[STACK_USER][0]));
}

char *compared_calls(const struct one *o, char *buf, size_t size)
{
    unsigned n = calls_sockets(o);

    if (o->ncalls) {
        snprintf(buf, size, "%u on %u socket%s", o->ncalls, n, n == 1 ? "" : "s");
    } else {
        snprintf(buf, size, "none seen");
    }
    return buf;
}

/* What could be watched. */
static void calls_row(const struct sides *s)
{
    char text[STACKS][64];

    for (int k = 0; k < STACKS; k++) {
        compared_calls(&s->one[k][0], text[k], sizeof text[k]);
    }
    text_row("socket calls", text[0], text[1]);
}

static void rule_rows(const struct compared *w)
{
    for (uint32_t i = 0; i < w->setup->wire.nrules; i++) {
        unsigned kind = w->setup->wire.rule[i].kind;
        char name[29], text[STACKS][16];
        for (int k = 0; k < STACKS; k++) {
            snprintf(text[k], sizeof text[k], "%u",
                     compared_fired(w->sides, (enum stack_kind)k, i));
        }
        snprintf(name, sizeof name, "  %.26s", w->rules[i]);
        if (kind != RULE_DELAY && kind != RULE_RATE) { /* these are no events */
            text_row(name, text[0], text[1]);
        }
    }
}

static void idle_rules(const struct compared *w)
{
    for (uint32_t i = 0; i < w->setup->wire.nrules; i++) {
        if (compared_idle(w, i)) {
            printf("\nRule %u, %s, never fired: no packet that it means has passed.\n", i + 1,
                   w->rules[i]);
        }
    }
}

static void unwatched(const struct compared *w)
{
    const struct sides *s = w->sides;

    if (!s->calls->watched[STACK_KERNEL] || !s->calls->watched[STACK_USER]) {
        puts("\nNo socket call was seen on one stack or both: what is static, gains privileges\n"
             "when it starts, or makes system calls without libc cannot be watched.");
    }
}

static void retrans_row(const struct sides *s)
{
    char text[STACKS][32];

    for (int k = 0; k < STACKS; k++) {
        snprintf(text[k], sizeof text[k], "%llu", (unsigned long long)s->retrans[k]);
    }
    text_row("sent again, by own count", text[0], text[1]);
}

static void differences(const struct sides *s)
{
    if (s->ndiffs) {
        puts("\nDifferences");
    }
    for (unsigned i = 0; i < s->ndiffs; i++) {
        const struct difference *d = &s->diff[i];
        printf("  [%s] %s: kernel %s, ours %s%s%s\n", class_names[d->class], d->what, d->kernel,
               d->ours, *d->clause ? "; " : "", d->clause);
    }
}

void compared_table(const struct compared *w)
{
    const struct sides *s = w->sides;
    char buf[160];
    char fired[STACKS][32];

    printf("%s\n\n", compared_verdict(s, buf, sizeof buf));
    printf("  %-28s  %-34s  %s\n", "", "kernel", "ours");
    for (int k = 0; k < STACKS; k++) {
        snprintf(fired[k], sizeof fired[k], "%llu", (unsigned long long)s->one[k][0].firings);
    }
    text_row("firings of rules", fired[0], fired[1]);
    rule_rows(w);
    calls_row(s);
    card_row(s);
    count_row(s, "segments", offsetof(struct flow_counts, segments));
    count_row(s, "bytes of new data", offsetof(struct flow_counts, new_bytes));
    count_row(s, "fast retransmissions",
              offsetof(struct flow_counts, again) + AGAIN_FAST * sizeof(uint64_t));
    count_row(s, "retransmissions by timeout",
              offsetof(struct flow_counts, again) + AGAIN_TIMEOUT * sizeof(uint64_t));
    count_row(s, "tail probes",
              offsetof(struct flow_counts, again) + AGAIN_PROBE * sizeof(uint64_t));
    count_row(s, "lost on the wire", offsetof(struct flow_counts, lost));
    retrans_row(s);
    closing_rows(s);
    printf("  Median (range) of %u run%s\n", s->n, s->n == 1 ? "" : "s");
    time_row("run time", s->wall);
    time_row("CPU time", s->cpu);
    time_row("connect", s->connect);
    time_row("first byte", s->first_byte);
    time_row("on the wire", s->total);
    if (s->repair[0].max > 0 || s->repair[1].max > 0) {
        time_row("longest repair of a loss", s->repair);
    }
    differences(s);
    unwatched(w);
    idle_rules(w);
    printf("\nAgain: %s\n", w->command);
}

/* ---- JSON */

static json_t *spread_json(const struct spread *x, double unit)
{
    return json_pack("{s:f, s:f, s:f, s:i}", "median", x->median / unit, "min", x->min / unit,
                     "max", x->max / unit, "runs", (int)x->n);
}

static json_t *card_json(const struct card *c)
{
    return json_pack("{s:b, s:i, s:i, s:b, s:b, s:b, s:i, s:s}", "seen", (int)c->seen, "mss",
                     (int)c->mss, "wscale", c->wscale, "sack", (int)c->sack, "timestamps",
                     (int)c->ts, "ecn", (int)c->ecn, "window", (int)c->window, "options",
                     c->options);
}

static json_t *counts_json(const struct flow_counts *n)
{
    json_t *again = json_object();
    for (int i = 0; i < AGAIN_COUNT; i++) {
        json_object_set_new(again, again_names[i], json_integer((json_int_t)n->again[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
                     "segments", (json_int_t)n->segments, "data_segments",
                     (json_int_t)n->data_segments, "bytes", (json_int_t)n->bytes, "new_bytes",
                     (json_int_t)n->new_bytes, "pure_acks", (json_int_t)n->pure_acks, "dup_acks",
                     (json_int_t)n->dup_acks, "sacks", (json_int_t)n->sacks, "zero_windows",
                     (json_int_t)n->zero_windows, "fins", (json_int_t)n->fins, "resets",
                     (json_int_t)n->resets, "lost", (json_int_t)n->lost, "bad_checksums",
                     (json_int_t)n->bad_checksums, "retransmissions", again);
}

/* What fired, per direction and rule, in the wire's order of packets: [rule, what, stream offset,
 * length]. */
static json_t *firings_json(const struct one *o, unsigned dir)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < o->nfirings; i++) {
        const struct wire_firing *f = &o->firing[i];
        if (f->dir == dir) {
            json_array_append_new(
                list, json_pack("{s:i, s:s, s:s, s:I, s:I, s:I}", "rule", (int)f->rule + 1, "what",
                                wire_fired_name(f->what), "kind", wire_pick_name(f->pick), "offset",
                                (json_int_t)f->offset, "length", (json_int_t)f->len, "connection",
                                (json_int_t)f->conn));
        }
    }
    return list;
}

static json_t *nsec_json(nsec t)
{
    return t == NEVER ? json_null() : json_real((double)t / 1e6);
}

static json_t *run_json(const struct one *o, const struct story *s)
{
    json_t *syns = json_array();
    for (unsigned i = 0; i < s->nsyns; i++) {
        json_array_append_new(syns, json_real((double)s->syn_at[i] / 1e6));
    }
    json_t *r = json_pack(
        "{s:s, s:i, s:i, s:i, s:b, s:s, s:s, s:I, s:f, s:f}", "stack", stack_names[o->stack], "run",
        (int)o->number, "exit", WIFEXITED(o->status) ? WEXITSTATUS(o->status) : -1, "signal",
        WIFSIGNALED(o->status) ? WTERMSIG(o->status) : 0, "timed_out", (int)o->timed_out,
        "stdout_sha256", o->out_hash, "stderr_sha256", o->err_hash, "stdout_bytes",
        (json_int_t)o->out_bytes, "wall_ms", (double)o->wall / 1e6, "cpu_ms", (double)o->cpu / 1e6);

    json_object_set_new(r, "connections", json_integer(s->connections));
    json_object_set_new(r, "calls", json_integer(o->ncalls));
    json_object_set_new(r, "calls_unseen", json_integer((json_int_t)o->uncalled));
    json_object_set_new(r, "sockets", json_integer(calls_sockets(o)));
    json_object_set_new(r, "own_retransmissions", json_integer((json_int_t)one_retrans(o)));
    json_object_set_new(r, "connect_ms", nsec_json(s->connect));
    json_object_set_new(r, "first_byte_ms", nsec_json(s->first_byte));
    json_object_set_new(r, "wire_ms", nsec_json(s->total));
    json_object_set_new(r, "longest_repair_ms", nsec_json(s->repair));
    json_object_set_new(r, "goodput_bytes_per_s", json_real(s->goodput));
    json_object_set_new(r, "syn_at_ms", syns);
    json_object_set_new(r, "first_flight_bytes", json_integer((json_int_t)s->first_flight));
    json_object_set_new(r, "closing", json_string(compared_closing(s)));
    json_object_set_new(r, "closed_first", json_string(compared_closer(s)));
    json_object_set_new(r, "handshake",
                        json_pack("{s:o, s:o}", "program", card_json(&s->card[WIRE_OUT]), "server",
                                  card_json(&s->card[WIRE_IN])));
    json_object_set_new(r, "out", counts_json(&s->count[WIRE_OUT]));
    json_object_set_new(r, "in", counts_json(&s->count[WIRE_IN]));
    json_object_set_new(
        r, "firings",
        json_pack("{s:o, s:o}", "out", firings_json(o, WIRE_OUT), "in", firings_json(o, WIRE_IN)));
    return r;
}

static json_t *diffs_json(const struct sides *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->ndiffs; i++) {
        const struct difference *d = &s->diff[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "class",
                                              class_names[d->class], "what", d->what, "clause",
                                              d->clause, "kernel", d->kernel, "ours", d->ours));
    }
    return list;
}

/* What the calls answered, and in how many runs. */
static json_t *outcomes_json(const struct calls *c)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < c->noutcomes; i++) {
        const struct outcome *x = &c->outcome[i];
        json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s, s:i, s:i}", "socket", x->socket,
                                              "nth", (int)x->nth, "call", x->call, "result",
                                              x->result, "kernel_runs", (int)x->runs[STACK_KERNEL],
                                              "our_runs", (int)x->runs[STACK_USER]));
    }
    return list;
}

static json_t *side_json(const struct sides *s, int k)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "wall_ms",
                     spread_json(&s->wall[k], 1e6), "cpu_ms", spread_json(&s->cpu[k], 1e6),
                     "connect_ms", spread_json(&s->connect[k], 1e6), "first_byte_ms",
                     spread_json(&s->first_byte[k], 1e6), "wire_ms", spread_json(&s->total[k], 1e6),
                     "longest_repair_ms", spread_json(&s->repair[k], 1e6), "goodput_bytes_per_s",
                     spread_json(&s->goodput[k], 1));
}

json_t *compared_json(const struct compared *w)
{
    const struct sides *s = w->sides;
    struct utsname u = {0};
    char verdict[160];
    json_t *runs = json_array();
    json_t *rules = json_array();
    json_t *program = json_array();

    for (int k = 0; k < STACKS; k++) {
        for (unsigned i = 0; i < s->n; i++) {
            json_array_append_new(runs, run_json(&s->one[k][i], &s->story[k][i]));
        }
    }
    for (uint32_t i = 0; i < w->setup->wire.nrules; i++) {
        json_array_append_new(rules, json_string(w->rules[i]));
    }
    for (unsigned i = 0; w->setup->program[i]; i++) {
        json_array_append_new(program, json_string(w->setup->program[i]));
    }
    uname(&u);
    return json_pack(
        "{s:s, s:b, s:s, s:o, s:s*, s:o, s:I, s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
        "verdict", compared_verdict(s, verdict, sizeof verdict), "same_result", (int)s->same_result,
        "again", w->command, "program", program, "server", w->setup->server, "rules", rules, "seed",
        (json_int_t)w->seed, "runs_each", (int)s->n, "warmup_each", (int)w->warmup,
        "kernel_release", u.release, "folder", w->setup->folder, "kernel",
        side_json(s, STACK_KERNEL), "ours", side_json(s, STACK_USER), "differences", diffs_json(s),
        "calls", outcomes_json(s->calls), "runs", runs);
}
