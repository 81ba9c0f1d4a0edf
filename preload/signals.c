/*
 * Theory: a handler of the program never runs inside the stack, where its thread may hold the lock,
 * and yet runs with a genuine frame. Before every handler stands `wrapper`, with the program's own
 * mask and flags.
 *
 *   depth > 0    The wrapper keeps the siginfo, adds the signal to the mask that its return
 *                restores, and returns. On leaving the stack the signal is queued to its own thread
 *                again (rt_tgsigqueueinfo) and unblocked, and the kernel delivers it: siginfo,
 *                SA_ONSTACK, SA_RESTART, siglongjmp and signalfd all work as ever. When there is no
 *                room to keep it, it is queued at once. (Not always: valgrind ignores the mask in
 *                the frame, and it would come again before the thread has made a step.)
 *   depth == 0   If the thread sleeps for the stack, it is unmarked as a sleeper, so that the
 *                handler may call anything or jump away; a sleep it was about to begin is diverted
 *                (sleep.h). Then the program's handler runs.
 *
 * SEGV, BUS, FPE, ILL, TRAP, SYS and ABRT run at once: they cannot wait, since the instruction
 * would only fault again. If the handler jumps out of a fault in the stack, enter finds self.held
 * and recovers. If it used the stack and returns, there is nothing sound to return to: the signal's
 * default action follows.
 *
 * The program sees its own dispositions: sigaction's old value, SA_RESETHAND and SA_SIGINFO
 * included. SIG_DFL and SIG_IGN go to the kernel as they are. In a vfork child the table is the
 * parent's and stays as it is; what the child sets is the kernel's alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "core/check.h"
#include "preload/enter.h"
#include "preload/plock.h"
#include "preload/real.h"
#include "preload/sleep.h"
#include "tun/sys.h"

#define SIGNALS 64

typedef void handler_fn(int sig, siginfo_t *info, void *uc);

struct disposition {
    /* The last handler the program set; atomic. Stays when SIG_DFL follows, for a wrapper under
     * way. */
    handler_fn *handler;
    int flags;              /* its sa_flags; atomic */
    bool wrapped;           /* the kernel has our wrapper */
    struct sigaction shown; /* what sigaction answers while wrapped */
};

static struct disposition table[SIGNALS + 1];
static struct plock lock;
static uint64_t interrupting; /* siginterrupt(sig, 1): signal() sets these without SA_RESTART */

static uint64_t bit(int sig)
{
    return 1ull << (sig - 1);
}

/* ------------------------------------------------------------------ a signal arrives */

static bool at_once(int sig)
{
    const uint64_t set = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) |
                         bit(SIGSYS) | bit(SIGABRT);
    return set & bit(sig);
}

static void queue_again(int sig, const siginfo_t *info)
{
    long pid = sys3(SYS_getpid, 0, 0, 0);
    long tid = sys3(SYS_gettid, 0, 0, 0);
    if (sys4(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info) < 0) {
        sys3(SYS_tgkill, pid, tid, sig); /* RLIMIT_SIGPENDING: at least the signal */
    }
}

static void postpone(int sig, const siginfo_t *info, ucontext_t *uc)
{
    uint64_t set = bit(sig);
    sigaddset(&uc->uc_sigmask, sig);
    self.postponed |= set;
    if (self.nkept < KEPT_MAX) {
        self.kept[self.nkept++] = *info;
    } else {
        sys4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, sizeof set); /* SA_NODEFER */
        queue_again(sig, info);
    }
}

/* With everything blocked: a handler that jumps away in the middle would leave the rest behind. */
void signals_flush(void)
{
    uint64_t all = ~0ull;
    uint64_t mask = 0;
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof all);
    for (unsigned i = 0; i < self.nkept; i++) {
        queue_again(self.kept[i].si_signo, &self.kept[i]);
    }
    mask &= ~self.postponed;
    self.nkept = 0;
    self.postponed = 0;
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask);
}

