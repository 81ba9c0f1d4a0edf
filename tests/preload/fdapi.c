/*
 * fdapi ADDRESS - what descriptors of sockets do: copies, flags, ranges, stdio, fork, exec,
 * SCM_RIGHTS, raw system calls. ADDRESS is one of this host's. Prints one line for each fact; the
 * stack's output must be the kernel's.
 */
/* NOLINTBEGIN(clang-analyzer-*): vfork, null pointers and leaks are what is tried out here */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *address;
static const char *self_path;

/* A connection; [0] connected, [1] was accepted. */
static void tcp_pair(int p[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &at.sin_addr);
    if (bind(l, (struct sockaddr *)&at, sizeof at) || listen(l, 5) ||
        getsockname(l, (struct sockaddr *)&at, &len)) {
        printf("cannot listen: %d\n", errno);
        exit(1);
    }
    p[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(p[0], (struct sockaddr *)&at, sizeof at)) {
        printf("cannot connect: %d\n", errno);
        exit(1);
    }
    p[1] = accept(l, NULL, NULL);
    close(l);
}

/* "GOT n bytes text" or the end of the stream, or an errno, within 2 seconds. */
static void got(const char *what, int fd)
{
    char buf[64] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 2000) != 1) {
        printf("%s: nothing came\n", what);
        return;
    }
    ssize_t n = read(fd, buf, sizeof buf - 1);
    printf("%s: %zd %s%s\n", what, n, n > 0 ? buf : "", n < 0 ? strerror(errno) : "");
}

static void put(int fd, const char *text)
{
    ssize_t n = write(fd, text, strlen(text));
    if (n != (ssize_t)strlen(text)) {
        printf("write: %zd errno %d\n", n, errno);
    }
}

static void say(const char *what, long ret)
{
    printf("%s: %ld%s%s\n", what, ret, ret < 0 ? " " : "", ret < 0 ? strerrorname_np(errno) : "");
}

static void numbers(void)
{
    int a = socket(AF_INET, SOCK_STREAM, 0);
    int b = socket(AF_INET, SOCK_DGRAM, 0);
    printf("numbers %d %d\n", a, b);
    close(a);
    int c = socket(AF_INET6, SOCK_STREAM, 0);
    printf("lowest free %d\n", c);
    struct stat st;
    printf("fstat %d socket %d\n", fstat(c, &st), S_ISSOCK(st.st_mode));
    say("lseek", lseek(c, 0, SEEK_CUR));
    char x;
    say("pread", pread(c, &x, 1, 0));
    say("pwrite", pwrite(c, &x, 1, 0));
    close(b);
    say("close twice", close(b));
    close(c);
}

static void copies(void)
{
    int p[2];
    tcp_pair(p);
    int d = dup(p[0]);
    int e = fcntl(p[0], F_DUPFD, 50);
    int f = fcntl(p[0], F_DUPFD_CLOEXEC, 50);
    printf("dup %d dupfd %d %d cloexec %d %d\n", d > p[0], e, f, fcntl(e, F_GETFD),
           fcntl(f, F_GETFD));
    say("dup2", dup2(p[0], 60));
    say("dup2 itself", dup2(p[0], p[0]));
    say("dup3 itself", dup3(p[0], p[0], 0));
    say("dup3", dup3(p[0], 61, O_CLOEXEC));
    say("dup2 of nothing", dup2(999, 60));
    put(60, "via 60");
    got("peer", p[1]);
    close(p[0]);
    close(d);
    close(e);
    close(f);
    close(60);
    put(61, "the last");
    got("peer", p[1]);
    close(61);
    got("peer after all closed", p[1]);
    close(p[1]);
}

static void overwritten(void)
{
    int p[2], q[2];
    tcp_pair(p);
    tcp_pair(q);
    put(q[0], "q");
    say("dup2 over a socket", dup2(q[1], p[0]) == p[0]);
    got("its peer", p[1]);
    got("the number", p[0]);
    int null = open("/dev/null", O_RDWR);
    say("dup2 of a file over it", dup2(null, p[0]) == p[0]);
    char c;
    say("read", read(p[0], &c, 1));
    close(q[1]);
    got("q's peer", q[0]);
    close(p[0]);
    close(p[1]);
    close(q[0]);
    close(null);
}

