/*
 * Life of an event: the clock is set, a verb of core runs, vk_settle sends what was held back,
 * tries the blocked calls whose pollsets the stack put on its wake list, and looks at the
 * invariants. A blocked call sleeps on a pollset of its own (epoll_wait: on that of its
 * descriptor), just as a thread of a program would.
 */
#include "vkernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/be.h"
#include "core/mem_lay.h"
#include "vk_priv.h"

#define ARENA_SIZE (256u << 20)
#define REAL_BASE  ((nsec)1767225600 * SEC) /* 2026-01-01: what the calendar says at time 0 */

void vk_fail(struct vk *vk, const char *fmt, ...)
{
    if (vk->fault[0]) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(vk->fault, sizeof vk->fault, fmt, ap);
    va_end(ap);
}

const char *vk_fault(const struct vk *vk)
{
    return vk->fault[0] ? vk->fault : NULL;
}

static struct vk *vk_of(struct env *env)
{
    struct heap *h = CONTAINER_OF(env, struct heap, env);
    return CONTAINER_OF(h, struct vk, heap);
}

static struct vk_packet *packet_of(const struct pkt_out *pkt)
{
    size_t len = pkt_out_len(pkt);
    struct vk_packet *p = malloc(sizeof *p + len);
    if (!p) {
        abort();
    }
    *p = (struct vk_packet){.reason = pkt->reason, .sock_id = pkt->sock_id, .len = len};
    memcpy(p->bytes, pkt->hdr, pkt->hdr_len);
    size_t at = pkt->hdr_len;
    for (size_t i = 0; i < pkt->nspan; i++) {
        memcpy(p->bytes + at, pkt->span[i].p, pkt->span[i].n);
        at += pkt->span[i].n;
    }
    return p;
}

static void emit(struct env *env, const struct pkt_out *pkt)
{
    struct vk *vk = vk_of(env);
    uint32_t mtu = vk->cfg.stack.mtu;
    if (pkt->hdr_len > PKT_HDR_MAX || pkt->nspan > PKT_SPAN_MAX) {
        vk_fail(vk, "a packet with %u header bytes and %u spans", pkt->hdr_len, pkt->nspan);
        return;
    }
    if (pkt->csum_partial || pkt_out_len(pkt) > mtu) {
        vk_fail(vk, "a packet of %zu bytes (mtu %u)%s, but the link completes nothing",
                pkt_out_len(pkt), mtu, pkt->csum_partial ? " without its checksum" : "");
    }
    struct vk_packet *p = packet_of(pkt);
    p->at = env->now;
    p->number = ++vk->npackets;
    *vk->last = p;
    vk->last = &p->next;
    if (vk->cfg.sent) {
        vk->cfg.sent(vk->cfg.ctx, p);
    }
}

static const struct env_ops vk_ops = {.emit = emit, .grow = heap_grow, .random = heap_random};

/* Bytes of page runs that are given out and are neither slabs nor their directories, which are
 * never given back. */
static size_t runs_in_use(struct vk *vk)
{
    const struct mem *m = vk->st->mem;
    size_t kept = 0;
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        const struct slabs *s = &m->slabs[k];
        kept += (size_t)s->n * MEM_PAGE << s->order;
        for (uint32_t d = 0; d < DIR_PAGES; d++) {
            kept += s->dir[d] ? MEM_PAGE : 0;
        }
    }
    return mem_use(m).pages_bytes - kept;
}

/* What the stack gets once and keeps is there before the count begins: the table of watches comes
 * with the first one. */
static void warm_up(struct vk *vk)
{
    struct env *env = vk_env(vk);
    int err = 0;
    struct sock *s = sock_create(vk->st, env, LX_AF_INET, LX_SOCK_DGRAM, 0, &err);
    struct pollset *set = pollset_new(vk->st, env, 0);
    if (s && set) {
        pollset_add(vk->st, env, set, s, 0, LX_POLLIN, 0);
    }
    if (set) {
        pollset_free(vk->st, set);
    }
    if (s) {
        sock_release(vk->st, env, s, env->member);
    }
    vk->runs_at_start = runs_in_use(vk);
    vk->events_from = vk->st->events ? vk->st->events->next : 0;
}

struct vk *vk_new(const struct vk_config *cfg)
{
    struct vk *vk = calloc(1, sizeof *vk);
    if (!vk) {
        return NULL;
    }
    vk->cfg = *cfg;
    vk->last = &vk->first;
    heap_init(&vk->heap, cfg->arena ? cfg->arena : ARENA_SIZE, cfg->seed);
    struct env *env = vk_env(vk);
    env->ops = &vk_ops;
    env->now = cfg->start;
    env->real = REAL_BASE + cfg->start;
    vk->st = stack_init(vk->heap.base, vk->heap.base, vk->heap.reserved, &vk->cfg.stack, env);
    if (!vk->st) {
        heap_fini(&vk->heap);
        free(vk);
        return NULL;
    }
    warm_up(vk);
    return vk;
}

static void drop_packets(struct vk *vk)
{
    while (vk->first) {
        struct vk_packet *p = vk->first;
        vk_take(vk, p);
        free(p);
    }
}

