/*
 * tcp_hostile_test.c - peers that mean harm: what they can make the host spend, and what they can
 * learn, is bounded. Work is counted in records looked at, memory in bytes of the arena; nothing
 * here depends on time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/mem_lay.h"
#include "core/tcp_cb.h"
#include "tests/lib/peer.h"

static struct lone *host;
static struct sock *l;
static uint8_t junk[1 << 20];

static int setup_with(void (*tune)(struct stack_config *cfg))
{
    host = lone_new(0, tune);
    l = peer_listener(host, 80, 4096);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(NULL);
}

static int teardown(void **state)
{
    (void)state;
    lone_close(host, l);
    lone_forget(host);
    lone_wait(host, lone_env(host)->now + 2000 * SEC);
    return lone_free(host);
}

static void end(struct peer *p)
{
    peer_send(p, &(struct peer_seg){.seq = p->seq, .flags = TCP_RST});
    lone_close(host, p->s);
    p->s = NULL;
    lone_forget(host);
}

/* Bytes of the arena in buffers, slabs not counted: those stay for the next connection. */
static size_t pages_in_use(void)
{
    const struct mem *m = host->st->mem;
    size_t slabs = 0;

    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        const struct slabs *s = &m->slabs[k];
        slabs += (size_t)s->n * MEM_PAGE << s->order;
        for (uint32_t d = 0; d < DIR_PAGES; d++) {
            slabs += s->dir[d] ? MEM_PAGE : 0;
        }
    }
    return mem_use(m).pages_bytes - slabs;
}

static size_t put_sacks(uint8_t *opt, const uint32_t (*edge)[2], unsigned n)
{
    opt[0] = opt[1] = 1;
    opt[2] = 5;
    opt[3] = (uint8_t)(2 + 8 * n);
    for (unsigned i = 0; i < n; i++) {
        be32 from = be32_of(edge[i][0]), to = be32_of(edge[i][1]);
        memcpy(opt + 4 + 8 * i, from.b, 4);
        memcpy(opt + 8 + 8 * i, to.b, 4);
    }
    return 4 + 8 * n;
}

/* ---- SACK Panic: CVE-2019-11477, 11478, 11479 */

static void wide(struct stack_config *cfg)
{
    cfg->knobs.user_init_cwnd = 1000;
}

static int setup_wide(void **state)
{
    (void)state;
    return setup_with(wide);
}

/* An MSS of 1 to 88 makes segments of 48 bytes at the least. CVE-2019-11479. */
static void mss_has_a_floor(void **state)
{
    (void)state;
    for (uint8_t mss = 0; mss <= 88; mss++) {
        struct peer p = peer_of(host, mss & 1, 5000);
        peer_connect(&p, l, (uint8_t[]){2, 4, 0, mss}, 4);
        uint16_t want = mss == 0 ? (mss & 1 ? 1220 : 536) : mss < 48 ? 48 : mss;
        assert_int_equal(tcp_of(p.s)->snd.mss, want);
        end(&p);
    }
}

/* 10^5 acknowledgments with four blocks each, of every second one of the smallest segments or of a
 * single byte, at other places every time: records and memory have a bound, what is looked at per
 * acknowledgment too. */
static void hostile_sacks_have_a_price(void **state)
{
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    uint8_t opt[40];
    size_t before = pages_in_use();

    peer_connect(&p, l, (uint8_t[]){2, 4, 0, 48, 4, 2, 1, 1}, 8);
    struct tcp *c = tcp_of(p.s);
    int64_t sent = lone_send(host, p.s, junk, sizeof junk, NULL, 0);
    assert_true(sent > 40000);
    uint32_t flight = seq_dist(c->snd.una, c->snd.nxt);
    assert_true(flight >= 48000);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t edge[4][2];
        for (int k = 0; k < 4; k++) {
            edge[k][0] = p.ack + 48 + 96 * heap_below(&host->heap, flight / 96 - 1);
            edge[k][1] = edge[k][0] + (k & 1 ? 1 : 48);
        }
        peer_send(&p, &(struct peer_seg){.seq = p.seq,
                                         .ack = p.ack,
                                         .flags = TCP_ACK,
                                         .wnd = 65535,
                                         .opt = opt,
                                         .nopt = put_sacks(opt, edge, 4)});
        assert_true(c->fl->tx.n <= 6553);
        assert_true(pages_in_use() - before <= (256u << 10) + (2u << 20));
        lone_forget(host);
        if (i % 1000 == 0) {
            assert_null(stack_check(host->st));
        }
    }
    /* Not more than twice all records for each: RACK's pass, and what the four blocks cover. */
    assert_true(host->st->stats.TcpSackScanned > 0);
    assert_true(host->st->stats.TcpSackScanned <= 100000ull * 2 * 5461);
    /* It still works: all of it acknowledged, the rest goes out. */
    p.ack = c->snd.nxt.v;
    peer_say(&p, TCP_ACK, NULL, 0);
    assert_true(seq_gt(c->snd.nxt, seq_of(p.ack)));
    end(&p);
}

