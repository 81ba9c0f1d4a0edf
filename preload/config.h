/*
 * config.h - the environment variables, and what they say. Read once, in the constructor, into
 * memory of ours: programs overwrite their environment (nginx writes its title there).
 */
#ifndef STANDIN_PRELOAD_CONFIG_H
#define STANDIN_PRELOAD_CONFIG_H

#include <stdbool.h>

#include "tun/session.h"

/* ENV(name, default, help): the variable is STANDIN_name. The manual page's table is checked
 * against this one. */
#define CONFIG_LIST                                                                              \
    ENV(SESSION, "", "the session to join, as @name,token; set by the launcher and at exec")     \
    ENV(ADDR, "", "the stack's addresses when no session is named: 10.77.0.2/24,fd77::2/64")     \
    ENV(PEER, "", "the kernel's addresses at the other end of the TUN")                          \
    ENV(MTU, "1500", "the largest packet on the TUN")                                            \
    ENV(OFFLOAD, "on", "on or off: leave checksums and segmentation to the kernel")              \
    ENV(SET, "", "settings under their Linux sysctl names, ';' between: tcp_sack=0;tcp_ecn=1")   \
    ENV(IMPAIR, "", "rules of an emulated wire, ';' between: delay 20ms; out: drop data#3")      \
    ENV(SEED, "1", "of the emulated wire")                                                       \
    ENV(LINK, "", "descriptor of a link that is there already; set by `standin compare`")        \
    ENV(DISABLE, "0", "1: this process uses the kernel, and so does what it starts")             \
    ENV(ONLY_CMDS, "", "names of programs, ',' between: only these use the stack")               \
    ENV(SKIP_CMDS, "", "names of programs, ',' between: these do not use the stack")             \
    ENV(PCAP, "", "a pcapng file for all packets of a session that this process starts; %p, %c") \
    ENV(TRACE, "", "as --trace of standin run, for sessions that it starts")                     \
    ENV(TRACE_FILE, "", "where that trace goes; default: stderr")                                \
    ENV(KEEPER, "", "path of standin-keeper; default: beside the library")                       \
    ENV(LOG, "off", "off, error, warn, info, debug or trace: the library's own words on stderr") \
    ENV(FDS, "", "set at exec: the stack sockets that stay open, as fd:inode")

enum config_env {
#define ENV(name, def, help) CONFIG_##name,
    CONFIG_LIST
#undef ENV
        CONFIG_COUNT
};

struct config_info {
    const char *name; /* "STANDIN_SESSION" */
    const char *def;
    const char *help;
};
extern const struct config_info config_table[CONFIG_COUNT];

struct config {
    const char *text[CONFIG_COUNT];  /* the value, or the default */
    const char *entry[CONFIG_COUNT]; /* "STANDIN_SESSION=...", NULL where it was not set */
    bool off;                        /* everything passes through */
    bool valid;                      /* net could be made of the variables */
    struct session_config net;       /* for a session that we start */
    char library[512]; /* this shared object; "": STANDIN_DISABLE, what we start is left alone */
    char keeper[512];
};
extern struct config config;

/* Reads the environment. Called once, from the constructor. */
void config_read(void);

/* Whether a list "a,b,c" has the word. */
bool config_in_list(const char *list, const char *word);

#endif
