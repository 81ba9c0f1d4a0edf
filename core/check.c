#include "check.h"

check_fn *check_hook;

_Noreturn void check_failed(const char *what, const char *file, int line)
{
    if (check_hook) {
        check_hook(what, file, line);
    }
    __builtin_trap();
}
