/*
 * Packets out: what the stack sent, against what the script expects.
 */
#include <stdlib.h>

#include "run.h"

#define PATIENCE (2 * SEC) /* how long after its time a packet is waited for */

/* A packet in the script's notation, nothing learned from it. */
static void show(struct run *r, const struct wire *w, struct str *out)
{
    struct spec live, script;
    struct conv *c = talk_of_packet(r, w);
    wire_spec(w, &live);
    if (c) {
        struct conv copy = *c;
        conv_out(&copy, &live, NULL, &script);
    } else {
        script = live;
    }
    if (!c || c != r->cur) {
        script.sport = w->sport;
        script.dport = w->dport;
    }
    spec_print(&script, out);
}

void expect_sent(void *run, const struct vk_packet *p)
{
    struct run *r = run;
    struct wire w;
    struct str err = {0}, text = {0};
    nsec at = p->at - r->start;
    if (!wire_parse(p->bytes, p->len, &w, &err)) {
        run_fail(r, "a bad packet was sent: %s", str_text(&err));
        log_add(r, at, "> (%zu bytes: %s)", p->len, str_text(&err));
        str_free(&err);
        return;
    }
    talk_sent(r, &w);
    log_events(r);
    if (w.frag) {
        str_add(&text, "> (a fragment of %zu bytes)", p->len);
    } else {
        show(r, &w, &text);
    }
    const char *why = tx_reason_name(p->reason);
    log_add(r, at, "%s%s%s%s", str_text(&text), p->reason ? "  (" : "", p->reason ? why : "",
            p->reason ? ")" : "");
    str_free(&text);
    str_free(&err);
}

/* The next packet of the connection that nobody took yet, or NULL. */
static struct vk_packet *next_of(struct run *r, const struct conv *c, enum spec_proto proto,
                                 struct wire *w)
{
    struct str err = {0};
    struct vk_packet *found = NULL;
    for (struct vk_packet *p = vk_packets(r->vk); p && !found; p = p->next) {
        if (!wire_parse(p->bytes, p->len, w, &err) || w->frag || !talk_owns(c, w)) {
            continue;
        }
        /* An ICMP message goes to the same peer as all connections: only a line about ICMP, or
         * the one under test. */
        if (w->proto != c->proto && proto != SPEC_ICMP && c != r->cur) {
            continue;
        }
        found = p;
    }
    str_free(&err);
    return found;
}

static struct vk_packet *await(struct run *r, const struct conv *c, enum spec_proto proto,
                               nsec limit, struct wire *w)
{
    for (;;) {
        struct vk_packet *p = next_of(r, c, proto, w);
        if (p || run_failed(r)) {
            return p;
        }
        if (!run_step(r, limit)) {
            return NULL;
        }
    }
}

static void take(struct run *r, struct vk_packet *p)
{
    vk_take(r->vk, p);
    free(p);
}

static bool mismatch(struct run *r, const struct spec *want, const struct spec *got,
                     const struct str *err)
{
    if (!str_text(&r->why)[0]) {
        spec_print(want, &r->expected);
        spec_print(got, &r->actual);
    }
    return run_fail(r, "%s", str_text(err));
}

struct glue {
    const struct spec *want;
    struct spec sum; /* so far */
    struct wire w;   /* the last header */
    nsec at;
    uint32_t size; /* of the first segment */
};

static bool want_more(const struct run *r, const struct glue *g)
{
    return g->want->proto == SPEC_TCP && g->sum.proto == SPEC_TCP && !r->cfg.strict_segments &&
           g->sum.len < g->want->len && g->sum.len > 0 && g->sum.seq == g->want->seq;
}

/* Further segments, until the script's length is reached. */
static bool gather(struct run *r, struct conv *c, struct glue *g, nsec limit, struct str *err)
{
    while (want_more(r, g)) {
        struct wire w;
        struct spec live, next;
        struct vk_packet *p = await(r, c, g->want->proto, limit, &w);
        if (!p) {
            return true; /* the length tells */
        }
        wire_spec(&w, &live);
        conv_out(c, &live, g->want, &next);
        if (!match_glue(&g->sum, &next, err)) {
            return false;
        }
        if (next.len != g->size && g->sum.len < g->want->len) {
            str_add(err, "segments of %u and %u bytes do not make up one of %u", g->size, next.len,
                    g->want->len);
            return false;
        }
        for (size_t i = 0; i < w.payload_len; i++) {
            if (w.payload[i]) {
                str_add(err, "payload byte %zu is not zero", i);
                return false;
            }
        }
        g->at = p->at;
        g->w = w;
        g->w.payload_len = 0; /* looked at; its bytes go with the packet */
        take(r, p);
    }
    return true;
}

static bool compare(struct run *r, struct conv *c, struct vk_packet *p, struct glue *g, nsec limit)
{
    struct spec live;
    struct str err = {0};
    struct match_rules rules = {.ts_tick_us = r->cfg.ts_tick_us, .ports = c->written_ports};
    if (rules.ts_tick_us) {
        rules.ts_tolerance = (uint32_t)(r->cfg.tolerance / USEC) / rules.ts_tick_us;
    }
    wire_spec(&g->w, &live);
    conv_out(c, &live, g->want, &g->sum);
    g->at = p->at;
    g->size = g->sum.len;
    bool ok = true;
    bool single = !want_more(r, g);
    if (!single) {
        take(r, p);
        p = NULL;
        g->w.payload_len = 0;
        ok = gather(r, c, g, limit, &err);
    }
    ok = ok && match(g->want, &g->sum, &g->w, &rules, &err);
    if (p) {
        take(r, p);
    }
    if (!ok) {
        mismatch(r, g->want, &g->sum, &err);
    }
    str_free(&err);
    return ok;
}

bool expect_packet(struct run *r, const struct spec *want, nsec from, nsec to, bool any_time)
{
    struct conv *c = talk_of_line(r, want);
    if (!c) {
        return run_fail(r, "no connection to expect a packet of");
    }
    struct glue g = {.want = want};
    nsec limit = any_time ? NEVER - SEC : to + PATIENCE;
    struct vk_packet *p = await(r, c, want->proto, limit, &g.w);
    if (run_failed(r)) {
        return false;
    }
    if (!p) {
        spec_print(want, &r->expected);
        str_add(&r->actual, "nothing");
        return run_fail(r, any_time ? "no packet, ever" : "no packet within 2 s of its time");
    }
    if (!compare(r, c, p, &g, limit)) {
        return false;
    }
    nsec before = r->last_expected;
    return any_time || run_on_time(r, "the packet", from, to, g.at - r->start, before);
}

bool expect_nothing_left(struct run *r)
{
    struct vk_packet *p = vk_packets(r->vk);
    if (!p || r->cfg.lax) {
        return true;
    }
    struct wire w;
    struct str err = {0};
    if (wire_parse(p->bytes, p->len, &w, &err)) {
        str_add(&r->expected, "nothing");
        show(r, &w, &r->actual);
    }
    str_free(&err);
    return run_fail(r, "a packet is left over, sent at %.6f", (double)(p->at - r->start) / 1e9);
}
