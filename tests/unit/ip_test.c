/*
 * ip_test.c - IP headers: what is refused and why, what is sent, and that no bytes make the parser
 * read too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/icmp.h"
#include "core/ip.h"
#include "core/ip_priv.h"
#include "core/pmtu.h"
#include "tests/lib/lone.h"

#define PEER4 "10.77.0.1"
#define PEER6 "fd77::1"
#define US4   "10.77.0.2"
#define US6   "fd77::2"

static struct lone *host;
static uint8_t buf[LONE_PKT_MAX];

static int setup_caps(uint32_t caps)
{
    host = lone_new(caps, NULL);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_caps(0);
}

static int teardown(void **state)
{
    (void)state;
    return lone_free(host);
}

static enum drop parse(const uint8_t *p, size_t len, struct ip_hdr *ip)
{
    struct pkt_in in = {.p = p, .len = len};
    memset(ip, 0, sizeof *ip);
    return ip_parse(&in, ip);
}

/* RFC 791 3.1, RFC 1122 3.2.1: each fault has its reason. */
static void v4_faults(void **state)
{
    struct ip_hdr ip;
    uint8_t data[100] = {0};
    size_t len = lone_udp(buf, PEER4, 1, US4, 2, data, sizeof data);
    (void)state;
    assert_int_equal(parse(buf, len, &ip), DROP_NONE);
    assert_int_equal(ip.payload_len, 108);
    assert_int_equal(ip.proto, 17);
    for (size_t n = 0; n < 20; n++) {
        assert_int_equal(parse(buf, n, &ip), DROP_IP_SHORT);
    }
    for (size_t n = 20; n < len; n++) {
        assert_int_equal(parse(buf, n, &ip), DROP_IP_LENGTH);
    }
    assert_int_equal(parse(buf, len + 30, &ip), DROP_NONE); /* link padding */
    assert_int_equal(ip.len, len);

    buf[0] = 0x44;
    assert_int_equal(parse(buf, len, &ip), DROP_IP_SHORT);
    buf[0] = 0x4f;
    lone_fix(buf, len);
    assert_int_equal(parse(buf, 40, &ip), DROP_IP_SHORT);
    buf[0] = 0x55;
    assert_int_equal(parse(buf, len, &ip), DROP_IP_VERSION);
    buf[0] = 0x45;
    lone_fix(buf, len);
    buf[10] ^= 1;
    assert_int_equal(parse(buf, len, &ip), DROP_IP_CHECKSUM);
}

/* Ripple20: total length 0, below the header, beyond the packet. */
static void v4_total_length(void **state)
{
    static const uint16_t bad[] = {0, 1, 19, 129, 1500, 65535};
    struct ip_hdr ip;
    uint8_t data[100] = {0};
    size_t len = lone_udp(buf, PEER4, 1, US4, 2, data, sizeof data);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf[2] = (uint8_t)(bad[i] >> 8);
        buf[3] = (uint8_t)bad[i];
        lone_fix(buf, len);
        assert_int_equal(parse(buf, len, &ip), DROP_IP_LENGTH);
    }
    buf[2] = buf[3] = 0; /* a super-segment of a local peer */
    lone_fix(buf, len);
    struct pkt_in in = {.p = buf, .len = len, .gso_size = 50};
    assert_int_equal(ip_parse(&in, &ip), DROP_NONE);
    assert_int_equal(ip.len, len);
}

static size_t with_options(const uint8_t *options, size_t n)
{
    uint8_t upper[8] = {0, 1, 0, 2, 0, 8, 0, 0};
    size_t len = lone_ip(buf, PEER4, US4, 17, upper, sizeof upper);
    memmove(buf + 20 + n, buf + 20, sizeof upper);
    memcpy(buf + 20, options, n);
    buf[0] = (uint8_t)(0x40 | (20 + n) / 4);
    buf[3] = (uint8_t)(len + n);
    lone_fix(buf, len + n);
    return len + n;
}

