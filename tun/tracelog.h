/*
 * tracelog.h - which events a trace shows.
 *
 * A filter is a list of words with commas between. Kinds: seg, dgram, icmp, drop, state, timer,
 * call, cwnd, impair, member; the kinds named are shown, with ! before a word all but those. port=N
 * and conn=N (the number in the second column of a line) show only what belongs to one of them.
 */
#ifndef STANDIN_TUN_TRACELOG_H
#define STANDIN_TUN_TRACELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"

#define TRACELOG_PICK_MAX 16u
#define TRACELOG_WORD_MAX 32u

struct tracelog {
    uint32_t kinds; /* bit of each enum event_kind that is shown */
    uint16_t port[TRACELOG_PICK_MAX];
    uint32_t conn[TRACELOG_PICK_MAX];
    unsigned nport, nconn;
};

enum tracelog_error {
    TRACELOG_OK,
    TRACELOG_WORD,   /* no such word */
    TRACELOG_NUMBER, /* port or conn without a number that fits */
    TRACELOG_MANY,   /* more than TRACELOG_PICK_MAX of them */
};

/* text NULL or "": everything. Otherwise `word` gets the word that is wrong. */
enum tracelog_error tracelog_parse(struct tracelog *t, const char *text,
                                   char word[TRACELOG_WORD_MAX]);

bool tracelog_shows(const struct tracelog *t, const struct event *ev);

/* The words for kinds, n of them. */
const char *tracelog_kind(unsigned i); /* NULL behind the last */

#endif
