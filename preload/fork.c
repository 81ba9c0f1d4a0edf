/*
 * Theory: a fork happens with the stack at rest. Before it the forking thread takes, in this order,
 * the start of a session (another thread may be joining), the stack's lock and the table's, and
 * holds the program's handlers back. The parent releases all three. The child owns nothing in the
 * arena: it frees its own copies of the process's locks, and becomes the member that its parent
 * reserved for it, which holds all sockets from the fork on.
 *
 * Fork handlers do this, so that libc's inner forks (daemon, forkpty) are seen, and they are
 * registered early: other libraries' handlers run with the stack free. They do not learn the
 * child's number; the hook of fork tells it later (hook_proc.c), and until then the child's own
 * registration is enough.
 */
#include "preload/fork.h"

#include <pthread.h>

#include "preload/enter.h"
#include "preload/fdtab.h"
#include "tun/loop.h"

static bool joined; /* of the fork under way: enter.c's lock is held */

void fork_prepare(void)
{
    if (hooks_off()) {
        return; /* a vfork child forks: all this is its parent's */
    }
    joined = enter_fork_prepare();
    fdtab_fork_prepare();
}

void fork_prepare_raw(void)
{
    if (!hooks_off()) {
        loop_begun(enter_loop());
    }
    fork_prepare();
}

void fork_parent(pid_t child)
{
    bool told = joined;
    if (hooks_off()) {
        return;
    }
    fdtab_fork_done();
    if (told) {
        session_fork_parent(&the_session, &self.env, child);
    }
    enter_fork_parent();
}

void fork_child(void)
{
    if (hooks_off()) {
        return;
    }
    self.fork_hook = false;
    fdtab_fork_done();
    enter_fork_child(joined);
}

/* The handler. With the hook behind us the number follows at once: the stack's lock stays taken
 * until then, so that nobody can take the child's place for free. */
static void parent(void)
{
    if (hooks_off() || !joined || !self.fork_hook) {
        fork_parent(0);
        return;
    }
    fdtab_fork_done();
    self.held = true;
    self.forking = the_session.forking;
    self.fork_owed = true;
    signals_hold(); /* beyond enter_fork_parent */
    enter_fork_parent();
}

void fork_early(void)
{
    self.fork_owed = false;
    self.held = false;
    the_session.forking = self.forking;
    session_fork_parent(&the_session, &self.env, 0);
    signals_let();
}

void fork_expect(void)
{
    self.fork_hook = true;
}

void fork_told(pid_t child)
{
    self.fork_hook = false;
    if (!self.fork_owed) {
        return;
    }
    self.fork_owed = false;
    self.held = false;
    the_session.forking = self.forking;
    session_fork_parent(&the_session, &self.env, child);
    signals_let();
}

void fork_watch(void)
{
    pthread_atfork(fork_prepare, parent, fork_child);
}
