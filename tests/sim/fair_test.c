/*
 * fair_test.c - flows of ours that share one queue of 50 Mbit/s: each gets its part (Jain's index
 * over the bytes that arrived), and together they fill the line. RFC 9438 4, 5. CUBIC takes tens of
 * seconds to find its share on such a queue, as Linux's does, so the first 100 s do not count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/talk.h"

#define FLOWS_MAX 8u
#define SETTLED   (100 * SEC) /* of the start */
#define ENDS      (200 * SEC)
#define APART     (300 * MSEC) /* from one flow's start to the next one's */

struct share {
    double jain, mbit;
};

static void run_until(struct talk *t, unsigned n, nsec until)
{
    do {
        for (unsigned i = 0; i < n; i++) {
            talk_turn(&t[i]);
        }
    } while (net_step(t[0].net, until));
    t[0].net->now = until;
}

static struct share share(const char *rules, unsigned n)
{
    struct talk t[FLOWS_MAX];
    uint64_t from[FLOWS_MAX];
    struct net *net = net_new(rules, 1, 0, NULL);
    nsec began = net->now;
    double sum = 0, squares = 0;

    for (unsigned i = 0; i < n; i++) {
        talk_open(&t[i], net, i, i % 2, UINT64_MAX / 4, 0);
        t[i].answers = true;
        run_until(t, i + 1, net->now + APART);
    }
    run_until(t, n, began + SETTLED);
    for (unsigned i = 0; i < n; i++) {
        from[i] = t[i].end[1].got;
    }
    run_until(t, n, began + ENDS);
    for (unsigned i = 0; i < n; i++) {
        double x = (double)(t[i].end[1].got - from[i]);
        assert_int_equal(0, t[i].end[0].err);
        sum += x;
        squares += x * x;
    }
    for (unsigned i = 0; i < n; i++) {
        talk_close(&t[i]);
    }
    net_free(net);
    return (struct share){sum * sum / (n * squares), sum * 8e3 / (double)(ENDS - SETTLED)};
}

static void check(const char *rules, unsigned n)
{
    struct share s = share(rules, n);
    printf("fair flows=%u jain=%.4f mbit=%.2f  %s\n", n, s.jain, s.mbit, rules);
    assert_true(s.jain >= 0.94);
    assert_true(s.mbit >= 45);
}

static void two_flows(void **state)
{
    (void)state;
    check("delay 10ms; rate 50mbit queue 100ms", 2);
    check("delay 10ms; rate 50mbit queue 40ms", 2);
}

static void eight_flows(void **state)
{
    (void)state;
    check("delay 10ms; rate 50mbit queue 100ms", 8);
    check("delay 10ms; rate 50mbit aqm codel", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_flows),
        cmocka_unit_test(eight_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
