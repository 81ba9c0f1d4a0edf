/*
 * csum.h - the Internet checksum: RFC 1071, RFC 1624; pseudo-headers of RFC 9293 3.1 and RFC 8200
 * 8.1.
 *
 * A running sum is a plain 64-bit number of 16-bit words in network order as read from memory;
 * csum_fold ends it. Only the last piece of a sum may have an odd length, unless the caller uses
 * csum_add_at.
 */
#ifndef STANDIN_CORE_CSUM_H
#define STANDIN_CORE_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "be.h"
#include "pkt.h"

/* sum + the words of p[0..n). */
uint64_t csum_add(uint64_t sum, const void *p, size_t n);

/* The same for a piece that begins at byte offset `at` of the whole (an odd offset swaps the
 * bytes). */
uint64_t csum_add_at(uint64_t sum, const void *p, size_t n, size_t at);

/* The pseudo-header of either family, for an upper-layer length `len`. */
uint64_t csum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, uint32_t len);

/* The folded sum without (csum_partial) and with (csum_fold) the final complement, ready to be
 * stored. */
be16 csum_partial(uint64_t sum);
be16 csum_fold(uint64_t sum);

/* Whether a sum over data that contains its own checksum is right. */
int csum_good(uint64_t sum);

/* RFC 1624 eqn. 3: the checksum `old` after a 16-bit word changed from `from` to `to`. */
be16 csum_update(be16 old, be16 from, be16 to);

#endif
