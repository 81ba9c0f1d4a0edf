/*
 * Theory: across exec the kernel keeps descriptors that are not close-on-exec, and the process, but
 * nothing of ours. The list in STANDIN_FDS says which of them are stack sockets. The new image
 * believes none of it before the descriptor's inode is that of a socket in the arena; a spawn's
 * file actions may have moved them, so a number that does not fit is searched for.
 *
 * Members are processes, so the new image is the old member. What it held and does not have any
 * more (close-on-exec) is let go of: most of it before the exec, where another process holds it as
 * well and a failed exec can take it again. The rest is let go of by the new image. For that the
 * list is written even when it is empty.
 *
 * The child of a vfork is no member, but the program it becomes will be, and its parent may close
 * its own descriptors as soon as exec has happened. So a place is made for it, as fork makes one,
 * that holds what the new program will have: by the child itself just before exec, or around
 * posix_spawn by the parent, which learns the child's number afterwards. (system and popen tell no
 * number; there the caller has to keep its descriptor until the command has started.)
 */
#include "preload/adopt.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "preload/config.h"
#include "preload/enter.h"
#include "preload/fdtab.h"
#include "preload/log.h"
#include "preload/stdio.h"
#include "tun/sys.h"

#define NAME    "STANDIN_FDS="
#define ITEM    40   /* "fd:inode," at most */
#define SEARCH  1024 /* numbers looked at for a descriptor that was moved */
#define COPIES  64   /* numbers looked at for one that a vfork child copied */
#define FDS_MAX 512

static uint64_t inode_at(int fd)
{
    struct stat st = {0}; /* closed: 0, which is nobody's */
    sys3(SYS_fstat, fd, (long)&st, 0);
    return st.st_ino;
}

/* ------------------------------------------------------------------ before exec */

struct list {
    char *out;
    size_t used;
    size_t room;
    size_t n;
    bool alone; /* a close-on-exec socket that only we hold */
};

static void put_number(struct list *l, uint64_t v, char end)
{
    char digits[24];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n) {
        l->out[l->used++] = digits[--n];
    }
    l->out[l->used++] = end;
}

static bool closes_on_exec(int fd)
{
    long flags = sys3(SYS_fcntl, fd, F_GETFD, 0);
    return flags < 0 || (flags & FD_CLOEXEC);
}

/* A stack socket that the next program will have. */
static bool survives(int fd, const struct file *f)
{
    return f->kind == FILE_SOCK && !closes_on_exec(fd) && inode_at(fd) == f->inode;
}

/* Calls fn for each descriptor that may survive. What a vfork child copied is not in the table,
 * which is its parent's: there the low numbers are looked at themselves. */
static void each(void (*fn)(int fd, struct file *f, void *arg), void *arg)
{
    fdtab_each(fn, arg);
    for (int fd = 0; self.vfork_child && fd < COPIES; fd++) {
        struct stat st = {0};
        struct file *f = NULL;
        if (sys3(SYS_fstat, fd, (long)&st, 0) == 0 && S_ISSOCK(st.st_mode)) {
            f = fdtab_by_inode(st.st_ino);
        }
        if (f && fdtab_get(fd) != f) {
            fn(fd, f, arg);
        }
    }
}

static void list_one(int fd, struct file *f, void *arg)
{
    struct list *l = arg;
    if (!survives(fd, f)) {
        l->alone |= f->kind == FILE_SOCK && sock_ref_ok(&f->sock) &&
                    !fdtab_shared(f->sock.s, the_session.me);
        return;
    }
    if (l->used + ITEM > l->room) {
        l->n = FDS_MAX + 1;
        return;
    }
    put_number(l, (uint64_t)fd, ':');
    put_number(l, f->inode, ',');
    l->n++;
}

size_t adopt_list(char *out, size_t room, bool exec)
{
    struct list l = {.out = out, .used = sizeof NAME - 1, .room = room - 1};
    if (!entered_before()) {
        return 0;
    }
    memcpy(out, NAME, sizeof NAME - 1);
    each(list_one, &l);
    if (l.n > FDS_MAX || (l.n == 0 && !(exec && l.alone && !hooks_off()))) {
        return 0;
    }
    out[l.used] = '\0';
    return l.used;
}

static void let_go(int fd, struct file *f, void *arg)
{
    struct env *env = arg;
    if (f->kind == FILE_SOCK && closes_on_exec(fd) && sock_ref_ok(&f->sock) &&
        fdtab_shared(f->sock.s, env->member)) {
        sock_release(the_stack(), env, f->sock.s, env->member);
        f->let_go = true;
    }
}

