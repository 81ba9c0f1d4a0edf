/*
 * story.c - theory: packets are walked in the order in which they entered the wire. Each connection
 * keeps, per direction, the initial sequence number, how far it has sent and been acknowledged,
 * when each stretch was last sent, and how many acknowledgments since told nothing new; from those
 * a retransmission is called fast (three duplicates, or SACK blocks, came before it), a probe (it
 * came within two round trips of silence), or a timeout.
 */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../explain/dissect.h"
#include "../explain/proto.h"

#define CONNS_MAX 1024u

const char *const again_names[AGAIN_COUNT] = {"syn", "fast", "timeout", "probe"};

struct half {
    bool known;
    uint32_t isn;
    uint64_t max, acked; /* after the last byte sent, and acknowledged by the other side */
    nsec sent_at;        /* when the last data or SYN left */
    unsigned dups;       /* acknowledgments of the other side that told nothing new */
    bool sacked;         /* ... or blocks, since the last that did */
    bool closed_window;
    unsigned shift;
};

struct conn {
    uint16_t port, rport;
    bool v6;
    struct half half[WIRE_DIRS];
    bool scale[WIRE_DIRS];
    nsec syn_at, rtt;
};

struct teller {
    struct story *s;
    struct conn *conn;
    unsigned nconns;
    nsec hole_at; /* when a data segment was lost that is not repaired yet; 0 */
    uint64_t hole;
    unsigned hole_dir;
};

static struct conn *conn_of(struct teller *k, const struct dissection *d, unsigned dir)
{
    uint16_t port = dir == WIRE_OUT ? d->tcp.sport : d->tcp.dport;
    uint16_t rport = dir == WIRE_OUT ? d->tcp.dport : d->tcp.sport;

    for (unsigned i = k->nconns; i-- > 0;) {
        struct conn *c = &k->conn[i];
        bool anew = (d->tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && c->half[dir].known &&
                    c->half[dir].isn != d->tcp.seq;
        if (c->port == port && c->rport == rport && c->v6 == (d->version == 6) && !anew) {
            return c;
        }
    }
    if (k->nconns == CONNS_MAX) {
        return NULL;
    }
    struct conn *c = &k->conn[k->nconns++];
    *c = (struct conn){.port = port, .rport = rport, .v6 = d->version == 6};
    return c;
}

/* ---- the handshake */

static void option_names(const struct dissection *d, char *to, size_t size)
{
    static const struct {
        const char *key, *name;
    } names[] = {{"tcp.options.mss_val", "mss"},
                 {"tcp.options.sack_perm", "sackOK"},
                 {"tcp.options.timestamp.tsval", "TS"},
                 {"tcp.options.nop", "nop"},
                 {"tcp.options.wscale.shift", "wscale"},
                 {"tcp.options.eol", "eol"},
                 {"tcp.option_kind", "other"}};
    size_t n = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < d->nfields; i++) {
        for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++) {
            if (strcmp(d->field[i].key, names[k].key) == 0 && n + 12 < size) {
                n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "," : "", names[k].name);
            }
        }
    }
}

/* RFC 3168 6.1.1; RFC 9768 table 2, but for the two that are mostly a SYN's flags coming back. */
static bool accepts_ecn(uint16_t flags)
{
    uint16_t ecn = flags & (TCP_ECE | TCP_CWR | TCP_AE);

    return ecn && (ecn & (TCP_ECE | TCP_CWR)) != (TCP_ECE | TCP_CWR);
}

static void take_card(struct card *c, const struct dissection *d)
{
    const struct tcp_facts *t = &d->tcp;
    unsigned ecn = t->flags & (TCP_ECE | TCP_CWR);

    if (c->seen) {
        return;
    }
    *c = (struct card){.seen = true,
                       .mss = t->has_mss ? t->mss : 0,
                       .wscale = t->has_wscale ? t->wscale : -1,
                       .sack = t->has_sack_ok,
                       .ts = t->has_ts,
                       .ecn =
                           t->flags & TCP_ACK ? accepts_ecn(t->flags) : ecn == (TCP_ECE | TCP_CWR),
                       .window = t->window};
    option_names(d, c->options, sizeof c->options);
}

