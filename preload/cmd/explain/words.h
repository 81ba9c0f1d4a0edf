/*
 * words.h - the texts of `standin explain`, each once, in English and Korean.
 *
 * A text may hold printf's conversions; both languages take the same arguments in the same order,
 * or by number (%1$s). Korean texts avoid particles that would depend on what a number sounds like.
 */
#ifndef STANDIN_EXPLAIN_WORDS_H
#define STANDIN_EXPLAIN_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum text_id {
#define TEXT(id, en, ko) TEXT_##id,
#include "texts.def"
#undef TEXT
    TEXT_COUNT
};

enum lang { LANG_EN, LANG_KO };

/* The language of all further texts. */
void words_use(enum lang lang);

/* "en", "ko", or what LC_ALL, LC_MESSAGES and LANG say when name is NULL. False: unknown name. */
bool words_choose(const char *name);

const char *words(enum text_id id);

/* Fills buf with the text and its arguments; returns buf. */
char *words_put(char *buf, size_t size, enum text_id id, ...);

#endif
