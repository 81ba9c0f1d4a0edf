/* preload/cmd/explain: a packet taken apart whatever its bytes are, and what it means in its
 * connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "preload/cmd/explain/dissect.h"
#include "preload/cmd/explain/flow.h"
#include "preload/cmd/explain/proto.h"

static uint64_t rng = 1;

static uint32_t chance(uint32_t n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33) % n;
}

/* A copy that ends where its memory ends, for the address sanitizer. */
static void take(struct dissection *d, const uint8_t *p, size_t len, size_t wire)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct context ctx;
    struct flows *f = flows_new();

    assert_non_null(copy);
    memcpy(copy, p, len);
    dissect(d, copy, len, wire);
    flows_take(f, d, 1, 0, &ctx);
    assert_true(d->nfields <= FIELDS_MAX && d->nlayers <= LAYERS_MAX && d->nnotes <= NOTES_MAX);
    for (unsigned i = 0; i < d->nlayers; i++) {
        assert_true(d->layer[i].at <= len && d->layer[i].len <= len - d->layer[i].at);
    }
    flows_free(f);
    free(copy);
}

static const uint8_t syn[] = {
    0x45, 0,    0,    60,   0, 0, 0x40, 0,   64, 6, 0, 0, 10,   77, 0,    2,    10, 77, 0, 1,
    0xd4, 0x31, 0x1f, 0x40, 0, 0, 0,    100, 0,  0, 0, 0, 0xa0, 2,  0xfa, 0xf0, 0,  0,  0, 0,
    2,    4,    5,    0xb4, 4, 2, 8,    10,  0,  0, 0, 9, 0,    0,  0,    0,    1,  3,  3, 7};

/* Cut off anywhere, damaged anywhere: nothing beyond the bytes is read, every layer lies within
 * them. */
static void any_bytes(void **state)
{
    static struct dissection d;
    uint8_t p[300];
    (void)state;
    for (size_t n = 0; n <= sizeof syn; n++) {
        take(&d, syn, n, sizeof syn);
    }
    for (unsigned round = 0; round < 60000; round++) {
        size_t len = chance(sizeof p);
        for (size_t i = 0; i < len; i++) {
            p[i] = (uint8_t)chance(256);
        }
        if (len && round % 4) {
            memcpy(p, syn, len < sizeof syn ? len : sizeof syn);
            p[0] = (uint8_t)(chance(8) ? p[0] : 0x60 | chance(16));
            for (unsigned k = chance(4); k > 0; k--) {
                p[chance((uint32_t)len)] = (uint8_t)chance(256);
            }
        }
        take(&d, p, len, len + chance(3) * 7);
    }
}

static const struct field *field(const struct dissection *d, const char *key)
{
    for (unsigned i = 0; i < d->nfields; i++) {
        if (strcmp(d->field[i].key, key) == 0) {
            return &d->field[i];
        }
    }
    fail_msg("no field %s", key);
    return NULL;
}

static void fields_of_a_syn(void **state)
{
    static struct dissection d;
    (void)state;
    dissect(&d, syn, sizeof syn, sizeof syn);
    assert_int_equal(d.nlayers, 2);
    assert_int_equal(d.nnotes, 0);
    assert_int_equal(field(&d, "tcp.srcport")->value, 54321);
    assert_int_equal(field(&d, "tcp.seq_raw")->value, 100);
    assert_int_equal(field(&d, "tcp.hdr_len")->value, 40);
    assert_int_equal(field(&d, "tcp.flags.syn")->value, 1);
    assert_int_equal(field(&d, "tcp.flags.ack")->value, 0);
    assert_int_equal(field(&d, "tcp.options.mss_val")->value, 1460);
    assert_int_equal(field(&d, "tcp.options.wscale.shift")->value, 7);
    assert_string_equal(field(&d, "ip.src")->shown, "10.77.0.2");
    assert_true(d.tcp.has_sack_ok && d.tcp.has_ts && d.tcp.ts_val == 9);
    assert_int_equal(d.sum[0].verdict, SUM_BAD); /* both are zero in the packet */
}

