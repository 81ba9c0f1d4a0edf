/*
 * Theory: the stack holds every address IPv4-mapped in 16 bytes; what family a program sees is
 * the socket's. An AF_INET6 socket shows an IPv4 peer as ::ffff:a.b.c.d, and takes that form.
 * Lengths are checked where Linux checks them, which differs by call: bind of AF_INET takes
 * AF_UNSPEC for the wildcard (an old game that programs still play), sending on an AF_INET6
 * socket takes AF_INET, connecting a stream does not.
 *
 * Scope and flow label are not carried: the stack has no link-local routes.
 */
#include "preload/sa.h"

#include "preload/fault.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "core/check.h"

#define SIN6_LEN_RFC2133 24 /* without sin6_scope_id: what old programs pass */

static int sa_get4(const struct sockaddr *sa, socklen_t len, struct endpoint *out)
{
    struct sockaddr_in sin;
    if (len < sizeof sin) {
        return -EINVAL;
    }
    memcpy(&sin, sa, sizeof sin);
    uint8_t b[4];
    memcpy(b, &sin.sin_addr, sizeof b);
    out->addr = addr_of4(b);
    out->port = ntohs(sin.sin_port);
    return 0;
}

static int sa_get6(const struct sockaddr *sa, socklen_t len, struct endpoint *out)
{
    struct sockaddr_in6 sin6 = {0};
    if (len < SIN6_LEN_RFC2133) {
        return -EINVAL;
    }
    memcpy(&sin6, sa, min_size(len, sizeof sin6));
    out->addr = addr_of6(sin6.sin6_addr.s6_addr);
    out->port = ntohs(sin6.sin6_port);
    return 0;
}

/* bind(2) of AF_INET: AF_UNSPEC means AF_INET if the address is the wildcard. */
static int sa_get_inet(const struct sockaddr *sa, socklen_t len, int fam, enum sa_use use,
                       struct endpoint *out)
{
    if (len < sizeof(struct sockaddr_in)) {
        return -EINVAL;
    }
    if (fam == AF_INET) {
        return sa_get4(sa, len, out);
    }
    if (fam != AF_UNSPEC) {
        return -EAFNOSUPPORT;
    }
    if (use == SA_SEND) {
        return sa_get4(sa, len, out);
    }
    int err = sa_get4(sa, len, out);
    return err || addr_is_any(&out->addr) ? err : -EAFNOSUPPORT;
}

static int sa_get_inet6(const struct sockaddr *sa, socklen_t len, int fam, bool v6only,
                        enum sa_use use, struct endpoint *out)
{
    bool takes4 = use == SA_SEND || use == SA_CONNECT_DGRAM;
    if (fam == AF_INET && takes4) {
        if (v6only) {
            return use == SA_SEND ? -ENETUNREACH : -EAFNOSUPPORT;
        }
        return sa_get4(sa, len, out);
    }
    if (len < SIN6_LEN_RFC2133) {
        return -EINVAL;
    }
    if (fam != AF_INET6) {
        return use == SA_SEND ? -EINVAL : -EAFNOSUPPORT;
    }
    int err = sa_get6(sa, len, out);
    if (!err && v6only && addr_is4(&out->addr)) {
        return use == SA_BIND ? -EINVAL : -ENETUNREACH;
    }
    return err;
}

int sa_get(const struct sockaddr *sa, socklen_t len, int family, bool v6only, enum sa_use use,
           struct endpoint *out)
{
    if ((int)len < 0 || len > sizeof(struct sockaddr_storage)) {
        return -EINVAL;
    }
    if (!fault_may_read(sa, len)) {
        return -EFAULT;
    }
    if (len < sizeof(sa_family_t)) {
        return -EINVAL;
    }
    sa_family_t fam;
    memcpy(&fam, sa, sizeof fam);
    bool connects = use == SA_CONNECT_STREAM || use == SA_CONNECT_DGRAM;
    if (fam == AF_UNSPEC && (connects || (use == SA_SEND && family == AF_INET6))) {
        return 1;
    }
    memset(out, 0, sizeof *out);
    if (family == AF_INET) {
        return sa_get_inet(sa, len, fam, use, out);
    }
    return sa_get_inet6(sa, len, fam, v6only, use, out);
}

socklen_t sa_of(const struct endpoint *e, int family, struct sockaddr_storage *out)
{
    if (family == AF_INET) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(e->port)};
        if (addr_is4(&e->addr)) {
            memcpy(&sin.sin_addr, addr_bytes4(&e->addr), 4);
        }
        memcpy(out, &sin, sizeof sin);
        return sizeof sin;
    }
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
    memcpy(&sin6.sin6_addr, e->addr.b, sizeof e->addr.b);
    memcpy(out, &sin6, sizeof sin6);
    return sizeof sin6;
}

int sa_copy_out(const struct sockaddr_storage *full, socklen_t full_len, struct sockaddr *sa,
                socklen_t *len)
{
    if (!fault_may_write(len, sizeof *len)) {
        return -EFAULT;
    }
    if ((int)*len < 0) {
        return -EINVAL;
    }
    socklen_t n = *len < full_len ? *len : full_len;
    if (n > 0) {
        if (!fault_may_write(sa, n)) {
            return -EFAULT;
        }
        memcpy(sa, full, n);
    }
    *len = full_len;
    return 0;
}

int sa_put(const struct endpoint *e, int family, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_storage full;
    socklen_t n = sa_of(e, family, &full);
    return sa_copy_out(&full, n, sa, len);
}
