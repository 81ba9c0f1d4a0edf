/*
 * differ.h - two sets of runs beside each other: what differs, what the RFCs say of it, and of
 * which class it is.
 */
#ifndef STANDIN_COMPARE_DIFFER_H
#define STANDIN_COMPARE_DIFFER_H

#include "calls.h"
#include "story.h"

enum diff_class {
    CLASS_BUG,     /* the program sees another result, or an RFC's MUST is broken */
    CLASS_ALLOWED, /* the RFCs leave it open */
    CLASS_POLICY,  /* a choice with a setting */
    CLASS_TIMING,  /* beyond the noise of the runs */
    CLASSES
};
extern const char *const class_names[CLASSES];

struct difference {
    enum diff_class class;
    char what[128];
    const char *clause; /* "RFC 7323 2.2"; "" where none is concerned */
    char kernel[96], ours[96];
};

#define DIFFERENCES_MAX 48

/* A quantity over the runs of one stack. */
struct spread {
    double median, min, max;
    unsigned n; /* runs in which it could be measured */
};

struct sides {
    const struct one *one[STACKS]; /* n of each */
    const struct story *story[STACKS];
    const struct calls *calls; /* of all runs */
    unsigned n;
    struct spread wall[STACKS], cpu[STACKS], connect[STACKS], first_byte[STACKS], total[STACKS],
        repair[STACKS], goodput[STACKS];
    uint64_t retrans[STACKS]; /* segments sent again, as the stacks themselves count, all runs */
    struct difference diff[DIFFERENCES_MAX];
    unsigned ndiffs;
    bool same_result; /* exit status and output, in all runs */
};

/* Fills in spreads and differences. */
void sides_compare(struct sides *s);

#endif
