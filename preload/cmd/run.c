/*
 * Purpose: `standin run PROGRAM`. Starts a session, puts it and the library into the environment,
 * and becomes the program: after the exec there is no process of ours between the program and its
 * parent, so exit status, signals, terminal and job control are the program's own. Only --wait
 * keeps a process (family.c).
 *
 * Everything that can be refused is refused before the session is started; a session whose program
 * could not be started ends with us, as the keeper sees us go.
 */
#include <errno.h>
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
#include "verbs.h"

#define PRELOAD_MAX 8192

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

/* Ours first: a library that comes before it would take the calls. Paths in LD_PRELOAD cannot hold
 * ':' or ' '. */
static bool put_preload(const char *library)
{
    char line[PRELOAD_MAX];
    const char *old = getenv("LD_PRELOAD");
    size_t len = strlen(library);
    if (strpbrk(library, ": ")) {
        msg("the path %s holds ':' or a space, which LD_PRELOAD cannot name", library);
        msg_do("Fix:", "move it, or install it: make install");
        return false;
    }
    if (old && strncmp(old, library, len) == 0 && (old[len] == '\0' || strchr(": ", old[len]))) {
        return true;
    }
    if (snprintf(line, sizeof line, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") >=
        (int)sizeof line) {
        msg("LD_PRELOAD is too long");
        return false;
    }
    return setenv("LD_PRELOAD", line, 1) == 0;
}

/* execvp, for it hands a script without "#!" to sh. */
static int become(const char *path, char *const argv[])
{
    execvp(path, argv);
    msg("cannot execute %s: %s (exit %d)", path, strerror(errno), EXIT_CANNOT);
    return EXIT_CANNOT; /* it was there a moment ago */
}

int verb_run(int argc, char *argv[])
{
    struct options o;
    char path[PATH_MAX];
    char library[PATH_MAX];
    int at = options_parse(&o, VERB_RUN, argc, argv);
    int ret;
    if (at < 0) {
        return EXIT_STANDIN;
    }
    if (o.help) {
        return help();
    }
    if (at >= argc) {
        msg("which program? standin run [OPTION...] [--] PROGRAM [ARGUMENT...]");
        return EXIT_STANDIN;
    }
    ret = program_check(argv[at], path);
    if (ret) {
        return ret;
    }
    if (!place_find(PLACE_LIBRARY, library) || !start_session(&o) || !put_preload(library)) {
        return EXIT_STANDIN;
    }
    return o.wait ? family_run(path, argv + at) : become(path, argv + at);
}
