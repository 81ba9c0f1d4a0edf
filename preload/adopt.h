/*
 * adopt.h - stack sockets that survive exec: what is handed over in STANDIN_FDS, and taken over at
 * start-up.
 */
#ifndef STANDIN_PRELOAD_ADOPT_H
#define STANDIN_PRELOAD_ADOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Writes "STANDIN_FDS=fd:inode,..." for the descriptors of ours that exec leaves open, in this
 * process's own descriptor table. Returns the length, 0 when there is none (or no room for all:
 * then nothing is handed over). Async-signal-safe. exec: this very process goes on as the new
 * program.
 */
size_t adopt_list(char *out, size_t room, bool exec);

/* Around an exec of this process: lets go of the sockets that close on exec, and takes them again
 * when it fails. One that nobody else holds is kept until the new program sees what became of it.
 * hands: the list is not empty. */
void adopt_exec_begin(bool hands);
void adopt_exec_failed(bool hands);

/* Around a posix_spawn that hands sockets over: they are held for the child from now on. child < 0:
 * it failed. */
void adopt_spawn_begin(void);
void adopt_spawn_done(pid_t child);

/* At start-up: takes over what STANDIN_FDS names, each verified by its inode, and lets go of what
 * the program held before the exec and does not have any more. Joins the session if there is
 * anything to take over. */
void adopt_inherited(void);

/* The second half of it, for a program that exec left no sockets and that joins later. */
void adopt_release_rest(void);

#endif
