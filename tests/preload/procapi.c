/*
 * procapi - every way to start something. Prints one line for each; the output with the library
 * must be that without it.
 */
/* NOLINTBEGIN(clang-analyzer-*): vfork, null pointers and leaks are what is tried out here */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int shared;

static void report(const char *what, pid_t child)
{
    int status = -1;
    if (child < 0) {
        printf("%s: errno %d\n", what, errno);
        return;
    }
    waitpid(child, &status, 0);
    printf("%s: %s %d\n", what, WIFEXITED(status) ? "exit" : "signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    fflush(stdout);
}

/* sh -c 'exit $X' in all the forms of exec; the environment says X=n. */
static void exec_form(int form)
{
    char *argv[] = {"sh", "-c", "exit $X", NULL};
    char *envp[] = {"X=9", NULL};
    int sh = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    setenv("X", "8", 1);
    switch (form) {
    case 0:
        execve("/bin/sh", argv, envp);
        break;
    case 1:
        execv("/bin/sh", argv);
        break;
    case 2:
        execvp("sh", argv);
        break;
    case 3:
        execvpe("sh", argv, envp);
        break;
    case 4:
        execl("/bin/sh", "sh", "-c", "exit $X", (char *)NULL);
        break;
    case 5:
        execlp("sh", "sh", "-c", "exit $X", (char *)NULL);
        break;
    case 6:
        execle("/bin/sh", "sh", "-c", "exit $X", (char *)NULL, envp);
        break;
    case 7:
        fexecve(sh, argv, envp);
        break;
    case 8:
        execveat(AT_FDCWD, "/bin/sh", argv, envp, 0);
        break;
    case 9:
        syscall(SYS_execve, "/bin/sh", argv, envp);
        break;
    case 10:
        execve("/bin/true", argv, NULL);
        break;
    case 11:
        execve("/nowhere", argv, envp);
        _exit(errno == ENOENT ? 77 : 78);
    default:
        break;
    }
    _exit(99);
}

static void exec_both(int form)
{
    char what[32];
    pid_t child = fork();
    if (child == 0) {
        exec_form(form);
    }
    snprintf(what, sizeof what, "fork exec %d", form);
    report(what, child);
    child = vfork();
    if (child == 0) {
        exec_form(form);
    }
    snprintf(what, sizeof what, "vfork exec %d", form);
    report(what, child);
}

static void execs(void)
{
    for (int form = 0; form <= 11; form++) {
        exec_both(form);
    }
}

/* The child runs on our memory, and its descriptors are its own. */
static void vforks(void)
{
    int p[2];
    if (pipe(p) != 0) {
        return;
    }
    pid_t child = vfork();
    if (child == 0) {
        shared = 5;
        close(p[0]);
        close(p[1]);
        dup2(1, p[0]);
        _exit(4);
    }
    report("vfork", child);
    printf("shared %d pipe %zd\n", shared, write(p[1], "x", 1));
    close(p[0]);
    close(p[1]);
    child = vfork();
    if (child == 0) {
        pid_t inner = vfork();
        if (inner == 0) {
            shared++;
            _exit(0);
        }
        _exit(inner > 0 ? 6 : 7);
    }
    report("vfork in vfork", child);
    printf("shared %d\n", shared);
}

static int fn(void *arg)
{
    shared = 11;
    return *(int *)arg;
}

static void clones(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int seven = 7;
    report("clone", clone(fn, stack + sizeof stack, SIGCHLD, &seven));
    printf("shared %d\n", shared);
    report("clone vm", clone(fn, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &seven));
    printf("shared %d\n", shared);
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        _exit(12);
    }
    report("syscall fork", child);
    child = _Fork();
    if (child == 0) {
        _exit(13);
    }
    report("_Fork", child);
    int master;
    child = forkpty(&master, NULL, NULL, NULL);
    if (child == 0) {
        _exit(isatty(0) ? 14 : 15);
    }
    report("forkpty", child);
}

static void spawns(void)
{
    char *argv[] = {"sh", "-c", "exit $X", NULL};
    char *envp[] = {"X=21", NULL};
    pid_t child = -1;
    int r = posix_spawn(&child, "/bin/sh", NULL, NULL, argv, envp);
    printf("spawn %d\n", r);
    report("posix_spawn", child);
    r = posix_spawnp(&child, "sh", NULL, NULL, argv, envp);
    printf("spawn %d\n", r);
    report("posix_spawnp", child);
    printf("spawn %d\n", posix_spawn(&child, "/nowhere", NULL, NULL, argv, envp));
    printf("system %d\n", system("exit 3"));
    printf("system NULL %d\n", system(NULL) != 0);
    char line[64] = "";
    FILE *fp = popen("echo it\\'s; exit 5", "r");
    if (!fgets(line, sizeof line, fp)) {
        line[0] = '\0';
    }
    int status = pclose(fp);
    printf("popen %s%d\n", line, WEXITSTATUS(status));
}

static void daemons(void)
{
    int p[2];
    char c = '?';
    if (pipe(p) != 0) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        close(p[0]);
        if (daemon(0, 0) == 0) {
            c = getsid(0) == getpid() && lseek(0, 0, SEEK_CUR) == 0 ? 'y' : 'n';
            if (write(p[1], &c, 1) != 1) {
                _exit(1);
            }
        }
        _exit(0);
    }
    close(p[1]);
    ssize_t n = read(p[0], &c, 1);
    printf("daemon %zd %c\n", n, c);
    close(p[0]);
    report("its parent", child);
}

static void *forker(void *arg)
{
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
    return arg;
}

static void threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, forker, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
    }
    printf("threads forked\n");
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    execs();
    vforks();
    clones();
    spawns();
    daemons();
    threads();
    return 0;
}
/* NOLINTEND(clang-analyzer-*) */
