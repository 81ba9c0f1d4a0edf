/*
 * icmp_test.c - ICMP and ICMPv6: echoes, errors of others about packets of ours, errors of ours,
 * and their limits.
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
#include "core/ip.h"
#include "core/tcp.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define US4   "10.77.0.2"
#define US6   "fd77::2"

static struct lone *host;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t big[3000];
static uint8_t got[3000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = (uint8_t)(i * 3);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static void arrive(size_t len)
{
    lone_in(host, pkt, len);
}

/* --- echo: RFC 1122 3.2.2.6, RFC 4443 4.1, 4.2 --- */

static void echoes(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 1400; n += 350) {
        arrive(lone_icmp(pkt, PEER4, US4, 8, 0, 0x12345678, big, n));
        const struct lone_pkt *k = lone_take(host);
        assert_int_equal(k->len, 28 + n);
        assert_int_equal(k->p[20], 0);
        assert_memory_equal(k->p + 24, ((uint8_t[]){0x12, 0x34, 0x56, 0x78}), 4);
        assert_memory_equal(k->p + 28, big, n);
        arrive(lone_icmp(pkt, PEER6, US6, 128, 0, 0x12345678, big, n));
        k = lone_take(host);
        assert_int_equal(k->p[40], 129);
        assert_memory_equal(k->p + 48, big, n);
    }
    arrive(lone_icmp(pkt, PEER4, "10.77.0.255", 8, 0, 1, big, 4)); /* Linux ignores these */
    arrive(lone_icmp(pkt, PEER4, "224.0.0.1", 8, 0, 1, big, 4));
    assert_null(lone_take(host));
    arrive(lone_icmp(pkt, PEER6, "ff02::1", 128, 0, 1, big, 4)); /* RFC 4443 4.2: may be answered */
    struct addr us = lone_addr(US6);
    assert_memory_equal(lone_take(host)->p + 8, us.b, 16);
    host->st->knobs.icmp_echo_ignore_all = 1;
    arrive(lone_icmp(pkt, PEER4, US4, 8, 0, 1, big, 4));
    assert_null(lone_take(host));
}

/* RFC 1122 3.2.2.8; a request that lacks its own time is none, and a group is not answered. */
static void timestamps(void **state)
{
    (void)state;
    lone_env(host)->real = 1700000000 * SEC + 123 * MSEC; /* 22:13:20.123 */
    arrive(lone_icmp(pkt, PEER4, US4, 13, 0, 0x00070009, "\1\2\3\4\0\0\0\0\0\0\0\0", 12));
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->len, 40);
    assert_memory_equal(k->p + 24, "\0\7\0\11\1\2\3\4", 8);
    assert_int_equal(k->p[20], 14);
    uint32_t ms = ((22 * 60 + 13) * 60 + 20) * 1000 + 123;
    uint8_t want[4] = {(uint8_t)(ms >> 24), (uint8_t)(ms >> 16), (uint8_t)(ms >> 8), (uint8_t)ms};
    assert_memory_equal(k->p + 32, want, 4);
    assert_memory_equal(k->p + 36, want, 4);
    arrive(lone_icmp(pkt, PEER4, US4, 13, 0, 0x00070009, "\1\2\3", 3));
    arrive(lone_icmp(pkt, PEER4, "224.0.0.1", 13, 0, 0x00070009, big, 12));
    assert_null(lone_take(host));
}

static void bad_ones(void **state)
{
    const uint64_t *drop = host->st->stats.drop;
    (void)state;
    size_t len = lone_icmp(pkt, PEER4, US4, 8, 0, 1, big, 40);
    pkt[30] ^= 1;
    arrive(len);
    assert_int_equal(drop[DROP_ICMP_CHECKSUM], 1);
    len = lone_icmp(pkt, PEER6, US6, 128, 0, 1, big, 40);
    pkt[60] ^= 1;
    arrive(len);
    assert_int_equal(drop[DROP_ICMP_CHECKSUM], 2);
    arrive(lone_ip(pkt, PEER4, US4, 1, big, 7));
    assert_int_equal(drop[DROP_ICMP_SHORT], 1);
    static const uint8_t ignored[] = {4, 5, 9, 10, 14, 15, 17, 30, 255}; /* RFC 6633 and others */
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        arrive(lone_icmp(pkt, PEER4, US4, ignored[i], 0, 1, big, 40));
        assert_int_equal(drop[DROP_ICMP_TYPE], i + 1);
    }
    arrive(lone_icmp(pkt, PEER6, US6, 134, 0, 1, big, 40)); /* router advertisements are ignored */
    assert_null(lone_take(host));
}

