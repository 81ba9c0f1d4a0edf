/*
 * page.c - theory: one file, no network. Tables and both ladders are plain HTML, so they are there
 * without a script; the plots are uPlot's, drawn from the JSON in the page by page.js, and a
 * drawing in SVG stands in for them where scripts do not run. The content security policy forbids
 * every request.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../explain/proto.h"
#include "../msg.h"
#include "embed.h"
#include "show.h"

#define POINTS_MAX 4000u /* of a line: more are thinned, the largest of each stretch kept */
#define LADDER_MAX 160u

/* ---- text into HTML */

static void put(FILE *f, const char *s)
{
    for (; *s; s++) {
        switch (*s) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            putc(*s, f);
        }
    }
}

/* A JSON document inside a script element: "</" must not end it. */
static void put_json(FILE *f, const char *id, const json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));

    fprintf(f, "<script type=\"application/json\" id=\"%s\">", id);
    for (const char *s = text ? text : "null"; *s; s++) {
        if (*s == '<') {
            fputs("\\u003c", f);
        } else {
            putc(*s, f);
        }
    }
    fputs("</script>\n", f);
    free(text);
}

/* ---- lines of the plots */

struct line {
    double *x, *y;
    unsigned n, max;
};

static void line_add(struct line *l, double x, double y)
{
    if (l->n == l->max) {
        unsigned max = l->max ? 2 * l->max : 256;
        double *mx = realloc(l->x, max * sizeof *mx);
        if (!mx) {
            return;
        }
        l->x = mx;
        double *my = realloc(l->y, max * sizeof *my);
        if (!my) {
            return;
        }
        l->y = my;
        l->max = max;
    }
    l->x[l->n] = x;
    l->y[l->n++] = y;
}

/* Every stretch keeps its largest value. */
static void line_thin(struct line *l)
{
    unsigned every = l->n / POINTS_MAX + 1;
    unsigned k = 0;

    for (unsigned i = 0; every > 1 && i < l->n; i += every) {
        unsigned best = i;
        for (unsigned j = i; j < i + every && j < l->n; j++) {
            best = l->y[j] > l->y[best] ? j : best;
        }
        l->x[k] = l->x[best];
        l->y[k++] = l->y[best];
    }
    l->n = every > 1 ? k : l->n;
}

static json_t *line_json(struct line *l, int stack, const char *name, const char *draw)
{
    json_t *x = json_array();
    json_t *y = json_array();

    line_thin(l);
    for (unsigned i = 0; i < l->n; i++) {
        json_array_append_new(x, json_real(l->x[i]));
        json_array_append_new(y, json_real(l->y[i]));
    }
    free(l->x);
    free(l->y);
    *l = (struct line){0};
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "stack", stack_names[stack], "name", name, "draw",
                     draw, "x", x, "y", y);
}

/* The direction in which most of the data went. */
static unsigned bulk(const struct sides *s)
{
    const struct story *k = &s->story[STACK_KERNEL][0];
    return k->count[WIRE_OUT].new_bytes >= k->count[WIRE_IN].new_bytes ? WIRE_OUT : WIRE_IN;
}

struct lines {
    struct line sent, again, flight, rtt;
};

/* The program's port of the connection that carried most in a direction. */
static uint16_t busiest(const struct step *steps, unsigned n, unsigned dir)
{
    static uint64_t bytes[65536];
    uint16_t best = 0;

    memset(bytes, 0, sizeof bytes);
    for (unsigned i = 0; i < n; i++) {
        if (steps[i].tcp && steps[i].x->dir == dir) {
            bytes[steps[i].port] += steps[i].len;
            best = bytes[steps[i].port] > bytes[best] ? steps[i].port : best;
        }
    }
    return best;
}