/* RFC 1071 3: the example's numbers. */
static void the_sum_of_rfc_1071(void **state)
{
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    struct sum_part part = {.p = example, .len = sizeof example, .skip = SIZE_MAX};
    (void)state;
    assert_int_equal(sum_of(&part), 0x2ddf0);
    assert_int_equal(sum_fold(sum_of(&part)), 0xddf2);
    part.len = 7; /* an odd byte is padded with zero: RFC 9293 3.1 */
    assert_int_equal(sum_of(&part), 0x2ddf0 - 0xf7);
}

/* ---- a connection */

static struct flows *flows;
static uint64_t number;
static struct context ctx;

/* A segment from the client (0) or the server (1); now in milliseconds. */
static void seg(unsigned from, unsigned flags, uint32_t first, uint32_t ack, uint32_t len,
                uint16_t window, int64_t ms)
{
    static struct dissection d;
    static uint8_t p[1600];

    memcpy(p, syn, 40);
    p[2] = (uint8_t)((40 + len) >> 8);
    p[3] = (uint8_t)(40 + len);
    p[15] = (uint8_t)(from ? 1 : 2);
    p[19] = (uint8_t)(from ? 2 : 1);
    memcpy(p + 20, from ? syn + 22 : syn + 20, 2);
    memcpy(p + 22, from ? syn + 20 : syn + 22, 2);
    for (int i = 0; i < 4; i++) {
        p[24 + i] = (uint8_t)(first >> (24 - 8 * i));
        p[28 + i] = (uint8_t)(ack >> (24 - 8 * i));
    }
    p[32] = (uint8_t)(0x50 | flags >> 8);
    p[33] = (uint8_t)flags;
    p[34] = (uint8_t)(window >> 8);
    p[35] = (uint8_t)window;
    dissect(&d, p, 40 + len, 40 + len);
    flows_take(flows, &d, ++number, ms * 1000000, &ctx);
}

static void told(const char *text)
{
    for (unsigned i = 0; i < ctx.nlines; i++) {
        if (strstr(ctx.line[i], text)) {
            return;
        }
    }
    for (unsigned i = 0; i < ctx.nlines; i++) {
        print_message("    %s\n", ctx.line[i]);
    }
    fail_msg("packet %llu: nothing says \"%s\"", (unsigned long long)number, text);
}

static void not_told(const char *text)
{
    for (unsigned i = 0; i < ctx.nlines; i++) {
        assert_null(strstr(ctx.line[i], text));
    }
}

static int begin(void **state)
{
    (void)state;
    words_use(LANG_EN);
    flows = flows_new();
    number = 0;
    seg(0, TCP_SYN, 0xfffffff0, 0, 0, 1000, 0); /* numbers wrap within the first bytes */
    told("initial sequence number 4294967280");
    seg(1, TCP_SYN | TCP_ACK, 500, 0xfffffff1, 0, 1000, 10);
    told("10.0 ms after the SYN");
    told("Acknowledges the SYN of 10.0 ms ago (packet 1)");
    seg(0, TCP_ACK, 0xfffffff1, 501, 0, 1000, 11);
    told("three-way handshake");
    return 0;
}

static int end(void **state)
{
    (void)state;
    flows_free(flows);
    return 0;
}

static void loss_and_repair(void **state)
{
    (void)state;
    seg(0, TCP_ACK, 0xfffffff1, 501, 100, 1000, 12);
    told("Carries bytes 1-100 ");
    seg(0, TCP_ACK, 0xfffffff1 + 200, 501, 100, 1000, 13);
    told("Carries bytes 201-300 ");
    told("Bytes 101-200 before it");
    seg(1, TCP_ACK, 501, 0xfffffff1 + 100, 0, 1000, 20);
    told("Acknowledges bytes 1-100, sent 8.0 ms ago (packet 4)");
    seg(1, TCP_ACK, 501, 0xfffffff1 + 100, 0, 1000, 21);
    told("duplicate number 1 of 101");
    seg(0, TCP_ACK, 0xfffffff1 + 200, 501, 100, 1000, 63);
    told("A retransmission: first sent in packet 5, 50.0 ms ago");
    seg(1, TCP_ACK, 501, 0xfffffff1 + 300, 0, 0, 70);
    told("The window is closed");
    seg(0, TCP_ACK, 0xfffffff1 + 299, 501, 0, 1000, 300);
    told("A window probe");
    seg(1, TCP_ACK, 501, 0xfffffff1 + 300, 0, 1000, 301);
    told("opens the window from 0 to 1000 bytes");
    seg(0, TCP_ACK, 0xfffffff1 + 299, 501, 0, 1000, 9000);
    told("A keepalive probe");
    seg(0, TCP_ACK, 0xfffffff1 + 400, 501, 100, 1000, 9010);
    told("Bytes 301-400 before it have not been seen");
    seg(0, TCP_ACK, 0xfffffff1 + 300, 501, 100, 1000, 9011);
    told("Fills a gap");
    assert_false(ctx.retrans);
    seg(1, TCP_ACK, 501, 0xfffffff1 + 500, 0, 1000, 9020);
    seg(0, TCP_ACK, 0xfffffff1 + 50, 501, 20, 1000, 9030); /* within what was sent, not alike */
    assert_true(ctx.retrans);
}

