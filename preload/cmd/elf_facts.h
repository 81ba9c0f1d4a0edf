/*
 * elf_facts.h - the few facts of a program file that decide whether a library can be preloaded into
 * it.
 */
#ifndef STANDIN_CMD_ELF_FACTS_H
#define STANDIN_CMD_ELF_FACTS_H

#include <stdbool.h>
#include <stdint.h>

enum elf_kind {
    ELF_UNREADABLE, /* may be executed all the same */
    ELF_SCRIPT,     /* "#!": interp holds its interpreter */
    ELF_OTHER,      /* execvp hands it to sh */
    ELF_BROKEN,     /* begins like a program, and is none */
    ELF_PROGRAM,
};

struct elf_facts {
    enum elf_kind kind;
    bool is64;
    bool dynamic; /* names a loader: interp */
    bool go;      /* carries Go's build note */
    uint16_t machine;
    char interp[256];
};

struct elf_facts elf_look(const char *path);

/* "ARM 64", "i386", ...; NULL for a machine we have no name for. */
const char *elf_machine(uint16_t machine);

#endif
