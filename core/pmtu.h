/*
 * pmtu.h - the path MTUs that ICMP has told (RFC 1191, RFC 8201), by destination.
 *
 * A small table: entries end after ten minutes (Linux's mtu_expires), and when it is full the one
 * that would end first goes. What stands there was checked by whoever it was about (RFC 5927 7).
 */
#ifndef STANDIN_CORE_PMTU_H
#define STANDIN_CORE_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "env.h"

struct stack;

/* The least MTU that ICMP may tell; below it the floor counts. Linux: min_pmtu, RFC 8200 5. */
#define PMTU_FLOOR4 552u
#define PMTU_FLOOR6 1280u

/* The largest IP packet towards dst: the device's MTU, or the path's if it is known to be less. */
uint32_t pmtu_of(const struct stack *st, const struct addr *dst);

/* ICMP has told that the path takes `told` bytes: the MTU that follows, or 0 when that is no news:
 * not less than what is known, or (RFC 8201 4) below IPv6's least. 0 told in IPv4: RFC 1191 5. */
uint32_t pmtu_news(const struct stack *st, const struct addr *dst, uint32_t told);

/* Enters it. `locked`: the path takes even less than the floor, so packets go without DF (Linux).
 */
void pmtu_learn(struct stack *st, struct env *env, const struct addr *dst, uint32_t mtu,
                bool locked);

/* Whether packets to dst go without DF. */
bool pmtu_locked(const struct stack *st, const struct addr *dst);

/* The timer of the table is due. */
void pmtu_expire(struct stack *st, struct env *env);

#endif
