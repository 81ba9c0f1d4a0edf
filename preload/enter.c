/*
 * Theory: joining happens once, at the first socket that may be the stack's, under a lock of this
 * process; whoever comes meanwhile waits for it. A process named a session by its environment joins
 * that one and no other. Without a name it starts one, whose name its children get (exec.c). When
 * neither works the process stays with the kernel for good, and enter_why says why.
 *
 * The loop's thread is started here too, not in the constructor and not by fork: a forked child
 * starts its own when it first uses the stack.
 *
 * A handler of SIGSEGV that ran in the midst of the stack (a program's bad pointer) may have jumped
 * away with the lock held. self.held tells so at the next enter, which treats the stack as if the
 * holder had died.
 */
#include "preload/enter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "preload/adopt.h"
#include "preload/config.h"
#include "preload/fork.h"
#include "preload/log.h"
#include "preload/plock.h"
#include "preload/startup.h"
#include "tun/loop.h"
#include "tun/outfile.h"
#include "tun/sysio.h"
#include "tun/tracelog.h"

__thread struct thread_state self __attribute__((tls_model("initial-exec"))) = {
    .epfd = -1,
    .wake_fd = -1,
};

enum state {
    STATE_NEW,
    STATE_READY,
    STATE_NO_LOOP, /* a member without a loop yet: joined in the constructor, or forked */
    STATE_NONE,    /* no session, for good */
};

static enum state state; /* atomic */
static struct plock start_lock;
static struct loop *loop;
static bool rejoined; /* this member is the one that called exec */
static char session_env[sizeof "STANDIN_SESSION=" + SESSION_NAME + SESSION_TOKEN];
static char why[192];

