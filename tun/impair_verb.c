/*
 * impair_verb.c - the verbs of the mini-language: which words each rule has, in the order of
 * impair.h.
 */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tun/impair_priv.h"

const char *const dist_names[] = {"uniform", "normal", "pareto", NULL};
const char *const aqm_names[] = {"droptail", "codel", NULL};
const char *const strip_names[] = {"mss", "wscale", "sack",  "timestamps", "fastopen",
                                   "md5", "accecn", "other", "all",        NULL};

static void read_of(struct reader *r, struct wire_rule *o)
{
    if (rd_if(r, "of")) {
        o->sel = rd_sel(r);
    }
}

static void read_delay(struct reader *r, struct wire_rule *o)
{
    o->u.delay.mean = rd_time(r, "a time");
    while (rd_more(r)) {
        if (rd_if(r, "jitter")) {
            o->u.delay.jitter = rd_time(r, "the jitter, a time,");
        } else if (rd_if(r, "dist")) {
            o->u.delay.dist = (uint8_t)rd_choice(r, "distribution", dist_names);
        } else if (rd_if(r, "ordered")) {
            o->u.delay.ordered = true;
        } else if (rd_if(r, "of")) {
            o->sel = rd_sel(r);
        } else {
            static const char *const words[] = {"jitter", "dist", "ordered", "of", NULL};
            rd_choice(r, "part of a delay", words);
        }
    }
    if (o->u.delay.dist && !o->u.delay.jitter) {
        rd_error(r, "a distribution needs a jitter");
    }
}

/* p=1% and the like: the name is checked, the value returned. */
static bool read_ge_part(struct reader *r, struct wire_rule *o)
{
    static const char *const names[] = {"p", "r", "bad", "good", NULL};
    uint32_t *const to[] = {&o->u.ge.p, &o->u.ge.r, &o->u.ge.bad, &o->u.ge.good};
    if (!rd_word(r)) {
        return false;
    }
    char *eq = strchr(r->word, '=');
    if (!eq) {
        rd_error(r, "loss ge takes p=CHANCE r=CHANCE bad=CHANCE good=CHANCE");
        return false;
    }
    *eq = '\0';
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(r->word, names[i]) == 0) {
            *to[i] = word_chance(r, eq + 1);
            return !r->bad;
        }
    }
    rd_unknown(r, "part of loss ge", names);
    return false;
}

static void read_loss(struct reader *r, struct wire_rule *o)
{
    if (rd_if(r, "ge")) {
        o->kind = RULE_GE;
        o->u.ge.bad = WIRE_PPM;
        while (read_ge_part(r, o)) {
        }
        if (!o->u.ge.p || !o->u.ge.r) {
            rd_missing(r, "p= or r=, above 0,");
        }
        return;
    }
    o->ppm = rd_chance(r, "a chance");
    read_of(r, o);
}

/* "5%", "5% of data", "data#3". */
static void read_chance_or_sel(struct reader *r, struct wire_rule *o)
{
    if (!rd_word(r)) {
        rd_missing(r, "a chance, or which packets,");
        return;
    }
    if (looks_like_chance(r->word)) {
        o->ppm = word_chance(r, r->word);
        read_of(r, o);
    } else {
        o->sel = word_sel(r, r->word);
    }
}

static void read_drop(struct reader *r, struct wire_rule *o)
{
    if (!rd_word(r)) {
        rd_missing(r, "which packets");
    } else if (looks_like_chance(r->word)) {
        rd_error(r, "drop takes the packets it means, like data#3");
        strcpy(r->err->meant, "loss");
    } else {
        o->sel = word_sel(r, r->word);
    }
}

static void read_reorder(struct reader *r, struct wire_rule *o)
{
    static const char *const words[] = {"by", "after", NULL};
    read_chance_or_sel(r, o);
    if (rd_choice(r, "by or after", words) == 0) {
        o->u.reorder.by = rd_time(r, "how long, a time,");
        return;
    }
    o->u.reorder.until = true;
    if (o->ppm < WIRE_PPM) {
        rd_error(r, "after needs the packets that are held back, like data#4");
    }
    o->u.reorder.after = rd_sel(r);
}

