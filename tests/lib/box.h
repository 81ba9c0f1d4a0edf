/*
 * box.h - one wire in virtual time, and packets to send over it.
 *
 * One connection, 10.77.0.2:1000 (or fd77::2) to 10.77.0.1:80; both initial sequence numbers are 0,
 * so that byte 0 of a stream has the sequence number 1. What comes out is kept in `got`, judged.
 */
#ifndef STANDIN_TESTS_BOX_H
#define STANDIN_TESTS_BOX_H

#include "core/tcp_wire.h"
#include "tun/impair.h"

#define BOX_MEM     ((size_t)8 << 20)
#define BOX_OUT_MAX 20000u
#define BOX_T0      (5 * SEC)
#define BOX_MSS     1000u

extern const char *const box_ends4[2];
extern const char *const box_ends6[2];

struct got {
    nsec at; /* since BOX_T0 */
    uint64_t no;
    uint8_t dir;
    uint8_t flags;
    uint8_t ecn;
    bool good; /* checksums */
    uint32_t seq, ack, plen, wnd;
    size_t len;
    struct tcp_seg seg;
    uint8_t proto;
    uint8_t bytes[1600];
};

struct box {
    struct wire *w;
    void *mem;
    nsec now;
    bool v6;
    uint32_t hdr_opts; /* bytes of options on data: timestamps */
    uint8_t ecn;
    struct got *got;
    size_t n;
};

/* A wire with these rules; aborts if they are none. box_free aborts unless its tables are whole. */
struct box box_of(const char *text, uint64_t seed);
void box_free(struct box *b);

/* Everything that arrives until then (NEVER: all there is). */
void box_run(struct box *b, nsec until);

void box_put(struct box *b, enum wire_dir d, const uint8_t *p, size_t len, uint16_t gso, bool open);
size_t box_build(const struct box *b, enum wire_dir d, struct tcp_seg s, uint32_t n, uint8_t *out);
void box_seg(struct box *b, enum wire_dir d, struct tcp_seg s, uint32_t n);

/* SYN and SYN-ACK with an MSS of BOX_MSS; n bytes from byte `at` of the stream; a bare ACK. */
void box_syn(struct box *b, bool ts);
void box_data(struct box *b, enum wire_dir d, uint32_t at, uint32_t n);
void box_ack(struct box *b, enum wire_dir d, uint32_t acked);

uint64_t box_fired(const struct box *b, enum wire_dir d, enum wire_fired what);

#endif
