/*
 * outfile.h - a file that the user named for our output: a pattern with %p (process id), %c (the
 * command's name) and %%.
 */
#ifndef STANDIN_TUN_OUTFILE_H
#define STANDIN_TUN_OUTFILE_H

#include <limits.h>
#include <sys/types.h>

/* The name in full. 0; -EINVAL: another letter behind %; -ENAMETOOLONG. */
int outfile_name(const char *pattern, pid_t pid, const char *command, char path[PATH_MAX]);

/* Makes it, or empties it: a descriptor, CLOEXEC, or -errno. */
int outfile_open(const char *path);

#endif
