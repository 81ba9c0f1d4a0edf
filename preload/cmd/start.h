/*
 * start.h - a session for the program: a new one, or the one we are already in; and what to do when
 * there is none to be had.
 */
#ifndef STANDIN_CMD_START_H
#define STANDIN_CMD_START_H

#include <stdbool.h>

#include "options.h"

/* Puts STANDIN_SESSION into the environment. False after a message. */
bool start_session(const struct options *o);

#endif
