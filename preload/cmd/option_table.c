/* option_table.c - the rows of options.h. */
#include "options.h"

const struct option_row option_table[OPTION_COUNT] = {
#define OPTION(id, longname, shortname, arg, verbs, help) {longname, shortname, arg, verbs, help},
    OPTION_LIST
#undef OPTION
};