static void take_syn(struct teller *k, struct conn *c, const struct dissection *d,
                     const struct seen *x, bool first)
{
    struct half *h = &c->half[x->dir];
    struct story *s = k->s;

    if (h->known && !(d->tcp.flags & TCP_ACK)) {
        s->count[x->dir].again[AGAIN_SYN]++;
    } else if (h->known) {
        s->count[x->dir].again[AGAIN_SYN]++;
    } else {
        h->known = true;
        h->isn = d->tcp.seq;
        h->max = 1;
        h->shift = d->tcp.has_wscale ? d->tcp.wscale : 0;
        c->scale[x->dir] = d->tcp.has_wscale;
        c->syn_at = x->dir == WIRE_OUT ? x->at : c->syn_at;
    }
    if (first) {
        take_card(&s->card[x->dir], d);
    }
    if (first && x->dir == WIRE_OUT && s->nsyns < SYN_TIMES) {
        s->syn_at[s->nsyns] = s->nsyns ? x->at - c->syn_at : 0;
        s->nsyns++;
    }
    if (first && x->dir == WIRE_IN && s->connect == NEVER && x->arrived != NEVER) {
        s->connect = x->arrived - c->syn_at;
        c->rtt = s->connect;
    }
    h->sent_at = x->at;
}

/* ---- data and acknowledgments */

static enum again why_again(const struct conn *c, const struct half *h, nsec at)
{
    nsec quiet = at - h->sent_at;

    if (h->dups >= 3 || h->sacked) {
        return AGAIN_FAST;
    }
    return quiet < 3 * c->rtt + 15 * MSEC ? AGAIN_PROBE : AGAIN_TIMEOUT;
}

static void take_data(struct teller *k, struct conn *c, const struct dissection *d,
                      const struct seen *x, bool first)
{
    struct half *h = &c->half[x->dir];
    struct flow_counts *n = &k->s->count[x->dir];
    uint64_t from = stream_number(h->isn, d->tcp.seq, h->max);
    uint64_t end = from + d->tcp.len + ((d->tcp.flags & TCP_FIN) != 0);

    n->data_segments += d->tcp.len != 0;
    n->bytes += d->tcp.len;
    bool again = end > from && from < h->max;
    if (again) {
        n->again[why_again(c, h, x->at)]++;
    }
    if (end > h->max) {
        n->new_bytes += d->tcp.len > end - h->max ? end - h->max : d->tcp.len;
    }
    if (d->tcp.len && x->arrived == NEVER && !k->hole_at) {
        k->hole_at = x->at;
        k->hole = from;
        k->hole_dir = x->dir;
    } else if (k->hole_at && x->dir == k->hole_dir && from <= k->hole && k->hole < end &&
               x->arrived != NEVER) {
        nsec took = x->arrived - k->hole_at;
        k->s->repair = took > k->s->repair ? took : k->s->repair;
        k->hole_at = 0;
    }
    if (first && x->dir == WIRE_IN && d->tcp.len && k->s->first_byte == NEVER &&
        x->arrived != NEVER) {
        k->s->first_byte = x->arrived - c->syn_at;
    }
    if (first && x->dir == WIRE_OUT && h->acked <= 1) {
        k->s->first_flight = end - 1 > k->s->first_flight ? end - 1 : k->s->first_flight;
    }
    if (end > from) {
        h->sent_at = x->at;
    }
    h->max = end > h->max ? end : h->max;
}

static void take_ack(struct teller *k, struct conn *c, const struct dissection *d,
                     const struct seen *x)
{
    struct half *other = &c->half[!x->dir];
    struct half *h = &c->half[x->dir];
    struct flow_counts *n = &k->s->count[x->dir];
    const struct tcp_facts *t = &d->tcp;
    bool pure = t->len == 0 && !(t->flags & (TCP_SYN | TCP_FIN | TCP_RST));

    if (!(t->flags & TCP_ACK) || !other->known) {
        return;
    }
    uint64_t ack = stream_number(other->isn, t->ack, other->acked);
    n->pure_acks += pure;
    n->sacks += t->nsack != 0;
    bool shut = t->window == 0 && !(t->flags & (TCP_RST | TCP_SYN));
    n->zero_windows += shut && !h->closed_window;
    h->closed_window = shut;
    if (x->arrived == NEVER) {
        return;
    }
    if (ack > other->acked) {
        other->acked = ack;
        other->dups = 0;
        other->sacked = false;
    } else if (pure && ack == other->acked && other->max > ack) {
        n->dup_acks++;
        other->dups++;
    }
    other->sacked = other->sacked || t->nsack != 0;
}

