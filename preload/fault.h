/*
 * fault.h - whether memory that a program names may be read or written: EFAULT, as from the kernel,
 * and not a crash inside the stack.
 */
#ifndef STANDIN_PRELOAD_FAULT_H
#define STANDIN_PRELOAD_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Not entered. */
bool fault_may_read(const void *p, size_t n);
bool fault_may_write(const void *p, size_t n);

/* The vectors themselves and what they point to. */
bool fault_may_iov(const struct iovec *iov, size_t n, bool write);

/* A child has its parent's memory: what was found stays found. Memory that was unmapped since may
 * be taken for good: see fault.c. */

#endif
