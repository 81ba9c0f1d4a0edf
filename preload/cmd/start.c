/*
 * Purpose: asks the session module for a session and turns its result codes into what a person can
 * act on.
 *
 * Inside a session (STANDIN_SESSION is set: a shell under `standin run`) the program joins that
 * one: a family is one host. Naming addresses or settings asks for a session of its own.
 */
#include "start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "msg.h"
#include "netconf.h"
#include "place.h"
#include "tun/impair.h"
#include "tun/session.h"

#define SESSION_VARIABLE "STANDIN_SESSION"
#define TUN_NODE         "/dev/net/tun"

static void explain_no_tun(const struct session_result *r)
{
    struct stat st;
    char mode[64] = "";
    if (r->err == EACCES && stat(TUN_NODE, &st) == 0) {
        snprintf(mode, sizeof mode, " (mode %04o, owner %u:%u)", (unsigned)st.st_mode & 07777u,
                 st.st_uid, st.st_gid);
    }
    msg("cannot open " TUN_NODE ": %s%s", strerror(r->err), mode);
    msg_more("The user stack sends and receives packets through a TUN device.");
    if (r->err == ENOENT) {
        msg_do("Fix:", "sudo modprobe tun");
        msg_do("Or:", "sudo mkdir -p /dev/net && sudo mknod -m 0666 " TUN_NODE " c 10 200");
    } else if (r->err == EACCES || r->err == EPERM) {
        msg_do("Fix:", "sudo chmod 0666 " TUN_NODE "        (what Debian's udev rule sets)");
        msg_do("Or:", "sudo standin run ...");
    } else {
        msg_do("Fix:",
               "sudo modprobe tun    (in a container: pass the device in, --device " TUN_NODE ")");
    }
    msg_do("Check:", "ls -l " TUN_NODE);
}

static void explain_no_perm(const struct session_result *r)
{
    msg("not allowed to make a TUN device here: %s: %s", r->step,
        strerror(r->err ? r->err : EPERM));
    msg_more("It takes the capability CAP_NET_ADMIN in this network namespace.");
    msg_do("Fix:", "sudo standin run ...");
    msg_do("Or:", "unshare -rn standin run ...    (a network namespace of your own)");
}

static void explain_in_use(const struct session_config *cfg)
{
    char text[ADDR_TEXT_MAX];
    const char *addr = cfg->naddr ? addr_text(&cfg->addr[0].addr, text) : "the address";
    msg("%s, or its subnet, is in use in this network namespace", addr);
    msg_more("Another session or another interface has it.");
    msg_do("Fix:", "leave --addr out: the next free subnet is taken");
    msg_do("Or:", "standin run --addr ANOTHER ...");
    msg_do("Check:", "ip address; ip route");
}

static void explain_dead(const struct session_result *r, const char *name)
{
    msg("the session %s does not answer: %s", name, r->err ? strerror(r->err) : "it has ended");
    msg_more("The variable " SESSION_VARIABLE
             " names it; it belongs to this network namespace only.");
    msg_do("Fix:", "unset " SESSION_VARIABLE);
}

static void explain_keeper(const struct session_result *r)
{
    msg("cannot start the session's keeper: %s: %s", r->step, strerror(r->err));
    msg_do("Check:",
           "ls -l standin-keeper beside the command, and free memory and processes (ulimit -a)");
}

static void explain_rest(const struct session_result *r)
{
    msg("cannot start a session: %s%s%s%s%s", r->step[0] ? r->step : "", r->step[0] ? ": " : "",
        r->code >= SESSION_NO_TUN ? session_strerror(r->code) : strerror(-r->code),
        r->err ? ": " : "", r->err ? strerror(r->err) : "");
    switch (r->code) {
    case SESSION_NO_SUBNET:
        msg_do("Fix:", "name a free subnet: standin run --addr 192.168.77.2/24 ...");
        break;
    case SESSION_NO_ARENA:
        msg_do("Check:", "ulimit -v; free -m    (the stack's memory is a shared mapping)");
        break;
    case SESSION_BUILD:
        msg_do("Fix:", "unset " SESSION_VARIABLE "    (start a session of this build)");
        break;
    case SESSION_REFUSED:
        msg_do("Fix:",
               "run it as the session's user, or with the token that " SESSION_VARIABLE " held");
        break;
    default:
        break;
    }
}

