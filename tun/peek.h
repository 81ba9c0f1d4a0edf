/*
 * peek.h - a session looked at from outside: for ss, top, why, trace. It finds the sessions of this
 * network namespace and reads one's arena with pread, through a descriptor that the keeper hands
 * out for reading only. The observer is no member: it holds no lock, keeps nothing alive, maps
 * nothing, and follows no pointer (core/view.h). The programs may run, hang in the midst of a call,
 * or have died; what was read stays readable even after the session has ended.
 *
 * May look: who may join (the session's user, root, who has the token).
 *
 *     n = peek_list(names, ARRAY_LEN(names));
 *     r = peek_open(&p, names[0], "");                      r.code as of session_join
 *     while (view_next(&p.view, &at, &sock)) ...
 *     peek_refresh(&p) ...                                  members, addresses, sizes anew
 *     peek_close(&p);
 */
#ifndef STANDIN_TUN_PEEK_H
#define STANDIN_TUN_PEEK_H

#include "core/view.h"
#include "tun/session.h"

struct peek {
    int fd;        /* the arena, read-only; -1: not open */
    int keeper_fd; /* the keeper's end: at its end the session is over */
    struct arena
        *arena; /* a copy, on the heap. What is in it may be wrong, not out of bounds: texts
                          * end, counts fit their arrays, states are known ones. */
    struct view view;
};

#define PEEK_SESSIONS_MAX 64u

/* The names of the sessions in this network namespace, as session_join takes them. Returns how many
 * there are; at most `max` are filled in. */
unsigned peek_list(char (*names)[SESSION_NAME], unsigned max);

/* token: "" where the caller is the session's user or root. On failure *p is closed. */
struct session_result peek_open(struct peek *p, const char *name, const char *token);

/* Reads the arena's head, the stack and the allocator again. False: they make no sense. */
bool peek_refresh(struct peek *p);

/* Whether the session has ended, or lost its keeper. */
bool peek_ended(const struct peek *p);

/* The live member with this pid (in the keeper's pid namespace); 0: none. */
uint32_t peek_member(const struct peek *p, int32_t pid);

/* A view_read_fn; ctx is the struct peek. */
bool peek_read(void *ctx, uint64_t addr, void *buf, size_t len);

void peek_close(struct peek *p);

#endif
