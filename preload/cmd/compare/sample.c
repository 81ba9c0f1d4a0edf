/*
 * Purpose: what a stack knows of its connections, asked from outside: the kernel's by sock_diag, as
 * ss does; ours through the arena, as `standin ss` does. A thread of its own, since it lives in the
 * program's network namespace.
 */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "one.h"
#include "tun/peek.h"
#include "tun/relay.h"

#define EVERY_MS 3

struct sampler {
    pthread_t thread;
    atomic_bool stop;
    int netns;
    enum stack_kind stack;
    struct one *o;
};

void sample_add(struct one *o, struct sample x)
{
    if (o->nsamples < SAMPLE_MAX) {
        o->sample[o->nsamples++] = x;
    }
}

/* ---- ours */

static void ask_session(struct one *o, struct peek *p)
{
    static char names[1][SESSION_NAME];
    static struct view_sock s;
    struct view_iter at = {0};

    if (p->fd < 0 && (peek_list(names, 1) == 0 || peek_open(p, names[0], "").code != SESSION_OK)) {
        p->fd = -1;
        return;
    }
    nsec now = session_now();
    if (!peek_refresh(p)) {
        return;
    }
    while (view_next(&p->view, &at, &s)) {
        if (s.proto == IPPROTO_TCP && s.state >= TCP_ESTABLISHED && s.state != TCP_TIME_WAIT) {
            sample_add(o, (struct sample){.at = now,
                                          .port = s.flow.lport,
                                          .cwnd = s.info.tcpi_snd_cwnd,
                                          .ssthresh = s.info.tcpi_snd_ssthresh,
                                          .unacked = s.info.tcpi_unacked,
                                          .retrans = s.info.tcpi_total_retrans,
                                          .mss = s.info.tcpi_snd_mss,
                                          .srtt_us = s.info.tcpi_rtt,
                                          .rto_us = s.info.tcpi_rto});
        }
    }
}

static void *sampling(void *arg)
{
    struct sampler *s = arg;
    static struct peek p;
    int fd = -1;

    if (relay_enter(s->netns) != 0) {
        return NULL;
    }
    p.fd = -1;
    if (s->stack == STACK_KERNEL) {
        fd = sample_kernel_open();
    }
    while (!atomic_load(&s->stop)) {
        if (s->stack == STACK_USER) {
            ask_session(s->o, &p);
        } else if (fd >= 0) {
            sample_kernel(s->o, session_now(), fd, AF_INET);
            sample_kernel(s->o, session_now(), fd, AF_INET6);
        }
        poll(NULL, 0, EVERY_MS);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (p.fd >= 0) {
        peek_close(&p);
    }
    return NULL;
}

struct sampler *sampler_start(int netns, enum stack_kind stack, struct one *o)
{
    struct sampler *s = calloc(1, sizeof *s);

    if (!s) {
        return NULL;
    }
    s->netns = netns;
    s->stack = stack;
    s->o = o;
    if (pthread_create(&s->thread, NULL, sampling, s) != 0) {
        free(s);
        return NULL;
    }
    return s;
}

void sampler_stop(struct sampler *s)
{
    if (s) {
        atomic_store(&s->stop, true);
        pthread_join(s->thread, NULL);
        free(s);
    }
}
