/*
 * real.h - libc's own functions, as pointers: `real.connect` is libc's connect, whatever this
 * library exports.
 *
 * Every pointer is valid from the first instruction on: it starts as a stub that binds them all
 * (dlsym with RTLD_NEXT, which does not allocate when it succeeds) and then calls what it stands
 * for. The constructor binds them before that.
 *
 * Code of this folder calls a hooked function only through `real`, or by an inline system call
 * (tun/sys.h); a plain call would meet our own hook. tests/preload/exports.sh looks for one in the
 * objects. For what is not ours (libuv, tun/) the linker renames such calls to the hidden real_*
 * functions of real_call.c.
 */
#ifndef STANDIN_PRELOAD_REAL_H
#define STANDIN_PRELOAD_REAL_H

#ifndef _GNU_SOURCE
#error "compile preload/ with -D_GNU_SOURCE"
#endif

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Before the definition of every hook: it leaves the shared object. */
#define HOOK __attribute__((visibility("default")))

struct real {
#define CALL(ret, name, params, args) ret(*name) params;
#define CALLV(ret, name, params)      ret(*name) params;
#include "preload/calls.h"
};

extern struct real real;

/* Binds every pointer; once more does nothing. */
void real_load(void);

/* The table must agree with libc's headers: each line is a declaration beside theirs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#define CALL(ret, name, params, args) extern ret name params;
#define CALLV(ret, name, params)      extern ret name params;
#include "preload/calls.h"
#pragma GCC diagnostic pop

#endif