static void flags(void)
{
    int p[2];
    char c;
    tcp_pair(p);
    int d = dup(p[1]);
    printf("getfl %x\n", (unsigned)fcntl(p[1], F_GETFL));
    say("setfl", fcntl(p[1], F_SETFL, O_NONBLOCK));
    printf("getfl %x %x\n", (unsigned)fcntl(p[1], F_GETFL), (unsigned)fcntl(d, F_GETFL));
    say("read", read(d, &c, 1));
    pid_t child = fork();
    if (child == 0) {
        fcntl(p[1], F_SETFL, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    printf("getfl after the child's setfl %x\n", (unsigned)fcntl(p[1], F_GETFL));
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    printf("born %x %x\n", (unsigned)fcntl(s, F_GETFL), (unsigned)fcntl(s, F_GETFD));
    close(s);
    close(d);
    close(p[0]);
    close(p[1]);
}

static void ranges(void)
{
    int p[2], q[2];
    tcp_pair(p);
    tcp_pair(q);
    dup2(p[0], 40);
    dup2(q[0], 41);
    close(p[0]);
    close(q[0]);
    say("close_range", close_range(40, 100, 0));
    got("p", p[1]);
    got("q", q[1]);
    say("EBADF", close(40));
    close(p[1]);
    close(q[1]);
    say("bad flags", close_range(40, 41, 0x100));
    say("backwards", close_range(41, 40, 0));
    tcp_pair(p);
    tcp_pair(q);
    dup2(p[0], 45);
    close(p[0]);
    say("cloexec", close_range(45, 45, CLOSE_RANGE_CLOEXEC));
    printf("getfd %d\n", fcntl(45, F_GETFD));
    put(45, "still open");
    got("p", p[1]);
    closefrom(43);
    got("p", p[1]);
    put(q[0], "below");
    got("q", q[1]);
    close(p[1]);
    close(q[0]);
    close(q[1]);
    for (int fd = 3; fd < 20000; fd++) {
        close(fd);
    }
    syscall(SYS_close_range, 3, ~0u, 0);
    tcp_pair(p);
    put(p[0], "after closing everything");
    got("p", p[1]);
    close(p[0]);
    close(p[1]);
}

static void streams(void)
{
    int p[2];
    char line[64] = "";
    tcp_pair(p);
    FILE *out = fdopen(p[0], "w");
    FILE *in = fdopen(p[1], "r");
    printf("fileno %d %d\n", fileno(out) == p[0], fileno(in) == p[1]);
    fprintf(out, "line %d\n", 1);
    fflush(out);
    printf("fgets %s", fgets(line, sizeof line, in));
    printf("dprintf %d\n", dprintf(p[0], "line %s\n", "two"));
    printf("fgets %s", fgets(line, sizeof line, in));
    fprintf(out, "line three\nline four");
    printf("fclose %d\n", fclose(out));
    say("close after fclose", close(p[0]));
    printf("fgets %s", fgets(line, sizeof line, in));
    printf("fgets %s\n", fgets(line, sizeof line, in));
    printf("end %d %d\n", fgets(line, sizeof line, in) == NULL, feof(in));
    fclose(in);
    tcp_pair(p);
    FILE *both = fdopen(p[0], "r+");
    put(p[1], "question\n");
    printf("r+ %s", fgets(line, sizeof line, both));
    fputs("answer\n", both);
    fflush(both);
    got("peer", p[1]);
    fclose(both);
    got("peer", p[1]);
    close(p[1]);
    say("fdopen of nothing", fdopen(999, "r") != NULL);
}

/* Each side of a fork closes its own. */
static void forks(void)
{
    int p[2];
    tcp_pair(p);
    pid_t child = fork();
    if (child == 0) {
        close(p[1]);
        usleep(50000);
        put(p[0], "from the child");
        usleep(50000);
        _exit(0);
    }
    close(p[0]);
    got("parent", p[1]);
    got("parent", p[1]);
    waitpid(child, NULL, 0);
    close(p[1]);
    tcp_pair(p);
    child = fork();
    if (child == 0) {
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    put(p[0], "a dead child closes nothing");
    got("parent", p[1]);
    close(p[0]);
    got("parent", p[1]);
    close(p[1]);
    tcp_pair(p);
    child = vfork();
    if (child == 0) {
        close(p[0]);
        close(p[1]);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    put(p[0], "nor does a vfork child");
    got("parent", p[1]);
    close(p[0]);
    close(p[1]);
}

/* A program may close what it does not know, and not by libc. */
static long inline_call(long n, long a, long b, long c)
{
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return ret;
}

static void behind(void)
{
    int p[2];
    say("close_range, inline", inline_call(SYS_close_range, 100, ~0u, 0));
    tcp_pair(p);
    put(p[0], "still there");
    got("p", p[1]);
    close(p[0]);
    close(p[1]);
    for (int fd = 3; fd < 5000; fd++) {
        inline_call(SYS_close, fd, 0, 0);
    }
    for (int i = 0; i < 3; i++) {
        tcp_pair(p);
        put(p[0], "and still");
        got("p", p[1]);
        close(p[0]);
        close(p[1]);
    }
}

/* A close that lingers takes as long as the peer does not read; others do not wait. */
static void lingers(int seconds)
{
    static char buf[1 << 20];
    int p[2];
    struct linger lg = {seconds > 0, seconds};
    struct timespec a, b;
    tcp_pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    size_t sent = 0, came = 0;
    for (ssize_t n; (n = write(p[0], buf, sizeof buf)) > 0;) {
        sent += (size_t)n;
    }
    pid_t child = fork();
    if (child == 0) {
        close(p[0]);
        usleep(300000);
        for (ssize_t n; (n = read(p[1], buf, sizeof buf)) > 0;) {
            came += (size_t)n;
        }
        _exit(came == sent ? 7 : 8);
    }
    close(p[1]);
    usleep(100000); /* the child has closed its own */
    clock_gettime(CLOCK_MONOTONIC, &a);
    say("close", close(p[0]));
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    int status = 0;
    waitpid(child, &status, 0);
    printf("all came %d\n", WEXITSTATUS(status) == 7);
    printf("linger %d waited %d\n", seconds, ms > 100 && ms < 900);
}

/* What the child of exec does: says what it has on number 0. */
static int exec_child(const char *how)
{
    if (strcmp(how, "exec") == 0) {
        put(0, "from the new program");
        usleep(50000); /* the other one prints first */
        got("new program", 0);
    } else if (strcmp(how, "stdio") == 0) {
        char line[64] = "";
        printf("new program: %s", fgets(line, sizeof line, stdin));
    }
    fflush(stdout);
    return 0;
}

static pid_t exec_forked(int fd, char **argv, char **envp)
{
    pid_t child = fork();
    if (child == 0) {
        dup2(fd, 0);
        close(fd);
        execve(self_path, argv, envp);
        _exit(1);
    }
    return child;
}

static pid_t exec_vforked(int fd, char **argv, char **envp)
{
    pid_t child = vfork();
    if (child == 0) {
        dup2(fd, 0);
        close(fd);
        execve(self_path, argv, envp);
        _exit(1);
    }
    return child;
}

static pid_t exec_spawned(int fd, char **argv, char **envp)
{
    pid_t child = -1;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fd, 0);
    posix_spawn_file_actions_addclose(&fa, fd);
    posix_spawn(&child, self_path, &fa, NULL, argv, envp);
    return child;
}

/* The parent closes its own at once. */
static void exec_one(const char *what, pid_t (*how)(int, char **, char **), char **envp)
{
    int p[2];
    char *argv[] = {(char *)self_path, (char *)address, "exec", NULL};
    tcp_pair(p);
    fcntl(p[1], F_SETFD, FD_CLOEXEC);
    put(p[1], "from the old one");
    pid_t child = how(p[0], argv, envp);
    close(p[0]);
    got(what, p[1]);
    waitpid(child, NULL, 0);
    got("after it has gone", p[1]);
    close(p[1]);
}

static void execs(void)
{
    char *none[] = {"A=B", NULL};
    exec_one("fork", exec_forked, environ);
    exec_one("vfork", exec_vforked, environ);
    exec_one("spawn", exec_spawned, environ);
    exec_one("fork, no environment", exec_forked, none);
    exec_one("vfork, no environment", exec_vforked, none);
    exec_one("spawn, no environment", exec_spawned, none);
}

static void cloexec(void)
{
    int p[2];
    tcp_pair(p);
    fcntl(p[0], F_SETFD, FD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        close(p[1]);
        execlp("sleep", "sleep", "3", (char *)NULL);
        _exit(1);
    }
    usleep(100000);
    close(p[0]);
    got("close-on-exec", p[1]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(p[1]);
    tcp_pair(p);
    fcntl(p[0], F_SETFD, FD_CLOEXEC);
    child = fork();
    if (child == 0) {
        execl("/nowhere", "x", (char *)NULL);
        usleep(50000);
        put(p[0], "exec failed");
        _exit(0);
    }
    close(p[0]);
    got("failed exec", p[1]);
    waitpid(child, NULL, 0);
    close(p[1]);
}

/* stdio on an inherited socket, and on one that dup2 puts there. */
static void standard_streams(void)
{
    int p[2];
    char *argv[] = {(char *)self_path, (char *)address, "stdio", NULL};
    tcp_pair(p);
    put(p[1], "a line for stdin\n");
    pid_t child = exec_forked(p[0], argv, environ);
    waitpid(child, NULL, 0);
    close(p[0]);
    close(p[1]);
    tcp_pair(p);
    child = fork();
    if (child == 0) {
        char line[64] = "";
        dup2(p[0], 0);
        dup2(p[0], 1);
        printf("asked: %s", fgets(line, sizeof line, stdin));
        exit(0);
    }
    put(p[1], "by dup2\n");
    waitpid(child, NULL, 0);
    got("printf", p[1]);
    close(p[0]);
    close(p[1]);
}

static void send_fd(int via, int fd)
{
    char c = 'f';
    struct iovec v = {&c, 1};
    char control[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8))) = {0};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    say("sendmsg", sendmsg(via, &m, 0));
}

static int recv_fd(int via)
{
    char c;
    int fd = -1;
    struct iovec v = {&c, 1};
    char control[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8)));
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(via, &m, 0) == 1 && CMSG_FIRSTHDR(&m)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    }
    return fd;
}

