/*
 * Purpose: RLIMIT_AS counts address space, and the arena reserves much of it that the program never
 * asked for. So the limit that the kernel knows is the program's plus the arena's reservation, and
 * the program sees its own number. Before there is an arena nothing is added; a limit set then is
 * obeyed by the arena, which asks for less.
 *
 * RLIMIT_NOFILE needs nothing: it concerns new descriptors only, and ours are placed below a low
 * limit (tun/fd.c).
 */
#include "preload/hook.h"
#include "preload/real.h"

static bool added; /* the kernel's limit holds our addition */

static rlim_t more(rlim_t v)
{
    rlim_t extra = the_session.mapped;
    return v == RLIM_INFINITY || v > RLIM_INFINITY - extra ? v : v + extra;
}

static rlim_t less(rlim_t v)
{
    rlim_t extra = the_session.mapped;
    return v == RLIM_INFINITY || v < extra ? v : v - extra;
}

static bool ours(pid_t pid, __rlimit_resource_t what)
{
    return what == RLIMIT_AS && entered_before() && !hooks_off() && (pid == 0 || pid == getpid());
}

HOOK int prlimit(pid_t pid, __rlimit_resource_t what, const struct rlimit *set, struct rlimit *old)
{
    if (!ours(pid, what)) {
        return real.prlimit(pid, what, set, old);
    }
    struct rlimit lim;
    bool was = added;
    if (set) {
        lim = (struct rlimit){more(set->rlim_cur), more(set->rlim_max)};
    }
    int ret = real.prlimit(pid, what, set ? &lim : NULL, old);
    if (ret == 0 && set) {
        added = true;
    }
    if (ret == 0 && old && was) {
        *old = (struct rlimit){less(old->rlim_cur), less(old->rlim_max)};
    }
    return ret;
}

HOOK int getrlimit(__rlimit_resource_t what, struct rlimit *lim)
{
    return ours(0, what) ? prlimit(0, what, NULL, lim) : real.getrlimit(what, lim);
}

HOOK int setrlimit(__rlimit_resource_t what, const struct rlimit *lim)
{
    return ours(0, what) ? prlimit(0, what, lim, NULL) : real.setrlimit(what, lim);
}
