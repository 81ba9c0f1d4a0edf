/*
 * Purpose: finds the program and says why it cannot run on the stack. What is refused, in the order
 * of the checks: not found; a directory or not executable; gains privileges at exec; another
 * machine; static; another C library.
 *
 * A program that gains privileges is refused for root too, for whom the loader would take
 * LD_PRELOAD from a program that is setuid root: the same command line does the same for everybody.
 */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf_facts.h"
#include "msg.h"

#define SCRIPT_DEPTH 5 /* as in the kernel's own limit of interpreters that are scripts */

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "tun/sys.h knows x86-64 only"
#endif

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int cannot(const char *path, const char *why)
{
    msg("%s %s (exit %d)", path, why, EXIT_CANNOT);
    return EXIT_CANNOT;
}

static int missing(const char *name, int err)
{
    if (err == EISDIR) {
        return cannot(name, "is a directory");
    }
    if (err == EACCES) {
        msg("%s cannot be executed: %s (exit %d)", name, strerror(err), EXIT_CANNOT);
        msg_do("Check:", "ls -ld %s", name);
        return EXIT_CANNOT;
    }
    msg("%s: %s (exit %d)", name,
        strchr(name, '/') ? strerror(err) : "command not found, searched along PATH", EXIT_MISSING);
    return EXIT_MISSING;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One candidate: 0 when it can be executed, an errno otherwise. */
static int candidate(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return errno;
    }
    if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0) {
        return EACCES;
    }
    return 0;
}

/* execvp(3): each entry of PATH; an empty one is the current directory; EACCES is remembered while
 * searching on. */
static int search(const char *name, char path[PATH_MAX])
{
    const char *at = getenv("PATH");
    int err = ENOENT;
    if (!at) {
        at = "/usr/local/bin:/usr/bin:/bin";
    }
    for (;;) {
        size_t len = strcspn(at, ":");
        int n = snprintf(path, PATH_MAX, "%.*s%s%s", (int)len, at, len ? "/" : "./", name);
        int got = n < PATH_MAX ? candidate(path) : ENAMETOOLONG;
        if (got == 0) {
            return 0;
        }
        if (got == EACCES) {
            err = EACCES;
        }
        if (at[len] == '\0') {
            return err;
        }
        at += len + 1;
    }
}

static int find(const char *name, char path[PATH_MAX])
{
    int err;
    if (!strchr(name, '/')) {
        err = name[0] ? search(name, path) : ENOENT;
    } else if ((size_t)snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
        err = ENAMETOOLONG;
    } else {
        err = candidate(path);
        if (err == EACCES && is_dir(path)) {
            err = EISDIR;
        }
    }
    return err ? missing(name, err) : 0;
}

static void privilege_remedy(const char *path)
{
    msg_more("The loader ignores LD_PRELOAD in a program that gains privileges when it starts.");
    msg_do("Fix:", "cp %s ./%s && standin run ./%s", path, last_part(path), last_part(path));
    msg_more("        (a copy has neither the bit nor the capabilities)");
}

static int check_privilege(const char *path)
{
    struct stat st;
    char cap[64];
    int ret = 0;
    if (stat(path, &st) == 0 && (st.st_mode & S_ISUID)) {
        ret = cannot(path, "is setuid; LD_PRELOAD cannot enter it");
    } else if (stat(path, &st) == 0 && (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
        ret = cannot(path, "is setgid; LD_PRELOAD cannot enter it");
    } else if (getxattr(path, "security.capability", cap, sizeof cap) > 0) {
        ret = cannot(path, "has file capabilities; LD_PRELOAD cannot enter it");
    }
    if (ret) {
        privilege_remedy(path);
    }
    return ret;
}

static int check_machine(const char *path, const struct elf_facts *f)
{
    const char *name = elf_machine(f->machine);
    if (f->is64 && f->machine == OUR_MACHINE) {
        return 0;
    }
    msg("%s is a program for %s%s; the library is for 64-bit %s (exit %d)", path,
        name ? name : "another machine", f->is64 ? "" : " (32 bits)", elf_machine(OUR_MACHINE),
        EXIT_CANNOT);
    msg_do("Check:", "file %s", path);
    return EXIT_CANNOT;
}

/* Dynamic or not: its sockets would be the kernel's. */
static int refuse_go(const char *path)
{
    int ret = cannot(path, "is a Go program; it makes its system calls itself, past the library");
    msg_do("Fix:", "build it with gccgo, whose library calls libc");
    msg_more("        (if its sockets are those of C code in it, LD_PRELOAD alone does)");
    msg_do("Check:", "readelf -n %s", path);
    return ret;
}

static int check_loader(const char *path, const struct elf_facts *f)
{
    if (f->go) {
        return refuse_go(path);
    }
    if (!f->dynamic) {
        int ret = cannot(path, "is statically linked; LD_PRELOAD cannot enter it");
        msg_do("Fix:", "rebuild it without -static, or use its distribution's dynamic package");
        msg_do("Check:", "file %s", path);
        return ret;
    }
    if (strstr(f->interp, "ld-musl")) {
        int ret = cannot(path, "uses the C library musl; the library is built for glibc");
        msg_do("Fix:", "use a build of it for glibc");
        return ret;
    }
    return 0;
}

static int check_file(const char *path, int depth)
{
    struct elf_facts f = elf_look(path);
    int ret =
        f.kind == ELF_SCRIPT ? 0 : check_privilege(path); /* the kernel ignores a script's bits */
    if (ret) {
        return ret;
    }
    switch (f.kind) {
    case ELF_SCRIPT:
        if (depth < SCRIPT_DEPTH && candidate(f.interp) != 0) {
            msg("%s needs the interpreter %s: %s (exit %d)", path, f.interp,
                strerror(candidate(f.interp)), EXIT_CANNOT);
            return EXIT_CANNOT;
        }
        return depth < SCRIPT_DEPTH ? check_file(f.interp, depth + 1) : 0;
    case ELF_PROGRAM:
        ret = check_machine(path, &f);
        return ret ? ret : check_loader(path, &f);
    case ELF_BROKEN:
        return cannot(path, "begins like a program and is cut short");
    default:
        return 0;
    }
}

int program_check(const char *name, char path[PATH_MAX])
{
    int ret = find(name, path);
    return ret ? ret : check_file(path, 0);
}
