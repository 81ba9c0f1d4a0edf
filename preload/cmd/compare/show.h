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

void compared_table(const struct compared *w);
json_t *compared_json(const struct compared *w); /* a new reference */

/* One self-contained file; false after a message. */
bool compared_page(const struct compared *w, json_t *data, const char *path);

#endif
