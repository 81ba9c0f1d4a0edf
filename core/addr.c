/*
 * addr.c - theory of operation.
 *
 * Everything works on the sixteen bytes. Text is written by RFC 5952 4 (lower case, no leading
 * zeros, "::" for the longest run of at least two zero groups, the first of equals) and read by RFC
 * 4291 2.2, strictly: no leading zeros in IPv4 (they mean octal to some), no zone, no white space.
 * An IPv4-mapped address is IPv4 here, so it prints as such. Missing on purpose: other prefixes
 * with IPv4 inside (RFC 5952 5) print in hex; names.
 */
#include "addr.h"

const struct addr addr_any6;
const struct addr addr_any4 = {{[10] = 0xff, [11] = 0xff}};

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct addr){{[10] = 0xff, [11] = 0xff, a, b, c, d}};
}

struct addr addr_of4(const uint8_t b[4])
{
    return addr_v4(b[0], b[1], b[2], b[3]);
}

struct addr addr_of6(const uint8_t b[16])
{
    struct addr a;
    memcpy(a.b, b, sizeof a.b);
    return a;
}

bool addr_is4(const struct addr *a)
{
    return memcmp(a->b, addr_any4.b, 12) == 0;
}

bool addr_is_any(const struct addr *a)
{
    return addr_eq(a, &addr_any6) || addr_eq(a, &addr_any4);
}

bool addr_is_multicast(const struct addr *a)
{
    return addr_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff; /* RFC 1112 4, RFC 4291 2.7 */
}

bool addr_is_broadcast(const struct addr *a)
{
    const struct addr all = addr_v4(255, 255, 255, 255);
    return addr_eq(a, &all);
}

bool addr_is_loopback(const struct addr *a)
{
    static const struct addr one = {{[15] = 1}};
    return addr_is4(a) ? a->b[12] == 127 : addr_eq(a, &one);
}

bool addr_is_linklocal(const struct addr *a)
{
    if (addr_is4(a)) {
        return a->b[12] == 169 && a->b[13] == 254; /* RFC 3927 */
    }
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80; /* RFC 4291 2.5.6 */
}

bool addr_in_prefix(const struct addr *a, const struct addr *prefix, unsigned bits)
{
    bool v4 = addr_is4(prefix);
    if (addr_is4(a) != v4) {
        return false;
    }
    unsigned skip = v4 ? 96 : 0;
    unsigned n = bits < 128 - skip ? skip + bits : 128;
    if (memcmp(a->b, prefix->b, n / 8) != 0) {
        return false;
    }
    if (n % 8 == 0) {
        return true;
    }
    unsigned mask = 0xff00u >> n % 8 & 0xff;
    return ((a->b[n / 8] ^ prefix->b[n / 8]) & mask) == 0;
}

/* Text out: each writes at p and returns the place after. */

static char *put_dec(char *p, unsigned v)
{
    char digit[5];
    unsigned n = 0;
    do {
        digit[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0) {
        *p++ = digit[--n];
    }
    return p;
}

static char *put_hex(char *p, unsigned v)
{
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned d = v >> shift & 0xf;
        begun = begun || d != 0 || shift == 0; /* RFC 5952 4.1 */
        if (begun) {
            *p++ = "0123456789abcdef"[d]; /* RFC 5952 4.3 */
        }
    }
    return p;
}

static char *put_v4(char *p, const uint8_t b[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            *p++ = '.';
        }
        p = put_dec(p, b[i]);
    }
    return p;
}

struct run {
    unsigned at; /* group number; 8 if there is none */
    unsigned n;
};

/* The groups that "::" stands for: the longest run of zeros, the first of equals, never one alone.
 * RFC 5952 4.2. */
static struct run longest_zeros(const struct addr *a)
{
    struct run best = {8, 1};
    struct run cur = {0, 0};
    for (unsigned i = 0; i < 8; i++) {
        if (a->b[2 * i] == 0 && a->b[2 * i + 1] == 0) {
            cur.n++;
        } else {
            cur = (struct run){i + 1, 0};
        }
        if (cur.n > best.n) {
            best = cur;
        }
    }
    return best;
}

