/*
 * Purpose: `standin run PROGRAM`. Starts a session, puts it and the library into the environment,
 * and becomes the program: after the exec there is no process of ours between the program and its
 * parent, so exit status, signals, terminal and job control are the program's own. Only --wait, -w
 * and --trace keep a process (family.c, watch.c); then it is the child that does all this.
 *
 * Everything that can be refused is refused before the session is started; a session whose program
 * could not be started ends with us, as the keeper sees us go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family.h"
#include "msg.h"
#include "options.h"
#include "place.h"
#include "program.h"
#include "start.h"
#include "tun/outfile.h"
#include "verbs.h"
#include "watch.h"

#define PRELOAD_MAX 8192
#define NOTE_LEN    512

static int help(void)
{
    puts("Usage: standin run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
         "Runs PROGRAM with its sockets on the user stack.\n"
         "Its output, its exit status and its signals are its own.\n");
    options_help(VERB_RUN);
    puts("\nExit status: the program's; 125 standin itself failed; 126 the program cannot run\n"
         "on the stack (static, setuid, another machine); 127 there is no such program.");
    return 0;
}

/* The watching library of a comparison stands before ours: it is to see what ours answers. The
 * bytes of `old` that name it; 0: it is not there. */
static size_t watching(const char *old)
{
    size_t len = strcspn(old, ": ");
    size_t name = strlen(PLACE_WATCH);
    return len >= name && strncmp(old + len - name, PLACE_WATCH, name) == 0
               ? len + (old[len] == ':')
               : 0;
}

/* Ours first: a library that comes before it would take the calls. Paths in LD_PRELOAD cannot hold
 * ':' or ' '. */
static bool put_preload(const char *library)
{
    char line[PRELOAD_MAX];
    const char *all = getenv("LD_PRELOAD");
    size_t watch = all ? watching(all) : 0;
    const char *old = all ? all + watch : NULL;
    size_t len = strlen(library);
    if (strpbrk(library, ": ")) {
        msg("the path %s holds ':' or a space, which LD_PRELOAD cannot name", library);
        msg_do("Fix:", "move it, or install it: make install");
        return false;
    }
    if (old && strncmp(old, library, len) == 0 && (old[len] == '\0' || strchr(": ", old[len]))) {
        return true;
    }
    if (snprintf(line, sizeof line, "%.*s%s%s%s%s", (int)watch, all ? all : "",
                 watch && all[watch - 1] != ':' ? ":" : "", library, old && *old ? ":" : "",
                 old ? old : "") >= (int)sizeof line) {
        msg("LD_PRELOAD is too long");
        return false;
    }
    return setenv("LD_PRELOAD", line, 1) == 0;
}

/* execvp, for it hands a script without "#!" to sh. */
static int exec_program(const char *path, char *const argv[])
{
    execvp(path, argv);
    msg("cannot execute %s: %s (exit %d)", path, strerror(errno), EXIT_CANNOT);
    return EXIT_CANNOT; /* it was there a moment ago */
}

/* What is to be run, and how. */
struct run {
    struct options o;
    char path[PATH_MAX];
    char library[PATH_MAX];
    char *const *argv;
    bool watched;
    struct run_watch w;
};

/* The capture's file; "-" is our stdout, and the program's becomes our stderr. -1 after a message.
 */
static int open_capture(const char *pattern, const char *command)
{
    char path[PATH_MAX];
    int fd;
    if (strcmp(pattern, "-") == 0) {
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
            msg("cannot write the capture to stdout: %s", strerror(errno));
            return -1;
        }
        return fd;
    }
    if (outfile_name(pattern, getpid(), command, path) < 0) {
        msg("%s: a file's name may hold %%p (process id), %%c (command) and %%%%", pattern);
        return -1;
    }
    fd = outfile_open(path);
    if (fd < 0) {
        msg("cannot write the capture to %s: %s", path, strerror(-fd));
    }
    return fd;
}

/* "standin run -w x.pcapng curl ...": what the capture says it is of. */
static void note_make(char note[NOTE_LEN], const struct options *o, char *const argv[])
{
    size_t len = (size_t)snprintf(note, NOTE_LEN, "standin run%s%s", o->pcap ? " -w " : "",
                                  o->pcap ? o->pcap : "");
    for (; *argv && len < NOTE_LEN; argv++) {
        len += (size_t)snprintf(note + len, NOTE_LEN - len, " %s", *argv);
    }
}

