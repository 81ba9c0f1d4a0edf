/*
 * tcp_md5_test.c - TCP-MD5 (RFC 2385): signed segments in and out, what is dropped and counted,
 * keys. RFC 1321's own examples for the digest.
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
#include "core/md5.h"
#include "core/tcp_cb.h"
#include "tests/lib/lone.h"
#include "tests/lib/peer.h"

#define SECRET "secret"

static struct lone *host;
static struct sock *l;
static uint8_t pkt[LONE_PKT_MAX];
static uint8_t junk[20000];

static int setup(void **state)
{
    (void)state;
    host = lone_new(0, NULL);
    l = peer_listener(host, 80, 8);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, l);
    lone_forget(host);
    return lone_free(host);
}

static void hex(const char *text, char out[33])
{
    struct md5 m;
    uint8_t d[MD5_LEN];

    md5_init(&m);
    md5_add(&m, text, strlen(text));
    md5_end(&m, d);
    for (unsigned i = 0; i < MD5_LEN; i++) {
        snprintf(out + (size_t)2 * i, 3, "%02x", d[i]);
    }
}

/* RFC 1321 A.5 */
static void md5_examples(void **state)
{
    static const char *const known[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    char got[33];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        hex(known[i][0], got);
        assert_string_equal(got, known[i][1]);
    }
}

/* However it is cut. */
static void md5_in_pieces(void **state)
{
    uint8_t whole[MD5_LEN], parts[MD5_LEN];
    struct md5 m;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        junk[i] = (uint8_t)(i * 7);
    }
    md5_init(&m);
    md5_add(&m, junk, 200);
    md5_end(&m, whole);
    for (size_t cut = 1; cut < 130; cut++) {
        md5_init(&m);
        for (size_t at = 0; at < 200; at += cut) {
            md5_add(&m, junk + at, min_size(cut, 200 - at));
        }
        md5_end(&m, parts);
        assert_memory_equal(whole, parts, MD5_LEN);
    }
}

/* ---- keys */

static int set_key(struct sock *s, int name, const char *addr, int prefix, const char *key)
{
    uint8_t sig[216] = {0};
    struct addr a = lone_addr(addr);
    uint16_t v = s->family, len = (uint16_t)strlen(key);

    memcpy(sig, &v, sizeof v);
    if (v == LX_AF_INET) {
        memcpy(sig + 4, addr_bytes4(&a), 4);
    } else {
        memcpy(sig + 8, a.b, 16);
    }
    sig[128] = prefix >= 0;
    sig[129] = (uint8_t)prefix;
    memcpy(sig + 130, &len, sizeof len);
    memcpy(sig + 136, key, min_size(len, 80));
    return sock_setopt(host->st, lone_env(host), s, LX_IPPROTO_TCP, name, sig, sizeof sig, false);
}

static int md5sig(struct sock *s, const char *addr, const char *key)
{
    return set_key(s, LX_TCP_MD5SIG, addr, -1, key);
}

/* ---- a peer that signs */

static void digest(const uint8_t *ip, size_t len, const char *key, uint8_t out[MD5_LEN])
{
    bool v6 = ip[0] >> 4 == 6;
    size_t at = v6 ? 40 : 20, tcp = len - at;
    uint8_t hdr[20];
    struct md5 m;

    memcpy(hdr, ip + at, 20);
    hdr[16] = hdr[17] = 0;
    md5_init(&m);
    if (v6) {
        uint8_t tail[8] = {0, 0, (uint8_t)(tcp >> 8), (uint8_t)tcp, 0, 0, 0, 6};
        md5_add(&m, ip + 8, 32);
        md5_add(&m, tail, sizeof tail);
    } else {
        uint8_t tail[4] = {0, 6, (uint8_t)(tcp >> 8), (uint8_t)tcp};
        md5_add(&m, ip + 12, 8);
        md5_add(&m, tail, sizeof tail);
    }
    md5_add(&m, hdr, sizeof hdr);
    size_t off = (size_t)(ip[at + 12] >> 4) * 4;
    md5_add(&m, ip + at + off, tcp - off);
    md5_add(&m, key, strlen(key));
    md5_end(&m, out);
}

