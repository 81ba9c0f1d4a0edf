/*
 * program.h - can this program run on the stack? Found as execvp would find it, then looked at
 * before it is started.
 *
 * LD_PRELOAD works only where the program's own loader reads it: not in a static program, not in
 * one that gains privileges at exec (setuid, setgid, file capabilities), not in one for another
 * machine or another C library; and a Go program makes its system calls past the library. All that
 * would end in a program that silently runs on the kernel's stack, so it is refused with what to do
 * instead.
 */
#ifndef STANDIN_CMD_PROGRAM_H
#define STANDIN_CMD_PROGRAM_H

#include <limits.h>

/*
 * Finds `name` (along PATH unless it has a slash) and checks it. 0 with its path in `path`; or
 * EXIT_MISSING or EXIT_CANNOT after a message.
 */
int program_check(const char *name, char path[PATH_MAX]);

#endif