/* What the busiest connection of one run drew, in the bulk direction. Its port. */
static uint16_t draw(struct lines *out, const struct one *o, unsigned dir)
{
    unsigned n;
    struct step *steps = story_steps(o, &n);
    uint64_t top = 0;
    uint64_t acked = 0;
    uint16_t port = steps ? busiest(steps, n, dir) : 0;
    unsigned oldest = 0; /* step whose acknowledgment is waited for */
    nsec t0 = o->nseen ? o->seen[0].at : 0;

    for (unsigned i = 0; steps && i < n; i++) {
        const struct step *p = &steps[i];
        double ms = (double)(p->x->at - t0) / 1e6;
        if (!p->tcp || p->port != port) {
            continue;
        }
        if (p->x->dir == dir && p->len) {
            top = p->end > top ? p->end : top;
            line_add(&out->sent, ms, (double)top / 1024);
            if (p->again) {
                line_add(&out->again, ms, (double)p->end / 1024);
            } else if (!oldest) {
                oldest = i + 1;
            }
        } else if (p->x->dir != dir && p->flags & TCP_ACK && p->ack > acked &&
                   p->x->arrived != NEVER) {
            acked = p->ack;
            if (oldest && acked >= steps[oldest - 1].end) {
                line_add(&out->rtt, (double)(p->x->arrived - t0) / 1e6,
                         (double)(p->x->arrived - steps[oldest - 1].x->at) / 1e6);
                oldest = 0;
            }
        }
        if (top > acked) {
            line_add(&out->flight, ms, (double)(top - acked) / 1024);
        }
    }
    free(steps);
    return port;
}

static json_t *plots(const struct sides *s)
{
    json_t *sequence = json_array();
    json_t *window = json_array();
    json_t *rtt = json_array();

    for (int k = 0; k < STACKS; k++) {
        const struct one *o = &s->one[k][0];
        struct lines l = {0};
        struct line cwnd = {0};
        struct line srtt = {0};
        nsec t0 = o->nseen ? o->seen[0].at : 0;
        uint16_t port = draw(&l, o, bulk(s));
        for (unsigned i = 0; i < o->nsamples; i++) {
            if (o->sample[i].port != port) {
                continue;
            }
            double ms = (double)(o->sample[i].at - t0) / 1e6;
            line_add(&cwnd, ms, (double)o->sample[i].cwnd * o->sample[i].mss / 1024);
            if (o->sample[i].srtt_us) { /* 0: none measured yet */
                line_add(&srtt, ms, o->sample[i].srtt_us / 1e3);
            }
        }
        json_array_append_new(sequence, line_json(&l.sent, k, "sent", "steps"));
        json_array_append_new(sequence, line_json(&l.again, k, "sent again", "points"));
        json_array_append_new(window, line_json(&l.flight, k, "in flight", "steps"));
        json_array_append_new(window, line_json(&cwnd, k, "cwnd of the program's side", "dash"));
        json_array_append_new(rtt, line_json(&l.rtt, k, "measured on the wire", "line"));
        json_array_append_new(rtt, line_json(&srtt, k, "srtt of the program's side", "dash"));
    }
    return json_pack("{s:o, s:o, s:o}", "sequence", sequence, "window", window, "rtt", rtt);
}

/* ---- the drawing that needs no script */

static double last_x(const json_t *list)
{
    double most = 1;
    size_t i;
    json_t *s;

    json_array_foreach(list, i, s)
    {
        const json_t *x = json_object_get(s, "x");
        size_t n = json_array_size(x);
        double end = n ? json_real_value(json_array_get(x, n - 1)) : 0;
        most = end > most ? end : most;
    }
    return most;
}

static double most_y(const json_t *list)
{
    double most = 1;
    size_t i;
    size_t k;
    json_t *s;
    json_t *v;

    json_array_foreach(list, i, s)
    {
        json_array_foreach(json_object_get(s, "y"), k, v)
        {
            most = json_real_value(v) > most ? json_real_value(v) : most;
        }
    }
    return most;
}

static void svg(FILE *f, const json_t *list)
{
    double w = 1000;
    double h = 300;
    double mx = last_x(list);
    double my = most_y(list);
    size_t i;
    size_t k;
    json_t *s;
    json_t *v;

    fprintf(f,
            "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"bytes over time\">"
            "<rect x=\"40\" y=\"10\" width=\"950\" height=\"260\" fill=\"none\" "
            "stroke=\"currentColor\" "
            "stroke-opacity=\".3\"/>\n",
            w, h);
    json_array_foreach(list, i, s)
    {
        const char *stack = json_string_value(json_object_get(s, "stack"));
        const json_t *y = json_object_get(s, "y");
        bool points = strcmp(json_string_value(json_object_get(s, "draw")), "points") == 0;
        if (!points) {
            fprintf(f,
                    "<polyline fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"1.6\" points=\"",
                    stack);
        }
        json_array_foreach(json_object_get(s, "x"), k, v)
        {
            double x = 40 + 950 * json_real_value(v) / mx;
            double at = 270 - 260 * json_real_value(json_array_get(y, k)) / my;
            fprintf(f,
                    points ? "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"var(--%s)\"/>"
                           : "%.1f,%.1f ",
                    x, at, stack);
        }
        fputs(points ? "\n" : "\"/>\n", f);
    }
    fprintf(
        f,
        "<text x=\"990\" y=\"292\" text-anchor=\"end\" font-size=\"13\" "
        "fill=\"currentColor\">%.0f ms</text>"
        "<text x=\"44\" y=\"26\" font-size=\"13\" fill=\"currentColor\">%.0f KiB</text></svg>\n",
        mx, my);
}

