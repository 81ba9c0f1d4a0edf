/* Purpose: the texts of texts.def in the language that was chosen. */
#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[TEXT_COUNT][2] = {
#define TEXT(id, en, ko) {en, ko},
#include "texts.def"
#undef TEXT
};

static enum lang language = LANG_EN;

void words_use(enum lang lang)
{
    language = lang;
}

static const char *locale_name(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) {
            return v;
        }
    }
    return "";
}

bool words_choose(const char *name)
{
    if (!name) {
        words_use(strncmp(locale_name(), "ko", 2) == 0 ? LANG_KO : LANG_EN);
        return true;
    }
    if (strcmp(name, "en") != 0 && strcmp(name, "ko") != 0) {
        return false;
    }
    words_use(strcmp(name, "ko") == 0 ? LANG_KO : LANG_EN);
    return true;
}

const char *words(enum text_id id)
{
    return texts[id][language];
}

char *words_put(char *buf, size_t size, enum text_id id, ...)
{
    va_list args;
    va_start(args, id);
    vsnprintf(buf, size, words(id), args);
    va_end(args);
    return buf;
}
