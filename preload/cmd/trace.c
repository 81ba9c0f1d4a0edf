/* Purpose: `standin trace [PID | SESSION]`: the event log of a session that is there already. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "msg.h"
#include "options.h"
#include "tracer.h"
#include "verbs.h"

#define LOOK_MS 5

static int help(void)
{
    puts("Usage: standin trace [OPTION...] [PID | SESSION]\n\n"
         "Prints what a session does, as it happens: segments, calls, changes of state, timers.\n"
         "Without an argument: the session we are in, or the only one there is.\n");
    options_help(VERB_TRACE);
    puts("\nExit status: 0; 2 there is no such session, or it may not be looked at.");
    return 0;
}

/* Stdout, or -o FILE. */
static bool choose_output(struct tracer *t, const char *path)
{
    t->to = path ? fopen(path, "we") : stdout;
    if (!t->to) {
        msg("cannot write to %s: %s", path, strerror(errno));
    }
    return t->to != NULL;
}

int verb_trace(int argc, char *argv[])
{
    struct options o;
    struct tracer t;
    static struct peek p;
    int at = options_parse(&o, VERB_TRACE, argc, argv);
    if (at < 0) {
        return EXIT_TROUBLE;
    }
    if (o.help) {
        return help();
    }
    if (argc - at > 1) {
        msg("one session at a time: standin trace [OPTION...] [PID | SESSION]");
        return EXIT_TROUBLE;
    }
    if (!tracer_init(&t, o.trace) || !attach_open(&p, argv[at]) || !choose_output(&t, o.output)) {
        return EXIT_TROUBLE;
    }
    t.from = o.past ? 0 : view_event_count(&p.view);
    tracer_print(&t, &p);
    while (!o.past && !peek_ended(&p) && !ferror(t.to)) {
        struct pollfd fd = {.fd = p.keeper_fd, .events = POLLIN};
        poll(&fd, 1, LOOK_MS);
        tracer_print(&t, &p);
    }
    peek_close(&p);
    return 0;
}
