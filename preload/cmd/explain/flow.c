/*
 * flow.c - theory: each direction of a connection keeps its initial sequence number, how far it has
 * sent, how far it was acknowledged, its window, and a list of what was sent and is not
 * acknowledged: first byte, last byte, when, in which packet. Sequence numbers are 32 bits on the
 * wire and 64 here: a number is taken for the one nearest to what was seen last.
 */
#include "flow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "proto.h"

#define SENT_MAX 4096u /* per direction; older ones are forgotten */

struct sent {
    uint64_t from, to;
    int64_t at;
    uint64_t no;
};

struct side {
    bool known; /* isn holds */
    bool syn, fin, fin_acked;
    uint32_t isn;
    int64_t syn_at;
    uint64_t syn_no;
    bool scaled; /* offered a window scale */
    uint8_t scale;
    uint64_t max;   /* after the last byte sent */
    uint64_t acked; /* by the other side */
    uint64_t fin_at;
    uint64_t window;
    bool window_known;
    unsigned dups; /* acknowledgments of this side that told nothing new */
    bool ace_known;
    uint8_t ace; /* AccECN: the counter in its flags */
    struct sent *sent;
    unsigned nsent;
};

struct key {
    uint8_t addr[2][16];
    uint16_t port[2];
    uint32_t version;
};

struct conn {
    struct key key;
    unsigned number;
    struct side side[2]; /* as in key */
    bool refused, mid_told;
    bool accecn_offered, accecn; /* RFC 9768 */
    unsigned opener;             /* whose SYN offered it */
    UT_hash_handle hh;
};

struct flows {
    struct conn *all;
    unsigned count;
};

/* One packet being told. */
struct telling {
    struct conn *c;
    struct side *me, *peer;
    const struct tcp_facts *t;
    struct context *out;
    uint64_t no;
    int64_t at;
};

const char *duration_text(int64_t ns, char buf[24])
{
    if (ns < 1000000) {
        snprintf(buf, 24, "%.3g us", (double)ns / 1e3);
    } else if (ns < 1000000000) {
        snprintf(buf, 24, "%.1f ms", (double)ns / 1e6);
    } else {
        snprintf(buf, 24, "%.2f s", (double)ns / 1e9);
    }
    return buf;
}

struct flows *flows_new(void)
{
    return calloc(1, sizeof(struct flows));
}

void flows_free(struct flows *f)
{
    if (!f) {
        return;
    }
    struct conn *c = f->all;
    HASH_CLEAR(hh, f->all); /* the table only: the list through the connections stays */
    while (c) {
        struct conn *next = c->hh.next;
        free(c->side[0].sent);
        free(c->side[1].sent);
        free(c);
        c = next;
    }
    free(f);
}

static void tell(struct telling *k, enum text_id id, ...)
{
    va_list args;
    if (k->out->nlines == CONTEXT_LINES) {
        return;
    }
    va_start(args, id);
    vsnprintf(k->out->line[k->out->nlines++], CONTEXT_LEN, words(id), args);
    va_end(args);
}

/* ---- the table */

static unsigned key_of(const struct dissection *d, struct key *k)
{
    size_t n = d->version == 4 ? 4 : 16;
    int order = memcmp(d->src, d->dst, n);
    unsigned first = order > 0 || (order == 0 && d->sport > d->dport);

    memset(k, 0, sizeof *k);
    memcpy(k->addr[first], d->src, n);
    memcpy(k->addr[!first], d->dst, n);
    k->port[first] = d->sport;
    k->port[!first] = d->dport;
    k->version = d->version;
    return first;
}

static bool starts_anew(const struct conn *c, unsigned me, const struct tcp_facts *t)
{
    const struct side *s = &c->side[me];
    bool over = (c->side[0].fin && c->side[1].fin) || c->refused;
    return (t->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && s->known && (over || t->seq != s->isn);
}

static struct conn *conn_of(struct flows *f, const struct dissection *d, unsigned *me)
{
    struct conn *c;
    struct key key;

    *me = key_of(d, &key);
    HASH_FIND(hh, f->all, &key, sizeof key, c);
    if (c && starts_anew(c, *me, &d->tcp)) { /* the same ports again */
        HASH_DEL(f->all, c);
        free(c->side[0].sent);
        free(c->side[1].sent);
        free(c);
        c = NULL;
    }
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c) {
            return NULL;
        }
        c->key = key;
        c->number = ++f->count;
        HASH_ADD(hh, f->all, key, sizeof key, c);
    }
    return c;
}

/* ---- sequence numbers */

static void sent_add(struct side *s, struct sent x)
{
    if (!s->sent) {
        s->sent = malloc(SENT_MAX * sizeof *s->sent);
        if (!s->sent) {
            return;
        }
    }
    if (s->nsent == SENT_MAX) {
        memmove(s->sent, s->sent + 1, --s->nsent * sizeof *s->sent);
    }
    s->sent[s->nsent++] = x;
}

