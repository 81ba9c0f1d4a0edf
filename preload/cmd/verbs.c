/* Purpose: the table of verbs as data. */
#include "verbs.h"

#include <string.h>

const struct verb_info verb_table[VERBS] = {
#define VERB(id, name, function, usage, help) {name, usage, help, VERB_##id},
    VERB_LIST
#undef VERB
};

const char *verb_name(enum verb verb)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (verb_table[i].bit == verb) {
            return verb_table[i].name;
        }
    }
    return "";
}

enum verb verb_of(const char *name)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verb_table[i].name, name) == 0) {
            return verb_table[i].bit;
        }
    }
    return VERB_NONE;
}
