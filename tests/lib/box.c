/*
 * box.c - see box.h.
 */
#include "tests/lib/box.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/csum.h"
#include "core/ip.h"
#include "tests/lib/lone.h"

const char *const box_ends4[2] = {"10.77.0.2", "10.77.0.1"};
const char *const box_ends6[2] = {"fd77::2", "fd77::1"};

static _Noreturn void fatal(const char *what)
{
    fprintf(stderr, "box: %s\n", what);
    abort();
}

struct box box_of(const char *text, uint64_t seed)
{
    struct box b = {.now = BOX_T0};
    struct wire_spec spec = {.seed = seed};
    struct impair_error err;
    char why[400];
    if (!impair_parse(&spec, text, &err)) {
        fatal(impair_explain(text, &err, why, sizeof why));
    }
    b.mem = aligned_alloc(64, BOX_MEM);
    b.got = calloc(BOX_OUT_MAX, sizeof *b.got);
    CHECK(b.mem);
    memset(b.mem, 0xa5, BOX_MEM);
    b.w = wire_init(b.mem, BOX_MEM, 1500, &spec);
    CHECK(b.w);
    return b;
}

void box_free(struct box *b)
{
    const char *bad = wire_check(b->w);
    if (bad) {
        fatal(bad);
    }
    free(b->mem);
    free(b->got);
}

static void look(struct got *g, const struct wire_pkt_out *o)
{
    struct pkt_in in = {.p = o->p, .len = o->len};
    struct ip_hdr ip;
    g->len = o->len;
    g->no = o->no;
    g->dir = o->dir;
    memcpy(g->bytes, o->p, min_size(o->len, sizeof g->bytes));
    if (ip_parse(&in, &ip) != DROP_NONE) {
        return;
    }
    g->ecn = ip.tos & 3;
    g->proto = ip.proto;
    if (ip.proto != 6 || ip.frag) {
        return;
    }
    uint64_t sum = csum_pseudo(&ip.src, &ip.dst, 6, (uint32_t)ip.payload_len);
    g->good = csum_good(csum_add(sum, ip.payload, ip.payload_len));
    if (tcp_seg_parse(&g->seg, ip.payload, ip.payload_len) == DROP_NONE) {
        g->flags = (uint8_t)g->seg.flags;
        g->seq = g->seg.seq.v;
        g->ack = g->seg.ack.v;
        g->plen = g->seg.len;
        g->wnd = g->seg.wnd;
    }
}

void box_run(struct box *b, nsec until)
{
    struct wire_pkt_out o;
    for (;;) {
        nsec at = wire_deadline(b->w);
        if (at == NEVER || at > until) {
            break;
        }
        b->now = nsec_max(b->now, at);
        while (wire_take(b->w, b->now, &o, NULL)) {
            CHECK(b->n < BOX_OUT_MAX);
            b->got[b->n].at = b->now - BOX_T0;
            look(&b->got[b->n++], &o);
            wire_done(b->w, &o);
        }
    }
    b->now = until == NEVER ? b->now : until;
}

void box_put(struct box *b, enum wire_dir d, const uint8_t *p, size_t len, uint16_t gso, bool open)
{
    struct span v[2] = {{p, len / 3}, {p + len / 3, len - len / 3}};
    struct wire_in in = {.span = v, .nspan = 2, .gso_size = gso, .csum_open = open};
    wire_put(b->w, b->now, d, &in, NULL);
}

size_t box_build(const struct box *b, enum wire_dir d, struct tcp_seg s, uint32_t n, uint8_t *out)
{
    static uint8_t seg[70000];
    const char *const *ends = b->v6 ? box_ends6 : box_ends4;
    s.sport = d == WIRE_OUT ? 1000 : 80;
    s.dport = d == WIRE_OUT ? 80 : 1000;
    size_t h = tcp_seg_build(&s, seg);
    for (uint32_t i = 0; i < n; i++) {
        seg[h + i] = (uint8_t)((s.seq.v + i) * 7);
    }
    size_t len = lone_ip(out, ends[d], ends[1 - d], 6, seg, h + n);
    if (!b->v6) {
        out[1] = (uint8_t)(out[1] | b->ecn);
        out[6] |= 0x40; /* DF */
        lone_fix(out, len);
    } else {
        out[1] = (uint8_t)(out[1] | b->ecn << 4);
    }
    return len;
}

void box_seg(struct box *b, enum wire_dir d, struct tcp_seg s, uint32_t n)
{
    uint8_t pkt[2000];
    box_put(b, d, pkt, box_build(b, d, s, n, pkt), 0, false);
}

void box_syn(struct box *b, bool ts)
{
    struct tcp_seg s = {.flags = TCP_SYN, .wnd = 65535, .has_mss = true, .mss = BOX_MSS};
    s.has_wscale = true;
    s.wscale = 7;
    s.has_sack_ok = true;
    s.has_ts = ts;
    box_seg(b, WIRE_OUT, s, 0);
    s.flags = TCP_SYN | TCP_ACK;
    s.ack = seq_of(1);
    box_seg(b, WIRE_IN, s, 0);
}

void box_data(struct box *b, enum wire_dir d, uint32_t at, uint32_t n)
{
    struct tcp_seg s = {
        .flags = TCP_ACK | TCP_PSH, .wnd = 500, .seq = seq_of(1 + at), .ack = seq_of(1)};
    box_seg(b, d, s, n);
}

void box_ack(struct box *b, enum wire_dir d, uint32_t acked)
{
    struct tcp_seg s = {.flags = TCP_ACK, .wnd = 500, .seq = seq_of(1), .ack = seq_of(1 + acked)};
    box_seg(b, d, s, 0);
}

uint64_t box_fired(const struct box *b, enum wire_dir d, enum wire_fired what)
{
    return wire_counts(b->w, d)->fired[what];
}