/* RFC 1122 3.2.1.8; URGENT/11 CVE-2019-12256: whatever an option says of its length. */
static void v4_options(void **state)
{
    struct ip_hdr ip;
    (void)state;
    assert_int_equal(parse(buf, with_options((uint8_t[]){1, 1, 0, 99}, 4), &ip), DROP_NONE);
    assert_int_equal(ip.payload_len, 8);
    assert_int_equal(parse(buf, with_options((uint8_t[]){7, 4, 4, 0}, 4), &ip), DROP_NONE);
    assert_int_equal(parse(buf, with_options((uint8_t[]){1, 1, 1, 7}, 4), &ip), DROP_IP_OPTIONS);
    assert_int_equal(ip.bad_why, 1 + ICMP_PARAM_PROBLEM);
    assert_int_equal(ip.bad_at, 23);
    for (unsigned v = 0; v < 256; v++) {
        uint8_t o[4] = {7, (uint8_t)v, 1, 1};
        enum drop want = v >= 2 && v <= 4 ? DROP_NONE : DROP_IP_OPTIONS;
        assert_int_equal(parse(buf, with_options(o, 4), &ip), want);
    }
    uint8_t route[8] = {131, 7, 4, 10, 77, 0, 9, 0};
    assert_int_equal(parse(buf, with_options(route, 8), &ip), DROP_IP_OPTIONS);
    assert_int_equal(ip.bad_why, 0); /* dropped in silence */
}

static size_t v6_with(const uint8_t *ext, size_t n, uint8_t first)
{
    uint8_t upper[8] = {0, 1, 0, 2, 0, 8, 0, 0};
    uint8_t all[2048];
    memcpy(all, ext, n);
    memcpy(all + n, upper, sizeof upper);
    return lone_ip(buf, PEER6, US6, first, all, n + sizeof upper);
}

/* RFC 8200 4. */
static void v6_extensions(void **state)
{
    struct ip_hdr ip;
    (void)state;
    uint8_t padn[8] = {17, 0, 1, 4, 0, 0, 0, 0};
    assert_int_equal(parse(buf, v6_with(padn, 8, 0), &ip), DROP_NONE);
    assert_int_equal(ip.proto, 17);
    assert_int_equal(ip.payload_len, 8);
    assert_int_equal(parse(buf, v6_with(padn, 8, 60), &ip), DROP_NONE);

    uint8_t chain[16] = {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0};
    assert_int_equal(parse(buf, v6_with(chain, 16, 0), &ip), DROP_NONE);
    chain[0] = 0; /* hop-by-hop not at the front */
    assert_int_equal(parse(buf, v6_with(chain, 16, 60), &ip), DROP_IP6_EXTENSION);
    assert_int_equal(ip.bad_why, 1 + ICMP_PROTO_UNREACH);
    assert_int_equal(ip.bad_at, 40);

    uint8_t route[8] = {17, 0, 0, 1, 0, 0, 0, 0}; /* RFC 5095 */
    assert_int_equal(parse(buf, v6_with(route, 8, 43), &ip), DROP_IP6_EXTENSION);
    assert_int_equal(ip.bad_why, 1 + ICMP_PARAM_PROBLEM);
    assert_int_equal(ip.bad_at, 42);
    route[3] = 0;
    assert_int_equal(parse(buf, v6_with(route, 8, 43), &ip), DROP_NONE);

    uint8_t atomic[8] = {17, 0, 0, 0, 1, 2, 3, 4}; /* RFC 6946 */
    assert_int_equal(parse(buf, v6_with(atomic, 8, 44), &ip), DROP_NONE);
    assert_false(ip.frag);
}

/* RFC 8200 4.2: the two bits that say what to do with an option that is not known. */
static void v6_options(void **state)
{
    static const struct {
        uint8_t type;
        enum drop want;
        uint8_t why;
    } table[] = {{0x1e, DROP_NONE, 0},
                 {0x5e, DROP_IP6_EXTENSION, 0},
                 {0x9e, DROP_IP6_EXTENSION, 1 + ICMP_PARAM_OPTION},
                 {0xde, DROP_IP6_EXTENSION, 1 + ICMP_PARAM_OPTION}};
    struct ip_hdr ip;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint8_t opt[8] = {17, 0, table[i].type, 4, 0, 0, 0, 0};
        assert_int_equal(parse(buf, v6_with(opt, 8, 60), &ip), table[i].want);
        assert_int_equal(ip.bad_why, table[i].why);
    }
    /* AMNESIA:33: lengths of headers and options that lie. */
    for (unsigned hdr = 0; hdr < 256; hdr++) {
        for (unsigned opt = 0; opt < 256; opt += 5) {
            uint8_t e[8] = {17, (uint8_t)hdr, 0x1e, (uint8_t)opt, 0, 0, 0, 0};
            enum drop d = parse(buf, v6_with(e, 8, 0), &ip);
            assert_int_equal(d == DROP_NONE, (hdr == 0 && opt <= 4) || (hdr == 1 && opt <= 12));
        }
    }
}

