/*
 * Theory: see sleep.h. The stub is the whole critical section between the last look at
 * self.interrupted and the kernel: a wrapper that finds its program counter between sleep_stub and
 * sleep_stub_end knows that the system call has not been executed (the counter moves on before a
 * handler of an interrupted call runs) and sends the thread to sleep_stub_intr.
 *
 * What a cancelled thread leaves is cleaned by a thread-specific destructor, not by a cleanup
 * handler: a handler of the program may leave the sleep by siglongjmp, which would leave the
 * cleanup handler registered on a dead stack. Its key is made in the constructor, before that of
 * the thread's pollset (block.c): glibc runs destructors in that order.
 */
#include "preload/sleep.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/check.h"
#include "tun/sys.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* rdi: epfd, rsi: events, rdx: max, rcx: timeout, r8: mask, r9: &self.interrupted; the number is in
 * sleep_number. */
long sleep_stub(int epfd, struct epoll_event *ev, int max, const void *timeout,
                const sigset_t *mask, const uint32_t *interrupted);
extern const char sleep_stub_end[];
extern const char sleep_stub_intr[];
extern long sleep_number;

static pthread_key_t end_key;
long sleep_number = SYS_epoll_pwait2; /* SYS_epoll_pwait before Linux 5.11 */

__asm__(".pushsection .text\n"
        ".hidden sleep_stub, sleep_stub_end, sleep_stub_intr\n"
        ".globl sleep_stub\n"
        ".type sleep_stub, @function\n"
        "sleep_stub:\n"
        "    .cfi_startproc\n"
        "    mov sleep_number(%rip), %rax\n"
        "    mov %rcx, %r10\n"
        "    cmpl $0, (%r9)\n"
        "    mov $8, %r9d\n" /* bytes of a signal set */
        "    jne sleep_stub_intr\n"
        "    syscall\n"
        "sleep_stub_end:\n"
        "    ret\n"
        "sleep_stub_intr:\n"
        "    mov $-4, %rax\n" /* -EINTR */
        "    ret\n"
        "    .cfi_endproc\n"
        ".size sleep_stub, .-sleep_stub\n"
        ".popsection\n");
_Static_assert(EINTR == 4 && sizeof(uint64_t) == 8, "the stub knows these");

uintptr_t sleep_divert(uintptr_t pc)
{
    bool inside = pc >= (uintptr_t)sleep_stub && pc < (uintptr_t)sleep_stub_end;
    return inside ? (uintptr_t)sleep_stub_intr : pc;
}

static void unmark(void)
{
    struct env *env = self.asleep ? enter() : NULL;
    if (env) {
        sleep_unmark();
        leave(env);
    }
    self.asleep = NULL;
}

int sleep_interrupt(void)
{
    int type = -1;
    if (self.async_cancel) {
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
        self.async_cancel = false;
    }
    unmark();
    return type;
}

void sleep_resume(int type)
{
    if (type >= 0) {
        self.async_cancel = true;
        pthread_setcanceltype(type, NULL);
    }
}

/* The thread ends; asleep only if it was cancelled there, or a handler called pthread_exit. */
static void thread_end(void *unused)
{
    (void)unused;
    self.async_cancel = false;
    if (self.asleep) {
        unmark();
        struct env *env = enter();
        if (env) {
            bool drained;
            drive_turn(&the_session, env, 0, &drained); /* it may have eaten a packet's wake-up */
            leave(env);
        }
    }
}

void sleep_init(void)
{
    pthread_key_create(&end_key, thread_end);
}

/* epoll_pwait's milliseconds: rounded up, so that nobody wakes too early. */
static const void *timeout_ms(const struct timespec *t)
{
    if (!t) {
        return (const void *)(intptr_t)-1;
    }
    int64_t ms = t->tv_sec > INT_MAX / 1000 - 1
                     ? INT_MAX
                     : (int64_t)t->tv_sec * 1000 + (t->tv_nsec + 999999) / 1000000;
    return (const void *)(intptr_t)ms;
}

static long stub(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
                 const sigset_t *mask)
{
    const void *t = sleep_number == SYS_epoll_pwait2 ? timeout : timeout_ms(timeout);
    return sleep_stub(epfd, ev, max, t, mask, &self.interrupted);
}

/* Whom nobody can wake looks again soon; callers go by the clock, not by the 0 they get. */
static const struct timespec *for_deaf(const struct timespec *timeout)
{
    static const struct timespec soon = {.tv_nsec = WAKE_DEAF};
    return timeout && timeout->tv_sec == 0 && timeout->tv_nsec < soon.tv_nsec ? timeout : &soon;
}

long sleep_epoll(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
                 const sigset_t *mask)
{
    long ret;
    int type;
    if (UNLIKELY(the_session.deaf)) {
        timeout = for_deaf(timeout);
    }
    CHECK(self.depth == 0);
    if (UNLIKELY(!self.ends)) {
        self.ends = pthread_setspecific(end_key, &self) == 0;
    }
    self.async_cancel = true;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    ret = stub(epfd, ev, max, timeout, mask);
    if (UNLIKELY(ret == -ENOSYS) && sleep_number == SYS_epoll_pwait2) {
        sleep_number = SYS_epoll_pwait;
        ret = stub(epfd, ev, max, timeout, mask);
    }
    pthread_setcanceltype(type, NULL);
    self.async_cancel = false;
    return ret;
}
