/*
 * Theory: options and ioctls. core knows Linux's layouts, so a value goes through as it is. Until
 * a socket is decided each option that the stack took is also kept, for the kernel socket it may
 * become; a twin gets it at once.
 *
 * The flags of the open file description (FIONBIO, FIOASYNC) live in the arena, since every
 * process that holds the socket shares them; the placeholder descriptor gets them too, for the
 * processes that do not know us.
 *
 * An ioctl that says nothing about the socket itself, such as those about interfaces, is answered
 * by a private kernel socket of the same family.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/abi.h"
#include "core/sock_side.h"
#include "preload/decide.h"
#include "preload/fault.h"
#include "preload/hook.h"
#include "tun/sysio.h"

#define OPT_LEN_MAX 512u /* no option answers more */

/* The 64-bit time variants have the same layout here. */
#define SO_TIMESTAMP_NEW_    63
#define SO_TIMESTAMPNS_NEW_  64
#define SO_TIMESTAMPING_NEW_ 65
#define SO_RCVTIMEO_NEW_     66
#define SO_SNDTIMEO_NEW_     67

static int plain_name(int level, int name)
{
    if (level != SOL_SOCKET) {
        return name;
    }
    switch (name) {
    case SO_TIMESTAMP_NEW_:
        return SO_TIMESTAMP;
    case SO_TIMESTAMPNS_NEW_:
        return SO_TIMESTAMPNS;
    case SO_TIMESTAMPING_NEW_:
        return SO_TIMESTAMPING;
    case SO_RCVTIMEO_NEW_:
        return SO_RCVTIMEO;
    case SO_SNDTIMEO_NEW_:
        return SO_SNDTIMEO;
    default:
        return name;
    }
}

/* ------------------------------------------------------------------ setsockopt */

/* Keeps the option; a later value takes the place of an earlier one, but groups add up. */
static void record(struct file *f, int level, int name, const void *val, socklen_t len)
{
    struct opt_record **at = &f->opts;
    if (len > sizeof f->opts->val) {
        return;
    }
    while (*at && (opt_is_group(level, name) || (*at)->level != level || (*at)->name != name)) {
        at = &(*at)->next;
    }
    struct opt_record *o = *at;
    if (!o) {
        o = fdtab_opt_new();
        if (!o) {
            return;
        }
        o->level = level;
        o->name = name;
        *at = o;
    }
    memcpy(o->val, val, len);
    o->len = len;
}

/* Whether the option's answer depends on CAP_NET_ADMIN: asked only then, it costs a system call. */
static bool asks_admin(int level, int name)
{
    if (level == SOL_SOCKET) {
        return name == SO_MARK || name == SO_PRIORITY || name == SO_SNDBUFFORCE ||
               name == SO_RCVBUFFORCE || name == SO_DEBUG;
    }
    return (level == IPPROTO_IP && name == IP_TRANSPARENT) ||
           (level == IPPROTO_IPV6 && name == IPV6_TRANSPARENT) || level == IPPROTO_TCP;
}

long my_setsockopt(int fd, struct file *f, int level, int name, const void *val, socklen_t len)
{
    (void)fd;
    if ((int)len < 0) {
        return -EINVAL;
    }
    if (!fault_may_read(val, len)) {
        return -EFAULT;
    }
    name = plain_name(level, name);
    bool privileged = asks_admin(level, name) && may_admin();
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    int err = sock_setopt(the_stack(), env, s, level, name, val, len, privileged);
    bool keep = err == 0 && (!f->decided || s->type != LX_SOCK_STREAM);
    leave(env);
    if (keep) {
        record(f, level, name, val, len);
    }
    if (err == 0) {
        twin_setopt(f, level, name, val, len);
    }
    return errno_of(err);
}

HOOK int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        return real.setsockopt(fd, level, name, val, len);
    }
    return (int)hook_ret(my_setsockopt(fd, f, level, name, val, len));
}

/* ------------------------------------------------------------------ getsockopt */

/* core's errors in SO_ERROR are its own numbers. */
static bool is_so_error(int level, int name)
{
    return level == SOL_SOCKET && name == SO_ERROR;
}

