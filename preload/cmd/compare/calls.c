/*
 * calls.c - theory: each socket gets a name by what was done with it, each of its calls a set of
 * results. A set and not a sequence: how often a program receives, and in which order it receives
 * and sends, is a matter of time; which errors it meets is not. What only says "not now" (EAGAIN,
 * EINTR, EALREADY) is left out.
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/addr.h"

/* A socket of one run. */
struct seen_sock {
    char name[64];
    unsigned nth;
    bool stream;
    uint64_t bytes[2];
};

/* ---- names */

static void name_sock(struct seen_sock *s, const char *what, const struct event *ev)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];

    memcpy(&a, ev->u.call.addr, sizeof a);
    if (ev->u.call.call == EVC_CONNECT) {
        snprintf(s->name, sizeof s->name, "%s %.40s:%u", what, addr_text(&a, text),
                 ev->u.call.arg2);
    } else {
        snprintf(s->name, sizeof s->name, "%s :%u", what, ev->u.call.arg2);
    }
}

static void name_from(struct seen_sock *all, unsigned n, const struct event *ev)
{
    struct seen_sock *s = &all[ev->sock_id];

    if (ev->u.call.call == EVC_SOCKET) {
        s->stream = ev->u.call.arg == SOCK_STREAM;
        snprintf(s->name, sizeof s->name, "%s", s->stream ? "stream socket" : "datagram socket");
    } else if (ev->u.call.call == EVC_CONNECT) {
        name_sock(s, s->stream ? "connection to" : "datagrams to", ev);
    } else if (ev->u.call.call == EVC_BIND && ev->u.call.arg2) {
        name_sock(s, s->stream ? "socket on" : "datagrams on", ev);
    } else if (ev->u.call.call == EVC_ACCEPT && ev->u.call.arg > 0 && ev->u.call.arg < n) {
        struct seen_sock *got = &all[ev->u.call.arg];
        got->stream = true;
        char from[sizeof s->name];
        memcpy(from, s->name, sizeof from);
        snprintf(got->name, sizeof got->name, "accepted, %.50s", from);
    }
}

static unsigned nth_of(const struct seen_sock *all, unsigned i)
{
    unsigned nth = 1;

    for (unsigned k = 1; k < i && nth < CALLS_NTH; k++) {
        nth += strcmp(all[k].name, all[i].name) == 0;
    }
    return nth;
}

unsigned calls_sockets(const struct one *o)
{
    unsigned n = 0;

    for (unsigned i = 0; i < o->ncalls; i++) {
        n = o->call[i].sock_id > n ? o->call[i].sock_id : n;
    }
    return n;
}

/* Those of one run, by number; n is one more than the highest. */
static struct seen_sock *sockets_of(const struct one *o, unsigned *n)
{
    *n = calls_sockets(o) + 1;
    struct seen_sock *all = calloc(*n, sizeof *all);

    for (unsigned i = 0; all && i < o->ncalls; i++) {
        const struct event *ev = &o->call[i];
        name_from(all, *n, ev);
        if (ev->u.call.ret > 0 && (ev->u.call.call == EVC_SEND || ev->u.call.call == EVC_RECV)) {
            all[ev->sock_id].bytes[ev->u.call.call == EVC_RECV] += (uint64_t)ev->u.call.ret;
        }
    }
    for (unsigned i = 1; all && i < *n; i++) {
        all[i].nth = nth_of(all, i);
    }
    return all;
}

static void name_call(const struct event *ev, char buf[40])
{
    const char *call = event_call_name(ev->u.call.call);
    bool option = ev->u.call.call == EVC_SETSOCKOPT || ev->u.call.call == EVC_GETSOCKOPT;
    const char *name = event_option_name(ev->u.call.arg2, (unsigned)ev->u.call.arg);

    if (!option) {
        snprintf(buf, 40, "%s", call);
    } else if (name) {
        snprintf(buf, 40, "%s %s", call, name);
    } else {
        snprintf(buf, 40, "%s level %u, %u", call, ev->u.call.arg2, (unsigned)ev->u.call.arg);
    }
}