/* Padding is zeros, and no more of it in a row than aligns; at most eight options; a router alert
 * is two bytes. What Linux 6.18 did. RFC 8504 5.3, RFC 2711 */
static void v6_padding(void **state)
{
    static const struct {
        size_t n; /* of the header */
        uint8_t body[22];
        bool good;
    } table[] = {
        {8, {1, 4, 0, 0, 0, 0}, true},
        {8, {0, 0, 0, 0, 0, 0}, true},
        {8, {1, 4, 0, 1, 0, 0}, false},
        {16, {1, 12}, false},
        {16, {0x1e, 1, 0, 1, 5, 0, 0, 0, 0, 0, 0x1e, 1, 9, 0}, true},
        {16, {0x1e, 1, 0, 1, 6, 0, 0, 0, 0, 0, 0, 0x1e, 1, 9}, false},
        {24, {0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 1, 4}, true},
        {24,
         {0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 1, 2},
         false},
        {8, {5, 2, 0, 0, 1, 0}, true},
        {8, {5, 4, 0, 0, 0, 0}, false},
    };
    struct ip_hdr ip;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint8_t e[24] = {17, (uint8_t)(table[i].n / 8 - 1)};
        memcpy(e + 2, table[i].body, table[i].n - 2);
        assert_int_equal(parse(buf, v6_with(e, table[i].n, 0), &ip) == DROP_NONE, table[i].good);
        assert_int_equal(ip.bad_why, 0);
    }
}

/* RFC 2675: jumbograms are refused, whether the header's length says 0 or not. */
static void v6_jumbo(void **state)
{
    uint8_t jumbo[8] = {17, 0, 0xc2, 4, 0, 1, 0, 0};
    struct ip_hdr ip;
    (void)state;
    size_t len = v6_with(jumbo, 8, 0);
    assert_int_equal(parse(buf, len, &ip), DROP_IP6_EXTENSION);
    assert_int_equal(ip.bad_why, 1 + ICMP_PARAM_OPTION);
    assert_int_equal(ip.bad_at, 42);
    buf[4] = buf[5] = 0;
    assert_int_equal(parse(buf, len, &ip), DROP_IP6_EXTENSION);
    assert_int_equal(ip.payload_len, 0);
    assert_int_equal(ip.bad_why, 0);
}

/* One fragment header, and not two, however harmless. */
static void v6_fragment_twice(void **state)
{
    uint8_t twice[16] = {44, 0, 0, 0, 1, 2, 3, 4, 17, 0, 0, 0, 1, 2, 3, 5};
    struct ip_hdr ip;
    (void)state;
    assert_int_equal(parse(buf, v6_with(twice, 16, 44), &ip), DROP_IP6_EXTENSION);
    assert_int_equal(ip.bad_why, 1 + ICMP_PARAM_PROBLEM);
    assert_int_equal(ip.bad_at, 48);
}

/* AMNESIA:33: a chain cut anywhere, with every length a header can claim: whatever the packet does
 * not hold is not read (its bytes end where the page does), and the walk ends. */
static void v6_truncated(void **state)
{
    static const uint8_t first[] = {0, 43, 44, 60};
    uint8_t ext[64];
    struct ip_hdr ip;
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(first); f++) {
        for (unsigned claim = 0; claim < 256; claim++) {
            for (size_t n = 0; n <= sizeof ext; n += 1 + n / 8) {
                memset(ext, 0, sizeof ext);
                ext[0] = first[claim % ARRAY_LEN(first)];
                ext[1] = (uint8_t)claim;
                ext[8] = 17;
                size_t len = lone_ip(buf, PEER6, US6, first[f], ext, n);
                uint8_t *own = malloc(len);
                memcpy(own, buf, len);
                if (parse(own, len, &ip) == DROP_NONE) {
                    assert_true(ip.payload + ip.payload_len == own + len);
                }
                free(own);
            }
        }
    }
}

