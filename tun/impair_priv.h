/*
 * impair_priv.h - what the reader of the mini-language and its verbs share; for tun/impair*.c only.
 *
 * A reader goes over the words of one rule. The first error sticks: after it every word is missing
 * and every verb returns.
 */
#ifndef STANDIN_TUN_IMPAIR_PRIV_H
#define STANDIN_TUN_IMPAIR_PRIV_H

#include "tun/impair.h"

#define WORD_MAX 64

struct reader {
    const char *text;
    size_t at;  /* behind the last word */
    size_t end; /* of the rule */
    size_t word_at, word_len;
    char word[WORD_MAX];
    bool bad;
    struct impair_error *err;
};

/* The next word; false: the rule has ended. */
bool rd_word(struct reader *r);
/* The next word if it is this one. */
bool rd_if(struct reader *r, const char *word);
bool rd_more(const struct reader *r);

/* The first error counts. It concerns the last word, or what should follow. */
void rd_error(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rd_missing(struct reader *r, const char *what);
/* The last word is none of the list (names, NULL at the end): says so, and what was meant. */
void rd_unknown(struct reader *r, const char *what, const char *const *names);
/* Which of the list the next word is; 0 after an error. */
unsigned rd_choice(struct reader *r, const char *what, const char *const *names);

/* The last word as a value. They return 0 after an error. */
nsec word_time(struct reader *r, const char *text);
uint32_t word_chance(struct reader *r, const char *text);
uint64_t word_size(struct reader *r, const char *text, bool bare);
uint64_t word_rate(struct reader *r, const char *text);
struct wire_sel word_sel(struct reader *r, const char *text);
bool looks_like_chance(const char *text);
bool looks_like_time(const char *text);

/* The next word as a value; `what` names it if it is missing. */
nsec rd_time(struct reader *r, const char *what);
uint32_t rd_chance(struct reader *r, const char *what);
uint64_t rd_size(struct reader *r, const char *what, bool bare);
struct wire_sel rd_sel(struct reader *r);

/* Reads the words of a rule behind its direction into *out (kind and direction set by the caller's
 * defaults). False: the verb was "profile", and *profile is its text. */
void verb_read(struct reader *r, struct wire_rule *out, const char **profile);

extern const char *const dist_names[];
extern const char *const aqm_names[];
extern const char *const strip_names[];

#endif
