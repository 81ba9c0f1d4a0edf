/*
 * Theory: a program that we start belongs to the same host. So its environment names this library
 * (LD_PRELOAD) and the session (STANDIN_SESSION), whatever the program made of its environment, and
 * lists the stack sockets that stay open (STANDIN_FDS, adopt.c). A process that is switched off
 * leaves everything alone.
 *
 * All of it is built on the stack: exec is async-signal-safe, and in a vfork child the heap is the
 * parent's. system and popen take the environment inside libc; when that lacks something, the
 * shell's command begins with an export.
 */
#include "preload/hook.h"
#include "preload/real.h"

#include <alloca.h>
#include <stdlib.h>
#include <string.h>

#include "preload/adopt.h"
#include "preload/config.h"

#define TEXT_ROOM 2048

/* What a child's environment lacks. */
struct lacks {
    const char *line[CONFIG_COUNT + 1]; /* "NAME=value" */
    size_t n;
    bool hands; /* stack sockets stay open */
    char fds[TEXT_ROOM];
    char preload[TEXT_ROOM];
};

static size_t name_len(const char *line)
{
    return (size_t)(strchr(line, '=') - line) + 1;
}

/* The line of envp with the same name. */
static const char *find(char *const envp[], const char *line)
{
    size_t len = name_len(line);
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, line, len) == 0) {
            return *envp;
        }
    }
    return NULL;
}

/* LD_PRELOAD with this library in it, NULL when it is there; what else is in it stays. */
static const char *preload_line(char *const envp[], char *out, size_t room)
{
    const char *now = find(envp, "LD_PRELOAD=");
    const char *others = now ? now + sizeof "LD_PRELOAD=" - 1 : "";
    size_t need = sizeof "LD_PRELOAD=:" + strlen(config.library) + strlen(others);
    if (strstr(others, "libstandin.so") || need > room) {
        return NULL;
    }
    char *at = stpcpy(stpcpy(out, "LD_PRELOAD="), config.library);
    if (*others) {
        stpcpy(stpcpy(at, ":"), others);
    }
    return out;
}

static void find_lacks(struct lacks *l, char *const envp[], bool exec)
{
    l->n = 0;
    l->hands = false;
    if (!config.library[0]) {
        return; /* switched off */
    }
    const char *preload = preload_line(envp, l->preload, sizeof l->preload);
    const char *session = enter_session_env();
    if (preload) {
        l->line[l->n++] = preload;
    }
    if (session && !find(envp, session)) { /* another one is meant to be another one */
        l->line[l->n++] = session;
    }
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (i != CONFIG_SESSION && i != CONFIG_FDS && config.entry[i] &&
            !find(envp, config.entry[i])) {
            l->line[l->n++] = config.entry[i];
        }
    }
    if (adopt_list(l->fds, sizeof l->fds, exec)) {
        l->line[l->n++] = l->fds;
        l->hands = strchr(l->fds, ':') != NULL;
    }
}

static size_t count(char *const envp[])
{
    size_t n = 0;
    while (envp && envp[n]) {
        n++;
    }
    return n;
}

/* envp with what it lacked; a line of the same name is replaced. */
static void merge(char **out, char *const envp[], const struct lacks *l)
{
    for (size_t i = 0; i < l->n; i++) {
        *out++ = (char *)(uintptr_t)l->line[i];
    }
    for (; envp && *envp; envp++) {
        bool replaced = false;
        for (size_t i = 0; i < l->n; i++) {
            replaced |= strncmp(*envp, l->line[i], name_len(l->line[i])) == 0;
        }
        if (!replaced) {
            *out++ = *envp;
        }
    }
    *out = NULL;
}

/* A repaired environment in the caller's frame, as `env`. */
#define REPAIR(envp, exec)                                                                        \
    struct lacks lacks;                                                                           \
    find_lacks(&lacks, (envp), (exec));                                                           \
    char **env =                                                                                  \
        lacks.n ? alloca((count(envp) + lacks.n + 1) * sizeof *env) : (char **)(uintptr_t)(envp); \
    if (lacks.n) {                                                                                \
        merge(env, (envp), &lacks);                                                               \
    }

/* ------------------------------------------------------------------ exec */

/* An exec that came back has failed: what was let go of is taken again. */
static int came_back(int ret, bool hands)
{
    int saved = errno;
    adopt_exec_failed(hands);
    errno = saved;
    return ret;
}

