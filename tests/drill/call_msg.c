/*
 * Messages: buffers, vectors, struct msghdr and ancillary data.
 */
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "call.h"

#define CONTROL_MAX 512u

bool msg_prepare_plain(struct run *r, struct pending *p, const struct expr *buf, int64_t len)
{
    if (len < 0 || len > 1 << 28) {
        return run_fail(r, "a buffer of %lld bytes", (long long)len);
    }
    struct iovec *v = pool_get(&p->pool, sizeof *v);
    *v = (struct iovec){arg_buffer(p, buf, (size_t)len), (size_t)len};
    p->msg.msg_iov = v;
    p->msg.msg_iovlen = 1;
    p->c.u.io.msg = &p->msg;
    return true;
}

bool msg_prepare_iov(struct run *r, struct pending *p, const struct expr *list, int64_t count)
{
    unsigned n = list && list->kind == EXPR_LIST ? expr_count(list->item) : 0;
    if (count >= 0 && (unsigned)count != n) {
        return run_fail(r, "%u vectors, but their number is said to be %lld", n, (long long)count);
    }
    struct iovec *v = pool_get(&p->pool, (n + 1) * sizeof *v);
    for (unsigned i = 0; i < n; i++) {
        const struct expr *e = expr_at(list->item, i);
        int64_t len = 0;
        if (e->kind != EXPR_STRUCT || !arg_num(r, e->item, 1, &len) || len < 0) {
            return run_fail(r, "a vector is {buffer, length}");
        }
        v[i] = (struct iovec){arg_buffer(p, e->item, (size_t)len), (size_t)len};
    }
    p->msg.msg_iov = v;
    p->msg.msg_iovlen = n;
    p->c.u.io.msg = &p->msg;
    return true;
}

bool msg_prepare(struct run *r, struct pending *p, const struct expr *st)
{
    const struct expr *name = expr_field(st, "msg_name");
    const struct expr *iov = expr_field(st, "msg_iov");
    int64_t count = -1;
    if (!st || st->kind != EXPR_STRUCT || !iov) {
        return run_fail(r, "not a struct msghdr");
    }
    if (iov->arg && !expr_num(iov->arg, &count)) {
        return run_fail(r, "msg_iov's number is none");
    }
    if (!msg_prepare_iov(r, p, iov, count)) {
        return false;
    }
    p->msg.msg_control = pool_get(&p->pool, CONTROL_MAX);
    p->msg.msg_controllen = CONTROL_MAX;
    if (p->kind->op == VK_RECV) {
        p->msg.msg_name = &p->addr;
        p->msg.msg_namelen = sizeof p->addr;
        return true;
    }
    p->msg.msg_controllen = 0;
    if (name && name->kind == EXPR_STRUCT) {
        if (!arg_address(r, p, name, &r->cfg.remote, r->cfg.connect_port)) {
            return false;
        }
        p->msg.msg_name = &p->addr;
        p->msg.msg_namelen = p->addr_len;
    }
    return true;
}

static bool field_differs(struct run *r, const struct expr *st, const char *name, int64_t got)
{
    const struct expr *e = expr_field(st, name);
    int64_t want = 0;
    if (!e || e->kind == EXPR_DOTS) {
        return false;
    }
    if (!expr_num(e, &want)) {
        return !run_fail(r, "%s is not a number", name);
    }
    return arg_differs(r, name, want, got);
}

static bool error_differs(struct run *r, const struct expr *want, const struct cmsghdr *h)
{
    struct sock_extended_err ee;
    if (h->cmsg_len < CMSG_LEN(sizeof ee)) {
        return !run_fail(r, "ancillary data too short for an error");
    }
    memcpy(&ee, CMSG_DATA(h), sizeof ee);
    return field_differs(r, want, "ee_errno", ee.ee_errno) ||
           field_differs(r, want, "ee_origin", ee.ee_origin) ||
           field_differs(r, want, "ee_type", ee.ee_type) ||
           field_differs(r, want, "ee_code", ee.ee_code) ||
           field_differs(r, want, "ee_info", ee.ee_info) ||
           field_differs(r, want, "ee_data", ee.ee_data);
}

/* A time stamp of the kernel, as seconds of the script. */
static bool stamp_differs(struct run *r, const struct expr *want, const struct cmsghdr *h)
{
    int64_t t[2], sec = 0, ns = 0;
    if (h->cmsg_len < CMSG_LEN(sizeof t)) {
        return !run_fail(r, "ancillary data too short for a time stamp");
    }
    memcpy(t, CMSG_DATA(h), sizeof t);
    expr_num(expr_field(want, "scm_sec"), &sec);
    expr_num(expr_field(want, "scm_nsec"), &ns);
    nsec real_start = vk_real(r->vk) - run_now(r);
    nsec got = t[0] * SEC + t[1] - real_start;
    nsec expected = sec * SEC + ns;
    nsec off = got > expected ? got - expected : expected - got;
    return off > r->cfg.tolerance && !run_fail(r, "wrong time stamp: expected %.6f, got %.6f",
                                               (double)expected / 1e9, (double)got / 1e9);
}

static bool data_differs(struct run *r, const struct expr *want, const struct cmsghdr *h)
{
    int got = 0;
    if (!want || want->kind == EXPR_DOTS) {
        return false;
    }
    if (expr_field(want, "ee_errno")) {
        return error_differs(r, want, h);
    }
    if (expr_field(want, "scm_sec")) {
        return stamp_differs(r, want, h);
    }
    int64_t v;
    if (!expr_num(want, &v)) {
        return !run_fail(r, "cmsg_data of an unknown form");
    }
    size_t n = h->cmsg_len - CMSG_LEN(0);
    memcpy(&got, CMSG_DATA(h), n < sizeof got ? n : sizeof got);
    return arg_differs(r, "cmsg_data", v, got);
}

static bool control_differs(struct run *r, struct pending *p, const struct expr *list)
{
    struct cmsghdr *h = p->msg.msg_controllen ? CMSG_FIRSTHDR(&p->msg) : NULL;
    for (const struct expr *e = list->item; e; e = e->next) {
        if (!h) {
            return !run_fail(r, "ancillary data missing");
        }
        if (field_differs(r, e, "cmsg_level", h->cmsg_level) ||
            field_differs(r, e, "cmsg_type", h->cmsg_type) ||
            data_differs(r, expr_field(e, "cmsg_data"), h)) {
            return true;
        }
        h = CMSG_NXTHDR(&p->msg, h);
    }
    return h && !run_fail(r, "ancillary data that was not expected: level %d, type %d",
                          h->cmsg_level, h->cmsg_type);
}

bool msg_check(struct run *r, struct pending *p, const struct expr *st)
{
    const struct expr *control = expr_field(st, "msg_control");
    if (p->c.ret < 0 || p->kind->op == VK_SEND) {
        return true;
    }
    if (field_differs(r, st, "msg_flags", p->msg.msg_flags & ~MSG_CMSG_CLOEXEC)) {
        return false;
    }
    return !control || control->kind != EXPR_LIST || !control_differs(r, p, control);
}
