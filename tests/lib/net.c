/*
 * net.c - see net.h.
 */
#include "tests/lib/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tun/impair.h"

#define ARENA    ((size_t)512 << 20)
#define WIRE_MEM ((size_t)64 << 20)
#define MTU      1500u

static _Noreturn void fatal(const struct net *n, const char *what)
{
    fprintf(stderr, "net: seed %llu, %.6f s: %s\n", (unsigned long long)n->seed,
            (double)n->now / 1e9, what);
    abort();
}

static void emit(struct env *env, const struct pkt_out *p)
{
    struct net_host *h = (struct net_host *)(void *)env;
    struct span v[1 + PKT_SPAN_MAX] = {{p->hdr, p->hdr_len}};
    memcpy(v + 1, p->span, p->nspan * sizeof *v);
    struct wire_in in = {
        .span = v, .nspan = 1u + p->nspan, .gso_size = p->gso_size, .csum_open = p->csum_partial};
    wire_put(h->net->wire, h->net->now, h->no == 0 ? WIRE_OUT : WIRE_IN, &in, &h->net->tap);
}

static const struct env_ops ops = {.emit = emit, .grow = heap_grow, .random = heap_random};

struct addr net_addr(unsigned i, bool v6)
{
    struct addr a;
    addr_parse(v6 ? (i == 0 ? "fd77::2" : "fd77::1") : (i == 0 ? "10.77.0.2" : "10.77.0.1"), &a);
    return a;
}

static void host_init(struct net *n, unsigned i, uint32_t caps,
                      void (*tune)(struct stack_config *cfg, unsigned host))
{
    struct net_host *h = &n->host[i];
    struct stack_config cfg = {.mtu = MTU, .caps = caps, .naddr = 2};
    heap_init(&h->heap, ARENA, n->seed * 2 + i + 1);
    h->heap.env.ops = &ops;
    h->heap.env.now = n->now;
    h->net = n;
    h->no = i;
    knobs_default(&cfg.knobs);
    cfg.addr[0] = (struct ifaddr){net_addr(i, false), 24};
    cfg.addr[1] = (struct ifaddr){net_addr(i, true), 64};
    if (tune) {
        tune(&cfg, i);
    }
    h->st = stack_init(h->heap.base, h->heap.base, ARENA, &cfg, &h->heap.env);
    if (!h->st) {
        fatal(n, "no stack");
    }
}

struct net *net_new(const char *rules, uint64_t seed, uint32_t caps,
                    void (*tune)(struct stack_config *cfg, unsigned host))
{
    struct net *n = calloc(1, sizeof *n);
    struct wire_spec spec = {.seed = seed};
    struct impair_error err;
    char why[400];
    if (!n) {
        abort();
    }
    n->seed = seed;
    n->now = 1000 * SEC;
    if (!impair_parse(&spec, rules, &err)) {
        fatal(n, impair_explain(rules, &err, why, sizeof why));
    }
    n->wire_mem = aligned_alloc(64, WIRE_MEM);
    n->wire = n->wire_mem ? wire_init(n->wire_mem, WIRE_MEM, MTU, &spec) : NULL;
    if (!n->wire) {
        fatal(n, "no wire");
    }
    host_init(n, 0, caps, tune);
    host_init(n, 1, caps, tune);
    return n;
}

void net_free(struct net *n)
{
    heap_fini(&n->host[0].heap);
    heap_fini(&n->host[1].heap);
    free(n->wire_mem);
    free(n);
}

struct env *net_env(struct net *n, unsigned i)
{
    struct env *env = &n->host[i].heap.env;
    env->now = n->now;
    env->real = n->now;
    return env;
}

static void verify(struct net *n, unsigned i)
{
    const char *bad = n->check ? stack_check(n->host[i].st) : NULL;
    if (n->check && !bad) {
        bad = wire_check(n->wire);
    }
    if (bad) {
        fatal(n, bad);
    }
}

void net_flush(struct net *n, unsigned i)
{
    stack_flush(n->host[i].st, net_env(n, i));
    verify(n, i);
}

static void deliver(struct net *n)
{
    struct wire_pkt_out o;
    while (wire_take(n->wire, n->now, &o, &n->tap)) {
        unsigned to = o.dir == WIRE_OUT ? 1 : 0;
        struct pkt_in in = {.p = o.p, .len = o.len};
        stack_input(n->host[to].st, net_env(n, to), &in);
        wire_done(n->wire, &o);
        net_flush(n, to);
    }
}

bool net_step(struct net *n, nsec until)
{
    nsec at = wire_deadline(n->wire);
    int who = -1;
    for (int i = 0; i < 2; i++) {
        nsec due = stack_deadline(n->host[i].st);
        if (due < at) {
            at = due;
            who = i;
        }
    }
    if (at > until || at == NEVER) {
        return false;
    }
    n->now = nsec_max(n->now, at);
    if (who < 0) {
        deliver(n);
    } else {
        stack_expire(n->host[who].st, net_env(n, (unsigned)who));
        verify(n, (unsigned)who);
    }
    return true;
}

void net_check_empty(struct net *n)
{
    for (unsigned i = 0; i < 2; i++) {
        struct mem_use use = mem_use(n->host[i].st->mem);
        const char *bad = stack_check(n->host[i].st);
        if (bad) {
            fatal(n, bad);
        }
        if (use.objs[MEM_TCP] || use.objs[MEM_UDP] || use.objs[MEM_DGRAM]) {
            fatal(n, i == 0 ? "host 0 still holds sockets" : "host 1 still holds sockets");
        }
    }
    if (wire_check(n->wire)) {
        fatal(n, wire_check(n->wire));
    }
}
