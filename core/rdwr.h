/*
 * rdwr.h - bounds-checked cursors for reading and writing headers, with an error that sticks.
 *
 * After the end a read gives zero and a write does nothing, and the cursor remembers; the caller
 * checks once.
 */
#ifndef STANDIN_CORE_RDWR_H
#define STANDIN_CORE_RDWR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
    const uint8_t *p;
    size_t len;
    size_t at;
    bool bad;
};

struct wr {
    uint8_t *p;
    size_t len;
    size_t at;
    bool bad;
};

static inline struct rd rd_of(const void *p, size_t len)
{
    return (struct rd){.p = p, .len = len};
}

static inline bool rd_ok(const struct rd *r)
{
    return !r->bad;
}

static inline size_t rd_left(const struct rd *r)
{
    return r->bad ? 0 : r->len - r->at;
}

/* The next n bytes, or NULL past the end. */
const uint8_t *rd_bytes(struct rd *r, size_t n);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r); /* big-endian on the wire */
uint32_t rd_u32(struct rd *r);
void rd_skip(struct rd *r, size_t n);

static inline struct wr wr_of(void *p, size_t len)
{
    return (struct wr){.p = p, .len = len};
}

static inline bool wr_ok(const struct wr *w)
{
    return !w->bad;
}

void wr_bytes(struct wr *w, const void *src, size_t n);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_zero(struct wr *w, size_t n);

#endif
