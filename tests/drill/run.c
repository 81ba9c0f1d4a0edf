/*
 * The event loop. Inbound packets, calls, commands and code wait for their time; an expected
 * packet is looked for from where the script is, time passing until one is there, and then its
 * time is checked. A relative time counts from where the clock is when the event before it is
 * over, except between two inbound packets, where it counts from when the first one should have
 * come.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "core/isn.h"

#define CLOCK_START (1000 * SEC)
#define FINISH_TIME (4 * 3600 * SEC)

bool run_failed(const struct run *r)
{
    return r->why.n > 0;
}

bool run_fail(struct run *r, const char *fmt, ...)
{
    if (run_failed(r)) {
        return false;
    }
    va_list ap;
    va_start(ap, fmt);
    str_vadd(&r->why, fmt, ap);
    va_end(ap);
    r->why_line = r->ev ? r->ev->line : 0;
    return false;
}

nsec run_now(const struct run *r)
{
    return vk_now(r->vk) - r->start;
}

/* What every event ends with: blocked calls that are over are checked, and the machine itself. */
static bool look_after(struct run *r)
{
    log_events(r);
    call_check_done(r);
    const char *fault = vk_fault(r->vk);
    if (fault) {
        run_fail(r, "%s", fault);
    }
    return !run_failed(r);
}

bool run_step(struct run *r, nsec limit)
{
    bool due = vk_step(r->vk, nsec_add(limit, r->start));
    look_after(r);
    return due;
}

void run_wait(struct run *r, nsec t)
{
    while (!run_failed(r) && run_step(r, t)) {
    }
}

bool run_on_time(struct run *r, const char *what, nsec from, nsec to, nsec actual, nsec before)
{
    nsec tol = (nsec)((double)(from - before) * r->cfg.tolerance_percent / 100.0);
    tol = nsec_max(tol, r->cfg.tolerance);
    if (actual >= from - tol && actual <= to + tol) {
        return true;
    }
    if (from == to) {
        return run_fail(r, "wrong time: expected %s at %.6f, it came at %.6f (tolerance %.6f)",
                        what, (double)from / 1e9, (double)actual / 1e9, (double)tol / 1e9);
    }
    return run_fail(r, "wrong time: expected %s at %.6f to %.6f, it came at %.6f", what,
                    (double)from / 1e9, (double)to / 1e9, (double)actual / 1e9);
}

static bool packet_in(struct run *r, const struct spec *s)
{
    static uint8_t buf[WIRE_MAX];
    struct spec live;
    struct str text = {0};
    struct conv *c = talk_of_line(r, s);
    if (!c) {
        return run_fail(r, "no connection this packet could belong to");
    }
    if (!conv_in(c, s, r->cfg.ts_scaled, &live, &r->why)) {
        r->why_line = r->ev->line;
        return false;
    }
    /* Ports that were written are meant, whatever the connection's are. */
    struct wire_ends e = {c->remote.addr, c->local.addr, s->sport ? s->sport : c->remote.port,
                          s->dport ? s->dport : c->local.port};
    size_t n = wire_build(&live, &e, buf);
    spec_print(s, &text);
    log_add(r, run_now(r), "%s", str_text(&text));
    str_free(&text);
    vk_inject(r->vk, buf, n);
    return look_after(r);
}

static nsec base_of(const struct run *r, const struct script_event *ev)
{
    bool in = ev->type == EVENT_PACKET && ev->pkt.dir == DIR_IN;
    if (ev->when.kind == TIME_ABS || ev->when.kind == TIME_ABS_RANGE) {
        return 0;
    }
    return in && r->last_was_in ? r->last_scheduled : run_now(r);
}

static bool event_run(struct run *r, const struct script_event *ev)
{
    nsec base = base_of(r, ev);
    nsec at = ev->when.at + base;
    bool in = ev->type == EVENT_PACKET && ev->pkt.dir == DIR_IN;
    bool ok = true;
    if (ev->type == EVENT_PACKET && ev->pkt.dir == DIR_OUT) {
        ok = expect_packet(r, &ev->pkt, at, ev->when.to + base, ev->when.kind == TIME_ANY);
    } else {
        run_wait(r, at);
        ok = !run_failed(r) && run_on_time(r, "this event", at, at, run_now(r), r->last_expected);
    }
    if (!ok) {
        return false;
    }
    r->last_expected = at;
    r->last_scheduled = at;
    r->last_was_in = in;
    switch (ev->type) {
    case EVENT_PACKET:
        return in ? packet_in(r, &ev->pkt) : look_after(r);
    case EVENT_CALL:
        return call_run(r, ev, base) && look_after(r);
    case EVENT_COMMAND:
        return cmd_run(r, ev->text) && look_after(r);
    case EVENT_CODE:
        return code_capture(r, ev->text, ev->line);
    }
    return false;
}

