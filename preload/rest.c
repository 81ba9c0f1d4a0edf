/*
 * Purpose: a weak hook for every call of the table that has none of its own yet; it passes through.
 */
#include "preload/real.h"

/* clang-format off */
#define CALL(ret, name, params, args)             \
    HOOK __attribute__((weak)) ret name params    \
    {                                             \
        return real.name args;                    \
    }
#include "preload/calls.h"
/* clang-format on */
