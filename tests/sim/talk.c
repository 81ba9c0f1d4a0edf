/*
 * talk.c - see talk.h.
 */
#include "tests/sim/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/abi.h"
#include "core/check.h"
#include "core/tcp.h"

#define PERIOD 65521u /* a prime: the text repeats at no power of two */
#define CHUNK  65536u

static uint8_t text[2][PERIOD + CHUNK]; /* what each host says */

static void text_make(void)
{
    if (text[0][1]) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint32_t x = i + 1;
        for (uint32_t k = 0; k < PERIOD + CHUNK; k++) {
            x = x * 1664525 + 1013904223;
            text[i][k] = k < PERIOD ? (uint8_t)(x >> 24 | 1) : text[i][k - PERIOD];
        }
    }
}

static _Noreturn void fatal(const struct talk *t, const char *what)
{
    fprintf(stderr, "talk %u: SEED=%llu, %.6f s: %s\n", t->no, (unsigned long long)t->net->seed,
            (double)(t->net->now - t->began) / 1e9, what);
    abort();
}

static struct sock *socket_of(struct talk *t, unsigned i, bool v6)
{
    int err;
    struct sock *s = sock_create(t->net->host[i].st, net_env(t->net, i),
                                 v6 ? LX_AF_INET6 : LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    if (!s) {
        fatal(t, "no socket");
    }
    return s;
}

void talk_open(struct talk *t, struct net *n, unsigned no, bool v6, uint64_t up, uint64_t down)
{
    text_make();
    *t = (struct talk){.net = n, .no = no, .began = n->now, .ended = NEVER};
    t->end[0].to_send = up;
    t->end[1].to_send = down;
    struct endpoint at = {.addr = v6 ? addr_any6 : addr_any4, .port = (uint16_t)(80 + no)};
    struct endpoint to = {.addr = net_addr(1, v6), .port = at.port};
    t->listener = socket_of(t, 1, v6);
    if (sock_bind(n->host[1].st, net_env(n, 1), t->listener, &at, true) ||
        sock_listen(n->host[1].st, net_env(n, 1), t->listener, 4)) {
        fatal(t, "no listener");
    }
    t->end[0].s = socket_of(t, 0, v6);
    if (sock_connect(n->host[0].st, net_env(n, 0), t->end[0].s, &to) != -ERR_INPROGRESS) {
        fatal(t, "no connect");
    }
    net_flush(n, 0);
}

static bool push(struct talk *t, unsigned i)
{
    struct talk_end *e = &t->end[i];
    struct stack *st = t->net->host[i].st;
    bool any = false;
    while (e->sent < e->to_send) {
        struct span v = {text[i] + e->sent % PERIOD, min_size(CHUNK, e->to_send - e->sent)};
        int64_t k = sock_send(st, net_env(t->net, i), e->s, &v, 1, LX_MSG_NOSIGNAL, NULL);
        if (k == -ERR_AGAIN) {
            return any;
        }
        if (k <= 0) {
            e->err = (int)k;
            return any;
        }
        e->sent += (uint64_t)k;
        any = true;
    }
    if (!e->shut && !(t->answers && i == 1 && !e->eof)) {
        e->shut = true;
        sock_shutdown(st, net_env(t->net, i), e->s, LX_SHUT_WR);
        any = true;
    }
    return any;
}

static bool pull(struct talk *t, unsigned i)
{
    static uint8_t buf[CHUNK];
    struct talk_end *e = &t->end[i];
    bool any = false;
    e->more = false;
    while (!e->eof) {
        struct mspan v = {buf, t->read_max ? min_size(t->read_max, sizeof buf) : sizeof buf};
        int64_t k =
            sock_recv(t->net->host[i].st, net_env(t->net, i), e->s, &v, 1, LX_MSG_DONTWAIT, NULL);
        if (k == -ERR_AGAIN) {
            break;
        }
        if (k < 0) {
            e->err = (int)k;
            break;
        }
        if (memcmp(buf, text[1 - i] + e->got % PERIOD, (size_t)k) != 0) {
            fatal(t, "bytes differ");
        }
        e->eof = k == 0;
        e->got += (uint64_t)k;
        any = true;
        if (t->read_max) {
            e->more = k > 0;
            break;
        }
    }
    return any;
}

static void end_turn(struct talk *t, unsigned i)
{
    struct talk_end *e = &t->end[i];
    if (!e->s || e->err || (e->shut && e->eof)) {
        return;
    }
    bool any = push(t, i);
    any |= !e->err && pull(t, i);
    any |= !e->err && push(t, i); /* an end that was waited for */
    if (any) {
        net_flush(t->net, i);
    }
}

void talk_turn(struct talk *t)
{
    if (!t->end[1].s) {
        int err;
        t->end[1].s = sock_accept(t->net->host[1].st, net_env(t->net, 1), t->listener, &err);
    }
    if (tcp_state_of(t->end[0].s) != TCP_SYN_SENT) {
        end_turn(t, 0);
    }
    end_turn(t, 1);
    if (t->ended == NEVER && t->end[0].eof) {
        t->ended = t->net->now;
    }
}

bool talk_over(const struct talk *t)
{
    return (t->end[0].err || (t->end[0].eof && t->end[0].shut)) &&
           (t->end[1].err || (t->end[1].eof && t->end[1].shut));
}

void talk_close(struct talk *t)
{
    for (unsigned i = 0; i < 2; i++) {
        if (t->end[i].s) {
            sock_release(t->net->host[i].st, net_env(t->net, i), t->end[i].s, 0);
            net_flush(t->net, i);
        }
    }
    sock_release(t->net->host[1].st, net_env(t->net, 1), t->listener, 0);
    net_flush(t->net, 1);
}

/* A slow reader comes back in a millisecond, whether something happens or not. */
static bool step(struct talk *t, unsigned n, nsec until)
{
    struct net *net = t[0].net;
    bool more = false;
    for (unsigned i = 0; i < n; i++) {
        more |= t[i].end[0].more || t[i].end[1].more;
    }
    if (!more) {
        return net_step(net, until);
    }
    nsec soon = net->now + MSEC;
    if (!net_step(net, soon)) {
        net->now = soon;
    }
    return net->now <= until;
}

bool talk_run(struct talk *t, unsigned n, nsec until)
{
    for (;;) {
        bool over = true;
        for (unsigned i = 0; i < n; i++) {
            if (!talk_over(&t[i])) {
                talk_turn(&t[i]);
            }
            over &= talk_over(&t[i]);
        }
        if (over) {
            return true;
        }
        if (!step(t, n, until)) {
            return false;
        }
    }
}
