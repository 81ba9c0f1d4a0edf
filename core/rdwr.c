/*
 * rdwr.c - theory of operation: one function on each side decides whether there is room; the rest
 * call it. Once bad, a cursor stays bad, also for a request of no bytes.
 */
#include "rdwr.h"

#include <string.h>

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->bad || n > r->len - r->at) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = n > 0 ? r->p + r->at : r->p; /* an empty buffer may be NULL */
    r->at += n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 1);
    return p ? p[0] : 0;
}

uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 2);
    return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

void rd_skip(struct rd *r, size_t n)
{
    rd_bytes(r, n);
}

/* Where the next n bytes go, or NULL past the end. */
static uint8_t *wr_room(struct wr *w, size_t n)
{
    if (w->bad || n > w->len - w->at) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = n > 0 ? w->p + w->at : w->p;
    w->at += n;
    return p;
}

void wr_bytes(struct wr *w, const void *src, size_t n)
{
    uint8_t *p = wr_room(w, n);
    if (p && n > 0) {
        memcpy(p, src, n);
    }
}

void wr_u8(struct wr *w, uint8_t v)
{
    uint8_t *p = wr_room(w, 1);
    if (p) {
        p[0] = v;
    }
}

void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t *p = wr_room(w, 2);
    if (p) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t *p = wr_room(w, 4);
    if (p) {
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
}

void wr_zero(struct wr *w, size_t n)
{
    uint8_t *p = wr_room(w, n);
    if (p && n > 0) {
        memset(p, 0, n);
    }
}
