/*
 * A script: options* init? event+ cleanup?, an event being a time and an action.
 */
#include <math.h>
#include <string.h>

#include "script.h"

static nsec seconds(struct lex *l)
{
    if (l->bad) {
        return 0;
    }
    if (l->tok.kind != TOK_INT && l->tok.kind != TOK_FLOAT) {
        lex_fail(l, "expected a time in seconds");
        return 0;
    }
    nsec t = (nsec)llround(l->tok.real * 1e6) * USEC;
    lex_next(l);
    return t;
}

static struct when when_parse(struct lex *l)
{
    struct when w = {.kind = TIME_ABS};
    if (lex_take(l, '*')) {
        w.kind = TIME_ANY;
        return w;
    }
    bool rel = lex_take(l, '+');
    w.kind = rel ? TIME_REL : TIME_ABS;
    w.at = seconds(l);
    w.to = w.at;
    if (lex_take(l, '~')) {
        if (rel) {
            lex_expect(l, '+');
        }
        w.kind = rel ? TIME_REL_RANGE : TIME_ABS_RANGE;
        w.to = seconds(l);
    }
    return w;
}

static void note_skip(struct lex *l)
{
    if (!lex_is(l, '(')) {
        return;
    }
    while (!lex_is(l, ')') && l->tok.kind != TOK_END) {
        lex_next(l);
    }
    lex_expect(l, ')');
}

static void call_parse(struct lex *l, struct script_event *ev)
{
    struct call_spec *c = &ev->call;
    if (l->tok.kind == TOK_DOTS) {
        lex_next(l);
        c->blocks = true;
        c->end = seconds(l);
    }
    if (l->tok.kind != TOK_WORD) {
        lex_fail(l, "expected a packet, a call, a command or code");
        return;
    }
    ev->line = l->tok.line;
    struct expr *call = expr_parse(l);
    if (!l->bad && call->kind != EXPR_CALL) {
        lex_fail(l, "expected '(' after %s", call->text ? call->text : "that");
        return;
    }
    c->name = call->text;
    c->args = call->item;
    lex_expect(l, '=');
    c->result = expr_parse(l);
    if (l->tok.kind == TOK_WORD && l->tok.text[0] == 'E') {
        c->errno_name = l->tok.text;
        lex_next(l);
    }
    note_skip(l);
}

/* What was written from one place to another, on one line. */
static const char *source_of(const struct lex *l, size_t at, size_t end)
{
    struct str s = {0};
    bool blank = false;
    for (size_t i = at; i < end; i++) {
        char c = l->text[i];
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            blank = s.n > 0;
            continue;
        }
        str_add(&s, blank ? " %c" : "%c", c);
        blank = false;
    }
    const char *text = pool_text(l->pool, str_text(&s), s.n);
    str_free(&s);
    return text;
}

static void action_parse(struct lex *l, struct script_event *ev, bool v6)
{
    ev->line = l->tok.line;
    if (lex_is(l, '<') || lex_is(l, '>')) {
        ev->type = EVENT_PACKET;
        spec_parse(l, &ev->pkt, v6);
    } else if (l->tok.kind == TOK_CMD || l->tok.kind == TOK_CODE) {
        ev->type = l->tok.kind == TOK_CMD ? EVENT_COMMAND : EVENT_CODE;
        ev->text = l->tok.text;
        lex_next(l);
    } else {
        ev->type = EVENT_CALL;
        call_parse(l, ev);
    }
}

static void check_when(struct lex *l, const struct script_event *ev, bool first)
{
    bool expected = ev->type == EVENT_PACKET && ev->pkt.dir == DIR_OUT;
    if (l->bad) {
        return;
    }
    if (!expected && ev->when.kind != TIME_ABS && ev->when.kind != TIME_REL) {
        lex_fail(l, "a range or '*' is for expected packets only (line %d)", ev->line);
    } else if (first && ev->when.at != 0) {
        lex_fail(l, "the first event must be at time 0");
    } else if (ev->when.to < ev->when.at) {
        lex_fail(l, "a range that ends before it begins (line %d)", ev->line);
    }
}

static struct script_event *event_parse(struct lex *l, bool v6, bool first)
{
    struct script_event *ev = pool_get(l->pool, sizeof *ev);
    ev->when = when_parse(l);
    size_t from = l->tok.at;
    action_parse(l, ev, v6);
    ev->source = source_of(l, from, l->prev_end);
    check_when(l, ev, first);
    return ev;
}

static void options_parse(struct lex *l, struct script *out)
{
    struct script_option **tail = &out->options;
    while (l->tok.kind == TOK_OPTION) {
        struct script_option *o = pool_get(l->pool, sizeof *o);
        o->name = l->tok.text;
        o->line = l->tok.line;
        o->value = lex_option_value(l);
        if (strcmp(o->name, "define") == 0 &&
            (!o->value || !define_parse(l->defs, o->value, false))) {
            lex_fail(l, "--define needs NAME=VALUE");
        }
        lex_next(l);
        *tail = o;
        tail = &o->next;
    }
}

static void init_parse(struct lex *l, struct script *out)
{
    if (l->tok.kind == TOK_CMD) {
        out->init = l->tok.text;
        out->init_line = l->tok.line;
        lex_next(l);
    }
}

bool script_parse_options(const char *path, const char *text, struct pool *pool,
                          struct defines *defs, struct script *out, struct str *err)
{
    struct lex l;
    *out = (struct script){.path = path};
    lex_init(&l, path, text, pool, defs, err);
    options_parse(&l, out);
    return !l.bad;
}

bool script_parse(const char *path, const char *text, struct pool *pool, struct defines *defs,
                  bool v6, struct script *out, struct str *err)
{
    struct lex l;
    *out = (struct script){.path = path};
    lex_init(&l, path, text, pool, defs, err);
    options_parse(&l, out);
    init_parse(&l, out);
    struct script_event **tail = &out->events;
    while (l.tok.kind != TOK_END && l.tok.kind != TOK_CMD) {
        *tail = event_parse(&l, v6, tail == &out->events);
        tail = &(*tail)->next;
    }
    if (l.tok.kind == TOK_CMD) {
        out->cleanup = l.tok.text;
        lex_next(&l);
    }
    if (!l.bad && l.tok.kind != TOK_END) {
        lex_fail(&l, "nothing may follow the last command");
    }
    if (!l.bad && !out->events) {
        lex_fail(&l, "no events");
    }
    return !l.bad;
}
