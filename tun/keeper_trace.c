/*
 * keeper_trace.c - theory of operation: the thread of the keeper that prints a trace, for a session
 * that a program started by itself (STANDIN_TRACE). `standin run` does the same as the program's
 * parent.
 *
 * It reads the event ring without the lock, may block in write, and tells what it was too slow for.
 * It looks again after LOOK, later where nothing happens.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/trace.h"
#include "tun/keeper.h"
#include "tun/sysio.h"
#include "tun/tracelog.h"

#define LOOK       (5 * MSEC)
#define LOOK_IDLE  (50 * MSEC)
#define BATCH      128u
#define END_WAIT_S 3

struct tracer {
    pthread_t thread;
    bool runs;
    bool quit; /* atomic */
    int fd;
    const struct event_ring *events;
    struct tracelog log;
    uint64_t from;
    nsec t0;
    char text[BATCH * TRACE_LINE_MAX];
};

static struct tracer tracer;

/* False: nobody reads it any more. */
static bool put(struct tracer *t, size_t len)
{
    for (size_t at = 0; at < len;) {
        long n = sys_write(t->fd, t->text + at, len - at);
        if (n < 0) {
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

/* What has happened since the last time. False: nothing. */
static bool print(struct tracer *t)
{
    static struct event ev[BATCH - 1];
    char line[TRACE_LINE_MAX];
    uint64_t lost = 0;
    uint32_t n = event_read(t->events, &t->from, ev, ARRAY_LEN(ev), &lost);
    size_t len = 0;
    if (lost) {
        len = (size_t)snprintf(t->text, TRACE_LINE_MAX,
                               "standin: %llu events are missing: they came faster than they were "
                               "read\n",
                               (unsigned long long)lost);
    }
    for (uint32_t i = 0; i < n; i++) {
        t->t0 = t->t0 ? t->t0 : ev[i].at;
        if (tracelog_shows(&t->log, &ev[i])) {
            size_t k = strlen(trace_line(&ev[i], t->t0, line));
            memcpy(t->text + len, line, k);
            t->text[len + k] = '\n';
            len += k + 1;
        }
    }
    if (!put(t, len)) {
        __atomic_store_n(&t->quit, true, __ATOMIC_RELEASE);
    }
    return n > 0;
}

static void *run(void *arg)
{
    struct tracer *t = arg;
    nsec pause = LOOK;
    while (!__atomic_load_n(&t->quit, __ATOMIC_ACQUIRE)) {
        bool some = false;
        while (print(t)) {
            some = true;
        }
        pause = some ? LOOK : nsec_min(2 * pause, LOOK_IDLE);
        const struct timespec nap = {.tv_nsec = pause};
        sys_nanosleep(&nap);
    }
    while (print(t)) {
    }
    return NULL;
}

void trace_start(int fd, const char *filter)
{
    char word[TRACELOG_WORD_MAX];
    pthread_attr_t attr;
    sigset_t all;

    if (tracelog_parse(&tracer.log, filter, word) != TRACELOG_OK) {
        return; /* who asked for it has looked before */
    }
    tracer.fd = fd;
    tracer.events = the_session.stack->events;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setsigmask_np(&attr, &all);
    tracer.runs = pthread_create(&tracer.thread, &attr, run, &tracer) == 0;
    pthread_attr_destroy(&attr);
}

void trace_end(void)
{
    struct timespec until;
    if (!tracer.runs) {
        return;
    }
    __atomic_store_n(&tracer.quit, true, __ATOMIC_RELEASE);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_WAIT_S;
    pthread_timedjoin_np(tracer.thread, NULL, &until);
}
