/*
 * start.h - a session for the program: a new one, or the one we are already in; and what to do when
 * there is none to be had.
 */
#ifndef STANDIN_CMD_START_H
#define STANDIN_CMD_START_H

#include <stdbool.h>

#include "options.h"
#include "tun/session.h"

/* Whether the program joins the session that we are in; else it gets one of its own. */
bool start_joins(const struct options *o);

/* Puts STANDIN_SESSION into the environment; out may be NULL. False after a message. */
bool start_session(const struct options *o, const struct session_outputs *out);

#endif
