/*
 * csum.c - theory of operation.
 *
 * The one's-complement sum does not care for byte order (RFC 1071 2 (B)) nor, modulo 2^16 - 1, for
 * the width of the additions (2 (C)): so memory is read in 64-bit words as it lies, four
 * independent sums with their carries put back in, and folded down to 16 bits only at the end; the
 * two bytes of the result are then again as they lie in memory.
 *
 * What csum_add adds for one piece is folded to 32 bits. So running sums stay small, and may be
 * added to each other with a plain `+`.
 */
#include "csum.h"

#include <string.h>

/* a + b with the carry put back in. */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;
    return sum + (sum < b);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static inline uint64_t fold32(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    return (sum & 0xffffffff) + (sum >> 32);
}

static uint16_t fold16(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* The sum of the last 0 to 7 bytes, as if a zero followed (RFC 1071 4.1). */
static uint64_t sum_tail(const uint8_t *p, size_t n)
{
    uint64_t sum = 0;
    uint32_t w4;
    uint16_t w2;
    if (n & 4) {
        memcpy(&w4, p, 4);
        sum += w4;
        p += 4;
    }
    if (n & 2) {
        memcpy(&w2, p, 2);
        sum += w2;
        p += 2;
    }
    if (n & 1) {
        const uint8_t last[2] = {*p, 0};
        memcpy(&w2, last, 2);
        sum += w2;
    }
    return sum;
}

uint64_t csum_add(uint64_t sum, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t c = 0;
    uint64_t d = 0;

    for (; n >= 32; n -= 32, p += 32) {
        a = add_carry(a, load64(p));
        b = add_carry(b, load64(p + 8));
        c = add_carry(c, load64(p + 16));
        d = add_carry(d, load64(p + 24));
    }
    for (; n >= 8; n -= 8, p += 8) {
        a = add_carry(a, load64(p));
    }
    if (n > 0) {
        b = add_carry(b, sum_tail(p, n));
    }
    return sum + fold32(add_carry(add_carry(a, b), add_carry(c, d)));
}

uint64_t csum_add_at(uint64_t sum, const void *p, size_t n, size_t at)
{
    uint64_t piece = csum_add(0, p, n);
    if (at % 2 != 0) {
        piece = __builtin_bswap16(fold16(piece)); /* RFC 1071 2 (B) */
    }
    return sum + piece;
}

/* RFC 9293 3.1 and RFC 8200 8.1 agree: the prefix of an IPv4-mapped address sums to 0xffff, which
 * is zero. */
uint64_t csum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, uint32_t len)
{
    be32 tail[2] = {be32_of(len), be32_of(proto)};
    uint64_t sum = csum_add(0, src->b, sizeof src->b);
    sum = csum_add(sum, dst->b, sizeof dst->b);
    return csum_add(sum, tail, sizeof tail);
}

static be16 as_stored(uint16_t v)
{
    be16 out;
    memcpy(out.b, &v, sizeof out.b);
    return out;
}

be16 csum_partial(uint64_t sum)
{
    return as_stored(fold16(sum));
}

be16 csum_fold(uint64_t sum)
{
    return as_stored((uint16_t)~fold16(sum));
}

int csum_good(uint64_t sum)
{
    return fold16(sum) == 0xffff;
}

be16 csum_update(be16 old, be16 from, be16 to)
{
    /* RFC 1624 3 eqn. 3: HC' = ~(~HC + ~m + m'). Not eqn. 2, which can give 0xffff for 0x0000. */
    uint64_t sum = (uint64_t)(uint16_t)~be16_get(old) + (uint16_t)~be16_get(from) + be16_get(to);
    return be16_of((uint16_t)~fold16(sum));
}
