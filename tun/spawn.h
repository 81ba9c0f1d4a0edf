/*
 * spawn.h - a process nobody notices; for tun only.
 */
#ifndef STANDIN_TUN_SPAWN_H
#define STANDIN_TUN_SPAWN_H

/*
 * Runs the program `path` with `fd` as its descriptor 3 and with an empty environment. It is no
 * child that wait(2) of any kind could see, and sends no SIGCHLD. 0 when it runs, else -errno of
 * the step that failed.
 */
int spawn_unseen(const char *path, int fd);

#endif
