/*
 * Time, and the two threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/trace.h"
#include "judge.h"

/* The calling thread's call has blocked and is over, and it has not looked at the clock since. */
static _Thread_local bool owes_a_look;

bool judge_is_script(const struct judge *j)
{
    return pthread_equal(pthread_self(), j->script);
}

static void show_events(struct judge *j)
{
    struct event ev[64];
    char line[TRACE_LINE_MAX];
    uint32_t n;
    while ((n = vk_events(j->vk, ev, ARRAY_LEN(ev))) > 0) {
        for (uint32_t i = 0; j->trace && i < n; i++) {
            fprintf(stderr, "%s\n", trace_line(&ev[i], 0, line));
        }
    }
}

/* In real time, and not for ever: packetdrill could have failed on that thread. */
static void await_looks(struct judge *j)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 2;
    while (j->unheard > 0 && pthread_cond_timedwait(&j->heard, &j->lock, &end) == 0) {
    }
    j->unheard = 0;
}

void judge_settle(struct judge *j)
{
    const char *fault = vk_fault(j->vk);
    show_events(j);
    if (fault) {
        fprintf(stderr, "standin: %s\n", fault);
        fflush(NULL);
        _exit(1);
    }
    for (struct judge_sleeper *s = j->sleepers; s; s = s->next) {
        if (s->c->done && !s->told) {
            s->told = true;
            j->unheard++;
        }
    }
    if (j->unheard > 0) {
        pthread_cond_broadcast(&j->woken);
        await_looks(j);
    }
}

bool judge_step(struct judge *j, nsec limit)
{
    bool due = vk_step(j->vk, limit);
    judge_settle(j);
    return due;
}

void judge_pass(struct judge *j, nsec span)
{
    nsec end = vk_now(j->vk) + span;
    while (judge_step(j, end)) {
    }
}

void judge_look(struct judge *j, struct timeval *tv)
{
    if (!owes_a_look) {
        judge_pass(j, USEC);
    }
    nsec t = vk_real(j->vk);
    *tv = (struct timeval){.tv_sec = t / SEC, .tv_usec = t % SEC / USEC};
    if (owes_a_look) {
        owes_a_look = false;
        j->unheard -= j->unheard > 0;
        pthread_cond_signal(&j->heard);
    }
}

/* --- calls --- */

/* The script's thread blocks although the script does not say so: time passes, as in a program. */
static void wait_out(struct judge *j, const struct vk_call *c)
{
    while (!c->done && vk_deadline(j->vk) != NEVER) {
        judge_step(j, NEVER - SEC);
    }
}

static void sleep_through(struct judge *j, struct vk_call *c)
{
    struct judge_sleeper me = {.next = j->sleepers, .c = c};
    j->sleepers = &me;
    while (!c->done) {
        pthread_cond_wait(&j->woken, &j->lock);
    }
    for (struct judge_sleeper **at = &j->sleepers; *at; at = &(*at)->next) {
        if (*at == &me) {
            *at = me.next;
            break;
        }
    }
    owes_a_look = me.told;
    j->returned = true;
}

int64_t judge_call(struct judge *j, struct vk_call *c)
{
    pthread_mutex_lock(&j->lock);
    judge_sysctls(j);
    bool done = vk_start(j->vk, c);
    if (judge_is_script(j)) {
        judge_settle(j);
        wait_out(j, c);
    } else if (!done) {
        sleep_through(j, c);
    }
    if (!c->done) {
        fprintf(stderr, "standin: a call would block for ever\n");
        vk_cancel(j->vk, c);
    }
    pthread_mutex_unlock(&j->lock);
    errno = c->err;
    return c->ret;
}
