/*
 * fuzz_script.c - a life of packets, calls and time, chosen by bytes; after each step every
 * invariant is checked.
 *
 * Peers know what they have said and heard, so that handshakes and transfers succeed unless the
 * bytes say otherwise. Requests for memory fail when the bytes want it, and the indices are rebuilt
 * as after a death.
 */
#include "tests/fuzz/fuzz.h"

#define PEERS 6u
#define SOCKS 8u

static struct lone host;
static struct peer peers[PEERS];
static uint32_t hole[PEERS][2]; /* what a peer has received beyond a hole; empty: nothing */
static uint8_t lose;            /* so many segments on their way to peers get lost */
static struct sock *socks[SOCKS];
static uint8_t buf[70000];

static void hear(unsigned i, const struct tcp_seg *s)
{
    struct peer *p = &peers[i];

    if (lose && s->len) {
        lose--;
        return;
    }
    if (s->flags & TCP_SYN && s->flags & TCP_ACK) {
        p->seq = s->ack.v;
        p->ack = s->seq.v + 1;
    } else if (s->flags & TCP_SYN) {
        p->ack = s->seq.v + 1;
    } else if (seq_eq(s->seq, seq_of(p->ack))) {
        p->ack = tcp_seg_end(s).v;
        if (seq_leq(seq_of(hole[i][0]), seq_of(p->ack))) { /* the hole is filled */
            p->ack = seq_max(seq_of(p->ack), seq_of(hole[i][1])).v;
            hole[i][0] = hole[i][1] = p->ack;
        }
    } else if (s->len && seq_gt(s->seq, seq_of(p->ack))) {
        hole[i][0] = s->seq.v;
        hole[i][1] = tcp_seg_end(s).v;
    }
}

/* All that was sent goes to the peer it is for. */
static void hear_all(void)
{
    const struct lone_pkt *k;
    struct tcp_seg s;

    while ((k = lone_take(&host)) != NULL) {
        size_t at = k->p[0] >> 4 == 4 ? 20 : 40;
        uint8_t proto = k->p[0] >> 4 == 4 ? k->p[9] : k->p[6];
        if (proto != 6 || tcp_seg_parse(&s, k->p + at, k->len - at) != DROP_NONE) {
            continue;
        }
        for (unsigned i = 0; i < PEERS; i++) {
            if (s.dport == peers[i].rport && (at == 40) == (i & 1)) {
                peers[i].lport = s.sport;
                hear(i, &s);
            }
        }
    }
    lone_forget(&host);
}

/* <nop,nop,TS> and <nop,nop,sack> of what lies beyond the hole. */
static size_t usual_options(uint8_t opt[24], unsigned i, uint8_t how)
{
    uint32_t word[2] = {hole[i][0], hole[i][1]};
    size_t n = 0;

    if (how & 1) { /* the peer's clock is ours */
        be32 val = be32_of((uint32_t)(lone_env(&host)->now / MSEC));
        memcpy(opt, (uint8_t[12]){1, 1, 8, 10}, 12);
        memcpy(opt + 4, val.b, 4);
        n = 12;
    }
    if (word[0] != word[1]) {
        be32 from = be32_of(word[0]), to = be32_of(word[1]);
        memcpy(opt + n, (uint8_t[4]){1, 1, 5, 10}, 4);
        memcpy(opt + n + 4, from.b, 4);
        memcpy(opt + n + 8, to.b, 4);
        n += 12;
    }
    return n;
}

static void op_segment(struct bytes *b, struct peer *p)
{
    uint8_t usual[24];
    uint8_t how = take8(b);
    struct peer_seg s = {.flags = TCP_ACK, .wnd = p->wnd};
    const uint8_t *opt = usual;

    s.nopt = usual_options(usual, (unsigned)(p - peers), how >> 1);
    s.opt = usual;
    if (how & 0x80) {
        s.flags = take8(b);
        s.wnd = p->wnd = take16(b);
        s.up = take8(b);
        s.nopt = take_bytes(b, take8(b) % 41, &opt);
        s.opt = opt;
    }
    s.flags |= how & 1 ? TCP_PSH : 0;
    s.flags |= how & 2 ? TCP_FIN : 0;
    s.seq = how & 0x40 ? take_near(b, p->seq) : p->seq;
    s.ack = how & 0x20 ? take_near(b, p->ack) : p->ack;
    s.len = how & 0x10 ? take16(b) % 3000 : how & 0x0c;
    peer_send(p, &s);
    if (s.seq == p->seq) {
        p->seq += (uint32_t)s.len + !!(s.flags & TCP_FIN);
    }
}

static void op_syn(struct bytes *b, struct peer *p)
{
    static const uint8_t all[] = {2, 4, 3, 232, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 2};
    uint8_t how = take8(b);

    p->lport = 80;
    p->seq = take32(b);
    peer_send(p, &(struct peer_seg){.seq = p->seq,
                                    .flags = TCP_SYN,
                                    .wnd = 65535,
                                    .opt = all,
                                    .nopt = how % (sizeof all + 1)});
    p->seq++;
}

