/*
 * proto.h - numbers of the headers that `standin explain` takes apart (IANA), and the arithmetic of
 * checksums for those who print it.
 */
#ifndef STANDIN_EXPLAIN_PROTO_H
#define STANDIN_EXPLAIN_PROTO_H

#include <stddef.h>
#include <stdint.h>

#include "core/tcp_wire.h" /* flags of TCP */

enum {
    PROTO_HOPOPT = 0,
    PROTO_ICMP = 1,
    PROTO_IGMP = 2,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_ICMP6 = 58,
    PROTO_NONE = 59,
    PROTO_DSTOPTS = 60,
};

/* The 64-bit number nearest to `near` that ends in the 32 bits `low`, relative to the ISN. */
static inline uint64_t stream_number(uint32_t isn, uint32_t low, uint64_t near)
{
    int32_t diff = (int32_t)(low - (isn + (uint32_t)near));
    return diff < 0 && (uint64_t) - (int64_t)diff > near ? 0 : near + (uint64_t)(int64_t)diff;
}

struct sum_part;

uint16_t sum_word(const struct sum_part *part, size_t at); /* the 16-bit word at an even offset */
uint32_t sum_of(const struct sum_part *part); /* of all its words, carries not yet added */
uint16_t sum_fold(uint32_t sum);              /* with the carries added (end-around) */

#endif