/* --- errors in --- */

static struct sock *client(const char *to)
{
    struct sock *s = lone_sock(host, LX_AF_INET6, LX_SOCK_DGRAM);
    assert_int_equal(lone_connect(host, s, to, 53), 0);
    return s;
}

/* The last packet that s sent, quoted in an error from `from`. */
static void error_about(struct sock *s, const char *from, uint8_t type, uint8_t code, uint32_t rest)
{
    bool v6 = strchr(from, ':') != NULL;
    lone_forget(host);
    assert_int_equal(lone_send(host, s, "query", 5, NULL, 0), 5);
    const struct lone_pkt *k = lone_take(host);
    arrive(lone_icmp(pkt, from, v6 ? US6 : US4, type, code, rest, k->p, k->len));
}

struct expect {
    uint8_t type, code;
    enum err err;
    bool hard;
};

/* Linux: icmp_err_convert, __udp4_lib_err; RFC 1122 3.2.2.1. */
static const struct expect table4[] = {
    {3, 0, ERR_NETUNREACH, false},   {3, 1, ERR_HOSTUNREACH, false},
    {3, 2, ERR_NOPROTOOPT, true},    {3, 3, ERR_CONNREFUSED, true},
    {3, 4, ERR_MSGSIZE, true},       {3, 5, ERR_OPNOTSUPP, false},
    {3, 6, ERR_NETUNREACH, true},    {3, 7, ERR_HOSTDOWN, true},
    {3, 8, ERR_NONET, true},         {3, 9, ERR_NETUNREACH, true},
    {3, 10, ERR_HOSTUNREACH, true},  {3, 11, ERR_NETUNREACH, false},
    {3, 12, ERR_HOSTUNREACH, false}, {3, 13, ERR_HOSTUNREACH, true},
    {3, 14, ERR_HOSTUNREACH, true},  {3, 15, ERR_HOSTUNREACH, true},
    {11, 0, ERR_HOSTUNREACH, false}, {12, 0, ERR_PROTO, true},
};

/* Linux: icmpv6_err_convert. */
static const struct expect table6[] = {
    {1, 0, ERR_NETUNREACH, false},
    {1, 1, ERR_ACCES, true},
    {1, 2, ERR_HOSTUNREACH, false},
    {1, 3, ERR_HOSTUNREACH, false},
    {1, 4, ERR_CONNREFUSED, true},
    {1, 5, ERR_ACCES, true},
    {1, 6, ERR_ACCES, true},
    {1, 77, ERR_PROTO, true},
    {2, 0, ERR_MSGSIZE, true},
    {3, 0, ERR_HOSTUNREACH, false},
    {4, 0, ERR_PROTO, true},
    {77, 0, ERR_PROTO, false}, /* RFC 4443 2.4 (a): an error nobody knows */
};