static void rights(void)
{
    int p[2], u[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, u)) {
        return;
    }
    pid_t child = fork(); /* before the connection is there */
    if (child == 0) {
        int fd = recv_fd(u[1]);
        put(fd, "from the receiver");
        got("receiver", fd);
        fflush(stdout);
        _exit(0);
    }
    tcp_pair(p);
    send_fd(u[0], p[0]);
    usleep(100000);
    close(p[0]);
    got("sender", p[1]);
    put(p[1], "to the receiver");
    waitpid(child, NULL, 0);
    got("after it has gone", p[1]);
    close(p[1]);
    tcp_pair(p);
    send_fd(u[0], p[0]);
    int fd = recv_fd(u[1]);
    close(p[0]);
    put(fd, "a copy by mail");
    got("peer", p[1]);
    close(fd);
    got("peer", p[1]);
    close(p[1]);
    close(u[0]);
    close(u[1]);
}

static void raw(void)
{
    int p[2];
    char buf[16] = "";
    tcp_pair(p);
    say("write", syscall(SYS_write, p[0], "raw", 3));
    say("read", syscall(SYS_read, p[1], buf, sizeof buf));
    printf("%s\n", buf);
    say("fcntl", syscall(SYS_fcntl, p[1], F_SETFL, O_NONBLOCK));
    say("recvfrom", syscall(SYS_recvfrom, p[1], buf, sizeof buf, 0, NULL, NULL));
    long d = syscall(SYS_dup, p[0]);
    say("close", syscall(SYS_close, p[0]));
    say("sendto", syscall(SYS_sendto, d, "more", 4, 0, NULL, 0));
    struct pollfd f = {.fd = p[1], .events = POLLIN};
    say("poll", syscall(SYS_poll, &f, 1, 1000));
    struct timespec t = {1, 0};
    say("ppoll", syscall(SYS_ppoll, &f, 1, &t, NULL, 8));
    say("ppoll, wrong size", syscall(SYS_ppoll, &f, 1, &t, &t, 7));
    say("getpid", syscall(SYS_getpid) == getpid());
    say("close", syscall(SYS_close, d));
    say("close", syscall(SYS_close, d));
    close(p[1]);
}

