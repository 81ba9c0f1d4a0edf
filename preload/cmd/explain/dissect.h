/*
 * dissect.h - one packet taken apart: its layers, every field of every header with its value and
 * what it means, and the checksums with the addition that makes them.
 *
 * Plain values about a packet in memory; nothing is kept of earlier packets (flow.h does that).
 * Whatever the bytes are, nothing beyond them is read; where a header is cut off or lies about a
 * length, a note says so.
 */
#ifndef STANDIN_EXPLAIN_DISSECT_H
#define STANDIN_EXPLAIN_DISSECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "words.h"

enum layer_kind {
    LAYER_IP4,
    LAYER_IP6,
    LAYER_EXT,
    LAYER_TCP,
    LAYER_UDP,
    LAYER_ICMP,
    LAYER_ICMP6,
    LAYER_DATA
};

struct layer {
    enum layer_kind kind;
    enum text_id name;
    size_t at;  /* from the IP header's first byte */
    size_t len; /* as far as there are bytes */
};

#define FIELD_SHOWN 72
#define FIELD_MEAN  280

struct field {
    uint8_t layer;   /* index into layers */
    uint16_t bit;    /* offset from the packet's start, in bits */
    uint16_t bits;   /* width; more than 64: bytes of which only `shown` tells */
    const char *key; /* "tcp.window": for JSON */
    enum text_id name;
    uint64_t value;
    char shown[FIELD_SHOWN]; /* the value as people write it */
    char mean[FIELD_MEAN];   /* what it means; may be "" */
};

/* A part of what a checksum covers. */
struct sum_part {
    enum text_id name;
    uint8_t bytes[40]; /* of a pseudo-header; else from the packet */
    const uint8_t *p;  /* NULL: bytes[] */
    size_t len;
    /* where the checksum field itself lies in the part, counted as 0; SIZE_MAX: not in it */
    size_t skip;
};

enum sum_verdict {
    SUM_GOOD,
    SUM_BAD,
    SUM_PARTIAL, /* only the pseudo-header's sum: left to the network card (offload) */
    SUM_NONE,    /* UDP over IPv4: 0 means none was computed */
    SUM_CUT,     /* not all that it covers was captured */
};

struct checksum {
    const char *key; /* "ip.checksum" */
    enum text_id name;
    enum sum_verdict verdict;
    uint16_t stored;
    uint16_t computed;
    uint32_t total;  /* the plain sum of all words */
    uint16_t folded; /* after the carries were added */
    struct sum_part part[4];
    unsigned nparts;
};

/* What flow.h and the one-line summary need of a TCP segment. */
struct tcp_facts {
    bool present;
    bool whole; /* the fixed header and all options are there */
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t flags; /* nine bits */
    uint16_t window;
    uint32_t len; /* payload bytes on the wire, by the IP header */
    uint16_t urgent;
    bool has_mss, has_wscale, has_sack_ok, has_ts;
    uint16_t mss;
    uint8_t wscale;
    uint32_t ts_val, ts_ecr;
    unsigned nsack;
    uint32_t sack[4][2];
};

#define LAYERS_MAX 12
#define FIELDS_MAX 200
#define NOTES_MAX  8
#define SUMS_MAX   3

struct dissection {
    const uint8_t *p;
    size_t len;               /* bytes that are there */
    size_t wire_len;          /* bytes it had */
    unsigned version;         /* 4, 6, 0 */
    uint8_t src[16], dst[16]; /* 4 or 16 bytes */
    char src_text[48], dst_text[48];
    uint8_t proto; /* of the upper layer */
    bool fragment; /* not the first: no upper header */
    struct tcp_facts tcp;
    uint16_t sport, dport; /* UDP's too */
    struct layer layer[LAYERS_MAX];
    unsigned nlayers;
    struct field field[FIELDS_MAX];
    unsigned nfields;
    struct checksum sum[SUMS_MAX];
    unsigned nsums;
    char note[NOTES_MAX][200]; /* what is wrong with it */
    unsigned nnotes;
};

/* Takes the packet apart. p stays the caller's and must outlive *d. */
void dissect(struct dissection *d, const uint8_t *p, size_t len, size_t wire_len);

/* ---- for the dis_*.c family */

/* The bytes from `at` on that belong to this header. */
struct cut {
    struct dissection *d;
    size_t at;
    size_t end; /* of what may be read */
};

uint64_t cut_bits(const struct cut *c, size_t bit,
                  size_t bits); /* bit counted from c->at; 0 beyond the end */
bool cut_has(const struct cut *c, size_t bytes);

/* The index of a new layer. */
unsigned layer_add(struct dissection *d, enum layer_kind kind, enum text_id name, size_t at,
                   size_t len);

/* A new field of the last layer, bit counted from c->at; value read from there, shown in decimal.
 * Never NULL: beyond FIELDS_MAX it is one that nobody sees. */
struct field *field_add(const struct cut *c, size_t bit, size_t bits, const char *key,
                        enum text_id name);
void field_show(struct field *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void field_mean(struct field *f, enum text_id id, ...);
void note_add(struct dissection *d, enum text_id id, ...);

/* What goes over a checksum, and its verdict. `cut`: not all of it is there. */
struct checksum *sum_add(struct dissection *d, const char *key, enum text_id name, uint16_t stored);
void sum_part(struct checksum *s, enum text_id name, const uint8_t *p, size_t len, size_t skip);
void sum_pseudo(struct checksum *s, const struct dissection *d, uint8_t proto, size_t len);
void sum_close(struct checksum *s, bool cut);

void dis_ip4(struct dissection *d, size_t at, size_t end);
void dis_ip6(struct dissection *d, size_t at, size_t end);
/* The upper layer at `at`; `wire`: its bytes by the IP header, of which those up to `end` are
 * there. */
void dis_upper(struct dissection *d, uint8_t proto, size_t at, size_t end, size_t wire);
void dis_tcp(struct dissection *d, size_t at, size_t end, size_t wire);
void dis_udp(struct dissection *d, size_t at, size_t end, size_t wire);
void dis_icmp(struct dissection *d, size_t at, size_t end, size_t wire, bool v6);
void dis_data(struct dissection *d, size_t at, size_t end);

/* "TCP", or its number. */
const char *proto_name(uint8_t proto, char buf[8]);

#endif