long my_getsockopt(int fd, struct file *f, int level, int name, void *val, socklen_t *len)
{
    (void)fd;
    if (!fault_may_write(len, sizeof *len)) {
        return -EFAULT;
    }
    if ((int)*len < 0) {
        return -EINVAL;
    }
    if (!fault_may_write(val, min_size(*len, OPT_LEN_MAX))) {
        return -EFAULT;
    }
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    size_t n = *len;
    int err = 0;
    if (is_so_error(level, name)) {
        int so_error = (int)-errno_of(-(int64_t)sock_take_error(s));
        n = min_size(n, sizeof so_error);
        if (n > 0) { /* with no room there may be no buffer */
            memcpy(val, &so_error, n);
        }
    } else {
        err = sock_getopt(the_stack(), env, s, level, plain_name(level, name), val, &n);
    }
    leave(env);
    if (err == 0 || n > *len) { /* TCP_SAVED_SYN says how much it needs */
        *len = (socklen_t)n;
    }
    return errno_of(err);
}

HOOK int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    struct file *f = hook_sock(fd);
    if (!f) {
        return real.getsockopt(fd, level, name, val, len);
    }
    return (int)hook_ret(my_getsockopt(fd, f, level, name, val, len));
}

/* ------------------------------------------------------------------ ioctl */

static long set_flag(int fd, struct file *f, unsigned long request, const int *on)
{
    if (!fault_may_read(on, sizeof *on)) {
        return -EFAULT;
    }
    uint32_t flag = request == FIONBIO ? O_NONBLOCK : O_ASYNC;
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    s->file_flags = (uint16_t)(*on ? s->file_flags | flag : s->file_flags & ~flag);
    leave(env);
    sys_ioctl(fd, request, on);
    return 0;
}

/* A question about the socket's queues. Nothing received: the TUN is looked at before that is
 * said. */
static long ask(struct file *f, unsigned long request, int *out)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (!s) {
        return -EBADF;
    }
    int64_t v = sock_ioctl(the_stack(), env, s, (uint32_t)request);
    bool drained;
    if (v == 0 && request == FIONREAD && drive_turn(&the_session, env, 0, &drained) > 0 &&
        sock_ref_ok(&ref)) {
        v = sock_ioctl(the_stack(), env, s, (uint32_t)request);
    }
    leave(env);
    if (v < 0) {
        return errno_of(v);
    }
    if (v == 0 && request == FIONREAD && f->twin_fd >= 0) {
        return sys_ioctl(f->twin_fd, request, out);
    }
    if (!fault_may_write(out, sizeof *out)) {
        return -EFAULT;
    }
    *out = (int)v;
    return 0;
}

void hook_set_owner(const struct file *f, int pid)
{
    struct sock_ref ref = f->sock;
    struct env *env;
    struct sock *s = hook_enter(&env, &ref);
    if (s) {
        sock_set_owner(the_stack(), env, s, pid);
        leave(env);
    }
}

/* The placeholder keeps the owner for those who ask; the stack sends the signal. */
static long set_owner(int fd, const struct file *f, unsigned long request, const int *pid)
{
    long ret = sys_ioctl(fd, request, (void *)(uintptr_t)pid);
    if (ret == 0) {
        hook_set_owner(f, *pid);
    }
    return ret;
}

static long ask_kernel(const struct file *f, unsigned long request, void *arg)
{
    int fd = hook_kernel_sock(f->sock.s->family);
    return fd < 0 ? fd : sys_ioctl(fd, request, arg);
}

long my_ioctl(int fd, struct file *f, unsigned long request, void *arg)
{
    switch (request) {
    case FIONBIO:
    case FIOASYNC:
        return set_flag(fd, f, request, arg);
    case FIOCLEX:
    case FIONCLEX:
    case FIOSETOWN:
    case SIOCSPGRP:
        return set_owner(fd, f, request, arg);
    case FIOGETOWN:
    case SIOCGPGRP:
        return sys_ioctl(fd, request, arg);
    case SIOCATMARK:
    case FIONREAD:
    case SIOCOUTQ:
    case LX_SIOCOUTQNSD: {
        long ret = ask(f, request, arg);
        return ret == -ENOPROTOOPT ? -ENOTTY : ret;
    }
    default:
        return ask_kernel(f, request, arg);
    }
}

HOOK int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    struct file *f = hook_sock(fd);
    if (!f) {
        return real.ioctl(fd, request, arg);
    }
    return (int)hook_ret(my_ioctl(fd, f, request, arg));
}
