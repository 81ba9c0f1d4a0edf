/*
 * The table of calls, and the life of one: prepared, started; if it blocks, it has to be because
 * the script says so ("0...0.1 read(...)"), or else time passes until it comes back; checked; and
 * what it tells of connections is noted.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

#define FOR_EVER (24 * 3600 * SEC)

/* --- sockets --- */

static bool prepare_socket(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *domain = args;
    p->c.u.socket.domain = r->cfg.ip == IP_V4 ? AF_INET : AF_INET6;
    if (domain->kind != EXPR_DOTS && !arg_int(r, args, 0, &p->c.u.socket.domain)) {
        return false;
    }
    if (!arg_int(r, args, 1, &p->c.u.socket.type) || !arg_int(r, args, 2, &p->c.u.socket.proto)) {
        return false;
    }
    return true;
}

static bool prepare_addr(struct run *r, struct pending *p, const struct expr *args,
                         const struct addr *ip, uint16_t port)
{
    int64_t len;
    const struct expr *e = expr_at(args, 2);
    if (!arg_address(r, p, expr_at(args, 1), ip, port)) {
        return false;
    }
    p->c.u.addr.sa = arg_is_null(expr_at(args, 1)) ? NULL : (struct sockaddr *)&p->addr;
    p->c.u.addr.len = expr_num(e, &len) ? (socklen_t)len : p->addr_len;
    return true;
}

static bool prepare_bind(struct run *r, struct pending *p, const struct expr *args)
{
    return prepare_addr(r, p, args, &r->cfg.local, r->cfg.bind_port);
}

static bool prepare_connect(struct run *r, struct pending *p, const struct expr *args)
{
    return prepare_addr(r, p, args, &r->cfg.remote, r->cfg.connect_port);
}

static bool prepare_accept(struct run *r, struct pending *p, const struct expr *args)
{
    p->addr_len = sizeof p->addr;
    p->c.u.name.sa = (struct sockaddr *)&p->addr;
    p->c.u.name.len = &p->addr_len;
    return !expr_at(args, 3) || arg_int(r, args, 3, &p->c.u.name.flags);
}

static bool prepare_n(struct run *r, struct pending *p, const struct expr *args)
{
    return arg_int(r, args, 1, &p->c.u.n);
}

/* --- bytes --- */

static bool prepare_plain(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t len = 0;
    p->c.u.io.plain = true;
    return arg_num(r, args, 2, &len) && msg_prepare_plain(r, p, expr_at(args, 1), len);
}

static bool prepare_vector(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t n = 0;
    p->c.u.io.plain = true;
    return arg_num(r, args, 2, &n) && msg_prepare_iov(r, p, expr_at(args, 1), n);
}

static bool prepare_flags(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t len = 0;
    return arg_num(r, args, 2, &len) && arg_int(r, args, 3, &p->c.u.io.flags) &&
           msg_prepare_plain(r, p, expr_at(args, 1), len);
}

static bool prepare_sendto(struct run *r, struct pending *p, const struct expr *args)
{
    if (!prepare_flags(r, p, args) ||
        !arg_address(r, p, expr_at(args, 4), &r->cfg.remote, r->cfg.connect_port)) {
        return false;
    }
    if (p->addr_len) {
        p->msg.msg_name = &p->addr;
        p->msg.msg_namelen = p->addr_len;
    }
    return true;
}

static bool prepare_recvfrom(struct run *r, struct pending *p, const struct expr *args)
{
    p->msg.msg_name = &p->addr;
    p->msg.msg_namelen = sizeof p->addr;
    return prepare_flags(r, p, args);
}

static bool prepare_msg(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *name = expr_field(expr_at(args, 1), "msg_name");
    if (!msg_prepare(r, p, expr_at(args, 1)) || !arg_int(r, args, 2, &p->c.u.io.flags)) {
        return false;
    }
    if (p->kind->op == VK_SEND && p->c.u.io.flags & MSG_FASTOPEN && name &&
        name->kind == EXPR_DOTS) {
        p->msg.msg_name = &p->addr;
        bool ok = arg_address(r, p, name, &r->cfg.remote, r->cfg.connect_port);
        p->msg.msg_namelen = p->addr_len;
        return ok;
    }
    return true;
}

static bool check_msg(struct run *r, struct pending *p, const struct expr *args)
{
    return msg_check(r, p, expr_at(args, 1));
}

/* --- the rest --- */

static bool prepare_fcntl(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t arg = 0;
    bool ok =
        arg_int(r, args, 1, &p->c.u.fcntl.cmd) && (!expr_at(args, 2) || arg_num(r, args, 2, &arg));
    p->c.u.fcntl.arg = (long)arg;
    return ok;
}

