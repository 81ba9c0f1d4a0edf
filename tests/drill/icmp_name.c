/*
 * The names of ICMP's types and codes (RFC 792, 950, 1122, 1812; RFC 4443 for IPv6).
 */
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "spec.h"

struct name {
    const char *name;
    uint8_t value;
};

struct names {
    const struct name *v;
    size_t n;
};

static const struct name types4[] = {
    {"echo_reply", 0},
    {"unreachable", 3},
    {"source_quench", 4},
    {"redirect", 5},
    {"echo_request", 8},
    {"time_exceeded", 11},
    {"parameter_problem", 12},
    {"timestamp_request", 13},
    {"timestamp_reply", 14},
    {"timestamp", 13},
    {"information_request", 15},
    {"information_reply", 16},
    {"address_mask_request", 17},
    {"address_mask_reply", 18},
};

static const struct name unreach4[] = {
    {"net_unreachable", 0},
    {"host_unreachable", 1},
    {"protocol_unreachable", 2},
    {"port_unreachable", 3},
    {"frag_needed", 4},
    {"source_route_failed", 5},
    {"net_unknown", 6},
    {"host_unknown", 7},
    {"source_host_isolated", 8},
    {"net_prohibited", 9},
    {"host_prohibited", 10},
    {"net_unreachable_for_tos", 11},
    {"host_unreachable_for_tos", 12},
    {"packet_filtered", 13},
    {"precedence_violation", 14},
    {"precedence_cutoff", 15},
};

static const struct name exceeded4[] = {{"ttl_exceeded", 0}, {"frag_time_exceeded", 1}};

static const struct name types6[] = {
    {"unreachable", 1},       {"packet_too_big", 2}, {"time_exceeded", 3},
    {"parameter_problem", 4}, {"echo_request", 128}, {"echo_reply", 129},
};

static const struct name unreach6[] = {
    {"no_route", 0},     {"admin_prohibited", 1},    {"not_neighbour", 2},
    {"beyond_scope", 2}, {"address_unreachable", 3}, {"port_unreachable", 4},
};

static const struct name exceeded6[] = {{"exceeded_hop_limit", 0}, {"exceeded_frag_time", 1}};

static const struct name problem6[] = {
    {"header_field", 0}, {"unknown_next_header", 1}, {"unknown_option", 2}};

#define NAMES(a) ((struct names){a, ARRAY_LEN(a)})

static struct names type_names(bool v6)
{
    return v6 ? NAMES(types6) : NAMES(types4);
}

static struct names code_names(bool v6, uint8_t type)
{
    if (v6) {
        switch (type) {
        case 1:
            return NAMES(unreach6);
        case 3:
            return NAMES(exceeded6);
        case 4:
            return NAMES(problem6);
        default:
            return (struct names){NULL, 0};
        }
    }
    switch (type) {
    case 3:
        return NAMES(unreach4);
    case 11:
        return NAMES(exceeded4);
    default:
        return (struct names){NULL, 0};
    }
}

static bool find(struct names t, const char *name, const char *form, uint8_t *value)
{
    for (size_t i = 0; i < t.n; i++) {
        if (strcmp(t.v[i].name, name) == 0) {
            *value = t.v[i].value;
            return true;
        }
    }
    unsigned v = 0;
    size_t n = strlen(form);
    char end = 0;
    if (strncmp(name, form, n) || sscanf(name + n, "%3u%c", &v, &end) != 1 || v > 255) {
        return false;
    }
    *value = (uint8_t)v;
    return true;
}

static void print(struct names t, uint8_t value, const char *form, struct str *out)
{
    for (size_t i = 0; i < t.n; i++) {
        if (t.v[i].value == value) {
            str_add(out, "%s", t.v[i].name);
            return;
        }
    }
    str_add(out, "%s%u", form, value);
}

bool icmp_type_parse(const char *name, bool v6, uint8_t *type)
{
    return find(type_names(v6), name, "type_", type);
}

bool icmp_code_parse(const char *name, bool v6, uint8_t type, uint8_t *code)
{
    return find(code_names(v6, type), name, "code_", code);
}

void icmp_type_print(bool v6, uint8_t type, struct str *out)
{
    print(type_names(v6), type, "type_", out);
}

void icmp_code_print(bool v6, uint8_t type, uint8_t code, struct str *out)
{
    print(code_names(v6, type), code, "code_", out);
}
