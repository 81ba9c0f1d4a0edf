/*
 * sysctl.h - the kernel's settings, as a script or a network namespace writes them, on a stack.
 */
#ifndef STANDIN_DRILL_SYSCTL_H
#define STANDIN_DRILL_SYSCTL_H

#include "text.h"
#include "vkernel.h"

/* `name` is the last part of a sysctl's name ("tcp_rmem"), `value` the text written to it
 * ("4096 131072 33554432"). A setting that has no meaning here is accepted and does nothing.
 * False: `why` says what is wrong. */
bool sysctl_set(struct vk *vk, const char *name, const char *value, struct str *why);

/* The names that sysctl_set gives to the stack's knobs, one after the other, each one once; NULL
 * after the last. */
const char *sysctl_name(size_t i);

#endif
