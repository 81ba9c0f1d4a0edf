/*
 * Theory: the kernel's descriptor table is the truth, ours follows it. A stack socket's descriptor
 * is a real one, so every call here is made for real; before a number is closed or overwritten its
 * entry goes, after one was made the entry comes. O_NONBLOCK lives on the placeholder, where dup,
 * fork and exec share it as they should, and is copied into the socket, where the data path reads
 * it.
 *
 * Descriptors of the library do not exist for the program: closing or copying one is EBADF, a range
 * is closed around them, and dup2 onto one is EBUSY, which Linux documents for a number that
 * another thread is about to use.
 *
 * In a vfork child everything passes through: the table is the parent's.
 */
#include "preload/hook.h"
#include "preload/real.h"

#include <linux/close_range.h>

#include "core/abi.h"
#include "preload/block.h"
#include "preload/stdio.h"
#include "tun/sys.h"

#define LINGER_TURN (2 * MSEC) /* between two looks at what is unacknowledged */

static int bad_fd(void)
{
    errno = EBADF;
    return -1;
}

/* The hooks' first question: nothing of ours is meant. */
static bool foreign(int fd)
{
    return LIKELY(!fdtab_known(fd)) || hooks_off();
}

/* What a real dup answered becomes the same file. */
static int dup_done(int from, int to)
{
    if (to >= 0 && fdtab_get(from)) {
        fdtab_dup(from, to);
        stdio_arrived(to);
    } else if (to >= 0) {
        fdtab_fresh(to);
    }
    return to;
}

/* ------------------------------------------------------------------ close */

/* Whether a last close waits, and how long (SO_LINGER with a time): until the peer has all. Data
 * that nobody read is answered with a reset, for which nothing waits. */
static nsec linger_time(const struct file *f)
{
    struct env *env;
    struct sock *s = f && f->kind == FILE_SOCK && f->refs == 1 ? hook_enter(&env, &f->sock) : NULL;
    nsec t = 0;
    if (!s) {
        return 0;
    }
    if (s->type == LX_SOCK_STREAM && s->opt.linger_s > 0 && s->connected &&
        !fdtab_shared(s, env->member) && sock_ioctl(the_stack(), env, s, LX_SIOCINQ) <= 0) {
        t = s->opt.linger_s * SEC;
        sock_shutdown(the_stack(), env, s, LX_SHUT_WR);
    }
    leave(env);
    return t;
}

static bool unacknowledged(const struct file *f)
{
    struct env *env;
    struct sock *s = hook_enter(&env, &f->sock);
    if (!s) {
        return false;
    }
    bool some = sock_ioctl(the_stack(), env, s, LX_SIOCOUTQ) > 0;
    leave(env);
    return some;
}

/* A handler of the program ends the wait, as in Linux; close succeeds all the same. */
static void linger(struct file *f)
{
    nsec t = linger_time(f);
    if (LIKELY(t == 0)) {
        return;
    }
    int saved = errno;
    nsec end = session_now() + t;
    while (unacknowledged(f) && session_now() < end) {
        enum block_result r = block_sock(f, 0, session_now() + LINGER_TURN, true);
        if (r == BLOCK_GONE || r == BLOCK_INTR || self.interrupted) {
            break;
        }
        if (r == BLOCK_READY) { /* both directions are shut: nothing more to wake us */
            real.poll(NULL, 0, 1);
        }
    }
    errno = saved;
}

HOOK int close(int fd)
{
    if (foreign(fd)) {
        return real.close(fd);
    }
    if (fdtab_hidden(fd)) {
        return bad_fd();
    }
    linger(fdtab_get(fd));
    fdtab_drop(fd);
    return real.close(fd);
}

static void drop_range(unsigned first, unsigned last)
{
    for (unsigned fd = first; fd <= last && fd < FDTAB_MAX; fd++) {
        fdtab_drop((int)fd);
    }
}

/* The parts of a range between the library's descriptors. */
static int close_around(unsigned first, unsigned last, int flags)
{
    while (first <= last) {
        int h = first < FDTAB_MAX ? fdtab_next_hidden((int)first) : -1;
        unsigned end = h < 0 || (unsigned)h > last ? last : (unsigned)h - 1;
        if ((h < 0 || (unsigned)h > first) && real.close_range(first, end, flags) != 0) {
            return -1;
        }
        if (h < 0 || (unsigned)h >= last) {
            return 0;
        }
        first = (unsigned)h + 1;
        flags = 0; /* CLOSE_RANGE_UNSHARE: once is enough */
    }
    return 0;
}