/* Starts the session and becomes the program. */
static int become(void *arg)
{
    struct run *r = arg;
    char note[NOTE_LEN];
    struct session_outputs out = {.pcap_fd = -1, .note = note, .trace_fd = -1};
    note_make(note, &r->o, r->argv);
    if (r->o.pcap && (out.pcap_fd = open_capture(r->o.pcap, r->argv[0])) < 0) {
        return EXIT_STANDIN;
    }
    if (!start_session(&r->o, &out) || !put_preload(r->library)) {
        return EXIT_STANDIN;
    }
    if (out.pcap_fd >= 0) {
        close(out.pcap_fd);
    }
    if (r->watched) {
        watch_tell(&r->w, getenv("STANDIN_SESSION"));
    }
    return exec_program(r->path, r->argv);
}

static void begin(void *arg)
{
    watch_attach(&((struct run *)arg)->w);
}

static void tick(void *arg)
{
    watch_tick(&((struct run *)arg)->w);
}

static void over(void *arg)
{
    watch_over(&((struct run *)arg)->w);
}

/* As the program's parent. */
static int watched(struct run *r)
{
    const struct family_job job = {
        .arg = r,
        .become = become,
        .begin = begin,
        .tick = tick,
        .over = over,
        .tick_ms = r->w.trace ? WATCH_TICK_MS : 0,
        .whole = r->o.wait,
    };
    return watch_open(&r->w) ? family_run(&job) : EXIT_STANDIN;
}

/* The environment's word counts where a session is started: what runs inside it is in it already.
 */
static void read_environment(struct options *o)
{
    if (start_joins(o)) {
        return;
    }
    o->pcap = o->pcap ? o->pcap : getenv("STANDIN_PCAP");
    o->trace = o->trace ? o->trace : getenv("STANDIN_TRACE");
    o->output = o->output ? o->output : getenv("STANDIN_TRACE_FILE");
    o->pcap = o->pcap && *o->pcap ? o->pcap : NULL;
    o->output = o->output && *o->output ? o->output : NULL;
}

static bool open_trace(struct tracer *t, const char *pattern, const char *command)
{
    char path[PATH_MAX];
    if (!pattern) {
        return true;
    }
    if (outfile_name(pattern, getpid(), command, path) < 0) {
        msg("%s: a file's name may hold %%p (process id), %%c (command) and %%%%", pattern);
        return false;
    }
    t->to = fopen(path, "we");
    if (!t->to) {
        msg("cannot write the trace to %s: %s", path, strerror(errno));
    }
    return t->to != NULL;
}

/* What can be refused before anything is started. */
static bool prepare(struct run *r)
{
    const struct options *o = &r->o;
    r->w.capture = o->pcap != NULL;
    r->w.trace = o->trace != NULL;
    r->w.whole = o->wait;
    r->w.joined = start_joins(o);
    r->watched = r->w.capture || r->w.trace || r->w.whole;
    if (o->pcap && strcmp(o->pcap, "-") == 0 && isatty(STDOUT_FILENO)) {
        msg("a capture is not for the terminal");
        msg_do("Fix:", "standin run -w - ... | tshark -i -");
        return false;
    }
    if (o->output && !o->trace) {
        msg("-o says where the trace goes, and there is none");
        msg_do("Fix:", "standin run --trace -o %s ...", o->output);
        return false;
    }
    return !o->trace ||
           (tracer_init(&r->w.tracer, o->trace) && open_trace(&r->w.tracer, o->output, r->argv[0]));
}

int verb_run(int argc, char *argv[])
{
    static struct run r;
    int at = options_parse(&r.o, VERB_RUN, argc, argv);
    int ret;
    if (at < 0) {
        return EXIT_STANDIN;
    }
    if (r.o.help) {
        return help();
    }
    if (at >= argc) {
        msg("which program? standin run [OPTION...] [--] PROGRAM [ARGUMENT...]");
        return EXIT_STANDIN;
    }
    ret = program_check(argv[at], r.path);
    if (ret) {
        return ret;
    }
    r.argv = argv + at;
    read_environment(&r.o);
    if (!place_find(PLACE_LIBRARY, r.library) || !prepare(&r)) {
        return EXIT_STANDIN;
    }
    return r.watched ? watched(&r) : become(&r);
}
