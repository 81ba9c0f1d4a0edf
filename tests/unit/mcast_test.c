/*
 * mcast_test.c - multicast groups: who gets what, what routers are told and when, what the options
 * answer. The bytes of the reports and the errors are those of a 6.18 kernel over a TUN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/csum.h"
#include "core/mcast.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define LL6   "fe80::1"

static struct lone *host;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t got[100];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_forget(host);
    return lone_free(host);
}

static struct sock *group_sock(int family, uint16_t port)
{
    int on = 1;
    struct sock *s = lone_sock(host, family, LX_SOCK_DGRAM);
    assert_int_equal(
        sock_setopt(host->st, lone_env(host), s, LX_SOL_SOCKET, LX_SO_REUSEADDR, &on, 4, false), 0);
    assert_int_equal(lone_bind(host, s, family == LX_AF_INET ? "0.0.0.0" : "::", port), 0);
    return s;
}

static int set(struct sock *s, int level, int name, const void *val, size_t len)
{
    return sock_setopt(host->st, lone_env(host), s, level, name, val, len, false);
}

/* struct ip_mreq, or with an index struct ip_mreqn */
static int mreq(struct sock *s, int name, const char *group, const char *at)
{
    uint8_t v[12] = {0};
    struct addr g = lone_addr(group);
    struct addr a = lone_addr(at);
    memcpy(v, addr_bytes4(&g), 4);
    memcpy(v + 4, addr_bytes4(&a), 4);
    return set(s, LX_IPPROTO_IP, name, v, 8);
}

/* struct ip_mreq_source */
static int source(struct sock *s, int name, const char *group, const char *src)
{
    uint8_t v[12] = {0};
    struct addr g = lone_addr(group);
    struct addr a = lone_addr(src);
    memcpy(v, addr_bytes4(&g), 4);
    memcpy(v + 8, addr_bytes4(&a), 4);
    return set(s, LX_IPPROTO_IP, name, v, 12);
}

/* struct group_req and group_source_req */
static int group(struct sock *s, int level, int name, const char *grp, const char *src)
{
    uint8_t v[264] = {0};
    const char *text[2] = {grp, src};
    for (int i = 0; i < 2 && text[i]; i++) {
        uint8_t *p = v + 8 + i * 128;
        struct addr a = lone_addr(text[i]);
        bool is4 = addr_is4(&a);
        p[0] = is4 ? LX_AF_INET : LX_AF_INET6;
        memcpy(p + (is4 ? 4 : 8), is4 ? addr_bytes4(&a) : a.b, is4 ? 4 : 16);
    }
    return set(s, level, name, v, src ? 264 : 136);
}

static int join6(struct sock *s, int name, const char *grp)
{
    uint8_t v[20] = {0};
    struct addr g = lone_addr(grp);
    memcpy(v, g.b, 16);
    return set(s, LX_IPPROTO_IPV6, name, v, 20);
}

/* The next packet is this, from its option (IPv4) or its hop-by-hop header on. */
static void told(const char *to, const uint8_t *want, size_t n)
{
    const struct lone_pkt *k = lone_take(host);
    struct addr dst = lone_addr(to);
    bool v6 = !addr_is4(&dst);
    assert_non_null(k);
    assert_int_equal(k->len, (v6 ? 40 : 20) + n);
    assert_memory_equal(k->p + (v6 ? 40 : 20), want, n);
    if (v6) {
        assert_memory_equal(k->p + 24, dst.b, 16);
        assert_int_equal(k->p[7], 1);
    } else {
        assert_memory_equal(k->p + 16, addr_bytes4(&dst), 4);
        assert_memory_equal(k->p, "\x46\xc0", 2);
        assert_memory_equal(k->p + 4, "\0\0\x40\0\1\2", 6); /* no id, DF, TTL 1, IGMP */
    }
}

#define TOLD(to, bytes) told(to, (const uint8_t *)(bytes), sizeof(bytes) - 1)

static void quiet(nsec until)
{
    lone_wait(host, until);
    assert_null(lone_take(host));
}

