/*
 * addr.h - IP addresses, endpoints and four-tuples as values.
 *
 * One type for both families: an IPv4 address is held IPv4-mapped (::ffff:a.b.c.d, RFC 4291
 * 2.5.5.2), so that a dual-stack socket needs no second kind of flow. All values are compared
 * byte by byte; all structs are free of padding and may be hashed and compared as memory.
 */
#ifndef STANDIN_CORE_ADDR_H
#define STANDIN_CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct addr {
    uint8_t b[16];
};

struct endpoint {
    struct addr addr;
    uint16_t port; /* host order */
};

/* A flow as we see it: local first. */
struct flow {
    struct addr laddr;
    struct addr raddr;
    uint16_t lport; /* host order */
    uint16_t rport;
};

_Static_assert(sizeof(struct flow) == 36, "hashed and compared as memory");

/* Long enough for any text below, with its end. */
#define ADDR_TEXT_MAX     48
#define ENDPOINT_TEXT_MAX 56

extern const struct addr addr_any6; /* ::       the IPv6 wildcard */
extern const struct addr addr_any4; /* 0.0.0.0, IPv4-mapped       */

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct addr addr_of4(const uint8_t b[4]);
struct addr addr_of6(const uint8_t b[16]);

/* Where the four bytes of an IPv4 address lie inside it. */
static inline const uint8_t *addr_bytes4(const struct addr *a)
{
    return a->b + 12;
}

static inline bool addr_eq(const struct addr *a, const struct addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool addr_is4(const struct addr *a);
bool addr_is_any(const struct addr *a); /* either wildcard */
bool addr_is_multicast(const struct addr *a);
bool addr_is_broadcast(const struct addr *a); /* 255.255.255.255 */
bool addr_is_loopback(const struct addr *a);
bool addr_is_linklocal(const struct addr *a);

/* Whether the first `bits` bits agree; for IPv4 addresses bits counts within the 32. */
bool addr_in_prefix(const struct addr *a, const struct addr *prefix, unsigned bits);

/* Text forms: "10.77.0.2", "fd77::2" (RFC 5952), "10.77.0.2:80", "[fd77::2]:80". They return
 * `buf`. */
char *addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX]);
char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_MAX]);

/* Parses "10.77.0.2" or "fd77::2"; false if it is neither. */
bool addr_parse(const char *text, struct addr *out);

#endif
