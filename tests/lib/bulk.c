#include "tests/lib/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/tcp.h"

#define CHUNK (256u << 10)

static void must(bool ok, const char *what, int64_t err)
{
    if (!ok) {
        fprintf(stderr, "bulk: %s: %lld\n", what, (long long)err);
        abort();
    }
}

static struct sock *new_sock(struct rig *r, unsigned host)
{
    int err = 0;
    struct sock *s =
        sock_create(r->host[host].st, rig_env(r, host), LX_AF_INET, LX_SOCK_STREAM, 0, &err);
    must(s != NULL, "socket", err);
    return s;
}

struct bulk *bulk_new(uint64_t seed, uint32_t caps, void (*tune)(struct stack_config *cfg))
{
    struct bulk *b = calloc(1, sizeof *b);
    must(b != NULL, "memory", 0);
    b->rig = rig_new(seed, caps, tune);
    struct rig *r = b->rig;
    b->listener = new_sock(r, 1);
    struct endpoint at = {.addr = addr_any4, .port = 80};
    int err = sock_bind(r->host[1].st, rig_env(r, 1), b->listener, &at, true);
    must(err == 0, "bind", err);
    err = sock_listen(r->host[1].st, rig_env(r, 1), b->listener, BULK_FLOWS);
    must(err == 0, "listen", err);
    return b;
}

void bulk_free(struct bulk *b)
{
    rig_free(b->rig);
    free(b);
}

static void push(struct bulk *b, struct bulk_flow *f)
{
    static const uint8_t zero[CHUNK];
    struct span v = {zero, CHUNK};
    int64_t n;

    do {
        n = sock_send(b->rig->host[0].st, rig_env(b->rig, 0), f->out, &v, 1, 0, NULL);
    } while (n == CHUNK);
    must(n > 0 || n == -ERR_AGAIN, "send", n);
}

static void pull(struct bulk *b, struct bulk_flow *f)
{
    static uint8_t sink[CHUNK];
    int64_t n;
    size_t max;

    do {
        max = f->take ? min_size(CHUNK, f->take > f->got ? f->take - f->got : 0) : CHUNK;
        if (max == 0) {
            return;
        }
        struct mspan v = {sink, max};
        n = sock_recv(b->rig->host[1].st, rig_env(b->rig, 1), f->in, &v, 1, LX_MSG_TRUNC, NULL);
        f->got += n > 0 ? (uint64_t)n : 0;
    } while (n == (int64_t)max);
    must(n > 0 || n == -ERR_AGAIN, "recv", n);
}

static void serve(struct bulk *b)
{
    for (unsigned i = 0; i < BULK_FLOWS; i++) {
        struct bulk_flow *f = &b->flow[i];
        if (f->in && (sock_ready(b->rig->host[1].st, f->in) & LX_POLLIN)) {
            pull(b, f);
        }
        if (f->in && !f->paused && (sock_ready(b->rig->host[0].st, f->out) & LX_POLLOUT)) {
            push(b, f);
        }
    }
    rig_flush(b->rig, 0);
    rig_flush(b->rig, 1);
}

void bulk_run(struct bulk *b, nsec time)
{
    nsec until = b->rig->now + time;

    serve(b);
    while (rig_step(b->rig, until)) {
        serve(b);
    }
    b->rig->now = until;
}

void bulk_open(struct bulk *b, unsigned i, const char *cc)
{
    struct rig *r = b->rig;
    struct bulk_flow *f = &b->flow[i];
    int err = 0;

    f->out = new_sock(r, 0);
    if (cc) {
        err = tcp_setopt(r->host[0].st, rig_env(r, 0), f->out, LX_TCP_CONGESTION, cc, strlen(cc),
                         true);
        must(err == 0, cc, err);
    }
    struct endpoint to = {.addr = rig_addr(1, false), .port = 80};
    err = sock_connect(r->host[0].st, rig_env(r, 0), f->out, &to);
    must(err == -ERR_INPROGRESS, "connect", err);
    rig_flush(r, 0);
    while (!f->in) {
        must(rig_step(r, r->now + 10 * SEC), "no connection", 0);
        serve(b);
        f->in = sock_accept(r->host[1].st, rig_env(r, 1), b->listener, &err);
    }
}

void bulk_measure(struct bulk *b, nsec time, double rate[BULK_FLOWS])
{
    uint64_t before[BULK_FLOWS];

    for (unsigned i = 0; i < BULK_FLOWS; i++) {
        before[i] = b->flow[i].got;
    }
    bulk_run(b, time);
    for (unsigned i = 0; i < BULK_FLOWS; i++) {
        rate[i] = (double)(b->flow[i].got - before[i]) * 1e9 / (double)time;
    }
}

double bulk_fairness(const double rate[BULK_FLOWS], unsigned n)
{
    double sum = 0, squares = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += rate[i];
        squares += rate[i] * rate[i];
    }
    return sum * sum / (n * squares);
}

struct lx_tcp_info bulk_info(struct bulk *b, unsigned i)
{
    struct lx_tcp_info info = {0};
    size_t len = sizeof info;
    int err = tcp_getopt(b->rig->host[0].st, rig_env(b->rig, 0), b->flow[i].out, LX_TCP_INFO, &info,
                         &len);
    must(err == 0, "TCP_INFO", err);
    return info;
}

double bulk_queue(const struct bulk *b)
{
    const struct rig_host *h = &b->rig->host[0];
    nsec waits = h->busy_until - b->rig->now;
    return waits > 0 ? (double)waits * (double)h->out.rate / 1e9 : 0;
}