/* A segment with the option, signed with `key`; NULL: without it. */
static void say(struct peer *p, uint16_t flags, const void *data, size_t len, const char *key)
{
    static const uint8_t opt[20] = {1, 1, 19, 18};
    struct peer_seg s = {.seq = p->seq,
                         .ack = p->ack,
                         .flags = flags,
                         .wnd = p->wnd,
                         .opt = opt,
                         .nopt = key ? sizeof opt : 0,
                         .data = data,
                         .len = len};
    size_t n = peer_build(p, &s, pkt);

    if (key) {
        size_t at = pkt[0] >> 4 == 6 ? 40 : 20;
        digest(pkt, n, key, pkt + at + 24);
        lone_fix(pkt, n);
    }
    lone_in(host, pkt, n);
}

/* The next packet sent is signed with `key`. Its payload length; -1: there is none. */
static int signed_out(struct peer *p, const char *key)
{
    const struct lone_pkt *o = lone_take(host);
    uint8_t want[MD5_LEN];
    static const uint8_t head[4] = {1, 1, 19, 18};

    if (!o) {
        return -1;
    }
    size_t at = o->p[0] >> 4 == 6 ? 40 : 20;
    size_t off = (size_t)(o->p[at + 12] >> 4) * 4;
    assert_memory_equal(o->p + at + 20, head, sizeof head); /* first, as Linux has it */
    digest(o->p, o->len, key, want);
    assert_memory_equal(o->p + at + 24, want, MD5_LEN);
    p->ack = (uint32_t)o->p[at + 4] << 24 | (uint32_t)o->p[at + 5] << 16 |
             (uint32_t)o->p[at + 6] << 8 | o->p[at + 7];
    p->ack += (uint32_t)(o->len - at - off) + (o->p[at + 13] >> 1 & 1);
    return (int)(o->len - at - off);
}

static struct sock *handshake(struct peer *p, const char *key)
{
    int err;

    p->wnd = 65535;
    say(p, TCP_SYN, NULL, 0, key);
    p->seq++;
    assert_int_equal(signed_out(p, key), 0);
    say(p, TCP_ACK, NULL, 0, key);
    struct sock *s = sock_accept(host->st, lone_env(host), l, &err);
    assert_non_null(s);
    return s;
}

static void both_ways_on(bool v6)
{
    struct peer p = peer_of(host, v6, 2000);
    char buf[10];

    assert_int_equal(md5sig(l, p.them, SECRET), 0);
    struct sock *s = handshake(&p, SECRET);
    assert_null(lone_take(host));
    say(&p, TCP_ACK | TCP_PSH, "hello", 5, SECRET);
    p.seq += 5;
    assert_int_equal(lone_recv(host, s, buf, sizeof buf, 0, NULL), 5);
    assert_int_equal(signed_out(&p, SECRET), 0);
    assert_int_equal(lone_send(host, s, junk, 3000, NULL, 0), 3000);
    int sum = 0, n;
    while ((n = signed_out(&p, SECRET)) > 0) {
        assert_true((uint32_t)n <= tcp_of(s)->snd.mss); /* no super-segments */
        sum += n;
    }
    assert_int_equal(sum, 3000);
    say(&p, TCP_ACK, NULL, 0, SECRET);
    lone_close(host, s);
    assert_int_equal(signed_out(&p, SECRET), 0);
    say(&p, TCP_RST | TCP_ACK, NULL, 0, SECRET);
}

/* RFC 2385 2.0 */
static void both_ways(void **state)
{
    (void)state;
    both_ways_on(false);
}

static void both_ways6(void **state)
{
    (void)state;
    both_ways_on(true);
}

/* Not signed, signed with another key, signed without need: dropped in silence and counted. */
static void dropped(void **state)
{
    struct peer p = peer_of(host, false, 2000);
    struct stats *st = &host->st->stats;

    (void)state;
    say(&p, TCP_SYN, NULL, 0, SECRET);
    assert_int_equal(st->TcpMD5Unexpected, 1);
    assert_int_equal(st->drop[DROP_TCP_MD5_UNEXPECTED], 1);
    assert_int_equal(md5sig(l, p.them, SECRET), 0);
    say(&p, TCP_SYN, NULL, 0, NULL);
    assert_int_equal(st->TcpMD5NotFound, 1);
    say(&p, TCP_SYN, NULL, 0, "another");
    assert_int_equal(st->TcpMD5Failure, 1);
    assert_null(lone_take(host));
    struct sock *s = handshake(&p, SECRET);
    say(&p, TCP_RST, NULL, 0, NULL); /* an unsigned reset in sequence does nothing */
    assert_int_equal(tcp_of(s)->state, TCP_ESTABLISHED);
    assert_int_equal(st->TcpMD5NotFound, 2);
    assert_null(lone_take(host));
    say(&p, TCP_RST, NULL, 0, SECRET);
    assert_int_equal(tcp_of(s)->state, TCP_CLOSED);
    lone_close(host, s);
}

