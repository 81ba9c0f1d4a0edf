/*
 * Theory: from files and pipes to a stack socket, and from one to a pipe. The kernel's pages
 * cannot be lent to a stack in user space, so bytes go through a bounce buffer of the thread,
 * read with pread: nothing is taken from the source that the socket did not take, because the
 * file's position moves only by what was sent. Chunks are joined with MSG_MORE, so that no short
 * segment lies between them.
 *
 * A pipe has no position. Its bytes are first copied with tee into a pipe of ours, offered to the
 * socket, and then taken out of the program's pipe by as much as went. The other way round the
 * socket is peeked at, and only what the pipe took is received for good. So a non-blocking splice
 * loses nothing either.
 *
 * copy_file_range, tee and vmsplice on a socket are errors in Linux, which the placeholder gives.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "preload/hook.h"
#include "preload/xfer.h"
#include "tun/sysio.h"

#define BOUNCE   ((size_t)64 << 10)
#define PIPE_ONE 4096 /* fits when a pipe polls writable */

/* ------------------------------------------------------------------ the thread's buffer */

static pthread_key_t bounce_key;

static void bounce_free(void *m)
{
    sys_munmap(m, BOUNCE);
}

static void bounce_init(void)
{
    pthread_key_create(&bounce_key, bounce_free);
}

/* NULL: no memory. */
static void *bounce(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bounce_init);
    void *m = pthread_getspecific(bounce_key);
    if (!m) {
        m = sys_mmap(NULL, BOUNCE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (sys_mmap_err(m)) {
            return NULL;
        }
        pthread_setspecific(bounce_key, m);
    }
    return m;
}

/* ------------------------------------------------------------------ sendfile */

/* How much of the file lies between `at` and its end, as Linux would send it. -EINVAL: not a file
 * one can read so. */
static long file_left(int in, off_t at, size_t count)
{
    struct stat st;
    int err = sys_fstat(in, &st);
    if (err < 0) {
        return err;
    }
    if (S_ISBLK(st.st_mode)) {
        return (long)min_size(count, XFER_MAX);
    }
    if (!S_ISREG(st.st_mode) || at < 0) {
        return -EINVAL;
    }
    size_t left = st.st_size > at ? (size_t)(st.st_size - at) : 0;
    if (st.st_size == 0) { /* files of /proc say so and are not empty */
        left = count;
    }
    return (long)min_size(min_size(count, left), XFER_MAX);
}

/* Sends [at, at + left). Bytes sent, or -errno when none were. */
static long send_range(int out, struct file *f, int in, off_t at, size_t left)
{
    void *buf = left > 0 ? bounce() : NULL;
    size_t done = 0;
    if (left > 0 && !buf) {
        return -ENOMEM;
    }
    while (done < left) {
        size_t want = min_size(left - done, BOUNCE);
        long got = sys4(SYS_pread64, in, (long)buf, (long)want, at + (off_t)done);
        if (got <= 0) {
            return done > 0 ? (long)done : got;
        }
        bool more = (size_t)got == want && done + want < left;
        long sent = my_send_buf(out, f, buf, (size_t)got, more ? MSG_MORE : 0);
        if (sent < 0) {
            return done > 0 ? (long)done : sent;
        }
        done += (size_t)sent;
        if (sent < got) {
            break;
        }
    }
    return (long)done;
}

long my_sendfile(int out, struct file *f, int in, off_t *offset, size_t count)
{
    off_t at = offset ? *offset : sys3(SYS_lseek, in, 0, SEEK_CUR);
    if (at < 0) {
        return !offset && at != -ESPIPE ? at : -EINVAL;
    }
    long left = file_left(in, at, count);
    if (left < 0) {
        return left;
    }
    long sent = send_range(out, f, in, at, (size_t)left);
    if (sent > 0 && offset) {
        *offset = at + sent;
    } else if (sent > 0) {
        sys3(SYS_lseek, in, at + sent, SEEK_SET);
    }
    return sent;
}

/* ------------------------------------------------------------------ splice */

static bool is_pipe(int fd)
{
    return sys_fcntl(fd, F_GETPIPE_SZ, 0) > 0;
}

static long splice_in(int in, int out, struct file *f, size_t len, unsigned flags)
{
    void *buf = bounce();
    int copy[2];
    if (!buf) {
        return -ENOMEM;
    }
    if (sys3(SYS_pipe2, (long)copy, O_CLOEXEC, 0) < 0) {
        return -EMFILE;
    }
    ssize_t n = tee(in, copy[1], min_size(len, BOUNCE), flags & SPLICE_F_NONBLOCK);
    long ret = n < 0 ? -errno : n;
    if (ret > 0) {
        ret = sys_read(copy[0], buf, (size_t)n);
    }
    sys_close(copy[0]);
    sys_close(copy[1]);
    if (ret <= 0) {
        return ret;
    }
    int how =
        (flags & SPLICE_F_MORE ? MSG_MORE : 0) | (flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);
    ret = my_send_buf(out, f, buf, (size_t)ret, how);
    return ret > 0 ? sys_read(in, buf, (size_t)ret) : ret;
}

static long splice_out(int in, struct file *f, int out, size_t len, unsigned flags)
{
    void *buf = bounce();
    if (!buf) {
        return -ENOMEM;
    }
    bool nonblock = flags & SPLICE_F_NONBLOCK;
    struct pollfd p = {.fd = out, .events = POLLOUT};
    if (nonblock && real.poll(&p, 1, 0) == 0) {
        return -EAGAIN;
    }
    size_t most = min_size(len, nonblock ? PIPE_ONE : BOUNCE);
    long got = my_recv_buf(in, f, buf, most, MSG_PEEK | (nonblock ? MSG_DONTWAIT : 0));
    if (got <= 0) {
        return got;
    }
    ssize_t put = real.write(out, buf, (size_t)got);
    return put < 0 ? -errno : my_recv_buf(in, f, buf, (size_t)put, MSG_DONTWAIT);
}

static long splice_ours(int in, struct file *from, const off64_t *in_off, int out, struct file *to,
                        const off64_t *out_off, size_t len, unsigned flags)
{
    pthread_testcancel();
    if (flags & ~(unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)) {
        return -EINVAL;
    }
    if (len == 0) {
        return 0;
    }
    if (!is_pipe(from ? out : in)) {
        return -EINVAL;
    }
    if (from ? in_off != NULL : out_off != NULL) {
        return -EINVAL; /* a socket has no offsets */
    }
    if (in_off || out_off) {
        return -ESPIPE;
    }
    return from ? splice_out(in, from, out, len, flags) : splice_in(in, out, to, len, flags);
}

HOOK ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t len, unsigned flags)
{
    struct file *from = hook_sock(in);
    struct file *to = hook_sock(out);
    if (!from && !to) {
        return real.splice(in, in_off, out, out_off, len, flags);
    }
    return hook_ret(splice_ours(in, from, in_off, out, to, out_off, len, flags));
}

/* ------------------------------------------------------------------ sendfile's hook */

HOOK ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    struct file *to = hook_sock(out);
    if (to) {
        pthread_testcancel();
        return hook_ret(my_sendfile(out, to, in, offset, count));
    }
    struct file *from = hook_sock(in);
    if (from && !offset && is_pipe(out)) { /* Linux: a splice */
        return hook_ret(splice_ours(in, from, NULL, out, NULL, NULL, count, 0));
    }
    return real.sendfile(out, in, offset, count); /* from a socket to anything else: EINVAL */
}
