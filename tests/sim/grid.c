/*
 * grid.c - see grid.h. The bytes are chosen so that no cell takes a real stack more than about a
 * minute.
 */
#include "tests/sim/grid.h"

#include <stdio.h>

#define ROW(what, bytes, fault)                                                   \
    {what "-10", 10 * MSEC, bytes, fault}, {what "-50", 50 * MSEC, bytes, fault}, \
    {                                                                             \
        what "-200", 200 * MSEC, (bytes) / 2, fault                               \
    }

#define MB 1000000u

const struct grid_cell grid[] = {
    ROW("loss-0", 8 * MB, ""),
    ROW("loss-0.1", 8 * MB, "out: loss 0.1%"),
    ROW("loss-1", 4 * MB, "out: loss 1%"),
    ROW("loss-3", 2 * MB, "out: loss 3%"),
    ROW("loss-10", 400000, "out: loss 10%"),
    ROW("reorder", 4 * MB, "out: reorder 2% by 4ms"),
    ROW("burst", 4 * MB, "out: loss ge p=0.25% r=25%"),
};

const unsigned grid_cells = sizeof grid / sizeof *grid;

char *grid_rules(const struct grid_cell *c, char buf[200])
{
    snprintf(buf, 200, "%s; delay %lldus ordered; rate 50mbit queue 100ms", c->fault,
             (long long)(c->rtt / 2 / USEC));
    return buf;
}
