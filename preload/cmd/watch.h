/*
 * watch.h - `standin run` as parent of its program: looks at the session while the program runs,
 * for --trace, and stays until a capture is complete.
 *
 * The program's process starts the session, so that its death is the starter's; it hands the name
 * up and waits until we look. In this order:
 *
 *     watch_open(&w, ...)                    before the fork
 *     child:   watch_tell(&w, session)       then exec
 *     parent:  watch_attach(&w)              back when the child goes on, or has failed
 *              watch_tick(&w) ...            every now and then
 *              watch_over(&w)                after the program, or its family, has ended
 */
#ifndef STANDIN_CMD_WATCH_H
#define STANDIN_CMD_WATCH_H

#include "tracer.h"
#include "tun/peek.h"

#define WATCH_TICK_MS 5

struct run_watch {
    int up[2];     /* a socket pair: ours, the child's */
    bool attached; /* peek is open */
    bool trace;
    bool capture;
    bool whole;  /* hold the session for the whole family */
    bool joined; /* the session was there before: what it did until now is not ours */
    int hold;
    char name[SESSION_NAME];
    char token[SESSION_TOKEN];
    struct tracer tracer;
    struct peek peek;
};

/* False after a message. The caller sets trace, tracer, capture, whole and joined before. */
bool watch_open(struct run_watch *w);

/* session: "@name,token". */
void watch_tell(struct run_watch *w, const char *session);

void watch_attach(struct run_watch *w);
void watch_tick(struct run_watch *w);

/* Waits until the session has ended or belongs to others, and its capture is written; says what is
 * missing in that. */
void watch_over(struct run_watch *w);

#endif
