/*
 * fd.c - theory of operation: our descriptors must not stand in a program's way.
 *
 * A program expects its next descriptor to be the lowest free one, and programs with select abort
 * at 1024. So ours are moved to 1024 and above. Where the soft limit forbids that (1024 is what
 * most shells have) they go right below it. Each one is announced to session_fd_hook, so that the
 * library can hide it.
 */
#include "tun/fd.h"

#include <errno.h>
#include <string.h>

#include "core/check.h"
#include "tun/sysio.h"

#define FD_ROOM 64 /* places below a low soft limit */

void (*session_fd_hook)(int fd, bool hide);

/* The lowest number a descriptor of ours may have. */
static int fd_floor(void)
{
    struct rlimit lim = {0};
    if (sys_prlimit(RLIMIT_NOFILE, NULL, &lim) != 0 || lim.rlim_cur > STANDIN_FD_BASE + FD_ROOM) {
        return STANDIN_FD_BASE;
    }
    if (lim.rlim_cur > 4 * FD_ROOM) {
        return (int)lim.rlim_cur - FD_ROOM;
    }
    return (int)(lim.rlim_cur - lim.rlim_cur / 4);
}

int fd_high(int fd)
{
    int to = sys_fcntl(fd, F_DUPFD_CLOEXEC, fd_floor());
    if (to < 0) {
        sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd;
    }
    sys_close(fd);
    return to;
}

int fd_ours(int fd)
{
    if (fd < 0) {
        return fd;
    }
    fd = fd_high(fd);
    if (session_fd_hook) {
        session_fd_hook(fd, true);
    }
    return fd;
}

void fd_close(int fd)
{
    if (fd < 0) {
        return;
    }
    sys_close(fd);
    if (session_fd_hook) {
        session_fd_hook(fd, false);
    }
}

/* Passing */

union fd_control {
    struct cmsghdr head;
    char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
};

int fd_send(int sock, const void *msg, size_t len, const int *fds, size_t n)
{
    union fd_control control;
    struct iovec v = {(void *)(uintptr_t)msg, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    CHECK(n <= FD_PASS_MAX);
    if (n) {
        memset(&control, 0, sizeof control);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof *fds);
        memcpy(CMSG_DATA(&control.head), fds, n * sizeof *fds);
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n * sizeof *fds);
    }
    long ret;
    do {
        ret = sys_sendmsg(sock, &m, MSG_NOSIGNAL);
    } while (ret == -EINTR);
    return ret < 0 ? (int)ret : (size_t)ret == len ? 0 : -EMSGSIZE;
}

long fd_recv(int sock, void *msg, size_t len, int fds[FD_PASS_MAX])
{
    union fd_control control = {0};
    struct iovec v = {msg, len};
    struct msghdr m = {
        .msg_iov = &v,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    long ret;

    memset(msg, 0, len);
    memset(fds, 0xff, FD_PASS_MAX * sizeof *fds);
    do {
        ret = sys_recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    } while (ret == -EINTR);
    if (ret < 0) {
        return ret;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        memcpy(fds, CMSG_DATA(c), min_size(c->cmsg_len - CMSG_LEN(0), FD_PASS_MAX * sizeof *fds));
    }
    return ret;
}

static size_t put_text(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room);
    memcpy(to, text, n);
    return n;
}

size_t fd_abstract(struct sockaddr_un *out, const char *name, uint32_t number)
{
    size_t n;

    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    n = 1 + put_text(out->sun_path + 1, SESSION_NAME, name[0] == '@' ? name + 1 : name);
    if (number) {
        out->sun_path[n++] = '-';
        for (int shift = 28; shift >= 0; shift -= 4) {
            out->sun_path[n++] = "0123456789abcdef"[number >> shift & 15];
        }
    }
    return offsetof(struct sockaddr_un, sun_path) + n;
}
