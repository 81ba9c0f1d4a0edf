/*
 * tcp_state.c - theory of operation
 *
 * The eleven states of RFC 9293 3.3.2, the legal moves, the one writer of c->state, and what must
 * be true in each.
 *
 *                    passive OPEN                          active OPEN: snd SYN
 *        LISTEN <---------------------- CLOSED -----------------------> SYN-SENT
 *           | rcv SYN, snd SYN,ACK (a child)      rcv SYN, snd SYN,ACK     |
 *           +----------------> SYN-RCVD <----------------------------------+
 *                                 | rcv ACK of SYN                         | rcv SYN,ACK, snd ACK
 *                                 +----------> ESTABLISHED <---------------+
 *                  CLOSE: snd FIN |                    | rcv FIN, snd ACK
 *                     FIN-WAIT-1 <+                    +> CLOSE-WAIT
 *        rcv ACK of FIN |  | rcv FIN, snd ACK                 | CLOSE: snd FIN
 *              FIN-WAIT-2  +-> CLOSING                     LAST-ACK
 *             rcv FIN |           | rcv ACK of FIN            | rcv ACK of FIN
 *                     +-> TIME-WAIT <+ -- 2 MSL --> CLOSED <--+
 *
 * Any state moves to CLOSED by RST, timeout or abort. A child of a listener starts in SYN-RCVD
 * (from CLOSED).
 *
 * Invariants, checked by tcp_check:
 *   I1  SND.UNA <= SND.NXT, and what lies between is exactly what the transmission records hold.
 *   I2  the send ring begins at SND.UNA (once SYN is acknowledged) and FIN, if sent, lies at the
 *       end of the written data.
 *   I3  RCV.NXT is the end of the receive ring (and of FIN); the announced right edge is not left
 *       of it.
 *   I4  out-of-order ranges lie beyond RCV.NXT and not beyond the announced window.
 *   I5  LISTEN, CLOSED and TIME-WAIT hold no data; LISTEN is in no connection table.
 *   I6  something in flight has a timer that will send it again.
 *   I7  what is unsent or in flight is noted in the connection's own tcp_flight.
 *   I8  a connection in AccECN mode, or asking for it, has its counters (RFC 9768 3.2).
 */
#include "tcp_cb.h"

#include <string.h>

#include "check.h"

#define TO(s) (1u << (s))

static const uint16_t legal[TCP_STATES] = {
    [TCP_CLOSED] = TO(TCP_LISTEN) | TO(TCP_SYN_SENT) | TO(TCP_SYN_RCVD),
    [TCP_LISTEN] = TO(TCP_CLOSED) | TO(TCP_SYN_SENT),
    [TCP_SYN_SENT] = TO(TCP_CLOSED) | TO(TCP_SYN_RCVD) | TO(TCP_ESTABLISHED),
    [TCP_SYN_RCVD] = TO(TCP_CLOSED) | TO(TCP_ESTABLISHED) | TO(TCP_FIN_WAIT_1),
    [TCP_ESTABLISHED] = TO(TCP_CLOSED) | TO(TCP_FIN_WAIT_1) | TO(TCP_CLOSE_WAIT),
    [TCP_FIN_WAIT_1] = TO(TCP_CLOSED) | TO(TCP_FIN_WAIT_2) | TO(TCP_CLOSING) | TO(TCP_TIME_WAIT),
    [TCP_FIN_WAIT_2] = TO(TCP_CLOSED) | TO(TCP_TIME_WAIT),
    [TCP_CLOSE_WAIT] = TO(TCP_CLOSED) | TO(TCP_LAST_ACK),
    [TCP_CLOSING] = TO(TCP_CLOSED) | TO(TCP_TIME_WAIT),
    [TCP_LAST_ACK] = TO(TCP_CLOSED),
    [TCP_TIME_WAIT] = TO(TCP_CLOSED),
};

