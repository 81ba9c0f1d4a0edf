/*
 * Purpose: see watch.h. When the program has ended its session goes on for as long as something is
 * owed to the network, which mostly is a FIN and its acknowledgment, and can be minutes where the
 * peer has gone. So we wait for the end, but not longer than END_WAIT; and not at all where other
 * processes are members still: they are not what we were asked to wait for. The keeper then writes
 * what is still to come; what was there when the program ended is in the file when we go.
 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msg.h"
#include "tun/pktring.h"

#define END_WAIT   (3 * SEC)
#define WRITE_WAIT (10 * SEC) /* for a reader of the pipe that takes its time */
#define LOOK_MS    2
#define NAME_MAX_  (SESSION_NAME + SESSION_TOKEN + 2)

bool watch_open(struct run_watch *w)
{
    w->hold = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->up) < 0) {
        msg("cannot make a socket pair: %s", strerror(errno));
        return false;
    }
    return true;
}

void watch_tell(struct run_watch *w, const char *session)
{
    char go;
    close(w->up[0]);
    if (send(w->up[1], session, strlen(session) + 1, MSG_NOSIGNAL) > 0 &&
        recv(w->up[1], &go, 1, 0) < 0) {
        msg("cannot hear from our parent: %s", strerror(errno));
    }
    close(w->up[1]);
}

/* Only now: the keeper, which is there already, shall not be among those whom we wait for. */
static void become_reaper(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        msg("cannot wait for the whole family: %s", strerror(errno));
    }
}

void watch_attach(struct run_watch *w)
{
    char text[NAME_MAX_] = "";
    char *name = w->name;
    char *token = w->token;
    close(w->up[1]);
    ssize_t n = recv(w->up[0], text, sizeof text - 1, 0);
    if (n > 0 && session_parse(text, name, token)) {
        struct session_result r = peek_open(&w->peek, name, token);
        w->attached = r.code == SESSION_OK;
        if (!w->attached) {
            msg("cannot look at the session: %s: %s", r.step, session_strerror(r.code));
        }
        if (w->whole) {
            become_reaper();
            w->hold = session_hold(name, token);
        }
        w->tracer.from = w->attached && w->joined ? view_event_count(&w->peek.view) : 0;
        send(w->up[0], "", 1, MSG_NOSIGNAL);
    }
    close(w->up[0]);
}

void watch_tick(struct run_watch *w)
{
    if (w->attached && w->trace) {
        tracer_print(&w->tracer, &w->peek);
    }
}

/* The keeper may have died, and the session have another. */
static void attach_again(struct run_watch *w)
{
    struct peek p;
    if (peek_ended(&w->peek) && peek_open(&p, w->name, w->token).code == SESSION_OK) {
        peek_close(&w->peek);
        w->peek = p;
        peek_refresh(&w->peek); /* what it reads by has moved with it */
    }
}

static bool others_live(struct run_watch *w)
{
    if (!peek_refresh(&w->peek)) {
        return false;
    }
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        const struct member *m = &w->peek.arena->member[i];
        if (m->state == MEMBER_LIVE && m->pid > 0 && kill(m->pid, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* Until the session's end, END_WAIT, or forever others. */
static void await_end(struct run_watch *w)
{
    nsec until = session_now() + END_WAIT;
    while (!peek_ended(&w->peek) && session_now() < until && !others_live(w)) {
        struct pollfd p = {.fd = w->peek.keeper_fd, .events = POLLIN};
        watch_tick(w);
        poll(&p, 1, LOOK_MS);
    }
}

/* What the keeper says of its file; false: there is no capture. */
static bool look_at_file(struct run_watch *w, struct pktring *head)
{
    const struct arena *a = w->peek.arena;
    return a->pkts &&
           peek_read(&w->peek, (uint64_t)(uintptr_t)a->pkts, head, offsetof(struct pktring, bytes));
}

/* Until the packets that were there are written. */
static void await_file(struct run_watch *w)
{
    static struct pktring head; /* its first part only is used */
    nsec until = session_now() + WRITE_WAIT;
    if (!look_at_file(w, &head)) {
        return;
    }
    uint64_t count = head.count;
    while (!peek_ended(&w->peek) && head.written < count && !head.failed && session_now() < until) {
        poll(NULL, 0, LOOK_MS);
        look_at_file(w, &head);
    }
    if (head.failed == EPIPE) { /* who reads it has seen enough */
        return;
    }
    if (head.failed) {
        msg("the capture is not complete: %s", strerror(head.failed));
    } else if (head.written < count) {
        msg("the capture is not complete: %s",
            peek_ended(&w->peek) ? "the session's keeper died" : "its reader takes too long");
    }
    if (head.lost) {
        msg("the capture misses %llu of %llu packets: they came faster than they were written",
            (unsigned long long)head.lost, (unsigned long long)head.count);
        msg_do("Fix:", "keep less of each packet: --snaplen 128; or write to a faster disk");
    }
}

void watch_over(struct run_watch *w)
{
    if (w->hold >= 0) {
        close(w->hold);
    }
    if (!w->attached) {
        return;
    }
    attach_again(w);
    await_end(w);
    watch_tick(w);
    if (w->capture) {
        await_file(w);
    }
    peek_close(&w->peek);
}