/* As the kernel resets a disposition: mask and flags stay. */
static void set_default(int sig)
{
    struct disposition *d = &table[sig];
    signals_hold();
    plock_take(&lock);
    if (d->wrapped) {
        struct sigaction dfl = d->shown;
        dfl.sa_handler = SIG_DFL;
        real.sigaction(sig, &dfl, NULL);
        d->wrapped = false;
    }
    plock_give(&lock);
    signals_let();
}

/* The program's handler, and what it means for a call that sleeps below us. */
static void run(int sig, siginfo_t *info, void *uc)
{
    struct disposition *d = &table[sig];
    handler_fn *handler = __atomic_load_n(&d->handler, __ATOMIC_ACQUIRE);
    int flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED);
    uint32_t mark = INTERRUPTED | (flags & SA_RESTART ? 0 : INTERRUPTED_NO_RESTART);
    if ((unsigned)flags & SA_RESETHAND) {
        set_default(sig);
    }
    self.interrupted |= mark;
    handler(sig, info, uc);
    self.interrupted |= mark; /* a blocking call in the handler began anew */
}

static void die_of(int sig)
{
    uint64_t set = bit(sig);
    set_default(sig);
    sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&set, 0, sizeof set);
    sys3(SYS_tgkill, sys3(SYS_getpid, 0, 0, 0), sys3(SYS_gettid, 0, 0, 0), sig);
}

/* A fault in the stack, or an abort. */
static void run_inside(int sig, siginfo_t *info, void *uc)
{
    int depth = self.depth;
    bool held = self.held;
    self.depth = 0;
    signals_flush();
    run(sig, info, uc);
    if (held && !self.held) {
        die_of(sig);
    }
    self.depth = depth;
}

static void wrapper(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    if (UNLIKELY(self.depth > 0)) {
        if (at_once(sig)) {
            run_inside(sig, info, uc);
        } else {
            postpone(sig, info, uc);
        }
        return;
    }
    greg_t *pc = &uc->uc_mcontext.gregs[REG_RIP];
    *pc = (greg_t)sleep_divert((uintptr_t)*pc);
    if (LIKELY(!self.asleep && !self.async_cancel)) {
        run(sig, info, uc);
        return;
    }
    int saved = errno;
    int type = sleep_interrupt();
    errno = saved;
    run(sig, info, uc);
    sleep_resume(type);
}

/* ------------------------------------------------------------------ sigaction */

static bool is_function(const struct sigaction *act)
{
    return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

/* What the kernel says, as the program knows it. */
static void show(int sig, const struct sigaction *kernel, struct sigaction *old)
{
    if (old) {
        bool ours = kernel->sa_sigaction == wrapper;
        *old = ours ? table[sig].shown : *kernel;
    }
}

/* In a vfork child: nothing of the parent's may change. */
static int set_through(int sig, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction kernel;
    int ret = real.sigaction(sig, act, &kernel);
    if (ret == 0) {
        show(sig, &kernel, old);
    }
    return ret;
}

/* Puts the wrapper before a handler. Locked. */
static int set_wrapped(int sig, const struct sigaction *act, struct sigaction *kernel_old)
{
    struct disposition *d = &table[sig];
    struct sigaction mine = *act;
    struct sigaction now;
    handler_fn *before = d->handler;
    int flags_before = d->flags;
    mine.sa_sigaction = wrapper;
    mine.sa_flags = (act->sa_flags | SA_SIGINFO) & ~(int)SA_RESETHAND;
    __atomic_store_n(&d->flags, act->sa_flags, __ATOMIC_RELAXED);
    __atomic_store_n(&d->handler, act->sa_sigaction, __ATOMIC_RELEASE);
    if (real.sigaction(sig, &mine, kernel_old) != 0) {
        __atomic_store_n(&d->handler, before, __ATOMIC_RELEASE);
        d->flags = flags_before;
        return -1;
    }
    real.sigaction(sig, NULL, &now); /* the kernel clears what it does not know */
    now.sa_sigaction = act->sa_sigaction;
    now.sa_flags &= ~SA_SIGINFO;
    now.sa_flags |= act->sa_flags & (int)(SA_SIGINFO | SA_RESETHAND);
    d->shown = now;
    d->wrapped = true;
    return 0;
}

static int set_locked(int sig, const struct sigaction *act, struct sigaction *old)
{
    struct disposition *d = &table[sig];
    struct sigaction shown = d->shown;
    struct sigaction kernel;
    bool was = d->wrapped;
    int ret;
    if (act && is_function(act)) {
        ret = set_wrapped(sig, act, &kernel);
    } else {
        ret = real.sigaction(sig, act, &kernel);
        if (ret == 0 && act) {
            d->wrapped = false;
        }
    }
    if (ret == 0 && old) {
        *old = was ? shown : kernel;
    }
    return ret;
}

HOOK int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    if (sig < 1 || sig > SIGNALS) {
        return real.sigaction(sig, act, old);
    }
    if (hooks_off()) {
        return set_through(sig, act, old);
    }
    struct sigaction want;
    if (act) {
        want = *act; /* a bad pointer faults here, not under the lock; old may be the same object */
    }
    signals_hold();
    plock_take(&lock);
    struct sigaction before;
    int ret = set_locked(sig, act ? &want : NULL, &before);
    plock_give(&lock);
    signals_let();
    if (ret == 0 && old) {
        *old = before;
    }
    return ret;
}