/* ---- both ladders */

static void step_text(const struct step *p, nsec t0, char buf[160])
{
    static const struct {
        uint16_t bit;
        char letter;
    } order[] = {{TCP_SYN, 'S'}, {TCP_FIN, 'F'}, {TCP_RST, 'R'}, {TCP_PSH, 'P'}, {TCP_URG, 'U'},
                 {TCP_ECE, 'E'}, {TCP_CWR, 'W'}, {TCP_AE, 'A'},  {TCP_ACK, '.'}};
    char flags[12];
    size_t n = 0;

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (p->flags & order[i].bit) {
            flags[n++] = order[i].letter;
        }
    }
    flags[n] = '\0';
    n = (size_t)snprintf(buf, 160, "%9.2f %s ", (double)(p->x->at - t0) / 1e6,
                         p->x->dir == WIRE_OUT ? ">" : "<");
    if (!p->tcp) {
        snprintf(buf + n, 160 - n, "(%u bytes)", p->x->len);
        return;
    }
    n += (size_t)snprintf(buf + n, 160 - n, "%s %llu:%llu(%u)", flags, (unsigned long long)p->seq,
                          (unsigned long long)p->seq + p->len, p->len);
    if (p->flags & TCP_ACK) {
        snprintf(buf + n, 160 - n, " ack %llu", (unsigned long long)p->ack);
    }
}

/* Alike but for time, window and how far an acknowledgment is: what aligns the two. */
static bool alike(const struct step *a, const struct step *b)
{
    if (a->x->dir != b->x->dir || a->tcp != b->tcp ||
        (a->flags & (uint16_t)~TCP_PSH) != (b->flags & (uint16_t)~TCP_PSH)) {
        return false;
    }
    return a->len == 0 && b->len == 0 ? a->ack == b->ack : a->seq == b->seq && a->len == b->len;
}

/* The longest common subsequence: table[i][j] is its length from i and j on. */
static uint16_t *lcs(const struct step *a, unsigned na, const struct step *b, unsigned nb)
{
    uint16_t *t = calloc((size_t)(na + 1) * (nb + 1), sizeof *t);

    for (unsigned i = na; t && i-- > 0;) {
        for (unsigned j = nb; j-- > 0;) {
            uint16_t *at = &t[i * (nb + 1) + j];
            uint16_t down = t[(i + 1) * (nb + 1) + j];
            uint16_t right = t[i * (nb + 1) + j + 1];
            *at = alike(&a[i], &b[j]) ? (uint16_t)(t[(i + 1) * (nb + 1) + j + 1] + 1)
                  : down > right      ? down
                                      : right;
        }
    }
    return t;
}

static void cell(FILE *f, const struct step *p, nsec t0, const char *side)
{
    char text[160] = "";

    if (p) {
        step_text(p, t0, text);
    }
    fprintf(f, "<td class=\"%s%s%s\">", side, p && p->x->arrived == NEVER ? " lost" : "",
            p && p->again ? " again" : "");
    put(f, text);
    fputs("</td>", f);
}

static void ladder(FILE *f, const struct sides *s)
{
    unsigned na;
    unsigned nb;
    struct step *a = story_steps(&s->one[STACK_KERNEL][0], &na);
    struct step *b = story_steps(&s->one[STACK_USER][0], &nb);
    unsigned all = na > nb ? na : nb;
    bool diverged = false;
    unsigned i = 0;
    unsigned j = 0;

    na = na < LADDER_MAX ? na : LADDER_MAX;
    nb = nb < LADDER_MAX ? nb : LADDER_MAX;
    uint16_t *t = a && b ? lcs(a, na, b, nb) : NULL;
    fputs("<table class=\"ladder\"><tr><th class=\"k\">kernel</th><th class=\"u\">ours</th></tr>\n",
          f);
    while (t && (i < na || j < nb)) {
        bool both = i < na && j < nb && alike(&a[i], &b[j]);
        bool left =
            !both && i < na && (j >= nb || t[(i + 1) * (nb + 1) + j] >= t[i * (nb + 1) + j + 1]);
        fputs(!both && !diverged ? "<tr class=\"diverges\">" : "<tr>", f);
        diverged = diverged || !both;
        cell(f, both || left ? &a[i] : NULL, na ? a[0].x->at : 0, "k");
        cell(f, both || !left ? &b[j] : NULL, nb ? b[0].x->at : 0, "u");
        fputs("</tr>\n", f);
        i += both || left;
        j += both || !left;
    }
    fputs("</table>\n", f);
    if (all > LADDER_MAX) {
        fprintf(f, "<p class=\"note\">The first %u packets of each; the captures have all.</p>\n",
                LADDER_MAX);
    }
    free(t);
    free(a);
    free(b);
}

