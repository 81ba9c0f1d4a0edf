/*
 * Purpose: texts to addresses, numbers and settings, refusing what cannot work before a session is
 * started for it.
 *
 * Naming one end of a subnet is enough: the other end is the lowest address of the subnet that is
 * not this one. Naming an address of one family leaves the other family out; naming none leaves the
 * choice to the session.
 */
#include "netconf.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/profile.h"
#include "core/tcp_cc.h"
#include "msg.h"
#include "tun/impair.h"
#include "tun/pktring.h"

#define SNAPLEN_MIN 60u /* the headers */
#define MTU_DEFAULT 1500u
#define MTU_MIN     68u   /* RFC 791 3.2 */
#define MTU_MIN6    1280u /* RFC 8200 5 */
#define MTU_MAX     65535u
#define BITS4       24u
#define BITS6       64u
#define ITEM_MAX    256u

/* A whole decimal number, nothing around it. */
static bool number(const char *text, long lo, long hi, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= lo && *out <= hi;
}

static bool ends_with_all(const struct addr *a, unsigned from, uint8_t bits)
{
    for (unsigned i = from; i < 128; i++) {
        unsigned bit = a->b[i / 8] >> (7 - i % 8) & 1u;
        if (bit != bits) {
            return false;
        }
    }
    return true;
}

static unsigned net_bits(const struct ifaddr *a)
{
    return a->bits + (addr_is4(&a->addr) ? 96u : 0u);
}

