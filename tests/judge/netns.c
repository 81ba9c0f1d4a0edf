/*
 * A script's settings: packetdrill gives its commands to a shell, which writes the settings of the
 * network namespace it runs in, and they are read from there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "judge.h"
#include "tests/drill/sysctl.h"

static bool read_text(const char *folder, const char *name, char *out, size_t room)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, out, room - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return n > 0;
}

static bool read_setting(const char *name, char *out, size_t room)
{
    return read_text("ipv4", name, out, room) || read_text("core", name, out, room);
}

static void list_names(struct judge *j)
{
    size_t n = 0;
    while (sysctl_name(n)) {
        n++;
    }
    j->sysctls = calloc(n + 1, sizeof *j->sysctls);
    if (!j->sysctls) {
        abort();
    }
    j->nsysctls = n;
    for (size_t i = 0; i < n; i++) {
        j->sysctls[i].name = sysctl_name(i);
    }
}

/* A kernel's default here says what it can do, not what is wanted: only a change counts. */
static bool only_changes(const char *name)
{
    return strcmp(name, "tcp_congestion_control") == 0;
}

void judge_sysctls(struct judge *j)
{
    bool first = !j->sysctls;
    if (first) {
        list_names(j);
    }
    for (size_t i = 0; i < j->nsysctls; i++) {
        struct judge_sysctl *s = &j->sysctls[i];
        struct str why = {0};
        char now[sizeof s->value] = "";
        if (!read_setting(s->name, now, sizeof now) || strcmp(now, s->value) == 0) {
            continue;
        }
        memcpy(s->value, now, sizeof now);
        if (first && (j->only_changes || only_changes(s->name))) {
            continue;
        }
        if (!sysctl_set(j->vk, s->name, now, &why)) {
            fprintf(stderr, "standin: not set: %s\n", str_text(&why));
        }
        str_free(&why);
    }
}
