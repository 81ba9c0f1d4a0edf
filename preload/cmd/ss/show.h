/*
 * show.h - rows as `ss` prints them, with what only we know on a line of its own; or as JSON.
 */
#ifndef STANDIN_SS_SHOW_H
#define STANDIN_SS_SHOW_H

#include <jansson.h>
#include <stdbool.h>

#include "rows.h"

/* What was asked for, by ss's letters. */
struct what {
    bool tcp, udp;       /* -t -u; neither: both */
    bool listening, all; /* -l -a */
    bool processes;      /* -p */
    bool timers;         /* -o */
    bool extended;       /* -e */
    bool memory;         /* -m */
    bool info;           /* -i */
    uint16_t port;       /* 0: any */
    int state;           /* enum tcp_state; -1: any */
};

bool row_wanted(const struct row *row, const struct what *w);
void show_header(const struct what *w);
void show_row(const struct rows *r, const struct row *row, const struct what *w);

/* A new reference. */
json_t *row_json(const struct rows *r, const struct row *row);

/* "ESTAB", "UNCONN": ss's word for a row's state. */
const char *row_state(const struct row *row);

/* The enum tcp_state of a word of ss's ("established", "time-wait"); -1. */
int state_of_word(const char *word);

#endif
