/*
 * talk.h - one connection of the simulator: host 0 connects, both ends send so many bytes and
 * close, every byte is compared.
 */
#ifndef STANDIN_TESTS_TALK_H
#define STANDIN_TESTS_TALK_H

#include "tests/lib/net.h"

struct talk_end {
    struct sock *s;
    uint64_t to_send, sent, got;
    bool shut, eof;
    bool more; /* a slow reader has left something */
    int err;   /* -ERR_*: the connection ended otherwise */
};

struct talk {
    struct net *net;
    unsigned no; /* from 0: port 80 + no */
    struct sock *listener;
    struct talk_end end[2]; /* by host */
    nsec began;
    nsec ended;        /* host 0 has seen the other's end; NEVER: not yet */
    bool answers;      /* host 1 closes when it has seen host 0's end */
    uint64_t read_max; /* an end reads at most so much at a time; 0: all there is */
};

/* Opens it. up: bytes from host 0 to host 1. */
void talk_open(struct talk *t, struct net *n, unsigned no, bool v6, uint64_t up, uint64_t down);

/* What the two programs can do now. Aborts when a byte differs. */
void talk_turn(struct talk *t);
bool talk_over(const struct talk *t);
void talk_close(struct talk *t);

/* Steps the network and turns the talks until all are over. False: not by `until`. */
bool talk_run(struct talk *t, unsigned n, nsec until);

#endif
