/*
 * sock_opt.h - what the files that read and write options share: the flags, the arguments, the
 * answers.
 */
#ifndef STANDIN_CORE_SOCK_OPT_H
#define STANDIN_CORE_SOCK_OPT_H

#include <string.h>

#include "check.h"
#include "sock.h"

struct stack;

#define OPT_KEY(level, name) ((uint32_t)(level) << 16 | (uint32_t)(name))

/* An option that is on or off: 0 or 1; -1: no such flag. */
int opt_flag_get(const struct sock_opts *o, uint32_t key);
bool opt_flag_set(struct sock_opts *o, uint32_t key, bool v);

/* What setsockopt was given. */
struct opt_arg {
    const void *val;
    size_t len;
    int32_t v; /* as an int */
    bool privileged;
};

/* Copies what fits of an answer. */
static inline int opt_answer(void *val, size_t *len, const void *from, size_t n)
{
    *len = min_size(*len, n);
    memcpy(val, from, *len);
    return 0;
}

static inline int opt_answer_int(void *val, size_t *len, int32_t v)
{
    return opt_answer(val, len, &v, sizeof v);
}

static inline bool opt_is_tcp(const struct sock *s)
{
    return s->proto == LX_IPPROTO_TCP;
}

/* Levels IPPROTO_IP and IPPROTO_IPV6 (sock_opt_ip.c). */
int opt_ip_set(struct stack *st, struct env *env, struct sock *s, int name,
               const struct opt_arg *a);
int opt_ip_get(struct stack *st, struct sock *s, int name, void *val, size_t *len);
int opt_ip6_set(struct stack *st, struct env *env, struct sock *s, int name,
                const struct opt_arg *a);
int opt_ip6_get(struct stack *st, struct sock *s, int name, void *val, size_t *len);

/* Groups and the device for them, of both levels (sock_opt_mcast.c). OPT_NOT_MINE: another option.
 */
#define OPT_NOT_MINE 1
int opt_mcast_set(struct stack *st, struct env *env, struct sock *s, int level, int name,
                  const struct opt_arg *a);

#endif
