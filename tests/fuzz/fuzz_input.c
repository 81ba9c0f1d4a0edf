/*
 * fuzz_input.c - packets of any bytes into a host with a socket in every state.
 *
 * Each packet begins with a byte that says whom it is for. Half of them are a TCP segment to one
 * of the connections, its numbers near the expected ones and its checksum right, so that it comes
 * as far as the state allows; the others are bytes as they are, their checksums mended or not.
 */
#include "tests/fuzz/fuzz.h"

#define PEERS 10u

static struct lone host;
static struct sock *listener, *datagrams, *opening;
static struct peer peers[PEERS];

/* <mss 1000,sackOK,TS,nop,wscale 2> */
static const uint8_t syn_options[] = {2, 4, 3, 232, 4, 2, 8, 10, 0, 0,
                                      0, 9, 0, 0,   0, 0, 1, 3,  3, 2};

static void hear(struct peer *p)
{
    struct tcp_seg s;

    while (peer_take(p, &s)) {
        p->ack = tcp_seg_end(&s).v;
    }
    lone_forget(&host);
}

static void shut(struct peer *p)
{
    sock_shutdown(host.st, lone_env(&host), p->s, LX_SHUT_WR);
    stack_flush(host.st, lone_env(&host));
    hear(p);
}

/* Peer i in state i: SYN-RCVD, ESTABLISHED twice, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING,
 * LAST-ACK, TIME-WAIT, and an orphan. */
static void bring_into_state(unsigned i)
{
    struct peer *p = &peers[i];
    uint32_t una;

    *p = peer_of(&host, i & 1, (uint16_t)(5000 + i));
    if (i == 0) {
        peer_say(p, TCP_SYN, NULL, 0);
        hear(p);
        return;
    }
    peer_connect(p, listener, syn_options, i % 3 ? sizeof syn_options : 0);
    una = p->ack;
    if (i == 2) {
        lone_send(&host, p->s, syn_options, sizeof syn_options, NULL, 0);
        hear(p);
        p->ack = una;
    }
    if (i == 5 || i == 7) {
        peer_say(p, TCP_FIN | TCP_ACK, NULL, 0);
        hear(p);
    }
    if (i == 3 || i == 4 || i == 6 || i == 7 || i == 8) {
        shut(p);
    }
    if (i == 9) {
        lone_close(&host, p->s);
        p->s = NULL;
        hear(p);
    }
    if (i == 4) {
        peer_say(p, TCP_ACK, NULL, 0);
    } else if (i == 8) {
        peer_say(p, TCP_FIN | TCP_ACK, NULL, 0);
    } else if (i == 6) {
        p->ack = una;
        peer_say(p, TCP_FIN | TCP_ACK, NULL, 0);
    }
    hear(p);
}

static void open_all(void)
{
    lone_init(&host, 0, NULL);
    listener = peer_listener(&host, 80, 16);
    datagrams = lone_sock(&host, LX_AF_INET6, LX_SOCK_DGRAM);
    lone_bind(&host, datagrams, "::", 53);
    opening = lone_sock(&host, LX_AF_INET, LX_SOCK_STREAM);
    lone_bind(&host, opening, "0.0.0.0", 81);
    lone_connect(&host, opening, "10.77.0.1", 5099);
    lone_forget(&host);
    for (unsigned i = 0; i < PEERS; i++) {
        bring_into_state(i);
    }
}

/* One packet brings out few, and a reset none. RFC 9293 3.10.7.1. */
static void judge_answers(bool was_reset)
{
    const struct lone_pkt *k;
    struct tcp_seg s;

    CHECK(host.nout <= 40);
    while (was_reset && (k = lone_take(&host)) != NULL) {
        size_t at = k->p[0] >> 4 == 4 ? 20 : 40;
        CHECK(tcp_seg_parse(&s, k->p + at, k->len - at) == DROP_NONE);
        CHECK(!(s.flags & TCP_RST));
    }
}

static void shaped(struct bytes *b, uint8_t to)
{
    struct peer p = peers[to % PEERS];
    struct peer_seg s = {.flags = take8(b)};
    const uint8_t *opt;
    uint8_t extra = take8(b);

    if (to % 16 == 15) { /* the socket that is opening, or another port */
        p.lport = extra & 0x40 ? 81 : take16(b);
        p.rport = extra & 0x40 ? 5099 : p.rport;
    }
    s.flags |= extra & 0x80 ? TCP_AE : 0;
    s.seq = take_near(b, p.seq);
    s.ack = take_near(b, p.ack);
    s.wnd = take16(b);
    s.up = extra & 0x20 ? take16(b) : 0;
    s.nopt = take_bytes(b, extra & 0x10 ? take8(b) % 41 : 0, &opt);
    s.opt = opt;
    s.len = extra & 0x08 ? take16(b) % 2000 : extra & 7;
    peer_send(&p, &s);
    judge_answers(s.flags & TCP_RST);
}

static void raw(struct bytes *b, bool mend)
{
    static uint8_t buf[LONE_PKT_MAX];
    const uint8_t *p;
    size_t n = take_bytes(b, take8(b) * 4u, &p);

    if (n) {
        memcpy(buf, p, n);
    }
    if (mend && n >= 40) {
        lone_fix(buf, n);
    }
    lone_in(&host, buf, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};

    open_all();
    while (b.n > 0) {
        uint8_t to = take8(&b);
        if (to < 0xc0) {
            shaped(&b, to);
        } else if (to < 0xe0) {
            lone_wait(&host, lone_env(&host)->now + (MSEC << (to & 15)));
        } else {
            raw(&b, to & 1);
        }
        whole(&host);
        lone_forget(&host);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        if (peers[i].s) {
            lone_close(&host, peers[i].s);
        }
    }
    lone_close(&host, opening);
    lone_close(&host, datagrams);
    lone_close(&host, listener);
    finish(&host);
    return 0;
}
