/*
 * be.h - big-endian scalars as they lie on the wire, and their only conversions.
 *
 * They are byte arrays: a header struct made of them has alignment 1 and no padding, and a field
 * cannot be added, compared or printed by accident.
 */
#ifndef STANDIN_CORE_BE_H
#define STANDIN_CORE_BE_H

#include <stdint.h>

typedef struct {
    uint8_t b[2];
} be16;

typedef struct {
    uint8_t b[4];
} be32;

static inline uint16_t be16_get(be16 x)
{
    return (uint16_t)(x.b[0] << 8 | x.b[1]);
}

static inline be16 be16_of(uint16_t v)
{
    return (be16){{(uint8_t)(v >> 8), (uint8_t)v}};
}

static inline uint32_t be32_get(be32 x)
{
    return (uint32_t)x.b[0] << 24 | (uint32_t)x.b[1] << 16 | (uint32_t)x.b[2] << 8 | x.b[3];
}

static inline be32 be32_of(uint32_t v)
{
    return (be32){{(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}};
}

#endif
