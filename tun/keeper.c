/*
 * keeper.c - theory of operation: standin-keeper, the process that holds a session together.
 *
 * It is started by the first process that needs a session (start.c), makes the TUN, the addresses
 * and the arena, and then is the last of all members to drive the stack: when the programs have
 * gone it still sends what they left behind.
 *
 *     keeper.c          the process: from descriptor 3 to a loop
 *     keeper_make.c     the session: device, subnet, arena, stack
 *     keeper_serve.c    its socket: who may join, what they get
 *     keeper_members.c  its members: who lives, who died, when all is over
 *     keeper_capture.c  the file with its packets, where one was asked for
 *     keeper_trace.c    its events as lines, for a program without our command
 *
 * It closes every descriptor but 3: a pipe held open here would keep `program | cat` from ending.
 * It leaves when no member, no connection that holds the session and no starter is left, and the
 * stack owes nothing to the network. With it go the TUN (its last descriptor), the addresses, the
 * arena and the name: nothing is persistent.
 *
 * SIGTERM ends it like any process; members then start the next one.
 */
#include "tun/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tun/loop.h"
#include "tun/sysio.h"

static const char usage[] = "standin-keeper is started by standin; it does nothing by itself.\n";

/* Away from the terminal, the directory and the files of whoever started us. */
static void detach(void)
{
    uint64_t none = 0;

    sys3(SYS_close_range, KEEPER_FD + 1, ~0u, 0);
    for (int fd = 0; fd < KEEPER_FD; fd++) {
        int null = sys_open("/dev/null", O_RDWR);
        if (null >= 0 && null != fd) {
            sys_dup3(null, fd, 0);
            sys_close(null);
        }
    }
    sys_fcntl(KEEPER_FD, F_SETFD, FD_CLOEXEC);
    setsid();
    if (chdir("/") != 0) {
        return;
    }
    static const int ignored[] = {SIGPIPE, SIGHUP,  SIGINT,  SIGQUIT, SIGTSTP, SIGTTIN,
                                  SIGTTOU, SIGALRM, SIGUSR1, SIGUSR2, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        signal(ignored[i], SIG_IGN);
    }
    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sys_sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The program's limits are not ours: many members need many descriptors, the arena much address
 * space. */
static void raise_limits(void)
{
    static const int limits[] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_FSIZE};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit lim = {0};
        if (sys_prlimit(limits[i], NULL, &lim) == 0 && lim.rlim_cur != lim.rlim_max) {
            lim.rlim_cur = lim.rlim_max;
            sys_prlimit(limits[i], &lim, NULL);
        }
    }
}

static bool take_order(struct order *o, int fds[FD_PASS_MAX])
{
    long n = fd_recv(KEEPER_FD, o, sizeof *o, fds);
    return n == (long)sizeof *o && o->magic == MESSAGE_MAGIC;
}

static pid_t peer_pid(void)
{
    struct ucred cred = {0};
    socklen_t len = sizeof cred;
    sys_getsockopt(KEEPER_FD, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    return cred.pid;
}

static struct session_result begin(struct keeper *k, struct order *o, int fds[FD_PASS_MAX])
{
    if (strncmp(o->build, session_build_id(), sizeof o->build - 1) != 0) {
        return (struct session_result){.code = SESSION_BUILD, .step = "compare builds"};
    }
    return o->resume ? keeper_resume(k, o, fds) : keeper_make(k, o, fds);
}

/* In the loop, before it first sleeps. */
static void started(uv_loop_t *uv, void *arg)
{
    struct keeper *k = arg;
    k->uv = uv;
    if (k->pcap_fd >= 0) {
        capture_start(k);
    }
    if (k->trace_fd >= 0) {
        trace_start(k->trace_fd, k->filter);
    }
    members_start(k);
    serve_start(k);
}

int main(void)
{
    static struct keeper k = {.needed_fd = -1, .pcap_fd = -1, .trace_fd = -1};
    static struct order o;
    int fds[FD_PASS_MAX];
    struct stat st = {0};

    if (sys_fstat(KEEPER_FD, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        sys_write(2, usage, sizeof usage - 1);
        return 2;
    }
    detach();
    raise_limits();
    if (!take_order(&o, fds)) {
        return 1;
    }
    struct session_result r = begin(&k, &o, fds);
    k.starter_fd = r.code == SESSION_OK && o.pidfd_at >= 0 ? fds[o.pidfd_at] : -1;
    k.pcap_fd = r.code == SESSION_OK && o.pcap_at >= 0 ? fds[o.pcap_at] : -1;
    if (r.code == SESSION_OK && o.resume) {
        k.pcap_fd = capture_reopen();
    }
    memcpy(k.note, o.note, sizeof k.note - 1);
    k.trace_fd = r.code == SESSION_OK && o.trace_at >= 0 ? fds[o.trace_at] : -1;
    memcpy(k.filter, o.filter, sizeof k.filter - 1);
    k.starter = r.code == SESSION_OK && !o.resume ? peer_pid() : 0;
    fd_send(KEEPER_FD, &r, sizeof r, NULL, 0);
    sys_close(KEEPER_FD);
    if (r.code != SESSION_OK) {
        return 1;
    }
    int err = loop_run(&the_session, started, &k);
    capture_end();
    trace_end();
    return err ? 1 : 0;
}
