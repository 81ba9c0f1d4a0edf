/*
 * tcp_bulk_test.c - buffers that grow to the bandwidth-delay product, and stay within their bounds.
 *
 * Two whole stacks, a wire of a given rate and delay, virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcp_cb.h"
#include "tests/lib/bulk.h"

#define OFFLOAD (LINK_CSUM | LINK_TSO4)
#define GBIT    125000000u

static void large_buffers(struct stack_config *cfg)
{
    cfg->knobs.tcp_wmem_max = 64 << 20;
    cfg->knobs.tcp_rmem_max = 64 << 20;
}

static struct bulk *long_fat(void (*tune)(struct stack_config *cfg))
{
    struct bulk *b = bulk_new(1, OFFLOAD, tune);
    b->rig->host[0].out = (struct rig_wire){.delay = 50 * MSEC, .rate = GBIT, .queue = 16 << 20};
    b->rig->host[1].out = (struct rig_wire){.delay = 50 * MSEC};
    bulk_open(b, 0, "cubic");
    return b;
}

/* 1 Gb/s with a round trip of 100 ms: 12.5 MB must be in flight. */
static void fills_a_long_fat_pipe(void **state)
{
    (void)state;
    struct bulk *b = long_fat(large_buffers);
    double rate[BULK_FLOWS];
    bulk_run(b, 2 * SEC);
    bulk_measure(b, SEC, rate);
    if (rate[0] < 0.93 * GBIT) {
        fail_msg("%.1f Mb/s of 1000; window %u, wnd_clamp %u", rate[0] * 8e-6,
                 bulk_info(b, 0).tcpi_snd_cwnd, tcp_of(b->flow[0].in)->rcv.wnd_clamp);
    }
    bulk_free(b);
}

/* With Linux's default tcp_wmem of 4 MiB the sender's buffer is the limit, and is kept to. */
static void send_buffer_is_bounded(void **state)
{
    (void)state;
    struct bulk *b = long_fat(NULL);
    double rate[BULK_FLOWS];
    bulk_run(b, 4 * SEC);
    bulk_measure(b, SEC, rate);
    assert_in_range((uint64_t)rate[0], 25000000, 4194304 * 10);
    assert_in_range(ring_len(&tcp_of(b->flow[0].out)->sq), 5 << 19, 4 << 20);
    bulk_free(b);
}

static void small_rmem(struct stack_config *cfg)
{
    large_buffers(cfg);
    cfg->knobs.tcp_rmem_max = 2 << 20;
}

/* tcp_rmem's maximum: half of it is window. */
static void receive_buffer_is_bounded(void **state)
{
    (void)state;
    struct bulk *b = long_fat(small_rmem);
    bulk_run(b, 4 * SEC);
    assert_int_equal(1 << 20, tcp_of(b->flow[0].in)->rcv.wnd_clamp);
    assert_true(tcp_rcv_left(tcp_of(b->flow[0].in)) <= (1 << 20) + 65536);
    bulk_free(b);
}

static void no_moderation(struct stack_config *cfg)
{
    large_buffers(cfg);
    cfg->knobs.tcp_moderate_rcvbuf = 0;
}

static void no_growth_without_moderation(void **state)
{
    (void)state;
    struct bulk *b = long_fat(no_moderation);
    bulk_run(b, 2 * SEC);
    assert_int_equal(65536, tcp_of(b->flow[0].in)->rcv.wnd_clamp);
    bulk_free(b);
}

/* A short path needs little: the buffer is not made larger than the rate asks for. */
static void no_more_than_needed(void **state)
{
    (void)state;
    struct bulk *b = bulk_new(1, OFFLOAD, large_buffers);
    b->rig->host[0].out = (struct rig_wire){.delay = 5 * MSEC, .rate = 1250000, .queue = 20000};
    b->rig->host[1].out = (struct rig_wire){.delay = 5 * MSEC};
    bulk_open(b, 0, "reno");
    bulk_run(b, 20 * SEC);
    assert_in_range(tcp_of(b->flow[0].in)->rcv.wnd_clamp, 65536, 400000);
    bulk_free(b);
}

/* The receiver's round trip is that of the path, a full queue included. */
static void receiver_measures_round_trip(void **state)
{
    (void)state;
    struct bulk *b = bulk_new(1, OFFLOAD, large_buffers);
    b->rig->host[0].out = (struct rig_wire){.delay = 20 * MSEC, .rate = 12500000, .queue = 100000};
    b->rig->host[1].out = (struct rig_wire){.delay = 20 * MSEC};
    bulk_open(b, 0, "cubic");
    bulk_run(b, 5 * SEC);
    nsec rtt = tcp_of(b->flow[0].in)->rcv_rtt;
    assert_in_range(rtt / USEC, 39000, 50000);
    bulk_free(b);
}

