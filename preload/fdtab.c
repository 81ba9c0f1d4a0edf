/*
 * Theory: a table of two levels, number -> struct file, read without a lock and written under one.
 *
 * The first thousand numbers have their chunk in the image, higher ones get theirs when they are
 * first used, so that the table costs what is used of it (mlockall would pin the rest). A chunk,
 * once there, stays. Places of files come from a pool that is never unmapped: a thread that read a
 * pointer just before another one closed the descriptor reads a valid struct file, perhaps of a
 * later life. Nothing here calls malloc: close and dup2 are async-signal-safe.
 *
 * A descriptor of the library is an entry too, `hidden`: a hook on a foreign descriptor pays one
 * read, whatever the question. The writers' lock is held with the program's handlers postponed
 * (signals_hold), so a handler that closes cannot meet its own thread holding it. A file's end (the
 * stack lets go of the socket) runs after the lock is released: the order is always the stack's
 * lock before the table's.
 *
 * Deliberately not here: catching closes that libc makes inside itself. Their entries go stale; a
 * number that the kernel gives out anew is cleaned by fdtab_fresh in the hook that got it, and
 * fdtab_check compares inodes where that is cheap.
 */
#include "preload/fdtab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/check.h"
#include "preload/enter.h"
#include "preload/epset.h"
#include "preload/plock.h"
#include "tun/fd.h"
#include "tun/sys.h"

#define CHUNK     1024
#define CHUNKS    (FDTAB_MAX / CHUNK)
#define POOL_SIZE (64u << 10)

static struct file *low[CHUNK];
static struct file **dir[CHUNKS] = {low};
static struct file hidden; /* stands for every descriptor of the library */

static struct plock lock;
static struct file *file_pool;
static struct opt_record *opt_pool;

/* ------------------------------------------------------------------ slots */

static struct file *slot_get(int fd)
{
    if (UNLIKELY((unsigned)fd >= FDTAB_MAX)) {
        return NULL;
    }
    struct file **chunk = __atomic_load_n(&dir[fd / CHUNK], __ATOMIC_ACQUIRE);
    return chunk ? __atomic_load_n(&chunk[fd % CHUNK], __ATOMIC_ACQUIRE) : NULL;
}

static void *map_zero(size_t size)
{
    long at =
        sys6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at < 0 ? NULL : (void *)at;
}