static void explain(const struct session_result *r, const struct session_config *cfg,
                    const char *name)
{
    switch (r->code) {
    case SESSION_NO_TUN:
        explain_no_tun(r);
        break;
    case SESSION_NO_PERM:
        explain_no_perm(r);
        break;
    case SESSION_ADDR_IN_USE:
        explain_in_use(cfg);
        break;
    case SESSION_DEAD:
        explain_dead(r, name);
        break;
    case SESSION_NO_KEEPER:
        explain_keeper(r);
        break;
    default:
        explain_rest(r);
        break;
    }
}

static bool put_session(const struct session_result *r)
{
    char text[SESSION_NAME + SESSION_TOKEN + 2];
    snprintf(text, sizeof text, "%s,%s", r->name, r->token);
    return setenv(SESSION_VARIABLE, text, 1) == 0;
}

/*
 * Joins in this process, which will become the program by exec: the place among the members is then
 * the program's, and the session lasts at least until it is there. Nothing is left in order here:
 * exec drops the mapping and the descriptors.
 */
static struct session_result look_inside(struct session *s, const char *name, const char *token)
{
    *s = (struct session){0};
    return session_join(s, name, token);
}

static void say_session(const struct session *s)
{
    const struct session_config *cfg = &s->arena->cfg;
    char text[ADDR_TEXT_MAX];
    msg("session %s on %s, mtu %u, offload %s", s->arena->name, cfg->ifname, cfg->mtu,
        cfg->offload ? "on" : "off");
    for (uint32_t i = 0; i < cfg->naddr; i++) {
        msg("  the stack is %s/%u", addr_text(&cfg->addr[i].addr, text), cfg->addr[i].bits);
    }
    for (uint32_t i = 0; i < cfg->wire.nrules; i++) {
        char rule[IMPAIR_RULE_MAX];
        msg("  rule %u, seed %llu: %s", i + 1, (unsigned long long)cfg->wire.seed,
            impair_print(&cfg->wire.rule[i], rule));
    }
    for (uint32_t i = 0; i < cfg->npeer; i++) {
        msg("  the kernel is %s/%u", addr_text(&cfg->peer[i].addr, text), cfg->peer[i].bits);
    }
}

static bool start_new(const struct options *o, const struct session_outputs *out)
{
    struct session_config cfg;
    struct session_result r;
    struct session s;
    char keeper[PATH_MAX];
    if (!netconf_make(&cfg, o) || !place_find(PLACE_KEEPER, keeper)) {
        return false;
    }
    r = session_start_with(keeper, &cfg, out);
    if (r.code != SESSION_OK) {
        explain(&r, &cfg, r.name);
        return false;
    }
    if (o->verbose && look_inside(&s, r.name, r.token).code == SESSION_OK) {
        say_session(&s);
    }
    return put_session(&r);
}

/* The one we are in: is it still there? */
static bool check_old(const struct options *o, const char *text)
{
    struct session s;
    struct session_config none = {0};
    struct session_result r;
    char name[SESSION_NAME];
    char token[SESSION_TOKEN];
    if (!session_parse(text, name, token)) {
        msg(SESSION_VARIABLE "=%s does not have the form @NAME,TOKEN", text);
        msg_do("Fix:", "unset " SESSION_VARIABLE);
        return false;
    }
    r = look_inside(&s, name, token);
    if (r.code != SESSION_OK) {
        explain(&r, &none, name);
        return false;
    }
    if (o->verbose) {
        say_session(&s);
    }
    return true;
}

static bool asks_for_own(const struct options *o)
{
    return o->naddr || o->npeer || o->nset || o->mtu || o->offload || o->pcap || o->nimpair ||
           o->nprofile || o->seed;
}

bool start_joins(const struct options *o)
{
    const char *old = getenv(SESSION_VARIABLE);
    return old && *old && !asks_for_own(o);
}

bool start_session(const struct options *o, const struct session_outputs *out)
{
    return start_joins(o) ? check_old(o, getenv(SESSION_VARIABLE)) : start_new(o, out);
}
