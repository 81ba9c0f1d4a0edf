/*
 * options.h - the one table of options: the parser, --help and the check of the manual page come
 * from it.
 *
 * OPTION(id, long, short, arg, verbs, help): short 0: none; arg NULL: takes none, "[...]": may take
 * one, behind '='; verbs: VERB_* it belongs to. What comes after the first word that is not an
 * option is the program's and is not looked at.
 */
#ifndef STANDIN_CMD_OPTIONS_H
#define STANDIN_CMD_OPTIONS_H

#include <stdbool.h>

#include "verbs.h"

#define OPTION_LIST                                                                                \
    OPTION(ADDR, "addr", 'a', "ADDR[/BITS]", VERB_RUN,                                             \
           "the stack's address, once for each family (10.77.0.2/24, fd77::2/64)")                 \
    OPTION(PEER, "peer", 0, "ADDR", VERB_RUN,                                                      \
           "the kernel's address at the other end (10.77.0.1, fd77::1)")                           \
    OPTION(MTU, "mtu", 0, "BYTES", VERB_RUN, "the largest packet on the TUN (1500)")               \
    OPTION(OFFLOAD, "offload", 0, "on|off", VERB_RUN,                                              \
           "leave checksums and segmentation to the kernel (on)")                                  \
    OPTION(SET, "set", 0, "NAME=VALUE", VERB_RUN | VERB_COMPARE,                                   \
           "a setting under its Linux sysctl name: tcp_sack=0, tcp_rmem=4096 65536 1048576")       \
    OPTION(PCAP, "pcap", 'w', "FILE", VERB_RUN,                                                    \
           "write all packets, and why each was sent, to FILE (pcapng); - is stdout")              \
    OPTION(SNAPLEN, "snaplen", 0, "BYTES", VERB_RUN,                                               \
           "bytes of each packet in the capture (262144)")                                         \
    OPTION(TRACE, "trace", 0, "[FILTER]", VERB_RUN,                                                \
           "a line each: seg,dgram,icmp,drop,state,timer,call,cwnd,impair,port=N,conn=N (all)")    \
    OPTION(OUTPUT, "output", 'o', "FILE", VERB_RUN | VERB_TRACE, "where the trace goes (stderr)")  \
    OPTION(FILTER, "filter", 'e', "FILTER", VERB_TRACE, "which events, as for --trace")            \
    OPTION(PAST, "past", 0, NULL, VERB_TRACE,                                                      \
           "what the session still remembers, and no more: for one that hangs or has died")        \
    OPTION(IMPAIR, "impair", 0, "RULES", VERB_RUN | VERB_COMPARE,                                  \
           "an emulated wire, standin-impair(7): 'delay 20ms; out: drop data#3'; repeatable")      \
    OPTION(PROFILE, "profile", 0, "NAME", VERB_RUN | VERB_COMPARE,                                 \
           "a named network or middlebox: 3g, dsl, wifi, starlink, pmtu-blackhole, ...")           \
    OPTION(SEED, "seed", 0, "N", VERB_RUN | VERB_COMPARE,                                          \
           "of the emulated wire: the same one, the same faults (1; compare: by chance, printed)") \
    OPTION(RUNS, "runs", 'n', "N", VERB_COMPARE, "runs on each stack (5)")                         \
    OPTION(WARMUP, "warmup", 0, "N", VERB_COMPARE, "pairs of runs before them, not counted (1)")   \
    OPTION(SERVER, "server", 0, "COMMAND", VERB_COMPARE,                                           \
           "a shell command to start at the other end; it is ready when it listens")               \
    OPTION(REPORT, "report", 0, "FILE.html", VERB_COMPARE, "a page with pictures, in one file")    \
    OPTION(FAIL_ON, "fail-on", 0, "CLASS,...", VERB_COMPARE,                                       \
           "exit 1 on differences of these classes: bug, allowed, policy, timing; none (bug)")     \
    OPTION(KEEP, "keep", 0, "FOLDER", VERB_COMPARE,                                                \
           "where captures and outputs go (a new one under /tmp)")                                 \
    OPTION(TIMEOUT, "timeout", 0, "TIME", VERB_COMPARE, "the longest a run may take (60s)")        \
    OPTION(WAIT, "wait", 0, NULL, VERB_RUN,                                                        \
           "wait for the whole family, daemons too, not only for the program")                     \
    OPTION(VERBOSE, "verbose", 'v', NULL, VERB_RUN, "say on stderr what is done")                  \
    OPTION(TCP, "tcp", 't', NULL, VERB_SS, "TCP sockets only")                                     \
    OPTION(UDP, "udp", 'u', NULL, VERB_SS, "UDP sockets only")                                     \
    OPTION(LISTENING, "listening", 'l', NULL, VERB_SS, "those that wait for others only")          \
    OPTION(ALL, "all", 'a', NULL, VERB_SS, "those that wait for others, too")                      \
    OPTION(NUMERIC, "numeric", 'n', NULL, VERB_SS, "no names of services: always so")              \
    OPTION(PROCESSES, "processes", 'p', NULL, VERB_SS, "who holds them")                           \
    OPTION(TIMERS, "options", 'o', NULL, VERB_SS, "the next timer")                                \
    OPTION(EXTENDED, "extended", 'e', NULL, VERB_SS,                                               \
           "user, inode, number, directions that are open")                                        \
    OPTION(MEMORY, "memory", 'm', NULL, VERB_SS, "buffers")                                        \
    OPTION(INFO, "info", 'i', NULL, VERB_SS, "what TCP knows, and what only standin can tell")     \
    OPTION(WATCH, "watch", 0, "[INTERVAL]", VERB_SS, "again and again (every 1s)")                 \
    OPTION(SESSION, "session", 0, "PID|SESSION", VERB_SS, "of one session only")                   \
    OPTION(HEX, "hex", 0, "BYTES", VERB_EXPLAIN,                                                   \
           "a packet in hexadecimal digits, from the IP header on")                                \
    OPTION(LANG, "lang", 0, "en|ko", VERB_EXPLAIN, "the language (by the locale)")                 \
    OPTION(DEPTH, "depth", 0, "1|2|3", VERB_EXPLAIN,                                               \
           "a line; all fields (of a single packet); every word of the checksums")                 \
    OPTION(JSON, "json", 0, NULL, VERB_EXPLAIN | VERB_SS | VERB_LS | VERB_DOCTOR | VERB_COMPARE,   \
           "one JSON document")                                                                    \
    OPTION(HELP, "help", 'h', NULL, VERB_ALL, "this text")                                         \
    OPTION(VERSION, "version", 0, NULL, VERB_ALL, "the version and what it was built from")

