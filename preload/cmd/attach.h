/*
 * attach.h - which session a verb looks at: the one that is named, the one a process is in, the one
 * we are in, or the only one there is.
 */
#ifndef STANDIN_CMD_ATTACH_H
#define STANDIN_CMD_ATTACH_H

#include <stdbool.h>

#include "tun/peek.h"

/* For verbs that find or show: trouble, as in grep and diff. */
#define EXIT_TROUBLE 2

/*
 * Opens it for looking. which: "@NAME[,TOKEN]" or NAME as `standin ls` shows it, or the id of a
 * process that is a member; NULL: that of STANDIN_SESSION, else the only one in this network
 * namespace. False after a message.
 */
bool attach_open(struct peek *p, const char *which);

#endif