/* ---- tables */

static void row(FILE *f, const char *name, const char *k, const char *u)
{
    fputs("<tr><th>", f);
    put(f, name);
    fputs("</th><td class=\"k\">", f);
    put(f, k);
    fputs("</td><td class=\"u\">", f);
    put(f, u);
    fputs("</td></tr>\n", f);
}

static void times_row(FILE *f, const char *name, const struct spread x[STACKS])
{
    char text[STACKS][64];

    for (int k = 0; k < STACKS; k++) {
        snprintf(text[k], sizeof text[k], x[k].n ? "%.1f ms (%.1f to %.1f, %u runs)" : "-",
                 x[k].median / 1e6, x[k].min / 1e6, x[k].max / 1e6, x[k].n);
    }
    row(f, name, text[0], text[1]);
}

static void number_row(FILE *f, const char *name, const struct sides *s, size_t offset)
{
    char text[STACKS][64];

    for (int k = 0; k < STACKS; k++) {
        uint64_t v[WIRE_DIRS];
        for (int d = 0; d < WIRE_DIRS; d++) {
            memcpy(&v[d], (const char *)&s->story[k][0].count[d] + offset, sizeof v[d]);
        }
        snprintf(text[k], sizeof text[k], "%llu out, %llu in", (unsigned long long)v[WIRE_OUT],
                 (unsigned long long)v[WIRE_IN]);
    }
    row(f, name, text[0], text[1]);
}

static void result_table(FILE *f, const struct sides *s)
{
    char text[STACKS][96];

    fputs("<table><tr><th></th><th class=\"k\">kernel</th><th class=\"u\">ours</th></tr>\n", f);
    for (int k = 0; k < STACKS; k++) {
        compared_status(&s->one[k][0], text[k]);
    }
    row(f, "how it ended", text[0], text[1]);
    for (int k = 0; k < STACKS; k++) {
        snprintf(text[k], sizeof text[k], "%llu bytes, SHA-256 %.16s...",
                 (unsigned long long)s->one[k][0].out_bytes, s->one[k][0].out_hash);
    }
    row(f, "output", text[0], text[1]);
    for (int k = 0; k < STACKS; k++) {
        compared_calls(&s->one[k][0], text[k], sizeof text[k]);
    }
    row(f, "socket calls", text[0], text[1]);
    times_row(f, "run time", s->wall);
    times_row(f, "CPU time", s->cpu);
    times_row(f, "connect", s->connect);
    times_row(f, "first byte", s->first_byte);
    times_row(f, "on the wire", s->total);
    times_row(f, "longest repair of a loss", s->repair);
    fputs("</table>\n", f);
}

/* The calls that met an error on either stack. */
static void error_table(FILE *f, const struct sides *s)
{
    const struct calls *c = s->calls;
    bool any = false;

    for (unsigned i = 0; i < c->noutcomes; i++) {
        char name[160], kernel[96], ours[96];
        bool told = !c->outcome[i].error || strcmp(c->outcome[i].result, "EINPROGRESS") == 0;
        for (unsigned j = 0; j < i && !told; j++) {
            told = c->outcome[j].error && calls_same(c, i, j);
        }
        if (told) {
            continue;
        }
        fputs(any ? ""
                  : "<h2>Calls that met an error</h2>\n<table><tr><th></th><th "
                    "class=\"k\">kernel</th><th class=\"u\">ours</th></tr>\n",
              f);
        any = true;
        snprintf(name, sizeof name, "%s, %s", c->outcome[i].call, c->outcome[i].socket);
        row(f, name, calls_results(c, i, STACK_KERNEL, s->n, kernel, sizeof kernel),
            calls_results(c, i, STACK_USER, s->n, ours, sizeof ours));
    }
    fputs(any ? "</table>\n" : "", f);
}