/* Every bit of a signed segment counts: flip one, and it is dropped. */
static void any_bit(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(md5sig(l, p.them, SECRET), 0);
    struct sock *s = handshake(&p, SECRET);
    for (size_t bit = 0; bit < 8 * 5; bit++) {
        uint8_t text[5] = "hello";
        static const uint8_t opt[20] = {1, 1, 19, 18};
        struct peer_seg seg = {.seq = p.seq,
                               .ack = p.ack,
                               .flags = TCP_ACK | TCP_PSH,
                               .wnd = p.wnd,
                               .opt = opt,
                               .nopt = sizeof opt,
                               .data = text,
                               .len = sizeof text};
        size_t n = peer_build(&p, &seg, pkt);
        digest(pkt, n, SECRET, pkt + 44);
        pkt[n - 5 + bit / 8] ^= (uint8_t)(1u << bit % 8);
        lone_fix(pkt, n);
        lone_in(host, pkt, n);
    }
    assert_int_equal(host->st->stats.TcpMD5Failure, 40);
    assert_int_equal(tcp_readable(tcp_of(s)), 0);
    say(&p, TCP_RST, NULL, 0, SECRET);
    lone_close(host, s);
}

/* The longest prefix that fits; keys set, replaced, deleted. */
static void keys(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(md5sig(l, p.them, ""), -ERR_NOENT);
    assert_int_equal(set_key(l, LX_TCP_MD5SIG_EXT, "10.0.0.0", 8, "wide"), 0);
    assert_int_equal(set_key(l, LX_TCP_MD5SIG_EXT, "10.77.0.0", 24, "narrow"), 0);
    assert_int_equal(set_key(l, LX_TCP_MD5SIG_EXT, "10.0.0.0", 33, "x"), -ERR_INVAL);
    lone_close(host, handshake(&p, "narrow"));
    say(&p, TCP_RST | TCP_ACK, NULL, 0, "narrow");
    lone_forget(host);
    p = peer_of(host, false, 2001);
    assert_int_equal(set_key(l, LX_TCP_MD5SIG_EXT, "10.77.0.0", 24, ""), 0);
    lone_close(host, handshake(&p, "wide"));
    say(&p, TCP_RST | TCP_ACK, NULL, 0, "wide");
    lone_forget(host);
    p = peer_of(host, false, 2002);
    assert_int_equal(md5sig(l, p.them, "one"), 0);
    assert_int_equal(md5sig(l, p.them, "two"), 0);
    lone_close(host, handshake(&p, "two"));
    say(&p, TCP_RST | TCP_ACK, NULL, 0, "two");
    char much[90];
    memset(much, 'k', sizeof much);
    much[81] = 0;
    assert_int_equal(md5sig(l, p.them, much), -ERR_INVAL);
}

/* A recovery keeps the keys of what lives. */
static void recovered(void **state)
{
    struct peer p = peer_of(host, false, 2000);

    (void)state;
    assert_int_equal(md5sig(l, p.them, SECRET), 0);
    lone_recover(host);
    struct sock *s = handshake(&p, SECRET);
    stack_recover(host->st, lone_env(host));
    lone_forget(host);
    assert_int_equal(mem_use(host->st->mem).objs[MEM_MD5], 2);
    say(&p, TCP_RST, NULL, 0, SECRET);
    assert_int_equal(tcp_of(s)->state, TCP_CLOSED);
    lone_close(host, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_examples),
        cmocka_unit_test(md5_in_pieces),
        cmocka_unit_test_setup_teardown(both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(both_ways6, setup, teardown),
        cmocka_unit_test_setup_teardown(dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(any_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(keys, setup, teardown),
        cmocka_unit_test_setup_teardown(recovered, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
