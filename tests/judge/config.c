/*
 * What packetdrill does not tell a shared object: the address and MTU of its device. They are read
 * where packetdrill has them from, its command line and the options of the scripts on it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/profile.h"
#include "judge.h"
#include "tests/drill/run.h"

#define ARENA ((size_t)64 << 20) /* packetdrill locks all memory */

static void add_address(struct stack_config *c, const struct addr *a, uint8_t bits)
{
    for (uint32_t i = 0; i < c->naddr; i++) {
        if (addr_eq(&c->addr[i].addr, a)) {
            return;
        }
    }
    if (c->naddr < STACK_ADDRS_MAX) {
        c->addr[c->naddr++] = (struct ifaddr){*a, bits};
    }
}

/* One option of packetdrill, NULL where it has no value. */
static void take(struct stack_config *c, const char *name, const char *value)
{
    struct drill_config d;
    struct str err = {0};
    config_default(&d, IP_V4);
    if (config_set(&d, name, value, &err)) {
        if (strcmp(name, "local_ip") == 0) {
            add_address(c, &d.local, addr_is4(&d.local) ? 16 : 48);
        } else if (strcmp(name, "mtu") == 0) {
            c->mtu = d.mtu;
        }
    }
    str_free(&err);
}

static void take_script(struct stack_config *c, const char *path)
{
    struct pool pool = {0};
    struct defines defs = {.pool = &pool};
    struct script s = {0};
    struct str text = {0}, err = {0};
    if (text_read_file(path, &text, &err) &&
        script_parse_options(path, str_text(&text), &pool, &defs, &s, &err)) {
        for (const struct script_option *o = s.options; o; o = o->next) {
            take(c, o->name, o->value);
        }
    }
    str_free(&text);
    str_free(&err);
    pool_free(&pool);
}

static void take_argument(struct stack_config *c, char *arg)
{
    char *eq = strchr(arg, '=');
    if (strncmp(arg, "--", 2) != 0) {
        take_script(c, arg);
        return;
    }
    if (eq) {
        *eq++ = '\0';
    }
    take(c, arg + 2, eq);
}

/* Scripts first: the command line overrides them. */
static void take_command_line(struct stack_config *c)
{
    static char args[8192];
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t n = f ? fread(args, 1, sizeof args - 1, f) : 0;
    if (f) {
        fclose(f);
    }
    for (int scripts = 1; scripts >= 0; scripts--) {
        for (char *p = args + strlen(args) + 1; p < args + n; p += strlen(p) + 1) {
            if (strcmp(p, "-D") == 0) {
                p += strlen(p) + 1;
            } else if ((p[0] != '-') == scripts) {
                char copy[512];
                snprintf(copy, sizeof copy, "%s", p);
                take_argument(c, copy);
            }
        }
    }
}

static void take_flag(struct judge *j, struct vk_config *cfg, const char *flag)
{
    enum profile_id id = profile_find(flag);
    if (id < PROFILES) {
        knobs_set(&cfg->stack.knobs, "user_profile", id);
        return;
    }
    if (strcmp(flag, "trace") == 0) {
        j->trace = true;
    } else if (strncmp(flag, "seed=", 5) == 0) {
        cfg->seed = strtoull(flag + 5, NULL, 0);
    } else {
        fprintf(stderr, "standin: no such flag: %s (linux, freebsd, trace, seed=N)\n", flag);
        exit(2);
    }
}

void judge_config(const char *flags, struct judge *j, struct vk_config *cfg)
{
    struct drill_config v4, v6;
    cfg->seed = 1;
    cfg->arena = ARENA;
    cfg->stack.mtu = 1500;
    knobs_default(&cfg->stack.knobs);
    take_command_line(&cfg->stack);
    config_default(&v4, IP_V4);
    config_default(&v6, IP_V6);
    add_address(&cfg->stack, &v4.local, v4.local_bits);
    add_address(&cfg->stack, &v6.local, v6.local_bits);
    for (const char *p = flags ? flags : ""; *p;) {
        char flag[64];
        size_t n = strcspn(p, ",");
        snprintf(flag, sizeof flag, "%.*s", (int)n, p);
        take_flag(j, cfg, flag);
        p += n + (p[n] == ',');
    }
}
