/*
 * Purpose: from STANDIN_* to values. What the addresses and settings mean is the command's business
 * (cmd/netconf.c, linked in here too), so that a bare LD_PRELOAD and `standin run` understand the
 * same texts.
 */
#include "preload/config.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/cmd/netconf.h"
#include "preload/log.h"

#define POOL 8192u

const struct config_info config_table[CONFIG_COUNT] = {
#define ENV(id, default_text, help_text) \
    {.name = "STANDIN_" #id, .def = (default_text), .help = (help_text)},
    CONFIG_LIST
#undef ENV
};

struct config config;

static char pool[POOL];
static size_t pool_used;

static const char *keep(const char *text)
{
    size_t len = strlen(text) + 1;
    if (len > POOL - pool_used) {
        return NULL;
    }
    char *at = memcpy(pool + pool_used, text, len);
    pool_used += len;
    return at;
}

/* The environment's own line "NAME=value", or NULL. */
static const char *env_line(const char *name)
{
    size_t len = strlen(name);
    for (char **e = environ; e && *e; e++) {
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') {
            return *e;
        }
    }
    return NULL;
}

static void read_table(void)
{
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct config_info *info = &config_table[i];
        const char *line = env_line(info->name);
        config.entry[i] = line ? keep(line) : NULL;
        config.text[i] = config.entry[i] ? config.entry[i] + strlen(info->name) + 1 : info->def;
    }
}

bool config_in_list(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == len && memcmp(list, word, n) == 0) {
            return true;
        }
        list += n + (list[n] == ',');
    }
    return false;
}

static bool is_disabled(void)
{
    const char *text = config.text[CONFIG_DISABLE];
    return *text && strcmp(text, "0") != 0;
}

/* Not one of the programs that are meant. What it starts may be. */
static bool is_skipped(void)
{
    const char *me = program_invocation_short_name;
    const char *only = config.text[CONFIG_ONLY_CMDS];
    return (*only && !config_in_list(only, me)) ||
           config_in_list(config.text[CONFIG_SKIP_CMDS], me);
}

/* Where this shared object lies, and the keeper beside it. */
static void find_places(void)
{
    Dl_info info;
    char path[PATH_MAX];
    const char *keeper = config.text[CONFIG_KEEPER];
    if (dladdr(&config, &info) && info.dli_fname && realpath(info.dli_fname, path)) {
        snprintf(config.library, sizeof config.library, "%.*s", (int)sizeof config.library - 1,
                 path);
    }
    if (*keeper) {
        snprintf(config.keeper, sizeof config.keeper, "%s", keeper);
        return;
    }
    const char *slash = strrchr(config.library, '/');
    snprintf(config.keeper, sizeof config.keeper, "%.*s/standin-keeper",
             slash ? (int)(slash - config.library) : 0, config.library);
}

void config_read(void)
{
    static const struct options none;
    read_table();
    log_level_set(config.text[CONFIG_LOG]);
    config.off = is_disabled();
    if (config.off) {
        return;
    }
    find_places();
    config.off = is_skipped();
    config.valid = *config.text[CONFIG_SESSION] || netconf_make(&config.net, &none);
}