enum option_id {
#define OPTION(id, longname, shortname, arg, verbs, help) OPTION_##id,
    OPTION_LIST
#undef OPTION
        OPTION_COUNT
};

struct option_row {
    const char *name; /* the long one, without its hyphens */
    int letter;       /* 0: none */
    const char *arg;  /* NULL: takes none; "[...]": may take one */
    unsigned verbs;   /* VERB_*, or'd */
    const char *help;
};

extern const struct option_row option_table[OPTION_COUNT]; /* by enum option_id */

#define OPTION_REPEAT_MAX 64

/* What was asked for; texts point into argv. */
struct options {
    const char *addr[OPTION_REPEAT_MAX];
    unsigned naddr;
    const char *peer[OPTION_REPEAT_MAX];
    unsigned npeer;
    const char *set[OPTION_REPEAT_MAX];
    unsigned nset;
    const char *impair[OPTION_REPEAT_MAX];
    unsigned nimpair;
    const char *profile[OPTION_REPEAT_MAX];
    unsigned nprofile;
    const char *seed;    /* NULL: not given */
    const char *mtu;     /* NULL: not given */
    const char *offload; /* NULL: not given */
    const char *pcap;    /* NULL: not given */
    const char *snaplen; /* NULL: not given */
    const char *trace;   /* NULL: not given; "": everything */
    const char *output;  /* NULL: not given */
    bool past;
    bool wait;
    bool verbose;
    bool help;
    bool version;
    const char
        *given[OPTION_COUNT]; /* each option's last value; "" if it takes none; NULL: not given */
};

/*
 * Reads the options of `verb` from argv[1..]. The index of the first word that is not one, or -1
 * after a message about what is wrong.
 */
int options_parse(struct options *o, enum verb verb, int argc, char *const argv[]);

/* The options of `verb` as --help shows them, on stdout. */
void options_help(enum verb verb);

#endif
