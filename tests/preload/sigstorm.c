/*
 * sigstorm ADDRESS TEST - signals while a thread sends, receives and sleeps on TCP sockets of
 * ADDRESS, one of this host's. Prints "TEST ok ..." and returns 0, or says what was wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIG (SIGRTMIN + 3)

static const char *address;
static int ours, theirs; /* the two ends of a connection */
static atomic_uint ran;
static atomic_ulong sum;
static atomic_uint wrong;

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            printf("line %d: %s, errno %d\n", __LINE__, #x, errno); \
            exit(1);                                                \
        }                                                           \
    } while (0)

static void connect_pair(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &at.sin_addr);
    MUST(bind(l, (struct sockaddr *)&at, sizeof at) == 0);
    MUST(listen(l, 5) == 0);
    MUST(getsockname(l, (struct sockaddr *)&at, &len) == 0);
    ours = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(ours, (struct sockaddr *)&at, sizeof at) == 0);
    theirs = accept(l, NULL, NULL);
    MUST(theirs >= 0);
    close(l);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction a = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};
    MUST(sigaction(sig, &a, NULL) == 0);
}

/* ------------------------------------------------------------------ none is lost */

static void counting(int sig, siginfo_t *info, void *uc)
{
    (void)uc;
    if (sig != SIG || info->si_code != SI_QUEUE || info->si_pid != getpid()) {
        wrong++;
    }
    sum += (unsigned)info->si_value.sival_int;
    ran++;
}

static void *sender(void *arg)
{
    pthread_t to = *(pthread_t *)arg;
    unsigned n = 100000;
    for (unsigned i = 1; i <= n; i++) {
        union sigval v = {.sival_int = (int)i};
        while (i - ran > 64) {
            sched_yield();
        }
        MUST(pthread_sigqueue(to, SIG, v) == 0);
    }
    return NULL;
}

static void none_lost(void)
{
    pthread_t t, me = pthread_self();
    char buf[512];
    handle(SIG, counting, SA_RESTART);
    pthread_create(&t, NULL, sender, &me);
    while (ran < 100000) {
        MUST(send(ours, buf, sizeof buf, 0) == sizeof buf);
        size_t got = 0;
        while (got < sizeof buf) {
            ssize_t n = recv(theirs, buf, sizeof buf - got, 0);
            MUST(n > 0);
            got += (size_t)n;
        }
    }
    pthread_join(t, NULL);
    MUST(sum == 100000ul * 100001 / 2);
    MUST(wrong == 0);
    printf("lost ok: 100000 signals, values and siginfo right\n");
}

/* ------------------------------------------------------------------ EINTR, SA_RESTART */

static void nothing(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)info;
    (void)uc;
    ran++;
}

static void every(long us, long first)
{
    struct itimerval v = {{0, us}, {0, first}};
    MUST(setitimer(ITIMER_REAL, &v, NULL) == 0);
}

static void *late_byte(void *arg)
{
    (void)arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    usleep(150000);
    MUST(send(ours, "x", 1, 0) == 1);
    return NULL;
}