static const char *const names[TCP_STATES] = {
    [TCP_CLOSED] = "CLOSED",           [TCP_LISTEN] = "LISTEN",
    [TCP_SYN_SENT] = "SYN-SENT",       [TCP_SYN_RCVD] = "SYN-RCVD",
    [TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
    [TCP_FIN_WAIT_2] = "FIN-WAIT-2",   [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
    [TCP_CLOSING] = "CLOSING",         [TCP_LAST_ACK] = "LAST-ACK",
    [TCP_TIME_WAIT] = "TIME-WAIT",
};

/* Linux, not RFC: enum in include/net/tcp_states.h. */
static const uint8_t linux_state[TCP_STATES] = {
    [TCP_ESTABLISHED] = 1, [TCP_SYN_SENT] = 2,  [TCP_SYN_RCVD] = 3, [TCP_FIN_WAIT_1] = 4,
    [TCP_FIN_WAIT_2] = 5,  [TCP_TIME_WAIT] = 6, [TCP_CLOSED] = 7,   [TCP_CLOSE_WAIT] = 8,
    [TCP_LAST_ACK] = 9,    [TCP_LISTEN] = 10,   [TCP_CLOSING] = 11,
};

const char *tcp_state_name(enum tcp_state s)
{
    return (unsigned)s < TCP_STATES ? names[s] : "?";
}

uint8_t tcp_state_linux(enum tcp_state s)
{
    return linux_state[s];
}

enum tcp_state tcp_state_of(const struct sock *s)
{
    return (enum tcp_state)tcp_of_const(s)->state;
}

void tcp_move(struct stack *st, struct env *env, struct tcp *c, enum tcp_state to, const char *func,
              int line)
{
    enum tcp_state from = (enum tcp_state)c->state;

    CHECK(legal[from] & TO(to));
    c->state = (uint8_t)to;
    c->info.state_since = env->now;

    tcp_tell_state(st, env, c, from, func, line);
}

static const char *check_send(const struct tcp *c)
{
    if (!seq_leq(c->snd.una, c->snd.nxt)) {
        return "I1: SND.UNA beyond SND.NXT";
    }
    const char *bad = txq_check(&c->fl->tx);
    bad = bad ? bad : wq_check(&c->fl->wq, c->snd.nxt, tcp_write_end(c));
    if (bad) {
        return bad;
    }
    if (c->fl->tx.n && !seq_eq(txq_at(&c->fl->tx, 0)->from, c->snd.una)) {
        return "I1: the records do not begin at SND.UNA";
    }
    if (c->fl->tx.n && !seq_eq(txq_at(&c->fl->tx, c->fl->tx.n - 1)->to, c->snd.nxt)) {
        return "I1: the records do not end at SND.NXT";
    }
    if (!c->fl->tx.n && !seq_eq(c->snd.una, c->snd.nxt)) {
        return "I1: in flight without a record";
    }
    if (c->fin_sent && !seq_eq(c->fin_seq, tcp_write_end(c))) {
        return "I2: FIN is not at the end of the data";
    }
    return NULL;
}

static const char *check_rcv(const struct tcp *c)
{
    seq data_end = seq_add(tcp_rcv_base(c), (uint32_t)ring_tail(&c->rq));

    if (!seq_eq(c->fin_rcvd ? seq_add(data_end, 1) : data_end, c->rcv.nxt)) {
        return "I3: RCV.NXT is not the end of the receive ring";
    }
    if (seq_lt(c->rcv.adv, c->rcv.nxt) && !c->fin_rcvd) {
        return "I3: the window's right edge lies left of RCV.NXT";
    }
    if (c->fl->ooo.n && !seq_lt(c->rcv.nxt, c->fl->ooo.v[0].from)) {
        return "I4: an out-of-order range touches RCV.NXT";
    }
    return NULL;
}

const char *tcp_check(const struct stack *st, const struct sock *s)
{
    const struct tcp *c = tcp_of_const(s);
    const char *bad = tcp_flight_check(st, c);

    if (bad) {
        return bad;
    }
    if (c->state >= TCP_ESTABLISHED && c->state != TCP_TIME_WAIT) {
        bad = check_send(c);
        bad = bad ? bad : check_rcv(c);
    }
    if (!bad && (c->state == TCP_LISTEN || c->state == TCP_CLOSED) && (c->sq.data || c->fl->tx.n)) {
        bad = "I5: a closed connection holds data to send";
    }
    if (!bad && c->ecn_mode >= ECN_ACCURATE && (!c->accecn || c->accecn->owner != c)) {
        bad = "I8: AccECN without its counters";
    }
    if (!bad && c->state == TCP_LISTEN && s->in_conn) {
        bad = "I5: a listener among the connections";
    }
    if (!bad && c->state == TCP_CLOSED && c->timer.at != NEVER) {
        bad = "I5: a timer on a closed connection";
    }
    if (!bad && c->fl->tx.n && tcp_due(c, TT_RTO) == NEVER && tcp_due(c, TT_TLP) == NEVER &&
        tcp_due(c, TT_REORDER) == NEVER && !c->want_out) {
        bad = "I6: in flight without a timer";
    }
    return bad;
}
