/*
 * Purpose: the log of a watched program (preload/watch/watch.h) made, and read after its end. The
 * library goes in front in LD_PRELOAD on either stack; `standin run` puts ours behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../msg.h"
#include "one.h"
#include "preload/watch/watch.h"

#define PRELOAD "LD_PRELOAD"

static char old[4096]; /* LD_PRELOAD as it was */
static bool had;

static void log_path(const struct setup *s, const struct one *o, char path[600])
{
    snprintf(path, 600, "%s/%s-%u.calls", s->folder, stack_names[o->stack], o->number);
}

static bool make_log(const char *path, bool info)
{
    struct watch_log head = {.magic = WATCH_MAGIC, .max = WATCH_MAX, .info = info};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = fd >= 0 && ftruncate(fd, (off_t)watch_log_size()) == 0 &&
                write(fd, &head, sizeof head) == (ssize_t)sizeof head;

    if (fd >= 0) {
        close(fd);
    }
    return good;
}

void watched_begin(const struct setup *s, const struct one *o)
{
    char path[600], real[PATH_MAX], line[sizeof old + PATH_MAX];
    const char *now = getenv(PRELOAD);

    had = now != NULL;
    snprintf(old, sizeof old, "%s", now ? now : "");
    log_path(s, o, path);
    if (!*s->watch || !make_log(path, o->stack == STACK_KERNEL) || !realpath(path, real)) {
        return;
    }
    snprintf(line, sizeof line, "%s%s%s", s->watch, *old ? ":" : "", old);
    setenv(PRELOAD, line, 1);
    setenv(WATCH_VARIABLE, real, 1);
}

void watched_end(void)
{
    unsetenv(WATCH_VARIABLE);
    if (had) {
        setenv(PRELOAD, old, 1);
    } else {
        unsetenv(PRELOAD);
    }
}

static void take(struct one *o, const struct event *ev)
{
    if (ev->kind == EV_CALL) {
        o->call[o->ncalls++] = *ev;
    } else if (ev->kind == EV_INFO) {
        sample_add(o, (struct sample){.at = ev->at,
                                      .port = ev->lport,
                                      .cwnd = ev->u.info.cwnd,
                                      .ssthresh = ev->u.info.ssthresh,
                                      .unacked = ev->u.info.unacked,
                                      .retrans = ev->u.info.retrans,
                                      .mss = ev->u.info.mss,
                                      .srtt_us = ev->u.info.srtt_us,
                                      .rto_us = ev->u.info.rto_us});
    }
}

static int by_time(const void *a, const void *b)
{
    nsec x = ((const struct sample *)a)->at;
    nsec y = ((const struct sample *)b)->at;
    return (x > y) - (x < y);
}

void watched_take(const struct setup *s, struct one *o)
{
    char path[600];

    log_path(s, o, path);
    int fd = *s->watch ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *map = mmap(NULL, watch_log_size(), PROT_READ, MAP_SHARED, fd, 0);
    const struct watch_log *l = map == MAP_FAILED ? NULL : map;
    uint64_t n = l ? l->next : 0;
    o->uncalled = n > WATCH_MAX ? n - WATCH_MAX : 0;
    n -= o->uncalled;
    o->call = calloc(n ? n : 1, sizeof *o->call);
    for (uint64_t i = 0; o->call && i < n; i++) {
        take(o, &l->ev[i]);
    }
    qsort(o->sample, o->nsamples, sizeof *o->sample, by_time);
    if (l) {
        munmap(map, watch_log_size());
    }
    close(fd);
    unlink(path);
}

uint64_t one_retrans(const struct one *o)
{
    static uint32_t most[65536];
    uint64_t sum = 0;

    memset(most, 0, sizeof most);
    for (unsigned i = 0; i < o->nsamples; i++) {
        const struct sample *x = &o->sample[i];
        if (x->retrans > most[x->port]) {
            sum += x->retrans - most[x->port];
            most[x->port] = x->retrans;
        }
    }
    return sum;
}
