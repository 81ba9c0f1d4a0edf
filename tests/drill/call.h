/*
 * call.h - a script's system call on the virtual kernel: arguments in, results and what was
 * filled in compared.
 *
 * call.c has the table and the life of a call; call_arg.c the conversions; call_msg.c messages
 * and ancillary data; call_opt.c socket options; call_poll.c poll and epoll.
 */
#ifndef STANDIN_DRILL_CALL_H
#define STANDIN_DRILL_CALL_H

#include "run.h"

/* What one call of the language is. Both functions may be NULL and answer false after run_fail. */
struct call_kind {
    const char *name;
    unsigned min, max; /* arguments */
    enum vk_op op;
    bool makes_fd; /* the result is a descriptor */
    bool has_fd;   /* the first argument is one */
    bool (*prepare)(struct run *r, struct pending *p, const struct expr *args);
    bool (*check)(struct run *r, struct pending *p, const struct expr *args);
};

/* The i-th argument as a number; run_fail says which one is none. */
bool arg_num(struct run *r, const struct expr *args, unsigned i, int64_t *out);
bool arg_int(struct run *r, const struct expr *args, unsigned i, int *out);
/* [v]: what is inside the brackets; NULL after run_fail. */
const struct expr *arg_inside(struct run *r, const struct expr *args, unsigned i);
/* A descriptor of the script as a live one. */
bool arg_fd(struct run *r, const struct expr *e, int *out);
bool arg_is_null(const struct expr *e);

/* A buffer of n bytes: `...` zeroes, "text", NULL. */
void *arg_buffer(struct pending *p, const struct expr *e, size_t n);

/* A socket address: `...` is ip:port, NULL none, or a struct. p->addr and p->addr_len. */
bool arg_address(struct run *r, struct pending *p, const struct expr *e, const struct addr *ip,
                 uint16_t port);
/* The other way: what it says. */
struct endpoint arg_endpoint(const struct pending *p);

/* Notes that what a call filled in is not what the script says. */
bool arg_differs(struct run *r, const char *what, int64_t want, int64_t got);

/* call_msg.c */
bool msg_prepare_plain(struct run *r, struct pending *p, const struct expr *buf, int64_t len);
bool msg_prepare_iov(struct run *r, struct pending *p, const struct expr *list, int64_t count);
bool msg_prepare(struct run *r, struct pending *p, const struct expr *st);
bool msg_check(struct run *r, struct pending *p, const struct expr *st);

/* call_opt.c */
bool opt_prepare_set(struct run *r, struct pending *p, const struct expr *args);
bool opt_prepare_get(struct run *r, struct pending *p, const struct expr *args);
bool opt_check_get(struct run *r, struct pending *p, const struct expr *args);

/* call_poll.c */
bool poll_prepare(struct run *r, struct pending *p, const struct expr *args);
bool poll_check(struct run *r, struct pending *p, const struct expr *args);
bool epoll_prepare_ctl(struct run *r, struct pending *p, const struct expr *args);
bool epoll_prepare_wait(struct run *r, struct pending *p, const struct expr *args);
bool epoll_check_wait(struct run *r, struct pending *p, const struct expr *args);

#endif
