/*
 * icmp.h - ICMP (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo, unreachable, packet too big,
 * time exceeded; hands errors to the flow they concern; rate-limits what it sends; neighbour
 * discovery is not needed over a TUN device.
 */
#ifndef STANDIN_CORE_ICMP_H
#define STANDIN_CORE_ICMP_H

#include "ip.h"

struct stack;

void icmp_input(struct stack *st, struct env *env, const struct ip_hdr *ip);

enum icmp_why {
    ICMP_PORT_UNREACH,
    ICMP_PROTO_UNREACH,
    ICMP_PARAM_PROBLEM, /* a field */
    ICMP_PARAM_OPTION,  /* IPv6: an option not known; also answered to multicast */
    ICMP_PARAM_CHAIN,   /* IPv6: the first fragment lacks headers, RFC 7112 */
    ICMP_REASM_TIME,
};

/* Answers `ip` with an error, if RFC 1122 3.2.2 and the rate limit allow it. `at`: the pointer of a
 * parameter problem. */
void icmp_send_error(struct stack *st, struct env *env, const struct ip_hdr *ip, enum icmp_why why,
                     uint32_t at);

#endif