static void limits(void)
{
    struct rlimit lim = {8ull << 30, RLIM_INFINITY}, now;
    int p[2];
    say("setrlimit", setrlimit(RLIMIT_AS, &lim));
    getrlimit(RLIMIT_AS, &now);
    printf("as %lld\n", (long long)now.rlim_cur);
    tcp_pair(p);
    put(p[0], "in 8 GiB");
    got("peer", p[1]);
    close(p[0]);
    close(p[1]);
    void *m = malloc(4ull << 30);
    printf("malloc of 4 GiB %d\n", m != NULL);
    free(m);
    say("system", system("exit 3"));
    lim = (struct rlimit){64, 64};
    say("setrlimit", setrlimit(RLIMIT_NOFILE, &lim));
    tcp_pair(p);
    put(p[0], "with 64 descriptors");
    got("peer", p[1]);
    int n = 0;
    while (n < 100 && socket(AF_INET, SOCK_STREAM, 0) >= 0) {
        n++;
    }
    printf("more sockets %d errno %s\n", n > 40, strerrorname_np(errno));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    self_path = argv[0];
    address = argv[1];
    if (argc > 2) {
        return exec_child(argv[2]);
    }
    numbers();
    copies();
    overwritten();
    flags();
    ranges();
    streams();
    forks();
    rights();
    raw();
    behind();
    lingers(0);
    lingers(5);
    execs();
    cloexec();
    standard_streams();
    limits();
    return 0;
}
/* NOLINTEND(clang-analyzer-*) */
