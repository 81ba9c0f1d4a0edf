/*
 * poll and epoll.
 */
#include <string.h>

#include "call.h"

static bool poll_one(struct run *r, const struct expr *e, struct pollfd *out)
{
    int64_t events = 0;
    int fd = -1;
    if (e->kind != EXPR_STRUCT || !arg_fd(r, expr_field(e, "fd"), &fd) ||
        !expr_num(expr_field(e, "events"), &events)) {
        return run_fail(r, "a struct pollfd is {fd=N, events=E, revents=E}");
    }
    *out = (struct pollfd){.fd = fd, .events = (short)events};
    return true;
}

bool poll_prepare(struct run *r, struct pending *p, const struct expr *args)
{
    int64_t n = 0;
    const struct expr *list = expr_at(args, 0);
    unsigned have = list && list->kind == EXPR_LIST ? expr_count(list->item) : 0;
    if (!arg_num(r, args, 1, &n) || !arg_int(r, args, 2, &p->c.u.poll.timeout_ms)) {
        return false;
    }
    if (arg_is_null(list)) {
        p->c.u.poll.n = (nfds_t)n;
        return true;
    }
    if ((unsigned)n != have) {
        return run_fail(r, "%u entries, but their number is said to be %lld", have, (long long)n);
    }
    p->c.u.poll.fds = pool_get(&p->pool, (have + 1) * sizeof(struct pollfd));
    p->c.u.poll.n = have;
    for (unsigned i = 0; i < have; i++) {
        if (!poll_one(r, expr_at(list->item, i), &p->c.u.poll.fds[i])) {
            return false;
        }
    }
    return true;
}

bool poll_check(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *list = expr_at(args, 0);
    for (unsigned i = 0; p->c.u.poll.fds && i < p->c.u.poll.n; i++) {
        const struct expr *want = expr_field(expr_at(list->item, i), "revents");
        int64_t v = 0;
        if (want && !expr_num(want, &v)) {
            return run_fail(r, "revents is not a number");
        }
        if (v != p->c.u.poll.fds[i].revents) {
            return run_fail(r, "wrong revents: expected 0x%llx, got 0x%x", (unsigned long long)v,
                            (unsigned)p->c.u.poll.fds[i].revents);
        }
    }
    return true;
}

/* The data of a struct epoll_event: a descriptor of the script becomes the live one. */
static bool epoll_one(struct run *r, const struct expr *e, struct epoll_event *out)
{
    static const char *const plain[] = {"u32", "u64", "ptr"};
    int64_t v = 0;
    int fd = -1;
    memset(out, 0, sizeof *out);
    if (!e || e->kind != EXPR_STRUCT || !expr_num(expr_field(e, "events"), &v)) {
        return run_fail(r, "a struct epoll_event is {events=E, fd=N}");
    }
    out->events = (uint32_t)v;
    if (expr_field(e, "fd")) {
        bool ok = arg_fd(r, expr_field(e, "fd"), &fd);
        out->data.fd = fd;
        return ok;
    }
    for (size_t i = 0; i < 3; i++) {
        if (expr_field(e, plain[i]) && expr_num(expr_field(e, plain[i]), &v)) {
            out->data.u64 = (uint64_t)v;
        }
    }
    return true;
}

bool epoll_prepare_ctl(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *ev = expr_at(args, 3);
    if (!arg_int(r, args, 1, &p->c.u.ctl.op) || !arg_fd(r, expr_at(args, 2), &p->c.u.ctl.fd)) {
        return false;
    }
    if (arg_is_null(ev)) {
        return true;
    }
    p->c.u.ctl.ev = pool_get(&p->pool, sizeof(struct epoll_event));
    return epoll_one(r, ev, p->c.u.ctl.ev);
}

bool epoll_prepare_wait(struct run *r, struct pending *p, const struct expr *args)
{
    if (!arg_int(r, args, 2, &p->c.u.wait.max) || !arg_int(r, args, 3, &p->c.u.wait.timeout_ms)) {
        return false;
    }
    size_t n = p->c.u.wait.max > 0 ? (size_t)p->c.u.wait.max : 1;
    p->c.u.wait.ev = pool_get(&p->pool, n * sizeof(struct epoll_event));
    return true;
}

bool epoll_check_wait(struct run *r, struct pending *p, const struct expr *args)
{
    const struct expr *e = expr_at(args, 1);
    const struct expr *one = e && e->kind == EXPR_LIST ? e->item : e;
    for (int64_t i = 0; i < p->c.ret && one; i++) {
        struct epoll_event want, *got = &p->c.u.wait.ev[i];
        if (!epoll_one(r, one, &want)) {
            return false;
        }
        if (want.events != got->events) {
            return run_fail(r, "wrong events: expected 0x%x, got 0x%x", want.events, got->events);
        }
        if (want.data.u64 != got->data.u64) {
            return run_fail(r, "wrong data of event %d", (int)i);
        }
        one = e->kind == EXPR_LIST ? one->next : NULL;
    }
    return true;
}