/* RFC 3376 5.1: at once and once more within a second. */
static void igmp_reports(void **state)
{
    struct sock *s = group_sock(LX_AF_INET, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.2.3", "10.77.0.2"), 0);
    for (int i = 0; i < 2; i++) {
        TOLD("224.0.0.22",
             "\x94\4\0\0\x22\0\xe8\xf9\0\0\0\1\4\0\0\0\xef\1\2\3"); /* to exclude nobody */
        assert_null(lone_take(host));
        lone_wait(host, t + SEC);
    }
    quiet(t + 100 * SEC);
    assert_int_equal(mreq(s, LX_IP_DROP_MEMBERSHIP, "239.1.2.3", "10.77.0.2"), 0);
    lone_wait(host, t + 101 * SEC);
    for (int i = 0; i < 2; i++) {
        TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xe9\xf9\0\0\0\1\3\0\0\0\xef\1\2\3");
    }
    assert_int_equal(source(s, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"), 0);
    assert_int_equal(host->nout - host->taken, 1);
    TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xe4\xa2\0\0\0\1\5\0\0\1\xe8\1\2\3\x0a\x4d\0\x09");
    lone_wait(host, t + 110 * SEC);
    lone_forget(host);
    assert_int_equal(source(s, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.8"), 0);
    TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xe4\xa3\0\0\0\1\5\0\0\1\xe8\1\2\3\x0a\x4d\0\x08");
    lone_wait(host, t + 120 * SEC);
    lone_forget(host);
    assert_int_equal(source(s, LX_IP_DROP_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.8"), 0);
    TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xe3\xa3\0\0\0\1\6\0\0\1\xe8\1\2\3\x0a\x4d\0\x08");
    lone_close(host, s);
    lone_forget(host);
    quiet(t + 200 * SEC + (lone_wait(host, t + 122 * SEC), lone_forget(host), 0));
}

/* RFC 3810 5.2, 6.1; the source is none, for we have no link-local address. */
static void mld_reports(void **state)
{
    struct sock *s = group_sock(LX_AF_INET6, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(join6(s, LX_IPV6_ADD_MEMBERSHIP, "ff05::123"), 0);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->len, 40 + 36);
    assert_memory_equal(k->p + 40, "\x3a\0\5\2\0\0\1\0\x8f\0", 10);
    assert_memory_equal(k->p + 52, "\0\0\0\1\4\0\0\0\xff\5", 10);
    lone_wait(host, t + SEC);
    assert_non_null(lone_take(host));
    quiet(t + 10 * SEC);
    assert_int_equal(join6(s, LX_IPV6_DROP_MEMBERSHIP, "ff05::123"), 0);
    assert_int_equal(lone_take(host)->p[56], 3); /* to include nobody */
    lone_wait(host, t + 20 * SEC);
    lone_forget(host);
    assert_int_equal(group(s, LX_IPPROTO_IPV6, LX_MCAST_JOIN_SOURCE_GROUP, "ff35::1", "fd77::9"),
                     0);
    assert_memory_equal(lone_take(host)->p + 56, "\5\0\0\1\xff\x35", 6);
    lone_wait(host, t + 30 * SEC);
    lone_forget(host);
    join6(s, LX_IPV6_ADD_MEMBERSHIP, "ff01::5"); /* it leaves no host */
    quiet(t + 40 * SEC);
    lone_close(host, s);
    lone_wait(host, t + 50 * SEC);
}

/* RFC 3376 5.1: several changes at a time go in one report; sockets add up. */
static void together(void **state)
{
    struct sock *a = group_sock(LX_AF_INET, 5000);
    struct sock *b = group_sock(LX_AF_INET, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(source(a, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"), 0);
    assert_int_equal(mreq(a, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    lone_forget(host);
    lone_wait(host, t + SEC);
    uint32_t records = 0;
    for (const struct lone_pkt *k; (k = lone_take(host)) != NULL;) {
        records += k->p[31];
    }
    assert_in_range(records, 1, 2);
    assert_int_equal(source(b, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"), 0);
    quiet(t + 5 * SEC); /* nothing new for a router */
    assert_int_equal(mreq(b, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    assert_int_equal(source(b, LX_IP_BLOCK_SOURCE, "239.1.1.1", "10.77.0.9"), 0);
    quiet(t + 6 * SEC); /* the other one still wants it */
    lone_close(host, a);
    TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xdd\xa4\0\0\0\1\6\0\0\1\xef\1\1\1\x0a\x4d\0\x09");
    lone_close(host, b);
    lone_wait(host, t + 10 * SEC);
    assert_true(host->nout > host->taken);
}

static void igmp_in(const char *to, const void *msg, size_t n)
{
    uint8_t m[64] = {0};
    memcpy(m, msg, n);
    lone_in(host, pkt, lone_ip(pkt, PEER4, to, 2, m, n));
}

#define IGMP(to, bytes) igmp_in(to, bytes, sizeof(bytes) - 1)

/* RFC 3376 5.2: the answer comes within the time the query gives; only of what is asked. */
static void queries(void **state)
{
    struct sock *s = group_sock(LX_AF_INET, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(source(s, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.2.3", "10.77.0.9"), 0);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    lone_wait(host, t + 10 * SEC);
    lone_forget(host);
    IGMP("224.0.0.1", "\x11\x0a\0\0\0\0\0\0\2\x7d\0\0"); /* general, one second */
    lone_wait(host, t + 11 * SEC);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->len, 20 + 4 + 8 + 12 + 8);
    assert_int_equal(k->p[24], 0x22);
    assert_int_equal(k->p[31], 2);
    assert_null(lone_take(host));
    IGMP("239.1.1.1", "\x11\x0a\0\0\xef\1\1\1\2\x7d\0\0"); /* one group */
    lone_wait(host, t + 13 * SEC);
    TOLD("224.0.0.22", "\x94\4\0\0\x22\0\xeb\xfb\0\0\0\1\2\0\0\0\xef\1\1\1");
    IGMP("224.0.0.1", "\x11\x0a\0\0\xef\1\1\x09\2\x7d\0\0"); /* one we are not in */
    quiet(t + 30 * SEC);
    IGMP("224.0.0.1", "\x11\x0a\0\0\0\0\0\0\2"); /* of no version: RFC 3376 7.1 */
    IGMP("224.0.0.1", "\x11\x0a\0");
    quiet(t + 60 * SEC);
    lone_in(host, pkt,
            (lone_ip(pkt, PEER4, "224.0.0.1", 2, "\x11\x0a\1\1\0\0\0\0\2\x7d\0\0", 12),
             pkt[22] ^= 0x55, (size_t)32)); /* damaged */
    quiet(t + 70 * SEC);
    lone_close(host, s);
    lone_wait(host, t + 80 * SEC);
}

/* RFC 2236, RFC 3376 7.2.1: a router of an older version is spoken to in its own. */
static void old_routers(void **state)
{
    struct sock *s = group_sock(LX_AF_INET, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "232.1.2.3", "0.0.0.0"), 0);
    lone_wait(host, t + 10 * SEC);
    lone_forget(host);
    IGMP("224.0.0.1", "\x11\x0a\0\0\0\0\0\0");
    lone_wait(host, t + 11 * SEC);
    TOLD("232.1.2.3", "\x94\4\0\0\x16\0\xff\xfa\xe8\1\2\3");
    IGMP("224.0.0.1", "\x11\x0a\0\0\0\0\0\0");
    IGMP("232.1.2.3", "\x16\0\0\0\xe8\1\2\3"); /* somebody else was faster */
    quiet(t + 20 * SEC);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.0.0.1", "0.0.0.0"), 0);
    TOLD("239.0.0.1", "\x94\4\0\0\x16\0\xfa\xfd\xef\0\0\1");
    lone_wait(host, t + 30 * SEC);
    TOLD("239.0.0.1", "\x94\4\0\0\x16\0\xfa\xfd\xef\0\0\1");
    assert_int_equal(mreq(s, LX_IP_DROP_MEMBERSHIP, "239.0.0.1", "0.0.0.0"), 0);
    TOLD("224.0.0.2", "\x94\4\0\0\x17\0\xf9\xfd\xef\0\0\1");
    assert_int_equal(mreq(s, LX_IP_DROP_MEMBERSHIP, "232.1.2.3", "0.0.0.0"), 0);
    quiet(t + 200 * SEC); /* the other one has reported it last */
    lone_wait(host, t + 300 * SEC);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.0.0.1", "0.0.0.0"), 0);
    assert_int_equal(lone_take(host)->p[24], 0x22); /* it has not been heard for long */
    IGMP("224.0.0.1", "\x11\0\0\0\0\0\0\0");        /* version 1 */
    lone_wait(host, t + 320 * SEC);
    assert_int_equal(lone_take(host)->p[24], 0x12);
    lone_close(host, s);
    quiet(t + 400 * SEC);
}

static void mld_in(const char *src, uint8_t hops, const uint8_t *msg, size_t n)
{
    uint8_t all[64] = {58, 0, 5, 2, 0, 0, 1, 0};
    struct addr from = lone_addr(src);
    struct addr to = lone_addr("ff02::1");
    memcpy(all + 8, msg, n);
    be16 sum = csum_fold(csum_add(csum_pseudo(&from, &to, 58, (uint32_t)n), msg, n));
    memcpy(all + 10, sum.b, 2);
    size_t len = lone_ip(pkt, src, "ff02::1", 0, all, 8 + n);
    pkt[7] = hops;
    lone_in(host, pkt, len);
}

/* RFC 3810 6.2, 8.1; RFC 2710 4: only from the link, and in the router's version. */
static void mld_queries(void **state)
{
    uint8_t q[28] = {130, [4] = 3, [5] = 0xe8, [24] = 2, [25] = 125};
    struct sock *s = group_sock(LX_AF_INET6, 5000);
    nsec t = lone_env(host)->now;
    (void)state;
    assert_int_equal(join6(s, LX_IPV6_ADD_MEMBERSHIP, "ff05::123"), 0);
    lone_wait(host, t + 10 * SEC);
    lone_forget(host);
    mld_in(PEER6, 1, q, 28);
    mld_in(LL6, 64, q, 28);
    mld_in(LL6, 1, q, 25);
    quiet(t + 20 * SEC);
    mld_in(LL6, 1, q, 28);
    lone_wait(host, t + 21 * SEC);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[48], 143);
    assert_int_equal(k->p[56], 2);
    mld_in(LL6, 1, q, 24);
    lone_wait(host, t + 22 * SEC);
    k = lone_take(host);
    assert_int_equal(k->len, 40 + 8 + 24);
    assert_int_equal(k->p[48], 131);
    lone_close(host, s);
    assert_int_equal(lone_take(host)->p[48], 132);
    quiet(t + 30 * SEC);
}

/* Which of two sockets gets a datagram from `src` to the group: bit 0, bit 1. */
static unsigned delivered(struct sock *const s[2], const char *src, const char *grp)
{
    unsigned who = 0;
    lone_in(host, pkt, lone_udp(pkt, src, 9, grp, 5000, "x", 1));
    for (unsigned i = 0; i < 2; i++) {
        who |= lone_recv(host, s[i], got, sizeof got, 0, NULL) == 1 ? 1u << i : 0;
    }
    return who;
}

/* RFC 3376 3.1, 3.2; IP_MULTICAST_ALL. */
static void delivery(void **state)
{
    struct sock *s[2] = {group_sock(LX_AF_INET, 5000), group_sock(LX_AF_INET, 5000)};
    int off = 0;
    (void)state;
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 0);
    assert_int_equal(mreq(s[0], LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 3);
    assert_int_equal(set(s[1], LX_IPPROTO_IP, LX_IP_MULTICAST_ALL, &off, 4), 0);
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 1);
    assert_int_equal(source(s[0], LX_IP_BLOCK_SOURCE, "239.1.1.1", "10.77.0.9"), 0);
    assert_int_equal(delivered(s, "10.77.0.9", "239.1.1.1"), 0);
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 1);
    assert_int_equal(source(s[1], LX_IP_ADD_SOURCE_MEMBERSHIP, "239.1.1.1", "10.77.0.9"), 0);
    assert_int_equal(delivered(s, "10.77.0.9", "239.1.1.1"), 2);
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 1);
    assert_int_equal(source(s[0], LX_IP_UNBLOCK_SOURCE, "239.1.1.1", "10.77.0.9"), 0);
    assert_int_equal(delivered(s, "10.77.0.9", "239.1.1.1"), 3);
    lone_close(host, s[0]);
    s[0] = group_sock(LX_AF_INET, 5000); /* in no group, and takes what the host wants */
    assert_int_equal(delivered(s, "10.77.0.9", "239.1.1.1"), 3);
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 0);
    lone_close(host, s[0]);
    lone_close(host, s[1]);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
}

/* What setsockopt answers: as Linux 6.18. */
static void errors(void **state)
{
    struct sock *s = group_sock(LX_AF_INET, 5000);
    struct sock *s6 = lone_sock(host, LX_AF_INET6, LX_SOCK_DGRAM);
    struct sock *t = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
    (void)state;
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "10.1.1.1", "0.0.0.0"), -ERR_INVAL);
    assert_int_equal(set(s, LX_IPPROTO_IP, LX_IP_ADD_MEMBERSHIP, "\xef\1\1\1", 4), -ERR_INVAL);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "10.9.9.9"), -ERR_NODEV);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "10.77.0.2"), 0);
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "10.77.0.2"), -ERR_ADDRINUSE);
    assert_int_equal(mreq(s, LX_IP_DROP_MEMBERSHIP, "239.1.1.9", "10.77.0.2"), -ERR_ADDRNOTAVAIL);
    assert_int_equal(source(s, LX_IP_BLOCK_SOURCE, "239.1.1.1", "10.77.0.9"), 0);
    assert_int_equal(source(s, LX_IP_BLOCK_SOURCE, "239.1.1.1", "10.77.0.9"), -ERR_ADDRNOTAVAIL);
    assert_int_equal(source(s, LX_IP_UNBLOCK_SOURCE, "239.1.1.1", "10.77.0.8"), -ERR_ADDRNOTAVAIL);
    assert_int_equal(source(s, LX_IP_ADD_SOURCE_MEMBERSHIP, "239.1.1.1", "10.77.0.8"), -ERR_INVAL);
    assert_int_equal(source(s, LX_IP_DROP_SOURCE_MEMBERSHIP, "239.1.1.7", "10.77.0.8"), -ERR_INVAL);
    assert_int_equal(source(s, LX_IP_BLOCK_SOURCE, "239.1.1.7", "10.77.0.8"), -ERR_INVAL);
    for (int i = 0; i < 12; i++) {
        char src[16] = "10.77.1.";
        src[8] = (char)('1' + i / 10);
        src[9] = (char)('0' + i % 10);
        assert_int_equal(source(s, LX_IP_ADD_SOURCE_MEMBERSHIP, "232.1.1.1", src),
                         i < 10 ? 0 : -ERR_NOBUFS);
    }
    for (int i = 0; i < 20; i++) { /* with those two it makes 20 */
        char grp[16] = "239.2.1.";
        grp[8] = (char)('1' + i / 10);
        grp[9] = (char)('0' + i % 10);
        assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, grp, "10.77.0.2"), i < 18 ? 0 : -ERR_NOBUFS);
    }
    assert_int_equal(mreq(t, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "10.77.0.2"), -ERR_PROTO);
    assert_int_equal(set(t, LX_IPPROTO_IP, LX_IP_MULTICAST_IF, "\x0a\x4d\0\2", 4), -ERR_INVAL);
    assert_int_equal(set(s, LX_IPPROTO_IP, LX_IP_MULTICAST_IF, "\x0a\x09\1\2", 4),
                     -ERR_ADDRNOTAVAIL);
    assert_int_equal(set(s, LX_IPPROTO_IP, LX_IP_MULTICAST_IF, "\x0a\x4d\0\2", 4), 0);
    uint8_t at[4];
    size_t len = 4;
    assert_int_equal(
        sock_getopt(host->st, lone_env(host), s, LX_IPPROTO_IP, LX_IP_MULTICAST_IF, at, &len), 0);
    assert_memory_equal(at, "\x0a\x4d\0\2", 4);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_JOIN_GROUP, "ff05::9", NULL), 0);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_JOIN_GROUP, "ff05::9", NULL),
                     -ERR_ADDRINUSE);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_JOIN_GROUP, "fd77::9", NULL), -ERR_INVAL);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_LEAVE_GROUP, "ff05::9", NULL), 0);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_LEAVE_GROUP, "ff05::9", NULL),
                     -ERR_ADDRNOTAVAIL);
    assert_int_equal(group(s6, LX_IPPROTO_IPV6, LX_MCAST_JOIN_GROUP, "239.1.1.1", NULL),
                     -ERR_ADDRNOTAVAIL);
    assert_int_equal(group(s6, LX_IPPROTO_IP, LX_MCAST_JOIN_GROUP, "239.1.1.1", NULL), 0);
    assert_int_equal(set(s6, LX_IPPROTO_IPV6, LX_MCAST_JOIN_GROUP, "1234", 4), -ERR_INVAL);
    lone_close(host, s);
    lone_close(host, s6);
    lone_close(host, t);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
}