/* The earliest packet that carried byte x. */
static const struct sent *sent_find(const struct side *s, uint64_t x)
{
    for (unsigned i = 0; i < s->nsent; i++) {
        if (s->sent[i].from <= x && x < s->sent[i].to) {
            return &s->sent[i];
        }
    }
    return NULL;
}

/* The last packet that carried byte x, which is the one that was acknowledged if any was. */
static const struct sent *sent_last(const struct side *s, uint64_t x)
{
    for (unsigned i = s->nsent; i-- > 0;) {
        if (s->sent[i].from <= x && x < s->sent[i].to) {
            return &s->sent[i];
        }
    }
    return NULL;
}

static void sent_forget(struct side *s, uint64_t below)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->nsent; i++) {
        if (s->sent[i].to > below) {
            s->sent[kept++] = s->sent[i];
        }
    }
    s->nsent = kept;
}

/* ---- sentences */

static unsigned ace_of(uint16_t flags)
{
    return (flags & TCP_AE ? 4u : 0) + (flags & TCP_CWR ? 2u : 0) + (flags & TCP_ECE ? 1u : 0);
}

/* RFC 9768 tables 2 and 3: what the handshake says of the packet it answers; NULL: nothing. */
static const char *ace_codepoint(unsigned ace)
{
    static const char *const names[8] = {
        [2] = "Not-ECT", [3] = "ECT(1)", [4] = "ECT(0)", [6] = "CE"};

    return names[ace & 7];
}

/* RFC 3168 6.1.1, RFC 9768 3.1.2 */
static void tell_ecn_opening(struct telling *k)
{
    unsigned ace = ace_of(k->t->flags);
    bool answer = k->t->flags & TCP_ACK;

    if (!answer && ace == 7) {
        k->c->accecn_offered = true;
        k->c->opener = (unsigned)(k->me - k->c->side);
        tell(k, TEXT_CTX_ACCECN_OFFER);
    } else if (!answer && (ace & 3) == 3) {
        tell(k, TEXT_CTX_ECN_OFFER);
    } else if (answer && ace == 1) {
        tell(k, TEXT_CTX_ECN_ACCEPT);
    } else if (answer && k->c->accecn_offered && ace != 0 && ace != 7) {
        k->c->accecn = true;
        if (ace_codepoint(ace)) {
            tell(k, TEXT_CTX_ACCECN_ACCEPT, ace_codepoint(ace));
        } else {
            tell(k, TEXT_CTX_ACCECN_RESERVED);
        }
    }
}

/* The counter of marks, where it moves. RFC 9768 3.2.2 */
static void tell_ace(struct telling *k)
{
    struct side *me = k->me;
    unsigned ace = ace_of(k->t->flags);
    bool bare = k->t->len == 0 && k->t->nsack == 0 && !(k->t->flags & TCP_FIN);

    if (!k->c->accecn || k->t->flags & (TCP_SYN | TCP_RST) ||
        stream_number(k->peer->isn, k->t->ack, k->peer->acked) < k->peer->acked) {
        return;
    }
    if (!me->ace_known) {
        bool third = bare && me == &k->c->side[k->c->opener] && ace_codepoint(ace);
        me->ace_known = true;
        me->ace = third && ace == 6 ? 6 : 5;
        if (third) {
            tell(k, TEXT_CTX_ACE_HANDSHAKE, ace_codepoint(ace));
            return;
        }
    }
    if (ace != me->ace) {
        tell(k, TEXT_CTX_ACE, ace, (ace - me->ace) & 7u);
        me->ace = (uint8_t)ace;
    }
}

static void tell_syn(struct telling *k)
{
    struct side *me = k->me;
    const struct tcp_facts *t = k->t;
    char buf[24];

    if (me->syn) {
        tell(k, TEXT_CTX_SYN_AGAIN, duration_text(k->at - me->syn_at, buf));
        k->out->retrans = true;
        return;
    }
    me->known = me->syn = true;
    me->isn = t->seq;
    me->syn_at = k->at;
    me->syn_no = k->no;
    me->max = 1;
    me->scaled = t->has_wscale;
    me->scale = t->wscale;
    if (t->flags & TCP_ACK) {
        tell(k, TEXT_CTX_SYNACK, t->seq, duration_text(k->at - k->peer->syn_at, buf));
    } else {
        tell(k, TEXT_CTX_SYN, t->seq);
        if (k->peer->syn) {
            tell(k, TEXT_CTX_SYN_BOTH);
        }
    }
    tell_ecn_opening(k);
}

