/*
 * Purpose: `standin ss [FILTER]`: the sockets of the sessions of this network namespace, or of one,
 * with the letters and the columns of iproute2's ss.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../attach.h"
#include "../msg.h"
#include "../options.h"
#include "../verbs.h"
#include "show.h"

static int help(void)
{
    puts("Usage: standin ss [OPTION...] [FILTER]\n\n"
         "Shows the sockets of the sessions in this network namespace: those on the stack, and\n"
         "those that their programs have with the kernel. Filters: state NAME, port N.\n");
    options_help(VERB_SS);
    puts("\nExit status: 0; 2 there is no session, or it may not be looked at.");
    return 0;
}

/* ---- what is asked for */

static bool filter(char *const words[], int n, struct what *w)
{
    for (int i = 0; i < n; i += 2) {
        const char *value = i + 1 < n ? words[i + 1] : "";
        char *end;
        long port = strtol(value, &end, 10);
        if (strcmp(words[i], "state") == 0 && state_of_word(value) >= 0) {
            w->state = state_of_word(value);
        } else if (strcmp(words[i], "port") == 0 && *value && !*end && port > 0 && port < 65536) {
            w->port = (uint16_t)port;
        } else {
            msg("%s %s is no filter: state NAME (established, listening, time-wait ...) or port N",
                words[i], value);
            return false;
        }
    }
    return true;
}

static void letters(const struct options *o, struct what *w)
{
    *w = (struct what){
        .tcp = o->given[OPTION_TCP],
        .udp = o->given[OPTION_UDP],
        .listening = o->given[OPTION_LISTENING],
        .all = o->given[OPTION_ALL],
        .processes = o->given[OPTION_PROCESSES],
        .timers = o->given[OPTION_TIMERS],
        .extended = o->given[OPTION_EXTENDED],
        .memory = o->given[OPTION_MEMORY],
        .info = o->given[OPTION_INFO],
        .state = -1,
    };
}

/* "1s", "500ms"; a bare number is no time. -1: it is none. */
static long interval_ms(const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (*text == '\0') {
        return 1000;
    }
    if (end == text || v <= 0 || v > 86400) {
        return -1;
    }
    return strcmp(end, "ms") == 0 ? (long)v : strcmp(end, "s") == 0 ? (long)(v * 1000) : -1;
}

/* ---- one look */

static bool show_session(struct peek *p, const struct what *w, json_t *list, bool *headed)
{
    struct rows r;

    if (!list && !*headed) {
        show_header(w);
        *headed = true;
    }

    if (!rows_gather(&r, p)) {
        msg("no memory for the sockets of %s", p->arena->name);
        return false;
    }
    for (unsigned i = 0; i < r.n; i++) {
        if (!row_wanted(&r.row[i], w)) {
            continue;
        }
        if (list) {
            json_t *row = row_json(&r, &r.row[i]);
            json_object_set_new(row, "session", json_string(p->arena->name));
            json_array_append_new(list, row);
        } else {
            show_row(&r, &r.row[i], w);
        }
    }
    rows_free(&r);
    return true;
}

/* Every session we may look at; one alone is told why not. */
static bool show_all(const struct what *w, const char *which, json_t *list)
{
    static char names[PEEK_SESSIONS_MAX][SESSION_NAME];
    static struct peek p;
    unsigned n = which ? 1 : peek_list(names, PEEK_SESSIONS_MAX);
    bool good = true;
    bool headed = false;

    if (n <= 1) {
        good = attach_open(&p, which) && show_session(&p, w, list, &headed);
        if (p.arena) {
            peek_close(&p);
        }
        return good;
    }
    for (unsigned i = 0; i < n && i < PEEK_SESSIONS_MAX; i++) {
        if (peek_open(&p, names[i], "").code == SESSION_OK) {
            good = show_session(&p, w, list, &headed) && good;
            peek_close(&p);
        }
    }
    return good;
}

static bool look(const struct what *w, const struct options *o)
{
    const char *which = o->given[OPTION_SESSION];

    if (!o->given[OPTION_JSON]) {
        return show_all(w, which, NULL);
    }
    json_t *list = json_array();
    bool good = show_all(w, which, list);
    if (good) {
        json_dumpf(list, stdout,
                   (o->given[OPTION_WATCH] ? JSON_COMPACT : JSON_INDENT(1)) | JSON_PRESERVE_ORDER);
        putchar('\n');
    }
    json_decref(list);
    return good;
}

static void watch(const struct what *w, const struct options *o, long ms)
{
    bool clear = isatty(1) && !o->given[OPTION_JSON];
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    for (;;) {
        if (clear) {
            fputs("\033[H\033[2J", stdout);
        }
        if (!look(w, o) || fflush(stdout) != 0) {
            return;
        }
        nanosleep(&ts, NULL);
    }
}

int verb_ss(int argc, char *argv[])
{
    struct options o;
    struct what w;
    int at = options_parse(&o, VERB_SS, argc, argv);

    if (at < 0) {
        return EXIT_TROUBLE;
    }
    if (o.help) {
        return help();
    }
    letters(&o, &w);
    if (!filter(argv + at, argc - at, &w)) {
        return EXIT_TROUBLE;
    }
    if (!o.given[OPTION_WATCH]) {
        return look(&w, &o) ? 0 : EXIT_TROUBLE;
    }
    long ms = interval_ms(o.given[OPTION_WATCH]);
    if (ms < 0) {
        msg("--watch=%s: a time with its unit is needed: 1s, 500ms", o.given[OPTION_WATCH]);
        return EXIT_TROUBLE;
    }
    watch(&w, &o, ms);
    return EXIT_TROUBLE;
}
