/*
 * watch.h - the log of a watched program: its socket calls with their results, as records of
 * core/event.h in a file that its processes share and that `standin compare` reads afterwards.
 *
 * Whoever wants one makes a file of watch_log_size() bytes with a head that says so, and names it
 * in STANDIN_WATCH of a program that has libstandin-watch.so in front in LD_PRELOAD. Records are
 * EV_CALL and, where asked for, EV_INFO. sock_id is the socket's number in the order in which the
 * family made them, from 1; tid the thread; member unused. In EV_CALL:
 *
 *     err, ret    ERR_x; ret is libc's result, or -errno where the error is none of core's list
 *     arg         socket: its type; accept: the new socket's number; send and recv: bytes asked
 *                 for; setsockopt, getsockopt: the option, with its level in arg2
 *     addr, arg2  bind and connect: the address and its port
 *     why         always CALL_DONE; of getsockopt(SO_ERROR) err is the error that it told
 */
#ifndef STANDIN_WATCH_WATCH_H
#define STANDIN_WATCH_WATCH_H

#include "core/event.h"

#define WATCH_VARIABLE "STANDIN_WATCH"
#define WATCH_LIBRARY  "libstandin-watch.so"
#define WATCH_MAGIC    0x68637461577473ull
#define WATCH_MAX      65536u

struct watch_log {
    uint64_t magic;
    uint32_t max;  /* records there is room for */
    uint32_t info; /* 1: EV_INFO is wanted */
    uint64_t next; /* records begun; those beyond max were not written */
    uint32_t socks;
    uint32_t pad[9];
    struct event ev[]; /* a record is there when its kind is not EV_NONE */
};

static inline uint64_t watch_log_size(void)
{
    return sizeof(struct watch_log) + (uint64_t)WATCH_MAX * sizeof(struct event);
}

#endif
