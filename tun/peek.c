/*
 * peek.c - theory of operation.
 *
 * A session's name is an abstract socket that listens, so /proc/net/unix lists them all. One hello
 * (HELLO_OBSERVE) brings a descriptor of the arena that cannot write. From then on the arena is a
 * file: an address in it is an offset, and what lies behind its end is an error of pread, not a
 * signal.
 */
#include "tun/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tun/client.h"
#include "tun/sysio.h"

#define PREFIX     "@standin-"
#define NAME_HEX   16 /* what follows it in a session's name */
#define CHUNK      4096u
#define ACCEPTS    "00010000" /* the flag of a socket that listens */
#define FLAG_FIELD 3

/* Finding */

static bool is_session(const char *name)
{
    size_t n = strlen(PREFIX);
    return strncmp(name, PREFIX, n) == 0 && strlen(name) == n + NAME_HEX &&
           strspn(name + n, "0123456789abcdef") == NAME_HEX;
}

/* "Num: RefCount Protocol Flags Type St Inode Path" */
static const char *session_in(char *line)
{
    char *save = NULL, *last = NULL;
    unsigned field = 0;
    bool listens = false;
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save), field++) {
        listens = listens || (field == FLAG_FIELD && strcmp(w, ACCEPTS) == 0);
        last = w;
    }
    return last && listens && is_session(last) ? last : NULL;
}

unsigned peek_list(char (*names)[SESSION_NAME], unsigned max)
{
    char buf[CHUNK + 1];
    size_t have = 0;
    long got;
    unsigned n = 0;
    int fd = sys_open("/proc/thread-self/net/unix", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && (got = sys_read(fd, buf + have, CHUNK - have)) > 0) {
        have += (size_t)got;
        buf[have] = 0;
        char *at = buf, *end;
        while ((end = strchr(at, '\n')) != NULL) {
            *end = 0;
            const char *name = session_in(at);
            if (name && n++ < max) {
                memset(names[n - 1], 0, SESSION_NAME);
                memcpy(names[n - 1], name, strlen(name));
            }
            at = end + 1;
        }
        have = strlen(at);
        memmove(buf, at, have);
        have = have == CHUNK ? 0 : have; /* a path as long as that is not a session's */
    }
    sys_close(fd);
    return n;
}

/* Reading */

bool peek_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
    const struct peek *p = ctx;
    uint8_t *to = buf;

    if (addr < ARENA_BASE || addr - ARENA_BASE > ARENA_MAX) {
        return false;
    }
    uint64_t at = addr - ARENA_BASE;
    while (len) {
        long n = sys_pread(p->fd, to, len, at);
        if (n <= 0) {
            return false;
        }
        to += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* What lies in the arena's head is believed only within bounds. */
static void tidy(struct arena *a)
{
    a->build_id[sizeof a->build_id - 1] = 0;
    a->name[sizeof a->name - 1] = 0;
    memset(a->token, 0, sizeof a->token); /* it opens the session: not for those who look */
    a->cfg.ifname[sizeof a->cfg.ifname - 1] = 0;
    a->cfg.naddr = min_u32(a->cfg.naddr, STACK_ADDRS_MAX);
    a->cfg.npeer = min_u32(a->cfg.npeer, ARRAY_LEN(a->cfg.peer));
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        struct member *m = &a->member[i];
        m->comm[sizeof m->comm - 1] = 0;
        m->state = m->state <= MEMBER_DEAD ? m->state : MEMBER_FREE;
    }
}

bool peek_refresh(struct peek *p)
{
    struct arena *a = p->arena;
    if (!peek_read(p, ARENA_BASE, a, sizeof *a) || a->magic != ARENA_MAGIC) {
        return false;
    }
    tidy(a);
    if (!view_open(&p->view, peek_read, p, (uint64_t)(uintptr_t)a->stack)) {
        return false;
    }
    p->view.now = session_now();
    return true;
}

bool peek_ended(const struct peek *p)
{
    char byte;
    long n = sys_recv(p->keeper_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR);
}

uint32_t peek_member(const struct peek *p, int32_t pid)
{
    for (uint32_t i = MEMBER_KEEPER + 1; i < MEMBERS_MAX; i++) {
        const struct member *m = &p->arena->member[i];
        if (m->pid == pid && m->state == MEMBER_LIVE) {
            return i;
        }
    }
    return 0;
}

/* Opening */

static struct session_result fail(struct peek *p, int code, const char *step)
{
    bool gone = code == -ECONNREFUSED || code == -ECONNRESET || code == -EPIPE || code == -EAGAIN;
    peek_close(p);
    return client_fail(gone ? SESSION_DEAD : code, code < 0 ? -code : 0, step);
}

struct session_result peek_open(struct peek *p, const char *name, const char *token)
{
    struct welcome w = {0};
    int fds[FD_PASS_MAX];

    p->fd = -1;
    p->arena = NULL;
    p->keeper_fd = client_dial(name);
    if (p->keeper_fd < 0) {
        return fail(p, p->keeper_fd, "connect to the session");
    }
    int err = client_hello(p->keeper_fd, HELLO_OBSERVE, 0, token, &w, fds);
    if (err) {
        return fail(p, err, "look at the session");
    }
    p->fd = fds[WELCOME_ARENA];
    p->arena = calloc(1, sizeof *p->arena);
    if (p->fd < 0 || !p->arena) {
        return fail(p, -ENOMEM, "get the session's memory");
    }
    if (!peek_refresh(p)) {
        return fail(p, SESSION_DEAD, "read the session's memory");
    }
    struct session_result r = {.code = SESSION_OK};
    strncpy(r.name, name, sizeof r.name - 1);
    return r;
}

void peek_close(struct peek *p)
{
    if (p->fd >= 0) {
        sys_close(p->fd);
    }
    if (p->keeper_fd >= 0) {
        sys_close(p->keeper_fd);
    }
    free(p->arena);
    p->arena = NULL;
    p->fd = p->keeper_fd = -1;
}
