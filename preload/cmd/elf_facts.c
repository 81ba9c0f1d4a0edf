/*
 * Purpose: reads the head of a program file with pread, believing no length in it. Only what the
 * kernel reads at exec is looked at: the ELF header, the program headers, PT_INTERP; and PT_NOTE
 * for Go's mark.
 */
#include "elf_facts.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX  256
#define PHDR_MAX  64
#define NOTE_MAX  4096
#define NOTE_HEAD 12 /* three words: sizes of name and contents, type */

static uint32_t word(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* "#!/usr/bin/env python3": the first word is what the kernel starts. */
static void look_script(struct elf_facts *f, const char *head, size_t len)
{
    size_t at = 2;
    size_t n = 0;
    f->kind = ELF_SCRIPT;
    while (at < len && (head[at] == ' ' || head[at] == '\t')) {
        at++;
    }
    while (at < len && n < sizeof f->interp - 1 && strchr(" \t\n", head[at]) == NULL) {
        f->interp[n++] = head[at++];
    }
    f->interp[n] = '\0';
}

static void look_interp(struct elf_facts *f, int fd, const Elf64_Phdr *ph)
{
    size_t want = ph->p_filesz < sizeof f->interp ? (size_t)ph->p_filesz : sizeof f->interp - 1;
    ssize_t n = pread(fd, f->interp, want, (off_t)ph->p_offset);
    f->interp[n > 0 ? n : 0] = '\0';
    f->dynamic = n > 0;
}

/* Go's linker leaves a note whose owner is "Go" in every program, static or not. */
static void look_note(struct elf_facts *f, int fd, const Elf64_Phdr *ph)
{
    unsigned char buf[NOTE_MAX];
    size_t want = ph->p_filesz < sizeof buf ? (size_t)ph->p_filesz : sizeof buf;
    ssize_t got = pread(fd, buf, want, (off_t)ph->p_offset);
    size_t at = 0;
    while (got > 0 && at + NOTE_HEAD + 4 <= (size_t)got) {
        uint64_t name = ((uint64_t)word(buf + at) + 3) / 4 * 4;
        uint64_t desc = ((uint64_t)word(buf + at + 4) + 3) / 4 * 4;
        if (memcmp(buf + at + NOTE_HEAD, "Go\0\0", 4) == 0) {
            f->go = true;
        }
        if (name + desc > NOTE_MAX) {
            return;
        }
        at += NOTE_HEAD + (size_t)(name + desc);
    }
}

static void look_program(struct elf_facts *f, int fd, const Elf64_Ehdr *eh)
{
    f->kind = ELF_PROGRAM;
    f->is64 = eh->e_ident[EI_CLASS] == ELFCLASS64;
    f->machine = eh->e_machine; /* at the same place in both classes */
    if (!f->is64 || eh->e_phentsize != sizeof(Elf64_Phdr)) {
        return;
    }
    for (unsigned i = 0; i < eh->e_phnum && i < PHDR_MAX; i++) {
        Elf64_Phdr ph;
        off_t at = (off_t)(eh->e_phoff + i * sizeof ph);
        if (pread(fd, &ph, sizeof ph, at) != (ssize_t)sizeof ph) {
            f->kind = ELF_BROKEN;
            return;
        }
        if (ph.p_type == PT_INTERP) {
            look_interp(f, fd, &ph);
        }
        if (ph.p_type == PT_NOTE) {
            look_note(f, fd, &ph);
        }
    }
}

struct elf_facts elf_look(const char *path)
{
    struct elf_facts f = {.kind = ELF_UNREADABLE};
    char head[HEAD_MAX] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;
    if (fd < 0) {
        return f;
    }
    len = pread(fd, head, sizeof head - 1, 0);
    f.kind = ELF_OTHER;
    if (len > 2 && memcmp(head, "#!", 2) == 0) {
        look_script(&f, head, (size_t)len);
    } else if (len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
        Elf64_Ehdr eh = {0};
        memcpy(&eh, head, sizeof eh);
        f.kind = ELF_BROKEN;
        if (len >= (ssize_t)sizeof(Elf32_Ehdr)) {
            look_program(&f, fd, &eh);
        }
    }
    close(fd);
    return f;
}

const char *elf_machine(uint16_t machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {
        {EM_386, "i386"},   {EM_X86_64, "x86-64"}, {EM_AARCH64, "ARM 64"},
        {EM_ARM, "ARM"},    {EM_RISCV, "RISC-V"},  {EM_PPC64, "POWER"},
        {EM_S390, "S/390"}, {EM_MIPS, "MIPS"},     {EM_LOONGARCH, "LoongArch"},
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].machine == machine) {
            return names[i].name;
        }
    }
    return NULL;
}
