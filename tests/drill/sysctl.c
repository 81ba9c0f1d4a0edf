/*
 * Most settings are a knob of the same name. The others are several numbers, which are several
 * knobs; a name, which is a number here; or in another unit.
 */
#include "sysctl.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/err.h"
#include "core/tcp_cc.h"

/* Linux has these, the stack does not, and no behaviour here depends on their usual values. */
static const char *const without_effect[] = {
    "tcp_fack",
    "tcp_low_latency",
    "tcp_min_rtt_wlen",
    "tcp_thin_linear_timeouts",
    "tcp_comp_sack_delay_ns",
};

/* Several numbers in one setting. */
static const struct several {
    const char *name;
    const char *part[3];
} several[] = {
    {"tcp_rmem", {"min", "default", "max"}},
    {"tcp_wmem", {"min", "default", "max"}},
    {"tcp_mem", {"min", "pressure", "max"}},
    {"ip_local_port_range", {"min", "max", NULL}},
};

/* Linux's number is `factor` of ours. */
static const struct unit {
    const char *name, *knob;
    int64_t factor;
} units[] = {
    {"tcp_rto_min_us", "user_rto_min_ms", 1000},
    {"tcp_rto_max_ms", "user_rto_max_ms", 1},
};

static bool one_of(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* FreeBSD's names (net.inet.tcp) for the same settings. */
static const char *const other_names[][2] = {
    {"insecure_rst", "user_insecure_rst"}, {"insecure_syn", "user_insecure_syn"},
    {"drop_synfin", "user_drop_synfin"},   {"recvspace", "tcp_rmem_default"},
    {"sendspace", "tcp_wmem_default"},     {"delacktime", "user_delack_min_ms"},
    {"rexmit_slop", "user_rto_slop_ms"},   {"rexmit_min", "user_rto_min_ms"},
    {"minmss", "tcp_min_snd_mss"},         {"initcwnd_segments", "user_init_cwnd"},
    {"keepcnt", "tcp_keepalive_probes"},
};

static const char *own_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++) {
        if (strcmp(other_names[i][0], name) == 0) {
            return other_names[i][1];
        }
    }
    return name;
}

static bool set_knob(struct vk *vk, const char *name, int64_t v, struct str *why)
{
    if (strcmp(name, "drop_synfin") == 0 && v == 1) {
        v = 2; /* in every state, not in LISTEN alone as Linux */
    }
    name = own_name(name);
    if (one_of(without_effect, ARRAY_LEN(without_effect), name)) {
        return true;
    }
    if (v == 4294967295 && strcmp(name, "tcp_notsent_lowat") == 0) {
        v = -1;
    }
    int e = vk_knob(vk, name, v);
    if (e == -ERR_NOENT) {
        str_add(why, "the stack has no setting %s", name);
    } else if (e) {
        str_add(why, "%s = %lld: %s", name, (long long)v, err_text(e));
    }
    return e == 0;
}

static bool set_several(struct vk *vk, const struct several *s, const char *value, struct str *why)
{
    const char *p = value;
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_LEN(s->part) && s->part[i]; i++) {
        struct str knob = {0};
        char *end = NULL;
        long long v = strtoll(p, &end, 0);
        if (end == p) {
            str_add(why, "%s = '%s': too few numbers", s->name, value);
            return false;
        }
        p = end;
        str_add(&knob, "%s_%s", s->name, s->part[i]);
        ok = set_knob(vk, str_text(&knob), v, why);
        str_free(&knob);
    }
    return ok;
}

static bool set_algorithm(struct vk *vk, const char *value, struct str *why)
{
    int algo = tcp_cc_find(value, strlen(value));
    if (algo >= 0) {
        return set_knob(vk, "tcp_congestion_control", algo, why);
    }
    str_add(why, "no congestion control %s", value);
    return false;
}

/* One or two keys, as Linux writes them: four numbers each, the keys apart by a comma. */
static bool set_fastopen_key(struct vk *vk, const char *value, struct str *why)
{
    uint8_t key[TFO_KEYS * TFO_KEY_LEN];
    size_t n = 0;
    for (const char *p = value; n < sizeof key;) {
        char *end = NULL;
        unsigned long v = strtoul(p, &end, 16);
        if (end == p) {
            break;
        }
        for (unsigned i = 0; i < 4; i++) {
            key[n++] = (uint8_t)(v >> 8 * i);
        }
        p = *end ? end + 1 : end;
    }
    if (tfo_set_keys(vk_stack(vk), key, n) == 0) {
        return true;
    }
    str_add(why, "tcp_fastopen_key: not a key: %s", value);
    return false;
}

bool sysctl_set(struct vk *vk, const char *name, const char *value, struct str *why)
{
    for (size_t i = 0; i < ARRAY_LEN(several); i++) {
        if (strcmp(several[i].name, name) == 0) {
            return set_several(vk, &several[i], value, why);
        }
    }
    if (strcmp(name, "tcp_congestion_control") == 0) {
        return set_algorithm(vk, value, why);
    }
    if (strcmp(name, "tcp_fastopen_key") == 0) {
        return set_fastopen_key(vk, value, why);
    }
    char *end = NULL;
    long long v = strtoll(value, &end, 0);
    if (end == value || *end) {
        str_add(why, "%s = '%s' is not a number", name, value);
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(units[i].name, name) == 0) {
            return set_knob(vk, units[i].knob, v / units[i].factor, why);
        }
    }
    return set_knob(vk, name, v, why);
}

/* A knob that is one number of several, or has another name in Linux. */
static bool has_other_name(const char *knob)
{
    for (size_t i = 0; i < ARRAY_LEN(several); i++) {
        size_t n = strlen(several[i].name);
        if (strncmp(knob, several[i].name, n) == 0 && knob[n] == '_') {
            return true;
        }
    }
    return strncmp(knob, "user_", 5) == 0;
}

const char *sysctl_name(size_t i)
{
    if (i-- == 0) {
        return "tcp_fastopen_key";
    }
    if (i < ARRAY_LEN(several)) {
        return several[i].name;
    }
    i -= ARRAY_LEN(several);
    if (i < ARRAY_LEN(units)) {
        return units[i].name;
    }
    i -= ARRAY_LEN(units);
    for (size_t k = 0; k < knob_count; k++) {
        if (!has_other_name(knob_table[k].name) && i-- == 0) {
            return knob_table[k].name;
        }
    }
    return NULL;
}
