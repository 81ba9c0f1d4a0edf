/*
 * Theory: stdio on a stack socket. libc reads and writes a FILE's descriptor inside itself, where
 * no hook is met, and would find the placeholder. So fdopen of a stack socket makes a custom stream
 * (fopencookie) whose read, write and close are the hooks, with the descriptor's number put back
 * where fileno looks for it. dprintf formats into memory and writes.
 *
 * The standard streams become such streams when a socket of ours arrives at their number, by exec
 * or by dup2: what a program writes with printf from then on goes to the socket. They stay so; the
 * hooks pass through for anything else.
 *
 * A socket that is not ours gets libc's own stream. One that is handed to the kernel later keeps
 * the custom one, whose hooks then pass through.
 */
#include "preload/hook.h"
#include "preload/real.h"

#include <stdlib.h>
#include <string.h>

#include "preload/stdio.h"

static ssize_t stream_read(void *cookie, char *buf, size_t len)
{
    return read((int)(intptr_t)cookie, buf, len);
}

/* A stream's write returns 0 for an error, and writes all it can. */
static ssize_t stream_write(void *cookie, const char *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write((int)(intptr_t)cookie, buf + done, len - done);
        if (n < 0) {
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int stream_close(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

HOOK FILE *fdopen(int fd, const char *mode)
{
    if (LIKELY(!hook_sock(fd))) {
        return real.fdopen(fd, mode);
    }
    if (!fdtab_check(fd)) {
        return real.fdopen(fd, mode);
    }
    static const cookie_io_functions_t io = {
        .read = stream_read,
        .write = stream_write,
        .close = stream_close,
    };
    FILE *fp = fopencookie((void *)(intptr_t)fd, mode, io);
    if (!fp) {
        return NULL;
    }
    if (strchr(mode, 'e')) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    fp->_fileno = fd;
    return fp;
}

/* What was printed and not written yet belongs to what the number means now. */
static void move_output(FILE *from, FILE *to)
{
    fwrite(from->_IO_write_base, 1, (size_t)(from->_IO_write_ptr - from->_IO_write_base), to);
    from->_IO_write_ptr = from->_IO_write_base;
}

void stdio_arrived(int fd)
{
    static FILE *ours[3];
    if ((unsigned)fd > STDERR_FILENO || !hook_sock(fd)) {
        return;
    }
    FILE **place = fd == STDIN_FILENO ? &stdin : fd == STDOUT_FILENO ? &stdout : &stderr;
    FILE *was = *place;
    if (was == ours[fd] || was->_IO_read_ptr != was->_IO_read_end) {
        return; /* input that was read already is not lost */
    }
    int saved = errno;
    FILE *fp = fdopen(fd, fd == STDIN_FILENO ? "r" : "w");
    if (fp) {
        if (fd == STDERR_FILENO) {
            setvbuf(fp, NULL, _IONBF, 0);
        }
        if (fd != STDIN_FILENO) {
            move_output(was, fp);
        }
        ours[fd] = fp;
        *place = fp;
    }
    errno = saved;
}

HOOK int vdprintf(int fd, const char *format, va_list ap)
{
    if (LIKELY(!hook_sock(fd))) {
        return real.vdprintf(fd, format, ap);
    }
    char *text;
    int len = vasprintf(&text, format, ap);
    if (len < 0) {
        return -1;
    }
    ssize_t done = stream_write((void *)(intptr_t)fd, text, (size_t)len);
    free(text);
    return done == len ? len : -1;
}

HOOK int dprintf(int fd, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int ret = vdprintf(fd, format, ap);
    va_end(ap);
    return ret;
}

/* libc refuses %n in writable memory under flag > 0; on a socket of ours that check is missing. */
HOOK int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
    return hook_sock(fd) ? vdprintf(fd, format, ap) : real.__vdprintf_chk(fd, flag, format, ap);
}

HOOK int __dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int ret = __vdprintf_chk(fd, flag, format, ap);
    va_end(ap);
    return ret;
}