/* Table locked. False: the number is beyond the table, or no memory. */
static bool slot_put(int fd, struct file *f)
{
    if ((unsigned)fd >= FDTAB_MAX) {
        return false;
    }
    struct file **chunk = dir[fd / CHUNK];
    if (!chunk) {
        if (!f) {
            return true;
        }
        chunk = map_zero(CHUNK * sizeof *chunk);
        if (!chunk) {
            return false;
        }
        __atomic_store_n(&dir[fd / CHUNK], chunk, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&chunk[fd % CHUNK], f, __ATOMIC_RELEASE);
    return true;
}

struct file *fdtab_get(int fd)
{
    struct file *f = slot_get(fd);
    return UNLIKELY(f == &hidden) ? NULL : f;
}

bool fdtab_known(int fd)
{
    return slot_get(fd) != NULL;
}

static void table_lock(void)
{
    signals_hold();
    plock_take(&lock);
}

static void table_unlock(void)
{
    plock_give(&lock);
    signals_let();
}

/* ------------------------------------------------------------------ pools */

/* Table locked. */
static struct file *file_new(enum file_kind kind, uint64_t inode)
{
    if (!file_pool) {
        struct file *f = map_zero(POOL_SIZE);
        for (size_t i = 0; f && i < POOL_SIZE / sizeof *f; i++) {
            f[i].pool_next = file_pool;
            file_pool = &f[i];
        }
    }
    struct file *f = file_pool;
    if (!f) {
        return NULL;
    }
    file_pool = f->pool_next;
    uint32_t gen = f->gen + 1;
    *f = (struct file){.gen = gen, .refs = 1, .inode = inode};
    f->pair_fd = -1;
    f->twin_fd = -1;
    f->twin6_fd = -1;
    __atomic_store_n(&f->kind, (uint32_t)kind, __ATOMIC_RELEASE);
    return f;
}

static void file_put(struct file *f)
{
    table_lock();
    f->gen++;
    f->pool_next = file_pool;
    file_pool = f;
    table_unlock();
}

struct opt_record *fdtab_opt_new(void)
{
    table_lock();
    if (!opt_pool) {
        struct opt_record *o = map_zero(POOL_SIZE);
        for (size_t i = 0; o && i < POOL_SIZE / sizeof *o; i++) {
            o[i].next = opt_pool;
            opt_pool = &o[i];
        }
    }
    struct opt_record *o = opt_pool;
    if (o) {
        opt_pool = o->next;
        memset(o, 0, sizeof *o);
    }
    table_unlock();
    return o;
}

void fdtab_opt_free(struct opt_record *list)
{
    if (!list) {
        return;
    }
    table_lock();
    while (list) {
        struct opt_record *next = list->next;
        list->next = opt_pool;
        opt_pool = list;
        list = next;
    }
    table_unlock();
}

/* ---------------------------------------------------------------- a file's end */

static void sock_let_go(const struct sock_ref *ref)
{
    struct env *env = enter_if_member();
    if (!env) {
        return;
    }
    if (sock_ref_ok(ref)) {
        sock_release(the_stack(), env, ref->s, env->member);
    }
    leave(env);
}

static void file_end(struct file *f)
{
    enum file_kind kind = f->kind;
    struct sock_ref ref = f->sock;
    CHECK(!self.held || self.depth == 0); /* the stack's lock comes first */
    if (kind == FILE_SOCK) {
        epset_forget_sock(f);
    }
    __atomic_store_n(&f->kind, FILE_NONE, __ATOMIC_RELEASE);
    if (kind == FILE_EPOLL) {
        epset_close(f);
    }
    if (kind == FILE_SOCK) {
        sock_let_go(&ref);
    }
    fd_close(f->twin_fd);
    fd_close(f->twin6_fd);
    fd_close(f->pair_fd);
    fdtab_opt_free(f->opts);
    file_put(f);
}

/* Takes the entry out; at the last reference *last is the file to end. Table locked. */
static bool slot_take(int fd, struct file **last)
{
    struct file *f = slot_get(fd);
    *last = NULL;
    if (!f || f == &hidden) {
        return false;
    }
    slot_put(fd, NULL);
    if (--f->refs == 0) {
        *last = f;
    }
    return true;
}

bool fdtab_drop(int fd)
{
    struct file *last;
    if (!fdtab_get(fd)) {
        return false;
    }
    table_lock();
    bool ours = slot_take(fd, &last);
    table_unlock();
    if (last) {
        file_end(last);
    }
    return ours;
}

void fdtab_fresh(int fd)
{
    struct file *f = slot_get(fd);
    if (LIKELY(!f)) {
        return;
    }
    if (f == &hidden) {
        fdtab_unhide(fd);
    } else {
        fdtab_drop(fd);
    }
}

/* ---------------------------------------------------------------- entries */

/* The inode behind a descriptor; 0 when it is closed. */
static uint64_t inode_of(int fd)
{
    struct stat st = {0};
    sys3(SYS_fstat, fd, (long)&st, 0);
    return st.st_ino;
}

/* A new file at fd, whole before anybody can see it. NULL: no memory, or the number is beyond the
 * table. */
static struct file *entry_new(int fd, enum file_kind kind, uint64_t inode,
                              const struct sock_ref *ref)
{
    fdtab_fresh(fd);
    table_lock();
    struct file *f = file_new(kind, inode);
    if (f && ref) {
        f->sock = *ref;
    }
    if (f && !slot_put(fd, f)) {
        f->pool_next = file_pool;
        file_pool = f;
        f = NULL;
    }
    table_unlock();
    return f;
}

int fdtab_new_sock(struct sock *s, int type)
{
    struct sock_ref ref = sock_ref(s);
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
    int fd = (int)sys3(SYS_socket, AF_UNIX, SOCK_STREAM | flags, 0);
    if (fd < 0) {
        return fd;
    }
    struct file *f = entry_new(fd, FILE_SOCK, inode_of(fd), &ref);
    if (!f) {
        sys3(SYS_close, fd, 0, 0);
        return -ENOMEM;
    }
    s->inode = f->inode;
    return fd;
}

struct file *fdtab_adopt(int fd, enum file_kind kind)
{
    return entry_new(fd, kind, inode_of(fd), NULL);
}

void fdtab_dup(int oldfd, int newfd)
{
    fdtab_fresh(newfd);
    table_lock();
    struct file *f = fdtab_get(oldfd);
    if (f && slot_put(newfd, f)) {
        f->refs++;
    }
    table_unlock();
}

bool fdtab_check(int fd)
{
    struct file *f = fdtab_get(fd);
    if (!f) {
        return false;
    }
    uint64_t inode = f->inode;
    if (inode_of(fd) == inode) {
        return true;
    }
    fdtab_drop(fd);
    return false;
}

void fdtab_each(void (*fn)(int fd, struct file *f, void *arg), void *arg)
{
    for (int i = 0; i < CHUNKS; i++) {
        if (!__atomic_load_n(&dir[i], __ATOMIC_ACQUIRE)) {
            continue;
        }
        for (int fd = i * CHUNK; fd < (i + 1) * CHUNK; fd++) {
            struct file *f = fdtab_get(fd);
            if (f) {
                fn(fd, f, arg);
            }
        }
    }
}

struct by_inode {
    uint64_t inode;
    struct file *f;
    int fd;
};

static void compare_inode(int fd, struct file *f, void *arg)
{
    struct by_inode *want = arg;
    if (f->inode == want->inode) {
        want->f = f;
        want->fd = fd;
    }
}

struct file *fdtab_by_inode(uint64_t inode)
{
    struct by_inode want = {.inode = inode};
    fdtab_each(compare_inode, &want);
    return want.f;
}

/* ---------------------------------------------------------------- descriptors from outside */

/* Entered. A socket nobody holds is closing: its placeholder's inode may be another file's by now.
 */
static struct sock *sock_by_inode(uint64_t inode)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct sock *s = NULL;
        while ((s = mem_obj_next(the_stack()->mem, kinds[i], s))) {
            if (s->inode == inode && !s->orphan) {
                return s;
            }
        }
    }
    return NULL;
}