/* What the wire did. */
static void rule_table(FILE *f, const struct compared *w)
{
    if (w->setup->wire.nrules == 0) {
        return;
    }
    fputs("<h2>The wire's rules</h2>\n<p class=\"note\">How often each fired in the first "
          "run.</p>\n<table><tr><th></th><th class=\"k\">kernel</th><th "
          "class=\"u\">ours</th></tr>\n",
          f);
    for (uint32_t i = 0; i < w->setup->wire.nrules; i++) {
        unsigned kind = w->setup->wire.rule[i].kind;
        char text[STACKS][64];
        for (int k = 0; k < STACKS; k++) {
            unsigned n = compared_fired(w->sides, (enum stack_kind)k, i);
            snprintf(text[k], sizeof text[k],
                     compared_idle(w, i) ? "never: no such packet passed"
                     : kind == RULE_DELAY || (kind == RULE_RATE && n == 0) ? "all the time"
                                                                           : "%u",
                     n);
        }
        row(f, w->rules[i], text[0], text[1]);
    }
    fputs("</table>\n", f);
}

static void card_table(FILE *f, const struct sides *s)
{
    fputs("<table><tr><th></th><th class=\"k\">kernel</th><th class=\"u\">ours</th></tr>\n", f);
    for (int d = 0; d < WIRE_DIRS; d++) {
        char text[STACKS][160];
        for (int k = 0; k < STACKS; k++) {
            const struct card *c = &s->story[k][0].card[d];
            char offers[64];
            snprintf(text[k], sizeof text[k], "<%s> MSS %u, window scale %d, window %u; %s",
                     c->options, c->mss, c->wscale, c->window,
                     compared_offers(c, offers, sizeof offers));
        }
        row(f, d == WIRE_OUT ? "SYN of the program's side" : "SYN of the server's side", text[0],
            text[1]);
    }
    char a[96], b[96];
    row(f, "SYN again after", compared_syns(&s->story[STACK_KERNEL][0], a, sizeof a),
        compared_syns(&s->story[STACK_USER][0], b, sizeof b));
    snprintf(a, sizeof a, "%llu bytes", (unsigned long long)s->story[STACK_KERNEL][0].first_flight);
    snprintf(b, sizeof b, "%llu bytes", (unsigned long long)s->story[STACK_USER][0].first_flight);
    row(f, "sent before anything was acknowledged", a, b);
    row(f, "how it ended", compared_closing(&s->story[STACK_KERNEL][0]),
        compared_closing(&s->story[STACK_USER][0]));
    row(f, "who closed first", compared_closer(&s->story[STACK_KERNEL][0]),
        compared_closer(&s->story[STACK_USER][0]));
    number_row(f, "segments", s, offsetof(struct flow_counts, segments));
    number_row(f, "bytes of new data", s, offsetof(struct flow_counts, new_bytes));
    number_row(f, "pure acknowledgments", s, offsetof(struct flow_counts, pure_acks));
    number_row(f, "duplicate acknowledgments", s, offsetof(struct flow_counts, dup_acks));
    number_row(f, "with SACK blocks", s, offsetof(struct flow_counts, sacks));
    for (int i = 0; i < AGAIN_COUNT; i++) {
        char name[48];
        snprintf(name, sizeof name, "sent again: %s", again_names[i]);
        number_row(f, name, s, offsetof(struct flow_counts, again) + (size_t)i * sizeof(uint64_t));
    }
    number_row(f, "lost on the wire", s, offsetof(struct flow_counts, lost));
    number_row(f, "closed windows", s, offsetof(struct flow_counts, zero_windows));
    fputs("</table>\n", f);
}

static void difference_table(FILE *f, const struct sides *s)
{
    if (s->ndiffs == 0) {
        fputs("<p>None.</p>\n", f);
        return;
    }
    fputs("<table><tr><th>class</th><th>what</th><th class=\"k\">kernel</th><th "
          "class=\"u\">ours</th><th>clause</th></tr>\n",
          f);
    for (unsigned i = 0; i < s->ndiffs; i++) {
        const struct difference *d = &s->diff[i];
        fprintf(f, "<tr><td><span class=\"tag\">%s</span></td><td>", class_names[d->class]);
        put(f, d->what);
        fputs("</td><td class=\"k\">", f);
        put(f, d->kernel);
        fputs("</td><td class=\"u\">", f);
        put(f, d->ours);
        fputs("</td><td>", f);
        put(f, d->clause);
        fputs("</td></tr>\n", f);
    }
    fputs("</table>\n", f);
}