static void op_connect(struct bytes *b, unsigned i, struct peer *p)
{
    int err;

    if (!socks[i]) {
        socks[i] =
            sock_create(host.st, lone_env(&host), p->them[0] == 'f' ? LX_AF_INET6 : LX_AF_INET,
                        LX_SOCK_STREAM, 0, &err);
    }
    if (socks[i]) {
        lone_connect(&host, socks[i], p->them, p->rport);
    }
    (void)b;
}

static void op_option(struct bytes *b, struct sock *s)
{
    static const int level[] = {LX_SOL_SOCKET, LX_IPPROTO_TCP, LX_IPPROTO_IP, LX_IPPROTO_IPV6};
    int l = level[take8(b) & 3];
    int name = take8(b) & 0x7f;
    uint32_t v[2] = {take8(b), 0};
    size_t len = sizeof buf;

    if (v[0] & 0x80) {
        v[0] = take32(b);
        v[1] = take8(b);
    }
    sock_setopt(host.st, lone_env(&host), s, l, name, v, name == LX_SO_LINGER ? 8 : 4, true);
    sock_getopt(host.st, lone_env(&host), s, l, name, buf, &len);
}

static void op_data(struct bytes *b, struct sock *s)
{
    uint8_t how = take8(b);
    uint32_t flags = take8(b) & (LX_MSG_OOB | LX_MSG_PEEK | LX_MSG_TRUNC);
    size_t n = how & 0x40 ? take16(b) : how & 0x3f;

    if (how & 0x80) {
        struct span v = {.p = buf, .n = n};
        flags = flags & LX_MSG_OOB ? LX_MSG_OOB : flags & LX_MSG_PEEK ? LX_MSG_MORE : 0;
        sock_send(host.st, lone_env(&host), s, &v, 1, flags, NULL);
    } else {
        lone_recv(&host, s, buf, n, flags, NULL);
    }
}

static void op_icmp(struct bytes *b, struct peer *p)
{
    static uint8_t pkt[LONE_PKT_MAX];
    struct peer back = {.us = p->them, .them = p->us, .lport = p->rport, .rport = p->lport};
    uint8_t type = take8(b);
    bool v6 = p->them[0] == 'f';
    size_t n = peer_build(&back, &(struct peer_seg){.seq = take_near(b, p->ack)}, buf);

    type = v6 ? (uint8_t)(1 + type % 4) : type & 1 ? 3 : type % 13;
    n = lone_icmp(pkt, p->them, p->us, type, take8(b) % 16, take16(b), buf, n);
    lone_in(&host, pkt, n);
}

static void op_knob(struct bytes *b)
{
    const struct knob_info *k = &knob_table[take8(b) % knob_count];
    int64_t span = (int64_t)k->max - k->min;

    knobs_set(&host.st->knobs, k->name, k->min + (span ? take16(b) % (span + 1) : 0));
}

static void socket_op(struct bytes *b, uint8_t op, unsigned i)
{
    struct env *env = lone_env(&host);
    int err;

    if (op == 0 && !socks[i]) {
        socks[i] = sock_accept(host.st, env, socks[0], &err);
    } else if (op == 1 && i > 0) {
        op_connect(b, i, &peers[take8(b) % PEERS]);
    } else if (!socks[i]) {
        return;
    } else if (op == 2 || op == 3) {
        op_data(b, socks[i]);
    } else if (op == 4) {
        sock_shutdown(host.st, env, socks[i], take8(b) % 3);
    } else if (op == 5 && i > 0) {
        lone_close(&host, socks[i]);
        socks[i] = NULL;
    } else if (op == 6) {
        op_option(b, socks[i]);
    } else if (op == 7 && i > 0) {
        sock_connect(host.st, env, socks[i], NULL);
    }
    stack_flush(host.st, env);
}

static void step(struct bytes *b)
{
    uint8_t op = take8(b);
    struct peer *p = &peers[op % PEERS];

    if (op < 0x60) {
        op_segment(b, p);
    } else if (op < 0x70) {
        op_syn(b, p);
    } else if (op < 0xb0) {
        socket_op(b, op & 7, take8(b) % SOCKS);
    } else if (op < 0xd0) {
        lone_wait(&host, lone_env(&host)->now + (100 * USEC << (op & 31) % 22));
    } else if (op < 0xe0) {
        op_icmp(b, p);
    } else if (op < 0xe4) {
        lose = op & 3;
    } else if (op < 0xe8) {
        op_knob(b);
    } else if (op < 0xf0) {
        mem_fail_nth(host.st->mem, op & 7);
    } else if (op < 0xf4) {
        mem_fail_nth(host.st->mem, 0); /* recovery relies on what the old tables had */
        stack_recover(host.st, lone_env(&host));
        stack_flush(host.st, lone_env(&host));
    }
    hear_all();
    whole(&host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};

    lone_init(&host, 0, NULL);
    memset(socks, 0, sizeof socks);
    memset(hole, 0, sizeof hole);
    lose = 0;
    socks[0] = peer_listener(&host, 80, 4);
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = peer_of(&host, i & 1, (uint16_t)(5000 + i));
    }
    while (b.n > 0) {
        step(&b);
    }
    mem_fail_nth(host.st->mem, 0);
    knobs_default(&host.st->knobs);
    for (unsigned i = 0; i < SOCKS; i++) {
        if (socks[i]) {
            lone_close(&host, socks[i]);
        }
    }
    finish(&host);
    return 0;
}
