/*
 * arena.c - theory of operation: 16 GiB of addresses, a file that is as long as what was ever used.
 *
 * The whole range is mapped once; pages behind the end of the file fault (SIGBUS) and nobody goes
 * there, because the allocator asks for more first. Growing is one ftruncate and is valid at once
 * in every member: nothing is mapped again. Neither a core dump nor mlockall touches more than the
 * file. It cannot shrink (F_SEAL_SHRINK): no member can pull the floor from under another by
 * mistake.
 *
 * The address is free in plain, static, sanitizer, gdb and valgrind runs; where it is not, the
 * mapping is refused (MAP_FIXED_NOREPLACE) and nothing of the program is harmed.
 */
#include "tun/arena.h"

#include <errno.h>

#include "tun/sysio.h"

#if defined(__has_include) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(at, len) ((void)(at), (void)(len))
#define VALGRIND_MAKE_MEM_DEFINED(at, len)  ((void)(at), (void)(len))
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif

int arena_create(size_t size)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = sys_memfd_create("standin", flags | MFD_NOEXEC_SEAL);
    if (fd == -EINVAL) {
        fd = sys_memfd_create("standin", flags);
    }
    if (fd < 0) {
        return fd;
    }
    int err = sys_ftruncate(fd, size);
    if (!err) {
        err = sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    }
    if (err) {
        sys_close(fd);
        return err;
    }
    return fd;
}

int arena_map(int fd, size_t len)
{
    int flags = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
    void *p = sys_mmap((void *)ARENA_BASE, len, PROT_READ | PROT_WRITE, flags, fd);
    if (sys_mmap_err(p)) {
        return sys_mmap_err(p);
    }
    if (p != (void *)ARENA_BASE) { /* a kernel before 4.17 takes the address as a hint */
        sys_munmap(p, len);
        return -EEXIST;
    }
    sys_madvise(p, len, MADV_DONTDUMP);
    return 0;
}

void arena_unmap(size_t len)
{
    sys_munmap((void *)ARENA_BASE, len);
}

/* A program's limit on file sizes is not meant for us, and to run into it is a signal. 1: lifted,
 * *old is to be restored; 0: nothing to lift; -EFBIG: cannot be lifted far enough. */
static int lift_limit(size_t size, struct rlimit *old)
{
    struct rlimit lim;

    if (sys_prlimit(RLIMIT_FSIZE, NULL, old) != 0 || old->rlim_cur >= size) {
        return 0;
    }
    lim = (struct rlimit){old->rlim_max, old->rlim_max};
    if (old->rlim_max < size || sys_prlimit(RLIMIT_FSIZE, &lim, NULL) != 0) {
        return -EFBIG;
    }
    return 1;
}

static int grow_file(int fd, size_t size)
{
    struct rlimit old = {RLIM_INFINITY, RLIM_INFINITY};

    int lifted = lift_limit(size, &old);
    if (lifted < 0) {
        return lifted;
    }
    int err = sys_ftruncate(fd, size);
    if (lifted) {
        sys_prlimit(RLIMIT_FSIZE, &old, NULL);
    }
    return err;
}

void arena_tell_end(struct session *s)
{
    size_t size = s->arena->size;

    if (s->seen == 0) {
        VALGRIND_MAKE_MEM_NOACCESS(ARENA_BASE + size, s->mapped - size);
    } else {
        VALGRIND_MAKE_MEM_DEFINED(ARENA_BASE + s->seen, size - s->seen);
    }
    s->seen = size;
}

int arena_grow(struct session *s, size_t size)
{
    struct arena *a = s->arena;

    if (size <= a->size) {
        return 0;
    }
    if (size > a->size_max) {
        return -ENOMEM;
    }
    int err = grow_file(s->arena_fd, size);
    if (err == -EPERM) { /* sealed: longer already, by one who died before saying so */
        struct stat st = {0};
        err = sys_fstat(s->arena_fd, &st);
        size = (size_t)st.st_size;
    }
    if (!err) {
        __atomic_store_n(&a->size, size, __ATOMIC_RELEASE);
        arena_look(s);
    }
    return err;
}
