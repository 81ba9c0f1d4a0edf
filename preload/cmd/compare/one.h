/*
 * one.h - one run of a program over the emulated wire, on the kernel's stack or on ours: fresh
 * network namespaces, the server, the relay, the program; and all that could be seen from outside
 * while it ran.
 */
#ifndef STANDIN_COMPARE_ONE_H
#define STANDIN_COMPARE_ONE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"
#include "tun/wire.h"

enum stack_kind { STACK_KERNEL, STACK_USER };
#define STACKS 2

extern const char *const stack_names[STACKS]; /* "kernel", "user" */

/* A packet as it went into the wire. */
struct seen {
    nsec at;
    nsec arrived;  /* at the other end; NEVER: it did not */
    uint64_t no;   /* in its direction; 0: made by the wire (a reset, ICMP), it never went in */
    uint8_t dir;   /* enum wire_dir */
    uint8_t fired; /* enum wire_fired of the last firing; FIRED_NONE */
    uint8_t rule;
    uint16_t len;
    uint8_t *p;
};

/* What a TCP knew of itself at one moment. */
struct sample {
    nsec at;
    uint16_t port;                             /* the program's */
    uint32_t cwnd, ssthresh, unacked, retrans; /* segments */
    uint32_t mss, srtt_us, rto_us;
};

#define SEEN_MAX   200000u
#define SAMPLE_MAX 20000u

struct one {
    enum stack_kind stack;
    unsigned number; /* from 1, of its stack */
    int status;      /* as waitpid gives it */
    bool timed_out;
    nsec wall, cpu;
    char out_path[512], err_path[512];
    uint64_t out_bytes;
    char out_hash[65], err_hash[65]; /* SHA-256 */
    nsec began;
    struct seen *seen;
    unsigned nseen;
    uint64_t unseen; /* packets beyond SEEN_MAX */
    struct sample *sample;
    unsigned nsamples;
    struct wire_firing *firing;
    unsigned nfirings;
    uint64_t firings;   /* all of them */
    struct event *call; /* EV_CALL: the program's socket calls with their results (watch.h) */
    unsigned ncalls;
    uint64_t uncalled; /* calls beyond what the log holds */
};

/* What all runs have in common. */
struct setup {
    char *const *program;   /* its words, NULL behind the last */
    const char *server;     /* for sh -c; NULL: none */
    const char *folder;     /* where outputs go */
    const char *const *set; /* NAME=VALUE for both stacks */
    unsigned nset;
    struct wire_spec wire;
    uint32_t mtu;
    nsec timeout;
    const char *watch; /* the watching library; "": calls are not watched */
};

/* Runs it; false after a message: it could not be run at all. one_free in either case. */
bool one_run(const struct setup *s, enum stack_kind stack, unsigned number, struct one *o);
void one_free(struct one *o);

/* Writes its capture (pcapng), what fired in the comments. False after a message. */
bool one_capture(const struct one *o, const struct setup *s, const char *path);

/* Of what its TCPs said themselves: segments sent again, over all connections. */
uint64_t one_retrans(const struct one *o);

/* ---- watched.c */

/* Before the program starts: its calls go to a log in the folder. Sets variables of the
 * environment that the program gets; watched_end takes them back. */
void watched_begin(const struct setup *s, const struct one *o);
void watched_end(void);
/* Behind the program's end: calls and samples out of the log, which goes. */
void watched_take(const struct setup *s, struct one *o);

/* ---- sample.c */

struct sampler;

/* Looks every few milliseconds at the TCP connections in a network namespace, until stopped. NULL:
 * cannot. */
struct sampler *sampler_start(int netns, enum stack_kind stack, struct one *o);
void sampler_stop(struct sampler *s);

void sample_add(struct one *o, struct sample x);

/* sample_kernel.c: a socket to ask with, -1; one round of questions. */
int sample_kernel_open(void);
void sample_kernel(struct one *o, nsec now, int fd, uint8_t family);

#endif
