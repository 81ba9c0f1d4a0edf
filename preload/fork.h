/*
 * fork.h - what a fork has to do with the session and the table.
 *
 * Forks are seen by fork handlers (pthread_atfork), which libc's own forks run too. The handlers do
 * not learn the child's number; the hook of fork does, and tells it afterwards.
 */
#ifndef STANDIN_PRELOAD_FORK_H
#define STANDIN_PRELOAD_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* Registers the handlers. */
void fork_watch(void);

/* Around a fork that runs no handlers (_Fork, clone, a raw system call). child < 0: it failed. */
void fork_prepare(void);
void fork_prepare_raw(void); /* before clone and system calls, after which libc sees to nothing */
void fork_parent(pid_t child);
void fork_child(void);

/* Around one that runs them. */
void fork_expect(void);
void fork_told(pid_t child);

/* A fork handler of the program uses the stack in between: the child's number is not told. */
void fork_early(void);

#endif
