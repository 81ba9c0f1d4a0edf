/* Purpose: patterns to names, names to descriptors; with system calls of our own, for the library
 * uses it too. */
#include "tun/outfile.h"

#include <errno.h>
#include <string.h>

#include "tun/sysio.h"

#define NUMBER_MAX 12

static const char *number(pid_t pid, char buf[NUMBER_MAX])
{
    char *p = &buf[NUMBER_MAX - 1];
    unsigned v = pid > 0 ? (unsigned)pid : 0;
    *p = 0;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return p;
}

int outfile_name(const char *pattern, pid_t pid, const char *command, char path[PATH_MAX])
{
    char buf[NUMBER_MAX], one[2] = {0};
    const char *slash = strrchr(command, '/');
    size_t at = 0;

    for (const char *p = pattern; *p; p++) {
        const char *what = one;
        one[0] = *p;
        if (*p == '%') {
            switch (*++p) {
            case 'p':
                what = number(pid, buf);
                break;
            case 'c':
                what = slash ? slash + 1 : command;
                break;
            case '%':
                break;
            default:
                return -EINVAL;
            }
        }
        size_t n = strlen(what);
        if (n >= PATH_MAX - at) {
            return -ENAMETOOLONG;
        }
        memcpy(path + at, what, n);
        at += n;
    }
    path[at] = 0;
    return 0;
}

int outfile_open(const char *path)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    return (int)sys4(SYS_openat, AT_FDCWD, (long)path, flags, 0666);
}