static void told(const char *peer, const struct expect *e, size_t n)
{
    struct sock *s = client(peer);
    bool v6 = strchr(peer, ':') != NULL;
    for (size_t i = 0; i < n; i++) {
        error_about(s, peer, e[i].type, e[i].code, 1300);
        enum err want = e[i].hard ? e[i].err : ERR_OK;
        assert_int_equal(!!(sock_ready(host->st, s) & LX_POLLERR), e[i].hard);
        assert_int_equal(lone_recv(host, s, got, 10, 0, NULL),
                         want != ERR_OK ? -(int)want : -ERR_AGAIN);
    }
    /* IP_RECVERR: all of them, with all that is known. */
    int on = 1;
    assert_int_equal(sock_setopt(host->st, lone_env(host), s, v6 ? LX_IPPROTO_IPV6 : LX_IPPROTO_IP,
                                 v6 ? LX_IPV6_RECVERR : LX_IP_RECVERR, &on, 4, false),
                     0);
    for (size_t i = 0; i < n; i++) {
        struct recv_info info;
        error_about(s, peer, e[i].type, e[i].code, 1300);
        assert_int_equal(lone_recv(host, s, got, 10, LX_MSG_ERRQUEUE, &info), 5);
        assert_memory_equal(got, "query", 5);
        assert_int_equal(info.ee.err, e[i].err);
        assert_int_equal(info.ee.type, e[i].type);
        assert_int_equal(info.ee.code, e[i].code);
        assert_int_equal(info.ee.origin, v6 ? 3 : 2);
        struct addr a = lone_addr(peer);
        assert_true(addr_eq(&info.ee.offender.addr, &a));
        assert_int_equal(info.from.port, 53);
        assert_int_equal(sock_take_error(s), ERR_OK);
    }
    lone_close(host, s);
}

static void errors_in4(void **state)
{
    (void)state;
    told(PEER4, table4, ARRAY_LEN(table4));
}

static void errors_in6(void **state)
{
    (void)state;
    told(PEER6, table6, ARRAY_LEN(table6));
}

/* What is not connected hears nothing, and the pending error fails the next send once. */
static void unconnected(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    (void)state;
    assert_int_equal(lone_send(host, s, "x", 1, PEER4, 53), 1);
    const struct lone_pkt *k = lone_take(host);
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, k->p, k->len));
    assert_int_equal(lone_recv(host, s, got, 10, 0, NULL), -ERR_AGAIN);
    assert_int_equal(lone_connect(host, s, PEER4, 53), 0);
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, k->p, k->len));
    assert_int_equal(lone_send(host, s, "x", 1, NULL, 0), -ERR_CONNREFUSED);
    assert_int_equal(lone_send(host, s, "x", 1, NULL, 0), 1);
    lone_close(host, s);
}

/* Quotes that are cut short, of others, of later fragments, of nothing: none is believed, none is
 * read past its end. */
static void bad_quotes(void **state)
{
    struct sock *s = client(PEER4);
    (void)state;
    assert_int_equal(lone_send(host, s, "x", 1, NULL, 0), 1);
    uint8_t quote[29];
    memcpy(quote, lone_take(host)->p, sizeof quote);
    for (size_t n = 0; n < 28; n++) {
        arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, quote, n));
        assert_int_equal(sock_take_error(s), ERR_OK);
    }
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, quote, 28));
    assert_int_equal(sock_take_error(s), ERR_CONNREFUSED);
    for (size_t i = 0; i < 24; i++) { /* another flow, another protocol, another source */
        uint8_t bad[29];
        memcpy(bad, quote, sizeof bad);
        bad[i] ^= 0x10;
        bool matters = i == 0 || i == 6 || i == 7 || i == 9 || i >= 12;
        arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, bad, 28));
        assert_int_equal(sock_take_error(s), matters ? ERR_OK : ERR_CONNREFUSED);
    }
    lone_close(host, s);
}

/* RFC 1191, RFC 8201: lower only, and not below what is sensible (RFC 5927 7). */
static void too_big(void **state)
{
    struct sock *s = client(PEER4);
    struct sock *s6 = client(PEER6);
    struct addr a4 = lone_addr(PEER4);
    struct addr a6 = lone_addr(PEER6);
    (void)state;
    error_about(s, PEER4, 3, 4, 1300);
    assert_int_equal(sock_take_error(s), ERR_MSGSIZE);
    assert_int_equal(ip_mtu(host->st, &a4), 1300);
    error_about(s, PEER4, 3, 4, 1400);
    assert_int_equal(sock_take_error(s), ERR_MSGSIZE);
    assert_int_equal(ip_mtu(host->st, &a4), 1300);
    error_about(s, PEER4, 3, 4, 0); /* a router from before RFC 1191 */
    assert_int_equal(sock_take_error(s), ERR_MSGSIZE);
    assert_int_equal(ip_mtu(host->st, &a4), 552);
    error_about(s6, PEER6, 2, 0, 1400);
    assert_int_equal(sock_take_error(s6), ERR_MSGSIZE);
    assert_int_equal(ip_mtu(host->st, &a6), 1400);
    error_about(s6, PEER6, 2, 0, 1280);
    assert_int_equal(ip_mtu(host->st, &a6), 1280);
    (void)sock_take_error(s6);
    error_about(s6, PEER6, 2, 0, 68);
    assert_int_equal(ip_mtu(host->st, &a6), 1280);
    lone_close(host, s);
    lone_close(host, s6);
}

