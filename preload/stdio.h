/*
 * stdio.h - the standard streams on stack sockets (hook_stdio.c).
 */
#ifndef STANDIN_PRELOAD_STDIO_H
#define STANDIN_PRELOAD_STDIO_H

/* A descriptor of ours has come to number fd: if it is 0, 1 or 2 and a stack socket, stdin, stdout
 * or stderr goes there. */
void stdio_arrived(int fd);

#endif
