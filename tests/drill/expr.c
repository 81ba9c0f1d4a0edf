/*
 * Expressions: what stands between the parentheses of a system call and after its '='.
 */
#include <string.h>

#include "script.h"

static struct expr *node(struct lex *l, enum expr_kind kind)
{
    struct expr *e = pool_get(l->pool, sizeof *e);
    e->kind = kind;
    e->line = l->tok.line;
    return e;
}

static struct expr *items(struct lex *l, char close, struct expr *(*one)(struct lex *))
{
    struct expr *first = NULL;
    struct expr **tail = &first;
    if (lex_take(l, close)) {
        return NULL;
    }
    do {
        *tail = one(l);
        tail = &(*tail)->next;
    } while (lex_take(l, ','));
    lex_expect(l, close);
    return first;
}

static struct expr *strings(struct lex *l)
{
    struct expr *e = node(l, EXPR_STR);
    struct str all = {0};
    while (l->tok.kind == TOK_STR) {
        str_add(&all, "%s", l->tok.text);
        lex_next(l);
    }
    if (l->tok.kind == TOK_DOTS) {
        lex_next(l); /* "abc"...: only the beginning is written down */
    }
    e->text = pool_text(l->pool, str_text(&all), all.n);
    str_free(&all);
    return e;
}

static struct expr *word_or_call(struct lex *l)
{
    struct expr *e = node(l, EXPR_WORD);
    e->text = l->tok.text;
    lex_next(l);
    if (lex_take(l, '(')) {
        e->kind = EXPR_CALL;
        e->item = items(l, ')', expr_parse);
    }
    return e;
}

/* field = value, or a bare value */
static struct expr *field(struct lex *l)
{
    struct expr *e = expr_parse(l);
    if (!lex_is(l, '=') || (e->kind != EXPR_WORD && e->kind != EXPR_CALL)) {
        return e;
    }
    lex_next(l);
    struct expr *value = expr_parse(l);
    value->name = e->text;
    value->arg = e->item;
    return value;
}

static struct expr *primary(struct lex *l)
{
    struct expr *e;
    switch (l->tok.kind) {
    case TOK_DOTS:
        e = node(l, EXPR_DOTS);
        lex_next(l);
        return e;
    case TOK_INT:
        e = node(l, EXPR_INT);
        e->num = l->tok.num;
        lex_next(l);
        return e;
    case TOK_STR:
        return strings(l);
    case TOK_WORD:
        return word_or_call(l);
    default:
        break;
    }
    if (lex_is(l, '[')) {
        e = node(l, EXPR_LIST);
        lex_next(l);
        e->item = items(l, ']', field);
        return e;
    }
    if (lex_is(l, '{')) {
        e = node(l, EXPR_STRUCT);
        lex_next(l);
        e->item = items(l, '}', field);
        return e;
    }
    lex_fail(l, "expected an argument");
    return node(l, EXPR_DOTS);
}

struct expr *expr_parse(struct lex *l)
{
    struct expr *e = primary(l);
    while (lex_is(l, '|')) {
        struct expr *either = node(l, EXPR_OR);
        lex_next(l);
        either->item = e;
        e->next = primary(l);
        e = either;
    }
    return e;
}

unsigned expr_count(const struct expr *first)
{
    unsigned n = 0;
    for (const struct expr *e = first; e; e = e->next) {
        n++;
    }
    return n;
}

const struct expr *expr_at(const struct expr *first, unsigned i)
{
    const struct expr *e = first;
    while (e && i--) {
        e = e->next;
    }
    return e;
}

const struct expr *expr_field(const struct expr *st, const char *name)
{
    for (const struct expr *e = st ? st->item : NULL; e; e = e->next) {
        if (e->name && strcmp(e->name, name) == 0) {
            return e;
        }
    }
    return NULL;
}

bool expr_num(const struct expr *e, int64_t *out)
{
    int64_t a, b;
    if (!e) {
        return false;
    }
    switch (e->kind) {
    case EXPR_INT:
        *out = e->num;
        return true;
    case EXPR_WORD:
        return symbol_find(e->text, out);
    case EXPR_OR:
        if (!expr_num(e->item, &a) || !expr_num(e->item->next, &b)) {
            return false;
        }
        *out = a | b;
        return true;
    case EXPR_CALL:
        if (strcmp(e->text, "htons") == 0 || strcmp(e->text, "htonl") == 0) {
            return expr_num(e->item, out); /* numbers are kept in host order */
        }
        return false;
    default:
        return false;
    }
}
