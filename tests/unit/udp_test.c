/*
 * udp_test.c - datagram sockets through a whole stack: what is sent, queued, refused, truncated,
 * and told of errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/udp.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define US4   "10.77.0.2"
#define US6   "fd77::2"

static struct lone *host;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t big[70000];
static uint8_t got[70000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(LINK_CSUM, NULL);
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static void arrive(const char *from, uint16_t sport, const char *to, uint16_t dport, const void *p,
                   size_t len)
{
    lone_in(host, pkt, lone_udp(pkt, from, sport, to, dport, p, len));
}

static struct sock *udp(int family, const char *at, uint16_t port)
{
    struct sock *s = lone_sock(host, family, LX_SOCK_DGRAM);
    if (at) {
        assert_int_equal(lone_bind(host, s, at, port), 0);
    }
    return s;
}

static void set_int(struct sock *s, int level, int name, int32_t v)
{
    assert_int_equal(sock_setopt(host->st, lone_env(host), s, level, name, &v, sizeof v, true), 0);
}

/* RFC 768: header, lengths, both families; the link completes the checksum (judged by the host). */
static void sends(void **state)
{
    struct sock *s = udp(LX_AF_INET6, NULL, 0);
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 100, 1432, 1452, 1472};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (int v6 = 0; v6 <= 1; v6++) {
            if (v6 && sizes[i] > 1452) {
                continue;
            }
            assert_int_equal(lone_send(host, s, big, sizes[i], v6 ? PEER6 : PEER4, 53), sizes[i]);
            const struct lone_pkt *k = lone_take(host);
            size_t head = v6 ? 40 : 20;
            assert_int_equal(k->len, head + 8 + sizes[i]);
            assert_int_equal(k->p[head + 2] << 8 | k->p[head + 3], 53);
            assert_int_equal(k->p[head] << 8 | k->p[head + 1], s->flow.lport);
            assert_memory_equal(k->p + head + 8, big, sizes[i]);
            assert_true(k->partial);
        }
    }
    assert_in_range(s->flow.lport, 32768, 60999);
    lone_close(host, s);
}

/* What send(2) refuses, with Linux's errors. */
static void send_errors(void **state)
{
    struct sock *s = udp(LX_AF_INET, NULL, 0);
    struct sock *v6 = udp(LX_AF_INET6, NULL, 0);
    (void)state;
    assert_int_equal(lone_send(host, s, big, 1, NULL, 0), -ERR_DESTADDRREQ);
    assert_int_equal(lone_send(host, s, big, 1, PEER4, 0), -ERR_INVAL);
    assert_int_equal(lone_send(host, s, big, 1, PEER6, 9), -ERR_AFNOSUPPORT);
    assert_int_equal(lone_send(host, s, big, 65508, PEER4, 9), -ERR_MSGSIZE);
    assert_int_equal(lone_send(host, s, big, 65536, PEER4, 9), -ERR_MSGSIZE);
    assert_int_equal(lone_send(host, s, big, 1, "255.255.255.255", 9), -ERR_ACCES);
    assert_int_equal(lone_send(host, s, big, 1, "10.77.0.255", 9), -ERR_ACCES);
    set_int(s, LX_SOL_SOCKET, LX_SO_BROADCAST, 1);
    assert_int_equal(lone_send(host, s, big, 1, "10.77.0.255", 9), 1);
    set_int(v6, LX_IPPROTO_IPV6, LX_IPV6_V6ONLY, 0);
    assert_int_equal(lone_send(host, v6, big, 1, PEER4, 9), 1);
    assert_int_equal(sock_shutdown(host->st, lone_env(host), s, LX_SHUT_WR), -ERR_NOTCONN);
    assert_int_equal(lone_send(host, s, big, 1, PEER4, 9), -ERR_PIPE);
    lone_close(host, s);
    lone_close(host, v6);
}