static void restarts(void)
{
    pthread_t t;
    char c;
    handle(SIGALRM, nothing, SA_RESTART);
    pthread_create(&t, NULL, late_byte, NULL);
    every(2000, 2000);
    MUST(recv(theirs, &c, 1, 0) == 1);
    MUST(ran > 20);
    every(0, 0);
    pthread_join(t, NULL);

    handle(SIGALRM, nothing, 0);
    every(0, 20000);
    MUST(recv(theirs, &c, 1, 0) == -1 && errno == EINTR);
    every(0, 20000);
    MUST(read(theirs, &c, 1) == -1 && errno == EINTR);
    /* poll and epoll_wait are never restarted */
    handle(SIGALRM, nothing, SA_RESTART);
    struct pollfd p = {.fd = theirs, .events = POLLIN};
    every(0, 20000);
    MUST(poll(&p, 1, 5000) == -1 && errno == EINTR);
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(0);
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, theirs, &ev) == 0);
    every(0, 20000);
    MUST(epoll_wait(ep, &ev, 1, 5000) == -1 && errno == EINTR);
    /* a socket with a timeout is not restarted either */
    struct timeval tv = {5, 0};
    MUST(setsockopt(theirs, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    every(0, 20000);
    MUST(recv(theirs, &c, 1, 0) == -1 && errno == EINTR);
    printf("restart ok\n");
}

/* ------------------------------------------------------------------ no interruption is lost */

static unsigned chance(unsigned below)
{
    static unsigned x = 12345;
    x = x * 1103515245 + 12345;
    return x / 65536 % below;
}

/* The signal is blocked but for the wait: it must end it, whenever it comes. */
static void masks(void)
{
    sigset_t block, open;
    struct pollfd p = {.fd = theirs, .events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    struct timespec limit = {10, 0};
    fd_set r;
    int ep = epoll_create1(0);
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, theirs, &ev) == 0);
    handle(SIGALRM, nothing, SA_RESTART);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, &open);
    for (unsigned i = 0; i < 2000; i++) {
        unsigned before = ran;
        every(0, 1 + (long)chance(100));
        int n = -2;
        if (i % 3 == 0) {
            n = ppoll(&p, 1, &limit, &open);
        } else if (i % 3 == 1) {
            n = epoll_pwait(ep, &ev, 1, 10000, &open);
        } else {
            FD_ZERO(&r);
            FD_SET(theirs, &r);
            n = pselect(theirs + 1, &r, NULL, NULL, &limit, &open);
        }
        MUST(n == -1 && errno == EINTR);
        MUST(ran == before + 1);
    }
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    MUST(sigismember(&now, SIGALRM));
    printf("mask ok: 2000 interruptions, none lost\n");
}

static volatile sig_atomic_t calling;

/* A signal that comes while the call is under way ends it, at whatever instruction. */
static void mark(int sig, siginfo_t *info, void *uc)
{
    nothing(sig, info, uc);
    calling = 0;
}

static void instants(void)
{
    unsigned missed = 0;
    char c;
    handle(SIGALRM, mark, 0);
    for (unsigned i = 0; i < 20000; i++) {
        calling = 1;
        every(0, 1 + (long)chance(60));
        if (!calling) {
            continue;
        }
        every(3000,
              1 + (long)chance(40)); /* the second one ends a wait that the first one missed */
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        MUST(recv(theirs, &c, 1, 0) == -1 && errno == EINTR);
        clock_gettime(CLOCK_MONOTONIC, &b);
        missed += (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec > 2500000;
    }
    every(0, 0);
    printf("instants ok: %u of 20000 came before the call\n", missed);
}

/* ------------------------------------------------------------------ leaving by siglongjmp */

static sigjmp_buf out;

static void jump(int sig, siginfo_t *info, void *uc)
{
    (void)info;
    (void)uc;
    siglongjmp(out, sig);
}

static void jumps(void)
{
    char c;
    volatile unsigned jumped = 0;
    handle(SIGALRM, jump, 0);
    for (volatile int i = 0; i < 2000; i++) {
        if (sigsetjmp(out, 1) == 0) {
            every(0, 1 + (long)chance(150));
            recv(theirs, &c, 1, 0);
            MUST(0);
        }
        jumped++;
    }
    MUST(send(ours, "y", 1, 0) == 1);
    MUST(recv(theirs, &c, 1, 0) == 1 && c == 'y');
    printf("jump ok: %u jumps out of recv\n", jumped);
}

/* A handler may use the same sockets, while the thread below it sleeps on one of them. */
static void answers(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)info;
    (void)uc;
    char c;
    MUST(send(ours, "z", 1, 0) == 1);
    MUST(recv(theirs, &c, 1, 0) == 1);
    MUST(send(ours, "w", 1, 0) == 1);
    ran++;
}

static void inside(void)
{
    char c;
    handle(SIGALRM, answers, SA_RESTART);
    for (unsigned i = 0; i < 1000; i++) {
        every(0, 1 + (long)chance(100));
        MUST(recv(theirs, &c, 1, 0) == 1 && c == 'w');
        while (ran <= i) {
            sched_yield();
        }
    }
    printf("inside ok: handlers sent and received\n");
}

/* ------------------------------------------------------------------ faults, alternate stacks,
 * signalfd */

