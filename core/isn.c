/*
 * isn.c - theory of operation.
 *
 * Every number that a peer must not be able to foretell is SipHash-2-4 of what it belongs to under
 * one of the stack's 128-bit secrets, which are drawn once and never leave the arena. The secrets
 * are separate, so that what one use gives away says nothing about another.
 */
#include "isn.h"

#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>

uint64_t isn_hash(const uint8_t key[16], const void *p, uint32_t len)
{
    uint8_t out[8];
    uint64_t h;
    (void)crypto_shorthash_siphash24(out, p, len, key);
    memcpy(&h, out, sizeof h);
    return h;
}

/* RFC 6528 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey). Linux, not RFC: M
 * ticks every 64 ns, so that it moves by more than a window even at the highest rates. */
seq isn_of(const uint8_t secret[16], const struct flow *f, nsec now)
{
    return seq_of((uint32_t)isn_hash(secret, f, sizeof *f) + (uint32_t)((uint64_t)now >> 6));
}

/* RFC 7323 5.4: an offset of its own for each connection. */
uint32_t isn_ts_offset(const uint8_t secret[16], const struct flow *f)
{
    return (uint32_t)isn_hash(secret, f, sizeof *f);
}

/* RFC 6056 3.3.4 */
uint32_t isn_port_offset(const uint8_t secret[16], const struct addr *laddr,
                         const struct addr *raddr, uint16_t rport)
{
    uint8_t in[34];
    memcpy(in, laddr->b, 16);
    memcpy(in + 16, raddr->b, 16);
    memcpy(in + 32, &rport, 2);
    return (uint32_t)isn_hash(secret, in, sizeof in);
}