/* "10.77.0.2/24": an address a host may have in its subnet. */
static bool ifaddr_parse(const char *text, struct ifaddr *out)
{
    char host[ADDR_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    long bits;
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (!addr_parse(host, &out->addr) || addr_is_any(&out->addr) || addr_is_multicast(&out->addr) ||
        addr_is_broadcast(&out->addr) || addr_is_loopback(&out->addr)) {
        return false;
    }
    bits = addr_is4(&out->addr) ? BITS4 : BITS6;
    if (slash && !number(slash + 1, 1, addr_is4(&out->addr) ? 30 : 126, &bits)) {
        return false;
    }
    out->bits = (uint8_t)bits;
    return !ends_with_all(&out->addr, net_bits(out), 0) &&
           !(addr_is4(&out->addr) && ends_with_all(&out->addr, net_bits(out), 1));
}

/* The lowest host address of the subnet other than `a`. */
static struct ifaddr neighbour(const struct ifaddr *a)
{
    struct ifaddr n = *a;
    unsigned from = net_bits(a);
    for (unsigned i = from; i < 128; i++) {
        n.addr.b[i / 8] = (uint8_t)(n.addr.b[i / 8] & ~(1u << (7 - i % 8)));
    }
    n.addr.b[15] |= 1;
    if (addr_eq(&n.addr, &a->addr)) {
        n.addr.b[15] = (uint8_t)(n.addr.b[15] ^ 3); /* ...1 becomes ...2 */
    }
    return n;
}

static const struct ifaddr *same_family(const struct ifaddr *list, uint32_t n,
                                        const struct ifaddr *a)
{
    for (uint32_t i = 0; i < n; i++) {
        if (addr_is4(&list[i].addr) == addr_is4(&a->addr)) {
            return &list[i];
        }
    }
    return NULL;
}

static bool bad_addr(const char *what, const char *text)
{
    msg("%s is not an address for --%s", text, what);
    msg_more("It takes a host with the length of its subnet: 10.77.5.2/24 or fd77:5::2/64.");
    return false;
}

/* "A,B" and repeated options alike. */
static bool read_addrs(const char *what, const char *text, struct ifaddr *list, uint32_t *n,
                       uint32_t max)
{
    char item[ITEM_MAX];
    while (*text) {
        size_t len = strcspn(text, ",");
        snprintf(item, sizeof item, "%.*s", (int)len, text);
        if (*n == max || len >= sizeof item || !ifaddr_parse(item, &list[*n])) {
            return bad_addr(what, item);
        }
        if (same_family(list, *n, &list[*n])) {
            msg("--%s names two addresses of one family", what);
            return false;
        }
        (*n)++;
        text += len + (text[len] == ',');
    }
    return true;
}

static bool read_all(const char *what, const char *const *given, unsigned ngiven,
                     const char *variable, struct ifaddr *list, uint32_t *n)
{
    const char *env = getenv(variable);
    if (ngiven == 0) {
        return !env || read_addrs(what, env, list, n, 2);
    }
    for (unsigned i = 0; i < ngiven; i++) {
        if (!read_addrs(what, given[i], list, n, 2)) {
            return false;
        }
    }
    return true;
}

/* Both ends lie in one subnet and differ. */
static bool check_pair(const struct ifaddr *addr, const struct ifaddr *peer)
{
    char a[ADDR_TEXT_MAX];
    char b[ADDR_TEXT_MAX];
    if (!addr_eq(&addr->addr, &peer->addr) &&
        addr_in_prefix(&peer->addr, &addr->addr, addr->bits)) {
        return true;
    }
    msg("--addr %s/%u and --peer %s are not two hosts of one subnet", addr_text(&addr->addr, a),
        addr->bits, addr_text(&peer->addr, b));
    return false;
}

static bool make_addrs(struct session_config *cfg, const struct options *o)
{
    if (!read_all("addr", o->addr, o->naddr, "STANDIN_ADDR", cfg->addr, &cfg->naddr) ||
        !read_all("peer", o->peer, o->npeer, "STANDIN_PEER", cfg->peer, &cfg->npeer)) {
        return false;
    }
    cfg->claimed = cfg->naddr + cfg->npeer > 0;
    for (uint32_t i = 0; i < cfg->npeer; i++) {
        if (!same_family(cfg->addr, cfg->naddr, &cfg->peer[i])) {
            cfg->addr[cfg->naddr++] = neighbour(&cfg->peer[i]);
        }
    }
    for (uint32_t i = 0; i < cfg->naddr; i++) {
        const struct ifaddr *peer = same_family(cfg->peer, cfg->npeer, &cfg->addr[i]);
        if (!peer) {
            cfg->peer[cfg->npeer] = neighbour(&cfg->addr[i]);
            peer = &cfg->peer[cfg->npeer++];
        }
        if (!check_pair(&cfg->addr[i], peer)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < cfg->npeer; i++) {
        cfg->peer[i].bits = same_family(cfg->addr, cfg->naddr, &cfg->peer[i])->bits;
    }
    return true;
}

static bool make_mtu(struct session_config *cfg, const char *text)
{
    long mtu = MTU_DEFAULT;
    if (text && !number(text, MTU_MIN, MTU_MAX, &mtu)) {
        msg("--mtu %s is not a number of bytes from %u to %u", text, MTU_MIN, MTU_MAX);
        return false;
    }
    for (uint32_t i = 0; i < cfg->naddr; i++) {
        if (mtu < MTU_MIN6 && !addr_is4(&cfg->addr[i].addr)) {
            msg("--mtu %ld is too small for IPv6, which needs %u", mtu, MTU_MIN6);
            msg_do("Fix:", "name an IPv4 address only, or leave --addr out");
            return false;
        }
    }
    cfg->mtu = (uint32_t)mtu;
    return true;
}

static bool make_offload(struct session_config *cfg, const char *text)
{
    if (text && strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        msg("--offload takes on or off, not %s", text);
        return false;
    }
    cfg->offload = !text || strcmp(text, "on") == 0;
    return true;
}

static bool unknown_setting(const char *name)
{
    const char **names = calloc(knob_count, sizeof *names);
    const char *meant = NULL;
    msg("unknown setting %s", name);
    for (size_t i = 0; names && i < knob_count; i++) {
        names[i] = knob_table[i].name;
    }
    if (names) {
        meant = msg_meant(name, names, (unsigned)knob_count);
    }
    if (meant) {
        msg_more("Did you mean %s?", meant);
    }
    free(names);
    return false;
}

static bool set_congestion(struct knobs *k, const char *value)
{
    int algo = tcp_cc_find(value, strlen(value));
    if (algo >= 0) {
        return knobs_set(k, "tcp_congestion_control", algo) == 0;
    }
    msg("tcp_congestion_control=%s: there is no such algorithm", value);
    for (int i = 0; i < CC_ALGOS; i++) {
        msg_more("There is %s.", tcp_cc_ops((uint8_t)i)->name);
    }
    return false;
}

static bool set_one(struct knobs *k, const char *name, const char *value)
{
    const struct knob_info *info = knobs_find(name);
    long v;
    if (!info) {
        return unknown_setting(name);
    }
    if (strcmp(name, "tcp_congestion_control") == 0) {
        return set_congestion(k, value);
    }
    if (strcmp(name, "user_profile") == 0 && profile_find(value) < PROFILES) {
        return knobs_set(k, name, profile_find(value)) == 0;
    }
    if (!number(value, info->min, info->max, &v) || knobs_set(k, name, v) != 0) {
        msg("%s=%s is out of range: a number from %d to %d (%s)", name, value, info->min, info->max,
            info->unit);
        return false;
    }
    return true;
}

/* tcp_rmem, tcp_wmem: "min default max", tcp_mem: "min pressure max", as sysctl writes them. */
static bool set_three(struct knobs *k, const char *name, const char *value)
{
    const char *const part[] = {"min", strcmp(name, "tcp_mem") == 0 ? "pressure" : "default",
                                "max"};
    for (unsigned i = 0; i < 3; i++) {
        char full[80];
        char item[32];
        size_t len;
        value += strspn(value, " \t");
        len = strcspn(value, " \t");
        snprintf(full, sizeof full, "%s_%s", name, part[i]);
        snprintf(item, sizeof item, "%.*s", (int)len, value);
        if (!set_one(k, full, item)) {
            return false;
        }
        value += len;
    }
    return true;
}

static bool set_text(struct knobs *k, const char *text)
{
    char name[64];
    size_t len = strcspn(text, "=");
    const char *dot = strncmp(text, "user.", 5) == 0 ? "user_" : "";
    if (text[len] == '\0' || len >= sizeof name - 1) {
        msg("--set %s: a setting has the form NAME=VALUE", text);
        return false;
    }
    snprintf(name, sizeof name, "%s%.*s", dot, (int)(len - strlen(dot)), text + strlen(dot));
    if (strcmp(name, "tcp_rmem") == 0 || strcmp(name, "tcp_wmem") == 0 ||
        strcmp(name, "tcp_mem") == 0) {
        return set_three(k, name, text + len + 1);
    }
    return set_one(k, name, text + len + 1);
}

/* The variable holds a list with ';' between; options come after it and win. */
static bool make_knobs(struct session_config *cfg, const struct options *o)
{
    const char *env = getenv("STANDIN_SET");
    char item[ITEM_MAX];
    knobs_default(&cfg->knobs);
    while (env && *env) {
        size_t len = strcspn(env, ";");
        snprintf(item, sizeof item, "%.*s", (int)len, env);
        if (item[0] && !set_text(&cfg->knobs, item)) {
            return false;
        }
        env += len + (env[len] == ';');
    }
    for (unsigned i = 0; i < o->nset; i++) {
        if (!set_text(&cfg->knobs, o->set[i])) {
            return false;
        }
    }
    return true;
}

static bool make_snaplen(struct session_config *cfg, const char *text)
{
    long n = PKTRING_SNAPLEN;
    if (text && !number(text, SNAPLEN_MIN, PKTRING_SNAPLEN, &n)) {
        msg("--snaplen %s is not a number of bytes from %u to %u", text, SNAPLEN_MIN,
            PKTRING_SNAPLEN);
        return false;
    }
    cfg->snaplen = (uint32_t)n;
    return true;
}

/* Says what is wrong with the rules, with the place marked below them. */
static bool bad_rules(const char *what, const char *text, const struct impair_error *err)
{
    char lines[512];
    char *next = NULL;
    char *line = strtok_r(impair_explain(text, err, lines, sizeof lines), "\n", &next);
    msg("%s: these rules cannot be read", what);
    for (; line; line = strtok_r(NULL, "\n", &next)) {
        msg_more("%s", line);
    }
    msg_do("See:", "man standin-impair");
    return false;
}

static bool add_rules(struct session_config *cfg, const char *what, const char *text)
{
    struct impair_error err;
    return impair_parse(&cfg->wire, text, &err) || bad_rules(what, text, &err);
}

static bool add_profile(struct session_config *cfg, const char *name)
{
    char text[80];
    snprintf(text, sizeof text, "profile %s", name);
    return add_rules(cfg, "--profile", text);
}

/* Profiles first: a rule beside them sees what they leave. */
static bool make_wire(struct session_config *cfg, const struct options *o)
{
    const char *env = getenv("STANDIN_IMPAIR");
    const char *seed = o->seed ? o->seed : getenv("STANDIN_SEED");
    long n = 1;
    for (unsigned i = 0; i < o->nprofile; i++) {
        if (!add_profile(cfg, o->profile[i])) {
            return false;
        }
    }
    if (env && o->nimpair + o->nprofile == 0 && !add_rules(cfg, "STANDIN_IMPAIR", env)) {
        return false;
    }
    for (unsigned i = 0; i < o->nimpair; i++) {
        if (!add_rules(cfg, "--impair", o->impair[i])) {
            return false;
        }
    }
    if (seed && !number(seed, 0, LONG_MAX, &n)) {
        msg("--seed %s is not a number from 0 on", seed);
        return false;
    }
    cfg->wire.seed = (uint64_t)n;
    return true;
}

/* A link that somebody else has made for us (relay.h): the number of its descriptor. */
static bool take_link(struct session_config *cfg)
{
    const char *text = getenv("STANDIN_LINK");
    long fd;
    if (!text || !*text) {
        return true;
    }
    if (!number(text, 0, INT_MAX - 1, &fd)) {
        msg("STANDIN_LINK=%s is not the number of a descriptor", text);
        return false;
    }
    cfg->given_link = (uint32_t)fd + 1;
    cfg->offload = false;
    return true;
}

bool netconf_make(struct session_config *cfg, const struct options *o)
{
    memset(cfg, 0, sizeof *cfg);
    return make_addrs(cfg, o) && make_mtu(cfg, o->mtu ? o->mtu : getenv("STANDIN_MTU")) &&
           make_offload(cfg, o->offload ? o->offload : getenv("STANDIN_OFFLOAD")) &&
           make_snaplen(cfg, o->snaplen) && make_knobs(cfg, o) && make_wire(cfg, o) &&
           take_link(cfg);
}