static char *put_v6(char *p, const struct addr *a)
{
    struct run gap = longest_zeros(a);
    for (unsigned i = 0; i < 8; i++) {
        if (i == gap.at) {
            *p++ = ':';
            *p++ = ':';
            i += gap.n - 1;
            continue;
        }
        if (i > 0 && i != gap.at + gap.n) {
            *p++ = ':';
        }
        p = put_hex(p, (unsigned)a->b[2 * i] << 8 | a->b[2 * i + 1]);
    }
    return p;
}

static char *put_addr(char *p, const struct addr *a)
{
    return addr_is4(a) ? put_v4(p, addr_bytes4(a)) : put_v6(p, a);
}

char *addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
    *put_addr(buf, a) = '\0';
    return buf;
}

char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_MAX])
{
    bool v4 = addr_is4(&e->addr);
    char *p = buf;
    if (!v4) {
        *p++ = '[';
    }
    p = put_addr(p, &e->addr);
    if (!v4) {
        *p++ = ']';
    }
    *p++ = ':';
    p = put_dec(p, e->port);
    *p = '\0';
    return buf;
}

/* Text in: each moves *s past what it has read, or returns false. */

static bool get_octet(const char **s, uint8_t *out)
{
    const char *p = *s;
    unsigned v = 0;
    while (*p >= '0' && *p <= '9' && v <= 255) {
        v = v * 10 + (unsigned)(*p - '0');
        p++;
    }
    bool zeros = **s == '0' && p - *s > 1;
    if (p == *s || v > 255 || zeros) {
        return false;
    }
    *s = p;
    *out = (uint8_t)v;
    return true;
}

static bool get_v4(const char **s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *(*s)++ != '.') {
            return false;
        }
        if (!get_octet(s, &out[i])) {
            return false;
        }
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool get_group(const char **s, uint8_t out[2])
{
    unsigned v = 0;
    int n = 0;
    while (n < 4 && hex_digit((*s)[n]) >= 0) {
        v = v << 4 | (unsigned)hex_digit((*s)[n]);
        n++;
    }
    if (n == 0) {
        return false;
    }
    *s += n;
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
    return true;
}

/* Groups with colons between, up to `room` bytes; the last four of all may be IPv4. Returns the
 * bytes read, or -1. */
static int get_groups(const char **s, uint8_t *out, int room)
{
    int n = 0;
    while (n < room) {
        const char *v4 = *s;
        uint8_t quad[4];
        if (room - n >= 4 && get_v4(&v4, quad) && *v4 == '\0') {
            memcpy(out + n, quad, 4);
            *s = v4;
            return n + 4;
        }
        if (!get_group(s, out + n)) {
            return -1;
        }
        n += 2;
        if (**s != ':' || (*s)[1] == ':') {
            return n;
        }
        if (n < room) {
            (*s)++;
        }
    }
    return n;
}

static bool get_v6(const char **s, uint8_t out[16])
{
    uint8_t back[16];
    int head = 0;
    int tail = 0;

    memset(out, 0, 16);
    if ((*s)[0] != ':' || (*s)[1] != ':') {
        head = get_groups(s, out, 16);
    }
    if (head == 16) {
        return true;
    }
    if (head < 0 || (*s)[0] != ':' || (*s)[1] != ':') {
        return false;
    }
    *s += 2;
    if (**s != '\0') {
        tail =
            get_groups(s, back, 14 - head); /* "::" stands for one group at least, RFC 4291 2.2 */
    }
    if (tail < 0) {
        return false;
    }
    memcpy(out + 16 - tail, back, (size_t)tail);
    return true;
}

bool addr_parse(const char *text, struct addr *out)
{
    uint8_t b[16];
    const char *s = text;
    if (get_v4(&s, b) && *s == '\0') {
        *out = addr_of4(b);
        return true;
    }
    s = text;
    if (get_v6(&s, b) && *s == '\0') {
        *out = addr_of6(b);
        return true;
    }
    return false;
}
