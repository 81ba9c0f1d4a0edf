/*
 * check.h - assertions that stay on in every build, and the small macros used everywhere.
 *
 * CHECK states what the code itself guarantees. What a peer or a program can cause is never a
 * CHECK: it is an error code (err.h) or a drop reason. A failed CHECK prints nothing from core
 * (core has no stdio): it calls check_failed, which the outside may replace before the first use;
 * the default traps.
 */
#ifndef STANDIN_CORE_CHECK_H
#define STANDIN_CORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((unsigned char *)(ptr)-offsetof(type, member)))

#define CHECK(x) (LIKELY(x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

/* Told once per process by the owner (a process-private function pointer, never in the arena). It
 * must not return. */
typedef void check_fn(const char *what, const char *file, int line);
extern check_fn *check_hook;

_Noreturn void check_failed(const char *what, const char *file, int line);

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
