/*
 * Arguments: numbers, descriptors, buffers, addresses.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "call.h"

bool arg_num(struct run *r, const struct expr *args, unsigned i, int64_t *out)
{
    const struct expr *e = expr_at(args, i);
    if (expr_num(e, out)) {
        return true;
    }
    if (e && e->kind == EXPR_WORD) {
        return run_fail(r, "no such constant: %s", e->text);
    }
    return run_fail(r, "argument %u is not a number", i + 1);
}

bool arg_int(struct run *r, const struct expr *args, unsigned i, int *out)
{
    int64_t v = 0;
    bool ok = arg_num(r, args, i, &v);
    *out = (int)v;
    return ok;
}

const struct expr *arg_inside(struct run *r, const struct expr *args, unsigned i)
{
    const struct expr *e = expr_at(args, i);
    if (!e || e->kind != EXPR_LIST || !e->item || e->item->next) {
        run_fail(r, "argument %u is not one value in brackets", i + 1);
        return NULL;
    }
    return e->item;
}

int call_live_fd(const struct run *r, int script_fd)
{
    for (unsigned i = r->nfds; i-- > 0;) {
        if (r->fds[i].script == script_fd) {
            return r->fds[i].live;
        }
    }
    return -1;
}

bool arg_fd(struct run *r, const struct expr *e, int *out)
{
    int64_t v;
    if (!expr_num(e, &v)) {
        return run_fail(r, "not a descriptor");
    }
    *out = call_live_fd(r, (int)v);
    return true; /* one that is not open is the call's own affair: EBADF */
}

bool arg_is_null(const struct expr *e)
{
    return e && e->kind == EXPR_WORD && strcmp(e->text, "NULL") == 0;
}

void *arg_buffer(struct pending *p, const struct expr *e, size_t n)
{
    if (arg_is_null(e)) {
        return NULL;
    }
    size_t have = e && e->kind == EXPR_STR ? strlen(e->text) : 0;
    char *b = pool_get(&p->pool, (n > have ? n : have) + 1);
    if (have) {
        memcpy(b, e->text, have);
    }
    return b;
}

static void address_put(struct pending *p, int family, const struct addr *ip, uint16_t port)
{
    memset(&p->addr, 0, sizeof p->addr);
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&p->addr;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, addr_bytes4(ip), 4);
        p->addr_len = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&p->addr;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, ip->b, 16);
        p->addr_len = sizeof *in6;
    }
}

static bool address_struct(struct run *r, struct pending *p, const struct expr *e)
{
    int64_t family, port = 0;
    struct addr ip;
    const struct expr *at = expr_field(e, "sin_addr");
    at = at ? at : expr_field(e, "sin6_addr");
    const struct expr *port_at = expr_field(e, "sin_port");
    port_at = port_at ? port_at : expr_field(e, "sin6_port");
    if (!expr_num(expr_field(e, "sa_family"), &family)) {
        return run_fail(r, "a socket address without sa_family");
    }
    if (family == AF_UNSPEC) {
        p->addr.ss_family = AF_UNSPEC;
        p->addr_len = sizeof(struct sockaddr_in);
        return true;
    }
    if (!at || at->kind != EXPR_CALL || !at->item || at->item->kind != EXPR_STR ||
        !addr_parse(at->item->text, &ip) || !expr_num(port_at, &port)) {
        return run_fail(r, "a socket address needs sin_port=htons(N), sin_addr=inet_addr(\"A\")");
    }
    address_put(p, (int)family, &ip, (uint16_t)port);
    return true;
}

bool arg_address(struct run *r, struct pending *p, const struct expr *e, const struct addr *ip,
                 uint16_t port)
{
    int64_t v;
    p->addr_len = 0;
    if (e && e->kind == EXPR_WORD && strcmp(e->text, "AF_UNSPEC") == 0) {
        p->addr.ss_family = AF_UNSPEC;
        p->addr_len = sizeof(struct sockaddr_in);
        return true;
    }
    if (!e || arg_is_null(e) || (expr_num(e, &v) && v == 0)) {
        return true;
    }
    if (e->kind == EXPR_DOTS) {
        address_put(p, r->cfg.ip == IP_V4 ? AF_INET : AF_INET6, ip, port);
        return true;
    }
    if (e->kind == EXPR_STRUCT) {
        return address_struct(r, p, e);
    }
    return run_fail(r, "not a socket address");
}

struct endpoint arg_endpoint(const struct pending *p)
{
    struct endpoint e = {0};
    if (p->addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&p->addr;
        e.addr = addr_of4((const uint8_t *)&in->sin_addr);
        e.port = ntohs(in->sin_port);
    } else if (p->addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&p->addr;
        e.addr = addr_of6((const uint8_t *)&in6->sin6_addr);
        e.port = ntohs(in6->sin6_port);
    }
    return e;
}

bool arg_differs(struct run *r, const char *what, int64_t want, int64_t got)
{
    return want != got &&
           !run_fail(r, "wrong %s: expected %lld, got %lld", what, (long long)want, (long long)got);
}