static void both_close(void **state)
{
    (void)state;
    seg(0, TCP_FIN | TCP_ACK, 0xfffffff1, 501, 0, 1000, 20);
    told("closes its direction (active closer)");
    seg(1, TCP_ACK, 501, 0xfffffff2, 0, 1000, 21);
    told("Acknowledges the FIN");
    seg(1, TCP_FIN | TCP_ACK, 501, 0xfffffff2, 0, 1000, 22);
    told("closes its direction (passive closer)");
    seg(0, TCP_ACK, 0xfffffff2, 502, 0, 1000, 23);
    told("Both directions are closed");
    seg(0, TCP_SYN, 777, 0, 0, 1000, 99); /* the same ports again */
    told("initial sequence number 777");
    assert_int_equal(ctx.conn, 2);
    seg(1, TCP_RST | TCP_ACK, 0, 778, 0, 0, 100);
    told("Refuses the connection");
}

/* RFC 9768 3.1.2, 3.2.2: three flags that are a counter. */
static void accurate_ecn(void **state)
{
    const unsigned ack = TCP_ACK;
    (void)state;
    words_use(LANG_EN);
    seg(0, TCP_SYN | TCP_AE | TCP_CWR | TCP_ECE, 7000, 0, 0, 1000, 100);
    told("Offers accurate ECN");
    not_told("Offers ECN");
    seg(1, TCP_SYN | TCP_ACK | TCP_AE, 9000, 7001, 0, 1000, 101);
    told("the SYN came as ECT(0)");
    seg(0, ack | TCP_AE | TCP_CWR, 7001, 9001, 0, 1000, 102);
    told("the SYN,ACK came as CE");
    seg(0, ack | TCP_AE | TCP_CWR, 7001, 9001, 100, 1000, 103); /* 6, where it begins then */
    not_told("counter");
    seg(1, ack | TCP_AE | TCP_CWR | TCP_ECE, 9001, 7101, 0, 1000, 104);
    told("counter (7): 2 more packets came marked");
    seg(0, ack | TCP_ECE, 7101, 9001, 100, 1000, 105);
    told("counter (1): 3 more packets came marked");
    seg(1, ack | TCP_AE | TCP_CWR | TCP_ECE, 9001, 7201, 0, 1000, 106);
    not_told("counter");
}

/* RFC 9768 3.2.3: the kind says the order, the length how many. */
static void accurate_ecn_option(void **state)
{
    static struct dissection d;
    uint8_t p[60];
    (void)state;
    memcpy(p, syn, sizeof syn);
    p[33] = TCP_ACK;
    for (unsigned kind = 172; kind <= 174; kind += 2) {
        const uint8_t opt[20] = {(uint8_t)kind, 11, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1};
        memcpy(p + 40, opt, sizeof opt);
        dissect(&d, p, sizeof p, sizeof p);
        assert_int_equal(field(&d, "tcp.options.acc_ecn.eceb")->value, 256);
        assert_int_equal(field(&d, "tcp.options.acc_ecn.ee0b")->value, kind == 172 ? 1 : 65536);
        assert_int_equal(field(&d, "tcp.options.acc_ecn.ee1b")->value, kind == 172 ? 65536 : 1);
        assert_int_equal(d.nnotes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(fields_of_a_syn),
        cmocka_unit_test(the_sum_of_rfc_1071),
        cmocka_unit_test_setup_teardown(loss_and_repair, begin, end),
        cmocka_unit_test_setup_teardown(both_close, begin, end),
        cmocka_unit_test_setup_teardown(accurate_ecn, begin, end),
        cmocka_unit_test(accurate_ecn_option),
    };
    return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
