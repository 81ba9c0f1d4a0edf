/*
 * show.h - a comparison for people: one line of verdict and a table; as a JSON document; as a page.
 */
#ifndef STANDIN_COMPARE_SHOW_H
#define STANDIN_COMPARE_SHOW_H

#include <jansson.h>

#include "differ.h"

struct compared {
    const struct setup *setup;
    const struct sides *sides;
    const char *command; /* to repeat it */
    uint64_t seed;
    unsigned warmup;                 /* pairs that are not counted */
    char rules[WIRE_RULES_MAX][160]; /* printed by impair_print */
};

/* "Same result for the program. 2 differences in behaviour, none a bug." Returns buf. */
char *compared_verdict(const struct sides *s, char *buf, size_t size);

/* "exit 0", "killed by signal 9". Returns buf. */
char *compared_status(const struct one *o, char buf[64]);

/* "FIN both ways"; who sent the first one: "the server's side". */
const char *compared_closing(const struct story *x);
const char *compared_closer(const struct story *x);

/* "SACK, timestamps, no ECN"; "1.02 3.05 s" or "-". Return buf. */
char *compared_offers(const struct card *c, char *buf, size_t size);
char *compared_syns(const struct story *x, char *buf, size_t size);

/* "30 on 1 socket". Returns buf. */
char *compared_calls(const struct one *o, char *buf, size_t size);

/* How often a rule fired in the first run of a stack. */
unsigned compared_fired(const struct sides *s, enum stack_kind k, unsigned rule);
/* Whether it should fire but did not, in no run of either: no packet that it means passed. */
bool compared_idle(const struct compared *w, unsigned rule);

void compared_table(const struct compared *w);
json_t *compared_json(const struct compared *w); /* a new reference */

/* One self-contained file; false after a message. */
bool compared_page(const struct compared *w, json_t *data, const char *path);

#endif