static bool prepare_ioctl(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t request = 0, value = 0;
    const struct expr *e = expr_at(args, 2);
    if (!arg_num(r, args, 1, &request)) {
        return false;
    }
    if (e && e->kind == EXPR_LIST) {
        expr_num(e->item, &value);
    }
    p->pair[0] = (int)value;
    p->c.u.ioctl.request = (unsigned long)request;
    p->c.u.ioctl.arg = arg_is_null(e) ? NULL : &p->pair[0];
    return true;
}

static bool check_ioctl(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t want;
    const struct expr *e = expr_at(args, 2);
    if (p->c.ret < 0 || !e || e->kind != EXPR_LIST || !expr_num(e->item, &want)) {
        return true;
    }
    return !arg_differs(r, "value", want, p->pair[0]);
}

static bool prepare_epoll(struct run *r, struct pending *p, const struct expr *args)
{
    int size;
    (void)p;
    return arg_int(r, args, 0, &size); /* a hint that Linux ignores */
}

static bool prepare_pipe(struct run *r, struct pending *p, const struct expr *args)
{
    (void)r;
    (void)args;
    p->c.u.pipe = p->pair;
    return true;
}

static void map_fd(struct run *r, int script, int live)
{
    struct fd_pair *fds = realloc(r->fds, (r->nfds + 1) * sizeof *fds);
    if (!fds) {
        abort();
    }
    r->fds = fds;
    r->fds[r->nfds++] = (struct fd_pair){script, live};
}

static bool check_pipe(struct run *r, struct pending *p, const struct expr *args)
{
    for (unsigned i = 0; i < 2; i++) {
        int64_t fd;
        if (args->kind != EXPR_LIST || !expr_num(expr_at(args->item, i), &fd)) {
            return run_fail(r, "pipe needs [N, M]");
        }
        map_fd(r, (int)fd, p->pair[i]);
    }
    return true;
}

static bool prepare_splice(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t n = 0;
    bool ok = arg_fd(r, expr_at(args, 2), &p->c.u.move.fd) && arg_num(r, args, 4, &n) &&
              arg_int(r, args, 5, &p->c.u.move.flags);
    p->c.u.move.n = (size_t)n;
    return ok;
}

static bool prepare_sendfile(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t n = 0;
    const struct expr *at = expr_at(args, 2);
    if (!arg_fd(r, expr_at(args, 1), &p->c.u.move.fd) || !arg_num(r, args, 3, &n)) {
        return false;
    }
    if (at && at->kind == EXPR_LIST) {
        expr_num(at->item, &p->offset);
        p->c.u.move.at = &p->offset;
    }
    p->c.u.move.n = (size_t)n;
    return true;
}

static bool prepare_open(struct run *r, struct pending *p, const struct expr *args)
{
    if (args->kind != EXPR_STR) {
        return run_fail(r, "open needs a path");
    }
    p->c.u.open.path = args->text;
    return arg_int(r, args, 1, &p->c.u.open.flags);
}

static const struct call_kind kinds[] = {
    {"socket", 3, 3, VK_SOCKET, true, false, prepare_socket, NULL},
    {"bind", 3, 3, VK_BIND, false, true, prepare_bind, NULL},
    {"listen", 2, 2, VK_LISTEN, false, true, prepare_n, NULL},
    {"accept", 3, 3, VK_ACCEPT, true, true, prepare_accept, NULL},
    {"accept4", 4, 4, VK_ACCEPT, true, true, prepare_accept, NULL},
    {"connect", 3, 3, VK_CONNECT, false, true, prepare_connect, NULL},
    {"read", 3, 3, VK_RECV, false, true, prepare_plain, NULL},
    {"readv", 3, 3, VK_RECV, false, true, prepare_vector, NULL},
    {"recv", 4, 4, VK_RECV, false, true, prepare_flags, NULL},
    {"recvfrom", 6, 6, VK_RECV, false, true, prepare_recvfrom, NULL},
    {"recvmsg", 3, 3, VK_RECV, false, true, prepare_msg, check_msg},
    {"write", 3, 3, VK_SEND, false, true, prepare_plain, NULL},
    {"writev", 3, 3, VK_SEND, false, true, prepare_vector, NULL},
    {"send", 4, 4, VK_SEND, false, true, prepare_flags, NULL},
    {"sendto", 6, 6, VK_SEND, false, true, prepare_sendto, NULL},
    {"sendmsg", 3, 3, VK_SEND, false, true, prepare_msg, check_msg},
    {"fcntl", 2, 3, VK_FCNTL, false, true, prepare_fcntl, NULL},
    {"ioctl", 2, 3, VK_IOCTL, false, true, prepare_ioctl, check_ioctl},
    {"close", 1, 1, VK_CLOSE, false, true, NULL, NULL},
    {"shutdown", 2, 2, VK_SHUTDOWN, false, true, prepare_n, NULL},
    {"getsockopt", 5, 5, VK_GETSOCKOPT, false, true, opt_prepare_get, opt_check_get},
    {"setsockopt", 5, 5, VK_SETSOCKOPT, false, true, opt_prepare_set, NULL},
    {"poll", 3, 3, VK_POLL, false, false, poll_prepare, poll_check},
    {"epoll_create", 1, 1, VK_EPOLL_CREATE, true, false, prepare_epoll, NULL},
    {"epoll_ctl", 4, 4, VK_EPOLL_CTL, false, true, epoll_prepare_ctl, NULL},
    {"epoll_wait", 4, 4, VK_EPOLL_WAIT, false, true, epoll_prepare_wait, epoll_check_wait},
    {"pipe", 1, 1, VK_PIPE, false, false, prepare_pipe, check_pipe},
    {"splice", 6, 6, VK_SPLICE, false, true, prepare_splice, NULL},
    {"sendfile", 4, 4, VK_SENDFILE, false, true, prepare_sendfile, NULL},
    {"open", 2, 3, VK_OPEN, true, false, prepare_open, NULL},
};

