/*
 * lexer.h - a script's text as tokens: numbers, words, strings, `commands`, %{ code }%, --options
 * and single characters.
 *
 * One token is current; lex_next moves on. What is not made of tokens (flags such as "S." or
 * "5.", addresses, option values) is read with lex_raw from where the current token begins. The
 * first error sticks: the current token becomes TOK_END and `err` says what and where. Comments
 * are // and C's.
 *
 * A word that was defined (-D NAME=VALUE, --define=NAME=VALUE) is replaced by its value: "..." a
 * string, `...` a command, a number an integer, anything else a word.
 */
#ifndef STANDIN_DRILL_LEXER_H
#define STANDIN_DRILL_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum tok_kind {
    TOK_END,
    TOK_INT,
    TOK_FLOAT,
    TOK_WORD,
    TOK_STR,
    TOK_CMD,
    TOK_CODE,
    TOK_OPTION, /* text: the name without its dashes */
    TOK_DOTS,   /* ... */
    TOK_CHAR,
};

struct token {
    enum tok_kind kind;
    int line;
    size_t at; /* where it begins and ends in the text */
    size_t end;
    const char *text; /* INT, WORD: as written; STR, CMD, CODE: what is inside */
    int64_t num;
    double real; /* FLOAT, INT */
    bool hex;
    char ch;
};

struct define {
    struct define *next;
    const char *name;
    const char *value;
    bool fixed; /* given on the command line: a script cannot change it */
};

struct defines {
    struct define *head;
    struct pool *pool;
};

void define_set(struct defines *d, const char *name, const char *value, bool fixed);
/* "NAME=VALUE"; false if it is not of that form. */
bool define_parse(struct defines *d, const char *text, bool fixed);

struct lex {
    const char *name; /* of the file */
    const char *text;
    size_t at;       /* after the current token */
    size_t prev_end; /* where the token before it ended */
    int line;
    struct token tok;
    struct pool *pool;
    struct defines *defs;
    struct str *err;
    bool bad;
};

void lex_init(struct lex *l, const char *name, const char *text, struct pool *pool,
              struct defines *defs, struct str *err);
void lex_next(struct lex *l);

/* The characters from the current token on up to white space or one of `stop`; they become no
 * tokens. Then moves on. */
const char *lex_raw(struct lex *l, const char *stop);

/* The value right behind an option's '=', to the end of the word; quotes and backticks keep
 * blanks together. NULL: none. The option stays current, so that a definition holds from the next
 * token on. */
const char *lex_option_value(struct lex *l);

__attribute__((format(printf, 2, 3))) void lex_fail(struct lex *l, const char *fmt, ...);

bool lex_is(const struct lex *l, char ch);
bool lex_is_word(const struct lex *l, const char *word);
bool lex_take(struct lex *l, char ch); /* takes it if it is there */
bool lex_take_word(struct lex *l, const char *word);
void lex_expect(struct lex *l, char ch); /* an error if it is not there */
int64_t lex_int(struct lex *l, const char *what, int64_t lo, int64_t hi);

#endif