/* IP_MTU_DISCOVER: fragments, or EMSGSIZE and a word on the error queue. */
static void large_ones(void **state)
{
    struct sock *s = udp(LX_AF_INET, NULL, 0);
    struct recv_info info;
    (void)state;
    assert_int_equal(lone_send(host, s, big, 5000, PEER4, 9), 5000);
    unsigned n = 0;
    const struct lone_pkt *k;
    while ((k = lone_take(host)) != NULL) {
        assert_int_equal(k->p[6] & 0x40, 0); /* may be fragmented further */
        n++;
    }
    assert_int_equal(n, 4);
    assert_int_equal(lone_send(host, s, big, 1472, PEER4, 9), 1472);
    assert_int_equal(lone_take(host)->p[6], 0x40);

    set_int(s, LX_IPPROTO_IP, LX_IP_MTU_DISCOVER, 2); /* IP_PMTUDISC_DO */
    assert_int_equal(lone_send(host, s, big, 1473, PEER4, 9), -ERR_MSGSIZE);
    assert_int_equal(lone_recv(host, s, got, 1, LX_MSG_ERRQUEUE, &info), -ERR_AGAIN);
    set_int(s, LX_IPPROTO_IP, LX_IP_RECVERR, 1);
    assert_int_equal(lone_send(host, s, big, 1473, PEER4, 9), -ERR_MSGSIZE);
    assert_int_equal(sock_ready(host->st, s) & LX_POLLERR, LX_POLLERR);
    assert_int_equal(lone_recv(host, s, got, 1, LX_MSG_ERRQUEUE, &info), 0);
    assert_true(info.have_err);
    assert_int_equal(info.ee.err, ERR_MSGSIZE);
    assert_int_equal(info.ee.info, 1500);
    assert_int_equal(sock_ready(host->st, s) & LX_POLLERR, 0);
    lone_close(host, s);
}

/* More pieces than a packet has spans, and MSG_MORE: one datagram all the same. */
static void gathers(void **state)
{
    struct sock *s = udp(LX_AF_INET, NULL, 0);
    struct span v[40];
    (void)state;
    assert_int_equal(lone_connect(host, s, PEER4, 9), 0);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = (struct span){big + i * 10, 10};
    }
    assert_int_equal(sock_send(host->st, lone_env(host), s, v, 40, 0, NULL), 400);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->len, 428);
    assert_memory_equal(k->p + 28, big, 400);

    for (size_t i = 0; i < 3; i++) {
        uint32_t more = i < 2 ? LX_MSG_MORE : 0;
        assert_int_equal(sock_send(host->st, lone_env(host), s, &v[i], 1, more, NULL), 10);
        assert_true((lone_take(host) != NULL) == (i == 2));
    }
    assert_memory_equal(host->out[host->nout - 1].p + 28, big, 30);
    set_int(s, LX_IPPROTO_UDP, 1, 1); /* UDP_CORK */
    assert_int_equal(lone_send(host, s, big, 100, NULL, 0), 100);
    assert_null(lone_take(host));
    set_int(s, LX_IPPROTO_UDP, 1, 0);
    assert_int_equal(lone_take(host)->len, 128);
    assert_int_equal(sock_send(host->st, lone_env(host), s, v, 1, LX_MSG_MORE, NULL), 10);
    lone_close(host, s); /* with bytes held back: they are forgotten */
}

/* Boundaries are kept; what does not fit is cut and said so; PEEK leaves it. */
static void receives(void **state)
{
    struct sock *s = udp(LX_AF_INET, "0.0.0.0", 5000);
    struct recv_info info;
    (void)state;
    assert_int_equal(lone_recv(host, s, got, 10, 0, NULL), -ERR_AGAIN);
    arrive(PEER4, 9, US4, 5000, "abc", 3);
    arrive(PEER4, 9, US4, 5000, "", 0);
    arrive(PEER4, 10, US4, 5000, big, 1000);
    assert_int_equal(sock_ioctl(host->st, lone_env(host), s, LX_SIOCINQ), 3);
    assert_int_equal(lone_recv(host, s, got, 100, LX_MSG_PEEK, &info), 3);
    assert_int_equal(info.from.port, 9);
    assert_int_equal(lone_recv(host, s, got, 2, 0, &info), 2);
    assert_int_equal(info.flags, LX_MSG_TRUNC);
    assert_int_equal(lone_recv(host, s, got, 100, 0, &info), 0);
    assert_int_equal(info.flags, 0);
    assert_int_equal(lone_recv(host, s, got, 10, LX_MSG_TRUNC, &info), 1000);
    assert_memory_equal(got, big, 10);
    assert_int_equal(info.from.port, 10);
    assert_int_equal(lone_recv(host, s, got, 100, 0, &info), -ERR_AGAIN);
    lone_close(host, s);
}

