/*
 * Purpose: the further names of the hooks (__read, fcntl64, ...), each a jump to the hook it means.
 *
 * Jumps, not alias attributes, because an alias must stand in the file of its target; the linker
 * resolves each within the library (-Bsymbolic). Arguments, variadic ones too, pass through
 * untouched.
 */
#define ALIAS(name, of)                                \
    __asm__(".pushsection .text\n"                     \
            ".globl " #name "\n"                       \
            ".type " #name ", @function\n" #name ":\n" \
            "    endbr64\n"                            \
            "    jmp " #of "@PLT\n"                    \
            ".size " #name ", .-" #name "\n"           \
            ".popsection\n");
#include "preload/calls.h"

extern int alias_not_empty; /* a translation unit has a declaration */