/* A program that reads slowly needs no larger buffer, however fast the sender is. */
static void slow_reader_gets_no_more(void **state)
{
    (void)state;
    struct bulk *b = bulk_new(1, OFFLOAD, large_buffers);
    b->rig->host[0].out = (struct rig_wire){.delay = 20 * MSEC, .rate = GBIT};
    b->rig->host[1].out = (struct rig_wire){.delay = 20 * MSEC};
    bulk_open(b, 0, "cubic");
    for (uint64_t i = 1; i <= 100; i++) {
        b->flow[0].take = i * 4000; /* per 40 ms */
        bulk_run(b, 40 * MSEC);
    }
    assert_int_equal(65536, tcp_of(b->flow[0].in)->rcv.wnd_clamp);
    bulk_free(b);
}

/* SO_RCVBUF ends autotuning. Linux socket(7). */
static void chosen_buffer_stays(void **state)
{
    (void)state;
    struct bulk *b = long_fat(large_buffers);
    int v = 100000;
    struct sock *in = b->flow[0].in;
    assert_int_equal(0, sock_setopt(b->rig->host[1].st, rig_env(b->rig, 1), in, LX_SOL_SOCKET,
                                    LX_SO_RCVBUF, &v, sizeof v, false));
    bulk_run(b, 2 * SEC);
    assert_int_equal(100000, tcp_of(in)->rcv.wnd_clamp);
    bulk_free(b);
}

/* TCP_WINDOW_CLAMP bounds it. Linux tcp(7). */
static void window_clamp_bounds(void **state)
{
    (void)state;
    struct bulk *b = long_fat(large_buffers);
    int v = 300000;
    struct sock *in = b->flow[0].in;
    assert_int_equal(0, tcp_setopt(b->rig->host[1].st, rig_env(b->rig, 1), in, LX_TCP_WINDOW_CLAMP,
                                   &v, sizeof v, false));
    bulk_run(b, 2 * SEC);
    assert_int_equal(300000, tcp_of(in)->rcv.wnd_clamp);
    bulk_free(b);
}

static void pressed(struct stack_config *cfg)
{
    large_buffers(cfg);
    cfg->knobs.tcp_mem_pressure = 1;
}

/* From tcp_mem_pressure on nothing grows, and windows are four segments. */
static void under_pressure_nothing_grows(void **state)
{
    (void)state;
    struct bulk *b = long_fat(pressed);
    bulk_run(b, 4 * SEC);
    const struct tcp *in = tcp_of(b->flow[0].in);
    assert_int_equal(65536, in->rcv.wnd_clamp);
    assert_true(in->rcv.wnd_lim <= 4u * in->rcv.adv_mss);
    assert_true(b->flow[0].got > 100000);                                /* slow, but alive */
    assert_true(ring_len(&tcp_of(b->flow[0].out)->sq) <= 16384 + 65536); /* and one packet */
    bulk_free(b);
}

static void full(struct stack_config *cfg)
{
    large_buffers(cfg);
    cfg->knobs.tcp_mem_max = 1;
}

/* At tcp_mem_max each direction still has the minimum of tcp_rmem and tcp_wmem. */
static void full_memory_leaves_the_minimum(void **state)
{
    (void)state;
    struct bulk *b = long_fat(full);
    bulk_run(b, 10 * SEC);
    assert_true(ring_len(&tcp_of(b->flow[0].out)->sq) <= 4096 + 65536); /* and one packet */
    assert_true(b->flow[0].got > 100000);
    bulk_free(b);
}

static void lossy_wire(void **state)
{
    (void)state;
    struct bulk *b = bulk_new(3, OFFLOAD, full);
    b->rig->host[0].out = (struct rig_wire){.delay = 5 * MSEC, .loss = 20000};
    b->rig->host[1].out = (struct rig_wire){.delay = 5 * MSEC};
    bulk_open(b, 0, "cubic");
    bulk_run(b, 20 * SEC);
    assert_int_equal(0, tcp_of(b->flow[0].in)->fl->ooo.n); /* nothing is kept out of order */
    assert_true(b->flow[0].got > 100000);
    bulk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_a_long_fat_pipe),
        cmocka_unit_test(send_buffer_is_bounded),
        cmocka_unit_test(receive_buffer_is_bounded),
        cmocka_unit_test(no_growth_without_moderation),
        cmocka_unit_test(no_more_than_needed),
        cmocka_unit_test(receiver_measures_round_trip),
        cmocka_unit_test(slow_reader_gets_no_more),
        cmocka_unit_test(chosen_buffer_stays),
        cmocka_unit_test(window_clamp_bounds),
        cmocka_unit_test(under_pressure_nothing_grows),
        cmocka_unit_test(full_memory_leaves_the_minimum),
        cmocka_unit_test(lossy_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
