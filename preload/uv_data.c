/*
 * Purpose: stand-ins for the data of libc that libuv_a.a refers to; see preload.mk. Code that uses
 * them (uv_spawn, uv_print_handles, IPv6 binding in uv_udp) is never called here.
 */
#include <netinet/in.h>
#include <stdio.h>

extern char **uv_data_environ;
extern FILE *uv_data_stderr;
extern const struct in6_addr uv_data_in6addr_any;

char **uv_data_environ;
FILE *uv_data_stderr;
const struct in6_addr uv_data_in6addr_any;