/* A program that does not read loses datagrams, not memory. */
static void buffer_full(void **state)
{
    struct sock *s = udp(LX_AF_INET, "0.0.0.0", 5000);
    uint32_t n = 0;
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        arrive(PEER4, 9, US4, 5000, &i, sizeof i);
    }
    assert_true(host->st->stats.drop[DROP_UDP_BUFFER] > 0);
    while (lone_recv(host, s, got, 100, 0, NULL) == 4) {
        assert_memory_equal(got, &n, 4); /* the first ones are kept */
        n++;
    }
    assert_in_range(n, 200, 600);
    set_int(s, LX_SOL_SOCKET, LX_SO_RCVBUF, 0); /* the least: one fits always */
    arrive(PEER4, 9, US4, 5000, big, 1400);
    assert_int_equal(lone_recv(host, s, got, 2000, 0, NULL), 1400);
    lone_close(host, s);
}

/* RFC 768, RFC 1122 4.1.3.4, RFC 8200 8.1, and lengths that lie. */
static void bad_packets(void **state)
{
    struct sock *s = udp(LX_AF_INET6, "::", 5000);
    const uint64_t *drop = host->st->stats.drop;
    size_t len = lone_udp(pkt, PEER4, 9, US4, 5000, big, 100);
    (void)state;
    pkt[27] ^= 1;
    lone_in(host, pkt, len);
    assert_int_equal(drop[DROP_UDP_CHECKSUM], 1);
    pkt[26] = pkt[27] = 0; /* none was made: good in IPv4 */
    lone_in(host, pkt, len);
    assert_int_equal(lone_recv(host, s, got, 200, 0, NULL), 100);
    len = lone_udp(pkt, PEER6, 9, US6, 5000, big, 100);
    pkt[46] = pkt[47] = 0; /* and not in IPv6 */
    lone_in(host, pkt, len);
    assert_int_equal(drop[DROP_UDP_CHECKSUM], 2);

    static const uint16_t lengths[] = {0, 7, 109, 65535};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        len = lone_udp(pkt, PEER4, 9, US4, 5000, big, 100);
        pkt[24] = (uint8_t)(lengths[i] >> 8);
        pkt[25] = (uint8_t)lengths[i];
        lone_in(host, pkt, len);
        assert_int_equal(drop[DROP_UDP_LENGTH], i + 1);
    }
    len = lone_ip(pkt, PEER4, US4, 17, big, 7);
    lone_in(host, pkt, len);
    assert_int_equal(drop[DROP_UDP_SHORT], 1);
    assert_int_equal(lone_recv(host, s, got, 200, 0, NULL), -ERR_AGAIN);
    lone_forget(host);
    lone_close(host, s);
}

/* connect(2) on datagrams: only the peer is heard, and it is the default destination. */
static void connected(void **state)
{
    struct sock *s = udp(LX_AF_INET, NULL, 0);
    struct endpoint e;
    (void)state;
    assert_int_equal(sock_peer(host->st, s, &e), -ERR_NOTCONN);
    assert_int_equal(lone_connect(host, s, PEER4, 53), 0);
    assert_int_equal(sock_peer(host->st, s, &e), 0);
    assert_int_equal(e.port, 53);
    assert_int_equal(sock_name(host->st, s, &e), 0);
    struct addr us = lone_addr(US4);
    assert_true(addr_eq(&e.addr, &us));
    uint16_t port = e.port;
    arrive(PEER4, 54, US4, port, "x", 1);
    arrive("10.77.0.9", 53, US4, port, "x", 1);
    assert_int_equal(host->st->stats.drop[DROP_UDP_NO_SOCKET], 2);
    arrive(PEER4, 53, US4, port, "xy", 2);
    assert_int_equal(lone_recv(host, s, got, 10, 0, NULL), 2);
    lone_forget(host);
    assert_int_equal(lone_send(host, s, "q", 1, NULL, 0), 1);
    assert_int_equal(lone_send(host, s, "q", 1, "10.77.0.9", 99), 1);

    assert_int_equal(sock_connect(host->st, lone_env(host), s, NULL), 0); /* AF_UNSPEC */
    assert_int_equal(sock_peer(host->st, s, &e), -ERR_NOTCONN);
    assert_int_equal(sock_name(host->st, s, &e), 0);
    assert_true(addr_is_any(&e.addr));
    assert_int_equal(e.port, 0);
    assert_int_equal(lone_send(host, s, "q", 1, NULL, 0), -ERR_DESTADDRREQ);
    lone_close(host, s);
}

/* IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, SO_TIMESTAMP. */
static void ancillary(void **state)
{
    struct sock *s = udp(LX_AF_INET6, "::", 5000);
    struct recv_info info;
    (void)state;
    arrive(PEER4, 9, US4, 5000, "x", 1);
    assert_int_equal(lone_recv(host, s, got, 1, 0, &info), 1);
    assert_false(info.have_pktinfo || info.have_ttl || info.have_tos || info.have_stamp);
    set_int(s, LX_IPPROTO_IPV6, LX_IPV6_RECVPKTINFO, 1);
    set_int(s, LX_IPPROTO_IPV6, LX_IPV6_RECVHOPLIMIT, 1);
    set_int(s, LX_IPPROTO_IPV6, LX_IPV6_RECVTCLASS, 1);
    set_int(s, LX_SOL_SOCKET, LX_SO_TIMESTAMP, 1);
    size_t len = lone_udp(pkt, PEER6, 9, US6, 5000, "x", 1);
    pkt[0] = 0x62;
    pkt[1] = 0xe0; /* traffic class 0x2e */
    lone_in(host, pkt, len);
    assert_int_equal(lone_recv(host, s, got, 1, 0, &info), 1);
    struct addr us = lone_addr(US6);
    assert_true(info.have_pktinfo && addr_eq(&info.to, &us));
    assert_true(info.have_ttl && info.ttl == 64);
    assert_true(info.have_tos && info.tos == 0x2e);
    assert_true(info.have_stamp && info.stamp == lone_env(host)->real);
    lone_close(host, s);
}

/* RFC 1122 4.1.3.6, 3.3.7: groups have to be joined; all sockets on the port get a copy. */
static void multicast(void **state)
{
    struct sock *a = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct sock *b = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    uint8_t mreq[8] = {239, 1, 2, 3, 10, 77, 0, 2};
    struct env *env = lone_env(host);
    (void)state;
    set_int(a, LX_SOL_SOCKET, LX_SO_REUSEADDR, 1);
    set_int(b, LX_SOL_SOCKET, LX_SO_REUSEADDR, 1);
    assert_int_equal(lone_bind(host, a, "0.0.0.0", 5353), 0);
    assert_int_equal(lone_bind(host, b, "239.1.2.3", 5353), 0);
    arrive(PEER4, 9, "239.1.2.3", 5353, "x", 1);
    assert_int_equal(host->st->stats.drop[DROP_IP_NOT_OURS], 1);
    assert_int_equal(
        sock_setopt(host->st, env, a, LX_IPPROTO_IP, LX_IP_ADD_MEMBERSHIP, mreq, 8, false), 0);
    assert_int_equal(
        sock_setopt(host->st, env, a, LX_IPPROTO_IP, LX_IP_ADD_MEMBERSHIP, mreq, 8, false),
        -ERR_ADDRINUSE);
    arrive(PEER4, 9, "239.1.2.3", 5353, "x", 1);
    assert_int_equal(lone_recv(host, a, got, 9, 0, NULL), 1);
    assert_int_equal(lone_recv(host, b, got, 9, 0, NULL), 1);
    arrive(PEER4, 9, US4, 5353, "x", 1); /* b is bound to the group only */
    assert_int_equal(lone_recv(host, a, got, 9, 0, NULL), 1);
    assert_int_equal(lone_recv(host, b, got, 9, 0, NULL), -ERR_AGAIN);

    lone_wait(host, env->now + 2 * SEC); /* the reports of it */
    lone_forget(host);                   /* IP_MULTICAST_LOOP is on, IP_MULTICAST_TTL is 1 */
    assert_int_equal(lone_send(host, b, "yy", 2, "239.1.2.3", 5353), 2);
    assert_int_equal(lone_take(host)->p[8], 1);
    assert_int_equal(lone_recv(host, a, got, 9, 0, NULL), 2);
    assert_int_equal(
        sock_setopt(host->st, env, a, LX_IPPROTO_IP, LX_IP_DROP_MEMBERSHIP, mreq, 8, false), 0);
    arrive(PEER4, 9, "239.1.2.3", 5353, "x", 1);
    assert_int_equal(lone_recv(host, a, got, 9, 0, NULL), -ERR_AGAIN);
    lone_close(host, a);
    lone_close(host, b);
}