/* Walking all sockets is only worth it for what may be a placeholder. */
static bool may_be_placeholder(int fd)
{
    int domain = 0;
    int type = 0;
    socklen_t len = sizeof domain;
    return sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&domain, (long)&len, 0) == 0 &&
           sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type, (long)&len, 0) == 0 &&
           domain == AF_UNIX && type == SOCK_STREAM;
}

struct file *fdtab_received(int fd)
{
    fdtab_fresh(fd);
    if (!enter_session_env() || !may_be_placeholder(fd) || !enter_join()) {
        return NULL;
    }
    struct by_inode want = {.inode = inode_of(fd)};
    fdtab_each(compare_inode, &want);
    if (want.f) {
        fdtab_dup(want.fd, fd);
        return fdtab_get(fd);
    }
    struct env *env = enter_if_member();
    if (!env) {
        return NULL;
    }
    struct sock *s = sock_by_inode(want.inode);
    struct sock_ref ref = {0};
    if (s) {
        sock_hold(s, env->member);
        ref = sock_ref(s);
    }
    leave(env);
    struct file *f = s ? entry_new(fd, FILE_SOCK, want.inode, &ref) : NULL;
    if (f) {
        f->decided = true; /* others hold it too: it stays where it is */
        f->why = FILE_WHY_STACK;
    } else if (s) {
        sock_let_go(&ref);
    }
    return f;
}

bool fdtab_shared(const struct sock *s, uint32_t me)
{
    uint64_t others = 0;
    for (size_t i = 0; i < ARRAY_LEN(s->members.w); i++) {
        uint64_t mine = me / 64 == i ? 1ull << me % 64 : 0;
        others |= s->members.w[i] & ~mine;
    }
    return others != 0;
}

/* ---------------------------------------------------------------- descriptors of the library */

void fdtab_hide(int fd)
{
    if (fd < 0) {
        return;
    }
    fdtab_fresh(fd);
    table_lock();
    slot_put(fd, &hidden);
    table_unlock();
}

void fdtab_unhide(int fd)
{
    table_lock();
    if (slot_get(fd) == &hidden) {
        slot_put(fd, NULL);
    }
    table_unlock();
}

bool fdtab_hidden(int fd)
{
    return slot_get(fd) == &hidden;
}

int fdtab_next_hidden(int from)
{
    for (int fd = from < 0 ? 0 : from; fd < FDTAB_MAX; fd++) {
        if (!__atomic_load_n(&dir[fd / CHUNK], __ATOMIC_ACQUIRE)) {
            fd |= CHUNK - 1;
        } else if (fdtab_hidden(fd)) {
            return fd;
        }
    }
    return -1;
}

/* ---------------------------------------------------------------- fork */

void fdtab_fork_prepare(void)
{
    table_lock();
}

void fdtab_fork_done(void)
{
    table_unlock();
}
