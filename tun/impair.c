/*
 * impair.c - theory of operation: the words of the mini-language and their values.
 *
 * A text is cut at ';' into rules, a rule at blanks into words; impair_verb.c says what the words
 * of each rule are. A number never stands without its unit where it could mean several things: a
 * bare time or chance is an error and not a guess.
 */
#include "tun/impair.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "tun/impair_priv.h"

#define TIME_MAX (1000 * 3600 * SEC)

/* Words */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(r->text[r->at])) {
        r->at++;
    }
}

bool rd_more(const struct reader *r)
{
    size_t at = r->at;
    while (at < r->end && is_blank(r->text[at])) {
        at++;
    }
    return !r->bad && at < r->end;
}

bool rd_word(struct reader *r)
{
    if (r->bad) {
        return false;
    }
    skip_blanks(r);
    r->word_at = r->at;
    while (r->at < r->end && !is_blank(r->text[r->at])) {
        r->at++;
    }
    r->word_len = r->at - r->word_at;
    snprintf(r->word, sizeof r->word, "%.*s", (int)r->word_len, r->text + r->word_at);
    if (r->word_len >= sizeof r->word) {
        rd_error(r, "this is too long for a word");
    }
    return !r->bad && r->word_len > 0;
}

bool rd_if(struct reader *r, const char *word)
{
    size_t at = r->at;
    if (rd_word(r) && strcmp(r->word, word) == 0) {
        return true;
    }
    if (!r->bad) {
        r->at = at;
    }
    return false;
}

/* Errors */

