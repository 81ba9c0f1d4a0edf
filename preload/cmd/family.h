/*
 * family.h - runs a program as a child and waits for it and for everything that descends from it,
 * transparently.
 */
#ifndef STANDIN_CMD_FAMILY_H
#define STANDIN_CMD_FAMILY_H

/*
 * Starts path with argv; when the program and all its descendants have ended, ends as the program
 * ended: with its status, or by its signal. Signals sent to us are sent on; a stop is repeated.
 * Returns only when there was no child: the exit code after a message.
 */
int family_run(const char *path, char *const argv[]);

#endif
