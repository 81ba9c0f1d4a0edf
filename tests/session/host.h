/*
 * host.h - for tests of the session: a network namespace, a session in it, processes that are
 * members, waiting.
 *
 * The test program itself starts sessions and is no member; members are its forked children, which
 * talk to it over a socket pair. A failed REQUIRE ends a child with a text; the parent sees that it
 * ended badly.
 */
#ifndef STANDIN_TESTS_SESSION_HOST_H
#define STANDIN_TESTS_SESSION_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tun/loop.h"
#include "tun/session.h"

#define REQUIRE(x) ((x) ? (void)0 : host_die(#x, __FILE__, __LINE__))
_Noreturn void host_die(const char *what, const char *file, int line);

/* A network namespace of the calling process's own, loopback up. */
void host_net(void);

/* What most tests use: addresses chosen, offload on. */
struct session_config host_config(void);

/* Starts a session that works. */
struct session_result host_start(void);

/* Joins it. */
void host_join(const struct session_result *r);

/* A child that runs fn(talk, arg) and exits with what it returns. */
struct child {
    pid_t pid;
    int talk; /* SOCK_SEQPACKET */
};
typedef int child_fn(int talk, void *arg);
struct child child_run(child_fn *fn, void *arg);

/* The same after joining the session. */
struct child member_run(const struct session_result *r, child_fn *fn, void *arg);

/* For child_run: sends back each datagram of one byte that comes to the socket *(int *)arg. */
child_fn host_echo;

/* One word over `talk`; hear fails the test after ten seconds, or when the other has gone. */
void say(int talk, int64_t word);
int64_t hear(int talk);

/* Waits for its end: the exit status, or -signal. */
int child_end(struct child *c);
void child_kill(struct child *c, int sig);

/* Until the condition holds, looked at every millisecond; false after `ms`. */
bool until(bool (*holds)(void *arg), void *arg, int ms);

bool keeper_runs(pid_t pid);
/* The keeper of a session this process has joined. */
pid_t keeper_of(void);
/* Until it has gone. */
bool keeper_ends(pid_t pid, int ms);

/* Whether a network device of that name is here. */
bool device_there(const char *name);

/* Open descriptors of this process. */
int count_fds(void);

/* What a program's thread sleeps on: TUN, timer and wake-up in one set, and a pollset with one
 * socket in it. */
struct sleeper {
    int epfd;
    int wake_fd;
    uint32_t number;
    struct pollset *set;
    int slept; /* times the kernel put us to sleep and woke us again */
};
enum { SLEEP_TUN, SLEEP_TIMER, SLEEP_WAKE };
void sleep_on(struct sleeper *w, int fd, uint32_t events, uint32_t what);
void sleeper_open(struct sleeper *w, struct loop *l);
void sleeper_close(struct sleeper *w);

/* Drives and sleeps until the socket shows one of `events`; false after `ms`. */
bool sleeper_wait(struct sleeper *w, struct sock *s, uint32_t events, int ms);

/* Stack sockets, with the lock taken inside. They fail the test on an error that is not *err. */
struct sock *stk_socket(int type);
void stk_bind(struct sock *s, const char *addr, uint16_t port);
int stk_connect(struct sock *s, const char *addr, uint16_t port);
int64_t stk_send(struct sock *s, const void *buf, size_t n);
int64_t stk_recv(struct sock *s, void *buf, size_t n);

/* Kernel sockets on the other side. */
int krn_socket(int type, const char *addr, uint16_t port); /* bound; listening for SOCK_STREAM */
int krn_connect(int type, const char *addr, uint16_t port);
uint16_t krn_port(int fd);

#endif
