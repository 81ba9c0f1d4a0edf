/*
 * impair_print.c - a rule as text: for each meaning one form, which parses back to the same rule.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "tun/impair_priv.h"

struct out {
    char *buf;
    size_t n;
};

static void put(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(o->buf + o->n, IMPAIR_RULE_MAX - o->n, fmt, ap);
    va_end(ap);
    o->n = min_size(o->n + (size_t)max_u32((uint32_t)n, 0), IMPAIR_RULE_MAX - 1);
}

static void put_time(struct out *o, nsec t)
{
    static const struct {
        nsec n;
        const char *unit;
    } units[] = {{SEC, "s"}, {MSEC, "ms"}, {USEC, "us"}, {1, "ns"}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (t % units[i].n == 0) {
            put(o, "%lld%s", (long long)(t / units[i].n), t ? units[i].unit : "ms");
            return;
        }
    }
}

static void put_chance(struct out *o, uint32_t ppm)
{
    char part[8];
    snprintf(part, sizeof part, "%04u", ppm % 10000);
    for (size_t n = 4; n > 0 && part[n - 1] == '0'; n--) {
        part[n - 1] = '\0';
    }
    put(o, "%u%s%s%%", ppm / 10000, part[0] ? "." : "", part);
}

static void put_size(struct out *o, uint64_t n)
{
    static const struct {
        uint64_t n;
        const char *unit;
    } units[] = {{1u << 30, "GiB"}, {1u << 20, "MiB"}, {1u << 10, "KiB"}, {1, "B"}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (n && n % units[i].n == 0) {
            put(o, "%llu%s", (unsigned long long)(n / units[i].n), units[i].unit);
            return;
        }
    }
    put(o, "0B");
}

static void put_rate(struct out *o, uint64_t bits)
{
    static const struct {
        uint64_t n;
        const char *unit;
    } units[] = {{1000000000, "gbit"}, {1000000, "mbit"}, {1000, "kbit"}, {1, "bit"}};
    size_t i = 0;
    while (bits % units[i].n != 0) {
        i++;
    }
    put(o, "%llu%s", (unsigned long long)(bits / units[i].n), units[i].unit);
}

static void put_sel(struct out *o, const struct wire_sel *s)
{
    put(o, "%s", wire_pick_name(s->pick));
    if (!s->numbered) {
        return;
    }
    put(o, "#%u", s->first);
    if (s->last == UINT32_MAX) {
        put(o, "+");
        if (s->step != 1) {
            put(o, "%u", s->step);
        }
    } else if (s->last != s->first) {
        put(o, "..%u", s->last);
    }
}

static bool is_all(const struct wire_sel *s)
{
    return s->pick == PICK_ANY && !s->numbered;
}

static void put_of(struct out *o, const struct wire_rule *r)
{
    if (!is_all(&r->sel)) {
        put(o, " of ");
        put_sel(o, &r->sel);
    }
}

static void put_chance_or_sel(struct out *o, const struct wire_rule *r)
{
    if (r->ppm < WIRE_PPM) {
        put_chance(o, r->ppm);
        put_of(o, r);
    } else {
        put_sel(o, &r->sel);
    }
}

static void put_after_for(struct out *o, uint64_t bytes, nsec after, nsec lasts)
{
    if (bytes || after) {
        put(o, " after ");
    }
    if (bytes) {
        put_size(o, bytes);
    } else if (after) {
        put_time(o, after);
    }
    if (lasts != NEVER) {
        put(o, " for ");
        put_time(o, lasts);
    }
}

static void put_delay(struct out *o, const struct wire_rule *r)
{
    put(o, "delay ");
    put_time(o, r->u.delay.mean);
    if (r->u.delay.jitter) {
        put(o, " jitter ");
        put_time(o, r->u.delay.jitter);
    }
    if (r->u.delay.dist != DIST_UNIFORM) {
        put(o, " dist %s", dist_names[r->u.delay.dist]);
    }
    put(o, "%s", r->u.delay.ordered ? " ordered" : "");
    put_of(o, r);
}

static void put_ge(struct out *o, const struct wire_rule *r)
{
    put(o, "loss ge p=");
    put_chance(o, r->u.ge.p);
    put(o, " r=");
    put_chance(o, r->u.ge.r);
    if (r->u.ge.bad != WIRE_PPM) {
        put(o, " bad=");
        put_chance(o, r->u.ge.bad);
    }
    if (r->u.ge.good) {
        put(o, " good=");
        put_chance(o, r->u.ge.good);
    }
}

static void put_reorder(struct out *o, const struct wire_rule *r)
{
    put(o, "reorder ");
    put_chance_or_sel(o, r);
    if (r->u.reorder.until) {
        put(o, " after ");
        put_sel(o, &r->u.reorder.after);
    } else {
        put(o, " by ");
        put_time(o, r->u.reorder.by);
    }
}

static void put_corrupt(struct out *o, const struct wire_rule *r)
{
    put(o, "corrupt ");
    put_chance_or_sel(o, r);
    if (r->u.corrupt.field != FIELD_ANY) {
        put(o, " at %s", wire_field_name(r->u.corrupt.field));
    }
    put(o, "%s", r->u.corrupt.fixed ? " fixed" : "");
}

static void put_rate_rule(struct out *o, const struct wire_rule *r)
{
    put(o, "rate ");
    put_rate(o, r->u.rate.bits);
    if (r->u.rate.pkts) {
        put(o, " queue %up", r->u.rate.pkts);
    }
    if (r->u.rate.bytes) {
        put(o, " queue ");
        put_size(o, r->u.rate.bytes);
    }
    if (r->u.rate.aqm != AQM_DROPTAIL) {
        put(o, " aqm %s%s", aqm_names[r->u.rate.aqm], r->u.rate.ecn ? " ecn" : "");
    }
}

static void put_strip(struct out *o, const struct wire_rule *r)
{
    const char *sep = "";
    put(o, "strip ");
    if (r->u.strip.options == STRIP_ALL) {
        put(o, "all");
    }
    for (unsigned i = 0; i < 8 && r->u.strip.options != STRIP_ALL; i++) {
        if (r->u.strip.options >> i & 1) {
            put(o, "%s%s", sep, strip_names[i]);
            sep = ",";
        }
    }
    put(o, "%s", r->u.strip.all ? " on all" : " on syn");
}

static void put_short(struct out *o, const struct wire_rule *r)
{
    switch (r->kind) {
    case RULE_MTU:
        put(o, "mtu %u%s", r->u.mtu.bytes, r->u.mtu.silent ? " icmp=silent" : "");
        break;
    case RULE_CLAMP:
        put(o, "mss %u", r->u.clamp.mss);
        break;
    case RULE_MARK:
        put(o, "ecn-mark ");
        put_chance_or_sel(o, r);
        break;
    case RULE_BLEACH:
        put(o, "ecn-bleach");
        break;
    case RULE_RST:
        put(o, "rst");
        put_after_for(o, r->u.rst.after, 0, NEVER);
        break;
    case RULE_WINDOW:
        put(o, "window %u", r->u.window.bytes);
        put_after_for(o, r->u.window.after, 0, r->u.window.lasts);
        break;
    case RULE_IDLE:
        put(o, "idle ");
        put_time(o, r->u.idle.after);
        break;
    default:
        put(o, "?");
        break;
    }
}

char *impair_print(const struct wire_rule *r, char buf[IMPAIR_RULE_MAX])
{
    struct out o = {.buf = buf};
    buf[0] = '\0';
    put(&o, "%s", r->dirs == 1u << WIRE_IN ? "in: " : r->dirs == 1u << WIRE_OUT ? "out: " : "");
    switch (r->kind) {
    case RULE_DELAY:
        put_delay(&o, r);
        break;
    case RULE_LOSS:
        put(&o, "loss ");
        put_chance(&o, r->ppm);
        put_of(&o, r);
        break;
    case RULE_GE:
        put_ge(&o, r);
        break;
    case RULE_DROP:
        put(&o, "drop ");
        put_sel(&o, &r->sel);
        break;
    case RULE_REORDER:
        put_reorder(&o, r);
        break;
    case RULE_DUP:
        put(&o, "dup ");
        put_chance_or_sel(&o, r);
        if (r->u.dup.copies != 2) {
            put(&o, " x%u", r->u.dup.copies);
        }
        break;
    case RULE_CORRUPT:
        put_corrupt(&o, r);
        break;
    case RULE_RATE:
        put_rate_rule(&o, r);
        break;
    case RULE_BLACKHOLE:
        put(&o, "blackhole");
        put_after_for(&o, r->u.hole.after, r->u.hole.after_time, r->u.hole.lasts);
        break;
    case RULE_STRIP:
        put_strip(&o, r);
        break;
    default:
        put_short(&o, r);
        break;
    }
    return buf;
}