/* A direction whose opening was not captured: the first number seen counts as 1. */
static void begin_in_the_middle(struct telling *k)
{
    if (!k->me->known && !(k->t->flags & TCP_RST)) {
        k->me->known = true;
        k->me->isn = k->t->seq - 1;
        k->me->max = k->me->acked = 1;
        if (!k->c->mid_told) {
            k->c->mid_told = true;
            tell(k, TEXT_CTX_MID);
        }
    }
    if (!k->peer->known && k->t->flags & TCP_ACK) {
        k->peer->known = true;
        k->peer->isn = k->t->ack - 1;
        k->peer->max = k->peer->acked = 1;
    }
}

static void tell_retransmission(struct telling *k, uint64_t from)
{
    const struct sent *first = sent_find(k->me, from);
    char buf[24];

    if (!first && from >= k->me->acked) { /* nobody has had them */
        tell(k, TEXT_CTX_LATE);
        return;
    }
    k->out->retrans = true;
    if (first) {
        tell(k, TEXT_CTX_RETRANS, (unsigned long long)first->no,
             duration_text(k->at - first->at, buf));
    } else {
        tell(k, TEXT_CTX_RETRANS_UNSEEN);
    }
}

/* Zero-window probes and keepalives look alike: a number that was sent long ago, and at most one
 * byte. */
static bool tell_probe(struct telling *k, uint64_t from)
{
    if (k->t->len > 1 || k->t->flags & (TCP_SYN | TCP_FIN | TCP_RST) || from + 1 != k->me->max ||
        k->me->max < 2 || k->me->acked != k->me->max) {
        return false;
    }
    bool closed = k->peer->window_known && k->peer->window == 0;
    tell(k, closed ? TEXT_CTX_PROBE : TEXT_CTX_KEEPALIVE);
    return true;
}

static void tell_data(struct telling *k)
{
    struct side *me = k->me;
    uint64_t from = stream_number(me->isn, k->t->seq, me->max);
    uint64_t to = from + k->t->len;
    bool fin = k->t->flags & TCP_FIN;

    k->out->seq = from;
    k->out->to = to + fin;
    if (tell_probe(k, from)) {
        return;
    }
    if (k->t->len) {
        tell(k, TEXT_CTX_DATA, (unsigned long long)from, (unsigned long long)to - 1);
    }
    if (k->t->len && from < me->max) {
        tell_retransmission(k, from);
    } else if (from > me->max && (k->t->len || fin)) {
        tell(k, TEXT_CTX_GAP, (unsigned long long)me->max, (unsigned long long)from - 1);
    }
    if (k->t->len || fin) {
        sent_add(me, (struct sent){from, to + fin, k->at, k->no});
    }
    me->max = to + fin > me->max ? to + fin : me->max;
}

static void tell_fin(struct telling *k)
{
    if (!(k->t->flags & TCP_FIN)) {
        return;
    }
    if (!k->me->fin) {
        tell(k, TEXT_CTX_FIN, words(k->peer->fin ? TEXT_CTX_FIN_PASSIVE : TEXT_CTX_FIN_ACTIVE));
    } else if (k->t->len == 0) {
        tell_retransmission(k, k->out->seq);
    }
    k->me->fin = true;
    k->me->fin_at = k->out->to - 1;
}

static void tell_new_ack(struct telling *k, uint64_t ack)
{
    struct side *peer = k->peer;
    uint64_t from = peer->acked;
    bool fin = peer->fin && ack == peer->fin_at + 1;
    uint64_t last = fin ? ack - 1 : ack;
    char buf[24];

    if (from == 0 && peer->syn) { /* number 0 is the SYN's */
        tell(k, TEXT_CTX_ACK_SYN, duration_text(k->at - peer->syn_at, buf),
             (unsigned long long)peer->syn_no);
        from = 1;
        if (!(k->t->flags & TCP_SYN)) {
            tell(k, TEXT_CTX_ESTABLISHED);
        }
    }
    if (last > from) {
        const struct sent *s = sent_last(peer, last - 1);
        if (s) {
            tell(k, TEXT_CTX_ACK, (unsigned long long)from, (unsigned long long)last - 1,
                 duration_text(k->at - s->at, buf), (unsigned long long)s->no);
        } else {
            tell(k, TEXT_CTX_ACK_UNSEEN, (unsigned long long)from, (unsigned long long)last - 1);
        }
    }
    if (fin && !peer->fin_acked) {
        peer->fin_acked = true;
        tell(k, TEXT_CTX_ACK_FIN);
        if (k->me->fin_acked) {
            tell(k, TEXT_CTX_CLOSED);
        }
    }
    if (ack > peer->max) {
        tell(k, TEXT_CTX_ACK_AHEAD, (unsigned long long)(ack - peer->max));
        peer->max = ack;
    }
    peer->acked = ack;
    sent_forget(peer, ack);
    k->me->dups = 0;
}