/* False: it says "not now", or nothing that could be compared. */
static bool name_result(const struct event *ev, bool stream, char buf[24])
{
    unsigned err = (uint8_t)ev->u.call.err;

    if (err == ERR_AGAIN || err == ERR_INTR || err == ERR_ALREADY) {
        return false;
    }
    if (err) {
        snprintf(buf, 24, "%s", err_name((int)err));
    } else if (ev->u.call.ret < -1) {
        snprintf(buf, 24, "errno %d", -(int)ev->u.call.ret);
    } else if (stream && ev->u.call.call == EVC_RECV && ev->u.call.ret == 0 && ev->u.call.arg) {
        snprintf(buf, 24, "end of stream");
    } else {
        snprintf(buf, 24, "ok");
    }
    return true;
}

/* ---- both stacks */

static struct outcome *outcome_of(struct calls *c, const struct outcome *like)
{
    for (unsigned i = 0; i < c->noutcomes; i++) {
        struct outcome *o = &c->outcome[i];
        if (o->nth == like->nth && strcmp(o->socket, like->socket) == 0 &&
            strcmp(o->call, like->call) == 0 && strcmp(o->result, like->result) == 0) {
            return o;
        }
    }
    if (c->noutcomes == OUTCOMES_MAX) {
        return NULL;
    }
    c->outcome[c->noutcomes] = *like;
    return &c->outcome[c->noutcomes++];
}

static void take_carried(struct calls *c, enum stack_kind k, const struct seen_sock *s)
{
    unsigned i = 0;

    while (i < c->ncarried &&
           (c->carried[i].nth != s->nth || strcmp(c->carried[i].socket, s->name) != 0)) {
        i++;
    }
    if (i == CARRIED_MAX || !s->stream || s->nth == CALLS_NTH) {
        return;
    }
    struct carried *x = &c->carried[i];
    if (i == c->ncarried) {
        c->ncarried++;
        *x = (struct carried){.nth = s->nth};
        memcpy(x->socket, s->name, sizeof x->socket);
    }
    x->varies[k] =
        x->varies[k] || (x->runs[k] && memcmp(x->bytes[k], s->bytes, sizeof s->bytes) != 0);
    memcpy(x->bytes[k], s->bytes, sizeof s->bytes);
    x->runs[k]++;
}

void calls_take(struct calls *c, const struct one *o)
{
    unsigned n;
    struct seen_sock *all = sockets_of(o, &n);
    bool *counted = calloc(OUTCOMES_MAX, sizeof *counted);

    for (unsigned i = 0; all && counted && i < o->ncalls; i++) {
        const struct event *ev = &o->call[i];
        const struct seen_sock *s = &all[ev->sock_id];
        struct outcome like = {.nth = s->nth, .error = ev->u.call.err || ev->u.call.ret < -1};
        memcpy(like.socket, s->name, sizeof like.socket);
        name_call(ev, like.call);
        if (!name_result(ev, s->stream, like.result)) {
            continue;
        }
        struct outcome *x = outcome_of(c, &like);
        if (x && !counted[x - c->outcome]) {
            counted[x - c->outcome] = true;
            x->runs[o->stack]++;
        }
    }
    for (unsigned i = 1; all && i < n; i++) {
        take_carried(c, o->stack, &all[i]);
    }
    c->watched[o->stack] = c->watched[o->stack] || o->ncalls;
    free(counted);
    free(all);
}

bool calls_same(const struct calls *c, unsigned i, unsigned j)
{
    const struct outcome *a = &c->outcome[i];
    const struct outcome *b = &c->outcome[j];

    return a->nth == b->nth && strcmp(a->socket, b->socket) == 0 && strcmp(a->call, b->call) == 0;
}

char *calls_results(const struct calls *c, unsigned i, enum stack_kind k, unsigned n, char *buf,
                    size_t size)
{
    size_t at = 0;

    snprintf(buf, size, "not called");
    for (unsigned j = 0; j < c->noutcomes; j++) {
        const struct outcome *o = &c->outcome[j];
        char part[64];
        if (!calls_same(c, i, j) || !o->runs[k]) {
            continue;
        }
        int len = snprintf(part, sizeof part, "%s%s", at ? ", " : "", o->result);
        if (o->runs[k] < n) {
            snprintf(part + len, sizeof part - (size_t)len, " (%u of %u)", o->runs[k], n);
        }
        if (at + strlen(part) < size) {
            at += (size_t)snprintf(buf + at, size - at, "%s", part);
        }
    }
    return buf;
}