/* The host is in so many groups and no more; one that has been left takes no place away, and
 * routers hear of it all the same. */
static void full(void **state)
{
    struct sock *s[5];
    char grp[16];
    unsigned n = 0;
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        s[i] = group_sock(LX_AF_INET, (uint16_t)(5000 + i));
        for (unsigned k = 0; k < 20; k++) {
            snprintf(grp, sizeof grp, "239.3.%u.%u", i, k);
            int err = mreq(s[i], LX_IP_ADD_MEMBERSHIP, grp, "0.0.0.0");
            assert_int_equal(err, n < MCAST_GROUPS_MAX ? 0 : -ERR_NOBUFS);
            n += err == 0;
        }
    }
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    lone_forget(host);
    assert_int_equal(mreq(s[0], LX_IP_DROP_MEMBERSHIP, "239.3.0.0", "0.0.0.0"), 0);
    assert_int_equal(mreq(s[0], LX_IP_DROP_MEMBERSHIP, "239.3.0.1", "0.0.0.0"), 0);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    uint32_t records = 0;
    for (const struct lone_pkt *k; (k = lone_take(host)) != NULL;) {
        records += k->p[31];
    }
    assert_int_equal(records, 4); /* each of them twice */
    assert_int_equal(mreq(s[0], LX_IP_ADD_MEMBERSHIP, "239.4.0.1", "0.0.0.0"), 0);
    assert_int_equal(mreq(s[0], LX_IP_DROP_MEMBERSHIP, "239.4.0.1", "0.0.0.0"), 0);
    lone_forget(host);
    assert_int_equal(mreq(s[0], LX_IP_ADD_MEMBERSHIP, "239.4.0.2", "0.0.0.0"), 0);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    records = 0;
    for (const struct lone_pkt *k; (k = lone_take(host)) != NULL;) {
        records += k->p[31];
    }
    assert_int_equal(records, 3); /* the leave goes with the join, and the join once more */
    for (unsigned i = 0; i < 5; i++) {
        lone_close(host, s[i]);
    }
    lone_wait(host, lone_env(host)->now + 5 * SEC);
}