static void close_all(struct vk *vk)
{
    while (vk->blocked) {
        vk_cancel(vk, vk->blocked);
    }
    for (int fd = 0; fd < vk->nfds; fd++) {
        if (vk->fds[fd].file) {
            vk_file_drop(vk, vk->fds[fd].file);
            vk->fds[fd].file = NULL;
        }
    }
}

void vk_free(struct vk *vk)
{
    if (!vk) {
        return;
    }
    vk->cfg.sent = NULL; /* what closing still sends is nobody's business */
    vk->cfg.fd_gone = NULL;
    close_all(vk);
    drop_packets(vk);
    heap_fini(&vk->heap);
    free(vk->fds);
    free(vk);
}

struct stack *vk_stack(struct vk *vk)
{
    return vk->st;
}

nsec vk_now(const struct vk *vk)
{
    return vk->heap.env.now;
}

nsec vk_real(const struct vk *vk)
{
    return vk->heap.env.real;
}

static void set_now(struct vk *vk, nsec t)
{
    struct env *env = vk_env(vk);
    if (t > env->now) {
        env->real += t - env->now;
        env->now = t;
    }
}

nsec vk_deadline(struct vk *vk)
{
    nsec d = stack_deadline(vk->st);
    for (struct vk_call *c = vk->blocked; c; c = c->next) {
        d = nsec_min(d, c->timeout);
    }
    return d;
}

bool vk_step(struct vk *vk, nsec limit)
{
    nsec d = vk_deadline(vk);
    if (d > limit) {
        set_now(vk, limit);
        return false;
    }
    set_now(vk, d);
    /* What is due runs, and then nothing may be due at this time; a few rounds for timers that
     * set each other. */
    for (unsigned round = 0; stack_deadline(vk->st) <= vk_now(vk); round++) {
        if (round == 1000) {
            vk_fail(vk, "the stack's deadline does not move on");
            set_now(vk, vk_now(vk) + MSEC);
            break;
        }
        stack_expire(vk->st, vk_env(vk));
    }
    vk_settle(vk);
    return true;
}

void vk_run_to(struct vk *vk, nsec t)
{
    while (vk_step(vk, t)) {
    }
}

void vk_inject(struct vk *vk, const void *bytes, size_t len)
{
    /* A copy of its own size, so that a sanitizer sees a read past the end. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) {
        abort();
    }
    memcpy(copy, bytes, len);
    struct pkt_in in = {.p = copy, .len = len};
    stack_input(vk->st, vk_env(vk), &in);
    free(copy);
    vk_settle(vk);
}

struct vk_packet *vk_packets(const struct vk *vk)
{
    return vk->first;
}

void vk_take(struct vk *vk, struct vk_packet *p)
{
    for (struct vk_packet **at = &vk->first; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            if (!p->next) {
                vk->last = at;
            }
            return;
        }
    }
}

int vk_knob(struct vk *vk, const char *name, int64_t value)
{
    return knobs_set(&vk->st->knobs, name, value);
}

uint32_t vk_events(struct vk *vk, struct event *out, uint32_t max)
{
    uint64_t lost = 0;
    return vk->st->events ? event_read(vk->st->events, &vk->events_from, out, max, &lost) : 0;
}

static const char *what_is_left(struct vk *vk)
{
    static const char *const kinds[MEM_KINDS] = {
        [MEM_TCP] = "TCP sockets",   [MEM_UDP] = "datagram sockets",
        [MEM_DGRAM] = "datagrams",   [MEM_POLLSET] = "pollsets",
        [MEM_WATCH] = "watches",     [MEM_FRAG] = "reassemblies",
        [MEM_SIDE] = "side objects", [MEM_MARK] = "marks",
        [MEM_MD5] = "TCP-MD5 keys",  [MEM_MEMBER] = "memberships",
        [MEM_FLIGHT] = "flights",    [MEM_ACCECN] = "AccECN counters",
        [MEM_SYN] = "saved SYNs",
    };
    struct mem_use use = mem_use(vk->st->mem);
    for (int k = MEM_NONE + 1; k < MEM_KINDS; k++) {
        if (use.objs[k]) {
            snprintf(vk->left, sizeof vk->left, "%u %s are left after everything was closed",
                     use.objs[k], kinds[k] ? kinds[k] : "objects");
            return vk->left;
        }
    }
    if (stack_deadline(vk->st) != NEVER) {
        return "a timer is armed although no socket is left";
    }
    size_t runs = runs_in_use(vk);
    if (runs != vk->runs_at_start) {
        snprintf(vk->left, sizeof vk->left, "%zu bytes of pages are in use, %zu at the start", runs,
                 vk->runs_at_start);
        return vk->left;
    }
    return mem_check(vk->st->mem);
}

const char *vk_finish(struct vk *vk, nsec limit)
{
    nsec end = vk_now(vk) + limit;
    close_all(vk);
    vk_settle(vk);
    while (vk_step(vk, end)) {
        drop_packets(vk);
    }
    drop_packets(vk);
    return what_is_left(vk);
}