/* --- many datagrams in one: UDP_SEGMENT, UDP_GRO --- */

/* With a link that cuts and with one that does not, the same datagrams leave: each with its own
 * header, length and (judged by the host) checksum. */
static void segments_out(uint32_t caps)
{
    uint8_t data[3000];
    host->st->caps = caps;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 5);
    }
    for (int v6 = 0; v6 <= 1; v6++) {
        struct sock *s = udp(v6 ? LX_AF_INET6 : LX_AF_INET, NULL, 0);
        size_t head = v6 ? 48 : 28;
        set_int(s, LX_IPPROTO_UDP, LX_UDP_SEGMENT, 1000);
        assert_int_equal(lone_send(host, s, data, 2500, v6 ? PEER6 : PEER4, 53), 2500);
        const struct lone_pkt *k = lone_take(host);
        if (caps & LINK_USO4) {
            assert_int_equal(k->len, head + 2500);
            assert_int_equal(k->gso_size, 1000);
            assert_true(k->partial);
        } else {
            for (size_t at = 0; at < 2500; at += 1000) {
                size_t n = min_size(1000, 2500 - at);
                assert_int_equal(k->len, head + n);
                assert_int_equal(k->gso_size, 0);
                assert_int_equal(k->p[head - 4] << 8 | k->p[head - 3], 8 + n);
                assert_memory_equal(k->p + head, data + at, n);
                k = at + 1000 < 2500 ? lone_take(host) : k;
            }
        }
        assert_null(lone_take(host));
        assert_int_equal(lone_send(host, s, data, 1000, v6 ? PEER6 : PEER4, 53), 1000);
        assert_int_equal(lone_take(host)->gso_size, 0); /* just one */
        lone_close(host, s);
    }
}

static void segments(void **state)
{
    (void)state;
    segments_out(0);
    segments_out(LINK_CSUM);
    segments_out(LINK_CSUM | LINK_USO4 | LINK_USO6);
}

/* Linux: udp_send_skb, udp_lib_setsockopt. */
static void segment_errors(void **state)
{
    struct sock *s = udp(LX_AF_INET, NULL, 0);
    static uint8_t data[65000];
    struct env *env = lone_env(host);
    int v = 70000;
    (void)state;
    assert_int_equal(sock_setopt(host->st, env, s, LX_IPPROTO_UDP, LX_UDP_SEGMENT, &v, 4, false),
                     -ERR_INVAL);
    v = -1;
    assert_int_equal(sock_setopt(host->st, env, s, LX_IPPROTO_UDP, LX_UDP_SEGMENT, &v, 4, false),
                     -ERR_INVAL);
    set_int(s, LX_IPPROTO_UDP, LX_UDP_SEGMENT,
            1473); /* with the headers more than the device takes */
    assert_int_equal(lone_send(host, s, data, 1473, PEER4, 53), -ERR_MSGSIZE);
    assert_int_equal(lone_send(host, s, data, 1472, PEER4, 53), 1472);
    set_int(s, LX_IPPROTO_UDP, LX_UDP_SEGMENT, 100);
    assert_int_equal(lone_send(host, s, data, 12800, PEER4, 53), 12800); /* 128 of them */
    assert_int_equal(lone_send(host, s, data, 12801, PEER4, 53), -ERR_INVAL);
    set_int(s, LX_SOL_SOCKET, LX_SO_NO_CHECK, 1);
    assert_int_equal(lone_send(host, s, data, 200, PEER4, 53), -ERR_INVAL);
    lone_close(host, s);
}

/* A super-datagram of a local peer: whole to who asked for it, in pieces to others; and to
 * ourselves. */
