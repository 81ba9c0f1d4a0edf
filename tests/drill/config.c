/*
 * The options of a script and of the command line.
 */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "run.h"

void config_default(struct drill_config *c, enum ip_version ip)
{
    *c = (struct drill_config){
        .ip = ip,
        .bind_port = 8080,
        .connect_port = 8080,
        .mtu = ip == IP_V6 ? 1520 : 1500, /* so that the MSS of both is 1460 */
        .tolerance = 4000 * USEC,
        .tolerance_percent = 12.5,
        .seed = 1,
    };
    addr_parse(ip == IP_V6 ? "fd3d:a0b:17d6::1" : "192.168.0.1", &c->local);
    addr_parse(ip == IP_V6 ? "fd3d:fa7b:d17d::1" : "192.0.2.1", &c->remote);
    c->local_bits = ip == IP_V6 ? 48 : 16;
}

static bool number(const char *value, double lo, double hi, double *out)
{
    char *end = NULL;
    if (!value || !*value) {
        return false;
    }
    *out = strtod(value, &end);
    return *end == '\0' && *out >= lo && *out <= hi;
}

static bool set_address(const char *value, struct addr *out)
{
    struct str text = {0};
    str_add(&text, "%.*s", (int)strcspn(value, "/"), value);
    bool ok = addr_parse(str_text(&text), out);
    str_free(&text);
    return ok;
}

static bool set_netmask(const char *value, uint8_t *bits)
{
    struct addr mask;
    unsigned n = 0;
    if (!addr_parse(value, &mask) || !addr_is4(&mask)) {
        return false;
    }
    for (const uint8_t *b = addr_bytes4(&mask); n < 32 && (b[n / 8] & 0x80u >> n % 8); n++) {
    }
    *bits = (uint8_t)n;
    return true;
}

/* 1: set; 0: a bad value; -1: not one of these */
static int set_number(struct drill_config *c, const char *name, const char *value)
{
    double v = 0;
    if (strcmp(name, "bind_port") == 0) {
        bool ok = number(value, 1, 65535, &v);
        c->bind_port = (uint16_t)v;
        return ok;
    }
    if (strcmp(name, "connect_port") == 0) {
        bool ok = number(value, 1, 65535, &v);
        c->connect_port = (uint16_t)v;
        return ok;
    }
    if (strcmp(name, "mtu") == 0) {
        bool ok = number(value, 68, 65535, &v);
        c->mtu = (uint32_t)v;
        c->mtu_given = true;
        return ok;
    }
    if (strcmp(name, "tolerance_usecs") == 0) {
        bool ok = number(value, 0, 1e9, &v);
        c->tolerance = (nsec)v * USEC;
        return ok;
    }
    if (strcmp(name, "tolerance_percent") == 0) {
        return number(value, 0, 1000, &c->tolerance_percent);
    }
    if (strcmp(name, "tcp_ts_tick_usecs") == 0) {
        bool ok = number(value, 0, 1e6, &v);
        c->ts_tick_us = (uint32_t)v;
        return ok;
    }
    if (strcmp(name, "local_isn") == 0) {
        bool ok = number(value, 0, 4294967295.0, &v);
        c->isn = (uint32_t)v;
        c->isn_given = true;
        return ok;
    }
    if (strcmp(name, "seed") == 0) {
        bool ok = number(value, 0, 9e15, &v);
        c->seed = (uint64_t)v;
        return ok;
    }
    return -1;
}

static int set_place(struct drill_config *c, const char *name, const char *value)
{
    if (strcmp(name, "so_flags") == 0) {
        enum profile_id id = value ? profile_find(value) : PROFILES;
        c->profile = id < PROFILES ? id : PROFILE_LINUX; /* other flags are the shared object's */
        return 1;
    }
    if (strcmp(name, "local_ip") == 0) {
        return value && set_address(value, &c->local);
    }
    if (strcmp(name, "remote_ip") == 0) {
        return value && set_address(value, &c->remote);
    }
    if (strcmp(name, "netmask_ip") == 0) {
        return value && set_netmask(value, &c->local_bits);
    }
    return -1;
}

static int set_flag(struct drill_config *c, const char *name)
{
    if (strcmp(name, "tcp_ts_ecr_scaled") == 0) {
        c->ts_scaled = true;
    } else if (strcmp(name, "strict_segments") == 0) {
        c->strict_segments = true;
    } else if (strcmp(name, "lax") == 0) {
        c->lax = true;
    } else if (strcmp(name, "verbose") == 0) {
        c->verbose = true;
    } else {
        return -1;
    }
    return 1;
}

/* Options of packetdrill that mean nothing here. ip_version and define have been seen to before. */
static bool without_effect(const char *name)
{
    static const char *const names[] = {
        "ip_version",      "define",         "gateway_ip",       "mss",
        "speed",           "non_fatal",      "init_scripts",     "code_command",
        "code_format",     "code_sockopt",   "is_anyip",         "dry_run",
        "send_omit_free",  "debug",          "so_filename",      "wire_client",
        "wire_server",     "wire_server_ip", "wire_server_port", "wire_client_dev",
        "wire_server_dev", "use_expect",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool config_set(struct drill_config *c, const char *name, const char *value, struct str *err)
{
    int done = set_number(c, name, value);
    done = done < 0 ? set_place(c, name, value) : done;
    done = done < 0 ? set_flag(c, name) : done;
    if (done < 0 && without_effect(name)) {
        return true;
    }
    if (done < 0) {
        str_add(err, "no such option: --%s", name);
    } else if (done == 0) {
        str_add(err, "--%s: not a possible value: %s", name, value ? value : "(none)");
    }
    return done > 0;
}