/* IP_MTU_DISCOVER: who does not want to know, learns nothing. */
static void too_big_unwanted(void **state)
{
    static const struct {
        uint8_t mode;
        bool learns, told4, told6;
    } table[] = {
        {LX_IP_PMTUDISC_DONT, true, false, false},      {LX_IP_PMTUDISC_WANT, true, true, true},
        {LX_IP_PMTUDISC_DO, true, true, true},          {LX_IP_PMTUDISC_PROBE, true, true, true},
        {LX_IP_PMTUDISC_INTERFACE, false, true, false}, {LX_IP_PMTUDISC_OMIT, false, true, false}};
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        struct sock *s = client(v6 ? PEER6 : PEER4);
        struct addr a = lone_addr(v6 ? PEER6 : PEER4);
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
            s->opt.mtu_discover = table[i].mode;
            s->opt.mtu_discover6 = table[i].mode;
            error_about(s, v6 ? PEER6 : PEER4, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
            bool told = v6 ? table[i].told6 : table[i].told4;
            assert_int_equal(sock_take_error(s), told ? ERR_MSGSIZE : ERR_OK);
            assert_int_equal(ip_mtu(host->st, &a), table[i].learns ? 1300 : 1500);
            lone_wait(host, lone_env(host)->now + 601 * SEC);
            assert_int_equal(ip_mtu(host->st, &a), 1500); /* RFC 1191 6.3: forgotten in time */
        }
        lone_close(host, s);
    }
}

/* Any of them ends an attempt to connect, with Linux's errno. Too big is about no SYN. */
static void connect_errors(void **state)
{
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        const struct expect *table = v6 ? table6 : table4;
        for (size_t i = 0; i < (v6 ? ARRAY_LEN(table6) : ARRAY_LEN(table4)); i++) {
            struct sock *s = lone_sock(host, v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM);
            s->opt.recverr6 = i % 2;
            assert_int_equal(lone_connect(host, s, v6 ? PEER6 : PEER4, 80), -ERR_INPROGRESS);
            const struct lone_pkt *k = lone_take(host);
            arrive(lone_icmp(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, table[i].type, table[i].code,
                             1300, k->p, min_size(k->len, v6 ? 60 : 28)));
            bool ends = table[i].err != ERR_MSGSIZE;
            assert_int_equal(tcp_state_of(s), ends ? TCP_CLOSED : TCP_SYN_SENT);
            assert_int_equal(sock_take_error(s), ends ? table[i].err : ERR_OK);
            /* Linux 6.18: in the error queue too, over IPv6 only if asked for */
            struct recv_info info;
            bool queued = ends && (!v6 || i % 2);
            assert_int_equal(lone_recv(host, s, got, sizeof got, LX_MSG_ERRQUEUE, &info),
                             queued ? (v6 ? 20 : 8) : -ERR_AGAIN);
            if (queued) {
                assert_int_equal(info.ee.err, table[i].err);
                assert_int_equal(info.ee.type << 8 | info.ee.code,
                                 table[i].type << 8 | table[i].code);
                assert_int_equal(info.from.port, 80);
            }
            lone_close(host, s);
            lone_forget(host);
        }
    }
}

