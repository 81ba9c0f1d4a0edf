/*
 * isn.h - initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 5.4), and the order of
 * ports (RFC 6056) from SipHash-2-4 under secrets of the stack.
 */
#ifndef STANDIN_CORE_ISN_H
#define STANDIN_CORE_ISN_H

#include <stdint.h>

#include "addr.h"
#include "nsec.h"
#include "seq.h"

/* RFC 6528 3: M (one tick per 4 microseconds... Linux, not RFC: 64 ns) + F(four-tuple, secret). */
seq isn_of(const uint8_t secret[16], const struct flow *f, nsec now);

/* A per-four-tuple offset for the timestamp clock. */
uint32_t isn_ts_offset(const uint8_t secret[16], const struct flow *f);

/* RFC 6056 3.3: the x-th of n ports towards a destination, x < n. An order of its own for each
 * destination that nobody without the secret can continue; each port comes once. */
uint32_t isn_port_order(const uint8_t secret[16], const struct addr *laddr,
                        const struct addr *raddr, uint16_t rport, uint32_t n, uint32_t x);

/* A keyed 64-bit hash of memory, for tables. */
uint64_t isn_hash(const uint8_t key[16], const void *p, uint32_t len);

#endif