/* ---- SegmentSmack: CVE-2018-5390 */

/* 10^5 single bytes out of order, no two of them neighbours: the set of ranges, whose array an
 * insertion moves, has a bound, and so has the memory; the true stream still comes through. */
static void single_bytes_out_of_order(void **state)
{
    (void)state;
    struct peer p = peer_of(host, true, 5000);
    size_t before = pages_in_use();
    uint8_t got[16];

    peer_connect(&p, l, (uint8_t[]){2, 4, 5, 180, 4, 2, 1, 1}, 8);
    struct tcp *c = tcp_of(p.s);
    lone_forget(host);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t at = p.seq + 2 + 2 * heap_below(&host->heap, 30000);
        peer_send(&p, &(struct peer_seg){
                          .seq = at, .ack = p.ack, .flags = TCP_ACK, .wnd = 65535, .len = 1});
        assert_true(c->fl->ooo.n <= 2048);
        assert_true(host->nout <= 1);
        lone_forget(host);
    }
    assert_true(pages_in_use() - before <= (64u << 10) * 2 + (16u << 10));
    assert_true(pages_in_use() - before <= tcp_rcvbuf(host->st, p.s));
    peer_say(&p, TCP_ACK | TCP_PSH, "0123456789", 10);
    assert_true(lone_recv(host, p.s, got, sizeof got, 0, NULL) >= 10);
    assert_memory_equal(got, "0123456789", 1);
    assert_null(stack_check(host->st));
    end(&p);
}

/* ---- receivers that cheat (Savage) */

/* A hundred acknowledgments for one segment grow the window as one does. RFC 3465. */
static void ack_division(void **state)
{
    uint32_t grown[2];
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        struct peer p = peer_of(host, false, 5000);
        peer_connect(&p, l, (uint8_t[]){2, 4, 3, 232}, 4);
        lone_send(host, p.s, junk, 60000, NULL, 0);
        for (int seg = 0; seg < 10; seg++) {
            for (int k = 1; k <= 100; k++) {
                if (cut || k == 100) {
                    peer_send(&p, &(struct peer_seg){.seq = p.seq,
                                                     .ack = p.ack + (uint32_t)(10 * k),
                                                     .flags = TCP_ACK,
                                                     .wnd = 65535});
                }
            }
            p.ack += 1000;
        }
        grown[cut] = tcp_of(p.s)->cc.cwnd;
        end(&p);
    }
    assert_int_equal(grown[0], grown[1]);
}

/* A thousand duplicate acknowledgments, with SACK and without, do not inflate the window, and
 * bring out no byte beyond the peer's own. RFC 9937 */
static void spoofed_duplicates(void **state)
{
    (void)state;
    for (int sack = 0; sack < 2; sack++) {
        struct peer p = peer_of(host, false, 5000);
        peer_connect(&p, l, (uint8_t[]){2, 4, 3, 232, 4, 2, 1, 1}, sack ? 8 : 4);
        struct tcp *c = tcp_of(p.s);
        lone_send(host, p.s, junk, sizeof junk, NULL, 0);
        uint32_t before = c->cc.cwnd;
        assert_int_equal(peer_drain(&p), 10);
        for (int i = 0; i < 1000; i++) {
            peer_say(&p, TCP_ACK, NULL, 0);
            assert_true(c->cc.cwnd <= before);
        }
        assert_true(peer_drain(&p) <= 66); /* each once, as far as the peer's window */
        assert_true(seq_dist(c->snd.una, c->snd.nxt) <= 65535);
        end(&p);
    }
}