/* RFC 5927: about a connection only with a sequence number in flight. */
static void tcp_errors(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_STREAM);
    uint8_t quote[60];
    struct addr a4 = lone_addr(PEER4);
    (void)state;
    assert_int_equal(lone_connect(host, s, PEER4, 80), -ERR_INPROGRESS);
    memcpy(quote, lone_take(host)->p, 40);
    quote[27] ^= 0x55; /* the sequence number */
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, quote, 40));
    arrive(lone_icmp(pkt, PEER4, US4, 3, 4, 600, quote, 40));
    assert_int_equal(tcp_state_of(s), TCP_SYN_SENT);
    assert_int_equal(ip_mtu(host->st, &a4), 1500);
    quote[27] ^= 0x55;
    arrive(lone_icmp(pkt, PEER4, US4, 3, 4, 600, quote, 40)); /* a SYN is never too big */
    assert_int_equal(ip_mtu(host->st, &a4), 1500);
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, quote, 28));
    assert_int_equal(tcp_state_of(s), TCP_CLOSED);
    assert_int_equal(sock_take_error(s), ERR_CONNREFUSED);
    lone_close(host, s);
}

/* --- errors out: RFC 1122 3.2.2, RFC 4443 2.4 --- */

static void port_unreachable(void **state)
{
    (void)state;
    size_t len = lone_udp(pkt, PEER4, 9, US4, 7777, big, 1000);
    uint8_t sent[1100];
    memcpy(sent, pkt, len);
    arrive(len);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[20], 3);
    assert_int_equal(k->p[21], 3);
    assert_int_equal(k->len, 576); /* as much as fits */
    assert_memory_equal(k->p + 28, sent, 548);
    len = lone_udp(pkt, PEER6, 9, US6, 7777, big, 1400);
    arrive(len);
    k = lone_take(host);
    assert_int_equal(k->p[40], 1);
    assert_int_equal(k->p[41], 4);
    assert_int_equal(k->len, 1280);
}

static void unknown_protocol(void **state)
{
    (void)state;
    arrive(lone_ip(pkt, PEER4, US4, 4, big, 60)); /* IP in IP is not looked into (Ripple20) */
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[20] << 8 | k->p[21], 3 << 8 | 2);
    arrive(lone_ip(pkt, PEER6, US6, 41, big, 60));
    k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 4 << 8 | 1);
    assert_int_equal(k->p[47], 6); /* the pointer: the next-header field */
    arrive(lone_ip(pkt, PEER6, US6, 59, big, 0));
    assert_null(lone_take(host));
}

static void parameter_problem(void **state)
{
    (void)state;
    uint8_t data[8] = {7, 99, 1, 1, 0, 0, 0, 0};
    size_t len = lone_ip(pkt, PEER4, US4, 17, data, sizeof data);
    pkt[0] = 0x46;
    lone_fix(pkt, len);
    arrive(len);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->p[20], 12);
    assert_int_equal(k->p[24], 20);
    uint8_t opt[16] = {17, 0, 0x9e, 4, 0, 0, 0, 0};
    arrive(lone_ip(pkt, PEER6, US6, 60, opt, sizeof opt));
    k = lone_take(host);
    assert_int_equal(k->p[40] << 8 | k->p[41], 4 << 8 | 2);
    assert_int_equal(k->p[47], 42);
    arrive(lone_ip(pkt, PEER6, "ff02::1", 60, opt, sizeof opt)); /* even to a group */
    assert_non_null(lone_take(host));
}

/* URGENT/11, CVE-2019-12256: whatever the pointer of a route or timestamp option says, the error
 * that quotes it holds the packet as it came and no byte more; source routes get none. */
static void options_quoted(void **state)
{
    static const uint8_t kinds[] = {7, 68, 131, 137};
    uint8_t sent[100];
    (void)state;
    host->st->knobs.icmp_ratelimit = 0;
    host->st->knobs.icmp_msgs_burst = 1000000;
    host->st->icmp_tokens = 1000000;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (unsigned pointer = 0; pointer < 256; pointer++) {
            size_t len = lone_udp(pkt, PEER4, 9, US4, 7777, big, 20);
            memmove(pkt + 28, pkt + 20, len - 20);
            memcpy(pkt + 20, (uint8_t[]){kinds[k], 7, (uint8_t)pointer, 10, 77, 0, 9, 0}, 8);
            pkt[0] = 0x47;
            pkt[3] = (uint8_t)(len + 8);
            lone_fix(pkt, len + 8);
            memcpy(sent, pkt, len + 8);
            arrive(len + 8);
            const struct lone_pkt *e = lone_take(host);
            if (kinds[k] >= 128) {
                assert_null(e);
                continue;
            }
            assert_int_equal(e->len, 28 + len + 8);
            assert_memory_equal(e->p + 28, sent, len + 8);
            assert_int_equal(e->p[0], 0x45); /* none of the options comes back */
        }
    }
    lone_forget(host);
}

