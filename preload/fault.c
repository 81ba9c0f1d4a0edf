/*
 * Theory: the kernel copies with a fix-up for faults; the stack copies under its lock, where a
 * fault would be the end of the process. So the first and the last page of a buffer are looked at
 * before the stack is entered. Each thread remembers the pages it has found good, so that a program
 * that uses its buffers again pays one comparison a page; a page that is not remembered costs one
 * system call that changes nothing:
 *
 *   to read    rt_sigprocmask with a `how` that there is not: it reads the set before it says EINVAL
 *              (not at the beginning of the page: NULL would be no set at all)
 *   to write   madvise(MADV_POPULATE_WRITE): the page fault that the copy would have taken anyway
 *
 * A handler for SIGSEGV with a fix-up in the copy would cost nothing at all, but it would have to
 * be installed before the program's own and shown to nobody, and could not undo what the stack had
 * done so far.
 *
 * Not seen: memory unmapped after it was found good, a hole in the middle of a buffer, and a
 * read-only page on a kernel older than 5.14, which has no MADV_POPULATE_WRITE.
 */
#include "preload/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "core/check.h"
#include "tun/sys.h"

#if defined(__has_include) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define PAGE_BITS      12
#define KNOWN          64u /* a power of two */
#define POPULATE_WRITE 23  /* MADV_POPULATE_WRITE */
#define SIG_HOW_NONE   (-1)
#define SIG_SET        8

/* What TAG makes of a page that was found good; 0: nothing. */
#define TAG(page, write) (((page) << 1 | (write)) + 1)
static __thread uintptr_t known[KNOWN] __attribute__((tls_model("initial-exec")));

static __attribute__((noinline)) bool probe(uintptr_t page, bool write)
{
    if (RUNNING_ON_VALGRIND) { /* it would take the question itself for a mistake of the program */
        return true;
    }
    long at = (long)(page << PAGE_BITS);
    long err = write ? sys3(SYS_madvise, at, 1L << PAGE_BITS, POPULATE_WRITE)
                     : sys4(SYS_rt_sigprocmask, SIG_HOW_NONE, at + SIG_SET, 0, SIG_SET);
    bool bad = write ? err == -ENOMEM || err == -EFAULT : err == -EFAULT;

    if (write && err == -EINVAL) { /* read-only; or an old kernel, which then knows readable only */
        bad = sys3(SYS_madvise, 0, 0, POPULATE_WRITE) == 0 || !probe(page, false);
    }
    if (!bad) {
        known[page % KNOWN] = TAG(page, write);
    }
    return !bad;
}

static inline bool page_good(uintptr_t page, bool write)
{
    uintptr_t k = known[page % KNOWN];

    return LIKELY(k == TAG(page, 1u) || (k == TAG(page, 0u) && !write)) || probe(page, write);
}

static inline bool good(const void *p, size_t n, bool write)
{
    uintptr_t from = (uintptr_t)p;
    uintptr_t last = from + n - 1;

    if (UNLIKELY(n == 0)) {
        return (intptr_t)from >= 0; /* the kernel's own addresses are nobody's even then */
    }
    return LIKELY(last >= from) && page_good(from >> PAGE_BITS, write) &&
           (from >> PAGE_BITS == last >> PAGE_BITS || page_good(last >> PAGE_BITS, write));
}

bool fault_may_read(const void *p, size_t n)
{
    return good(p, n, false);
}

bool fault_may_write(const void *p, size_t n)
{
    return good(p, n, true);
}

bool fault_may_iov(const struct iovec *iov, size_t n, bool write)
{
    if (!good(iov, n * sizeof *iov, false)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > SSIZE_MAX) {
            return true; /* EINVAL, and before any EFAULT */
        }
        if (!good(iov[i].iov_base, iov[i].iov_len, write)) {
            return false;
        }
    }
    return true;
}