HOOK int close_range(unsigned first, unsigned last, int flags)
{
    if (hooks_off() || first > last || ((unsigned)flags & CLOSE_RANGE_CLOEXEC)) {
        return real.close_range(first, last, flags); /* ours are CLOEXEC anyway */
    }
    if ((unsigned)flags & ~CLOSE_RANGE_UNSHARE) {
        return real.close_range(first, last, flags); /* EINVAL */
    }
    drop_range(first, last);
    return close_around(first, last, flags);
}

HOOK void closefrom(int low)
{
    if (hooks_off()) {
        real.closefrom(low);
        return;
    }
    unsigned first = low < 0 ? 0 : (unsigned)low;
    drop_range(first, ~0u);
    int saved = errno;
    if (close_around(first, ~0u, 0) != 0) {
        for (int fd = (int)first; fd < FDTAB_MAX; fd++) { /* a kernel before 5.9 */
            if (!fdtab_hidden(fd)) {
                sys3(SYS_close, fd, 0, 0);
            }
        }
    }
    errno = saved;
}

/* ------------------------------------------------------------------ dup */

HOOK int dup(int fd)
{
    if (UNLIKELY(fdtab_hidden(fd)) && !hooks_off()) {
        return bad_fd();
    }
    int to = real.dup(fd);
    return hooks_off() ? to : dup_done(fd, to);
}

/* Whether dup2 and dup3 may go on; what was at `to` is let go of. */
static bool make_room(int fd, int to)
{
    if (fdtab_hidden(fd)) {
        errno = EBADF;
        return false;
    }
    if (fdtab_hidden(to)) {
        errno = EBUSY;
        return false;
    }
    if (fdtab_get(to) && sys3(SYS_fcntl, fd, F_GETFD, 0) >= 0) {
        fdtab_drop(to); /* not when dup2 is going to fail */
    }
    return true;
}

HOOK int dup2(int fd, int to)
{
    if (fd == to || hooks_off() || (!fdtab_known(fd) && !fdtab_known(to))) {
        return real.dup2(fd, to);
    }
    return make_room(fd, to) ? dup_done(fd, real.dup2(fd, to)) : -1;
}

HOOK int dup3(int fd, int to, int flags)
{
    if (fd == to || hooks_off() || (!fdtab_known(fd) && !fdtab_known(to)) || (flags & ~O_CLOEXEC)) {
        return real.dup3(fd, to, flags);
    }
    return make_room(fd, to) ? dup_done(fd, real.dup3(fd, to, flags)) : -1;
}

/* ------------------------------------------------------------------ fcntl */

/* The placeholder has the new flags; the socket's copy follows. */
static void copy_flags(const struct file *f, int flags)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = f->kind == FILE_SOCK ? hook_enter(&env, &ref) : NULL;
    if (s) {
        s->file_flags = (uint16_t)(flags & (O_NONBLOCK | O_ASYNC));
        leave(env);
    }
}

static int fcntl_known(int fd, int cmd, void *arg)
{
    if (fdtab_hidden(fd)) {
        return bad_fd();
    }
    int ret = real.fcntl(fd, cmd, arg);
    if (ret < 0) {
        return ret;
    }
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
        return dup_done(fd, ret);
    }
    struct file *f = fdtab_get(fd);
    if (cmd == F_SETFL && f) {
        copy_flags(f, (int)(long)arg);
    } else if (cmd == F_SETOWN && f && f->kind == FILE_SOCK) {
        hook_set_owner(f, (int)(long)arg);
    }
    return ret;
}

HOOK int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *); /* an int, a pointer or nothing: one register */
    va_end(ap);
    if (foreign(fd)) {
        int ret = real.fcntl(fd, cmd, arg);
        if ((cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) && ret >= 0 && !hooks_off()) {
            fdtab_fresh(ret);
        }
        return ret;
    }
    return fcntl_known(fd, cmd, arg);
}