static const struct call_kind *kind_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* --- what calls tell of connections --- */

static void note_socket(struct run *r, const struct pending *p)
{
    static const uint8_t tcp = 6, udp = 17;
    int type = p->c.u.socket.type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conv *c = talk_new(r, type == SOCK_STREAM                                      ? tcp
                                 : p->c.u.socket.proto <= udp && p->c.u.socket.proto != 1 ? udp
                                                                                          : 1);
    c->live_fd = (int)p->c.ret;
    r->cur = c;
}

static void note_accept(struct run *r, const struct pending *p)
{
    struct endpoint peer = arg_endpoint(p);
    for (struct conv *c = r->convs; c; c = c->next) {
        if (c->state == CONV_OPEN && c->live_fd < 0 && c->remote.port == peer.port &&
            addr_eq(&c->remote.addr, &peer.addr)) {
            c->live_fd = (int)p->c.ret;
            r->cur = c;
            return;
        }
    }
}

static void note_connect(struct run *r, struct conv *c, const struct pending *p)
{
    if (c->state == CONV_NEW || c->state == CONV_DATAGRAMS) {
        c->state = c->state == CONV_NEW ? CONV_CONNECT : CONV_DATAGRAMS;
        c->remote = arg_endpoint(p);
        r->cur = c;
    }
}

/* Before the call, for what it sends at once belongs to its connection already. */
static void note_before(struct run *r, const struct pending *p)
{
    struct conv *c = p->kind->has_fd ? talk_of_fd(r, p->c.fd) : NULL;
    if (!c) {
        return;
    }
    if (p->kind->op == VK_CONNECT && p->addr.ss_family != AF_UNSPEC) {
        note_connect(r, c, p);
    } else if (p->kind->op == VK_SEND && p->msg.msg_name &&
               (c->proto != 6 || p->c.u.io.flags & MSG_FASTOPEN)) {
        note_connect(r, c, p);
    } else if (p->kind->op == VK_BIND && c->proto != 6) {
        c->local = arg_endpoint(p);
    } else if (p->kind->op == VK_LISTEN && c->state == CONV_NEW) {
        c->state = CONV_LISTEN;
        r->cur = c;
    }
}

static void note_close(struct run *r, int live_fd)
{
    struct conv *c = talk_of_fd(r, live_fd);
    if (c) {
        c->live_fd = -1;
    }
    for (unsigned i = 0; i < r->nfds; i++) {
        if (r->fds[i].live == live_fd) {
            r->fds[i] = r->fds[--r->nfds];
            return;
        }
    }
}

static void note_after(struct run *r, const struct pending *p)
{
    if (p->c.ret < 0) {
        return;
    }
    if (p->kind->op == VK_SOCKET) {
        note_socket(r, p);
    } else if (p->kind->op == VK_ACCEPT) {
        note_accept(r, p);
    } else if (p->kind->op == VK_CLOSE) {
        note_close(r, p->c.fd);
    }
}

/* --- results --- */

static void result_text(int64_t ret, int err, struct str *out)
{
    char buf[24];
    str_add(out, "%lld", (long long)ret);
    if (ret < 0) {
        str_add(out, " %s", symbol_errno(err, buf));
    }
}

static bool wrong_result(struct run *r, const struct pending *p, int64_t want)
{
    struct str got = {0};
    const char *name = p->ev->call.errno_name;
    result_text(p->c.ret, p->c.err, &got);
    run_fail(r, "wrong result of %s: expected %lld%s%s, got %s", p->kind->name, (long long)want,
             name ? " " : "", name ? name : "", str_text(&got));
    str_free(&got);
    return false;
}