static enum state state_get(void)
{
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

static void state_set(enum state s)
{
    __atomic_store_n(&state, s, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------ the session */

static bool failed(const char *what, const struct session_result *r)
{
    snprintf(why, sizeof why, "%s: %s%s%s", what, session_strerror(r->code), r->step[0] ? ": " : "",
             r->step);
    LOG(LOG_ERROR, "no session, the kernel serves this process: %s", why);
    return false;
}

/* The file of STANDIN_PCAP; -1: none. */
static int open_capture(void)
{
    const char *pattern = config.text[CONFIG_PCAP];
    char path[PATH_MAX];
    if (!*pattern) {
        return -1;
    }
    int err = strcmp(pattern, "-") == 0
                  ? -EINVAL /* stdout is the program's */
                  : outfile_name(pattern, sys_getpid(), program_invocation_short_name, path);
    int fd = err < 0 ? err : outfile_open(path);
    if (fd < 0) {
        LOG(LOG_ERROR, "no capture: STANDIN_PCAP=%s: %s", pattern, strerror(-fd));
    }
    return fd < 0 ? -1 : fd_high(fd);
}

/* Where the trace of STANDIN_TRACE goes: STANDIN_TRACE_FILE, or stderr. -1: there is none. */
static int open_trace(void)
{
    const char *filter = config.text[CONFIG_TRACE];
    const char *pattern = config.text[CONFIG_TRACE_FILE];
    struct tracelog log;
    char word[TRACELOG_WORD_MAX] = "";
    char path[PATH_MAX];
    if (!config.entry[CONFIG_TRACE]) {
        return -1;
    }
    if (strlen(filter) >= 128 || tracelog_parse(&log, filter, word) != TRACELOG_OK) {
        LOG(LOG_ERROR, "no trace: STANDIN_TRACE=%s: %s", filter, word);
        return -1;
    }
    int fd = -EINVAL;
    if (!*pattern) {
        fd = sys_fcntl(2, F_DUPFD_CLOEXEC, STANDIN_FD_BASE);
    } else if (outfile_name(pattern, sys_getpid(), program_invocation_short_name, path) == 0) {
        fd = outfile_open(path);
    }
    if (fd < 0) {
        LOG(LOG_ERROR, "no trace: STANDIN_TRACE_FILE=%s: %s", pattern, strerror(-fd));
    }
    return fd < 0 ? -1 : fd;
}

static struct session_result start_session(void)
{
    struct session_outputs out = {.pcap_fd = open_capture(),
                                  .note = program_invocation_name,
                                  .trace_fd = open_trace(),
                                  .filter = config.text[CONFIG_TRACE]};
    struct session_result r = session_start_with(config.keeper, &config.net, &out);
    if (out.pcap_fd >= 0) {
        sys_close(out.pcap_fd);
    }
    if (out.trace_fd >= 0) {
        sys_close(out.trace_fd);
    }
    return r;
}

static bool join(void)
{
    char name[SESSION_NAME];
    char token[SESSION_TOKEN];
    const char *text = config.text[CONFIG_SESSION];
    struct session_result r;
    if (*text) {
        if (!session_parse(text, name, token)) {
            r = (struct session_result){.code = -EINVAL};
            return failed("STANDIN_SESSION", &r);
        }
    } else {
        r = start_session();
        if (r.code != SESSION_OK) {
            return failed("starting a session", &r);
        }
        memcpy(name, r.name, sizeof name);
        memcpy(token, r.token, sizeof token);
    }
    the_session.keeper_path = config.keeper;
    r = session_join(&the_session, name, token);
    if (r.code != SESSION_OK) {
        return failed("joining the session", &r);
    }
    rejoined = r.rejoined;
    snprintf(session_env, sizeof session_env, "STANDIN_SESSION=%s,%s", name, token);
    LOG(LOG_INFO, "member %u of %s", the_session.me, name);
    return true;
}

/* Joins if nobody has tried. False: there is no session. */
static bool start_member(void)
{
    if (state_get() == STATE_NEW) {
        if (!config.valid) {
            snprintf(why, sizeof why, "a STANDIN_* variable cannot be understood");
        }
        state_set(config.valid && join() ? STATE_NO_LOOP : STATE_NONE);
    }
    return state_get() != STATE_NONE;
}

static void start_loop(void)
{
    if (loop) {
        loop_forget(loop);
    }
    loop = loop_start(&the_session);
    if (!loop) {
        LOG(LOG_WARN, "the loop's thread cannot be started: timers run when the program calls");
    }
    state_set(STATE_READY);
}

/* False: there is no session. */
static bool start(bool with_loop)
{
    if (!startup_done || hooks_off()) {
        return false;
    }
    int saved = errno;
    signals_hold();
    plock_take(&start_lock);
    self.off++;
    bool first = state_get() == STATE_NEW;
    if (start_member() && with_loop) {
        if (first && rejoined) {
            adopt_release_rest();
        }
        if (state_get() == STATE_NO_LOOP) {
            start_loop();
        }
    }
    self.off--;
    plock_give(&start_lock);
    signals_let();
    errno = saved;
    return state_get() != STATE_NONE;
}

bool enter_join(void)
{
    return start(false);
}

const char *enter_why(void)
{
    return why;
}

struct loop *enter_loop(void)
{
    return loop;
}

const char *enter_session_env(void)
{
    return session_env[0] ? session_env : config.entry[CONFIG_SESSION];
}

/* ------------------------------------------------------------------ in and out */

/* The program closed what it did not know, past the hooks. */
static void fetch_again(void)
{
    int saved = errno;
    self.off++;
    int err = session_fds_check(&the_session);
    LOG(LOG_WARN, "descriptors of ours were closed behind our back: %s",
        err ? strerror(-err) : "fetched again");
    self.off--;
    errno = saved;
}

/* This thread holds the lock already: a handler jumped out of a fault inside the stack. */
static void repair(void)
{
    LOG(LOG_WARN, "a signal handler left the stack in the middle of a call: recovering");
    stack_recover(the_stack(), &self.env);
    session_unlock(&the_session, &self.env);
    self.held = false;
}

static struct env *go_in(void)
{
    if (UNLIKELY(self.fork_owed)) {
        fork_early();
    }
    self.depth++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (UNLIKELY(self.held)) {
        repair();
    }
    session_lock(&the_session, &self.env);
    self.held = true;
    return &self.env;
}

struct env *enter(void)
{
    if (UNLIKELY(state_get() != STATE_READY) && (state_get() == STATE_NONE || !start(true))) {
        return NULL;
    }
    return go_in();
}

struct env *enter_if_member(void)
{
    enum state now = state_get();
    return now == STATE_READY || now == STATE_NO_LOOP ? go_in() : NULL;
}

void leave(struct env *env)
{
    session_unlock(&the_session, env);
    self.held = false;
    if (UNLIKELY(the_session.fds_bad)) {
        fetch_again();
    }
    signals_let();
}

/* ------------------------------------------------------------------ fork */

bool enter_fork_prepare(void)
{
    signals_hold();
    plock_take(&start_lock);
    if (state_get() != STATE_READY && state_get() != STATE_NO_LOOP) {
        return false;
    }
    session_fork_prepare(&the_session, &self.env);
    return true;
}

void enter_fork_parent(void)
{
    plock_give(&start_lock);
    signals_let();
}

void enter_fork_child(bool joined)
{
    self.tid = 0;
    self.held = false;
    if (joined) {
        int err = session_fork_child(&the_session);
        if (err < 0) {
            snprintf(why, sizeof why, "the forked child is not a member: %s", strerror(-err));
        }
        state_set(err < 0 ? STATE_NONE : STATE_NO_LOOP);
    }
    plock_give(&start_lock);
    signals_let();
}
