/*
 * epset_priv.h - what the two files of epset share: registering (epset.c) and waiting
 * (epset_wait.c).
 */
#ifndef STANDIN_PRELOAD_EPSET_PRIV_H
#define STANDIN_PRELOAD_EPSET_PRIV_H

#include "preload/epset.h"

#define EPSET_TWINS_MAX 1024

/* A kernel twin of a stack socket (decide.h) in a kernel's set. Guarded by the stack's lock. */
struct epset_twin {
    struct epset *ep; /* NULL: free */
    int32_t key;      /* of its socket in the pollset */
    int fd;
    uint64_t data;
};
extern struct epset_twin epset_twins[EPSET_TWINS_MAX];

/* Armed for this process: at the first stack socket, and anew after fork. Not entered. 0 or -errno.
 */
int epset_arm(int epfd, struct file *f);

#endif
