/*
 * family.h - runs a program as our child and ends as it ended: same exit status, same signal.
 */
#ifndef STANDIN_CMD_FAMILY_H
#define STANDIN_CMD_FAMILY_H

#include <stdbool.h>

/* arg is given to each of them. */
struct family_job {
    void *arg;
    int (*become)(void *arg); /* in the child: becomes the program, or returns an exit status */
    void (*begin)(void *arg); /* in us, before anything is waited for */
    void (*tick)(void *arg);  /* every tick_ms while the program runs; 0: never */
    void (*over)(void *arg);  /* after the end, before we end */
    int tick_ms;
    bool whole; /* wait until everything that descends from the program has ended */
};

/* Returns only when the program could not be started: an exit status, after a message. */
int family_run(const struct family_job *job);

#endif
