#include "conv.h"

#include <stdlib.h>

#include "core/rdwr.h"
#include "opt.h"

void conv_fini(struct conv *f)
{
    free(f->ts);
    f->ts = NULL;
    f->nts = f->ts_cap = 0;
}

/* What is added to a script's number to get the live one. A SYN's number is written as it is, the
 * others count from it. */
static uint32_t local_shift(const struct conv *f, bool syn)
{
    return f->local_live - (syn ? f->local_script : 0);
}

static uint32_t remote_shift(const struct conv *f, bool syn)
{
    return f->remote_live - (syn ? f->remote_script : 0);
}

static uint32_t ts_word(const struct opts *o, int at)
{
    struct rd r = rd_of(o->b + at, 4);
    return rd_u32(&r);
}

static void ts_put(struct opts *o, int at, uint32_t v)
{
    struct wr w = wr_of(o->b + at, 4);
    wr_u32(&w, v);
}

static void ts_remember(struct conv *f, uint32_t script, uint32_t live)
{
    if (f->nts == f->ts_cap) {
        f->ts_cap = f->ts_cap ? f->ts_cap * 2 : 16;
        struct ts_pair *ts = realloc(f->ts, f->ts_cap * sizeof *ts);
        if (!ts) {
            abort();
        }
        f->ts = ts;
    }
    f->ts[f->nts++] = (struct ts_pair){script, live};
}

static bool ts_find(const struct conv *f, uint32_t script, uint32_t *live)
{
    for (unsigned i = f->nts; i-- > 0;) {
        if (f->ts[i].script == script) {
            *live = f->ts[i].live;
            return true;
        }
    }
    return false;
}

/* The echo in an inbound timestamp must be a value that was sent. */
static bool ts_in(const struct conv *f, bool ts_scaled, struct spec *live, struct str *err)
{
    int at = opts_find_ts(&live->opts);
    uint32_t v;
    if (at < 0 || !(live->flags & F_ACK)) {
        return true;
    }
    uint32_t script = ts_word(&live->opts, at + 4);
    if (ts_find(f, script, &v)) {
        ts_put(&live->opts, at + 4, v);
        return true;
    }
    if (ts_scaled && f->have_ts) {
        ts_put(&live->opts, at + 4, script - f->ts_script + f->ts_live);
        return true;
    }
    str_add(err, "echoes timestamp %u, which was never sent", script);
    return false;
}

static void tcp_in(struct conv *f, struct spec *s)
{
    bool syn = (s->flags & F_SYN) != 0;
    if (syn && !f->have_remote_isn) {
        f->have_remote_isn = true;
        f->remote_live = f->remote_script = s->seq;
    } else if (syn && s->seq != f->remote_script) {
        f->reopening = true; /* if the stack takes it for the beginning of a new connection */
        f->reopen_isn = s->seq;
    }
    uint32_t local = f->have_local_isn ? local_shift(f, syn) : 0;
    s->seq += remote_shift(f, syn);
    if (s->flags & F_ACK) {
        s->ack += local;
    }
    opts_shift_sack(&s->opts, local);
}

bool conv_in(struct conv *f, const struct spec *script, bool ts_scaled, struct spec *live,
             struct str *err)
{
    *live = *script;
    if (script->proto == SPEC_TCP) {
        tcp_in(f, live);
        return ts_in(f, ts_scaled, live, err);
    }
    if (script->proto == SPEC_ICMP && script->icmp.quote == QUOTE_NONE && f->proto == 6 &&
        wire_icmp_is_error(script->v6, script->icmp.type)) {
        live->icmp.quote = QUOTE_TCP; /* our SYN, if the script does not say */
        live->icmp.seq = 0;
    }
    if (script->proto == SPEC_ICMP && live->icmp.quote == QUOTE_TCP) {
        live->icmp.seq += f->have_local_isn ? local_shift(f, false) : 0;
    }
    return true;
}

static void learn_isn(struct conv *f, const struct spec *live, const struct spec *expected)
{
    if (!(live->flags & F_SYN)) {
        return;
    }
    bool reopened = f->reopening && (live->flags & F_ACK) && live->ack == f->reopen_isn + 1;
    if (reopened) {
        f->remote_live = f->remote_script = f->reopen_isn;
        f->reopening = false;
    }
    if (!f->have_local_isn || reopened) {
        f->have_local_isn = true;
        f->local_live = live->seq;
        f->local_script = expected && expected->proto == SPEC_TCP ? expected->seq : 0;
    }
}

static void ts_out(struct conv *f, const struct spec *expected, struct spec *s)
{
    int at = opts_find_ts(&s->opts);
    if (at < 0) {
        return;
    }
    uint32_t live = ts_word(&s->opts, at);
    int want = expected ? opts_find_ts(&expected->opts) : -1;
    if (want >= 0) {
        uint32_t script = ts_word(&expected->opts, want);
        ts_remember(f, script, live);
        if (!f->have_ts) {
            f->have_ts = true;
            f->ts_script = script;
            f->ts_live = live;
        }
    }
    if (f->have_ts) {
        ts_put(&s->opts, at, live - f->ts_live + f->ts_script);
    }
}

void conv_out(struct conv *f, const struct spec *live, const struct spec *expected,
              struct spec *script)
{
    *script = *live;
    if (live->proto == SPEC_TCP) {
        bool syn = (live->flags & F_SYN) != 0;
        learn_isn(f, live, expected);
        uint32_t local = f->have_local_isn ? local_shift(f, syn) : 0;
        uint32_t remote = f->have_remote_isn ? remote_shift(f, syn) : 0;
        script->seq -= local;
        if (live->flags & F_ACK) {
            script->ack -= remote;
        }
        opts_shift_sack(&script->opts, 0u - remote);
        ts_out(f, expected, script);
    } else if (live->proto == SPEC_ICMP && live->icmp.quote == QUOTE_TCP) {
        script->icmp.seq -= f->have_remote_isn ? remote_shift(f, false) : 0;
    }
}
