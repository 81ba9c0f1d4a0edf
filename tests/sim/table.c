/*
 * table.c - the table of the simulator: goodput, retransmissions, timeouts and recovery time over
 * the cells of grid.c, medians over GRID_SEEDS seeds. One stack to another of ours.
 *
 *     table                  prints it: compared with tests/sim/table.txt
 *     table --linux FILE     the goodput beside Linux's, cell by cell, and the median ratio
 *     table --grid           the cells for other programs: name, bytes, rules
 *
 * Goodput is bytes over the time from connect to the peer's end of file, which the peer sends when
 * it has everything. Recovery is the time from the loss of a segment at its first transmission
 * until the receiver's program can read it, without the way itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/sim/grid.h"
#include "tests/sim/talk.h"

#define LOST_MAX 4096u

struct lost {
    uint64_t offset;
    nsec at;
};

struct result {
    double goodput; /* Mbit/s */
    double retrans; /* segments */
    double timeouts;
    double recovery; /* ms, median of the run; < 0: nothing was lost */
};

static struct lost lost[LOST_MAX];
static unsigned nlost;

static void on_fired(void *ctx, const struct wire_firing *f)
{
    (void)ctx;
    if (f->what == FIRED_LOST && f->pick == PICK_DATA && nlost < LOST_MAX) {
        lost[nlost++] = (struct lost){f->offset, f->at};
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Takes what has arrived off the list of what was lost. */
static unsigned recovered(const struct talk *t, nsec way, double *out, unsigned n)
{
    for (unsigned i = 0; i < nlost;) {
        if (lost[i].offset >= t->end[1].got) {
            i++;
            continue;
        }
        if (n < LOST_MAX) {
            out[n++] = (double)(t->net->now - lost[i].at - way) / 1e6;
        }
        lost[i] = lost[--nlost];
    }
    return n;
}

static struct result transfer(const struct grid_cell *c, uint64_t seed)
{
    static double times[LOST_MAX];
    char rules[200];
    unsigned n = 0;
    struct talk t;
    struct net *net = net_new(grid_rules(c, rules), seed, 0, NULL);
    nlost = 0;
    net->tap.fired = on_fired;
    talk_open(&t, net, 0, false, c->bytes, 0);
    t.answers = true;
    while (!talk_over(&t)) {
        if (!net_step(net, t.began + 4000 * SEC)) {
            fprintf(stderr, "table: %s seed %llu does not end\n", c->name,
                    (unsigned long long)seed);
            exit(1);
        }
        talk_turn(&t);
        n = recovered(&t, c->rtt / 2, times, n);
    }
    if (t.end[0].err || t.end[1].err || t.end[1].got != c->bytes) {
        fprintf(stderr, "table: %s seed %llu: ended by an error\n", c->name,
                (unsigned long long)seed);
        exit(1);
    }
    const struct stats *s = &net->host[0].st->stats;
    struct result r = {
        .goodput = (double)c->bytes * 8e3 / (double)(t.ended - t.began),
        .retrans = (double)s->TcpRetransSegs,
        .timeouts = (double)s->TcpTimeouts,
        .recovery = n ? median(times, n) : -1,
    };
    talk_close(&t);
    net_free(net);
    return r;
}

/* Medians of each column over the seeds. */
static struct result cell(const struct grid_cell *c)
{
    struct result r[GRID_SEEDS];
    double col[4][GRID_SEEDS];
    for (unsigned i = 0; i < GRID_SEEDS; i++) {
        r[i] = transfer(c, i + 1);
        col[0][i] = r[i].goodput;
        col[1][i] = r[i].retrans;
        col[2][i] = r[i].timeouts;
        col[3][i] = r[i].recovery;
    }
    return (struct result){median(col[0], GRID_SEEDS), median(col[1], GRID_SEEDS),
                           median(col[2], GRID_SEEDS), median(col[3], GRID_SEEDS)};
}

static void print_table(void)
{
    printf("# what-rtt         bytes   Mbit/s  retrans  timeouts  recovery-ms\n");
    for (unsigned i = 0; i < grid_cells; i++) {
        struct result r = cell(&grid[i]);
        char rec[16] = "-";
        if (r.recovery >= 0) {
            snprintf(rec, sizeof rec, "%.1f", r.recovery);
        }
        printf("%-14s %9llu  %7.3f  %7.0f  %8.0f  %11s\n", grid[i].name,
               (unsigned long long)grid[i].bytes, r.goodput, r.retrans, r.timeouts, rec);
    }
}

static void print_grid(void)
{
    char rules[200];
    for (unsigned i = 0; i < grid_cells; i++) {
        printf("%s\t%llu\t%s\n", grid[i].name, (unsigned long long)grid[i].bytes,
               grid_rules(&grid[i], rules));
    }
}

/* Linux's goodput of a cell in the file; 0: not there. */
static double linux_goodput(FILE *f, const char *name)
{
    char line[200], word[64];
    double mbit;
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%63s %*u %lf", word, &mbit) == 2 && strcmp(word, name) == 0) {
            return mbit;
        }
    }
    return 0;
}

static int print_ratios(const char *path)
{
    double ratio[64], least = 1e9;
    unsigned n = 0;
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        return 2;
    }
    printf("# what-rtt        ours   linux  ratio   (goodput, Mbit/s)\n");
    for (unsigned i = 0; i < grid_cells && n < ARRAY_LEN(ratio); i++) {
        double theirs = linux_goodput(f, grid[i].name);
        if (theirs <= 0) {
            printf("%-14s         -       -      -   not measured\n", grid[i].name);
            continue;
        }
        double ours = cell(&grid[i]).goodput;
        ratio[n] = ours / theirs;
        least = ratio[n] < least ? ratio[n] : least;
        printf("%-14s %7.3f %7.3f  %5.2f\n", grid[i].name, ours, theirs, ratio[n++]);
    }
    fclose(f);
    if (n) {
        printf("median ratio %.3f over %u cells, least %.3f\n", median(ratio, n), n, least);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--linux") == 0) {
        return print_ratios(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "--grid") == 0) {
        print_grid();
        return 0;
    }
    print_table();
    return 0;
}