/* The holder of the lock dies: memberships live on, and routers hear of them again. */
static void recovery(void **state)
{
    struct sock *s[2] = {group_sock(LX_AF_INET, 5000), group_sock(LX_AF_INET, 5000)};
    (void)state;
    assert_int_equal(mreq(s[0], LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    assert_int_equal(source(s[1], LX_IP_ADD_SOURCE_MEMBERSHIP, "239.1.1.2", "10.77.0.9"), 0);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    lone_forget(host);
    lone_recover(host);
    assert_non_null(lone_take(host));
    assert_int_equal(delivered(s, PEER4, "239.1.1.1"), 3);
    assert_int_equal(delivered(s, "10.77.0.9", "239.1.1.2"), 3);
    assert_int_equal(delivered(s, PEER4, "239.1.1.2"), 0);
    lone_close(host, s[0]);
    lone_close(host, s[1]);
    lone_wait(host, lone_env(host)->now + 5 * SEC);
    assert_int_equal(delivered((struct sock *[2]){s[0] = group_sock(LX_AF_INET, 5000),
                                                  s[1] = group_sock(LX_AF_INET, 5000)},
                               PEER4, "239.1.1.1"),
                     0);
    lone_close(host, s[0]);
    lone_close(host, s[1]);
}

/* URGENT/11, CVE-2019-12265: reports and queries that lie about their counts, in fragments, at
 * random.
 */
static void hostile(void **state)
{
    struct sock *s = group_sock(LX_AF_INET, 5000);
    struct sock *s6 = group_sock(LX_AF_INET6, 5001);
    (void)state;
    assert_int_equal(mreq(s, LX_IP_ADD_MEMBERSHIP, "239.1.1.1", "0.0.0.0"), 0);
    assert_int_equal(join6(s6, LX_IPV6_ADD_MEMBERSHIP, "ff05::123"), 0);
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t m[64];
        size_t n = heap_below(&host->heap, sizeof m);
        heap_random(lone_env(host), m, sizeof m);
        m[0] = i & 1 ? 0x11 : (uint8_t)(0x10 + heap_below(&host->heap, 20));
        if (i % 3 == 0) {
            memcpy(m + 4, "\xef\1\1\1", 4);
        }
        if (i % 5 == 0) {
            lone_in(host, pkt, lone_frag(pkt, PEER4, "224.0.0.1", 2, i, m, 0, n & ~7u, true));
        } else if (i % 2) {
            memset(m + 2, 0, 2);
            lone_in(host, pkt, lone_ip(pkt, PEER4, "224.0.0.1", 2, m, n));
        } else {
            m[0] = (uint8_t)(130 + i % 3);
            mld_in(LL6, 1, m, min_size(n, 50));
        }
        if (i % 100 == 0) {
            lone_wait(host, lone_env(host)->now + 100 * MSEC);
            assert_null(stack_check(host->st));
            lone_forget(host);
        }
    }
    lone_close(host, s);
    lone_close(host, s6);
    lone_wait(host, lone_env(host)->now + 100 * SEC);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(igmp_reports), T(mld_reports), T(together), T(queries),  T(old_routers), T(mld_queries),
        T(delivery),     T(errors),      T(full),     T(recovery), T(hostile),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
