/*
 * knobs.h - the stack's settings under the names of Linux's sysctls (net.ipv4.*), with Linux's
 * defaults.
 *
 * KNOB(name, default, min, max, unit): one 32-bit value each, in a struct knobs. A setting
 * without a Linux sysctl has the prefix user_. Times say their unit as Linux does for that name.
 */
#ifndef STANDIN_CORE_KNOBS_H
#define STANDIN_CORE_KNOBS_H

#include <stddef.h>
#include <stdint.h>

#define KNOB_LIST                                                     \
    KNOB(tcp_sack, 1, 0, 1, "bool")                                   \
    KNOB(tcp_dsack, 1, 0, 1, "bool")                                  \
    KNOB(tcp_timestamps, 1, 0, 2, "mode")                             \
    KNOB(tcp_window_scaling, 1, 0, 1, "bool")                         \
    KNOB(tcp_ecn, 2, 0, 5, "mode")                                    \
    KNOB(tcp_ecn_fallback, 1, 0, 1, "bool")                           \
    KNOB(tcp_ecn_option, 2, 0, 3, "mode")                             \
    KNOB(tcp_ecn_option_beacon, 3, 0, 63, "per round trip")           \
    KNOB(tcp_syn_retries, 6, 1, 127, "tries")                         \
    KNOB(tcp_syn_linear_timeouts, 4, 0, 127, "tries")                 \
    KNOB(tcp_synack_retries, 5, 0, 127, "tries")                      \
    KNOB(tcp_retries1, 3, 0, 255, "tries")                            \
    KNOB(tcp_retries2, 15, 0, 255, "tries")                           \
    KNOB(tcp_orphan_retries, 0, 0, 255, "tries")                      \
    KNOB(tcp_fin_timeout, 60, 1, 3600, "s")                           \
    KNOB(tcp_keepalive_time, 7200, 1, 32767, "s")                     \
    KNOB(tcp_keepalive_intvl, 75, 1, 32767, "s")                      \
    KNOB(tcp_keepalive_probes, 9, 1, 127, "probes")                   \
    KNOB(tcp_rfc1337, 0, 0, 1, "bool")                                \
    KNOB(tcp_tw_reuse, 2, 0, 2, "mode")                               \
    KNOB(tcp_syncookies, 1, 0, 2, "mode")                             \
    KNOB(tcp_max_syn_backlog, 2048, 1, 1000000, "connections")        \
    KNOB(tcp_abort_on_overflow, 0, 0, 1, "bool")                      \
    KNOB(tcp_slow_start_after_idle, 1, 0, 1, "bool")                  \
    KNOB(tcp_reordering, 3, 1, 300, "segments")                       \
    KNOB(tcp_early_retrans, 3, 0, 4, "mode")                          \
    KNOB(tcp_recovery, 1, 0, 7, "mode")                               \
    KNOB(tcp_frto, 2, 0, 2, "mode")                                   \
    KNOB(tcp_limit_output_bytes, 4194304, 4096, 1 << 30, "bytes")     \
    KNOB(tcp_notsent_lowat, -1, -1, 0x7fffffff, "bytes")              \
    KNOB(tcp_moderate_rcvbuf, 1, 0, 1, "bool")                        \
    KNOB(tcp_adv_win_scale, 1, -31, 31, "scale")                      \
    KNOB(tcp_rmem_min, 4096, 256, 1 << 30, "bytes")                   \
    KNOB(tcp_rmem_default, 131072, 256, 1 << 30, "bytes")             \
    KNOB(tcp_rmem_max, 33554432, 256, 1 << 30, "bytes")               \
    KNOB(tcp_wmem_min, 4096, 256, 1 << 30, "bytes")                   \
    KNOB(tcp_wmem_default, 16384, 256, 1 << 30, "bytes")              \
    KNOB(tcp_wmem_max, 4194304, 256, 1 << 30, "bytes")                \
    KNOB(tcp_mem_min, 0, 0, 1 << 30, "pages")                         \
    KNOB(tcp_mem_pressure, 0, 0, 1 << 30, "pages")                    \
    KNOB(tcp_mem_max, 0, 0, 1 << 30, "pages")                         \
    KNOB(tcp_fastopen, 1, 0, 0xfffff, "flags")                        \
    KNOB(tcp_fastopen_blackhole_timeout_sec, 0, 0, 1 << 24, "s")      \
    KNOB(tcp_mtu_probing, 0, 0, 2, "mode")                            \
    KNOB(tcp_base_mss, 1024, 48, 65535, "bytes")                      \
    KNOB(tcp_mtu_probe_floor, 48, 48, 65535, "bytes")                 \
    KNOB(tcp_probe_interval, 600, 0, 0x7fffffff, "s")                 \
    KNOB(tcp_probe_threshold, 8, 0, 65535, "bytes")                   \
    KNOB(tcp_min_snd_mss, 48, 48, 65535, "bytes")                     \
    KNOB(tcp_challenge_ack_limit, 0x7fffffff, 0, 0x7fffffff, "per s") \
    KNOB(tcp_invalid_ratelimit, 500, 0, 60000, "ms")                  \
    KNOB(tcp_min_tso_segs, 2, 1, 64, "segments")                      \
    KNOB(tcp_tso_win_divisor, 3, 0, 65535, "part")                    \
    KNOB(tcp_tso_rtt_log, 9, 0, 31, "log2 us")                        \
    KNOB(tcp_pacing_ss_ratio, 200, 0, 1000, "%")                      \
    KNOB(tcp_pacing_ca_ratio, 120, 0, 1000, "%")                      \
    KNOB(tcp_congestion_control, 1, 0, 3, "algorithm")                \
    KNOB(tcp_no_metrics_save, 0, 0, 1, "bool")                        \
    KNOB(tcp_autocorking, 1, 0, 1, "bool")                            \
    KNOB(ip_default_ttl, 64, 1, 255, "hops")                          \
    KNOB(ip_local_port_range_min, 32768, 1, 65535, "port")            \
    KNOB(ip_local_port_range_max, 60999, 1, 65535, "port")            \
    KNOB(ip_unprivileged_port_start, 1024, 0, 65536, "port")          \
    KNOB(ipfrag_high_thresh, 4194304, 0, 1 << 30, "bytes")            \
    KNOB(ipfrag_max_dist, 64, 0, 0x7fffffff, "fragments")             \
    KNOB(ipfrag_time, 30, 1, 3600, "s")                               \
    KNOB(ip6frag_time, 60, 1, 3600, "s")                              \
    KNOB(icmp_ratelimit, 1000, 0, 60000, "ms")                        \
    KNOB(icmp6_ratelimit, 100, 0, 60000, "ms")                        \
    KNOB(icmp_ratemask, 6168, 0, 0x7fffffff, "types")                 \
    KNOB(icmp_msgs_per_sec, 1000, 0, 0x7fffffff, "per s")             \
    KNOB(icmp_msgs_burst, 50, 0, 0x7fffffff, "messages")              \
    KNOB(icmp_echo_ignore_all, 0, 0, 1, "bool")                       \
    KNOB(somaxconn, 4096, 1, 65535, "connections")                    \
    KNOB(rmem_default, 212992, 256, 1 << 30, "bytes")                 \
    KNOB(rmem_max, 4194304, 256, 1 << 30, "bytes")                    \
    KNOB(wmem_default, 212992, 256, 1 << 30, "bytes")                 \
    KNOB(wmem_max, 4194304, 256, 1 << 30, "bytes")                    \
    KNOB(user_delack_min_ms, 40, 1, 500, "ms")                        \
    KNOB(user_rto_min_ms, 200, 1, 120000, "ms")                       \
    KNOB(user_rto_max_ms, 120000, 1000, 120000, "ms")                 \
    KNOB(user_timewait_s, 60, 0, 3600, "s")                           \
    KNOB(user_init_cwnd, 10, 1, 1000, "segments")                     \
    KNOB(user_hystart, 1, 0, 2, "mode")                               \
    KNOB(user_profile, 0, 0, 1, "profile")                            \
    KNOB(user_rto_slop_ms, 0, 0, 10000, "ms")                         \
    KNOB(user_insecure_rst, 0, 0, 1, "bool")                          \
    KNOB(user_insecure_syn, 0, 0, 1, "bool")                          \
    KNOB(user_drop_synfin, 1, 0, 2, "mode")

struct knobs {
#define KNOB(name, def, lo, hi, unit) int32_t name;
    KNOB_LIST
#undef KNOB
};

struct knob_info {
    const char *name;
    int32_t def;
    int32_t min;
    int32_t max;
    const char *unit;
    size_t offset; /* within struct knobs */
};

extern const struct knob_info knob_table[];
extern const size_t knob_count;

void knobs_default(struct knobs *k);

/* NULL: no such knob. */
const struct knob_info *knobs_find(const char *name);

/* Sets one by name. 0, -ERR_NOENT for an unknown name, -ERR_DOM for a value out of range.
 * user_profile sets the knobs of that profile as well (profile.h). */
int knobs_set(struct knobs *k, const char *name, int64_t value);

#endif
