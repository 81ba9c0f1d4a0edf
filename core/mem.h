/*
 * mem.h - the stack's memory: pages and fixed-size objects inside one arena.
 *
 * The arena is one range of addresses of which the first part is usable; `env->ops->grow` makes
 * more of it usable. Pages come in powers of two (4 KiB << order) from a buddy allocator; objects
 * come from slabs of one kind each, which are never given back (up to a million objects of a
 * kind).
 *
 * The slabs are the truth and everything else here (free lists, the state of page runs) can be
 * made anew from them: after the holder of the stack's lock died in the middle of a change, the
 * owner calls mem_rebuild_begin, walks the live objects, says which page runs each holds
 * (mem_mark_pages), and calls mem_rebuild_end; what nobody marked is free again. Every object
 * begins with a struct mem_obj, written last when it comes to life and first when it dies.
 *
 * Pointers into the arena may be stored in it: it lies at the same address in every process.
 * Nothing here points out of it.
 */
#ifndef STANDIN_CORE_MEM_H
#define STANDIN_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"

#define MEM_PAGE      4096u
#define MEM_ORDER_MAX 13 /* 32 MiB, the largest ring */

/* The kinds of objects. Sizes are fixed when the stack is made. */
enum mem_kind {
    MEM_NONE,
    MEM_TCP,     /* struct tcp */
    MEM_UDP,     /* struct udp, also ICMP echo sockets */
    MEM_DGRAM,   /* struct dgram: one received datagram */
    MEM_POLLSET, /* struct pollset */
    MEM_WATCH,   /* struct watch */
    MEM_FRAG,    /* struct frag: one datagram being reassembled */
    MEM_MEMBER,  /* struct member: a socket in a multicast group */
    MEM_SIDE,    /* struct side: what only few sockets need */
    MEM_TFO,     /* struct tfo_listener: what Fast Open adds to a listener */
    MEM_MARK,    /* struct mark: a place in a stream being sent */
    MEM_MD5,     /* struct md5_key: a key of TCP-MD5 */
    MEM_REQ,     /* struct tcp_req: a connection half open */
    MEM_FLIGHT,  /* struct tcp_flight: of a connection with something to send */
    MEM_ACCECN,  /* struct accecn: counters of a connection with AccECN */
    MEM_SYN,     /* struct saved_syn: headers that TCP_SAVED_SYN gives */
    MEM_KINDS
};

/* The head of every object. */
struct mem_obj {
    uint16_t kind; /* enum mem_kind while alive; MEM_NONE while free */
    uint16_t gen;  /* counts the lives of this place, so that a stale handle is noticed */
    uint32_t id;   /* number of this place within its kind, from 1; never changes */
};

struct mem; /* lives in the arena; laid out in mem.c, sized by mem_size() */

/* Bytes that mem_init needs at `at` for itself and its tables, for an arena of at most `size_max`
 * bytes. */
size_t mem_size(size_t size_max);

/*
 * Lays an allocator out at `at` (page-aligned; its own tables first, then pages up to `base +
 * size_max`). `base`: the start of the arena, for which env->ops->grow counts sizes. obj_size[k]:
 * bytes of an object of kind k, at least sizeof(struct mem_obj). limit: bytes of pages that may
 * be in use at once (0: no limit but size_max). The memory from `at` on reads as zero when it
 * becomes usable. Returns the allocator, or NULL when the arena cannot grow enough.
 */
struct mem *mem_init(void *base, void *at, size_t size_max, const uint32_t obj_size[MEM_KINDS],
                     size_t limit, struct env *env);

/* A run of MEM_PAGE << order bytes, contents undefined; NULL when there is no memory. */
void *mem_pages_get(struct mem *m, struct env *env, unsigned order);
void mem_pages_put(struct mem *m, void *pages, unsigned order);

/* Gives back the upper half of a run; the lower one is a run of the next smaller order. */
void mem_pages_halve(struct mem *m, void *pages, unsigned order);

/* An object of a kind, zeroed but for its head; NULL when there is no memory. It is alive at
 * once. */
void *mem_obj_get(struct mem *m, struct env *env, enum mem_kind kind);
void mem_obj_put(struct mem *m, void *obj);

/* The live object with this number, or NULL. */
void *mem_obj_at(const struct mem *m, enum mem_kind kind, uint32_t id);

/* Walks the live objects of a kind in order of their numbers; start with NULL. Putting the
 * current one is allowed. */
void *mem_obj_next(const struct mem *m, enum mem_kind kind, const void *prev);

struct mem_use {
    size_t pages_bytes; /* in runs given out and in slabs */
    size_t high_water;  /* bytes of the arena made usable so far, from its base */
    size_t limit;
    uint32_t objs[MEM_KINDS]; /* live objects */
    uint64_t failures;        /* requests that got NULL */
};
struct mem_use mem_use(const struct mem *m);
/* Two of them, for those who ask often. */
size_t mem_used(const struct mem *m);
size_t mem_limit(const struct mem *m);

/* The n-th request from now fails (1: the next one), once; 0: never. For tests. */
void mem_fail_nth(struct mem *m, uint32_t n);

/* Recovery, in this order; see above. Between begin and end no other verb but mem_obj_next and
 * mem_obj_put. */
void mem_rebuild_begin(struct mem *m);
/* False when this run is not a run of the arena of that order, or somebody marked it already:
 * drop the object. */
bool mem_mark_pages(struct mem *m, const void *pages, unsigned order);
void mem_rebuild_end(struct mem *m);

/* What must be true of the tables, or a text that says what is not. For tests; walks everything. */
const char *mem_check(const struct mem *m);

#endif
