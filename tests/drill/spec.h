/*
 * spec.h - one packet as a script writes it, and as the runner shows what was emitted.
 *
 * The same value serves both: parse.c makes it from a script's line, wire.c from bytes, print.c
 * writes it, match.c compares two of them. Sequence numbers are the script's (conv.h maps them).
 */
#ifndef STANDIN_DRILL_SPEC_H
#define STANDIN_DRILL_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "lexer.h"
#include "text.h"

enum spec_dir { DIR_IN, DIR_OUT };
enum spec_proto { SPEC_TCP, SPEC_UDP, SPEC_ICMP };

/* TCP's flags as in the header; AE is the bit above CWR. Its own numbers, as those of options: a
 * judge does not take them from what it judges. */
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

enum tos_check { TOS_ANY, TOS_ECN, TOS_ECT01, TOS_BYTE };

struct ip_info {
    enum tos_check tos_check;
    uint8_t tos; /* TOS_ECN: the low two bits */
    bool have_flow;
    bool have_ttl;
    uint8_t ttl;
    uint32_t flow;
};

/* What an ICMP error quotes of the packet it is about. */
enum quote_kind { QUOTE_NONE, QUOTE_TCP, QUOTE_UDP, QUOTE_RAW };

struct icmp_spec {
    uint8_t type;
    uint8_t code;
    bool have_mtu;
    bool have_id;
    uint16_t id;
    uint32_t mtu;
    enum quote_kind quote;
    uint32_t seq; /* QUOTE_TCP */
    uint32_t len;
};

#define OPT_MAX 40u

/* Options as they lie on the wire. */
struct opts {
    uint8_t b[OPT_MAX];
    uint8_t n;
    bool any; /* <...>: not checked */
};

struct spec {
    enum spec_dir dir;
    enum spec_proto proto;
    bool v6;    /* family of the packet; decides the names of ICMP types */
    bool outer; /* inbound: wrapped in another IP header from one address to another */
    struct addr outer_src, outer_dst;
    struct ip_info ip;
    uint16_t sport; /* 0: not given */
    uint16_t dport;
    uint16_t flags;
    bool ace;      /* the flags were a number 0..7: AE, CWR, ECE */
    bool have_ack; /* `ack N` was written; the flag is separate */
    bool have_win;
    uint16_t win;
    uint16_t urg;
    uint32_t seq;
    uint32_t len; /* of the payload: TCP, UDP */
    uint32_t ack;
    struct opts opts;
    struct icmp_spec icmp;
};

/* A packet from the current token on, a '<' or '>'. Errors stick to the lexer. */
void spec_parse(struct lex *l, struct spec *out, bool v6);

/* "S.", "P.", "-" ...; false if it is none. */
bool spec_flags_parse(const char *text, uint16_t *flags, bool *ace);
void spec_flags_print(uint16_t flags, bool ace, struct str *out);

/* Adds the script's notation, without the time. */
void spec_print(const struct spec *s, struct str *out);

/* ICMP's names. A type without a name is "type_N", a code "code_N". */
bool icmp_type_parse(const char *name, bool v6, uint8_t *type);
bool icmp_code_parse(const char *name, bool v6, uint8_t type, uint8_t *code);
void icmp_type_print(bool v6, uint8_t type, struct str *out);
void icmp_code_print(bool v6, uint8_t type, uint8_t code, struct str *out);

#endif
