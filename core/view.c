/*
 * view.c - theory of operation.
 *
 * The truth about a stack's sockets is in its slabs (mem.h), so they are what is walked: by number,
 * each place once, whatever lists and tables say. A place holds a socket when its head says so and
 * its family was set, which is written last.
 */
#include "view.h"

#include <string.h>

#include "check.h"
#include "udp.h"

#define TRIES 4 /* readings of one object until two agree */

_Static_assert(sizeof(struct udp) <= VIEW_OBJ_MAX, "room for a reading");

static size_t obj_size(uint32_t kind)
{
    return kind == MEM_TCP ? tcp_obj_size() : sizeof(struct udp);
}

bool view_open(struct view *v, view_read_fn *read, void *ctx, uint64_t addr)
{
    CHECK(tcp_obj_size() <= VIEW_OBJ_MAX);
    v->read = read;
    v->ctx = ctx;
    v->at = addr;
    return view_refresh(v);
}

bool view_refresh(struct view *v)
{
    if (!v->read(v->ctx, v->at, &v->st, sizeof v->st) || v->st.magic != STACK_MAGIC) {
        return false;
    }
    v->st.naddr = min_u32(v->st.naddr, STACK_ADDRS_MAX);
    uint64_t from = view_event_count(v);
    struct event last;
    uint64_t lost = 0;
    from = from ? from - 1 : 0;
    v->now = view_events(v, &from, &last, 1, &lost) ? last.at : 0;
    return v->read(v->ctx, (uint64_t)(uintptr_t)v->st.mem, v->mem, mem_view_size());
}

/* ---- sockets */

static void fill(struct view *v, uint32_t kind, void *copy, struct view_sock *out)
{
    struct sock *s = copy;

    *out = (struct view_sock){
        .torn = out->torn,
        .id = s->obj.id,
        .gen = s->obj.gen,
        .family = s->family,
        .type = s->type,
        .proto = s->proto,
        .flow = s->flow,
        .bound = s->bound,
        .bound_port = s->bound_port,
        .connected = s->connected,
        .orphan = s->orphan,
        .rcv_shut = s->rcv_shut,
        .snd_shut = s->snd_shut,
        .nonblocking = (s->file_flags & LX_O_NONBLOCK) != 0,
        .err = s->err,
        .soft_err = s->soft_err,
        .fd = s->fd,
        .inode = s->inode,
        .uid = s->uid,
        .owner_pid = s->owner_pid,
        .ready = s->ready,
        .members = s->members,
        .born = s->born,
        .opt = s->opt,
        .next_timer = NEVER,
    };
    for (size_t i = 0; i < ARRAY_LEN(out->due); i++) {
        out->due[i] = NEVER;
    }
    if (kind == MEM_TCP) {
        tcp_view(v, copy, out);
    } else {
        const struct udp *u = copy;
        out->rcv_queue = u->queued;
        out->dropped = u->dropped;
    }
}

/* A live, finished socket of that kind and number, as it is now. */
static bool look(struct view *v, uint32_t kind, uint32_t id, struct view_sock *out)
{
    size_t size = obj_size(kind);
    unsigned at = 0;

    if (!mem_view_object(v->mem, v->read, v->ctx, kind, id, v->obj[0], size)) {
        return false;
    }
    out->torn = true;
    for (unsigned i = 0; i < TRIES && out->torn; i++) {
        at ^= 1;
        if (!mem_view_object(v->mem, v->read, v->ctx, kind, id, v->obj[at], size)) {
            return false;
        }
        out->torn = memcmp(v->obj[0], v->obj[1], size) != 0;
    }
    const struct sock *s = (const void *)v->obj[at];
    if (s->obj.kind != kind || s->obj.id != id || s->family == 0) {
        return false;
    }
    fill(v, kind, v->obj[at], out);
    return true;
}

bool view_sock_at(struct view *v, uint8_t proto, uint32_t id, struct view_sock *out)
{
    return look(v, proto == LX_IPPROTO_TCP ? MEM_TCP : MEM_UDP, id, out);
}

bool view_next(struct view *v, struct view_iter *it, struct view_sock *out)
{
    static const uint32_t kinds[] = {MEM_TCP, MEM_UDP};

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        if (it->kind == MEM_NONE && k == 0) {
            it->kind = kinds[0];
        }
        if (it->kind != kinds[k]) {
            continue;
        }
        uint32_t n = mem_view_count(v->mem, it->kind);
        while (it->id < n) {
            if (look(v, it->kind, ++it->id, out)) {
                return true;
            }
        }
        it->kind = k + 1 < ARRAY_LEN(kinds) ? kinds[k + 1] : MEM_KINDS;
        it->id = 0;
    }
    return false;
}

/* ---- events */

static uint64_t ring_at(const struct view *v)
{
    return (uint64_t)(uintptr_t)v->st.events;
}

uint64_t view_event_count(struct view *v)
{
    uint64_t next = 0;
    return v->read(v->ctx, ring_at(v) + offsetof(struct event_ring, next), &next, sizeof next)
               ? next
               : 0;
}

static bool read_records(struct view *v, uint64_t from, struct event *out, uint32_t n)
{
    uint32_t place = (uint32_t)(from & (EVENT_RING_LEN - 1));
    uint32_t first = min_u32(n, EVENT_RING_LEN - place);
    uint64_t base = ring_at(v) + offsetof(struct event_ring, ev);

    return v->read(v->ctx, base + (uint64_t)place * sizeof *out, out, first * sizeof *out) &&
           (first == n || v->read(v->ctx, base, out + first, (n - first) * sizeof *out));
}

uint32_t view_events(struct view *v, uint64_t *from, struct event *out, uint32_t max,
                     uint64_t *lost)
{
    uint32_t n = event_window(view_event_count(v), from, max, lost);

    if (n == 0 || !read_records(v, *from, out, n)) {
        return 0;
    }
    return event_settle(view_event_count(v), from, out, n, lost);
}

const char *tcp_limit_name(unsigned limit)
{
    static const char *const names[] = {
#define LIMIT(name, text) [TCP_LIMIT_##name] = #name,
        TCP_LIMIT_LIST
#undef LIMIT
    };
    return limit < TCP_LIMIT_COUNT ? names[limit] : "?";
}

const char *tcp_limit_text(unsigned limit)
{
    static const char *const texts[] = {
#define LIMIT(name, text) [TCP_LIMIT_##name] = text,
        TCP_LIMIT_LIST
#undef LIMIT
    };
    return limit < TCP_LIMIT_COUNT ? texts[limit] : "?";
}
