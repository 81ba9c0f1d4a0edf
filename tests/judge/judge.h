/*
 * judge.h - the virtual kernel as a shared object for google's packetdrill.
 *
 *   packetdrill --so_filename=build/packetdrill.so [--so_flags=WORD,...] SCRIPT
 *
 * One thread runs the script; packetdrill makes the calls that a script says block on a second
 * one. Time is virtual: it passes when a thread sleeps or waits for a packet, and a microsecond at
 * each look at the clock, for packetdrill spins on it. A call that blocks on the
 * second thread really sleeps, as packetdrill looks for in /proc; when it is over, time stands
 * still until that thread has looked at the clock, so that it sees the moment its call ended at.
 */
#ifndef STANDIN_JUDGE_H
#define STANDIN_JUDGE_H

#include <pthread.h>

#include "tests/drill/vkernel.h"

/* A setting of the network namespace, as it was read last. */
struct judge_sysctl {
    const char *name;
    char value[128];
};

/* A call that blocks on a thread of its own. */
struct judge_sleeper {
    struct judge_sleeper *next;
    struct vk_call *c;
    bool told;
};

struct judge {
    struct vk *vk;
    pthread_mutex_t lock;
    pthread_cond_t woken;           /* a sleeper's call is over */
    pthread_cond_t heard;           /* and its thread has looked at the clock */
    pthread_t script;               /* the thread whose calls nobody waits for */
    struct judge_sleeper *sleepers; /* until their threads run again */
    unsigned unheard;
    bool returned; /* a sleeper has gone on since the script's thread slept last */
    bool trace;
    bool only_changes; /* another system's settings: a kernel's first values do not count */
    bool fq;           /* the device's queue paces */
    struct judge_sysctl *sysctls;
    size_t nsysctls;
};

/* so.c */
extern struct judge *judge_only; /* packetdrill has one at a time; NULL: none */

/* Makes a call and waits until it is over; errno is set. */
int64_t judge_call(struct judge *j, struct vk_call *c);

/* judge_time.c. With the lock held. */
void judge_settle(
    struct judge *j); /* after anything happened: who is woken runs, faults are told */
bool judge_step(struct judge *j, nsec limit);
void judge_pass(struct judge *j, nsec span);
void judge_look(struct judge *j, struct timeval *tv); /* what the clock says */
bool judge_is_script(const struct judge *j);

/* config.c: the stack that packetdrill's command line, the scripts on it and so_flags ask for. */
void judge_config(const char *flags, struct judge *j, struct vk_config *cfg);

/* command.c: a script's command is about to run; what it changes of a new socket. */
void judge_command(struct judge *j, const char *text);
void judge_pace(struct judge *j, int fd);

/* netns.c: takes over the namespace's settings as they are now. */
void judge_sysctls(struct judge *j);

#endif
