/*
 * Purpose: to have libc's own functions at hand at any moment, even before any constructor has run.
 *
 * Hooks are called early: other libraries' constructors, an allocator that opens a file before we
 * are initialised. So no pointer is ever NULL. Each begins as a stub with the function's own
 * signature, which binds all pointers and tries again; the call costs nothing afterwards. dlsym
 * allocates only to report an error, and what libc does not have (an older one) is answered with
 * ENOSYS. Binding twice at once, from two threads, stores the same values.
 */
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>

/* clang-format off */
#define CALL(ret, name, params, args) \
    static ret lazy_##name params     \
    {                                 \
        real_load();                  \
        return real.name args;        \
    }
#include "preload/calls.h"
/* clang-format on */

static int lazy_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    real_load();
    return real.fcntl(fd, cmd, arg);
}

static int lazy_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    real_load();
    return real.ioctl(fd, request, arg);
}

static long lazy_syscall(long number, ...)
{
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);
    real_load();
    return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int lazy_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    void *ptid = va_arg(ap, void *);
    void *tls = va_arg(ap, void *);
    void *ctid = va_arg(ap, void *);
    va_end(ap);
    real_load();
    return real.clone(fn, stack, flags, arg, ptid, tls, ctid);
}

/* The other variadic ones are never called through real: their hooks call the relative that takes a
 * list. */
struct real real = {
#define CALL(ret, name, params, args) .name = lazy_##name,
#include "preload/calls.h"
    .fcntl = lazy_fcntl,
    .ioctl = lazy_ioctl,
    .syscall = lazy_syscall,
    .clone = lazy_clone,
};

static long missing(void)
{
    errno = ENOSYS;
    return -1;
}

/* ISO C has no conversion from an object pointer to a function's; POSIX promises that this works.
 */
static void bind_one(void *place, const char *name)
{
    void *sym = dlsym(RTLD_NEXT, name);
    void (*fn)(void) = (void (*)(void))missing;
    if (!sym) {
        *(void **)&sym = *(void **)&fn;
    }
    __atomic_store_n((void **)place, sym, __ATOMIC_RELAXED);
}

void real_load(void)
{
    int saved = errno;
#define CALL(ret, name, params, args) bind_one((void *)&real.name, #name);
#define CALLV(ret, name, params)      bind_one((void *)&real.name, #name);
#include "preload/calls.h"
    errno = saved;
}
