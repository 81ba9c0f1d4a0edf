#include "lexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void define_set(struct defines *d, const char *name, const char *value, bool fixed)
{
    for (struct define *e = d->head; e; e = e->next) {
        if (strcmp(e->name, name) == 0) {
            if (fixed || !e->fixed) {
                e->value = pool_text(d->pool, value, strlen(value));
                e->fixed = fixed;
            }
            return;
        }
    }
    struct define *e = pool_get(d->pool, sizeof *e);
    e->name = pool_text(d->pool, name, strlen(name));
    e->value = pool_text(d->pool, value, strlen(value));
    e->fixed = fixed;
    e->next = d->head;
    d->head = e;
}

bool define_parse(struct defines *d, const char *text, bool fixed)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) {
        return false;
    }
    define_set(d, pool_text(d->pool, text, (size_t)(eq - text)), eq + 1, fixed);
    return true;
}

static const char *define_find(const struct defines *d, const char *name)
{
    for (const struct define *e = d ? d->head : NULL; e; e = e->next) {
        if (strcmp(e->name, name) == 0) {
            return e->value;
        }
    }
    return NULL;
}

void lex_init(struct lex *l, const char *name, const char *text, struct pool *pool,
              struct defines *defs, struct str *err)
{
    *l =
        (struct lex){.name = name, .text = text, .line = 1, .pool = pool, .defs = defs, .err = err};
    lex_next(l);
}

void lex_fail(struct lex *l, const char *fmt, ...)
{
    if (l->bad) {
        return;
    }
    l->bad = true;
    str_add(l->err, "%s:%d: ", l->name, l->tok.line ? l->tok.line : l->line);
    va_list ap;
    va_start(ap, fmt);
    str_vadd(l->err, fmt, ap);
    va_end(ap);
    l->tok.kind = TOK_END;
}

static char cur(const struct lex *l)
{
    return l->text[l->at];
}

static void skip_char(struct lex *l)
{
    if (cur(l) == '\n') {
        l->line++;
    }
    l->at++;
}

static void skip_block_comment(struct lex *l)
{
    const char *end = strstr(l->text + l->at + 2, "*/");
    if (!end) {
        lex_fail(l, "a comment that does not end");
        l->at += strlen(l->text + l->at);
        return;
    }
    while (l->text + l->at < end + 2) {
        skip_char(l);
    }
}

static void skip_blank(struct lex *l)
{
    for (;;) {
        if (isspace((unsigned char)cur(l))) {
            skip_char(l);
        } else if (cur(l) == '/' && l->text[l->at + 1] == '/') {
            while (cur(l) && cur(l) != '\n') {
                l->at++;
            }
        } else if (cur(l) == '/' && l->text[l->at + 1] == '*') {
            skip_block_comment(l);
        } else {
            return;
        }
    }
}

/* From an opening quote to the next one that no backslash precedes. */
static void lex_quoted(struct lex *l, enum tok_kind kind, char quote)
{
    size_t from = ++l->at;
    while (cur(l) && cur(l) != quote) {
        if (cur(l) == '\\' && l->text[l->at + 1]) {
            skip_char(l);
        }
        skip_char(l);
    }
    if (!cur(l)) {
        lex_fail(l, "a %s that does not end", quote == '`' ? "command" : "string");
        return;
    }
    l->tok.kind = kind;
    l->tok.text = pool_text(l->pool, l->text + from, l->at - from);
    l->at++;
}

static void lex_code(struct lex *l)
{
    const char *end = strstr(l->text + l->at, "}%");
    if (!end) {
        lex_fail(l, "code that does not end");
        return;
    }
    size_t from = l->at + 2;
    size_t to = (size_t)(end - l->text);
    while (l->at < to + 2) {
        skip_char(l);
    }
    while (from < to && (l->text[from] == ' ' || l->text[from] == '\t')) {
        from++;
    }
    while (to > from && (l->text[to - 1] == ' ' || l->text[to - 1] == '\t')) {
        to--;
    }
    l->tok.kind = TOK_CODE;
    l->tok.text = pool_text(l->pool, l->text + from, to - from);
}

static size_t run_of(const char *p, int (*is)(int))
{
    size_t n = 0;
    while (is((unsigned char)p[n])) {
        n++;
    }
    return n;
}

static int is_word_char(int c)
{
    return isalnum(c) || c == '_';
}

static void tok_number(struct token *t, const char *text, enum tok_kind kind, bool hex)
{
    t->kind = kind;
    t->text = text;
    t->hex = hex;
    t->real = strtod(text, NULL);
    t->num = (int64_t)strtoull(text, NULL, hex ? 16 : 10);
    if (text[0] == '-') {
        t->num = strtoll(text, NULL, 10);
    }
}

/* The longest of: a word, an integer, a decimal fraction. "0..." is an integer and dots. */
static bool lex_number(struct lex *l)
{
    const char *p = l->text + l->at;
    size_t sign = p[0] == '-' ? 1 : 0;
    size_t whole = run_of(p + sign, isdigit);
    size_t n = sign + whole;
    size_t frac = 0;
    if (p[n] == '.') {
        frac = run_of(p + n + 1, isdigit);
    }
    if (frac == 0 && whole == 0) {
        return false;
    }
    if (frac == 0 && sign == 0 && run_of(p, is_word_char) > whole) {
        size_t word = run_of(p, is_word_char);
        bool hex = p[0] == '0' && p[1] == 'x' && run_of(p + 2, isxdigit) == word - 2 && word > 2;
        if (!hex) {
            return false;
        }
        l->at += word;
        tok_number(&l->tok, pool_text(l->pool, p, word), TOK_INT, true);
        return true;
    }
    n += frac ? frac + 1 : 0;
    l->at += n;
    tok_number(&l->tok, pool_text(l->pool, p, n), frac ? TOK_FLOAT : TOK_INT, false);
    return true;
}