/* Many extension headers end, whatever they say. */
static void v6_long_chain(void **state)
{
    uint8_t ext[128];
    struct ip_hdr ip;
    (void)state;
    for (size_t n = 1; n <= 16; n++) {
        for (size_t i = 0; i < n; i++) {
            uint8_t e[8] = {i + 1 < n ? 60 : 17, 0, 1, 4, 0, 0, 0, 0};
            memcpy(ext + i * 8, e, 8);
        }
        enum drop want = n <= 8 ? DROP_NONE : DROP_IP6_EXTENSION;
        assert_int_equal(parse(buf, v6_with(ext, n * 8, 60), &ip), want);
    }
}

/* Random and damaged packets, each in memory that ends where it ends: nothing beyond is read. */
static void parser_is_safe(void **state)
{
    struct ip_hdr ip;
    uint8_t upper[64] = {0};
    (void)state;
    for (int round = 0; round < 200000; round++) {
        size_t len;
        if (round % 3 == 0) {
            len = heap_below(&host->heap, 120);
            heap_random(lone_env(host), buf, len);
            if (len > 0) {
                buf[0] = (uint8_t)((round & 1 ? 0x60 : 0x40) | (buf[0] & 15));
            }
        } else {
            uint8_t next = (uint8_t[]){0, 43, 44, 60}[heap_below(&host->heap, 4)];
            heap_random(lone_env(host), upper, sizeof upper);
            len = lone_ip(buf, round & 1 ? PEER6 : PEER4, round & 1 ? US6 : US4, next, upper,
                          heap_below(&host->heap, sizeof upper));
            uint32_t flips = heap_below(&host->heap, 4);
            for (uint32_t i = 0; i < flips; i++) {
                buf[heap_below(&host->heap, (uint32_t)len)] ^=
                    (uint8_t)(1 << heap_below(&host->heap, 8));
            }
            lone_fix(buf, len);
        }
        uint8_t *own = malloc(len > 0 ? len : 1);
        memcpy(own, buf, len);
        if (parse(own, len, &ip) == DROP_NONE) {
            assert_true(ip.len <= len);
            assert_true(ip.payload >= own);
            assert_true(ip.payload + ip.payload_len == own + ip.len);
        }
        free(own);
    }
}

/* RFC 6724 5 in small. */
static void sources(void **state)
{
    static const struct {
        const char *dst, *src;
    } table[] = {{"10.77.0.9", "10.77.0.2"}, {"192.0.2.1", "10.77.0.2"},
                 {"10.77.0.2", "10.77.0.2"}, {"127.0.0.1", "127.0.0.1"},
                 {"127.3.4.5", "127.0.0.1"}, {"fd77::9", "fd77::2"},
                 {"2001:db8::1", "fd77::2"}, {"::1", "::1"},
                 {"fd77::2", "fd77::2"}};
    struct addr src;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct addr dst = lone_addr(table[i].dst);
        struct addr want = lone_addr(table[i].src);
        assert_true(ip_source_for(host->st, &dst, &src));
        assert_true(addr_eq(&src, &want));
    }
}