static bool check_result(struct run *r, const struct pending *p)
{
    const struct call_spec *spec = &p->ev->call;
    int64_t want = 0, err = 0;
    bool makes_fd =
        p->kind->makes_fd || (p->kind->op == VK_FCNTL && p->c.u.fcntl.cmd == 0 /* F_DUPFD */);
    if (spec->result->kind == EXPR_DOTS) {
        return true;
    }
    if (!expr_num(spec->result, &want)) {
        return run_fail(r, "the expected result is not a number");
    }
    if (makes_fd && want >= 0 && p->c.ret >= 0) {
        map_fd(r, (int)want, (int)p->c.ret);
        return true;
    }
    if (p->c.ret != want) {
        return wrong_result(r, p, want);
    }
    if (want < 0 && spec->errno_name) {
        if (!symbol_find(spec->errno_name, &err)) {
            return run_fail(r, "no such errno: %s", spec->errno_name);
        }
        return p->c.err == err || wrong_result(r, p, want);
    }
    return true;
}

static void finish_quietly(struct run *r, const struct pending *p)
{
    struct str got = {0};
    result_text(p->c.ret, p->c.err, &got);
    const char *eq = strrchr(p->ev->source, '=');
    log_add(r, run_now(r), ". %.*s= %s", eq ? (int)(eq - p->ev->source) : 0, p->ev->source,
            str_text(&got));
    str_free(&got);
}

static bool finish(struct run *r, struct pending *p)
{
    finish_quietly(r, p);
    r->ev = p->ev;
    note_after(r, p);
    if (!check_result(r, p)) {
        return false;
    }
    if (p->kind->check && !p->kind->check(r, p, p->ev->call.args)) {
        return false;
    }
    if (p->due == NEVER) {
        return true;
    }
    return run_on_time(r, "the return of the call", p->due, p->due, p->c.ended - r->start,
                       p->c.began - r->start);
}

static void forget(struct run *r, struct pending *p)
{
    for (struct pending **at = &r->pending; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    vk_cancel(r->vk, &p->c);
    pool_free(&p->pool);
    free(p);
}

bool call_check_done(struct run *r)
{
    const struct script_event *ev = r->ev;
    for (struct pending *p = r->pending; p && !run_failed(r);) {
        struct pending *next = p->next;
        if (p->c.done && p->due != NEVER) {
            finish(r, p);
            forget(r, p);
        }
        p = next;
    }
    if (!run_failed(r)) {
        r->ev = ev;
    }
    return !run_failed(r);
}

/* A call that the script does not say blocks: time passes, as in the program. */
static bool wait_out(struct run *r, struct pending *p)
{
    nsec end = run_now(r) + FOR_EVER;
    while (!p->c.done && !run_failed(r) && vk_deadline(r->vk) != NEVER) {
        if (!run_step(r, end)) {
            break;
        }
    }
    return p->c.done || run_fail(r, "%s blocks for ever", p->kind->name);
}

static struct pending *pending_new(struct run *r, const struct script_event *ev,
                                   const struct call_kind *k)
{
    struct pending *p = calloc(1, sizeof *p);
    if (!p) {
        abort();
    }
    p->ev = ev;
    p->kind = k;
    p->c.op = k->op;
    p->due = NEVER;
    p->next = r->pending;
    r->pending = p;
    return p;
}

static bool prepare(struct run *r, struct pending *p)
{
    const struct expr *args = p->ev->call.args;
    unsigned n = expr_count(args);
    if (n < p->kind->min || n > p->kind->max) {
        return run_fail(r, "%s takes %u arguments, not %u", p->kind->name, p->kind->min, n);
    }
    if (p->kind->has_fd && !arg_fd(r, args, &p->c.fd)) {
        return false;
    }
    return !p->kind->prepare || p->kind->prepare(r, p, args);
}

bool call_run(struct run *r, const struct script_event *ev, nsec at)
{
    const struct call_kind *k = kind_of(ev->call.name);
    if (strcmp(ev->call.name, "cap_set") == 0) {
        return true; /* all is permitted here */
    }
    if (!k) {
        return run_fail(r, "no such call: %s", ev->call.name);
    }
    struct pending *p = pending_new(r, ev, k);
    bool ok = prepare(r, p);
    if (ok) {
        note_before(r, p);
        ok = vk_start(r->vk, &p->c) || ev->call.blocks || wait_out(r, p);
        log_events(r);
    }
    if (ok && ev->call.blocks) {
        p->due = ev->call.end + at;
    }
    if (ok && ev->call.blocks && p->c.done && p->due > run_now(r) + r->cfg.tolerance) {
        finish_quietly(r, p);
        ok = run_fail(r, "%s did not block", k->name);
    } else if (ok && ev->call.blocks && !p->c.done) {
        log_add(r, run_now(r), ". %s blocks", k->name);
        return true;
    }
    ok = ok && finish(r, p);
    forget(r, p);
    return ok;
}
