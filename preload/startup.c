/*
 * Theory: the constructor as an ordered list, each step with its reason. It makes no thread (a
 * second one would forbid unshare(CLONE_NEWUSER) to the program) and no session: a program that
 * opens no INET socket pays for reading a few variables and nothing else. Hooks run before it all
 * the same, in other libraries' constructors: the table is empty then, so they pass through.
 */
#include "preload/startup.h"

#include <errno.h>

#include "core/check.h"
#include "preload/adopt.h"
#include "preload/config.h"
#include "preload/enter.h"
#include "preload/fdtab.h"
#include "preload/fork.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/sleep.h"

bool startup_done;

static void hide_fd(int fd, bool hide)
{
    if (hide) {
        fdtab_hide(fd);
    } else {
        fdtab_unhide(fd);
    }
}

_Noreturn static void check_says(const char *what, const char *file, int line)
{
    log_line(LOG_ERROR, "%s:%d: CHECK(%s) failed", file, line, what);
    __builtin_trap();
}

static void steps(void)
{
    real_load();   /* everything below may call libc */
    config_read(); /* before the program changes its environment */
    if (config.off) {
        return; /* hooks look at an empty table and pass through */
    }
    check_hook = check_says;   /* before core runs */
    session_fd_hook = hide_fd; /* before tun makes its first descriptor */
    fork_watch();              /* early: other libraries' fork handlers run with the stack free */
    sleep_init();              /* its key before every other key of ours */
    startup_done = true;       /* from here on sockets may go to the stack */
    adopt_inherited();         /* joins, but only if exec left us stack sockets */
}

__attribute__((constructor)) static void startup(void)
{
    int saved = errno; /* programs find 0 at their start */
    steps();
    errno = saved;
}