void rd_error(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    if (r->bad) {
        return;
    }
    r->bad = true;
    r->err->at = r->word_at;
    r->err->len = r->word_len;
    r->err->meant[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(r->err->what, sizeof r->err->what, fmt, ap);
    va_end(ap);
}

void rd_missing(struct reader *r, const char *what)
{
    skip_blanks(r);
    r->word_at = r->at;
    r->word_len = 0;
    rd_error(r, "%s is missing here", what);
}

/* Changes of one letter (another one, one too many, one missing, two swapped) that make b of a. */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[3][WORD_MAX + 1];
    size_t n = min_size(strlen(a), WORD_MAX), m = min_size(strlen(b), WORD_MAX);
    for (size_t j = 0; j <= m; j++) {
        d[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);
            best = min_u32(best, min_u32(up[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = min_u32(best, up2[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

void rd_unknown(struct reader *r, const char *what, const char *const *names)
{
    const char *best = NULL;
    unsigned least = UINT32_MAX;
    if (r->bad) {
        return;
    }
    for (; *names; names++) {
        unsigned d = distance(r->word, *names);
        if (d < least) {
            least = d;
            best = *names;
        }
    }
    rd_error(r, "%.40s is no %s", r->word, what);
    if (best && least <= (strlen(best) > 4 ? 2 : 1)) {
        snprintf(r->err->meant, sizeof r->err->meant, "%s", best);
    }
}

unsigned rd_choice(struct reader *r, const char *what, const char *const *names)
{
    if (!rd_word(r)) {
        rd_missing(r, what);
        return 0;
    }
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(r->word, names[i]) == 0) {
            return i;
        }
    }
    rd_unknown(r, what, names);
    return 0;
}

/* Numbers */

struct unit {
    const char *name;
    uint64_t factor;
};

/* A decimal number times its unit's factor, exactly. 0: a value; 1: no number; 2: the unit is not
 * in the table; 3: no unit; 4: too large. */
static int number(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t whole = 0, part = 0, scale = 1;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (whole > UINT64_MAX / 16) {
            return 4;
        }
        whole = whole * 10 + (uint64_t)(*p - '0');
    }
    bool any = p != text;
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9'; p++) {
            if (scale < 1000000000) {
                part = part * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
            any = true;
        }
    }
    if (!any) {
        return 1;
    }
    for (; units->name; units++) {
        if (strcmp(units->name, p) == 0) {
            if (units->factor && whole > (uint64_t)INT64_MAX / 2 / units->factor) {
                return 4;
            }
            *out = whole * units->factor + part * units->factor / scale;
            return 0;
        }
    }
    return *p ? 2 : 3;
}

static uint64_t value(struct reader *r, const char *text, const struct unit *units,
                      const char *what, const char *like)
{
    uint64_t v = 0;
    switch (number(text, units, &v)) {
    case 0:
        return v;
    case 3:
        rd_error(r, "%.20s has no unit: %s is written like %s", text, what, like);
        break;
    case 4:
        rd_error(r, "%.40s is too large", text);
        break;
    default:
        rd_error(r, "%.40s is not %s: it is written like %s", text, what, like);
        break;
    }
    return 0;
}

static const struct unit times[] = {
    {"ns", 1},           {"us", 1000},          {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000u}, {"min", 60000000000u}, {"h", 3600000000000u}, {NULL, 0}};
static const struct unit chances[] = {{"%", WIRE_PPM / 100}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1},          {"k", 1024},         {"K", 1024},
                                    {"KiB", 1024},     {"kB", 1000},        {"KB", 1000},
                                    {"M", 1048576},    {"MiB", 1048576},    {"MB", 1000000},
                                    {"G", 1073741824}, {"GiB", 1073741824}, {"GB", 1000000000},
                                    {NULL, 0}};
static const struct unit bare_sizes[] = {
    {"", 1},      {"B", 1},       {"k", 1024},      {"K", 1024},     {"KiB", 1024},
    {"kB", 1000}, {"M", 1048576}, {"MiB", 1048576}, {"MB", 1000000}, {NULL, 0}};
static const struct unit rates[] = {{"bit", 1},           {"kbit", 1000}, {"mbit", 1000000},
                                    {"gbit", 1000000000}, {"kbps", 1000}, {"Mbit", 1000000},
                                    {"Gbit", 1000000000}, {NULL, 0}};

nsec word_time(struct reader *r, const char *text)
{
    nsec t = (nsec)value(r, text, times, "a time", "20ms or 1.5s");
    if (t > TIME_MAX) { /* what is computed with it stays far from the end of 64 bits */
        rd_error(r, "%.40s is too large", text);
    }
    return t;
}

uint32_t word_chance(struct reader *r, const char *text)
{
    uint64_t v = value(r, text, chances, "a chance", "1% or 0.01%");
    if (v > WIRE_PPM) {
        rd_error(r, "%.40s is more than always", text);
    }
    return (uint32_t)v;
}

uint64_t word_size(struct reader *r, const char *text, bool bare)
{
    return value(r, text, bare ? bare_sizes : sizes, "a number of bytes", "64KiB or 500B");
}

uint64_t word_rate(struct reader *r, const char *text)
{
    uint64_t v = value(r, text, rates, "a rate", "10mbit or 512kbit");
    if (v == 0 || v > 400000000000ull) { /* a packet's time is computed in 64 bits */
        rd_error(r, "a rate is from 1bit to 400gbit");
    }
    return v;
}

bool looks_like_chance(const char *text)
{
    return (*text >= '0' && *text <= '9') || *text == '.';
}

bool looks_like_time(const char *text)
{
    uint64_t v;
    return number(text, times, &v) == 0;
}

/* Selections: KIND, KIND#3, KIND#3..5, KIND#3+, KIND#3+2 */

static const char *sel_number(struct reader *r, const char *p, uint32_t *out)
{
    const char *from = p;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9' && v < UINT32_MAX; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (p == from || v == 0 || v >= UINT32_MAX) {
        rd_error(r, "behind # come numbers from 1 on: 3, 3..5, 3+ or 3+2");
    }
    *out = (uint32_t)v;
    return p;
}

static void sel_numbers(struct reader *r, const char *p, struct wire_sel *s)
{
    s->numbered = true;
    p = sel_number(r, p, &s->first);
    s->last = s->first;
    if (r->bad) {
        return;
    }
    if (strncmp(p, "..", 2) == 0) {
        p = sel_number(r, p + 2, &s->last);
        if (!r->bad && s->last < s->first) {
            rd_error(r, "%u..%u ends before it begins", s->first, s->last);
        }
    } else if (*p == '+') {
        s->last = UINT32_MAX;
        p = p[1] ? sel_number(r, p + 1, &s->step) : p + 1;
    }
    if (*p) {
        rd_error(r, "behind # come numbers from 1 on: 3, 3..5, 3+ or 3+2");
    }
}

struct wire_sel word_sel(struct reader *r, const char *text)
{
    static const char *const names[] = {"any", "syn",        "syn+ack", "ack",  "data", "fin",
                                        "rst", "retransmit", "udp",     "icmp", NULL};
    _Static_assert(ARRAY_LEN(names) == PICK_COUNT + 1, "in the order of enum wire_pick");
    struct wire_sel s = {.first = 1, .last = UINT32_MAX, .step = 1};
    char kind[WORD_MAX];
    const char *hash = strchr(text, '#');

    snprintf(kind, sizeof kind, "%.*s", (int)(hash ? (size_t)(hash - text) : strlen(text)), text);
    while (s.pick < PICK_COUNT && strcmp(kind, names[s.pick]) != 0) {
        s.pick++;
    }
    if (s.pick == PICK_COUNT) {
        memcpy(r->word, kind, sizeof kind);
        r->word_len = strlen(kind) ? strlen(kind) : r->word_len;
        rd_unknown(r, "kind of packet", names);
        s.pick = PICK_ANY;
    } else if (hash) {
        sel_numbers(r, hash + 1, &s);
    }
    return s;
}

/* The next word as a value */

nsec rd_time(struct reader *r, const char *what)
{
    if (!rd_word(r)) {
        rd_missing(r, what);
        return 0;
    }
    return word_time(r, r->word);
}

uint32_t rd_chance(struct reader *r, const char *what)
{
    if (!rd_word(r)) {
        rd_missing(r, what);
        return 0;
    }
    return word_chance(r, r->word);
}

uint64_t rd_size(struct reader *r, const char *what, bool bare)
{
    if (!rd_word(r)) {
        rd_missing(r, what);
        return 0;
    }
    return word_size(r, r->word, bare);
}

struct wire_sel rd_sel(struct reader *r)
{
    if (!rd_word(r)) {
        rd_missing(r, "which packets");
        return (struct wire_sel){0};
    }
    return word_sel(r, r->word);
}

/* Rules */

/* "in:" and "out:", with or without a blank behind. */
static uint8_t direction(struct reader *r)
{
    static const char *const names[] = {"in", "out", NULL};
    skip_blanks(r);
    size_t colon = r->at;
    while (colon < r->end && !is_blank(r->text[colon]) && r->text[colon] != ':') {
        colon++;
    }
    if (colon == r->end || r->text[colon] != ':') {
        return 1u << WIRE_OUT | 1u << WIRE_IN;
    }
    size_t end = r->end;
    r->end = colon;
    unsigned which = rd_choice(r, "direction", names);
    r->end = end;
    r->at = colon + 1;
    return which == 0 ? 1u << WIRE_IN : 1u << WIRE_OUT;
}

static void add_rule(struct wire_spec *spec, struct reader *r, const struct wire_rule *rule)
{
    r->word_at = r->at;
    r->word_len = 0;
    if (spec->nrules == WIRE_RULES_MAX) {
        rd_error(r, "more than %u rules", WIRE_RULES_MAX);
        return;
    }
    for (uint32_t i = 0; rule->kind == RULE_RATE && i < spec->nrules; i++) {
        if (spec->rule[i].kind == RULE_RATE && (spec->rule[i].dirs & rule->dirs)) {
            rd_error(r, "this direction has a rate already");
        }
    }
    if (!r->bad) {
        spec->rule[spec->nrules++] = *rule;
    }
}

static bool parse_into(struct wire_spec *spec, const char *text, struct impair_error *err,
                       bool profiles);

/* What is wrong in a profile's text is no affair of the user's: it was tested. */
static void add_profile(struct wire_spec *spec, struct reader *r, const char *text)
{
    struct impair_error inner;
    if (!parse_into(spec, text, &inner, false)) {
        rd_error(r, "%.100s", inner.what);
    }
}

static bool parse_into(struct wire_spec *spec, const char *text, struct impair_error *err,
                       bool profiles)
{
    struct reader r = {.text = text, .err = err};
    while (text[r.at]) {
        struct wire_rule rule = {.ppm = WIRE_PPM,
                                 .sel = {.last = UINT32_MAX, .step = 1, .first = 1}};
        const char *profile = NULL;
        r.end = r.at + strcspn(text + r.at, ";");
        if (rd_more(&r)) {
            rule.dirs = direction(&r);
            verb_read(&r, &rule, &profile);
            if (profile && profiles) {
                add_profile(spec, &r, profile);
            } else if (!r.bad) {
                add_rule(spec, &r, &rule);
            }
        }
        if (r.bad) {
            return false;
        }
        r.at = r.end + (text[r.end] == ';');
    }
    return true;
}

bool impair_parse(struct wire_spec *spec, const char *text, struct impair_error *err)
{
    struct wire_spec copy = *spec;
    if (!parse_into(&copy, text, err, true)) {
        return false;
    }
    *spec = copy;
    return true;
}

char *impair_explain(const char *text, const struct impair_error *err, char *buf, size_t size)
{
    char marks[WORD_MAX + 1];
    size_t from = err->at > 40 ? err->at - 40 : 0; /* the part of a long text that matters */
    size_t n = max_size(1, min_size(err->len, WORD_MAX));
    memset(marks, '^', n);
    marks[n] = '\0';
    snprintf(buf, size, "%.*s\n%*s%s\n%s%s%s%s", 90, text + from, (int)(err->at - from), "", marks,
             err->what, err->meant[0] ? "; did you mean " : "", err->meant,
             err->meant[0] ? "?" : "");
    return buf;
}
