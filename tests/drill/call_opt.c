/*
 * setsockopt and getsockopt: values as numbers, text, or struct linger and timeval.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "call.h"

#define VALUE_MAX 512

static bool struct_value(struct run *r, const struct expr *e, uint8_t *val)
{
    int64_t a = 0, b = 0;
    if (expr_field(e, "onoff") || expr_field(e, "l_onoff")) {
        const struct expr *on = expr_field(e, "onoff");
        const struct expr *sec = expr_field(e, "linger");
        expr_num(on ? on : expr_field(e, "l_onoff"), &a);
        expr_num(sec ? sec : expr_field(e, "l_linger"), &b);
        struct linger l = {(int)a, (int)b};
        memcpy(val, &l, sizeof l);
        return true;
    }
    if (expr_field(e, "tv_sec")) { /* beyond packetdrill: SO_RCVTIMEO and SO_SNDTIMEO */
        expr_num(expr_field(e, "tv_sec"), &a);
        expr_num(expr_field(e, "tv_usec"), &b);
        struct timeval t = {a, b};
        memcpy(val, &t, sizeof t);
        return true;
    }
    return run_fail(r, "a value of an unknown form");
}

/* A string's bytes; \\xNN is the byte of that number. */
static void text_value(const char *text, uint8_t *val, size_t room)
{
    for (size_t i = 0; *text && i < room; i++) {
        char two[3] = {0};
        if (text[0] == '\\' && text[1] == 'x' && text[2] && text[3]) {
            memcpy(two, text + 2, 2);
            val[i] = (uint8_t)strtoul(two, NULL, 16);
            text += 4;
        } else {
            val[i] = (uint8_t)*text++;
        }
    }
}

static bool value(struct run *r, const struct expr *e, uint8_t *val, size_t room)
{
    int64_t v;
    if (e && e->kind == EXPR_LIST && e->item && !e->item->next) {
        e = e->item;
    }
    if (e && e->kind == EXPR_STRUCT) {
        return struct_value(r, e, val);
    }
    if (e && e->kind == EXPR_STR) {
        text_value(e->text, val, room);
        return true;
    }
    if (!expr_num(e, &v)) {
        return run_fail(r, e && e->kind == EXPR_WORD ? "no such constant: %s" : "not a value%s",
                        e && e->kind == EXPR_WORD ? e->text : "");
    }
    memcpy(val, &v, sizeof v); /* little-endian: an int is the first four bytes */
    return true;
}

static bool names(struct run *r, struct pending *p, const struct expr *args)
{
    return arg_int(r, args, 1, &p->c.u.opt.level) && arg_int(r, args, 2, &p->c.u.opt.name);
}

bool opt_prepare_set(struct run *r, struct pending *p, const struct expr *args)
{
    int size = 0;
    const struct expr *e = expr_at(args, 3);
    if (!names(r, p, args) || !arg_int(r, args, 4, &size)) {
        return false;
    }
    size_t room = size > 0 && size <= VALUE_MAX ? (size_t)size : 0;
    uint8_t *val = pool_get(&p->pool, VALUE_MAX + 16);
    p->c.u.opt.size = (socklen_t)size;
    p->c.u.opt.val = arg_is_null(e) ? NULL : val;
    return arg_is_null(e) || value(r, e, val, room);
}

bool opt_prepare_get(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *len = expr_at(args, 4);
    int64_t n = 0;
    if (!names(r, p, args)) {
        return false;
    }
    if (!arg_is_null(len)) {
        const struct expr *inside = arg_inside(r, args, 4);
        if (!inside || !expr_num(inside, &n)) {
            return run_fail(r, "the length is a number in brackets");
        }
        p->addr_len = (socklen_t)n;
        p->c.u.opt.len = &p->addr_len;
    }
    uint8_t *val = pool_get(&p->pool, VALUE_MAX + 16);
    if ((int)p->addr_len > VALUE_MAX) {
        p->addr_len = VALUE_MAX;
    }
    p->c.u.opt.val = arg_is_null(expr_at(args, 3)) ? NULL : val;
    return true;
}

bool opt_check_get(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *e = expr_at(args, 3);
    uint8_t want[VALUE_MAX + 16] = {0};
    int64_t len = 0;
    if (p->c.ret != 0 || !e || e->kind == EXPR_DOTS) {
        return true;
    }
    const struct expr *inside = arg_inside(r, args, 4);
    if (!value(r, e, want, VALUE_MAX) || !inside || !expr_num(inside, &len)) {
        return false;
    }
    if (e->kind == EXPR_STR) {
        return strcmp((const char *)want, p->c.u.opt.val) == 0 ||
               run_fail(r, "wrong value: expected \"%s\", got \"%s\"", (char *)want,
                        (char *)p->c.u.opt.val);
    }
    if (arg_differs(r, "option length", len, p->addr_len)) {
        return false;
    }
    if (memcmp(want, p->c.u.opt.val, p->addr_len) == 0) {
        return true;
    }
    int a, b;
    memcpy(&a, want, sizeof a);
    memcpy(&b, p->c.u.opt.val, sizeof b);
    return run_fail(r, "wrong option value: expected %d, got %d", a, b);
}