static void take_end(struct teller *k, const struct conn *c, const struct dissection *d,
                     const struct seen *x, bool first)
{
    struct story *s = k->s;

    if (d->tcp.flags & TCP_FIN) {
        s->count[x->dir].fins++;
        if (first) {
            s->fin[x->dir] = true;
            s->first_fin = s->first_fin < 0 ? (int)x->dir : s->first_fin;
        }
    }
    if (d->tcp.flags & TCP_RST) {
        s->count[x->dir].resets++;
        if (s->reset < 0 && c->half[x->dir].known) { /* else it refuses: nothing ends */
            s->reset = (int)x->dir;
        }
    }
}

static void take(struct teller *k, const struct seen *x)
{
    static struct dissection d;
    struct flow_counts *n = &k->s->count[x->dir];

    dissect(&d, x->p, x->len, x->len);
    if (x->no == 0) { /* the wire's: neither side sent it */
        k->s->cut = k->s->cut || (d.tcp.present && d.tcp.flags & TCP_RST);
        return;
    }
    n->segments++;
    n->lost += x->arrived == NEVER;
    for (unsigned i = 0; i < d.nsums; i++) {
        n->bad_checksums += d.sum[i].verdict == SUM_BAD && x->fired != FIRED_CORRUPTED;
    }
    if (!d.tcp.present || !d.tcp.whole) {
        return;
    }
    struct conn *c = conn_of(k, &d, x->dir);
    if (!c) {
        return;
    }
    bool first = c == &k->conn[0];
    if (d.tcp.flags & TCP_SYN) {
        take_syn(k, c, &d, x, first);
    } else if (!(d.tcp.flags & TCP_RST) && c->half[x->dir].known) {
        take_data(k, c, &d, x, first);
    }
    take_ack(k, c, &d, x);
    take_end(k, c, &d, x, first);
}

void story_tell(struct story *s, const struct one *o)
{
    struct teller k = {.s = s, .conn = calloc(CONNS_MAX, sizeof *k.conn)};

    *s = (struct story){.connect = NEVER, .first_byte = NEVER, .first_fin = -1, .reset = -1};
    for (unsigned i = 0; k.conn && i < o->nseen; i++) {
        take(&k, &o->seen[i]);
    }
    s->connections = k.nconns;
    free(k.conn);
    if (o->nseen) {
        const struct seen *last = &o->seen[o->nseen - 1];
        s->total = (last->arrived == NEVER ? last->at : last->arrived) - o->seen[0].at;
    }
    uint64_t bytes = s->count[WIRE_OUT].new_bytes + s->count[WIRE_IN].new_bytes;
    s->goodput = s->total > 0 ? (double)bytes * 1e9 / (double)s->total : 0;
}

struct step *story_steps(const struct one *o, unsigned *n)
{
    struct step *steps = calloc(o->nseen ? o->nseen : 1, sizeof *steps);
    struct conn *conn = calloc(CONNS_MAX, sizeof *conn);
    struct story ignored = {0};
    struct teller k = {.s = &ignored, .conn = conn};
    static struct dissection d;

    *n = 0;
    for (unsigned i = 0; steps && conn && i < o->nseen; i++) {
        const struct seen *x = &o->seen[i];
        if (x->no == 0) {
            continue;
        }
        struct step *p = &steps[(*n)++];
        *p = (struct step){.x = x};
        dissect(&d, x->p, x->len, x->len);
        struct conn *c = d.tcp.present && d.tcp.whole ? conn_of(&k, &d, x->dir) : NULL;
        if (!c) {
            continue;
        }
        struct half *h = &c->half[x->dir];
        struct half *other = &c->half[!x->dir];
        if (d.tcp.flags & TCP_SYN && !h->known) {
            *h = (struct half){.known = true, .isn = d.tcp.seq, .shift = d.tcp.wscale};
            c->scale[x->dir] = d.tcp.has_wscale;
        }
        p->tcp = true;
        p->port = c->port;
        p->flags = d.tcp.flags;
        p->len = d.tcp.len;
        p->seq = h->known ? stream_number(h->isn, d.tcp.seq, h->max) : d.tcp.seq;
        p->end = p->seq + p->len + ((p->flags & (TCP_SYN | TCP_FIN)) != 0);
        p->ack = other->known && p->flags & TCP_ACK
                     ? stream_number(other->isn, d.tcp.ack, other->max)
                     : 0;
        bool both = c->scale[0] && c->scale[1] && !(p->flags & TCP_SYN);
        p->window = (uint32_t)d.tcp.window << (both ? h->shift : 0);
        p->again = p->end > p->seq && p->seq < h->max;
        h->max = p->end > h->max ? p->end : h->max;
    }
    free(conn);
    return steps;
}
