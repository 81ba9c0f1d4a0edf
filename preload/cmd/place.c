/* Purpose: finds our own parts from where the command itself lies, so that a build folder needs no
 * installation. */
#include "place.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "msg.h"

#ifndef STANDIN_LIBDIR
#define STANDIN_LIBDIR "/usr/local/lib/standin"
#endif

/* The folder of the running command, without a slash at its end. */
static bool own_dir(char dir[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
    char *slash;
    if (n <= 0) {
        return false;
    }
    dir[n] = '\0';
    slash = strrchr(dir, '/');
    if (!slash) {
        return false;
    }
    *slash = '\0';
    return true;
}

static bool there(char path[PATH_MAX], const char *dir, const char *sub, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s%s/%s", dir, sub, name);
    return n > 0 && n < PATH_MAX && access(path, R_OK) == 0;
}

bool place_find(const char *name, char path[PATH_MAX])
{
    char dir[PATH_MAX] = "";
    if (own_dir(dir) && (there(path, dir, "", name) || there(path, dir, "/../lib/standin", name))) {
        return true;
    }
    if (there(path, STANDIN_LIBDIR, "", name)) {
        return true;
    }
    msg("cannot find %s beside the command (%s), in %s/../lib/standin or in %s", name, dir, dir,
        STANDIN_LIBDIR);
    msg_do("Fix:", "make && make install");
    return false;
}