HOOK int execve(const char *path, char *const argv[], char *const envp[])
{
    REPAIR(envp, true);
    adopt_exec_begin(lacks.hands);
    return came_back(real.execve(path, argv, env), lacks.hands);
}

HOOK int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    REPAIR(envp, true);
    adopt_exec_begin(lacks.hands);
    return came_back(real.execveat(dir, path, argv, env, flags), lacks.hands);
}

HOOK int fexecve(int fd, char *const argv[], char *const envp[])
{
    REPAIR(envp, true);
    adopt_exec_begin(lacks.hands);
    return came_back(real.fexecve(fd, argv, env), lacks.hands);
}

HOOK int execvpe(const char *file, char *const argv[], char *const envp[])
{
    REPAIR(envp, true);
    adopt_exec_begin(lacks.hands);
    return came_back(real.execvpe(file, argv, env), lacks.hands);
}

HOOK int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

HOOK int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

/* The words of an execl* call as a vector in the caller's frame, as `argv`; `ap` stands behind the
 * NULL. */
#define WORDS(first)                              \
    size_t n = 1;                                 \
    va_list ap;                                   \
    va_start(ap, first);                          \
    while (va_arg(ap, char *)) {                  \
        n++;                                      \
    }                                             \
    va_end(ap);                                   \
    char **argv = alloca((n + 1) * sizeof *argv); \
    argv[0] = (char *)(uintptr_t)(first);         \
    va_start(ap, first);                          \
    for (size_t i = 1; i <= n; i++) {             \
        argv[i] = va_arg(ap, char *);             \
    }

HOOK int execl(const char *path, const char *arg, ...)
{
    WORDS(arg);
    va_end(ap);
    return execve(path, argv, environ);
}

HOOK int execlp(const char *file, const char *arg, ...)
{
    WORDS(arg);
    va_end(ap);
    return execvpe(file, argv, environ);
}

HOOK int execle(const char *path, const char *arg, ...)
{
    WORDS(arg);
    char **envp = va_arg(ap, char **);
    va_end(ap);
    return execve(path, argv, envp);
}

/* ------------------------------------------------------------------ spawn, system, popen */

typedef int spawn_fn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
                     const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* Holds for the child what it is going to have, while its number is not known. */
static int spawn_holding(spawn_fn *fn, pid_t *pid, const char *path,
                         const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr,
                         char *const argv[], char *const envp[])
{
    pid_t child;
    adopt_spawn_begin();
    int err = fn(&child, path, fa, attr, argv, envp);
    adopt_spawn_done(err ? -1 : child);
    if (err == 0 && pid) {
        *pid = child;
    }
    return err;
}

HOOK int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
                     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    REPAIR(envp, false);
    if (lacks.hands && !hooks_off()) {
        return spawn_holding(real.posix_spawn, pid, path, fa, attr, argv, env);
    }
    return real.posix_spawn(pid, path, fa, attr, argv, env);
}

HOOK int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
                      const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    REPAIR(envp, false);
    if (lacks.hands && !hooks_off()) {
        return spawn_holding(real.posix_spawnp, pid, file, fa, attr, argv, env);
    }
    return real.posix_spawnp(pid, file, fa, attr, argv, env);
}

static void quote(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, out);
    }
    fputc('\'', out);
}

/* "export NAME='value' ...; command", malloced; NULL when nothing is lacking or there is no memory.
 */
static char *exported(const char *command)
{
    struct lacks lacks;
    char *text = NULL;
    size_t len;
    find_lacks(&lacks, environ, false);
    FILE *out = lacks.n ? open_memstream(&text, &len) : NULL;
    if (!out) {
        return NULL;
    }
    fputs("export", out);
    for (size_t i = 0; i < lacks.n; i++) {
        size_t name = name_len(lacks.line[i]);
        fprintf(out, " %.*s", (int)name, lacks.line[i]);
        quote(out, lacks.line[i] + name);
    }
    fprintf(out, "; %s", command);
    fclose(out);
    return text;
}

HOOK int system(const char *command)
{
    char *text = command && !hooks_off() ? exported(command) : NULL;
    int ret = real.system(text ? text : command);
    int saved = errno;
    free(text);
    errno = saved;
    return ret;
}

HOOK FILE *popen(const char *command, const char *type)
{
    char *text = hooks_off() ? NULL : exported(command);
    FILE *fp = real.popen(text ? text : command, type);
    int saved = errno;
    free(text);
    errno = saved;
    return fp;
}
