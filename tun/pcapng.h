/*
 * pcapng.h - captures in pcapng (draft-ietf-opsawg-pcapng): the five blocks that every reader of
 * Debian 12 understands, written and read.
 *
 *     SHB   section: who wrote it, comments
 *     IDB   one interface, LINKTYPE_RAW, times in nanoseconds
 *     EPB   a packet: direction, number, comments
 *     NRB   names of addresses
 *     ISB   counts at the end
 *
 * One interface only: libpcap refuses a second one of this link type. No custom blocks, no
 * verdicts: tools of today misread them.
 *
 * Neither side allocates or does any I/O. The writer appends to a buffer of the caller's; the
 * reader walks bytes that may hold anything, of either byte order.
 */
#ifndef STANDIN_TUN_PCAPNG_H
#define STANDIN_TUN_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAPNG_LINK_RAW     101u /* IPv4 or IPv6, told by the first nibble */
#define PCAPNG_COMMENTS_MAX 4u

/* epb_flags */
#define PCAPNG_IN            0x1u
#define PCAPNG_OUT           0x2u
#define PCAPNG_DIRECTION     0x3u
#define PCAPNG_CSUM_NOT_DONE 0x200u /* the link finishes the checksum */
#define PCAPNG_TSO           0x800u /* the link cuts it into segments */

enum pcapng_type {
    PCAPNG_IDB = 1,
    PCAPNG_NRB = 4,
    PCAPNG_ISB = 5,
    PCAPNG_EPB = 6,
    PCAPNG_SHB = 0x0a0d0d0a,
};

/* A text in a file: not terminated. */
struct pcapng_text {
    const char *p;
    size_t n;
};

struct pcapng_packet {
    uint64_t at; /* nanoseconds since 1970 */
    uint64_t id; /* epb_packetid */
    uint32_t flags;
    uint32_t len; /* as it was on the wire */
    const uint8_t *data;
    uint32_t caplen; /* what is here */
    uint32_t ncomments;
    struct pcapng_text comment[PCAPNG_COMMENTS_MAX];
};

/* ---- writing */

struct pcapng_out {
    uint8_t *p;
    size_t len;
    size_t max;
    bool full; /* a block did not fit: it is not there */
};

void pcapng_section(struct pcapng_out *o, const char *appl, const char *os, const char *comment);
void pcapng_interface(struct pcapng_out *o, const char *name, uint32_t snaplen);
void pcapng_packet(struct pcapng_out *o, const struct pcapng_packet *p);
/* addr: 4 or 16 bytes. */
void pcapng_name(struct pcapng_out *o, const uint8_t *addr, size_t addrlen, const char *name);
/* from, to: nanoseconds since 1970; dropped: packets that did not get into the file. */
void pcapng_counts(struct pcapng_out *o, uint64_t from, uint64_t to, uint64_t packets,
                   uint64_t dropped, const char *comment);

/* The most bytes that a block with so many bytes of packet and text takes. */
size_t pcapng_room(size_t bytes);

/* ---- reading */

struct pcapng_in {
    const uint8_t *p;
    size_t len;
    size_t at; /* of the next block */
    bool swap; /* the section's byte order is not ours */
    bool in_section;
    uint32_t nif;  /* interfaces of this section so far */
    uint32_t link; /* of the first of them; 0: none yet */
    uint32_t snaplen;
    uint64_t ticks; /* a second, of its times */
    const char *error;
};

struct pcapng_block {
    uint32_t type;               /* enum pcapng_type; others are passed over */
    struct pcapng_packet packet; /* EPB; comments of the others lie here too */
    struct pcapng_text appl;     /* SHB */
    struct pcapng_text ifname;   /* IDB */
    uint64_t received, dropped;  /* ISB */
};

void pcapng_open(struct pcapng_in *in, const void *bytes, size_t len);

/* 1: *b holds the next block; 0: the end; -1: no pcapng, or damaged: in->error says what, in->at
 * where. Pointers in *b lead into the bytes. */
int pcapng_next(struct pcapng_in *in, struct pcapng_block *b);

#endif