static void ours(void **state)
{
    static const struct {
        const char *addr;
        bool yes;
    } table[] = {{"10.77.0.2", true},       {"10.77.0.3", false},   {"10.77.0.255", true},
                 {"255.255.255.255", true}, {"10.77.1.255", false}, {"224.0.0.1", true},
                 {"224.0.0.251", false},    {"fd77::2", true},      {"fd77::3", false},
                 {"ff02::1", true},         {"ff02::fb", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct addr a = lone_addr(table[i].addr);
        assert_int_equal(ip_is_ours(host->st, &a), table[i].yes);
    }
    struct addr group = lone_addr("224.0.0.251");
    struct sock *a = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct sock *b = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    assert_int_equal(mcast_join(host->st, lone_env(host), a, &group), 0);
    assert_int_equal(mcast_join(host->st, lone_env(host), b, &group), 0);
    lone_close(host, a);
    assert_true(ip_is_ours(host->st, &group));
    lone_close(host, b);
    assert_false(ip_is_ours(host->st, &group));
    lone_forget(host);
}

/* RFC 1191 6.3: what was learned is forgotten again. */
static void path_mtus(void **state)
{
    struct addr a = lone_addr("192.0.2.1");
    struct env *env = lone_env(host);
    nsec t0 = env->now;
    (void)state;
    assert_int_equal(ip_mtu(host->st, &a), 1500);
    pmtu_learn(host->st, env, &a, 1000, false);
    assert_int_equal(ip_mtu(host->st, &a), 1000);
    for (unsigned i = 0; i < 200; i++) {
        struct addr b = addr_v4(192, 0, 3, (uint8_t)i);
        env->now += MSEC;
        pmtu_learn(host->st, env, &b, 1400, false);
    }
    assert_int_equal(ip_mtu(host->st, &a), 1500); /* the table is small: the oldest went */
    struct addr last = addr_v4(192, 0, 3, 199);
    assert_int_equal(ip_mtu(host->st, &last), 1400);
    lone_wait(host, t0 + 601 * SEC);
    assert_int_equal(ip_mtu(host->st, &last), 1500);
    assert_int_equal(host->st->pmtu_min, UINT32_MAX);
}

/* Linux: a path that takes less than the floor gets packets that routers may cut, and
 * identifications with them (RFC 6864 4.3). */
static void locked_mtu(void **state)
{
    struct addr a = lone_addr("192.0.2.1");
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    uint8_t data[500] = {0};
    (void)state;
    s->opt.mtu_discover = LX_IP_PMTUDISC_DO;
    for (int locked = 0; locked <= 1; locked++) {
        pmtu_learn(host->st, lone_env(host), &a, 552, locked);
        assert_int_equal(lone_send(host, s, data, sizeof data, "192.0.2.1", 9), sizeof data);
        const struct lone_pkt *k = lone_take(host);
        assert_int_equal(k->p[6], locked ? 0 : 0x40);
        assert_int_equal(k->p[4] != 0 || k->p[5] != 0, locked);
    }
    lone_close(host, s);
}

/* --- sending --- */

static struct ip_send how_to(const char *src, const char *dst, uint8_t proto)
{
    return (struct ip_send){
        .src = lone_addr(src), .dst = lone_addr(dst), .proto = proto, .ttl = 64};
}

static uint8_t stream[70000];

/* A TCP packet with `payload` bytes in two spans. */
static int send_tcp(bool v6, size_t payload, uint16_t gso, bool df, uint8_t flags)
{
    struct pkt_out p;
    struct ip_send how = how_to(v6 ? US6 : US4, v6 ? PEER6 : PEER4, 6);
    uint8_t *th = ip_begin(&p, v6);
    memset(th, 0, 20);
    th[7] = 100; /* the sequence number */
    th[12] = 0x50;
    th[13] = flags;
    p.hdr_len = (uint16_t)(p.hdr_len + 20);
    p.csum_offset = 16;
    p.gso_size = gso;
    how.df = df;
    size_t first = payload / 3 | 1;
    if (payload > first) {
        p.nspan = 2;
        p.span[0] = (struct span){stream, first};
        p.span[1] = (struct span){stream + first, payload - first};
    } else {
        p.nspan = payload > 0;
        p.span[0] = (struct span){stream, payload};
    }
    return ip_send(host->st, lone_env(host), &p, &how);
}

static void fill_stream(void)
{
    for (size_t i = 0; i < sizeof stream; i++) {
        stream[i] = (uint8_t)(i * 7 + (i >> 8));
    }
}

/* The segments cut in software carry all bytes once, in order, with their numbers and flags. */
static void segments(void **state)
{
    fill_stream();
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        for (size_t payload = 1; payload < 30000; payload += 997) {
            lone_forget(host);
            assert_int_equal(send_tcp(v6, payload, 1000, true, 0x99), 0); /* W P . F */
            size_t seen = 0;
            const struct lone_pkt *k;
            while ((k = lone_take(host)) != NULL) {
                const uint8_t *th = k->p + (v6 ? 40 : 20);
                size_t n = k->len - (v6 ? 60 : 40);
                bool last = seen + n == payload;
                assert_false(k->partial);
                assert_int_equal((size_t)(th[5] << 16 | th[6] << 8 | th[7]), 100 + seen);
                assert_int_equal(th[13], 0x10 | (seen == 0 ? 0x80 : 0) | (last ? 0x09 : 0));
                assert_memory_equal(th + 20, stream + seen, n);
                assert_true(n == 1000 || last);
                seen += n;
            }
            assert_int_equal(seen, payload);
        }
    }
}

static int setup_offload(void **state)
{
    (void)state;
    return setup_caps(LINK_CSUM | LINK_TSO4 | LINK_TSO6);
}

