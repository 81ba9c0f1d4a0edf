/*
 * packetdrill hands its calls to the shared object, but three it makes itself: getsockopt for code
 * blocks, sendfile, and system for a script's commands. Their entries in the program's table of
 * imported functions are changed.
 */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plt.h"

#if defined __x86_64__
enum { IMPORT_SLOT = R_X86_64_JUMP_SLOT, IMPORT_DATA = R_X86_64_GLOB_DAT };
#elif defined __aarch64__
enum { IMPORT_SLOT = R_AARCH64_JUMP_SLOT, IMPORT_DATA = R_AARCH64_GLOB_DAT };
#else
#error "which relocations import a function?"
#endif

struct table {
    const ElfW(Rela) * rel;
    size_t n;
};

struct search {
    const char *name;
    void *to;
    unsigned found;
};

/* The slot may be read-only since the program was loaded. */
static void put(void **slot, void *to)
{
    uintptr_t page = (uintptr_t)slot & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    size_t len = (uintptr_t)(slot + 1) - page;
    if (mprotect((void *)page, len, PROT_READ | PROT_WRITE) == 0) {
        *slot = to;
    }
}

static void divert_in(struct search *s, ElfW(Addr) base, const struct table *t,
                      const ElfW(Sym) * syms, const char *strings)
{
    for (size_t i = 0; t->rel && i < t->n; i++) {
        const ElfW(Rela) *r = &t->rel[i];
        unsigned long type = ELF64_R_TYPE(r->r_info);
        if ((type == IMPORT_SLOT || type == IMPORT_DATA) &&
            strcmp(strings + syms[ELF64_R_SYM(r->r_info)].st_name, s->name) == 0) {
            put((void **)(base + r->r_offset), s->to);
            s->found++;
        }
    }
}

/* The first object is the program. */
static int each_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct table plt = {0}, rest = {0};
    const ElfW(Sym) *syms = NULL;
    const char *strings = NULL;
    const ElfW(Dyn) *d = NULL;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
    }
    for (; d && d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_JMPREL:
            plt.rel = (const void *)d->d_un.d_ptr;
            break;
        case DT_PLTRELSZ:
            plt.n = d->d_un.d_val / sizeof *plt.rel;
            break;
        case DT_RELA:
            rest.rel = (const void *)d->d_un.d_ptr;
            break;
        case DT_RELASZ:
            rest.n = d->d_un.d_val / sizeof *rest.rel;
            break;
        case DT_SYMTAB:
            syms = (const void *)d->d_un.d_ptr;
            break;
        case DT_STRTAB:
            strings = (const void *)d->d_un.d_ptr;
            break;
        }
    }
    if (syms && strings) {
        divert_in(arg, info->dlpi_addr, &plt, syms, strings);
        divert_in(arg, info->dlpi_addr, &rest, syms, strings);
    }
    return 1;
}

bool plt_divert(const char *name, void *to)
{
    struct search s = {.name = name, .to = to};
    dl_iterate_phdr(each_object, &s);
    return s.found > 0;
}