static void head(FILE *f, const struct compared *w)
{
    const struct sides *s = w->sides;
    char verdict[160];
    bool bug = !s->same_result;

    for (unsigned i = 0; i < s->ndiffs; i++) {
        bug = bug || s->diff[i].class == CLASS_BUG;
    }
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "script-src 'unsafe-inline'; "
          "style-src 'unsafe-inline'; img-src data:\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>standin "
          "compare</title>\n<style>\n",
          f);
    fputs(embed_uplot_css, f);
    fputs(embed_css, f);
    fputs("</style></head><body>\n<h1>One program, two stacks</h1>\n<p class=\"sub\"><code>", f);
    for (unsigned i = 0; w->setup->program[i]; i++) {
        put(f, i ? " " : "");
        put(f, w->setup->program[i]);
    }
    fprintf(f,
            "</code>, %u run%s on each, alternating, over the same emulated wire</p>\n<div "
            "class=\"verdict%s\">",
            s->n, s->n == 1 ? "" : "s",
            bug         ? " bug"
            : s->ndiffs ? " some"
                        : "");
    put(f, compared_verdict(s, verdict, sizeof verdict));
    fputs("</div>\n", f);
}

static void environment(FILE *f, const struct compared *w, const json_t *data)
{
    fputs("<h2>To repeat it</h2>\n<pre>", f);
    put(f, w->command);
    fprintf(f, "</pre>\n<p>Seed %llu. Linux %s. Captures and outputs: <code>",
            (unsigned long long)w->seed,
            json_string_value(json_object_get(data, "kernel_release")));
    put(f, w->setup->folder);
    fputs("</code></p>\n", f);
}

static void figure(FILE *f, const char *id, const char *title, const char *caption,
                   const json_t *still)
{
    fprintf(f, "<h2>%s</h2>\n<figure><div id=\"%s\"></div>\n", title, id);
    if (still) {
        fputs("<noscript>\n", f);
        svg(f, still);
        fputs("</noscript>\n", f);
    }
    fprintf(f, "<figcaption>%s</figcaption></figure>\n", caption);
}

bool compared_page(const struct compared *w, json_t *data, const char *path)
{
    FILE *f = fopen(path, "we");
    json_t *p = plots(w->sides);
    const char *dir =
        bulk(w->sides) == WIRE_OUT ? "from the program's side" : "from the server's side";
    char caption[200];

    if (!f) {
        msg("cannot write %s: %s", path, strerror(errno));
        json_decref(p);
        return false;
    }
    head(f, w);
    fputs("<h2>What the program saw</h2>\n", f);
    result_table(f, w->sides);
    fputs("<h2>Differences</h2>\n", f);
    difference_table(f, w->sides);
    error_table(f, w->sides);
    rule_table(f, w);
    snprintf(caption, sizeof caption,
             "The busiest stream %s, first run of each: how far it was sent; dots are bytes sent "
             "again.",
             dir);
    figure(f, "sequence", "Time and sequence", caption, json_object_get(p, "sequence"));
    figure(f, "window", "Window",
           "Bytes in flight as seen on the wire, and the congestion window that the "
           "program's side had.",
           NULL);
    figure(f, "rtt", "Round trip",
           "From a byte's first way onto the wire to the acknowledgment's arrival; and the "
           "smoothed value of the program's side.",
           NULL);
    fputs("<h2>Handshake and counts</h2>\n<p class=\"note\">First run of each.</p>\n", f);
    card_table(f, w->sides);
    fputs("<h2>Packet by packet</h2>\n<p class=\"note\">Milliseconds since the first "
          "packet; &gt; from the program, &lt; to it. "
          "Struck out: lost on the wire. The first line that differs is marked.</p>\n",
          f);
    ladder(f, w->sides);
    environment(f, w, data);
    put_json(f, "data", data);
    put_json(f, "plots", p);
    fputs("<script>\n", f);
    fputs(embed_uplot_js, f);
    fputs("\n</script>\n<script>\n", f);
    fputs(embed_js, f);
    fputs("</script>\n</body></html>\n", f);
    json_decref(p);
    if (fclose(f) != 0) {
        msg("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    return true;
}
