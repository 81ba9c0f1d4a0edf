/*
 * run.h - one script run on one stack: the configuration, the state of the run, and what its
 * parts do for each other.
 */
#ifndef STANDIN_DRILL_RUN_H
#define STANDIN_DRILL_RUN_H

#include "conv.h"
#include "core/profile.h"
#include "match.h"
#include "script.h"
#include "vkernel.h"

enum ip_version { IP_V4, IP_V6, IP_MAPPED };

struct run;

struct drill_config {
    enum ip_version ip;
    struct addr local, remote;
    uint8_t local_bits;
    uint16_t bind_port, connect_port;
    uint32_t mtu;
    bool mtu_given;
    nsec tolerance;
    double tolerance_percent;
    uint32_t ts_tick_us;
    bool ts_scaled;
    bool strict_segments;
    bool lax; /* packets left over at the end are no failure */
    bool verbose;
    uint64_t seed;
    enum profile_id profile; /* --so_flags=freebsd */
    bool isn_given;          /* --local_isn: where the stack's first connection begins */
    uint32_t isn;
    /* A test's own judgement, when the last line has passed and nothing is closed yet; NULL: none.
     * It calls run_fail. */
    void (*passed)(struct run *r, void *ctx);
    void *passed_ctx;
};

void config_default(struct drill_config *c, enum ip_version ip);

/* One option, value NULL if it has none. False: `err` says what is wrong with it. */
bool config_set(struct drill_config *c, const char *name, const char *value, struct str *err);

/* A call that was made and has not been checked yet. */
struct pending {
    struct pending *next;
    const struct script_event *ev;
    const struct call_kind *kind;
    struct pool pool; /* its buffers */
    struct vk_call c;
    nsec due; /* when it should end; NEVER: it should not block */
    struct msghdr msg;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int pair[2];
    int64_t offset;
};

struct fd_pair {
    int script, live;
};

struct run {
    struct drill_config cfg;
    const struct script *script;
    struct vk *vk;
    nsec start;         /* the clock at the script's time 0 */
    nsec last_expected; /* script time of the event before this one */
    bool last_was_in;   /* it was an inbound packet */
    nsec last_scheduled;
    struct conv *convs;
    struct conv *cur; /* the one under test */
    bool isn_seen;    /* the SYN that --local_isn is about has been sent */
    uint16_t next_port;
    struct fd_pair *fds;
    unsigned nfds;
    struct pending *pending;
    struct str code; /* the Python program so far */
    bool have_code;
    char **trace;
    size_t ntrace, trace_cap;
    const struct script_event *ev; /* the current one */
    struct str why;                /* the failure; empty while there is none */
    int why_line;
    struct str expected, actual; /* the two packets of a mismatch */
};

/* Runs a parsed script. True: it passed; false: r->why and its companions. */
bool run_script(struct run *r, const struct script *s, const struct drill_config *cfg);
void run_fini(struct run *r);

/* Notes the first failure of the run. Returns false. */
__attribute__((format(printf, 2, 3))) bool run_fail(struct run *r, const char *fmt, ...);
bool run_failed(const struct run *r);

nsec run_now(const struct run *r); /* script time */

/* Lets time pass up to a script time, blocked calls being looked after. */
void run_wait(struct run *r, nsec t);
/* One step of time, not past `limit`; false if nothing was due. */
bool run_step(struct run *r, nsec limit);

/* Whether something that happened at `actual` may pass as having happened between two times. */
bool run_on_time(struct run *r, const char *what, nsec from, nsec to, nsec actual, nsec before);

/* talk.c: which connection a line or packet belongs to. */
struct conv *talk_new(struct run *r, uint8_t proto);
struct conv *talk_of_line(struct run *r, const struct spec *s);
struct conv *talk_of_packet(struct run *r, const struct wire *w);
bool talk_owns(const struct conv *c, const struct wire *w);
void talk_sent(struct run *r, const struct wire *w); /* learns from a packet on its way out */
struct conv *talk_of_fd(struct run *r, int live_fd);

/* expect.c */
bool expect_packet(struct run *r, const struct spec *want, nsec from, nsec to, bool any_time);
bool expect_nothing_left(struct run *r);
void expect_sent(void *run, const struct vk_packet *p); /* vk_config.sent */

/* call.c */
bool call_run(struct run *r, const struct script_event *ev, nsec at);
bool call_check_done(struct run *r); /* blocked calls that have ended meanwhile */
int call_live_fd(const struct run *r, int script_fd);

/* cmd.c, code.c */
bool cmd_run(struct run *r, const char *text);
bool code_capture(struct run *r, const char *text, int line);
bool code_run_all(struct run *r);

/* log.c */
__attribute__((format(printf, 3, 4))) void log_add(struct run *r, nsec at, const char *fmt, ...);
void log_events(struct run *r); /* what the stack recorded since the last time */
void log_tail(const struct run *r, size_t n, struct str *out);

#endif