/* With offload the super-segment leaves whole; a payload of one segment is none. */
static void offload(void **state)
{
    (void)state;
    assert_int_equal(send_tcp(false, 30000, 1448, true, 0x10), 0);
    const struct lone_pkt *k = lone_take(host);
    assert_true(k->partial);
    assert_int_equal(k->len, 30040);
    assert_int_equal(k->gso_size, 1448);
    assert_null(lone_take(host));
    assert_int_equal(send_tcp(true, 1000, 1448, true, 0x10), 0);
    assert_int_equal(lone_take(host)->gso_size, 0);
}

static void too_large(void **state)
{
    (void)state;
    assert_int_equal(send_tcp(false, 1461, 0, true, 0x10), -ERR_MSGSIZE);
    assert_int_equal(send_tcp(true, 1441, 0, true, 0x10), -ERR_MSGSIZE);
    assert_int_equal(send_tcp(false, 1460, 0, true, 0x10), 0);
    struct addr peer = lone_addr(PEER4);
    pmtu_learn(host->st, lone_env(host), &peer, 1000, false);
    assert_int_equal(send_tcp(false, 961, 0, true, 0x10), -ERR_MSGSIZE);
    assert_int_equal(send_tcp(false, 960, 0, true, 0x10), 0);
}

/* RFC 791 3.2, RFC 8200 4.5: what is cut fits the link, in multiples of 8, and adds up. */
static void fragments(void **state)
{
    fill_stream();
    (void)state;
    for (int v6 = 0; v6 <= 1; v6++) {
        for (size_t payload = 1440; payload < 20000; payload += 1111) {
            lone_forget(host);
            assert_int_equal(send_tcp(v6, payload, 0, false, 0x10), 0);
            size_t at = 0;
            uint32_t id = 0;
            const struct lone_pkt *k;
            while ((k = lone_take(host)) != NULL) {
                struct ip_hdr ip;
                assert_true(k->len <= 1500);
                assert_int_equal(parse(k->p, k->len, &ip), DROP_NONE);
                if (at == 0) {
                    id = ip.frag_id;
                }
                assert_int_equal(ip.frag_id, id);
                assert_int_equal(ip.frag ? ip.frag_at : 0, at);
                at += ip.payload_len;
                assert_int_equal(ip.frag && ip.frag_more, at < payload + 20);
                assert_true(at == payload + 20 || ip.payload_len % 8 == 0);
            }
            assert_int_equal(at, payload + 20);
        }
    }
}

/* RFC 6864 4.3, RFC 7739: not one of 65536 comes twice, and the next is not the last plus something
 * small. */
static void identifications(void **state)
{
    static uint8_t seen[65536];
    uint16_t last = 0;
    unsigned near = 0;
    (void)state;
    host->st->ip_id = 0x50000; /* the start of a cycle */
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t id = ip4_next_id(host->st);
        assert_int_equal(seen[id], 0);
        seen[id] = 1;
        near += (uint16_t)(id - last) < 16;
        last = id;
    }
    assert_true(near < 64);
}

/* What is sent to ourselves comes back in, whatever its size, and no packet leaves. */
static void to_ourselves(void **state)
{
    struct sock *s = lone_sock(host, LX_AF_INET, LX_SOCK_DGRAM);
    struct recv_info info;
    static uint8_t got[65536];
    (void)state;
    fill_stream();
    assert_int_equal(lone_bind(host, s, "0.0.0.0", 5000), 0);
    static const char *const to[] = {US4, "127.0.0.1", "127.9.9.9", "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        assert_int_equal(lone_send(host, s, stream, 60000, to[i], 5000), 60000);
        assert_int_equal(lone_recv(host, s, got, sizeof got, 0, &info), 60000);
        assert_memory_equal(got, stream, 60000);
    }
    assert_null(lone_take(host));
    lone_close(host, s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(v4_faults),
        T(v4_total_length),
        T(v4_options),
        T(v6_extensions),
        T(v6_options),
        T(v6_long_chain),
        T(v6_padding),
        T(v6_jumbo),
        T(v6_fragment_twice),
        T(v6_truncated),
        T(sources),
        T(ours),
        T(path_mtus),
        T(locked_mtu),
        T(parser_is_safe),
        T(segments),
        T(too_large),
        T(fragments),
        T(identifications),
        T(to_ourselves),
        cmocka_unit_test_setup_teardown(offload, setup_offload, teardown),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
