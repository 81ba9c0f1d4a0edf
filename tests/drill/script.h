/*
 * script.h - a script as a value: options, events, and the expressions of its system calls.
 *
 * Everything lies in the pool the script was parsed into. Times are nanoseconds.
 */
#ifndef STANDIN_DRILL_SCRIPT_H
#define STANDIN_DRILL_SCRIPT_H

#include "core/nsec.h"
#include "spec.h"

enum expr_kind {
    EXPR_DOTS,   /* ... */
    EXPR_INT,    /* num */
    EXPR_WORD,   /* text */
    EXPR_STR,    /* text: "abc" "def" joined */
    EXPR_OR,     /* item[0] | item[1] */
    EXPR_LIST,   /* [ item, ... ] */
    EXPR_STRUCT, /* { field, ... } */
    EXPR_CALL,   /* text(item, ...), as in htons(80) */
};

struct expr {
    enum expr_kind kind;
    int line;
    int64_t num;
    const char *text;
    struct expr *item; /* first child: items, fields, arguments */
    struct expr *next; /* the sibling after it */
    /* of a field in a struct: name[(arg)] = this; NULL where it has no name */
    const char *name;
    struct expr *arg;
};

enum time_kind { TIME_ABS, TIME_REL, TIME_ANY, TIME_ABS_RANGE, TIME_REL_RANGE };

struct when {
    enum time_kind kind;
    nsec at;
    nsec to; /* of a range */
};

struct call_spec {
    const char *name;
    struct expr *args;
    struct expr *result;
    const char *errno_name; /* NULL: none written */
    bool blocks;            /* t...t2: it must block, and return at */
    nsec end;
};

enum event_type { EVENT_PACKET, EVENT_CALL, EVENT_COMMAND, EVENT_CODE };

struct script_event {
    struct script_event *next;
    enum event_type type;
    int line;
    struct when when;
    const char *source; /* as written, on one line, without the time */
    struct spec pkt;
    struct call_spec call;
    const char *text; /* COMMAND, CODE */
};

struct script_option {
    struct script_option *next;
    const char *name;
    const char *value; /* NULL: none */
    int line;
};

struct script {
    const char *path;
    struct script_option *options;
    const char *init; /* NULL: none */
    const char *cleanup;
    int init_line;
    struct script_event *events;
};

/* The options alone: what comes before the first event decides how the rest is read (the IP
 * version, definitions). */
bool script_parse_options(const char *path, const char *text, struct pool *pool,
                          struct defines *defs, struct script *out, struct str *err);

/* The whole. `v6` chooses the names of ICMP types. False: `err` says where and what. */
bool script_parse(const char *path, const char *text, struct pool *pool, struct defines *defs,
                  bool v6, struct script *out, struct str *err);

struct expr *expr_parse(struct lex *l);

/* Children. */
unsigned expr_count(const struct expr *first);
const struct expr *expr_at(const struct expr *first, unsigned i);
const struct expr *expr_field(const struct expr *st, const char *name);

/* The number of an integer, a known constant, or several joined by '|'. False: not a number, or
 * not known. */
bool expr_num(const struct expr *e, int64_t *out);

/* A constant of the socket interface, or an errno, by its name. */
bool symbol_find(const char *name, int64_t *value);
/* "ECONNRESET"; "errno N" when it has no name known here. */
const char *symbol_errno(int err, char buf[24]);

#endif
