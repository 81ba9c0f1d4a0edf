/*
 * profile.c - see profile.h.
 *
 * FreeBSD is 14 with its default TCP stack ("freebsd"), as its sysctls (net.inet.tcp) and source
 * have it. Deliberately missing of it: window probes that carry a byte, the host cache, RACK as
 * an alternative stack.
 */
#include "profile.h"

#include <string.h>

#include "check.h"

static const struct profile profiles[PROFILES] = {
    [PROFILE_LINUX] =
        {
            .name = "linux",
            .syn_layout = SYN_LINUX,
            .rcvbuf_share = 2,
            .window_grows = true,
            .quickacks = true,
            .nagle_minshall = true,
            .close_unread_resets = true,
            .syn_hurry = true,
            .reset_beside = true,
            .listen_synack_reset = true,
            .accecn_ect_all = true,
        },
    [PROFILE_FREEBSD] =
        {
            .name = "freebsd",
            .syn_layout = SYN_FREEBSD,
            .rexmt_max = 12, /* TCP_MAXRXTSHIFT */
            .connect_s = 75, /* keepinit */
            .rcvbuf_share = 1,
            .persist_min_s = 5,  /* persmin */
            .persist_max_s = 60, /* persmax */
            .delack_fixed = true,
            .ack_second = true,
            .round_rcvbuf = true,
            .fin_with_acks = true,
            .keep_always = true, /* always_keepalive */
        },
};

/* What differs in value only. Linux's column is the knob's default. */
static const struct {
    const char *knob;
    int32_t freebsd;
} values[] = {
    {"tcp_rmem_default", 65536},        /* recvspace */
    {"tcp_rmem_max", 2097152},          /* recvbuf_max */
    {"rmem_max", 2097152},              /* kern.ipc.maxsockbuf: window scale 6 */
    {"tcp_wmem_default", 32768},        /* sendspace */
    {"tcp_wmem_max", 2097152},          /* sendbuf_max */
    {"user_rto_min_ms", 1},             /* rexmit_min is 30, but with the slop it never shows */
    {"user_rto_slop_ms", 200},          /* rexmit_slop */
    {"user_rto_max_ms", 64000},         /* TCPTV_REXMTMAX */
    {"user_delack_min_ms", 40},         /* delacktime */
    {"user_drop_synfin", 0},            /* drop_synfin */
    {"tcp_syn_linear_timeouts", 0},     /* tcp_backoff */
    {"tcp_synack_retries", 3},          /* syncache.rexmtlimit */
    {"tcp_fin_timeout", 600},           /* keepcnt * keepintvl */
    {"tcp_keepalive_probes", 8},        /* keepcnt */
    {"tcp_min_snd_mss", 216},           /* minmss */
    {"tcp_early_retrans", 0},           /* no tail loss probe in the default stack */
    {"tcp_frto", 0},                    /* nor F-RTO */
    {"tcp_rfc1337", 1},                 /* nolocaltimewait apart, a reset ends no TIME-WAIT */
    {"tcp_invalid_ratelimit", 200},     /* ack_war_cnt 5 in ack_war_timewindow 1000 */
    {"ip_local_port_range_min", 10000}, /* portrange.first */
    {"ip_local_port_range_max", 65535}, /* portrange.last */
};

const struct profile *profile_of(const struct knobs *k)
{
    return &profiles[(uint32_t)k->user_profile < PROFILES ? k->user_profile : PROFILE_LINUX];
}

void profile_apply(struct knobs *k, enum profile_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        const struct knob_info *info = knobs_find(values[i].knob);
        CHECK(info);
        int64_t v = id == PROFILE_FREEBSD ? values[i].freebsd : info->def;
        CHECK(knobs_set(k, values[i].knob, v) == 0);
    }
}

enum profile_id profile_find(const char *name)
{
    int id = 0;

    while (id < PROFILES && strcmp(profiles[id].name, name) != 0) {
        id++;
    }
    return (enum profile_id)id;
}
