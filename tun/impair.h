/*
 * impair.h - the mini-language of impairments: text to the rules of a wire and back.
 *
 *     [in:|out:] RULE [; ...]                in and out as the program sees them; without: both
 *
 *     delay TIME [jitter TIME] [dist uniform|normal|pareto] [ordered] [of WHICH]
 *     loss CHANCE [of WHICH]                 loss ge p=CHANCE r=CHANCE [bad=CHANCE] [good=CHANCE]
 *     drop WHICH
 *     dup CHANCE|WHICH [xN]                  N in all
 *     reorder CHANCE|WHICH by TIME           reorder WHICH after WHICH
 *     corrupt CHANCE|WHICH [at FIELD] [fixed]
 *     rate BITRATE [queue SIZE|TIME|Np] [aqm droptail|codel] [ecn]
 *     blackhole [after SIZE|TIME] [for TIME]
 *     mtu BYTES [icmp=sent|silent]           mss BYTES
 *     strip OPTION[,OPTION...] [on syn|all]  mss wscale sack timestamps fastopen md5 accecn other all
 *     ecn-mark CHANCE|WHICH                  ecn-bleach
 *     rst [after SIZE]                       window BYTES [after SIZE] [for TIME]
 *     idle TIME                              profile NAME
 *
 *     WHICH   any syn syn+ack ack data fin rst retransmit udp icmp, and which of them:
 *             #3, #3..5, #3+ (from the third on), #3+2 (the third and every second one behind it)
 *     TIME    1.5s 20ms 300us 10ns; CHANCE 1% 0.01%; SIZE 64KiB 1MB 500B (k, M, G: of 1024)
 *     BITRATE 10mbit 512kbit 1gbit
 *
 * What a number counts is said in wire.h.
 */
#ifndef STANDIN_TUN_IMPAIR_H
#define STANDIN_TUN_IMPAIR_H

#include "tun/wire.h"

#define IMPAIR_RULE_MAX 160 /* bytes of a rule's text, its end included */

/* What is wrong, and where in the text: bytes [at, at + len). */
struct impair_error {
    size_t at, len;
    char what[128];
    char meant[64]; /* what was probably meant; "" */
};

/* Adds the rules of `text` to `spec` (which begins as zero). False: *err says why, and the spec is
 * as it was. */
bool impair_parse(struct wire_spec *spec, const char *text, struct impair_error *err);

/* The rule as the language writes it, in the one form for its meaning. Returns buf. */
char *impair_print(const struct wire_rule *r, char buf[IMPAIR_RULE_MAX]);

/* A named set of rules: its text, or NULL. impair_profiles lists them: name and what it is. */
const char *impair_profile(const char *name);
struct impair_profile {
    const char *name, *spec, *what;
};
extern const struct impair_profile impair_profiles[]; /* ends with a name of NULL */

/* The language told, for the manual page and the tests: the forms of a rule, in the order above;
 * the packets a WHICH may name (without examples). Both end with a name of NULL. */
struct impair_form {
    const char *name, *syntax, *what, *example;
};
extern const struct impair_form impair_forms[];
extern const struct impair_form impair_whiches[];
const char *const *impair_options(void); /* what strip takes out; NULL behind the last */

/* The error as lines for a person: the text, the place marked below it, what is wrong. Returns
 * buf. */
char *impair_explain(const char *text, const struct impair_error *err, char *buf, size_t size);

#endif
