/*
 * arena.h - the memory that all members share: one memfd, mapped at one address.
 */
#ifndef STANDIN_TUN_ARENA_H
#define STANDIN_TUN_ARENA_H

#include "tun/session.h"

/* A new memfd of `size` bytes, sealed against shrinking. Descriptor or -errno. */
int arena_create(size_t size);

/* Reserves and maps `len` bytes of the file at ARENA_BASE; what lies behind the file's end appears
 * when it grows. 0, -EEXIST when the range is taken, -errno. */
int arena_map(int fd, size_t len);
void arena_unmap(size_t len);

/* A memory checker (valgrind) searches all that may be read for pointers, and each page behind the
 * file's end costs it a fault. So it is told where the end is. Lock held; one comparison unless the
 * arena has grown. */
void arena_tell_end(struct session *s);
static inline void arena_look(struct session *s)
{
    if (__builtin_expect(s->seen != s->arena->size, 0)) {
        arena_tell_end(s);
    }
}

/* Makes the file at least `size` bytes long; lock held. 0 or -errno. */
int arena_grow(struct session *s, size_t size);

#endif