/* A bad buffer: EFAULT as the kernel's, or the program's own handler, which leaves; then all goes
 * on. */
static void fault(void)
{
    char c;
    handle(SIGSEGV, jump, SA_NODEFER);
    for (volatile int i = 0; i < 100; i++) {
        if (sigsetjmp(out, 1) == 0) {
            ssize_t n = send(ours, (void *)16, 100, 0);
            MUST(n == -1 && errno == EFAULT);
        } else {
            close(ours); /* what it was touching was aborted */
            close(theirs);
            connect_pair();
        }
    }
    MUST(send(ours, "v", 1, 0) == 1);
    MUST(recv(theirs, &c, 1, 0) == 1 && c == 'v');
    printf("fault ok\n");
}

static char *alt;

static void on_alt(int sig, siginfo_t *info, void *uc)
{
    char here;
    nothing(sig, info, uc);
    if (&here < alt || &here >= alt + SIGSTKSZ * 4) {
        wrong++;
    }
}

static void altstack(void)
{
    alt = malloc((size_t)SIGSTKSZ * 4);
    stack_t ss = {.ss_sp = alt, .ss_size = (size_t)SIGSTKSZ * 4};
    char c[64];
    MUST(sigaltstack(&ss, NULL) == 0);
    handle(SIGALRM, on_alt, SA_ONSTACK | SA_RESTART);
    every(100, 100);
    while (ran < 500) {
        MUST(send(ours, c, sizeof c, 0) == sizeof c);
        MUST(recv(theirs, c, sizeof c, MSG_WAITALL) == sizeof c);
    }
    every(0, 0);
    MUST(wrong == 0);
    printf("altstack ok\n");
}

static void dies(void)
{
    pid_t child = fork();
    if (child == 0) {
        char c;
        alarm(1);
        recv(theirs, &c, 1, 0);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    printf("dies ok\n");
}

/* ------------------------------------------------------------------ cancellation */

static atomic_int cleaned;

static void cleanup(void *arg)
{
    (void)arg;
    cleaned++;
}

static void *blocked(void *arg)
{
    char c;
    struct pollfd p = {.fd = theirs, .events = POLLIN};
    struct epoll_event ev = {.events = EPOLLIN};
    int how = *(int *)arg;
    pthread_cleanup_push(cleanup, NULL);
    if (how == 0) {
        recv(theirs, &c, 1, 0);
    } else if (how == 1) {
        read(theirs, &c, 1);
    } else if (how == 2) {
        poll(&p, 1, -1);
    } else if (how == 3) {
        int ep = epoll_create1(0);
        epoll_ctl(ep, EPOLL_CTL_ADD, theirs, &ev);
        epoll_wait(ep, &ev, 1, -1);
    } else {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        recv(theirs, &c, 1, 0);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancels(void)
{
    char c;
    for (int round = 0; round < 250; round++) {
        int how = round % 5;
        pthread_t t;
        void *ret;
        pthread_create(&t, NULL, blocked, &how);
        usleep(chance(300));
        MUST(pthread_cancel(t) == 0);
        if (how == 4) {
            usleep(500);
            MUST(send(ours, "u", 1, 0) == 1);
        }
        MUST(pthread_join(t, &ret) == 0);
        MUST(ret == PTHREAD_CANCELED);
    }
    MUST(cleaned > 0);
    while (recv(theirs, &c, 1, MSG_DONTWAIT) == 1) {
    }
    MUST(send(ours, "t", 1, 0) == 1);
    MUST(recv(theirs, &c, 1, 0) == 1 && c == 't');
    printf("cancel ok: %d cleaned up\n", cleaned);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } tests[] = {{"lost", none_lost},   {"restart", restarts},  {"mask", masks},
                 {"jump", jumps},       {"inside", inside},     {"fault", fault},
                 {"dies", dies},        {"altstack", altstack}, {"cancel", cancels},
                 {"instants", instants}};
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 3) {
        return 2;
    }
    address = argv[1];
    connect_pair();
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(tests[i].name, argv[2]) == 0) {
            tests[i].fn();
            return 0;
        }
    }
    return 2;
}