static void super_datagrams(void **state)
{
    struct recv_info info;
    struct sock *s = udp(LX_AF_INET, US4, 5000);
    uint8_t data[2500] = {0};
    (void)state;
    for (int gro = 0; gro <= 1; gro++) {
        for (int looped = 0; looped <= 1; looped++) {
            set_int(s, LX_IPPROTO_UDP, LX_UDP_GRO, gro);
            if (looped) {
                struct sock *c = udp(LX_AF_INET, NULL, 0);
                set_int(c, LX_IPPROTO_UDP, LX_UDP_SEGMENT, 1000);
                assert_int_equal(lone_send(host, c, data, sizeof data, US4, 5000), sizeof data);
                stack_flush(host->st, lone_env(host));
                lone_close(host, c);
            } else {
                size_t len = lone_udp(pkt, PEER4, 9, US4, 5000, data, sizeof data);
                struct pkt_in in = {.p = pkt, .len = len, .csum_ok = true, .gso_size = 1000};
                stack_input(host->st, lone_env(host), &in);
            }
            for (size_t at = 0; at < sizeof data; at += gro ? sizeof data : 1000) {
                size_t n = gro ? sizeof data : min_size(1000, sizeof data - at);
                assert_int_equal(lone_recv(host, s, big, sizeof big, 0, &info), n);
                assert_int_equal(info.segment, gro ? 1000 : 0);
            }
            assert_int_equal(lone_recv(host, s, big, sizeof big, 0, NULL), -ERR_AGAIN);
        }
    }
    lone_close(host, s);
}

/* RFC 6935, RFC 8200 8.1: IPv6 without a checksum only where both sides agreed. */
static void without_checksum(void **state)
{
    struct sock *s = udp(LX_AF_INET6, US6, 5000);
    (void)state;
    for (int on = 0; on <= 1; on++) {
        set_int(s, LX_IPPROTO_UDP, LX_UDP_NO_CHECK6_RX, on);
        set_int(s, LX_IPPROTO_UDP, LX_UDP_NO_CHECK6_TX, on);
        size_t len = lone_udp(pkt, PEER6, 9, US6, 5000, "x", 1);
        pkt[46] = pkt[47] = 0;
        lone_in(host, pkt, len);
        assert_int_equal(lone_recv(host, s, got, 9, 0, NULL), on ? 1 : -ERR_AGAIN);
        assert_int_equal(lone_send(host, s, "x", 1, PEER6, 9), 1);
        const struct lone_pkt *k = lone_take(host);
        assert_int_equal((k->p[46] | k->p[47]) == 0, on);
    }
    size_t len = lone_udp(pkt, PEER6, 9, US6, 7777, "x", 1); /* nobody there: not even an error */
    pkt[46] = pkt[47] = 0;
    lone_in(host, pkt, len);
    assert_null(lone_take(host));
    lone_close(host, s);
}

/* IPV6_DONTFRAG, RFC 3542 11.2: an error, with what would have fitted, instead of fragments. */
static void dont_fragment(void **state)
{
    struct recv_info info;
    struct sock *s = udp(LX_AF_INET6, NULL, 0);
    static uint8_t data[3000];
    (void)state;
    assert_int_equal(lone_send(host, s, data, sizeof data, PEER6, 9), sizeof data);
    lone_forget(host);
    set_int(s, LX_IPPROTO_IPV6, LX_IPV6_DONTFRAG, 1);
    set_int(s, LX_IPPROTO_IPV6, LX_IPV6_RECVERR, 1);
    assert_int_equal(lone_send(host, s, data, sizeof data, PEER6, 9), -ERR_MSGSIZE);
    assert_int_equal(lone_recv(host, s, got, 9, LX_MSG_ERRQUEUE, &info), 0);
    assert_int_equal(info.ee.info, 1500);
    assert_int_equal(info.ee.origin, 1); /* SO_EE_ORIGIN_LOCAL */
    assert_null(lone_take(host));
    assert_int_equal(lone_send(host, s, data, 1452, PEER6, 9), 1452);
    uint8_t mtu[32]; /* struct ip6_mtuinfo */
    size_t len = sizeof mtu;
    struct addr peer = lone_addr(PEER6);
    struct env *env = lone_env(host);
    assert_int_equal(sock_getopt(host->st, env, s, LX_IPPROTO_IPV6, LX_IPV6_PATHMTU, mtu, &len),
                     -ERR_NOTCONN);
    assert_int_equal(lone_connect(host, s, PEER6, 9), 0);
    assert_int_equal(sock_getopt(host->st, env, s, LX_IPPROTO_IPV6, LX_IPV6_PATHMTU, mtu, &len), 0);
    assert_memory_equal(mtu + 8, peer.b, 16);
    assert_memory_equal(mtu + 28, "\xdc\5\0\0", 4);
    lone_close(host, s);
}

