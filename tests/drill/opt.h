/*
 * opt.h - TCP options between a script's text and the bytes of a header.
 */
#ifndef STANDIN_DRILL_OPT_H
#define STANDIN_DRILL_OPT_H

#include "spec.h"

enum {
    OPT_EOL = 0,
    OPT_NOP = 1,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACKOK = 4,
    OPT_SACK = 5,
    OPT_TS = 8,
    OPT_MD5 = 19,
    OPT_FO = 34,
    OPT_ACCECN0 = 172,
    OPT_ACCECN1 = 174,
    OPT_EXP = 254,
};

/* The list between '<' and '>', the '<' being current. */
void opts_parse(struct lex *l, struct opts *out);

/* "<mss 1460,nop,wscale 7>"; what has no notation is shown as its bytes: `kind 77 [0102]`.
 * Nothing when there are none. */
void opts_print(const struct opts *o, struct str *out);

/* One option at `*at`; false at the end. A length that does not fit gives the rest, with `bad`
 * set. */
struct opt {
    uint8_t kind;
    uint8_t len;         /* with kind and length byte; 1 for EOL and NOP */
    const uint8_t *data; /* behind the length byte */
    bool bad;
};
bool opts_next(const struct opts *o, unsigned *at, struct opt *out);
void opt_print(const struct opt *o, struct str *out);

/* Adds `by` to both edges of every SACK block. */
void opts_shift_sack(struct opts *o, uint32_t by);

/* Where the timestamp's value lies in o->b (its echo 4 bytes after), or -1. */
int opts_find_ts(const struct opts *o);

#endif