static void tell_ack(struct telling *k, uint64_t window)
{
    struct side *peer = k->peer;

    if (!(k->t->flags & TCP_ACK) || !peer->known) {
        return;
    }
    uint64_t ack = stream_number(peer->isn, k->t->ack, peer->acked);
    k->out->ack = ack;
    if (k->t->flags & TCP_RST) {
        return;
    }
    if (ack > peer->acked) {
        tell_new_ack(k, ack);
        return;
    }
    bool pure = k->t->len == 0 && !(k->t->flags & (TCP_SYN | TCP_FIN));
    if (pure && ack == peer->acked && peer->max > ack && window == k->me->window) {
        tell(k, TEXT_CTX_ACK_DUP, ++k->me->dups, (unsigned long long)ack);
    } else if (pure) {
        tell(k, TEXT_CTX_ACK_SAME, (unsigned long long)ack);
    }
}

static void tell_sack(struct telling *k)
{
    const struct tcp_facts *t = k->t;

    for (unsigned i = 0; i < t->nsack; i++) {
        uint64_t from = stream_number(k->peer->isn, t->sack[i][0], k->peer->acked);
        uint64_t to = stream_number(k->peer->isn, t->sack[i][1], from);
        bool twice = i == 0 && to <= k->peer->acked; /* RFC 2883 4 */
        tell(k, twice ? TEXT_CTX_DSACK : TEXT_CTX_SACK, (unsigned long long)from,
             (unsigned long long)to - 1);
    }
}

/* The window in bytes; a scale counts only if both SYNs offered one (RFC 7323 2.2). */
static uint64_t window_of(const struct telling *k, unsigned *shift)
{
    bool syn = k->t->flags & TCP_SYN;

    *shift = !syn && k->me->scaled && k->peer->scaled ? k->me->scale : 0;
    return (uint64_t)k->t->window << *shift;
}

static void tell_window(struct telling *k, uint64_t window, unsigned shift)
{
    struct side *me = k->me;
    bool sure = k->t->flags & TCP_SYN || me->syn;

    if (k->t->flags & TCP_RST) {
        return;
    }
    k->out->window = sure ? window : UINT64_MAX;
    if (sure && window == 0) {
        tell(k, TEXT_CTX_WINDOW_ZERO);
    } else if (sure && me->window_known && window > me->window + me->window / 2) {
        tell(k, TEXT_CTX_WINDOW_OPENS, (unsigned long long)me->window, (unsigned long long)window,
             k->t->window, shift);
    } else if (sure && shift) {
        tell(k, TEXT_CTX_WINDOW, (unsigned long long)window, k->t->window, shift,
             (unsigned long long)me->syn_no);
    } else if (sure) {
        tell(k, TEXT_CTX_WINDOW_PLAIN, (unsigned long long)window);
    }
    me->window = window;
    me->window_known = true;
}

static void tell_rst(struct telling *k)
{
    if (k->t->flags & TCP_RST) {
        bool opening = k->peer->syn && !k->me->syn && k->peer->acked == 0;
        tell(k, opening ? TEXT_CTX_RST_REFUSED : TEXT_CTX_RST);
        k->c->refused = true;
    }
}

static void name_end(char *to, const char *addr, uint16_t port, unsigned version)
{
    snprintf(to, 64, version == 6 ? "[%s]:%u" : "%s:%u", addr, port);
}

void flows_take(struct flows *f, const struct dissection *d, uint64_t no, int64_t at_ns,
                struct context *out)
{
    unsigned me;
    unsigned shift;

    memset(out, 0, sizeof *out);
    if (d->version) {
        name_end(out->end[0], d->src_text, d->sport, d->version);
        name_end(out->end[1], d->dst_text, d->dport, d->version);
    }
    if (!d->tcp.present) {
        return;
    }
    struct conn *c = conn_of(f, d, &me);
    if (!c) {
        return;
    }
    struct telling k = {c, &c->side[me], &c->side[!me], &d->tcp, out, no, at_ns};
    out->conn = c->number;
    if (d->tcp.flags & TCP_SYN) {
        tell_syn(&k);
    } else {
        begin_in_the_middle(&k);
    }
    uint64_t window = window_of(&k, &shift);
    if (k.me->known && !(d->tcp.flags & (TCP_SYN | TCP_RST))) {
        tell_data(&k);
    }
    tell_ace(&k);
    tell_ack(&k, window);
    tell_sack(&k);
    tell_fin(&k);
    tell_window(&k, window, shift);
    tell_rst(&k);
    if (out->nlines && k.me->max > k.me->acked + 1 && d->tcp.len) {
        tell(&k, TEXT_CTX_INFLIGHT, (unsigned long long)(k.me->max - k.me->acked));
    }
}