/* SO_RXQ_OVFL and the original destination. */
static void told_beside(void **state)
{
    struct recv_info info;
    struct sock *s = udp(LX_AF_INET, "0.0.0.0", 5000);
    static uint8_t data[2000];
    struct addr us = lone_addr(US4);
    (void)state;
    set_int(s, LX_SOL_SOCKET, LX_SO_RCVBUF, 2304);
    set_int(s, LX_SOL_SOCKET, LX_SO_RXQ_OVFL, 1);
    set_int(s, LX_IPPROTO_IP, LX_IP_ORIGDSTADDR, 1);
    for (int i = 0; i < 5; i++) {
        arrive(PEER4, 9, US4, 5000, data, sizeof data);
    }
    assert_int_equal(lone_recv(host, s, data, sizeof data, 0, &info), sizeof data);
    assert_int_equal(info.dropped, 0); /* it came before any was lost */
    assert_true(info.have_origdst && info.to_port == 5000 && addr_eq(&info.to, &us));
    arrive(PEER4, 9, US4, 5000, "x", 1);
    assert_int_equal(lone_recv(host, s, data, sizeof data, 0, &info), 1);
    assert_int_equal(info.dropped, 4);
    lone_close(host, s);
}

/* The n-th request for memory fails: the call says so, and nothing is lost or left. */
static void without_memory(void **state)
{
    struct sock *s = udp(LX_AF_INET, "0.0.0.0", 5000);
    struct span v[9];
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        v[i] = (struct span){big, 200};
    }
    struct endpoint to = lone_at(PEER4, 9);
    for (uint32_t n = 1; n <= 6; n++) {
        mem_fail_nth(host->st->mem, n);
        int64_t r = sock_send(host->st, lone_env(host), s, v, 9, 0, &to);
        assert_true(r == 1800 || r == -ERR_NOBUFS);
        arrive(PEER4, 9, US4, 5000, big, 1000);
        while (lone_recv(host, s, got, sizeof got, 0, NULL) > 0) {
        }
        mem_fail_nth(host->st->mem, 0);
        assert_null(stack_check(host->st));
    }
    lone_close(host, s);
}

/* Unprivileged ICMP echo sockets: our identifier, the answer for the one who asked. */
static void ping(void **state)
{
    int err;
    struct env *env = lone_env(host);
    struct sock *s = sock_create(host->st, env, LX_AF_INET, LX_SOCK_DGRAM, LX_IPPROTO_ICMP, &err);
    uint8_t echo[20] = {8, 0, 0xaa, 0xbb, 1, 2, 0, 7, 'd', 'a', 't', 'a'};
    (void)state;
    assert_int_equal(lone_send(host, s, echo, 7, PEER4, 0), -ERR_INVAL);
    assert_int_equal(lone_send(host, s, echo, sizeof echo, PEER4, 0), sizeof echo);
    const struct lone_pkt *k = lone_take(host);
    assert_int_equal(k->len, 40);
    uint16_t id = (uint16_t)(k->p[24] << 8 | k->p[25]);
    assert_int_equal(id, s->flow.lport);
    lone_in(host, pkt, lone_icmp(pkt, PEER4, US4, 0, 0, (uint32_t)id << 16 | 7, "data", 4));
    lone_in(host, pkt, lone_icmp(pkt, PEER4, US4, 0, 0, (uint32_t)(id ^ 1) << 16 | 7, "data", 4));
    assert_int_equal(lone_recv(host, s, got, 100, 0, NULL), 12);
    assert_int_equal(got[0], 0);
    assert_int_equal(lone_recv(host, s, got, 100, 0, NULL), -ERR_AGAIN);
    echo[0] = 0;
    assert_int_equal(lone_send(host, s, echo, sizeof echo, PEER4, 0), -ERR_INVAL);
    lone_close(host, s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(sends),          T(send_errors),    T(large_ones),      T(gathers),
        T(receives),       T(buffer_full),    T(bad_packets),     T(connected),
        T(segments),       T(segment_errors), T(super_datagrams), T(without_checksum),
        T(dont_fragment),  T(told_beside),    T(ancillary),       T(multicast),
        T(without_memory), T(ping),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
