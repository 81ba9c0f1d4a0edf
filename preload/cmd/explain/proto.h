/*
 * proto.h - numbers of the headers that `standin explain` takes apart (IANA), and the arithmetic of
 * checksums for those who print it.
 */
#ifndef STANDIN_EXPLAIN_PROTO_H
#define STANDIN_EXPLAIN_PROTO_H

#include <stddef.h>
#include <stdint.h>

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

/* The nine flags of a TCP header, RFC 9293 3.1 and RFC 9768 for AE. */
enum {
    F_FIN = 0x001,
    F_SYN = 0x002,
    F_RST = 0x004,
    F_PSH = 0x008,
    F_ACK = 0x010,
    F_URG = 0x020,
    F_ECE = 0x040,
    F_CWR = 0x080,
    F_AE = 0x100,
};

struct sum_part;

uint16_t sum_word(const struct sum_part *part, size_t at); /* the 16-bit word at an even offset */
uint32_t sum_of(const struct sum_part *part); /* of all its words, carries not yet added */
uint16_t sum_fold(uint32_t sum);              /* with the carries added (end-around) */

#endif