static void config_stack(const struct drill_config *c, struct stack_config *out)
{
    *out = (struct stack_config){.naddr = 1, .mtu = c->mtu};
    out->addr[0] = (struct ifaddr){c->local, c->local_bits};
    knobs_default(&out->knobs);
    knobs_set(&out->knobs, "user_profile", c->profile);
}

static bool connects(const struct script *s)
{
    for (const struct script_event *ev = s->events; ev; ev = ev->next) {
        if (ev->type == EVENT_CALL && strcmp(ev->call.name, "connect") == 0) {
            return true;
        }
    }
    return false;
}

/* An initial sequence number is a hash plus the clock: time passes until it is the wanted one. */
static void wait_for_isn(struct run *r)
{
    const struct drill_config *c = &r->cfg;
    struct flow f = {.laddr = c->local,
                     .raddr = c->remote,
                     .lport = c->bind_port,
                     .rport = connects(r->script) ? c->connect_port : r->next_port};
    seq now = isn_of(vk_stack(r->vk)->isn_secret, &f, r->start);

    r->start += (nsec)seq_dist(now, seq_of(c->isn)) * 64;
    vk_run_to(r->vk, r->start);
}

static bool boot(struct run *r)
{
    struct vk_config k = {.seed = r->cfg.seed, .start = CLOCK_START, .ctx = r, .sent = expect_sent};
    config_stack(&r->cfg, &k.stack);
    r->start = k.start;
    r->next_port = 33000;
    r->vk = vk_new(&k);
    if (r->vk && r->cfg.isn_given) {
        wait_for_isn(r);
    }
    return r->vk || run_fail(r, "the stack could not be made");
}

/* Calls that block to the end have to come back. */
static bool wait_for_calls(struct run *r)
{
    for (struct pending *p = r->pending; p && !run_failed(r); p = r->pending) {
        nsec due = p->due;
        r->ev = p->ev;
        if (run_now(r) > due + 2 * SEC) {
            return run_fail(r, "the call has not come back");
        }
        run_step(r, nsec_max(run_now(r), due) + 2 * SEC + USEC);
    }
    return !run_failed(r);
}

static void at_the_end(struct run *r)
{
    if (run_failed(r) || !wait_for_calls(r) || !expect_nothing_left(r) || !code_run_all(r)) {
        return;
    }
    if (r->cfg.passed) {
        r->cfg.passed(r, r->cfg.passed_ctx);
    }
    if (run_failed(r)) {
        return;
    }
    const char *left = vk_finish(r->vk, FINISH_TIME);
    log_events(r);
    if (left) {
        run_fail(r, "%s", left);
    } else if (vk_fault(r->vk)) {
        run_fail(r, "%s", vk_fault(r->vk));
    }
}

bool run_script(struct run *r, const struct script *s, const struct drill_config *cfg)
{
    *r = (struct run){.cfg = *cfg, .script = s};
    if (!boot(r)) {
        return false;
    }
    if (s->init && !cmd_run(r, s->init)) {
        r->why_line = s->init_line;
        return false;
    }
    for (r->ev = s->events; r->ev; r->ev = r->ev->next) {
        if (!event_run(r, r->ev)) {
            return false;
        }
    }
    for (const struct script_event *ev = s->events; ev; ev = ev->next) {
        r->ev = ev; /* what fails now fails after the last line */
    }
    at_the_end(r);
    return !run_failed(r);
}

void run_fini(struct run *r)
{
    while (r->pending) {
        struct pending *p = r->pending;
        r->pending = p->next;
        vk_cancel(r->vk, &p->c);
        pool_free(&p->pool);
        free(p);
    }
    while (r->convs) {
        struct conv *c = r->convs;
        r->convs = c->next;
        conv_fini(c);
        free(c);
    }
    vk_free(r->vk);
    for (size_t i = 0; i < r->ntrace; i++) {
        free(r->trace[i]);
    }
    free(r->trace);
    free(r->fds);
    str_free(&r->code);
    str_free(&r->why);
    str_free(&r->expected);
    str_free(&r->actual);
}
