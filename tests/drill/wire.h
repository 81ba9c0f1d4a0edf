/*
 * wire.h - packets as bytes: taking apart what was emitted, checking every checksum, and building
 * what is injected.
 *
 * Nothing here uses core's own parsers, builders or checksums: they are what is under test.
 */
#ifndef STANDIN_DRILL_WIRE_H
#define STANDIN_DRILL_WIRE_H

#include "spec.h"

#define WIRE_MAX (65535u + 40u)

/* One packet taken apart; pointers go into its bytes. */
struct wire {
    bool v6;
    bool frag; /* one piece of a datagram: what follows the IP header is not looked at */
    bool df;
    uint8_t tos;
    uint8_t ttl;
    uint8_t proto;
    uint16_t id;
    uint32_t flow;
    struct addr src, dst;
    const uint8_t *l4;
    size_t l4_len;
    uint16_t sport, dport;
    /* TCP */
    uint16_t flags;
    uint16_t win;
    uint16_t urg;
    uint8_t reserved; /* the three bits below AE, which must be zero */
    uint32_t seq, ack;
    struct opts opts;
    /* ICMP */
    uint8_t type, code;
    uint32_t rest; /* the four bytes after the checksum */
    const uint8_t *payload;
    size_t payload_len;
};

/* False, and `err` says why, when lengths do not agree or a checksum is wrong. */
bool wire_parse(const uint8_t *p, size_t len, struct wire *out, struct str *err);

/* The packet in script notation, numbers as they are. `len` is the payload's. */
void wire_spec(const struct wire *w, struct spec *out);

struct wire_ends {
    struct addr src, dst;
    uint16_t sport, dport;
};

/*
 * The bytes of a packet with live numbers in `s`, from e->src to e->dst; all checksums right. An
 * ICMP error quotes a packet that went the other way. `payload`: NULL for zeroes. Returns the
 * length; `buf` holds WIRE_MAX bytes.
 */
size_t wire_build(const struct spec *s, const struct wire_ends *e, uint8_t buf[WIRE_MAX]);

/* Whether an ICMP message of that type quotes a packet. */
bool wire_icmp_is_error(bool v6, uint8_t type);

#endif
