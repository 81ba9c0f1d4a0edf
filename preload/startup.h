/*
 * startup.h - the start-up sequence. Until it is done no socket goes to the stack and no session is
 * joined.
 */
#ifndef STANDIN_PRELOAD_STARTUP_H
#define STANDIN_PRELOAD_STARTUP_H

#include <stdbool.h>

/* Whether the stack may be used: start-up is done, and nobody has switched us off. */
extern bool startup_done;

#endif
