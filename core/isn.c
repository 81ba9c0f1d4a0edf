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

/* RFC 9293 3.4.1 MUST-8, MUST-9, SHLD-1; RFC 6528 3: ISN = M + F(localip, localport, remoteip,
 * remoteport, secretkey). Linux, not RFC: M ticks every 64 ns, so that it moves by more than a
 * window even at the highest rates. */
seq isn_of(const uint8_t secret[16], const struct flow *f, nsec now)
{
    return seq_of((uint32_t)isn_hash(secret, f, sizeof *f) + (uint32_t)((uint64_t)now >> 6));
}

/* RFC 7323 5.4: an offset of its own for each connection. */
uint32_t isn_ts_offset(const uint8_t secret[16], const struct flow *f)
{
    return (uint32_t)isn_hash(secret, f, sizeof *f);
}

/* One round of a Feistel network: `bits` bits out of a hash of the other half. */
static uint32_t round_of(const uint8_t secret[16], uint64_t key, uint32_t round, uint32_t half,
                         uint32_t mask)
{
    uint64_t in[2] = {key, (uint64_t)round << 32 | half};

    return (uint32_t)isn_hash(secret, in, sizeof in) & mask;
}

uint32_t isn_port_order(const uint8_t secret[16], const struct addr *laddr,
                        const struct addr *raddr, uint16_t rport, uint32_t n, uint32_t x)
{
    uint8_t in[34];
    uint32_t bits = 1;

    memcpy(in, laddr->b, 16);
    memcpy(in + 16, raddr->b, 16);
    memcpy(in + 32, &rport, 2);
    uint64_t key = isn_hash(secret, in, sizeof in);
    while (1u << 2 * bits < n) {
        bits++;
    }
    uint32_t mask = (1u << bits) - 1;
    do { /* a permutation of 4^bits numbers; those beyond n are passed over */
        uint32_t left = x >> bits, right = x & mask;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t next = left ^ round_of(secret, key, i, right, mask);
            left = right;
            right = next;
        }
        x = left << bits | right;
    } while (x >= n);
    return x;
}