/* Ripple20, CVE-2020-11896 and 11898: IP in IP, whole and in two fragments, with lengths that lie:
 * "protocol unreachable" quotes what came and nothing behind it, or there is no answer at all. */
static void ripple20(void **state)
{
    static const uint16_t lies[] = {0, 1, 19, 20, 21, 40, 59, 60, 61, 100, 1500, 65535};
    uint8_t inner[200];
    (void)state;
    host->st->knobs.icmp_ratelimit = 0;
    host->st->knobs.icmp6_ratelimit = 0;
    for (int v6 = 0; v6 <= 1; v6++) {
        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            lone_ip(inner, v6 ? PEER6 : PEER4, v6 ? US6 : US4, 17, big, 40);
            size_t at = v6 ? 4 : 2;
            inner[at] = (uint8_t)(lies[i] >> 8); /* the inner header lies */
            inner[at + 1] = (uint8_t)lies[i];
            arrive(lone_ip(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, v6 ? 41 : 4, inner, 60));
            const struct lone_pkt *e = lone_take(host);
            assert_int_equal(e->len, v6 ? 48 + 100 : 28 + 80);
            uint32_t id = (uint32_t)(i + 1);
            arrive(lone_frag(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, v6 ? 41 : 4, id, inner, 0, 32,
                             true));
            assert_null(lone_take(host));
            arrive(lone_frag(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, v6 ? 41 : 4, id, inner, 32,
                             28, false));
            e = lone_take(host);
            assert_int_equal(e->len, v6 ? 48 + 100 : 28 + 80); /* of the datagram put together */
            assert_null(lone_take(host));
            size_t len = lone_ip(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, v6 ? 41 : 4, inner, 60);
            pkt[at] = (uint8_t)(lies[i] >> 8); /* the outer one does */
            pkt[at + 1] = (uint8_t)lies[i];
            lone_fix(pkt, len);
            arrive(len);
            e = lone_take(host);
            size_t said = v6 ? (size_t)lies[i] + 40 : lies[i];
            assert_int_equal(e != NULL, said >= (v6 ? 40u : 20u) && said <= len);
            if (e) {
                assert_int_equal(e->len, (v6 ? 48u : 28u) + said);
            }
            lone_wait(host, lone_env(host)->now + SEC);
        }
    }
}

/* What must not be answered. */
static void silences(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "255.255.255.255", "10.77.0.255", "224.0.0.1", "0.0.0.0", "0.1.2.3", "127.0.0.1", US4,
        "ff02::1",         "::",          "::1",       US6};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        bool v6 = strchr(sources[i], ':') != NULL;
        arrive(lone_udp(pkt, sources[i], 9, v6 ? US6 : US4, 7777, big, 10));
        assert_null(lone_take(host));
    }
    assert_int_equal(host->st->stats.drop[DROP_MARTIAN], 4); /* LAND, and loopback from outside */
    assert_int_equal(host->st->stats.drop[DROP_IP_SOURCE], 7);
    static const char *const groups[] = {"255.255.255.255", "10.77.0.255", "224.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        arrive(lone_udp(pkt, PEER4, 9, groups[i], 7777, big, 10));
        arrive(lone_ip(pkt, PEER4, groups[i], 6, big, 40));
        assert_null(lone_take(host));
    }
    /* later fragments, however wrong; RFC 1122 3.2.2 */
    arrive(lone_frag(pkt, PEER4, US4, 99, 1, big, 8, 16, false));
    arrive(lone_frag(pkt, PEER6, US6, 99, 1, big, 8, 16, false));
    lone_wait(host, lone_env(host)->now + 61 * SEC);
    assert_null(lone_take(host));
    /* an error about an error: of a protocol nobody knows, inside a datagram nobody wants */
    arrive(lone_icmp(pkt, PEER4, US4, 3, 3, 0, big, 40));
    assert_null(lone_take(host));
    arrive(lone_udp(pkt, PEER4, 9, "10.77.0.99", 7777, big, 10)); /* not for us */
    assert_null(lone_take(host));
}