static void read_dup(struct reader *r, struct wire_rule *o)
{
    read_chance_or_sel(r, o);
    o->u.dup.copies = 2;
    if (!rd_word(r)) {
        return;
    }
    char *end;
    long n = r->word[0] == 'x' ? strtol(r->word + 1, &end, 10) : 0;
    if (r->word[0] != 'x' || *end || n < 2 || n > 16) {
        rd_error(r, "how many in all is written x2 to x16");
        return;
    }
    o->u.dup.copies = (uint32_t)n;
}

static unsigned read_field(struct reader *r)
{
    const char *names[FIELD_COUNT + 1];
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        names[i] = wire_field_name(i);
    }
    names[FIELD_COUNT] = NULL;
    return rd_choice(r, "field", names);
}

static void read_corrupt(struct reader *r, struct wire_rule *o)
{
    read_chance_or_sel(r, o);
    if (rd_if(r, "at")) {
        o->u.corrupt.field = (uint8_t)read_field(r);
    }
    o->u.corrupt.fixed = rd_if(r, "fixed");
    bool sum = o->u.corrupt.field == FIELD_TCP_CHECKSUM || o->u.corrupt.field == FIELD_IP_CHECKSUM;
    if (o->u.corrupt.fixed && sum) {
        rd_error(r, "a checksum that is made right again is not damaged");
    }
}

static void read_queue(struct reader *r, struct wire_rule *o)
{
    if (!rd_word(r)) {
        rd_missing(r, "a size, a time or a number of packets (100p)");
        return;
    }
    char *end;
    unsigned long n = strtoul(r->word, &end, 10);
    if (end != r->word && strcmp(end, "p") == 0) {
        if (n == 0 || n > 1000000) {
            rd_error(r, "a queue has 1p to 1000000p");
        }
        o->u.rate.pkts = (uint32_t)n;
        return;
    }
    uint64_t bytes;
    if (looks_like_time(r->word)) {
        nsec t = nsec_min(word_time(r, r->word), 1000 * SEC);
        bytes = (uint64_t)((double)t / 8e9 * (double)o->u.rate.bits);
    } else {
        bytes = word_size(r, r->word, false);
    }
    if (!r->bad && (bytes == 0 || bytes > UINT32_MAX)) {
        rd_error(r, "a queue holds from 1 byte to 4 GiB");
    }
    o->u.rate.bytes = (uint32_t)bytes;
}

static void read_rate(struct reader *r, struct wire_rule *o)
{
    if (!rd_word(r)) {
        rd_missing(r, "a rate");
        return;
    }
    o->u.rate.bits = word_rate(r, r->word);
    while (rd_more(r)) {
        if (rd_if(r, "queue")) {
            read_queue(r, o);
        } else if (rd_if(r, "aqm")) {
            o->u.rate.aqm = (uint8_t)rd_choice(r, "queue management", aqm_names);
        } else if (rd_if(r, "ecn")) {
            o->u.rate.ecn = true;
        } else {
            static const char *const words[] = {"queue", "aqm", "ecn", NULL};
            rd_choice(r, "part of a rate", words);
        }
    }
    if (o->u.rate.ecn && o->u.rate.aqm != AQM_CODEL) {
        rd_error(r, "ecn needs aqm codel");
    }
}

static void read_hole(struct reader *r, struct wire_rule *o)
{
    o->u.hole.lasts = NEVER;
    if (rd_if(r, "after")) {
        if (!rd_word(r)) {
            rd_missing(r, "a size or a time");
        } else if (looks_like_time(r->word)) {
            o->u.hole.after_time = word_time(r, r->word);
        } else {
            o->u.hole.after = word_size(r, r->word, false);
        }
    }
    if (rd_if(r, "for")) {
        o->u.hole.lasts = rd_time(r, "a time");
    }
}

static uint32_t read_bytes(struct reader *r, const char *what, uint32_t lo, uint32_t hi)
{
    uint64_t n = rd_size(r, what, true);
    if (!r->bad && (n < lo || n > hi)) {
        rd_error(r, "%s is from %u to %u bytes", what, lo, hi);
    }
    return (uint32_t)n;
}

static void read_mtu(struct reader *r, struct wire_rule *o)
{
    static const char *const words[] = {"icmp=sent", "icmp=silent", NULL};
    o->u.mtu.bytes = read_bytes(r, "an MTU", 68, 65535); /* RFC 791 3.2 */
    if (rd_more(r)) {
        o->u.mtu.silent = rd_choice(r, "way with ICMP", words) == 1;
    }
}

