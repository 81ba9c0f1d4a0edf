/*
 * text.h - text that grows, and memory that is given back all at once.
 *
 * A struct str is an owned, NUL-terminated buffer; zeroed it is empty. A struct pool hands out
 * memory that lives until pool_free: everything a parsed script points to comes from one. Running
 * out of memory ends the program.
 */
#ifndef STANDIN_DRILL_TEXT_H
#define STANDIN_DRILL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct str {
    char *p; /* NULL while nothing was added */
    size_t n;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) void str_add(struct str *s, const char *fmt, ...);
void str_vadd(struct str *s, const char *fmt, va_list ap);
void str_clear(struct str *s);
void str_free(struct str *s);

static inline const char *str_text(const struct str *s)
{
    return s->p ? s->p : "";
}

struct pool_chunk;

struct pool {
    struct pool_chunk *head;
};

/* Zeroed memory, aligned for any type. */
void *pool_get(struct pool *p, size_t size);
char *pool_text(struct pool *p, const char *from, size_t n);
void pool_free(struct pool *p);

/* The whole file as text; false (and `err` said why) if it cannot be read. */
bool text_read_file(const char *path, struct str *out, struct str *err);

#endif
