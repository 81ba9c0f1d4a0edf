/*
 * place.h - where the library and the keeper lie: beside the command (a build folder), in
 * ../lib/standin (an installation that was moved), or where `make install` put them.
 */
#ifndef STANDIN_CMD_PLACE_H
#define STANDIN_CMD_PLACE_H

#include <limits.h>
#include <stdbool.h>

#define PLACE_LIBRARY "libstandin.so"
#define PLACE_KEEPER  "standin-keeper"
#define PLACE_WATCH   "libstandin-watch.so"

/* The absolute path of `name`; false after a message about where it was looked for. */
bool place_find(const char *name, char path[PATH_MAX]);

#endif
