/*
 * grid.h - the cells of the table: the networks over which stacks are compared, in virtual time
 * here and over real devices in tests/bench/loss.py, which reads them by `build/sim/table --grid`.
 */
#ifndef STANDIN_TESTS_GRID_H
#define STANDIN_TESTS_GRID_H

#include "core/nsec.h"

#define GRID_SEEDS 45u

struct grid_cell {
    const char *name; /* "loss-1-50": what and how much, round trip in ms */
    nsec rtt;
    uint64_t bytes;    /* one transfer, from the program's host */
    const char *fault; /* on the way of the data */
};

/* 50 Mbit/s, a queue of 100 ms, half the round trip each way, and the fault. Returns buf. */
char *grid_rules(const struct grid_cell *c, char buf[200]);

extern const struct grid_cell grid[];
extern const unsigned grid_cells;

#endif