/* ---- what one connection says of another: CVE-2016-5696 */

/* How many challenges a second connection gets in ten seconds, while the first is probed n
 * times. */
static unsigned challenges_seen(unsigned n)
{
    struct peer victim = peer_of(host, false, 5000);
    struct peer spy = peer_of(host, false, 5001);
    unsigned seen = 0;

    peer_connect(&victim, l, NULL, 0);
    peer_connect(&spy, l, NULL, 0);
    for (int tenth = 0; tenth < 100; tenth++) {
        for (unsigned i = 0; i < n; i++) {
            peer_send(&victim, &(struct peer_seg){.seq = victim.seq + 10 + i, .flags = TCP_RST});
        }
        lone_forget(host);
        for (int i = 0; i < 3; i++) {
            peer_send(&spy, &(struct peer_seg){.seq = spy.seq + 10, .flags = TCP_RST});
        }
        seen += peer_drain(&spy);
        lone_forget(host);
        lone_wait(host, lone_env(host)->now + 100 * MSEC);
    }
    end(&victim);
    end(&spy);
    return seen;
}

/* RFC 5961 7: the limit is each connection's own, so that nobody can count on it. */
static void challenges_tell_nothing(void **state)
{
    (void)state;
    unsigned alone = challenges_seen(0);
    assert_int_equal(alone, 20);
    assert_int_equal(challenges_seen(1), alone);
    assert_int_equal(challenges_seen(200), alone);
}

/* ---- windows that stay closed: sockstress, Naptha */

/* A thousand peers ask for much and take nothing. What each holds is its send buffer; once the
 * program has closed them they are gone in ten minutes, although every probe is answered. */
static void closed_windows(void **state)
{
    enum { PEERS = 1000 };
    static struct peer p[PEERS];
    size_t before = pages_in_use();
    (void)state;
    for (unsigned i = 0; i < PEERS; i++) {
        p[i] = peer_of(host, false, (uint16_t)(2000 + i));
        p[i].wnd = 0;
        peer_connect(&p[i], l, NULL, 0);
        assert_true(lone_send(host, p[i].s, junk, sizeof junk, NULL, 0) > 0);
        assert_false(tcp_writable(host->st, tcp_of(p[i].s)));
    }
    assert_true((pages_in_use() - before) / PEERS <= 2u * (uint32_t)host->st->knobs.tcp_wmem_max);
    for (unsigned i = 0; i < PEERS; i++) {
        lone_close(host, p[i].s);
    }
    for (int second = 0; second < 600; second++) {
        lone_wait(host, lone_env(host)->now + SEC);
        uint32_t n = host->nout;
        for (unsigned i = 0; i < PEERS && n; i++) {
            if (mem_use(host->st->mem).objs[MEM_TCP] > 1) {
                peer_say(&p[i], TCP_ACK, NULL, 0);
            }
        }
        lone_forget(host);
    }
    assert_int_equal(mem_use(host->st->mem).objs[MEM_TCP], 1);
    assert_true(pages_in_use() <= before + 2 * MEM_PAGE); /* the table of connections has grown */
}

/* 10^5 single bytes in order, unread: no more memory than the buffer. */
static void tiny_segments(void **state)
{
    (void)state;
    struct peer p = peer_of(host, false, 5000);
    size_t before = pages_in_use();

    peer_connect(&p, l, NULL, 0);
    for (unsigned i = 0; i < 100000; i++) {
        peer_send(&p, &(struct peer_seg){
                          .seq = p.seq, .ack = p.ack, .flags = TCP_ACK, .wnd = 9, .len = 1});
        p.seq = tcp_of(p.s)->rcv.nxt.v;
        lone_forget(host);
    }
    assert_true(pages_in_use() - before <= tcp_rcvbuf(host->st, p.s));
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mss_has_a_floor, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_sacks_have_a_price, setup_wide, teardown),
        cmocka_unit_test_setup_teardown(single_bytes_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(ack_division, setup, teardown),
        cmocka_unit_test_setup_teardown(spoofed_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(challenges_tell_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(tiny_segments, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
