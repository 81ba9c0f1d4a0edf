/*
 * netcfg.h - the kernel's side of the TUN: link, addresses, and which subnets are free; over
 * rtnetlink.
 *
 * Each verb is one request and waits for its answer. They return 0 or -errno as the kernel gave it.
 */
#ifndef STANDIN_TUN_NETCFG_H
#define STANDIN_TUN_NETCFG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/stack.h"

struct netcfg {
    int fd;
    uint32_t seq;
};

int netcfg_open(struct netcfg *nc);
void netcfg_close(struct netcfg *nc);

/* The index of a device, or -ENODEV. */
int netcfg_index(const char *name);

/* Sets MTU and queue length (packets), makes no link-local address of its own, and brings the
 * device up. */
int netcfg_up(struct netcfg *nc, int ifindex, uint32_t mtu, uint32_t txqueuelen);

/* Gives the device an address, at once usable (no duplicate address detection); its subnet is
 * routed there. */
int netcfg_addr_add(struct netcfg *nc, int ifindex, const struct ifaddr *a);

/* Whether the device has that address. */
bool netcfg_addr_have(struct netcfg *nc, int ifindex, const struct ifaddr *a);

/* Whether the device is up with that MTU. */
bool netcfg_is_up(struct netcfg *nc, int ifindex, uint32_t mtu);

/* Whether an address, or with `routes` a route that is not the default one, of another device
 * overlaps the subnet of `a`. */
bool netcfg_taken(struct netcfg *nc, int ifindex, const struct ifaddr *a, bool routes);

#endif
