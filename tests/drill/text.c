#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void no_memory(void)
{
    fputs("drill: out of memory\n", stderr);
    abort();
}

static void str_room(struct str *s, size_t more)
{
    if (s->n + more + 1 <= s->cap) {
        return;
    }
    size_t cap = s->cap ? s->cap : 64;
    while (cap < s->n + more + 1) {
        cap *= 2;
    }
    char *p = realloc(s->p, cap);
    if (!p) {
        no_memory();
    }
    s->p = p;
    s->cap = cap;
}

void str_vadd(struct str *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0) {
        return;
    }
    str_room(s, (size_t)n);
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, ap);
    s->n += (size_t)n;
}

void str_add(struct str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vadd(s, fmt, ap);
    va_end(ap);
}

void str_clear(struct str *s)
{
    s->n = 0;
    if (s->p) {
        s->p[0] = '\0';
    }
}

void str_free(struct str *s)
{
    free(s->p);
    *s = (struct str){0};
}

struct pool_chunk {
    struct pool_chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) unsigned char bytes[];
};

#define POOL_CHUNK 16384u

void *pool_get(struct pool *p, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size = (size + align - 1) / align * align;
    if (!p->head || p->head->size - p->head->used < size) {
        size_t room = size > POOL_CHUNK ? size : POOL_CHUNK;
        struct pool_chunk *c = calloc(1, sizeof *c + room);
        if (!c) {
            no_memory();
        }
        c->size = room;
        c->next = p->head;
        p->head = c;
    }
    void *at = p->head->bytes + p->head->used;
    p->head->used += size;
    return at;
}

char *pool_text(struct pool *p, const char *from, size_t n)
{
    char *t = pool_get(p, n + 1);
    memcpy(t, from, n);
    return t;
}

void pool_free(struct pool *p)
{
    while (p->head) {
        struct pool_chunk *next = p->head->next;
        free(p->head);
        p->head = next;
    }
}

bool text_read_file(const char *path, struct str *out, struct str *err)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        str_add(err, "%s: %s", path, strerror(errno));
        return false;
    }
    char buf[4096];
    size_t n;
    while ((n = fread(buf, 1, sizeof buf, f)) > 0) {
        str_room(out, n);
        memcpy(out->p + out->n, buf, n);
        out->n += n;
        out->p[out->n] = '\0';
    }
    bool ok = ferror(f) == 0;
    if (!ok) {
        str_add(err, "%s: cannot be read", path);
    }
    fclose(f);
    return ok;
}