static void read_strip(struct reader *r, struct wire_rule *o)
{
    static const char *const where[] = {"syn", "all", NULL};
    char list[WORD_MAX];
    if (!rd_word(r)) {
        rd_missing(r, "which options");
        return;
    }
    memcpy(list, r->word, sizeof list);
    size_t word_at = r->word_at;
    for (char *p = list; !r->bad;) {
        size_t n = strcspn(p, ",");
        bool last = p[n] == '\0';
        unsigned i = 0;
        p[n] = '\0';
        r->word_at = word_at + (size_t)(p - list);
        r->word_len = n;
        memmove(r->word, p, n + 1);
        while (strip_names[i] && strcmp(strip_names[i], p) != 0) {
            i++;
        }
        if (!strip_names[i]) {
            rd_unknown(r, "TCP option", strip_names);
            return;
        }
        o->u.strip.options |= (uint8_t)(i < 8 ? 1u << i : STRIP_ALL);
        if (last) {
            break;
        }
        p += n + 1;
    }
    if (rd_if(r, "on")) {
        o->u.strip.all = rd_choice(r, "place", where) == 1;
    }
}

static void read_after_for(struct reader *r, uint64_t *after, nsec *lasts)
{
    if (rd_if(r, "after")) {
        *after = rd_size(r, "a size", false);
    }
    if (lasts && rd_if(r, "for")) {
        *lasts = rd_time(r, "a time");
    }
}

static void read_window(struct reader *r, struct wire_rule *o)
{
    o->u.window.lasts = NEVER;
    o->u.window.bytes = read_bytes(r, "a window", 0, 1u << 30);
    read_after_for(r, &o->u.window.after, &o->u.window.lasts);
}

static void read_clamp(struct reader *r, struct wire_rule *o)
{
    o->u.clamp.mss = (uint16_t)read_bytes(r, "an MSS", 1, 65535);
}

static void read_idle(struct reader *r, struct wire_rule *o)
{
    o->u.idle.after = rd_time(r, "a time");
}

static void read_rst(struct reader *r, struct wire_rule *o)
{
    read_after_for(r, &o->u.rst.after, NULL);
}

static void read_nothing(struct reader *r, struct wire_rule *o)
{
    (void)r;
    (void)o;
}

static const struct {
    const char *name;
    enum wire_kind kind;
    void (*read)(struct reader *r, struct wire_rule *o);
} verbs[] = {
    {"delay", RULE_DELAY, read_delay},
    {"loss", RULE_LOSS, read_loss},
    {"drop", RULE_DROP, read_drop},
    {"dup", RULE_DUP, read_dup},
    {"reorder", RULE_REORDER, read_reorder},
    {"corrupt", RULE_CORRUPT, read_corrupt},
    {"rate", RULE_RATE, read_rate},
    {"blackhole", RULE_BLACKHOLE, read_hole},
    {"mtu", RULE_MTU, read_mtu},
    {"mss", RULE_CLAMP, read_clamp},
    {"strip", RULE_STRIP, read_strip},
    {"ecn-mark", RULE_MARK, read_chance_or_sel},
    {"ecn-bleach", RULE_BLEACH, read_nothing},
    {"rst", RULE_RST, read_rst},
    {"window", RULE_WINDOW, read_window},
    {"idle", RULE_IDLE, read_idle},
};

static void read_profile(struct reader *r, const char **profile)
{
    const char *names[64];
    unsigned n = 0;
    for (; n < ARRAY_LEN(names) - 1 && impair_profiles[n].name; n++) {
        names[n] = impair_profiles[n].name;
    }
    names[n] = NULL;
    unsigned i = rd_choice(r, "profile", names);
    if (!r->bad) {
        *profile = impair_profiles[i].spec;
    }
}

void verb_read(struct reader *r, struct wire_rule *o, const char **profile)
{
    const char *names[ARRAY_LEN(verbs) + 2];
    for (unsigned i = 0; i < ARRAY_LEN(verbs); i++) {
        names[i] = verbs[i].name;
    }
    names[ARRAY_LEN(verbs)] = "profile";
    names[ARRAY_LEN(verbs) + 1] = NULL;

    unsigned i = rd_choice(r, "impairment", names);
    if (r->bad) {
        return;
    }
    if (i == ARRAY_LEN(verbs)) {
        read_profile(r, profile);
    } else {
        o->kind = (uint8_t)verbs[i].kind;
        verbs[i].read(r, o);
    }
    if (rd_word(r)) {
        rd_error(r, "%.40s is too much here", r->word);
    }
}
