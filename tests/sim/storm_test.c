/*
 * storm_test.c - random programs over random networks: every byte arrives once and in order, both
 * ends see the end, all invariants hold after every step, and nothing is left.
 *
 * Everything follows from the seed. SEEDS=1000: so many; SEED=7: that one, told as it goes.
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
#include "tests/sim/talk.h"

#define TALKS_MAX 4u
#define LIMIT     (6000 * SEC)

static uint64_t rng;

static uint64_t below(uint64_t n)
{
    rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = rng;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}

/* Faults that a connection must survive. */
static const char *const faults[] = {
    "loss 1%",
    "loss 5%",
    "out: loss 8%",
    "in: loss 8%",
    "loss ge p=1% r=25%",
    "dup 3%",
    "dup 20% x3",
    "corrupt 1%",
    "corrupt 3% of data",
    "reorder 5% by 3ms",
    "reorder 20% by 1ms",
    "in: reorder data#2 after data#4",
    "drop syn#1",
    "drop syn+ack#1",
    "drop data#1..3",
    "drop fin#1",
    "drop retransmit#1",
    "drop ack#1..5",
    "strip sack",
    "strip wscale",
    "out: strip timestamps",
    "strip all on all",
    "mss 300",
    "mtu 1300",
    "ecn-mark 10%",
    "ecn-mark 60%",
    "ecn-bleach",
    "strip accecn on all",
    "blackhole after 20KiB for 2s",
    "in: blackhole after 10KiB for 700ms",
    "window 0 after 10KiB for 1s",
    "in: window 5000",
    "rate 2mbit queue 20KiB",
    "rate 300kbit queue 8p",
    "rate 5mbit queue 200ms aqm codel",
};

static const char *const delays[] = {
    "",
    "delay 1ms",
    "delay 20ms jitter 4ms",
    "delay 100ms jitter 80ms ordered",
    "delay 10ms jitter 5ms dist pareto",
    "delay 300ms",
};

static void make_rules(char *buf, size_t size)
{
    bool rated = false;
    snprintf(buf, size, "%s", delays[below(ARRAY_LEN(delays))]);
    for (uint64_t k = below(4); k > 0; k--) {
        const char *f = faults[below(ARRAY_LEN(faults))];
        bool rate = strncmp(f, "rate", 4) == 0;
        if (rate && rated) {
            continue;
        }
        rated |= rate;
        size_t n = strlen(buf);
        snprintf(buf + n, size - n, "; %s", f);
    }
}

static uint64_t some_bytes(void)
{
    static const uint64_t tops[] = {1, 100, 3000, 40000, 200000, 600000};
    return below(tops[below(ARRAY_LEN(tops))] + 1);
}

static bool tiny_buffers, reno;
static int32_t ecn, ecn_option;

static void tune(struct stack_config *cfg, unsigned host)
{
    (void)host;
    if (tiny_buffers) {
        cfg->knobs.tcp_rmem_default = 4096;
        cfg->knobs.tcp_rmem_max = 8192;
        cfg->knobs.tcp_wmem_default = 4096;
        cfg->knobs.tcp_wmem_max = 8192;
    }
    cfg->knobs.tcp_retries2 = 40; /* in a burst of losses three of four retransmissions go, too */
    cfg->knobs.tcp_congestion_control = !reno;
    cfg->knobs.tcp_ecn = ecn;
    cfg->knobs.tcp_ecn_option = ecn_option;
}

static void finish(struct net *n, struct talk *t, unsigned ntalks)
{
    for (unsigned i = 0; i < ntalks; i++) {
        const struct talk_end *a = &t[i].end[0], *b = &t[i].end[1];
        if (a->err || b->err || a->got != b->to_send || b->got != a->to_send) {
            fail_msg("SEED=%llu talk %u: errors %d %d, %llu of %llu, %llu of %llu",
                     (unsigned long long)n->seed, i, a->err, b->err, (unsigned long long)b->got,
                     (unsigned long long)a->to_send, (unsigned long long)a->got,
                     (unsigned long long)b->to_send);
        }
        talk_close(&t[i]);
    }
    nsec until = n->now + LIMIT;
    while (net_step(n, until)) {
    }
    net_check_empty(n);
}

static void one(uint64_t seed, bool loud)
{
    char rules[400];
    struct talk t[TALKS_MAX];
    rng = seed;
    make_rules(rules, sizeof rules);
    tiny_buffers = below(5) == 0;
    reno = below(3) == 0;
    ecn = below(2) ? 1 : 3;
    ecn_option = (int32_t)below(4);
    unsigned ntalks = 1 + (unsigned)below(TALKS_MAX);
    uint32_t caps = below(3) == 0 ? LINK_CSUM | LINK_TSO4 | LINK_TSO6 : 0;
    struct net *n = net_new(rules, seed, caps, tune);
    n->check = true;
    for (unsigned i = 0; i < ntalks; i++) {
        uint64_t up = some_bytes();
        talk_open(&t[i], n, i, below(2), up, some_bytes());
        t[i].answers = below(2);
        t[i].read_max = below(4) == 0 ? 1 + below(5000) : 0;
    }
    if (loud) {
        printf("seed %llu: %u talks, caps %u, buffers %s, %s: %s\n", (unsigned long long)seed,
               ntalks, caps, tiny_buffers ? "tiny" : "usual", reno ? "reno" : "cubic", rules);
    }
    if (!talk_run(t, ntalks, n->now + LIMIT)) {
        for (unsigned i = 0; i < ntalks; i++) {
            fprintf(stderr, "talk %u: up %llu of %llu, down %llu of %llu\n", i,
                    (unsigned long long)t[i].end[1].got, (unsigned long long)t[i].end[0].to_send,
                    (unsigned long long)t[i].end[0].got, (unsigned long long)t[i].end[1].to_send);
        }
        fail_msg("SEED=%llu: %s at %.3f s; rules: %s", (unsigned long long)seed,
                 stack_deadline(n->host[0].st) == NEVER && stack_deadline(n->host[1].st) == NEVER
                     ? "nothing will ever happen again"
                     : "it takes too long",
                 (double)(n->now - t[0].began) / 1e9, rules);
    }
    finish(n, t, ntalks);
    net_free(n);
}

static void storm(void **state)
{
    const char *seed = getenv("SEED");
    const char *seeds = getenv("SEEDS");
    (void)state;
    if (seed && *seed) {
        one(strtoull(seed, NULL, 10), true);
        return;
    }
    uint64_t n = seeds && *seeds ? strtoull(seeds, NULL, 10) : 200;
    for (uint64_t s = 1; s <= n; s++) {
        one(s, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