/* ------------------------------------------------------------------ the older calls, in its terms
 */

static sighandler_t set_simple(int sig, sighandler_t handler, int flags, bool mask_itself)
{
    struct sigaction act;
    struct sigaction old;
    if (handler == SIG_ERR || sig < 1 || sig > SIGNALS) {
        errno = EINVAL;
        return SIG_ERR;
    }
    memset(&act, 0, sizeof act);
    act.sa_handler = handler;
    act.sa_flags = flags;
    if (mask_itself) {
        sigaddset(&act.sa_mask, sig);
    }
    return sigaction(sig, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

HOOK sighandler_t signal(int sig, sighandler_t handler)
{
    bool intr = sig >= 1 && sig <= SIGNALS && (interrupting & bit(sig));
    return set_simple(sig, handler, intr ? 0 : SA_RESTART, true);
}

HOOK sighandler_t sysv_signal(int sig, sighandler_t handler)
{
    return set_simple(sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}

HOOK sighandler_t sigset(int sig, sighandler_t handler)
{
    sigset_t set;
    sigset_t before;
    struct sigaction old;
    sigemptyset(&set);
    if (sigaddset(&set, sig) != 0) {
        return SIG_ERR;
    }
    if (handler == SIG_HOLD) {
        if (sigprocmask(SIG_BLOCK, &set, &before) != 0 || sigaction(sig, NULL, &old) != 0) {
            return SIG_ERR;
        }
        return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
    }
    sighandler_t was = set_simple(sig, handler, 0, false);
    if (was == SIG_ERR || sigprocmask(SIG_UNBLOCK, &set, &before) != 0) {
        return SIG_ERR;
    }
    return sigismember(&before, sig) ? SIG_HOLD : was;
}

HOOK int sigignore(int sig)
{
    return set_simple(sig, SIG_IGN, 0, false) == SIG_ERR ? -1 : 0;
}

HOOK int siginterrupt(int sig, int interrupt)
{
    struct sigaction act;
    if (sigaction(sig, NULL, &act) != 0) {
        return -1;
    }
    if (interrupt) {
        __atomic_fetch_or(&interrupting, bit(sig), __ATOMIC_RELAXED);
        act.sa_flags &= ~(int)SA_RESTART;
    } else {
        __atomic_fetch_and(&interrupting, ~bit(sig), __ATOMIC_RELAXED);
        act.sa_flags |= SA_RESTART;
    }
    return sigaction(sig, &act, NULL);
}