/* Limits, together and for each destination; and no counting what is left (CVE-2020-25705). */
static void rate_limits(void **state)
{
    nsec start = lone_env(host)->now;
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        arrive(lone_udp(pkt, PEER4, 9, US4, 7777, big, 10));
    }
    assert_int_equal(host->emitted, 6); /* Linux: XRLIM_BURST_FACTOR */
    lone_wait(host, start + 10 * SEC);
    for (unsigned i = 0; i < 100; i++) {
        arrive(lone_udp(pkt, PEER4, 9, US4, 7777, big, 10));
    }
    assert_int_equal(host->emitted, 12);
    lone_wait(host, start + 100 * SEC);
    host->emitted = 0;
    for (unsigned i = 0; i < 2000; i++) { /* from everywhere at once */
        char from[20];
        snprintf(from, sizeof from, "10.77.%u.%u", 1 + i / 200, 1 + i % 200);
        arrive(lone_udp(pkt, from, 9, US4, 7777, big, 10));
    }
    assert_in_range(host->emitted, 15, 50);
    lone_forget(host);
}

/* net.ipv6.icmp.ratelimit is 100 ms where IPv4's is a second; icmp_ratemask says which types of
 * IPv4 are limited; to ourselves nothing is. What Linux 6.18 did: 6 and then one each 100 ms. */
static void rate_knobs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        arrive(lone_udp(pkt, PEER6, 9, US6, 7777, big, 10));
        lone_wait(host, lone_env(host)->now + 10 * MSEC);
    }
    assert_in_range(host->emitted, 25, 26);
    host->emitted = 0;
    host->st->knobs.icmp_ratemask = 0;
    for (unsigned i = 0; i < 200; i++) {
        arrive(lone_udp(pkt, PEER4, 9, US4, 7777, big, 10));
    }
    assert_int_equal(host->emitted, 200);
    host->st->knobs.icmp_ratemask = 6168;
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    assert_int_equal(lone_connect(host, s, US4, 7777), 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(lone_send(host, s, "x", 1, NULL, 0), 1);
        stack_flush(host->st, lone_env(host));
        assert_int_equal(sock_take_error(s), ERR_CONNREFUSED);
    }
    lone_close(host, s);
    lone_forget(host);
}

/* Random and damaged messages: nothing is read past its end, nothing loops, no error comes of an
 * error. */
static void hostile(void **state)
{
    struct sock *s = client(PEER4);
    struct sock *s6 = client(PEER6);
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        bool v6 = i & 1;
        uint8_t inner[200];
        size_t n = heap_below(&host->heap, sizeof inner);
        heap_random(lone_env(host), inner, n);
        if (n > 50 && i % 4 < 2) {
            lone_udp(inner, v6 ? US6 : US4, v6 ? s6->flow.lport : s->flow.lport, v6 ? PEER6 : PEER4,
                     53, "", 0);
        }
        uint8_t type = (uint8_t)heap_below(&host->heap, i % 3 == 0 ? 256 : 13);
        arrive(lone_icmp(pkt, v6 ? PEER6 : PEER4, v6 ? US6 : US4, type,
                         (uint8_t)heap_below(&host->heap, 16), heap_below(&host->heap, 3000), inner,
                         n));
        if (i % 1000 == 0) {
            assert_null(stack_check(host->st));
            lone_forget(host);
        }
    }
    lone_close(host, s);
    lone_close(host, s6);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(echoes),           T(bad_ones),         T(errors_in4),        T(errors_in6),
        T(unconnected),      T(bad_quotes),       T(too_big),           T(tcp_errors),
        T(port_unreachable), T(unknown_protocol), T(parameter_problem), T(silences),
        T(rate_limits),      T(hostile),          T(rate_knobs),        T(ripple20),
        T(options_quoted),   T(too_big_unwanted), T(timestamps),        T(connect_errors),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