static void tok_defined(struct lex *l, const char *value)
{
    size_t n = strlen(value);
    char *end = NULL;
    long long num = strtoll(value, &end, 0);
    if (n >= 2 && (value[0] == '"' || value[0] == '`')) {
        l->tok.kind = value[0] == '"' ? TOK_STR : TOK_CMD;
        l->tok.text = pool_text(l->pool, value + 1, n - 2);
    } else if (n && *end == '\0') {
        l->tok.kind = TOK_INT;
        l->tok.text = value;
        l->tok.num = num;
        l->tok.real = (double)num;
    } else {
        l->tok.kind = TOK_WORD;
        l->tok.text = value;
    }
}

static void lex_word(struct lex *l)
{
    size_t n = run_of(l->text + l->at, is_word_char);
    const char *word = pool_text(l->pool, l->text + l->at, n);
    l->at += n;
    const char *value = define_find(l->defs, word);
    if (value) {
        tok_defined(l, value);
        return;
    }
    l->tok.kind = TOK_WORD;
    l->tok.text = word;
}

static void lex_option(struct lex *l)
{
    size_t n = run_of(l->text + l->at + 2, is_word_char);
    l->tok.kind = TOK_OPTION;
    l->tok.text = pool_text(l->pool, l->text + l->at + 2, n);
    l->at += 2 + n;
}

static void lex_one(struct lex *l)
{
    const char *p = l->text + l->at;
    if (p[0] == '"') {
        lex_quoted(l, TOK_STR, '"');
    } else if (p[0] == '`') {
        lex_quoted(l, TOK_CMD, '`');
    } else if (p[0] == '%' && p[1] == '{') {
        lex_code(l);
    } else if (strncmp(p, "...", 3) == 0) {
        l->tok.kind = TOK_DOTS;
        l->at += 3;
    } else if (p[0] == '-' && p[1] == '-' && is_word_char((unsigned char)p[2])) {
        lex_option(l);
    } else if (lex_number(l)) {
        return;
    } else if (is_word_char((unsigned char)p[0])) {
        lex_word(l);
    } else {
        l->tok.kind = TOK_CHAR;
        l->tok.ch = p[0];
        l->at++;
    }
}

void lex_next(struct lex *l)
{
    if (l->bad) {
        return;
    }
    l->prev_end = l->at;
    skip_blank(l);
    if (l->bad) {
        return;
    }
    l->tok = (struct token){.kind = TOK_END, .line = l->line, .at = l->at, .text = ""};
    if (!cur(l)) {
        l->tok.end = l->at;
        return;
    }
    lex_one(l);
    l->tok.end = l->at;
}

const char *lex_raw(struct lex *l, const char *stop)
{
    if (l->bad) {
        return "";
    }
    size_t from = l->tok.at;
    size_t to = from;
    while (l->text[to] && !isspace((unsigned char)l->text[to]) && !strchr(stop, l->text[to])) {
        to++;
    }
    l->at = to;
    l->line = l->tok.line;
    const char *raw = pool_text(l->pool, l->text + from, to - from);
    lex_next(l);
    return raw;
}

const char *lex_option_value(struct lex *l)
{
    if (l->bad || cur(l) != '=') {
        return NULL;
    }
    size_t from = ++l->at;
    char quote = 0;
    while (cur(l) && (quote || !isspace((unsigned char)cur(l)))) {
        if (quote) {
            quote = cur(l) == quote ? 0 : quote;
        } else if (cur(l) == '"' || cur(l) == '`') {
            quote = cur(l);
        }
        skip_char(l);
    }
    return pool_text(l->pool, l->text + from, l->at - from);
}

bool lex_is(const struct lex *l, char ch)
{
    return l->tok.kind == TOK_CHAR && l->tok.ch == ch;
}

bool lex_is_word(const struct lex *l, const char *word)
{
    return l->tok.kind == TOK_WORD && strcmp(l->tok.text, word) == 0;
}

bool lex_take(struct lex *l, char ch)
{
    if (!lex_is(l, ch)) {
        return false;
    }
    lex_next(l);
    return true;
}

bool lex_take_word(struct lex *l, const char *word)
{
    if (!lex_is_word(l, word)) {
        return false;
    }
    lex_next(l);
    return true;
}

static void describe(const struct lex *l, struct str *out)
{
    if (l->tok.kind == TOK_END) {
        str_add(out, "the end");
        return;
    }
    size_t n = l->tok.end - l->tok.at;
    str_add(out, "'%.*s'", (int)(n > 40 ? 40 : n), l->text + l->tok.at);
}

void lex_expect(struct lex *l, char ch)
{
    if (l->bad || lex_take(l, ch)) {
        return;
    }
    struct str found = {0};
    describe(l, &found);
    lex_fail(l, "expected '%c' but found %s", ch, str_text(&found));
    str_free(&found);
}

int64_t lex_int(struct lex *l, const char *what, int64_t lo, int64_t hi)
{
    if (l->bad) {
        return lo;
    }
    if (l->tok.kind != TOK_INT) {
        struct str found = {0};
        describe(l, &found);
        lex_fail(l, "expected %s but found %s", what, str_text(&found));
        str_free(&found);
        return lo;
    }
    int64_t v = l->tok.num;
    if (v < lo || v > hi) {
        lex_fail(l, "%s out of range: %lld", what, (long long)v);
        return lo;
    }
    lex_next(l);
    return v;
}
