/*
 * keeper.h - the parts of the program standin-keeper; for tun/keeper*.c only.
 *
 * The session's view of the keeper is the_session, with MEMBER_KEEPER as its index.
 */
#ifndef STANDIN_TUN_KEEPER_H
#define STANDIN_TUN_KEEPER_H

#include <uv.h>

#include "tun/fd.h"
#include "tun/message.h"

struct keeper;

/* Watches one process by its pidfd. */
struct guard {
    uv_poll_t poll;
    struct keeper *k;
    uint32_t member; /* MEMBER_KEEPER: the one who started us */
    int pidfd;
};

struct keeper {
    uv_loop_t *uv;
    int listen_fd;
    int needed_fd; /* the mark that somebody needs this session; -1 while nobody does */
    uv_poll_t listener;
    uv_timer_t tick;
    struct guard *guard[MEMBERS_MAX]; /* NULL: not watched */
    uint8_t missed[MEMBERS_MAX];      /* ticks for which a forked child's place waits */
    uint32_t holds;                   /* connections that keep the session */
    int starter_fd;                   /* pidfd of the one who started us, until it is guarded; -1 */
    pid_t starter;                    /* 0: gone */
    int pcap_fd;                      /* what to write a capture to; -1 */
    char note[NOTE_MAX];              /* for its head */
    int trace_fd;                     /* what to print a trace to; -1 */
    char filter[FILTER_MAX];
};

/* keeper_make.c: a new session from the order. The result goes to the one who started us. */
struct session_result keeper_make(struct keeper *k, const struct order *o,
                                  const int fds[FD_PASS_MAX]);

/* A session that lost its keeper: fds as in a welcome. */
struct session_result keeper_resume(struct keeper *k, const struct order *o,
                                    const int fds[FD_PASS_MAX]);

/* Listens on the session's abstract socket. 0 or -errno. */
int keeper_listen(struct keeper *k, const char *name);

/* The mark by which one who wants our subnet sees whether it will be free soon: a bound name. */
int keeper_mark_needed(const char *ifname);

/* keeper_capture.c: writes the file, in a thread of its own. end comes back when all is in it. */
void capture_start(struct keeper *k);
/* The file of the keeper before us, to go on with; -1: there is none. */
int capture_reopen(void);
void capture_end(void);

/* keeper_trace.c: prints events to fd, in a thread of its own. */
void trace_start(int fd, const char *filter);
void trace_end(void);

/* keeper_serve.c: connections. */
void serve_start(struct keeper *k);

/* keeper_members.c: who is a member, and who has died. */
void members_start(struct keeper *k);

/* A place for the process `pid` (0: not visible here), which is guarded from now on; pidfd (taken
 * over) may be -1. */
void members_join(struct keeper *k, const struct hello *h, pid_t pid, int pidfd, struct welcome *w);

/* A forked child that its parent entered; pidfd is taken over. */
void members_forked(struct keeper *k, uint32_t member, pid_t pid, int pidfd);

/* Its process has gone. */
void members_died(struct keeper *k, uint32_t member);

/* The member has let go of everything itself. */
void members_left(struct keeper *k, uint32_t member);

/* Ends the loop if nobody needs us any more. */
void members_check_end(struct keeper *k);

#endif