static void take_again(int fd, struct file *f, void *arg)
{
    struct env *env = arg;
    (void)fd;
    if (f->let_go && sock_ref_ok(&f->sock)) {
        sock_hold(f->sock.s, env->member);
    }
    f->let_go = false;
}

static void hold_survivor(int fd, struct file *f, void *arg)
{
    const uint32_t *place = arg;
    if (survives(fd, f) && sock_ref_ok(&f->sock)) {
        sock_hold(f->sock.s, *place);
    }
}

/* Takes the lock and makes a place that holds what the new program will have; in self.forking. */
static void place_make(struct env *env)
{
    signals_hold();
    session_fork_prepare(&the_session, env);
    self.forking = the_session.forking;
    if (self.forking) {
        sock_release_all(the_stack(), env, self.forking);
        each(hold_survivor, &self.forking);
    }
}

/* Releases the lock; child: the process it is for, or < 0: there is none. */
static void place_give(struct env *env, pid_t child)
{
    the_session.forking = self.forking;
    session_fork_parent(&the_session, env, child);
    signals_let();
}

void adopt_spawn_begin(void)
{
    place_make(&self.env);
    session_unlock(&the_session, &self.env);
    signals_let();
}

void adopt_spawn_done(pid_t child)
{
    signals_hold();
    session_lock(&the_session, &self.env);
    place_give(&self.env, child);
}

void adopt_exec_begin(bool hands)
{
    if (self.vfork_child && hands) {
        place_make(&self.env);
        place_give(&self.env, (pid_t)sys3(SYS_getpid, 0, 0, 0));
        return;
    }
    struct env *env = hooks_off() ? NULL : enter_if_member();
    if (env) {
        fdtab_each(let_go, env);
        leave(env);
    }
}

void adopt_exec_failed(bool hands)
{
    bool place = self.vfork_child && hands;
    struct env *env = hooks_off() && !place ? NULL : enter_if_member();
    if (!env) {
        return;
    }
    if (place) {
        sock_release_all(the_stack(), env,
                         self.forking); /* the keeper clears it when the child ends */
    } else {
        fdtab_each(take_again, env);
    }
    leave(env);
}

/* ------------------------------------------------------------------ after exec */

/* The program shall not see the list, nor hand it on. */
static void hide_variable(void)
{
    char **to = environ;
    for (char **from = environ; from && *from; from++) {
        if (strncmp(*from, NAME, sizeof NAME - 1) != 0) {
            *to++ = *from;
        }
    }
    if (to) {
        *to = NULL;
    }
}

/* A dup of one socket appears under several numbers; the search adopts all it finds. */
static void search(uint64_t inode)
{
    for (int fd = 0; fd < SEARCH; fd++) {
        if (!fdtab_known(fd) && inode_at(fd) == inode) {
            fdtab_received(fd);
        }
    }
}

static void adopt_items(const char *text)
{
    while (*text) {
        char *end;
        long fd = strtol(text, &end, 10);
        if (*end != ':') {
            return;
        }
        uint64_t inode = strtoull(end + 1, &end, 10);
        if (*end != ',') {
            return;
        }
        if (fd < 0 || fd >= FDTAB_MAX || inode_at((int)fd) != inode || !fdtab_received((int)fd)) {
            search(inode);
        }
        text = end + 1;
    }
}

static void find_held(int fd, struct file *f, void *arg)
{
    (void)fd;
    struct sock **s = arg;
    if (f->kind == FILE_SOCK && f->sock.s == *s) {
        *s = NULL;
    }
}

/* What this member holds from before the exec and has no descriptor for. */
void adopt_release_rest(void)
{
    static const enum mem_kind kinds[] = {MEM_TCP, MEM_UDP};
    struct env *env = enter_if_member();
    if (!env) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct sock *s = NULL;
        while ((s = mem_obj_next(the_stack()->mem, kinds[i], s))) {
            struct sock *without = s;
            if (sock_held_by(s, env->member)) {
                fdtab_each(find_held, &without);
                if (without) {
                    sock_release(the_stack(), env, s, env->member);
                }
            }
        }
    }
    leave(env);
}

void adopt_inherited(void)
{
    if (!config.entry[CONFIG_FDS] || !*config.text[CONFIG_SESSION]) {
        return;
    }
    hide_variable();
    if (!enter_join()) {
        LOG(LOG_WARN, "sockets of the program before exec are lost: %s", enter_why());
        return;
    }
    adopt_items(config.text[CONFIG_FDS]);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        stdio_arrived(fd);
    }
    adopt_release_rest();
    config.entry[CONFIG_FDS] = NULL;
}
